import { chooseAlphas, meanScores, type ScoreTable } from "./choose_alphas.ts";
import { type ScoreFunction, scoreFunction } from "./fold_scores.ts";
import { gcvAlphas } from "./gcv.ts";
import { range } from "./host_matrix.ts";
import type { RidgeProblem } from "./ridge_problem.ts";
import { scoreAlphas, type ScoreOptions, type TargetChoice } from "./ridge_scores.ts";

/** Options of {@link searchAlphas}. */
export interface SearchOptions extends Omit<ScoreOptions, "solverOf" | "measures"> {
  /** What alphas are chosen by. */
  readonly score: ScoreFunction;
}

/**
 * Scores of every alpha that the problem can be solved at; −∞ for the others, and for targets and splits that were not asked for.
 */
export async function searchAlphas(
  problem: RidgeProblem,
  { alphas, score, ...options }: SearchOptions,
): Promise<ScoreTable> {
  await problem.prepare(alphas);
  await options.onStage?.("gram");
  const { samples } = problem;
  const nFolds = samples.layout.folds.length, nTargets = samples.y.shape[1];
  const usable = alphas.filter((alpha) => problem.precisionOf(alpha) !== undefined);
  const [scores, r2] = await scoreAlphas(samples, {
    ...options,
    measures: [score, scoreFunction("r2")],
    ...{ alphas: usable, solverOf: (alpha) => problem.solverOf(alpha) },
    proportionalFrom: problem.proportionalFrom,
  });
  return merged(alphas, [{ alphas: usable, nFolds, nTargets, scores, r2 }]);
}

/**
 * For each alpha the targets whose choice is fewer than `reach` steps of the grid away, in order of their choices. Where one alpha is
 * chosen for all, a mean over them is needed: they are all scored, or none.
 */
function targetsNear(
  { alphas, localAlpha = true }: ScreenOptions,
  choice: Uint32Array,
  reach: number,
): TargetChoice {
  const order = range(choice.length).sort((s, t) => choice[s] - choice[t] || s - t);
  const before = (a: number) => choice.reduce((count, own) => count + Number(own < a), 0);
  const spanOf = (alpha: number): [number, number] => {
    const a = alphas.indexOf(alpha);
    const near: [number, number] = [before(a - reach + 1), before(a + reach)];
    return localAlpha || near[0] === near[1] ? near : [0, order.length];
  };
  return { order, spanOf };
}

/** Options of a search that leaves alphas out; these ascend. */
export interface ScreenOptions extends SearchOptions {
  /** Whether the problem is solved in the space of samples. */
  readonly isDual: boolean;
  /** One alpha for each target, or one for all. */
  readonly localAlpha?: boolean;
}

/** Screens the alphas by generalised cross-validation, then scores each target's choice and its two neighbours exactly. */
export async function searchByGcv(
  problem: RidgeProblem,
  search: ScreenOptions,
): Promise<ScoreTable> {
  await problem.prepare(search.alphas);
  const alphas = search.alphas.filter((alpha) => problem.precisionOf(alpha) !== undefined);
  const usable = { ...search, alphas };
  const choice = await gcvAlphas(problem, usable);
  const targets = targetsNear(usable, choice, 2);
  const table = await searchAlphas(problem, { ...usable, targets, pass: 1 });
  return merged(search.alphas, [table]);
}

const STRIDE = 3;

/** Scores every third alpha exactly, then those between each target's best one and its neighbours: mean scores are smooth in alpha. */
export async function searchCoarseToFine(
  problem: RidgeProblem,
  search: ScreenOptions,
): Promise<ScoreTable> {
  const { alphas } = search;
  await problem.prepare(alphas);
  const isCoarse = (a: number) => a % STRIDE === 0 || a === alphas.length - 1;
  const coarse = alphas.filter((_, a) => isCoarse(a)), fine = alphas.filter((_, a) => !isCoarse(a));
  const first = await searchAlphas(problem, { ...search, alphas: coarse, pass: 2 });
  if (fine.length === 0) return first;
  const choice = chooseAlphas(first, meanScores(first), { localAlpha: search.localAlpha })
    .map((a) => alphas.indexOf(coarse[a]));
  const targets = targetsNear(search, choice, STRIDE);
  const second = await searchAlphas(problem, { ...search, alphas: fine, targets, pass: 3 });
  return merged(alphas, [first, second]);
}

/** Tables of different alphas as one, in the order given. */
export function merged(alphas: readonly number[], tables: readonly ScoreTable[]): ScoreTable {
  const [{ nFolds, nTargets }] = tables;
  const each = nFolds * nTargets;
  const whole = (of: (table: ScoreTable) => Float64Array) => {
    const scores = new Float64Array(alphas.length * each).fill(-Infinity);
    for (const table of tables) {
      table.alphas.forEach((alpha, a) =>
        scores.set(of(table).subarray(a * each, (a + 1) * each), alphas.indexOf(alpha) * each)
      );
    }
    return scores;
  };
  return { alphas, nFolds, nTargets, scores: whole((t) => t.scores), r2: whole((t) => t.r2) };
}
