import type { Gpu } from "../../engine/gpu.ts";
import type { RidgeSamples } from "./ridge_samples.ts";

// What the device is assumed to have where it sets no budget: WebGPU tells nobody how much memory there is.
const DEFAULT_BUDGET = 4 * 2 ** 30;
const ALIGNMENT = 64;

/** Bytes that a fit may have on the device. */
export function budgetOf({ options }: Gpu): number {
  return options.memoryBudget ?? DEFAULT_BUDGET;
}

/** How much is on the device at once. */
export interface Batches {
  /** Targets of a tile. */
  readonly nTargetsBatch: number;
  /** Alphas whose operators wait for a tile. */
  readonly nAlphasBatch: number;
}

/**
 * Tiles for the adapter's limits: an eighth of the memory for the responses of a tile and what is made of them, a quarter for operators.
 * Where all targets fit one tile they are uploaded once.
 *
 * @param options.nTargetsBatch what the user wants instead
 * @param options.nAlphasBatch what the user wants instead
 */
export function batchesOf(
  { gpu, nSamples, nFeatures, y, layout: { folds } }: RidgeSamples,
  { isDual, nTargetsBatch, nAlphasBatch }: Partial<Batches> & { isDual: boolean },
): Batches {
  const budget = budgetOf(gpu);
  const nTargets = y.shape[1];
  const depth = isDual ? nSamples : nFeatures;
  // The responses twice, as rows and as panels, and the sides of every split where they are not the responses.
  const perTarget = 4 * (2 * nSamples + (isDual ? 0 : 2 * folds.length * nFeatures));
  const bound = gpu.caps.maxBindingBytes / 4 / (Math.max(nSamples, depth) + 2);
  const fitting = Math.min(budget / 8 / perTarget, bound);
  const tile = Math.max(ALIGNMENT, Math.floor(fitting / ALIGNMENT) * ALIGNMENT);
  const rows = folds.reduce((sum, { test }) => sum + Math.ceil(test.length / 64) * 64, 0);
  const alphas = Math.max(1, Math.floor(budget / 4 / (4 * Math.max(1, rows) * depth)));
  return {
    nTargetsBatch: nTargetsBatch ?? Math.min(tile, nTargets),
    nAlphasBatch: nAlphasBatch ?? alphas,
  };
}
