import { foldIn, type Key, randomBits } from "../../engine/random.ts";
import { InputError } from "../errors.ts";
import { quote } from "../io/strict_json.ts";
import { range } from "./host_matrix.ts";
import { requireRuns, rowsByLabel, runPieces } from "./runs.ts";

/** Samples that a model is fitted on and samples that it is scored on. */
export interface Split {
  /** Row numbers, ascending. Take it once: where there are very many splits it is made at each access. */
  readonly train: Uint32Array<ArrayBuffer>;
  /** Row numbers, ascending. */
  readonly test: Uint32Array<ArrayBuffer>;
}

/** Leave one run out. */
export interface RunSplitting {
  /** Run of each sample, `[nSamples]`: any numbers. */
  readonly runs: ArrayLike<number>;
  /** Samples to leave out on both sides of a test run, over the boundaries of runs: for one recording that was cut into runs. */
  readonly gap?: number;
}

/** K folds. */
export interface FoldSplitting {
  /** Number of folds. */
  readonly nSplits: number;
  /** Shuffles the samples first, or the chunks; without it folds are contiguous. */
  readonly key?: Key;
  /** Samples that stay together when others are shuffled. */
  readonly chunkLength?: number;
  /** Repeats the folds with other orders; needs a key. */
  readonly nRepeats?: number;
  /** Samples to leave out of a train side on both sides of each test sample. */
  readonly gap?: number;
}

/** How to split: a number of contiguous folds, folds or runs with options, or the splits themselves. */
export type CrossValidation = number | RunSplitting | FoldSplitting | readonly Split[];

/** A random order of 0 to n − 1. */
export function permutation(key: Key, n: number): Uint32Array<ArrayBuffer> {
  const bits = randomBits(key, n);
  return range(n).sort((i, j) => bits[i] - bits[j] || i - j);
}

/** The rows that are not in `test`, ascending. */
function rest(test: ArrayLike<number>, nSamples: number): Uint32Array<ArrayBuffer> {
  const inside = new Uint8Array(nSamples);
  for (let i = 0; i < test.length; i++) inside[test[i]] = 1;
  return range(nSamples).filter((row) => inside[row] === 0);
}

// Rows of all train sides together above which each is made when it is asked for: 256 MiB.
const MOST_ROWS = 2 ** 26;

/** Splits whose train sides are all other samples. */
function heldOut(tests: readonly Uint32Array<ArrayBuffer>[], nSamples: number): Split[] {
  const isLarge = tests.length * nSamples > MOST_ROWS;
  return tests.map((test) =>
    isLarge
      ? {
        get train() {
          return rest(test, nSamples);
        },
        test,
      }
      : { train: rest(test, nSamples), test }
  );
}

/** Cuts an order of samples into folds, of which the first `order.length mod nSplits` have one more. */
function cut(order: Uint32Array, nSplits: number): Uint32Array[] {
  const small = Math.floor(order.length / nSplits), larger = order.length % nSplits;
  return Array.from({ length: nSplits }, (_, fold) => {
    const start = fold * small + Math.min(fold, larger);
    return order.slice(start, start + small + Number(fold < larger));
  });
}

function requireFolds(count: number, nSplits: number, what: string): void {
  if (!(Number.isInteger(nSplits) && nSplits >= 2 && nSplits <= count)) {
    throw new InputError(
      `Cannot split ${count} ${what} into ${nSplits} folds: there must be from 2 to ${count}`,
    );
  }
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
  requireFolds(nSamples, nSplits, "samples");
  const order = key ? permutation(key, nSamples) : range(nSamples);
  return heldOut(cut(order, nSplits).map((rows) => Uint32Array.from(rows).sort()), nSamples);
}

/**
 * K folds several times, each time in another order.
 *
 * @param options.nRepeats how often
 * @param options.key the orders; repeat `i` is shuffled by `foldIn(key, i)`
 * @throws {InputError} when there are fewer samples than folds, fewer than two folds, or no repeat
 */
export function repeatedKFold(
  nSamples: number,
  nSplits: number,
  { nRepeats, key }: { nRepeats: number; key: Key },
): Split[] {
  requireWhole("nRepeats", nRepeats, 1);
  return Array.from(
    { length: nRepeats },
    (_, i) => kFold(nSamples, nSplits, { key: foldIn(key, i) }),
  )
    .flat();
}

/**
 * Folds of whole chunks: consecutive samples, which resemble each other, are never on both sides except where chunks meet. The last
 * chunk of all, or of a run, may be shorter. Chunks are dealt as {@link kFold} deals rows.
 *
 * @param options.chunkLength samples of a chunk
 * @param options.key shuffles the chunks
 * @param options.runs run of each sample, `[nSamples]`: no chunk reaches over the end of a run
 * @throws {InputError} when there are fewer chunks than folds, fewer than two folds, or a run comes in several pieces
 */
export function chunkedKFold(
  nSamples: number,
  nSplits: number,
  { chunkLength, key, runs }: { chunkLength: number; key?: Key; runs?: ArrayLike<number> },
): Split[] {
  requireWhole("chunkLength", chunkLength, 1);
  const chunks = runPieces(nSamples, runs).flatMap(({ start, end }) =>
    Array.from({ length: Math.ceil((end - start) / chunkLength) }, (_, i) => {
      const first = start + i * chunkLength;
      return range(Math.min(chunkLength, end - first)).map((row) => first + row);
    })
  );
  requireFolds(chunks.length, nSplits, `chunks of ${chunkLength} samples`);
  const order = key ? permutation(key, chunks.length) : range(chunks.length);
  const tests = cut(order, nSplits).map((fold) =>
    Uint32Array.from([...fold].flatMap((chunk) => [...chunks[chunk]])).sort()
  );
  return heldOut(tests, nSamples);
}

/**
 * One split per sample. Where there are many, a train side is made each time it is asked for: all of them together would have
 * `nSamples²` rows.
 *
 * @throws {InputError} when there are fewer than two samples
 */
export function leaveOneOut(nSamples: number): Split[] {
  return kFold(nSamples, nSamples);
}

/**
 * One split per run, in order of first appearance: its samples are the test side, those of all other runs the train side.
 *
 * @param runs run of each sample, `[nSamples]`: any numbers
 * @throws {InputError} when a label is not finite, or there are fewer than two runs
 */
export function leaveOneRunOut(runs: ArrayLike<number>): Split[] {
  requireRuns(runs, runs.length);
  const rows = rowsByLabel(runs);
  if (rows.size < 2) {
    throw new InputError(
      `Cannot leave one run out: there must be two runs or more, the labels of ${runs.length} samples name ${rows.size}`,
    );
  }
  return heldOut([...rows.values()].map((test) => Uint32Array.from(test)), runs.length);
}

/**
 * The splits without the train samples that are within `gap` rows of a test sample: what is left shares no slow signal with it.
 *
 * @param options.runs run of each sample, `[nSamples]`: rows of another run are never neighbours
 * @throws {InputError} when the gap is not a whole number from 0, or a train side becomes empty
 */
export function withGap(
  splits: readonly Split[],
  gap: number,
  { runs }: { runs?: ArrayLike<number> } = {},
): Split[] {
  requireWhole("gap", gap, 0);
  return splits.map(({ train, test }, i) => {
    const last = Math.max(train[train.length - 1] ?? 0, test[test.length - 1] ?? 0);
    const near = new Uint8Array(last + 1);
    for (const row of test) {
      for (let t = Math.max(0, row - gap); t <= Math.min(last, row + gap); t++) {
        if (!runs || runs[t] === runs[row]) near[t] = 1;
      }
    }
    const kept = train.filter((row) => near[row] === 0);
    if (kept.length === 0) {
      throw new InputError(
        `Cannot leave a gap of ${gap} samples around the test side of split ${i}: no train sample is left`,
      );
    }
    return { train: kept, test };
  });
}

function requireWhole(name: string, value: number, least: number): void {
  if (!(Number.isInteger(value) && value >= least)) {
    throw new InputError(
      `Cannot split the samples: ${name} must be a whole number from ${least}, it is ${value}`,
    );
  }
}

function isList(cv: CrossValidation): cv is readonly Split[] {
  return Array.isArray(cv);
}

/**
 * Whether the splits may be there because neighbouring samples resemble each other: runs, chunks or a gap were asked for, or the
 * splits were given one by one, for a reason that is not known. Scores that treat samples as exchangeable (generalised
 * cross-validation, leave-one-out) then prefer too little regularisation.
 */
export function isRunWise(cv: CrossValidation): boolean {
  if (typeof cv === "number") return false;
  return isList(cv) || "runs" in cv || (cv.gap ?? 0) > 0 || (cv.chunkLength ?? 1) > 1;
}

/** The folds that are meant, before any gap. */
function foldsOf(
  { nSplits, key, chunkLength, nRepeats = 1 }: FoldSplitting,
  nSamples: number,
): Split[] {
  requireWhole("nRepeats", nRepeats, 1);
  if (nRepeats > 1 && !key) {
    throw new InputError(
      `Cannot repeat the folds ${nRepeats} times: without a key all repeats are the same`,
    );
  }
  return Array.from({ length: nRepeats }, (_, i) => {
    const own = nRepeats > 1 ? foldIn(key!, i) : key;
    return chunkLength === undefined
      ? kFold(nSamples, nSplits, { key: own })
      : chunkedKFold(nSamples, nSplits, { chunkLength, key: own });
  }).flat();
}

/** One split as ascending rows, checked; `mark` has a zero for each sample and has them again at the end. */
function checked(split: Split, i: number, mark: Uint8Array): Split {
  const { train, test } = split; // asked for once: of many splits each may be made anew
  const cannot = `Cannot use split ${i}:`;
  if (train.length === 0 || test.length === 0) throw new InputError(`${cannot} a side is empty`);
  for (const [value, rows] of [[1, train], [2, test]] as const) {
    for (const row of rows) {
      const problem = !(row < mark.length)
        ? `a row is not from 0 to ${mark.length - 1}: ${row}`
        : mark[row] === value
        ? `row ${row} is twice on the ${value === 1 ? "train" : "test"} side`
        : mark[row] !== 0
        ? `row ${row} is on both sides`
        : undefined;
      if (problem) throw new InputError(`${cannot} ${problem}`);
      mark[row] = value;
    }
  }
  mark.fill(0);
  const isAscending = (rows: Uint32Array) =>
    rows.every((row, at) => at === 0 || rows[at - 1] < row);
  if (isAscending(train) && isAscending(test)) return split;
  return { train: train.slice().sort(), test: test.slice().sort() };
}

/**
 * The splits that are meant, checked, with rows in ascending order.
 *
 * @throws {InputError} for folds or runs that cannot be made, for a gap that leaves no train sample; in a list for rows that do not
 * exist or are there twice, for an empty side, or for a row on both sides
 */
export function splitsOf(cv: CrossValidation, nSamples: number): readonly Split[] {
  if (typeof cv === "number") return kFold(nSamples, cv);
  if (isList(cv)) {
    if (cv.length === 0) throw new InputError("Cannot cross-validate: there is no split");
    const mark = new Uint8Array(nSamples);
    return cv.map((split, i) => checked(split, i, mark));
  }
  if ("runs" in cv) requireRuns(cv.runs, nSamples);
  const splits = "runs" in cv ? leaveOneRunOut(cv.runs) : foldsOf(cv, nSamples);
  return cv.gap === undefined ? splits : withGap(splits, cv.gap);
}

function rowsOf(value: unknown, what: string): Uint32Array<ArrayBuffer> {
  if (!Array.isArray(value)) throw new InputError(`${what} must be a list of row numbers`);
  const bad = value.find((row) => !(Number.isInteger(row) && row >= 0 && row < 2 ** 32));
  if (bad !== undefined) {
    throw new InputError(`${what} must hold whole numbers from 0, it holds ${quote(bad)}`);
  }
  return Uint32Array.from(value as number[]);
}

/**
 * Splits from the text of a JSON file: a list of `{"train": [rows], "test": [rows]}`, rows counted from 0. Where `train` is left out
 * it is every row that is not in `test`.
 *
 * @param options.source the file's name, for messages
 * @throws {InputError} when the text is something else, or a split cannot be used as {@link splitsOf} says
 */
export function parseSplits(
  text: string,
  nSamples: number,
  { source = "the splits" }: { source?: string } = {},
): readonly Split[] {
  const cannot = `Cannot read the splits of ${quote(source)}:`;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new InputError(`${cannot} it is not JSON`, { cause });
  }
  if (!Array.isArray(parsed)) {
    throw new InputError(`${cannot} it must be a list of {"train": [rows], "test": [rows]}`);
  }
  const splits = parsed.map((entry: unknown, i) => {
    if (typeof entry !== "object" || entry === null || !("test" in entry)) {
      throw new InputError(`${cannot} split ${i} must be an object with "test"`);
    }
    const unknown = Object.keys(entry).find((key) => key !== "train" && key !== "test");
    if (unknown !== undefined) {
      throw new InputError(
        `${cannot} split ${i} may have "train" and "test", it has ${quote(unknown)}`,
      );
    }
    const test = rowsOf(entry.test, `${cannot} "test" of split ${i}`);
    const train = "train" in entry
      ? rowsOf(entry.train, `${cannot} "train" of split ${i}`)
      : rest(test, nSamples);
    return { train, test };
  });
  return splitsOf(splits, nSamples);
}
