/**
 * Segmentation scores without leakage, and what they have to beat.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, type Key } from "../../engine/random.ts";
import { permutation } from "../encoding/cross_validation.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { farthestRows } from "../stats/farthest_rows.ts";
import { kMeans } from "../stats/kmeans.ts";
import { fitPca } from "../stats/pca.ts";
import {
  bestOf,
  classCenters,
  type OracleOptions,
  oracleSegmentation,
  scoreCenters,
  type SegmentationData,
  type ThresholdScore,
  withFeatures,
} from "./oracle_segmentation.ts";
import { confusionOf, type IouScores, iouScores, matchedIou } from "./segmentation_scores.ts";

/** Scores of images that chose nothing. */
export interface HeldOutScores {
  /** Each half, scored with the centres and the threshold of the other. */
  readonly halves: readonly [ThresholdScore, ThresholdScore];
  /** Mean of both halves. */
  readonly miou: number;
}

/**
 * Oracle segmentation without leakage: centres and threshold come from one half of the images, the score from the other, and in turn.
 *
 * @param key draws the halves
 * @throws {InputError} when there are fewer than two images, or labels, patches and grid do not fit together
 */
export function heldOutSegmentation(
  data: SegmentationData,
  { key, ...options }: OracleOptions & { readonly key: Key },
): HeldOutScores {
  const nImages = data.eigvec.shape[0] / (data.grid[0] * data.grid[1]);
  if (!(nImages >= 2)) {
    throw new InputError(`Cannot hold out half of ${nImages} images: there must be two or more`);
  }
  const order = permutation(key, nImages), middle = nImages >> 1;
  const [a, b] = [order.subarray(0, middle), order.subarray(middle)];
  const halves = [[a, b], [b, a]].map(([train, test]) => {
    const centers = classCenters(data, train);
    const { threshold } = bestOf(scoreCenters(data, centers, { ...options, images: train }));
    return scoreCenters(data, centers, { thresholds: [threshold], images: test })[0];
  });
  return { halves: [halves[0], halves[1]], miou: (halves[0].miou + halves[1].miou) / 2 };
}

/** Rows of unit length; rows of zeros stay. */
function unitRows({ data, shape: [n, width] }: HostMatrix): HostMatrix {
  const unit = Float32Array.from(data);
  for (let i = 0; i < n; i++) {
    const row = unit.subarray(i * width, (i + 1) * width);
    const length = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0)) || 1;
    for (let c = 0; c < width; c++) row[c] /= length;
  }
  return hostMatrix(unit, [n, width]);
}

const SEEDING_ROWS = 2000; // rows of which the first centres are picked

/**
 * Segmentation without an oracle: k-means of the directions of eigenvectors, clusters matched to classes afterwards.
 *
 * @param key draws the rows of which the first centres are picked
 * @throws {InputError} when there are fewer patches than clusters
 */
export async function clusterSegmentation(
  gpu: Gpu,
  data: SegmentationData,
  { key, nClusters = data.nClasses }: { readonly key: Key; readonly nClusters?: number },
): Promise<IouScores & { readonly clusters: Uint32Array<ArrayBuffer> }> {
  const rows = unitRows(data.eigvec), [n, width] = rows.shape;
  const drawn = permutation(foldIn(key, 0), n).subarray(0, Math.max(nClusters, SEEDING_ROWS));
  const some = new Float32Array(drawn.length * width);
  drawn.forEach((row, i) =>
    some.set(rows.data.subarray(row * width, (row + 1) * width), i * width)
  );
  const picks = farthestRows(some, [drawn.length, width], nClusters);
  const init = new Float32Array(nClusters * width);
  picks.forEach((row, k) => init.set(some.subarray(row * width, (row + 1) * width), k * width));
  const { labels } = await kMeans(gpu, rows, hostMatrix(init, [nClusters, width]));
  const scores = matchedIou(labels, data.labels, { nClasses: data.nClasses, nClusters });
  return { ...scores, clusters: labels };
}

/** Mean intersections over unions of what a cut has to beat. */
export interface SegmentationBaselines {
  /** Oracle segmentation by the features themselves. */
  readonly raw: number;
  /** Oracle segmentation by their first principal components. */
  readonly pca: number;
  /** Everything background. */
  readonly background: number;
}

/**
 * Scores of the same oracle without a cut.
 *
 * @param features of the patches, `[nImages · nPatches, width]`
 * @param nComponents principal components, as many as eigenvectors
 * @throws {InputError} when there are not as many rows as patches
 */
export function segmentationBaselines(
  data: SegmentationData,
  features: HostMatrix,
  { nComponents = Math.min(data.eigvec.shape[1], ...features.shape), ...options }: OracleOptions & {
    readonly nComponents?: number;
  } = {},
): SegmentationBaselines {
  const pca = fitPca(features, nComponents).transform(features);
  const known = Uint32Array.from(data.labels);
  const all = confusionOf(new Uint8Array(known.length), known, data.nClasses);
  return {
    raw: oracleSegmentation(withFeatures(data, features), options).best.miou,
    pca: oracleSegmentation(withFeatures(data, pca), options).best.miou,
    background: iouScores(all).miou,
  };
}
