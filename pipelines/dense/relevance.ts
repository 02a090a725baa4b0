/**
 * Relevance maps: what each patch of an image adds to the response that an encoder predicts, and how much it is like a text.
 *
 * @module
 */
import { add, clamp, div, sqrt, square } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { permute } from "../../engine/ops/shape.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";

/** Least norm that is divided by, as `torch.nn.functional.normalize` has it. */
const LEAST_NORM = 1e-12;

/**
 * Rows of unit length: `x: […, m]` divided by its L2 norm over the last axis; a row of zeros stays zero.
 */
export function normalizeRows(x: Tensor): Tensor {
  return tidy(x.gpu, () => {
    const norm = sqrt(sum(square(x), { axes: [-1], keepDims: true }));
    return div(x, clamp(norm, LEAST_NORM, 3e38));
  });
}

/** Options of {@link relevanceMaps}. */
export interface RelevanceOptions {
  /** Added to every patch of a map, `[k]`: the encoder's intercept. It moves a map and does not change its pattern. */
  readonly intercept?: Tensor;
  /** `false` takes the features as they are; the default is unit length per patch (BrainSAIL). */
  readonly normalize?: boolean;
}

/**
 * Maps of `k` voxels or regions: the encoder's weights applied to every patch, `[n, k, gridHeight, gridWidth]`.
 *
 * @param dense `[n, gridHeight, gridWidth, m]`, as a model or `distillDense` gives them
 * @param weights `[m, k]`: an encoder's `coef`, or means of its columns over regions
 * @throws {InputError} when the features are not as many as the weights
 */
export function relevanceMaps(
  dense: Tensor,
  weights: Tensor,
  { intercept, normalize = true }: RelevanceOptions = {},
): Tensor {
  const [n, height, width, m] = dense.shape;
  const [nFeatures, k] = weights.shape;
  if (dense.shape.length !== 4 || weights.shape.length !== 2 || m !== nFeatures) {
    throw new InputError(
      `Cannot map weights [${weights.shape}] onto dense features [${dense.shape}]: ` +
        "both must have the same number of features",
    );
  }
  return tidy(dense.gpu, () => {
    const rows = dense.reshape([n * height * width, m]);
    const values = matmul(normalize ? normalizeRows(rows) : rows, weights);
    const moved = intercept ? add(values, intercept.reshape([1, k])) : values;
    return permute(moved.reshape([n, height, width, k]), [0, 3, 1, 2]);
  });
}

/**
 * Cosine similarity of every patch to each of `k` texts: `[n, k, gridHeight, gridWidth]`.
 *
 * @param dense `[n, gridHeight, gridWidth, m]`
 * @param text `[k, m]`, from the text tower of the same model
 * @throws {InputError} when the features are not as many
 */
export function textSimilarity(dense: Tensor, text: Tensor): Tensor {
  return tidy(dense.gpu, () => relevanceMaps(dense, permute(normalizeRows(text), [1, 0])));
}

/** Voxels that count together. */
export interface RoiVoxels {
  /** Name of the region. */
  readonly name: string;
  /** Columns of the encoder. */
  readonly voxels: ArrayLike<number>;
}

/** Weights of regions. */
export interface RoiWeights {
  /** `[nFeatures, nRois]`. */
  readonly coef: Float32Array<ArrayBuffer>;
  /** `[nRois]`. */
  readonly intercept: Float32Array<ArrayBuffer>;
}

/**
 * Mean weights of regions. A map of them is the mean of the maps of their voxels, because a map is linear in the weights.
 *
 * @param coef `[nFeatures, nTargets]`
 * @param intercept `[nTargets]`
 * @throws {InputError} when a region has no voxels, or one that the encoder does not have
 */
export function roiWeights(
  coef: Float32Array,
  intercept: Float32Array,
  rois: readonly RoiVoxels[],
): RoiWeights {
  const nTargets = intercept.length;
  const nFeatures = coef.length / nTargets;
  const out = {
    coef: new Float32Array(nFeatures * rois.length),
    intercept: new Float32Array(rois.length),
  };
  rois.forEach(({ name, voxels }, r) => {
    const bad = Array.from(voxels).find((v) => !(v >= 0 && v < nTargets));
    if (voxels.length === 0 || bad !== undefined) {
      throw new InputError(
        `Cannot average the region "${name}": its voxels must be among the encoder's ${nTargets}, got ${
          bad ?? "none"
        }`,
      );
    }
    const mean = (at: (voxel: number) => number) => {
      let total = 0;
      for (let i = 0; i < voxels.length; i++) total += at(voxels[i]);
      return total / voxels.length;
    };
    out.intercept[r] = mean((v) => intercept[v]);
    for (let f = 0; f < nFeatures; f++) {
      out.coef[f * rois.length + r] = mean((v) => coef[f * nTargets + v]);
    }
  });
  return out;
}
