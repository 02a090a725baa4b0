/**
 * What `gyrus diffuse` writes: pictures and arrays of images, one after the other.
 *
 * @module
 */
import type { RgbImage } from "../images/rgb_image.ts";
import { Hdf5Writer } from "../io/hdf5_writer.ts";
import { savePng } from "../io/png.ts";
import { toFloat32 } from "../io/state_dict.ts";
import type { StepArrays } from "../io/step_log.ts";

/** Name of the arrays in a folder of results. */
export const ARRAYS = "diffuse.h5";

/** Whether a result is a file of arrays alone. */
export function isArrayFile(path: string | undefined): boolean {
  return /\.(h5|hdf5)$/i.test(path ?? "");
}

/** An image of values from −1 to 1, `[1 or 3, height, width]`, in bytes. */
export function signedBytes(
  values: ArrayLike<number>,
  [channels, height, width]: readonly number[],
): RgbImage {
  const plane = height * width, data = new Uint8Array(3 * plane);
  for (let at = 0; at < data.length; at++) {
    const from = (at % 3) % channels * plane + Math.floor(at / 3);
    data[at] = Math.round(255 * Math.min(1, Math.max(0, (values[from] + 1) / 2)));
  }
  return { height, width, data };
}

/** Arrays to write. */
export interface DiffuseFilesOptions {
  /** Where, meanwhile. */
  readonly partial: string;
  /** Whether there is a folder with pictures, or a file of arrays alone. */
  readonly isFolder: boolean;
  /** Number of images. */
  readonly n: number;
  /** Shapes of an image's arrays by name; `trajectory` begins with its steps. */
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  /** Arrays that are drawn as pictures too, with their folder. */
  readonly pictures: Readonly<Record<string, string>>;
}

/** Writes images as they come. */
export class DiffuseFiles implements Disposable {
  readonly #options: DiffuseFilesOptions;
  readonly #file: Hdf5Writer;
  #added = 0;

  private constructor(options: DiffuseFilesOptions, file: Hdf5Writer) {
    this.#options = options;
    this.#file = file;
  }

  /** Begins the file and the folders of pictures. */
  static async create(options: DiffuseFilesOptions): Promise<DiffuseFiles> {
    const { partial, isFolder, n, shapes, pictures } = options;
    const path = isFolder ? `${partial}/${ARRAYS}` : partial;
    const file = await Hdf5Writer.create(path, { inPlace: !isFolder });
    for (const [name, shape] of Object.entries(shapes)) {
      const isSteps = name === "trajectory";
      file.createDataset(`/${name}`, {
        shape: isSteps ? [shape[0], n, ...shape.slice(1)] : [n, ...shape],
        dtype: "f32",
        ...(isSteps ? { chunks: [1, 1, ...shape.slice(1)] } : {}), // images come one at a time
      });
    }
    if (isFolder) {
      for (const folder of Object.values(pictures)) Deno.mkdirSync(`${partial}/${folder}`);
    }
    return new DiffuseFiles(options, file);
  }

  /** Adds the arrays of the next image. */
  add(arrays: StepArrays): void {
    const { partial, isFolder, shapes, pictures } = this.#options, s = this.#added++;
    for (const [name, shape] of Object.entries(shapes)) {
      const values = toFloat32(arrays.get(name)!);
      if (name === "trajectory") this.#file.writeRows("/trajectory", 0, values, s);
      else this.#file.writeRows(`/${name}`, s, values);
      const folder = pictures[name];
      if (!isFolder || folder === undefined || (shape[0] !== 1 && shape[0] !== 3)) continue;
      const png = `${partial}/${folder}/${String(s).padStart(5, "0")}.png`;
      savePng(png, signedBytes(values, shape));
    }
  }

  /** Writes what belongs to all images, and finishes. */
  finish(
    columns: Readonly<Record<string, ArrayLike<number>>>,
    attributes: Readonly<Record<string, string | number>>,
  ): void {
    for (const [name, values] of Object.entries(columns)) {
      this.#file.createDataset(`/${name}`, { shape: [values.length], dtype: "f64" });
      this.#file.writeRows(`/${name}`, 0, Float64Array.from(values));
    }
    for (const [key, value] of Object.entries(attributes)) {
      this.#file.setAttribute("/", key, value);
    }
    this.#file.commit();
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }
}
