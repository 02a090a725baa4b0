/**
 * Whether a voxel's correlation with an image property is more than chance: two null distributions, each for another question.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { add, square, sub } from "../../engine/ops/elementwise.ts";
import { gather } from "../../engine/ops/gather.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { mean, sum } from "../../engine/ops/reduce.ts";
import { foldIn, type Key } from "../../engine/random.ts";
import { readAll, Tensor, tidy } from "../../engine/tensor.ts";
import { permutation } from "../encoding/cross_validation.ts";
import { slabValues } from "../encoding/device_matrix.ts";
import { type HostMatrix, range, takeColumns } from "../encoding/host_matrix.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { PermutedRidge, type RidgeProblem } from "../encoding/permuted_ridge.ts";
import { InputError } from "../errors.ts";
import { bhFdr } from "../stats/fdr.ts";
import {
  type CorrelateMoments,
  countVarying,
  type DenseImages,
  leastVariance,
  measureCorrelates,
  overDeviation,
  type PropertyMaps,
  propertyRows,
  readRows,
  requireMapsOf,
  summedCorrelations,
} from "./correlates.ts";

/** Options of {@link correlatesTest}. */
export interface CorrelatesTestOptions extends LongCall {
  /** Draws the orders; permutation `i` is drawn with `foldIn(key, i)`. */
  readonly key: Key;
  /**
   * `"responses"` refits the encoder to responses whose rows are exchanged: is it the brain data that make the correlation? The map of
   * any direction in feature space has some correlation with depth or saturation, and only refitting takes that into account.
   * `"images"` exchanges the property maps between images and keeps the encoder: does the map follow the property of its own image,
   * rather than what images have in common, such as a bright top?
   */
  readonly null?: "responses" | "images";
  /** Number of permutations; no p-value is below `1 / (1 + nPermutations)`. */
  readonly nPermutations?: number;
  /** `false` takes the features as they are; the default is unit length per patch (BrainSAIL). */
  readonly normalize?: boolean;
  /** Moments of the same images and properties, where they have been measured; `"images"` makes its own. */
  readonly moments?: CorrelateMoments;
  /** Voxels that are on the device at once; by default as many as are worth it. */
  readonly nTargetsBatch?: number;
}

/** Images, and maps of their properties. */
export interface CorrelateImages {
  /** Dense features. */
  readonly images: DenseImages;
  /** Properties. */
  readonly properties: PropertyMaps;
}

/** Correlations with their p-values, all `[nProperties, nTargets]` in float64. */
export interface CorrelatesResult {
  /** Mean over images of the Pearson correlation of the relevance map with the property. */
  readonly correlations: Float64Array<ArrayBuffer>;
  /** Two-sided, `(1 + #{|null| ≥ |observed|}) / (1 + nPermutations)`; 1 for a property that varies in no image. */
  readonly pValues: Float64Array<ArrayBuffer>;
  /** Benjamini and Hochberg's q-values over the voxels, property by property. */
  readonly qValues: Float64Array<ArrayBuffer>;
}

// Sums of the same products in another batch differ by less; they are ties, and ties count.
const TIE = 1e-6;

/** Correlations of some targets under some orders: the first order of all is the observed one. */
class Counts {
  readonly correlations: Float64Array<ArrayBuffer>;
  readonly counts: Float64Array<ArrayBuffer>;

  /** Counts nothing yet. */
  constructor(readonly varying: Uint32Array, readonly nTargets: number) {
    this.correlations = new Float64Array(varying.length * nTargets).fill(NaN);
    this.counts = new Float64Array(varying.length * nTargets);
  }

  /**
   * Takes sums over images of some orders.
   *
   * @param at where property `p` of target `v` of order `o` lies in `sums`
   */
  take(
    sums: ArrayLike<number>,
    { orders, start, end, at }: {
      readonly orders: readonly number[];
      readonly start: number;
      readonly end: number;
      readonly at: (p: number, order: number, v: number) => number;
    },
  ): void {
    this.varying.forEach((images, p) => {
      if (images === 0) return;
      orders.forEach((order, o) => {
        for (let v = start; v < end; v++) {
          const target = p * this.nTargets + v;
          const r = Math.max(-1, Math.min(1, sums[at(p, o, v - start)] / images));
          if (order === 0) this.correlations[target] = r;
          else if (Math.abs(r) >= Math.abs(this.correlations[target]) - TIE) this.counts[target]++;
        }
      });
    });
  }

  /** p- and q-values. */
  result(nPermutations: number): CorrelatesResult {
    const { correlations, nTargets } = this;
    const pValues = this.counts.map((count, at) =>
      Number.isNaN(correlations[at]) ? 1 : (1 + count) / (1 + nPermutations)
    );
    const qValues = new Float64Array(pValues.length);
    this.varying.forEach((_, p) => {
      const [start, end] = [p * nTargets, (p + 1) * nTargets];
      qValues.set(bhFdr(pValues.subarray(start, end)), start);
    });
    return { correlations, pValues, qValues };
  }
}

/** The orders of a test by number; 0 is that of the data. */
function orderOf(key: Key, n: number): (order: number) => Uint32Array {
  return (order) => order === 0 ? range(n) : permutation(foldIn(key, order - 1), n);
}

/** The numbers from `start` up to but without `end`. */
function numbers(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, i) => start + i);
}

/**
 * Permutation test of the correlation of every voxel's relevance map with every property, two-sided. The statistic is that of
 * `relevanceCorrelates`, of the ridge regression at the given alphas, which is the encoder's own where that was fitted by one.
 *
 * @param encoder what the encoder was fitted on; `"images"` also takes its weights alone, `[nFeatures, nTargets]`
 * @throws {InputError} when shapes do not fit, there is no permutation, or `"responses"` has nothing to refit
 */
export async function correlatesTest(
  gpu: Gpu,
  { images, properties }: CorrelateImages,
  encoder: RidgeProblem | { readonly weights: HostMatrix },
  options: CorrelatesTestOptions,
): Promise<CorrelatesResult> {
  const { null: kind = "responses", nPermutations = 1000 } = options;
  requireMapsOf(images, properties);
  if (!(Number.isInteger(nPermutations) && nPermutations >= 1)) {
    throw new InputError(
      `Cannot test with ${nPermutations} permutations: there must be a whole number of them from 1`,
    );
  }
  const nFeatures = "weights" in encoder ? encoder.weights.shape[0] : encoder.features.shape[1];
  if (nFeatures !== images.nFeatures) {
    throw new InputError(
      `Cannot correlate maps of weights of ${nFeatures} features: the images have ${images.nFeatures}`,
    );
  }
  if (kind === "images") return await testImages(gpu, { images, properties }, encoder, options);
  if ("weights" in encoder) {
    throw new InputError(
      "Cannot exchange responses: the encoder is given by its weights, which cannot be refitted",
    );
  }
  const moments = options.moments ?? await measureCorrelates(gpu, images, properties, options);
  const [n, k] = [moments.crosses.length, properties.names.length];
  if (n !== images.nImages || moments.propertyMeans.length !== n * k) {
    throw new InputError(
      `Cannot test ${images.nImages} images and ${k} properties with the moments of ${n} images and ${
        moments.propertyMeans.length / n
      } properties`,
    );
  }
  return await testResponses(gpu, moments, encoder, options);
}

async function testResponses(
  gpu: Gpu,
  moments: CorrelateMoments,
  problem: RidgeProblem,
  { key, nPermutations = 1000, nTargetsBatch, signal, onProgress }: CorrelatesTestOptions,
): Promise<CorrelatesResult> {
  using ridge = await PermutedRidge.open(gpu, problem, signal);
  const [n, nTargets] = problem.responses.shape, m = moments.nFeatures;
  const orderAt = orderOf(key, n);
  const counts = new Counts(countVarying(moments), nTargets);
  const most = slabValues(gpu) / 4;
  const fitting = Math.max(1, Math.floor(most / Math.max(n, m)));
  const width = Math.min(nTargets, nTargetsBatch ?? fitting);
  const group = Math.max(1, Math.floor(most / m / Math.max(n, width)));
  const total = Math.ceil(nTargets / width) * (1 + nPermutations);
  let done = 0;
  for (let start = 0; start < nTargets; start += width) {
    const end = Math.min(nTargets, start + width), size = end - start;
    const { y, shrink } = ridge.targets(start, end);
    using _y = y, _shrink = shrink;
    for (let first = 0; first <= nPermutations; first += group) {
      signal?.throwIfAborted();
      const orders = numbers(first, Math.min(1 + nPermutations, first + group));
      using weights = ridge.weights(orders.map(orderAt), { y, shrink });
      using summed = summedCorrelations(moments, weights, most);
      const sums = await summed.data();
      const at = (p: number, o: number, v: number) => (p * orders.length + o) * size + v;
      counts.take(sums, { orders, start, end, at });
      done += orders.length;
      onProgress?.({ stage: "permutations", done, total });
    }
  }
  return counts.result(nPermutations);
}

/** Weights of the encoder as they are, or of the ridge regression that it is. */
async function weightsOf(
  gpu: Gpu,
  encoder: RidgeProblem | { readonly weights: HostMatrix },
  signal?: AbortSignal,
): Promise<HostMatrix> {
  if ("weights" in encoder) return encoder.weights;
  using ridge = await PermutedRidge.open(gpu, encoder, signal);
  const [n, nTargets] = encoder.responses.shape, m = encoder.features.shape[1];
  const data = new Float32Array(m * nTargets);
  const width = Math.max(1, Math.floor(slabValues(gpu) / 4 / Math.max(n, m)));
  for (let start = 0; start < nTargets; start += width) {
    const end = Math.min(nTargets, start + width);
    const { y, shrink } = ridge.targets(start, end);
    using _y = y, _shrink = shrink;
    using part = ridge.weights([range(n)], { y, shrink });
    const values = await part.data();
    for (let at = 0; at < values.length; at++) {
      data[Math.floor(at / (end - start)) * nTargets + start + at % (end - start)] = values[at];
    }
  }
  return { data, shape: [m, nTargets] };
}

// A wait bounds the queue of the device and lets an abort in; more often it only costs.
const IMAGES_PER_WAIT = 16;

async function testImages(
  gpu: Gpu,
  { images, properties }: CorrelateImages,
  encoder: RidgeProblem | { readonly weights: HostMatrix },
  options: CorrelatesTestOptions,
): Promise<CorrelatesResult> {
  const { key, nPermutations = 1000, normalize = true, nTargetsBatch } = options;
  const { signal, onProgress } = options;
  const { nImages, nPatches } = images, k = properties.names.length;
  const weights = await weightsOf(gpu, encoder, signal);
  const nTargets = weights.shape[1];
  const orderAt = orderOf(key, nImages);
  const orders = numbers(0, 1 + nPermutations);
  const units = new Float32Array(nImages * k * nPatches), varying = new Uint32Array(k);
  for (let image = 0; image < nImages; image++) {
    propertyRows(properties, image, nPatches).forEach(({ unit, deviation }, p) => {
      units.set(unit, (image * k + p) * nPatches);
      varying[p] += deviation > 0 ? 1 : 0;
    });
  }
  const exchanged = orders.map(orderAt);
  const counts = new Counts(varying, nTargets);
  using maps = Tensor.from(gpu, units, [nImages * k, nPatches]);
  const rows = Math.max(orders.length * k, nImages * k, nPatches);
  const fitting = Math.max(1, Math.floor(slabValues(gpu) / rows));
  const width = Math.min(nTargets, nTargetsBatch ?? fitting);
  const total = Math.ceil(nTargets / width) * nImages;
  let done = 0;
  for (let start = 0; start < nTargets; start += width) {
    const end = Math.min(nTargets, start + width), size = end - start;
    const columns = takeColumns(weights, numbers(start, end));
    using w = Tensor.from(gpu, columns.data, columns.shape);
    let sums = Tensor.zeros(gpu, [orders.length * k, size]);
    try {
      for (let image = 0; image < nImages; image++) {
        signal?.throwIfAborted();
        using x = await readRows(images, image, normalize);
        const picked = exchanged.flatMap((order) =>
          numbers(order[image] * k, (order[image] + 1) * k)
        );
        const before = sums;
        sums = tidy(gpu, () => add(before, gather(crossCorrelations(x, w, maps), picked)));
        before.dispose();
        if (++done % IMAGES_PER_WAIT === 0) await gpu.sync();
        onProgress?.({ stage: "permutations", done, total });
      }
      const [values] = await readAll([sums]);
      const at = (p: number, o: number, v: number) => (o * k + p) * size + v;
      counts.take(values, { orders, start, end, at });
    } finally {
      sums.dispose();
    }
  }
  return counts.result(nPermutations);
}

/** Correlation of the maps of an image with the properties of every image, `[nImages · nProperties, nColumns]`. */
function crossCorrelations(x: Tensor, weights: Tensor, properties: Tensor): Tensor {
  const centred = sub(x, mean(x, { axes: [0], keepDims: true }));
  const made = matmul(centred, weights); // [patches, columns]
  const variance = mean(square(made), { axes: [0], keepDims: true });
  // Unit rows have a mean square of 1; others their own, which is that of the whole tensor.
  const size = mean(sum(square(x), { axes: [1], keepDims: true }), { axes: [0], keepDims: true });
  const least = leastVariance(weights, size);
  return matmul(properties, overDeviation(made, variance, least));
}
