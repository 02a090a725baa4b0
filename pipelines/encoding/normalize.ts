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
  /** Population standard deviations of the training samples, `[nFeatures]`, for `"zscore"`. */
  readonly std?: Float64Array<ArrayBuffer>;
}

/**
 * Learns a normalisation.
 *
 * @param features training samples, `[nSamples, nFeatures]`
 * @throws {InputError} for `"zscore"` when a feature is constant
 */
export function fitNormalizer(features: HostMatrix, kind: Normalization): FeatureNormalizer {
  if (kind !== "zscore") return { kind };
  const { data, shape: [n, p] } = features;
  const mean = columnMeans(features, range(n));
  const squares = new Float64Array(p);
  for (let at = 0; at < data.length; at++) squares[at % p] += (data[at] - mean[at % p]) ** 2;
  const std = squares.map((s) => Math.sqrt(s / n));
  const constant = std.findIndex((s) => s === 0);
  if (constant >= 0) {
    throw new InputError(
      `Cannot z-score the features: column ${constant} (counted from 0) is constant; remove it or choose another normalisation`,
    );
  }
  return { kind, mean, std };
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
  return { data: data.map((x, at) => (x - mean[at % p]) / std[at % p]), shape };
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
