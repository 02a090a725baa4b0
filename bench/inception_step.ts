/**
 * A step of activation maximisation with VWAM's settings, whole and by part.
 *
 * @module
 */
import type { Gpu } from "../engine/gpu.ts";
import { FftTables, stackedIfft2 } from "../engine/ops/fft.ts";
import { foldIn, type Key, randomKey } from "../engine/random.ts";
import { Tape } from "../engine/tape.ts";
import { Tensor, tidy } from "../engine/tensor.ts";
import type { ImageSize } from "../pipelines/images/preprocess.ts";
import type { InceptionModel } from "../pipelines/models/inception.ts";
import { planTaps, tapFeatures } from "../pipelines/models/tap_features.ts";
import type { ImageParam } from "../pipelines/optvis/image_param.ts";
import { maximize } from "../pipelines/optvis/maximize.ts";
import { readoutObjective } from "../pipelines/optvis/objectives.ts";
import { makeOptimizer } from "../pipelines/optvis/optimizer.ts";
import { complexParam } from "../pipelines/optvis/param_complex.ts";
import { optvisPresets } from "../pipelines/optvis/presets.ts";
import { modelInput, transformImages } from "../pipelines/optvis/transform_images.ts";
import { time } from "./time.ts";

/** Parts of a step. */
export type StepPart =
  | "Fourier transform"
  | "image, its transform included"
  | "random view"
  | "resize to the network"
  | "network to pooled taps"
  | "optimiser"
  | "whole step";

/** A part of a step. */
export interface StepRow {
  /** Which. */
  readonly part: StepPart;
  /** Height and width of the images that are made. */
  readonly size: ImageSize;
  /** Images at once. */
  readonly batch: number;
  /** Milliseconds forward, the fastest of some; of a whole step, its mean. */
  readonly forwardMs: number;
  /** Milliseconds back: those of both less those forward; 0 where there is no way back. */
  readonly backMs: number;
  /** Of a whole step: seconds of an image of 1000 steps, extrapolated from the steps timed. */
  readonly extrapolatedImageSeconds?: number;
  /** Of a whole step: steps that were timed. */
  readonly steps?: number;
}

/** Options of {@link benchStep}. */
export interface StepBenchOptions {
  /** Height and width of the images that are made (VWAM's demo: 500 by 500). */
  readonly size: ImageSize;
  /** Height and width of what the network sees (VWAM: 299 by 299). */
  readonly networkSize: ImageSize;
  /** Images at once. */
  readonly batch: number;
  /** Seed. */
  readonly key: Key;
  /** Samples of every time. */
  readonly samples: number;
  /** Steps of the whole that are timed. */
  readonly steps: number;
}

/** Steps of an image in VWAM's demo. */
const DEMO_STEPS = 1000;

type Work = (...xs: Tensor[]) => Tensor;

/** Milliseconds of `work` and of its gradient by all that it takes. */
async function bothWays(
  xs: readonly Tensor[],
  work: Work,
  samples: number,
): Promise<{ forwardMs: number; backMs: number }> {
  const [{ gpu }] = xs;
  const options = { sampleMs: 20, samples };
  const forward = await time(gpu, () => void work(...xs), options);
  using like = tidy(gpu, () => work(...xs));
  using seed = Tensor.randn(gpu, randomKey(3), like.shape);
  const both = await time(gpu, () => {
    using tape = new Tape();
    const on = xs.map((x) => tape.watch(x));
    tape.gradient(work(...on), on, { seed });
  }, options);
  return { forwardMs: forward.best, backMs: Math.max(0, both.best - forward.best) };
}

/** Times the parts of a step of VWAM's preset, each alone, and then whole steps. */
export async function* benchStep(
  gpu: Gpu,
  model: InceptionModel,
  options: StepBenchOptions,
): AsyncGenerator<StepRow> {
  const { size, networkSize, batch, key, samples } = options;
  const { height, width } = size;
  const { transforms, optimizer } = optvisPresets.vwam;
  using param = complexParam(gpu, size);
  using tables = new FftTables(gpu, height, width);
  const shape = [batch, 3, height, width];
  using spectrum = Tensor.randn(gpu, key, [2, ...shape]);
  using re = Tensor.randn(gpu, foldIn(key, 1), shape);
  using im = Tensor.randn(gpu, foldIn(key, 2), shape);
  using image = Tensor.uniform(gpu, foldIn(key, 3), shape);
  const seen = [batch, 3, networkSize.height, networkSize.width];
  using pixels = Tensor.uniform(gpu, foldIn(key, 4), seen);
  const parts: [StepPart, Tensor[], Work][] = [
    ["Fourier transform", [spectrum], (z) => stackedIfft2(z, { tables })],
    ["image, its transform included", [re, im], (...theta) => param.image(theta)],
    ["random view", [image], (x) => transformImages(x, transforms, { key, step: 0 })],
    ["resize to the network", [image], (x) => modelInput(x, { size: networkSize })],
    ["network to pooled taps", [pixels], (x) => tapFeatures(model, x)],
  ];
  for (const [part, xs, work] of parts) {
    yield { part, size, batch, ...await bothWays(xs, work, samples) };
  }
  using first = Tensor.randn(gpu, key, shape);
  using second = Tensor.randn(gpu, key, shape);
  using adam = makeOptimizer([first, second], optimizer);
  const { best } = await time(gpu, () => adam.step([re, im]), { sampleMs: 20, samples });
  yield { part: "optimiser", size, batch, forwardMs: best, backMs: 0 };
  yield await wholeStep(param, model, options);
}

/** Steps as `maximize` makes them, each with its own views; the first ones, which compile, are not timed. */
async function wholeStep(
  param: ImageParam,
  model: InceptionModel,
  { size, networkSize, batch, key, steps }: StepBenchOptions,
): Promise<StepRow> {
  const { gpu } = param;
  const { transforms, optimizer } = optvisPresets.vwam;
  const plan = planTaps(model, networkSize);
  const weights = plan.map(({ length }, i) => Tensor.randn(gpu, foldIn(key, 10 + i), [length]));
  const at: number[] = [];
  try {
    const parts = plan.map(({ name: layer, grid }, i) => ({
      layer,
      weights: weights[i],
      grid: layer === "fc" ? undefined : grid,
    }));
    await maximize(param, model, readoutObjective(parts), {
      ...{ key, transforms, optimizer, images: { count: batch }, steps: 2 * steps },
      ...{ input: { size: networkSize }, readEvery: steps },
      onProgress: () => void at.push(performance.now()),
    });
  } finally {
    for (const tensor of weights) tensor.dispose();
  }
  const ms = (at[1] - at[0]) / steps;
  return {
    ...{ part: "whole step", size, batch, forwardMs: ms, backMs: 0, steps },
    extrapolatedImageSeconds: ms * DEMO_STEPS / 1e3 / batch,
  };
}
