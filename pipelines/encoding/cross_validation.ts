import { InputError } from "../errors.ts";
import { type Key, randomBits } from "../../engine/random.ts";
import { range } from "./host_matrix.ts";

/** Samples that a model is fitted on and samples that it is scored on. */
export interface Split {
  /** Row numbers, ascending. */
  readonly train: Uint32Array<ArrayBuffer>;
  /** Row numbers, ascending. */
  readonly test: Uint32Array<ArrayBuffer>;
}

/** How to split: a number of contiguous folds, or the splits themselves. */
export type CrossValidation = number | readonly Split[];

/** A random order of 0 to n − 1. */
export function permutation(key: Key, n: number): Uint32Array<ArrayBuffer> {
  const bits = randomBits(key, n);
  return range(n).sort((i, j) => bits[i] - bits[j] || i - j);
}

/**
 * `nSplits` folds as scikit-learn's `KFold`: contiguous blocks of rows, of which the first `n mod nSplits` have one row more. With a
 * key the rows are shuffled first.
 *
 * @throws {InputError} when there are fewer samples than folds, or fewer than two folds
 */
export function kFold(
  nSamples: number,
  nSplits: number,
  { key }: { key?: Key } = {},
): Split[] {
  if (!(Number.isInteger(nSplits) && nSplits >= 2 && nSplits <= nSamples)) {
    throw new InputError(
      `Cannot split ${nSamples} samples into ${nSplits} folds: there must be from 2 to ${nSamples}`,
    );
  }
  const order = key ? permutation(key, nSamples) : range(nSamples);
  const small = Math.floor(nSamples / nSplits), larger = nSamples % nSplits;
  return Array.from({ length: nSplits }, (_, fold) => {
    const start = fold * small + Math.min(fold, larger);
    const end = start + small + Number(fold < larger);
    const test = order.slice(start, end).sort();
    const inside = new Set(test);
    return { train: range(nSamples).filter((row) => !inside.has(row)), test };
  });
}

/**
 * The splits that are meant, checked.
 *
 * @throws {InputError} for rows that do not exist, for an empty side, or for a row on both sides
 */
export function splitsOf(cv: CrossValidation, nSamples: number): readonly Split[] {
  if (typeof cv === "number") return kFold(nSamples, cv);
  cv.forEach(({ train, test }, i) => {
    const inside = new Set(train);
    const problem = train.length === 0 || test.length === 0
      ? "a side is empty"
      : [...train, ...test].some((row) => !(row < nSamples))
      ? `a row is not from 0 to ${nSamples - 1}`
      : test.some((row) => inside.has(row))
      ? "a row is on both sides"
      : undefined;
    if (problem) throw new InputError(`Cannot use split ${i}: ${problem}`);
  });
  if (cv.length === 0) throw new InputError("Cannot cross-validate: there is no split");
  return cv;
}
