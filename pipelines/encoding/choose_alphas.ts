import { InputError } from "../errors.ts";

// himalaya (_random_search.py) adds this times log(alpha) to the mean scores, so that ties go to the larger alpha.
const TIE_SLOPE = 1e-10;

/** Scores of all alphas. */
export interface ScoreTable {
  /** Regularisations. */
  readonly alphas: readonly number[];
  /** Number of splits. */
  readonly nFolds: number;
  /** Number of targets. */
  readonly nTargets: number;
  /** `[nAlphas, nFolds, nTargets]`; NaN or −∞ where an alpha cannot be used. */
  readonly scores: Float64Array<ArrayBuffer>;
  /** R² of the same. */
  readonly r2: Float64Array<ArrayBuffer>;
}

/** Mean scores over the splits, or means of another measure, `[nAlphas, nTargets]`; −∞ where an alpha cannot be used. */
export function meanScores(
  { alphas, nFolds, nTargets, scores: own }: ScoreTable,
  scores: Float64Array = own,
): Float64Array<ArrayBuffer> {
  const means = new Float64Array(alphas.length * nTargets);
  for (let a = 0; a < alphas.length; a++) {
    for (let fold = 0; fold < nFolds; fold++) {
      const from = (a * nFolds + fold) * nTargets;
      for (let t = 0; t < nTargets; t++) means[a * nTargets + t] += scores[from + t] / nFolds;
    }
  }
  return means.map((mean) => Number.isNaN(mean) ? -Infinity : mean);
}

/** How alphas are chosen. */
export interface ChoiceOptions {
  /** One alpha for each target, or one for all by the mean score. */
  readonly localAlpha?: boolean;
  /** Takes the largest alpha whose mean score is above the best one less its standard deviation over the splits. */
  readonly conservative?: boolean;
}

/**
 * Refuses ways to choose that exclude each other.
 *
 * @throws {InputError} for `conservative` with one alpha for all
 */
export function requireChoice({ localAlpha = true, conservative = false }: ChoiceOptions): void {
  if (localAlpha || !conservative) return;
  throw new InputError(
    "Cannot choose one alpha for all targets conservatively: choose one of both",
  );
}

/**
 * The alpha of each target, as himalaya's `_select_best_alphas`.
 *
 * @returns indices of alphas, `[nTargets]`; the first one for a target without any score
 * @throws {InputError} for `conservative` with one alpha for all
 */
export function chooseAlphas(
  table: ScoreTable,
  means: Float64Array,
  { localAlpha = true, conservative = false }: ChoiceOptions = {},
): Uint32Array<ArrayBuffer> {
  requireChoice({ localAlpha, conservative });
  const { alphas, nTargets } = table;
  const best = new Uint32Array(nTargets);
  const argmax = (score: (a: number) => number) => {
    let top = 0;
    for (let a = 1; a < alphas.length; a++) if (score(a) > score(top)) top = a;
    return top;
  };
  const slope = alphas.map((alpha) => TIE_SLOPE * Math.log(alpha));
  if (!localAlpha) {
    const average = alphas.map((_, a) => {
      let sum = 0;
      for (let t = 0; t < nTargets; t++) sum += means[a * nTargets + t] / nTargets;
      return sum + slope[a];
    });
    return best.fill(argmax((a) => average[a]));
  }
  return best.map((_, t) => {
    const top = argmax((a) => means[a * nTargets + t] + slope[a]);
    if (!conservative) return top;
    const least = means[top * nTargets + t] + slope[top] - deviation(table, top, t);
    let largest = top;
    alphas.forEach((alpha, a) => {
      const beats = means[a * nTargets + t] + slope[a] > least;
      if (beats && alpha > alphas[largest]) largest = a;
    });
    return largest;
  });
}

/**
 * The scores of the chosen alphas, `[nTargets]`.
 *
 * @throws {InputError} when a target has none
 */
export function chosenScores(
  { alphas, nTargets }: ScoreTable,
  means: Float64Array,
  best: Uint32Array,
): Float64Array<ArrayBuffer> {
  const scores = Float64Array.from(best, (a, t) => means[a * nTargets + t]);
  if (scores.includes(-Infinity)) {
    throw new InputError(
      `Cannot solve the ridge problem at any of the alphas [${alphas}] in the precision in use: add larger ones`,
    );
  }
  return scores;
}

/** Population standard deviation over the splits. */
function deviation({ nFolds, nTargets, scores }: ScoreTable, a: number, t: number): number {
  let mean = 0, squares = 0;
  const at = (fold: number) => scores[(a * nFolds + fold) * nTargets + t];
  for (let fold = 0; fold < nFolds; fold++) mean += at(fold) / nFolds;
  for (let fold = 0; fold < nFolds; fold++) squares += (at(fold) - mean) ** 2;
  return Math.sqrt(squares / nFolds);
}
