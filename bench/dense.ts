/**
 * Dense features by distillation: images per second, and what share of the adapter's measured rate of multiply-adds that is.
 *
 * @module
 */
import type { Gpu } from "../engine/gpu.ts";
import { type Key, normal } from "../engine/random.ts";
import { readAll, Tensor } from "../engine/tensor.ts";
import { distillDense, type DistillOptions } from "../pipelines/dense/distill.ts";
import { whiteInfill } from "../pipelines/dense/features.ts";
import { denseFlops, headWeights } from "../pipelines/dense/flops.ts";
import { patchShifts } from "../pipelines/dense/offsets.ts";
import type { ImageSize } from "../pipelines/images/preprocess.ts";
import type { VisionModel } from "../pipelines/models/model.ts";
import type { DenseOptions } from "../pipelines/models/vit.ts";
import { distillEveryView } from "./distill_every_view.ts";
import type { Peaks } from "./peaks.ts";

/** One way to the dense features of an image. */
export interface DenseRow {
  /** Whether patches are embedded once for all augmentations, or with every one. */
  readonly method: "patches embedded once" | "every view embedded";
  /** Height and width of the images in pixels. */
  readonly size: ImageSize;
  /** Augmentations. */
  readonly nAugmentations: number;
  /** Images per second of wall time. */
  readonly imagesPerSecond: number;
  /** 10⁹ operations per image by formula, see `denseFlops`. */
  readonly gflopPerImage: number;
  /** The patch embedding's part of them. */
  readonly embeddingGflop: number;
  /** 10⁹ operations per second. */
  readonly gflops: number;
  /** `gflops` over the measured rate of multiply-adds. */
  readonly share: number;
  /** Most bytes on the device at once, the weights included. */
  readonly deviceBytes: number;
  /** Relative Frobenius difference of the two ways. */
  readonly error: number;
}

/** Options of {@link benchDense}. */
export interface DenseBenchOptions extends DenseOptions {
  /** Height and width of the images in pixels, multiples of the patch size. */
  readonly size: ImageSize;
  /** Augmentations. */
  readonly nAugmentations: number;
  /** Seed of the image. */
  readonly key: Key;
  /** Times that both ways are timed, in turn; the fastest counts. */
  readonly repeats?: number;
}

/** What both sides may differ by: float32 sums in another order. */
const TOLERANCE = 1e-5;

type Way = (model: VisionModel, pixels: Tensor, options: DistillOptions) => Tensor;

const ways: readonly (readonly [DenseRow["method"], Way])[] = [
  ["patches embedded once", distillDense],
  ["every view embedded", distillEveryView],
];

/**
 * Checks distillation with and without reuse of the patch embedding against each other, then times both in turn.
 *
 * @throws {Error} where they disagree: nothing is timed then
 */
export async function* benchDense(
  gpu: Gpu,
  model: VisionModel,
  { size, nAugmentations, key, repeats = 3, ...dense }: DenseBenchOptions,
  peaks: Peaks,
): AsyncGenerator<DenseRow> {
  const { config, family } = model;
  const { height, width } = size;
  const grid = [height / config.patchSize, width / config.patchSize] as const;
  const shifts = patchShifts(grid, nAugmentations);
  const options: DistillOptions = { ...dense, shifts, infill: whiteInfill(family) };
  const shape = [1, config.channels, height, width];
  using pixels = Tensor.from(gpu, normal(key, config.channels * height * width), shape);
  const error = await difference(model, pixels, options);
  const best = ways.map(() => ({ seconds: Infinity, bytes: 0 }));
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const [w, [, way]] of ways.entries()) {
      gpu.pool.trim(); // so that what it holds afterwards is the most of this way
      const start = performance.now();
      way(model, pixels, options).dispose();
      await gpu.sync();
      best[w].seconds = Math.min(best[w].seconds, (performance.now() - start) / 1e3);
      best[w].bytes = gpu.pool.heldBytes;
    }
  }
  for (const [w, [method]] of ways.entries()) {
    const count = { ...dense, nAugmentations, nHeadWeights: headWeights(model) };
    const { embedding, total } = denseFlops(config, grid, { ...count, embedsEveryView: w === 1 });
    const { seconds, bytes: deviceBytes } = best[w];
    const gflops = total / seconds / 1e9;
    yield {
      ...{ method, size, nAugmentations, imagesPerSecond: 1 / seconds },
      ...{ gflopPerImage: total / 1e9, embeddingGflop: embedding / 1e9, gflops },
      ...{ share: gflops / peaks.gflops, deviceBytes, error },
    };
  }
}

async function difference(
  model: VisionModel,
  pixels: Tensor,
  options: DistillOptions,
): Promise<number> {
  const both = ways.map(([, way]) => way(model, pixels, options));
  const [ours, plain] = await readAll(both) as Float32Array[]; // features are floating point
  both.forEach((tensor) => tensor.dispose());
  let [squares, norm] = [0, 0];
  for (let i = 0; i < plain.length; i++) {
    squares += (ours[i] - plain[i]) ** 2;
    norm += plain[i] ** 2;
  }
  const error = Math.sqrt(squares / norm);
  if (error <= TOLERANCE) return error;
  throw new Error(
    `Cannot time dense features: with and without reuse of patch embeddings they must agree to ${TOLERANCE}, ` +
      `they differ by ${error}`,
  );
}
