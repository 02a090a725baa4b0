import type { Gpu } from "../../engine/gpu.ts";
import { InputError } from "../errors.ts";
import { type CrossValidation, splitsOf } from "./cross_validation.ts";
import { type HostMatrix, requireSamples } from "./host_matrix.ts";
import { LinearModel, type LongCall } from "./linear_model.ts";
import { RidgeProblem } from "./ridge_problem.ts";
import type { Scoring } from "./scoring.ts";

/** Options of {@link RidgeCV}, in himalaya's words. */
export interface RidgeCVOptions {
  /** Candidates, all above 0; the objective is `‖x·b − y‖² + alpha·‖b‖²`. */
  readonly alphas?: readonly number[];
  /** Number of contiguous folds, or the splits. */
  readonly cv?: CrossValidation;
  /** Centres features and responses, in every fold by the means of its training side. */
  readonly fitIntercept?: boolean;
  /** What an alpha is chosen by. */
  readonly scoring?: Scoring;
  /** One alpha for each target, or one for all. */
  readonly localAlpha?: boolean;
  /** `"eigh"`: float64 on the host, exact. `"cholesky"`: f32 on the GPU. By default by the size of the smaller side. */
  readonly solver?: "auto" | "eigh" | "cholesky";
  /** Targets that are on the GPU at once; by default as many as fit 64 MiB per array. */
  readonly nTargetsBatch?: number;
}

// himalaya (_random_search.py) adds this times log(alpha) to the mean scores, so that ties go to the larger alpha.
const TIE_SLOPE = 1e-10;

/** A fitted ridge regression. It is frozen and holds no memory on the GPU. */
export class FittedRidge extends LinearModel {
  /** Sets what was fitted. */
  constructor(
    gpu: Gpu,
    fitted: { coef: HostMatrix; intercept: Float32Array<ArrayBuffer> },
    /** Regularisation of each target, `[nTargets]`. */
    readonly bestAlphas: Float64Array<ArrayBuffer>,
    /** Cross-validated score of each target at its alpha, `[nTargets]`. */
    readonly cvScores: Float64Array<ArrayBuffer>,
    /** Mean scores of all alphas, `[nAlphas, nTargets]`; −∞ where an alpha could not be solved for. */
    readonly cvSurface: Float64Array<ArrayBuffer>,
  ) {
    super(gpu, fitted.coef, fitted.intercept);
    Object.freeze(this);
  }
}

/**
 * Ridge regression with an alpha per target chosen by cross-validation, exact, as himalaya's `RidgeCV`: fold scores are averaged with
 * equal weight, the default score is minus the mean squared error, ties go to the larger alpha. Unlike there the intercept is fitted
 * unless told otherwise.
 */
export class RidgeCV {
  readonly #gpu: Gpu;
  readonly #options: Required<Omit<RidgeCVOptions, "nTargetsBatch">> & { nTargetsBatch?: number };

  /**
   * A ridge regression to fit.
   *
   * @throws {InputError} for alphas that are not above 0, or an option out of range
   */
  constructor(gpu: Gpu, options: RidgeCVOptions = {}) {
    const { alphas = [0.1, 1], cv = 5, fitIntercept = true, scoring = "l2NegLoss" } = options;
    const { localAlpha = true, solver = "auto", nTargetsBatch } = options;
    requireAlphas(alphas);
    this.#gpu = gpu;
    this.#options = { alphas, cv, fitIntercept, scoring, localAlpha, solver, nTargetsBatch };
  }

  /**
   * Chooses the alphas and fits on all samples.
   *
   * @param features `[nSamples, nFeatures]`
   * @param responses `[nSamples, nTargets]`
   * @throws {InputError} when the rows differ in number, a value is not finite, or a split does not fit
   */
  async fit(
    features: HostMatrix,
    responses: HostMatrix,
    call: LongCall = {},
  ): Promise<FittedRidge> {
    requireSamples(features, responses);
    const { alphas, cv, localAlpha } = this.#options;
    const splits = splitsOf(cv, features.shape[0]);
    const problem = new RidgeProblem(this.#gpu, features, responses, { ...this.#options, splits });
    const nTargets = responses.shape[1];
    const surface = new Float64Array(alphas.length * nTargets);
    for (const [fold, split] of splits.entries()) {
      call.onProgress?.({ stage: "cv", done: fold, total: splits.length });
      const scores = await problem.scoreFold(fold, split, call);
      for (let at = 0; at < scores.length; at++) surface[at] += scores[at] / splits.length;
    }
    call.onProgress?.({ stage: "cv", done: splits.length, total: splits.length });
    const best = chooseAlphas(surface, alphas, nTargets, localAlpha);
    const bestAlphas = Float64Array.from(best, (a) => alphas[a]);
    const cvScores = Float64Array.from(best, (a, t) => surface[a * nTargets + t]);
    const fitted = await problem.refit(bestAlphas, call);
    return new FittedRidge(this.#gpu, fitted, bestAlphas, cvScores, surface);
  }
}

/** Options of {@link fitRidge}. */
export interface RidgeOptions
  extends Pick<RidgeCVOptions, "fitIntercept" | "solver" | "nTargetsBatch"> {
  /** One for all targets, or one for each. */
  readonly alpha?: number | ArrayLike<number>;
}

/**
 * Ridge regression with given alphas, as himalaya's `Ridge`.
 *
 * @param features `[nSamples, nFeatures]`
 * @param responses `[nSamples, nTargets]`
 * @throws {InputError} when the rows differ in number, a value is not finite, or an alpha is not above 0
 */
export async function fitRidge(
  gpu: Gpu,
  features: HostMatrix,
  responses: HostMatrix,
  { alpha = 1, fitIntercept = true, solver = "auto", nTargetsBatch, ...call }:
    & RidgeOptions
    & LongCall = {},
): Promise<LinearModel> {
  requireSamples(features, responses);
  const nTargets = responses.shape[1];
  const alphas = Float64Array.from(
    { length: nTargets },
    (_, t) => typeof alpha === "number" ? alpha : alpha[t],
  );
  requireAlphas([...alphas]);
  const options = { alphas: [], scoring: "l2NegLoss" as const, splits: [] };
  const problem = new RidgeProblem(gpu, features, responses, {
    ...options,
    ...{ fitIntercept, solver, nTargetsBatch },
  });
  const { coef, intercept } = await problem.refit(alphas, call);
  return new LinearModel(gpu, coef, intercept);
}

function requireAlphas(alphas: readonly number[]): void {
  const bad = alphas.find((alpha) => !(alpha > 0 && Number.isFinite(alpha)));
  if (bad !== undefined || alphas.length === 0) {
    throw new InputError(
      `Cannot use alphas [${alphas}]: there must be some, all above 0 and finite`,
    );
  }
}

/** The alpha with the best mean score of each target, as indices. */
function chooseAlphas(
  surface: Float64Array,
  alphas: readonly number[],
  nTargets: number,
  localAlpha: boolean,
): Uint32Array {
  const best = new Uint32Array(nTargets);
  const score = (a: number, t: number) =>
    surface[a * nTargets + t] + TIE_SLOPE * Math.log(alphas[a]);
  const argmax = (f: (a: number) => number) => {
    let top = 0;
    for (let a = 1; a < alphas.length; a++) if (f(a) > f(top)) top = a;
    if (f(top) === -Infinity) {
      throw new InputError("Cannot solve the ridge problem at any alpha: add larger ones");
    }
    return top;
  };
  if (localAlpha) return best.map((_, t) => argmax((a) => score(a, t)));
  const total = (a: number) => best.reduce((sum, _, t) => sum + score(a, t) / nTargets, 0);
  return best.fill(argmax(total));
}
