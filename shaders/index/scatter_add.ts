/**
 * Adding slices to an axis by index, the adjoint of gather, in a fixed order and so with the same bits in every run.
 *
 * @module
 */
import scan from "./scatter_add_naive.wgsl" with { type: "text" };
import segments from "./segment_sum_naive.wgsl" with { type: "text" };
import { ceilDiv, defineKernel, type Dims, grid1d, type KernelSpec } from "../kernel.ts";
import segments4 from "./segment_sum_vec4.wgsl" with { type: "text" };
import { lanes, MAX_GROUPS, someIndices } from "./gather.ts";

/**
 * `y[o, d, i] = Σ_{j: indices[row(o), j] = d} x[o, j, i]`, in the order of `j`; indices out of range add nothing. Every target scans
 * all indices: for short lists.
 */
export const scatterAddKernel: KernelSpec = defineKernel({
  name: "scatter_add",
  buffers: { x: "outer k inner", indices: "u32 rows k", y: "out outer n inner" },
  args: { share: 1 },
  flops: ({ outer, k, inner }) => outer * k * inner,
  reference({ x, indices }, { outer, n, inner, k }, { share }) {
    const y = new Float64Array(outer * n * inner);
    for (let o = 0; o < outer; o++) {
      for (let j = 0; j < k; j++) {
        const to = indices[Math.floor(o / share) * k + j];
        if (to >= n) continue;
        for (let i = 0; i < inner; i++) y[(o * n + to) * inner + i] += x[(o * k + j) * inner + i];
      }
    }
    return { y };
  },
  data: { indices: someIndices },
  // About k/n terms of one size meet in a target, below 30 here: 30 roundings of 6e-8, seen against the rms of the sums.
  tolerance: { f32: 2e-6, f16: 2e-3 },
  cases: [
    { outer: 1, n: 1, inner: 1, rows: 1, k: 1, share: 1 },
    { outer: 1, n: 7, inner: 12, rows: 1, k: 131, share: 1 },
    { outer: 6, n: 5, inner: 3, rows: 2, k: 17, share: 3 },
    { outer: 3, n: 40, inner: 1, rows: 3, k: 67, share: 1 },
  ],
  large: [{ outer: 8, n: 197, inner: 768, rows: 1, k: 196, share: 8 }],
  variants: [{
    name: "scatter_add",
    source: scan,
    tunables: { WG: [64] },
    loopTurns: ({ k }) => k + 1,
    workgroups: ({ outer, n, inner }, { WG }) => grid1d(ceilDiv(outer * n * inner, WG)),
  }],
});

/** Segments of test data: `k` places cut at `n + 1` rising positions, some segments empty. */
function someStarts(size: number, random: () => number, { n, k }: Dims): Float64Array {
  const starts = new Float64Array(size);
  for (let row = 0; row < size; row += n + 1) {
    const cuts = Array.from({ length: n + 1 }, () => Math.floor((k + 1) * random()));
    starts.set(cuts.sort((a, b) => a - b), row);
  }
  return starts;
}

/** `y[o, d, i] = Σ_{starts[row, d] ≤ j < starts[row, d + 1]} x[o, order[row, j], i]`, in the order of `j`. */
export const segmentSumKernel: KernelSpec = defineKernel({
  name: "segment_sum",
  buffers: {
    x: "outer k inner",
    order: "u32 rows k",
    starts: "u32 rows ends",
    y: "out outer n inner",
  },
  args: { share: 1 },
  flops: ({ outer, k, inner }) => outer * k * inner,
  reference({ x, order, starts }, { outer, n, inner, k }, { share }) {
    const y = new Float64Array(outer * n * inner);
    for (let o = 0; o < outer; o++) {
      const row = Math.floor(o / share);
      for (let d = 0; d < n; d++) {
        for (let j = starts[row * (n + 1) + d]; j < starts[row * (n + 1) + d + 1]; j++) {
          const from = (o * k + order[row * k + j]) * inner;
          for (let i = 0; i < inner; i++) y[(o * n + d) * inner + i] += x[from + i];
        }
      }
    }
    return { y };
  },
  data: {
    order: (size, random, { k }) =>
      Float64Array.from({ length: size }, () => Math.floor(k * random())),
    starts: someStarts,
  },
  tolerance: { f32: 2e-6, f16: 2e-3 }, // as scatter_add
  cases: [
    { outer: 1, n: 1, ends: 2, inner: 1, rows: 1, k: 1, share: 1 },
    { outer: 1, n: 9, ends: 10, inner: 12, rows: 1, k: 131, share: 1 },
    { outer: 6, n: 5, ends: 6, inner: 3, rows: 2, k: 17, share: 3 },
  ],
  large: [{ outer: 1, n: 49408, ends: 49409, inner: 512, rows: 1, k: 2464, share: 1 }],
  variants: [{
    name: "segment_sum_vec4",
    source: segments4,
    constants: ({ inner }) => lanes(inner / 4),
    supports: ({ outer, n, inner }) =>
      inner % 4 === 0 && inner <= 256 * MAX_GROUPS && n <= MAX_GROUPS && outer <= MAX_GROUPS,
    loopTurns: ({ k }) => k + 1, // all in one segment
    workgroups: ({ outer, n, inner }, { TX, TY }) => [
      ceilDiv(inner / 4, TX),
      ceilDiv(n, TY),
      outer,
    ],
  }, {
    name: "segment_sum_naive",
    source: segments,
    tunables: { WG: [64] },
    loopTurns: ({ k }) => k + 1,
    workgroups: ({ outer, n, inner }, { WG }) => grid1d(ceilDiv(outer * n * inner, WG)),
  }],
});
