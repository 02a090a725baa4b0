import type { FoldStats } from "./ridge_samples.ts";
import type { Scoring } from "./scoring.ts";

/** What one target's score over the test side of one split follows from. */
export interface FoldMoments {
  /** Number of samples. */
  readonly count: number;
  /** Σ(y − ŷ)². */
  readonly squaredError: number;
  /** Σ(y − ȳ)². */
  readonly responseSquares: number;
  /** Σ(ŷ − mean of ŷ)². */
  readonly predictionSquares: number;
  /** Σ(y − ȳ)·(ŷ − mean of ŷ). */
  readonly products: number;
}

/** A score of one target over one split: the larger, the better. */
export type ScoreFunction = (moments: FoldMoments) => number;

// Rules for constant sides as himalaya's (scoring.py): a constant response has r² 0, a constant side correlation 0.
const SCORES: Readonly<Record<Scoring, ScoreFunction>> = {
  l2NegLoss: ({ squaredError, count }) => -squaredError / count,
  r2: ({ squaredError, responseSquares }) =>
    responseSquares === 0 ? 0 : 1 - squaredError / responseSquares,
  correlation: ({ products, responseSquares, predictionSquares }) => {
    const size = Math.sqrt(responseSquares * predictionSquares);
    return size > 0 ? products / size : 0;
  },
};

/** The function that a name stands for. */
export function scoreFunction(scoring: Scoring | ScoreFunction): ScoreFunction {
  return typeof scoring === "string" ? SCORES[scoring] : scoring;
}

/** Whether a score follows from how predictions vary, beside the squared error. */
export function usesPredictionMoments(measure: ScoreFunction): boolean {
  return measure !== SCORES.l2NegLoss && measure !== SCORES.r2;
}

// Squares of predictions about their mean that are below this share of the sum they come from are rounding errors of f32.
const NOISE = 1e-6;

/** How predictions vary, from sums of them, and which share of the sum of their squares that is: the larger, the more exact. */
function variationOf(
  sums: ArrayLike<number>,
  j: number,
  { count, y }: { count: number; y: number },
): { share: number; predictionSquares: number; products: number } {
  const [p, pp, yp] = [sums[4 * j], sums[4 * j + 1], sums[4 * j + 2]];
  const about = pp - p * p / count;
  const share = about / pp;
  return { share, predictionSquares: share > NOISE ? about : 0, products: yp - y * p / count };
}

/**
 * Scores of the targets of one split from the sums of the device.
 *
 * @param sums `[≥ columns.length, 4]`: Σp', Σp'², Σy'p' and Σ(y' − p')², where y' = y − shift
 * @param columns targets that the sums belong to
 * @param options.plain the same sums with p' = p, where that is not so already
 * @returns `[nMeasures, columns.length]`, NaN where the problem was singular
 */
export function scoresOf(
  sums: ArrayLike<number>,
  columns: Uint32Array,
  { stats, count, shifts, measures, plain, factor = 1 }: {
    stats: FoldStats;
    count: number;
    shifts: Float64Array;
    measures: readonly ScoreFunction[];
    plain?: ArrayLike<number>;
    /** What the predictions are times those of the sums. */
    factor?: number;
  },
): Float64Array<ArrayBuffer> {
  const scores = new Float64Array(measures.length * columns.length);
  columns.forEach((t, j) => {
    // The shift was rounded to f32 on its way to the device.
    const y = count * (stats.testMeans[t] - Math.fround(shifts[t]));
    const shifted = variationOf(sums, j, { count, y });
    const own = plain ? variationOf(plain, j, { count, y }) : shifted;
    const { predictionSquares, products } = own.share > shifted.share ? own : shifted;
    const responseSquares = stats.testSquares[t];
    const squaredError = factor === 1
      ? sums[4 * j + 3]
      : responseSquares + y * y / count - 2 * factor * sums[4 * j + 2] +
        factor ** 2 * sums[4 * j + 1];
    const moments = {
      ...{ count, squaredError, responseSquares },
      ...{ predictionSquares: factor ** 2 * predictionSquares, products: factor * products },
    };
    measures.forEach((measure, m) => {
      scores[m * columns.length + j] = Number.isNaN(squaredError) ? NaN : measure(moments);
    });
  });
  return scores;
}
