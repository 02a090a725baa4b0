/**
 * What encoders of shuffled responses leave of every effect.
 *
 * @module
 */
import { figureBlock } from "../report/figure_block.ts";
import { type Html, html } from "../report/html.ts";
import { formatNumber, type Interval } from "../report/numbers.ts";
import type { Cell, DataTable } from "../report/table.ts";
import { tableBlock } from "../report/table_block.ts";
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

/** Share of the tested voxels whose maps go with a property beyond chance, and their number. */
function found({ correlates }: SubjectResults, property: string): { share: number; text: string } {
  const own = correlates.filter((one) => one.property === property);
  const tested = own.reduce((sum, { nTested }) => sum + nTested, 0);
  const hits = own.reduce((sum, { nPositive, nNegative }) => sum + nPositive + nNegative, 0);
  return { share: hits / tested, text: `${hits} of ${tested}` };
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
  const [own, other] = [results, control].map(({ fits }) => fits.at(-1)!);
  if (!Number.isNaN(own.nPredicted)) {
    effects.push({
      name: "share of voxels predicted at q < 0.05",
      responses: own.nPredicted / own.nVoxels,
      shuffled: other.nPredicted / other.nVoxels,
      note: `${own.nPredicted} of ${own.nVoxels}; control ${other.nPredicted}`,
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
        ? `p = ${formatNumber(mean.pValues.pearson, 3)} over shuffles`
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
    const [own, other] = [results, control].map((one) => found(one, property));
    if (Number.isNaN(own.share)) continue;
    effects.push({
      name: `share of tested voxels with q < 0.05: ${property}`,
      responses: own.share,
      shuffled: other.share,
      note: `voxels in regions: ${own.text}; control ${other.text}`,
    });
  }
  return effects;
}

/** The figure. */
export function controlFigure(data: ReportData): Html {
  const rows = data.backbones.flatMap(({ results: { name }, cells }) =>
    cells.flatMap((cell) =>
      effectsOf(data, cell).map(({ name: effect, responses, shuffled, note }): Cell[] => [
        effect,
        name,
        cell.results.name,
        responses,
        shuffled,
        note ?? "",
      ])
    )
  );
  if (rows.length === 0) {
    return figureBlock({
      title: CONTROL_TITLE,
      body: html`<p>No control was run.</p>`,
    });
  }
  const order = [...new Set(rows.map(([effect]) => effect))];
  const table: DataTable = {
    columns: [
      { name: "effect" },
      { name: "backbone" },
      { name: "subject" },
      { name: "responses", digits: 2 },
      { name: "shuffled responses", digits: 2 },
      { name: "" },
    ],
    rows: order.flatMap((effect) => rows.filter(([own]) => own === effect)),
  };
  return tableBlock(table, {
    title: CONTROL_TITLE,
    lead:
      "Every analysis was run again on encoders of responses whose images were exchanged: everything is the same but what the brain says. An effect counts for as much as the control does not show it.",
    note:
      "Maps against masks are scored for many shuffles (the middle 95 % in brackets), all else for one. Brackets at the responses: 95 % over images.",
    file: "control.csv",
  });
}
