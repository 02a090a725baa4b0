/**
 * How well encoders predict, by region and on the cortex.
 *
 * @module
 */
import { rangeScale } from "../report/charts.ts";
import { csvDownload } from "../report/download.ts";
import { figureBlock, foldAway } from "../report/figure_block.ts";
import { type Html, html } from "../report/html.ts";
import { type Cell, type DataTable, dataTable } from "../report/table.ts";
import type { RoiFit } from "./encoders.ts";
import {
  besideBackbones,
  bySubject,
  meanOf,
  PLACE_COLUMNS,
  placeOf,
  recordsOf,
  regionLabel,
  type ReportCell,
  type ReportData,
  short,
} from "./study_report_data.ts";

/** The headings of the figures. */
export const ENCODERS_TITLE = "Encoders by region";
/** The heading of the maps. */
export const CORTEX_TITLE = "Encoders on the cortex";

/** Regions of all subjects, all voxels last. */
function regionNames({ backbones }: ReportData, subjects: readonly number[]): string[] {
  const fits = subjects.map((s) => backbones[0].cells[s].results.fits.map(({ name }) => name));
  const all = new Set(fits.flatMap((names) => names.slice(0, -1)));
  return [...all, fits[0][fits[0].length - 1]];
}

const PREDICTED =
  "voxels whose test responses go with the predictions more than with those of fits to permuted responses, q < 0.05";

/** R² beside the ceiling of some subjects, by backbone: means over them. */
function fitTable(data: ReportData, subjects: readonly number[]): DataTable {
  const { backbones } = data;
  const of = (b: number, name: string, value: (fit: RoiFit) => number): number =>
    meanOf(subjects.flatMap((s) => {
      const fit = backbones[b].cells[s].results.fits.find((one) => one.name === name);
      return fit ? [value(fit)] : [];
    }));
  const several = backbones.length > 1;
  const isTested = backbones.some(({ cells }) => cells.some(({ voxels }) => voxels.qPredicted));
  const columns = backbones.flatMap(({ results: { name } }) => {
    const own = several ? `${name}: ` : "";
    return [
      { name: `${own}R²`, digits: 2 },
      { name: `${own}R² / ceiling`, digits: 2 },
      ...(isTested ? [{ name: `${own}predicted`, about: PREDICTED, digits: 0 }] : []),
    ];
  });
  const row = (name: string): Cell[] => [
    regionLabel(data, name),
    Math.round(of(0, name, ({ nVoxels }) => nVoxels)),
    of(0, name, ({ ceiling }) => ceiling),
    ...backbones.flatMap((_, b) => [
      of(b, name, ({ r2 }) => r2),
      of(b, name, ({ share }) => share),
      ...(isTested ? [of(b, name, ({ nPredicted }) => nPredicted)] : []),
    ]),
  ];
  const names = regionNames(data, subjects);
  return {
    columns: [
      { name: "region" },
      { name: "voxels", about: subjects.length > 1 ? "mean over subjects" : "number of voxels" },
      { name: "ceiling", about: "share of the variance that noise leaves to explain", digits: 2 },
      ...columns,
    ],
    rows: names.slice(0, -1).map(row),
    summary: row(names[names.length - 1]),
  };
}

/** The tables: means over subjects, then each. */
export function encodersFigure(data: ReportData): Html {
  const subjects = data.results.subjects.map(({ name }) => name);
  const every = [...subjects.keys()];
  const each = subjects.length > 1
    ? subjects.map((name, s) => foldAway(name, dataTable(fitTable(data, [s]))))
    : [];
  const records = recordsOf(
    data,
    ["run", "region", "voxels", "predicted", "r2", "ceiling", "share"],
    ({ results, control }) =>
      [["responses", results] as const, ["control", control] as const].flatMap(([run, all]) =>
        (all?.fits ?? []).map(({ name, nVoxels, nPredicted, r2, ceiling, share }) => [
          ...[run, name, nVoxels, nPredicted],
          ...[r2, ceiling, share],
        ])
      ),
  );
  return figureBlock({
    title: ENCODERS_TITLE,
    lead:
      `R² of a linear encoder on class tokens of unit length, on images that it was not fitted on: medians over the voxels of a region${
        subjects.length > 1 ? ", means over subjects" : ""
      }.`,
    body: html`${dataTable(fitTable(data, every))}${each}`,
    note:
      "R² / ceiling is the median of the voxels' own ratios, over voxels with a ceiling above 0. Below 0, a prediction is worse than the mean. Predicted: voxels at q < 0.05 against fits to permuted responses (false discovery rate over voxels).",
    downloads: [csvDownload("encoders.csv", records)],
  });
}

/** R² as a share of the ceiling; NaN where there is none. */
function sharesOf({ voxels: { r2, noiseCeiling } }: ReportCell): number[] | undefined {
  return noiseCeiling &&
    Array.from(r2, (value, v) => noiseCeiling[v] > 0 ? value / noiseCeiling[v] : NaN);
}

/** The R² that all but a hundredth of the voxels stay below, rounded up to a tenth. */
function highest({ backbones }: ReportData): number {
  const all = backbones.flatMap(({ cells }) => cells.flatMap(({ voxels }) => [...voxels.r2]));
  const sorted = Float64Array.from(all).sort();
  return Math.max(0.1, Math.ceil(10 * sorted[Math.floor(0.99 * (sorted.length - 1))]) / 10);
}

/** The maps of voxels. */
export function cortexFigure(data: ReportData): Html {
  const { backbones, painters } = data;
  const most = highest(data);
  const draw = (subject: number) => {
    const name = data.results.subjects[subject].name;
    const paint = (kind: "R²" | "R² / ceiling") =>
      besideBackbones(backbones, ({ cells, results }) => {
        const values = kind === "R²" ? cells[subject].voxels.r2 : sharesOf(cells[subject]);
        if (!values) return undefined;
        // What is below 0 is as good as 0: nothing is explained.
        const range = [0, kind === "R²" ? most : 1] as const;
        const label = `${kind} of ${name} by ${results.name}`;
        return html`${painters[subject].paint({ values, range, label })}${rangeScale(range, kind)}`;
      }, { isStacked: true });
    const isKnown = backbones[0].cells[subject].voxels.noiseCeiling !== undefined;
    if (!isKnown) return paint("R²");
    return html`${paint("R² / ceiling")}${foldAway(`${name}: plain R²`, paint("R²"))}`;
  };
  const records = recordsOf(data, [...PLACE_COLUMNS, "r2", "q", "ceiling", "share"], (cell) => {
    const { voxels } = cell;
    const shares = sharesOf(cell);
    return Array.from(voxels.r2, (r2, v) => [
      ...placeOf(voxels, v),
      short(r2),
      short(voxels.qPredicted?.[v]),
      short(voxels.noiseCeiling?.[v]),
      short(shares?.[v]),
    ]);
  });
  return figureBlock({
    title: CORTEX_TITLE,
    lead: `Every voxel's R² on test images, on ${
      painters[0].about
    }. Without a colour: no noise ceiling above 0.`,
    body: bySubject(data, draw),
    downloads: [csvDownload("encoders_voxels.csv", records)],
  });
}
