/**
 * Responses of voxels as responses of regions, and natural images that regions are predicted to like most.
 *
 * @module
 */
import type { RoiVoxels } from "../dense/relevance.ts";
import { InputError } from "../errors.ts";
import type { TargetResponses } from "../optvis/response_matrix.ts";
import type { UnitValues } from "../stats/bootstrap.ts";

/** A table in float64. */
export interface FloatTable extends UnitValues {
  /** Row after row. */
  readonly data: Float64Array<ArrayBuffer>;
}

/** Checks that a table has as many values as its shape says. */
export function requireTable({ data, shape: [rows, columns] }: UnitValues, what: string): void {
  if (rows >= 1 && columns >= 1 && data.length === rows * columns) return;
  throw new InputError(
    `Cannot compare ${what}: [${rows},${columns}] needs ${
      rows * columns
    } values, got ${data.length}`,
  );
}

/** Checks that the voxels of a region are there. */
function requireVoxels({ name, voxels }: RoiVoxels, nVoxels: number): void {
  const bad = Array.from(voxels).find((v) => !(Number.isInteger(v) && v >= 0 && v < nVoxels));
  if (voxels.length > 0 && bad === undefined) return;
  throw new InputError(
    voxels.length === 0
      ? `Cannot average the region "${name}": it has no voxel`
      : `Cannot average the region "${name}": there are ${nVoxels} voxels, counted from 0, it has voxel ${bad}`,
  );
}

/**
 * Mean over the voxels of each region, image by image.
 *
 * @param responses predicted or measured, `[nImages, nVoxels]`
 * @returns `[nImages, nRegions]`
 * @throws {InputError} when a region is empty or has voxels that are not there
 */
export function regionResponses(
  responses: UnitValues,
  regions: readonly RoiVoxels[],
): FloatTable {
  requireTable(responses, "responses");
  const { data, shape: [n, nVoxels] } = responses;
  const out = new Float64Array(n * regions.length);
  regions.forEach((region, r) => {
    requireVoxels(region, nVoxels);
    const { voxels } = region;
    for (let i = 0; i < n; i++) {
      let sum = 0;
      for (let k = 0; k < voxels.length; k++) sum += data[i * nVoxels + voxels[k]];
      out[i * regions.length + r] = sum / voxels.length;
    }
  });
  return { data: out, shape: [n, regions.length] };
}

/**
 * Mean response of every voxel to the images of each target.
 *
 * @param responses `[nImages, nVoxels]`
 * @param targets target of each image; one that is not from 0 to `nTargets − 1` is passed over
 * @returns `[nTargets, nVoxels]`; NaN where a target has no image
 * @throws {InputError} when there is not one target for each image
 */
export function voxelResponses(
  responses: UnitValues,
  targets: ArrayLike<number>,
  nTargets: number,
): FloatTable {
  requireTable(responses, "responses");
  const { data, shape: [n, nVoxels] } = responses;
  if (targets.length !== n) {
    throw new InputError(`Cannot average ${n} images: ${targets.length} targets are given`);
  }
  const out = new Float64Array(nTargets * nVoxels), counts = new Uint32Array(nTargets);
  for (let i = 0; i < n; i++) {
    const t = targets[i];
    if (!(t >= 0 && t < nTargets)) continue;
    counts[t]++;
    for (let v = 0; v < nVoxels; v++) out[t * nVoxels + v] += data[i * nVoxels + v];
  }
  for (let k = 0; k < out.length; k++) out[k] /= counts[Math.floor(k / nVoxels)];
  return { data: out, shape: [nTargets, nVoxels] };
}

/** Natural images that regions like most. */
export interface TopNatural extends TargetResponses {
  /** Number of each image among the natural ones. */
  readonly images: Uint32Array<ArrayBuffer>;
}

/**
 * The natural images that each region is predicted to respond to most, as a control: what can be had without making images.
 *
 * @param natural responses of regions to natural images, `[nNatural, nRegions]`
 * @param targets regions that images are chosen for
 * @param k images of each
 * @returns responses of all regions to them, best first, target after target
 * @throws {InputError} when there are fewer than `k` images
 */
export function topNatural(
  natural: UnitValues,
  targets: readonly number[],
  k: number,
): TopNatural {
  requireTable(natural, "natural images");
  const { data, shape: [n, nRegions] } = natural;
  if (!(Number.isInteger(k) && k >= 1 && k <= n)) {
    throw new InputError(`Cannot choose the ${k} best of ${n} natural images`);
  }
  const chosen = targets.flatMap((r) =>
    Array.from({ length: n }, (_, i) => i)
      .sort((a, b) => data[b * nRegions + r] - data[a * nRegions + r] || a - b)
      .slice(0, k)
  );
  return {
    images: Uint32Array.from(chosen),
    targets: targets.flatMap((r) => Array.from({ length: k }, () => r)),
    data: Float64Array.from(
      { length: chosen.length * nRegions },
      (_, at) => data[chosen[Math.floor(at / nRegions)] * nRegions + at % nRegions],
    ),
    shape: [chosen.length, nRegions],
  };
}
