/**
 * Images under affine maps.
 *
 * @module
 */
import { ShapeError } from "../errors.ts";
import { run } from "../run.ts";
import { record } from "../tape.ts";
import { Tensor, tidy } from "../tensor.ts";
import { imageShape } from "./conv_geometry.ts";
import {
  affineWarpGradientKernel,
  affineWarpKernel,
  inverseAffine,
} from "../../shaders/image/affine_warp.ts";

/** Options of {@link affineWarp}. */
export interface AffineWarpOptions {
  /** Size of the outputs; the images' when absent. */
  readonly size?: readonly [height: number, width: number];
  /** What lies around the images. */
  readonly fill?: number;
}

/** Outputs on an axis that may read one pixel, at most: the box of {@link affineWarpGradientKernel}. */
function reachOf(inverse: Float64Array, row: 0 | 3): number {
  let widest = 0;
  for (let m = row; m < inverse.length; m += 6) {
    widest = Math.max(widest, Math.abs(inverse[m]) + Math.abs(inverse[m + 1]));
  }
  return Math.ceil(2 * (widest + 0.01)) + 1; // the kernel's slack, and both ends
}

/**
 * Bilinear samples of images `[n, channels, h, w]` at the places that a matrix gives each output: the pixel in column `j` and row `i` is
 * read at `(a·j + b·i + c, d·j + e·i + f)`, column first. Several matrices per image make as many outputs of it, one after the other.
 *
 * @param matrices `[n·crops, 6]`, `a b c d e f` of each output
 * @returns `[n·crops, channels, ...size]`
 * @throws {ShapeError} when the matrices are no whole number for each image, or one is not finite or cannot be inverted.
 */
export function affineWarp(
  x: Tensor,
  matrices: ArrayLike<number>,
  { size, fill = 0 }: AffineWarpOptions = {},
): Tensor {
  const [batch, channels, height, width] = imageShape("warp", x.shape);
  const [outHeight, outWidth] = size ?? [height, width];
  const crops = matrices.length / (6 * batch);
  const rounded = Float32Array.from(matrices);
  const inverse = inverseAffine(rounded);
  const sizes = [crops, outHeight, outWidth];
  if (!sizes.every((n) => Number.isSafeInteger(n) && n >= 1) || !inverse.every(Number.isFinite)) {
    throw new ShapeError(
      `Cannot warp [${x.shape}] to ${outHeight}×${outWidth} with ${matrices.length} numbers: each output takes 6, finite, of an invertible map`,
    );
  }
  const dims = { batch, crops, channels, height, width, outHeight, outWidth };
  const table = (values: ArrayLike<number>) =>
    Tensor.from(x.gpu, Float32Array.from(values), [batch * crops, 6]);
  const y = tidy(
    x.gpu,
    () => run(affineWarpKernel, [x, table(rounded)], { dims, args: { fill } })[0],
  );
  return record(y, [x], [], (g) => [() => {
    const args = { reachX: reachOf(inverse, 0), reachY: reachOf(inverse, 3) };
    const tables = [table(rounded), table(inverse)];
    return run(affineWarpGradientKernel, [g, ...tables], { dims, args })[0];
  }]);
}
