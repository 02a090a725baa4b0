import type { Panels } from "../../engine/ops/fold_sums.ts";
import type { Tensor } from "../../engine/tensor.ts";

/** Arithmetic that a problem was factored in. */
export type RidgePrecision = "f32" | "f32 refined" | "f64" | "f64 on the host";

/** Coefficients of some targets on the device. */
export type DeviceCoefficients = {
  /** `[nSamples, nTargets]` in the order of the layout where the solver is dual, else `[nFeatures, nTargets]`. */
  readonly coef: Tensor;
  /** Added to predictions beside the means that were taken off, `[1, nTargets]`; 0 where absent. */
  readonly offset?: Tensor;
};

/**
 * A ridge problem that is ready for any alpha. Predictions of a split's test side are `operator · side`: the side is the training
 * responses themselves, or a projection of them that is shorter. With an intercept they are predictions less the mean of the training
 * responses.
 */
export interface RidgeSolver extends Disposable {
  /** What factors are computed in. */
  readonly precision: RidgePrecision;
  /** True where coefficients are those of samples. */
  readonly isDual: boolean;
  /** Rows of the side that operators multiply, at most. */
  readonly depth: number;
  /** Prepares an alpha: what `operator` and `coefficients` return belongs to it. They are NaN where the problem is singular. */
  setAlpha(alpha: number): void;
  /** Operator of a split, `[test, k]`. */
  operator(fold: number): Panels;
  /**
   * The side `[k, nTargets]` of every split, for all responses `[nSamples, nTargets]` in the order of the layout and their means over
   * the train sides, `[1, nTargets]` each. Where this is absent, operators multiply the responses of the train side.
   */
  sides?(y: Tensor, means: readonly Tensor[]): Tensor[];
  /** Coefficients from all samples, for responses `[nSamples, nTargets]` in the order of the layout. */
  coefficients(y: Tensor): DeviceCoefficients;
  /** Solves `(xᵀ·x + alpha)·w = right` for `right: [nFeatures, nTargets]`, where the solver is not dual. */
  solve?(right: Tensor): Tensor;
}
