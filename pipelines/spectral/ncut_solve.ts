import type { Gpu } from "../../engine/gpu.ts";
import { foldIn } from "../../engine/random.ts";
import { Tensor } from "../../engine/tensor.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import type { Affinity } from "./affinity.ts";
import { exactNcut } from "./exact_ncut.ts";
import { farthestPoints } from "./farthest_points.ts";
import { cutByFeatures, FeatureEmbedding, type FeatureTurn } from "./feature_ncut.ts";
import { FourierFeatures } from "./kernel_features.ts";
import { LandmarkFeatures } from "./landmark_features.ts";
import { chooseLandmarks, givenLandmarks, type Landmarks } from "./landmarks.ts";
import { isResolved, type NcutPlan, resolveAffinity } from "./ncut_options.ts";
import { cutLandmarks } from "./neighbor_ncut.ts";
import { nodesOf, type NodeSource, requireRows, takeNodes, windows } from "./node_source.ts";
import { Propagator } from "./propagate.ts";
import { nodeChunks, type RowMap } from "./row_map.ts";

/** Everything that a fitted cut is, but for the rows of its nodes: enough to make its map again from the same nodes. */
export interface NcutState {
  /** The affinity with its scale. */
  readonly affinity: Affinity;
  /** Descending, `[nEig]`. */
  readonly eigval: Float64Array<ArrayBuffer>;
  /** ‖S·v − λ·v‖ of each, in the problem that was solved: of the landmarks, or of the features. */
  readonly residuals: Float64Array<ArrayBuffer>;
  /** Rows of the landmarks; empty without. */
  readonly landmarks: Uint32Array<ArrayBuffer>;
  /** Of neighbours: rows that values are taken from, their eigenvectors, and what they are near by. */
  readonly neighbors?: {
    readonly rows: Uint32Array<ArrayBuffer>;
    readonly values: HostMatrix;
    readonly affinity: Affinity;
  };
  /** Of features. */
  readonly turn?: FeatureTurn;
}

/** A cut that was solved: its state, its map, and the rows of all nodes. */
export interface SolvedNcut extends Disposable {
  /** What can be kept. */
  readonly state: NcutState;
  /** Features of a node. */
  readonly width: number;
  /** Nodes, also new ones, to eigenvectors. */
  readonly map: RowMap;
  /** Rows of the nodes in pieces of the chunk size. */
  chunks(): AsyncGenerator<Float32Array<ArrayBuffer>>;
}

/** Solves a cut up to its map of nodes. */
export async function solveNcut(
  gpu: Gpu,
  source: NodeSource,
  plan: NcutPlan,
  call: LongCall = {},
): Promise<SolvedNcut> {
  if (plan.method === "exact") return await solveExact(gpu, source, plan, call);
  if (plan.method === "kernel") return await solveFourier(gpu, source, plan, call);
  const landmarks = plan.landmarks
    ? givenLandmarks(source, plan.landmarks, plan.chunkSize)
    : await chooseLandmarks(gpu, source, { ...plan, space: plan.samplingSpace });
  const affinity = await affinityOf(gpu, landmarks.nodes, plan);
  requireLandmarks(landmarks, affinity);
  return plan.extension === "features"
    ? await solveFeatures(gpu, source, { landmarks, affinity, plan }, call)
    : await solveNeighbors(gpu, source, { landmarks, affinity, plan }, call);
}

/** Makes the map of a state again, of the nodes and the options that it was solved with. */
export async function restoreNcut(
  gpu: Gpu,
  source: NodeSource,
  plan: NcutPlan,
  state: NcutState,
): Promise<RowMap> {
  const { affinity, landmarks, neighbors, turn } = state, { chunkSize } = plan;
  if (neighbors) {
    const nodes = takeNodes(source, neighbors.rows, { chunkSize });
    return propagatorOf(gpu, nodes, neighbors, plan);
  }
  if (!turn) throw new InputError("Cannot make a cut again without its turn");
  const features = plan.method === "kernel"
    ? fourierOf(gpu, source, affinity, plan)
    : await landmarkFeatures(gpu, takeNodes(source, landmarks, { chunkSize }), affinity, plan);
  return new FeatureEmbedding(gpu, features, turn);
}

interface Problem {
  readonly landmarks: Landmarks;
  readonly affinity: Affinity;
  readonly plan: NcutPlan;
}

async function affinityOf(gpu: Gpu, nodes: HostMatrix, { affinity }: NcutPlan): Promise<Affinity> {
  using x = Tensor.from(gpu, nodes.data, nodes.shape);
  return await resolveAffinity(x, affinity);
}

/** Names a landmark that cannot be compared by its row among all nodes. */
function requireLandmarks({ indices, nodes }: Landmarks, affinity: Affinity): void {
  const [, width] = nodes.shape;
  indices.forEach((firstRow, i) =>
    requireRows(nodes.data.subarray(i * width, (i + 1) * width), { width, firstRow, affinity })
  );
}

const FEATURES_PER_EIGENVECTOR = 4; // whose directions are kept however small

function landmarkFeatures(
  gpu: Gpu,
  nodes: HostMatrix,
  affinity: Affinity,
  { nEig }: NcutPlan,
  { signal }: LongCall = {},
): Promise<LandmarkFeatures> {
  const wanted = FEATURES_PER_EIGENVECTOR * nEig;
  return LandmarkFeatures.of(gpu, nodes, { affinity, wanted, signal });
}

const NOWHERE = new Uint32Array(0);

async function solveFeatures(
  gpu: Gpu,
  source: NodeSource,
  { landmarks, affinity, plan }: Problem,
  call: LongCall,
): Promise<SolvedNcut> {
  const features = await landmarkFeatures(gpu, landmarks.nodes, affinity, plan, call);
  const cut = await cutByFeatures(gpu, source, features, { ...plan, affinity, ...call });
  const { eigval, residuals, turn, map } = cut;
  return {
    state: { affinity, eigval, residuals, turn, landmarks: landmarks.indices },
    ...{ map, width: source.shape[1] },
    chunks: () => cut.chunks(),
    [Symbol.dispose]: () => cut[Symbol.dispose](),
  };
}

function fourierOf(gpu: Gpu, source: NodeSource, affinity: Affinity, plan: NcutPlan) {
  const { kernelDim, frequencies, key } = plan;
  return new FourierFeatures(gpu, {
    ...{ d: source.shape[1], kernelDim, affinity, frequencies, key: foldIn(key, 31) },
  });
}

const SCALE_NODES = 1000; // ncut_pytorch finds scales on as many

async function solveFourier(
  gpu: Gpu,
  source: NodeSource,
  plan: NcutPlan,
  call: LongCall,
): Promise<SolvedNcut> {
  const nLandmarks = Math.min(source.shape[0], SCALE_NODES);
  const isKnown = isResolved(plan.affinity);
  const sample = isKnown
    ? { data: new Float32Array(source.shape[1]), shape: [1, source.shape[1]] as const }
    : (await chooseLandmarks(gpu, source, { ...plan, nLandmarks, space: plan.samplingSpace }))
      .nodes;
  const affinity = await affinityOf(gpu, sample, plan);
  const features = fourierOf(gpu, source, affinity, plan);
  const cut = await cutByFeatures(gpu, source, features, { ...plan, affinity, ...call });
  const { eigval, residuals, turn, map } = cut;
  return {
    state: { affinity, eigval, residuals, turn, landmarks: NOWHERE },
    ...{ map, width: source.shape[1] },
    chunks: () => cut.chunks(),
    [Symbol.dispose]: () => cut[Symbol.dispose](),
  };
}

function propagatorOf(
  gpu: Gpu,
  nodes: HostMatrix,
  { values, affinity }: { values: HostMatrix; affinity: Affinity },
  { weights, nNeighbors }: NcutPlan,
): Propagator {
  const most = Math.min(nNeighbors, nodes.shape[0]);
  return new Propagator(gpu, nodes, values, { affinity, weights, nNeighbors: most });
}

async function solveNeighbors(
  gpu: Gpu,
  source: NodeSource,
  { landmarks, affinity, plan }: Problem,
  call: LongCall,
): Promise<SolvedNcut> {
  const { nEig, nIndirect, chunkSize, key, nPropagate, propagationAffinity } = plan;
  const options = { nEig, affinity, nIndirect, chunkSize, key: foldIn(key, 41), ...call };
  const { eigvec, eigval, residuals } = await cutLandmarks(gpu, source, landmarks, options);
  const m = landmarks.indices.length;
  const chosen = nPropagate === undefined || nPropagate >= m
    ? Uint32Array.from(landmarks.indices.keys())
    : await farthestPoints(gpu, eigvec, nPropagate, { key: foldIn(key, 42), candidatesPerPick: m });
  const nodes = takeNodes(nodesOf(landmarks.nodes), chosen, { chunkSize });
  const neighbors = {
    rows: chosen.map((i) => landmarks.indices[i]),
    values: takeNodes(nodesOf(eigvec), chosen, { chunkSize }),
    affinity: propagationAffinity
      ? await affinityOf(gpu, nodes, { ...plan, affinity: propagationAffinity })
      : affinity,
  };
  const map = propagatorOf(gpu, nodes, neighbors, plan);
  return {
    state: { affinity, eigval, residuals, neighbors, landmarks: landmarks.indices },
    ...{ map, width: source.shape[1] },
    chunks: () => mapped(gpu, source, map, { affinity, chunkSize, ...call }),
    [Symbol.dispose]: () => map[Symbol.dispose](),
  };
}

/** Rows of a map, piece by piece. */
export async function* mapped(
  gpu: Gpu,
  source: NodeSource,
  map: RowMap,
  options: Parameters<typeof nodeChunks>[2],
): AsyncGenerator<Float32Array<ArrayBuffer>> {
  for await (const { x } of nodeChunks(gpu, source, { ...options, stage: "eigenvectors" })) {
    using y = map.apply(x);
    yield await y.data() as Float32Array<ArrayBuffer>;
  }
}

/** All pairs. New nodes take their values from the nearest of all. */
async function solveExact(
  gpu: Gpu,
  source: NodeSource,
  plan: NcutPlan,
  { signal }: LongCall,
): Promise<SolvedNcut> {
  const { nEig, key, chunkSize } = plan, [n] = source.shape;
  const nodes = { data: source.readRows(0, n), shape: source.shape };
  using x = Tensor.from(gpu, nodes.data, nodes.shape);
  const affinity = await resolveAffinity(x, plan.affinity);
  const { eigvec, eigval, residuals } = await exactNcut(x, { affinity, nEig, key, signal });
  const landmarks = Uint32Array.from({ length: n }, (_, i) => i);
  const neighbors = { rows: landmarks, values: eigvec, affinity };
  const map = propagatorOf(gpu, nodes, neighbors, plan);
  return {
    state: { affinity, eigval, residuals, neighbors, landmarks },
    ...{ map, width: source.shape[1] },
    async *chunks() {
      await Promise.resolve();
      for (const [start, end] of windows(n, chunkSize)) {
        yield eigvec.data.slice(start * nEig, end * nEig);
      }
    },
    [Symbol.dispose]: () => map[Symbol.dispose](),
  };
}
