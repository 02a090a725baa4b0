/**
 * Image-property correlates: how much a voxel's relevance map is like a map of depth, saturation or luminance.
 *
 * A map is linear in the voxel's weights: with centred patch features `X [patches, m]` of an image it is `X·w`, so its correlation with a
 * property is `w'c / √(w'Σw)`, where `c` is the features' covariance with the property over the property's standard deviation and
 * `Σ` their own covariance. Both are measured once per image; no map is made, and any number of voxels is two products.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import {
  add,
  div,
  greater,
  maximum,
  mul,
  scale,
  sqrt,
  square,
  sub,
} from "../../engine/ops/elementwise.ts";
import { gram } from "../../engine/ops/gram.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { mean, sum } from "../../engine/ops/reduce.ts";
import { readAll, Tensor, tidy } from "../../engine/tensor.ts";
import { slabValues } from "../encoding/device_matrix.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import { normalizeRows } from "./relevance.ts";

/** Dense features of images, one image at a time. */
export interface DenseImages {
  /** Number of images. */
  readonly nImages: number;
  /** Patches of an image. */
  readonly nPatches: number;
  /** Features of a patch. */
  readonly nFeatures: number;
  /** Features of image `i`, `[…, nFeatures]` with all its patches; whoever asks disposes of them. May be asked again. */
  readonly read: (image: number) => Tensor | Promise<Tensor>;
}

/** Maps of properties on the patches of images. */
export interface PropertyMaps {
  /** Name of each property. */
  readonly names: readonly string[];
  /** `[nImages, nProperties, nPatches]` */
  readonly data: ArrayLike<number>;
}

/** Moments of features and properties over the patches of each image: all that correlations need. */
export interface CorrelateMoments {
  /** Features of a patch. */
  readonly nFeatures: number;
  /** Covariance of the features in each image, `[nFeatures, nFeatures]`. */
  readonly covariances: readonly Float32Array<ArrayBuffer>[];
  /** Covariance with each property over the property's standard deviation, `[nProperties, nFeatures]`; 0 where that is constant. */
  readonly crosses: readonly Float32Array<ArrayBuffer>[];
  /** Means of the features in each image, `[nFeatures]`. */
  readonly means: readonly Float32Array<ArrayBuffer>[];
  /** Means of the properties, `[nImages, nProperties]`. */
  readonly propertyMeans: Float64Array<ArrayBuffer>;
  /** Standard deviations of the properties over the patches of an image, `[nImages, nProperties]`, 0 for a constant one. */
  readonly propertyDeviations: Float64Array<ArrayBuffer>;
}

/** Options of {@link measureCorrelates}. */
export interface MeasureCorrelatesOptions extends LongCall {
  /** `false` takes the features as they are; the default is unit length per patch (BrainSAIL). */
  readonly normalize?: boolean;
}

/** A property whose values differ by less than this share of the largest is constant: that is rounding of f32. */
const CONSTANT = 1e-6;
/** A map whose variance is less than this share of what weights and features could make is constant: ten roundings of f32. */
const LEAST_SHARE = 1e-12;

/** The least normal number of f32. */
const LEAST_NORMAL = 2 ** -126;

/** Mean, standard deviation and `(value − mean) / (n · deviation)` of a property in an image. */
interface PropertyRow {
  readonly mean: number;
  readonly deviation: number;
  readonly unit: Float32Array<ArrayBuffer>;
}

/** Moments of the properties of one image. @internal */
export function propertyRows(
  { names, data }: PropertyMaps,
  image: number,
  nPatches: number,
): PropertyRow[] {
  return names.map((name, p) => {
    const start = (image * names.length + p) * nPatches;
    let [total, least, most, largest] = [0, Infinity, -Infinity, 0];
    for (let i = start; i < start + nPatches; i++) {
      if (!Number.isFinite(data[i])) {
        throw new InputError(
          `Cannot correlate with ${name}: patch ${i - start} of image ${image} is ${
            data[i]
          }, it must be finite`,
        );
      }
      total += data[i];
      least = Math.min(least, data[i]);
      most = Math.max(most, data[i]);
      largest = Math.max(largest, Math.abs(data[i]));
    }
    const mean = total / nPatches;
    const unit = new Float32Array(nPatches);
    if (most - least <= CONSTANT * largest) return { mean, deviation: 0, unit };
    let squares = 0;
    for (let i = start; i < start + nPatches; i++) squares += (data[i] - mean) ** 2;
    const deviation = Math.sqrt(squares / nPatches);
    for (let i = 0; i < nPatches; i++) unit[i] = (data[start + i] - mean) / nPatches / deviation;
    return { mean, deviation, unit };
  });
}

/**
 * Refuses properties that are not as many as the images' patches.
 *
 * @internal
 */
export function requireMapsOf({ nImages, nPatches }: DenseImages, maps: PropertyMaps): void {
  const expected = nImages * maps.names.length * nPatches;
  if (nImages > 0 && nPatches > 1 && maps.names.length > 0 && maps.data.length === expected) return;
  throw new InputError(
    `Cannot correlate ${maps.data.length} values of properties with ${nImages} images of ${nPatches} patches: ` +
      `${maps.names.length} properties need ${expected}, and there must be images, properties and two patches or more`,
  );
}

/** Features of one image as rows, of unit length if wanted. @internal */
export async function readRows(
  { nPatches, nFeatures, read }: DenseImages,
  image: number,
  normalize: boolean,
): Promise<Tensor> {
  using x = await read(image);
  if (x.shape.at(-1) !== nFeatures || x.size !== nPatches * nFeatures) {
    throw new InputError(
      `Cannot correlate: features of image ${image} must be [${nPatches},${nFeatures}], got [${x.shape}]`,
    );
  }
  return tidy(x.gpu, () => {
    const rows = x.reshape([nPatches, nFeatures]);
    return normalize ? normalizeRows(rows) : rows;
  });
}

/**
 * Measures the moments of images and properties, image by image; memory is `nFeatures²` values an image.
 *
 * @param images as the encoder takes features: where it z-scores, divided by its standard deviations
 * @throws {InputError} when shapes do not fit, or a value is not finite
 */
export async function measureCorrelates(
  gpu: Gpu,
  images: DenseImages,
  properties: PropertyMaps,
  { normalize = true, signal, onProgress }: MeasureCorrelatesOptions = {},
): Promise<CorrelateMoments> {
  requireMapsOf(images, properties);
  const { nImages, nPatches, nFeatures } = images;
  const k = properties.names.length;
  const make = () => new Float64Array(nImages * k);
  const covariances: Float32Array<ArrayBuffer>[] = [], crosses: typeof covariances = [];
  const means: typeof covariances = [], propertyMeans = make(), propertyDeviations = make();
  for (let image = 0; image < nImages; image++) {
    signal?.throwIfAborted();
    const rows = propertyRows(properties, image, nPatches);
    const units = new Float32Array(k * nPatches);
    rows.forEach(({ mean, deviation, unit }, p) => {
      propertyMeans[image * k + p] = mean;
      propertyDeviations[image * k + p] = deviation;
      units.set(unit, p * nPatches);
    });
    using x = await readRows(images, image, normalize);
    const parts = tidy(gpu, () => {
      const centre = mean(x, { axes: [0], keepDims: true }); // [1, m]
      const centred = sub(x, centre); // [patches, m]
      const cross = matmul(Tensor.from(gpu, units, [k, nPatches]), centred); // [k, m]
      return [scale(gram(centred, { transpose: true }), 1 / nPatches), cross, centre];
    });
    const values = await readAll(parts).finally(() => parts.forEach((part) => part.dispose()));
    const [covariance, cross, centre] = values as Float32Array<ArrayBuffer>[];
    if (!centre.every(Number.isFinite)) {
      throw new InputError(`Cannot correlate: features of image ${image} are not finite`);
    }
    covariances.push(covariance);
    crosses.push(cross);
    means.push(centre);
    onProgress?.({ stage: "moments", done: image + 1, total: nImages });
  }
  return { nFeatures, covariances, crosses, means, propertyMeans, propertyDeviations };
}

/**
 * The moments of all patches of all images together, as those of one image: correlations are then over patches wherever they are, and
 * what differs between images counts too. An image whose property is constant is part of it.
 */
export function poolMoments(moments: CorrelateMoments): CorrelateMoments {
  const { nFeatures: m, covariances, crosses, means } = moments;
  const n = covariances.length, k = crosses[0].length / m;
  const average = (of: (image: number) => number) => {
    let total = 0;
    for (let i = 0; i < n; i++) total += of(i);
    return total / n;
  };
  const centre = Float64Array.from({ length: m }, (_, a) => average((i) => means[i][a]));
  const covariance = Float32Array.from({ length: m * m }, (_, at) => {
    const a = Math.floor(at / m), b = at % m;
    return average((i) =>
      covariances[i][at] + (means[i][a] - centre[a]) * (means[i][b] - centre[b])
    );
  });
  const value = moments.propertyMeans, deviation = moments.propertyDeviations;
  const propertyMeans = Float64Array.from(
    { length: k },
    (_, p) => average((i) => value[i * k + p]),
  );
  const propertyDeviations = Float64Array.from({ length: k }, (_, p) => {
    const variance = average((i) =>
      deviation[i * k + p] ** 2 + (value[i * k + p] - propertyMeans[p]) ** 2
    );
    return Math.sqrt(variance) <= CONSTANT * Math.abs(propertyMeans[p]) ? 0 : Math.sqrt(variance);
  });
  const cross = Float32Array.from({ length: k * m }, (_, at) => {
    const p = Math.floor(at / m), a = at % m;
    if (propertyDeviations[p] === 0) return 0;
    const covaried = average((i) =>
      crosses[i][at] * deviation[i * k + p] +
      (means[i][a] - centre[a]) * (value[i * k + p] - propertyMeans[p])
    );
    return covaried / propertyDeviations[p];
  });
  return {
    ...{ nFeatures: m, covariances: [covariance], crosses: [cross] },
    ...{ means: [Float32Array.from(centre)], propertyMeans, propertyDeviations },
  };
}

/** Images in which each property varies, `[nProperties]`. @internal */
export function countVarying({ crosses, propertyDeviations }: CorrelateMoments): Uint32Array {
  const k = propertyDeviations.length / crosses.length;
  const counts = new Uint32Array(k);
  propertyDeviations.forEach((deviation, at) => counts[at % k] += deviation > 0 ? 1 : 0);
  return counts;
}

/** `x / √variance` by columns, 0 where the variance is that of rounding: `least` is what it must be above. @internal */
export function overDeviation(x: Tensor, variance: Tensor, least: Tensor): Tensor {
  return mul(div(x, sqrt(maximum(variance, least))), greater(variance, least));
}

/**
 * What the variance of maps must be above, for weights `[m, nColumns]` on features of these mean squares `[…, 1]`: `[…, nColumns]`.
 *
 * @internal
 */
export function leastVariance(weights: Tensor, meanSquares: Tensor): Tensor {
  const squares = scale(sum(square(weights), { axes: [0], keepDims: true }), LEAST_SHARE);
  // A map of zero weights has no variance; the least normal number keeps the division finite.
  return maximum(mul(meanSquares, squares), Tensor.from(weights.gpu, [LEAST_NORMAL], [1]));
}

/**
 * Correlations summed over images, `[nProperties, nColumns]`, some images at a time.
 *
 * @param weights `[nFeatures, nColumns]`
 * @param most values of the largest tensor
 *
 * @internal
 */
export function summedCorrelations(
  { nFeatures: m, covariances, crosses, means }: CorrelateMoments,
  weights: Tensor,
  most: number,
): Tensor {
  const { gpu, shape: [, columns] } = weights;
  const n = covariances.length, k = crosses[0].length / m;
  const step = Math.max(1, Math.floor(most / m / Math.max(m, columns)));
  let total: Tensor | undefined;
  for (let start = 0; start < n; start += step) {
    const count = Math.min(step, n - start), images = [...Array(count).keys()];
    const covariance = new Float32Array(count * m * m), cross = new Float32Array(count * k * m);
    const squares = new Float32Array(count);
    for (const i of images) {
      covariance.set(covariances[start + i], i * m * m);
      cross.set(crosses[start + i], i * k * m);
      for (let a = 0; a < m; a++) {
        squares[i] += covariances[start + i][a * m + a] + means[start + i][a] ** 2;
      }
    }
    const before = total;
    total = tidy(gpu, () => {
      const products = matmul(Tensor.from(gpu, covariance, [count, m, m]), weights);
      const variance = sum(mul(products, weights), { axes: [1], keepDims: true }); // [count, 1, columns]
      const least = leastVariance(weights, Tensor.from(gpu, squares, [count, 1, 1]));
      const shared = matmul(Tensor.from(gpu, cross, [count * k, m]), weights);
      const r = overDeviation(shared.reshape([count, k, columns]), variance, least);
      const summed = sum(r, { axes: [0] });
      return before ? add(before, summed) : summed;
    });
    before?.dispose();
  }
  return total!;
}

/** Options of {@link relevanceCorrelates}. */
export interface RelevanceCorrelatesOptions extends LongCall {
  /** Correlates over the patches of all images at once instead of image by image. */
  readonly pooled?: boolean;
  /** Voxels that are on the device at once; by default as many as are worth it. */
  readonly nTargetsBatch?: number;
}

/**
 * Correlation of every voxel's relevance map with every property: Pearson over the patches of an image, mean over the images in which the
 * property varies. A constant map counts 0. f32 on the device.
 *
 * @param weights `[nFeatures, nTargets]`: an encoder's `coef`
 * @returns `[nProperties, nTargets]`; NaN for a property that varies in no image
 * @throws {InputError} when the features are not as many
 */
export async function relevanceCorrelates(
  gpu: Gpu,
  moments: CorrelateMoments,
  weights: HostMatrix,
  { pooled = false, nTargetsBatch, signal, onProgress }: RelevanceCorrelatesOptions = {},
): Promise<Float64Array<ArrayBuffer>> {
  const [m, nTargets] = weights.shape;
  if (m !== moments.nFeatures) {
    throw new InputError(
      `Cannot correlate maps of weights [${weights.shape}]: there are ${moments.nFeatures} features`,
    );
  }
  const used = pooled ? poolMoments(moments) : moments;
  const counts = countVarying(used), k = counts.length;
  const most = slabValues(gpu) / 4;
  const step = nTargetsBatch ?? Math.max(1, Math.floor(most / m));
  const r = new Float64Array(k * nTargets);
  for (let start = 0; start < nTargets; start += step) {
    signal?.throwIfAborted();
    const end = Math.min(nTargets, start + step);
    const part = new Float32Array(m * (end - start));
    for (let a = 0; a < m; a++) {
      const from = a * nTargets;
      part.set(weights.data.subarray(from + start, from + end), a * (end - start));
    }
    using w = Tensor.from(gpu, part, [m, end - start]);
    using summed = summedCorrelations(used, w, most);
    const values = await summed.data();
    for (let p = 0; p < k; p++) {
      for (let v = start; v < end; v++) {
        const value = values[p * (end - start) + v - start] / counts[p];
        r[p * nTargets + v] = Math.max(-1, Math.min(1, value));
      }
    }
    onProgress?.({ stage: "correlates", done: end, total: nTargets });
  }
  return r;
}
