import type { Gpu } from "../../engine/gpu.ts";
import {
  add,
  addScalar,
  clamp,
  div,
  exp,
  log,
  mul,
  relu,
  scale,
  square,
  sub,
} from "../../engine/ops/elementwise.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { logsumexp, mean, sum } from "../../engine/ops/reduce.ts";
import { slice, stack } from "../../engine/ops/shape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import type { ObjectiveOptions, VaeBatch } from "./objective.ts";
import { logPairWeight } from "./partial_correlation.ts";
import {
  CATEGORY_SHARE,
  groupStarts,
  latentSize,
  MIN_VARIANCE,
  type VaeShape,
} from "./settings.ts";

/** Weights on a device by PyTorch's names. */
export type DeviceWeights = (name: string) => Tensor;

/** `[nBatch, group's size]`: the latents of a group, or its first `size`. */
function groupOf(
  z: Tensor,
  groups: readonly number[],
  group: number,
  size = groups[group],
): Tensor {
  const first = groupStarts(groups)[group];
  return slice(z, { axis: 1, start: first, end: first + size });
}

/** The partial correlation as `partialCorrelation` estimates it, one value. */
function correlationOf(
  { z, mu, logvar }: Record<"z" | "mu" | "logvar", Tensor>,
  groups: readonly number[],
  { variance, sampleWeights, datasetSize }: ObjectiveOptions,
): Tensor {
  const { gpu, shape: [nBatch, n] } = z;
  const nGroups = groups.length;
  const v = clamp(exp(scale(logvar, variance === "code" ? 2 : 1)), MIN_VARIANCE, 3e38);
  const apart = square(sub(z.reshape([nBatch, 1, n]), mu.reshape([1, nBatch, n])));
  const byDim = add(div(apart, v.reshape([1, nBatch, n])), log(v).reshape([1, nBatch, n]));
  const starts = groupStarts(groups);
  const isIn = Float32Array.from({ length: nGroups * n }, (_, at) => {
    const g = Math.floor(at / n), d = at % n;
    return Number(d >= starts[g] && d < starts[g + 1]);
  });
  const sums = linear(
    byDim.reshape([nBatch * nBatch, n]),
    Tensor.from(gpu, isIn, [nGroups, n]),
  ); // [pairs, groups]
  const constants = Float32Array.from(groups, (size) => -0.5 * size * Math.log(2 * Math.PI));
  const densities = add(scale(sums, -0.5), Tensor.from(gpu, constants, [1, nGroups]));
  const nAll = sampleWeights === "batch" ? nBatch : datasetSize;
  const logWeight = logPairWeight(nBatch, nAll);
  const weights = Float32Array.from(
    { length: nBatch * nBatch },
    (_, at) => at % (nBatch + 1) === 0 ? 0 : logWeight,
  );
  const byGroup = add(densities, Tensor.from(gpu, weights, [nBatch * nBatch, 1]));
  const whole = add(
    sum(densities, { axes: [1], keepDims: true }),
    Tensor.from(gpu, weights, [nBatch * nBatch, 1]),
  );
  const marginal = (x: Tensor, columns: number) =>
    mean(sum(logsumexp(x.reshape([nBatch, nBatch, columns]), { axes: [1] }), { axes: [1] }));
  return addScalar(
    sub(marginal(whole, 1), marginal(byGroup, nGroups)),
    (nGroups - 1) * Math.log(nAll),
  );
}

/** Mean squared error of the pose, one value. */
function poseOf(weights: DeviceWeights, z: Tensor, shape: VaeShape, batch: VaeBatch): Tensor {
  const { pose, groups } = shape;
  if (!pose || !batch.pose) return Tensor.zeros(z.gpu, []);
  const said = mul(groupOf(z, groups, pose.group, pose.size), weights("decoder.dimwise_scale"));
  return mean(square(sub(said, Tensor.from(z.gpu, batch.pose, said.shape))));
}

/** Cross-entropy of the category, one value. */
function categoryOf(weights: DeviceWeights, z: Tensor, shape: VaeShape, batch: VaeBatch): Tensor {
  const { category, groups } = shape;
  if (!category || !batch.categories) return Tensor.zeros(z.gpu, []);
  const { size } = category;
  const truth = new Float32Array(batch.categories.length * size);
  batch.categories.forEach((c, r) => truth[r * size + c] = 1);
  const logits = linear(
    groupOf(z, groups, category.group),
    weights("decoder.fc_category.weight"),
    { bias: weights("decoder.fc_category.bias") },
  );
  const said = sum(mul(logits, Tensor.from(z.gpu, truth, logits.shape)), { axes: [1] });
  return mean(sub(logsumexp(logits, { axes: [1] }), said));
}

/**
 * The loss of a batch on a device, as `vaeObjective` computes it on the host.
 *
 * @returns its parts in the order of `LOSS_PARTS`, `[6]`, and the whole, on the tape that the weights are on
 */
export function deviceObjective(
  gpu: Gpu,
  weights: DeviceWeights,
  shape: VaeShape,
  { batch, options }: { readonly batch: VaeBatch; readonly options: ObjectiveOptions },
): { readonly parts: Tensor; readonly total: Tensor } {
  return tidy(gpu, () => {
    const { nSites, groups } = shape;
    const layer = (name: string, x: Tensor) =>
      linear(x, weights(`${name}.weight`), { bias: weights(`${name}.bias`) });
    const x = Tensor.from(gpu, batch.responses, [batch.responses.length / nSites, nSites]);
    const hidden = relu(layer("encoder.fc1", x));
    const mu = layer("encoder.fc_mu", hidden), logvar = layer("encoder.fc_logvar", hidden);
    const noise = Tensor.from(gpu, batch.noise, [x.shape[0], latentSize(groups)]);
    const z = add(mu, mul(exp(scale(logvar, 0.5)), noise));
    const reconstruction = mean(square(sub(layer("decoder.fc_x", z), x)));
    const pose = poseOf(weights, z, shape, batch), category = categoryOf(weights, z, shape, batch);
    const kl = scale(
      mean(sub(addScalar(logvar, 1), add(square(mu), exp(logvar)))),
      -0.5,
    );
    const { klWeight, labelWeight, partialCorrelationWeight: weight } = options;
    const isApart = weight !== 0 && groups.length > 1;
    const correlation = isApart
      ? correlationOf({ z, mu, logvar }, groups, options)
      : Tensor.zeros(gpu, []);
    const labels = add(pose, scale(category, CATEGORY_SHARE));
    const total = add(
      add(reconstruction, scale(labels, labelWeight)),
      add(scale(kl, klWeight), scale(correlation, weight)),
    );
    const all = [total, reconstruction, pose, category, kl, correlation];
    return { parts: stack(all.map((part) => part.detach().reshape([]))), total };
  });
}
