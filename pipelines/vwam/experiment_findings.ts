/**
 * Whether regions respond most to the images that were made for them: matrices, intervals and tests over images and over voxels.
 *
 * @module
 */
import { foldIn } from "../../engine/random.ts";
import type { RoiVoxels } from "../dense/relevance.ts";
import { InputError } from "../errors.ts";
import {
  compareWithNatural,
  type ResponseMatrix,
  responseMatrix,
  type TargetResponses,
} from "../optvis/response_matrix.ts";
import {
  type DiagonalDominance,
  diagonalDominance,
  type ExchangeOptions,
  type OwnAgainstNext,
  ownAgainstNext,
  type RoiSelectivity,
  selectivity,
  type SelectivityIntervals,
  selectivityIntervals,
} from "../optvis/selectivity.ts";
import { bootstrapMeans, type UnitValues } from "../stats/bootstrap.ts";
import { bhFdr } from "../stats/fdr.ts";
import { holm } from "../stats/holm.ts";
import { pairedTest, type TTest, welchTest } from "../stats/t_test.ts";
import { type FloatTable, requireTable } from "./experiment_targets.ts";

/** A p-value of one of several tests. */
export interface CorrectedP {
  /** By itself. */
  readonly p: number;
  /** Corrected for the chance of any false discovery. */
  readonly holm: number;
  /** The smallest false discovery rate that it counts at. */
  readonly q: number;
}

/** p-values with their corrections over all of them. */
export function correctedPs(p: readonly number[]): CorrectedP[] {
  const byHolm = holm(p), byFdr = bhFdr(p);
  return p.map((value, i) => ({ p: value, holm: byHolm[i], q: byFdr[i] }));
}

/** Ends of intervals, one for each value of a table. */
export interface Ends {
  /** Lower ends. */
  readonly low: Float64Array<ArrayBuffer>;
  /** Upper ends. */
  readonly high: Float64Array<ArrayBuffer>;
}

/** A region's own images against those of its runner-up, the other target that drives it most. */
export interface OwnImagesTest extends OwnAgainstNext {
  /** One-sided p-value of exchanges of their images, corrected over regions. */
  readonly exchanged: CorrectedP;
  /** Student's t over the same units: of Welch, or paired over groups; nothing of a single one. */
  readonly student?: TTest;
  /** Its one-sided p-value, corrected over the regions that have one. */
  readonly studentP?: CorrectedP;
}

/** What responses of regions to images of known targets say. */
export interface RegionFindings {
  /** Mean responses. */
  readonly matrix: ResponseMatrix;
  /** Their bootstrap intervals over the images of each target, `[nRegions targets, nRegions responses]`; NaN without images. */
  readonly cells: Ends;
  /** Mean responses among natural images: standard deviations from their mean, as the matrix is laid out. */
  readonly z?: Float64Array<ArrayBuffer>;
  /** The same as percentages of natural images below. */
  readonly percentiles?: Float64Array<ArrayBuffer>;
  /** Of each region; nothing where it has no images of its own. */
  readonly selectivity: readonly (RoiSelectivity | undefined)[];
  /** Bootstrap intervals of `on − off` and of the index over images. */
  readonly intervals: SelectivityIntervals;
  /** Own images against the runner-up's, region by region. */
  readonly tests: readonly OwnImagesTest[];
  /** How many regions respond most to their own images. */
  readonly dominance: DiagonalDominance;
}

/** Options of {@link regionFindings}. */
export interface FindingOptions extends ExchangeOptions {
  /** Level of intervals. */
  readonly level?: number;
  /** Responses of the regions to natural images, `[nNatural, nRegions]`. */
  readonly natural?: UnitValues;
}

const rowsOf = (targets: ArrayLike<number>, target: number): number[] =>
  Array.from(targets, (_, i) => i).filter((i) => targets[i] === target);

/** Bootstrap intervals of the means of each target, over its images. */
function cellEnds(
  { data, shape: [, n], targets }: TargetResponses,
  { key, nDraws, level }: FindingOptions,
): Ends {
  const ends = { low: new Float64Array(n * n).fill(NaN), high: new Float64Array(n * n).fill(NaN) };
  for (let t = 0; t < n; t++) {
    const rows = rowsOf(targets, t);
    if (rows.length === 0) continue;
    const own = rows.flatMap((i) => Array.from({ length: n }, (_, r) => data[i * n + r]));
    const { low, high } = bootstrapMeans({ data: own, shape: [rows.length, n] }, {
      key: foldIn(key, t),
      nResamples: nDraws,
      level,
    });
    ends.low.set(low, t * n);
    ends.high.set(high, t * n);
  }
  return ends;
}

/** Mean of each group, in the order of first appearance. */
function groupMeans(
  rows: readonly number[],
  groups: ArrayLike<number>,
  value: (row: number) => number,
): Map<number, number> {
  const sums = new Map<number, { sum: number; count: number }>();
  for (const row of rows) {
    const { sum, count } = sums.get(groups[row]) ?? { sum: 0, count: 0 };
    sums.set(groups[row], { sum: sum + value(row), count: count + 1 });
  }
  return new Map([...sums].map(([group, { sum, count }]) => [group, sum / count]));
}

/** Student's t of own images against the runner-up's; with groups paired over those that have both. */
function studentOf(
  { data, shape: [, n], targets }: TargetResponses,
  { roi, runnerUp }: OwnAgainstNext,
  { groups, level }: FindingOptions,
): TTest | undefined {
  const value = (row: number) => data[row * n + roi];
  const [own, next] = [roi, runnerUp].map((target) => rowsOf(targets, target));
  if (!groups) {
    if (own.length < 2 || next.length < 2) return undefined;
    return welchTest(own.map(value), next.map(value), { level });
  }
  const [a, b] = [own, next].map((rows) => groupMeans(rows, groups, value));
  const both = [...a.keys()].filter((group) => b.has(group));
  if (both.length < 2) return undefined;
  const of = (means: Map<number, number>) => both.map((group) => means.get(group) ?? NaN);
  return pairedTest(of(a), of(b), { level });
}

/** Adds corrections over regions. */
function withCorrections(
  found: readonly (OwnAgainstNext & { readonly student?: TTest })[],
): OwnImagesTest[] {
  const exchanged = correctedPs(found.map(({ p }) => p));
  const tested = found.flatMap(({ student }) => student ? [student.pGreater] : []);
  const students = correctedPs(tested);
  let at = 0;
  return found.map((test, i) => ({
    ...test,
    exchanged: exchanged[i],
    studentP: test.student ? students[at++] : undefined,
  }));
}

/**
 * What responses say of regions: mean responses with intervals, their place among natural images, selectivity, every region's own images
 * against its runner-up's, and the diagonal, all in float64. The runner-up is chosen by looking, which makes its tests careful.
 *
 * @param responses `[nImages, nRegions]`, predicted or measured
 * @throws {InputError} when the responses do not fit their targets, fewer than two targets have images, or an option is out of range
 */
export function regionFindings(
  responses: TargetResponses,
  options: FindingOptions,
): RegionFindings {
  const { key, nDraws, level, groups, natural } = options;
  const matrix = responseMatrix(responses);
  const preferences = selectivity(matrix);
  const part = (i: number) => ({ key: foldIn(key, i), nDraws, level, groups });
  const { nRois } = matrix;
  const compared = natural &&
    compareWithNatural({ data: matrix.means, shape: [nRois, nRois] }, natural);
  const shown = (values: Float64Array<ArrayBuffer>) =>
    values.map((v, at) => Number.isNaN(matrix.means[at]) ? NaN : v);
  const found = ownAgainstNext(responses, part(0))
    .map((test) => ({ ...test, student: studentOf(responses, test, options) }));
  return {
    matrix,
    cells: cellEnds(responses, part(1)),
    z: compared && shown(compared.z),
    percentiles: compared && shown(compared.percentiles),
    selectivity: preferences,
    intervals: selectivityIntervals(responses, part(2)),
    tests: withCorrections(found),
    dominance: diagonalDominance(responses, part(3)),
  };
}

/** What the voxels of regions say: units are voxels, images are averaged. */
export interface VoxelFindings {
  /** Bootstrap intervals of the mean responses over voxels, `[nRegions targets, nRegions responses]`; NaN without images. */
  readonly cells: Ends;
  /** Bootstrap intervals of `on − off` over voxels, `[nRegions]`; NaN for regions without images of their own. */
  readonly difference: Ends;
  /** Paired tests over voxels, own images against the runner-up's; nothing for regions of one voxel or without images. */
  readonly tests: readonly (TTest & { readonly corrected: CorrectedP } | undefined)[];
}

/** Resamples of voxels at most: intervals need no more, and all of them are in memory for thousands of voxels. */
const MOST_VOXEL_DRAWS = 2000;

/**
 * Intervals and tests over the voxels of each region. Neighbouring voxels go together, so that these say how alike the voxels of a region
 * are, and are no substitute for images, blocks or subjects.
 *
 * @param means response of every voxel to each region's images, `[nRegions, nVoxels]`; NaN where there are none
 * @throws {InputError} when there is not one row for each region, or an option is out of range
 */
export function voxelFindings(
  means: FloatTable,
  regions: readonly RoiVoxels[],
  { key, nDraws, level }: Omit<FindingOptions, "groups" | "natural">,
): VoxelFindings {
  requireTable(means, "voxels");
  const n = regions.length, { data, shape: [nTargets, nVoxels] } = means;
  if (nTargets !== n) {
    throw new InputError(`Cannot compare voxels: ${n} regions need as many rows, got ${nTargets}`);
  }
  const shown = Array.from({ length: n }, (_, t) => t)
    .filter((t) => !Number.isNaN(data[t * nVoxels]));
  const blank = (size: number): Ends => ({
    low: new Float64Array(size).fill(NaN),
    high: new Float64Array(size).fill(NaN),
  });
  const cells = blank(n * n), difference = blank(n);
  const tests = regions.map(({ voxels }, r) => {
    const at = (t: number, k: number) => data[t * nVoxels + voxels[k]];
    const others = shown.filter((t) => t !== r);
    const rows = Array.from({ length: voxels.length }, (_, k) => [
      ...shown.map((t) => at(t, k)),
      at(r, k) - others.reduce((s, t) => s + at(t, k), 0) / others.length,
    ]);
    const { low, high, mean } = bootstrapMeans(
      { data: rows.flat(), shape: [rows.length, shown.length + 1] },
      { key: foldIn(key, r), nResamples: Math.min(nDraws ?? Infinity, MOST_VOXEL_DRAWS), level },
    );
    shown.forEach((t, c) => {
      cells.low[t * n + r] = low[c];
      cells.high[t * n + r] = high[c];
    });
    if (!shown.includes(r) || others.length === 0) return undefined;
    difference.low[r] = low[shown.length];
    difference.high[r] = high[shown.length];
    if (voxels.length < 2) return undefined;
    const next = others.reduce((a, b) => mean[shown.indexOf(b)] > mean[shown.indexOf(a)] ? b : a);
    const column = (t: number) => Array.from({ length: voxels.length }, (_, k) => at(t, k));
    return pairedTest(column(r), column(next), { level });
  });
  const corrected = correctedPs(tests.flatMap((test) => test ? [test.pGreater] : []));
  let i = 0;
  return {
    cells,
    difference,
    tests: tests.map((test) => test && { ...test, corrected: corrected[i++] }),
  };
}
