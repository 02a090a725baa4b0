/**
 * Where values are positive, as bits, and what passes there: all that the gradient of a ReLU needs.
 *
 * @module
 */
import maskedSource from "./masked.wgsl" with { type: "text" };
import maskSource from "./relu_mask.wgsl" with { type: "text" };
import { ceilDiv, defineKernel, type Dims, grid1d, type KernelSpec } from "../kernel.ts";

/** Sizes of the bits of n values. */
export const maskDims = (n: number): Dims => ({ n, words: ceilDiv(n, 32) });

const sizes = { cases: [1, 31, 32, 33, 997].map(maskDims), large: [maskDims(1 << 22)] };

/** One bit for each value: whether it is positive. */
export const reluMaskKernel: KernelSpec = defineKernel({
  name: "relu_mask",
  buffers: { y: "n", mask: "out u32 words" },
  flops: () => 0,
  reference({ y }, { n, words }) {
    const mask = new Float64Array(words);
    for (let i = 0; i < n; i++) if (y[i] > 0) mask[i >> 5] += 2 ** (i % 32);
    return { mask };
  },
  tolerance: { f32: 0, f16: 0 }, // bits
  ...sizes,
  variants: [{
    name: "relu_mask",
    source: maskSource,
    tunables: { WG: [64] },
    workgroups: ({ words }, { WG }) => grid1d(ceilDiv(words, WG)),
  }],
});

/** Values whose bit is 1, and 0 elsewhere. */
export const maskedKernel: KernelSpec = defineKernel({
  name: "masked",
  buffers: { x: "n", mask: "u32 words", y: "out n" },
  flops: () => 0,
  reference({ x, mask }, { n }) {
    const isOn = (i: number) => Math.floor(mask[i >> 5] / 2 ** (i % 32)) % 2 === 1;
    return { y: Float64Array.from({ length: n }, (_, i) => isOn(i) ? x[i] : 0) };
  },
  tolerance: { f32: 0, f16: 0 }, // values pass as they are
  ...sizes,
  variants: [{
    name: "masked",
    source: maskedSource,
    tunables: { WG: [64] },
    workgroups: ({ n }, { WG }) => grid1d(ceilDiv(n, 4 * WG)),
  }],
});
