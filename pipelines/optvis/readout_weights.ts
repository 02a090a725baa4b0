import type { HostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";

/** How the weights of a region's voxels become one readout. */
export type ReadoutPooling = "mean" | "accuracy" | "zscore" | "median" | "top" | "component";

/** Options of {@link roiReadout}. */
export interface RoiReadoutOptions {
  /**
   * `"mean"` of the voxels' weights (VWAM); `"accuracy"` weights each voxel by its prediction accuracy, none below 0; `"zscore"` makes each
   * voxel's weights mean 0 and standard deviation 1 first; `"median"` of each feature; `"top"` is the mean of the best-predicted voxels; `"component"` is the
   * direction that voxels' weights of length 1 share most (first component about 0, on the side of their mean; of length 1 in itself).
   */
  readonly pooling?: ReadoutPooling;
  /** Prediction accuracy of every voxel of the encoder, such as r, `[nVoxels]`; for `"accuracy"` and `"top"`. */
  readonly accuracy?: ArrayLike<number>;
  /** Voxels that `"top"` takes. */
  readonly nTop?: number;
  /** Whether the result has length 1 (default true, VWAM's). */
  readonly isUnit?: boolean;
}

/**
 * Weights of length 1.
 *
 * @throws {InputError} when they are all 0, or one is not finite
 */
export function unitWeights(weights: ArrayLike<number>): Float64Array<ArrayBuffer> {
  const values = Float64Array.from(weights);
  const length = Math.sqrt(values.reduce((s, v) => s + v * v, 0));
  if (!(length > 0 && length < Infinity)) {
    throw new InputError(
      `Cannot read out: the weights must be finite and not all 0, their length is ${length}`,
    );
  }
  return values.map((v) => v / length);
}

function requireVoxels(voxels: ArrayLike<number>, count: number): number[] {
  const list = Array.from(voxels);
  const bad = list.find((v) => !(Number.isInteger(v) && v >= 0 && v < count));
  if (list.length === 0 || bad !== undefined) {
    throw new InputError(
      list.length === 0
        ? "Cannot read a region out: it has no voxel"
        : `Cannot read voxel ${bad} out: the encoder has ${count}, counted from 0`,
    );
  }
  return list;
}

/** Voxels with their shares of the region. */
function sharesOf(
  voxels: readonly number[],
  { pooling = "mean", accuracy, nTop = 100 }: RoiReadoutOptions,
): { voxel: number; share: number }[] {
  if (pooling !== "accuracy" && pooling !== "top") {
    return voxels.map((voxel) => ({ voxel, share: 1 / voxels.length }));
  }
  if (!accuracy) {
    throw new InputError(`Cannot pool voxels by "${pooling}": give the accuracy of every voxel`);
  }
  const score = (v: number) => Number.isFinite(accuracy[v]) ? Math.max(0, accuracy[v]) : 0;
  if (pooling === "top") {
    const best = [...voxels].sort((a, b) => score(b) - score(a) || a - b).slice(0, nTop);
    return best.map((voxel) => ({ voxel, share: 1 / best.length }));
  }
  const total = voxels.reduce((sum, v) => sum + Math.sqrt(score(v)), 0);
  if (!(total > 0)) {
    throw new InputError("Cannot pool voxels by accuracy: none of the region is above 0");
  }
  return voxels.map((voxel) => ({ voxel, share: Math.sqrt(score(voxel)) / total }));
}

function medianRow(row: Float64Array): number {
  const sorted = row.sort(), middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * One readout of a region, in float64.
 *
 * @param coef weights of an encoder, `[nFeatures, nVoxels]`
 * @param voxels columns of the region
 * @returns `[nFeatures]`
 * @throws {InputError} for a voxel that is not there, an empty region, a missing accuracy, or weights that are all 0
 */
export function roiReadout(
  coef: HostMatrix,
  voxels: ArrayLike<number>,
  options: RoiReadoutOptions = {},
): Float64Array<ArrayBuffer> {
  const { data, shape: [nFeatures, nVoxels] } = coef;
  const { pooling = "mean", isUnit = true } = options;
  const list = requireVoxels(voxels, nVoxels);
  if (pooling === "component") return firstComponent(coef, list);
  const shares = sharesOf(list, options);
  const pooled = new Float64Array(nFeatures);
  if (pooling === "median") {
    for (let p = 0; p < nFeatures; p++) {
      pooled[p] = medianRow(Float64Array.from(list, (v) => data[p * nVoxels + v]));
    }
  } else {
    for (const { voxel, share } of shares) {
      const { mean, sd } = pooling === "zscore" ? momentsOf(coef, voxel) : { mean: 0, sd: 1 };
      for (let p = 0; p < nFeatures; p++) {
        pooled[p] += share * (data[p * nVoxels + voxel] - mean) / sd;
      }
    }
  }
  return isUnit ? unitWeights(pooled) : pooled;
}

const MOST_TURNS = 1000, CONVERGED = 1e-12; // of power iteration, and the change of length 1 that ends it

/** The first component of columns of length 1, by power iteration from their mean. */
function firstComponent(
  { data, shape: [nFeatures, nVoxels] }: HostMatrix,
  voxels: readonly number[],
): Float64Array<ArrayBuffer> {
  const columns = voxels.map((v) =>
    unitWeights(Float64Array.from({ length: nFeatures }, (_, p) => data[p * nVoxels + v]))
  );
  const sumOf = (shares: readonly number[]) => {
    const sum = new Float64Array(nFeatures);
    columns.forEach((column, v) => column.forEach((w, p) => sum[p] += shares[v] * w));
    return unitWeights(sum);
  };
  let direction = sumOf(columns.map(() => 1));
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    const next = sumOf(
      columns.map((column) => column.reduce((s, w, p) => s + w * direction[p], 0)),
    );
    const change = next.reduce((s, w, p) => s + (w - direction[p]) ** 2, 0);
    direction = next;
    if (change <= CONVERGED ** 2) break;
  }
  return direction;
}

function momentsOf({ data, shape: [n, cols] }: HostMatrix, column: number) {
  let sum = 0, squares = 0;
  for (let p = 0; p < n; p++) sum += data[p * cols + column];
  const mean = sum / n;
  for (let p = 0; p < n; p++) squares += (data[p * cols + column] - mean) ** 2;
  return { mean, sd: Math.sqrt(squares / n) || 1 };
}

/**
 * What drives one region and not another: the difference of two readouts, each of length 1 (VWAM).
 *
 * @throws {InputError} when their sizes differ or one is all 0
 */
export function contrastReadout(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
): Float64Array<ArrayBuffer> {
  return suppressedReadout(a, [b], { strength: 1 });
}

/** Options of {@link suppressedReadout}. */
export interface SuppressOptions {
  /** Share of the competitors' mean that is taken away. */
  readonly strength?: number;
}

/**
 * A region's readout less the mean of its competitors', all of length 1: `w − strength · mean_j w_j`.
 *
 * @throws {InputError} when sizes differ, there is no competitor, or a readout is all 0
 */
export function suppressedReadout(
  target: ArrayLike<number>,
  competitors: readonly ArrayLike<number>[],
  { strength = 1 }: SuppressOptions = {},
): Float64Array<ArrayBuffer> {
  if (competitors.length === 0 || competitors.some((c) => c.length !== target.length)) {
    throw new InputError(
      `Cannot suppress competitors: there must be some, each with ${target.length} weights, got [${
        competitors.map((c) => c.length)
      }]`,
    );
  }
  const own = unitWeights(target), others = competitors.map(unitWeights);
  return own.map((w, p) => w - strength * others.reduce((s, o) => s + o[p], 0) / others.length);
}

/**
 * The mean of several subjects' readouts of one region, each of length 1 first, and of length 1 itself: what is optimised for subjects who
 * were not in it.
 *
 * @param readouts one per subject, over the same features
 * @throws {InputError} when there is none, sizes differ, or one is all 0
 */
export function pooledReadout(
  readouts: readonly ArrayLike<number>[],
): Float64Array<ArrayBuffer> {
  const size = readouts[0]?.length;
  if (size === undefined || readouts.some((row) => row.length !== size)) {
    throw new InputError(
      `Cannot pool readouts: there must be some, of one size, got [${
        readouts.map((row) => row.length)
      }]`,
    );
  }
  const units = readouts.map(unitWeights);
  return unitWeights(
    Float64Array.from({ length: size }, (_, p) => units.reduce((s, w) => s + w[p], 0)),
  );
}

/** Layers whose flattened features follow each other. */
export type LayerSizes = readonly { readonly layer: string; readonly size: number }[];

/**
 * Cuts readouts of concatenated features into the layers' own.
 *
 * @param readouts one row of weights per image, or one for all
 * @param layers sizes in the order of the features
 * @returns weights of each layer, `[nReadouts, size]`, row-major
 * @throws {InputError} when the sizes do not add up
 */
export function splitReadouts(
  readouts: readonly ArrayLike<number>[],
  layers: LayerSizes,
): ReadonlyMap<string, Float32Array<ArrayBuffer>> {
  const total = layers.reduce((sum, { size }) => sum + size, 0);
  const bad = readouts.find((row) => row.length !== total);
  if (readouts.length === 0 || bad) {
    throw new InputError(
      `Cannot split readouts over ${layers.length} layers: each must have ${total} weights, got ${
        bad?.length ?? "none"
      }`,
    );
  }
  let start = 0;
  return new Map(layers.map(({ layer, size }) => {
    const values = new Float32Array(readouts.length * size);
    readouts.forEach((row, r) => {
      for (let p = 0; p < size; p++) values[r * size + p] = row[start + p];
    });
    start += size;
    return [layer, values];
  }));
}
