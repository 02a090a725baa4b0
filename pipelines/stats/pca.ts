import { eighHost } from "../../engine/ops/eigh.ts";
import { productsOf } from "../encoding/host_products.ts";
import { columnMeans, type HostMatrix, range } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";

/** Options of {@link Pca.transform}. */
export interface PcaTransformOptions {
  /** Divides each coordinate by its standard deviation over the fitted samples. */
  readonly whiten?: boolean;
}

/** Principal components of samples, as scikit-learn's `PCA`. */
export class Pca {
  /** Sets what was fitted. */
  constructor(
    /** Means of the features, `[nFeatures]`. */
    readonly mean: Float64Array<ArrayBuffer>,
    /** Orthonormal rows, `[nComponents, nFeatures]`, in float64. */
    readonly components: Float64Array<ArrayBuffer>,
    /** Variances along the components (n − 1), descending, `[nComponents]`. */
    readonly explainedVariance: Float64Array<ArrayBuffer>,
    /** Shares of the total variance, `[nComponents]`. */
    readonly explainedVarianceRatio: Float64Array<ArrayBuffer>,
    /** Singular values of the centred samples, `[nComponents]`. */
    readonly singularValues: Float64Array<ArrayBuffer>,
  ) {
    Object.freeze(this);
  }

  /**
   * Coordinates along the components.
   *
   * @param samples `[nSamples, nFeatures]`
   * @returns `[nSamples, nComponents]`
   * @throws {InputError} when there are not as many features as were fitted
   */
  transform({ data, shape }: HostMatrix, { whiten = false }: PcaTransformOptions = {}): HostMatrix {
    const [n, p] = shape, k = this.explainedVariance.length;
    if (p !== this.mean.length) {
      throw new InputError(
        `Cannot transform [${shape}]: the components were fitted on ${this.mean.length} features`,
      );
    }
    const out = new Float32Array(n * k);
    for (let r = 0; r < n; r++) {
      for (let c = 0; c < k; c++) {
        let value = 0;
        for (let j = 0; j < p; j++) {
          value += (data[r * p + j] - this.mean[j]) * this.components[c * p + j];
        }
        out[r * k + c] = whiten ? value / Math.sqrt(this.explainedVariance[c]) : value;
      }
    }
    return { data: out, shape: [n, k] };
  }

  /**
   * The samples that have these coordinates (not whitened).
   *
   * @param coordinates `[nSamples, nComponents]`
   * @returns `[nSamples, nFeatures]`
   * @throws {InputError} when there are not as many coordinates as components
   */
  inverseTransform({ data, shape }: HostMatrix): HostMatrix {
    const p = this.mean.length, k = this.explainedVariance.length;
    if (shape[1] !== k) {
      throw new InputError(`Cannot invert coordinates [${shape}]: there are ${k} components`);
    }
    const out = new Float32Array(shape[0] * p);
    for (let at = 0; at < out.length; at++) {
      const r = Math.floor(at / p), j = at % p;
      let value = this.mean[j];
      for (let c = 0; c < k; c++) value += data[r * k + c] * this.components[c * p + j];
      out[at] = value;
    }
    return { data: out, shape: [shape[0], p] };
  }
}

/**
 * Fits principal components by the eigenvectors of the smaller Gram matrix, in float64. The sign of a component makes the largest
 * coordinate positive (scikit-learn 1.2's `svd_flip`). Coordinates along variances below 10⁻¹² of the largest are noise.
 *
 * @param samples `[nSamples, nFeatures]`
 * @throws {InputError} when `nComponents` is not from 1 to the smaller side
 */
export function fitPca(samples: HostMatrix, nComponents: number): Pca {
  const { data, shape: [n, p] } = samples;
  if (!(Number.isInteger(nComponents) && nComponents >= 1 && nComponents <= Math.min(n, p))) {
    throw new InputError(
      `Cannot find ${nComponents} components of [${n},${p}]: there must be from 1 to ${
        Math.min(n, p)
      }`,
    );
  }
  const mean = columnMeans(samples, range(n));
  const isWide = n < p;
  const size = isWide ? n : p;
  const centred = Float64Array.from(samples.data, (value, at) => value - mean[at % p]);
  const gram = productsOf(centred, samples.shape, { transpose: !isWide });
  const { values, vectors } = eighHost(gram, size);
  const total = values.reduce((sum, value) => sum + value, 0);
  const components = new Float64Array(nComponents * p);
  const squares = Float64Array.from(
    { length: nComponents },
    (_, c) => Math.max(values[size - 1 - c], 0),
  );
  for (let c = 0; c < nComponents; c++) {
    const vector = Float64Array.from({ length: size }, (_, i) => vectors[i * size + size - 1 - c]);
    const row = components.subarray(c * p, (c + 1) * p);
    if (isWide) {
      for (let at = 0; at < n * p; at++) {
        row[at % p] += (data[at] - mean[at % p]) * vector[Math.floor(at / p)];
      }
      const norm = Math.hypot(...row) || 1;
      row.forEach((value, j) => row[j] = value / norm);
    } else row.set(vector);
    let largest = 0;
    for (let r = 0; r < n; r++) {
      let coordinate = 0;
      for (let j = 0; j < p; j++) coordinate += (data[r * p + j] - mean[j]) * row[j];
      if (Math.abs(coordinate) > Math.abs(largest)) largest = coordinate;
    }
    if (largest < 0) row.forEach((value, j) => row[j] = -value);
  }
  return new Pca(
    mean,
    components,
    squares.map((s) => s / (n - 1)),
    squares.map((s) => total > 0 ? s / total : 0),
    squares.map(Math.sqrt),
  );
}
