import { csvDownload } from "../report/download.ts";
import { figureBlock } from "../report/figure_block.ts";
import { type Html, html } from "../report/html.ts";
import { intervalChart } from "../report/interval_chart.ts";
import { MAX_SERIES } from "../report/marks.ts";
import type { Interval } from "../report/numbers.ts";
import { type Cell, type DataTable, dataTable } from "../report/table.ts";
import { type AlignReportData, finiteMean } from "./align_report_data.ts";
import { runsText } from "./align_report_scores.ts";
import type { ControlResults } from "./control_results.ts";

/** The heading of the figure. */
export const EFFECTS_TITLE = "Effects: what the brain gives beyond each control";

/** Exceptions that are named one by one. */
const MOST_NAMED = 8;

/** Whether an interval lies above 0. */
export function isBeyond({ low }: Interval): boolean {
  return low > 0;
}

/** Mean over images of a measure in a run; NaN where there is no such run. */
function runMean(
  { runs }: ControlResults,
  condition: string,
  seed: number,
  measure: string,
): number {
  const run = runs.find((one) => one.condition === condition && one.seed === seed);
  const column = run?.names.indexOf(measure) ?? -1;
  return run && column >= 0 ? finiteMean(run.values.map((row) => row[column])) : NaN;
}

/** An effect run by run: of the brain and the control with the same number. */
function runEffects(controls: ControlResults, control: string, measure: string): number[] {
  const seeds = new Set(controls.runs.map(({ seed }) => seed));
  return [...seeds].map((seed) =>
    runMean(controls, "brain", seed, measure) - runMean(controls, control, seed, measure)
  ).filter(Number.isFinite);
}

/** The mean of effects and their ends; nothing of none. */
function spanOf(values: readonly number[]): Interval | undefined {
  if (values.length === 0) return undefined;
  return { mean: finiteMean(values), low: Math.min(...values), high: Math.max(...values) };
}

/** Controls down, measures across. */
function effectTable(
  { effects, measures }: ControlResults,
  caption: string,
  cellOf: (control: string, measure: string) => Cell,
): DataTable {
  const names = [...new Set(effects.map(({ measure }) => measure))];
  return {
    caption,
    columns: [
      { name: "brain −" },
      ...names.map((name) => ({ name, about: measures[name], digits: 3 })),
    ],
    rows: [...new Set(effects.map(({ control }) => control))]
      .map((control) => [control, ...names.map((measure) => cellOf(control, measure))]),
  };
}

/** Effects over images, and below them those of single runs. */
function effectTables(controls: ControlResults): Html[] {
  const overImages = effectTable(controls, "mean and interval over images", (control, measure) => {
    const found = controls.effects.find((one) =>
      one.control === control && one.measure === measure
    );
    return found && { mean: found.mean, low: found.low, high: found.high };
  });
  const overRuns = effectTable(
    controls,
    "mean, least and most of single runs",
    (control, measure) => spanOf(runEffects(controls, control, measure)),
  );
  return [html`<p></p>`, dataTable(overImages), html`<p></p>`, dataTable(overRuns)];
}

/** What the intervals say, in a sentence. */
function verdict({ effects }: ControlResults): string {
  const known = effects.filter(({ mean }) => Number.isFinite(mean));
  const not = known.filter((effect) => !isBeyond(effect));
  const names = not.slice(0, MOST_NAMED).map(({ control, measure }) =>
    `${measure} beyond ${control}`
  );
  const more = not.length > MOST_NAMED ? ` and ${not.length - MOST_NAMED} more` : "";
  const exceptions = not.length === 0 ? "." : `; not so: ${names.join(", ")}${more}.`;
  return `The interval lies above 0 in ${
    known.length - not.length
  } of ${known.length} comparisons${exceptions}`;
}

/** All effects in charts of as many measures as can be told apart. */
function effectCharts(controls: ControlResults): Html[] {
  const { effects } = controls;
  const groups = [...new Set(effects.map(({ control }) => control))];
  const measures = [...new Set(effects.map(({ measure }) => measure))];
  const starts = Array.from({ length: Math.ceil(measures.length / MAX_SERIES) }, (_, i) => i);
  return starts.map((i) =>
    intervalChart({
      groups,
      series: measures.slice(i * MAX_SERIES, (i + 1) * MAX_SERIES).map((measure) => ({
        name: measure,
        points: groups.map((control) =>
          effects.find((row) => row.control === control && row.measure === measure)
        ),
      })),
      axis: "brain − control",
      reference: { value: 0, name: "no effect" },
      digits: 3,
    })
  );
}

const NONE =
  "No control was run: nothing here says that it is the brain that aligns the networks. gyrus align controls trains on other targets and on networks without training, and its file is what --controls takes.";

/** The figure. */
export function effectsFigure({ controls }: AlignReportData): Html {
  if (!controls || controls.effects.length === 0) {
    const text = controls
      ? "No condition but the brain was run: there is nothing to compare with."
      : NONE;
    return figureBlock({ title: EFFECTS_TITLE, body: html`<p>${text}</p>` });
  }
  const records = controls.effects.map(({ control, measure, mean, low, high }) => {
    const span = spanOf(runEffects(controls, control, measure));
    return [control, measure, mean, low, high, span?.low, span?.high];
  });
  const { level } = controls.settings;
  const share = typeof level === "number" ? level : 0.95;
  return figureBlock({
    title: EFFECTS_TITLE,
    lead: `Every measure of the alignment by the brain less that by a control, image by image. ${
      verdict(controls)
    }`,
    body: html`${effectCharts(controls)}${effectTables(controls)}`,
    note: `Lines and brackets are ${
      Number((100 * share).toPrecision(4))
    } % bootstrap intervals of the mean over ${controls.heldOut.length} held-out images, of the differences of each image's means over ${
      runsText(controls)
    }: they say what other images would give, not what other brains or other networks would. They are not widened for the number of comparisons. What other first weights and draws give is in the second table. Scores of responses that a phantom made, as gyrus phantom writes them, are claims about this software, never about brains.`,
    downloads: [
      csvDownload("control_effects.csv", [
        ["control", "measure", "mean", "low", "high", "least_run", "most_run"],
        ...records,
      ]),
    ],
  });
}
