import type { CsvCell } from "../io/csv.ts";
import { attribute, type Html, html } from "./html.ts";
import { type MatrixAxes, matrixRecords, matrixTable, requireFilled } from "./matrix_table.ts";

/** How often each of some things (rows, to be judged) was taken for each of others (columns). */
export interface ConfusionMatrix extends MatrixAxes {
  /** How often, `[rows, columns]` in C order. */
  readonly counts: ArrayLike<number>;
  /** Column that each row should be; those of the same name when left out. */
  readonly expected?: readonly (string | undefined)[];
}

const WORDS = ["a confusion matrix", "counts"] as const;

/**
 * A table of shares of each row, shaded, with the counts below them; what should be is outlined.
 *
 * @throws {InputError} when there are not `rows * columns` counts
 */
export function confusionMatrix(matrix: ConfusionMatrix): Html {
  const { rows, columns, counts, expected = rows } = matrix;
  requireFilled(matrix, counts, WORDS);
  const sums = rows.map((_, r) =>
    columns.reduce((sum, _, c) => sum + counts[r * columns.length + c], 0)
  );
  return matrixTable(matrix, "confusion", (r, c) => {
    const count = counts[r * columns.length + c];
    const share = sums[r] > 0 ? count / sums[r] : 0;
    const same = attribute("class", expected[r] === columns[c] ? "same" : undefined);
    return html`<td${same} style="--share:${share.toFixed(3)}">${
      (100 * share).toFixed(0)
    } %<small>${count}</small></td>`;
  });
}

/**
 * The records of a confusion matrix for `csvOf()`: one row each, counts.
 *
 * @throws {InputError} as {@link confusionMatrix}
 */
export function confusionRecords(matrix: ConfusionMatrix): CsvCell[][] {
  requireFilled(matrix, matrix.counts, WORDS);
  return matrixRecords(matrix, matrix.counts);
}
