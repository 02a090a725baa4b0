/**
 * How much of measured responses a model could explain at best, from repeats of the same stimuli.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import type { HostMatrix } from "./host_matrix.ts";
import { rowsByLabel } from "./runs.ts";

/** Responses to the same samples measured several times, row-major. */
export interface Repeats {
  /** Values, `[nRepeats, nSamples, nTargets]`. */
  readonly data: Float32Array | Float64Array;
  /** Repeats, samples and targets. */
  readonly shape: readonly [number, number, number];
}

function requireRepeats({ data, shape }: Repeats): void {
  const [nRepeats, nSamples, nTargets] = shape;
  if (nRepeats < 2 || nSamples < 2 || data.length !== nRepeats * nSamples * nTargets) {
    throw new InputError(
      `Cannot compare the repeats [${shape}] of ${data.length} values: there must be two repeats or more of two samples or more`,
    );
  }
}

type Series = Float64Array<ArrayBuffer>;

/** Some targets of one repeat as series over samples, each z-scored (n − 1) where asked; a constant one becomes 0. */
function seriesOf(
  { data, shape: [, nSamples, nTargets] }: Repeats,
  repeat: number,
  { start, end }: { start: number; end: number },
  isZscored: boolean,
): Series[] {
  const some = Array.from({ length: end - start }, () => new Float64Array(nSamples));
  for (let t = 0; t < nSamples; t++) {
    const row = (repeat * nSamples + t) * nTargets + start;
    for (let v = 0; v < some.length; v++) some[v][t] = data[row + v];
  }
  return isZscored ? some.map(standardized) : some;
}

// Plain loops: the methods of typed arrays cost several times as much.

function meanOf(values: Series): number {
  let sum = 0;
  for (let t = 0; t < values.length; t++) sum += values[t];
  return sum / values.length;
}

/** Variance with n − 1. */
function variance(values: Series): number {
  const mean = meanOf(values);
  let squares = 0;
  for (let t = 0; t < values.length; t++) squares += (values[t] - mean) ** 2;
  return squares / (values.length - 1);
}

function standardized(values: Series): Series {
  const mean = meanOf(values);
  let varies = false;
  for (let t = 0; t < values.length && !varies; t++) varies = values[t] !== values[0];
  const scale = varies ? 1 / Math.sqrt(variance(values)) : 0;
  for (let t = 0; t < values.length; t++) values[t] = (values[t] - mean) * scale;
  return values;
}

/** What repeats of one target share. */
interface Shared {
  /** Mean over the repeats, `[nSamples]`. */
  readonly mean: Series;
  /** Its variance divided by the mean of the repeats' variances. */
  readonly ev: number;
}

const BLOCK = 64; // targets whose series are in memory together: neighbours in a row of the data

/** Calls back with some targets at a time. */
function forBlocks(
  repeats: Repeats,
  isZscored: boolean,
  take: (shared: readonly Shared[], targets: { start: number; end: number }) => void,
): void {
  const [nRepeats, nSamples, nTargets] = repeats.shape;
  for (let start = 0; start < nTargets; start += BLOCK) {
    const targets = { start, end: Math.min(nTargets, start + BLOCK) };
    const means = Array.from({ length: targets.end - start }, () => new Float64Array(nSamples));
    const each = new Float64Array(means.length);
    for (let r = 0; r < nRepeats; r++) {
      seriesOf(repeats, r, targets, isZscored).forEach((values, v) => {
        for (let t = 0; t < nSamples; t++) means[v][t] += values[t] / nRepeats;
        each[v] += variance(values) / nRepeats;
      });
    }
    // 0 / 0 for a constant target.
    take(means.map((mean, v) => ({ mean, ev: variance(mean) / each[v] })), targets);
  }
}

/** Takes off what noise alone would give. */
function corrected(ev: number, nRepeats: number): number {
  return ev - (1 - ev) / (nRepeats - 1);
}

/**
 * Explainable variance of each target: the variance over samples of the mean of the repeats, divided by the mean of the repeats'
 * variances (both n − 1), as himalaya's tutorials on voxelwise modelling compute it.
 *
 * @param options.biasCorrection takes off what noise alone would give: `ev − (1 − ev) / (nRepeats − 1)`, which can be below 0
 * @param options.zscored z-scores each repeat over its samples first
 * @returns `[nTargets]` in float64, NaN for a target that is constant in all repeats
 * @throws {InputError} when there are fewer than two repeats or samples, or the values do not fit the shape
 */
export function explainableVariance(
  repeats: Repeats,
  { biasCorrection = true, zscored = true }: { biasCorrection?: boolean; zscored?: boolean } = {},
): Float64Array<ArrayBuffer> {
  requireRepeats(repeats);
  const [nRepeats, , nTargets] = repeats.shape;
  const out = new Float64Array(nTargets);
  forBlocks(repeats, zscored, (shared, { start }) => {
    shared.forEach(({ ev }, v) => out[start + v] = biasCorrection ? corrected(ev, nRepeats) : ev);
  });
  return out;
}

// The voxelwise modelling tutorials keep voxels with an explainable variance above this.
const LEAST_EXPLAINABLE = 0.1;

/**
 * Correlation of predictions with what repeats of the responses share, as tikreg's: `Σ_t ȳ_t·ŷ_t / (nSamples − 1) / √ev`, where every
 * repeat is z-scored before the mean ȳ over repeats, ŷ is z-scored, and ev is the corrected {@link explainableVariance}. A perfect
 * model of the signal reaches 1 on average, whatever the noise. (tikreg z-scores with n, which makes all values `n / (n − 1)` larger.)
 *
 * @param predictions `[nSamples, nTargets]`
 * @param options.least explainable variance below which the result is NaN: it would divide by noise
 * @returns `[nTargets]` in float64; 0 where predictions are constant, NaN where `ev` is below `least` or not a number
 * @throws {InputError} when predictions and repeats do not fit, `least` is not above 0, or as {@link explainableVariance} says
 */
export function correctedCorrelation(
  repeats: Repeats,
  predictions: HostMatrix,
  { least = LEAST_EXPLAINABLE }: { least?: number } = {},
): Float64Array<ArrayBuffer> {
  requireRepeats(repeats);
  const [nRepeats, nSamples, nTargets] = repeats.shape;
  if (predictions.shape[0] !== nSamples || predictions.shape[1] !== nTargets) {
    throw new InputError(
      `Cannot score predictions [${predictions.shape}] of repeats [${repeats.shape}]: they must have the same samples and targets`,
    );
  }
  if (!(least > 0)) {
    throw new InputError(
      `Cannot correct for noise down to an explainable variance of ${least}: it must be above 0`,
    );
  }
  const predicted: Repeats = { data: predictions.data, shape: [1, nSamples, nTargets] };
  const out = new Float64Array(nTargets);
  forBlocks(repeats, true, (shared, targets) => {
    const z = seriesOf(predicted, 0, targets, true);
    shared.forEach(({ mean, ev: raw }, v) => {
      const ev = corrected(raw, nRepeats);
      const product = mean.reduce((sum, value, t) => sum + value * z[v][t], 0);
      out[targets.start + v] = ev >= least ? product / (nSamples - 1) / Math.sqrt(ev) : NaN;
    });
  });
  return out;
}

/**
 * How many images have how many trials, for {@link noiseCeiling}.
 *
 * @param trialImage image of each trial, [nTrials]
 */
export function countRepeats(trialImage: ArrayLike<number>): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const trials of rowsByLabel(trialImage).values()) {
    counts[trials.length] = (counts[trials.length] ?? 0) + 1;
  }
  return counts;
}

/**
 * Noise-ceiling signal-to-noise ratio per voxel, NSD's estimator: with betas z-scored per session, the noise variance is the mean
 * over images of the variance (n − 1) of their repeats, the signal variance is what it leaves of 1.
 *
 * Only images with `nRepeats` trials count; 0 where there is none of them, or one repeat alone. Source: Allen et al. 2022, and the NSD
 * data manual's code.
 * @param betas z-scored trials, [nTrials, nVoxels]
 * @param trialImage image of each trial, [nTrials]
 * @returns ncsnr, [nVoxels]
 * @throws {InputError} when the betas are not whole trials
 */
export function ncsnr(
  betas: Float32Array,
  trialImage: ArrayLike<number>,
  { nRepeats = 3 }: { nRepeats?: number } = {},
): Float32Array<ArrayBuffer> {
  const nTrials = trialImage.length;
  const nVoxels = betas.length / nTrials;
  if (!Number.isInteger(nVoxels)) {
    throw new InputError(
      `Cannot estimate the noise of ${betas.length} betas in ${nTrials} trials: each trial must have as many`,
    );
  }
  const complete = [...rowsByLabel(trialImage).values()]
    .filter((trials) => trials.length === nRepeats);
  const variance = new Float64Array(nVoxels);
  for (const trials of complete) {
    for (let v = 0; v < nVoxels; v++) {
      let mean = 0;
      for (const t of trials) mean += betas[t * nVoxels + v] / nRepeats;
      let squares = 0;
      for (const t of trials) squares += (betas[t * nVoxels + v] - mean) ** 2;
      variance[v] += squares / (nRepeats - 1) / complete.length;
    }
  }
  return Float32Array.from(variance, (v) => v > 0 ? Math.sqrt(Math.max(1 - v, 0) / v) : 0);
}

/**
 * Share of the variance of averaged responses that a perfect model could explain, in [0, 1]: ncsnr² / (ncsnr² + 1/n). NSD states it
 * in percent.
 * @param snr ncsnr per voxel
 * @param counts numbers of images by number of repeats: `{ 3: A, 2: B, 1: C }` makes 1/n the mean (A/3 + B/2 + C) / (A + B + C)
 */
export function noiseCeiling(
  snr: Float32Array,
  counts: Readonly<Record<number, number>> = { 3: 1 },
): Float32Array<ArrayBuffer> {
  let images = 0;
  let inverse = 0;
  for (const [repeats, count] of Object.entries(counts)) {
    images += count;
    inverse += count / Number(repeats);
  }
  return new Float32Array(snr).map((s) => s * s / (s * s + inverse / images));
}
