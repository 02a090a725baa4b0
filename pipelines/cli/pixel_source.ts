/**
 * The pixels of a command, batch by batch: images that are prepared as the model's family prepares them, or an array that is taken
 * as it is.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import {
  type ImageSize,
  parseImageSize,
  preprocess,
  type Preprocessing,
  preprocessings,
  stretched,
} from "../images/preprocess.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { openArray, parseArrayRef } from "../io/array_ref.ts";
import { openImages } from "../io/images.ts";
import { quote } from "../io/strict_json.ts";
import type { TapModel } from "../models/tap_model.ts";
import type { VitConfig } from "../models/vit_config.ts";

/** Preprocessed pixels, read in batches. */
export interface PixelSource extends Disposable {
  /** Number of images. */
  readonly n: number;
  /** Channels. */
  readonly channels: number;
  /** Height and width in pixels, the same for all. */
  readonly size: ImageSize;
  /** How images become the network's input; of preprocessed pixels what the family is run with. */
  readonly recipe: Preprocessing;
  /** Names of the images, where they have any. */
  readonly names?: readonly string[];
  /** Folder of each image, where they come from several. */
  readonly folders?: readonly string[];
  /** The files that are read. */
  readonly files: readonly string[];
  /** The images `start` to before `end` as the model takes them, `[end − start, channels, height, width]`. */
  read(start: number, end: number): Float32Array<ArrayBuffer>;
  /** One image as it was stored; undefined where there are only preprocessed pixels. */
  readonly image?: (i: number) => RgbImage;
}

/** What the options say about pixels. */
export interface PixelOptions {
  /** Reference to images. */
  readonly images?: string;
  /** Reference to preprocessed pixels. */
  readonly pixels?: string;
  /** `S` or `HxW`. */
  readonly size?: string;
  /** `crop` is the family's own transform, `stretch` resizes straight to the size. */
  readonly fit: "crop" | "stretch";
}

/**
 * The size that a model sees when none is asked for: the one its positions were made for, but the family's usual one where that is
 * smaller (DINOv2 is run at 224 with positions for 518, RADIO at 768 with positions for 2048).
 */
export function defaultSize({ family, grid, patchSize }: VitConfig): ImageSize {
  const usual = family === "dinov2" || family === "radio" ? preprocessings[family].size : Infinity;
  return {
    height: Math.min(usual, grid[0] * patchSize),
    width: Math.min(usual, grid[1] * patchSize),
  };
}

/**
 * Opens the pixels that the options name.
 *
 * @throws {InputError} when both or none are named, or what is there does not suit the model
 */
export async function openPixels(options: PixelOptions, config: VitConfig): Promise<PixelSource> {
  const { channels, family } = config;
  return await openFor(options, {
    channels,
    size: defaultSize(config),
    recipe: options.fit === "stretch" ? stretched(family) : preprocessings[family],
    checkSides: (size) => checkSides(size, config),
  });
}

/**
 * Opens the pixels that the options name for a network with taps, as its own transform prepares them. `bgr` takes the colours in the
 * other order, as images read by OpenCV.
 *
 * @throws {InputError} when both or none are named, or what is there does not suit the model
 */
export async function openTapPixels(
  { bgr = false, ...options }: PixelOptions & { readonly bgr?: boolean },
  model: TapModel,
): Promise<PixelSource> {
  const { fit } = options;
  const { size: side } = model.preprocessing;
  return await openFor(options, {
    channels: 3,
    size: { height: side, width: side },
    recipe: { ...model.preprocessing, fit },
    checkSides: (size) => void model.tapShapes(size),
    bgr,
  });
}

/** What a network takes. */
interface PixelTarget {
  readonly channels: number;
  /** Size of images where none is asked for. */
  readonly size: ImageSize;
  readonly recipe: Preprocessing;
  /** Blue comes first. */
  readonly bgr?: boolean;
  /** Refuses a size. */
  checkSides(size: ImageSize): void;
}

async function openFor(options: PixelOptions, config: PixelTarget): Promise<PixelSource> {
  const { images, pixels, size } = options;
  if ((images === undefined) === (pixels === undefined)) {
    throw new InputError("Cannot choose the input: exactly one of --images and --pixels is needed");
  }
  if (pixels === undefined) return await fromImages(images!, options, config);
  if (size !== undefined) {
    throw new InputError("Cannot resize --pixels: they are taken as they are, leave --size out");
  }
  return await fromPixels(pixels, config);
}

function checkSides({ height, width }: ImageSize, { patchSize }: VitConfig): void {
  if (height % patchSize === 0 && width % patchSize === 0) return;
  throw new InputError(
    `Cannot cut ${height}x${width} pixels into patches: both sides must be multiples of ${patchSize}`,
  );
}

async function fromImages(
  ref: string,
  { size: text }: PixelOptions,
  { checkSides, recipe: family, bgr = false, ...target }: PixelTarget,
): Promise<PixelSource> {
  const size = text === undefined ? target.size : parseImageSize(text);
  checkSides(size);
  const source = await openImages(ref);
  const read = (i: number) => bgr ? swapped(source.read(i)) : source.read(i);
  const values = 3 * size.height * size.width;
  return {
    n: source.n,
    channels: 3,
    ...{ size, recipe: family },
    names: source.names,
    folders: source.folders,
    files: source.files,
    image: (i) => source.read(i),
    read(start, end) {
      const out = new Float32Array((end - start) * values);
      for (let i = start; i < end; i++) {
        out.set(preprocess(read(i), { family, size }).data, (i - start) * values);
      }
      return out;
    },
    [Symbol.dispose]: () => source.close(),
  };
}

/** Red and blue in each other's place. */
function swapped({ height, width, data }: RgbImage): RgbImage {
  const channel = [2, 0, -2]; // where to look from each
  return { height, width, data: data.map((_, i) => data[i + channel[i % 3]]) };
}

async function fromPixels(ref: string, config: PixelTarget): Promise<PixelSource> {
  const rows = await openArray(ref);
  try {
    const [n, channels, height, width] = rows.shape;
    if (!/^b?f\d/.test(rows.dtype) || rows.shape.length !== 4 || channels !== config.channels) {
      throw new InputError(
        `Cannot use ${quote(ref)} as pixels: they must be floating point [n, ${config.channels}, ` +
          `height, width], preprocessed, it is ${rows.dtype} [${rows.shape}]`,
      );
    }
    if (n * height * width === 0) {
      throw new InputError(`Cannot use ${quote(ref)} as pixels: [${rows.shape}] holds none`);
    }
    config.checkSides({ height, width });
    return {
      n,
      channels,
      ...{ size: { height, width }, recipe: config.recipe },
      files: [parseArrayRef(ref).path],
      read(start, end) {
        const data = rows.readRows(start, end);
        const bad = data.findIndex((value) => !Number.isFinite(value));
        if (bad >= 0) {
          const image = start + Math.floor(bad / (channels * height * width));
          throw new InputError(
            `Cannot use ${quote(ref)} as pixels: image ${image} (from 0) holds ${data[bad]}`,
          );
        }
        return data;
      },
      [Symbol.dispose]: () => rows.close(),
    };
  } catch (cause) {
    rows.close();
    throw cause;
  }
}
