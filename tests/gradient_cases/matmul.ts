/**
 * Gradients of matrix products and reductions.
 *
 * @module
 */
import { linear, matmul } from "../../engine/ops/matmul.ts";
import { mean, sum } from "../../engine/ops/reduce.ts";
import { matmulKernel } from "../../shaders/matmul/matmul.ts";
import { unaryOps } from "../../shaders/elementwise/unary.ts";
import type { GradientCase } from "../gradcheck.ts";

const flags = [[false, false], [true, false], [false, true], [true, true]] as const;

const products: GradientCase[] = flags.map(([transposeA, transposeB]) => ({
  name: `matmul transposeA=${transposeA} transposeB=${transposeB}, batched by one matrix`,
  shapes: [[2, ...(transposeA ? [5, 3] : [3, 5])], transposeB ? [4, 5] : [5, 4]],
  f: (a, b) => matmul(a, b, { transposeA, transposeB }),
  reference: (a, b) =>
    matmulKernel.reference({ a, b }, { batch: 2, m: 3, n: 4, k: 5, aSize: 30, bSize: 20 }, {
      ...matmulKernel.args,
      transposeA: Number(transposeA),
      transposeB: Number(transposeB),
      strideA: 15,
      strideB: 0,
    }).c,
}));

function linearReference(
  [x, w, b, s, r]: Float64Array[],
  { rows, nIn, nOut }: { rows: number; nIn: number; nOut: number },
): Float64Array {
  return Float64Array.from({ length: rows * nOut }, (_, i) => {
    const row = Math.floor(i / nOut), o = i % nOut;
    let acc = b[o];
    for (let k = 0; k < nIn; k++) acc += x[row * nIn + k] * w[o * nIn + k];
    return r[i] + s[o] * unaryOps.gelu.f(acc);
  });
}

/** Cases of this family. */
export const matmulCases: readonly GradientCase[] = [...products, {
  name: "linear with bias, GELU, scale and residual",
  shapes: [[2, 3, 5], [4, 5], [4], [4], [2, 3, 4]],
  f: (x, weight, bias, scale, residual) =>
    linear(x, weight, { bias, scale, residual, activation: "gelu" }),
  reference: (...xs) => linearReference(xs, { rows: 6, nIn: 5, nOut: 4 }),
}, {
  name: "sum over the first and last axis",
  shapes: [[2, 3, 4]],
  f: (x) => sum(x, { axes: [0, -1] }),
  reference: (x) =>
    [0, 1, 2].map((j) =>
      x.filter((_, i) => Math.floor(i / 4) % 3 === j).reduce((s, v) => s + v, 0)
    ),
}, {
  name: "mean over all axes",
  shapes: [[2, 3, 4]],
  f: (x) => mean(x),
  reference: (x) => [x.reduce((s, v) => s + v, 0) / 24],
}];
