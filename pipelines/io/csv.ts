import { InputError } from "../errors.ts";

/** A table of text: the cells of each column by its name. */
export type CsvTable = ReadonlyMap<string, readonly string[]>;

/** The cells of one record from `at` on, and where the next one begins (RFC 4180). */
function record(text: string, at: number, cannot: string): { cells: string[]; next: number } {
  const cells: string[] = [];
  while (true) {
    let cell: string;
    if (text[at] === '"') {
      let end = text.indexOf('"', at + 1);
      while (end >= 0 && text[end + 1] === '"') end = text.indexOf('"', end + 2);
      if (end < 0) throw new InputError(`${cannot} a quoted cell does not end`);
      cell = text.slice(at + 1, end).replaceAll('""', '"');
      at = end + 1;
    } else {
      let end = at;
      while (end < text.length && !",\r\n".includes(text[end])) end++;
      cell = text.slice(at, end);
      at = end;
    }
    cells.push(cell);
    if (text[at] === ",") {
      at++;
      continue;
    }
    if (text[at] === "\r" && text[at + 1] === "\n") at++;
    if (at < text.length && text[at] !== "\n") {
      throw new InputError(`${cannot} text follows the closing quote of ${JSON.stringify(cell)}`);
    }
    return { cells, next: at + 1 };
  }
}

/**
 * The columns of comma-separated text whose first record names them; cells may be quoted, as pandas quotes tuples.
 *
 * @param cannot the beginning of error sentences, "Cannot read the table …:"
 * @throws {InputError} when a record has another number of cells than the first, a name stands twice, or a quote is left open
 */
export function parseCsv(text: string, cannot: string): CsvTable {
  const first = record(text, text.startsWith("\ufeff") ? 1 : 0, cannot);
  const columns = first.cells.map(() => [] as string[]);
  let row = 1;
  for (let at = first.next; at < text.length; row++) {
    const { cells, next } = record(text, at, cannot);
    at = next;
    if (cells.length === 1 && cells[0] === "") continue; // An empty line.
    if (cells.length !== columns.length) {
      throw new InputError(
        `${cannot} record ${row} (counted from 1, without the names) must have ${columns.length} cells, has ${cells.length}`,
      );
    }
    cells.forEach((cell, c) => columns[c].push(cell));
  }
  const table = new Map(first.cells.map((name, c) => [name, columns[c]]));
  if (table.size !== columns.length) {
    throw new InputError(`${cannot} two of its columns have the same name`);
  }
  return table;
}

/** What a cell of {@link csvOf} may hold; `undefined` is an empty cell. */
export type CsvCell = string | number | undefined;

/**
 * Comma-separated text of records (RFC 4180, lines ended by CR LF); numbers with all their digits, NaN as `NaN`.
 *
 * @param rows the first names the columns
 */
export function csvOf(rows: readonly (readonly CsvCell[])[]): string {
  const cellOf = (cell: CsvCell): string => {
    const text = String(cell ?? "");
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => `${row.map(cellOf).join(",")}\r\n`).join("");
}
