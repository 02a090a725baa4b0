import type { RoiVoxels } from "../dense/relevance.ts";
import type { AlignmentParts } from "../encoding/alignment/alignment.ts";
import { InputError } from "../errors.ts";
import type { ControlResults } from "./control_results.ts";

/** What a report of an alignment is made of beside the alignment. */
export interface AlignReportOptions {
  /** What its controls found. */
  readonly controls?: ControlResults;
  /** Regions, by columns of the responses; a voxel may be in several. */
  readonly regions?: readonly RoiVoxels[];
  /** Heading of the page. */
  readonly title?: string;
  /** What is known of the run: its seed, the device. */
  readonly facts?: readonly string[];
}

/** What held-out R² was measured of: a layer of a network, or a whole network where voxels choose layers. */
export interface ScoredRow {
  /** Network. */
  readonly model: string;
  /** Layer; undefined where it is the whole network. */
  readonly layer?: string;
}

/** What every figure is drawn from. */
export interface AlignReportData {
  /** The alignment. */
  readonly alignment: AlignmentParts;
  /** What its controls found. */
  readonly controls?: ControlResults;
  /** Regions; none where they were not told. */
  readonly regions: readonly RoiVoxels[];
  /** What the rows of `alignment.training.r2` are of. */
  readonly scored: readonly ScoredRow[];
  /** Networks in their order. */
  readonly models: readonly string[];
  /** Held-out R² of each voxel, the mean over layers and networks, `[nVoxels]`. */
  readonly voxelR2: Float64Array<ArrayBuffer>;
  /** Its heading. */
  readonly title: string;
  /** What is known of the run. */
  readonly facts: readonly string[];
}

/** Mean of what is finite; NaN of nothing. */
export function finiteMean(values: Iterable<number>): number {
  let [sum, count] = [0, 0];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    sum += value;
    count++;
  }
  return sum / count;
}

/** A share of sorted values that lies below: 0.25 the lower quartile, between neighbours linearly; NaN of nothing. */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  const at = share * (sorted.length - 1), low = Math.floor(at);
  return sorted[low] + (at - low) * (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]);
}

/** Values of some columns of a row of a matrix. */
export function valuesAt(
  { data, shape }: { readonly data: ArrayLike<number>; readonly shape: readonly [number, number] },
  row: number,
  columns: ArrayLike<number>,
): Float64Array<ArrayBuffer> {
  return Float64Array.from(columns, (column) => data[row * shape[1] + column]);
}

function requireRegions(regions: readonly RoiVoxels[], nVoxels: number): void {
  for (const { name, voxels } of regions) {
    const stray = Array.from(voxels).find((v) => v >= nVoxels);
    if (stray === undefined) continue;
    throw new InputError(
      `Cannot report on the region "${name}": the alignment predicts ${nVoxels} voxels, the table of regions has voxel ${stray}, ` +
        "counted from 0",
    );
  }
}

/**
 * Brings together what figures need.
 *
 * @throws {InputError} when a region has voxels that the alignment has not
 */
export function reportData(
  alignment: AlignmentParts,
  { controls, regions = [], title = "Channels aligned through a brain", facts = [] }:
    AlignReportOptions = {},
): AlignReportData {
  const { slices, training: { r2 } } = alignment;
  const nVoxels = r2.shape[1];
  requireRegions(regions, nVoxels);
  const models = [...new Set(slices.map(({ model }) => model))];
  const scored = r2.shape[0] === slices.length ? slices : models.map((model) => ({ model }));
  const voxelR2 = new Float64Array(nVoxels);
  r2.data.forEach((value, at) => voxelR2[at % nVoxels] += value / r2.shape[0]);
  // Listed twice, a voxel would count twice.
  const unique = regions.map(({ name, voxels }) => ({
    name,
    voxels: [...new Set(Array.from(voxels))],
  }));
  return { alignment, controls, regions: unique, scored, models, voxelR2, title, facts };
}
