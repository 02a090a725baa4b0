import { InputError } from "../errors.ts";
import { type DelayOptions, delayRows, requireDelays } from "./delays.ts";
import type { ScoreFunction } from "./fold_scores.ts";
import type { HostMatrix } from "./host_matrix.ts";
import type { Scoring } from "./scoring.ts";

/** Options of a ridge problem, with or without cross-validation. */
export interface RidgeSolverOptions {
  /** Centres features and responses, in every fold by the means of its training side. */
  readonly fitIntercept?: boolean;
  /** `"primal"` solves in the space of features, `"dual"` in that of samples; by default in the smaller one. */
  readonly solver?: "auto" | "primal" | "dual";
  /** Arithmetic of factorisations; by default f64 for the alphas that f32 cannot resolve, where the device or the host can. */
  readonly precision?: "auto" | "f32" | "f64";
  /** Finite impulse response delays of the features, in samples. */
  readonly delays?: readonly number[];
  /** Run of each sample: features are delayed within runs. */
  readonly delayOptions?: DelayOptions;
  /** Targets that are on the GPU at once; by default as many as the adapter's limits allow. */
  readonly nTargetsBatch?: number;
}

/** A problem as it will be solved. */
export interface RidgePlan extends RidgeSolverOptions {
  readonly x: HostMatrix;
  readonly fitIntercept: boolean;
  readonly centreFeatures: boolean;
  readonly isDual: boolean;
  readonly delays?: readonly number[];
  /** Delays that are already columns of `x`. */
  readonly expanded?: readonly number[];
  readonly coef?: boolean;
}

/** Chooses the space of the problem by its size, and makes the delayed design where that is the smaller one. */
export function planOf(
  features: HostMatrix,
  { nTrain, ...options }: RidgeSolverOptions & { nTrain: number; coef?: boolean },
): RidgePlan {
  const { fitIntercept = true, solver = "auto", delays, delayOptions } = options;
  const width = features.shape[1] * (delays?.length ?? 1);
  const isDual = solver === "auto" ? width >= nTrain : solver === "dual";
  const shared = { ...options, fitIntercept, isDual };
  if (!delays) return { ...shared, x: features, centreFeatures: fitIntercept };
  if (isDual) return { ...shared, x: features, centreFeatures: false };
  const x = delayRows(features, delays, delayOptions);
  return { ...shared, x, centreFeatures: fitIntercept, delays: undefined, expanded: delays };
}

/**
 * Refuses regularisations that are not above 0.
 *
 * @throws {InputError} for those, for none, and for one that is there twice
 */
export function requireAlphas(alphas: readonly number[]): void {
  const bad = alphas.find((alpha) => !(alpha > 0 && Number.isFinite(alpha)));
  if (bad === undefined && alphas.length > 0 && new Set(alphas).size === alphas.length) return;
  throw new InputError(
    `Cannot use alphas [${alphas}]: there must be some, all different, above 0 and finite`,
  );
}

/**
 * Refuses options that are out of range.
 *
 * @throws {InputError} for sizes of batches that are no whole numbers, or delays that are none
 */
export function requireSolverOptions(
  { delays, nTargetsBatch }: RidgeSolverOptions,
  nAlphasBatch?: number,
): void {
  if (delays) requireDelays(delays);
  requireBatch("nTargetsBatch", nTargetsBatch);
  requireBatch("nAlphasBatch", nAlphasBatch);
}

function requireBatch(name: string, value: number | undefined): void {
  if (value === undefined || (Number.isInteger(value) && value > 0)) return;
  throw new InputError(`Cannot fit: ${name} must be a whole number from 1, it is ${value}`);
}

/**
 * Refuses splits that a score means nothing on.
 *
 * @throws {InputError} for a correlation or R² over a single sample
 */
export function requireScorable(scoring: Scoring | ScoreFunction, sizes: readonly number[]): void {
  const fold = sizes.findIndex((size) => size < 2);
  if (fold < 0 || (scoring !== "r2" && scoring !== "correlation")) return;
  throw new InputError(
    `Cannot score by ${scoring}: every fold needs two samples or more, fold ${fold} has ${
      sizes[fold]
    }; choose l2NegLoss or fewer folds`,
  );
}
