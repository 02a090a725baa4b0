import { eigh } from "../engine/ops/eigh_device.ts";
import { mul } from "../engine/ops/elementwise.ts";
import { matmul } from "../engine/ops/matmul.ts";
import { slice, transpose } from "../engine/ops/shape.ts";
import { Tensor, tidy } from "../engine/tensor.ts";
import { type BaselinePath, type Decomposed, type Mark, without } from "./ridge_baseline_path.ts";

/** Rows `1/(value + alpha)` for each alpha, `[nAlphas, 1, nValues]`. */
export function reciprocals(like: Tensor, values: Float64Array, alphas: readonly number[]): Tensor {
  const rows = alphas.flatMap((alpha) => Array.from(values, (value) => 1 / (value + alpha)));
  return Tensor.from(like.gpu, rows, [alphas.length, 1, values.length]);
}

/** `(left · diag(1/(values + alpha))) · rightᵀ` for each alpha; `left: [rows, k]`, `right: [cols, k]` → `[nAlphas, rows, cols]`. */
export function stacked(
  left: Tensor,
  right: Tensor,
  { values, alphas }: { values: Float64Array; alphas: readonly number[] },
): Tensor {
  return tidy(left.gpu, () => {
    const [rows, k] = left.shape, count = alphas.length;
    const weighted = mul(left.reshape([1, rows, k]), reciprocals(left, values, alphas));
    const made = matmul(weighted.reshape([count * rows, k]), right, { transposeB: true });
    return made.reshape([count, rows, right.shape[0]]);
  });
}

/** himalaya's kernel ridge: an eigendecomposition of the training kernel in every fold, and of the whole kernel for the fit. */
export async function kernelPath(x: Tensor, mark: Mark): Promise<BaselinePath> {
  const kernel = matmul(x, x, { transposeB: true });
  await mark("gram");
  const decomposed = (
    { values, vectors, left, leastAlpha }: {
      values: Float64Array;
      vectors: Tensor;
      left: Tensor;
      leastAlpha: number;
    },
  ): Decomposed => ({
    leastAlpha,
    matrices: (alphas) => stacked(left, vectors, { values, alphas }),
    [Symbol.dispose]: () => [left, vectors].forEach((t) => t.dispose()),
  });
  return {
    async fold(fold) {
      using train = tidy(x.gpu, () => {
        const rows = without(kernel, fold);
        return without(transpose(rows), fold);
      });
      const { values, vectors } = await eigh(train);
      await mark("eigh");
      const left = tidy(x.gpu, () => {
        const test = slice(kernel, { axis: 0, start: fold[0], end: fold[1] });
        return matmul(without(transpose(test), fold), vectors, { transposeA: true });
      });
      return decomposed({ values, vectors, left, leastAlpha: -2 * values[0] });
    },
    async whole() {
      const { values, vectors } = await eigh(kernel);
      await mark("eigh");
      const positive = values.map((value) => Math.max(0, value));
      return decomposed({ values: positive, vectors, left: vectors.alias(), leastAlpha: 0 });
    },
    [Symbol.dispose]: () => kernel.dispose(),
  };
}
