/**
 * Gradients of affine warps.
 *
 * @module
 */
import { affineWarp } from "../../engine/ops/warp.ts";
import { affineWarpKernel } from "../../shaders/image/affine_warp.ts";
import type { GradientCase } from "../gradcheck.ts";

// Two outputs of one image: a turn by half a radian that shrinks, and a magnified corner that leaves the image.
const MATRICES = [1.2, -0.6, 1.1, 0.6, 1.2, -0.4, 0.2, 0.05, -0.7, -0.03, 0.25, 3.1];

/** Cases of this family. */
export const warpCases: readonly GradientCase[] = [{
  name: "affineWarp, two outputs of an image",
  shapes: [[1, 2, 6, 7]],
  f: (x) => affineWarp(x, MATRICES, { size: [5, 9], fill: 0.5 }),
  reference: (x) => {
    const dims = {
      batch: 1,
      crops: 2,
      channels: 2,
      height: 6,
      width: 7,
      outHeight: 5,
      outWidth: 9,
    };
    const matrix = Float64Array.from(Float32Array.from(MATRICES));
    return affineWarpKernel.reference({ x, matrix }, dims, { fill: 0.5 }).y;
  },
}];
