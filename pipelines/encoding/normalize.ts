import { InputError } from "../errors.ts";
import { columnMeans, type HostMatrix, range } from "./host_matrix.ts";

/**
 * What happens to features before the linear model: each sample divided by its Euclidean norm (`"l2"`, as BrainSAIL), each feature
 * z-scored by the training samples (`"zscore"`), or nothing.
 */
export type Normalization = "l2" | "zscore" | "none";

/** A normalisation with what it learned from the training samples. */
export interface FeatureNormalizer {
  /** The kind. */
  readonly kind: Normalization;
  /** Means of the training samples, `[nFeatures]`, for `"zscore"`. */
  readonly mean?: Float64Array<ArrayBuffer>;
  /** Population standard deviations of the training samples, `[nFeatures]`, for `"zscore"`; 0 of features that never change. */
  readonly std?: Float64Array<ArrayBuffer>;
}

/**
 * Learns a normalisation. The deviation of a feature that never changes, such as a unit that no training image drives, is 0, and
 * z-scored it is 0 in every sample.
 *
 * @param features training samples, `[nSamples, nFeatures]`
 * @throws {InputError} for `"zscore"` when every feature is constant
 */
export function fitNormalizer(features: HostMatrix, kind: Normalization): FeatureNormalizer {
  if (kind !== "zscore") return { kind };
  const { data, shape: [n, p] } = features;
  const mean = columnMeans(features, range(n));
  const squares = new Float64Array(p);
  // Asked of the values: the rounded mean of equal values can differ from them.
  const varies = new Uint8Array(p);
  for (let at = 0; at < data.length; at++) {
    squares[at % p] += (data[at] - mean[at % p]) ** 2;
    if (data[at] !== data[at % p]) varies[at % p] = 1;
  }
  if (!varies.includes(1)) {
    throw new InputError(`Cannot z-score the features: all ${p} columns are constant`);
  }
  return { kind, mean, std: squares.map((s, j) => varies[j] ? Math.sqrt(s / n) : 0) };
}

/** `x / std`, or 0 for a feature that never changed. */
export function overDeviation(x: number, std: number): number {
  return std > 0 ? x / std : 0;
}

/**
 * Normalised features, in a new array unless there is nothing to do. A sample of zeros stays zero.
 *
 * @param features `[nSamples, nFeatures]`
 * @throws {InputError} when there are not as many features as were learned from
 */
export function normalizeFeatures(
  features: HostMatrix,
  { kind, mean, std }: FeatureNormalizer,
): HostMatrix {
  const { data, shape } = features;
  const p = shape[1];
  if (kind === "none") return features;
  if (kind === "l2") return { data: normalizeRows(data, p), shape };
  if (!mean || !std || mean.length !== p) {
    throw new InputError(
      `Cannot z-score features [${shape}]: the model was fitted on ${mean?.length ?? 0} features`,
    );
  }
  return { data: data.map((x, at) => overDeviation(x - mean[at % p], std[at % p])), shape };
}

/** Rows divided by their Euclidean norms; a row of zeros stays zero. */
export function normalizeRows(
  data: Float32Array<ArrayBuffer>,
  nColumns: number,
): Float32Array<ArrayBuffer> {
  const unit = new Float32Array(data.length);
  for (let start = 0; start < data.length; start += nColumns) {
    let squares = 0;
    for (let j = 0; j < nColumns; j++) squares += data[start + j] ** 2;
    const inverse = squares > 0 ? 1 / Math.sqrt(squares) : 0;
    for (let j = 0; j < nColumns; j++) unit[start + j] = data[start + j] * inverse;
  }
  return unit;
}
