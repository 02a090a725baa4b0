import type { Gpu } from "../../engine/gpu.ts";
import { InputError } from "../errors.ts";
import type { Encoder } from "./encoder.ts";
import {
  type FeatureLayer,
  type FeatureStage,
  featureStages,
  layerStages,
  requireLayers,
} from "./feature_layers.ts";
import { delaysOf } from "./feature_weights.ts";
import { FittedGroupRidge } from "./fitted_group_ridge.ts";
import { RidgeModel } from "./fitted_ridge.ts";
import { columnMeans, type HostMatrix, hostMatrix, range, takeColumns } from "./host_matrix.ts";
import type { EncodingModel, LongCall } from "./linear_model.ts";
import { normalizeFeatures } from "./normalize.ts";
import { correlationScoreSplit, r2ScoreSplit } from "./variance_split.ts";

/** How much of each target's score every layer explains. */
export interface LayerSplit {
  /** Names of the layers. */
  readonly names: readonly string[];
  /** Parts of R², `[nLayers, nTargets]`: over the layers they sum to the R² of the prediction. */
  readonly r2: Float64Array<ArrayBuffer>;
  /** Parts of the correlation, `[nLayers, nTargets]`: over the layers they sum to that of the prediction. */
  readonly correlation: Float64Array<ArrayBuffer>;
}

/** Samples that a score is split on. */
export interface SplitSamples {
  /** As they came from the network, `[nSamples, nFeatures]`. */
  readonly features: HostMatrix;
  /** Measured, `[nSamples, nTargets]`. */
  readonly responses: HostMatrix;
  /** Run of each sample, where features are delayed. */
  readonly runs?: ArrayLike<number>;
}

/** Options of {@link splitByLayer}. */
export interface LayerSplitOptions extends LongCall {
  /** Targets whose predictions by every layer are in memory at once (default: by the number of samples). */
  readonly nTargetsBatch?: number;
}

/** Predicted values that are in memory at once. */
const VALUES_AT_ONCE = 2 ** 24;

/** A run of features, of which a model is told to know no others. */
interface FeatureSpan {
  readonly start: number;
  readonly end: number;
}

/** What features `start` to before `end` add to the predictions of some targets: a model of these features, without an intercept. */
function partOf(
  gpu: Gpu,
  model: EncodingModel,
  { start, end, targets }: FeatureSpan & { readonly targets: Uint32Array<ArrayBuffer> },
): EncodingModel {
  const intercept = new Float32Array(targets.length);
  const span = range(end).subarray(start);
  const isRidge = model instanceof RidgeModel || model instanceof FittedGroupRidge;
  const { delays, delayOptions } = isRidge ? model : {};
  if (model.coef) {
    const { data, shape: [, nTargets] } = model.coef;
    const rows = delaysOf(model).flatMap((_, d) =>
      Array.from(span, (j) => d * model.nFeatures + j)
    );
    const coef = new Float32Array(rows.length * targets.length);
    rows.forEach((row, r) =>
      targets.forEach((t, at) => coef[r * targets.length + at] = data[row * nTargets + t])
    );
    return new RidgeModel(gpu, {
      coef: hostMatrix(coef, [rows.length, targets.length]),
      ...{ intercept, fitIntercept: false, delays, delayOptions },
    });
  }
  if (!isRidge || !model.xFit || !model.dualCoef) {
    throw new Error("unreachable: a model has coefficients of features or of samples");
  }
  const parts = {
    ...{ xFit: takeColumns(model.xFit, span), dualCoef: takeColumns(model.dualCoef, targets) },
    ...{ intercept, fitIntercept: model.fitIntercept, delays, delayOptions },
  };
  if (!(model instanceof FittedGroupRidge)) return new RidgeModel(gpu, parts);
  const { labels, bandOf } = model.bands;
  const own = (values: Float64Array) => Float64Array.from(targets, (t) => values[t]);
  return new FittedGroupRidge(gpu, {
    ...parts,
    ...{ gammas: model.gammas, alphas: model.alphas, cvScores: new Float64Array(0) },
    bands: { labels, bandOf: bandOf.slice(start, end) },
    bestGammas: Uint32Array.from(targets, (t) => model.bestGammas[t]),
    ...{ bestAlphas: own(model.bestAlphas), cvR2: own(model.cvR2) },
  });
}

/** Takes the mean over the rows off every column, in place. */
function centre(matrix: HostMatrix): Float64Array {
  const { data, shape: [rows, cols] } = matrix;
  const means = columnMeans(matrix, range(rows));
  data.forEach((value, at) => data[at] = value - means[at % cols]);
  return means;
}

/** The parts of some targets. */
async function splitTargets(
  gpu: Gpu,
  model: EncodingModel,
  { columns, spans, responses, runs, targets }: {
    readonly columns: readonly HostMatrix[];
    readonly spans: readonly FeatureSpan[];
    readonly responses: HostMatrix;
    readonly runs?: ArrayLike<number>;
    readonly targets: Uint32Array<ArrayBuffer>;
  },
): Promise<Pick<LayerSplit, "r2" | "correlation">> {
  const intercept = Float64Array.from(targets, (t) => model.intercept[t]);
  const predictions: HostMatrix[] = [];
  for (const [layer, span] of spans.entries()) {
    const part = await partOf(gpu, model, { ...span, targets }).predict(columns[layer], { runs });
    centre(part).forEach((mean, t) => intercept[t] += mean);
    predictions.push(part);
  }
  const measured = takeColumns(responses, targets);
  return {
    r2: r2ScoreSplit(measured, predictions, { intercept }),
    correlation: correlationScoreSplit(measured, predictions),
  };
}

/**
 * Splits R² and correlation of an encoder's predictions over the layers that its features come from, by the product measure
 * ({@link r2ScoreSplit}) and its counterpart for the correlation ({@link correlationScoreSplit}). Every layer's prediction is centred
 * over the samples first, as features after a ReLU have large means that the intercept takes back: what all of them together differ
 * from the responses' mean is given to the layers in equal parts. Works for a model of any kind, block by block of targets.
 *
 * @param layers in the order of the features
 * @throws {InputError} when shapes differ or the layers are not those of the features
 */
export async function splitByLayer(
  gpu: Gpu,
  { model, normalizer }: Pick<Encoder, "model" | "normalizer">,
  { features, responses, runs }: SplitSamples,
  layers: readonly FeatureLayer[],
  { nTargetsBatch, signal, onProgress }: LayerSplitOptions = {},
): Promise<LayerSplit> {
  const { nFeatures, nTargets } = model;
  requireLayers(layers, nFeatures);
  const [n, p] = features.shape;
  if (p !== nFeatures || responses.shape[0] !== n || responses.shape[1] !== nTargets || n === 0) {
    throw new InputError(
      `Cannot split the score of ${nFeatures} features and ${nTargets} targets: features are [${features.shape}], responses [${responses.shape}]`,
    );
  }
  const normalized = normalizeFeatures(features, normalizer);
  let end = 0;
  const spans = layers.map(({ length }) => ({ start: end, end: end += length }));
  const columns = spans.map(({ start, end }) =>
    takeColumns(normalized, range(end).subarray(start))
  );
  const step = nTargetsBatch ?? Math.max(1, Math.floor(VALUES_AT_ONCE / n / layers.length));
  const [r2, correlation] = [0, 0].map(() => new Float64Array(layers.length * nTargets));
  for (let first = 0; first < nTargets; first += step) {
    signal?.throwIfAborted();
    onProgress?.({ stage: "split", done: first, total: nTargets });
    const targets = range(Math.min(nTargets, first + step)).slice(first);
    const part = await splitTargets(gpu, model, { columns, spans, responses, runs, targets });
    for (let layer = 0; layer < layers.length; layer++) {
      const from = layer * targets.length, to = layer * nTargets + first;
      r2.set(part.r2.subarray(from, from + targets.length), to);
      correlation.set(part.correlation.subarray(from, from + targets.length), to);
    }
  }
  onProgress?.({ stage: "split", done: nTargets, total: nTargets });
  return { names: layers.map(({ name }) => name), r2, correlation };
}

/** Values of layers summed up by stage. */
export interface StageSums {
  /** Stages that occur, from early to late. */
  readonly stages: readonly FeatureStage[];
  /** `[nStages, nTargets]` */
  readonly values: Float64Array<ArrayBuffer>;
}

/**
 * Sums parts of layers over early, middle and late ones ({@link layerStages}).
 *
 * @param names of the layers
 * @param parts of a score or of squared weights, `[nLayers, nTargets]`
 * @throws {InputError} when the parts are not of as many layers, or the layers have no stages
 */
export function sumStages(names: readonly string[], parts: Float64Array): StageSums {
  const stages = layerStages(names);
  const nTargets = parts.length / names.length;
  if (!Number.isInteger(nTargets)) {
    throw new InputError(
      `Cannot sum ${parts.length} parts by stage: there are ${names.length} layers`,
    );
  }
  const there = featureStages.filter((stage) => stages.includes(stage));
  const values = new Float64Array(there.length * nTargets);
  parts.forEach((part, at) => {
    const stage = there.indexOf(stages[Math.floor(at / nTargets)]);
    values[stage * nTargets + at % nTargets] += part;
  });
  return { stages: there, values };
}
