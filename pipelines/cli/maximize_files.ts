/**
 * The folder that `gyrus maximize` writes: pictures, arrays and the curves of the losses.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import type { ImageSize } from "../images/preprocess.ts";
import { Hdf5Writer } from "../io/hdf5_writer.ts";
import { savePng } from "../io/png.ts";
import { hostTensor, toFloat32, toFloat64 } from "../io/state_dict.ts";
import type { StepArrays } from "../io/step_log.ts";
import { html, htmlPage } from "../report/html.ts";
import { MAX_SERIES } from "../report/marks.ts";
import { lineChart } from "../report/plot.ts";
import { bytesOf, MADE_FILE } from "../vwam/made_images.ts";
import type { VoxelImage } from "../vwam/maximize_voxels.ts";

/** What a folder holds of every image. */
export interface ImageFolderOptions {
  /** Number of images. */
  readonly n: number;
  /** Their size. */
  readonly size: ImageSize;
  /** Optimisation steps of each. */
  readonly steps: number;
  /** Whether images come with where they matter. */
  readonly hasSaliency?: boolean;
  /** Names of the pictures that images start from. */
  readonly pictures?: readonly string[];
}

/** An image as a checkpoint keeps it. */
export function packImage(made: VoxelImage, { height, width }: ImageSize): StepArrays {
  const { number, target, seed, picture, image, response, losses, change, saliency } = made;
  const facts = new TextEncoder().encode(JSON.stringify({ number, target, seed, picture }));
  const numbers = [response, ...(change ? [change.max, change.rms] : [])];
  return new Map([
    ["facts", hostTensor(facts, [facts.length])],
    ["numbers", hostTensor(Float64Array.from(numbers), [numbers.length])],
    ["image", hostTensor(image, [3, height, width])],
    ["losses", hostTensor(losses, [losses.length])],
    ...(saliency ? [["saliency", hostTensor(saliency, [height, width])] as const] : []),
  ]);
}

/** The image that {@link packImage} packed. */
export function unpackImage(arrays: StepArrays): VoxelImage {
  const [facts, numbers, image, losses] = ["facts", "numbers", "image", "losses"].map((name) => {
    const array = arrays.get(name);
    if (array) return array;
    throw new InputError(`Cannot go on from the checkpoint: one of its images has no ${name}`);
  });
  const [response, max, rms] = toFloat64(numbers), saliency = arrays.get("saliency");
  return {
    ...JSON.parse(new TextDecoder().decode(facts.bytes)),
    ...{ image: toFloat32(image), losses: toFloat32(losses), response },
    ...(max === undefined ? {} : { change: { max, rms } }),
    ...(saliency ? { saliency: toFloat32(saliency) } : {}),
  };
}

/** Writes images as they come; numbers of all images are written at the end. */
export class ImageFolder implements Disposable {
  readonly #folder: string;
  readonly #options: ImageFolderOptions;
  readonly #file: Hdf5Writer;
  readonly #facts: Omit<VoxelImage, "image" | "saliency">[] = [];

  private constructor(folder: string, options: ImageFolderOptions, file: Hdf5Writer) {
    this.#folder = folder;
    this.#options = options;
    this.#file = file;
  }

  /** Begins the file and `images/` in an empty folder. */
  static async create(folder: string, options: ImageFolderOptions): Promise<ImageFolder> {
    Deno.mkdirSync(`${folder}/images`);
    const file = await Hdf5Writer.create(`${folder}/${MADE_FILE}`);
    const { n, steps, hasSaliency, size: { height, width } } = options;
    file.createDataset("/images", { shape: [n, 3, height, width], dtype: "f32" });
    file.createDataset("/losses", { shape: [n, steps], dtype: "f32" });
    if (hasSaliency) file.createDataset("/saliency", { shape: [n, height, width], dtype: "f32" });
    return new ImageFolder(folder, options, file);
  }

  /** What was added, without the images. */
  get facts(): readonly Omit<VoxelImage, "image" | "saliency">[] {
    return this.#facts;
  }

  /** Adds the next image. */
  add({ image, saliency, ...facts }: VoxelImage): void {
    const { number, losses } = facts;
    const name = String(number).padStart(5, "0");
    const { height, width } = this.#options.size;
    savePng(`${this.#folder}/images/${name}.png`, bytesOf(image, [height, width]));
    this.#file.writeRows("/images", number, image);
    this.#file.writeRows("/losses", number, losses);
    if (saliency) this.#file.writeRows("/saliency", number, saliency);
    this.#facts.push(facts);
  }

  /**
   * Writes what belongs to all images, and finishes.
   *
   * @param columns numbers of each image by dataset
   */
  finish(
    columns: Readonly<Record<string, ArrayLike<number>>>,
    attributes: Readonly<Record<string, string | number | readonly number[]>>,
  ): void {
    const { pictures } = this.#options, file = this.#file;
    const column = (path: string, values: ArrayLike<number>) => {
      file.createDataset(path, { shape: [values.length], dtype: "f64" });
      file.writeRows(path, 0, Float64Array.from(values));
    };
    column("/responses", this.#facts.map(({ response }) => response));
    const seeds = Int32Array.from(this.#facts, ({ seed }) => seed);
    file.createDataset("/seeds", { shape: [seeds.length], dtype: "i32" });
    file.writeRows("/seeds", 0, seeds);
    const changes = this.#facts.flatMap(({ change }) => change ? [change] : []);
    if (changes.length > 0) {
      column("/change_max", changes.map(({ max }) => max));
      column("/change_rms", changes.map(({ rms }) => rms));
    }
    for (const [path, values] of Object.entries(columns)) column(path, values);
    file.writeStrings("/targets", this.#facts.map(({ target }) => target));
    if (pictures) {
      file.writeStrings("/seed_images", this.#facts.map(({ picture }) => pictures[picture]));
    }
    for (const [key, value] of Object.entries(attributes)) file.setAttribute("/", key, value);
    file.commit();
    Deno.writeTextFileSync(`${this.#folder}/losses.html`, lossPage(this.#facts));
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }
}

/** The value that a share of sorted values lies below. */
function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.round(share * (sorted.length - 1))];
}

/** Curves of the losses: of each image where they are few, else what nine in ten of them do. */
function lossPage(facts: readonly Omit<VoxelImage, "image" | "saliency">[]): string {
  const steps = facts[0].losses.length;
  const xs = Array.from({ length: steps }, (_, step) => step);
  const isFew = facts.length <= MAX_SERIES;
  const at = (step: number) => facts.map(({ losses }) => losses[step]).sort((a, b) => a - b);
  const sorted = isFew ? [] : xs.map(at);
  const series = isFew
    ? facts.map(({ number, target, losses }) => ({ name: `${number}: ${target}`, values: losses }))
    : [["lowest twentieth", 0.05], ["median", 0.5], ["highest twentieth", 0.95]].map((
      [name, share],
    ) => ({
      name: `${name}`,
      values: sorted.map((values) => quantile(values, Number(share))),
    }));
  const chart = lineChart({ xs, series, xAxis: "step", axis: "loss on random views" });
  const body = html`<h1>Losses of ${facts.length} images</h1>${chart}`;
  return htmlPage("Losses", body);
}
