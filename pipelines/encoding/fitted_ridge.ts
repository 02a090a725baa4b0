import type { Gpu } from "../../engine/gpu.ts";
import { type DelayOptions, delayRows } from "./delays.ts";
import { DualModel } from "./dual_model.ts";
import type { HostMatrix } from "./host_matrix.ts";
import { type EncodingModel, LinearModel, type PredictOptions } from "./linear_model.ts";
import type { RidgePrecision } from "./ridge_solver.ts";
import { r2Score } from "./scoring.ts";

/** Coefficients of a fit, as those of features, of samples, or both. */
export interface RidgeModelParts {
  /** Weights of the features, `[nDelays · nFeatures, nTargets]`, delay after delay. */
  readonly coef?: HostMatrix;
  /** Coefficients of the samples, `[nSamples, nTargets]`, where the problem was solved in their space. */
  readonly dualCoef?: HostMatrix;
  /** Features of these samples, `[nSamples, nFeatures]`. */
  readonly xFit?: HostMatrix;
  /** Added to every prediction, `[nTargets]`. */
  readonly intercept: Float32Array<ArrayBuffer>;
  /** Whether an intercept was fitted. */
  readonly fitIntercept: boolean;
  /** Delays of the features, in samples. */
  readonly delays?: readonly number[];
  /** Which of the fitted samples follow each other. */
  readonly delayOptions?: DelayOptions;
}

/** A ridge regression with its coefficients; it predicts from those of the features where it has them. No memory on the GPU. */
export class RidgeModel implements EncodingModel, RidgeModelParts {
  readonly coef?: HostMatrix;
  readonly dualCoef?: HostMatrix;
  readonly xFit?: HostMatrix;
  readonly intercept: Float32Array<ArrayBuffer>;
  readonly fitIntercept: boolean;
  readonly delays?: readonly number[];
  readonly delayOptions?: DelayOptions;
  readonly #model: LinearModel | DualModel;

  /** A model of these parts: `coef`, or `dualCoef` with `xFit`. */
  constructor(gpu: Gpu, parts: RidgeModelParts) {
    const { coef, dualCoef, xFit, intercept, fitIntercept, delays, delayOptions } = parts;
    this.coef = coef;
    this.dualCoef = dualCoef;
    this.xFit = xFit;
    this.intercept = intercept;
    this.fitIntercept = fitIntercept;
    this.delays = delays;
    this.delayOptions = delayOptions;
    if (coef) this.#model = new LinearModel(gpu, coef, intercept);
    else if (dualCoef && xFit) {
      const dual = { xFit, dualCoef, intercept, fitIntercept, delays, delayOptions };
      this.#model = new DualModel(gpu, dual);
    } else throw new Error("unreachable: a ridge model has coefficients");
  }

  /** Number of features that it takes, before they are delayed. */
  get nFeatures(): number {
    return this.coef ? this.coef.shape[0] / (this.delays?.length ?? 1) : this.xFit!.shape[1];
  }

  /** Number of responses that it predicts. */
  get nTargets(): number {
    return this.intercept.length;
  }

  /**
   * Predicted responses.
   *
   * @param features `[nSamples, nFeatures]`, not delayed
   * @param options.runs run of each sample, where features are delayed
   * @returns `[nSamples, nTargets]`
   * @throws {InputError} when the features are not as many as the model was fitted on
   */
  predict(
    features: HostMatrix,
    { runs }: PredictOptions = {},
  ): Promise<HostMatrix> {
    const { delays, delayOptions } = this;
    const isDelayed = delays && this.#model instanceof LinearModel;
    const x = isDelayed ? delayRows(features, delays, { ...delayOptions, runs }) : features;
    return this.#model.predict(x, { runs });
  }

  /**
   * R² of each target.
   *
   * @param features `[nSamples, nFeatures]`, not delayed
   * @param responses `[nSamples, nTargets]`
   * @param options.runs run of each sample, where features are delayed
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

/** What cross-validation found beside the coefficients. */
export interface RidgeSelection {
  /** Regularisations that were tried. */
  readonly alphas: Float64Array<ArrayBuffer>;
  /** Regularisation of each target, `[nTargets]`. */
  readonly bestAlphas: Float64Array<ArrayBuffer>;
  /** Cross-validated score of each target at its alpha, `[nTargets]`. */
  readonly cvScores: Float64Array<ArrayBuffer>;
  /** Mean R² over the folds of each target at its alpha, `[nTargets]`, whatever the score. */
  readonly cvR2: Float64Array<ArrayBuffer>;
  /** Mean scores of all alphas, `[nAlphas, nTargets]`; −∞ where an alpha could not be used, or was not tried for a target. */
  readonly cvSurface: Float64Array<ArrayBuffer>;
  /** Scores of every fold, `[nAlphas, nFolds, nTargets]`. */
  readonly foldScores: Float64Array<ArrayBuffer>;
  /** Arithmetic that each alpha was factored in. */
  readonly precisions: readonly (RidgePrecision | "unusable")[];
  /** What the user should know, one sentence each. */
  readonly warnings: readonly string[];
}

/** A ridge regression fitted by cross-validation. It holds no memory on the GPU. */
export class FittedRidge extends RidgeModel implements RidgeSelection {
  readonly alphas: Float64Array<ArrayBuffer>;
  readonly bestAlphas: Float64Array<ArrayBuffer>;
  readonly cvScores: Float64Array<ArrayBuffer>;
  readonly cvR2: Float64Array<ArrayBuffer>;
  readonly cvSurface: Float64Array<ArrayBuffer>;
  readonly foldScores: Float64Array<ArrayBuffer>;
  readonly precisions: readonly (RidgePrecision | "unusable")[];
  readonly warnings: readonly string[];

  /** Sets what was fitted. */
  constructor(gpu: Gpu, parts: RidgeModelParts & RidgeSelection) {
    super(gpu, parts);
    this.alphas = parts.alphas;
    this.bestAlphas = parts.bestAlphas;
    this.cvScores = parts.cvScores;
    this.cvR2 = parts.cvR2;
    this.cvSurface = parts.cvSurface;
    this.foldScores = parts.foldScores;
    this.precisions = parts.precisions;
    this.warnings = parts.warnings;
    Object.freeze(this);
  }
}
