/**
 * The report of a study: one page that stands alone, with every figure of the study and the numbers behind it.
 *
 * @module
 */
import type { LongCall } from "../encoding/linear_model.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { type Html, html, htmlPage } from "../report/html.ts";
import { cortexPainter } from "./cortex_painter.ts";
import { readStudyImage, readStudyResults } from "./read_study.ts";
import { CAPTIONS_TITLE, captionsFigure } from "./study_report_captions.ts";
import { COLORS_TITLE, colorsFigure } from "./study_report_colors.ts";
import { COMPARISON_TITLE, comparisonFigure } from "./study_report_comparison.ts";
import { CONTROL_TITLE, controlFigure } from "./study_report_control.ts";
import { readReportData, type ReportData } from "./study_report_data.ts";
import {
  CORTEX_TITLE,
  cortexFigure,
  ENCODERS_TITLE,
  encodersFigure,
} from "./study_report_encoders.ts";
import { reportHead } from "./study_report_head.ts";
import { LOCALIZATION_TITLE, localizationFigure } from "./study_report_localization.ts";
import { overviewPicture, PANELS_TITLE, panelsFigure } from "./study_report_panels.ts";
import { PROPERTIES_TITLE, propertiesFigure } from "./study_report_properties.ts";
import { TOP_TITLE, topFigure } from "./study_report_top.ts";
import type { Settings } from "./study_settings.ts";
import { readDrawing } from "./study_surfaces.ts";

/** A report. */
export interface StudyReport {
  /** The page, one HTML file without any other. */
  readonly page: string;
  /** Images with the maps of the first subject by the first backbone; undefined where the study kept no image. */
  readonly overview?: RgbImage;
  /** Headings of its figures. */
  readonly titles: readonly string[];
}

/** Every figure in the order of the page. */
const FIGURES: readonly (readonly [title: string, draw: (data: ReportData) => Html])[] = [
  [PANELS_TITLE, panelsFigure],
  [LOCALIZATION_TITLE, localizationFigure],
  [ENCODERS_TITLE, encodersFigure],
  [CORTEX_TITLE, cortexFigure],
  [CAPTIONS_TITLE, captionsFigure],
  [PROPERTIES_TITLE, propertiesFigure],
  [COLORS_TITLE, colorsFigure],
  [TOP_TITLE, topFigure],
  [COMPARISON_TITLE, comparisonFigure],
  [CONTROL_TITLE, controlFigure],
];

/**
 * Makes the report of a study from its folder, as `gyrus localize` writes it.
 *
 * @param settings of the figures: `nShown`, surfaces, `volume`, `anatomy`; paths may hold `{subject}`
 * @throws {InputError} when something is missing or damaged, or a surface does not suit the voxels
 */
export async function studyReport(
  folder: string,
  settings: Settings = {},
  { onProgress }: Pick<LongCall, "onProgress"> = {},
): Promise<StudyReport> {
  const nShown = typeof settings.nShown === "number" ? settings.nShown : Infinity;
  const read = await readReportData(folder, nShown);
  const painters = [];
  for (const { results: { name }, voxels } of read.backbones[0].cells) {
    const drawing = await readDrawing(settings, name, voxels.places);
    painters.push(cortexPainter(voxels, drawing));
  }
  const data: ReportData = { ...read, painters };
  const titles = FIGURES.map(([title]) => title);
  const total = FIGURES.length;
  const figures = FIGURES.map(([, draw], done) => {
    onProgress?.({ stage: "figures", done, total });
    return draw(data);
  });
  onProgress?.({ stage: "figures", done: total, total });
  const body = html`${reportHead(data, titles)}${figures}`;
  return {
    page: htmlPage("BrainSAIL: what in images drives each region", body, data.pictures.style()),
    overview: overviewPicture(data, (name) => readStudyImage(folder, name)),
    titles,
  };
}

/** The settings that a study was run with, for what a report is not told. */
export function settingsOfStudy(folder: string): Settings {
  return readStudyResults(folder).settings as Settings;
}
