import type { Gpu } from "../../engine/gpu.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { contingency } from "../stats/partitions.ts";
import { type KwayCut, kwayNcut, quickKway, type QuickKwayOptions } from "./kway.ts";

/** Options of {@link ncutHierarchy}. */
export interface HierarchyOptions extends Omit<QuickKwayOptions, "nClusters" | "nEig"> {
  /** Clusters of each level, coarse to fine. */
  readonly ks?: readonly number[];
  /** Turns the eigenvectors (Yu and Shi) or compares their rows (k-means, as many eigenvectors as clusters where there are). */
  readonly method?: "rotation" | "kmeans";
}

/** How the clusters of a level lie in those of the coarser level before it. */
export interface Nesting {
  /** The coarser cluster that holds most nodes of each cluster; −1 for an empty cluster. */
  readonly parents: Int32Array<ArrayBuffer>;
  /** Share of the nodes of each cluster that its parent holds; NaN for an empty cluster. */
  readonly shares: Float64Array<ArrayBuffer>;
  /** Share of all nodes that are in the parent of their cluster: 1 for a tree. */
  readonly nested: number;
}

/** One level of a {@link NcutHierarchy}. */
export interface HierarchyLevel {
  /** The discretisation, which labels new nodes. */
  readonly cut: KwayCut;
  /** The cluster of each node. */
  readonly labels: Uint32Array<ArrayBuffer>;
  /** How its clusters lie in those of the level before; undefined for the first. */
  readonly nesting?: Nesting;
}

const LEVELS = [5, 25, 50, 100, 250]; // ncut_pytorch v3, hierarchy of its predictor

/** K-way cuts of the same eigenvectors at several k. */
export class NcutHierarchy {
  /** Coarse to fine. */
  readonly levels: readonly HierarchyLevel[];

  /** @internal Use {@link ncutHierarchy}. */
  constructor(levels: readonly HierarchyLevel[]) {
    this.levels = levels;
  }

  /**
   * The nodes in the cluster of one node, for each level: 1 inside, 0 outside.
   *
   * @throws {InputError} when there is no such node
   */
  masksAt(node: number): Uint8Array<ArrayBuffer>[] {
    return this.levels.map(({ labels }) => {
      if (!(Number.isInteger(node) && node >= 0 && node < labels.length)) {
        throw new InputError(`Cannot take the masks of node ${node}: there are ${labels.length}`);
      }
      return Uint8Array.from(labels, (label) => Number(label === labels[node]));
    });
  }
}

/**
 * K-way cuts of the same eigenvectors at several k, with how far each level divides the one before. Levels are cut on their own, so
 * they need not nest: `nesting` says how much they do.
 *
 * @param eigvec `[n, nEig]`, descending by eigenvalue, the trivial first among them
 * @throws {InputError} when the ks do not ascend, or as {@link kwayNcut} and {@link quickKway}
 */
export async function ncutHierarchy(
  gpu: Gpu,
  eigvec: HostMatrix,
  { ks = LEVELS, method = "rotation", ...options }: HierarchyOptions = {},
): Promise<NcutHierarchy> {
  if (ks.length === 0 || ks.some((k, i) => i > 0 && k <= ks[i - 1])) {
    throw new InputError(`Cannot make a hierarchy of ${ks.join(", ")} clusters: they must ascend`);
  }
  const levels: HierarchyLevel[] = [];
  for (const nClusters of ks) {
    const cut = method === "rotation"
      ? await kwayNcut(gpu, eigvec, { ...options, nClusters })
      : await quickKway(eigvec, {
        ...options,
        nClusters,
        nEig: Math.min(nClusters, eigvec.shape[1]),
      });
    const { labels } = await cut.transform(gpu, eigvec);
    const coarser = levels.at(-1);
    levels.push({
      cut,
      labels,
      nesting: coarser && nestingOf(labels, cut.nClusters, coarser.labels),
    });
  }
  return new NcutHierarchy(levels);
}

/**
 * How the clusters of one labelling lie in those of a coarser one.
 *
 * @param labels from 0 to below `nClusters`
 * @throws {InputError} as {@link contingency}
 */
export function nestingOf(
  labels: ArrayLike<number>,
  nClusters: number,
  coarser: ArrayLike<number>,
): Nesting {
  const { rows, columns, counts, rowSums, n } = contingency(labels, coarser);
  const parents = new Int32Array(nClusters).fill(-1),
    shares = new Float64Array(nClusters).fill(NaN);
  let inside = 0;
  rows.forEach((label, r) => {
    const own = counts.subarray(r * columns.length, (r + 1) * columns.length);
    const best = own.indexOf(Math.max(...own));
    parents[label] = columns[best];
    shares[label] = own[best] / rowSums[r];
    inside += own[best];
  });
  return { parents, shares, nested: inside / n };
}
