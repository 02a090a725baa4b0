/**
 * An experiment with images that were made for regions, in software: what encoders predict, beside controls, and what was measured.
 *
 * @module
 */
import { foldIn, type Key } from "../../engine/random.ts";
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
  type RoiSelectivity,
  selectivity,
} from "../optvis/selectivity.ts";
import { bootstrapMeans, type UnitValues } from "../stats/bootstrap.ts";
import { type ContrastChange, type ResponseLoss, responseLosses } from "./experiment_changes.ts";
import {
  type RegionFindings,
  regionFindings,
  type VoxelFindings,
  voxelFindings,
} from "./experiment_findings.ts";
import {
  type MeasuredFindings,
  measuredFindings,
  type MeasuredTrials,
} from "./experiment_measured.ts";
import { type SubjectsSummary, subjectsSummary } from "./experiment_subjects.ts";
import {
  type FloatTable,
  regionResponses,
  topNatural,
  voxelResponses,
} from "./experiment_targets.ts";

/** Images other than the made ones, with the responses that are predicted to them. */
export interface ConditionData extends TargetResponses {
  /** What they are called. */
  readonly name: string;
  /** What they are, in a sentence. */
  readonly about: string;
  /** Whether they are the made images one by one, changed: their loss is then reported. */
  readonly isChanged?: boolean;
}

/** One subject of an experiment. */
export interface SubjectData {
  /** Its name. */
  readonly name: string;
  /** Its regions, those of all subjects in the same order. */
  readonly regions: readonly RoiVoxels[];
  /** Predicted responses of its voxels to the made images, `[nImages, nVoxels]`. */
  readonly responses: UnitValues;
  /** Predicted responses of its regions to natural images that the encoder was not fitted on, `[nNatural, nRegions]`. */
  readonly natural?: UnitValues;
  /** Controls, and the made images as they are shown. */
  readonly conditions?: readonly ConditionData[];
  /** Edited images of contrasts. */
  readonly contrasts?: readonly ContrastChange[];
  /** Measured responses to the images. */
  readonly measured?: MeasuredTrials;
  /** Whether its own encoder had a part in the images. */
  readonly isOwn?: boolean;
  /** Regions that images are for in its part of the experiment, where it does not take all images. */
  readonly targets?: readonly number[];
}

/** What an experiment is made of. */
export interface ExperimentData {
  /** Region that each made image is for, as a place among the regions; −1 for other images, which are passed over. */
  readonly targets: readonly number[];
  /** Subjects, at least one. */
  readonly subjects: readonly SubjectData[];
}

/** Options of {@link runExperiment}. */
export interface ExperimentOptions {
  /** Draws resamples and exchanges. */
  readonly key: Key;
  /** Draws of every test and interval. */
  readonly nDraws?: number;
  /** Level of intervals. */
  readonly level?: number;
  /** Natural images of each region that make a control (default 8, none without natural images). */
  readonly nTop?: number;
}

/** A mean response with its interval. */
export interface OwnResponse {
  /** The mean. */
  readonly mean: number;
  /** Lower end. */
  readonly low: number;
  /** Upper end. */
  readonly high: number;
}

/** What one set of images does. */
export interface ConditionFindings {
  /** What they are called. */
  readonly name: string;
  /** What they are. */
  readonly about: string;
  /** Images. */
  readonly nImages: number;
  /** Mean responses. */
  readonly matrix: ResponseMatrix;
  /** The same in standard deviations from natural images' mean. */
  readonly z?: Float64Array<ArrayBuffer>;
  /** Of each region. */
  readonly selectivity: readonly (RoiSelectivity | undefined)[];
  /** Regions that respond most to their own images. */
  readonly dominance: DiagonalDominance;
  /** Mean response of each region to its own images with an interval over images, in the units of `z` where there are natural images. */
  readonly own: readonly (OwnResponse | undefined)[];
  /** What is lost against the made images. */
  readonly losses?: readonly ResponseLoss[];
}

/** What was found of one subject. */
export interface SubjectExperiment {
  /** Its name. */
  readonly name: string;
  /** Whether its own encoder had a part in the images; unknown where undefined. */
  readonly isOwn?: boolean;
  /** The made images, over images. */
  readonly findings: RegionFindings;
  /** The same, over voxels. */
  readonly voxels: VoxelFindings;
  /** Mean response of every voxel to the images of each region, `[nRegions, nVoxels]`. */
  readonly voxelMeans: FloatTable;
  /** The made images first, then controls. */
  readonly conditions: readonly ConditionFindings[];
  /** Edited images. */
  readonly contrasts: readonly ContrastChange[];
  /** What was measured. */
  readonly measured?: MeasuredFindings;
  /** The best natural images of each region. */
  readonly top?: { readonly images: Uint32Array<ArrayBuffer>; readonly targets: ArrayLike<number> };
}

/** What an experiment found. */
export interface Experiment {
  /** Names of the regions. */
  readonly regions: readonly string[];
  /** Images of each region. */
  readonly nImages: readonly number[];
  /** Subjects. */
  readonly subjects: readonly SubjectExperiment[];
  /** What the predictions of subjects have in common. */
  readonly summary: SubjectsSummary;
  /** What their measured responses have in common, where all were measured. */
  readonly measuredSummary?: SubjectsSummary;
}

/** Mean response of each region to its own images. */
function ownResponses(
  { data, shape: [, n], targets }: TargetResponses,
  natural: UnitValues | undefined,
  { key, nDraws, level }: ExperimentOptions,
): (OwnResponse | undefined)[] {
  return Array.from({ length: n }, (_, r) => {
    const rows = Array.from(targets, (_, i) => i).filter((i) => targets[i] === r);
    if (rows.length === 0) return undefined;
    const plain = Float64Array.from(rows, (i) => data[i * n + r]);
    const values = natural
      ? compareWithNatural({ data: plain, shape: [rows.length, 1] }, columnOf(natural, r)).z
      : plain;
    const { mean, low, high } = bootstrapMeans({ data: values, shape: [rows.length, 1] }, {
      ...{ key: foldIn(key, r), nResamples: nDraws, level },
    });
    return { mean: mean[0], low: low[0], high: high[0] };
  });
}

function columnOf({ data, shape: [n, columns] }: UnitValues, column: number): UnitValues {
  const values = Float64Array.from({ length: n }, (_, i) => data[i * columns + column]);
  return { data: values, shape: [n, 1] };
}

function conditionFindings(
  condition: ConditionData,
  { natural, made }: { readonly natural?: UnitValues; readonly made: TargetResponses },
  options: ExperimentOptions,
): ConditionFindings {
  const { name, about, isChanged } = condition;
  const matrix = responseMatrix(condition), n = matrix.nRois;
  const compared = natural && compareWithNatural({ data: matrix.means, shape: [n, n] }, natural);
  return {
    ...{ name, about, nImages: condition.shape[0], matrix, selectivity: selectivity(matrix) },
    z: compared?.z.map((v, at) => Number.isNaN(matrix.means[at]) ? NaN : v),
    dominance: diagonalDominance(condition, {
      key: foldIn(options.key, 0),
      nDraws: options.nDraws,
    }),
    own: ownResponses(condition, natural, { ...options, key: foldIn(options.key, 1) }),
    losses: isChanged ? responseLosses(made, condition, natural) : undefined,
  };
}

/** Images that were made for regions, without the others. */
function forRegions(responses: UnitValues, targets: readonly number[]): TargetResponses {
  const { data, shape: [, columns] } = responses;
  const rows = targets.flatMap((t, i) => t >= 0 ? [i] : []);
  return {
    data: Float64Array.from(
      { length: rows.length * columns },
      (_, at) => data[rows[Math.floor(at / columns)] * columns + at % columns],
    ),
    shape: [rows.length, columns],
    targets: rows.map((i) => targets[i]),
  };
}

function subjectExperiment(
  subject: SubjectData,
  targets: readonly number[],
  options: ExperimentOptions,
): SubjectExperiment {
  const { regions, natural, measured, conditions = [], contrasts = [], name, isOwn } = subject;
  const { key, nDraws, level, nTop = 8 } = options;
  const made = forRegions(regionResponses(subject.responses, regions), targets);
  const voxelMeans = voxelResponses(subject.responses, targets, regions.length);
  const shown = regions.flatMap((_, r) => targets.includes(r) ? [r] : []);
  const top = natural && nTop > 0
    ? topNatural(natural, shown, Math.min(nTop, natural.shape[0]))
    : undefined;
  const all: ConditionData[] = [
    { ...made, name: "made", about: "images made for the region" },
    ...conditions,
    ...(top
      ? [{
        ...top,
        name: "natural, best",
        about: `the natural images that the region is predicted to like most, ${
          top.shape[0] / shown.length
        } of each`,
      }]
      : []),
  ];
  const part = (i: number) => ({ key: foldIn(key, i), nDraws, level });
  return {
    ...{ name, isOwn, contrasts, voxelMeans },
    findings: regionFindings(made, { ...part(0), natural }),
    voxels: voxelFindings(voxelMeans, regions, part(1)),
    conditions: all.map((condition, c) =>
      conditionFindings(condition, { natural, made }, part(3 + c))
    ),
    measured: measured && measuredFindings(measured, regions, part(2)),
    top,
  };
}

/**
 * What images that were made for regions do, subject by subject and together: the matrix of responses with intervals and tests, the same
 * of controls, and the measured counterpart.
 *
 * @throws {InputError} when there is no subject, subjects differ in their regions, fewer than two regions have images, or values do not
 * fit
 */
export function runExperiment(
  { targets, subjects }: ExperimentData,
  options: ExperimentOptions,
): Experiment {
  const names = subjects[0]?.regions.map(({ name }) => name) ?? [];
  const other = subjects.find(({ regions }) => `${regions.map((r) => r.name)}` !== `${names}`);
  if (subjects.length === 0 || other) {
    throw new InputError(
      other
        ? `Cannot compare subjects: ${other.name} has the regions ${
          other.regions.map((r) => r.name).join(", ")
        }, ${subjects[0].name} ${names.join(", ")}`
        : "Cannot run an experiment: there is no subject",
    );
  }
  const found = subjects.map((subject, s) =>
    subjectExperiment(subject, subject.targets ?? targets, {
      ...options,
      key: foldIn(options.key, s),
    })
  );
  const measured = found.flatMap((subject) => subject.measured ? [subject.measured.findings] : []);
  return {
    regions: names,
    nImages: names.map((_, r) => targets.filter((t) => t === r).length),
    subjects: found,
    summary: subjectsSummary(found.map(({ findings }) => findings), options),
    measuredSummary: measured.length === found.length
      ? subjectsSummary(measured, options)
      : undefined,
  };
}
