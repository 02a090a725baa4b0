import type { HostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import type { RoiVoxels } from "./relevance.ts";

/** Images that an encoder predicts a region to like most. */
export interface TopImages {
  /** Name of the region. */
  readonly name: string;
  /** Rows of the predictions, best first. */
  readonly images: Uint32Array<ArrayBuffer>;
  /** Mean predicted activation of the region's voxels for them. */
  readonly scores: Float64Array<ArrayBuffer>;
}

/**
 * The `k` images with the highest mean predicted activation of each region; of equal ones the earlier image. BrainSAIL takes 5 for
 * places, words, faces and bodies, 10 for food.
 *
 * @param predictions `[nImages, nTargets]`
 * @throws {InputError} when a region has no voxels or one that is not there, or `k` is not a whole number from 1 to the images
 */
export function topImages(
  { data, shape: [n, nTargets] }: HostMatrix,
  rois: readonly RoiVoxels[],
  k: number,
): TopImages[] {
  if (!(Number.isInteger(k) && k >= 1 && k <= n)) {
    throw new InputError(
      `Cannot choose ${k} of ${n} images: it must be a whole number from 1 to ${n}`,
    );
  }
  return rois.map(({ name, voxels }) => {
    const columns = Array.from(voxels);
    const bad = columns.find((v) => !(Number.isInteger(v) && v >= 0 && v < nTargets));
    if (columns.length === 0 || bad !== undefined) {
      throw new InputError(
        `Cannot rank images for the region "${name}": its voxels must be among ${nTargets}, got ${
          bad ?? "none"
        }`,
      );
    }
    const means = Float64Array.from({ length: n }, (_, i) => {
      let sum = 0;
      for (const v of columns) sum += data[i * nTargets + v];
      return sum / columns.length;
    });
    const order = Uint32Array.from({ length: n }, (_, i) => i)
      .sort((a, b) => means[b] - means[a] || a - b);
    const images = order.slice(0, k);
    return { name, images, scores: Float64Array.from(images, (i) => means[i]) };
  });
}
