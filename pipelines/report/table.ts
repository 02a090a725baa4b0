import type { CsvCell } from "../io/csv.ts";
import { attribute, Html, html } from "./html.ts";
import { formatNumber, type Interval } from "./numbers.ts";

/** A column of a table. */
export interface Column {
  /** Heading. */
  readonly name: string;
  /** What it means: shown when a pointer rests on the heading. */
  readonly about?: string;
  /** Digits after the point; two when left out, none where all of the column's numbers are whole. */
  readonly digits?: number;
}

/** What a cell holds; `undefined` is nothing. */
export type Cell = string | number | Interval | Html | undefined;

/** A table: the first cell of a row names it. */
export interface DataTable {
  /** Columns, the first that of the names. */
  readonly columns: readonly Column[];
  /** Rows of as many cells. */
  readonly rows: readonly (readonly Cell[])[];
  /** A last row that sums the others up. */
  readonly summary?: readonly Cell[];
  /** What the table holds. */
  readonly caption?: string;
}

function isInterval(cell: Cell): cell is Interval {
  return typeof cell === "object" && !(cell instanceof Html);
}

/** Digits after the point of each column. */
function digitsOf({ columns, rows, summary }: DataTable): number[] {
  const all = summary ? [...rows, summary] : rows;
  return columns.map(({ digits }, c) => {
    const isWhole = all.every(({ [c]: cell }) =>
      !isInterval(cell) && (typeof cell !== "number" || Number.isInteger(cell))
    );
    return digits ?? (isWhole ? 0 : 2);
  });
}

function cellText(cell: Cell, digits: number): Html {
  if (isInterval(cell)) {
    const [low, high] = [cell.low, cell.high].map((end) => formatNumber(end, digits));
    return html`${formatNumber(cell.mean, digits)} <span class="ci">[${low}, ${high}]</span>`;
  }
  if (typeof cell !== "number") return html`${cell}`;
  return html`${formatNumber(cell, digits)}`;
}

function rowOf(cells: readonly Cell[], digits: readonly number[], kind?: string): Html {
  const parts = cells.map((cell, c) => {
    const text = cellText(cell, digits[c]);
    if (c === 0) return html`<th scope="row">${text}</th>`;
    return html`<td${
      attribute("class", typeof cell === "string" ? "text" : undefined)
    }>${text}</td>`;
  });
  return html`<tr${attribute("class", kind)}>${parts}</tr>`;
}

/** A table with names on the left; estimates stand with their intervals. */
export function dataTable(table: DataTable): Html {
  const { columns, rows, summary, caption } = table;
  const digits = digitsOf(table);
  const heads = columns.map(({ name, about }, c) => {
    const isText = rows.length > 0 && rows.every((row) => typeof row[c] === "string");
    const attributes = [attribute("class", isText ? "text" : undefined), attribute("title", about)];
    return html`
      <th scope="col" ${attributes}>${name}</th>
    `;
  });
  const lines = rows.map((row) => rowOf(row, digits));
  const title = caption === undefined ? undefined : html`<caption>${caption}</caption>`;
  const last = summary && rowOf(summary, digits, "mean");
  return html`
    <div class="scroll">
      <table>
        ${title}
        <thead>
          <tr>${heads}</tr>
        </thead>
        <tbody>${lines}${last}</tbody>
      </table>
    </div>
  `;
}

/**
 * The records of a table for `csvOf()`: numbers with all their digits, an interval as three columns (`name`, `name low`,
 * `name high`). Cells of HTML are left empty.
 */
export function tableRecords({ columns, rows, summary }: DataTable): CsvCell[][] {
  const all = summary ? [...rows, summary] : rows;
  const wide = columns.map((_, c) => all.some((row) => isInterval(row[c])));
  const record = (row: readonly Cell[]): CsvCell[] =>
    columns.flatMap((_, c): CsvCell[] => {
      const cell = row[c];
      if (isInterval(cell)) return [cell.mean, cell.low, cell.high];
      const plain = cell instanceof Html ? undefined : cell;
      return wide[c] ? [plain, undefined, undefined] : [plain];
    });
  const heads = columns.flatMap(({ name }, c) =>
    wide[c] ? [name, `${name} low`, `${name} high`] : [name]
  );
  return [heads, ...all.map(record)];
}
