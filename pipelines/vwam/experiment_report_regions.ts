/**
 * Figures of an experiment about regions: matrices, own images against others', and what subjects have in common.
 *
 * @module
 */
import type { CsvCell } from "../io/csv.ts";
import { csvDownload } from "../report/download.ts";
import { figureBlock } from "../report/figure_block.ts";
import { type Html, html } from "../report/html.ts";
import { type IntervalChart, intervalChart, intervalRecords } from "../report/interval_chart.ts";
import { MAX_SERIES } from "../report/marks.ts";
import type { Interval } from "../report/numbers.ts";
import { type Cell, type DataTable, dataTable, tableRecords } from "../report/table.ts";
import { valueMatrix } from "../report/value_matrix.ts";
import type { AcrossSubjects } from "../stats/across_subjects.ts";
import type { Experiment, SubjectExperiment } from "./experiment.ts";
import type { RegionFindings, VoxelFindings } from "./experiment_findings.ts";
import type { SubjectsSummary } from "./experiment_subjects.ts";

/** The heading of the figure. */
export const MATRIX_TITLE = "Predicted responses";
/** The heading of the figure. */
export const OWN_TITLE = "Own images against others'";
/** The heading of the figure. */
export const ACROSS_TITLE = "Across subjects";

/** The name of a subject, and whether its encoder had a part in the images. */
export function subjectTitle({ name, isOwn }: SubjectExperiment): string {
  if (isOwn === undefined) return name;
  return `${name}, whose encoder had ${isOwn ? "a" : "no"} part in the images`;
}

/** Responses as the paper shows them: one row for each region that responds, one column for each region's images. */
export function drawMatrix(
  regions: readonly string[],
  { matrix: { nImages }, matrix, z }: Pick<RegionFindings, "matrix" | "z">,
): Html {
  const n = regions.length, values = z ?? matrix.means;
  const shown = Array.from({ length: n }, (_, t) => t).filter((t) => nImages[t] > 0);
  return valueMatrix({
    rows: regions,
    columns: shown.map((t) => regions[t]),
    values: regions.flatMap((_, r) => shown.map((t) => values[t * n + r])),
    rowTitle: "responds",
    columnTitle: "images made for",
  });
}

/** The numbers of a matrix, one record for each pair of target and region. */
export function matrixRecords(
  subject: string,
  regions: readonly string[],
  { matrix: { means, nImages }, cells, z, percentiles }: RegionFindings,
  voxels?: VoxelFindings,
): CsvCell[][] {
  const n = regions.length;
  return regions.flatMap((target, t) =>
    regions.map((region, r): CsvCell[] => {
      const at = t * n + r;
      return [
        ...[subject, target, region, nImages[t], means[at], cells.low[at], cells.high[at]],
        ...[voxels?.cells.low[at], voxels?.cells.high[at], z?.[at], percentiles?.[at]],
      ];
    })
  );
}

/** The names of the columns of {@link matrixRecords}. */
export const MATRIX_COLUMNS: readonly string[] = [
  ...["subject", "images_for", "region", "units", "mean", "low_over_units", "high_over_units"],
  ...["low_over_voxels", "high_over_voxels", "natural_sd", "percentile"],
];

/** The figure. */
export function matrixFigure({ regions, subjects }: Experiment): Html {
  const hasNatural = subjects.some(({ findings }) => findings.z);
  const records = subjects.flatMap(({ name, findings, voxels }) =>
    matrixRecords(name, regions, findings, voxels)
  );
  const parts = subjects.map((subject) =>
    html`<h3>${subjectTitle(subject)}</h3>${drawMatrix(regions, subject.findings)}`
  );
  return figureBlock({
    title: MATRIX_TITLE,
    lead: `Mean predicted response of every region to the images made for each${
      hasNatural ? ", in standard deviations from the mean of natural images" : ""
    }.`,
    body: parts,
    note:
      "Intervals over the images of each target and over voxels, and percentiles among natural images, are in the file.",
    downloads: [csvDownload("responses.csv", [[...MATRIX_COLUMNS], ...records])],
  });
}

/** A difference with its interval. */
const interval = (
  mean: number | undefined,
  ends: { readonly low: ArrayLike<number>; readonly high: ArrayLike<number> },
  r: number,
): Interval | undefined =>
  mean === undefined ? undefined : { mean, low: ends.low[r], high: ends.high[r] };

/** Region by region: what its own images do. */
export function preferenceTable(
  regions: readonly string[],
  { selectivity, intervals }: RegionFindings,
  voxels: VoxelFindings,
  units = "images",
): DataTable {
  return {
    columns: [
      { name: "region" },
      { name: "own" },
      { name: "others" },
      { name: `own − others, over ${units}`, about: "with a bootstrap interval" },
      { name: "over voxels", about: "the same difference with an interval over voxels" },
      { name: "index", about: "(own − others) / (|own| + |others|)", digits: 2 },
      { name: "rank", about: "of its own images among all targets" },
    ],
    rows: regions.map((region, r): Cell[] => {
      const own = selectivity[r];
      return [
        ...[region, own?.on, own?.off],
        interval(own?.difference, intervals.difference, r),
        interval(own?.difference, voxels.difference, r),
        ...[own?.index, own?.rank],
      ];
    }),
  };
}

/** Region by region: its own images against those of the next best target. */
export function testTable(
  regions: readonly string[],
  { tests }: RegionFindings,
  voxels: VoxelFindings,
): DataTable {
  return {
    columns: [
      { name: "region" },
      { name: "next", about: "the other target that drives it most" },
      { name: "own − next" },
      { name: "p", about: "one-sided, images exchanged between the two", digits: 4 },
      { name: "Holm", digits: 4 },
      { name: "q", digits: 4 },
      { name: "t", digits: 2 },
      { name: "df", digits: 1 },
      { name: "d", about: "Hedges' g, or Cohen's d of paired differences", digits: 2 },
      { name: "p of t", digits: 4 },
      { name: "Holm of t", digits: 4 },
      { name: "Holm, voxels", about: "paired t over voxels, which are not independent", digits: 4 },
    ],
    rows: tests.map(({ roi, runnerUp, difference, exchanged, student, studentP }): Cell[] => [
      ...[regions[roi], regions[runnerUp], difference],
      ...[exchanged.p, exchanged.holm, exchanged.q],
      ...[student?.t, student?.df, student?.effect, studentP?.p, studentP?.holm],
      voxels.tests[roi]?.corrected.holm,
    ]),
  };
}

/** Both tables with headings. */
export function ownTables(
  regions: readonly string[],
  findings: RegionFindings,
  voxels: VoxelFindings,
  units?: string,
): Html {
  return html`<h4>Own images and others'</h4>${
    dataTable(preferenceTable(regions, findings, voxels, units))
  }<h4>Own images and the next best</h4>${dataTable(testTable(regions, findings, voxels))}`;
}

/** Links to the numbers of both. */
export function ownDownloads(
  name: string,
  label: string,
  { regions, findings, voxels }: {
    readonly regions: readonly string[];
    readonly findings: RegionFindings;
    readonly voxels: VoxelFindings;
  },
): Html[] {
  return [
    csvDownload(
      `${name}.csv`,
      tableRecords(preferenceTable(regions, findings, voxels)),
      `${label}, CSV`,
    ),
    csvDownload(
      `${name}_tests.csv`,
      tableRecords(testTable(regions, findings, voxels)),
      `${label}, tests, CSV`,
    ),
  ];
}

/** The figure. */
export function ownFigure({ regions, subjects }: Experiment): Html {
  const chart: IntervalChart = {
    groups: regions,
    series: subjects.slice(0, MAX_SERIES).map(({ name, findings }) => ({
      name,
      points: regions.map((_, r) =>
        interval(findings.selectivity[r]?.difference, findings.intervals.difference, r)
      ),
    })),
    axis: "own images less the others', predicted",
    reference: { value: 0, name: "no preference" },
  };
  return figureBlock({
    title: OWN_TITLE,
    lead:
      "Does a region respond more to the images that were made for it than to those made for others, and than to the next best?",
    body: html`${intervalChart(chart)}${
      subjects.map((subject) => {
        const { findings, findings: { dominance }, voxels } = subject;
        return html`<h3>${
          subjectTitle(subject)
        }</h3><p>${dominance.count} of ${dominance.of} regions respond most to their own images (p = ${
          dominance.pCount.toFixed(4)
        } with images exchanged among targets); own − others is ${
          dominance.difference.toFixed(3)
        } in the mean over regions (p = ${dominance.pDifference.toFixed(4)}).</p>${
          ownTables(regions, findings, voxels)
        }`;
      })
    }`,
    note:
      "A count of regions has few values, and so has its p-value; the mean over regions tells more. The next best is chosen by looking, so that its tests are careful. Tests over images ask whether other images of the same making would do the same; with few images no p-value can be small, and intervals over two or three images are too narrow. Voxels of a region resemble each other: tests over them say that the region is alike, not that a finding would be found again.",
    downloads: [
      csvDownload("own_chart.csv", intervalRecords(chart), "chart, CSV"),
      ...subjects.flatMap(({ name, findings, voxels }, s) =>
        ownDownloads(`own_${s}`, name, { regions, findings, voxels })
      ),
    ],
  });
}

function acrossRow(what: string, region: string, found: AcrossSubjects): Cell[] {
  const { mean, test, nPositive, nSubjects, pSign } = found;
  return [
    region,
    what,
    test ? { mean, low: test.low, high: test.high } : mean,
    ...[test?.t, test?.p, test?.effect],
    `${nPositive} of ${nSubjects}`,
    pSign,
  ];
}

function acrossTable(regions: readonly string[], { regions: found }: SubjectsSummary): DataTable {
  return {
    columns: [
      { name: "region" },
      { name: "what" },
      { name: "mean over subjects", about: "with Student's interval over subjects" },
      { name: "t" },
      { name: "p", digits: 4 },
      { name: "d", about: "Cohen's d over subjects" },
      { name: "above 0" },
      { name: "p of signs", digits: 4 },
    ],
    rows: regions.flatMap((region, r): Cell[][] => {
      const { difference, index, ownLessNext } = found[r];
      if (difference.nSubjects === 0) return [];
      return [
        acrossRow("own − others", region, difference),
        acrossRow("index", region, index),
        acrossRow("own − next", region, ownLessNext),
      ];
    }),
  };
}

/** The figure. */
export function acrossFigure({ regions, summary, measuredSummary, subjects }: Experiment): Html {
  const predicted = acrossTable(regions, summary);
  const measured = measuredSummary && acrossTable(regions, measuredSummary);
  const counts = (of: SubjectsSummary) =>
    `Regions on the diagonal: ${
      of.counts.map((count, s) => `${subjects[s].name} ${count}`).join(", ")
    }.`;
  return figureBlock({
    title: ACROSS_TITLE,
    lead: "One number of each subject and region; subjects are the units.",
    body: html`<h3>Predicted</h3><p>${counts(summary)}</p>${dataTable(predicted)}${
      measured && measuredSummary &&
      html`<h3>Measured</h3><p>${counts(measuredSummary)}</p>${dataTable(measured)}`
    }`,
    downloads: [
      csvDownload("across_predicted.csv", tableRecords(predicted), "predicted, CSV"),
      ...(measured
        ? [csvDownload("across_measured.csv", tableRecords(measured), "measured, CSV")]
        : []),
    ],
  });
}
