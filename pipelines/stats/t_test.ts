import { InputError } from "../errors.ts";
import { studentQuantile, studentTail } from "./student.ts";

/** A comparison of means by Student's t. */
export interface TTest {
  /** The mean, or the difference of two. */
  readonly mean: number;
  /** Its distance from 0 in standard errors; ±∞ where values do not vary, 0 where the mean is 0 too. */
  readonly t: number;
  /** Degrees of freedom. */
  readonly df: number;
  /** Two-sided p-value. */
  readonly p: number;
  /** p-value of a mean above 0. */
  readonly pGreater: number;
  /** Lower end of the interval of confidence. */
  readonly low: number;
  /** Upper end. */
  readonly high: number;
  /** The mean in standard deviations: Cohen's d of one sample or of paired differences, Hedges' g of two samples. */
  readonly effect: number;
}

/** Options of the t-tests. */
export interface TTestOptions {
  /** Level of the interval of confidence. */
  readonly level?: number;
}

function requireSample(values: ArrayLike<number>, { level = 0.95 }: TTestOptions): void {
  const bad = Array.from(values).find((v) => !Number.isFinite(v));
  if (values.length < 2 || bad !== undefined) {
    throw new InputError(
      `Cannot compare means: two finite values are needed, got ${
        bad === undefined ? values.length : `one that is ${bad}`
      }`,
    );
  }
  if (!(level > 0 && level < 1)) {
    throw new InputError(`Cannot take intervals at level ${level}: it must be between 0 and 1`);
  }
}

/** Mean and variance (n − 1) about the first value: equal values have variance 0 exactly. */
function momentsOf(values: ArrayLike<number>): { n: number; mean: number; variance: number } {
  const n = values.length, base = values[0];
  let sum = 0;
  for (let i = 0; i < n; i++) sum += values[i] - base;
  const shift = sum / n;
  let squares = 0;
  for (let i = 0; i < n; i++) squares += (values[i] - base - shift) ** 2;
  return { n, mean: base + shift, variance: squares / (n - 1) };
}

function testOf(
  { mean, error, df, effect }: {
    readonly mean: number;
    readonly error: number;
    readonly df: number;
    readonly effect: number;
  },
  { level = 0.95 }: TTestOptions,
): TTest {
  const t = mean === 0 ? 0 : mean / error;
  const reach = studentQuantile((1 - level) / 2, df) * error;
  return {
    ...{ mean, t, df, effect },
    p: Math.min(1, 2 * studentTail(Math.abs(t), df)),
    pGreater: studentTail(t, df),
    ...{ low: mean - reach, high: mean + reach },
  };
}

/**
 * Whether a mean differs from 0, in float64.
 *
 * @param values two or more
 * @throws {InputError} for fewer, a value that is not finite, or a level that is not between 0 and 1
 */
export function oneSampleTest(values: ArrayLike<number>, options: TTestOptions = {}): TTest {
  requireSample(values, options);
  const { n, mean, variance } = momentsOf(values);
  const effect = mean === 0 ? 0 : mean / Math.sqrt(variance);
  return testOf({ mean, error: Math.sqrt(variance / n), df: n - 1, effect }, options);
}

/**
 * Whether two means over the same units differ, in float64.
 *
 * @param a a value of each unit
 * @param b another of each
 * @throws {InputError} when they differ in number, and as {@link oneSampleTest} says
 */
export function pairedTest(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  options: TTestOptions = {},
): TTest {
  if (a.length !== b.length) {
    throw new InputError(`Cannot pair ${a.length} values with ${b.length}: there must be as many`);
  }
  return oneSampleTest(Float64Array.from({ length: a.length }, (_, i) => a[i] - b[i]), options);
}

/**
 * Whether the means of two samples of unequal variances differ (Welch 1947), in float64; the effect is Hedges' g with the variances
 * pooled and his correction for small samples, `1 − 3 / (4 (n + m) − 9)`.
 *
 * @throws {InputError} as {@link oneSampleTest} says, of each sample
 */
export function welchTest(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  options: TTestOptions = {},
): TTest {
  requireSample(a, options);
  requireSample(b, options);
  const x = momentsOf(a), y = momentsOf(b);
  const [u, v] = [x.variance / x.n, y.variance / y.n];
  const df = u + v > 0 ? (u + v) ** 2 / (u * u / (x.n - 1) + v * v / (y.n - 1)) : x.n + y.n - 2;
  const mean = x.mean - y.mean;
  const pooled = ((x.n - 1) * x.variance + (y.n - 1) * y.variance) / (x.n + y.n - 2);
  const small = 1 - 3 / (4 * (x.n + y.n) - 9);
  const effect = mean === 0 ? 0 : small * mean / Math.sqrt(pooled);
  return testOf({ mean, error: Math.sqrt(u + v), df, effect }, options);
}
