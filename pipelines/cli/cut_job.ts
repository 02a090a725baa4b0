/**
 * What the ways to make a cut have in common.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import type { FeatureNodes } from "../spectral/feature_nodes.ts";
import type { StoredCut } from "./cut_file.ts";
import type { CutCliOptions } from "./cut_options.ts";
import type { Progress } from "./progress.ts";

/** A cut to make. */
export interface CutJob {
  readonly gpu: Gpu;
  readonly nodes: FeatureNodes;
  readonly options: CutCliOptions;
  readonly progress: Progress;
}

/** A cut that was made. */
export interface FoundCut extends Omit<StoredCut, "fit"> {
  /** What is reported. */
  readonly results: Readonly<Record<string, unknown>>;
}

/** Clusters of each k by their number of nodes. */
export function clusterSizes(clusters: StoredCut["clusters"]): Record<string, number[]> {
  return Object.fromEntries(clusters.map(({ k, labels }) => {
    const counts = new Array<number>(k).fill(0);
    labels.forEach((label) => counts[label]++);
    return [k, counts];
  }));
}
