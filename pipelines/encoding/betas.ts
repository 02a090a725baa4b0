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
  #sums: Float32Array<ArrayBuffer>;
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

  /**
   * The averages as `average` gives them, for images that all have trials, in the place of the sums: memory does not double.
   * Nothing can be added afterwards.
   *
   * @throws {Error} when an image has no trial
   */
  finish(): Float32Array<ArrayBuffer> {
    const n = this.#nVoxels;
    const without = this.counts.indexOf(0);
    if (without >= 0) throw new Error(`Cannot average image ${without}: it has no trials`);
    const averages = this.#sums;
    for (let i = 0; i < averages.length; i++) averages[i] /= this.counts[Math.floor(i / n)];
    this.#sums = new Float32Array(0);
    this.counts.fill(0);
    return averages;
  }
}
