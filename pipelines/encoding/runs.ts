import { InputError } from "../errors.ts";

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
 * The rows of each run in order of first appearance; rows of a run need not be neighbours.
 *
 * @param runs run of each sample, `[nSamples]`
 */
export function rowsOfRuns(runs: ArrayLike<number>): Map<number, number[]> {
  const rows = new Map<number, number[]>();
  for (let t = 0; t < runs.length; t++) {
    const own = rows.get(runs[t]);
    if (own) own.push(t);
    else rows.set(runs[t], [t]);
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
