/**
 * Gradients of the reductions.
 *
 * @module
 */
import {
  logsumexp,
  max,
  mean,
  min,
  norm,
  normalize,
  prod,
  sum,
  variance,
} from "../../engine/ops/reduce.ts";
import type { GradientCase } from "../gradcheck.ts";

const shape = [2, 3, 4];

/** Reduces `[2, 3, 4]` over axes 0 and 2, which are apart, to `[3]`. */
const middle = (x: Float64Array, f: (values: Float64Array) => number) =>
  [0, 1, 2].map((j) => f(x.filter((_, i) => Math.floor(i / 4) % 3 === j)));

const total = (v: Float64Array) => v.reduce((s, x) => s + x, 0);
const spread = (v: Float64Array, ddof: number) => {
  const centre = total(v) / v.length;
  return total(v.map((x) => (x - centre) ** 2)) / (v.length - ddof);
};
const axes = [0, -1];

/** Cases of this family. */
export const reduceCases: readonly GradientCase[] = [{
  name: "sum over axes that are apart",
  shapes: [shape],
  f: (x) => sum(x, { axes }),
  reference: (x) => middle(x, total),
}, {
  name: "mean over one axis, kept",
  shapes: [shape],
  f: (x) => mean(x, { axes: [1], keepDims: true }),
  reference: (x) =>
    Float64Array.from({ length: 8 }, (_, i) => {
      const base = Math.floor(i / 4) * 12 + i % 4;
      return (x[base] + x[base + 4] + x[base + 8]) / 3;
    }),
}, {
  name: "a mean in parts",
  shapes: [[9001]],
  f: (x) => mean(x),
  reference: (x) => [total(x) / 9001],
}, {
  name: "prod",
  shapes: [shape],
  f: (x) => prod(x, { axes }),
  reference: (x) => middle(x, (v) => v.reduce((p, y) => p * y, 1)),
}, {
  name: "max",
  shapes: [shape],
  f: (x) => max(x, { axes }),
  reference: (x) => middle(x, (v) => Math.max(...v)),
}, {
  name: "min",
  shapes: [shape],
  f: (x) => min(x, { axes }),
  reference: (x) => middle(x, (v) => Math.min(...v)),
}, {
  name: "norm",
  shapes: [shape],
  f: (x) => norm(x, { axes }),
  reference: (x) => middle(x, (v) => Math.sqrt(total(v.map((y) => y * y)))),
}, {
  name: "normalize",
  shapes: [[3, 5]],
  f: (x) => normalize(x),
  reference: (x) =>
    x.map((v, i) => {
      const row = x.subarray(i - i % 5, i - i % 5 + 5);
      return v / Math.sqrt(total(row.map((y) => y * y)));
    }),
}, {
  name: "variance",
  shapes: [shape],
  f: (x) => variance(x, { axes, ddof: 1 }),
  reference: (x) => middle(x, (v) => spread(v, 1)),
}, {
  name: "logsumexp",
  shapes: [shape],
  f: (x) => logsumexp(x, { axes }),
  reference: (x) => middle(x, (v) => Math.log(total(v.map(Math.exp)))),
}];
