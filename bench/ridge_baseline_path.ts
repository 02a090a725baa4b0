import { concat, slice } from "../engine/ops/shape.ts";
import type { Tensor } from "../engine/tensor.ts";

/** First row of a fold and the row after its last one. */
export type Fold = readonly [start: number, end: number];

/** What decomposing one set of rows leads to. */
export interface Decomposed extends Disposable {
  /** Alphas below this cannot be told from rounding. */
  readonly leastAlpha: number;
  /** A matrix `[rows, fitted]` for each alpha, `[nAlphas, rows, fitted]`. */
  matrices(alphas: readonly number[]): Tensor;
}

/** One of himalaya's two solvers. */
export interface BaselinePath extends Disposable {
  /** From fitted responses to predictions of the fold. */
  fold(fold: Fold): Promise<Decomposed>;
  /** From all responses to coefficients. */
  whole(): Promise<Decomposed>;
}

/** Makes a path of features `[n, p]` on the device, which it does not own; `mark` ends a stage. */
export type MakePath = (x: Tensor, mark: Mark) => Promise<BaselinePath>;

/** Ends a stage. */
export type Mark = (stage: string) => Promise<void>;

/** Edges of contiguous folds, as scikit-learn's `KFold`: the first n mod k have one row more. */
export function foldsOf(n: number, count: number): Fold[] {
  const size = Math.floor(n / count), longer = n % count;
  const edge = (f: number) => f * size + Math.min(f, longer);
  return Array.from({ length: count }, (_, f) => [edge(f), edge(f + 1)]);
}

/** The rows outside a fold. */
export function without(x: Tensor, [start, end]: Fold): Tensor {
  const n = x.shape[0];
  const parts = [[0, start], [end, n]].filter(([from, to]) => to > from);
  return concat(parts.map(([from, to]) => slice(x, { axis: 0, start: from, end: to })), 0);
}
