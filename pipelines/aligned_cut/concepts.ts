/**
 * Concepts and the brain: a cluster's mean channel activation goes through the brain head, voxel by voxel, and is averaged over regions.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { Tensor } from "../../engine/tensor.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import { multiply, productsOf } from "../encoding/host_products.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import { nodesOf, type NodeSource, windows } from "../spectral/node_source.ts";
import type { GraphSlice, JointGraph } from "./joint_graph.ts";

/** A region of the brain. */
export interface Region {
  /** Its name. */
  readonly name: string;
  /** Its voxels, columns of the brain head. */
  readonly voxels: ArrayLike<number>;
}

/**
 * Regions by the label of each voxel.
 *
 * @param names of the labels 0, 1, …; voxels of other labels are in no region
 */
export function regionsOf(labels: ArrayLike<number>, names: readonly string[]): Region[] {
  const voxels = names.map((): number[] => []);
  for (let v = 0; v < labels.length; v++) voxels[labels[v]]?.push(v);
  return names.map((name, r) => ({ name, voxels: voxels[r] }));
}

/** Options of {@link conceptProfiles}. */
export interface ConceptOptions extends LongCall {
  /** Number of concepts. */
  readonly nClusters: number;
  /** Weights of the brain head, `[width, nVoxels]`. */
  readonly beta: HostMatrix;
  /** Regions whose means are taken. */
  readonly regions: readonly Region[];
  /** Nodes that count, such as those of one layer; all when left out. */
  readonly nodes?: Pick<GraphSlice, "start" | "end">;
  /** Computes second moments in float32; on the host in float64 when left out. */
  readonly gpu?: Gpu;
}

/** Concepts as channels, voxels and regions. */
export interface ConceptProfiles {
  /** Nodes of each concept, `[nClusters]`. */
  readonly counts: Float64Array<ArrayBuffer>;
  /** Mean channel activation of each, NaN where it has no node, `[nClusters, width]`. */
  readonly channels: Float64Array<ArrayBuffer>;
  /** Its response, channels · β, `[nClusters, nVoxels]`. */
  readonly maps: Float64Array<ArrayBuffer>;
  /** Response less the mean over all nodes, in standard deviations over nodes: what is shown, `[nClusters, nVoxels]`. */
  readonly display: Float64Array<ArrayBuffer>;
  /** Standard deviation of each voxel's response over nodes, `[nVoxels]`. */
  readonly std: Float64Array<ArrayBuffer>;
  /** Means of the display over regions, `[nClusters, nRegions]`. */
  readonly profiles: Float64Array<ArrayBuffer>;
}

const WINDOW = 4096; // nodes in memory together

/** Sums and counts of each cluster's nodes. */
function clusterSums(
  source: NodeSource,
  labels: ArrayLike<number>,
  { nClusters, start, end }: { nClusters: number; start: number; end: number },
): { readonly sums: Float64Array; readonly counts: Float64Array<ArrayBuffer> } {
  const width = source.shape[1];
  const sums = new Float64Array(nClusters * width), counts = new Float64Array(nClusters);
  for (const [first, last] of windows(end - start, WINDOW)) {
    const rows = source.readRows(start + first, start + last);
    for (let i = 0; i < last - first; i++) {
      const label = labels[start + first + i];
      counts[label]++;
      for (let c = 0; c < width; c++) sums[label * width + c] += rows[i * width + c];
    }
  }
  return { sums, counts };
}

/** Adds the products of a window's centred rows, `[width, width]`. */
async function addProducts(total: Float64Array, rows: Float64Array, width: number, gpu?: Gpu) {
  if (gpu) {
    using x = Tensor.from(gpu, rows, [rows.length / width, width]);
    using gram = matmul(x, x, { transposeA: true });
    const values = await gram.data();
    for (let at = 0; at < total.length; at++) total[at] += values[at];
    return;
  }
  const products = productsOf(rows, [rows.length / width, width], { transpose: true });
  products.forEach((value, at) => total[at] += value);
}

/** Covariance of the nodes' features, `[width, width]`. */
async function covariance(
  source: NodeSource,
  mean: Float64Array,
  { start, end, gpu, signal, onProgress }: LongCall & { start: number; end: number; gpu?: Gpu },
): Promise<Float64Array> {
  const width = mean.length, total = new Float64Array(width * width);
  for (const [first, last] of windows(end - start, WINDOW)) {
    signal?.throwIfAborted();
    const rows = source.readRows(start + first, start + last);
    await addProducts(total, Float64Array.from(rows, (v, at) => v - mean[at % width]), width, gpu);
    onProgress?.({ stage: "concepts", done: last, total: end - start });
  }
  return total.map((value) => value / (end - start));
}

/** Standard deviation of `x·β` over the nodes: the diagonal of `βᵀ·C·β`. */
async function responseStd(
  cov: Float64Array,
  { data, shape: [width, v] }: HostMatrix,
  gpu?: Gpu,
): Promise<Float64Array<ArrayBuffer>> {
  let mapped: ArrayLike<number>;
  if (gpu) {
    using c = Tensor.from(gpu, cov, [width, width]);
    using beta = Tensor.from(gpu, data, [width, v]);
    using both = matmul(c, beta);
    mapped = await both.data();
  } else mapped = multiply(cov, Float64Array.from(data), [width, width, v]);
  const variance = new Float64Array(v);
  for (let at = 0; at < data.length; at++) variance[at % v] += data[at] * mapped[at];
  return variance.map((value) => Math.sqrt(Math.max(value, 0)));
}

function requireConcepts(source: NodeSource, labels: ArrayLike<number>, options: ConceptOptions) {
  const { nClusters, beta, nodes: { start, end } = { start: 0, end: source.shape[0] } } = options;
  const [n, width] = source.shape;
  if (labels.length !== n || beta.shape[0] !== width || !(start >= 0 && start < end && end <= n)) {
    throw new InputError(
      `Cannot describe concepts of nodes ${start} to ${end} of [${n},${width}] with ${labels.length} labels and a head [${beta.shape}]: ` +
        "there must be nodes, a label for each, and a row of the head for each channel",
    );
  }
  for (let i = start; i < end; i++) {
    if (Number.isInteger(labels[i]) && labels[i] >= 0 && labels[i] < nClusters) continue;
    throw new InputError(
      `Cannot describe concepts: node ${i} has the label ${labels[i]}, there are ${nClusters}`,
    );
  }
  return { start, end };
}

/** Means over regions of maps `[m, nVoxels]`: `[m, nRegions]`; NaN where a region has no voxel. */
export function regionMeans(
  maps: Float64Array,
  regions: readonly Region[],
  nVoxels: number,
): Float64Array<ArrayBuffer> {
  const out = new Float64Array(maps.length / nVoxels * regions.length);
  for (let at = 0; at < out.length; at++) {
    const { voxels } = regions[at % regions.length];
    const base = Math.floor(at / regions.length) * nVoxels;
    let sum = 0;
    for (let i = 0; i < voxels.length; i++) sum += maps[base + voxels[i]];
    out[at] = sum / voxels.length;
  }
  return out;
}

/**
 * Channel activation, voxel map and regional profile of every concept (the paper's figures 6 to 8, 16 and 17). The features pass by twice.
 *
 * @param features aligned, `[nNodes, width]`
 * @param labels concept of each node, `[nNodes]`
 * @throws {InputError} when features, labels and head do not fit together
 */
export async function conceptProfiles(
  features: HostMatrix | NodeSource,
  labels: ArrayLike<number>,
  options: ConceptOptions,
): Promise<ConceptProfiles> {
  const source = nodesOf(features), { beta, regions, nClusters, gpu } = options;
  const { start, end } = requireConcepts(source, labels, options);
  const [width, nVoxels] = beta.shape;
  const { sums, counts } = clusterSums(source, labels, { nClusters, start, end });
  const channels = Float64Array.from(sums, (sum, at) => sum / counts[Math.floor(at / width)]);
  const mean = new Float64Array(width);
  sums.forEach((sum, at) => mean[at % width] += sum / (end - start));
  const cov = await covariance(source, mean, { ...options, start, end });
  const std = await responseStd(cov, beta, gpu);
  const head = Float64Array.from(beta.data);
  const maps = multiply(channels, head, [nClusters, width, nVoxels]);
  const average = multiply(mean, head, [1, width, nVoxels]);
  const display = maps.map((r, at) => scaled(r - average[at % nVoxels], std[at % nVoxels]));
  const profiles = regionMeans(display, regions, nVoxels);
  return { counts, channels, maps, display, std, profiles };
}

/** A difference in standard deviations; a voxel that never varies differs by nothing. */
function scaled(difference: number, std: number): number {
  return std > 0 ? difference / std : difference === difference ? 0 : NaN;
}

/** A difference of two groups of concepts. */
export interface ConceptContrast {
  /** Response of the first group less that of the second, `[nVoxels]`. */
  readonly map: Float64Array<ArrayBuffer>;
  /** The same in standard deviations over nodes, `[nVoxels]`. */
  readonly display: Float64Array<ArrayBuffer>;
  /** Means of the display over regions, `[nRegions]`. */
  readonly profile: Float64Array<ArrayBuffer>;
}

/**
 * Figure less ground, or any two groups of concepts: each group is the mean of its nodes.
 *
 * @throws {InputError} when a group has no node
 */
export function contrastConcepts(
  { counts, maps, std }: ConceptProfiles,
  { plus, minus, regions }: {
    readonly plus: readonly number[];
    readonly minus: readonly number[];
    readonly regions: readonly Region[];
  },
): ConceptContrast {
  const nVoxels = std.length, map = new Float64Array(nVoxels);
  for (const [sign, group] of [[1, plus], [-1, minus]] as const) {
    const total = group.reduce((sum, c) => sum + counts[c], 0);
    if (!(total > 0)) {
      throw new InputError(`Cannot contrast concepts ${plus} and ${minus}: each group needs nodes`);
    }
    for (const c of group.filter((c) => counts[c] > 0)) {
      for (let v = 0; v < nVoxels; v++) map[v] += sign * counts[c] / total * maps[c * nVoxels + v];
    }
  }
  const display = map.map((value, v) => scaled(value, std[v]));
  return { map, display, profile: regionMeans(display, regions, nVoxels) };
}

/**
 * Profiles of the same concepts in every layer of every model.
 *
 * @throws {InputError} as {@link conceptProfiles} says
 */
export async function layerProfiles(
  graph: JointGraph,
  labels: ArrayLike<number>,
  options: Omit<ConceptOptions, "nodes">,
): Promise<{ readonly slice: GraphSlice; readonly concepts: ConceptProfiles }[]> {
  const out = [];
  for (const slice of graph.slices) {
    out.push({
      slice,
      concepts: await conceptProfiles(graph, labels, { ...options, nodes: slice }),
    });
  }
  return out;
}
