import type { Gpu } from "../../engine/gpu.ts";
import { add } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { delayedProductsTensor } from "./delays.ts";
import { slabValues } from "./device_matrix.ts";
import type { RidgeModelParts } from "./fitted_ridge.ts";
import {
  centredPart,
  columnMeans,
  type HostMatrix,
  hostMatrix,
  range,
  takeColumns,
} from "./host_matrix.ts";
import type { PredictOptions } from "./linear_model.ts";

/** What a {@link DualModel} is made of. */
type DualModelParts = RidgeModelParts & Required<Pick<RidgeModelParts, "xFit" | "dualCoef">>;

/**
 * A fitted linear model that is kept as coefficients of its samples: `ŷ = x·xFitᵀ·dualCoef + intercept`. With many features and targets
 * it is smaller than their coefficients. It holds no memory on the GPU.
 */
export class DualModel {
  readonly #gpu: Gpu;
  readonly #parts: DualModelParts;

  /** A model of these parts. Where an intercept was fitted the coefficients of each target sum to 0. */
  constructor(gpu: Gpu, parts: DualModelParts) {
    this.#gpu = gpu;
    this.#parts = parts;
  }

  /**
   * Predicted responses.
   *
   * @param features `[nSamples, nFeatures]`, not delayed
   * @param options.runs run of each sample, where features are delayed
   * @returns `[nSamples, nTargets]`
   * @throws {InputError} when the features are not as many as the model was fitted on
   */
  async predict(
    features: HostMatrix,
    { runs }: PredictOptions = {},
  ): Promise<HostMatrix> {
    const [rows, p] = features.shape;
    const { xFit: { shape: [n, nFeatures] }, dualCoef: { shape: [, nTargets] }, delays } =
      this.#parts;
    if (p !== nFeatures) {
      throw new InputError(
        `Cannot predict from features [${features.shape}]: the model was fitted on ${nFeatures} features`,
      );
    }
    const predictions = new Float32Array(rows * nTargets);
    // Delayed features reach back into the rows before: their products are made whole.
    const step = delays ? rows : this.#width(n);
    for (let start = 0; start < rows; start += step) {
      const end = Math.min(rows, start + step);
      const part = hostMatrix(features.data.subarray(start * p, end * p), [end - start, p]);
      using products = this.#products(part, { runs });
      await this.#predictRows(products, predictions.subarray(start * nTargets));
    }
    return hostMatrix(predictions, [rows, nTargets]);
  }

  /** Rows or columns beside `length` that are on the device at once. */
  #width(length: number): number {
    const most = slabValues(this.#gpu);
    return Math.max(1, Math.floor(Math.min(most / length, Math.sqrt(most))));
  }

  /** Writes the predictions of rows whose products with the fitted samples are known. */
  async #predictRows(products: Tensor, into: Float32Array): Promise<void> {
    const [rows, n] = products.shape;
    const { dualCoef, intercept } = this.#parts;
    const nTargets = intercept.length;
    const step = this.#width(Math.max(n, rows));
    for (let first = 0; first < nTargets; first += step) {
      const last = Math.min(nTargets, first + step);
      const columns = range(nTargets).subarray(first, last);
      using y = tidy(this.#gpu, () => {
        const coef = Tensor.from(this.#gpu, takeColumns(dualCoef, columns).data, [n, last - first]);
        const own = intercept.slice(first, last);
        return add(matmul(products, coef), Tensor.from(this.#gpu, own, [1, last - first]));
      });
      const values = await y.data();
      for (let r = 0; r < rows; r++) {
        const row = values.subarray(r * (last - first), (r + 1) * (last - first));
        into.set(row, r * nTargets + first);
      }
    }
  }

  // Where coefficients sum to 0 a mean may come off the fitted side: products become small, and f32 keeps more of them.
  #products(features: HostMatrix, { runs }: PredictOptions): Tensor {
    const { xFit, fitIntercept, delays, delayOptions } = this.#parts;
    const [rows, p] = features.shape, [n] = xFit.shape;
    const step = this.#width(Math.max(n, rows));
    const none = new Float64Array(p);
    const means = fitIntercept && !delays ? columnMeans(xFit, range(n)) : none;
    let total: Tensor | undefined;
    for (let first = 0; first < p; first += step) {
      const last = Math.min(p, first + step);
      const before = total;
      total = tidy(this.#gpu, () => {
        const upload = (matrix: HostMatrix, means: Float64Array) => {
          const part = centredPart(matrix, range(matrix.shape[0]), means, {
            start: first,
            end: last,
          });
          return Tensor.from(this.#gpu, part, [matrix.shape[0], last - first]);
        };
        const part = matmul(upload(features, none), upload(xFit, means), { transposeB: true });
        return before ? add(before, part) : part;
      });
      before?.dispose();
    }
    if (!delays) return total!;
    using undelayed = total!;
    const { runs: columnRuns, acrossRuns } = delayOptions ?? {};
    return delayedProductsTensor(undelayed, delays, { runs, columnRuns, acrossRuns });
  }
}
