/**
 * Colours that voxels and patches of images share.
 *
 * @module
 */
import { csvDownload } from "../report/download.ts";
import { figureBlock, foldAway } from "../report/figure_block.ts";
import { figure, type Html, html } from "../report/html.ts";
import {
  besideBackbones,
  bySubject,
  PLACE_COLUMNS,
  placeOf,
  recordsOf,
  type ReportBackbone,
  type ReportData,
} from "./study_report_data.ts";

/** The heading of the figure. */
export const COLORS_TITLE = "Factorisation: one map of colours for cortex and images";

/** Images whose colours are seen at once. */
const FIRST = 6;

/** Images beside the colours of their patches. */
function imageColors(data: ReportData, { results, colors = [] }: ReportBackbone): Html {
  const all = data.shown.flatMap((name, i) => {
    if (!data.pictures.has(name) || !colors[i]) return [];
    const patches = html`<div class="patches">${
      figure(colors[i], `colours of the patches of ${name}`)
    }</div>`;
    return [html`<figure>${data.pictures.show(name, { alt: name })}${patches}</figure>`];
  });
  const strip = (some: readonly Html[]) => html`<div class="strip">${some}</div>`;
  const more = all.slice(FIRST);
  return html`${strip(all.slice(0, FIRST))}${
    more.length > 0
      ? foldAway(`${results.name}: ${more.length} more images`, strip(more))
      : undefined
  }`;
}

/** The figure. */
export function colorsFigure(data: ReportData): Html {
  const told = data.backbones.filter(({ colors, cells }) =>
    colors && cells.some(({ voxels }) => voxels.rgb)
  );
  if (told.length === 0) {
    return figureBlock({
      title: COLORS_TITLE,
      body: html`<p>No colours: too few voxels are predicted well enough.</p>`,
    });
  }
  const draw = (subject: number) =>
    besideBackbones(told, ({ results, cells }) => {
      const { rgb } = cells[subject].voxels;
      const label = `colours of the voxels of ${
        data.results.subjects[subject].name
      } by ${results.name}`;
      return rgb && data.painters[subject].paint({ colors: rgb, label });
    }, { isStacked: true });
  const records = recordsOf(
    data,
    [...PLACE_COLUMNS, "red", "green", "blue"],
    ({ voxels }) =>
      voxels.rgb === undefined ? [] : Array.from(voxels.r2, (_, v) => [
        ...placeOf(voxels, v),
        ...voxels.rgb!.subarray(3 * v, 3 * v + 3),
      ]),
  );
  return figureBlock({
    title: COLORS_TITLE,
    lead:
      "UMAP put the weights of well predicted voxels of all subjects into three dimensions, shown as red, green and blue; patches of images were placed among them by their features. A patch and the voxels that it drives have like colours.",
    body: html`${bySubject(data, draw)}<h3>The images in the same colours</h3>${
      besideBackbones(told, (backbone) => imageColors(data, backbone))
    }`,
    note:
      "No region was told. The colours themselves are arbitrary, differ from run to run with the seed, and belong to one backbone: those of two cannot be compared. Grey voxels are predicted too poorly to take part.",
    downloads: [csvDownload("colors.csv", records)],
  });
}
