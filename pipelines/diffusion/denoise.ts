import {
  abs,
  add,
  clamp,
  div,
  full,
  maximum,
  minimum,
  neg,
  scale,
} from "../../engine/ops/elementwise.ts";
import { slice } from "../../engine/ops/shape.ts";
import { sort } from "../../engine/ops/sort.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { InputError } from "../errors.ts";
import { betaOf, type DiffusionStep } from "./process.ts";

/** What a denoising network is told beside the images. */
export interface DenoisingConditions {
  /** Class of each image, `[n]`. */
  readonly classLabels?: ArrayLike<number>;
  /** Tokens that the network attends to, `[n, tokens, width]`. */
  readonly context?: Tensor;
}

/** A network that tells the noise in images; the UNets here are such. */
export interface DenoisingModel {
  /** Its device. */
  readonly gpu: Gpu;
  /** Names of its layers in the order that they are run, which `capture` takes: an error then says where numbers ceased to be finite. */
  readonly layers?: readonly string[];
  /**
   * What it tells of noisy images.
   *
   * @param x `[n, channels, height, width]`
   * @param options.timesteps of each image, `[n]`
   * @returns `output` `[n, channels, height, width]`, or with twice as many channels where it tells the variance too
   */
  forward(
    x: Tensor,
    options: {
      readonly timesteps: ArrayLike<number>;
      readonly capture?: readonly string[];
    } & DenoisingConditions,
  ): { readonly output: Tensor; readonly captured?: ReadonlyMap<string, Tensor> };
}

/** What a network was trained to tell: the noise ε, v = √ᾱ·ε − √(1−ᾱ)·x₀, or the clean image. */
export type PredictionType = "epsilon" | "v" | "sample";

/**
 * What predicted clean images are limited to: a range, or the `ratio` quantile of each image's magnitudes (at least 1, at most `max`), by which
 * the image is then divided (Imagen's dynamic thresholding, as diffusers has it).
 */
export type Clipping =
  | false
  | readonly [low: number, high: number]
  | { readonly ratio: number; readonly max: number };

/** How a network's output is read. */
export interface DenoiseOptions {
  /** What it tells (default `"epsilon"`). */
  readonly prediction?: PredictionType;
  /** Limits of clean images (default −1 to 1). */
  readonly clip?: Clipping;
}

/** `a·x + b·y`. */
export function combine(a: number, x: Tensor, b: number, y: Tensor): Tensor {
  return tidy(x.gpu, () => add(scale(x, a), scale(y, b)));
}

/** The clean images that noise ε in images leaves: `x/√ᾱ − √(1/ᾱ − 1)·ε`. */
export function startOf({ alphaCumprod: a }: DiffusionStep, x: Tensor, epsilon: Tensor): Tensor {
  return combine(1 / Math.sqrt(a), x, -Math.sqrt(1 / a - 1), epsilon);
}

/** The noise in images of which the clean ones are known. */
export function noiseOf({ alphaCumprod: a }: DiffusionStep, x: Tensor, start: Tensor): Tensor {
  const noise = Math.sqrt(1 - a);
  return combine(1 / noise, x, -Math.sqrt(a) / noise, start);
}

/** Noise and clean images by what a network tells of them. */
export function readPrediction(
  output: Tensor,
  x: Tensor,
  step: DiffusionStep,
  prediction: PredictionType = "epsilon",
): { readonly epsilon: Tensor; readonly start: Tensor } {
  const [image, noise] = [Math.sqrt(step.alphaCumprod), Math.sqrt(1 - step.alphaCumprod)];
  switch (prediction) {
    case "epsilon":
      return { epsilon: output.alias(), start: startOf(step, x, output) };
    case "sample":
      return { epsilon: noiseOf(step, x, output), start: output.alias() };
    case "v":
      return {
        epsilon: combine(image, output, noise, x),
        start: combine(image, x, -noise, output),
      };
  }
}

/** Clean images within their limits. */
export function clipStart(start: Tensor, clip: Clipping = [-1, 1]): Tensor {
  if (clip === false) return start.alias();
  if ("ratio" in clip) return thresholded(start, clip);
  return clamp(start, clip[0], clip[1]);
}

/** Images divided by a quantile of their magnitudes, between neighbours as torch.quantile does. */
function thresholded(
  start: Tensor,
  { ratio, max }: { readonly ratio: number; readonly max: number },
): Tensor {
  if (!(ratio > 0 && ratio <= 1 && max >= 1)) {
    throw new InputError(
      `Cannot threshold images: the ratio must be above 0 and at most 1 and max at least 1, they are ${ratio} and ${max}`,
    );
  }
  return tidy(start.gpu, () => {
    const [n] = start.shape, size = start.size / n;
    const sorted = sort(abs(start.reshape([n, size]))).values;
    const place = ratio * (size - 1), below = Math.floor(place);
    const at = (i: number) => slice(sorted, { axis: 1, start: i, end: i + 1 });
    const between = combine(
      1 - (place - below),
      at(below),
      place - below,
      at(Math.min(size - 1, below + 1)),
    );
    const limit = clamp(between, 1, max).reshape([n, 1, 1, 1]);
    return div(maximum(minimum(start, limit), neg(limit)), limit);
  });
}

/** How the variance of a step comes about: `"fixed-small"` is the posterior's, `"fixed-large"` β, `"learned-range"` between the two. */
export type VarianceType = "fixed-small" | "fixed-large" | "learned-range";

/** A network's output taken apart: what it tells of the images, and the logarithm of the variance, `[n, channels, height, width]` or a number. */
export function readOutput(
  output: Tensor,
  x: Tensor,
  step: DiffusionStep,
  variance: VarianceType = "fixed-small",
): { readonly told: Tensor; readonly logVariance: Tensor | number } {
  const channels = x.shape[1], given = output.shape[1];
  const isLearned = variance === "learned-range";
  const isWhole = given === channels || (given === 2 * channels && output.shape.length === 4);
  if (!isWhole || (isLearned && given !== 2 * channels)) {
    throw new InputError(
      `Cannot read the network's output [${output.shape}] for images [${x.shape}] with ${variance} variance: it must have ${
        isLearned ? 2 * channels : `${channels} or ${2 * channels}`
      } channels`,
    );
  }
  const told = given === channels ? output.alias() : slice(output, { axis: 1, end: channels });
  const largest = Math.log(betaOf(step)), smallest = step.posteriorLogVariance;
  if (!isLearned) return { told, logVariance: variance === "fixed-large" ? largest : smallest };
  return {
    told,
    logVariance: tidy(x.gpu, () => {
      const range = slice(output, { axis: 1, start: channels }); // −1 is the smallest, 1 the largest
      const middle = full(x.gpu, [1], (largest + smallest) / 2);
      return add(scale(range, (largest - smallest) / 2), middle);
    }),
  };
}
