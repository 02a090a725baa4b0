import { InputError } from "../errors.ts";
import type { CsvCell } from "../io/csv.ts";
import { attribute, type Html, html } from "./html.ts";

/** How often each of some things was taken for each of others. */
export interface ConfusionMatrix {
  /** What was to be judged: one row each. */
  readonly rows: readonly string[];
  /** What it was taken for: one column each. */
  readonly columns: readonly string[];
  /** How often, `[rows, columns]` in C order. */
  readonly counts: ArrayLike<number>;
  /** What the rows are. */
  readonly rowTitle: string;
  /** What the columns are. */
  readonly columnTitle: string;
  /** Column that each row should be; those of the same name when left out. */
  readonly expected?: readonly (string | undefined)[];
}

function totals({ rows, columns, counts }: ConfusionMatrix): number[] {
  if (counts.length !== rows.length * columns.length) {
    throw new InputError(
      `Cannot show a confusion matrix: ${rows.length} rows and ${columns.length} columns need ${
        rows.length * columns.length
      } counts, got ${counts.length}`,
    );
  }
  return rows.map((_, r) => columns.reduce((sum, _, c) => sum + counts[r * columns.length + c], 0));
}

/**
 * A table of shares of each row, shaded, with the counts below them; what should be is outlined.
 *
 * @throws {InputError} when there are not `rows * columns` counts
 */
export function confusionMatrix(matrix: ConfusionMatrix): Html {
  const { rows, columns, counts, rowTitle, columnTitle, expected = rows } = matrix;
  const sums = totals(matrix);
  const heads = columns.map((name) => html`<th scope="col">${name}</th>`);
  const lines = rows.map((name, r) => {
    const cells = columns.map((column, c) => {
      const count = counts[r * columns.length + c];
      const share = sums[r] > 0 ? count / sums[r] : 0;
      const same = attribute("class", expected[r] === column ? "same" : undefined);
      return html`<td${same} style="--share:${share.toFixed(3)}">${
        (100 * share).toFixed(0)
      } %<small>${count}</small></td>`;
    });
    return html`<tr><th scope="row">${name}</th>${cells}</tr>`;
  });
  return html`
    <div class="scroll">
      <table class="confusion">
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

/** The records of a confusion matrix for `csvOf()`: one row each, counts. */
export function confusionRecords(matrix: ConfusionMatrix): CsvCell[][] {
  const { rows, columns, counts, rowTitle } = matrix;
  totals(matrix);
  return [
    [rowTitle, ...columns],
    ...rows.map((name, r) => [name, ...columns.map((_, c) => counts[r * columns.length + c])]),
  ];
}
