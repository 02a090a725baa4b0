/**
 * Settings of the group-wise disentangled VAE. Unless another source is named, defaults are those of the released code of MIG-Vis
 * (Wang et al. 2026, arXiv 2510.02182; `github.com/yulewang97/MIG-Vis`).
 *
 * @module
 */
import { InputError } from "../errors.ts";

/** Sizes of the network. */
export interface VaeShape {
  /** Recorded sites, the length of a response. */
  readonly nSites: number;
  /** Width of the encoder's hidden layer. */
  readonly hidden: number;
  /** Dimensions of each latent group, in order. */
  readonly groups: readonly number[];
  /** The group whose first `size` dimensions regress the pose, where poses are given. */
  readonly pose?: LabelHead;
  /** The group that the category is read from, among `size` categories, where categories are given. */
  readonly category?: LabelHead;
}

/** A weak label and the group that it supervises. */
export interface LabelHead {
  /** Number of the group, from 0. */
  readonly group: number;
  /** Pose features or categories. */
  readonly size: number;
}

/** What is trained and how. */
export interface VaeSettings {
  /** Width of the encoder's hidden layer. */
  readonly hidden: number;
  /** Dimensions of each latent group. */
  readonly groups: readonly number[];
  /** Group that the pose supervises. */
  readonly poseGroup: number;
  /** Group that the category supervises; of one group alone it is that one. */
  readonly categoryGroup: number;
  /** Stimuli per step. */
  readonly batchSize: number;
  /** Passes over the training stimuli. */
  readonly epochs: number;
  /** Step size of Adam. */
  readonly lr: number;
  /** L2 regularisation in the gradient. */
  readonly weightDecay: number;
  /** κ: weight of the Kullback–Leibler term. */
  readonly klWeight: number;
  /** λ: weight of both labels. */
  readonly labelWeight: number;
  /** τ: weight of the partial correlation between groups. */
  readonly partialCorrelationWeight: number;
  /** The posterior's variance is `exp(logvar)`, or as in the released code `exp(2·logvar)`, in the partial correlation. */
  readonly variance: "exact" | "code";
  /** The aggregated posterior is that of all training stimuli, or as in the released code that of the batch alone. */
  readonly sampleWeights: "dataset" | "batch";
  /** Sites are z-scored over all stimuli, as in the released code, or over training stimuli alone, which holds test data out. */
  readonly normalize: "all" | "train";
  /** Poses are z-scored, or taken as they are: the head has no intercept, so that they should have mean 0 and like sizes. */
  readonly poseScale: "zscore" | "none";
  /** The weights of the lowest test loss are kept, as in the released code, or the last ones, which holds test data out. */
  readonly keep: "best" | "last";
  /** Epochs between looks at the test loss. */
  readonly evaluateEvery: number;
  /** Share of stimuli that are tested on. */
  readonly testSize: number;
  /** Seed of the split into training and test stimuli. */
  readonly splitSeed: number;
}

/** Defaults of {@link VaeSettings}. The published run has 24 latent dimensions in 4 groups of 6. */
export const VAE_DEFAULTS: VaeSettings = {
  hidden: 64,
  groups: [6, 6, 6, 6],
  poseGroup: 0,
  categoryGroup: 1,
  batchSize: 32,
  epochs: 500,
  lr: 1e-3,
  weightDecay: 1e-5,
  klWeight: 0.002,
  labelWeight: 0.2, // the class's default; the command line's is 0
  partialCorrelationWeight: 4e-7, // the class's default; the command line's is 0
  variance: "exact",
  sampleWeights: "dataset",
  normalize: "all",
  poseScale: "zscore",
  keep: "best",
  evaluateEvery: 5,
  testSize: 0.2,
  splitSeed: 2024,
};

/** Share of the category's cross-entropy in the label term. */
export const CATEGORY_SHARE = 0.1;

/** Variances below this count as this in the partial correlation. */
export const MIN_VARIANCE = 1e-6;

/** Latent dimensions of all groups. */
export function latentSize(groups: readonly number[]): number {
  return groups.reduce((sum, size) => sum + size, 0);
}

/** First latent dimension of each group, and the end of the last one. */
export function groupStarts(groups: readonly number[]): number[] {
  const starts = [0];
  for (const size of groups) starts.push(starts[starts.length - 1] + size);
  return starts;
}

const isWhole = (value: number, least: number) => Number.isSafeInteger(value) && value >= least;

/** What a setting must be, by name. */
const RULES: readonly (readonly [
  keyof VaeSettings,
  string,
  (value: number, settings: VaeSettings) => boolean,
])[] = [
  ["hidden", "a whole number from 1", (v) => isWhole(v, 1)],
  ["poseGroup", "the number of a group, from 0", (v, { groups }) => v in groups],
  ["categoryGroup", "the number of a group, from 0", (v, { groups }) => v in groups],
  ["batchSize", "a whole number from 2", (v) => isWhole(v, 2)],
  ["epochs", "a whole number from 1", (v) => isWhole(v, 1)],
  ["evaluateEvery", "a whole number from 1", (v) => isWhole(v, 1)],
  ["lr", "above 0", (v) => v > 0 && v < Infinity],
  ["weightDecay", "0 or more", (v) => v >= 0 && v < Infinity],
  ["klWeight", "0 or more", (v) => v >= 0 && v < Infinity],
  ["labelWeight", "0 or more", (v) => v >= 0 && v < Infinity],
  ["partialCorrelationWeight", "0 or more", (v) => v >= 0 && v < Infinity],
  ["testSize", "between 0 and 1", (v) => v > 0 && v < 1],
  ["splitSeed", "a whole number below 2^32", (v) => isWhole(v, 0) && v < 2 ** 32],
];

/**
 * All settings, the defaults where none is given.
 *
 * @throws {InputError} for a setting out of its range: it names the setting, the rule and the value
 */
export function vaeSettings(given: Partial<VaeSettings> = {}): VaeSettings {
  const named = Object.entries(given).filter(([, value]) => value !== undefined);
  const { groups = VAE_DEFAULTS.groups } = given;
  const settings: VaeSettings = {
    ...VAE_DEFAULTS,
    categoryGroup: Math.min(VAE_DEFAULTS.categoryGroup, groups.length - 1),
    ...Object.fromEntries(named),
  };
  if (groups.length === 0 || !groups.every((size) => isWhole(size, 1))) {
    throw new InputError(
      `Cannot fit a VAE: groups must be sizes from 1, got [${groups}]`,
    );
  }
  for (const [name, rule, holds] of RULES) {
    const value = settings[name];
    if (typeof value === "number" && holds(value, settings)) continue;
    throw new InputError(`Cannot fit a VAE: ${name} must be ${rule}, got ${value}`);
  }
  return settings;
}
