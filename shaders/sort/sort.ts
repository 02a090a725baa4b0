/**
 * A stable merge sort of rows: keys, runs of eight sorted in registers, runs merged two by two. Without workgroup memory and barriers,
 * for rows of any length.
 *
 * @module
 */
import keysSource from "./sort_keys.wgsl" with { type: "text" };
import mergeSource from "./merge_runs.wgsl" with { type: "text" };
import runsSource from "./sort_runs.wgsl" with { type: "text" };
import startsSource from "./segment_starts.wgsl" with { type: "text" };
import sortKey from "../_lib/sort_key.wgsl" with { type: "text" };
import { ceilDiv, defineKernel, type Dims, grid1d, type KernelSpec } from "../kernel.ts";

/** Length of the runs that {@link sortRunsKernel} leaves. */
export const FIRST_RUN = 8;

// Turns of a binary search among u32.
const SEARCH = 34;

/** The order of a float as an unsigned integer: NaN last, −0 equal to 0. */
function keyOf(value: number): number {
  if (Number.isNaN(value)) return 0xffffffff;
  const bits = new Uint32Array(Float32Array.of(value + 0).buffer)[0];
  return (bits > 0x80000000 ? ~bits : bits | 0x80000000) >>> 0;
}

/** Numbers of few values, so that ties occur, with NaN, zeros of both signs and infinities among them. */
const oddFloats = (size: number, random: () => number) =>
  Float64Array.from(
    { length: size },
    () =>
      [NaN, -0, 0, Infinity, -Infinity][Math.floor(20 * random())] ?? Math.round(16 * random()) - 8,
  );

/** `keys = order(x)`, complemented for a descending sort. */
export const sortKeysKernel: KernelSpec = defineKernel({
  name: "sort_keys",
  buffers: { x: "n", keys: "out u32 n" },
  args: { descending: 1 },
  flops: () => 0,
  reference: ({ x }, _, { descending }) => ({
    keys: x.map((v) => descending ? ~keyOf(v) >>> 0 : keyOf(v)),
  }),
  data: { x: oddFloats },
  tolerance: { f32: 0, f16: 0 },
  cases: [{ n: 1 }, { n: 131 }, { n: 131, descending: 0 }],
  large: [{ n: 1 << 20 }],
  variants: [{
    name: "sort_keys",
    source: keysSource,
    lib: [sortKey],
    tunables: { WG: [64] },
    constants: (_, { descending }) => ({ DESCENDING: descending }),
    workgroups: ({ n }, { WG }) => grid1d(ceilDiv(n, 4 * WG)),
  }],
});

/** Keys with ties, the greatest key among them. */
const someKeys = (size: number, random: () => number) =>
  Float64Array.from(
    { length: size },
    () => random() < 0.1 ? 0xffffffff : Math.floor(50 * random()) * 0x5000000,
  );

/** Sorts `(key, column)` pairs of `[begin, end)` of a row into `to`. */
function sortedPairs(pairs: readonly [number, number][]): number[] {
  return [...pairs].sort(([a, i], [b, j]) => a - b || i - j).flat();
}

/** `(key, column)` pairs of rows in sorted runs of eight. */
export const sortRunsKernel: KernelSpec = defineKernel({
  name: "sort_runs",
  buffers: { keys: "u32 rows n", pairs: "out u32 rows n 2" },
  flops: ({ rows, n }) => 19 * rows * n / 8,
  reference({ keys }, { rows, n }) {
    const pairs: number[] = [];
    for (let row = 0; row < rows; row++) {
      for (let c = 0; c < n; c += FIRST_RUN) {
        const run = Array.from(keys.subarray(row * n + c, row * n + Math.min(n, c + FIRST_RUN)));
        pairs.push(...sortedPairs(run.map((key, i) => [key, c + i])));
      }
    }
    return { pairs: Float64Array.from(pairs) };
  },
  data: { keys: someKeys },
  tolerance: { f32: 0 },
  cases: [{ rows: 1, n: 1 }, { rows: 3, n: 67 }, { rows: 2, n: 64 }],
  large: [{ rows: 1, n: 1 << 20 }],
  variants: [{
    name: "sort_runs",
    source: runsSource,
    tunables: { WG: [64] },
    workgroups: ({ rows, n }, { WG }) => grid1d(ceilDiv(rows * ceilDiv(n, FIRST_RUN), WG)),
  }],
});

/** Test data: pairs in sorted runs of 16, the length that all cases use. */
function someRuns(size: number, random: () => number, { n }: Dims): Float64Array {
  const keys = someKeys(size / 2, random);
  const pairs: number[] = [];
  for (let at = 0; at < keys.length; at += n) {
    for (let c = 0; c < n; c += 16) {
      const run = Array.from(keys.subarray(at + c, at + Math.min(n, c + 16)));
      pairs.push(...sortedPairs(run.map((key, i) => [key, c + i])));
    }
  }
  return Float64Array.from(pairs);
}

/** Pairs that remain of `n` when runs of length `run` are merged two by two and `keep` of each two are kept. */
export function mergedLength(n: number, run: number, keep: number): number {
  const whole = Math.floor(n / (2 * run));
  return whole * keep + Math.min(keep, n - 2 * run * whole);
}

const merge = (rows: number, n: number, keep: number): Dims => ({
  rows,
  n,
  m: mergedLength(n, 16, keep),
  run: 16,
  keep,
});

/** Merges sorted runs two by two and keeps the first `keep` pairs of each two. */
export const mergeRunsKernel: KernelSpec = defineKernel({
  name: "merge_runs",
  buffers: { pairs: "u32 rows n 2", merged: "out u32 rows m 2" },
  args: { run: 16, keep: 32 },
  flops: ({ rows, m }) => rows * m,
  reference({ pairs }, { rows, n }, { run, keep }) {
    const merged: number[] = [];
    for (let row = 0; row < rows; row++) {
      for (let c = 0; c < n; c += 2 * run) {
        const list: [number, number][] = [];
        for (let i = row * n + c; i < row * n + Math.min(n, c + 2 * run); i++) {
          list.push([pairs[2 * i], pairs[2 * i + 1]]);
        }
        merged.push(...sortedPairs(list).slice(0, 2 * keep));
      }
    }
    return { merged: Float64Array.from(merged) };
  },
  data: { pairs: someRuns },
  tolerance: { f32: 0 },
  cases: [merge(1, 1, 32), merge(2, 67, 32), merge(3, 64, 32), merge(1, 17, 32), merge(2, 75, 16)],
  large: [merge(1, 1 << 20, 32)],
  variants: [{
    name: "merge_runs",
    source: mergeSource,
    tunables: { WG: [64] },
    // The search costs as much as merging some twenty pairs.
    constants: (_, { keep }) => ({ PER: Math.min(32, keep) }),
    loopTurns: (_, { PER }) => SEARCH + PER + 1,
    workgroups: ({ rows, m }, { WG, PER }) => grid1d(ceilDiv(rows * ceilDiv(m, PER), WG)),
  }],
});

/** `starts[row, d]` = how many keys of a sorted row are below `d`, for `d` from 0 to `ends − 1`. */
export const segmentStartsKernel: KernelSpec = defineKernel({
  name: "segment_starts",
  buffers: { pairs: "u32 rows n 2", starts: "out u32 rows ends" },
  flops: () => 0,
  reference({ pairs }, { rows, n, ends }) {
    const starts = new Float64Array(rows * ends);
    for (let row = 0; row < rows; row++) {
      for (let d = 0; d < ends; d++) {
        let at = 0;
        while (at < n && pairs[2 * (row * n + at)] < d) at++;
        starts[row * ends + d] = at;
      }
    }
    return { starts };
  },
  data: {
    pairs(size, random, { n }) {
      const pairs = new Float64Array(size);
      for (let at = 0; at < size; at += 2 * n) {
        const keys = Float64Array.from({ length: n }, () => Math.floor(12 * random())).sort();
        keys.forEach((key, i) => pairs.set([key, i], at + 2 * i));
      }
      return pairs;
    },
  },
  tolerance: { f32: 0 },
  cases: [{ rows: 1, n: 1, ends: 2 }, { rows: 2, n: 37, ends: 11 }],
  variants: [{
    name: "segment_starts",
    source: startsSource,
    tunables: { WG: [64] },
    loopTurns: () => SEARCH,
    workgroups: ({ rows, ends }, { WG }) => grid1d(ceilDiv(rows * ends, WG)),
  }],
});
