/**
 * The control of maps: weights of regions fitted to responses that have lost their images.
 *
 * @module
 */
import { foldIn, type Key } from "../../engine/random.ts";
import type { RoiVoxels } from "../dense/relevance.ts";
import { permutation } from "../encoding/cross_validation.ts";
import type { RidgeProblem } from "../encoding/refit_test.ts";
import { RidgeSystems } from "../encoding/ridge_systems.ts";

/** Voxels of regions by alpha: weights are linear in the responses, so that those of one alpha are fitted as one. */
function groupsOf(rois: readonly RoiVoxels[], bestAlphas: ArrayLike<number>) {
  const groups = new Map<number, { region: number; voxels: number[]; share: number }[]>();
  rois.forEach(({ voxels }, region) => {
    const own = Map.groupBy(Array.from(voxels), (v) => bestAlphas[v]);
    for (const [alpha, some] of own) {
      const group = groups.get(alpha) ?? [];
      group.push({ region, voxels: some, share: 1 / voxels.length });
      groups.set(alpha, group);
    }
  });
  return groups;
}

/**
 * Mean weights of regions after the responses' rows were exchanged, `n` times, at the alphas that the true responses chose.
 *
 * @returns `[nFeatures, n · nRegions]`, the regions of one shuffle side by side
 */
export function shuffledRegionWeights(
  { features, responses, bestAlphas }: RidgeProblem,
  rois: readonly RoiVoxels[],
  { key, n }: { readonly key: Key; readonly n: number },
): Float32Array<ArrayBuffer> {
  const systems = new RidgeSystems(features);
  const [nSamples, nVoxels] = responses.shape;
  const width = n * rois.length;
  const out = new Float32Array(systems.nFeatures * width);
  const groups = groupsOf(rois, bestAlphas);
  for (let shuffle = 0; shuffle < n; shuffle++) {
    const order = permutation(foldIn(key, shuffle), nSamples);
    for (const [alpha, group] of groups) {
      const k = group.length;
      const means = new Float64Array(nSamples * k);
      order.forEach((from, row) => {
        group.forEach(({ voxels, share }, j) => {
          for (const v of voxels) means[row * k + j] += share * responses.data[from * nVoxels + v];
        });
      });
      const weights = systems.fit(alpha, means, k);
      group.forEach(({ region }, j) => {
        for (let f = 0; f < systems.nFeatures; f++) {
          out[f * width + shuffle * rois.length + region] += weights[f * k + j];
        }
      });
    }
  }
  return out;
}
