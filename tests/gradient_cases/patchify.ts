/**
 * Gradients of cutting images into patches and putting them together.
 *
 * @module
 */
import { patchify, unpatchify } from "../../engine/ops/patchify.ts";
import { patchifyKernel, unpatchifyKernel } from "../../shaders/image/patchify.ts";
import type { GradientCase } from "../gradcheck.ts";

const dims = { batch: 2, channels: 3, gridH: 3, gridW: 2, side: 4 };

/** Cases of this family. */
export const patchifyCases: readonly GradientCase[] = [{
  name: "patchify",
  shapes: [[2, 3, 12, 8]],
  f: (x) => patchify(x, 4),
  reference: (x) => patchifyKernel.reference({ x }, dims, {}).y,
}, {
  name: "unpatchify",
  shapes: [[2, 6, 48]],
  f: (x) => unpatchify(x, 4, { height: 12, width: 8 }),
  reference: (x) => unpatchifyKernel.reference({ x }, dims, {}).y,
}];
