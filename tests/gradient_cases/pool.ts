/**
 * Gradients of maxima over windows.
 *
 * @module
 */
import { adaptiveMaxPool2d, maxPool2d } from "../../engine/ops/pool.ts";
import { maxPool2dKernel } from "../../shaders/pool/max_pool2d.ts";
import type { Args, Dims } from "../../shaders/kernel.ts";
import type { GradientCase } from "../gradcheck.ts";

const shapes = [[2, 3, 7, 8]] as const;
const still = {
  ...{ kernelY: 1, kernelX: 1, strideY: 1, strideX: 1, padTop: 0, padLeft: 0 },
  ...{ dilationY: 1, dilationX: 1, adaptive: 0, yFirst: 0 },
};

/** Maxima of the planes of `x`, for some sizes and scalars that differ from a window of one value. */
function pooled(x: Float64Array, sizes: Dims, args: Args): Float64Array {
  const y = new Float64Array(6 * sizes.oh * sizes.ow);
  const dims = { planes: 6, images: 2, channels: 3, yChannels: 3, ...sizes };
  return maxPool2dKernel.reference({ x, y }, dims, { ...still, ...args }).y;
}

/** Cases of this family. */
export const poolCases: readonly GradientCase[] = [{
  name: "maxPool2d with overlap and padding, rounding up",
  shapes,
  f: (x) => maxPool2d(x, 3, { stride: 2, padding: [0, 1], ceilMode: true }),
  // rows: (7 − 3) / 2 + 1 = 3; columns: ⌈(10 − 3) / 2⌉ + 1 = 5, and the last starts at 7, inside
  reference: (x) =>
    pooled(x, { h: 7, w: 8, oh: 3, ow: 5 }, {
      ...{ kernelY: 3, kernelX: 3, strideY: 2, strideX: 2, padLeft: 1 },
    }),
}, {
  name: "adaptiveMaxPool2d",
  shapes,
  f: (x) => adaptiveMaxPool2d(x, [3, 5]),
  reference: (x) => pooled(x, { h: 7, w: 8, oh: 3, ow: 5 }, { adaptive: 1 }),
}, {
  name: "adaptiveMaxPool2d to few windows",
  shapes: [[2, 3, 13, 9]],
  f: (x) => adaptiveMaxPool2d(x, 2),
  reference: (x) => pooled(x, { h: 13, w: 9, oh: 2, ow: 2 }, { adaptive: 1 }),
}];
