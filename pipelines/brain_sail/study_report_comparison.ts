/**
 * Backbones side by side: whether their maps agree, and how much of them is low-level looks.
 *
 * @module
 */
import { csvDownload } from "../report/download.ts";
import { figureBlock, foldAway } from "../report/figure_block.ts";
import { type Html, html } from "../report/html.ts";
import { type IntervalChart, intervalChart, intervalRecords } from "../report/interval_chart.ts";
import type { Interval } from "../report/numbers.ts";
import { panelGrid } from "../report/panel_grid.ts";
import { type Cell, dataTable } from "../report/table.ts";
import { meanOf, recordsOf, regionLabel, type ReportData } from "./study_report_data.ts";

import { overImage, rangeOf, shownRois } from "./study_report_panels.ts";

/** The heading of the figure. */
export const COMPARISON_TITLE = "Backbones compared";

/** Mean, least and most of what is a number; undefined of nothing. */
function spanOf(values: readonly number[]): Interval | undefined {
  const known = values.filter((value) => !Number.isNaN(value));
  if (known.length === 0) return undefined;
  return { mean: meanOf(known), low: Math.min(...known), high: Math.max(...known) };
}

/** Agreement by region and pair of backbones: mean and range over subjects. */
function agreement({ results: { comparisons } }: ReportData): IntervalChart {
  const pairOf = (backbones: readonly string[]) => backbones.join(" – ");
  const pairs = [...new Set(comparisons.map(({ backbones }) => pairOf(backbones)))];
  const rois = [...new Set(comparisons.flatMap(({ rois }) => rois.map(({ roi }) => roi)))];
  return {
    groups: rois,
    series: pairs.map((name) => {
      const own = comparisons.filter(({ backbones }) => pairOf(backbones) === name);
      const points = rois.map((roi) =>
        spanOf(own.flatMap(({ rois }) => rois.filter((one) => one.roi === roi).map(({ r }) => r)))
      );
      return { name, points };
    }),
    axis: "correlation of maps",
  };
}

/** The most series that a chart can tell apart. */
const MOST = 6;

/** A chart with its numbers as a table, which stands alone where a chart could not tell the series apart. */
function drawChart(chart: IntervalChart): Html {
  const { groups, series } = chart;
  if (groups.length === 0) return html`<p class="note">Not known.</p>`;
  const table = dataTable({
    columns: [{ name: "region" }, ...series.map(({ name }) => ({ name, digits: 2 }))],
    rows: groups.map((group, g): Cell[] => [group, ...series.map(({ points }) => points[g])]),
    summary: ["mean", ...series.map(({ points }) => meanOf(points.map((p) => p?.mean ?? NaN)))],
  });
  if (series.length > MOST) return table;
  return html`${intervalChart(chart)}${foldAway(`The same as a table: ${chart.axis}`, table)}`;
}

/** Low-level sensitivity by region and backbone: mean and range over subjects. */
function sensitivity({ backbones }: ReportData): IntervalChart {
  const rois = [
    ...new Set(
      backbones.flatMap(({ cells }) =>
        cells.flatMap(({ results: { lowLevel } }) => lowLevel.map(({ roi }) => roi))
      ),
    ),
  ];
  return {
    groups: rois,
    series: backbones.map(({ results: { name }, cells }) => ({
      name,
      points: rois.map((roi) =>
        spanOf(
          cells.flatMap(({ results: { lowLevel } }) =>
            lowLevel.filter((one) => one.roi === roi).map(({ r2 }) => r2)
          ),
        )
      ),
    })),
    axis: "share of a map's variance that low-level looks explain (R²)",
  };
}

/** Images that are shown by all backbones. */
const N_IMAGES = 6;

/** Maps of the first subject by every backbone side by side, region by region. */
function sideBySide(data: ReportData): Html | undefined {
  const { backbones, pictures } = data;
  if (backbones.length < 2) return undefined;
  const grids = shownRois(data, backbones[0].cells[0].maps).map((roi) => {
    const all = backbones.map(({ results: { name }, cells: [{ maps }] }) => ({
      name,
      maps,
      range: rangeOf(maps, "distilled", roi),
    }));
    const images = [...data.shown.keys()].filter((i) => pictures.has(data.shown[i]))
      .slice(0, N_IMAGES);
    const plain = images.map((i) => {
      const name = data.shown[i];
      return { image: pictures.show(name, { alt: name }), alt: name };
    });
    const rows = [
      { label: "image", panels: plain },
      ...all.map(({ name, maps, range }) => ({
        label: name,
        panels: images.map((image) =>
          overImage(data, maps, { method: "distilled", image, roi, range })
        ),
      })),
    ];
    const columns = images.map(() => ({ name: "" }));
    return { title: regionLabel(data, roi), grid: panelGrid({ columns, rows }) };
  });
  const [first, ...others] = grids;
  const { name } = backbones[0].cells[0].results;
  return html`<h3>${name}: ${first.title} by every backbone</h3>${first.grid}${
    others.map(({ title, grid }) => foldAway(title, grid))
  }`;
}

/** What a map that has nothing to do with the four fields is expected to have. */
function floorText({ backbones }: ReportData): string {
  const N_FIELDS = 4;
  return backbones.map(({ results: { name, grid } }) => {
    const floor = N_FIELDS / (grid[0] * grid[1] - 1);
    return `${name} ${floor.toFixed(3)} (${grid.join(" × ")})`;
  }).join(", ");
}

/** The figure. */
export function comparisonFigure(data: ReportData): Html {
  const { comparisons, subjects } = data.results;
  const chart = sensitivity(data);
  const grids = new Set(data.backbones.map(({ results: { grid } }) => grid.join()));
  const over = subjects.length > 1
    ? " Means over images and subjects; lines: from the least to the most subject."
    : " Means over images.";
  const agreed = comparisons.length === 0 ? undefined : html`
    <h3>Do their maps agree?</h3>
    <p>Pearson correlation of two backbones' maps of a region in an image, on the finer of their grids.${over}</p>
    ${drawChart(agreement(data))}
  `;
  const records = comparisons.flatMap(({ backbones: [a, b], subject, rois }) =>
    rois.map(({ roi, r }) => [a, b, subject, roi, r])
  );
  const looks = recordsOf(
    data,
    ["region", "r2"],
    ({ results: { lowLevel } }) => lowLevel.map(({ roi, r2 }) => [roi, r2]),
  );
  return figureBlock({
    title: COMPARISON_TITLE,
    body: html`${sideBySide(data)}${agreed}<h3>How much is low-level looks?</h3>
      <p>Share of the variance of a region's map over the patches of an image that a linear regression on four properties of the patches explains: luminance, saturation, contrast within the patch, edges.${over}</p>
      ${drawChart(chart)}`,
    note: `A map that has nothing to do with the four explains some of itself by chance: ${
      floorText(data)
    }. ${
      grids.size > 1
        ? "The grids differ, and coarse ones smooth looks away: compare backbones with care."
        : "All backbones have the same grid here."
    }`,
    downloads: [
      ...(comparisons.length > 0
        ? [
          csvDownload(
            "agreement.csv",
            [["backbone", "other", "subject", "region", "r"], ...records],
            "agreement, CSV",
          ),
        ]
        : []),
      csvDownload("low_level.csv", looks, "low-level looks, CSV"),
      csvDownload("low_level_chart.csv", intervalRecords(chart), "the chart, CSV"),
    ],
  });
}
