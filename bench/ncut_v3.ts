/**
 * The algorithm of ncut_pytorch v3.1 (n_sample 10,240, n_sample2 1,024, 32 neighbours, randomised SVD of two iterations), in its order of
 * steps, on this engine's kernels: what `gyrus bench ncut` compares with.
 *
 * @module
 */
import type { Gpu } from "../engine/gpu.ts";
import { eighHost } from "../engine/ops/eigh.ts";
import { mul, rsqrt } from "../engine/ops/elementwise.ts";
import { matmul } from "../engine/ops/matmul.ts";
import { sum } from "../engine/ops/reduce.ts";
import { concat } from "../engine/ops/shape.ts";
import { foldIn, type Key, normal } from "../engine/random.ts";
import { Tensor, tidy } from "../engine/tensor.ts";
import type { HostMatrix } from "../pipelines/encoding/host_matrix.ts";
import { type Affinity, affinityMatrix } from "../pipelines/spectral/affinity.ts";
import { findSigma } from "../pipelines/spectral/affinity_scale.ts";
import { farthestPoints } from "../pipelines/spectral/farthest_points.ts";
import { chooseLandmarks } from "../pipelines/spectral/landmarks.ts";
import { nodesOf, type NodeSource, takeNodes } from "../pipelines/spectral/node_source.ts";
import { Propagator } from "../pipelines/spectral/propagate.ts";
import { mapNodes } from "../pipelines/spectral/row_map.ts";
import { orthonormalColumns } from "./ncut_check.ts";

/** Sizes of ncut_pytorch v3.1 (NystromConfig). */
export const v3Sizes = { nSample: 10_240, nSample2: 1024, nNeighbors: 32, chunkSize: 65_536 };

/** Options of {@link ncutV3}. */
export interface V3Options {
  /** Eigenvectors. */
  readonly nEig: number;
  /** Affinity of the graph. */
  readonly affinity: Extract<Affinity, { kind: "rbf" }>;
  /** Seed. */
  readonly key: Key;
  /** Hears when a stage is done. */
  readonly onStage?: (stage: string) => Promise<void>;
}

/** Eigenvectors of all nodes as v3.1 finds them, landmarks being at most a quarter of the nodes. */
export async function ncutV3(
  gpu: Gpu,
  source: NodeSource,
  { nEig, affinity, key, onStage }: V3Options,
): Promise<HostMatrix> {
  const m = Math.min(v3Sizes.nSample, Math.floor(source.shape[0] / 4));
  const { nodes } = await chooseLandmarks(gpu, source, {
    ...{ nLandmarks: m, sampling: "farthest", candidatesPerPick: 4, space: "orthogonal", key },
  });
  await onStage?.("farthest points");
  const eigvec = await randomizedSvd(gpu, nodes, affinity, { nEig, key: foldIn(key, 1) });
  await onStage?.("landmark graph");
  const nSample2 = Math.min(v3Sizes.nSample2, m);
  const chosen = await farthestPoints(gpu, eigvec, nSample2, { key, candidatesPerPick: m });
  const near = takeNodes(nodesOf(nodes), chosen, { chunkSize: m });
  const values = takeNodes(nodesOf(eigvec), chosen, { chunkSize: m });
  using x = Tensor.from(gpu, near.data, near.shape);
  // Theirs looks at 1,000 nodes on the device; the host's search through as many would be most of the time.
  const sigma = await findSigma(x, "rbf", { nSample: 256 });
  const nNeighbors = Math.max(4, Math.min(v3Sizes.nNeighbors, Math.floor(nSample2 / 32)));
  const options = { affinity: { kind: "rbf", sigma }, weights: "degree", nNeighbors } as const;
  using map = new Propagator(gpu, near, values, options);
  await onStage?.("second sample");
  // A chunk of theirs does not fit one binding of every adapter; the rows do not depend on it.
  const chunkSize = Math.min(v3Sizes.chunkSize, 8192);
  const all = await mapNodes(gpu, source, map, { affinity, chunkSize });
  await onStage?.("propagation");
  return all;
}

const PANEL = 1024; // rows of the normalised affinity in one tensor
const OVERSAMPLE = 10, ITERATIONS = 2; // torch.svd_lowrank, as v3.1 calls it

/** Left singular vectors of the normalised affinity, `[m, nEig]`, as `svd_lowrank` finds them. */
export async function randomizedSvd(
  gpu: Gpu,
  nodes: HostMatrix,
  affinity: Affinity,
  { nEig, key }: { readonly nEig: number; readonly key: Key },
): Promise<HostMatrix> {
  const [m, d] = nodes.shape, width = Math.min(m, nEig + OVERSAMPLE);
  using x = Tensor.from(gpu, nodes.data, nodes.shape);
  const panels: Tensor[] = [];
  for (let start = 0; start < m; start += PANEL) {
    const rows = Math.min(PANEL, m - start);
    panels.push(tidy(gpu, () => affinityMatrix(x.alias([rows, d], start * d), x, affinity)));
  }
  const own = (work: () => Tensor) => {
    const made = tidy(gpu, work);
    panels.push(made);
    return made;
  };
  const nPanels = panels.length;
  const inverse = own(() =>
    rsqrt(concat(panels.slice(0, nPanels).map((p) => sum(p, { axes: [1], keepDims: true }))))
  );
  const apply = (q: Tensor) =>
    tidy(gpu, () => {
      const scaled = mul(q, inverse);
      return mul(concat(panels.slice(0, nPanels).map((p) => matmul(p, scaled))), inverse);
    });
  // Theirs is Householder's QR in f32. Columns that differ in a millionth of the first need more than a Gram matrix in f32.
  const orthonormal = async (y: Tensor) => {
    using from = y;
    const once = {
      data: await from.data() as Float32Array<ArrayBuffer>,
      shape: [m, width] as const,
    };
    const twice = orthonormalColumns({ ...once, data: orthonormalColumns(once) });
    return Tensor.from(gpu, twice, [m, width]);
  };
  try {
    using start = Tensor.from(gpu, normal(key, m * width), [m, width]);
    let q = await orthonormal(apply(start));
    for (let i = 0; i < 2 * ITERATIONS; i++) { // the matrix is its own transpose
      using from = q;
      q = await orthonormal(apply(from));
    }
    using basis = q;
    using image = apply(basis); // Bᵀ of B = QᵀS
    using gram = tidy(gpu, () => matmul(image, image, { transposeA: true }));
    const { vectors } = eighHost(await gram.data(), width);
    const turn = new Float32Array(width * nEig);
    turn.forEach((_, at) => {
      turn[at] = vectors[Math.floor(at / nEig) * width + width - 1 - at % nEig];
    });
    using u = tidy(gpu, () => matmul(basis, Tensor.from(gpu, turn, [width, nEig])));
    return { data: await u.data() as Float32Array<ArrayBuffer>, shape: [m, nEig] };
  } finally {
    panels.forEach((p) => p.dispose());
  }
}
