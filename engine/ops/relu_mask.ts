/**
 * What a ReLU's gradient needs of its output: one bit for each value.
 *
 * @module
 */
import { dtypeBytes, type Tensor } from "../tensor.ts";
import { run } from "../run.ts";
import type { ChannelRange } from "./into.ts";
import { maskDims, maskedKernel, reluMaskKernel } from "../../shaders/elementwise/relu_mask.ts";
import type { Dims } from "../../shaders/kernel.ts";

/** The values of a range of channels of `[n, channels, h, w]`: a block in every image. */
function dimsOf({ shape: [n, channels, h, w] }: Tensor, { first, count }: ChannelRange): Dims {
  const plane = h * w, gap = (channels - count) * plane;
  return maskDims({ blocks: n, block: count * plane, gap, first: first * plane });
}

/** Bits of where some channels of `y` are positive; undefined where `y` is over the adapter's limit of one binding. */
export function reluMask(y: Tensor, range: ChannelRange): Tensor | undefined {
  if (y.size === 0 || y.size * dtypeBytes(y.dtype) > y.gpu.caps.maxBindingBytes) return undefined;
  return run(reluMaskKernel, [y], { dims: dimsOf(y, range) })[0];
}

/** Some channels of `g` where the bit of {@link reluMask} is 1, else 0: `[n, range.count, h, w]`. */
export function masked(g: Tensor, mask: Tensor, range: ChannelRange): Tensor {
  const [n, , h, w] = g.shape;
  const shapes = { y: [n, range.count, h, w] };
  return run(maskedKernel, [g, mask], { dims: dimsOf(g, range), shapes })[0];
}
