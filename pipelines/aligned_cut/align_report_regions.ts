/**
 * What regions read from the shared channels.
 *
 * @module
 */
import type { CsvCell } from "../io/csv.ts";
import type { RoiVoxels } from "../dense/relevance.ts";
import { type HostMatrix, range } from "../encoding/host_matrix.ts";
import { csvDownload } from "../report/download.ts";
import { figureBlock } from "../report/figure_block.ts";
import { type Html, html } from "../report/html.ts";
import { formatNumber } from "../report/numbers.ts";
import { type DataTable, dataTable } from "../report/table.ts";
import { type ValueMatrix, valueMatrix, valueMatrixRecords } from "../report/value_matrix.ts";
import { type AlignReportData, finiteMean } from "./align_report_data.ts";

/** The heading of the figure. */
export const REGIONS_TITLE = "Regions in the shared space";

/** Channels that are named for each region. */
const MOST_NAMED = 3;

/** Mean over some voxels of the weights of each channel, less what is taken off, `[width]`. */
function meanWeights(
  { data, shape: [width, nVoxels] }: HostMatrix,
  voxels: ArrayLike<number>,
  base?: ArrayLike<number>,
): Float64Array {
  return Float64Array.from({ length: width }, (_, c) => {
    let sum = 0;
    for (let i = 0; i < voxels.length; i++) sum += data[c * nVoxels + voxels[i]];
    return sum / voxels.length - (base?.[c] ?? 0);
  });
}

/** Cosine of two vectors; NaN where one has no direction. */
function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [ab, aa, bb] = [0, 0, 0];
  for (let c = 0; c < a.length; c++) {
    ab += a[c] * b[c];
    aa += a[c] ** 2;
    bb += b[c] ** 2;
  }
  return ab / Math.sqrt(aa * bb);
}

/** Cosines of mean weights of regions; on the diagonal those of every other voxel of a region with the rest of it. */
export function regionCosines(
  beta: HostMatrix,
  regions: readonly RoiVoxels[],
  base?: ArrayLike<number>,
): Float64Array<ArrayBuffer> {
  const means = regions.map(({ voxels }) => meanWeights(beta, voxels, base));
  const halves = regions.map(({ voxels }) =>
    [0, 1].map((half) =>
      meanWeights(beta, Array.from(voxels).filter((_, i) => i % 2 === half), base)
    )
  );
  const n = regions.length;
  return Float64Array.from({ length: n * n }, (_, at) => {
    const [a, b] = [Math.floor(at / n), at % n];
    return a === b ? cosine(halves[a][0], halves[a][1]) : cosine(means[a], means[b]);
  });
}

/**
 * Selectivity d′ = (μ_in − μ_out) / √((σ²_in + σ²_out) / 2) of the weights of each channel for each region, over voxels, `[width, nRegions]`;
 * 0 where weights do not vary, NaN where nothing is in or out.
 */
export function channelSelectivity(
  { data, shape: [width, nVoxels] }: HostMatrix,
  regions: readonly RoiVoxels[],
): Float64Array<ArrayBuffer> {
  const out = new Float64Array(width * regions.length);
  const everywhere = range(nVoxels);
  for (let c = 0; c < width; c++) {
    const row = data.subarray(c * nVoxels, (c + 1) * nVoxels);
    const all = momentsOf(row, everywhere);
    regions.forEach(({ voxels }, r) => {
      const inside = momentsOf(row, voxels), n = voxels.length, rest = nVoxels - n;
      const outside = {
        mean: (all.mean * nVoxels - inside.mean * n) / rest,
        square: (all.square * nVoxels - inside.square * n) / rest,
      };
      const variance = ({ mean, square }: typeof all) => Math.max(0, square - mean ** 2);
      const spread = Math.sqrt((variance(inside) + variance(outside)) / 2);
      const apart = inside.mean - outside.mean;
      out[c * regions.length + r] = spread === 0 ? 0 : apart / spread;
    });
  }
  return out;
}

function momentsOf(row: Float32Array, at: ArrayLike<number>): { mean: number; square: number } {
  let [sum, squares] = [0, 0];
  for (let i = 0; i < at.length; i++) {
    sum += row[at[i]];
    squares += row[at[i]] ** 2;
  }
  return { mean: sum / at.length, square: squares / at.length };
}

function regionTable(
  { regions, alignment: { head: { beta, choices } } }: AlignReportData,
  dPrime: ArrayLike<number>,
): DataTable {
  const [width] = beta.shape, n = regions.length;
  const { shares } = choices;
  return {
    columns: [
      { name: "region" },
      { name: "voxels" },
      ...(shares ? [{ name: "class token", about: "share against the patches, mean" }] : []),
      { name: "channels with the greatest d′, and their d′" },
    ],
    rows: regions.map(({ name, voxels }, r) => {
      const order = Array.from({ length: width }, (_, c) => c)
        .filter((c) => Number.isFinite(dPrime[c * n + r]))
        .sort((a, b) => Math.abs(dPrime[b * n + r]) - Math.abs(dPrime[a * n + r]));
      const told = order.slice(0, MOST_NAMED)
        .map((c) => `${c}: ${formatNumber(dPrime[c * n + r], 1)}`);
      const share = shares && finiteMean(Array.from(voxels, (v) => shares.data[v]));
      return [name, voxels.length, ...(shares ? [share] : []), told.join(" · ")];
    }),
  };
}

/** Mean share of every layer over the voxels of each region, where voxels choose layers. */
function layerShares(
  { regions, alignment: { head: { choices } } }: AlignReportData,
): ValueMatrix | undefined {
  const { layers } = choices;
  if (!layers) return undefined;
  const [, n] = layers.shape;
  return {
    rows: regions.map(({ name }) => name),
    columns: Array.from({ length: n }, (_, l) => `${l}`),
    values: regions.flatMap(({ voxels }) =>
      Array.from(
        { length: n },
        (_, l) => finiteMean(Array.from(voxels, (v) => layers.data[v * n + l])),
      )
    ),
    rowTitle: "region",
    columnTitle: "layer, from 0: mean share",
  };
}

/** The figure. */
export function regionsFigure(data: AlignReportData): Html {
  const { regions, alignment: { head: { beta } } } = data;
  const names = regions.map(({ name }) => name);
  const everywhere = meanWeights(beta, range(beta.shape[1]));
  const matrixOf = (base?: ArrayLike<number>): ValueMatrix => ({
    ...{ rows: names, columns: names, values: regionCosines(beta, regions, base), strongest: 1 },
    ...{ rowTitle: "region", columnTitle: "region" },
  });
  const [plain, centred] = [matrixOf(), matrixOf(everywhere)];
  const dPrime = channelSelectivity(beta, regions);
  const shares = layerShares(data);
  const records = Array.from(dPrime, (value, at): CsvCell[] => [
    ...[Math.floor(at / names.length), names[at % names.length], value],
  ]);
  return figureBlock({
    title: REGIONS_TITLE,
    lead:
      "The head gives every voxel a weight for each shared channel. Regions that read alike directions of the shared space have a cosine near 1 between their mean weights; on the diagonal, every other voxel of a region against the rest of it says how sure a region's own direction is.",
    body: html`<h3>Cosines of mean weights, less the mean of all voxels</h3>${
      valueMatrix(centred)
    }<h3>As they are</h3>${valueMatrix(plain)}<h3>Channels</h3>${
      dataTable(regionTable(data, dPrime))
    }${shares && html`<h3>Layers that voxels choose</h3>${valueMatrix(shares)}`}`,
    note:
      "d′ compares a channel's weights inside a region with those of all other voxels, in units of their spread. Turned together, the shared space and the head predict the same: a channel by itself need not mean anything.",
    downloads: [
      csvDownload("regions_cosine_centred.csv", valueMatrixRecords(centred)),
      csvDownload("regions_cosine.csv", valueMatrixRecords(plain), "as they are, CSV"),
      csvDownload("channels.csv", [["channel", "region", "d_prime"], ...records], "channels, CSV"),
    ],
  });
}
