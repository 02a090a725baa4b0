/**
 * Gradients of factors, triangular systems and inverses.
 *
 * @module
 */
import { Matrix } from "ml-matrix";
import { cholesky, choleskySolve, solveTriangular, spdInverse } from "../../engine/ops/cholesky.ts";
import { ifft2, irfft2, rfft2 } from "../../engine/ops/fft.ts";
import { gram } from "../../engine/ops/gram.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { add, sub } from "../../engine/ops/elementwise.ts";
import { addDiagonal, diagonal, tril, triu } from "../../engine/ops/matrix.ts";
import { transpose } from "../../engine/ops/shape.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { choleskyKernel, triangularSolveKernel } from "../../shaders/linalg/factor.ts";
import type { GradientCase } from "../gradcheck.ts";

const N = 5;
const cube = { batch: 1, n: N };

/** `x·xᵀ + 3`: symmetric and positive definite whatever `x: [5, 5]` is. */
const spd = (x: Tensor) => addDiagonal(matmul(x, x, { transposeB: true }), 3);

function spdReference(x: Float64Array): Float64Array {
  const m = new Matrix([0, 1, 2, 3, 4].map((i) => [...x.subarray(i * N, i * N + N)]));
  const a = m.mmul(m.transpose());
  for (let i = 0; i < N; i++) a.set(i, i, a.get(i, i) + 3);
  return Float64Array.from(a.to1DArray());
}

const factor = (x: Float64Array) =>
  choleskyKernel.reference({ a: spdReference(x) }, cube, { invalid: NaN }).l;

const solve = (t: Float64Array, b: Float64Array, args: { lower: number; transpose: number }) =>
  triangularSolveKernel.reference({ t, b }, { ...cube, cols: 3 }, args).x;

// A unit diagonal and small entries elsewhere: solutions keep their size.
const triangular = (size: number) =>
  Float64Array.from({ length: size }, (_, at) => at % 6 === 0 ? 1.5 : Math.sin(at) / 3);

const systems: GradientCase[] = [0, 1, 2, 3].map((bits) => {
  const lower = bits < 2, transpose = bits % 2 === 1;
  return {
    name: `solveTriangular lower=${lower} transpose=${transpose}`,
    shapes: [[N, N], [N, 3]],
    data: (size, input) =>
      input === 0 ? triangular(size) : Array.from({ length: size }, (_, at) => Math.cos(at)),
    f: (t, b) => solveTriangular(t, b, { lower, transpose }),
    reference: (t, b) => solve(t, b, { lower: Number(lower), transpose: Number(transpose) }),
  };
});

/** Cases of this family. */
export const linalgCases: readonly GradientCase[] = [
  ...systems,
  {
    name: "cholesky",
    shapes: [[N, N]],
    f: (x) => cholesky(spd(x)),
    reference: factor,
  },
  {
    name: "choleskySolve through its factor",
    shapes: [[N, N], [N, 3]],
    f: (x, b) => choleskySolve(cholesky(spd(x)), b),
    reference: (x, b) => {
      const l = factor(x);
      return solve(l, solve(l, b, { lower: 1, transpose: 0 }), { lower: 1, transpose: 1 });
    },
  },
  {
    name: "spdInverse",
    shapes: [[N, N]],
    f: (x) => spdInverse(spd(x)),
    reference: (x) => {
      const l = factor(x);
      const eye = Float64Array.from({ length: N * N }, (_, at) => Number(at % (N + 1) === 0));
      const wide = { ...cube, cols: N };
      const half = triangularSolveKernel.reference({ t: l, b: eye }, wide, {
        lower: 1,
        transpose: 0,
      });
      return triangularSolveKernel.reference({ t: l, b: half.x }, wide, { lower: 1, transpose: 1 })
        .x;
    },
  },
  {
    name: "gram with a residual",
    shapes: [[4, 3], [4, 4]],
    f: (x, residual) => gram(x, { residual: add(residual, transpose(residual)) }),
    reference: (x, r) =>
      Float64Array.from({ length: 16 }, (_, at) => {
        const i = Math.floor(at / 4), j = at % 4;
        const products = [0, 1, 2].map((p) => x[i * 3 + p] * x[j * 3 + p]);
        return products.reduce((sum, v) => sum + v, r[at] + r[j * 4 + i]);
      }),
  },
  {
    name: "gram, transposed",
    shapes: [[2, 3, 4]],
    f: (x) => gram(x, { transpose: true }),
    reference: (x) =>
      Float64Array.from({ length: 32 }, (_, at) => {
        const z = Math.floor(at / 16), i = Math.floor(at / 4) % 4, j = at % 4;
        return [0, 1, 2].reduce((sum, p) => sum + x[z * 12 + p * 4 + i] * x[z * 12 + p * 4 + j], 0);
      }),
  },
  {
    name: "tril, triu and diagonal",
    shapes: [[2, 3, 3]],
    f: (x) => addDiagonal(matmul(tril(x), triu(x)), diagonal(x)),
    reference: (x) => {
      const y = new Float64Array(18);
      for (let at = 0; at < 18; at++) {
        const base = Math.floor(at / 9) * 9, i = Math.floor(at / 3) % 3, j = at % 3;
        for (let k = 0; k <= Math.min(i, j); k++) {
          y[at] += x[base + i * 3 + k] * x[base + k * 3 + j];
        }
        if (i === j) y[at] += x[at];
      }
      return y;
    },
  },
  ...([[3, 4], [7, 17]] as const).map(([h, w]) => ({ // 17 has no passes
    name: `rfft2 of ${h}x${w}, the sum of its parts`,
    shapes: [[h, w]],
    f: (x: Tensor) => {
      const { re, im } = rfft2(x);
      return add(re, im);
    },
    reference: (x: Float64Array) => {
      const y: number[] = [];
      for (let u = 0; u < h; u++) {
        for (let v = 0; v <= w / 2; v++) {
          let sum = 0;
          for (let at = 0; at < h * w; at++) {
            const angle = 2 * Math.PI * (u * Math.floor(at / w) / h + v * (at % w) / w);
            sum += x[at] * (Math.cos(angle) - Math.sin(angle));
          }
          y.push(sum);
        }
      }
      return y;
    },
  })),
  {
    name: "irfft2 with an ortho norm",
    shapes: [[3, 3], [3, 3]],
    f: (re, im) => irfft2({ re, im }, 5, { norm: "ortho" }),
    reference: (re, im) =>
      Array.from({ length: 15 }, (_, at) => {
        let sum = 0;
        for (let k = 0; k < 9; k++) {
          const v = k % 3;
          const angle = 2 * Math.PI *
            (Math.floor(k / 3) * Math.floor(at / 5) / 3 + v * (at % 5) / 5);
          sum += (v === 0 ? 1 : 2) * (re[k] * Math.cos(angle) - im[k] * Math.sin(angle));
        }
        return sum / Math.sqrt(15);
      }),
  },
  {
    name: "ifft2, the difference of its parts",
    shapes: [[3, 4], [3, 4]],
    f: (re, im) => {
      const back = ifft2({ re, im });
      return sub(back.re, back.im);
    },
    reference: (re, im) =>
      Array.from({ length: 12 }, (_, at) => {
        let sum = 0;
        for (let k = 0; k < 12; k++) {
          const angle = 2 * Math.PI *
            (Math.floor(k / 4) * Math.floor(at / 4) / 3 + (k % 4) * (at % 4) / 4);
          const [c, s] = [Math.cos(angle), Math.sin(angle)];
          sum += re[k] * c - im[k] * s - (re[k] * s + im[k] * c);
        }
        return sum / 12;
      }),
  },
];
