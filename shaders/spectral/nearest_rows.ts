/**
 * Neighbours: the greatest values of rows, also of a product that is not stored, and sums of rows by index.
 *
 * @module
 */
import best from "../_lib/best_quads.wgsl" with { type: "text" };
import productNaive from "./product_top_k_naive.wgsl" with { type: "text" };
import subgroupQuads from "../_lib/subgroup_quads.wgsl" with { type: "text" };
import productSubgroup from "./product_top_k_subgroup.wgsl" with { type: "text" };
import narrow from "./product_top_k_narrow.wgsl" with { type: "text" };
import quads from "./row_top_k_quads.wgsl" with { type: "text" };
import topNaive from "./row_top_k_naive.wgsl" with { type: "text" };
import weighted from "./weighted_rows.wgsl" with { type: "text" };
import weightedNaive from "./weighted_rows_naive.wgsl" with { type: "text" };
import { hasLanes } from "../attention/attention.ts";
import { ceilDiv, defineKernel, type Dims, grid1d, type KernelSpec } from "../kernel.ts";

/** Neighbours that stay in registers. */
export const MOST_IN_REGISTERS = 32;

/** Few values, so that ties occur. */
const someScores = (size: number, random: () => number) =>
  Float64Array.from({ length: size }, () => Math.round(64 * random()) / 4 - 8);

/** The `k` greatest of `x − shift` in every row, greatest first, of equal ones the first. */
export const rowTopKKernel: KernelSpec = defineKernel({
  name: "row_top_k",
  buffers: { x: "rows n", shift: "n", values: "out f32 rows k", indices: "out u32 rows k" },
  flops: ({ rows, n }) => 2 * rows * n,
  reference({ x, shift }, { rows, n, k }) {
    const values = new Float64Array(rows * k), indices = new Float64Array(rows * k);
    for (let row = 0; row < rows; row++) {
      const scores = Float64Array.from(shift, (s, c) => x[row * n + c] - s);
      const order = [...scores.keys()].sort((a, b) => scores[b] - scores[a] || a - b);
      for (let j = 0; j < k; j++) {
        values[row * k + j] = scores[order[j]];
        indices[row * k + j] = order[j];
      }
    }
    return { values, indices };
  },
  data: { x: someScores, shift: someScores },
  tolerance: { f32: 0, f16: 0 }, // quarters below 16 and their differences are exact, in f16 too
  cases: [
    { rows: 1, n: 1, k: 1 },
    { rows: 5, n: 4, k: 3 },
    { rows: 67, n: 36, k: 10 },
    { rows: 3, n: 131, k: 32 },
    { rows: 65, n: 132, k: 32 },
    { rows: 2, n: 40, k: 37 },
  ],
  large: [{ rows: 4096, n: 1024, k: 32 }, { rows: 4096, n: 1024, k: 10 }],
  variants: [{
    name: "row_top_k_quads",
    source: quads,
    lib: [best],
    tunables: { WG: [64] },
    constants: ({ k }) => ({ QUADS: ceilDiv(k, 4) }),
    supports: ({ n, k }) => n % 4 === 0 && k <= MOST_IN_REGISTERS,
    loopTurns: ({ n, k }) => n / 4 * 6 + k + 2,
    workgroups: ({ rows }, { WG }) => grid1d(ceilDiv(rows, WG)),
  }, {
    name: "row_top_k_naive",
    source: topNaive,
    tunables: { WG: [64] },
    loopTurns: ({ n, k }) => (n + 2) * k + 1,
    workgroups: ({ rows }, { WG }) => grid1d(ceilDiv(rows, WG)),
  }],
});

/** Features of a row that stay in registers. */
export const MOST_FEATURES = 64;

/** Quarters, whose products add up exactly. */
const someFeatures = (size: number, random: () => number) =>
  Float64Array.from({ length: size }, () => Math.round(16 * random()) / 4 - 2);

const isNarrow = ({ n, d, k }: Dims): boolean =>
  n % 4 === 0 && d % 4 === 0 && d <= MOST_FEATURES && k <= MOST_IN_REGISTERS;

/** The `k` greatest of `a·bᵀ − shift` in every row, greatest first, of equal ones the first. */
export const productTopKKernel: KernelSpec = defineKernel({
  name: "product_top_k",
  buffers: {
    ...{ a: "rows d", b: "n d", shift: "n" },
    ...{ values: "out f32 rows k", indices: "out u32 rows k" },
  },
  flops: ({ rows, n, d }) => 2 * rows * n * (d + 1),
  reference({ a, b, shift }, { rows, n, d, k }) {
    const x = new Float64Array(rows * n);
    for (let i = 0; i < rows * n; i++) {
      const row = Math.floor(i / n) * d, column = i % n * d;
      for (let p = 0; p < d; p++) x[i] += a[row + p] * b[column + p];
    }
    return rowTopKKernel.reference({ x, shift }, { rows, n, k }, {});
  },
  data: { a: someFeatures, b: someFeatures, shift: someScores },
  tolerance: { f32: 0, f16: 0 }, // sixteenths of at most 4·64 + 8: exact in f32
  cases: [
    { rows: 1, n: 1, d: 1, k: 1 },
    { rows: 5, n: 4, d: 4, k: 3 },
    { rows: 67, n: 36, d: 20, k: 10 },
    { rows: 3, n: 131, d: 7, k: 32 },
    { rows: 65, n: 132, d: 64, k: 32 },
    { rows: 2, n: 40, d: 68, k: 37 },
  ],
  large: [{ rows: 4096, n: 1024, d: 20, k: 10 }],
  variants: [{
    name: "product_top_k_subgroup",
    source: productSubgroup,
    lib: [best, subgroupQuads],
    needs: ["subgroups"],
    constants: ({ d, k }, _, caps) => ({
      ...{ QUADS: ceilDiv(k, 4), D4: d / 4, SG: caps.subgroupMinSize },
    }),
    // Loads of a software driver are paid lane by lane; a GPU serves all lanes that read the same place at once.
    supports: (dims, caps) => hasLanes(caps) && isNarrow(dims),
    loopTurns: ({ n, d, k }) => n / 8 * (14 + d / 4) + d / 4 + k + 3,
    workgroups: ({ rows }, { SG }) => grid1d(ceilDiv(rows, SG)),
  }, {
    name: "product_top_k_narrow",
    source: narrow,
    lib: [best],
    tunables: { WG: [64] },
    constants: ({ d, k }) => ({ QUADS: ceilDiv(k, 4), D4: d / 4 }),
    supports: isNarrow,
    loopTurns: ({ n, d, k }) => n / 4 * (7 + d / 4) + d / 4 + k + 3,
    workgroups: ({ rows }, { WG }) => grid1d(ceilDiv(rows, WG)),
  }, {
    name: "product_top_k_naive",
    source: productNaive,
    tunables: { WG: [64] },
    loopTurns: ({ n, d, k }) => ((d + 2) * n + 2) * k + 1,
    workgroups: ({ rows }, { WG }) => grid1d(ceilDiv(rows, WG)),
  }],
});

/** `y[r] = Σⱼ weights[r, j] · x[indices[r, j]]`; an index out of range adds nothing. */
export const weightedRowsKernel: KernelSpec = defineKernel({
  name: "weighted_rows",
  buffers: { x: "m n", indices: "u32 rows k", weights: "rows k", y: "out rows n" },
  flops: ({ n, rows, k }) => 2 * n * rows * k,
  reference({ x, indices, weights }, { m, n, rows, k }) {
    const y = new Float64Array(rows * n);
    for (let i = 0; i < rows * k; i++) {
      if (indices[i] >= m) continue;
      for (let c = 0; c < n; c++) {
        y[Math.floor(i / k) * n + c] += weights[i] * x[indices[i] * n + c];
      }
    }
    return { y };
  },
  data: {
    indices: (size, random, { m }) =>
      Float64Array.from({ length: size }, () => Math.floor((m + 1) * random())),
  },
  tolerance: { f32: 3e-6, f16: 2e-3 }, // k ≤ 32 fused additions: eps·√k of terms of unit size, times 8; one rounding to f16
  cases: [
    { m: 1, n: 1, rows: 1, k: 1 },
    { m: 7, n: 4, rows: 65, k: 3 },
    { m: 31, n: 20, rows: 33, k: 32 },
    { m: 13, n: 7, rows: 11, k: 10 },
  ],
  large: [{ m: 1024, n: 20, rows: 4096, k: 32 }],
  variants: [{
    name: "weighted_rows_quads",
    source: weighted,
    tunables: { WG: [64] },
    supports: ({ n }) => n % 4 === 0,
    loopTurns: ({ k }) => k + 1,
    workgroups: ({ rows, n }, { WG }) => grid1d(ceilDiv(rows * n / 4, WG)),
  }, {
    name: "weighted_rows_naive",
    source: weightedNaive,
    tunables: { WG: [64] },
    loopTurns: ({ k }) => k + 1,
    workgroups: ({ rows, n }, { WG }) => grid1d(ceilDiv(rows * n, WG)),
  }],
});
