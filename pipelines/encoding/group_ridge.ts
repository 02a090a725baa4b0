import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, type Key, randomKey, uniform } from "../../engine/random.ts";
import { InputError } from "../errors.ts";
import { BandProblems } from "./band_problems.ts";
import { bandsOf, requireGammas } from "./bands.ts";
import { BestOfTargets, raceOf } from "./best_of_targets.ts";
import { chooseAlphas, meanScores, requireChoice } from "./choose_alphas.ts";
import { splitsOf } from "./cross_validation.ts";
import { FittedGroupRidge } from "./fitted_group_ridge.ts";
import type { RidgeModelParts } from "./fitted_ridge.ts";
import { scoreFunction } from "./fold_scores.ts";
import { dirichletGammas } from "./gammas.ts";
import { type HostMatrix, range, requireSamples } from "./host_matrix.ts";
import type { LongCall } from "./linear_model.ts";
import type { RidgeCVOptions, RidgeFitCall } from "./ridge.ts";
import { batchesOf } from "./ridge_batches.ts";
import { centredProducts, interceptOf } from "./ridge_intercept.ts";
import {
  planOf,
  requireAlphas,
  requireScorable,
  requireSolverOptions,
  type RidgePlan,
} from "./ridge_plan.ts";
import { primalCoefficients, refit, roomForCoefficients } from "./ridge_refit.ts";
import { RidgeSamples } from "./ridge_samples.ts";

/** Options of {@link GroupRidgeCV}, in himalaya's words. */
export interface GroupRidgeCVOptions
  extends Omit<RidgeCVOptions, "exact" | "screening" | "extendAlphas"> {
  /** Label of each feature, `[nFeatures]`: features of one label share a weight. */
  readonly groups: ArrayLike<number>;
  /** Number of weightings to draw, or the weightings, `[nIter][nBands]`. */
  readonly nIter?: number | readonly ArrayLike<number>[];
  /** Concentrations of the Dirichlet distributions that weightings are drawn from, in turn. */
  readonly concentrations?: readonly number[];
  /** Makes the draws. */
  readonly key?: Key;
  /** Multiplies the alphas of each weighting by 10^(u − 1/2), with u uniform in [0, 1). */
  readonly jitterAlphas?: boolean;
  /**
   * Gives a weighting up for the targets whose score on the first fold is more than this many standard deviations (over the folds of
   * their best weighting) below their best. Exact where absent.
   */
  readonly racing?: number;
}

/**
 * Ridge regression with a weight per band of features and target, as himalaya's `GroupRidgeCV`: features of band i are multiplied by
 * √gamma_i, weightings are drawn from the simplex, each is scored at every alpha by exact cross-validation, and a target keeps the
 * weighting and alpha that score best. Coefficients are fitted once at the end, by weighting and alpha.
 */
export class GroupRidgeCV {
  readonly #gpu: Gpu;
  readonly #options:
    & GroupRidgeCVOptions
    & Required<Pick<GroupRidgeCVOptions, "alphas" | "cv" | "scoring" | "nIter" | "key">>;

  /**
   * A banded ridge regression to fit.
   *
   * @throws {InputError} for alphas that are not above 0, or an option out of range
   */
  constructor(gpu: Gpu, options: GroupRidgeCVOptions) {
    const defaults = { alphas: [0.1, 1], cv: 5, scoring: "l2NegLoss", nIter: 100 } as const;
    this.#gpu = gpu;
    this.#options = { ...defaults, key: randomKey(0), ...options };
    const { alphas, nIter, racing } = this.#options;
    requireAlphas(alphas);
    requireSolverOptions(options, options.nAlphasBatch);
    requireChoice(options);
    if (typeof nIter === "number" && !(Number.isInteger(nIter) && nIter >= 1)) {
      throw new InputError(`Cannot search: nIter must be a whole number from 1, it is ${nIter}`);
    }
    if (racing !== undefined && !(racing >= 0)) {
      throw new InputError(`Cannot search: racing must be a number from 0, it is ${racing}`);
    }
  }

  /**
   * Chooses weightings and alphas, and fits on all samples.
   *
   * @param features `[nSamples, nFeatures]`
   * @param responses `[nSamples, nTargets]`
   * @throws {InputError} when the rows differ in number, a value is not finite, or labels or a split do not fit
   */
  async fit(
    features: HostMatrix,
    responses: HostMatrix,
    { store, ...call }: RidgeFitCall = {},
  ): Promise<FittedGroupRidge> {
    requireSamples(features, responses);
    const options = this.#options;
    const bands = bandsOf(options.groups, features.shape[1]);
    const gammas = this.#gammas(bands.labels.length);
    const splits = splitsOf(options.cv, features.shape[0]);
    requireScorable(options.scoring, splits.map(({ test }) => test.length));
    const nTrain = Math.min(...splits.map(({ train }) => train.length));
    const plan = planOf(features, { ...options, nTrain });
    const samples = new RidgeSamples(this.#gpu, { ...plan, y: responses, splits });
    const batches = batchesOf(samples, { ...plan, nAlphasBatch: options.nAlphasBatch });
    using problems = new BandProblems(samples, { bands, plan });
    const best = new BestOfTargets(responses.shape[1], gammas.length, splits.length);
    const score = scoreFunction(options.scoring);
    for (const [g, gamma] of gammas.entries()) {
      const alphas = this.#alphasOf(g);
      using problem = problems.weighted(gamma);
      const search = { alphas, score, ...batches, store, signal: call.signal };
      const table = await raceOf(problem, { ...search, pass: g, best, margin: options.racing });
      const means = meanScores(table);
      best.update(g, table, means, chooseAlphas(table, means, options));
      call.onProgress?.({ stage: "search", done: g + 1, total: gammas.length });
    }
    best.requireAll();
    const parts = await this.#refit(problems, { gammas, best, plan, ...batches, ...call });
    const { bestGammas, bestAlphas, cvScores, cvR2 } = best;
    const alphas = Float64Array.from(options.alphas);
    const found = { bands, gammas, alphas, bestGammas, bestAlphas, cvScores, cvR2 };
    return new FittedGroupRidge(this.#gpu, { ...parts, ...found });
  }

  #gammas(nBands: number): Float64Array<ArrayBuffer>[] {
    const { nIter, concentrations, key } = this.#options;
    if (typeof nIter === "number") return dirichletGammas(nIter, nBands, { concentrations, key });
    requireGammas(nIter, nBands);
    return nIter.map((gamma) => Float64Array.from(gamma));
  }

  #alphasOf(g: number): readonly number[] {
    const { alphas, jitterAlphas = false, key } = this.#options;
    if (!jitterAlphas) return alphas;
    const [u] = uniform(foldIn(foldIn(key, 0x6a), g), 1);
    return alphas.map((alpha) => alpha * 10 ** (u - 0.5));
  }

  /** Fits every target once, at its weighting and alpha. */
  async #refit(
    problems: BandProblems,
    { gammas, best, plan, nTargetsBatch, ...call }: LongCall & {
      gammas: readonly Float64Array<ArrayBuffer>[];
      best: BestOfTargets;
      plan: RidgePlan;
      nTargetsBatch: number;
    },
  ): Promise<RidgeModelParts> {
    const { samples } = problems;
    const { isDual, fitIntercept, delays, delayOptions } = plan;
    const { bestGammas, bestAlphas } = best;
    const into = roomForCoefficients(samples, isDual);
    const intercept = new Float32Array(bestAlphas.length);
    let done = 0;
    for (const [g, gamma] of gammas.entries()) {
      const targets = range(bestGammas.length).filter((t) => bestGammas[t] === g);
      if (targets.length === 0) continue;
      using problem = problems.weighted(gamma);
      await problem.prepare([...new Set(Array.from(targets, (t) => bestAlphas[t]))]);
      await refit(problem, { alphas: bestAlphas, targets, nTargetsBatch, into, done, ...call });
      done += targets.length;
      const scaled = problem.samples;
      const means = isDual
        ? centredProducts(scaled, plan)
        : scaled.xMeans.map((mean, j) => mean * scaled.scaleOf(j));
      const found = interceptOf(means, into.coef, into.base);
      for (const t of targets) intercept[t] = found[t];
    }
    const parts = { intercept, fitIntercept, delays: plan.expanded ?? delays, delayOptions };
    const weightOf = (column: number, t: number) => gammas[bestGammas[t]][problems.bandOf(column)];
    if (!isDual) {
      return { ...parts, coef: weighted(into.coef, (j, t) => Math.sqrt(weightOf(j, t))) };
    }
    const dual = { ...parts, dualCoef: into.coef, xFit: samples.x };
    if (!plan.coef) return dual;
    const coef = await primalCoefficients(samples, into.coef, { delays, delayOptions, ...call });
    return { ...dual, coef: weighted(coef, weightOf) };
  }
}

/** Multiplies coefficients in place. */
function weighted(
  coef: HostMatrix,
  weightOf: (column: number, target: number) => number,
): HostMatrix {
  const nTargets = coef.shape[1];
  coef.data.forEach((value, at) => {
    coef.data[at] = value * weightOf(Math.floor(at / nTargets), at % nTargets);
  });
  return coef;
}

/**
 * {@link GroupRidgeCV} at one weighting: only the alphas are searched.
 *
 * @param options.gamma weight of each band, from 0
 * @throws {InputError} as {@link GroupRidgeCV}
 */
export function solveFixedGamma(
  gpu: Gpu,
  features: HostMatrix,
  responses: HostMatrix,
  { gamma, signal, onProgress, store, ...options }:
    & Omit<GroupRidgeCVOptions, "nIter" | "concentrations" | "key" | "racing">
    & RidgeFitCall
    & { readonly gamma: ArrayLike<number> },
): Promise<FittedGroupRidge> {
  const call = { signal, onProgress, store };
  return new GroupRidgeCV(gpu, { ...options, nIter: [gamma] }).fit(features, responses, call);
}
