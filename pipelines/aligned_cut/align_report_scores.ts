import type { CsvCell } from "../io/csv.ts";
import { csvDownload } from "../report/download.ts";
import { figureBlock } from "../report/figure_block.ts";
import { type Html, html } from "../report/html.ts";
import { intervalChart } from "../report/interval_chart.ts";
import { formatNumber } from "../report/numbers.ts";
import { type DataTable, dataTable } from "../report/table.ts";
import type { AlignReportData } from "./align_report_data.ts";
import type { ControlResults } from "./control_results.ts";

/** The heading of the figure. */
export const SCORES_TITLE = "Controls: scores of every condition";

/** Conditions that have scores, in the order of the file. */
export function scoredConditions({ scores }: ControlResults): string[] {
  return [...new Set(scores.map(({ condition }) => condition))];
}

/** Measures that have scores, in the order of the file. */
export function scoredMeasures({ scores }: ControlResults): string[] {
  return [...new Set(scores.map(({ measure }) => measure))];
}

/** How often a condition was run, in words. */
export function runsText({ runs }: ControlResults): string {
  const perCondition = [...Map.groupBy(runs, ({ condition }) => condition).values()];
  const counts = [...new Set(perCondition.map((own) => own.length))].sort((a, b) => a - b);
  return counts.length === 1 && counts[0] === 1 ? "1 run" : `${counts.join(" or ")} runs`;
}

/** What was aligned by, and the R² that it came to. */
function conditionTable(controls: ControlResults): DataTable {
  return {
    columns: [
      { name: "condition" },
      { name: "aligned by" },
      { name: "R²", about: "held out, of the targets that were trained on", digits: 3 },
      { name: "over runs", about: "standard deviation of that R²", digits: 4 },
    ],
    rows: scoredConditions(controls).map((name) => {
      const found = controls.r2.find(({ condition }) => condition === name);
      return [name, controls.conditions[name], found?.mean ?? NaN, found?.std ?? NaN];
    }),
  };
}

/** The spread of every score over runs. */
function spreadTable(controls: ControlResults): DataTable {
  const { scores, measures } = controls;
  const names = scoredMeasures(controls);
  return {
    caption: "standard deviation of the runs' means: other first weights, orders, draws and cuts",
    columns: [
      { name: "condition" },
      ...names.map((name) => ({ name, about: measures[name], digits: 3 })),
    ],
    rows: scoredConditions(controls).map((condition) => [
      condition,
      ...names.map((measure) =>
        scores.find((row) => row.condition === condition && row.measure === measure)?.seedStd ?? NaN
      ),
    ]),
  };
}

function drawMeasure(controls: ControlResults, measure: string): Html {
  const groups = scoredConditions(controls);
  const points = groups.map((condition) =>
    controls.scores.find((row) => row.condition === condition && row.measure === measure)
  );
  const title = controls.measures[measure];
  return html`<h3>${measure}</h3>${
    intervalChart({ groups, series: [{ name: measure, points }], axis: title, digits: 3 })
  }`;
}

/** Every image's score in every run. */
function imageRecords({ runs, heldOut }: ControlResults): CsvCell[][] {
  return runs.flatMap(({ condition, seed, names, values }) =>
    values.flatMap((row, i) =>
      row.map((value, m) => [condition, seed, heldOut[i], names[m], value])
    )
  );
}

/** The figure. */
export function scoresFigure({ controls, alignment }: AlignReportData): Html {
  if (!controls) return html``;
  const own = alignment.training.heldOut;
  const isSame = own.length === controls.heldOut.length &&
    controls.heldOut.every((row, i) => row === own[i]);
  const nMissing = controls.scores.filter(({ mean }) => !Number.isFinite(mean)).length;
  return figureBlock({
    title: SCORES_TITLE,
    lead: `Networks were aligned in each of these ways, ${
      runsText(controls)
    } of each, and judged on ${controls.heldOut.length} images that none was trained on. Lines are bootstrap intervals over these images.`,
    body: html`${dataTable(conditionTable(controls))}${
      scoredMeasures(controls).map((measure) => drawMeasure(controls, measure))
    }<h3>Spread over runs</h3>${dataTable(spreadTable(controls))}`,
    note: `R² of different conditions are of different targets and say nothing beside each other. ${
      isSame
        ? "The held-out images are those of the alignment."
        : "The held-out images are others than those of the alignment."
    }${nMissing > 0 ? ` ${formatNumber(nMissing, 0)} scores are not numbers and not drawn.` : ""}`,
    downloads: [
      csvDownload("control_scores.csv", [
        ["condition", "measure", "mean", "low", "high", "seed_std"],
        ...controls.scores.map(({ condition, measure, mean, low, high, seedStd }) => [
          ...[condition, measure],
          ...[mean, low, high, seedStd],
        ]),
      ]),
      csvDownload("control_r2.csv", [
        ["condition", "mean", "std"],
        ...controls.r2.map(({ condition, mean, std }) => [condition, mean, std]),
      ], "R², CSV"),
      csvDownload("control_images.csv", [
        ["condition", "seed", "image", "measure", "value"],
        ...imageRecords(controls),
      ], "every image in every run, CSV"),
    ],
  });
}
