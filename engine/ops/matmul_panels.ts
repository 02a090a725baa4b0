/**
 * Products whose operands are packed into panels first, where that pays.
 *
 * @module
 */
import type { ProductPlan } from "./matmul_pieces.ts";
import type { Gpu } from "../gpu.ts";
import { run } from "../run.ts";
import { dtypeBytes, type Tensor, tidy } from "../tensor.ts";
import type { Args } from "../../shaders/kernel.ts";
import {
  matmulPanelsKernel,
  packPanelsKernel,
  panelDims,
  panelSize,
  panelsPay,
} from "../../shaders/matmul/panels.ts";

/** What follows the sums: tensors that are absent are stood in for by another, unread, and their flags are 0. */
export interface Epilogue {
  /** `[n]` */
  readonly bias: Tensor;
  /** `[n]` */
  readonly scale: Tensor;
  /** The shape of the result. */
  readonly residual: Tensor;
  /** `activation`, `hasBias`, `hasScale` and `hasResidual` of the kernel. */
  readonly args: Args;
}

/** True where a product should go through panels: on CPU drivers, for large ones, where the panels fit a binding. */
export function usesPanels(
  gpu: Gpu,
  dtype: Tensor["dtype"],
  plan: ProductPlan,
  { isSymmetric = false } = {},
): boolean {
  const { batch, m, n, k, isSharedA, isSharedB } = plan;
  if (
    gpu.options.kernels === "naive" || dtype === "f64" ||
    !panelsPay({ m, n, k }, gpu.caps, isSymmetric)
  ) {
    return false;
  }
  const most = gpu.caps.maxBindingBytes / dtypeBytes(dtype);
  return panelSize(panelDims(isSharedA ? 1 : batch, m, k)) <= most &&
    panelSize(panelDims(isSharedB ? 1 : batch, n, k)) <= most;
}

/** An operand `[batch, rows, k]`, or `[batch, k, rows]`, in panels. */
export function packed(
  x: Tensor,
  { batch, rows, k, byRows }: { batch: number; rows: number; k: number; byRows: boolean },
): Tensor {
  const dims = panelDims(batch, rows, k);
  return run(packPanelsKernel, [x], { dims, args: { byRows: Number(byRows) } })[0];
}

/** The product of a plan through panels. */
export function productOfPanels(
  a: Tensor,
  b: Tensor,
  plan: ProductPlan,
  epilogue: Epilogue,
  to: { readonly shape?: readonly number[]; readonly out?: Tensor },
): Tensor {
  const { batch, m, n, k, transposeA, transposeB, isSharedA, isSharedB } = plan;
  return tidy(a.gpu, () => {
    const panelsA = packed(a, { batch: isSharedA ? 1 : batch, rows: m, k, byRows: !transposeA });
    const panelsB = packed(b, { batch: isSharedB ? 1 : batch, rows: n, k, byRows: transposeB });
    return productOfPacked(panelsA, panelsB, plan, epilogue, to);
  });
}

/** The product of operands that are in panels. */
export function productOfPacked(
  panelsA: Tensor,
  panelsB: Tensor,
  { batch, m, n, k, isSharedA, isSharedB }: ProductPlan,
  { bias, scale, residual, args }: Epilogue,
  to: { readonly shape?: readonly number[]; readonly out?: Tensor },
): Tensor {
  const { kPadded } = panelDims(1, m, k);
  const [c] = run(matmulPanelsKernel, [panelsA, panelsB, bias, scale, residual], {
    dims: {
      ...{ batch, m, n, k: kPadded, aSize: panelsA.size, bSize: panelsB.size },
      ...{ biasSize: bias.size, scaleSize: scale.size, residualSize: residual.size },
    },
    args: {
      ...args,
      strideA: isSharedA ? 0 : panelsA.size / batch,
      strideB: isSharedB ? 0 : panelsB.size / batch,
    },
    shapes: to.shape && { c: to.shape },
    out: to.out && { c: to.out },
  });
  return c;
}
