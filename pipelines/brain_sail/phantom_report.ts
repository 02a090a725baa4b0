/**
 * The page of a phantom study: what was found, beside what is true.
 *
 * @module
 */
import { mosaic } from "../images/mosaic.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import type { Phantom } from "../phantom/phantom.ts";
import { categoryMask } from "../phantom/render.ts";
import { ROIS } from "../phantom/sheet.ts";
import { colorScale, flatMap, shareBar } from "../report/charts.ts";
import { figure, type Html, html, htmlPage } from "../report/html.ts";
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

/** The middle value; NaN of nothing. */
export function medianOf(values: readonly number[]): number {
  if (values.length === 0) return NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

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
    r2OfCeiling: medianOf(shares(phantom, study, all)),
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

function panelTable(phantom: Phantom, study: StudyResult): Html {
  const shown = shownRegions(study);
  const heads = [
    html`<th>image</th>`,
    ...shown.map(({ region }) =>
      html`<th>${region.name}<br><span class="soft">${
        region.category === region.name ? "" : region.category
      }</span></th>`
    ),
  ];
  const rows = showiest(phantom, study).slice(0, ROWS).map((row) => {
    const caption = phantom.images[study.mapped[row]].caption;
    const cells = pictureRow(phantom, study, row).map((picture, i) => {
      const alt = i === 0 ? caption : `what drives ${shown[i - 1].region.name}: ${caption}`;
      return html`<td title="${alt}">${figure(picture, alt)}</td>`;
    });
    return html`<tr>${cells}</tr>`;
  });
  return html`
    <div class="scroll">
      <table class="panels">
        <thead>
          <tr>${heads}</tr>
        </thead>
        <tbody>${rows}</tbody>
      </table>
    </div>
  `;
}

function number(value: number, digits = 2): string {
  return Number.isFinite(value) ? value.toFixed(digits) : "–";
}

function scoreTable(study: StudyResult, of: "pearson" | "iou"): Html {
  const heads = study.methods.map(({ name, about }) => html`<th title="${about}">${name}</th>`);
  const rows = study.regions.map(({ name, category }, r) => {
    const cells = study.methods.map(({ scores }) => html`<td>${number(scores[r][of])}</td>`);
    const images = study.methods[0].scores[r].nImages;
    return html`<tr><td>${name} <span class="soft">${
      category === name ? "" : category
    }</span></td>${cells}<td class="soft">${images}</td></tr>`;
  });
  const means = study.methods.map(({ scores }) =>
    html`<td>${number(meanScore(scores)[of], 3)}</td>`
  );
  return html`
    <div class="scroll">
      <table>
        <thead>
          <tr><th>region</th>${heads}<th>images</th></tr>
        </thead>
        <tbody>${rows}<tr class="mean"><td>mean</td>${means}<td></td></tr></tbody>
      </table>
    </div>
  `;
}

function encoderTable(phantom: Phantom, study: StudyResult): Html {
  const [{ sheet, noiseCeiling }] = phantom.subjects;
  const rows = ROIS.flatMap((name, label) => {
    const voxels = [...sheet.roi.keys()].filter((v) => sheet.roi[v] === label);
    if (voxels.length === 0) return [];
    const share = medianOf(shares(phantom, study, voxels));
    const r2 = medianOf(voxels.map((v) => study.r2[v]));
    const ceiling = medianOf(voxels.map((v) => noiseCeiling[v]));
    return [html`
      <tr>
        <td>${name}</td>
        <td>${voxels.length}</td>
        <td>${number(r2)}</td>
        <td>${number(ceiling)}</td>
        <td>${number(share)}</td>
        <td>${shareBar(share)}</td>
      </tr>
    `];
  });
  return html`
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th>region</th>
            <th>voxels</th>
            <th>R²</th>
            <th>ceiling</th>
            <th>R² / ceiling</th>
            <th></th>
          </tr>
        </thead>
        <tbody>${rows}</tbody>
      </table>
    </div>
  `;
}

function cortex(phantom: Phantom, { r2 }: StudyResult): Html {
  const [{ sheet, noiseCeiling }] = phantom.subjects;
  const values = Array.from(r2, (value, v) => noiseCeiling[v] > 0 ? value / noiseCeiling[v] : NaN);
  const map = flatMap({
    flat: sheet.flat,
    spacing: sheet.spacing,
    values,
    region: sheet.roi,
    names: ROIS,
    hemisphere: sheet.hemisphere,
  });
  return html`<div class="card">${map}${colorScale("0", "1 = all that noise leaves")}</div>`;
}

function timings({ seconds }: StudyResult, { phantomSeconds, total }: RunFacts): Html {
  const rows = [["phantom", phantomSeconds] as const, ...seconds, ["everything", total] as const]
    .map(([stage, s]) =>
      html`
        <tr>
          <td>${stage}</td>
          <td>${number(s, 1)} s</td>
        </tr>
      `
    );
  return html`
    <div class="scroll">
      <table>
        <tbody>${rows}</tbody>
      </table>
    </div>
  `;
}

/** The page, as one HTML file. */
export function studyReport(phantom: Phantom, study: StudyResult, run: RunFacts): string {
  const { r2OfCeiling, distilled, notDistilled } = headline(phantom, study);
  const { nTrain, nTest, seed, size } = phantom.options;
  const methods = study.methods.map(({ name, about }) => html`<li><b>${name}</b>: ${about}</li>`);
  const body = html`
    <h1>What drives each region of a simulated brain</h1>
    <p
      class="soft">A phantom with seed ${seed}: ${nTrain} + ${nTest} rendered scenes of ${size} × ${size} pixels and simulated responses. Its scores say what the software does, never what brains do.</p>
    <div class="cards">
      <div
        class="card"><b>${number(
          r2OfCeiling,
        )}</b>of the noise ceiling explained by the encoder (median R² over voxels of category regions)</div>
      <div
        class="card"><b>${number(
          distilled,
          3,
        )}</b>mean correlation of the maps with the true masks, distilled</div>
      <div class="card"><b>${number(notDistilled, 3)}</b>the same without distillation</div>
    </div>
    <h2>Maps</h2>
    <p>Test images on the left. Each map shows how much every patch adds to the predicted response of a region (viridis, one range per region, so that absence shows too). The white line is the true outline of the region's category: no map has seen it.</p>
    ${panelTable(phantom, study)}
    <h2>The maps against the true masks: correlation</h2>
    <p>Mean Pearson correlation with the mask of the region's category, over the mapped test images that show it.</p>
    ${scoreTable(study, "pearson")}
    <ul class="soft">${methods}</ul>
    <h2>Intersection over union</h2>
    <p>Of the mask and as many of the map's highest pixels as the mask has.</p>
    ${scoreTable(study, "iou")}
    <h2>The encoder on the cortex</h2>
    <p>R² of every voxel on the test images as a share of its noise ceiling. Two flattened hemispheres, occipital poles in the middle. Early regions respond to edges at places, which a class token says little about.</p>
    ${cortex(phantom, study)}
    <h2>R² against the ceiling</h2>
    <p>Medians over the voxels of a region.</p>
    ${encoderTable(phantom, study)}
    <h2>Time</h2>
    <p
      class="soft">${run.model} on ${run.adapter}; maps of ${study.mapped
        .length} images on a grid of ${study.grid.join(" × ")} patches.</p>
    ${timings(study, run)}
  `;
  return htmlPage("Gyrus demo: what drives each region", body);
}
