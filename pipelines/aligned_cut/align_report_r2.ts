/**
 * How well held-out responses are predicted: by voxel and region, and by layer and network.
 *
 * @module
 */
import { range } from "../encoding/host_matrix.ts";
import type { CsvCell } from "../io/csv.ts";
import { csvDownload } from "../report/download.ts";
import { figureBlock, foldAway } from "../report/figure_block.ts";
import { type Html, html } from "../report/html.ts";
import { intervalChart } from "../report/interval_chart.ts";
import { formatNumber } from "../report/numbers.ts";
import { histogram } from "../report/plot.ts";
import { type DataTable, dataTable, tableRecords } from "../report/table.ts";
import { type ValueMatrix, valueMatrix } from "../report/value_matrix.ts";
import { median } from "../stats/median.ts";
import { type AlignReportData, finiteMean, quantile, valuesAt } from "./align_report_data.ts";

/** The heading of the figure of voxels. */
export const VOXELS_TITLE = "Held-out R² of the voxels";

/** The heading of the figure of layers. */
export const LAYERS_TITLE = "Held-out R² by layer and network";

function regionTable({ regions, voxelR2 }: AlignReportData): DataTable {
  return {
    columns: [
      { name: "region" },
      { name: "voxels" },
      { name: "mean", digits: 3 },
      { name: "lower quartile", digits: 3 },
      { name: "median", digits: 3 },
      { name: "upper quartile", digits: 3 },
    ],
    rows: regions.map(({ name, voxels }) => {
      const values = Float64Array.from(voxels, (v) => voxelR2[v]).sort();
      const [low, middle, high] = [0.25, 0.5, 0.75].map((share) => quantile(values, share));
      return [name, values.length, finiteMean(values), low, middle, high];
    }),
  };
}

/** Quartiles of regions as a chart, with the table below. */
function byRegion(table: DataTable): Html {
  const points = table.rows.map(([, , , low, mean, high]) => ({
    ...{ mean: Number(mean), low: Number(low), high: Number(high) },
  }));
  const chart = intervalChart({
    groups: table.rows.map(([name]) => String(name)),
    series: [{ name: "held-out R²", points }],
    axis: "held-out R²: median and quartiles over the voxels of a region",
    digits: 3,
  });
  return html`<h3>By region</h3>${chart}${foldAway("The same as a table", dataTable(table))}`;
}

/** The figure of voxels. */
export function voxelsFigure(data: AlignReportData): Html {
  const { voxelR2, regions } = data;
  const table = regions.length > 0 ? regionTable(data) : undefined;
  const names = Array.from(voxelR2, (): string[] => []);
  for (const { name, voxels } of regions) Array.from(voxels).forEach((v) => names[v].push(name));
  const records: CsvCell[][] = Array.from(voxelR2, (r2, v) => [v, names[v].join(";"), r2]);
  return figureBlock({
    title: VOXELS_TITLE,
    lead:
      "The share of the variance of responses to images that were not trained on that predictions explain, for each voxel the mean over layers and networks; below 0 a prediction is worse than the voxel's mean.",
    body: html`${
      histogram({
        values: voxelR2,
        axis: "held-out R²",
        what: "voxels",
        reference: { x: median(voxelR2), name: `median, ${formatNumber(median(voxelR2), 3)}` },
      })
    }${table && byRegion(table)}`,
    note:
      "Not divided by a noise ceiling. The epoch that is reported was chosen as the best on these same images: as a score of prediction the number is a little too high.",
    downloads: [
      csvDownload("voxels.csv", [["voxel", "regions", "r2"], ...records]),
      ...(table ? [csvDownload("regions_r2.csv", tableRecords(table), "regions, CSV")] : []),
    ],
  });
}

/** Names of the layers of all networks: by number where they are numbers. */
function layerNames({ scored }: AlignReportData): string[] {
  const names = [...new Set(scored.map(({ layer }) => layer ?? "all"))];
  return names.every((name) => /^\d+$/.test(name))
    ? names.sort((a, b) => Number(a) - Number(b))
    : names;
}

/** Mean R² over some voxels, layers down and networks across. */
function layerMatrix(data: AlignReportData, voxels?: ArrayLike<number>): ValueMatrix {
  const { scored, models, voxelR2, alignment: { training: { r2 } } } = data;
  const rows = layerNames(data);
  const all = voxels ?? range(voxelR2.length);
  const values = rows.flatMap((layer) =>
    models.map((model) => {
      const row = scored.findIndex((own) => own.model === model && (own.layer ?? "all") === layer);
      return row < 0 ? NaN : finiteMean(valuesAt(r2, row, all));
    })
  );
  return { rows, columns: models, values, rowTitle: "layer", columnTitle: "network", digits: 3 };
}

/** Regions across and the layers of a network down. */
function regionMatrix(data: AlignReportData, model: string): ValueMatrix {
  const { scored, regions, alignment: { training: { r2 } } } = data;
  const own = scored.flatMap((row, r) => row.model === model ? [{ ...row, r }] : []);
  return {
    rows: own.map(({ layer }) => layer ?? "all"),
    columns: regions.map(({ name }) => name),
    values: own.flatMap(({ r }) =>
      regions.map(({ voxels }) => finiteMean(valuesAt(r2, r, voxels)))
    ),
    rowTitle: "layer",
    columnTitle: "region",
  };
}

/** The figure of layers. */
export function layersFigure(data: AlignReportData): Html {
  const { scored, models, regions, voxelR2, alignment: { training: { r2 } } } = data;
  const folded = regions.length === 0
    ? []
    : models.map((model) =>
      foldAway(`${model}: layers by region`, valueMatrix(regionMatrix(data, model)))
    );
  const everything = { name: "", voxels: range(voxelR2.length) };
  const records = scored.flatMap(({ model, layer }, row): CsvCell[][] =>
    [everything, ...regions].map(({ name, voxels }) => {
      const values = valuesAt(r2, row, voxels);
      return [model, layer, name, values.length, finiteMean(values), median(values)];
    })
  );
  return figureBlock({
    title: LAYERS_TITLE,
    lead: scored.every(({ layer }) => layer === undefined)
      ? "Mean over voxels. Voxels choose layers, so a network has one number."
      : "Mean over voxels of what each layer alone predicts through its own map and the head that all of them share.",
    body: html`${valueMatrix(layerMatrix(data))}${folded}`,
    downloads: [
      csvDownload("layers.csv", [
        ["network", "layer", "region", "voxels", "mean", "median"],
        ...records,
      ]),
    ],
  });
}
