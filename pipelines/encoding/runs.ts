import { InputError } from "../errors.ts";
import { type HostMatrix, range } from "./host_matrix.ts";

/** Consecutive rows of one run. */
export interface RunPiece {
  /** First row. */
  readonly start: number;
  /** Row after the last. */
  readonly end: number;
}

/**
 * Refuses labels that are not one finite number per sample.
 *
 * @param runs run of each sample, `[nSamples]`
 * @throws {InputError} when they are not
 */
export function requireRuns(runs: ArrayLike<number>, nSamples: number): void {
  if (runs.length !== nSamples) {
    throw new InputError(
      `Cannot use ${runs.length} run labels for ${nSamples} samples: there must be one for each`,
    );
  }
  for (let t = 0; t < nSamples; t++) {
    if (!Number.isFinite(runs[t])) {
      throw new InputError(
        `Cannot use the run labels: every one must be a finite number, row ${t} (counted from 0) is ${
          runs[t]
        }`,
      );
    }
  }
}

/**
 * The rows of each label in order of first appearance; they need not be neighbours.
 *
 * @param labels run or image of each sample, `[nSamples]`
 */
export function rowsByLabel(labels: ArrayLike<number>): Map<number, number[]> {
  const rows = new Map<number, number[]>();
  for (let t = 0; t < labels.length; t++) {
    const own = rows.get(labels[t]);
    if (own) own.push(t);
    else rows.set(labels[t], [t]);
  }
  return rows;
}

/**
 * Pieces of consecutive rows with one label, in order; without labels all rows are one piece.
 *
 * @param runs run of each sample, `[nSamples]`
 * @throws {InputError} when there is not one finite label per sample, or a run comes in several pieces: time inside it would jump
 */
export function runPieces(nSamples: number, runs?: ArrayLike<number>): RunPiece[] {
  if (!runs) return nSamples > 0 ? [{ start: 0, end: nSamples }] : [];
  requireRuns(runs, nSamples);
  const pieces: RunPiece[] = [];
  const seen = new Set<number>();
  for (let start = 0; start < nSamples;) {
    if (seen.has(runs[start])) {
      throw new InputError(
        `Cannot use the run labels: the rows of a run must follow each other, run ${
          runs[start]
        } begins again at row ${start} (counted from 0)`,
      );
    }
    seen.add(runs[start]);
    let end = start + 1;
    while (end < nSamples && runs[end] === runs[start]) end++;
    pieces.push({ start, end });
    start = end;
  }
  return pieces;
}

/**
 * Columns z-scored within each run: mean 0, population standard deviation 1, by two passes of float64 sums. A column that is constant in
 * a run becomes 0 there.
 *
 * @param y `[nSamples, nColumns]`
 * @param runs run of each sample, `[nSamples]`; rows of a run need not be neighbours. Without it all samples are one run
 * @returns `[nSamples, nColumns]`
 * @throws {InputError} when there is not one finite label per sample
 */
export function zscorePerRun({ data, shape }: HostMatrix, runs?: ArrayLike<number>): HostMatrix {
  const [n, cols] = shape;
  if (runs) requireRuns(runs, n);
  const out = new Float32Array(data.length);
  const groups = runs ? rowsByLabel(runs).values() : [range(n)];
  for (const rows of groups) {
    const count = rows.length, first = rows[0] * cols;
    const mean = new Float64Array(cols), squares = new Float64Array(cols);
    // Asked of the values: the rounded mean of equal values can differ from them, and would make ±1 of that.
    const varies = new Uint8Array(cols);
    for (const row of rows) {
      const at = row * cols;
      for (let j = 0; j < cols; j++) {
        mean[j] += data[at + j];
        if (data[at + j] !== data[first + j]) varies[j] = 1;
      }
    }
    for (let j = 0; j < cols; j++) mean[j] /= count;
    for (const row of rows) {
      const at = row * cols;
      for (let j = 0; j < cols; j++) squares[j] += (data[at + j] - mean[j]) ** 2;
    }
    const scale = squares.map((sum, j) => varies[j] ? 1 / Math.sqrt(sum / count) : 0);
    for (const row of rows) {
      const at = row * cols;
      for (let j = 0; j < cols; j++) out[at + j] = (data[at + j] - mean[j]) * scale[j];
    }
  }
  return { data: out, shape };
}
