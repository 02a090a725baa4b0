import { mean, sum } from "../../engine/ops/reduce.ts";
import { mul, square, sub } from "../../engine/ops/elementwise.ts";
import { type HostData, readAll, type Tensor, tidy } from "../../engine/tensor.ts";
import type { Scoring } from "./scoring.ts";

/** Sums over the samples that the scores are made of, still on the GPU. */
export interface FoldSums {
  /** Mean squared difference, `[nTargets]`. */
  readonly error: Tensor;
  /** Sums of squares of the centred predictions and of their products with the centred responses, for correlations. */
  readonly products?: readonly [Tensor, Tensor];
}

/** The responses of one side of a split, with what every alpha needs of them. */
export interface FoldResponses {
  /** `[nSamples, nTargets]` */
  readonly y: Tensor;
  /** The same with the means of these samples taken off. */
  readonly centred: Tensor;
  /** Sums of squares of `centred`, `[nTargets]`. */
  readonly squares: Tensor;
}

/** Prepares the responses that predictions are scored against. */
export function foldResponses(y: Tensor): FoldResponses {
  return tidy(y.gpu, () => {
    const centred = sub(y, mean(y, { axes: [0], keepDims: true }));
    return { y, centred, squares: sum(square(centred), { axes: [0] }) };
  });
}

/** Records what a score needs of predictions `[nSamples, nTargets]`. */
export function foldSums(
  { y, centred }: FoldResponses,
  predictions: Tensor,
  scoring: Scoring,
): FoldSums {
  return tidy(y.gpu, () => {
    const error = mean(square(sub(y, predictions)), { axes: [0] });
    if (scoring !== "correlation") return { error };
    const moved = sub(predictions, mean(predictions, { axes: [0], keepDims: true }));
    const products = [
      sum(square(moved), { axes: [0] }),
      sum(mul(moved, centred), { axes: [0] }),
    ] as const;
    return { error, products };
  });
}

/** Reads the scores of several alphas with one wait, `[nTargets]` each. */
export async function readScores(
  responses: FoldResponses,
  sums: readonly FoldSums[],
  scoring: Scoring,
): Promise<Float64Array<ArrayBuffer>[]> {
  const nSamples = responses.y.shape[0];
  const wanted = sums.flatMap(({ error, products = [] }) => [error, ...products]);
  const [squares, ...values] = await readAll([responses.squares, ...wanted]);
  const each = values.length / Math.max(1, sums.length);
  return sums.map((_, i) => {
    const [error, own, shared] = values.slice(i * each, (i + 1) * each) as HostData[];
    return Float64Array.from(error, (e, j) => {
      if (scoring === "l2NegLoss") return -e;
      if (scoring === "r2") return squares[j] === 0 ? 0 : 1 - e * nSamples / squares[j];
      const size = Math.sqrt(own[j] * squares[j]);
      return size === 0 ? 0 : shared[j] / size;
    });
  });
}
