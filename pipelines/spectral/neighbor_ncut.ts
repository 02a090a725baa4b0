import type { Gpu } from "../../engine/gpu.ts";
import { add, div, scale, sub } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { diagonal, diagonalMatrix } from "../../engine/ops/matrix.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { transpose } from "../../engine/ops/shape.ts";
import { foldIn, type Key } from "../../engine/random.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import { kMeans } from "../stats/kmeans.ts";
import { type Affinity, affinityMatrix } from "./affinity.ts";
import { cutGraph, exactNcut, type GraphCut } from "./exact_ncut.ts";
import { farthestPoints, stratifiedRows } from "./farthest_points.ts";
import { affinityGraph } from "./graph.ts";
import type { Landmarks } from "./landmarks.ts";
import { type NodeSource, takeNodes } from "./node_source.ts";

/** Options of {@link cutLandmarks}. */
export interface LandmarkCutOptions {
  /** Eigenvectors. */
  readonly nEig: number;
  /** How alike two nodes are. */
  readonly affinity: Affinity;
  /** Pseudo-nodes for indirect connections. */
  readonly nIndirect?: number;
  /** Rows that are read together. */
  readonly chunkSize: number;
  /** Seed. */
  readonly key: Key;
  /** Stops the work. */
  readonly signal?: AbortSignal;
}

const PER_PSEUDO_NODE = 64; // other nodes that are drawn for each cluster

/** The cut of the landmarks' own graph, with indirect connections through the other nodes where there are pseudo-nodes. */
export async function cutLandmarks(
  gpu: Gpu,
  source: NodeSource,
  { indices, nodes }: Landmarks,
  { nEig, affinity, nIndirect, chunkSize, key, signal }: LandmarkCutOptions,
): Promise<GraphCut> {
  using x = Tensor.from(gpu, nodes.data, nodes.shape);
  if (nIndirect === undefined) return await exactNcut(x, { affinity, nEig, key, signal });
  const pseudo = await pseudoNodes(gpu, source, indices, { nIndirect, chunkSize, key, signal });
  using q = Tensor.from(gpu, pseudo.data, pseudo.shape);
  using a = tidy(gpu, () => add(affinityMatrix(x, x, affinity), indirectAffinity(x, q, affinity)));
  using graph = await affinityGraph(a, { signal });
  return await cutGraph(graph, { nEig, key, signal });
}

/**
 * Affinities of landmarks by way of pseudo-nodes: with B those of landmarks and pseudo-nodes, P = (Dᵣ⁻¹·B)(B·D_c⁻¹)ᵀ, made symmetric, its
 * diagonal 0 (ncut_pytorch of August 2024, `indirect_connection`).
 *
 * @param x landmarks, `[m, d]`
 * @param pseudo `[q, d]`
 * @returns `[m, m]`
 */
export function indirectAffinity(x: Tensor, pseudo: Tensor, affinity: Affinity): Tensor {
  return tidy(x.gpu, () => {
    const b = affinityMatrix(x, pseudo, affinity);
    const byRow = div(b, sum(b, { axes: [1], keepDims: true }));
    const byColumn = div(b, sum(b, { axes: [0], keepDims: true }));
    const p = matmul(byRow, byColumn, { transposeB: true });
    const even = scale(add(p, transpose(p)), 0.5);
    return sub(even, diagonalMatrix(diagonal(even)));
  });
}

/** Means of clusters of nodes that are no landmarks: unlike principal directions, which have no sign, they are the same in every run. */
async function pseudoNodes(
  gpu: Gpu,
  source: NodeSource,
  landmarks: Uint32Array,
  { nIndirect, chunkSize, key, signal }: {
    nIndirect: number;
    chunkSize: number;
    key: Key;
    signal?: AbortSignal;
  },
): Promise<HostMatrix> {
  const [n] = source.shape, taken = new Set(landmarks);
  const drawn = stratifiedRows(n, Math.min(n, PER_PSEUDO_NODE * nIndirect), foldIn(key, 21));
  const rows = drawn.filter((row) => !taken.has(row));
  const others = takeNodes(source, rows, { chunkSize });
  const count = Math.min(nIndirect, rows.length);
  const first = await farthestPoints(gpu, others, count, { key: foldIn(key, 22) });
  const init = takeNodes(nodesOfHost(others), first, { chunkSize });
  return (await kMeans(gpu, others, init, { iterations: 25, signal })).centers;
}

const nodesOfHost = ({ data, shape }: HostMatrix): NodeSource => ({
  shape,
  readRows: (start, end) => data.subarray(start * shape[1], end * shape[1]),
});
