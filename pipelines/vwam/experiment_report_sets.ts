/**
 * Figures of an experiment about sets of images: controls, what a screen costs, contrasts, and measured responses.
 *
 * @module
 */
import type { CsvCell } from "../io/csv.ts";
import { csvDownload } from "../report/download.ts";
import { figureBlock } from "../report/figure_block.ts";
import { type Html, html } from "../report/html.ts";
import { type IntervalChart, intervalChart, intervalRecords } from "../report/interval_chart.ts";
import { MAX_SERIES } from "../report/marks.ts";
import { type Cell, type DataTable, dataTable, tableRecords } from "../report/table.ts";
import type { Experiment, SubjectExperiment } from "./experiment.ts";
import type { MeasuredFindings } from "./experiment_measured.ts";
import {
  drawMatrix,
  MATRIX_COLUMNS,
  matrixRecords,
  ownDownloads,
  ownTables,
  subjectTitle,
} from "./experiment_report_regions.ts";

/** The heading of the figure. */
export const CONTROLS_TITLE = "Controls";
/** The heading of the figure. */
export const SCREEN_TITLE = "Prepared for the screen";
/** The heading of the figure. */
export const CONTRASTS_TITLE = "Contrasts: small edits of pictures";
/** The heading of the figure. */
export const MEASURED_TITLE = "Measured responses";

function controlsChart(
  regions: readonly string[],
  { conditions }: SubjectExperiment,
): IntervalChart {
  const hasNatural = conditions.some(({ z }) => z);
  return {
    groups: regions,
    series: conditions.slice(0, MAX_SERIES).map(({ name, own }) => ({ name, points: own })),
    axis: `response to own images${hasNatural ? ", natural standard deviations" : ""}`,
    reference: { value: 0, name: hasNatural ? "mean of natural images" : "0" },
  };
}

function controlsTable({ conditions }: SubjectExperiment): DataTable {
  return {
    columns: [
      { name: "images" },
      { name: "number" },
      { name: "on the diagonal" },
      { name: "p", digits: 4 },
      { name: "own − others", about: "mean over regions" },
      { name: "p of it", digits: 4 },
      { name: "what they are" },
    ],
    rows: conditions.map(({ name, about, nImages, dominance }): Cell[] => [
      ...[name, nImages, `${dominance.count} of ${dominance.of}`, dominance.pCount],
      ...[dominance.difference, dominance.pDifference, about],
    ]),
  };
}

/** The figure. */
export function controlsFigure({ regions, subjects }: Experiment): Html {
  const all = subjects.map((subject) => ({
    subject,
    chart: controlsChart(regions, subject),
    table: controlsTable(subject),
  }));
  return figureBlock({
    title: CONTROLS_TITLE,
    lead:
      "The same question of other images: what is due to the encoder's weights, to a spectrum, or could be had from natural images?",
    body: all.map(({ subject, chart, table }) =>
      html`<h3>${subjectTitle(subject)}</h3>${intervalChart(chart)}${dataTable(table)}`
    ),
    note:
      "Natural images that are chosen by their predicted response are on the diagonal by their choice; what tells is how far the made images go beyond them.",
    downloads: all.flatMap(({ subject: { name }, chart, table }, s) => [
      csvDownload(`controls_${s}.csv`, intervalRecords(chart), `${name}, CSV`),
      csvDownload(`controls_sets_${s}.csv`, tableRecords(table), `${name}, sets, CSV`),
    ]),
  });
}

/** The figure. */
export function screenFigure({ regions, subjects }: Experiment): Html {
  const table: DataTable = {
    columns: [
      { name: "region" },
      { name: "subject" },
      { name: "images" },
      { name: "number" },
      { name: "before", digits: 3 },
      { name: "after", digits: 3 },
      { name: "lost", digits: 3 },
      { name: "kept, %", about: "share of the distance from natural images' mean", digits: 1 },
    ],
    rows: subjects.flatMap(({ name, conditions }) =>
      conditions.flatMap((condition) =>
        (condition.losses ?? []).map(({ region, nImages, before, after, loss, kept }): Cell[] => [
          ...[regions[region], name, condition.name, nImages, before, after, loss, 100 * kept],
        ])
      )
    ),
  };
  return figureBlock({
    title: SCREEN_TITLE,
    lead:
      "What a region loses of its predicted response when its images are changed: prepared for a screen, or with their phases scrambled.",
    body: dataTable(table),
    downloads: [csvDownload("losses.csv", tableRecords(table))],
  });
}

/** The figure. */
export function contrastsFigure({ regions, subjects }: Experiment): Html {
  const table: DataTable = {
    columns: [
      { name: "contrast" },
      { name: "subject" },
      { name: "image" },
      { name: "change of A − B", digits: 3 },
      { name: "A", digits: 3 },
      { name: "B", digits: 3 },
      { name: "pixels, rms", digits: 4 },
      { name: "pixels, most", digits: 4 },
    ],
    rows: subjects.flatMap(({ name, contrasts }) =>
      contrasts.map(({ a, b, deltas, apart, rms, largest }, i): Cell[] => [
        ...[`${regions[a]}-${regions[b]}`, name, i, apart, deltas[a], deltas[b], rms, largest],
      ])
    ),
  };
  const records = subjects.flatMap(({ name, contrasts }) =>
    contrasts.flatMap(({ a, b, deltas }, i) =>
      regions.map((region, r): CsvCell[] => [name, i, regions[a], regions[b], region, deltas[r]])
    )
  );
  return figureBlock({
    title: CONTRASTS_TITLE,
    lead:
      "Pictures that were edited to set two regions apart: what the edit does to the predicted responses, and how far colours (0 to 1) moved.",
    body: dataTable(table),
    downloads: [
      csvDownload("contrasts.csv", tableRecords(table)),
      csvDownload(
        "contrast_regions.csv",
        [["subject", "image", "a", "b", "region", "change"], ...records],
        "every region, CSV",
      ),
    ],
  });
}

/** Betas of every region to every target's images, bars with error bars. */
function measuredChart(
  regions: readonly string[],
  { findings: { matrix: { means, nImages }, cells } }: MeasuredFindings,
): IntervalChart | undefined {
  const n = regions.length;
  const shown = Array.from({ length: n }, (_, t) => t).filter((t) => nImages[t] > 0);
  if (shown.length > MAX_SERIES) return undefined;
  return {
    groups: regions,
    series: shown.map((t) => ({
      name: `images for ${regions[t]}`,
      points: regions.map((_, r) => {
        const at = t * n + r;
        return { mean: means[at], low: cells.low[at], high: cells.high[at] };
      }),
    })),
    axis: "mean beta",
    bars: true,
  };
}

function measuredPart(
  regions: readonly string[],
  subject: SubjectExperiment,
  measured: MeasuredFindings,
): Html {
  const { findings: { dominance }, findings, voxels, nUnits, design } = measured;
  const chart = measuredChart(regions, measured);
  const units = design === "blocks of one target" ? "blocks" : "trials";
  return html`<h3>${subject.name}</h3>
    <p>${nUnits} ${units}${
    design === "blocks of several targets" ? ", exchanged within blocks and paired over them" : ""
  }: ${dominance.count} of ${dominance.of} regions responded most to their own images (p = ${
    dominance.pCount.toFixed(4)
  }); own − others is ${dominance.difference.toFixed(3)} in the mean over regions (p = ${
    dominance.pDifference.toFixed(4)
  }).</p>${chart && intervalChart(chart)}<h4>Mean betas</h4>${drawMatrix(regions, findings)}${
    ownTables(regions, findings, voxels, units)
  }`;
}

/** The figure. */
export function measuredFigure({ regions, subjects }: Experiment): Html {
  const all = subjects.flatMap((subject) =>
    subject.measured ? [{ subject, measured: subject.measured }] : []
  );
  const records = all.flatMap(({ subject: { name }, measured: { findings, voxels } }) =>
    matrixRecords(name, regions, findings, voxels)
  );
  return figureBlock({
    title: MEASURED_TITLE,
    lead:
      "Mean betas of every region to the images made for each, with bootstrap intervals, and each region's own images against the next highest.",
    body: all.map(({ subject, measured }) => measuredPart(regions, subject, measured)),
    downloads: [
      csvDownload("measured.csv", [[...MATRIX_COLUMNS], ...records]),
      ...all.flatMap(({ subject: { name }, measured: { findings, voxels } }, s) =>
        ownDownloads(`measured_own_${s}`, name, { regions, findings, voxels })
      ),
    ],
  });
}
