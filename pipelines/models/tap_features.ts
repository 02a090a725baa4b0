/**
 * Taps of a convolutional network as the features of an encoding model: each map pooled to a grid that keeps it within a budget, all side by side
 * (Shinkle and Lescroart, arXiv 2506.04379; the rule is that of the released code, github MShinkle/VWAM).
 *
 * @module
 */
import { adaptiveMaxPool2d } from "../../engine/ops/pool.ts";
import { adaptiveAvgPool2d } from "../../engine/ops/resize.ts";
import { concat } from "../../engine/ops/shape.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import type { ImageSize } from "../images/preprocess.ts";
import { type LinearReducers, type LinearReduction, reducedNetwork } from "./linear_reducers.ts";
import type { TapModel, TapRunOptions } from "./tap_model.ts";

/** Features of one tap at most (`max_fs` of VWAM's demo). */
export const TAP_BUDGET = 2500;

/** Options of {@link planTaps}. */
export interface TapOptions {
  /** Which taps, by torchvision's names, in any order (default: all). */
  readonly taps?: readonly string[];
  /** Features of one tap at most, but one per channel at least (default 2500). */
  readonly budget?: number;
  /** What is kept of a cell of the grid (default `max`, VWAM's). */
  readonly pool?: "max" | "avg";
  /** What becomes of linear layers, by default nothing: reduced ones keep as many features as the budget, at most one per channel. */
  readonly linear?: LinearReduction;
}

/** Options of {@link tapFeatures}. */
export interface TapFeatureOptions extends Omit<TapOptions, "linear">, TapRunOptions {
  /** Projections of linear layers, made by `linearReducers` for the same taps and budget. */
  readonly reducers?: LinearReducers;
}

/** What becomes of one tap. */
export interface TapPlan {
  /** torchvision's name. */
  readonly name: string;
  /** Channels. */
  readonly channels: number;
  /** Rows and columns of the grid that it is pooled to; 1 where it has no places. */
  readonly grid: number;
  /** Its first feature among all. */
  readonly start: number;
  /** Its features, channel by channel, each channel row by row: `channels · grid²`; of a reduced linear layer fewer. */
  readonly length: number;
  /** How it is reduced, where it is a linear layer and reduced. */
  readonly linear?: LinearReduction;
}

/**
 * The features of images of one size: tap after tap as they are computed, each on a grid of `⌊√(budget / channels)⌋` rows and columns,
 * at least 1 and at most as many as the map has. Of Inception V3 at 299 pixels and the default budget that makes 31,032 features.
 *
 * @throws {InputError} when a name is not a tap or occurs twice, the budget is not a number from 1, or images are too small
 */
export function planTaps(
  model: TapModel,
  size: ImageSize,
  { taps = model.tapNames, budget = TAP_BUDGET, linear }: TapOptions = {},
): TapPlan[] {
  const unknown = taps.find((name, i) => !model.tapNames.includes(name) || taps.indexOf(name) < i);
  if (unknown !== undefined || taps.length === 0) {
    throw new InputError(
      `Cannot take features of the taps ${taps.join(", ")}: each must be one of ${
        model.tapNames.join(", ")
      }, once`,
    );
  }
  if (!(budget >= 1)) {
    throw new InputError(`Cannot pool taps: the budget must be a number from 1, is ${budget}`);
  }
  let start = 0;
  return model.tapShapes(size).filter(({ name }) => taps.includes(name)).map(({ name, shape }) => {
    const [channels, height, width] = shape;
    const grid = Math.max(1, Math.min(height, width, Math.floor(Math.sqrt(budget / channels))));
    const weight = linear && model.linearWeight(name);
    const length = weight ? reducedLength(weight, budget, linear) : channels * grid * grid;
    const plan = { name, channels, grid, start, length, ...(weight ? { linear } : {}) };
    start += length;
    return plan;
  });
}

/** Components are as many as their inputs tell apart, at most. */
function reducedLength(
  { shape: [channels, inputs] }: Tensor,
  budget: number,
  linear: LinearReduction,
): number {
  const most = linear === "weights_pca" ? Math.min(channels, inputs) : channels;
  return Math.min(most, Math.floor(budget));
}

/**
 * Pooled taps of images, each `[n, features of the tap]` in the order of {@link planTaps}; on a tape they are differentiable by the
 * pixels.
 *
 * @param pixels `[n, 3, height, width]`
 * @throws {InputError} as {@link planTaps} and `TapModel.taps`
 */
export function pooledTaps(
  model: TapModel,
  pixels: Tensor,
  { pool = "max", reducers, ...options }: TapFeatureOptions = {},
): ReadonlyMap<string, Tensor> {
  const [n, , height, width] = pixels.shape;
  const linear = reducers?.options.linear;
  const plan = planTaps(model, { height, width }, { ...options, linear });
  const network = reducers ? reducedNetwork(model, reducers) : model;
  const pooled = tidy(pixels.gpu, () => {
    const taps = network.taps(pixels, plan.map(({ name }) => name), options);
    return Object.fromEntries(plan.map(({ name, grid, length }) => {
      const tap = taps.get(name)!;
      const isMap = tap.shape.length === 4;
      const cells = !isMap
        ? tap
        : (pool === "max" ? adaptiveMaxPool2d : adaptiveAvgPool2d)(tap, grid);
      return [name, cells.reshape([n, length])];
    }));
  });
  return new Map(Object.entries(pooled));
}

/**
 * The features of images for an encoding model, `[n, features]`: pooled taps side by side.
 *
 * @param pixels `[n, 3, height, width]`; on a tape the features are differentiable by it
 * @throws {InputError} as {@link planTaps} and `TapModel.taps`
 */
export function tapFeatures(
  model: TapModel,
  pixels: Tensor,
  options: TapFeatureOptions = {},
): Tensor {
  return tidy(pixels.gpu, () => concat([...pooledTaps(model, pixels, options).values()], 1));
}
