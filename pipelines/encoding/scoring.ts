import { InputError } from "../errors.ts";
import { columnMeans, type HostMatrix, range } from "./host_matrix.ts";

/** Names of the scores, after himalaya's `r2_score`, `correlation_score` and `l2_neg_loss`. */
export type Scoring = "r2" | "correlation" | "l2NegLoss";

interface Moments {
  /** Mean squared difference. */
  readonly error: Float64Array<ArrayBuffer>;
  /** Population variance of the responses. */
  readonly variance: Float64Array<ArrayBuffer>;
  /** Population variance of the predictions. */
  readonly predicted: Float64Array<ArrayBuffer>;
  /** Population covariance of both. */
  readonly covariance: Float64Array<ArrayBuffer>;
}

function moments(responses: HostMatrix, predictions: HostMatrix): Moments {
  const [rows, cols] = responses.shape;
  if (predictions.shape[0] !== rows || predictions.shape[1] !== cols || rows === 0) {
    throw new InputError(
      `Cannot score predictions [${predictions.shape}] of responses [${responses.shape}]: ` +
        "they must have one shape, with rows",
    );
  }
  const { data: y } = responses, { data: z } = predictions;
  const make = () => new Float64Array(cols);
  const [error, variance, predicted, covariance] = Array.from({ length: 4 }, make);
  // Exact for a constant column, whose variance is then exactly 0.
  const all = range(rows);
  const yMean = columnMeans(responses, all), zMean = columnMeans(predictions, all);
  for (let at = 0; at < y.length; at++) {
    const j = at % cols;
    const dy = y[at] - yMean[j], dz = z[at] - zMean[j];
    error[j] += (y[at] - z[at]) ** 2 / rows;
    variance[j] += dy * dy / rows;
    predicted[j] += dz * dz / rows;
    covariance[j] += dy * dz / rows;
  }
  return { error, variance, predicted, covariance };
}

/**
 * R² of each target: 1 − Σ(y − ŷ)² / Σ(y − ȳ)², 0 where the responses are constant.
 *
 * @param responses `[nSamples, nTargets]`
 * @param predictions `[nSamples, nTargets]`
 * @returns `[nTargets]`, in float64
 * @throws {InputError} when the shapes differ
 */
export function r2Score(responses: HostMatrix, predictions: HostMatrix): Float64Array<ArrayBuffer> {
  const { error, variance } = moments(responses, predictions);
  return error.map((e, j) => variance[j] === 0 ? 0 : 1 - e / variance[j]);
}

/**
 * Pearson correlation of each target, 0 where either side is constant.
 *
 * @param responses `[nSamples, nTargets]`
 * @param predictions `[nSamples, nTargets]`
 * @returns `[nTargets]`, in float64
 * @throws {InputError} when the shapes differ
 */
export function correlationScore(
  responses: HostMatrix,
  predictions: HostMatrix,
): Float64Array<ArrayBuffer> {
  const { variance, predicted, covariance } = moments(responses, predictions);
  return covariance.map((c, j) => {
    const size = Math.sqrt(variance[j] * predicted[j]);
    return size === 0 ? 0 : c / size;
  });
}

/**
 * Minus the mean squared error of each target: himalaya's default score.
 *
 * @param responses `[nSamples, nTargets]`
 * @param predictions `[nSamples, nTargets]`
 * @returns `[nTargets]`, in float64
 * @throws {InputError} when the shapes differ
 */
export function l2NegLoss(
  responses: HostMatrix,
  predictions: HostMatrix,
): Float64Array<ArrayBuffer> {
  return moments(responses, predictions).error.map((e) => -e);
}
