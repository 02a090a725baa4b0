import { foldIn, type Key } from "../../engine/random.ts";
import { permutation } from "../encoding/cross_validation.ts";
import { type HostMatrix, range } from "../encoding/host_matrix.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { runPieces } from "../encoding/runs.ts";
import { InputError } from "../errors.ts";

/** How rows may be exchanged. */
export interface BlockOptions {
  /** Rows that stay together: as long as neighbours resemble each other. */
  readonly blockLength?: number;
  /** Run of each sample, `[nSamples]`: blocks are exchanged within a run only. */
  readonly runs?: ArrayLike<number>;
}

/**
 * A random order of rows that keeps blocks of neighbours together. The last block of a run may be shorter.
 *
 * @returns row that each row is taken from, `[nSamples]`
 * @throws {InputError} when the block length is not a whole number from 1, or the labels are not runs
 */
export function blockPermutation(
  key: Key,
  nSamples: number,
  { blockLength = 1, runs }: BlockOptions = {},
): Uint32Array<ArrayBuffer> {
  if (!(Number.isInteger(blockLength) && blockLength >= 1)) {
    throw new InputError(
      `Cannot permute blocks of ${blockLength} rows: the length must be a whole number from 1`,
    );
  }
  const order = new Uint32Array(nSamples);
  runPieces(nSamples, runs).forEach(({ start, end }, run) => {
    let at = start;
    for (const block of permutation(foldIn(key, run), Math.ceil((end - start) / blockLength))) {
      const first = start + block * blockLength;
      for (let row = first; row < Math.min(end, first + blockLength); row++) order[at++] = row;
    }
  });
  return order;
}

/** Options of {@link permutationTest}. */
export interface PermutationOptions extends BlockOptions, LongCall {
  /** Random orders of the predictions; no p-value is below `1 / (1 + nPermutations)`. */
  readonly nPermutations?: number;
  /** Draws the orders; permutation i is drawn with `foldIn(key, i)`. */
  readonly key: Key;
  /** `"greater"`: correlations at least as high count, `"twoSided"`: those at least as far from 0. */
  readonly alternative?: "greater" | "twoSided";
}

/** Correlations with their p-values. */
export interface PermutationResult {
  /** Pearson correlation of each target, 0 where a side is constant, `[nTargets]`. */
  readonly correlations: Float64Array<ArrayBuffer>;
  /** p-value of each target, `[nTargets]`; 1 where a side is constant. */
  readonly pValues: Float64Array<ArrayBuffer>;
}

const TILE = 32; // targets at a time: neighbours in a row of the data
const PAUSE_MS = 100;
const ORDER_BYTES = 64 * 2 ** 20; // orders that are in memory together
// Sums of the same products in another order differ by less; they are ties, and ties count.
const TIE = 1e-12;

/** Columns `start` to `end` with mean 0 and length 1, `[nSamples]` each; constant ones are 0. */
function unitColumns(
  { data, shape: [n, cols] }: HostMatrix,
  start: number,
  end: number,
): Float64Array[] {
  const columns = Array.from({ length: end - start }, () => new Float64Array(n));
  for (let t = 0; t < n; t++) {
    for (let j = 0; j < columns.length; j++) columns[j][t] = data[t * cols + start + j];
  }
  columns.forEach(makeUnit);
  return columns;
}

function makeUnit(column: Float64Array): void {
  let sum = 0, squares = 0, varies = false;
  for (let t = 0; t < column.length; t++) {
    sum += column[t];
    varies ||= column[t] !== column[0];
  }
  const mean = sum / column.length;
  for (let t = 0; t < column.length; t++) squares += (column[t] - mean) ** 2;
  const scale = varies ? 1 / Math.sqrt(squares) : 0;
  for (let t = 0; t < column.length; t++) column[t] = (column[t] - mean) * scale;
}

/** `Σ_t predicted[order[t]] · measured[t]` for four orders: one pass, and sums that stay in registers. */
function correlateFour(
  predicted: Float64Array,
  measured: Float64Array,
  [o0, o1, o2, o3]: readonly Uint32Array[],
  into: Float64Array,
): void {
  let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  for (let t = 0; t < measured.length; t++) {
    const y = measured[t];
    s0 += predicted[o0[t]] * y;
    s1 += predicted[o1[t]] * y;
    s2 += predicted[o2[t]] * y;
    s3 += predicted[o3[t]] * y;
  }
  into[0] = s0;
  into[1] = s1;
  into[2] = s2;
  into[3] = s3;
}

/**
 * Permutation test of the correlation between predictions and responses, target by target, in float64: the rows of the predictions
 * are exchanged, all targets alike, and `p = (1 + #{null ≥ observed}) / (1 + nPermutations)`.
 *
 * @param predictions `[nSamples, nTargets]`
 * @param responses `[nSamples, nTargets]`
 * @throws {InputError} when the shapes differ, there are no rows, a value is not finite, there is no permutation, or as
 * {@link blockPermutation} says
 */
export async function permutationTest(
  predictions: HostMatrix,
  responses: HostMatrix,
  options: PermutationOptions,
): Promise<PermutationResult> {
  const { nPermutations = 1000, key, alternative = "greater", signal, onProgress } = options;
  requirePairs(predictions, responses);
  if (!(Number.isInteger(nPermutations) && nPermutations >= 1)) {
    throw new InputError(
      `Cannot test with ${nPermutations} permutations: there must be a whole number of them from 1`,
    );
  }
  const [n, nTargets] = responses.shape;
  const result = {
    correlations: new Float64Array(nTargets),
    pValues: new Float64Array(nTargets).fill(1),
  };
  let pause = -Infinity;
  const most = Math.max(1, Math.floor(ORDER_BYTES / 4 / n));
  const total = Math.ceil(nPermutations / most) * nTargets;
  for (let first = 0; first < nPermutations; first += most) {
    const orders = Array.from(
      { length: Math.min(most, nPermutations - first) },
      (_, i) => blockPermutation(foldIn(key, first + i), n, options),
    );
    for (let start = 0; start < nTargets; start += TILE) {
      const end = Math.min(nTargets, start + TILE);
      countTile(predictions, responses, { start, end, orders, alternative }, result);
      onProgress?.({ stage: "permutations", done: first / most * nTargets + end, total });
      if (performance.now() < pause) continue;
      await new Promise((resolve) => setTimeout(resolve)); // lets an interruption in
      signal?.throwIfAborted();
      pause = performance.now() + PAUSE_MS;
    }
  }
  return { ...result, pValues: result.pValues.map((count) => count / (1 + nPermutations)) };
}

/** Adds to the counts of some targets the orders whose correlation is not below the observed one, which it stores. */
function countTile(
  predictions: HostMatrix,
  responses: HostMatrix,
  { start, end, orders, alternative }: {
    start: number;
    end: number;
    orders: readonly Uint32Array[];
    alternative: "greater" | "twoSided";
  },
  { correlations, pValues: counts }: PermutationResult,
): void {
  const predicted = unitColumns(predictions, start, end);
  const measured = unitColumns(responses, start, end);
  const size = alternative === "greater" ? (r: number) => r : Math.abs;
  const own = range(responses.shape[0]);
  const fours = Array.from({ length: Math.ceil(orders.length / 4) }, (_, i) => {
    const some = orders.slice(4 * i, 4 * i + 4);
    return { some: [...some, own, own, own].slice(0, 4), count: some.length };
  });
  const sums = new Float64Array(4);
  for (let j = 0; j < predicted.length; j++) {
    correlateFour(predicted[j], measured[j], [own, own, own, own], sums);
    const observed = sums[0], least = size(observed) - TIE;
    for (const { some, count } of fours) {
      correlateFour(predicted[j], measured[j], some, sums);
      for (let i = 0; i < count; i++) if (size(sums[i]) >= least) counts[start + j]++;
    }
    correlations[start + j] = Math.min(1, Math.max(-1, observed));
  }
}

function requirePairs(predictions: HostMatrix, responses: HostMatrix): void {
  if (`${predictions.shape}` !== `${responses.shape}` || responses.shape[0] === 0) {
    throw new InputError(
      `Cannot test predictions [${predictions.shape}] of responses [${responses.shape}]: ` +
        "they must have one shape, with rows",
    );
  }
  for (const [name, { data, shape }] of Object.entries({ predictions, responses })) {
    let bad = 0;
    while (bad < data.length && Number.isFinite(data[bad])) bad++;
    if (bad < data.length) {
      throw new InputError(
        `Cannot test: every value must be finite, ${name} row ${
          Math.floor(bad / shape[1])
        }, column ${bad % shape[1]} (counted from 0) is ${data[bad]}`,
      );
    }
  }
}
