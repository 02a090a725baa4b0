/**
 * An encoder's weights as readouts of a network's features: what is optimised when images are made for voxels.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { shiftedDual } from "./delays.ts";
import { slabValues } from "./device_matrix.ts";
import type { Encoder } from "./encoder.ts";
import { FittedGroupRidge } from "./fitted_group_ridge.ts";
import { RidgeModel } from "./fitted_ridge.ts";
import { centredPart, columnMeans, type HostMatrix, range, takeColumns } from "./host_matrix.ts";
import type { EncodingModel } from "./linear_model.ts";

/** Readouts of a network's features: `weights · features + intercept`. */
export interface ImageReadouts {
  /** Weights of each voxel over the features as the network gives them, `[nVoxels, nFeatures]`. */
  readonly weights: HostMatrix;
  /** Added to the readouts, `[nVoxels]`. */
  readonly intercept: Float64Array<ArrayBuffer>;
  /** `"l2"` where all features of an image are divided by their Euclidean length before they are weighted. */
  readonly normalization: "l2" | "none";
}

/** Weights of some voxels from those of features, means over the delays. */
function rowsOfCoef(
  { data, shape: [rows, nTargets] }: HostMatrix,
  voxels: readonly number[],
  nDelays: number,
): HostMatrix {
  const p = rows / nDelays;
  const out = new Float32Array(voxels.length * p);
  voxels.forEach((voxel, v) => {
    for (let j = 0; j < p; j++) {
      let sum = 0;
      for (let d = 0; d < nDelays; d++) sum += data[(d * p + j) * nTargets + voxel];
      out[v * p + j] = sum / nDelays;
    }
  });
  return { data: out, shape: [voxels.length, p] };
}

/** Coefficients of the samples for some voxels, means over the delays, one voxel after the other: `[nVoxels, nSamples]`. */
function dualRows(
  { delays, delayOptions }: RidgeModel | FittedGroupRidge,
  dualCoef: HostMatrix,
  voxels: readonly number[],
): Float32Array<ArrayBuffer> {
  const own = takeColumns(dualCoef, voxels), [n, v] = own.shape;
  const parts = delays ? delays.map((delay) => shiftedDual(own, delay, delayOptions)) : [own];
  return Float32Array.from({ length: n * v }, (_, at) => {
    const from = at % n * v + Math.floor(at / n);
    return parts.reduce((sum, { data }) => sum + data[from], 0) / parts.length;
  });
}

/** Weights of some voxels from coefficients of the samples: `C·X`, a slab of features at a time. */
async function rowsOfDual(
  gpu: Gpu,
  model: RidgeModel | FittedGroupRidge,
  voxels: readonly number[],
): Promise<HostMatrix> {
  const { dualCoef, xFit, fitIntercept, delays } = model;
  if (!dualCoef || !xFit) throw new Error("unreachable: a ridge model has coefficients");
  const [n, p] = xFit.shape;
  const out = new Float32Array(voxels.length * p);
  // Where coefficients sum to 0 a mean may come off the samples: f32 keeps more of what is left.
  const isCentred = fitIntercept && !delays;
  const means = isCentred ? columnMeans(xFit, range(n)) : new Float64Array(p);
  const step = Math.max(1, Math.floor(slabValues(gpu) / Math.max(n, voxels.length)));
  using coefficients = Tensor.from(gpu, dualRows(model, dualCoef, voxels), [voxels.length, n]);
  for (let start = 0; start < p; start += step) {
    const end = Math.min(p, start + step);
    const part = centredPart(xFit, range(n), means, { start, end });
    using product = tidy(
      gpu,
      () => matmul(coefficients, Tensor.from(gpu, part, [n, end - start])),
    );
    const values = await product.data();
    voxels.forEach((_, v) => {
      out.set(values.subarray(v * (end - start), (v + 1) * (end - start)), v * p + start);
    });
  }
  if (model instanceof FittedGroupRidge) weighBands(out, model, voxels);
  return { data: out, shape: [voxels.length, p] };
}

/** Coefficients of samples are those of features that were multiplied by the weights of their bands. */
function weighBands(
  rows: Float32Array,
  { bands: { bandOf }, gammas, bestGammas }: FittedGroupRidge,
  voxels: readonly number[],
): void {
  const p = bandOf.length;
  voxels.forEach((voxel, v) => {
    const gamma = gammas[bestGammas[voxel]];
    for (let j = 0; j < p; j++) rows[v * p + j] *= gamma[bandOf[j]];
  });
}

async function rowsOf(
  gpu: Gpu,
  model: EncodingModel,
  voxels: readonly number[],
): Promise<HostMatrix> {
  const isRidge = model instanceof RidgeModel || model instanceof FittedGroupRidge;
  if (model.coef) return rowsOfCoef(model.coef, voxels, isRidge ? model.delays?.length ?? 1 : 1);
  if (isRidge) return await rowsOfDual(gpu, model, voxels);
  throw new InputError("Cannot read voxels out: the encoder has no coefficients");
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
  const { data, shape } = await rowsOf(gpu, model, list);
  const p = shape[1];
  const intercept = Float64Array.from(list, (v) => model.intercept[v]);
  if (kind === "zscore" && mean && std) {
    for (let at = 0; at < data.length; at++) {
      const weight = data[at] / std[at % p];
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
