/**
 * Gradients of sorting and running sums.
 *
 * @module
 */
import { cumsum } from "../../engine/ops/cumsum.ts";
import { sort, topK } from "../../engine/ops/sort.ts";
import type { GradientCase } from "../gradcheck.ts";

/** Each row of `n` values through `f`. */
const byRow = (x: Float64Array, n: number, f: (row: Float64Array) => ArrayLike<number>) =>
  Array.from({ length: x.length / n }, (_, i) => [...Array.from(f(x.slice(i * n, (i + 1) * n)))])
    .flat();

/** Cases of this family. */
export const sortCases: readonly GradientCase[] = [{
  name: "sort",
  shapes: [[3, 19]],
  f: (x) => sort(x).values,
  reference: (x) => byRow(x, 19, (row) => row.sort()),
}, {
  name: "sort along the first axis",
  shapes: [[5, 2]],
  f: (x) => sort(x, { axis: 0, descending: true }).values,
  reference: (x) => {
    const columns = [0, 1].map((j) => x.filter((_, i) => i % 2 === j).sort().reverse());
    return x.map((_, i) => columns[i % 2][Math.floor(i / 2)]);
  },
}, {
  name: "topK",
  shapes: [[3, 19]],
  f: (x) => topK(x, 4).values,
  reference: (x) => byRow(x, 19, (row) => row.sort().reverse().slice(0, 4)),
}, {
  name: "cumsum",
  shapes: [[2, 150]],
  f: (x) => cumsum(x, { exclusive: true }),
  reference: (x) =>
    byRow(x, 150, (row) => {
      let total = 0;
      return row.map((v) => (total += v) - v);
    }),
}];
