/**
 * Which categories captions give to the top images of regions.
 *
 * @module
 */
import { csvDownload } from "../report/download.ts";
import { figureBlock, foldAway } from "../report/figure_block.ts";
import { type ConfusionMatrix, confusionMatrix } from "../report/confusion.ts";
import { type Html, html } from "../report/html.ts";
import type { SubjectResults } from "./results.ts";
import {
  categoryIn,
  recordsOf,
  regionLabel,
  type ReportBackbone,
  type ReportCell,
  type ReportData,
} from "./study_report_data.ts";

/** The heading of the figure. */
export const CAPTIONS_TITLE = "Categories by captions";

/** The paper's names of categories that regions call otherwise. */
const OTHER_NAMES: Readonly<Record<string, string>> = { place: "scene", word: "text" };

/** The column that each region should be; undefined for regions without a category among them. */
export function expectedColumns(
  data: ReportData,
  { confusion }: SubjectResults,
): (string | undefined)[] {
  return (confusion?.rois ?? []).map((roi) => {
    const category = categoryIn(data, roi) ?? "";
    return confusion!.categories.find((name) =>
      name === category || name === OTHER_NAMES[category]
    );
  });
}

/** Share of the top images of regions with a category that captions give that category; NaN without any. */
export function sharesRight(data: ReportData, all: readonly SubjectResults[]): number {
  let right = 0, total = 0;
  for (const results of all) {
    const expected = expectedColumns(data, results);
    results.confusion?.counts.forEach((row, r) => {
      const due = expected[r];
      if (due === undefined) return;
      right += row[results.confusion!.categories.indexOf(due)];
      total += row.reduce((sum, count) => sum + count, 0);
    });
  }
  return right / total;
}

/** Counts of some subjects together; regions by name, as subjects need not have the same. */
function matrixOf(
  data: ReportData,
  all: readonly SubjectResults[],
  hasCategory: boolean,
): ConfusionMatrix | undefined {
  const columns = all.find(({ confusion }) => confusion)?.confusion?.categories;
  if (!columns) return undefined;
  const sums = new Map<string, { counts: number[]; expected: string | undefined }>();
  for (const results of all) {
    const expected = expectedColumns(data, results);
    results.confusion?.rois.forEach((roi, r) => {
      if ((expected[r] !== undefined) !== hasCategory) return;
      const sum = sums.get(roi) ?? { counts: columns.map(() => 0), expected: expected[r] };
      sums.set(roi, sum);
      results.confusion!.counts[r].forEach((count, c) => sum.counts[c] += count);
    });
  }
  if (sums.size === 0) return undefined;
  return {
    rows: [...sums.keys()].map((roi) => regionLabel(data, roi)),
    columns,
    counts: [...sums.values()].flatMap(({ counts }) => counts),
    expected: [...sums.values()].map(({ expected }) => expected),
    rowTitle: "region",
    columnTitle: "category that captions give",
  };
}

/** The subjects' matrix and that of their controls beside it. */
function pair(data: ReportData, cells: readonly ReportCell[], hasCategory: boolean): Html {
  const controls = cells.flatMap(({ control }) => control ? [control] : []);
  const kinds = [
    { name: "responses", all: cells.map(({ results }) => results) },
    { name: "control: shuffled responses", all: controls },
  ];
  const parts = kinds.flatMap(({ name, all }) => {
    const matrix = matrixOf(data, all, hasCategory);
    return matrix ? [html`<div><h4>${name}</h4>${confusionMatrix(matrix)}</div>`] : [];
  });
  return html`<div class="beside">${parts}</div>`;
}

function drawBackbone(data: ReportData, { results, cells }: ReportBackbone): Html {
  const subjects = cells.length > 1
    ? cells.map((cell) =>
      foldAway(`${results.name}, ${cell.results.name} alone`, pair(data, [cell], true))
    )
    : [];
  const others = matrixOf(data, cells.map((cell) => cell.results), false);
  return html`<h3>${results.name}${
    cells.length > 1 ? `, ${cells.length} subjects together` : ""
  }</h3>${pair(data, cells, true)}${subjects}${
    others && foldAway(`${results.name}: regions without a category`, pair(data, cells, false))
  }`;
}

/** The figure. */
export function captionsFigure(data: ReportData): Html {
  const told = data.backbones.filter(({ cells }) => cells.some((cell) => cell.results.confusion));
  const silent = data.backbones.filter((backbone) => !told.includes(backbone))
    .map(({ results: { name } }) => name);
  const none = silent.length > 0
    ? html`<p class="note">Without captions or without a text tower: ${silent.join(", ")}.</p>`
    : undefined;
  const records = recordsOf(
    data,
    ["run", "region", "category", "images"],
    (cell) =>
      [["responses", cell.results] as const, ["control", cell.control] as const]
        .flatMap(([run, results]) =>
          (results?.confusion?.rois ?? []).flatMap((roi, r) =>
            results!.confusion!.categories.map((category, c) => [
              run,
              roi,
              category,
              results!.confusion!.counts[r][c],
            ])
          )
        ),
  );
  return figureBlock({
    title: CAPTIONS_TITLE,
    lead:
      "For the images that an encoder predicts a region to like most, the category whose captions have the map of similarity with the image's patches that is most like the region's map. Rows: regions; shares of their top images, counts below; outlined: the category that the region is known for.",
    body: html`${told.map((backbone) => drawBackbone(data, backbone))}${none}`,
    note:
      "The control did the same with an encoder of responses whose images were exchanged: what it reaches, captions and images reach without a brain.",
    downloads: told.length > 0 ? [csvDownload("captions.csv", records)] : [],
  });
}
