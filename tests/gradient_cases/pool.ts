/**
 * Gradients of maxima over windows.
 *
 * @module
 */
import { adaptiveMaxPool2d, maxPool2d } from "../../engine/ops/pool.ts";
import { maxPool2dKernel } from "../../shaders/pool/max_pool2d.ts";
import type { GradientCase } from "../gradcheck.ts";

const shapes = [[2, 3, 7, 8]] as const;
const dims = { planes: 6, h: 7, w: 8 };
const still = {
  ...{ kernelY: 1, kernelX: 1, strideY: 1, strideX: 1, padTop: 0, padLeft: 0 },
  ...{ dilationY: 1, dilationX: 1, adaptive: 0 },
};

/** Cases of this family. */
export const poolCases: readonly GradientCase[] = [{
  name: "maxPool2d with overlap and padding, rounding up",
  shapes,
  f: (x) => maxPool2d(x, 3, { stride: 2, padding: [0, 1], ceilMode: true }),
  // rows: (7 − 3) / 2 + 1 = 3; columns: ⌈(10 − 3) / 2⌉ + 1 = 5, and the last starts at 7, inside
  reference: (x) =>
    maxPool2dKernel.reference({ x }, { ...dims, oh: 3, ow: 5 }, {
      ...still,
      ...{ kernelY: 3, kernelX: 3, strideY: 2, strideX: 2, padLeft: 1 },
    }).y,
}, {
  name: "adaptiveMaxPool2d",
  shapes,
  f: (x) => adaptiveMaxPool2d(x, [3, 5]),
  reference: (x) =>
    maxPool2dKernel.reference({ x }, { ...dims, oh: 3, ow: 5 }, { ...still, adaptive: 1 }).y,
}, {
  name: "adaptiveMaxPool2d to few windows",
  shapes: [[2, 3, 13, 9]],
  f: (x) => adaptiveMaxPool2d(x, 2),
  reference: (x) =>
    maxPool2dKernel.reference({ x }, { planes: 6, h: 13, w: 9, oh: 2, ow: 2 }, {
      ...still,
      adaptive: 1,
    }).y,
}];
