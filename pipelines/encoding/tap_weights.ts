import type { Gpu } from "../../engine/gpu.ts";
import { InputError } from "../errors.ts";
import { type FeatureLayer, layerGroups } from "./feature_layers.ts";
import { delaysOf, featureWeights } from "./feature_weights.ts";
import { type HostMatrix, range } from "./host_matrix.ts";
import type { EncodingModel, LongCall } from "./linear_model.ts";

/** How the weights of each target lie over the taps. */
export interface TapWeights {
  /** Names of the taps. */
  readonly names: readonly string[];
  /** Sum of the weights, `[nTaps, nTargets]`. */
  readonly sum: Float64Array<ArrayBuffer>;
  /** Euclidean length of the weights, `[nTaps, nTargets]`. */
  readonly norm: Float64Array<ArrayBuffer>;
  /** Share of the squared length of all weights, `[nTaps, nTargets]`: over the taps it sums to 1; 0 where all weights are 0. */
  readonly share: Float64Array<ArrayBuffer>;
  /** Tap of the largest sum, `[nTargets]`: `compute_argmax_layer` of VWAM; the first of equals. */
  readonly argmaxSum: Uint32Array<ArrayBuffer>;
  /** Tap of the largest length, `[nTargets]`; the first of equals. */
  readonly argmaxNorm: Uint32Array<ArrayBuffer>;
}

/** Options of {@link tapWeights}. */
export interface TapWeightsOptions {
  /** Delays whose weights follow each other in `coef` (default 1): those of all count. */
  readonly nDelays?: number;
}

/** Options of {@link modelTapWeights}. */
export interface ModelTapWeightsOptions extends LongCall {
  /** Targets whose weights are in memory at once (default: by the number of features). */
  readonly nTargetsBatch?: number;
}

/** Values of weights that are in memory at once. */
const VALUES_AT_ONCE = 2 ** 25;

/** Row of the largest value of each column; the first of equals. */
function argmaxRows(
  values: Float64Array,
  nTargets: number,
): Uint32Array<ArrayBuffer> {
  const best = new Uint32Array(nTargets);
  for (let at = nTargets; at < values.length; at++) {
    const t = at % nTargets;
    if (values[at] > values[best[t] * nTargets + t]) best[t] = Math.floor(at / nTargets);
  }
  return best;
}

/** Sums and sums of squares of the weights of each tap, `[nTaps, nTargets]`. */
interface TapSums {
  readonly sum: Float64Array<ArrayBuffer>;
  readonly squares: Float64Array<ArrayBuffer>;
}

function tapSums(
  { data, shape: [rows, nTargets] }: HostMatrix,
  groups: Float64Array,
  nTaps: number,
): TapSums {
  const sum = new Float64Array(nTaps * nTargets), squares = sum.slice();
  for (let row = 0; row < rows; row++) {
    const to = groups[row % groups.length] * nTargets, from = row * nTargets;
    for (let t = 0; t < nTargets; t++) {
      sum[to + t] += data[from + t];
      squares[to + t] += data[from + t] ** 2;
    }
  }
  return { sum, squares };
}

function summarise(layers: readonly FeatureLayer[], { sum, squares }: TapSums): TapWeights {
  const nTargets = sum.length / layers.length;
  const total = new Float64Array(nTargets);
  squares.forEach((value, at) => total[at % nTargets] += value);
  const norm = squares.map(Math.sqrt);
  return {
    ...{ names: layers.map(({ name }) => name), sum, norm },
    share: squares.map((value, at) => total[at % nTargets] > 0 ? value / total[at % nTargets] : 0),
    argmaxSum: argmaxRows(sum, nTargets),
    argmaxNorm: argmaxRows(norm, nTargets),
  };
}

/**
 * How the weights of each target lie over the taps that the features come from.
 *
 * @param coef `[nDelays · nFeatures, nTargets]`, delay after delay
 * @param taps in the order of the features, as `planTaps` gives them
 * @throws {InputError} when the rows are not the features of the taps at that many delays
 */
export function tapWeights(
  coef: HostMatrix,
  taps: readonly FeatureLayer[],
  { nDelays = 1 }: TapWeightsOptions = {},
): TapWeights {
  const [rows] = coef.shape;
  if (!(Number.isInteger(nDelays) && nDelays >= 1 && rows % nDelays === 0)) {
    throw new InputError(
      `Cannot sum the weights of taps: ${rows} rows are not the features of ${nDelays} delays`,
    );
  }
  return summarise(taps, tapSums(coef, layerGroups(taps, rows / nDelays), taps.length));
}

/**
 * {@link tapWeights} of a fitted model of any kind. The weights of one that is kept as coefficients of samples are made block by block
 * of targets, never all at once. They are those of normalised features where the encoder normalises.
 *
 * @param taps in the order of the features
 * @throws {InputError} when the model has not the features of the taps
 */
export async function modelTapWeights(
  gpu: Gpu,
  model: EncodingModel,
  taps: readonly FeatureLayer[],
  { nTargetsBatch, signal, onProgress }: ModelTapWeightsOptions = {},
): Promise<TapWeights> {
  const { nFeatures, nTargets } = model;
  const groups = layerGroups(taps, nFeatures);
  const rows = delaysOf(model).length * nFeatures;
  const step = nTargetsBatch ?? Math.max(1, Math.floor(VALUES_AT_ONCE / rows));
  const sum = new Float64Array(taps.length * nTargets), squares = sum.slice();
  for (let first = 0; first < nTargets; first += step) {
    signal?.throwIfAborted();
    onProgress?.({ stage: "weights", done: first, total: nTargets });
    const targets = range(nTargets).subarray(first, first + step);
    const part = tapSums(await featureWeights(gpu, model, targets), groups, taps.length);
    for (let tap = 0; tap < taps.length; tap++) {
      const [from, to] = [tap * targets.length, (tap + 1) * targets.length];
      sum.set(part.sum.subarray(from, to), tap * nTargets + first);
      squares.set(part.squares.subarray(from, to), tap * nTargets + first);
    }
  }
  onProgress?.({ stage: "weights", done: nTargets, total: nTargets });
  return summarise(taps, { sum, squares });
}
