import type { Gpu } from "../../engine/gpu.ts";
import { add } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import type { HostMatrix } from "./host_matrix.ts";
import { r2Score } from "./scoring.ts";

/** Progress and interruption of a long call. */
export interface LongCall {
  /** Stops the call. */
  readonly signal?: AbortSignal;
  /** Hears where it stands. */
  readonly onProgress?: (event: { stage: string; done: number; total: number }) => void;
}

/** A long call that a benchmark takes apart. */
export interface StagedCall extends LongCall {
  /** Awaited after the work of a stage was recorded; what waits for the device there learns what the stage took. */
  readonly onStage?: (stage: string) => Promise<void>;
}

/** Where predicted samples begin anew. */
export interface PredictOptions {
  /** Run of each sample, where features are delayed. */
  readonly runs?: ArrayLike<number>;
}

/** A fitted linear model, whatever it is kept as. */
export interface EncodingModel {
  /** Number of features that it takes. */
  readonly nFeatures: number;
  /** Number of responses that it predicts. */
  readonly nTargets: number;
  /** Weights of the features, `[nFeatures, nTargets]`, where the model is kept as such. */
  readonly coef?: HostMatrix;
  /** Added to every prediction, `[nTargets]`. */
  readonly intercept: Float32Array<ArrayBuffer>;
  /** Predicted responses, `[nSamples, nTargets]`; `runs` say where delayed features begin anew. */
  predict(
    features: HostMatrix,
    options?: PredictOptions,
  ): Promise<HostMatrix>;
  /** R² of each target, `[nTargets]`. */
  score(
    features: HostMatrix,
    responses: HostMatrix,
    options?: PredictOptions,
  ): Promise<Float64Array<ArrayBuffer>>;
}

const BYTES_PER_BATCH = 64 * 2 ** 20;

/** A fitted linear model: `ŷ = x·coef + intercept`. It holds no memory on the GPU. */
export class LinearModel implements EncodingModel {
  /** Sets the weights. */
  constructor(
    /** Where predictions are computed. */
    readonly gpu: Gpu,
    /** Weights, `[nFeatures, nTargets]`. */
    readonly coef: HostMatrix,
    /** Added to every prediction, `[nTargets]`. */
    readonly intercept: Float32Array<ArrayBuffer>,
  ) {}

  /** Number of features that it takes. */
  get nFeatures(): number {
    return this.coef.shape[0];
  }

  /** Number of responses that it predicts. */
  get nTargets(): number {
    return this.coef.shape[1];
  }

  /**
   * Predicted responses.
   *
   * @param features `[nSamples, nFeatures]`
   * @returns `[nSamples, nTargets]`
   * @throws {InputError} when the features are not as many as the model was fitted on
   */
  async predict(
    features: HostMatrix,
    _options: PredictOptions = {},
  ): Promise<HostMatrix> {
    const [rows, nFeatures] = features.shape;
    const [expected, nTargets] = this.coef.shape;
    if (nFeatures !== expected) {
      throw new InputError(
        `Cannot predict from features [${features.shape}]: the model was fitted on ${expected} features`,
      );
    }
    const predictions = new Float32Array(rows * nTargets);
    using coef = Tensor.from(this.gpu, this.coef.data, this.coef.shape);
    using intercept = Tensor.from(this.gpu, this.intercept, [1, nTargets]);
    const step = Math.max(1, Math.floor(BYTES_PER_BATCH / 4 / Math.max(nTargets, nFeatures)));
    for (let start = 0; start < rows; start += step) {
      const end = Math.min(rows, start + step);
      const part = features.data.subarray(start * nFeatures, end * nFeatures);
      using y = tidy(this.gpu, () => {
        const x = Tensor.from(this.gpu, part, [end - start, nFeatures]);
        return add(matmul(x, coef), intercept);
      });
      predictions.set(await y.data(), start * nTargets);
    }
    return { data: predictions, shape: [rows, nTargets] };
  }

  /**
   * R² of each target.
   *
   * @param features `[nSamples, nFeatures]`
   * @param responses `[nSamples, nTargets]`
   * @returns `[nTargets]`, in float64
   * @throws {InputError} when the shapes do not fit
   */
  async score(features: HostMatrix, responses: HostMatrix): Promise<Float64Array<ArrayBuffer>> {
    return r2Score(responses, await this.predict(features));
  }
}
