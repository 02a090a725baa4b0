/**
 * What a ReLU's gradient needs of its output: one bit for each value.
 *
 * @module
 */
import { dtypeBytes, type Tensor } from "../tensor.ts";
import { run } from "../run.ts";
import { maskDims, maskedKernel, reluMaskKernel } from "../../shaders/elementwise/relu_mask.ts";

/** Bits of where `y` is positive; undefined where it is over the adapter's limit of one binding. */
export function reluMask(y: Tensor): Tensor | undefined {
  if (y.size === 0 || y.size * dtypeBytes(y.dtype) > y.gpu.caps.maxBindingBytes) return undefined;
  return run(reluMaskKernel, [y], { dims: maskDims(y.size) })[0];
}

/** `g` where the bit of {@link reluMask} is 1, else 0. */
export function masked(g: Tensor, mask: Tensor): Tensor {
  return run(maskedKernel, [g, mask], { dims: maskDims(g.size), shapes: { y: g.shape } })[0];
}
