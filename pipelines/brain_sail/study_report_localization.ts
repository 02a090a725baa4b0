/**
 * How well maps find what their regions are known for.
 *
 * @module
 */
import type { CsvCell } from "../io/csv.ts";
import { csvDownload } from "../report/download.ts";
import { figureBlock, foldAway } from "../report/figure_block.ts";
import { type Html, html } from "../report/html.ts";
import { type IntervalChart, intervalChart } from "../report/interval_chart.ts";
import { type Cell, type DataTable, dataTable } from "../report/table.ts";
import { type MapScoreName, mapScoreNames } from "./evaluate.ts";
import { mapMethods, mapMethodsAbout, type RegionLocalization } from "./localization.ts";
import { bySubject, recordsOf, type ReportCell, type ReportData } from "./study_report_data.ts";

/** The heading of the figure. */
export const LOCALIZATION_TITLE = "Maps against true masks";

const SCORES: Readonly<Record<MapScoreName, { readonly name: string; readonly about: string }>> = {
  pearson: {
    name: "Pearson",
    about:
      "Correlation of the map with the mask over pixels; a map that is the same everywhere counts 0.",
  },
  iou: {
    name: "IoU",
    about: "Intersection over union of the mask and as many of the map's highest pixels.",
  },
  auc: { name: "AUC", about: "Chance that a pixel of the mask is higher than one outside of it." },
  pointing: { name: "Pointing", about: "Share of images whose highest pixel lies in the mask." },
};

const ORDER: readonly MapScoreName[] = ["pearson", "iou", "auc", "pointing"];

/** Regions that were judged; the mean over them last. */
function judged({ results: { localization } }: ReportCell): readonly RegionLocalization[] {
  return localization.some(({ nImages }) => nImages > 0) ? localization : [];
}

/** One region as a row of {@link regionTable}. */
function regionRow(region: RegionLocalization, score: MapScoreName, hasNull: boolean): Cell[] {
  const { name, category, nImages, scores, gain, shuffled, pValues } = region;
  return [
    category === "" || category === name ? name : `${name} (${category})`,
    nImages,
    scores.distilled[score],
    scores.plain[score],
    gain[score],
    scores.chance[score].mean,
    scores["whole image"][score].mean,
    ...(hasNull ? [shuffled[score], pValues[score]] : []),
  ];
}

/** Every region of a subject by one score. */
function regionTable(cell: ReportCell, score: MapScoreName): DataTable {
  const all = judged(cell);
  const hasNull = all.some(({ shuffled }) => !Number.isNaN(shuffled[score].mean));
  const rows = all.map((region) => regionRow(region, score, hasNull));
  return {
    caption: `${SCORES[score].name}. ${SCORES[score].about}`,
    columns: [
      { name: "region" },
      { name: "n", about: "mapped images that show the category" },
      { name: "distilled", about: mapMethodsAbout.distilled, digits: 2 },
      { name: "plain", about: mapMethodsAbout.plain, digits: 2 },
      { name: "gain", about: "distilled minus plain, image by image", digits: 3 },
      { name: "chance", about: mapMethodsAbout.chance, digits: 2 },
      { name: "whole", about: mapMethodsAbout["whole image"], digits: 2 },
      ...(hasNull
        ? [
          { name: "shuffled", about: "encoders of shuffled responses, the middle 95 %", digits: 2 },
          { name: "p", about: "share of shuffles that are as good, itself among them", digits: 3 },
        ]
        : []),
    ],
    rows: rows.slice(0, -1),
    summary: rows[rows.length - 1],
  };
}

/** The correlations of a subject's regions. */
function pearsonChart(cell: ReportCell): IntervalChart {
  const all = judged(cell);
  const hasNull = all.some(({ shuffled }) => !Number.isNaN(shuffled.pearson.mean));
  const of = (method: "distilled" | "plain" | "chance") => ({
    name: method,
    points: all.map(({ scores }) => scores[method].pearson),
  });
  return {
    groups: all.map(({ name }) => name),
    series: [
      of("distilled"),
      of("plain"),
      of("chance"),
      ...(hasNull
        ? [{ name: "shuffled responses", points: all.map(({ shuffled }) => shuffled.pearson) }]
        : []),
    ],
    axis: "Pearson correlation of maps with masks",
    digits: 3,
  };
}

/** Means over regions, one subject and backbone each. */
function summary(data: ReportData): DataTable {
  const entries = data.backbones.flatMap(({ results, cells }) =>
    cells.flatMap((cell) => {
      const mean = judged(cell).at(-1);
      return mean ? [{ name: results.name, subject: cell.results.name, mean }] : [];
    })
  );
  const hasNull = entries.some(({ mean }) => !Number.isNaN(mean.shuffled.pearson.mean));
  return {
    caption: "Pearson correlation, mean over regions",
    columns: [
      { name: "backbone" },
      { name: "subject" },
      { name: "distilled", digits: 2 },
      { name: "plain", digits: 2 },
      { name: "gain", digits: 3 },
      { name: "chance", digits: 2 },
      ...(hasNull ? [{ name: "shuffled", digits: 2 }, { name: "p", digits: 3 }] : []),
    ],
    rows: entries.map(({ name, subject, mean: { scores, gain, shuffled, pValues } }) => [
      name,
      subject,
      scores.distilled.pearson,
      scores.plain.pearson,
      gain.pearson,
      scores.chance.pearson.mean,
      ...(hasNull ? [shuffled.pearson, pValues.pearson] : []),
    ]),
  };
}

/** Every score of every region, method, subject and backbone. */
function records(data: ReportData): CsvCell[][] {
  const columns = ["region", "category", "images", "score", "method", "mean", "low", "high", "p"];
  return recordsOf(data, columns, (cell) =>
    judged(cell).flatMap((region) => {
      const { name, category, nImages, scores, gain, shuffled, pValues } = region;
      return mapScoreNames.flatMap((score) => {
        const methods = mapMethods.map((method) => [method, scores[method][score]] as const);
        const all = [...methods, ["gain", gain[score]], ["shuffled", shuffled[score]]] as const;
        return all.map(([method, { mean, low, high }]): CsvCell[] => [
          ...[name, category, nImages, score, method, mean, low, high],
          method === "distilled" ? pValues[score] : undefined,
        ]);
      });
    }));
}

/** One subject: its charts, and the tables behind them when they are asked for. */
function drawSubject(data: ReportData, subject: number): Html {
  const parts = data.backbones.map(({ results: { name }, cells }) => {
    const cell = cells[subject];
    if (judged(cell).length === 0) return html`<p class="note">${name}: no masks to judge by.</p>`;
    const title = `${name}, ${cell.results.name}`;
    const tables = ORDER.map((score) => html`<p></p>${dataTable(regionTable(cell, score))}`);
    return html`<h4>${name}</h4>${intervalChart(pearsonChart(cell))}${
      foldAway(`${title}: all scores by region`, html`${tables}`)
    }`;
  });
  return html`${parts}`;
}

/** The figure. */
export function localizationFigure(data: ReportData): Html {
  const isJudged = data.backbones.some(({ cells }) =>
    cells.some((cell) => judged(cell).length > 0)
  );
  if (!isJudged) {
    return figureBlock({
      title: LOCALIZATION_TITLE,
      body: html`<p>The study knows of no masks, so that its maps are judged by no one.</p>`,
    });
  }
  const methods = mapMethods.map((method) =>
    html`
      <b>${method}</b>: ${mapMethodsAbout[method]}.
    `
  );
  return figureBlock({
    title: LOCALIZATION_TITLE,
    lead:
      "How well the map of a region finds the pixels of its category, over the mapped images that show it. No map has seen a mask.",
    body: html`${dataTable(summary(data))}${bySubject(data, (s) => drawSubject(data, s))}`,
    note:
      html`${methods}<b>shuffled</b>: distilled maps of encoders of responses whose images were exchanged. Intervals: 95 % over images by bootstrap; of the shuffled, the middle 95 % over shuffles. p counts shuffles, so it is never below 1 / (1 + their number).`,
    downloads: [csvDownload("localization.csv", records(data))],
  });
}
