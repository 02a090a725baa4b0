/**
 * What the figures of a study's report are made of, and how it is laid out for several subjects and backbones.
 *
 * @module
 */
import type { RgbImage } from "../images/rgb_image.ts";
import type { CsvCell } from "../io/csv.ts";
import { shrink } from "../images/pil_resize.ts";
import { foldAway } from "../report/figure_block.ts";
import { type Html, html } from "../report/html.ts";
import { PictureSheet } from "../report/picture_sheet.ts";
import type { CortexPainter } from "./cortex_painter.ts";
import { categoryOf } from "./localization.ts";
import {
  readStudyColors,
  readStudyImage,
  readStudyMaps,
  readStudyRecord,
  readStudyResults,
  readStudyVoxels,
  type StudyMaps,
  type StudyRecord,
  type StudyVoxels,
} from "./read_study.ts";
import type { BackboneResults, StudyResults, SubjectResults } from "./results.ts";

/** One subject's results by one backbone. */
export interface ReportCell {
  /** The numbers. */
  readonly results: SubjectResults;
  /** Those of the control; undefined where none was run. */
  readonly control?: SubjectResults;
  /** Its voxels. */
  readonly voxels: StudyVoxels;
  /** Maps of the shown images. */
  readonly maps: StudyMaps;
}

/** One backbone of a report. */
export interface ReportBackbone {
  /** The numbers. */
  readonly results: BackboneResults;
  /** Subjects, in the order of the study. */
  readonly cells: readonly ReportCell[];
  /** Colours of the patches of the shown images. */
  readonly colors?: readonly RgbImage[];
}

/** Everything that a report is made of. */
export interface ReportData {
  /** The numbers. */
  readonly results: StudyResults;
  /** What the record of the run says. */
  readonly record: StudyRecord;
  /** Names of the images in the panels. */
  readonly shown: readonly string[];
  /** Backbones, in the order of the study. */
  readonly backbones: readonly ReportBackbone[];
  /** Pictures of the page. */
  readonly pictures: PictureSheet;
  /** How values of voxels are drawn, by subject. */
  readonly painters: readonly CortexPainter[];
}

/** Longest side of a picture of the panels, and of one that is only among the best of a region. */
const SIDE = 160;
const SMALL = 88;

/**
 * Reads everything of a study that its report shows.
 *
 * @param nShown images in the panels at most
 * @throws {InputError} when something is missing or damaged
 */
export async function readReportData(
  folder: string,
  nShown: number,
): Promise<Omit<ReportData, "painters">> {
  const results = readStudyResults(folder);
  const shown = results.shown.slice(0, nShown);
  const backbones: ReportBackbone[] = [];
  for (const own of results.backbones) {
    const cells: ReportCell[] = [];
    for (const [s, { name: subject }] of results.subjects.entries()) {
      const where = { backbone: own.name, subject, images: shown };
      cells.push({
        results: own.subjects[s],
        control: own.controls[s],
        voxels: await readStudyVoxels(folder, own.name, subject),
        maps: await readStudyMaps(folder, where),
      });
    }
    const colors = await readStudyColors(folder, own.name, results.shown.length);
    backbones.push({ results: own, cells, colors: colors?.slice(0, nShown) });
  }
  const pictures = new PictureSheet();
  const tops = results.backbones.flatMap(({ subjects }) =>
    subjects.flatMap(({ top }) => top.flatMap(({ images }) => images))
  );
  for (const name of new Set([...shown, ...tops])) {
    const image = readStudyImage(folder, name);
    if (image) pictures.add(name, shrink(image, shown.includes(name) ? SIDE : SMALL));
  }
  return { results, record: readStudyRecord(folder), shown, backbones, pictures };
}

/** The category of a region, as the study was told. */
export function categoryIn({ results: { settings } }: ReportData, roi: string): string | undefined {
  return categoryOf(roi, settings.roiCategory as Record<string, string> | undefined);
}

/** A region as tables name it. */
export function regionLabel(data: ReportData, roi: string): string {
  const category = categoryIn(data, roi);
  return category === undefined || category === roi ? roi : `${roi} (${category})`;
}

/** What is drawn for each subject: the first to be seen at once, the others when they are asked for. */
export function bySubject(data: ReportData, draw: (subject: number) => Html): Html {
  const names = data.results.subjects.map(({ name }) => name);
  if (names.length === 1) return draw(0);
  const others = names.slice(1).map((name, s) => foldAway(name, draw(s + 1)));
  return html`<h3>${names[0]}</h3>${draw(0)}${others}`;
}

/** What is drawn for each backbone of a subject: side by side, or one below the other. */
export function besideBackbones(
  backbones: readonly ReportBackbone[],
  draw: (backbone: ReportBackbone) => Html | undefined,
  { isStacked = false }: { readonly isStacked?: boolean } = {},
): Html {
  const parts = backbones.flatMap((backbone) => {
    const drawn = draw(backbone);
    if (!drawn) return [];
    return [
      html`<div>${
        backbones.length > 1 ? html`<h4>${backbone.results.name}</h4>` : undefined
      }${drawn}</div>`,
    ];
  });
  return html`<div class="${isStacked ? "stacked" : "beside"}">${parts}</div>`;
}

/** Records for `csvOf()` of every backbone and subject, named in the first two columns. */
export function recordsOf(
  { backbones }: ReportData,
  columns: readonly string[],
  rowsOf: (cell: ReportCell, backbone: ReportBackbone) => readonly (readonly CsvCell[])[],
): CsvCell[][] {
  return [
    ["backbone", "subject", ...columns],
    ...backbones.flatMap((backbone) =>
      backbone.cells.flatMap((cell) =>
        rowsOf(cell, backbone)
          .map((row) => [backbone.results.name, cell.results.name, ...row])
      )
    ),
  ];
}

/** A number of a voxel: six digits say all that is known of it, and keep files small. */
export function short(value: number | undefined): number | undefined {
  return value === undefined || Number.isNaN(value) ? undefined : Number(value.toPrecision(6));
}

/** Where voxels lie, as the first columns of records. */
export const PLACE_COLUMNS: readonly string[] = [
  "voxel",
  "region",
  "hemisphere",
  "x",
  "y",
  "volume index",
];

/** The place of a voxel, for {@link PLACE_COLUMNS}. */
export function placeOf({ roi, roiNames, places }: StudyVoxels, v: number): CsvCell[] {
  const { flat, hemisphere, volume } = places;
  return [
    v,
    roiNames[roi[v]],
    hemisphere && (hemisphere[v] === 0 ? "left" : "right"),
    short(flat?.[2 * v]),
    short(flat?.[2 * v + 1]),
    volume?.volumeIndex[v],
  ];
}

/** Mean of what is a number; NaN of nothing. */
export function meanOf(values: readonly number[]): number {
  const known = values.filter((value) => !Number.isNaN(value));
  return known.reduce((sum, value) => sum + value, 0) / known.length;
}
