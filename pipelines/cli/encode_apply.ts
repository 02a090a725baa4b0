/**
 * Predictions and scores of a fitted encoder, written as HDF5.
 *
 * @module
 */
import { randomKey } from "../../engine/random.ts";
import type { Encoder } from "../encoding/encoder.ts";
import { FittedGroupRidge } from "../encoding/fitted_group_ridge.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { normalizeFeatures } from "../encoding/normalize.ts";
import { correlationScore, r2Score } from "../encoding/scoring.ts";
import { correlationScoreSplit, r2ScoreSplit } from "../encoding/variance_split.ts";
import { median } from "../stats/median.ts";
import { InputError } from "../errors.ts";
import { requireFinite, requireSameRows } from "../io/checks.ts";
import { Hdf5Writer } from "../io/hdf5_writer.ts";
import { quote } from "../io/strict_json.ts";
import { bhFdr } from "../stats/fdr.ts";
import { permutationTest } from "../stats/permutation.ts";
import type { GlobalOptions } from "./options.ts";
import { type NamedMatrix, openSamples, readSamples, readVector, slabRows } from "./read_matrix.ts";

const BYTES_AT_ONCE = 64 * 2 ** 20;

/** Options of `encode predict` and `encode score`. */
export interface ApplyOptions extends GlobalOptions {
  /** File of the encoder. */
  readonly encoder: string;
  /** Reference of the features. */
  readonly features: string;
  /** Reference of the run of each sample, where features are delayed. */
  readonly runs?: string;
  /** Reference of the responses, for `score`. */
  readonly responses?: string;
  /** Reference of the noise ceiling, for `score`. */
  readonly noiseCeiling?: string;
  /** Random orders of a permutation test, for `score`. */
  readonly permutations?: number;
  /** Samples that a permutation keeps together. */
  readonly blockLength?: number;
}

/** Where a result is written. */
export interface Target extends LongCall {
  /** A file that does not exist yet. */
  readonly path: string;
}

/** Predicts in slabs of rows, so that memory does not grow with the number of samples. */
export async function predictTo(
  encoder: Encoder,
  options: ApplyOptions,
  { path, onProgress }: Target,
): Promise<Record<string, unknown>> {
  const { rows, shape: [n, p] } = await openSamples(options.features, "features");
  using _rows = rows;
  requireFeatures(encoder, options.features, p);
  using file = await Hdf5Writer.create(path, { inPlace: true });
  file.createDataset("/predictions", { shape: [n, encoder.nTargets], dtype: "f32" });
  const runs = options.runs === undefined
    ? undefined
    : await readVector(options.runs, n, "one per sample");
  // Delayed features reach back into the rows before: they are read whole.
  const isDelayed = "delays" in encoder.model && encoder.model.delays !== undefined;
  const step = isDelayed ? n : slabRows(rows, BYTES_AT_ONCE / 4 / Math.max(p, encoder.nTargets));
  for (let start = 0; start < n; start += step) {
    const end = Math.min(n, start + step);
    const part = rows.readRows(start, end);
    requireFinite(part, { source: options.features, columns: p, firstRow: start });
    const { data } = await encoder.predict(hostMatrix(part, [end - start, p]), { runs });
    file.writeRows("/predictions", start, data);
    onProgress?.({ stage: "predict", done: end, total: n });
  }
  file.commit();
  return { nSamples: n, nTargets: encoder.nTargets };
}

/** Scores every target, and where a noise ceiling is given how much of what can be explained is explained. */
export async function scoreTo(
  encoder: Encoder,
  options: ApplyOptions,
  { path, onProgress }: Target,
): Promise<Record<string, unknown>> {
  const features = await readSamples(options.features, "features");
  const responses = await readSamples(options.responses!, "targets");
  requireSameRows(features, responses);
  requireFeatures(encoder, options.features, features.shape[1]);
  const nTargets = encoder.nTargets;
  requireTargets(encoder, responses);
  const ceiling = options.noiseCeiling === undefined
    ? undefined
    : await readCeiling(options.noiseCeiling, nTargets);
  const runs = options.runs === undefined
    ? undefined
    : await readVector(options.runs, features.shape[0], "one per sample");
  const predictions = await encoder.predict(features, { runs });
  const r2 = r2Score(responses, predictions);
  const correlation = correlationScore(responses, predictions);
  const arrays: Record<string, Float64Array<ArrayBuffer>> = { r2, correlation };
  const results: Record<string, unknown> = {
    ...{ nSamples: features.shape[0], nTargets },
    ...{ medianR2: median(r2), medianCorrelation: median(correlation) },
  };
  if (ceiling) {
    // NaN where nothing can be explained: a share of nothing is no number.
    const share = r2.map((value, t) => ceiling[t] > 0 ? value / ceiling[t] : NaN);
    Object.assign(arrays, { noiseCeiling: ceiling, r2OfCeiling: share });
    results.medianR2OfCeiling = median(share.filter((value) => !Number.isNaN(value)));
  }
  const splits = await bandSplits(encoder, { features, responses, runs });
  const { permutations: nPermutations, blockLength, seed } = options;
  if (nPermutations !== undefined) {
    const { pValues } = await permutationTest(predictions, responses, {
      ...{ nPermutations, key: randomKey(seed), blockLength, runs, onProgress },
    });
    const qValues = bhFdr(pValues);
    Object.assign(arrays, { pValues, qValues });
    results.significantTargets = qValues.filter((q) => q < 0.05).length;
  }
  using file = await Hdf5Writer.create(path, { inPlace: true });
  for (const [name, values] of Object.entries(arrays)) {
    file.createDataset(`/${name}`, { shape: [nTargets], dtype: "f64" });
    file.writeRows(`/${name}`, 0, values);
  }
  for (const [name, values] of Object.entries(splits)) {
    file.createDataset(`/${name}`, { shape: [values.length / nTargets, nTargets], dtype: "f64" });
    file.writeRows(`/${name}`, 0, values);
  }
  const { bandNames } = encoder.options;
  if (Array.isArray(bandNames)) file.writeStrings("/bandNames", bandNames.map(String));
  file.commit();
  return results;
}

/** Parts of the scores that each band of a banded model explains, `[nBands, nTargets]`; nothing for other models. */
async function bandSplits(
  { model, normalizer }: Encoder,
  { features, responses, runs }: {
    features: HostMatrix;
    responses: HostMatrix;
    runs?: ArrayLike<number>;
  },
): Promise<Record<string, Float64Array<ArrayBuffer>>> {
  if (!(model instanceof FittedGroupRidge)) return {};
  const bands = await model.predictBands(normalizeFeatures(features, normalizer), { runs });
  return {
    r2Split: r2ScoreSplit(responses, bands, { intercept: model.intercept }),
    correlationSplit: correlationScoreSplit(responses, bands),
  };
}

/**
 * Refuses features that an encoder does not take.
 *
 * @throws {InputError} naming both numbers
 */
export function requireFeatures(encoder: Encoder, source: string, nFeatures: number): void {
  if (nFeatures === encoder.nFeatures) return;
  throw new InputError(
    `Cannot predict from ${
      quote(source)
    }: the encoder was fitted on ${encoder.nFeatures} features, it has ${nFeatures}`,
  );
}

/**
 * Refuses responses of other targets than an encoder's.
 *
 * @throws {InputError} naming both numbers
 */
export function requireTargets(encoder: Encoder, { source, shape }: NamedMatrix): void {
  if (shape[1] === encoder.nTargets) return;
  throw new InputError(
    `Cannot score with ${quote(source)}: the encoder predicts ${encoder.nTargets} targets, ` +
      `its shape is [${shape}]`,
  );
}

async function readCeiling(source: string, nTargets: number): Promise<Float64Array<ArrayBuffer>> {
  const { data } = await readSamples(source, "1");
  if (data.length !== nTargets) {
    throw new InputError(
      `Cannot use the noise ceiling ${
        quote(source)
      }: ${nTargets} values are needed, one per target, it has ${data.length}`,
    );
  }
  const bad = data.findIndex((value) => !(value >= 0 && value <= 1));
  if (bad >= 0) {
    throw new InputError(
      `Cannot use the noise ceiling ${
        quote(source)
      }: it must be a share of the variance from 0 to 1 ` +
        `(percent divided by 100), target ${bad} has ${data[bad]}`,
    );
  }
  return Float64Array.from(data);
}
