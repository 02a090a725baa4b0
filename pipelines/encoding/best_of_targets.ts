import { InputError } from "../errors.ts";
import { meanScores, type ScoreTable } from "./choose_alphas.ts";
import { range } from "./host_matrix.ts";
import type { RidgeProblem } from "./ridge_problem.ts";
import { searchAlphas, type SearchOptions } from "./ridge_search.ts";

// himalaya replaces a weighting only where the score improves by more than the resolution of its type, here float32.
const IMPROVEMENT = 2 ** -23;

/** The best weighting of every target so far. */
export class BestOfTargets {
  /** Index of the weighting, `[nTargets]`. */
  readonly bestGammas: Uint32Array<ArrayBuffer>;
  /** Regularisation at that weighting, `[nTargets]`. */
  readonly bestAlphas: Float64Array<ArrayBuffer>;
  /** Best score over the alphas of each weighting, `[nIter, nTargets]`; −∞ where there is none. */
  readonly cvScores: Float64Array<ArrayBuffer>;
  /** Mean R² over the folds at the best weighting and alpha, `[nTargets]`. */
  readonly cvR2: Float64Array<ArrayBuffer>;
  readonly #scores: Float64Array<ArrayBuffer>;
  /** Scores of the folds at the best weighting and alpha, `[nFolds, nTargets]`. */
  readonly #folds: Float64Array<ArrayBuffer>;
  readonly #nFolds: number;

  /** Starts with none. */
  constructor(nTargets: number, nIter: number, nFolds: number) {
    this.bestGammas = new Uint32Array(nTargets);
    this.bestAlphas = new Float64Array(nTargets);
    this.cvScores = new Float64Array(nIter * nTargets).fill(-Infinity);
    this.cvR2 = new Float64Array(nTargets);
    this.#scores = new Float64Array(nTargets).fill(-Infinity);
    this.#folds = new Float64Array(nFolds * nTargets);
    this.#nFolds = nFolds;
  }

  /** Takes weighting `g` where it is better. `best` is the index of its alpha for each target. */
  update(g: number, table: ScoreTable, means: Float64Array, best: Uint32Array): void {
    const { nTargets, nFolds, alphas, scores } = table;
    const r2 = meanScores(table, table.r2);
    best.forEach((a, t) => {
      const score = means[a * nTargets + t];
      this.cvScores[g * nTargets + t] = score;
      if (!(score > this.#scores[t] + IMPROVEMENT)) return;
      this.#scores[t] = score;
      this.bestGammas[t] = g;
      this.bestAlphas[t] = alphas[a];
      this.cvR2[t] = r2[a * nTargets + t];
      for (let fold = 0; fold < nFolds; fold++) {
        this.#folds[fold * nTargets + t] = scores[(a * nFolds + fold) * nTargets + t];
      }
    });
  }

  /** Targets that may still improve, by the best score of each on the first fold. */
  inRace(first: Float64Array, margin: number): Uint32Array<ArrayBuffer> {
    const nTargets = first.length, n = this.#nFolds;
    return range(nTargets).filter((t) => {
      if (this.#scores[t] === -Infinity) return true;
      let mean = 0, squares = 0;
      const at = (fold: number) => this.#folds[fold * nTargets + t];
      for (let fold = 0; fold < n; fold++) mean += at(fold) / n;
      for (let fold = 0; fold < n; fold++) squares += (at(fold) - mean) ** 2 / n;
      // Equal scores on all folds deviate by 0, which no infinite margin multiplies.
      return margin === Infinity || first[t] >= at(0) - margin * Math.sqrt(squares);
    });
  }

  /**
   * Refuses targets without a score.
   *
   * @throws {InputError} when there is one
   */
  requireAll(): void {
    if (!this.#scores.includes(-Infinity)) return;
    throw new InputError(
      "Cannot solve the banded ridge problem at any alpha in the precision in use: add larger ones",
    );
  }
}

/** Scores a weighting; with a margin the first fold alone decides which targets go on. */
export async function raceOf(
  problem: RidgeProblem,
  { pass, best, margin, ...search }: SearchOptions & {
    pass: number;
    best: BestOfTargets;
    margin?: number;
  },
): Promise<ScoreTable> {
  const nFolds = problem.samples.layout.folds.length;
  if (margin === undefined || nFolds < 2) {
    return await searchAlphas(problem, { ...search, pass: 2 * pass });
  }
  const opening = await searchAlphas(problem, { ...search, pass: 2 * pass, folds: [0] });
  const { alphas, nTargets, scores } = opening;
  const first = new Float64Array(nTargets).fill(-Infinity);
  const size = nFolds * nTargets;
  alphas.forEach((_, a) => {
    for (let t = 0; t < nTargets; t++) first[t] = Math.max(first[t], scores[a * size + t]);
  });
  const targets = best.inRace(first, margin);
  const folds = Array.from({ length: nFolds - 1 }, (_, i) => i + 1);
  const rest = await searchAlphas(problem, {
    ...search,
    ...{ pass: 2 * pass + 1, folds, targets: { order: targets } },
  });
  const both = (a: Float64Array<ArrayBuffer>, b: Float64Array) =>
    a.map((value, at) => Math.max(value, b[at]));
  return { ...opening, scores: both(scores, rest.scores), r2: both(opening.r2, rest.r2) };
}
