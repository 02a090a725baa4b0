/**
 * The report of an experiment: one page that stands alone, with the images, what encoders predict for them, controls, and what was
 * measured.
 *
 * @module
 */
import type { RgbImage } from "../images/rgb_image.ts";
import { writeJpeg } from "../io/jpeg.ts";
import { cards, contents, figureBlock, numberCard } from "../report/figure_block.ts";
import { attribute, dataUri, type Html, html, htmlPage } from "../report/html.ts";
import { formatNumber } from "../report/numbers.ts";
import { type GridPanel, panelGrid } from "../report/panel_grid.ts";
import type { Experiment } from "./experiment.ts";
import {
  ACROSS_TITLE,
  acrossFigure,
  MATRIX_TITLE,
  matrixFigure,
  OWN_TITLE,
  ownFigure,
} from "./experiment_report_regions.ts";
import {
  CONTRASTS_TITLE,
  contrastsFigure,
  CONTROLS_TITLE,
  controlsFigure,
  MEASURED_TITLE,
  measuredFigure,
  SCREEN_TITLE,
  screenFigure,
} from "./experiment_report_sets.ts";

/** A picture of a report. */
export interface ReportPicture {
  /** What it was made for. */
  readonly target: string;
  /** What tells it from others of the target, such as "seed 0" or "prepared". */
  readonly label: string;
  /** The picture. */
  readonly image: RgbImage;
}

/** What a report says beside its experiment. */
export interface ExperimentReportOptions {
  /** Heading of the page. */
  readonly title?: string;
  /** A few words each, below the heading. */
  readonly facts?: readonly string[];
  /** Pictures; targets in the order of their first. */
  readonly pictures?: readonly ReportPicture[];
}

/** A report of an experiment. */
export interface ExperimentReport {
  /** The page, one HTML file without any other. */
  readonly page: string;
  /** Headings of its figures. */
  readonly titles: readonly string[];
}

const IMAGES_TITLE = "The images";
const QUALITY = 88;

/** A picture as a JPEG inside of the page. */
function picture({ image, target, label }: ReportPicture): GridPanel {
  const alt = `made for ${target}, ${label}`;
  const source = dataUri("image/jpeg", writeJpeg(image, { quality: QUALITY }));
  const size = [attribute("width", `${image.width}`), attribute("height", `${image.height}`)];
  return {
    image: html`
      <img src="${source}" ${size} alt="${alt}">
    `,
    alt,
    note: label,
  };
}

function imagesFigure(pictures: readonly ReportPicture[]): Html {
  const targets = [...new Set(pictures.map(({ target }) => target))];
  const rows = targets.map((target) => pictures.filter((one) => one.target === target));
  const columns = Math.max(...rows.map((row) => row.length));
  return figureBlock({
    title: IMAGES_TITLE,
    lead: "What each region or contrast is predicted to respond to most.",
    body: panelGrid({
      columns: Array.from({ length: columns }, () => ({ name: "" })),
      rows: rows.map((row, t) => ({
        label: targets[t],
        panels: Array.from({ length: columns }, (_, c) => row[c] && picture(row[c])),
      })),
    }),
  });
}

/** Every figure in the order of the page, with what it cannot do without. */
const FIGURES: readonly {
  readonly title: string;
  readonly draw: (experiment: Experiment) => Html;
  readonly isThere?: (experiment: Experiment) => boolean;
}[] = [
  {
    title: MEASURED_TITLE,
    draw: measuredFigure,
    isThere: ({ subjects }) => subjects.some(({ measured }) => measured),
  },
  { title: MATRIX_TITLE, draw: matrixFigure },
  { title: OWN_TITLE, draw: ownFigure },
  {
    title: CONTROLS_TITLE,
    draw: controlsFigure,
    isThere: ({ subjects }) => subjects.some(({ conditions }) => conditions.length > 1),
  },
  {
    title: SCREEN_TITLE,
    draw: screenFigure,
    isThere: ({ subjects }) =>
      subjects.some(({ conditions }) => conditions.some(({ losses }) => losses)),
  },
  {
    title: CONTRASTS_TITLE,
    draw: contrastsFigure,
    isThere: ({ subjects }) => subjects.some(({ contrasts }) => contrasts.length > 0),
  },
  { title: ACROSS_TITLE, draw: acrossFigure, isThere: ({ subjects }) => subjects.length > 1 },
];

function head(
  experiment: Experiment,
  { title = "Images made for regions", facts = [] }: ExperimentReportOptions,
  titles: readonly string[],
): Html {
  const { subjects, regions, nImages } = experiment;
  const shown = [
    `${regions.length} regions`,
    `${nImages.reduce((a, b) => a + b, 0)} images`,
    `${subjects.length} ${subjects.length === 1 ? "subject" : "subjects"}`,
    ...facts,
  ];
  const countCards = subjects.slice(0, 4).flatMap(({ name, findings, measured }) => [
    numberCard(
      `${findings.dominance.count} of ${findings.dominance.of}`,
      `regions of ${name} are predicted to respond most to their own images (p = ${
        formatNumber(findings.dominance.pCount, 4)
      })`,
    ),
    ...(measured
      ? [numberCard(
        `${measured.findings.dominance.count} of ${measured.findings.dominance.of}`,
        `regions of ${name} responded most to their own images (p = ${
          formatNumber(measured.findings.dominance.pCount, 4)
        })`,
      )]
      : []),
  ]);
  return html`
    <h1>${title}</h1>
    <p class="soft">Voxel-weighted activation maximization: ${shown.join(" · ")}</p>
    ${cards(countCards)}
    <p>Predictions come from the encoders that images are made with, or are judged by: an image that was made to drive an encoder
    drives it, and says of the brain only what is measured. Images of a subject whose encoder had no part in them, and controls, say
    more than the matrix by itself.</p>
    ${contents(titles)}
  `;
}

/** Makes the report of an experiment. */
export function experimentReport(
  experiment: Experiment,
  options: ExperimentReportOptions = {},
): ExperimentReport {
  const { pictures = [], title = "Images made for regions" } = options;
  const shown = FIGURES.filter(({ isThere }) => isThere?.(experiment) ?? true);
  const titles = [
    ...(pictures.length > 0 ? [IMAGES_TITLE] : []),
    ...shown.map((figure) => figure.title),
  ];
  const body = html`${head(experiment, options, titles)}${
    pictures.length > 0 ? imagesFigure(pictures) : undefined
  }${shown.map(({ draw }) => draw(experiment))}`;
  return { page: htmlPage(title, body), titles };
}
