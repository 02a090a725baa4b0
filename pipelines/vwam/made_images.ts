/**
 * The folder of images that `gyrus maximize` writes.
 *
 * @module
 */
import type { RgbImage } from "../images/rgb_image.ts";
import { InputError } from "../errors.ts";
import { requireFinite } from "../io/checks.ts";
import { type Hdf5Attribute, Hdf5File } from "../io/hdf5.ts";
import { toFloat32, toFloat64 } from "../io/state_dict.ts";
import { quote } from "../io/strict_json.ts";

/** The file of a folder that holds images and responses. */
export const MADE_FILE = "maximize.h5";

/** Images that were made for voxels and regions, read one at a time. */
export interface MadeImages extends Disposable {
  /** The folder. */
  readonly folder: string;
  /** Number of images. */
  readonly n: number;
  /** Height and width of each. */
  readonly size: readonly [height: number, width: number];
  /** What each was made for: a voxel's number or the name of a region or contrast. */
  readonly targets: readonly string[];
  /** Seed of each. */
  readonly seeds: Float64Array<ArrayBuffer>;
  /** What the readout that it was made for predicts. */
  readonly responses: Float64Array<ArrayBuffer>;
  /** Name of the picture that each began with, where they did with one. */
  readonly pictures?: readonly string[];
  /** Settings, as the file has them. */
  readonly attributes: Readonly<Record<string, Hdf5Attribute>>;
  /**
   * Colours of images `start` to before `end`, `[end − start, 3, height, width]`, 0…1.
   *
   * @throws {InputError} when there are fewer, or the file cannot be read
   */
  read(start: number, end: number): Float32Array<ArrayBuffer>;
  /** Closes the file. */
  close(): void;
}

/** Colours in 0…1 as bytes; values outside are clipped. */
export function bytesOf(
  colors: ArrayLike<number>,
  [height, width]: readonly [height: number, width: number],
): RgbImage {
  const plane = height * width, data = new Uint8Array(3 * plane);
  for (let at = 0; at < 3 * plane; at++) {
    const value = Math.round(255 * Math.min(1, Math.max(0, colors[at])));
    data[3 * (at % plane) + Math.floor(at / plane)] = value;
  }
  return { height, width, data };
}

function openChecked(file: Hdf5File, folder: string, path: string): MadeImages {
  const fail = (problem: string): never => {
    throw new InputError(`Cannot use the images of ${quote(folder)}: ${problem}`);
  };
  const there = new Set(file.datasets());
  for (const name of ["/images", "/targets", "/seeds", "/responses"]) {
    if (!there.has(name)) fail(`${MADE_FILE} has no ${name}`);
  }
  const { shape, dtype } = file.info("/images");
  const [n, channels, height, width] = shape;
  if (shape.length !== 4 || channels !== 3 || n * height * width === 0 || dtype !== "f32") {
    fail(`/images must be f32 [images, 3, height, width], it is ${dtype} [${shape}]`);
  }
  const targets = file.readStrings("/targets");
  const [seeds, responses] = ["/seeds", "/responses"].map((name) => toFloat64(file.read(name)));
  const lengths = [targets, seeds, responses].map((all) => all.length);
  if (lengths.some((length) => length !== n)) {
    fail(`there are ${n} images with [${lengths}] targets, seeds and responses`);
  }
  requireFinite(responses, { source: `${path}:/responses` });
  return {
    ...{ folder, n, size: [height, width] as const, targets, seeds, responses },
    pictures: there.has("/seed_images") ? file.readStrings("/seed_images") : undefined,
    attributes: file.attributes(),
    read(start, end) {
      const values = toFloat32(file.readRows("/images", start, end));
      requireFinite(values, {
        source: `${path}:/images`,
        columns: 3 * height * width,
        firstRow: start,
      });
      return values;
    },
    close: () => file.close(),
    [Symbol.dispose]: () => file.close(),
  };
}

/**
 * Opens a folder that `gyrus maximize` wrote. Needs the permission to read it.
 *
 * @throws {InputError} when there is no such file, or it lacks images, targets, seeds or responses
 */
export async function openMadeImages(folder: string): Promise<MadeImages> {
  const path = `${folder.replace(/\/+$/, "")}/${MADE_FILE}`;
  const file = await Hdf5File.open(path);
  try {
    return openChecked(file, folder, path);
  } catch (cause) {
    file.close();
    throw cause;
  }
}
