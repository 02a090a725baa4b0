/**
 * Cutting images into patches.
 *
 * @module
 */
import { ShapeError } from "../errors.ts";
import { run } from "../run.ts";
import { record } from "../tape.ts";
import type { Tensor } from "../tensor.ts";
import { patchifyKernel, unpatchifyKernel } from "../../shaders/image/patchify.ts";

/**
 * Cuts images into square patches, which makes a convolution whose stride is its kernel a matrix product.
 * `x: [n, channels, height, width]` → `[n, gridHeight·gridWidth, channels·patch²]`, patches row by row, each in the order
 * (channel, row, column).
 *
 * @throws {ShapeError} when `x` has not four axes, or its sides are not multiples of `patch`.
 */
export function patchify(x: Tensor, patch: number): Tensor {
  const [n, channels, height, width] = x.shape;
  if (x.shape.length !== 4 || !(patch >= 1) || height % patch !== 0 || width % patch !== 0) {
    throw new ShapeError(
      `Cannot cut [${x.shape}] into patches: it must be [n, channels, height, width] with sides that are multiples of ${patch}`,
    );
  }
  const dims = { batch: n, channels, gridH: height / patch, gridW: width / patch, side: patch };
  const [y] = run(patchifyKernel, [x], { dims });
  return record(y, [x], [], (g) => [
    () => unpatchify(g, patch, { height, width }),
  ]);
}

/**
 * Puts patches back together: the inverse of {@link patchify}. `x: [n, patches, channels·patch²]` → `[n, channels, height, width]`.
 *
 * @throws {ShapeError} when the sizes do not fit together.
 */
export function unpatchify(
  x: Tensor,
  patch: number,
  { height, width }: { readonly height: number; readonly width: number },
): Tensor {
  const [n, patches, inner] = x.shape;
  const [gridH, gridW] = [height / patch, width / patch];
  const channels = inner / (patch * patch);
  if (
    x.shape.length !== 3 || ![gridH, gridW, channels].every((v) => Number.isInteger(v) && v > 0) ||
    gridH * gridW !== patches
  ) {
    throw new ShapeError(
      `Cannot put patches [${x.shape}] together: they must be [n, ${gridH}·${gridW}, channels·${patch}²]`,
    );
  }
  const [y] = run(unpatchifyKernel, [x], {
    dims: { batch: n, channels, gridH, gridW, side: patch },
  });
  return record(y, [x], [], (g) => [() => patchify(g, patch)]);
}
