/**
 * What encoders of shuffled responses leave of every effect.
 *
 * @module
 */
import type { CsvCell } from "../io/csv.ts";
import { csvDownload } from "../report/download.ts";
import { figureBlock } from "../report/figure_block.ts";
import { type Html, html } from "../report/html.ts";
import { formatNumber, type Interval } from "../report/numbers.ts";
import { type Cell, type DataTable, dataTable } from "../report/table.ts";
import type { SubjectResults } from "./results.ts";
import { sharesRight } from "./study_report_captions.ts";
import { categoryIn, meanOf, type ReportCell, type ReportData } from "./study_report_data.ts";

/** The heading of the figure. */
export const CONTROL_TITLE = "Control: what is left without a brain";

/** Mean over category regions, or all voxels where there are none, of the median R². */
function r2Of(data: ReportData, { fits }: SubjectResults): number {
  const named = fits.filter(({ name }) => categoryIn(data, name) !== undefined);
  return meanOf((named.length > 0 ? named : fits.slice(-1)).map(({ r2 }) => r2));
}

/** Voxels of regions that were tested for a property, and how many of their maps go with it beyond chance. */
function found(
  { correlates }: SubjectResults,
  property: string,
): { readonly hits: number; readonly tested: number } {
  const own = correlates.filter((one) => one.property === property);
  return {
    tested: own.reduce((sum, { nTested }) => sum + nTested, 0),
    hits: own.reduce((sum, { nPositive, nNegative }) => sum + nPositive + nNegative, 0),
  };
}

/** An effect with the control beside it. */
interface Effect {
  readonly name: string;
  readonly responses: Cell;
  readonly shuffled: Cell;
  readonly note?: string;
}

/** Every effect of a subject. */
function effectsOf(data: ReportData, { results, control, voxels }: ReportCell): Effect[] {
  if (!control) return [];
  const effects: Effect[] = [
    {
      name: "R², category regions",
      responses: r2Of(data, results),
      shuffled: r2Of(data, control),
    },
  ];
  const [own, other] = [results, control].map(({ fits }) => fits[fits.length - 1]);
  if (!Number.isNaN(own.nPredicted)) {
    effects.push({
      name: "voxels predicted at q < 0.05",
      responses: own.nPredicted,
      shuffled: other.nPredicted,
      note: `of ${own.nVoxels}`,
    });
  }
  const mean = results.localization.at(-1);
  const isNumber = ({ mean: value }: Interval) => !Number.isNaN(value);
  if (mean && isNumber(mean.scores.distilled.pearson)) {
    const left = isNumber(mean.shuffled.pearson)
      ? mean.shuffled.pearson
      : control.localization.at(-1)?.scores.distilled.pearson;
    effects.push({
      name: "maps against masks, Pearson",
      responses: mean.scores.distilled.pearson,
      shuffled: left,
      note: isNumber(mean.shuffled.pearson)
        ? `p = ${formatNumber(mean.pValues.pearson, 3)}`
        : "one shuffle",
    });
  }
  if (results.confusion) {
    effects.push({
      name: "captions of the region's category",
      responses: sharesRight(data, [results]),
      shuffled: sharesRight(data, [control]),
      note: `chance ${formatNumber(1 / results.confusion.categories.length)}`,
    });
  }
  for (const property of voxels.properties) {
    if (!voxels.qValues) continue;
    const [real, left] = [results, control].map((one) => found(one, property));
    effects.push({
      name: `voxels with q < 0.05 of those tested: ${property}`,
      responses: real.hits,
      shuffled: left.hits,
      note: `of ${real.tested} and ${left.tested}`,
    });
  }
  return effects;
}

/** An effect of one subject by one backbone. */
interface Found extends Effect {
  readonly backbone: string;
  readonly subject: string;
}

/** One effect over backbones and subjects. */
function effectTable(effects: readonly Found[]): DataTable {
  const notes = new Set(effects.map(({ note }) => note));
  // The same everywhere: said once.
  const [only] = notes.size === 1 ? notes : [];
  return {
    caption: [effects[0].name, only].filter((part) => part !== undefined).join(", "),
    columns: [
      { name: "" },
      { name: "responses" },
      { name: "shuffled" },
      ...(notes.size > 1 ? [{ name: "" }] : []),
    ],
    rows: effects.map(({ backbone, subject, responses, shuffled, note }) => [
      `${backbone}, ${subject}`,
      responses,
      shuffled,
      ...(notes.size > 1 ? [note ?? ""] : []),
    ]),
  };
}

/** Three columns of an estimate, for records. */
function cellsOf(cell: Cell): CsvCell[] {
  if (typeof cell === "number") return [cell, undefined, undefined];
  if (typeof cell !== "object" || !("mean" in cell)) return [undefined, undefined, undefined];
  return [cell.mean, cell.low, cell.high];
}

/** The figure. */
export function controlFigure(data: ReportData): Html {
  const all = data.backbones.flatMap(({ results: { name: backbone }, cells }) =>
    cells.flatMap((cell): Found[] =>
      effectsOf(data, cell).map((effect) => ({ backbone, subject: cell.results.name, ...effect }))
    )
  );
  if (all.length === 0) {
    return figureBlock({ title: CONTROL_TITLE, body: html`<p>No control was run.</p>` });
  }
  const names = [...new Set(all.map(({ name }) => name))];
  const tables = names.map((name) =>
    dataTable(effectTable(all.filter((effect) => effect.name === name)))
  );
  const parts = ["mean", "low", "high"];
  const heads = ["responses", "shuffled"].flatMap((run) => parts.map((part) => `${run} ${part}`));
  const records = all.map(({ name, backbone, subject, responses, shuffled, note }) => [
    ...[name, backbone, subject],
    ...cellsOf(responses),
    ...cellsOf(shuffled),
    note,
  ]);
  return figureBlock({
    title: CONTROL_TITLE,
    lead:
      "Every analysis was run again on encoders of responses whose images were exchanged: everything is the same but what the brain says. An effect counts for as much as the control does not show it.",
    body: html`<div class="beside tops">${tables}</div>`,
    note:
      "Maps against masks are scored for many shuffles (the middle 95 % in brackets), all else for one. Brackets at the responses: 95 % over images.",
    downloads: [
      csvDownload("control.csv", [["effect", "backbone", "subject", ...heads, "note"], ...records]),
    ],
  });
}
