/**
 * Where values are positive, as bits, and what passes there: all that the gradient of a ReLU needs.
 *
 * @module
 */
import quotient from "../_lib/quotient.wgsl" with { type: "text" };
import maskedNaive from "./masked_naive.wgsl" with { type: "text" };
import maskedV4 from "./masked_v4.wgsl" with { type: "text" };
import maskNaive from "./relu_mask_naive.wgsl" with { type: "text" };
import maskV4 from "./relu_mask_v4.wgsl" with { type: "text" };
import { ceilDiv, defineKernel, type Dims, grid1d, type KernelSpec } from "../kernel.ts";

/**
 * Sizes of the bits of `blocks` blocks of `block` values each, which lie in a tensor with `gap` values between two of them (default 0)
 * and `first` before the first one (default 0).
 */
export function maskDims(
  { blocks = 1, block, gap = 0, first = 0 }: {
    blocks?: number;
    block: number;
    gap?: number;
    first?: number;
  },
): Dims {
  const n = blocks * block;
  return { n, words: ceilDiv(n, 32), size: blocks * (block + gap), block, gap, first };
}

const sizes = {
  cases: [
    ...[1, 31, 32, 33, 997].map((block) => maskDims({ block })),
    maskDims({ blocks: 1, block: 45, gap: 30, first: 11 }),
    maskDims({ blocks: 5, block: 27, gap: 8, first: 3 }),
  ],
  large: [
    maskDims({ block: 1 << 22 }),
    maskDims({ block: 64 * 1225, gap: 224 * 1225, first: 64 * 1225 }),
  ],
};

const bytes = ({ n, words }: Dims, elemBytes: number) => n * elemBytes + 4 * words;
const hasNoGaps = ({ n, size }: Dims) => n === size;
const placeOf = (i: number, { block, gap, first }: Dims) => i + Math.floor(i / block) * gap + first;

/** One bit for each value: whether it is positive. */
export const reluMaskKernel: KernelSpec = defineKernel({
  name: "relu_mask",
  buffers: { y: "size", mask: "out u32 words" },
  flops: () => 0,
  bytes,
  reference({ y }, dims) {
    const mask = new Float64Array(dims.words);
    for (let i = 0; i < dims.n; i++) if (y[placeOf(i, dims)] > 0) mask[i >> 5] += 2 ** (i % 32);
    return { mask };
  },
  tolerance: { f32: 0, f16: 0 }, // bits
  ...sizes,
  variants: [{
    name: "relu_mask_v4",
    source: maskV4,
    tunables: { WG: [64] },
    supports: hasNoGaps,
    workgroups: ({ words }, { WG }) => grid1d(ceilDiv(words, WG)),
  }, {
    name: "relu_mask_naive",
    source: maskNaive,
    lib: [quotient],
    tunables: { WG: [64] },
    workgroups: ({ words }, { WG }) => grid1d(ceilDiv(words, WG)),
  }],
});

/** Values whose bit is 1, and 0 elsewhere, without the gaps between them. */
export const maskedKernel: KernelSpec = defineKernel({
  name: "masked",
  buffers: { x: "size", mask: "u32 words", y: "out n" },
  flops: () => 0,
  bytes: (dims, elemBytes) => bytes(dims, 2 * elemBytes),
  reference({ x, mask }, dims) {
    const isOn = (i: number) => Math.floor(mask[i >> 5] / 2 ** (i % 32)) % 2 === 1;
    return {
      y: Float64Array.from({ length: dims.n }, (_, i) => isOn(i) ? x[placeOf(i, dims)] : 0),
    };
  },
  tolerance: { f32: 0, f16: 0 }, // values pass as they are
  ...sizes,
  variants: [{
    name: "masked_v4",
    source: maskedV4,
    tunables: { WG: [64] },
    supports: hasNoGaps,
    workgroups: ({ n }, { WG }) => grid1d(ceilDiv(n, 4 * WG)),
  }, {
    name: "masked_naive",
    source: maskedNaive,
    lib: [quotient],
    tunables: { WG: [64] },
    workgroups: ({ n }, { WG }) => grid1d(ceilDiv(n, WG)),
  }],
});
