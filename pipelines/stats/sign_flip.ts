import { type Key, randomBits } from "../../engine/random.ts";
import { InputError } from "../errors.ts";

/** Options of {@link signFlipTest}. */
export interface SignFlipOptions {
  /** Draws the signs where there are too many to go through. */
  readonly key: Key;
  /** Draws (default 10,000); where all signs are fewer than that, each is taken once. */
  readonly nDraws?: number;
}

/** Whether differences lie above 0. */
export interface SignFlipResult {
  /** Mean difference. */
  readonly mean: number;
  /** One-sided p-value: the share of signs whose mean is as large, the observed one among them. */
  readonly p: number;
}

// Sums of the same values in another order differ by less; they are ties, and ties count.
const TIE = 1e-12;

/**
 * Tests whether paired differences lie above 0, by exchanging the members of the pairs: all signs where they are few, random ones
 * otherwise.
 *
 * @param differences one per pair
 * @throws {InputError} when there is none, one is not finite, or the draws are not a whole number from 1
 */
export function signFlipTest(
  differences: ArrayLike<number>,
  { key, nDraws = 10_000 }: SignFlipOptions,
): SignFlipResult {
  const values = Array.from(differences), n = values.length;
  if (n === 0 || !values.every(Number.isFinite) || !(Number.isInteger(nDraws) && nDraws >= 1)) {
    throw new InputError(
      `Cannot test ${n} differences with ${nDraws} draws: there must be some, all finite, and a whole number of draws from 1`,
    );
  }
  const observed = values.reduce((sum, v) => sum + v, 0);
  const least = observed - TIE * values.reduce((sum, v) => sum + Math.abs(v), 0);
  const isExact = 2 ** n <= nDraws;
  const draws = isExact ? 2 ** n : nDraws;
  const bits = isExact ? undefined : randomBits(key, draws * n);
  let asLarge = 0;
  for (let draw = 0; draw < draws; draw++) {
    let sum = 0;
    for (let i = 0; i < n; i++) {
      const isFlipped = bits ? bits[draw * n + i] >>> 31 : draw >> i & 1;
      sum += isFlipped ? -values[i] : values[i];
    }
    if (sum >= least) asLarge++;
  }
  return { mean: observed / n, p: isExact ? asLarge / draws : (1 + asLarge) / (1 + draws) };
}
