/**
 * Predictions that are scored as they are made: a matrix product whose result is never stored, only what cross-validation needs of it.
 *
 * @module
 */
import foldSums from "../_lib/fold_sums.wgsl" with { type: "text" };
import matmulTile from "../_lib/matmul_tile.wgsl" with { type: "text" };
import outer from "../_lib/outer.wgsl" with { type: "text" };
import subgroupQuads from "../_lib/subgroup_quads.wgsl" with { type: "text" };
import naive from "./fold_sums_naive.wgsl" with { type: "text" };
import subgroup from "./fold_sums_subgroup.wgsl" with { type: "text" };
import thread from "./fold_sums_thread.wgsl" with { type: "text" };
import tiled from "./fold_sums_tiled.wgsl" with { type: "text" };
import { ceilDiv, defineKernel, type Dims, grid1d, type KernelSpec } from "../kernel.ts";
import { PANEL } from "./panels.ts";

/** Numbers per target and block of rows: Σp', Σp'², Σy'p', Σ(y' − p')². */
export const FOLD_SUMS = 4;

interface FoldCase {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly skipStart?: number;
  readonly skipCount?: number;
  readonly testStart?: number;
  readonly rowsY?: number;
}

function foldCase({ m, n, k, ...rest }: FoldCase): Dims {
  const { skipStart = k, skipCount = 0, testStart = 0 } = rest;
  const rowsB = k + skipCount, rowsY = rest.rowsY ?? testStart + m;
  const blocks = ceilDiv(m, PANEL);
  return {
    ...{ m, n, k, rowsB, rowsY, blocks, skipStart, skipCount, testStart },
    ...{ aSize: blocks * k * PANEL, bSize: n * rowsB, ySize: n * rowsY },
  };
}

/**
 * Sums over the rows of `p = a·b` and of responses `y`, by blocks of 64 rows. `a: [m, k]`, `b: [rowsB, n]` and `y: [rowsY, n]` lie in
 * panels of 64 rows or columns; k is even and n a multiple of 64. Row j of `b` meets place j of `a` before `skipStart`, where
 * `skipCount` rows are left out; row i of the product meets row `testStart + i` of `y`, of which `shift` is taken off first; with
 * `both` it is taken off the product as well. Where
 * k was padded to be even, `b` has a row for it, and `a` a zero.
 */
export const foldSumsKernel: KernelSpec = defineKernel({
  name: "fold_sums",
  buffers: {
    ...{ a: "f32 aSize", b: "f32 bSize", y: "f32 ySize", shift: "f32 n" },
    sums: "out f32 blocks n 4",
  },
  args: { skipStart: 0, skipCount: 0, testStart: 0, both: 0 },
  flops: ({ m, n, k }) => 2 * m * n * k + 8 * m * n,
  reference({ a, b, y, shift }, dims, { skipStart, skipCount, testStart, both }) {
    const { m, n, k, rowsB, rowsY, blocks } = dims;
    const sums = new Float64Array(blocks * n * FOLD_SUMS);
    const value = (x: Float64Array, rows: number, row: number, at: number) =>
      x[(Math.floor(at / PANEL) * rows + row) * PANEL + at % PANEL];
    for (let i = 0; i < m; i++) {
      for (let t = 0; t < n; t++) {
        let p = 0;
        for (let j = 0; j < k; j++) {
          p += value(a, k, j, i) * value(b, rowsB, j < skipStart ? j : j + skipCount, t);
        }
        const response = value(y, rowsY, testStart + i, t);
        const to = (Math.floor(i / PANEL) * n + t) * FOLD_SUMS;
        const moved = response - shift[t];
        p -= both * shift[t];
        sums[to] += p;
        sums[to + 1] += p * p;
        sums[to + 2] += moved * p;
        sums[to + 3] += (moved - p) ** 2;
      }
    }
    return { sums };
  },
  tolerance: { f32: 2e-6 }, // sums of up to 64·k rounded products of unit size: eps·√(64 k)·few, relative to sums of about 64·k
  cases: [
    foldCase({ m: 1, n: 64, k: 2 }),
    foldCase({ m: 70, n: 192, k: 34, skipStart: 7, skipCount: 71, testStart: 6, rowsY: 105 }),
    foldCase({ m: 64, n: 128, k: 18, skipStart: 0, skipCount: 3 }),
    { ...foldCase({ m: 129, n: 64, k: 16, testStart: 5, rowsY: 150 }), both: 1 },
  ],
  large: [
    foldCase({ m: 256, n: 1024, k: 1024, skipStart: 256, skipCount: 256, rowsY: 1280 }),
  ],
  variants: [{
    name: "fold_sums_subgroup",
    source: subgroup,
    lib: [foldSums, matmulTile, outer, subgroupQuads],
    needs: ["subgroups"],
    tunables: { GROUP: [8] },
    supports: (_, { isSoftware, subgroupMinSize, subgroupMaxSize }) =>
      isSoftware && subgroupMinSize === 8 && subgroupMaxSize === 8,
    loopTurns: ({ k }) => k / 2 + 1,
    workgroups: ({ blocks, n }) => grid1d(blocks * n / PANEL),
  }, {
    name: "fold_sums_thread",
    source: thread,
    lib: [foldSums, matmulTile, outer],
    tunables: { GROUP: [8] },
    supports: (_, { isSoftware }) => isSoftware,
    loopTurns: ({ k }) => 4 * (k / 2 + 1) + 5,
    workgroups: ({ blocks, n }) => grid1d(blocks * ceilDiv(n / PANEL, 2)),
  }, {
    name: "fold_sums_tiled",
    source: tiled,
    lib: [foldSums, matmulTile, outer],
    tunables: { BK: [16, 8], GROUP: [8] },
    loopTurns: ({ k }, { BK }) => ceilDiv(k, BK) * (2 * BK / 4 + BK + 2) + 1,
    workgroups: ({ blocks, n }) => grid1d(blocks * n / PANEL),
  }, {
    name: "fold_sums_naive",
    source: naive,
    lib: [foldSums],
    tunables: { WG: [64] },
    loopTurns: ({ m, k }) => Math.min(m, PANEL) * (k + 2) + 1,
    workgroups: ({ blocks, n }, { WG }) => grid1d(ceilDiv(blocks * n / 4, WG)),
  }],
});
