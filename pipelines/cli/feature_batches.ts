/**
 * Features of one batch of images after another, as they go to disk.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { Tensor } from "../../engine/tensor.ts";
import { extractFeatures, type FeatureRequest } from "../dense/features.ts";
import type { Clip } from "../encoding/clips.ts";
import { InputError } from "../errors.ts";
import type { Hdf5Writer } from "../io/hdf5_writer.ts";
import { hostArray, hostTensor, toFloat32 } from "../io/state_dict.ts";
import type { StepArrays } from "../io/step_log.ts";
import type { VisionModel } from "../models/model.ts";
import { imageSteps } from "./image_steps.ts";
import type { PixelSource } from "./pixel_source.ts";
import type { Progress } from "./progress.ts";

/** Tokens in a batch: enough to keep a device busy, little memory. */
const TOKENS_AT_ONCE = 4096;

/** What {@link featureBatches} needs. */
export interface BatchJob {
  readonly gpu: Gpu;
  readonly model: VisionModel;
  readonly source: PixelSource;
  readonly request: FeatureRequest;
  /** Images at once. */
  readonly step: number;
  /** Half-precision bits of `/dense`; single precision when left out. */
  readonly encodeDense?: (values: Float32Array<ArrayBuffer>, m: number) => Uint16Array<ArrayBuffer>;
  /** Which images are frames of one clip, where frames are averaged. */
  readonly clips?: readonly Clip[];
  readonly progress: Progress;
}

/**
 * Images per batch: as asked, or by their size.
 *
 * @throws {InputError} when 0 are asked for
 */
export function batchSize(
  model: VisionModel,
  { size, n }: PixelSource,
  asked?: number,
): number {
  if (asked === 0) throw new InputError("Cannot run batches of 0 images: --batch counts from 1");
  const { patchSize, prefixTokens } = model.config;
  const tokens = size.height * size.width / patchSize ** 2 + prefixTokens;
  return Math.min(n, asked ?? Math.max(1, Math.floor(TOKENS_AT_ONCE / tokens)));
}

/** `/dense` in half precision. */
function encoded(
  arrays: StepArrays,
  encodeDense: NonNullable<BatchJob["encodeDense"]>,
): StepArrays {
  return new Map([...arrays].map(([path, array]) => {
    if (path !== "/dense") return [path, array];
    const bits = encodeDense(toFloat32(array), array.shape[3]);
    return [path, hostTensor(bits, array.shape, { dtype: "f16" })];
  }));
}

/** Features of every batch, or of every step of whole clips, from number `first` on, by their paths on disk. */
export async function* featureBatches(job: BatchJob, first: number): AsyncGenerator<StepArrays> {
  const { model, source, request, encodeDense } = job;
  const { channels, size: { height, width } } = source;
  const arraysOf = async (start: number, end: number): Promise<StepArrays> => {
    const values = source.read(start, end);
    using pixels = Tensor.from(job.gpu, values, [end - start, channels, height, width]);
    const features = await extractFeatures(model, pixels, request);
    return new Map(
      [...features].map(([path, { shape, data }]) => [path, hostTensor(data, shape)]),
    );
  };
  for await (const arrays of imageSteps({ ...job, n: source.n, arraysOf }, first)) {
    yield encodeDense ? encoded(arrays, encodeDense) : arrays;
  }
}

/**
 * Writes batches into a file as they come: memory does not grow with the number of images.
 *
 * @param n rows of all batches: images, or clips
 * @returns shapes of the datasets
 */
export async function writeBatches(
  file: Hdf5Writer,
  batches: AsyncIterable<StepArrays>,
  { n, halfScale }: { readonly n: number; readonly halfScale?: number },
): Promise<Record<string, readonly number[]>> {
  const shapes: Record<string, readonly number[]> = {};
  let row = 0;
  for await (const arrays of batches) {
    if (row === 0) {
      for (const [path, { dtype, shape }] of arrays) {
        shapes[path] = [n, ...shape.slice(1)];
        file.createDataset(path, {
          shape: shapes[path],
          dtype: dtype as "f32" | "f16", // as featureBatches makes them
        });
        if (dtype === "f16") file.setAttribute(path, "scale", halfScale!);
      }
    }
    let rows = 0;
    for (const [path, array] of arrays) {
      file.writeRows(path, row, hostArray(array));
      rows = array.shape[0];
    }
    row += rows;
  }
  return shapes;
}

/**
 * Writes `/dense` of batches as BrainSAIL's files have it: one dataset `[gridHeight, gridWidth, m]` for each image, under its name.
 *
 * @returns the shape of each
 */
export async function writeImageDatasets(
  file: Hdf5Writer,
  batches: AsyncIterable<StepArrays>,
  names: readonly string[],
): Promise<Record<string, readonly number[]>> {
  let image = 0;
  let shape: readonly number[] = [];
  for await (const arrays of batches) {
    const dense = arrays.get("/dense")!;
    const values = hostArray(dense);
    if (image === 0) {
      shape = dense.shape.slice(1);
      file.createDatasets(names, { shape, dtype: "f16" });
    }
    const size = values.length / dense.shape[0];
    for (let i = 0; i < dense.shape[0]; i++, image++) {
      file.writeRows(names[image], 0, values.subarray(i * size, (i + 1) * size));
    }
  }
  return Object.fromEntries(names.map((name) => [`/${name}`, shape]));
}
