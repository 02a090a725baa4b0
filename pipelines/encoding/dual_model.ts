import type { Gpu } from "../../engine/gpu.ts";
import { add } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { delayedProductsTensor, type DelayOptions } from "./delays.ts";
import { slabValues } from "./device_matrix.ts";
import { centredPart, columnMeans, type HostMatrix, hostMatrix, range } from "./host_matrix.ts";
import type { EncodingModel, PredictOptions } from "./linear_model.ts";
import { r2Score } from "./scoring.ts";

/** What a {@link DualModel} is made of. */
export interface DualModelParts {
  /** Features that it was fitted on, `[nSamples, nFeatures]`. */
  readonly xFit: HostMatrix;
  /** Coefficients of the samples, `[nSamples, nTargets]`. */
  readonly dualCoef: HostMatrix;
  /** Added to every prediction, `[nTargets]`. */
  readonly intercept: Float32Array<ArrayBuffer>;
  /** True where an intercept was fitted: the coefficients of each target then sum to 0. */
  readonly fitIntercept: boolean;
  /** Delays of the features, in samples. */
  readonly delays?: readonly number[];
  /** Which of the fitted samples follow each other. */
  readonly delayOptions?: DelayOptions;
}

/**
 * A fitted linear model that is kept as coefficients of its samples: `ŷ = x·xFitᵀ·dualCoef + intercept`. With many features and targets
 * it is smaller than their coefficients. It holds no memory on the GPU.
 */
export class DualModel implements EncodingModel, DualModelParts {
  /** Where predictions are computed. */
  readonly gpu: Gpu;
  readonly xFit: HostMatrix;
  readonly dualCoef: HostMatrix;
  readonly intercept: Float32Array<ArrayBuffer>;
  readonly fitIntercept: boolean;
  readonly delays?: readonly number[];
  readonly delayOptions?: DelayOptions;

  /** A model of these parts. */
  constructor(gpu: Gpu, parts: DualModelParts) {
    this.gpu = gpu;
    this.xFit = parts.xFit;
    this.dualCoef = parts.dualCoef;
    this.intercept = parts.intercept;
    this.fitIntercept = parts.fitIntercept;
    this.delays = parts.delays;
    this.delayOptions = parts.delayOptions;
    Object.freeze(this);
  }

  /** Number of features that it takes. */
  get nFeatures(): number {
    return this.xFit.shape[1];
  }

  /** Number of responses that it predicts. */
  get nTargets(): number {
    return this.dualCoef.shape[1];
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
    if (p !== this.nFeatures) {
      throw new InputError(
        `Cannot predict from features [${features.shape}]: the model was fitted on ${this.nFeatures} features`,
      );
    }
    const predictions = new Float32Array(rows * this.nTargets);
    // Delayed features reach back into the rows before: their products are made whole.
    const step = this.delays ? rows : this.#width(this.xFit.shape[0]);
    for (let start = 0; start < rows; start += step) {
      const end = Math.min(rows, start + step);
      const part = hostMatrix(features.data.subarray(start * p, end * p), [end - start, p]);
      using products = this.#products(part, { runs });
      await this.#predictRows(products, predictions.subarray(start * this.nTargets));
    }
    return hostMatrix(predictions, [rows, this.nTargets]);
  }

  /** Rows or columns beside `length` that are on the device at once. */
  #width(length: number): number {
    const most = slabValues(this.gpu);
    return Math.max(1, Math.floor(Math.min(most / length, Math.sqrt(most))));
  }

  /** Writes the predictions of rows whose products with the fitted samples are known. */
  async #predictRows(products: Tensor, into: Float32Array): Promise<void> {
    const [rows, n] = products.shape;
    const step = this.#width(Math.max(n, rows));
    for (let first = 0; first < this.nTargets; first += step) {
      const last = Math.min(this.nTargets, first + step);
      using y = tidy(this.gpu, () => {
        const coef = Tensor.from(this.gpu, columns(this.dualCoef, first, last), [n, last - first]);
        const intercept = this.intercept.slice(first, last);
        return add(matmul(products, coef), Tensor.from(this.gpu, intercept, [1, last - first]));
      });
      const values = await y.data();
      for (let r = 0; r < rows; r++) {
        const row = values.subarray(r * (last - first), (r + 1) * (last - first));
        into.set(row, r * this.nTargets + first);
      }
    }
  }

  // Where coefficients sum to 0 a mean may come off the fitted side: products become small, and f32 keeps more of them.
  #products(features: HostMatrix, { runs }: PredictOptions): Tensor {
    const [rows, p] = features.shape, [n] = this.xFit.shape;
    const step = this.#width(Math.max(n, rows));
    const means = this.fitIntercept && !this.delays
      ? columnMeans(this.xFit, range(n))
      : new Float64Array(p);
    let total: Tensor | undefined;
    for (let first = 0; first < p; first += step) {
      const last = Math.min(p, first + step);
      const before = total;
      total = tidy(this.gpu, () => {
        const x = Tensor.from(this.gpu, columns(features, first, last), [rows, last - first]);
        const own = centredPart(this.xFit, range(n), means, { start: first, end: last });
        const part = matmul(x, Tensor.from(this.gpu, own, [n, last - first]), { transposeB: true });
        return before ? add(before, part) : part;
      });
      before?.dispose();
    }
    if (!this.delays) return total!;
    using undelayed = total!;
    const { runs: columnRuns, acrossRuns } = this.delayOptions ?? {};
    return delayedProductsTensor(undelayed, this.delays, { runs, columnRuns, acrossRuns });
  }

  /**
   * R² of each target.
   *
   * @param features `[nSamples, nFeatures]`
   * @param responses `[nSamples, nTargets]`
   * @returns `[nTargets]`, in float64
   * @throws {InputError} when the shapes do not fit
   */
  async score(
    features: HostMatrix,
    responses: HostMatrix,
    options: PredictOptions = {},
  ): Promise<Float64Array<ArrayBuffer>> {
    return r2Score(responses, await this.predict(features, options));
  }
}

function columns(
  { data, shape: [rows, width] }: HostMatrix,
  first: number,
  last: number,
): Float32Array<ArrayBuffer> {
  const part = new Float32Array(rows * (last - first));
  for (let r = 0; r < rows; r++) {
    part.set(data.subarray(r * width + first, r * width + last), r * (last - first));
  }
  return part;
}
