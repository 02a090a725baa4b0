/**
 * Which taps of a network an encoder reads: weights and parts of the held-out score by tap, depth and region, on one page.
 *
 * @module
 */
import type { RoiVoxels } from "../dense/relevance.ts";
import { hasStages, layerStages } from "../encoding/feature_layers.ts";
import { type LayerSplit, sumStages } from "../encoding/layer_split.ts";
import type { TapWeights } from "../encoding/tap_weights.ts";
import type { CsvCell } from "../io/csv.ts";
import { quantileOf } from "../stats/bootstrap.ts";
import { csvDownload } from "./download.ts";
import { contents, figureBlock } from "./figure_block.ts";
import { type Html, html, htmlPage } from "./html.ts";
import { intervalChart } from "./interval_chart.ts";
import type { Interval } from "./numbers.ts";
import type { DataTable } from "./table.ts";
import { tableBlock } from "./table_block.ts";
import { type ValueMatrix, valueMatrix } from "./value_matrix.ts";

/** What {@link tapReport} is made of. */
export interface TapReportData {
  /** Weights by tap. */
  readonly weights: TapWeights;
  /** Parts of the held-out score by tap, where there are measured responses. */
  readonly split?: LayerSplit;
  /** Regions, by columns of the responses; a voxel may be in several. */
  readonly regions?: readonly RoiVoxels[];
  /** Heading of the page. */
  readonly title?: string;
}

const TABLE_TITLE = "Taps";
const SPLIT_TITLE = "Parts of held-out R² by tap";
const STAGES_TITLE = "Early, middle and late taps";
const WEIGHTS_TITLE = "Weights by tap";

/** Median and quartiles of some voxels' values in a row of `[nRows, nVoxels]`. */
function quartiles(
  values: Float64Array,
  { row, nVoxels, voxels }: { row: number; nVoxels: number; voxels?: ArrayLike<number> },
): Interval {
  const own = values.subarray(row * nVoxels, (row + 1) * nVoxels);
  const sorted = (voxels ? Float64Array.from(voxels, (v) => own[v]) : own.slice()).sort();
  const [low, mean, high] = [0.25, 0.5, 0.75].map((share) => quantileOf(sorted, share));
  return { mean, low, high };
}

function countOf(argmax: Uint32Array, tap: number): number {
  return argmax.reduce((count, own) => count + Number(own === tap), 0);
}

/** Means over the voxels of each region, taps down and regions across. */
function byRegion(data: TapReportData, values: Float64Array): ValueMatrix {
  const { names } = data.weights, groups = groupsOf(data), nVoxels = values.length / names.length;
  const meanOf = (row: number, { voxels }: RoiVoxels) =>
    Array.from(voxels).reduce((sum, v) => sum + values[row * nVoxels + v], 0) / voxels.length;
  return {
    rows: names,
    columns: groups.map(({ name }) => name),
    values: names.flatMap((_, row) => groups.map((group) => meanOf(row, group))),
    ...{ rowTitle: "tap", columnTitle: "region", digits: 3 },
  };
}

/** Everything about the taps in numbers. */
function tapTable({ weights, split }: TapReportData): DataTable {
  const { names, share, argmaxSum, argmaxNorm } = weights;
  const nVoxels = argmaxSum.length;
  const stages = hasStages(names) ? layerStages(names) : undefined;
  return {
    columns: [
      { name: "tap" },
      ...(stages ? [{ name: "depth" }] : []),
      { name: "share of weights", about: "of the squared length: median and quartiles", digits: 3 },
      { name: "largest sum", about: "voxels whose weights sum to most in this tap" },
      { name: "longest", about: "voxels whose weights are longest in this tap" },
      ...(split
        ? [{ name: "part of R²", about: "median and quartiles over voxels", digits: 3 }]
        : []),
    ],
    rows: names.map((name, row) => [
      ...[name, ...(stages ? [stages[row]] : []), quartiles(share, { row, nVoxels })],
      ...[countOf(argmaxSum, row), countOf(argmaxNorm, row)],
      ...(split ? [quartiles(split.r2, { row, nVoxels })] : []),
    ]),
  };
}

function weightsFigure(data: TapReportData): Html {
  return figureBlock({
    title: WEIGHTS_TITLE,
    lead:
      "The share of the squared length of a voxel's weights that lies in each tap, mean over the voxels of a region.",
    body: valueMatrix(byRegion(data, data.weights.share)),
    note:
      "A tap of small activations needs large weights: what a tap explains is better seen in the parts of held-out R².",
  });
}

function splitFigure(data: TapReportData, { r2 }: LayerSplit): Html {
  return figureBlock({
    title: SPLIT_TITLE,
    lead:
      "The product measure splits the held-out R² of a voxel over the taps: mean over the voxels of a region. The parts sum to R²; one can be below 0.",
    body: valueMatrix(byRegion(data, r2)),
  });
}

/** Regions, or all voxels as one. */
function groupsOf({ regions = [], weights }: TapReportData): RoiVoxels[] {
  if (regions.length > 0) return [...regions];
  return [{ name: "all voxels", voxels: Uint32Array.from(weights.argmaxSum.keys()) }];
}

function stagesFigure(data: TapReportData, split: LayerSplit): Html {
  const { stages, values } = sumStages(split.names, split.r2);
  const groups = groupsOf(data);
  const nVoxels = values.length / stages.length;
  const points = (row: number) =>
    groups.map(({ voxels }) => quartiles(values, { row, nVoxels, voxels }));
  const records = groups.flatMap(({ name, voxels }) =>
    stages.map((stage, row): CsvCell[] => {
      const { low, mean, high } = quartiles(values, { row, nVoxels, voxels });
      return [name, voxels.length, stage, low, mean, high];
    })
  );
  return figureBlock({
    title: STAGES_TITLE,
    lead: "Parts of the taps summed up by depth: median and quartiles over the voxels of a region.",
    body: intervalChart({
      groups: groups.map(({ name }) => name),
      series: stages.map((name, row) => ({ name, points: points(row) })),
      ...{ axis: "part of held-out R²", digits: 3 },
    }),
    downloads: [
      csvDownload("stages.csv", [
        ["region", "voxels", "depth", "lower quartile", "median", "upper quartile"],
        ...records,
      ]),
    ],
  });
}

/** One record per voxel: regions, strongest taps, parts of the score by depth and by tap. */
export function tapRecords({ weights, split, regions = [] }: TapReportData): CsvCell[][] {
  const { names, argmaxSum, argmaxNorm, share } = weights;
  const nVoxels = argmaxSum.length;
  const of = Array.from(argmaxSum, (): string[] => []);
  for (const { name, voxels } of regions) Array.from(voxels).forEach((v) => of[v].push(name));
  const depth = split && hasStages(names) ? sumStages(names, split.r2) : undefined;
  const column = (values: Float64Array, rows: number, v: number) =>
    Array.from({ length: rows }, (_, row) => values[row * nVoxels + v]);
  const head = [
    ...["voxel", "roi", "largest_sum_tap", "longest_tap"],
    ...(split ? ["r2"] : []),
    ...(depth ? depth.stages.map((stage) => `r2_${stage}`) : []),
    ...names.map((name) => `share_${name}`),
    ...(split ? names.map((name) => `r2_${name}`) : []),
  ];
  return [
    head,
    ...of.map((own, v): CsvCell[] => {
      const parts = split ? column(split.r2, names.length, v) : [];
      return [
        ...[v, own.join(";"), names[argmaxSum[v]], names[argmaxNorm[v]]],
        ...(split ? [parts.reduce((a, b) => a + b)] : []),
        ...(depth ? column(depth.values, depth.stages.length, v) : []),
        ...column(share, names.length, v),
        ...parts,
      ];
    }),
  ];
}

/**
 * One page about the taps that an encoder reads, which needs no other file; summed up by depth where the taps have depths.
 */
export function tapReport(data: TapReportData): string {
  const { split, title = "Taps of an encoder" } = data;
  const table = tableBlock(tapTable(data), {
    ...{ title: TABLE_TITLE, file: "taps.csv" },
    downloads: [csvDownload("voxels.csv", tapRecords(data), "voxels, CSV")],
  });
  const staged = split && hasStages(split.names) ? split : undefined;
  const figures = [
    ...(split ? [splitFigure(data, split)] : []),
    ...(staged ? [stagesFigure(data, staged)] : []),
    ...[weightsFigure(data), table],
  ];
  const titles = [
    ...(split ? [SPLIT_TITLE] : []),
    ...(staged ? [STAGES_TITLE] : []),
    ...[WEIGHTS_TITLE, TABLE_TITLE],
  ];
  return htmlPage(title, html`<h1>${title}</h1>${contents(titles)}${figures}`);
}
