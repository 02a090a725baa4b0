import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { type FeatureNormalizer, fitNormalizer, normalizeFeatures } from "../encoding/normalize.ts";
import { InputError } from "../errors.ts";
import { requireFinite } from "../io/checks.ts";
import type { VaeSettings, VaeShape } from "./settings.ts";
import type { TrainTestSplit } from "./split.ts";
import type { VaeSamples } from "./train.ts";

/** Responses to stimuli with what is known of the stimuli. */
export interface VaeData {
  /** `[nStimuli, nSites]` */
  readonly responses: HostMatrix;
  /** Pose features, `[nStimuli, nPose]`. */
  readonly pose?: HostMatrix;
  /** Categories, whole numbers from 0, `[nStimuli]`. */
  readonly categories?: ArrayLike<number>;
  /** How many categories there are; else one more than the largest. */
  readonly nCategories?: number;
}

/** What took means off and divided by deviations. */
export interface ColumnScale {
  /** `[nColumns]` */
  readonly mean: Float64Array<ArrayBuffer>;
  /** `[nColumns]`, 0 of columns that never change. */
  readonly std: Float64Array<ArrayBuffer>;
}

/** Refuses labels that are not whole numbers below `nCategories`. */
export function requireCategories(
  categories: ArrayLike<number>,
  nCategories: number,
): Uint32Array<ArrayBuffer> {
  for (let i = 0; i < categories.length; i++) {
    const label = categories[i];
    if (Number.isInteger(label) && label >= 0 && label < nCategories) continue;
    throw new InputError(
      `Cannot use the categories: each must be a whole number from 0 to ${
        nCategories - 1
      }, that of stimulus ${i} (counted from 0) is ${label}`,
    );
  }
  return Uint32Array.from(categories);
}

/** Number of categories: what the caller says, or one more than the largest. */
function countCategories({ categories, nCategories }: VaeData): number {
  if (nCategories !== undefined) return nCategories;
  let top = 0;
  for (const label of Array.from(categories ?? [])) if (label > top) top = label;
  return Math.floor(top) + 1;
}

/**
 * Refuses data that the VAE cannot be fitted to, and says what network they need.
 *
 * @throws {InputError} when rows differ in number, a value is not finite, or a label is out of range or does not fit its group
 */
export function shapeOf(data: VaeData, settings: VaeSettings): VaeShape {
  const { responses, pose, categories } = data;
  const { groups, hidden, poseGroup, categoryGroup } = settings;
  const [n, nSites] = responses.shape;
  const lengths = { pose: pose?.shape[0], categories: categories?.length };
  for (const [name, length] of Object.entries(lengths)) {
    if (length === undefined || length === n) continue;
    throw new InputError(
      `Cannot fit a VAE: ${name} must be given for each of the ${n} stimuli, ${length} are given`,
    );
  }
  if (n < 4 || nSites === 0) {
    throw new InputError(
      `Cannot fit a VAE to responses [${responses.shape}]: 4 stimuli and 1 site are needed`,
    );
  }
  requireFinite(responses.data, { source: "responses", columns: nSites });
  if (pose) requireFinite(pose.data, { source: "pose", columns: pose.shape[1] });
  const nPose = pose?.shape[1];
  if (nPose !== undefined && !(nPose >= 1 && nPose <= groups[poseGroup])) {
    throw new InputError(
      `Cannot supervise group ${poseGroup} by the pose: it has ${
        groups[poseGroup]
      } dimensions, one for each pose feature is needed, there are ${nPose}`,
    );
  }
  const nCategories = countCategories(data);
  if (categories) requireCategories(categories, nCategories);
  if (categories && nCategories < 2) {
    throw new InputError(
      `Cannot supervise group ${categoryGroup} by the category: 2 are needed, there is 1`,
    );
  }
  return {
    nSites,
    hidden,
    groups,
    ...(nPose === undefined ? {} : { pose: { group: poseGroup, size: nPose } }),
    ...(categories ? { category: { group: categoryGroup, size: nCategories } } : {}),
  };
}

/** Rows of a matrix, in this order. */
export function rowsOf({ data, shape: [, cols] }: HostMatrix, rows: ArrayLike<number>): HostMatrix {
  const taken = new Float32Array(rows.length * cols);
  for (let r = 0; r < rows.length; r++) {
    taken.set(data.subarray(rows[r] * cols, (rows[r] + 1) * cols), r * cols);
  }
  return hostMatrix(taken, [rows.length, cols]);
}

function columnScale(normalizer: FeatureNormalizer): ColumnScale {
  const { mean, std } = normalizer;
  if (!mean || !std) throw new RangeError("Cannot scale columns without means");
  return { mean, std };
}

/** Scales of the columns, learned from some rows. */
export function fitScale(matrix: HostMatrix, rows: Uint32Array | undefined): ColumnScale {
  return columnScale(fitNormalizer(rows ? rowsOf(matrix, rows) : matrix, "zscore"));
}

/** Columns with their means off, divided by their deviations. */
export function toScale(matrix: HostMatrix, scale: ColumnScale): HostMatrix {
  return normalizeFeatures(matrix, { kind: "zscore", ...scale });
}

/** Samples as the network sees them, and what scaled them. */
export interface ScaledSamples {
  readonly samples: VaeSamples;
  readonly sites: ColumnScale;
  readonly pose?: ColumnScale;
}

/** Scales responses and poses: by the statistics of all stimuli, or of those that are trained on. */
export function scaleSamples(
  { responses, pose, categories }: VaeData,
  settings: VaeSettings,
  split: TrainTestSplit,
): ScaledSamples {
  const rows = settings.normalize === "train" ? split.train : undefined;
  const sites = fitScale(responses, rows);
  const unscaled = (n: number): ColumnScale => ({
    mean: new Float64Array(n),
    std: new Float64Array(n).fill(1),
  });
  const poseScale = pose &&
    (settings.poseScale === "zscore" ? fitScale(pose, rows) : unscaled(pose.shape[1]));
  return {
    samples: {
      responses: toScale(responses, sites).data,
      ...(pose && poseScale ? { pose: toScale(pose, poseScale).data } : {}),
      ...(categories ? { categories: Uint32Array.from(categories) } : {}),
    },
    sites,
    ...(poseScale ? { pose: poseScale } : {}),
  };
}
