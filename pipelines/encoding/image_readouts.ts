/**
 * An encoder's weights as readouts of a network's features: what is optimised when images are made for voxels.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { InputError } from "../errors.ts";
import type { Encoder } from "./encoder.ts";
import { delaysOf, featureWeights } from "./feature_weights.ts";
import type { HostMatrix } from "./host_matrix.ts";
import { overDeviation } from "./normalize.ts";

/** Readouts of a network's features: `weights · features + intercept`. */
export interface ImageReadouts {
  /** Weights of each voxel over the features as the network gives them, `[nVoxels, nFeatures]`. */
  readonly weights: HostMatrix;
  /** Added to the readouts, `[nVoxels]`. */
  readonly intercept: Float64Array<ArrayBuffer>;
  /** `"l2"` where all features of an image are divided by their Euclidean length before they are weighted. */
  readonly normalization: "l2" | "none";
}

/** Weights turned, means over the delays: `[nVoxels, nFeatures]`. */
function rowsOf({ data, shape: [rows, nVoxels] }: HostMatrix, nDelays: number): HostMatrix {
  const p = rows / nDelays;
  const out = new Float32Array(nVoxels * p);
  for (let at = 0; at < out.length; at++) {
    const v = Math.floor(at / p), j = at % p;
    let sum = 0;
    for (let d = 0; d < nDelays; d++) sum += data[(d * p + j) * nVoxels + v];
    out[at] = sum / nDelays;
  }
  return { data: out, shape: [nVoxels, p] };
}

function requireVoxels(voxels: readonly number[], nTargets: number): void {
  const bad = voxels.find((v) => !(Number.isInteger(v) && v >= 0 && v < nTargets));
  if (voxels.length > 0 && bad === undefined) return;
  throw new InputError(
    bad === undefined
      ? "Cannot read voxels out: there must be at least one"
      : `Cannot read voxel ${bad} out: the encoder has ${nTargets}, counted from 0`,
  );
}

/**
 * The weights with which an encoder reads some voxels out of a network's features. A z-scoring of features is folded into weights and
 * intercept; division by the length of the features is not linear and is told by `normalization`. Where features were delayed the weights
 * are the means over the delays: the mean response over that window to an image shown once. Of an encoder that is kept as coefficients of
 * its samples, weights of features are made for these voxels alone.
 *
 * @param gpu where `Xᵀ·C` is computed
 * @param voxels columns of the responses, from 0
 * @throws {InputError} for a voxel that is not there, none at all, or a weight that is not finite
 */
export async function imageReadouts(
  gpu: Gpu,
  { model, normalizer: { kind, mean, std } }: Encoder,
  voxels: ArrayLike<number>,
): Promise<ImageReadouts> {
  const list = Array.from(voxels);
  requireVoxels(list, model.nTargets);
  const { data, shape } = rowsOf(await featureWeights(gpu, model, list), delaysOf(model).length);
  const p = shape[1];
  const intercept = Float64Array.from(list, (v) => model.intercept[v]);
  if (kind === "zscore" && mean && std) {
    for (let at = 0; at < data.length; at++) {
      const weight = overDeviation(data[at], std[at % p]);
      intercept[Math.floor(at / p)] -= weight * mean[at % p];
      data[at] = weight;
    }
  }
  const bad = data.findIndex((weight) => !Number.isFinite(weight));
  if (bad >= 0) {
    throw new InputError(
      `Cannot read voxel ${list[Math.floor(bad / p)]} out: its weight of feature ${bad % p} is ${
        data[bad]
      }`,
    );
  }
  return { weights: { data, shape }, intercept, normalization: kind === "l2" ? "l2" : "none" };
}
