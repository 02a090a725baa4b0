import type { Gpu } from "../../engine/gpu.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { shiftedDual } from "./delays.ts";
import { slabValues } from "./device_matrix.ts";
import { FittedGroupRidge } from "./fitted_group_ridge.ts";
import { RidgeModel } from "./fitted_ridge.ts";
import {
  centredPart,
  columnMeans,
  type HostMatrix,
  hostMatrix,
  range,
  takeColumns,
} from "./host_matrix.ts";
import type { EncodingModel } from "./linear_model.ts";

/** Delays of a model's features, `[0]` where there are none. */
export function delaysOf(model: EncodingModel): readonly number[] {
  const isRidge = model instanceof RidgeModel || model instanceof FittedGroupRidge;
  return isRidge ? model.delays ?? [0] : [0];
}

/**
 * Weights of the (normalised) features for some targets of a model of any kind. Where it is kept as coefficients of samples they are
 * made of these targets alone.
 *
 * @param targets numbers of the targets, from 0
 * @returns `[nDelays · nFeatures, targets.length]`, delay after delay
 * @throws {InputError} for a target that the model has not
 */
export async function featureWeights(
  gpu: Gpu,
  model: EncodingModel,
  targets: ArrayLike<number>,
): Promise<HostMatrix> {
  const own = Uint32Array.from(targets);
  const bad = Array.from(targets).find((t) =>
    !(Number.isInteger(t) && t >= 0 && t < model.nTargets)
  );
  if (bad !== undefined) {
    throw new InputError(
      `Cannot take the weights of target ${bad}: there are ${model.nTargets}, counted from 0`,
    );
  }
  if (model.coef) return takeColumns(model.coef, own);
  if (!(model instanceof RidgeModel || model instanceof FittedGroupRidge)) {
    throw new Error("unreachable: a model has coefficients of features or of samples");
  }
  const coef = await fromSamples(gpu, model, own);
  if (!(model instanceof FittedGroupRidge)) return coef;
  const { bestGammas, gammas, bands: { bandOf } } = model;
  const p = bandOf.length;
  coef.data.forEach((value, at) => {
    const gamma = gammas[bestGammas[own[at % own.length]]];
    coef.data[at] = value * gamma[bandOf[Math.floor(at / own.length) % p]];
  });
  return coef;
}

/** `xᵀ · c` for some targets, by slabs of features. */
async function fromSamples(
  gpu: Gpu,
  { xFit, dualCoef, delays, delayOptions, fitIntercept }: RidgeModel | FittedGroupRidge,
  targets: Uint32Array,
): Promise<HostMatrix> {
  if (!xFit || !dualCoef) throw new Error("unreachable: a model without weights has samples");
  const [n, p] = xFit.shape, width = targets.length;
  const c = takeColumns(dualCoef, targets);
  // Where coefficients sum to 0 a mean may come off the samples: products become small, and f32 keeps more of them.
  const means = fitIntercept && !delays ? columnMeans(xFit, range(n)) : new Float64Array(p);
  const step = Math.max(1, Math.floor(slabValues(gpu) / Math.max(n, width)));
  const all = delays ?? [0];
  const coef = new Float32Array(all.length * p * width);
  for (const [d, delay] of all.entries()) {
    const shifted = delay === 0 ? c : shiftedDual(c, delay, delayOptions);
    using right = Tensor.from(gpu, shifted.data, [n, width]);
    for (let start = 0; start < p; start += step) {
      const end = Math.min(p, start + step);
      using part = tidy(gpu, () => {
        const x = Tensor.from(gpu, centredPart(xFit, range(n), means, { start, end }), [
          n,
          end - start,
        ]);
        return matmul(x, right, { transposeA: true });
      });
      coef.set(await part.data(), (d * p + start) * width);
    }
  }
  return hostMatrix(coef, [all.length * p, width]);
}
