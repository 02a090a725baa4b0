import { eighHost } from "../../engine/ops/eigh.ts";
import { mul } from "../../engine/ops/elementwise.ts";
import { packPanels, type Panels } from "../../engine/ops/fold_sums.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { take } from "./device_matrix.ts";
import { multiply, productsOf } from "./host_products.ts";
import { range } from "./host_matrix.ts";
import type { RidgeSamples } from "./ridge_samples.ts";
import type { DeviceCoefficients, RidgeSolver } from "./ridge_solver.ts";

/** A train side in the basis of its eigenvectors. On the host: tensors made in a scope of a caller would end with it. */
interface Side {
  /** Eigenvalues, not below 0. */
  readonly values: Float64Array;
  /** Eigenvectors as columns, `[size, size]`. */
  readonly vectors: Float64Array;
  /** What projects the responses of the train side, `[train, size]`. */
  readonly projection: Float32Array<ArrayBuffer>;
  /** The test side in the same basis, `[test, size]`; of all samples it is empty. */
  readonly test: Float64Array;
}

/**
 * Ridge regression from an eigendecomposition per train side in float64 on the host: for small problems at alphas that f32 cannot
 * resolve, where the device has no float64. Only products with responses are on the device.
 */
export class HostSolver implements RidgeSolver {
  readonly precision = "f64 on the host";
  readonly isDual: boolean;
  readonly #samples: RidgeSamples;
  readonly #x: Float64Array;
  readonly #k?: Float64Array;
  readonly #sides = new Map<number, Side>();
  #alpha = 0;

  /**
   * @param k Gram matrix of the samples in the order of the layout, where the problem is dual and it is not that of the features
   */
  constructor(samples: RidgeSamples, { isDual, k }: { isDual: boolean; k?: Float64Array }) {
    this.#samples = samples;
    this.isDual = isDual;
    const { nSamples: n, nFeatures: p, layout: { order } } = samples;
    this.#x = new Float64Array(n * p);
    order.forEach((sample, at) => {
      for (let j = 0; j < p; j++) {
        this.#x[at * p + j] = (samples.x.data[sample * p + j] - samples.xMeans[j]) *
          samples.scaleOf(j);
      }
    });
    if (isDual) this.#k = k ?? productsOf(this.#x, [n, p]);
  }

  get depth(): number {
    return this.isDual ? this.#samples.nSamples : this.#samples.nFeatures;
  }

  setAlpha(alpha: number): void {
    this.#alpha = alpha;
  }

  /** Rows of the problem's design for some samples, centred as the train side is: `[rows, size]`. */
  #rows(positions: Uint32Array, train: Uint32Array): Float64Array {
    const { nSamples: n, nFeatures: p, fitIntercept } = this.#samples;
    const columns = this.#k ? train : range(p);
    const source = this.#k ?? this.#x, width = this.#k ? n : p;
    const at = (row: number, j: number) => source[row * width + columns[j]];
    const size = columns.length;
    const means = new Float64Array(size);
    if (fitIntercept) {
      for (const row of train) for (let j = 0; j < size; j++) means[j] += at(row, j) / train.length;
    }
    const rows = new Float64Array(positions.length * size);
    positions.forEach((row, r) => {
      let own = 0; // a Gram matrix is centred on both sides
      for (let j = 0; j < size; j++) {
        const value = rows[r * size + j] = at(row, j) - means[j];
        if (this.#k && fitIntercept) own += value / size;
      }
      for (let j = 0; j < size; j++) rows[r * size + j] -= own;
    });
    return rows;
  }

  #side(fold: number): Side {
    const known = this.#sides.get(fold);
    if (known) return known;
    const { nSamples, layout: { folds } } = this.#samples;
    const { train, test } = folds[fold] ?? { train: range(nSamples), test: new Uint32Array() };
    const design = this.#rows(train, train);
    const size = design.length / train.length;
    const gram = this.isDual
      ? design
      : productsOf(design, [train.length, size], { transpose: true });
    const { values, vectors } = eighHost(gram, size);
    const projection = this.isDual
      ? vectors
      : multiply(design, vectors, [train.length, size, size]);
    const side = {
      ...{ values: values.map((value) => Math.max(value, 0)), vectors },
      projection: Float32Array.from(projection),
      test: multiply(this.#rows(test, train), vectors, [test.length, size, size]),
    };
    this.#sides.set(fold, side);
    return side;
  }

  operator(fold: number): Panels {
    const { values, test } = this.#side(fold);
    const size = values.length;
    const operator = Float32Array.from(
      test,
      (value, at) => value / this.#damped(values, at % size),
    );
    const { gpu } = this.#samples;
    return tidy(gpu, () => packPanels(Tensor.from(gpu, operator, [test.length / size, size])));
  }

  #damped(values: Float64Array, i: number): number {
    return values[i] + this.#alpha;
  }

  sides(y: Tensor): Tensor[] {
    const { folds } = this.#samples.layout;
    return folds.map(({ train }, fold) => this.#project(fold, take(y, 0, train)));
  }

  // Projections have no mean where there is an intercept, so that the responses' need not be taken off.
  #project(fold: number, y: Tensor): Tensor {
    const { projection, values } = this.#side(fold);
    const shape = [y.shape[0], values.length];
    return matmul(Tensor.from(y.gpu, projection, shape), y, { transposeA: true });
  }

  coefficients(y: Tensor): DeviceCoefficients {
    const { gpu, layout: { folds } } = this.#samples;
    const { values, vectors } = this.#side(folds.length);
    const size = values.length;
    return tidy(gpu, () => {
      const inverse = Float32Array.from(values, (_, i) => 1 / this.#damped(values, i));
      const damped = mul(this.#project(folds.length, y), Tensor.from(gpu, inverse, [size, 1]));
      return { coef: matmul(Tensor.from(gpu, Float32Array.from(vectors), [size, size]), damped) };
    });
  }

  [Symbol.dispose](): void {
    this.#sides.clear();
  }
}
