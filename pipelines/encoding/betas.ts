/** From single-trial betas to responses per image, as the Natural Scenes Dataset's users do it. */

// Added to a session's standard deviation, so that a voxel that never changes gives 0
// (NSD practice, see the BrainSCUBA and BrainDiVE preprocessing).
const EPSILON = 1e-6;

/**
 * Z-scores the trials of one session in place, voxel by voxel: (x − mean) / (population standard deviation + 1e-6); NaN becomes 0.
 * @param betas single-trial betas, [nTrials, nVoxels]
 */
export function zscoreSession(
  betas: Float32Array<ArrayBuffer>,
  nVoxels: number,
): Float32Array<ArrayBuffer> {
  const nTrials = betas.length / nVoxels;
  const mean = new Float64Array(nVoxels);
  const squares = new Float64Array(nVoxels);
  for (let t = 0; t < nTrials; t++) {
    for (let v = 0; v < nVoxels; v++) mean[v] += betas[t * nVoxels + v] / nTrials;
  }
  for (let t = 0; t < nTrials; t++) {
    for (let v = 0; v < nVoxels; v++) squares[v] += (betas[t * nVoxels + v] - mean[v]) ** 2;
  }
  for (let v = 0; v < nVoxels; v++) {
    const scale = 1 / (Math.sqrt(squares[v] / nTrials) + EPSILON);
    for (let t = 0; t < nTrials; t++) {
      const z = (betas[t * nVoxels + v] - mean[v]) * scale;
      betas[t * nVoxels + v] = Number.isNaN(z) ? 0 : z;
    }
  }
  return betas;
}

/** Averages trials of the same image as they come, session by session, so that all trials need never be in memory. */
export class RepeatAverager {
  readonly #sums: Float32Array<ArrayBuffer>;
  readonly #nVoxels: number;
  /** Number of trials of each image so far, [nImages]. */
  readonly counts: Uint16Array<ArrayBuffer>;

  /** Starts with no trials. */
  constructor(nImages: number, nVoxels: number) {
    this.#sums = new Float32Array(nImages * nVoxels);
    this.#nVoxels = nVoxels;
    this.counts = new Uint16Array(nImages);
  }

  /**
   * Adds trials.
   * @param betas z-scored trials, [nTrials, nVoxels]
   * @param trialImage image of each trial, [nTrials]
   */
  add(betas: Float32Array, trialImage: ArrayLike<number>): void {
    const n = this.#nVoxels;
    for (let t = 0; t < trialImage.length; t++) {
      const row = trialImage[t] * n;
      this.counts[trialImage[t]]++;
      for (let v = 0; v < n; v++) this.#sums[row + v] += betas[t * n + v];
    }
  }

  /** The averages of the images that have trials, in order, [images with trials, nVoxels]. */
  average(): Float32Array<ArrayBuffer> {
    const n = this.#nVoxels;
    const images = [...this.counts.keys()].filter((i) => this.counts[i] > 0);
    const out = new Float32Array(images.length * n);
    images.forEach((image, row) => {
      for (let v = 0; v < n; v++) out[row * n + v] = this.#sums[image * n + v] / this.counts[image];
    });
    return out;
  }
}

/**
 * Noise-ceiling signal-to-noise ratio per voxel, NSD's estimator: with betas z-scored per session, the noise variance is the mean
 * over images of the variance (n − 1) of their repeats, the signal variance is what it leaves of 1.
 *
 * Only images with `nRepeats` trials count. Source: Allen et al. 2022, and the NSD data manual's code.
 * @param betas z-scored trials, [nTrials, nVoxels]
 * @param trialImage image of each trial, [nTrials]
 * @returns ncsnr, [nVoxels]
 */
export function ncsnr(
  betas: Float32Array,
  trialImage: ArrayLike<number>,
  { nRepeats = 3 }: { nRepeats?: number } = {},
): Float32Array<ArrayBuffer> {
  const nTrials = trialImage.length;
  const nVoxels = betas.length / nTrials;
  const trialsOf = new Map<number, number[]>();
  for (let t = 0; t < nTrials; t++) {
    const trials = trialsOf.get(trialImage[t]);
    if (trials) trials.push(t);
    else trialsOf.set(trialImage[t], [t]);
  }
  const complete = [...trialsOf.values()].filter((trials) => trials.length === nRepeats);
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
 * Share of the variance of averaged responses that a perfect model could explain, in [0, 1]: ncsnr² / (ncsnr² + 1/n).
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
