import { InputError } from "../errors.ts";
import type { CsvCell } from "../io/csv.ts";
import { attribute, type Html, html } from "./html.ts";
import { formatNumber } from "./numbers.ts";

/** A number for each of some things with each of others. */
export interface ValueMatrix {
  /** One row each. */
  readonly rows: readonly string[];
  /** One column each. */
  readonly columns: readonly string[];
  /** The numbers, `[rows, columns]` in C order; NaN where there is none. */
  readonly values: ArrayLike<number>;
  /** What the rows are. */
  readonly rowTitle: string;
  /** What the columns are. */
  readonly columnTitle: string;
  /** Magnitude of the strongest colour; the largest of the values when left out. */
  readonly strongest?: number;
  /** Digits after the point; two when left out. */
  readonly digits?: number;
}

function requireWhole({ rows, columns, values }: ValueMatrix): void {
  if (values.length === rows.length * columns.length) return;
  throw new InputError(
    `Cannot show a matrix: ${rows.length} rows and ${columns.length} columns need ${
      rows.length * columns.length
    } values, got ${values.length}`,
  );
}

/**
 * A table of numbers, shaded by their magnitude: blue above 0, orange below.
 *
 * @throws {InputError} when there are not `rows * columns` values
 */
export function valueMatrix(matrix: ValueMatrix): Html {
  requireWhole(matrix);
  const { rows, columns, values, rowTitle, columnTitle, digits = 2 } = matrix;
  const most = matrix.strongest ??
    Array.from(values).reduce((a, v) => Number.isFinite(v) ? Math.max(a, Math.abs(v)) : a, 0);
  const heads = columns.map((name) => html`<th scope="col">${name}</th>`);
  const lines = rows.map((name, r) => {
    const cells = columns.map((_, c) => {
      const value = values[r * columns.length + c];
      const share = Number.isFinite(value) && most > 0 ? Math.min(1, Math.abs(value) / most) : 0;
      return html`<td${attribute("class", value < 0 ? "below" : undefined)} style="--share:${
        share.toFixed(3)
      }">${formatNumber(value, digits)}</td>`;
    });
    return html`<tr><th scope="row">${name}</th>${cells}</tr>`;
  });
  return html`
    <div class="scroll">
      <table class="confusion values">
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
export function valueMatrixRecords(matrix: ValueMatrix): CsvCell[][] {
  requireWhole(matrix);
  const { rows, columns, values, rowTitle } = matrix;
  return [
    [rowTitle, ...columns],
    ...rows.map((name, r) => [name, ...columns.map((_, c) => values[r * columns.length + c])]),
  ];
}
