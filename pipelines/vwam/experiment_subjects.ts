/**
 * Several subjects: what they have in common, and readouts of some for images that others are tested with.
 *
 * @module
 */
import type { RoiVoxels } from "../dense/relevance.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { pooledReadout, roiReadout, type RoiReadoutOptions } from "../optvis/readout_weights.ts";
import { type AcrossSubjects, acrossSubjects } from "../stats/across_subjects.ts";
import type { TTestOptions } from "../stats/t_test.ts";
import type { RegionFindings } from "./experiment_findings.ts";

/** What subjects have in common in one region. */
export interface RegionAcrossSubjects {
  /** Of `on − off`. */
  readonly difference: AcrossSubjects;
  /** Of the index. */
  readonly index: AcrossSubjects;
  /** Of own images less the runner-up's; the runner-up is each subject's own. */
  readonly ownLessNext: AcrossSubjects;
}

/** What subjects have in common. */
export interface SubjectsSummary {
  /** Mean over subjects of the mean responses, `[nRegions targets, nRegions responses]`. */
  readonly means: Float64Array<ArrayBuffer>;
  /** Region by region. */
  readonly regions: readonly RegionAcrossSubjects[];
  /** Regions that respond most to their own images, of each subject. */
  readonly counts: readonly number[];
  /** Of the mean over regions of `on − off`. */
  readonly difference: AcrossSubjects;
}

/**
 * Summarises the findings of several subjects over the same regions; subjects are the units.
 *
 * @throws {InputError} when there is no subject or they differ in the number of regions
 */
export function subjectsSummary(
  findings: readonly RegionFindings[],
  options: TTestOptions = {},
): SubjectsSummary {
  const n = findings.length, nRegions = findings[0]?.matrix.nRois ?? 0;
  if (n === 0 || findings.some(({ matrix }) => matrix.nRois !== nRegions)) {
    throw new InputError(
      `Cannot summarise subjects: there must be some with the same regions, got [${
        findings.map(({ matrix }) => matrix.nRois)
      }] regions`,
    );
  }
  const across = (value: (subject: RegionFindings, region: number) => number | undefined) =>
    acrossSubjects({
      data: findings.flatMap((subject) =>
        Array.from({ length: nRegions }, (_, r) => value(subject, r) ?? NaN)
      ),
      shape: [n, nRegions],
    }, options);
  const difference = across(({ selectivity }, r) => selectivity[r]?.difference);
  const index = across(({ selectivity }, r) => selectivity[r]?.index);
  const next = across(({ tests }, r) => tests.find(({ roi }) => roi === r)?.difference);
  const all = findings.map(({ dominance }) => dominance);
  return {
    means: Float64Array.from(
      { length: nRegions * nRegions },
      (_, at) => findings.reduce((sum, { matrix }) => sum + matrix.means[at], 0) / n,
    ),
    regions: difference.map((own, r) => ({
      ...{ difference: own, index: index[r], ownLessNext: next[r] },
    })),
    counts: all.map(({ count }) => count),
    difference: acrossSubjects({ data: all.map((d) => d.difference), shape: [n, 1] }, options)[0],
  };
}

/** One subject whose readouts are pooled. */
export interface PooledSubject {
  /** Weights of its encoder, `[nFeatures, nVoxels]`. */
  readonly coef: HostMatrix;
  /** Its regions. */
  readonly regions: readonly RoiVoxels[];
}

/**
 * Readouts of regions over several subjects for images that others are tested with: each subject's own of length 1, their mean, and that
 * of length 1.
 *
 * @param names regions, which every subject must have
 * @returns `[nFeatures]` for each name
 * @throws {InputError} when a subject lacks a region, encoders differ in features, or as `roiReadout` says
 */
export function pooledRegionReadouts(
  subjects: readonly PooledSubject[],
  names: readonly string[],
  options: RoiReadoutOptions = {},
): Float64Array<ArrayBuffer>[] {
  return names.map((name) =>
    pooledReadout(subjects.map(({ coef, regions }, s) => {
      const region = regions.find((own) => own.name === name);
      if (region) return roiReadout(coef, region.voxels, options);
      throw new InputError(
        `Cannot pool the region "${name}": subject ${s} has ${
          regions.map((own) => own.name).join(", ")
        }`,
      );
    }))
  );
}
