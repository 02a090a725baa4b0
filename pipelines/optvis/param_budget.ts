import {
  abs,
  add,
  addScalar,
  clamp,
  div,
  full,
  greaterEqual,
  minimum,
  mul,
  neg,
  sign,
  sqrt,
  square,
  sub,
} from "../../engine/ops/elementwise.ts";
import { record } from "../../engine/tape.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { InputError } from "../errors.ts";
import type { ImageSize } from "../images/preprocess.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { meanOfEach } from "./image_sums.ts";
import { fitImage, pixelsOf } from "./magnitude_template.ts";
import { type SeedParam, seedParam, type SeedParamOptions } from "./param_seed.ts";

/** How far an image may go from the picture it started from, in colours of 0…1. */
export interface PixelBudget {
  /** Greatest change of any colour of any pixel (L∞). */
  readonly max?: number;
  /** Root mean square of the changes of an image: its L2 norm over the root of the number of values. */
  readonly rms?: number;
}

/**
 * Checks a budget.
 *
 * @throws {InputError} when it has no bound, or one that is not positive
 */
export function requireBudget({ max, rms }: PixelBudget): void {
  const bounds = [max, rms].filter((bound) => bound !== undefined);
  if (bounds.length > 0 && bounds.every((bound) => bound > 0 && bound < Infinity)) return;
  throw new InputError(
    `Cannot keep to a budget of max ${max} and rms ${rms}: one must be given, and both be positive`,
  );
}

/**
 * Changes within `±max`. Gradients pass, but for those that would have a descent push a change out that is at its bound already: the
 * projected gradient.
 */
function bounded(change: Tensor, max: number): Tensor {
  return record(clamp(change.detach(), -max, max), [change], [change], (g, [x]) => [() => {
    const atBound = greaterEqual(abs(x), full(x.gpu, [1], max));
    const isOutward = greaterEqual(neg(mul(sign(x), sign(g))), full(x.gpu, [1], 0.5));
    return sub(g, mul(g, mul(atBound, isOutward)));
  }]);
}

/** Every image's changes, scaled down where their root mean square is above a bound: the projection on a ball. */
function shrunk(change: Tensor, rms: number): Tensor {
  // The least summand keeps the root's slope finite where nothing has changed yet.
  const size = sqrt(addScalar(meanOfEach(square(change)), 1e-20));
  const factor = minimum(div(full(change.gpu, [1], rms), size), full(change.gpu, [1], 1));
  return mul(change, factor.reshape([change.shape[0], 1, 1, 1]));
}

/**
 * Feature accentuation within a budget: the changes that {@link seedParam} makes to a picture, projected for each image on what is
 * allowed and added to the picture itself. The smallest edits that move a response, after the ROI-contrast images of Shinkle and Lescroart.
 *
 * @param picture resized to cover the size
 * @throws {InputError} for a size below 2 or a budget that cannot be
 */
export function budgetParam(
  gpu: Gpu,
  picture: RgbImage,
  size: ImageSize,
  { max, rms, ...options }: SeedParamOptions & PixelBudget,
): SeedParam {
  requireBudget({ max, rms });
  const inner = seedParam(gpu, picture, size, options);
  const seed = pixelsOf(gpu, fitImage(picture, size));
  gpu.scopes.at(-1)?.delete(seed);
  return {
    gpu,
    size,
    seed,
    init: (key, images) => inner.init(key, images),
    image: (theta) =>
      tidy(gpu, () => {
        const free = sub(inner.image(theta), inner.seed);
        const within = max === undefined ? free : bounded(free, max);
        const change = rms === undefined ? within : shrunk(within, rms);
        return clamp(add(change, seed), 0, 1);
      }),
    [Symbol.dispose]() {
      inner[Symbol.dispose]();
      seed.dispose();
    },
  };
}
