import { InputError } from "../errors.ts";

/** Lanczos' coefficients for g = 7, n = 9 (P. Godfrey's table): relative error below 1e-14 from 0.5 on. */
const LANCZOS = [
  0.99999999999980993,
  676.5203681218851,
  -1259.1392167224028,
  771.32342877765313,
  -176.61502916214059,
  12.507343278686905,
  -0.13857109526572012,
  9.9843695780195716e-6,
  1.5056327351493116e-7,
];

/** Logarithm of the gamma function of a number from 0.5. */
function logGamma(x: number): number {
  const z = x - 1, t = z + 7.5;
  const series = LANCZOS.slice(1).reduce((sum, c, i) => sum + c / (z + i + 1), LANCZOS[0]);
  return 0.5 * Math.log(2 * Math.PI) + (z + 0.5) * Math.log(t) - t + Math.log(series);
}

const MOST_TERMS = 10_000, SMALLEST = 1e-300;

/** Continued fraction of the incomplete beta function by Lentz' method (Numerical Recipes, 6.4). */
function betaFraction(a: number, b: number, x: number): number {
  const guard = (v: number) => Math.abs(v) < SMALLEST ? SMALLEST : v;
  let c = 1, d = 1 / guard(1 - (a + b) * x / (a + 1)), h = d;
  for (let m = 1; m <= MOST_TERMS; m++) {
    const even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / guard(1 + even * d);
    c = guard(1 + even / c);
    h *= d * c;
    const odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / guard(1 + odd * d);
    c = guard(1 + odd / c);
    h *= d * c;
    if (Math.abs(d * c - 1) < 1e-16) break;
  }
  return h;
}

/** Regularised incomplete beta function for `a` and `b` from 0.5. */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const front = Math.exp(
    logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x),
  );
  return x < (a + 1) / (a + b + 2)
    ? front * betaFraction(a, b, x) / a
    : 1 - front * betaFraction(b, a, 1 - x) / b;
}

function requireFreedom(df: number): void {
  if (df > 0) return;
  throw new InputError(
    `Cannot use Student's t with ${df} degrees of freedom: they must be above 0`,
  );
}

/**
 * Chance that Student's t is at least as large, in float64.
 *
 * @param t any number; ±∞ has the chance 0 or 1
 * @param df degrees of freedom from 1; a fraction as Welch's has it
 * @throws {InputError} for degrees of freedom that are not above 0
 */
export function studentTail(t: number, df: number): number {
  requireFreedom(df);
  if (Number.isNaN(t)) return NaN;
  const square = t * t;
  const half = square === Infinity ? 0 : incompleteBeta(df / (df + square), df / 2, 0.5) / 2;
  return t > 0 ? half : 1 - half;
}

/**
 * The value that Student's t exceeds with a chance, to 1e-12 of it.
 *
 * @param tail chance of a larger value, between 0 and 1
 * @throws {InputError} for another chance, or degrees of freedom that are not above 0
 */
export function studentQuantile(tail: number, df: number): number {
  requireFreedom(df);
  if (!(tail > 0 && tail < 1)) {
    throw new InputError(
      `Cannot take a quantile of Student's t at ${tail}: it must be between 0 and 1`,
    );
  }
  if (tail > 0.5) return -studentQuantile(1 - tail, df);
  if (tail === 0.5) return 0;
  let low = 0, high = 1;
  while (studentTail(high, df) > tail) high *= 2;
  while (high - low > 1e-13 * high) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if (studentTail(middle, df) > tail) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
