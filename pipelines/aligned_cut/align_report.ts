/**
 * The report of a channel alignment: one page that stands alone, with what it predicts, how it was trained, and what its controls leave.
 *
 * @module
 */
import type { AlignmentParts } from "../encoding/alignment/alignment.ts";
import { type Html, html, htmlPage } from "../report/html.ts";
import { type AlignReportData, type AlignReportOptions, reportData } from "./align_report_data.ts";
import { EFFECTS_TITLE, effectsFigure } from "./align_report_effects.ts";
import { reportHead } from "./align_report_head.ts";
import { LAYERS_TITLE, layersFigure, VOXELS_TITLE, voxelsFigure } from "./align_report_r2.ts";
import { REGIONS_TITLE, regionsFigure } from "./align_report_regions.ts";
import { SCORES_TITLE, scoresFigure } from "./align_report_scores.ts";
import { TRAINING_TITLE, trainingFigure } from "./align_report_training.ts";

/** A report of an alignment. */
export interface AlignReport {
  /** The page, one HTML file without any other. */
  readonly page: string;
  /** Headings of its figures. */
  readonly titles: readonly string[];
}

/** Every figure in the order of the page, with what it cannot do without. */
const FIGURES: readonly {
  readonly title: string;
  readonly draw: (data: AlignReportData) => Html;
  readonly isThere?: (data: AlignReportData) => boolean;
}[] = [
  { title: EFFECTS_TITLE, draw: effectsFigure },
  { title: SCORES_TITLE, draw: scoresFigure, isThere: ({ controls }) => controls !== undefined },
  { title: VOXELS_TITLE, draw: voxelsFigure },
  { title: LAYERS_TITLE, draw: layersFigure },
  { title: REGIONS_TITLE, draw: regionsFigure, isThere: ({ regions }) => regions.length > 0 },
  { title: TRAINING_TITLE, draw: trainingFigure },
];

/**
 * Makes the report of an alignment, with its controls and by regions where they are given.
 *
 * @throws {InputError} when a region has voxels that the alignment has not
 */
export function alignReport(
  alignment: AlignmentParts,
  options: AlignReportOptions = {},
): AlignReport {
  const data = reportData(alignment, options);
  const shown = FIGURES.filter(({ isThere }) => isThere?.(data) ?? true);
  const titles = shown.map(({ title }) => title);
  const body = html`${reportHead(data, titles)}${shown.map(({ draw }) => draw(data))}`;
  return { page: htmlPage(data.title, body), titles };
}
