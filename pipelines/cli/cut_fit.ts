/**
 * `gyrus cut` of nodes: the graph, its eigenvectors, and what is read from them.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, randomKey } from "../../engine/random.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { openArray, parseArrayRef } from "../io/array_ref.ts";
import { requireFinite } from "../io/checks.ts";
import { withFileErrors } from "../io/files.ts";
import { Hdf5Writer } from "../io/hdf5_writer.ts";
import type { RunFacts } from "../io/step_log.ts";
import { quote } from "../io/strict_json.ts";
import { rgbFromTsne, rgbFromUmap } from "../spectral/color.ts";
import type { FeatureNodes } from "../spectral/feature_nodes.ts";
import { ncutHierarchy } from "../spectral/hierarchy.ts";
import { Ncut } from "../spectral/ncut.ts";
import { type AffinityChoice, type NcutOptions, planNcut } from "../spectral/ncut_options.ts";
import { takeNodes } from "../spectral/node_source.ts";
import { farthestSamples } from "../spectral/sample_nodes.ts";
import { rbfOfNodes } from "../spectral/source_variance.ts";
import { type StoredCut, type StoredFit, writeFit, writeParts, writeReadings } from "./cut_file.ts";
import { clusterSizes, type CutJob, type FoundCut } from "./cut_job.ts";
import type { CutCliOptions } from "./cut_options.ts";
import type { Output } from "./output.ts";

/** Nodes up to which `auto` compares all pairs. */
const EXACT_NODES = 8192;

/** The affinity, or the rule that finds its scale. */
function affinityOf(options: CutCliOptions): AffinityChoice {
  const { affinity: kind, gamma, sigma, scale, degree = 0.05 } = options;
  if (kind === "squared-cosine") {
    return scale === "v3" ? { kind, quantile: 0.25 } : { kind, sigma: sigma ?? 0.5 };
  }
  if (scale === "v1") return { kind, degree };
  if (kind === "cosine") return { kind, gamma: gamma ?? 1 };
  if (kind === "euclidean") return { kind, gamma: gamma ?? 1 };
  if (sigma !== undefined) return { kind, sigma };
  return gamma === undefined ? { kind, quantile: 0.25 } : { kind, gamma };
}

/** The rows that an array of landmarks names. */
async function landmarkRows(reference: string): Promise<Uint32Array<ArrayBuffer>> {
  using rows = await openArray(reference);
  const data = rows.readRows(0, rows.shape[0]);
  requireFinite(data, { source: reference, columns: 1 });
  if (rows.shape.length !== 1 || data.some((row) => !Number.isInteger(row) || row < 0)) {
    throw new InputError(
      `Cannot take landmarks from ${
        quote(reference)
      }: it must be one axis of rows from 0, its shape is [${rows.shape}]`,
    );
  }
  return Uint32Array.from(data);
}

/** By what affinity nodes are near landmarks, where the version of ncut_pytorch that the weights are of takes another than the graph's. */
function propagationOf(
  { affinity, gamma, weights }: CutCliOptions,
  nodes: FeatureNodes,
): Pick<NcutOptions, "propagationAffinity"> {
  // v3 looks for a scale on the landmarks, whatever that of the graph is.
  if (weights === "degree") return { propagationAffinity: { kind: "rbf", quantile: 0.25 } };
  if (weights !== "affinity" || affinity !== "rbf" || gamma === undefined) return {};
  return { propagationAffinity: rbfOfNodes(nodes, gamma) };
}

async function ncutOptions(options: CutCliOptions, nodes: FeatureNodes): Promise<NcutOptions> {
  const [nNodes] = nodes.shape;
  const { nEig, seed, neighbors, weights, orthogonal, propagateFrom, landmarks: choice } = options;
  const isAuto = options.method === "auto";
  const method = isAuto ? nNodes <= EXACT_NODES ? "exact" : "nystrom" : options.method;
  const count = choice !== undefined && /^\d+$/.test(choice) ? Number(choice) : undefined;
  if (choice !== undefined && method === "exact") {
    throw new InputError(
      `Cannot use --landmarks ${
        quote(choice)
      }: an exact cut of ${nNodes} nodes has none; choose --method`,
    );
  }
  const given = choice !== undefined && count === undefined
    ? await landmarkRows(choice)
    : undefined;
  const wantsNeighbors = [neighbors, weights, propagateFrom].some((value) => value !== undefined);
  return {
    nEig,
    method: method as NcutOptions["method"],
    affinity: affinityOf(options),
    key: randomKey(seed),
    makeOrthogonal: orthogonal,
    extension: wantsNeighbors ? "neighbors" : "features",
    ...(neighbors === undefined ? {} : { nNeighbors: neighbors }),
    ...(weights === undefined ? {} : { weights }),
    ...propagationOf(options, nodes),
    ...(propagateFrom === undefined ? {} : { nPropagate: propagateFrom }),
    ...(count === undefined
      ? {}
      : method === "kernel"
      ? { kernelDim: count }
      : { nLandmarks: count }),
    ...(given ? { landmarks: given } : {}),
  };
}

/** What a checkpoint belongs to: the features by sizes and times of change of their files, how they are read, and the adapter. */
function factsOf({ parts, shape }: FeatureNodes, gpu: Gpu): RunFacts {
  const features = parts.map(({ source, nImages, grid, prefixTokens }) => {
    const { path, name } = parseArrayRef(source);
    const { size, mtime } = withFileErrors("read", path, () => Deno.statSync(path));
    const file = path.replace(/^.*\//s, "");
    return [file, name, size, mtime?.getTime(), nImages, grid, prefixTokens];
  });
  return { features: { features, shape }, adapter: [gpu.adapterName, gpu.options] };
}

/** Cuts the graph of the nodes. */
export async function fitCut(
  { gpu, nodes, options, progress }: CutJob,
  { partial }: Output,
): Promise<FoundCut> {
  const chosen = await ncutOptions(options, nodes);
  const plan = planNcut(nodes.shape[0], chosen);
  const { checkpoint } = options;
  using cut = await new Ncut(gpu, chosen).fit(nodes, {
    ...(checkpoint === undefined ? {} : { checkpoint, facts: factsOf(nodes, gpu) }),
    onProgress: progress.update,
  });
  const { eigvec, eigval, landmarks, state, affinity } = cut;
  const readings = { eigvec, ...await readingsOf({ gpu, nodes, options, progress }, eigvec) };
  const { nEig, method, extension, weights, nNeighbors, kernelDim, frequencies } = plan;
  const fit: StoredFit = {
    options: { nEig, method, extension, weights, nNeighbors, kernelDim, frequencies },
    seed: options.seed,
    ...fitNodes(nodes, state, plan.chunkSize),
  };
  {
    using file = await Hdf5Writer.create(partial, { inPlace: true });
    writeReadings(file, readings);
    writeParts(file, nodes);
    writeFit(file, fit, { landmarks, isKept: !options.orthogonal });
    file.commit();
  }
  const results = {
    nodes: nodes.shape[0],
    method: method === "nystrom" ? `${method}, ${extension}` : method,
    landmarks: landmarks.length,
    affinity,
    eigval: Array.from(eigval.subarray(0, 8)),
    clusters: clusterSizes(readings.clusters),
  };
  return { ...readings, results };
}

/** The features that a fit's map needs, and the state with its rows counted among them. */
function fitNodes(
  nodes: FeatureNodes,
  state: StoredFit["state"],
  chunkSize: number,
): Pick<StoredFit, "state" | "nodes"> {
  const rows = state.neighbors?.rows ?? state.landmarks;
  const own = Uint32Array.from(rows.keys());
  const neighbors = state.neighbors && { ...state.neighbors, rows: own };
  const kept = rows.length > 0
    ? takeNodes(nodes, rows, { chunkSize })
    : hostMatrix(new Float32Array(nodes.shape[1]), [1, nodes.shape[1]]);
  return { nodes: kept, state: { ...state, landmarks: own, ...(neighbors ? { neighbors } : {}) } };
}

/** Clusters and colours by eigenvectors. */
async function readingsOf(
  { gpu, options, progress }: CutJob,
  eigvec: HostMatrix,
): Promise<Pick<StoredCut, "clusters" | "colors">> {
  const { k, kway: method, nEig } = options, key = randomKey(options.seed);
  const ks = k.toSorted((a, b) => a - b);
  const { levels } = ks.length > 0
    ? await ncutHierarchy(gpu, eigvec, { ks, method, key: foldIn(key, 51) })
    : { levels: [] };
  const clusters = levels.map(({ cut, labels }, i) => ({
    k: ks[i],
    labels,
    rotation: hostMatrix(Float32Array.from(cut.rotation), [cut.nEig, cut.nClusters]),
  }));
  if (options.colors === "none") return { clusters };
  if (nEig < 2) {
    throw new InputError(`Cannot colour nodes by ${nEig} eigenvector: 2 or more are needed`);
  }
  const { colorSamples: nSamples, perplexity, colorSpace: space, turn: position } = options;
  const common = {
    ...{ key: foldIn(key, 52), space, position, onProgress: progress.update },
    ...(nSamples === undefined ? {} : { nSamples }),
  };
  const colors = options.colors === "tsne"
    ? await rgbFromTsne(gpu, eigvec, {
      ...common,
      ...(perplexity === undefined ? {} : { perplexity }),
    })
    : await rgbFromUmap(gpu, eigvec, common);
  const { indices } = await farthestSamples(gpu, eigvec, {
    count: COLOR_SAMPLES,
    key: foldIn(key, 53),
  });
  return { clusters, colors: { rgb: colors.rgb, samples: indices } };
}

/** Nodes that lend new ones their colours. */
const COLOR_SAMPLES = 1000;
