import { eigh } from "../engine/ops/eigh_device.ts";
import { matmul } from "../engine/ops/matmul.ts";
import { slice } from "../engine/ops/shape.ts";
import { type Tensor, tidy } from "../engine/tensor.ts";
import {
  type BaselinePath,
  type Decomposed,
  type Fold,
  type Mark,
  without,
} from "./ridge_baseline_path.ts";
import { stacked } from "./ridge_baseline_kernel.ts";

/**
 * himalaya's primal ridge: a singular value decomposition of the training features in every fold, for every alpha the matrix
 * `[nFeatures, nTrain]` from responses to weights, times the features of the fold. The decomposition comes from that of the Gram matrix of
 * the features, which costs less than one of the features and is accurate enough here: weights are
 * `v·diag(1/(s² + alpha))·(x·v)ᵀ·y`, without a small `s` by itself.
 */
export function svdPath(x: Tensor, mark: Mark): Promise<BaselinePath> {
  const { gpu } = x;
  const decompose = async (rows: Tensor): Promise<Decomposed> => {
    using gram = matmul(rows, rows, { transposeA: true });
    await mark("gram");
    const { values, vectors } = await eigh(gram);
    const turned = matmul(rows, vectors); // u·s
    await mark("eigh");
    const squares = values.map((value) => Math.max(0, value));
    return {
      leastAlpha: 0,
      matrices: (alphas) => stacked(vectors, turned, { values: squares, alphas }),
      [Symbol.dispose]: () => [vectors, turned].forEach((t) => t.dispose()),
    };
  };
  const path: BaselinePath = {
    async fold(fold: Fold) {
      using rows = tidy(gpu, () => without(x, fold));
      const train = await decompose(rows);
      return {
        leastAlpha: 0,
        matrices: (alphas) => tidy(gpu, () => predicting(x, fold, train.matrices(alphas))),
        [Symbol.dispose]: () => train[Symbol.dispose](),
      };
    },
    whole: () => decompose(x),
    [Symbol.dispose]: () => undefined,
  };
  return Promise.resolve(path);
}

/** Features of a fold times the weights of every alpha, `[nAlphas, nFeatures, nTrain]` → `[nAlphas, m, nTrain]`. */
function predicting(x: Tensor, [start, end]: Fold, weights: Tensor): Tensor {
  return matmul(slice(x, { axis: 0, start, end }), weights);
}
