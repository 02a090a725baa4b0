import { InputError } from "../errors.ts";
import { columnMeans, type HostMatrix, range } from "./host_matrix.ts";

/** Options of {@link r2ScoreSplit}. */
export interface R2SplitOptions {
  /** What the joint prediction has beside the bands, `[nTargets]`; 0 where absent. */
  readonly intercept?: ArrayLike<number>;
}

function requireBands(
  responses: HostMatrix,
  bands: readonly HostMatrix[],
  intercept?: ArrayLike<number>,
): void {
  const [rows, nTargets] = responses.shape;
  const bad = bands.find(({ shape }) => shape[0] !== rows || shape[1] !== nTargets);
  if (bands.length === 0 || bad || rows === 0) {
    throw new InputError(
      `Cannot split a score of responses [${responses.shape}] over ${bands.length} bands: there must be one or more, ` +
        `with rows and of the responses' shape${bad ? `, one is [${bad.shape}]` : ""}`,
    );
  }
  if (intercept && intercept.length !== nTargets) {
    throw new InputError(
      `Cannot split a score of ${nTargets} targets with ${intercept.length} intercepts: there must be one for each`,
    );
  }
}

/** Sums over the rows of `term(row's place, target)`, `[nTargets]`. */
function sumRows(
  [rows, nTargets]: readonly [number, number],
  term: (at: number, t: number) => number,
): Float64Array<ArrayBuffer> {
  const sums = new Float64Array(nTargets);
  for (let r = 0; r < rows; r++) {
    for (let t = 0; t < nTargets; t++) sums[t] += term(r * nTargets + t, t);
  }
  return sums;
}

/**
 * R² of a joint prediction, split over the bands of features that it is the sum of, by the product measure as in himalaya's
 * `r2_score_split` (Dupré la Tour and others 2022, "Feature-space selection with banded ridge regression"):
 * `Σ(2·y·ŷ_i − ŷ_i·ŷ) / Σy²`. A band that explains nothing of its own can be below 0. The parts sum to `r2Score` of the bands' sum plus
 * the intercept.
 *
 * Means: y are responses less their mean over the samples, and what the intercept differs from that mean is given to all bands in equal
 * parts. With centred responses and no intercept this is himalaya's formula.
 *
 * @param responses `[nSamples, nTargets]`
 * @param bandPredictions what each band adds to the prediction, `[nSamples, nTargets]` each
 * @returns `[nBands, nTargets]`, in float64; 0 for constant responses
 * @throws {InputError} when shapes differ or there is no band
 */
export function r2ScoreSplit(
  responses: HostMatrix,
  bandPredictions: readonly HostMatrix[],
  { intercept }: R2SplitOptions = {},
): Float64Array<ArrayBuffer> {
  requireBands(responses, bandPredictions, intercept);
  const { data, shape } = responses;
  const [rows, nTargets] = shape;
  const means = columnMeans(responses, range(rows));
  const shares = means.map((mean, t) => ((intercept?.[t] ?? 0) - mean) / bandPredictions.length);
  const joint = new Float64Array(data.length);
  for (const band of bandPredictions) {
    for (let at = 0; at < joint.length; at++) joint[at] += band.data[at] + shares[at % nTargets];
  }
  const total = sumRows(shape, (at, t) => (data[at] - means[t]) ** 2);
  const split = new Float64Array(bandPredictions.length * nTargets);
  bandPredictions.forEach((band, i) => {
    const parts = sumRows(
      shape,
      (at, t) => (band.data[at] + shares[t]) * (2 * (data[at] - means[t]) - joint[at]),
    );
    parts.forEach((part, t) => split[i * nTargets + t] = total[t] === 0 ? 0 : part / total[t]);
  });
  return split;
}

/**
 * Pearson correlation of a joint prediction, split over the bands of features that it is the sum of, as himalaya's
 * `correlation_score_split`: `cov(y, ŷ_i) / (σ_y·σ_ŷ)`. The parts sum to `correlationScore` of the bands' sum. Means do not matter: both
 * sides are centred over the samples.
 *
 * @param responses `[nSamples, nTargets]`
 * @param bandPredictions what each band adds to the prediction, `[nSamples, nTargets]` each
 * @returns `[nBands, nTargets]`, in float64; 0 where the responses or the joint prediction are constant
 * @throws {InputError} when shapes differ or there is no band
 */
export function correlationScoreSplit(
  responses: HostMatrix,
  bandPredictions: readonly HostMatrix[],
): Float64Array<ArrayBuffer> {
  requireBands(responses, bandPredictions);
  const { data, shape } = responses;
  const [rows, nTargets] = shape;
  const means = columnMeans(responses, range(rows));
  const centred = bandPredictions.map((band) => {
    const own = columnMeans(band, range(rows));
    return Float64Array.from(band.data, (value, at) => value - own[at % nTargets]);
  });
  const joint = new Float64Array(data.length);
  for (const band of centred) band.forEach((value, at) => joint[at] += value);
  const variance = sumRows(shape, (at, t) => (data[at] - means[t]) ** 2);
  const explained = sumRows(shape, (at) => joint[at] ** 2);
  const split = new Float64Array(centred.length * nTargets);
  centred.forEach((band, i) => {
    const products = sumRows(shape, (at, t) => (data[at] - means[t]) * band[at]);
    products.forEach((product, t) => {
      const size = Math.sqrt(variance[t] * explained[t]);
      split[i * nTargets + t] = size === 0 ? 0 : product / size;
    });
  });
  return split;
}
