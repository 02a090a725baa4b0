/**
 * Scores of segmentations against ground truth: intersections over unions of a whole data set, and boundaries.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { assignRows } from "../stats/assignment.ts";

/** The label of pixels that do not count (PASCAL VOC). */
export const IGNORE_LABEL = 255;

/** Counts of pixels by their class and the class they were given, `[nClasses, nClasses]`, row-major, ground truth first. */
export type ClassCounts = Float64Array<ArrayBuffer>;

/**
 * Counts pixels of a data set by class and prediction.
 *
 * @param truth classes from 0, or {@link IGNORE_LABEL}
 * @throws {InputError} when lengths differ, or a class is out of range
 */
export function confusionOf(
  predicted: ArrayLike<number>,
  truth: ArrayLike<number>,
  nClasses: number,
): ClassCounts {
  if (predicted.length !== truth.length) {
    throw new InputError(
      `Cannot score ${predicted.length} predictions of ${truth.length} pixels: they must be as many`,
    );
  }
  const counts = new Float64Array(nClasses * nClasses);
  for (let i = 0; i < truth.length; i++) {
    if (truth[i] === IGNORE_LABEL) continue;
    if (!(truth[i] < nClasses && predicted[i] < nClasses)) {
      throw new InputError(
        `Cannot score pixel ${i} of class ${truth[i]}, predicted as ${
          predicted[i]
        }: there are ${nClasses} classes`,
      );
    }
    counts[truth[i] * nClasses + predicted[i]]++;
  }
  return counts;
}

/** Intersections over unions of a data set. */
export interface IouScores {
  /** Mean over the classes that the ground truth has. */
  readonly miou: number;
  /** Each class, TP / (TP + FP + FN), `[nClasses]`; NaN where the ground truth has none of it. */
  readonly perClass: Float64Array<ArrayBuffer>;
  /** Share of pixels with their class. */
  readonly accuracy: number;
}

/** Intersection over union of every class by the counts of a data set. */
export function iouScores(counts: ClassCounts): IouScores {
  const n = Math.sqrt(counts.length), perClass = new Float64Array(n).fill(NaN);
  let [right, total, sum, present] = [0, 0, 0, 0];
  for (let c = 0; c < n; c++) {
    let [given, own] = [0, 0];
    for (let d = 0; d < n; d++) {
      own += counts[c * n + d];
      given += counts[d * n + c];
    }
    right += counts[c * n + c];
    total += own;
    if (own === 0) continue;
    perClass[c] = counts[c * n + c] / (own + given - counts[c * n + c]);
    sum += perClass[c];
    present++;
  }
  return { miou: sum / present, perClass, accuracy: right / total };
}

/**
 * Scores clusters that were found without ground truth: each class takes a cluster of its own so that the sum of their intersections over
 * unions is greatest (the Hungarian assignment); clusters that no class takes count as background, class 0.
 *
 * @param clusters from 0, one per pixel
 * @throws {InputError} when lengths differ, or a number is out of range
 */
export function matchedIou(
  clusters: ArrayLike<number>,
  truth: ArrayLike<number>,
  { nClasses, nClusters }: { readonly nClasses: number; readonly nClusters: number },
): IouScores & { readonly classOf: Int32Array<ArrayBuffer> } {
  const size = Math.max(nClasses, nClusters);
  const counts = confusionOf(clusters, truth, size); // [class, cluster]
  const [classes, found] = [new Float64Array(size), new Float64Array(size)];
  counts.forEach((count, at) => {
    classes[Math.floor(at / size)] += count;
    found[at % size] += count;
  });
  const shares = Float64Array.from({ length: nClusters * nClasses }, (_, at) => {
    const cluster = Math.floor(at / nClasses), c = at % nClasses, both = counts[c * size + cluster];
    return both === 0 ? 0 : both / (classes[c] + found[cluster] - both);
  });
  const assigned = assignRows(shares, [nClusters, nClasses], { maximize: true });
  const classOf = assigned.map((c) => Math.max(c, 0));
  const predicted = Uint32Array.from(clusters, (cluster) => classOf[cluster]);
  return { ...iouScores(confusionOf(predicted, truth, nClasses)), classOf };
}

/** Pixels at whose right or lower edge the label changes; pixels to ignore have no edges. */
function edges(
  labels: ArrayLike<number>,
  { height, width }: { readonly height: number; readonly width: number },
): Uint8Array {
  const out = new Uint8Array(height * width);
  for (let at = 0; at < out.length; at++) {
    const own = labels[at];
    const right = (at + 1) % width === 0 ? own : labels[at + 1];
    const below = at + width >= out.length ? own : labels[at + width];
    const changes = (other: number) => other !== own && other !== IGNORE_LABEL;
    out[at] = Number(own !== IGNORE_LABEL && (changes(right) || changes(below)));
  }
  return out;
}

/** Share of the edges of `a` with an edge of `b` within the radius; NaN where `a` has none. */
function nearEdges(
  a: Uint8Array,
  b: Uint8Array,
  { height, width, radius }: { height: number; width: number; radius: number },
): number {
  const reach = Math.floor(radius);
  let [near, total] = [0, 0];
  for (let at = 0; at < a.length; at++) {
    if (a[at] === 0) continue;
    const y = Math.floor(at / width), x = at % width;
    let isNear = 0;
    for (let dy = -reach; dy <= reach && !isNear; dy++) {
      for (let dx = -reach; dx <= reach && !isNear; dx++) {
        const inside = y + dy >= 0 && y + dy < height && x + dx >= 0 && x + dx < width;
        if (!inside || dy * dy + dx * dx > radius * radius) continue;
        isNear = b[at + dy * width + dx];
      }
    }
    near += isNear;
    total++;
  }
  return near / total;
}

/** Tolerance of a boundary's place, as a share of the image's diagonal (DAVIS, Perazzi et al. 2016). */
const BOUNDARY_SHARE = 0.0075;

/**
 * Boundary F of a segmentation: the harmonic mean of the share of predicted boundary near a true one and of true boundary near a predicted
 * one; 1 where neither has any, 0 where one has none.
 *
 * @param predicted labels, `[height, width]`
 * @param truth labels, {@link IGNORE_LABEL} for pixels that do not count, `[height, width]`
 * @throws {InputError} when there are not as many labels as pixels
 */
export function boundaryF(
  predicted: ArrayLike<number>,
  truth: ArrayLike<number>,
  { height, width, radius = Math.max(1, BOUNDARY_SHARE * Math.hypot(height, width)) }: {
    readonly height: number;
    readonly width: number;
    readonly radius?: number;
  },
): number {
  if (predicted.length !== height * width || truth.length !== height * width) {
    throw new InputError(
      `Cannot compare boundaries of ${predicted.length} and ${truth.length} labels: the image has ${height}x${width}`,
    );
  }
  const found = edges(
    Array.from(predicted, (p, i) => truth[i] === IGNORE_LABEL ? IGNORE_LABEL : p),
    {
      height,
      width,
    },
  );
  const wanted = edges(truth, { height, width });
  const precision = nearEdges(found, wanted, { height, width, radius });
  const recall = nearEdges(wanted, found, { height, width, radius });
  if (Number.isNaN(precision) || Number.isNaN(recall)) {
    return Number(Number.isNaN(precision) && Number.isNaN(recall));
  }
  return precision + recall === 0 ? 0 : 2 * precision * recall / (precision + recall);
}
