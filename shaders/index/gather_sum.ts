/**
 * Sums of rearranged copies of a matrix.
 *
 * @module
 */
import fourRows from "./gather_sum_rows.wgsl" with { type: "text" };
import naive from "./gather_sum_naive.wgsl" with { type: "text" };
import { ceilDiv, defineKernel, grid1d, type KernelSpec } from "../kernel.ts";
import { MAX_GROUPS } from "./gather.ts";

/** Indices below `n`, one in eight beyond. */
const someBelow = (size: number, random: () => number, n: number) =>
  Float64Array.from(
    { length: size },
    () => random() < 0.125 ? n + Math.floor(3 * random()) : Math.floor(n * random()),
  );

/** `y[i, j] = Σ_s x[rows[s, i], columns[s, j]]`; an index out of range adds nothing. */
export const gatherSumKernel: KernelSpec = defineKernel({
  name: "gather_sum",
  buffers: { x: "m n", rows: "u32 count p", columns: "u32 count q", y: "out p q" },
  flops: ({ count, p, q }) => count * p * q,
  reference({ x, rows, columns }, { m, n, count, p, q }) {
    const y = new Float64Array(p * q);
    for (let s = 0; s < count; s++) {
      for (let i = 0; i < p; i++) {
        const row = rows[s * p + i];
        for (let j = 0; j < q; j++) {
          const column = columns[s * q + j];
          if (row < m && column < n) y[i * q + j] += x[row * n + column];
        }
      }
    }
    return { y };
  },
  data: {
    rows: (size, random, { m }) => someBelow(size, random, m),
    columns: (size, random, { n }) => someBelow(size, random, n),
  },
  tolerance: { f32: 5e-7, f16: 1e-3 }, // 6 additions of 2⁻²⁴ are 3.6e-7; one rounding to f16 is 4.9e-4
  cases: [
    { m: 1, n: 1, count: 1, p: 1, q: 1 },
    { m: 5, n: 7, count: 3, p: 11, q: 13 },
    { m: 17, n: 17, count: 6, p: 17, q: 17 },
    { m: 9, n: 130, count: 2, p: 3, q: 129 },
  ],
  large: [{ m: 10000, n: 10000, count: 4, p: 10000, q: 10000 }],
  variants: [{
    name: "gather_sum_rows",
    source: fourRows,
    tunables: { WG: [64] },
    supports: ({ p, q }) => p >= 4 && p <= 4 * MAX_GROUPS && q <= 64 * MAX_GROUPS,
    loopTurns: ({ count }) => 5 * count + 6,
    workgroups: ({ p, q }, { WG }) => [ceilDiv(q, WG), ceilDiv(p, 4), 1],
  }, {
    name: "gather_sum_naive",
    source: naive,
    tunables: { WG: [64] },
    loopTurns: ({ count }) => count + 1,
    workgroups: ({ p, q }, { WG }) => grid1d(ceilDiv(p * q, WG)),
  }],
});
