/**
 * The head of a study's report: what was run, and the numbers that matter.
 *
 * @module
 */
import { isJsonObject } from "../io/strict_json.ts";
import { cards, contents, foldAway, numberCard } from "../report/figure_block.ts";
import { type Html, html } from "../report/html.ts";
import { formatNumber } from "../report/numbers.ts";
import { type DataTable, dataTable } from "../report/table.ts";
import { expectedColumns, sharesRight } from "./study_report_captions.ts";
import { categoryIn, meanOf, type ReportBackbone, type ReportData } from "./study_report_data.ts";

/** A size as people write it. */
function sizeText(size: unknown): string {
  return isJsonObject(size) ? `${size.height} × ${size.width}` : String(size ?? "–");
}

/** How dense features were taken, in words. */
function denseText(dense: unknown): string {
  if (!isJsonObject(dense)) return String(dense ?? "–");
  const { dense: mode, arch, gaussianStd } = dense;
  const window = typeof gaussianStd === "number" ? [`window ${gaussianStd}`] : [];
  return [mode, arch].filter((part) => part !== undefined).map(String).concat(window).join(", ");
}

function backboneTable({ backbones }: ReportData): DataTable {
  return {
    columns: [
      { name: "backbone" },
      { name: "family" },
      { name: "features", about: "length of a class token and of a patch's feature" },
      { name: "encoder's image", about: "size in pixels of the image that gives the class token" },
      { name: "maps' image", about: "size in pixels of the image that gives the patches" },
      { name: "patches", about: "grid of the maps" },
      { name: "attention", about: "that of the last block" },
      { name: "views", about: "shifted and mirrored ones that are averaged; 1 is no distillation" },
    ],
    rows: backbones.map(({ results: { name, family, nFeatures, grid, settings } }) => [
      name,
      family,
      nFeatures,
      sizeText(settings.encoderSize),
      sizeText(settings.denseSize ?? settings.size),
      grid.join(" × "),
      denseText(settings.dense),
      typeof settings.nAugmentations === "number" ? settings.nAugmentations : undefined,
    ]),
  };
}

function subjectTable({ results: { subjects } }: ReportData): DataTable {
  return {
    columns: ["subject", "voxels", "images fitted on", "images tested on"]
      .map((name) => ({ name })),
    rows: subjects.map(({ name, nVoxels, nTrain, nTest }) => [name, nVoxels, nTrain, nTest]),
  };
}

/** Mean over subjects and category regions of the median R² as a share of the ceiling, or of R² where no ceiling is known. */
function encoderCard(data: ReportData, { results, cells }: ReportBackbone): Html {
  const own = cells.flatMap(({ results: { fits } }) => {
    const named = fits.filter(({ name }) => categoryIn(data, name) !== undefined);
    return named.length > 0 ? named : fits.slice(-1);
  });
  const share = meanOf(own.map((fit) => fit.share));
  const isKnown = !Number.isNaN(share);
  return numberCard(
    formatNumber(isKnown ? share : meanOf(own.map(({ r2 }) => r2))),
    html`
      <b
        class="of">${results.name}</b> ${isKnown
          ? "R² as a share of the noise ceiling"
          : "R²"}, median over the voxels of a region, mean over the category regions
    `,
  );
}

function mapCard({ results, cells }: ReportBackbone): Html | undefined {
  const last = cells.flatMap(({ results: { localization } }) => localization.slice(-1));
  const [found, shuffled] = [
    meanOf(last.map(({ scores }) => scores.distilled.pearson.mean)),
    meanOf(last.map((region) => region.shuffled.pearson.mean)),
  ];
  if (Number.isNaN(found)) return undefined;
  const beside = Number.isNaN(shuffled)
    ? undefined
    : `; encoders of shuffled responses: ${formatNumber(shuffled)}`;
  return numberCard(
    formatNumber(found),
    html`<b class="of">${results.name}</b> correlation of maps with true masks${beside}`,
  );
}

function captionCard(data: ReportData, backbone: ReportBackbone): Html | undefined {
  const share = sharesRight(data, backbone.cells.map(({ results }) => results));
  if (Number.isNaN(share)) return undefined;
  const { categories } = backbone.cells[0].results.confusion!;
  const due = expectedColumns(data, backbone.cells[0].results);
  const n = new Set(due.filter((name) => name !== undefined)).size;
  return numberCard(
    `${(100 * share).toFixed(0)} %`,
    html`
      <b
        class="of">${backbone.results
          .name}</b> of the top images of category regions get captions of their region's category (${n} of ${categories
          .length} categories have regions)
    `,
  );
}

/** What the page begins with. */
export function reportHead(data: ReportData, titles: readonly string[]): Html {
  const { results: { mapped, subjects, settings }, record, backbones } = data;
  const all = backbones.map((backbone) =>
    cards(
      [encoderCard(data, backbone), mapCard(backbone), captionCard(data, backbone)]
        .filter((card) => card !== undefined),
    )
  );
  const names = backbones.map(({ results: { name } }) => name).join(", ");
  const facts = [
    `${subjects.length} ${subjects.length === 1 ? "subject" : "subjects"}`,
    `${backbones.length} ${backbones.length === 1 ? "backbone" : "backbones"} (${names})`,
    `${mapped.length} images mapped`,
    ...(record.seed === undefined ? [] : [`seed ${record.seed}`]),
    ...(record.adapter === undefined ? [] : [record.adapter]),
  ];
  return html`
    <h1>What in images drives each region</h1>
    <p class="soft">BrainSAIL: ${facts.join(" · ")}</p>
    ${all}
    ${dataTable(backboneTable(data))}
    <p></p>
    ${dataTable(subjectTable(data))}
    ${foldAway(
      "All settings",
      html`<pre class="scroll">${JSON.stringify(settings, null, 1)}</pre>`,
    )}
    ${contents(titles)}
  `;
}
