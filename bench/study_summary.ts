/**
 * The numbers of a study of the phantom that the README states, from the study's folder: what was found, beside what is true of the
 * phantom.
 *
 * @module
 */
import { Hdf5File } from "../pipelines/io/hdf5.ts";
import { hostArray, toFloat64 } from "../pipelines/io/state_dict.ts";
import { categoryOf, type RegionLocalization } from "../pipelines/brain_sail/localization.ts";
import type { MapScoreName } from "../pipelines/brain_sail/evaluate.ts";
import type { RoiFit } from "../pipelines/brain_sail/encoders.ts";
import { median } from "../pipelines/stats/median.ts";
import { imageProperties } from "../pipelines/brain_sail/map_pass.ts";
import type { StudyResults, SubjectResults } from "../pipelines/brain_sail/results.ts";
import { subjectFolder } from "../pipelines/brain_sail/study_files.ts";
import type { Interval } from "../pipelines/report/numbers.ts";

/** What the voxels of a property's own region say. */
export interface PropertyRecovery {
  /** The property. */
  readonly property: string;
  /** Voxels of its region. */
  readonly nVoxels: number;
  /** Those with q < 0.05 and the true sign. */
  readonly nRight: number;
  /** Those with q < 0.05 and the wrong sign. */
  readonly nWrong: number;
  /** Voxels of noise with q < 0.05, of how many. */
  readonly nNoise: readonly [found: number, of: number];
  /** Voxels of the control with q < 0.05, of how many in all regions. */
  readonly nControl: readonly [found: number, of: number];
}

/** One subject on one backbone. */
export interface SubjectSummary {
  /** The subject. */
  readonly name: string;
  /** Medians over the regions that a category drives: R², ceiling, share; and the control's R². */
  readonly r2: number;
  readonly share: number;
  readonly controlR2: number;
  /** Voxels of the control that are predicted at q < 0.05, of all. */
  readonly controlPredicted: readonly [found: number, of: number];
  /** Scores of the maps, by region, the mean last. */
  readonly localization: readonly RegionLocalization[];
  /** Recovery of properties. */
  readonly properties: readonly PropertyRecovery[];
  /** Captions: categories, and top images by region's category and assigned category, of the subject and of its control. */
  readonly confusion?: {
    readonly categories: readonly string[];
    readonly counts: number[][];
    readonly control: number[][];
  };
  /** Mean over regions of a category of the low-level share of maps. */
  readonly lowLevel: number;
}

/** The whole. */
export interface StudySummary {
  /** Number of images that maps were made of. */
  readonly nMapped: number;
  /** Training images. */
  readonly nTrain: number;
  /** Fits to shuffled responses, permutations, resamples. */
  readonly nShuffles: number;
  readonly nPermutations: number;
  readonly nResamples: number;
  /** Backbones. */
  readonly backbones: readonly {
    readonly name: string;
    readonly family: string;
    readonly dense: string;
    readonly size: string;
    readonly nAugmentations: number;
    readonly subjects: readonly SubjectSummary[];
  }[];
  /** Mean over subjects and regions of a category of the agreement of maps. */
  readonly comparisons: readonly {
    readonly backbones: readonly [string, string];
    readonly r: number;
  }[];
}

const CATEGORIES = ["face", "body", "place", "food", "word"];
const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value / values.length, 0);
const isDriven = (roi: string): boolean => categoryOf(roi) !== undefined;

/** True signs of the voxels of a region: 1 for those of the anterior half, as the phantom has it. */
function trueSigns(voxels: readonly number[], flat: ArrayLike<number>): number[] {
  const place = voxels.map((v) => Math.abs(flat[2 * v]));
  const middle = meanOf(place);
  return place.map((anterior) => anterior >= middle ? 1 : -1);
}

/** How well properties are recovered from the files of a subject. */
async function recovery(
  path: string,
  own: SubjectResults,
  control: SubjectResults | undefined,
): Promise<PropertyRecovery[]> {
  using file = await Hdf5File.open(`${path}/voxels.h5`);
  const names = file.readStrings("roi_names");
  const roi = toFloat64(file.read("roi")), flat = toFloat64(file.read("flat"));
  const q = toFloat64(file.read("correlates/q")), sign = hostArray(file.read("correlates/sign"));
  const n = roi.length;
  const voxelsOf = (name: string) => [...roi.keys()].filter((v) => names[roi[v]] === name);
  return imageProperties.map((property, p) => {
    const voxels = voxelsOf(property);
    const truth = trueSigns(voxels, flat);
    const found = voxels.map((v) => q[p * n + v] < 0.05 ? Number(sign[p * n + v]) : 0);
    const noise = voxelsOf("noise");
    const rows = (control ?? own).correlates.filter((row) => row.property === property);
    const all = rows.reduce((sum, row) => sum + row.nPositive + row.nNegative, 0);
    return {
      property,
      nVoxels: voxels.length,
      nRight: found.filter((s, i) => s === truth[i]).length,
      nWrong: found.filter((s, i) => s === -truth[i]).length,
      nNoise: [noise.filter((v) => q[p * n + v] < 0.05).length, noise.length],
      nControl: [control ? all : NaN, n],
    };
  });
}

/** Top images by the category that a region is known for and the one that captions assign. */
function confusionOf({ confusion }: SubjectResults): number[][] {
  return CATEGORIES.map((category) =>
    CATEGORIES.map((assigned) => {
      const c = confusion!.categories.indexOf(assigned);
      return confusion!.rois.reduce(
        (sum, roi, r) => sum + (categoryOf(roi) === category ? confusion!.counts[r][c] ?? 0 : 0),
        0,
      );
    })
  );
}

function fitsOf({ fits }: SubjectResults, of: (fit: RoiFit) => number): number {
  return median(fits.filter(({ name }) => isDriven(name)).map(of));
}

/** Reads a study's folder. */
export async function summarize(folder: string): Promise<StudySummary> {
  const text = await Deno.readTextFile(`${folder}/results.json`);
  const results: StudyResults = JSON.parse(text, (_, value) => value === null ? NaN : value);
  const { settings, subjects: [{ nTrain }] } = results;
  const backbones = [];
  for (const { name, family, subjects, controls, settings: used } of results.backbones) {
    const own: SubjectSummary[] = [];
    for (const [s, subject] of subjects.entries()) {
      const control = controls.at(s);
      const path = subjectFolder(folder, name, subject.name);
      const all = control?.fits.at(-1);
      own.push({
        name: subject.name,
        r2: fitsOf(subject, ({ r2 }) => r2),
        share: fitsOf(subject, ({ share }) => share),
        controlR2: control ? fitsOf(control, ({ r2 }) => r2) : NaN,
        controlPredicted: [all?.nPredicted ?? NaN, all?.nVoxels ?? NaN],
        localization: subject.localization,
        properties: await recovery(path, subject, control),
        confusion: subject.confusion && {
          categories: CATEGORIES,
          counts: confusionOf(subject),
          control: control?.confusion ? confusionOf(control) : [],
        },
        lowLevel: meanOf(subject.lowLevel.filter(({ roi }) => isDriven(roi)).map(({ r2 }) => r2)),
      });
    }
    const { dense: { dense, arch }, denseSize, nAugmentations } = used as {
      dense: { dense: string; arch?: string };
      denseSize: { height: number; width: number };
      nAugmentations: number;
    };
    backbones.push({
      name,
      family,
      dense: arch ? `${dense}, ${arch}` : dense,
      size: `${denseSize.height}`,
      nAugmentations,
      subjects: own,
    });
  }
  const pairs = Map.groupBy(results.comparisons, ({ backbones: [a, b] }) => `${a}|${b}`);
  return {
    nMapped: results.mapped.length,
    nTrain,
    nShuffles: settings.nShuffles as number,
    nPermutations: settings.nPermutations as number,
    nResamples: settings.nResamples as number,
    backbones,
    comparisons: [...pairs.values()].map((list) => ({
      backbones: list[0].backbones,
      r: meanOf(
        list.flatMap(({ rois }) => rois.filter(({ roi }) => isDriven(roi)).map(({ r }) => r)),
      ),
    })),
  };
}

/** Numbers with four digits after the point, and NaN as null: what the tables need, and a file that people can read. */
export function summaryText(summary: StudySummary): string {
  const short = (_: string, value: unknown) =>
    typeof value === "number" && !Number.isInteger(value) ? Number(value.toFixed(4)) : value;
  return `${JSON.stringify(summary, short)}\n`;
}

/** Reads what {@link summaryText} wrote. */
export function readSummary(text: string): StudySummary {
  return JSON.parse(text, (_, value) => value === null ? NaN : value);
}

/** A score with its interval, as the tables have it. */
export function intervalText({ mean, low, high }: Interval, digits = 2): string {
  return Number.isNaN(mean)
    ? "–"
    : `${mean.toFixed(digits)} [${low.toFixed(digits)}, ${high.toFixed(digits)}]`;
}

/** Names of scores as the tables have them. */
export const scoreTitles: Readonly<Record<MapScoreName, string>> = {
  iou: "IoU",
  pearson: "Pearson r",
  auc: "AUC",
  pointing: "pointing game",
};
