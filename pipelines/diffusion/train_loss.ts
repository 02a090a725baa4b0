import { add, mul, square, sub } from "../../engine/ops/elementwise.ts";
import { mean } from "../../engine/ops/reduce.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import type { PredictionType } from "./denoise.ts";
import type { NoiseSchedule } from "./schedule.ts";

/** Samples of one pass. */
export interface NoisedBatch {
  /** Clean images, `[n, channels, height, width]`. */
  readonly start: Tensor;
  /** Standard normal, of their shape. */
  readonly noise: Tensor;
  /** Time step of each, `[n]`. */
  readonly timesteps: readonly number[];
}

/** Weight of the squared error at a level: 1 for ε, the signal-to-noise ratio for x₀, its share of 1 + ratio for v (denoising-diffusion-pytorch). */
function lossWeight(alphaCumprod: number, prediction: PredictionType): number {
  if (prediction === "epsilon") return 1;
  return prediction === "v" ? alphaCumprod : alphaCumprod / (1 - alphaCumprod);
}

/**
 * Mean squared error of what a network tells of noised images: of ε, v or x₀, as it is asked for.
 *
 * @param predict the network: noisy images and their time steps → what it tells, of the images' shape
 * @returns one value, a mean over all values of all samples
 */
export function diffusionLoss(
  { start, noise, timesteps }: NoisedBatch,
  { alphasCumprod }: NoiseSchedule,
  { prediction, predict }: {
    readonly prediction: PredictionType;
    readonly predict: (x: Tensor, timesteps: readonly number[]) => Tensor;
  },
): Tensor {
  const { gpu } = start;
  const rows = (value: (alphaCumprod: number) => number) =>
    Tensor.from(gpu, timesteps.map((t) => value(alphasCumprod[t])), [timesteps.length, 1, 1, 1]);
  return tidy(gpu, () => {
    const image = rows((a) => Math.sqrt(a)), spread = rows((a) => Math.sqrt(1 - a));
    const noisy = add(mul(start, image), mul(noise, spread));
    const target = prediction === "epsilon"
      ? noise
      : prediction === "sample"
      ? start
      : sub(mul(noise, image), mul(start, spread));
    const errors = square(sub(predict(noisy, timesteps), target));
    if (prediction === "epsilon") return mean(errors);
    return mean(mul(errors, rows((a) => lossWeight(a, prediction))));
  });
}
