import { csvDownload } from "./download.ts";
import { type FigureBlock, figureBlock } from "./figure_block.ts";
import type { Html } from "./html.ts";
import { type DataTable, dataTable, tableRecords } from "./table.ts";

/** A figure that is a table. */
export interface TableBlock extends Omit<FigureBlock, "body"> {
  /** Name of the file that its numbers are saved to. */
  readonly file: string;
}

/** A table as a figure, with its numbers as a file before the other downloads. */
export function tableBlock(
  table: DataTable,
  { file, downloads = [], ...figure }: TableBlock,
): Html {
  const numbers = csvDownload(file, tableRecords(table));
  return figureBlock({ ...figure, body: dataTable(table), downloads: [numbers, ...downloads] });
}
