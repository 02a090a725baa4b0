import { InputError } from "../errors.ts";
import type { UnitValues } from "./bootstrap.ts";
import { oneSampleTest, type TTest, type TTestOptions } from "./t_test.ts";

/** What subjects have in common in one statistic. */
export interface AcrossSubjects {
  /** Subjects with a value. */
  readonly nSubjects: number;
  /** Mean over subjects; NaN where there is none. */
  readonly mean: number;
  /** The mean against 0, subjects being the random effect; nothing of one subject. */
  readonly test?: TTest;
  /** Subjects whose value is above 0. */
  readonly nPositive: number;
  /** Chance of as many where either sign is as likely, subjects at 0 left out. */
  readonly pSign: number;
}

/** Chance of `k` or more of `n` at even odds. */
function evenOddsTail(k: number, n: number): number {
  let term = 2 ** -n, sum = 0; // of n over 0; subjects are few
  for (let i = 0; i <= n; i++) {
    if (i >= k) sum += term;
    term *= (n - i) / (i + 1);
  }
  return Math.min(1, sum);
}

/**
 * Summary statistics over subjects, column by column: one value of each subject, whose own units (images, voxels) have been averaged, so
 * that intervals speak of subjects (Holmes and Friston 1998).
 *
 * @param values `[nSubjects, nColumns]`; a NaN is left out of its column
 * @throws {InputError} when the values do not fit their shape
 */
export function acrossSubjects(
  { data, shape: [n, columns] }: UnitValues,
  options: TTestOptions = {},
): AcrossSubjects[] {
  if (n < 1 || data.length !== n * columns) {
    throw new InputError(
      `Cannot summarise ${data.length} values as [${n},${columns}]: there must be subjects with as many values`,
    );
  }
  return Array.from({ length: columns }, (_, c) => {
    const own = Array.from({ length: n }, (_, s) => data[s * columns + c])
      .filter((v) => !Number.isNaN(v));
    const nPositive = own.filter((v) => v > 0).length;
    const test = own.length > 1 ? oneSampleTest(own, options) : undefined;
    return {
      nSubjects: own.length,
      mean: own.length > 0 ? own.reduce((s, v) => s + v, 0) / own.length : NaN,
      test,
      nPositive,
      pSign: evenOddsTail(nPositive, own.filter((v) => v !== 0).length),
    };
  });
}
