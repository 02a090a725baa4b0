/**
 * How maps go with depth, saturation and luminance, by voxel and by region.
 *
 * @module
 */
import { rangeScale } from "../report/charts.ts";
import { csvDownload } from "../report/download.ts";
import { figureBlock, foldAway } from "../report/figure_block.ts";
import { type Html, html } from "../report/html.ts";
import { type Cell, type DataTable, dataTable } from "../report/table.ts";
import type { StudyVoxels } from "./read_study.ts";
import type { SubjectResults } from "./results.ts";
import {
  besideBackbones,
  bySubject,
  meanOf,
  PLACE_COLUMNS,
  placeOf,
  recordsOf,
  regionLabel,
  type ReportBackbone,
  type ReportData,
  short,
} from "./study_report_data.ts";

/** The heading of the figure. */
export const PROPERTIES_TITLE = "Depth, saturation and luminance";

const LEVEL = 0.05;

/** r of the voxels whose q is below the level; all where nothing was tested. */
function significant({ r2, correlates, qValues }: StudyVoxels, property: number): number[] {
  const n = r2.length;
  return Array.from(r2, (_, v) => {
    const at = property * n + v;
    return !qValues || qValues[at] < LEVEL ? correlates[at] : NaN;
  });
}

/** A range as wide on both sides of 0 that holds all of a property's shown values of a study. */
function reach(data: ReportData, property: number): number {
  const values = data.backbones.flatMap(({ cells }) =>
    cells.flatMap(({ voxels }) => significant(voxels, property).filter(Number.isFinite))
  );
  const most = values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  return most === 0 ? 1 : Math.ceil(most * 10) / 10;
}

/** Whether a property is known of any image. */
function isKnown({ backbones }: ReportData, property: number): boolean {
  return backbones.some(({ cells }) =>
    cells.some(({ voxels: { r2, correlates } }) =>
      correlates.subarray(property * r2.length, (property + 1) * r2.length)
        .some((r) => !Number.isNaN(r))
    )
  );
}

function draw(data: ReportData, subject: number): Html {
  const { name } = data.results.subjects[subject];
  const { properties } = data.backbones[0].cells[subject].voxels;
  const maps = properties.map((property, p) => {
    if (!isKnown(data, p)) return html`<p class="note">The study does not know ${property}.</p>`;
    const most = reach(data, p);
    const range = [-most, most] as const;
    const drawn = besideBackbones(data.backbones, ({ results, cells }) => {
      const { voxels } = cells[subject];
      const label = `correlation of maps with ${property}, ${name} by ${results.name}`;
      const paint = {
        values: significant(voxels, p),
        range,
        colormap: "diverging",
        label,
      } as const;
      return html`${data.painters[subject].paint(paint)}${
        rangeScale(range, `r with ${property}`, "diverging")
      }`;
    });
    return html`<h4>${property}</h4>${drawn}`;
  });
  return html`${maps}`;
}

/** Sums of some subjects, region by region. */
function regionTable(
  data: ReportData,
  all: readonly SubjectResults[],
  properties: readonly string[],
): DataTable {
  const rois = [...new Set(all.flatMap(({ correlates }) => correlates.map(({ roi }) => roi)))];
  const rows = rois.map((roi): Cell[] => [
    regionLabel(data, roi),
    ...properties.flatMap((property) => {
      const own = all.flatMap(({ correlates }) =>
        correlates.filter((one) => one.roi === roi && one.property === property)
      );
      const sum = (of: (one: (typeof own)[number]) => number) =>
        own.reduce((total, one) => total + of(one), 0);
      return [
        meanOf(own.map(({ r }) => r)),
        sum(({ nTested }) => nTested),
        sum(({ nPositive }) => nPositive),
        sum(({ nNegative }) => nNegative),
      ];
    }),
  ]);
  return {
    columns: [
      { name: "region" },
      ...properties.flatMap((property) => [
        { name: `${property}: r`, about: "median over voxels", digits: 2 },
        { name: "tested", about: "voxels" },
        { name: "+", about: `voxels with q < ${LEVEL} and a positive slope` },
        { name: "−", about: `voxels with q < ${LEVEL} and a negative slope` },
      ]),
    ],
    rows,
  };
}

function drawTables(data: ReportData, { results, cells }: ReportBackbone): Html {
  const properties = cells[0].voxels.properties.filter((_, p) => isKnown(data, p));
  const controls = cells.flatMap(({ control }) => control ? [control] : []);
  const table = (all: readonly SubjectResults[]) => dataTable(regionTable(data, all, properties));
  const each = cells.length > 1
    ? cells.map((cell) =>
      foldAway(`${results.name}, ${cell.results.name} alone`, table([cell.results]))
    )
    : [];
  return html`<h4>${results.name}${cells.length > 1 ? ", all subjects" : ""}</h4>${
    table(cells.map((cell) => cell.results))
  }${
    controls.length > 0 ? foldAway(`${results.name}: control`, table(controls)) : undefined
  }${each}`;
}

/** The figure. */
export function propertiesFigure(data: ReportData): Html {
  const { properties: all } = data.backbones[0].cells[0].voxels;
  const heads = all.flatMap((property) => ["r", "q", "sign"].map((part) => `${property} ${part}`));
  const voxelRecords = recordsOf(data, [...PLACE_COLUMNS, ...heads], ({ voxels }) => {
    const { correlates, qValues, signs, r2 } = voxels;
    const n = r2.length;
    return Array.from(r2, (_, v) => [
      ...placeOf(voxels, v),
      ...all.flatMap((_, p) => {
        const at = p * n + v;
        const sign = qValues && !Number.isNaN(qValues[at]) ? signs?.[at] : undefined;
        return [short(correlates[at]), short(qValues?.[at]), sign];
      }),
    ]);
  });
  const regionRecords = recordsOf(
    data,
    ["run", "region", "property", "r", "tested", "positive", "negative"],
    ({ results, control }) =>
      [["responses", results] as const, ["control", control] as const].flatMap(([run, all]) =>
        (all?.correlates ?? []).map(({ roi, property, r, nTested, nPositive, nNegative }) => [
          ...[run, roi, property, r],
          ...[nTested, nPositive, nNegative],
        ])
      ),
  );
  const isTested = data.backbones.some(({ cells }) => cells.some(({ voxels }) => voxels.qValues));
  const { minR2 } = data.results.settings;
  return figureBlock({
    title: PROPERTIES_TITLE,
    lead:
      `Does a voxel's map follow how far, how colourful or how bright the parts of an image are? Red: the map is high where the property is high (far, saturated, bright); blue: where it is low. ${
        isTested
          ? `Without a colour: q ≥ ${LEVEL}, or not tested.`
          : "Nothing was tested: all voxels are shown."
      }`,
    body: html`${bySubject(data, (s) => draw(data, s))}<h3>By region</h3>${
      data.backbones.map((backbone) => drawTables(data, backbone))
    }`,
    note:
      html`<b>r</b>: Pearson correlation, over the patches of an image, of the voxel's map with the property, mean over images. Depth as the study gives it, far = large; saturation: S of HSV; luminance: Rec. 709. <b>q</b>: whether the responses have to do with it: the slope of the map on the property against slopes of fits to permuted responses, two-sided, false discovery rate over the tested voxels${
        typeof minR2 === "number"
          ? ` (predicted at q < ${LEVEL}, with a test R² of at least ${minR2})`
          : ""
      }. A map of any direction of features goes with depth or colour to some degree, so r alone says little, and the sign of the slope may differ from that of r.`,
    downloads: [
      csvDownload("properties_regions.csv", regionRecords, "regions, CSV"),
      csvDownload("properties_voxels.csv", voxelRecords, "voxels, CSV"),
    ],
  });
}
