import { InputError } from "../errors.ts";
import type { UnitValues } from "../stats/bootstrap.ts";

/** Responses to images that were each made for one region. */
export interface TargetResponses extends UnitValues {
  /** Region that each image was made for, as a column of the responses, `[nImages]`. */
  readonly targets: ArrayLike<number>;
}

/** Mean responses of every region to the images of every target. */
export interface ResponseMatrix {
  /** `[nRois targets, nRois responses]`, row-major; NaN where a target has no image. */
  readonly means: Float64Array<ArrayBuffer>;
  /** Images of each target, `[nRois]`. */
  readonly nImages: Uint32Array<ArrayBuffer>;
  /** Regions. */
  readonly nRois: number;
}

/**
 * Checks that responses fit their targets.
 *
 * @throws {InputError} when sizes differ, a response is not finite or a target is no column
 */
export function requireTargets({ data, shape: [n, nRois], targets }: TargetResponses): void {
  if (n < 1 || nRois < 1 || data.length !== n * nRois || targets.length !== n) {
    throw new InputError(
      `Cannot compare responses [${n},${nRois}] of ${data.length} values and ${targets.length} targets: ` +
        "there must be one row and one target per image",
    );
  }
  for (let i = 0; i < n; i++) {
    if (!(Number.isInteger(targets[i]) && targets[i] >= 0 && targets[i] < nRois)) {
      throw new InputError(
        `Cannot compare responses: image ${i} is for region ${
          targets[i]
        }, of ${nRois} counted from 0`,
      );
    }
  }
  for (let i = 0; i < data.length; i++) {
    if (!Number.isFinite(data[i])) {
      throw new InputError(
        `Cannot compare responses: image ${Math.floor(i / nRois)}, region ${i % nRois} is ${
          data[i]
        }`,
      );
    }
  }
}

/**
 * Mean response of every region to the images of every target, in float64: predicted responses or measured betas alike.
 *
 * @param responses `[nImages, nRois]`
 * @throws {InputError} when the responses do not fit their targets
 */
export function responseMatrix(responses: TargetResponses): ResponseMatrix {
  requireTargets(responses);
  return matrixOf(responses, responses.targets);
}

/** The same for targets that have been checked. @internal */
export function matrixOf(
  { data, shape: [n, nRois] }: UnitValues,
  targets: ArrayLike<number>,
): ResponseMatrix {
  const means = new Float64Array(nRois * nRois), nImages = new Uint32Array(nRois);
  for (let i = 0; i < n; i++) {
    const t = targets[i];
    nImages[t]++;
    for (let r = 0; r < nRois; r++) means[t * nRois + r] += data[i * nRois + r];
  }
  for (let k = 0; k < means.length; k++) means[k] /= nImages[Math.floor(k / nRois)];
  return { means, nImages, nRois };
}

/** Where values stand among those of natural images. */
export interface NaturalComparison {
  /** Percentage of natural images below, those equal counted half, of each value. */
  readonly percentiles: Float64Array<ArrayBuffer>;
  /** Distance from the natural mean in natural standard deviations (n − 1); NaN where natural images do not differ. */
  readonly z: Float64Array<ArrayBuffer>;
}

/**
 * Compares responses with those to natural images, region by region, in float64.
 *
 * @param responses `[nImages, nRois]`, or rows of a matrix
 * @param natural `[nNatural, nRois]`, of images that the encoder was not fitted on
 * @throws {InputError} when the regions differ in number or there is no natural image
 */
export function compareWithNatural(
  responses: UnitValues,
  natural: UnitValues,
): NaturalComparison {
  const [n, nRois] = responses.shape, [m, columns] = natural.shape;
  if (columns !== nRois || m < 1 || natural.data.length !== m * columns) {
    throw new InputError(
      `Cannot compare responses of ${nRois} regions with natural ones [${m},${columns}]: ` +
        "the regions must be the same and there must be an image",
    );
  }
  const percentiles = new Float64Array(n * nRois), z = new Float64Array(n * nRois);
  for (let r = 0; r < nRois; r++) {
    const sorted = Float64Array.from({ length: m }, (_, i) => natural.data[i * nRois + r]).sort();
    const mean = sorted.reduce((s, v) => s + v, 0) / m;
    const spread = Math.sqrt(sorted.reduce((s, v) => s + (v - mean) ** 2, 0) / (m - 1));
    for (let i = 0; i < n; i++) {
      const value = responses.data[i * nRois + r];
      const below = countBelow(sorted, value, false), upTo = countBelow(sorted, value, true);
      percentiles[i * nRois + r] = 100 * (below + upTo) / (2 * m);
      z[i * nRois + r] = spread > 0 ? (value - mean) / spread : NaN;
    }
  }
  return { percentiles, z };
}

/** How many of sorted values lie below one, or at most at it. */
function countBelow(sorted: Float64Array, value: number, isEqual: boolean): number {
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value || isEqual && sorted[middle] === value) low = middle + 1;
    else high = middle;
  }
  return low;
}
