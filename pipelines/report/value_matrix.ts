import type { CsvCell } from "../io/csv.ts";
import { attribute, type Html, html } from "./html.ts";
import { type MatrixAxes, matrixRecords, matrixTable, requireFilled } from "./matrix_table.ts";
import { formatNumber } from "./numbers.ts";

/** A number for each of some things with each of others. */
export interface ValueMatrix extends MatrixAxes {
  /** The numbers, `[rows, columns]` in C order; NaN where there is none. */
  readonly values: ArrayLike<number>;
  /** Magnitude of the strongest colour; the largest of the values when left out. */
  readonly strongest?: number;
  /** Digits after the point; two when left out. */
  readonly digits?: number;
}

const WORDS = ["a matrix", "values"] as const;

/**
 * A table of numbers, shaded by their magnitude: blue above 0, orange below.
 *
 * @throws {InputError} when there are not `rows * columns` values
 */
export function valueMatrix(matrix: ValueMatrix): Html {
  const { columns, values, digits = 2 } = matrix;
  requireFilled(matrix, values, WORDS);
  const most = matrix.strongest ??
    Array.from(values).reduce((a, v) => Number.isFinite(v) ? Math.max(a, Math.abs(v)) : a, 0);
  return matrixTable(matrix, "confusion values", (r, c) => {
    const value = values[r * columns.length + c];
    const share = Number.isFinite(value) && most > 0 ? Math.min(1, Math.abs(value) / most) : 0;
    return html`<td${attribute("class", value < 0 ? "below" : undefined)} style="--share:${
      share.toFixed(3)
    }">${formatNumber(value, digits)}</td>`;
  });
}

/**
 * The records of a matrix for `csvOf()`: one row each.
 *
 * @throws {InputError} as {@link valueMatrix}
 */
export function valueMatrixRecords(matrix: ValueMatrix): CsvCell[][] {
  requireFilled(matrix, matrix.values, WORDS);
  return matrixRecords(matrix, matrix.values);
}
