/**
 * The results of a study in numbers, as they are kept in `results.json`.
 *
 * @module
 */
import { compareMaps, lowLevelSensitivity, type RoiMaps } from "../dense/compare_backbones.ts";
import { lowLevelFields } from "../images/image_properties.ts";
import type { RoiVoxels } from "../dense/relevance.ts";
import { median } from "../stats/median.ts";
import type { RoiFit } from "./encoders.ts";
import type { RegionLocalization } from "./localization.ts";
import { imageProperties } from "./map_pass.ts";
import type { BackboneResult, OwnerResult, VoxelCorrelates } from "./run_backbone.ts";
import type { Study } from "./study.ts";

/** How the voxels of a region go with a property. */
export interface RoiCorrelate {
  /** The region. */
  readonly roi: string;
  /** The property. */
  readonly property: string;
  /** Median over voxels of the mean correlation of maps. */
  readonly r: number;
  /** Voxels that were tested. */
  readonly nTested: number;
  /** Voxels with q < 0.05 and a positive slope. */
  readonly nPositive: number;
  /** Voxels with q < 0.05 and a negative slope. */
  readonly nNegative: number;
}

/** Results of one subject, or of its control. */
export interface SubjectResults {
  /** The subject. */
  readonly name: string;
  /** R² of regions. */
  readonly fits: readonly RoiFit[];
  /** Scores of maps against masks. */
  readonly localization: readonly RegionLocalization[];
  /** Top images of each region, best first. */
  readonly top: readonly {
    readonly roi: string;
    readonly images: readonly string[];
    readonly scores: readonly number[];
  }[];
  /** Categories that captions assign to them: images of each region by category. */
  readonly confusion?: {
    readonly categories: readonly string[];
    readonly rois: readonly string[];
    readonly counts: readonly (readonly number[])[];
  };
  /** Correlates by region and property. */
  readonly correlates: readonly RoiCorrelate[];
  /** Share of the variance of each region's maps that low-level looks explain. */
  readonly lowLevel: readonly { readonly roi: string; readonly r2: number }[];
}

/** Results of one backbone. */
export interface BackboneResults {
  /** Its name. */
  readonly name: string;
  /** Family of its model. */
  readonly family: string;
  /** Patch grid of its maps. */
  readonly grid: readonly number[];
  /** Numbers of features. */
  readonly nFeatures: number;
  /** How it was used. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Subjects. */
  readonly subjects: readonly SubjectResults[];
  /** Their controls with shuffled responses. */
  readonly controls: readonly SubjectResults[];
}

/** Agreement of the maps of two backbones. */
export interface Comparison {
  /** Names of the backbones. */
  readonly backbones: readonly [string, string];
  /** The subject. */
  readonly subject: string;
  /** Mean over images of the correlation of a region's maps. */
  readonly rois: readonly { readonly roi: string; readonly r: number }[];
}

/** `results.json`. */
export interface StudyResults {
  /** What the file is. */
  readonly format: "gyrus brain_sail 1";
  /** Settings in force. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Names of the mapped images. */
  readonly mapped: readonly string[];
  /** Names of the images worth showing, among the mapped. */
  readonly shown: readonly string[];
  /** Subjects. */
  readonly subjects: readonly {
    readonly name: string;
    readonly nVoxels: number;
    readonly nTrain: number;
    readonly nTest: number;
  }[];
  /** Backbones. */
  readonly backbones: readonly BackboneResults[];
  /** Pairs of backbones, subject by subject. */
  readonly comparisons: readonly Comparison[];
}

const LEVEL = 0.05;

/** How the voxels of regions go with properties. */
export function roiCorrelates(
  rois: readonly RoiVoxels[],
  { r, test }: Pick<VoxelCorrelates, "r" | "test">,
): RoiCorrelate[] {
  const nVoxels = r.length / imageProperties.length;
  return rois.flatMap(({ name, voxels }) =>
    imageProperties.map((property, p) => {
      const at = Array.from(voxels, (v) => p * nVoxels + v);
      const tested = at.filter((i) => test && !Number.isNaN(test.qValues[i]));
      const found = tested.filter((i) => test!.qValues[i] < LEVEL);
      return {
        roi: name,
        property,
        r: median(at.map((i) => r[i])),
        nTested: tested.length,
        nPositive: found.filter((i) => test!.signs[i] > 0).length,
        nNegative: found.filter((i) => test!.signs[i] < 0).length,
      };
    })
  );
}

/** An owner's results in numbers. */
function subjectResults(
  owner: OwnerResult,
  mapped: readonly string[],
  lowLevel: ArrayLike<number> | undefined,
): SubjectResults {
  const { subject: { name, rois }, fit, localization, top, confusion, correlates } = owner;
  const k = confusion?.categories.length ?? 0;
  return {
    name,
    fits: fit.rois,
    localization,
    top: top.map(({ name: roi, images, scores }) => ({
      roi,
      images: Array.from(images, (i) => mapped[i]),
      scores: [...scores],
    })),
    confusion: confusion && {
      categories: confusion.categories,
      rois: rois.map((roi) => roi.name),
      counts: rois.map((_, r) => [...confusion.counts.subarray(r * k, (r + 1) * k)]),
    },
    correlates: roiCorrelates(rois, correlates),
    lowLevel: lowLevel ? rois.map(({ name: roi }, r) => ({ roi, r2: lowLevel[r] })) : [],
  };
}

/**
 * One backbone's results in numbers.
 *
 * @param maps of a subject's regions, distilled; the controls have none
 */
export async function backboneResults(
  result: BackboneResult,
  study: Study,
  { settings, maps }: {
    readonly settings: Readonly<Record<string, unknown>>;
    readonly maps: (subject: string) => Promise<RoiMaps>;
  },
): Promise<BackboneResults> {
  const { name, family, grid, tokens, owners } = result;
  const mapped = Array.from(study.mappedRows, (row) => study.images.names[row]);
  const fields = Array.from(
    study.mappedRows,
    (row) => lowLevelFields(study.images.read(row), grid),
  );
  const [subjects, controls]: SubjectResults[][] = [[], []];
  for (const owner of owners) {
    const own = owner.isControl
      ? undefined
      : lowLevelSensitivity(await maps(owner.subject.name), fields).mean;
    (owner.isControl ? controls : subjects).push(subjectResults(owner, mapped, own));
  }
  return {
    name,
    family,
    grid,
    nFeatures: tokens.shape[1],
    settings,
    subjects,
    controls,
  };
}

/**
 * Agreement of every pair of backbones, subject by subject, whose maps are in memory meanwhile.
 *
 * @param maps of a backbone and subject, distilled
 */
export async function compareAll(
  backbones: readonly string[],
  { subjects }: Study,
  maps: (backbone: string, subject: string) => Promise<RoiMaps>,
): Promise<Comparison[]> {
  const found: Comparison[] = [];
  if (backbones.length < 2) return found;
  for (const { name: subject, rois } of subjects) {
    const own: RoiMaps[] = [];
    for (const backbone of backbones) own.push(await maps(backbone, subject));
    for (let b = 1; b < backbones.length; b++) {
      for (let a = 0; a < b; a++) {
        const { mean } = compareMaps(own[a], own[b]);
        found.push({
          backbones: [backbones[a], backbones[b]],
          subject,
          rois: rois.map(({ name: roi }, r) => ({ roi, r: mean[r] })),
        });
      }
    }
  }
  return found;
}

/** Results as text; what is not a number becomes null. */
export function writeResults(results: StudyResults): string {
  return `${JSON.stringify(results, null, 1)}\n`;
}
