import { type Key, randomKey } from "../../engine/random.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import type { Affinity } from "./affinity.ts";
import { findGamma, findSigma, rbfOfGamma } from "./affinity_scale.ts";
import type { SamplingSpace } from "./farthest_points.ts";
import type { Frequencies } from "./kernel_features.ts";
import type { PropagationWeights } from "./propagate.ts";

/**
 * An affinity, or one whose scale is found on the landmarks: `quantile` by the rule of ncut_pytorch v3 (`findSigma`), `degree` by that of
 * v1 (`findGamma`); `rbf` with v1's gamma goes by the variance of the features (`rbfOfGamma`).
 */
export type AffinityChoice =
  | Affinity
  | { readonly kind: "rbf" | "squared-cosine"; readonly quantile: number }
  | { readonly kind: "rbf" | "cosine" | "euclidean"; readonly degree: number }
  | { readonly kind: "rbf"; readonly gamma: number };

/** Options of {@link Ncut}; names of ncut_pytorch where it has them. */
export interface NcutOptions {
  /** Eigenvectors, the trivial first among them. */
  readonly nEig?: number;
  /** How alike two nodes are: `cosine` with gamma 1 when absent, as the paper. */
  readonly affinity?: AffinityChoice;
  /** `exact`: all pairs of nodes. `nystrom`: by landmarks. `kernel`: by random Fourier features, without landmarks (KernelNCut). */
  readonly method?: "exact" | "nystrom" | "kernel";
  /**
   * How `nystrom` comes from landmarks to all nodes. `features`: the affinities that the landmarks span, solved for all nodes together,
   * orthonormal. `neighbors`: eigenvectors of the landmarks alone, each node taking those of its nearest (the paper and ncut_pytorch).
   */
  readonly extension?: "features" | "neighbors";
  /** Landmarks (n_sample); by default 8 per eigenvector and at least 256 with `features`, 10,240 with `neighbors`; at most a quarter of n. */
  readonly nLandmarks?: number;
  /** Rows that are the landmarks, instead of chosen ones. */
  readonly landmarks?: ArrayLike<number>;
  /** How landmarks are chosen: farthest points, or one of each of as many equal stretches of rows. */
  readonly sampling?: "farthest" | "random";
  /** Candidates drawn for each landmark. */
  readonly candidatesPerPick?: number;
  /** What distances of farthest points are measured in. */
  readonly samplingSpace?: SamplingSpace;
  /** Landmarks that nodes take values from, the farthest points of all landmarks by their eigenvectors (n_sample2); all when absent. */
  readonly nPropagate?: number;
  /** Landmarks that a node takes its values from. */
  readonly nNeighbors?: number;
  /** What they are weighted by. */
  readonly weights?: PropagationWeights;
  /** Affinity of the propagation, its scale found on the landmarks that nodes take values from; that of the graph when absent. */
  readonly propagationAffinity?: AffinityChoice;
  /** Pseudo-nodes for indirect connections of landmarks by the other nodes, as means of clusters; none when absent. */
  readonly nIndirect?: number;
  /** Makes eigenvectors orthonormal over all nodes; those of `features` and `kernel` are already. */
  readonly makeOrthogonal?: boolean;
  /** Random frequencies of `kernel`. */
  readonly kernelDim?: number;
  /** How they are drawn. */
  readonly frequencies?: Frequencies;
  /** Rows on the device at once. */
  readonly chunkSize?: number;
  /** Bytes of features that are kept between passes. */
  readonly cacheBytes?: number;
  /** Seed of everything random. */
  readonly key?: Key;
}

/** Options with their defaults. */
export type NcutPlan =
  & Required<
    Omit<
      NcutOptions,
      "landmarks" | "nPropagate" | "propagationAffinity" | "nIndirect" | "nLandmarks"
    >
  >
  & Pick<NcutOptions, "landmarks" | "nPropagate" | "propagationAffinity" | "nIndirect">
  & { readonly nLandmarks: number };

/** Options of published versions. */
export const ncutPresets: Readonly<Record<"paper" | "fast", NcutOptions>> = {
  /** ncut_pytorch of 22 August 2024, the version nearest to the paper (indirect connections left to `nIndirect`: 100 there). */
  paper: {
    ...{ nEig: 50, affinity: { kind: "cosine", gamma: 1 }, method: "nystrom" },
    ...{ extension: "neighbors", nLandmarks: 30_000, nNeighbors: 10, weights: "cosine" },
    samplingSpace: "pca",
  },
  /** ncut_pytorch v3.1 (2026). */
  fast: {
    ...{ nEig: 100, affinity: { kind: "rbf", quantile: 0.25 }, method: "nystrom" },
    ...{ extension: "neighbors", nLandmarks: 10_240, nPropagate: 1024, nNeighbors: 32 },
    ...{ weights: "degree", propagationAffinity: { kind: "rbf", quantile: 0.25 } },
  },
};

const FEATURE_LANDMARKS = 256; // measured: beyond, time grows faster than accuracy (gyrus bench ncut)
const PER_EIGENVECTOR = 8;
const NEIGHBOR_LANDMARKS = 10_240; // ncut_pytorch since April 2025
const MOST_LANDMARKS = 1 / 4; // of the nodes, as ncut_pytorch v3

/**
 * Fills in what is absent, for `n` nodes.
 *
 * @throws {InputError} when a number is out of range
 */
export function planNcut(n: number, options: NcutOptions): NcutPlan {
  const { nEig = 20, extension = "features", method = "nystrom", landmarks } = options;
  const usual = extension === "features"
    ? Math.max(FEATURE_LANDMARKS, PER_EIGENVECTOR * nEig)
    : NEIGHBOR_LANDMARKS;
  const most = Math.max(Math.min(n, 2 * nEig), Math.floor(MOST_LANDMARKS * n));
  const nLandmarks = landmarks?.length ?? Math.min(options.nLandmarks ?? usual, most);
  const plan: NcutPlan = {
    ...{ sampling: "farthest", candidatesPerPick: 4, samplingSpace: "orthogonal" },
    ...{ nNeighbors: 10, weights: "affinity", makeOrthogonal: false },
    ...{ kernelDim: 1024, frequencies: "orthogonal", chunkSize: 8192, cacheBytes: 2 ** 30 },
    ...{ affinity: { kind: "cosine", gamma: 1 }, key: randomKey(0) },
    ...options,
    ...{ nEig, extension, method, nLandmarks },
  };
  const wrong = wrongNumber(n, plan);
  if (wrong !== undefined) throw new InputError(`Cannot cut a graph of ${n} nodes: ${wrong}`);
  return plan;
}

function wrongNumber(n: number, plan: NcutPlan): string | undefined {
  const isCount = (value: number, most: number) =>
    Number.isInteger(value) && value >= 1 && value <= most;
  const counts: [string, number | undefined, number][] = [
    ["eigenvectors", plan.nEig, n],
    ["landmarks", plan.nLandmarks, n],
    ["rows at once", plan.chunkSize, Infinity],
    ["neighbours", plan.nNeighbors, Infinity],
    ["frequencies", plan.kernelDim, Infinity],
    ["landmarks to propagate from", plan.nPropagate, Infinity],
    ["pseudo-nodes", plan.nIndirect, Infinity],
  ];
  for (const [what, value, most] of counts) {
    if (value !== undefined && !isCount(value, most)) {
      return `there must be from 1 to ${most} ${what}, not ${value}`;
    }
  }
  if (plan.method === "nystrom" && plan.nEig > plan.nLandmarks) {
    return `${plan.nEig} eigenvectors need as many landmarks, there are ${plan.nLandmarks}`;
  }
}

/** Whether a choice is an affinity with its scale. */
export function isResolved(choice: AffinityChoice): choice is Affinity {
  return !("quantile" in choice || "degree" in choice) &&
    !(choice.kind === "rbf" && "gamma" in choice);
}

/**
 * The affinity of a choice, its scale found on some nodes.
 *
 * @param x `[m, d]`
 * @throws {InputError} when no scale gives what is wanted
 */
export async function resolveAffinity(x: Tensor, choice: AffinityChoice): Promise<Affinity> {
  if ("quantile" in choice) {
    return { kind: choice.kind, sigma: await findSigma(x, choice.kind, choice) };
  }
  if (choice.kind === "rbf" && "gamma" in choice) return await rbfOfGamma(x, choice.gamma);
  if (!("degree" in choice)) return choice;
  const gamma = await findGamma(x, choice.kind, { degree: choice.degree });
  return choice.kind === "rbf" ? await rbfOfGamma(x, gamma) : { kind: choice.kind, gamma };
}
