/**
 * Maps over images, images down and regions across.
 *
 * @module
 */
import { colorize, type ColormapName, type ValueRange } from "../images/colormap.ts";
import { interpolate } from "../images/interpolate.ts";
import { mosaic } from "../images/mosaic.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import type { CsvCell } from "../io/csv.ts";
import type { Grid } from "../models/pos_embed.ts";
import { rangeScale } from "../report/charts.ts";
import { csvDownload } from "../report/download.ts";
import { figureBlock, foldAway } from "../report/figure_block.ts";
import { type Html, html } from "../report/html.ts";
import { type GridPanel, panelGrid } from "../report/panel_grid.ts";
import { enlarge, mapPanel, robustRange } from "../report/panels.ts";
import type { StudyMaps } from "./read_study.ts";
import {
  bySubject,
  categoryIn,
  type ReportBackbone,
  type ReportCell,
  type ReportData,
  short,
} from "./study_report_data.ts";

/** The heading of the figure. */
export const PANELS_TITLE = "Maps over images";

/** Regions that the field names first for each category. */
const FIRST = ["FFA", "EBA", "PPA", "VWFA", "food"];
/** Regions where none has a category. */
const ANY = 5;
/** Least side of a map's picture: values are brought to it, so that colours follow them between patches. */
const FINE = 32;
/** Rows of the overview, and side of its panels. */
const OVERVIEW_ROWS = 6;
const OVERVIEW_SIDE = 128;

/** One region for each category: the one that the field names first, else the study's first; some where none has a category. */
export function shownRois(data: ReportData, { roiNames }: StudyMaps): string[] {
  const plain = (name: string) => name.replace(/^[lr]h\./, "").replace(/-[12]$/, "");
  const categories = new Set(roiNames.flatMap((roi) => categoryIn(data, roi) ?? []));
  const chosen = [...categories].map((category) => {
    const own = roiNames.filter((roi) => categoryIn(data, roi) === category);
    return own.find((roi) => FIRST.includes(plain(roi))) ?? own[0];
  });
  const place = (roi: string) => {
    const at = FIRST.indexOf(plain(roi));
    return at < 0 ? FIRST.length : at;
  };
  if (chosen.length === 0) return roiNames.slice(0, ANY);
  return chosen.sort((a, b) => place(a) - place(b));
}

/** A way of making maps that a study keeps. */
type Method = "distilled" | "plain";

/** A region's map of the image at a place among the shown ones. */
function mapOf(maps: StudyMaps, method: Method, image: number, roi: string): Float32Array {
  const area = maps.grid[0] * maps.grid[1];
  const r = maps.roiNames.indexOf(roi);
  return maps[method][image].subarray(r * area, (r + 1) * area);
}

/** The range of a region's maps of the shown images. */
export function rangeOf(maps: StudyMaps, method: Method, roi: string): ValueRange {
  const all = maps[method].flatMap((_, i) => Array.from(mapOf(maps, method, i, roi)));
  return robustRange(Float32Array.from(all));
}

/** A map in colours, on its grid or finer. */
function mapPicture(
  map: Float32Array,
  { grid: [height, width], range, colormap }: {
    readonly grid: Grid;
    readonly range: ValueRange;
    readonly colormap?: ColormapName;
  },
): RgbImage {
  const size: Grid = [Math.max(FINE, height), Math.max(FINE, width)];
  const options = { layout: "chw", channels: 1, height, width, size, mode: "bilinear" } as const;
  const { data } = interpolate(map, options);
  return colorize(data, { height: size[0], width: size[1], range, colormap });
}

/** A region's map over the image at a place among the shown ones. */
export function overImage(
  data: ReportData,
  maps: StudyMaps,
  { method, image, roi, range }: {
    readonly method: Method;
    readonly image: number;
    readonly roi: string;
    readonly range: ValueRange;
  },
): GridPanel {
  const name = data.shown[image];
  const alt = `what in ${name} drives ${roi}`;
  const over = mapPicture(mapOf(maps, method, image, roi), { grid: maps.grid, range });
  return { image: data.pictures.show(name, { alt, over }), alt };
}

/** Panels of one subject and backbone. */
function grid(data: ReportData, { maps }: ReportCell, method: Method): Html {
  const rois = shownRois(data, maps).map((roi) => ({ roi, range: rangeOf(maps, method, roi) }));
  const columns = [
    { name: "image" },
    ...rois.map(({ roi }) => {
      const category = categoryIn(data, roi);
      return { name: roi, about: category === roi ? undefined : category };
    }),
  ];
  const rows = data.shown.flatMap((name, i) => {
    if (!data.pictures.has(name)) return [];
    const own = { image: data.pictures.show(name, { alt: name }), alt: name };
    const panels = rois.map(({ roi, range }) =>
      overImage(data, maps, { method, image: i, roi, range })
    );
    return [{ panels: [own, ...panels] }];
  });
  return panelGrid({ columns, rows });
}

function drawBackbone(data: ReportData, { results }: ReportBackbone, cell: ReportCell): Html {
  const title = `${results.name}, ${cell.results.name}`;
  return html`${grid(data, cell, "distilled")}${
    foldAway(`${title}: the same without distillation`, grid(data, cell, "plain"))
  }`;
}

/** The distilled maps of the first subject's panels: one patch each. Those of all would be larger than the page. */
function mapRecords(data: ReportData, rois: readonly string[]): CsvCell[][] {
  const records = data.backbones.flatMap(({ results, cells: [{ maps }] }) =>
    data.shown.flatMap((image, i) => {
      const own = rois.map((roi) => mapOf(maps, "distilled", i, roi));
      const width = maps.grid[1];
      return Array.from({ length: maps.grid[0] * width }, (_, p): CsvCell[] => [
        ...[results.name, image, Math.floor(p / width), p % width],
        ...own.map((map) => short(map[p])),
      ]);
    })
  );
  return [["backbone", "image", "row", "column", ...rois], ...records];
}

/** The figure. */
export function panelsFigure(data: ReportData): Html {
  const draw = (subject: number) => {
    const [first, ...others] = data.backbones.map((backbone) => ({
      name: backbone.results.name,
      drawn: drawBackbone(data, backbone, backbone.cells[subject]),
    }));
    const folded = others.map(({ name, drawn }) => foldAway(name, drawn));
    return html`${
      others.length > 0 ? html`<h4>${first.name}</h4>` : undefined
    }${first.drawn}${folded}`;
  };
  const [{ maps: first }] = data.backbones[0].cells;
  const { name } = data.results.subjects[0];
  return figureBlock({
    title: PANELS_TITLE,
    lead:
      "Test images that regions are predicted to like most, by the first subject's encoder on the first backbone. A map says how much every patch would add to the predicted response of a region, mean over its voxels.",
    body: html`${bySubject(data, draw)}${
      rangeScale([0, 1], "of the range of a region's maps of these images", "viridis")
    }`,
    note:
      "Each region has one range, its maps' 1st to 99th hundredth over the images of the panel, so that absence shows too. Every map of every mapped image is in the study's maps.h5.",
    downloads: [
      csvDownload("maps.csv", mapRecords(data, shownRois(data, first)), `${name}: maps, CSV`),
    ],
  });
}

/** The panels of the first subject and backbone as a picture. */
export function overviewPicture(
  data: ReportData,
  imageOf: (name: string) => RgbImage | undefined,
): RgbImage | undefined {
  const { maps } = data.backbones[0].cells[0];
  const rois = shownRois(data, maps).map((roi) => ({
    roi,
    range: rangeOf(maps, "distilled", roi),
  }));
  const pictures = data.shown.flatMap((name, i) => {
    const image = imageOf(name);
    if (!image) return [];
    const panels = rois.map(({ roi, range }) =>
      mapPanel(image, Float32Array.from(mapOf(maps, "distilled", i, roi)), {
        grid: maps.grid,
        range,
        side: OVERVIEW_SIDE,
      })
    );
    return [[enlarge(image, OVERVIEW_SIDE), ...panels]];
  }).slice(0, OVERVIEW_ROWS);
  if (pictures.length === 0) return undefined;
  return mosaic(pictures.flat(), { columns: pictures[0].length, gap: 4 });
}
