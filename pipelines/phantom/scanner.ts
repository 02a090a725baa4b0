/** A simulated scanning experiment: sessions, repeats, noise of known size, and drifts between sessions. */

import { BETA_SCALE } from "../nsd/names.ts";
import { Draws } from "./draws.ts";
import { type CorticalSheet, ROIS } from "./sheet.ts";

/** The order in which images were shown; all subjects share it, as in NSD. */
export interface ExperimentDesign {
  /** Image of each trial, an index into the data set, [nTrials]. */
  readonly trialImage: Uint32Array<ArrayBuffer>;
  /** First trial of each session, and last the number of trials, [nSessions + 1]. */
  readonly sessionStarts: readonly number[];
}

/** Shows every image `nRepeats` times in random order over sessions of nearly equal length. */
export function drawDesign(
  seed: number,
  nImages: number,
  nRepeats: number,
  nSessions: number,
): ExperimentDesign {
  const draws = new Draws(seed, 4);
  const all = Array.from({ length: nImages * nRepeats }, (_, t) => t % nImages);
  const sessionStarts = Array.from(
    { length: nSessions + 1 },
    (_, s) => Math.round((all.length * s) / nSessions),
  );
  return { trialImage: Uint32Array.from(draws.shuffle(all)), sessionStarts };
}

/** The measurements of one subject and what is true of them. */
export interface ScannedSubject {
  /** Betas × 300 as NSD stores them, [nTrials, nVoxels]. */
  readonly betas: Int16Array<ArrayBuffer>;
  /** True responses, mean 0 and variance 1 over the images, [nImages, nVoxels]. */
  readonly signal: Float32Array<ArrayBuffer>;
  /** True ratio of signal to noise standard deviation, [nVoxels]. */
  readonly trueNcsnr: Float32Array<ArrayBuffer>;
}

const LATE_NCSNR = [1.3, 0.95, 1.1, 0.8]; // By subject, in turn: some people lie stiller than others.
const EARLY_FACTOR = 0.8;
const EARLY: ReadonlySet<string> = new Set(["V1", "V2", "V3", "V4"]);

/** Centres each voxel's responses and gives them unit variance over the images; a constant voxel becomes 0. */
function standardize(responses: Float32Array<ArrayBuffer>, nVoxels: number): void {
  const nImages = responses.length / nVoxels;
  for (let v = 0; v < nVoxels; v++) {
    let mean = 0;
    for (let i = 0; i < nImages; i++) mean += responses[i * nVoxels + v] / nImages;
    let squares = 0;
    for (let i = 0; i < nImages; i++) squares += (responses[i * nVoxels + v] - mean) ** 2;
    const scale = squares > 0 ? 1 / Math.sqrt(squares / nImages) : 0;
    for (let i = 0; i < nImages; i++) {
      responses[i * nVoxels + v] = (responses[i * nVoxels + v] - mean) * scale;
    }
  }
}

/**
 * Scans a subject.
 *
 * A voxel of the region "noise" has an ncsnr of 0. A trial's beta is mean + psc · gain · (signal + noise / ncsnr) + offset, in percent signal change; gain and offset change from
 * session to session and voxel to voxel, so betas are comparable between sessions only after z-scoring each.
 * @param responses noiseless responses, [nImages, nVoxels]; standardised in place and kept as `signal`
 */
export function scan(
  seed: number,
  subject: number,
  sheet: CorticalSheet,
  responses: Float32Array<ArrayBuffer>,
  design: ExperimentDesign,
): ScannedSubject {
  const { nVoxels } = sheet;
  standardize(responses, nVoxels);
  const draws = new Draws(seed, 5, subject);
  const late = LATE_NCSNR[subject % LATE_NCSNR.length];
  const trueNcsnr = Float32Array.from(sheet.roi, (roi) => {
    if (ROIS[roi] === "noise") return 0;
    const base = EARLY.has(ROIS[roi]) ? late * EARLY_FACTOR : late;
    return base * Math.exp(0.2 * draws.normal());
  });
  const mean = Float64Array.from({ length: nVoxels }, () => 0.4 + 0.4 * draws.normal());
  const psc = Float64Array.from({ length: nVoxels }, () => 1.2 * Math.exp(0.3 * draws.normal()));
  const betas = new Int16Array(design.trialImage.length * nVoxels);
  for (let s = 0; s + 1 < design.sessionStarts.length; s++) {
    const sessionGain = Math.exp(0.15 * draws.normal());
    const sessionOffset = 0.4 * draws.normal();
    const gain = psc.map((p) => p * sessionGain * Math.exp(0.08 * draws.normal()));
    const offset = mean.map((m) => m + sessionOffset + 0.2 * draws.normal());
    for (let t = design.sessionStarts[s]; t < design.sessionStarts[s + 1]; t++) {
      const image = design.trialImage[t] * nVoxels;
      for (let v = 0; v < nVoxels; v++) {
        // Where nothing is signal, the noise is as large as a signal would be.
        const noise = draws.normal() / (trueNcsnr[v] || 1);
        const value = BETA_SCALE * (offset[v] + gain[v] * (responses[image + v] + noise));
        betas[t * nVoxels + v] = Math.max(-32768, Math.min(32767, Math.round(value)));
      }
    }
  }
  return { betas, signal: responses, trueNcsnr };
}
