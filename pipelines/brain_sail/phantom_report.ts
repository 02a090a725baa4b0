/**
 * The page of a phantom study: what was found, beside what is true.
 *
 * @module
 */
import { median } from "../stats/median.ts";
import { mosaic } from "../images/mosaic.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import type { Phantom } from "../phantom/phantom.ts";
import { categoryMask } from "../phantom/render.ts";
import { ROIS } from "../phantom/sheet.ts";
import type { CsvCell } from "../io/csv.ts";
import { colorScale, shareBar } from "../report/charts.ts";
import { csvDownload } from "../report/download.ts";
import { cards, figureBlock, numberCard } from "../report/figure_block.ts";
import { type FlatMap, flatMap, flatMapRecords } from "../report/flat_map.ts";
import { type Html, html, htmlPage } from "../report/html.ts";
import { formatNumber } from "../report/numbers.ts";
import { panelGrid } from "../report/panel_grid.ts";
import type { DataTable } from "../report/table.ts";
import { tableBlock } from "../report/table_block.ts";
import { enlarge, mapPanel, robustRange } from "../report/panels.ts";
import { isJudgeable, meanScore } from "./evaluate.ts";
import { type DrivenRegion, phantomImage, type StudyResult } from "./phantom_study.ts";

/** Facts about the run that the page names. */
export interface RunFacts {
  /** Driver's name of the device. */
  readonly adapter: string;
  /** What was run. */
  readonly model: string;
  /** Seconds of everything. */
  readonly total: number;
  /** Seconds of the making of the phantom. */
  readonly phantomSeconds: number;
}

/** The three numbers that matter. */
export interface Headline {
  /** Median over voxels of category regions of R² as a share of the noise ceiling. */
  readonly r2OfCeiling: number;
  /** Mean Pearson correlation of the distilled maps with the masks. */
  readonly distilled: number;
  /** The same without distillation. */
  readonly notDistilled: number;
}

/** Side of a panel in pixels. */
const PANEL = 128;
/** Images on the page, and in the picture of the README. */
const ROWS = 10;
const PICTURE_ROWS = 4;

/** R² of voxels as a share of their noise ceilings; voxels that nothing can be explained of are left out. */
function shares(phantom: Phantom, { r2 }: StudyResult, voxels: ArrayLike<number>): number[] {
  const [{ noiseCeiling }] = phantom.subjects;
  return Array.from(voxels).filter((v) => noiseCeiling[v] > 0).map((v) => r2[v] / noiseCeiling[v]);
}

/** The numbers that the demo ends with. */
export function headline(phantom: Phantom, study: StudyResult): Headline {
  const all = study.regions.flatMap(({ voxels }) => Array.from(voxels));
  const [distilled, plain] = study.methods.map(({ scores }) => meanScore(scores).pearson);
  return {
    r2OfCeiling: median(shares(phantom, study, all)),
    distilled,
    notDistilled: plain,
  };
}

/** One region for each category, the later one of the pair: the one that the field names first. */
function shownRegions({ regions }: StudyResult): { region: DrivenRegion; index: number }[] {
  const wanted = ["FFA", "EBA", "PPA", "VWFA", "food"];
  return wanted.flatMap((name) => {
    const index = regions.findIndex((region) => region.name === name);
    return index < 0 ? [] : [{ region: regions[index], index }];
  });
}

/** Pictures of one image: itself, then its map of each shown region with the true mask outlined. */
function pictureRow(phantom: Phantom, study: StudyResult, row: number): RgbImage[] {
  const { mapped, grid, regions, methods: [{ maps }] } = study;
  const area = grid[0] * grid[1];
  const image = phantomImage(phantom, mapped[row]);
  const mapOf = (i: number, r: number) => {
    const start = (i * regions.length + r) * area;
    return maps.subarray(start, start + area);
  };
  const panels = shownRegions(study).map(({ region, index }) => {
    const all = new Float32Array(mapped.length * area);
    mapped.forEach((_, i) => all.set(mapOf(i, index), i * area));
    const mask = categoryMask(phantom.images[mapped[row]].rendered, region.category);
    const range = robustRange(all);
    return mapPanel(image, mapOf(row, index), { grid, range, mask, side: PANEL });
  });
  return [enlarge(image, PANEL), ...panels];
}

/** Rows to show first: the images with most categories. */
function showiest(phantom: Phantom, { mapped, regions }: StudyResult): number[] {
  const categories = [...new Set(regions.map(({ category }) => category))];
  const count = (i: number) =>
    categories.filter((c) => isJudgeable(categoryMask(phantom.images[mapped[i]].rendered, c)))
      .length;
  return [...mapped.keys()].sort((a, b) => count(b) - count(a) || a - b);
}

/** The demo's picture: images and their maps. */
export function studyPicture(phantom: Phantom, study: StudyResult): RgbImage {
  const rows = showiest(phantom, study).slice(0, PICTURE_ROWS);
  const pictures = rows.map((row) => pictureRow(phantom, study, row));
  return mosaic(pictures.flat(), { columns: pictures[0].length, gap: 4 });
}

function panels(phantom: Phantom, study: StudyResult): Html {
  const shown = shownRegions(study);
  const columns = [
    { name: "image" },
    ...shown.map(({ region: { name, category } }) => ({
      name,
      ...(category === name ? {} : { about: category }),
    })),
  ];
  const rows = showiest(phantom, study).slice(0, ROWS).map((row) => {
    const caption = phantom.images[study.mapped[row]].caption;
    return {
      panels: pictureRow(phantom, study, row).map((image, i) => ({
        image,
        alt: i === 0 ? caption : `what drives ${shown[i - 1].region.name}: ${caption}`,
      })),
    };
  });
  return panelGrid({ columns, rows });
}

/** The values of the maps on the page: one patch each. */
function mapRecords(phantom: Phantom, study: StudyResult): CsvCell[][] {
  const { grid: [height, width], regions, methods: [{ maps }] } = study;
  const area = height * width;
  const records = showiest(phantom, study).slice(0, ROWS).flatMap((row) =>
    shownRegions(study).flatMap(({ region, index }) =>
      Array.from({ length: area }, (_, p): CsvCell[] => [
        study.mapped[row],
        region.name,
        Math.floor(p / width),
        p % width,
        maps[(row * regions.length + index) * area + p],
      ])
    )
  );
  return [["image", "region", "row", "column", "relevance"], ...records];
}

/** A region as rows of tables name it. */
function regionLabel({ name, category }: DrivenRegion): string {
  return category === name ? name : `${name} (${category})`;
}

function scores(study: StudyResult, of: "pearson" | "iou"): DataTable {
  return {
    columns: [
      { name: "region" },
      ...study.methods.map(({ name, about }) => ({ name, about })),
      { name: "images" },
    ],
    rows: study.regions.map((region, r) => [
      regionLabel(region),
      ...study.methods.map(({ scores }) => scores[r][of]),
      study.methods[0].scores[r].nImages,
    ]),
    summary: [
      "mean",
      ...study.methods.map(({ scores }) => meanScore(scores)[of]),
      undefined,
    ],
  };
}

function encoder(phantom: Phantom, study: StudyResult): DataTable {
  const [{ sheet, noiseCeiling }] = phantom.subjects;
  const rows = ROIS.flatMap((name, label) => {
    const voxels = [...sheet.roi.keys()].filter((v) => sheet.roi[v] === label);
    if (voxels.length === 0) return [];
    const share = median(shares(phantom, study, voxels));
    const r2 = median(voxels.map((v) => study.r2[v]));
    const ceiling = median(voxels.map((v) => noiseCeiling[v]));
    return [[name, voxels.length, r2, ceiling, share, shareBar(share)]];
  });
  const columns = ["region", "voxels", "R²", "ceiling", "R² / ceiling", ""];
  return { columns: columns.map((name) => ({ name })), rows };
}

/** R² as a share of the noise ceiling, voxel by voxel. */
function cortex(phantom: Phantom, { r2 }: StudyResult): FlatMap {
  const [{ sheet, noiseCeiling }] = phantom.subjects;
  return {
    flat: sheet.flat,
    spacing: sheet.spacing,
    values: Array.from(r2, (value, v) => noiseCeiling[v] > 0 ? value / noiseCeiling[v] : NaN),
    range: [0, 1],
    region: sheet.roi,
    names: ROIS,
    hemisphere: sheet.hemisphere,
    label: "R² as a share of the noise ceiling on the flattened cortex",
  };
}

function timings({ seconds }: StudyResult, { phantomSeconds, total }: RunFacts): DataTable {
  const stages = [["phantom", phantomSeconds] as const, ...seconds, ["everything", total] as const];
  return {
    columns: [{ name: "stage" }, { name: "seconds", digits: 1 }],
    rows: stages.map(([stage, s]) => [stage, s]),
  };
}

function headlineCards(phantom: Phantom, study: StudyResult): Html {
  const { r2OfCeiling, distilled, notDistilled } = headline(phantom, study);
  return cards([
    numberCard(
      formatNumber(r2OfCeiling),
      "of the noise ceiling explained by the encoder (median R² over voxels of category regions)",
    ),
    numberCard(
      formatNumber(distilled, 3),
      "mean correlation of the maps with the true masks, distilled",
    ),
    numberCard(formatNumber(notDistilled, 3), "the same without distillation"),
  ]);
}

/** The page, as one HTML file. */
export function studyReport(phantom: Phantom, study: StudyResult, run: RunFacts): string {
  const { nTrain, nTest, seed, size } = phantom.options;
  const map = cortex(phantom, study);
  const methods = study.methods.map(({ name, about }) => html`<b>${name}</b>: ${about}<br>`);
  const body = html`
    <h1>What drives each region of a simulated brain</h1>
    <p
      class="soft">A phantom with seed ${seed}: ${nTrain} + ${nTest} rendered scenes of ${size} × ${size} pixels and simulated responses. Its scores say what the software does, never what brains do.</p>
    ${headlineCards(phantom, study)}
    ${figureBlock({
      title: "Maps",
      lead:
        "Test images on the left. Each map shows how much every patch adds to the predicted response of a region (viridis, one range per region, so that absence shows too). The white line is the true outline of the region's category: no map has seen it.",
      body: panels(phantom, study),
      downloads: [csvDownload("maps.csv", mapRecords(phantom, study))],
    })}
    ${tableBlock(scores(study, "pearson"), {
      title: "The maps against the true masks: correlation",
      lead:
        "Mean Pearson correlation with the mask of the region's category, over the mapped test images that show it.",
      note: html`${methods}`,
      file: "correlation.csv",
    })}
    ${tableBlock(scores(study, "iou"), {
      title: "Intersection over union",
      lead: "Of the mask and as many of the map's highest pixels as the mask has.",
      file: "iou.csv",
    })}
    ${figureBlock({
      title: "The encoder on the cortex",
      lead:
        "R² of every voxel on the test images as a share of its noise ceiling. Two flattened hemispheres, occipital poles in the middle. Early regions respond to edges at places, which a class token says little about.",
      body: html`<div class="card">${flatMap(map)}${
        colorScale("0", "1 = all that noise leaves")
      }</div>`,
      downloads: [csvDownload("cortex.csv", flatMapRecords(map))],
    })}
    ${tableBlock(encoder(phantom, study), {
      title: "R² against the ceiling",
      lead: "Medians over the voxels of a region.",
      file: "encoder.csv",
    })}
    ${tableBlock(timings(study, run), {
      title: "Time",
      lead: `${run.model} on ${run.adapter}; maps of ${study.mapped.length} images on a grid of ${
        study.grid.join(" × ")
      } patches.`,
      file: "seconds.csv",
    })}
  `;
  return htmlPage("Gyrus demo: what drives each region", body);
}
