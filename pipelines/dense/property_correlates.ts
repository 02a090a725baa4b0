/**
 * How the relevance maps of voxels go with properties of images, such as depth or saturation, patch by patch: how much, and whether the
 * responses have anything to do with it.
 *
 * A map of *any* direction in a network's feature space goes with depth or saturation to some degree, as patches that are alike in one
 * thing are alike in others. Whether the brain data say it can therefore only be told by fitting again to responses that have lost
 * their images; the slope of a map on a property is linear in the weights, so that `refitTest` does it.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { square, sub } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { mean } from "../../engine/ops/reduce.ts";
import { readAll, Tensor, tidy } from "../../engine/tensor.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import { refitTest, type RidgeProblem } from "../encoding/refit_test.ts";
import { InputError } from "../errors.ts";
import { bhFdr } from "../stats/fdr.ts";
import type { PermutationOptions } from "../stats/permutation.ts";

/** A property of an image's patches. */
interface Field {
  readonly mean: number;
  readonly deviation: number;
  /** Mean 0 and variance 1. */
  readonly unit: Float32Array<ArrayBuffer>;
}

/** Mean 0 and variance 1 over the patches; all 0 for a property that is the same everywhere. */
function standardized(field: ArrayLike<number>): Field {
  const n = field.length;
  let total = 0, squares = 0;
  for (let i = 0; i < n; i++) total += field[i];
  for (let i = 0; i < n; i++) squares += (field[i] - total / n) ** 2;
  const [mean, spread] = [total / n, Math.sqrt(squares / n)];
  // Equal values whose mean was rounded differ by less.
  const deviation = spread > 1e-9 * (1 + Math.abs(mean)) ? spread : 0;
  const unit = Float32Array.from(
    { length: n },
    (_, i) => deviation > 0 ? (field[i] - mean) / deviation : 0,
  );
  return { mean, deviation, unit };
}

/** What an image adds: covariances of each property with the features and with the maps, and variances and means of the maps. */
interface ImageSums {
  readonly features: Float32Array;
  readonly maps: Float32Array;
  readonly variances: Float32Array;
  readonly means: Float32Array;
}

/** Sums over images from which the correlation over all their patches follows. */
class PooledSums {
  readonly #properties: Float64Array;
  /** Of maps: mean, mean square, mean product with the property; `[3, nVoxels]`. */
  readonly #maps: Float64Array;
  #n = 0;

  constructor(readonly nVoxels: number) {
    this.#properties = new Float64Array(2);
    this.#maps = new Float64Array(3 * nVoxels);
  }

  add({ mean, deviation }: Field, { maps, variances, means }: ImageSums, row: number): void {
    this.#n++;
    this.#properties[0] += mean;
    this.#properties[1] += deviation ** 2 + mean ** 2;
    for (let v = 0; v < this.nVoxels; v++) {
      this.#maps[v] += means[v];
      this.#maps[this.nVoxels + v] += variances[v] + means[v] ** 2;
      this.#maps[2 * this.nVoxels + v] += deviation * maps[row * this.nVoxels + v] +
        mean * means[v];
    }
  }

  correlations(): Float64Array<ArrayBuffer> {
    const [total, squares] = this.#properties;
    const n = this.#n;
    const spread = Math.sqrt(Math.max(0, squares / n - (total / n) ** 2));
    return Float64Array.from({ length: this.nVoxels }, (_, v) => {
      const [sum, square, product] = [0, 1, 2].map((i) => this.#maps[i * this.nVoxels + v] / n);
      const deviation = Math.sqrt(Math.max(0, square - sum ** 2));
      const r = (product - sum * total / n) / (deviation * spread);
      return deviation > 0 && spread > 0 ? Math.max(-1, Math.min(1, r)) : n > 0 ? 0 : NaN;
    });
  }
}

/**
 * Collects how voxels' maps go with properties, image by image; memory does not grow with the number of images.
 */
export class PropertyCorrelates implements Disposable {
  /** Names of the properties. */
  readonly properties: readonly string[];
  /** Images that counted for each property, `[nProperties]`: those on which it varies. */
  readonly nImages: Uint32Array<ArrayBuffer>;
  readonly #gpu: Gpu;
  readonly #weights: Tensor;
  readonly #correlations: Float64Array<ArrayBuffer>;
  readonly #pooled: readonly PooledSums[];
  readonly #directions: Float64Array<ArrayBuffer>;

  /**
   * For an encoder and properties by name.
   *
   * @param weights of the encoder, `[nFeatures, nVoxels]`
   */
  constructor(gpu: Gpu, weights: HostMatrix, properties: readonly string[]) {
    this.#gpu = gpu;
    this.properties = properties;
    this.nImages = new Uint32Array(properties.length);
    this.#weights = Tensor.from(gpu, weights.data, weights.shape);
    this.#correlations = new Float64Array(properties.length * weights.shape[1]);
    this.#pooled = properties.map(() => new PooledSums(weights.shape[1]));
    this.#directions = new Float64Array(properties.length * weights.shape[0]);
  }

  /**
   * Adds one image.
   *
   * @param features of its patches, as the encoder takes them (of unit length in BrainSAIL), `[nPatches, nFeatures]`
   * @param fields each property over the patches, `[nPatches]`; undefined where it is not known of this image
   * @throws {InputError} when a field has not as many values as there are patches
   */
  async add(
    features: Tensor,
    fields: readonly (ArrayLike<number> | undefined)[],
  ): Promise<void> {
    const [nPatches, nFeatures] = features.shape;
    const [, nVoxels] = this.#weights.shape;
    const known: { property: number; field: Field }[] = [];
    fields.forEach((values, property) => {
      if (values === undefined) return;
      if (values.length !== nPatches) {
        throw new InputError(
          `Cannot correlate maps with ${
            this.properties[property]
          }: it has ${values.length} values for ${nPatches} patches`,
        );
      }
      known.push({ property, field: standardized(values) });
    });
    if (known.length === 0) return;
    const sums = await this.#sums(features, known.map(({ field }) => field.unit));
    known.forEach(({ property, field }, row) => {
      this.#pooled[property].add(field, sums, row);
      if (field.deviation === 0) return;
      this.nImages[property]++;
      for (let f = 0; f < nFeatures; f++) {
        this.#directions[property * nFeatures + f] += sums.features[row * nFeatures + f];
      }
      for (let v = 0; v < nVoxels; v++) {
        const deviation = Math.sqrt(sums.variances[v]);
        // A map without variation goes with nothing.
        if (!(deviation > 0)) continue;
        this.#correlations[property * nVoxels + v] += sums.maps[row * nVoxels + v] / deviation;
      }
    });
  }

  async #sums(features: Tensor, fields: readonly Float32Array[]): Promise<ImageSums> {
    const [nPatches] = features.shape;
    const rows = new Float32Array(fields.length * nPatches);
    fields.forEach((field, i) => rows.set(field.map((z) => z / nPatches), i * nPatches));
    const parts = tidy(this.#gpu, () => {
      const centred = sub(features, mean(features, { axes: [0], keepDims: true }));
      const shares = Tensor.from(this.#gpu, rows, [fields.length, nPatches]);
      const maps = matmul(centred, this.#weights);
      return [
        matmul(shares, centred),
        matmul(shares, maps),
        mean(square(maps), { axes: [0] }),
        matmul(mean(features, { axes: [0], keepDims: true }), this.#weights),
      ];
    });
    try {
      const [own, maps, variances, means] = await readAll(parts) as Float32Array[];
      return { features: own, maps, variances, means };
    } finally {
      for (const part of parts) part.dispose();
    }
  }

  #means(sums: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
    const width = sums.length / this.properties.length;
    return sums.map((value, i) => value / this.nImages[Math.floor(i / width)]);
  }

  /** Pearson correlation of each voxel's map with each property, mean over the images, `[nProperties, nVoxels]`; NaN without images. */
  correlations(): Float64Array<ArrayBuffer> {
    return this.#means(this.#correlations);
  }

  /** Pearson correlation over the patches of all images together, `[nProperties, nVoxels]`: what differs between images counts too. */
  pooled(): Float64Array<ArrayBuffer> {
    const out = new Float64Array(this.#correlations.length);
    this.#pooled.forEach((sums, i) => out.set(sums.correlations(), i * sums.nVoxels));
    return out;
  }

  /** Covariance of each feature with each property in units of its deviation, mean over the images, `[nProperties, nFeatures]`. */
  directions(): Float64Array<ArrayBuffer> {
    return this.#means(this.#directions);
  }

  /** Frees the weights. */
  [Symbol.dispose](): void {
    this.#weights.dispose();
  }
}

/** What {@link testSlopes} needs of the fit. */
export interface SlopeProblem extends RidgeProblem {
  /** From {@link PropertyCorrelates.directions}, `[nProperties, nFeatures]`. */
  readonly directions: Float64Array;
  /** Voxels to test; all when left out. What is not tested costs the others no power. */
  readonly voxels?: ArrayLike<number>;
}

/** Whether slopes are more than chance; NaN and 0 for voxels that were not tested. */
export interface SlopeTest {
  /** Two-sided p-value of each voxel's slope on each property, `[nProperties, nVoxels]`. */
  readonly pValues: Float64Array<ArrayBuffer>;
  /** q-values over the voxels of a property (Benjamini and Hochberg), `[nProperties, nVoxels]`. */
  readonly qValues: Float64Array<ArrayBuffer>;
  /** Sign of each slope, `[nProperties, nVoxels]`. */
  readonly signs: Int8Array<ArrayBuffer>;
}

/**
 * Tests the slopes of voxels' maps on properties against fits to permuted responses (see the head of this file): the null hypothesis is
 * that a voxel's responses have nothing to do with the images. Ridge regression at each voxel's own alpha, with an intercept.
 *
 * @param options of the permutations; two-sided
 * @throws {InputError} when the shapes do not fit, or a system at an alpha of 0 is singular
 */
export async function testSlopes(
  { directions, voxels, ...problem }: SlopeProblem,
  options: Omit<PermutationOptions, "alternative">,
): Promise<SlopeTest> {
  const nVoxels = problem.responses.shape[1];
  const k = directions.length / problem.features.shape[1];
  const tested = Array.from(voxels ?? Array(nVoxels).keys());
  const make = () => new Float64Array(Math.ceil(k) * nVoxels).fill(NaN);
  const result = { pValues: make(), qValues: make(), signs: new Int8Array(Math.ceil(k) * nVoxels) };
  for (let j = 0; j < k; j++) {
    const { pValues, signs } = await refitTest(problem, { directions, of: () => j }, tested, {
      ...options,
      alternative: "twoSided",
    });
    const qValues = bhFdr(pValues);
    tested.forEach((v, i) => {
      result.pValues[j * nVoxels + v] = pValues[i];
      result.qValues[j * nVoxels + v] = qValues[i];
      result.signs[j * nVoxels + v] = signs[i];
    });
  }
  return result;
}
