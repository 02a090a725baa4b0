/**
 * Products in double precision: the operands are packed and widened, then multiplied.
 *
 * @module
 */
import type { ProductPlan } from "./matmul_pieces.ts";
import { run } from "../run.ts";
import { checkStorage, type Tensor, tidy } from "../tensor.ts";
import type { Args } from "../../shaders/kernel.ts";
import {
  LEFT,
  matmulF64Kernel,
  packedDims,
  packedSize,
  packF64Kernel,
  type Packing,
  RIGHT,
} from "../../shaders/matmul/matmul_f64.ts";

/** An operand `[batch, rows, k]`, or `[batch, k, rows]`, of f32 or f64. */
function packed(
  x: Tensor,
  { batch, rows, k, byRows }: { batch: number; rows: number; k: number; byRows: boolean },
  packing: Packing,
): Tensor {
  const dims = packedDims(batch, rows, k, packing);
  return run(packF64Kernel, [x], {
    dims: { ...dims, ySize: packedSize(dims, packing) },
    args: { byRows: Number(byRows), ...packing },
  })[0];
}

/** Rows of an operand once it is packed, at most. */
export function packedRows(rows: number): number {
  return RIGHT.width * Math.ceil(rows / RIGHT.width);
}

/** The product of a plan in f64. `symmetric` and `terms` are those of the kernel. */
export function productF64(
  a: Tensor,
  b: Tensor,
  { batch, m, n, k, transposeA, transposeB, isSharedA, isSharedB }: ProductPlan,
  to: { readonly shape?: readonly number[]; readonly out?: Tensor },
  { symmetric = 0, terms = 0 }: Args = {},
): Tensor {
  checkStorage(a.gpu, "f64");
  return tidy(a.gpu, () => {
    const countA = isSharedA ? 1 : batch, countB = isSharedB ? 1 : batch;
    const left = packed(a, { batch: countA, rows: m, k, byRows: !transposeA }, LEFT);
    const right = packed(b, { batch: countB, rows: n, k, byRows: transposeB }, RIGHT);
    const [c] = run(matmulF64Kernel, [left, right], {
      dims: { batch, m, n, k: packedDims(1, m, k, LEFT).kPadded },
      args: {
        strideA: isSharedA ? 0 : left.size / batch,
        strideB: isSharedB ? 0 : right.size / batch,
        ...{ symmetric, terms },
      },
      shapes: to.shape && { c: to.shape },
      out: to.out && { c: to.out },
    });
    return c;
  });
}
