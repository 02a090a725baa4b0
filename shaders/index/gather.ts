/**
 * Picking slices of an axis by index.
 *
 * @module
 */
import vectors from "./gather_vec4.wgsl" with { type: "text" };
import scalars from "./gather_scalar.wgsl" with { type: "text" };
import naive from "./gather_naive.wgsl" with { type: "text" };
import { ceilDiv, type Constants, defineKernel, type Dims, type KernelSpec } from "../kernel.ts";

/** WebGPU's default limit of workgroups on one axis. */
export const MAX_GROUPS = 65535;

/**
 * Threads along the inner axis, enough for it and no more, and the rest of the 64 across. Eight at least: a CPU driver fills its
 * vectors from x alone.
 */
export const lanes = (inner: number): Constants => {
  const tx = Math.min(64, Math.max(8, 2 ** Math.ceil(Math.log2(Math.max(1, inner)))));
  return { TX: tx, TY: 64 / tx };
};

/** Turns of three nested loops over a grid that is cut where an axis is longer than a dispatch may be. */
export const gridTurns = (grid: readonly number[]): number =>
  grid.reduce((inner, groups) => ceilDiv(groups, MAX_GROUPS) * (inner + 1) + 1, 0);

/** Indices of test data: most in range, one in eight beyond. */
export function someIndices(size: number, random: () => number, { n }: Dims): Float64Array {
  return Float64Array.from(
    { length: size },
    () => random() < 0.125 ? n + Math.floor(3 * random()) : Math.floor(n * random()),
  );
}

/**
 * `y[o, j, i] = x[o, indices[row(o), j], i]`, 0 for an index out of range. `share` neighbouring `o` read one row of indices.
 */
export const gatherKernel: KernelSpec = defineKernel({
  name: "gather",
  buffers: { x: "outer n inner", indices: "u32 rows k", y: "out outer k inner" },
  integers: true,
  args: { share: 1 },
  flops: () => 0,
  bytes: ({ outer, k, inner }, elemBytes) => 2 * outer * k * inner * elemBytes,
  reference({ x, indices }, { outer, n, inner, k }, { share }) {
    const y = new Float64Array(outer * k * inner);
    for (let o = 0; o < outer; o++) {
      for (let j = 0; j < k; j++) {
        const from = indices[Math.floor(o / share) * k + j];
        if (from >= n) continue;
        for (let i = 0; i < inner; i++) y[(o * k + j) * inner + i] = x[(o * n + from) * inner + i];
      }
    }
    return { y };
  },
  data: { indices: someIndices },
  tolerance: { f32: 0, f16: 0 },
  cases: [
    { outer: 1, n: 1, inner: 1, rows: 1, k: 1, share: 1 },
    { outer: 1, n: 7, inner: 12, rows: 1, k: 131, share: 1 },
    { outer: 6, n: 5, inner: 3, rows: 2, k: 17, share: 3 },
    { outer: 3, n: 40, inner: 1, rows: 3, k: 67, share: 1 },
    { outer: 4, n: 9, inner: 260, rows: 1, k: 8, share: 4 },
  ],
  large: [
    { outer: 1, n: 49408, inner: 512, rows: 1, k: 2464, share: 1 },
    { outer: 8, n: 197, inner: 768, rows: 1, k: 196, share: 8 },
    { outer: 100, n: 10000, inner: 1, rows: 100, k: 10000, share: 1 },
  ],
  variants: [{
    name: "gather_vec4",
    source: vectors,
    constants: ({ inner }) => lanes(inner / 4),
    supports: ({ outer, inner, k }) =>
      inner % 4 === 0 && inner <= 256 * MAX_GROUPS && k <= MAX_GROUPS && outer <= MAX_GROUPS,
    workgroups: ({ outer, k, inner }, { TX, TY }) => [
      ceilDiv(inner / 4, TX),
      ceilDiv(k, TY),
      outer,
    ],
  }, {
    name: "gather_scalar",
    source: scalars,
    tunables: { WG: [64] },
    constants: ({ inner }) => ({ SINGLE: Number(inner === 1) }),
    supports: ({ outer, inner, k }) => k * inner <= 64 * MAX_GROUPS && outer <= MAX_GROUPS,
    workgroups: ({ outer, k, inner }, { WG }) => [ceilDiv(k * inner, WG), outer, 1],
  }, {
    name: "gather_naive",
    source: naive,
    constants: ({ inner }) => lanes(inner),
    loopTurns: ({ outer, k, inner }, { TX, TY }) =>
      gridTurns([ceilDiv(inner, TX), ceilDiv(k, TY), outer]),
    workgroups: ({ outer, k, inner }, { TX, TY }) => [
      Math.min(MAX_GROUPS, ceilDiv(inner, TX)),
      Math.min(MAX_GROUPS, ceilDiv(k, TY)),
      Math.min(MAX_GROUPS, outer),
    ],
  }],
});
