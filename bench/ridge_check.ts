/**
 * Whether two ridge fits of one problem agree: nothing is timed before they do.
 *
 * @module
 */
import type { RidgeCase } from "./ridge_case.ts";

/** What is compared of a fit. */
export interface RidgeOutcome {
  /** Mean score over folds, `[nAlphas, nTargets]`; −∞ where a search left an alpha out. */
  readonly scores: Float64Array;
  /** Index of the alpha of each target. */
  readonly best: Uint32Array;
  /** Weights of the features for the first targets, `[p, nSome]`. */
  readonly weights: Float32Array;
  /** What those weights predict of all samples, `[n, nSome]`. */
  readonly predictions: Float32Array;
}

/** How far two fits are apart. */
export interface Agreement {
  /** Greatest difference of mean scores at alphas that f32 can tell. */
  readonly scores: number;
  /** Share of targets with the same alpha, of those whose best score is not a tie. */
  readonly sameAlpha: number;
  /** Relative Frobenius distance of the weights of targets with the same alpha. */
  readonly weights: number;
  /** Relative Frobenius distance of the predictions of targets with the same alpha. */
  readonly predictions: number;
}

/** Differences that are put down to f32. */
export const AGREEMENT: Agreement = {
  scores: 1e-4,
  sameAlpha: 0.999,
  weights: 1e-3,
  predictions: 1e-3,
};
// Scores of unit responses are this uncertain in f32: sums of a few thousand rounded squares.
const TIE = 1e-5;

/** Options of {@link agreement}. */
export interface AgreementOptions {
  /** Alphas below this are not compared: rounding of the Gram matrix reaches their scores. */
  readonly leastAlpha: number;
  /** Whether the first fit left alphas out: its choices need only be nearly as good then. */
  readonly isScreened?: boolean;
}

/**
 * Compares a fit with another one.
 *
 * @throws {Error} where they differ by more than {@link AGREEMENT}
 */
export function agreement(
  ridge: RidgeCase,
  ours: RidgeOutcome,
  theirs: RidgeOutcome,
  options: AgreementOptions,
): Agreement {
  const { nTargets } = ridge;
  const scores = scoreDistance(ridge, [ours, theirs], options.leastAlpha);
  let told = 0, same = 0;
  ours.best.forEach((a, t) => {
    const lost = theirs.scores[theirs.best[t] * nTargets + t] - theirs.scores[a * nTargets + t];
    if (a !== theirs.best[t] && Math.abs(lost) <= TIE) return;
    told++;
    same += Number(a === theirs.best[t]);
  });
  const count = ours.weights.length / ridge.p;
  const columns = Array.from({ length: count }, (_, t) => t)
    .filter((t) => ours.best[t] === theirs.best[t]);
  const found: Agreement = {
    scores,
    sameAlpha: told === 0 ? 1 : same / told,
    weights: distance(ours.weights, theirs.weights, { count, columns }),
    predictions: distance(ours.predictions, theirs.predictions, { count, columns }),
  };
  requireAgreement(ridge.name, found, options.isScreened === true);
  return found;
}

function scoreDistance(
  { alphas, nTargets }: RidgeCase,
  [ours, theirs]: readonly [RidgeOutcome, RidgeOutcome],
  leastAlpha: number,
): number {
  let worst = 0;
  alphas.forEach((alpha, a) => {
    if (alpha < leastAlpha) return;
    for (let i = a * nTargets; i < (a + 1) * nTargets; i++) {
      if (ours.scores[i] === -Infinity) continue; // left out by the search
      const difference = Math.abs(ours.scores[i] - theirs.scores[i]);
      if (!(difference <= worst)) worst = Number.isNaN(difference) ? Infinity : difference;
    }
  });
  return worst;
}

function distance(
  ours: Float32Array,
  theirs: Float32Array,
  { count, columns }: { count: number; columns: readonly number[] },
): number {
  let apart = 0, size = 0;
  for (let from = 0; from < theirs.length; from += count) {
    for (const t of columns) {
      apart += (ours[from + t] - theirs[from + t]) ** 2;
      size += theirs[from + t] ** 2;
    }
  }
  return size === 0 ? 0 : Math.sqrt(apart / size);
}

// A screened search may miss a target's best alpha: the documented loss, told in the row and not refused.
function requireAgreement(name: string, found: Agreement, isScreened: boolean): void {
  const fails = (Object.keys(found) as (keyof Agreement)[]).filter((key) =>
    key === "sameAlpha"
      ? !isScreened && !(found[key] >= AGREEMENT[key])
      : !(found[key] <= AGREEMENT[key])
  );
  if (fails.length === 0) return;
  const list = fails.map((key) => `${key} ${found[key].toPrecision(3)} (${AGREEMENT[key]})`);
  throw new Error(`${name}: the fits disagree: ${list.join(", ")}`);
}
