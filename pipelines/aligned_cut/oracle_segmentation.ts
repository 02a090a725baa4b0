/**
 * Segmentation with the ground truth as an oracle (AlignedCut, section C.4): class centres are means of the eigenvectors of their pixels,
 * and a pixel takes the class of the nearest centre. It asks how much of a segmentation a layer's eigenvectors hold.
 *
 * @module
 */
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { interpolate } from "../images/interpolate.ts";
import {
  type ClassCounts,
  IGNORE_LABEL,
  type IouScores,
  iouScores,
} from "./segmentation_scores.ts";
import type { FullMask } from "./patch_labels.ts";

/** Thresholds of the paper: ten from 0 to 1, both included. */
export const ORACLE_THRESHOLDS: readonly number[] = Array.from({ length: 10 }, (_, i) => i / 9);

/** Images whose patches have eigenvectors and classes. */
export interface SegmentationData {
  /** Eigenvectors of all patches, one joint cut: the first 10 in the paper, `[nImages · nPatches, nEig]`. */
  readonly eigvec: HostMatrix;
  /** Classes of the patches, 0 the background, {@link IGNORE_LABEL} for none, `[nImages · nPatches]`. */
  readonly labels: ArrayLike<number>;
  /** Number of classes, the background included. */
  readonly nClasses: number;
  /** Rows and columns of patches of an image. */
  readonly grid: readonly [height: number, width: number];
  /** Full masks; where given, scores are those of pixels, between whose patches eigenvectors are interpolated. */
  readonly maskOf?: (image: number) => FullMask;
}

/** Scores at one threshold. */
export interface ThresholdScore extends IouScores {
  /** Least similarity of a pixel that is no background. */
  readonly threshold: number;
}

/** An oracle segmentation. */
export interface OracleScores {
  /** Scores at every threshold. */
  readonly scores: readonly ThresholdScore[];
  /** That of the greatest mean. */
  readonly best: ThresholdScore;
  /** Mean eigenvector of each class, NaN where it has no patch, `[nClasses, nEig]`. */
  readonly centers: Float64Array<ArrayBuffer>;
}

/** Number of patches of an image. */
const patchesOf = ({ grid }: SegmentationData): number => grid[0] * grid[1];

/**
 * Number of images.
 *
 * @throws {InputError} when the parts do not fit together
 */
function imagesOf(data: SegmentationData): number {
  const { eigvec: { shape: [n] }, labels, grid, nClasses } = data;
  const nImages = n / patchesOf(data);
  if (!Number.isInteger(nImages) || nImages < 1 || labels.length !== n || nClasses < 2) {
    throw new InputError(
      `Cannot segment ${n} patches with ${labels.length} labels of ${nClasses} classes on grids of ${
        grid[0]
      }x${grid[1]}: ` + "there must be whole images, a label for each patch, and two classes",
    );
  }
  for (let i = 0; i < n; i++) {
    const label = labels[i];
    if (label === IGNORE_LABEL || Number.isInteger(label) && label >= 0 && label < nClasses) {
      continue;
    }
    throw new InputError(
      `Cannot segment: patch ${i} has the class ${label}, there are ${nClasses} and ${IGNORE_LABEL}`,
    );
  }
  return nImages;
}

/**
 * Mean eigenvector of each class over the patches of some images, `[nClasses, nEig]`; NaN where a class has no patch there.
 *
 * @param images all when left out
 * @throws {InputError} when labels, patches and grid do not fit together
 */
export function classCenters(
  data: SegmentationData,
  images?: ArrayLike<number>,
): Float64Array<ArrayBuffer> {
  const nImages = imagesOf(data), patches = patchesOf(data);
  const { eigvec: { data: values, shape: [, width] }, labels, nClasses } = data;
  const sums = new Float64Array(nClasses * width), counts = new Float64Array(nClasses);
  for (const image of Array.from(images ?? Array(nImages).keys())) {
    for (let i = image * patches; i < (image + 1) * patches; i++) {
      if (labels[i] === IGNORE_LABEL) continue;
      counts[labels[i]]++;
      for (let c = 0; c < width; c++) sums[labels[i] * width + c] += values[i * width + c];
    }
  }
  return sums.map((sum, at) => sum / counts[Math.floor(at / width)]);
}

/** Directions of the centres, and which classes have one. */
function directions(
  centers: Float64Array,
  width: number,
): { readonly unit: Float64Array; readonly classes: readonly number[] } {
  const unit = Float64Array.from(centers), classes: number[] = [];
  for (let k = 0; k < centers.length / width; k++) {
    const row = unit.subarray(k * width, (k + 1) * width);
    const length = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
    if (!(length > 0)) continue; // NaN for a class without patches, 0 has no direction
    classes.push(k);
    for (let c = 0; c < width; c++) row[c] /= length;
  }
  return { unit, classes };
}

/** Most similar class of each row and its cosine; class 0 and −1 for a row without direction. */
function nearestCenters(
  rows: ArrayLike<number>,
  width: number,
  centers: Float64Array,
): { readonly nearest: Uint8Array; readonly similarity: Float64Array } {
  const { unit, classes } = directions(centers, width);
  const n = rows.length / width;
  const nearest = new Uint8Array(n), similarity = new Float64Array(n).fill(-1);
  for (let i = 0; i < n; i++) {
    let square = 0;
    for (let c = 0; c < width; c++) square += rows[i * width + c] ** 2;
    if (square === 0) continue;
    for (const k of classes) {
      let dot = 0;
      for (let c = 0; c < width; c++) dot += rows[i * width + c] * unit[k * width + c];
      const cosine = dot / Math.sqrt(square);
      if (cosine > similarity[i]) [nearest[i], similarity[i]] = [k, cosine];
    }
  }
  return { nearest, similarity };
}

/** Eigenvectors and classes of what is scored of an image: its patches, or its pixels. */
function scoredRows(
  data: SegmentationData,
  image: number,
): { readonly rows: ArrayLike<number>; readonly truth: ArrayLike<number> } {
  const patches = patchesOf(data), { eigvec: { data: values, shape: [, width] }, grid } = data;
  const rows = values.subarray(image * patches * width, (image + 1) * patches * width);
  if (!data.maskOf) {
    const truth = Array.prototype.slice.call(data.labels, image * patches, (image + 1) * patches);
    return { rows, truth };
  }
  const mask = data.maskOf(image);
  const fine = interpolate(rows, {
    ...{ layout: "hwc", channels: width, height: grid[0], width: grid[1] },
    size: [mask.height, mask.width],
  });
  return { rows: fine.data, truth: mask.labels };
}

/** Counts of classes and predictions at every threshold. */
function countThresholds(
  { rows, truth }: { readonly rows: ArrayLike<number>; readonly truth: ArrayLike<number> },
  centers: Float64Array,
  { width, nClasses, thresholds }: {
    readonly width: number;
    readonly nClasses: number;
    readonly thresholds: readonly number[];
  },
): ClassCounts[] {
  const { nearest, similarity } = nearestCenters(rows, width, centers);
  return thresholds.map((threshold) => {
    const counts = new Float64Array(nClasses * nClasses);
    for (let i = 0; i < truth.length; i++) {
      if (truth[i] === IGNORE_LABEL) continue;
      counts[truth[i] * nClasses + (similarity[i] < threshold ? 0 : nearest[i])]++;
    }
    return counts;
  });
}

/**
 * Classes of an image's patches, or pixels where there are masks, by the nearest centre; background, 0, below the threshold.
 *
 * @param centers of {@link classCenters}
 */
export function segmentImage(
  data: SegmentationData,
  image: number,
  { centers, threshold }: { readonly centers: Float64Array; readonly threshold: number },
): Uint8Array<ArrayBuffer> {
  const { rows } = scoredRows(data, image);
  const { nearest, similarity } = nearestCenters(rows, data.eigvec.shape[1], centers);
  return Uint8Array.from(nearest, (k, i) => similarity[i] < threshold ? 0 : k);
}

/** Options of {@link scoreCenters} and of the segmentations that use it. */
export interface OracleOptions {
  /** Least similarities of a pixel that is no background. */
  readonly thresholds?: readonly number[];
}

/**
 * Scores of some images with given centres at every threshold, over one count of all their pixels.
 *
 * @param images all when left out
 * @throws {InputError} when labels, patches and grid do not fit together
 */
export function scoreCenters(
  data: SegmentationData,
  centers: Float64Array,
  { images, thresholds = ORACLE_THRESHOLDS }: OracleOptions & {
    readonly images?: ArrayLike<number>;
  } = {},
): ThresholdScore[] {
  const nImages = imagesOf(data), { nClasses, eigvec: { shape: [, width] } } = data;
  const totals = thresholds.map(() => new Float64Array(nClasses * nClasses));
  for (const image of Array.from(images ?? Array(nImages).keys())) {
    const counts = countThresholds(scoredRows(data, image), centers, {
      width,
      nClasses,
      thresholds,
    });
    counts.forEach((own, t) => own.forEach((count, at) => totals[t][at] += count));
  }
  return totals.map((counts, t) => ({ threshold: thresholds[t], ...iouScores(counts) }));
}

/**
 * The paper's five steps: centres of all classes, the background one of them; cosines; background below a threshold; else the most similar
 * class; and the greatest mean intersection over union of ten thresholds. Centres and threshold have seen the pixels that they are scored
 * on: compare layers with it, and see {@link heldOutSegmentation} for what would hold on new images.
 *
 * @throws {InputError} when labels, patches and grid do not fit together
 */
export function oracleSegmentation(
  data: SegmentationData,
  options: OracleOptions = {},
): OracleScores {
  const centers = classCenters(data);
  const scores = scoreCenters(data, centers, options);
  return { scores, best: bestOf(scores), centers };
}

/** The score of the greatest mean, of equal ones the first. */
export function bestOf(scores: readonly ThresholdScore[]): ThresholdScore {
  return scores.reduce((best, score) => (score.miou > best.miou ? score : best));
}

/**
 * Mean intersection over union of each image alone, over the classes that it has, `[nImages]`: units of a bootstrap over images.
 *
 * @throws {InputError} when labels, patches and grid do not fit together
 */
export function imageScores(
  data: SegmentationData,
  { centers, threshold }: { readonly centers: Float64Array; readonly threshold: number },
): Float64Array<ArrayBuffer> {
  const { nClasses, eigvec: { shape: [, width] } } = data;
  return Float64Array.from({ length: imagesOf(data) }, (_, image) => {
    const options = { width, nClasses, thresholds: [threshold] };
    return iouScores(countThresholds(scoredRows(data, image), centers, options)[0]).miou;
  });
}

/** The same images with other features, such as raw ones or their principal components. */
export function withFeatures(data: SegmentationData, features: HostMatrix): SegmentationData {
  return { ...data, eigvec: hostMatrix(features.data, features.shape) };
}
