/**
 * The folder that `gyrus steer` writes: pictures, strips and arrays, source by source.
 *
 * @module
 */
import { mosaic } from "../images/mosaic.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { Hdf5Writer } from "../io/hdf5_writer.ts";
import { savePng } from "../io/png.ts";
import type { SteeredImage } from "../mig_vis/steer.ts";
import { signedBytes } from "./diffuse_files.ts";

/** Name of the arrays in the folder. */
export const STEERED = "steer.h5";

/** What a folder holds. */
export interface SteerFolderOptions {
  /** Numbers of the source images. */
  readonly sources: readonly number[];
  /** Groups that are steered. */
  readonly groups: readonly number[];
  /** γ, or numbers of other stimuli. */
  readonly targets: readonly number[];
  /** Whether targets are γ. */
  readonly isTraversal: boolean;
  /** Channels, height and width of an image. */
  readonly shape: readonly number[];
  /** Steps of the network, from the most noise to the least. */
  readonly timesteps: readonly number[];
  /** What scores tell. */
  readonly scoreNames: readonly string[];
}

/** Sides of pictures in strips are at least this long. */
const STRIP_SIDE = 96;

/** Every pixel as a square of several. */
function enlarged({ height, width, data }: RgbImage, times: number): RgbImage {
  const out = new Uint8Array(data.length * times * times), across = width * times;
  for (let at = 0; at < out.length; at++) {
    const pixel = Math.floor(at / 3), y = Math.floor(pixel / across), x = pixel % across;
    out[at] = data[(Math.floor(y / times) * width + Math.floor(x / times)) * 3 + at % 3];
  }
  return { height: height * times, width: across, data: out };
}

/** Writes sources with all that was made of them. */
export class SteerFolder implements Disposable {
  readonly #folder: string;
  readonly #options: SteerFolderOptions;
  readonly #file: Hdf5Writer;

  private constructor(folder: string, options: SteerFolderOptions, file: Hdf5Writer) {
    this.#folder = folder;
    this.#options = options;
    this.#file = file;
  }

  /** Begins the arrays and the folders of pictures in an empty folder. */
  static async create(folder: string, options: SteerFolderOptions): Promise<SteerFolder> {
    Deno.mkdirSync(`${folder}/images`);
    Deno.mkdirSync(`${folder}/strips`);
    const file = await Hdf5Writer.create(`${folder}/${STEERED}`);
    const { sources, groups, targets, shape, timesteps, scoreNames } = options;
    const each = [sources.length, groups.length, targets.length];
    const begin = (name: string, sizes: readonly number[], dtype: "f32" | "f64" = "f32") =>
      file.createDataset(`/${name}`, { shape: sizes, dtype });
    begin("images", [...each, ...shape]);
    begin("unsteered", [sources.length, ...shape]);
    begin("psnr", [sources.length], "f64");
    begin("scores", [...each, 2, scoreNames.length], "f64");
    begin("strengths", [...each, timesteps.length]);
    file.setAttribute("/", "scores", scoreNames.join(","));
    return new SteerFolder(folder, options, file);
  }

  /** Adds the source in place `at`, with what was made of it: by group, then target. */
  add(at: number, { source, unsteered, psnr, made }: {
    readonly source: Float32Array<ArrayBuffer>;
    readonly unsteered: Float32Array<ArrayBuffer>;
    readonly psnr: number;
    readonly made: readonly SteeredImage[];
  }): void {
    const { sources, groups, targets, isTraversal, shape } = this.#options, file = this.#file;
    const joined = (rows: readonly ArrayLike<number>[]) =>
      Float32Array.from(rows.flatMap((row) => Array.from(row)));
    file.writeRows("/images", at, joined(made.map(({ image }) => image)));
    file.writeRows("/strengths", at, joined(made.map(({ strengths }) => strengths)));
    const scores = made.flatMap(({ before, after }) => [...before, ...after]);
    file.writeRows("/scores", at, Float64Array.from(scores));
    file.writeRows("/unsteered", at, unsteered);
    file.writeRows("/psnr", at, Float64Array.of(psnr));
    const name = String(sources[at]).padStart(5, "0");
    const picture = (values: ArrayLike<number>) => signedBytes(values, shape);
    const pictures = made.map(({ image }) => picture(image));
    pictures.forEach((image, i) => {
      const target = targets[i % targets.length];
      const said = isTraversal && target >= 0 ? `+${target}` : `${target}`;
      const group = groups[Math.floor(i / targets.length)];
      savePng(`${this.#folder}/images/${name}_g${group}_${said}.png`, image);
    });
    const rows = groups.map((_, g) => pictures.slice(g * targets.length, (g + 1) * targets.length));
    const strip = this.#strip(picture(source), picture(unsteered), rows);
    savePng(`${this.#folder}/strips/${name}.png`, strip);
  }

  #strip(source: RgbImage, unsteered: RgbImage, rows: readonly RgbImage[][]): RgbImage {
    const { targets, isTraversal, shape: [, height, width] } = this.#options;
    const order = targets.map((_, t) => t);
    if (isTraversal) order.sort((a, b) => targets[a] - targets[b]);
    const middle = isTraversal ? targets.filter((gamma) => gamma < 0).length : 0;
    const cells = rows.flatMap((row) => {
      const sorted = order.map((t) => row[t]);
      return [source, ...sorted.slice(0, middle), unsteered, ...sorted.slice(middle)];
    });
    const times = Math.max(1, Math.ceil(STRIP_SIDE / Math.min(height, width)));
    return mosaic(cells.map((cell) => enlarged(cell, times)), { columns: targets.length + 2 });
  }

  /** Writes what belongs to all images, and finishes. */
  finish(attributes: Readonly<Record<string, string | number>>): void {
    const { sources, groups, targets, isTraversal, timesteps } = this.#options;
    const columns = {
      sources,
      groups,
      timesteps,
      [isTraversal ? "gamma" : "target_index"]: targets,
    };
    for (const [name, values] of Object.entries(columns)) {
      this.#file.createDataset(`/${name}`, { shape: [values.length], dtype: "f64" });
      this.#file.writeRows(`/${name}`, 0, Float64Array.from(values));
    }
    for (const [name, value] of Object.entries(attributes)) {
      this.#file.setAttribute("/", name, value);
    }
    this.#file.commit();
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }
}
