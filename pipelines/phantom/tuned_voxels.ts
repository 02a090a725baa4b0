/**
 * Simulated subjects whose voxels are each tuned to one thing, computed from images and scenes alone: truth for images that are made to
 * drive a voxel. They are no part of the phantom's cortical sheet.
 */

import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { Draws } from "./draws.ts";
import type { RenderedScene } from "./render.ts";
import { CATEGORIES, type Scene } from "./scene.ts";
import { sceneVariables } from "./tuning.ts";
import { pixelVariables, planesOf, TUNED_VARIABLES } from "./tuned_variables.ts";

/** Means and standard deviations of the variables over reference images. */
export interface VariableMoments {
  /** `[nVariables]` */
  readonly mean: Float64Array<ArrayBuffer>;
  /** By n; 1 where a variable does not vary, `[nVariables]`. */
  readonly sd: Float64Array<ArrayBuffer>;
}

/** A subject: one region of equal size for each of `TUNED_VARIABLES`. */
export interface TunedSubject {
  /** Index in `TUNED_VARIABLES` of each voxel's region, `[nVoxels]`. */
  readonly roi: Uint8Array<ArrayBuffer>;
  /** Weights of the standardised variables, `[nVoxels, nVariables]`. */
  readonly weights: Float32Array<ArrayBuffer>;
  /** Standard deviation of the noise of a measured response; the signal's is about 1, `[nVoxels]`. */
  readonly noise: Float32Array<ArrayBuffer>;
}

const OWN_JITTER = 0.15, OTHER_WEIGHT = 0.12;
const NOISE = 0.7; // after the average of repeats: explainable variance of two thirds
const NOISE_JITTER = 0.2;

/**
 * Draws a subject: every voxel has a weight near 1 for its region's variable and small random ones for all others.
 *
 * @param voxelsPerRoi voxels of each of the regions (default 6)
 */
export function tunedSubject(
  seed: number,
  subject: number,
  { voxelsPerRoi = 6 }: { readonly voxelsPerRoi?: number } = {},
): TunedSubject {
  const draws = new Draws(seed, 40, subject);
  const n = TUNED_VARIABLES.length, nVoxels = n * voxelsPerRoi;
  const roi = Uint8Array.from({ length: nVoxels }, (_, v) => Math.floor(v / voxelsPerRoi));
  const weights = Float32Array.from({ length: nVoxels * n }, (_, i) => {
    const isOwn = i % n === roi[Math.floor(i / n)];
    return isOwn ? 1 + OWN_JITTER * draws.normal() : OTHER_WEIGHT * draws.normal();
  });
  const noise = Float32Array.from(roi, () => NOISE * Math.exp(NOISE_JITTER * draws.normal()));
  return { roi, weights, noise };
}

/** All variables of a rendered scene, `[nVariables]`: pixels', and the salience of each category that the masks tell. */
export function tunedVariablesOf(scene: Scene, rendered: RenderedScene): Float64Array<ArrayBuffer> {
  const salience = sceneVariables(scene, rendered).slice(0, CATEGORIES.length);
  const seen = pixelVariables(planesOf(rendered.rgb), rendered.size);
  return Float64Array.from([...seen, ...salience]);
}

/**
 * Moments of variables over images.
 *
 * @param variables `[nImages, nVariables]`, one row per image
 * @throws {InputError} when there are no rows or one is of another length
 */
export function variableMoments(variables: readonly ArrayLike<number>[]): VariableMoments {
  const n = TUNED_VARIABLES.length;
  requireRows(variables);
  const mean = new Float64Array(n), sd = new Float64Array(n);
  for (const row of variables) for (let k = 0; k < n; k++) mean[k] += row[k] / variables.length;
  for (const row of variables) {
    for (let k = 0; k < n; k++) sd[k] += (row[k] - mean[k]) ** 2 / variables.length;
  }
  return { mean, sd: sd.map((variance) => Math.sqrt(variance) || 1) };
}

function requireRows(variables: readonly ArrayLike<number>[]): void {
  const n = TUNED_VARIABLES.length;
  const bad = variables.findIndex((row) => row.length !== n);
  if (variables.length > 0 && bad < 0) return;
  throw new InputError(
    `Cannot compute tuned responses: there must be images with ${n} variables each, got ${
      bad < 0 ? "none" : `${variables[bad].length} of image ${bad}`
    }`,
  );
}

/**
 * Responses without noise, `[nImages, nVoxels]`: each voxel's weights on the standardised variables.
 *
 * @param variables one row of `TUNED_VARIABLES` per image
 * @throws {InputError} when a row is of another length
 */
export function tunedVoxelResponses(
  { roi, weights }: TunedSubject,
  variables: readonly ArrayLike<number>[],
  { mean, sd }: VariableMoments,
): HostMatrix {
  requireRows(variables);
  const n = TUNED_VARIABLES.length, nVoxels = roi.length;
  const out = new Float32Array(variables.length * nVoxels);
  variables.forEach((row, i) => {
    for (let v = 0; v < nVoxels; v++) {
      let sum = 0;
      for (let k = 0; k < n; k++) sum += weights[v * n + k] * (row[k] - mean[k]) / sd[k];
      out[i * nVoxels + v] = sum;
    }
  });
  return hostMatrix(out, [variables.length, nVoxels]);
}

/**
 * Responses as measured: with each voxel's noise.
 *
 * @param path integers that name the measurement: the same ones give the same noise
 */
export function measuredResponses(
  { noise }: TunedSubject,
  { data, shape }: HostMatrix,
  path: readonly number[],
): HostMatrix {
  const draws = new Draws(...path, 41);
  return hostMatrix(data.map((v, i) => v + noise[i % shape[1]] * draws.normal()), shape);
}

/** Mean response of every region, `[nImages, nRois]`. */
export function roiMeans(
  { roi }: TunedSubject,
  { data, shape: [n, nVoxels] }: HostMatrix,
): HostMatrix {
  const nRois = TUNED_VARIABLES.length, per = nVoxels / nRois;
  const out = new Float32Array(n * nRois);
  for (let i = 0; i < n; i++) {
    for (let v = 0; v < nVoxels; v++) out[i * nRois + roi[v]] += data[i * nVoxels + v] / per;
  }
  return hostMatrix(out, [n, nRois]);
}
