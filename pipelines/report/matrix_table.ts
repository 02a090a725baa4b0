import { InputError } from "../errors.ts";
import type { CsvCell } from "../io/csv.ts";
import { type Html, html } from "./html.ts";

/** What the axes of a matrix are. */
export interface MatrixAxes {
  /** One row each. */
  readonly rows: readonly string[];
  /** One column each. */
  readonly columns: readonly string[];
  /** What the rows are. */
  readonly rowTitle: string;
  /** What the columns are. */
  readonly columnTitle: string;
}

/**
 * Refuses what does not fill a matrix.
 *
 * @param what the matrix and its values in words, such as `["a confusion matrix", "counts"]`
 * @throws {InputError} when there are not `rows * columns` values
 */
export function requireFilled(
  { rows, columns }: MatrixAxes,
  values: ArrayLike<number>,
  [what, things]: readonly [matrix: string, values: string],
): void {
  const needed = rows.length * columns.length;
  if (values.length === needed) return;
  throw new InputError(
    `Cannot show ${what}: ${rows.length} rows and ${columns.length} columns need ${needed} ${things}, got ${values.length}`,
  );
}

/** A table with a title over its columns and one over its rows; cells are whole `<td>` elements. */
export function matrixTable(
  { rows, columns, rowTitle, columnTitle }: MatrixAxes,
  className: string,
  cell: (row: number, column: number) => Html,
): Html {
  const heads = columns.map((name) => html`<th scope="col">${name}</th>`);
  const lines = rows.map((name, r) =>
    html`<tr><th scope="row">${name}</th>${columns.map((_, c) => cell(r, c))}</tr>`
  );
  return html`
    <div class="scroll">
      <table class="${className}">
        <thead>
          <tr>
            <td></td>
            <th colspan="${columns.length}" class="soft">${columnTitle}</th>
          </tr>
          <tr><th class="soft">${rowTitle}</th>${heads}</tr>
        </thead>
        <tbody>${lines}</tbody>
      </table>
    </div>
  `;
}

/** The records of a matrix for `csvOf()`: one row each. */
export function matrixRecords(
  { rows, columns, rowTitle }: MatrixAxes,
  values: ArrayLike<number>,
): CsvCell[][] {
  const lines = rows.map((name, r) => [
    name,
    ...columns.map((_, c) => values[r * columns.length + c]),
  ]);
  return [[rowTitle, ...columns], ...lines];
}
