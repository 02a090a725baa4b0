import type { Gpu } from "../../engine/gpu.ts";
import { InputError } from "../errors.ts";
import { edgeReport, extendAlphas } from "./alphas.ts";
import {
  type ChoiceOptions,
  chooseAlphas,
  chosenScores,
  meanScores,
  requireChoice,
  type ScoreTable,
} from "./choose_alphas.ts";
import { type CrossValidation, isRunWise, splitsOf } from "./cross_validation.ts";
import { type ScoreFunction, scoreFunction } from "./fold_scores.ts";
import { FittedRidge, RidgeModel, type RidgeModelParts } from "./fitted_ridge.ts";
import { type HostMatrix, range, requireSamples } from "./host_matrix.ts";
import type { LongCall, StagedCall } from "./linear_model.ts";
import { batchesOf } from "./ridge_batches.ts";
import { centredProducts, interceptOf } from "./ridge_intercept.ts";
import {
  planOf,
  requireAlphas,
  requireScorable,
  requireSolverOptions,
  type RidgePlan,
  type RidgeSolverOptions,
} from "./ridge_plan.ts";
import { RidgeProblem } from "./ridge_problem.ts";
import { primalCoefficients, refit, roomForCoefficients } from "./ridge_refit.ts";
import { RidgeSamples } from "./ridge_samples.ts";
import type { ScoreStore } from "./ridge_scores.ts";
import {
  merged,
  type ScreenOptions,
  searchAlphas,
  searchByGcv,
  searchCoarseToFine,
} from "./ridge_search.ts";
import type { Scoring } from "./scoring.ts";

/** Options of {@link RidgeCV}, in himalaya's words. */
export interface RidgeCVOptions extends RidgeSolverOptions, ChoiceOptions {
  /** Candidates, all above 0; the objective is `‖x·b − y‖² + alpha·‖b‖²`. */
  readonly alphas?: readonly number[];
  /** Number of contiguous folds, runs, or the splits. */
  readonly cv?: CrossValidation;
  /** What an alpha is chosen by: a name, or a function of what a fold's score follows from. */
  readonly scoring?: Scoring | ScoreFunction;
  /** Asks for the coefficients of the features where the problem is solved in the space of samples. */
  readonly coef?: boolean;
  /** Alphas whose operators are on the GPU at once. */
  readonly nAlphasBatch?: number;
  /** Scores every alpha for every target; without it {@link RidgeCVOptions.screening} leaves some out. */
  readonly exact?: boolean;
  /**
   * How alphas are left out where the search is not exact: `"gcv"` scores each target's choice by generalised cross-validation and the
   * two beside it, `"coarse"` every third alpha and then those beside the best. Alphas must ascend.
   */
  readonly screening?: "gcv" | "coarse";
  /** Adds alphas, up to three times two, below or above the grid while a target's best one is the first or the last; alphas must ascend. */
  readonly extendAlphas?: boolean;
}

/** Options of a fit. */
export interface RidgeFitCall extends StagedCall {
  /** Keeps what was scored, so that a fit that was stopped goes on. */
  readonly store?: ScoreStore;
}

/**
 * Ridge regression with an alpha per target chosen by exact cross-validation, as himalaya's `RidgeCV` and `KernelRidgeCV`: fold scores
 * are averaged with equal weight, the default score is minus the mean squared error, ties go to the larger alpha. Unlike there the
 * intercept is fitted unless told otherwise, and the space of the problem is chosen by its size.
 *
 * A response that is constant over a test side has R² and correlation 0 there. One that is constant over all samples gets, with an
 * intercept, coefficients 0 and by the rule for ties the largest alpha.
 */
export class RidgeCV {
  readonly #gpu: Gpu;
  readonly #options: RidgeCVOptions & Required<Pick<RidgeCVOptions, "alphas" | "cv" | "scoring">>;

  /**
   * A ridge regression to fit.
   *
   * @throws {InputError} for alphas that are not above 0, or an option out of range
   */
  constructor(gpu: Gpu, options: RidgeCVOptions = {}) {
    this.#gpu = gpu;
    this.#options = { alphas: [0.1, 1], cv: 5, scoring: "l2NegLoss", ...options };
    requireAlphas(this.#options.alphas);
    requireSolverOptions(options, options.nAlphasBatch);
    requireChoice(options);
    this.#requireScreening();
  }

  #requireScreening(): void {
    const { exact = true, screening = "gcv", extendAlphas = false, alphas, cv } = this.#options;
    if (exact && !extendAlphas) return;
    if (!exact && this.#options.conservative) {
      throw new InputError(
        "Cannot leave alphas out and choose conservatively: the largest alpha near the best one may be among those left out",
      );
    }
    const ascends = alphas.every((alpha, a) => a === 0 || alpha > alphas[a - 1]);
    if (!ascends) {
      throw new InputError(
        `Cannot leave alphas out or extend them: they must ascend, they are [${alphas}]`,
      );
    }
    if (exact || screening !== "gcv" || !isRunWise(cv)) return;
    throw new InputError(
      "Cannot screen alphas by generalised cross-validation: the splits keep runs, chunks or given samples together, as neighbouring " +
        "samples resemble each other; it takes samples to be exchangeable and would choose too small alphas. Search exactly",
    );
  }

  async #search(problem: RidgeProblem, search: ScreenOptions): Promise<ScoreTable> {
    const { exact = true, screening = "gcv", extendAlphas: extend = false } = this.#options;
    let table = exact
      ? await searchAlphas(problem, search)
      : screening === "gcv"
      ? await searchByGcv(problem, search)
      : await searchCoarseToFine(problem, search);
    for (let round = 0; extend && round < 3; round++) {
      const best = chooseAlphas(table, meanScores(table), this.#options);
      const { lowest, highest } = edgeReport(best, table.alphas.length);
      if (lowest + highest === 0) break;
      const by = { below: lowest > 0 ? 2 : 0, above: highest > 0 ? 2 : 0 };
      const alphas = extendAlphas(table.alphas, by);
      const added = alphas.filter((alpha) => !table.alphas.includes(alpha));
      const found = await searchAlphas(problem, { ...search, alphas: added, pass: 4 + round });
      table = merged(alphas, [table, found]);
    }
    return table;
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
    { store, ...call }: RidgeFitCall = {},
  ): Promise<FittedRidge> {
    requireSamples(features, responses);
    const { alphas, cv, scoring, nAlphasBatch, ...rest } = this.#options;
    const splits = splitsOf(cv, features.shape[0]);
    requireScorable(scoring, splits.map(({ test }) => test.length));
    const nTrain = Math.min(...splits.map(({ train }) => train.length));
    const plan = planOf(features, { ...rest, nTrain });
    const samples = new RidgeSamples(this.#gpu, {
      ...{ x: plan.x, y: responses, splits },
      ...{ fitIntercept: plan.fitIntercept, centreFeatures: plan.centreFeatures },
    });
    using problem = new RidgeProblem(samples, plan);
    const batches = batchesOf(samples, { ...plan, nAlphasBatch });
    const search = { score: scoreFunction(scoring), ...batches, store, ...call };
    const { isDual } = plan, { localAlpha } = this.#options;
    const table = await this.#search(problem, { ...search, alphas, isDual, localAlpha });
    const surface = meanScores(table);
    const best = chooseAlphas(table, surface, this.#options);
    const bestAlphas = Float64Array.from(best, (a) => table.alphas[a]);
    const cvScores = chosenScores(table, surface, best);
    const r2 = meanScores(table, table.r2), nTargets = best.length;
    const parts = await fitAlphas(problem, bestAlphas, { ...plan, ...batches, ...call });
    return new FittedRidge(this.#gpu, {
      ...parts,
      ...{
        alphas: Float64Array.from(table.alphas),
        bestAlphas,
        cvSurface: surface,
        foldScores: table.scores,
      },
      ...{ cvScores, cvR2: Float64Array.from(best, (a, t) => r2[a * nTargets + t]) },
      precisions: table.alphas.map((alpha) => problem.precisionOf(alpha) ?? "unusable"),
      warnings: warningsOf(table.alphas, best),
    });
  }
}

/** What the user should know of the alphas that were chosen. */
function warningsOf(alphas: readonly number[], best: Uint32Array): string[] {
  const order = range(alphas.length).sort((a, b) => alphas[a] - alphas[b]);
  const { lowest, highest, nTargets } = edgeReport(
    best.map((a) => order.indexOf(a)),
    alphas.length,
  );
  const say = (count: number, which: string, alpha: number, way: string) =>
    count === 0 ? [] : [
      `${count} of ${nTargets} targets chose the ${which} alpha, ${alpha}: the best one may lie ${way} the grid`,
    ];
  return [
    ...say(lowest, "smallest", Math.min(...alphas), "below"),
    ...say(highest, "largest", Math.max(...alphas), "above"),
  ];
}

/** Options of {@link fitRidge}. */
export interface RidgeOptions extends RidgeSolverOptions {
  /** One for all targets, or one for each. */
  readonly alpha?: number | ArrayLike<number>;
  /** Asks for the coefficients of the features where the problem is solved in the space of samples. */
  readonly coef?: boolean;
}

/**
 * Ridge regression with given alphas, as himalaya's `Ridge` and `KernelRidge`.
 *
 * @param features `[nSamples, nFeatures]`
 * @param responses `[nSamples, nTargets]`
 * @throws {InputError} when the rows differ in number, a value is not finite, or an alpha is not above 0
 */
export async function fitRidge(
  gpu: Gpu,
  features: HostMatrix,
  responses: HostMatrix,
  { alpha = 1, signal, onProgress, ...options }: RidgeOptions & LongCall = {},
): Promise<RidgeModel> {
  requireSamples(features, responses);
  requireSolverOptions(options);
  if (typeof alpha !== "number" && alpha.length !== responses.shape[1]) {
    throw new InputError(
      `Cannot fit ${
        responses.shape[1]
      } targets with ${alpha.length} alphas: there must be one, or one for each`,
    );
  }
  const alphas = Float64Array.from(
    { length: responses.shape[1] },
    (_, t) => typeof alpha === "number" ? alpha : alpha[t],
  );
  const distinct = [...new Set(alphas)];
  requireAlphas(distinct);
  const plan = planOf(features, { ...options, nTrain: features.shape[0] });
  const samples = new RidgeSamples(gpu, { ...plan, y: responses, splits: [] });
  using problem = new RidgeProblem(samples, plan);
  await problem.prepare(distinct);
  const batches = batchesOf(samples, plan);
  return new RidgeModel(
    gpu,
    await fitAlphas(problem, alphas, { ...plan, ...batches, signal, onProgress }),
  );
}

/** Fits all samples at the alphas of the targets. */
async function fitAlphas(
  problem: RidgeProblem,
  alphas: Float64Array,
  { nTargetsBatch, ...plan }: RidgePlan & StagedCall & { nTargetsBatch: number },
): Promise<RidgeModelParts> {
  const { isDual, fitIntercept, delays, delayOptions, expanded, signal, onProgress, onStage } =
    plan;
  const call = { signal, onProgress };
  const { samples } = problem;
  const into = roomForCoefficients(samples, isDual);
  await refit(problem, { alphas, nTargetsBatch, into, onStage, ...call });
  const { coef: found, base } = into;
  const parts = { fitIntercept, delays: expanded ?? delays, delayOptions };
  if (!isDual) {
    return { ...parts, coef: found, intercept: interceptOf(samples.xMeans, found, base) };
  }
  // x·mean stands in for the features: their coefficients need not be there for the intercept.
  const intercept = interceptOf(centredProducts(samples, plan), found, base);
  const dual = { ...parts, dualCoef: found, intercept, xFit: samples.x };
  if (!plan.coef) return dual;
  const options = { delays, delayOptions, ...call };
  return { ...dual, coef: await primalCoefficients(samples, found, options) };
}
