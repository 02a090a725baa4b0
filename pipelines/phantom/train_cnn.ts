/**
 * A small VGG that says what was drawn in a picture, and where: categories, gratings, colours. Gratings and colours are asked for because
 * a network that only names categories may forget directions and places, which voxels here are tuned to as well.
 */

import { div, mul, softplus, square, sub } from "../../engine/ops/elementwise.ts";
import { mean } from "../../engine/ops/reduce.ts";
import { slice, stack } from "../../engine/ops/shape.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, type Key } from "../../engine/random.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { type StateDict, toFloat32 } from "../io/state_dict.ts";
import type { Weights } from "../models/vit_weights.ts";
import { Draws } from "./draws.ts";
import type { PhantomCall } from "./phantom.ts";
import {
  cnnConfigJson,
  type CnnMoments,
  cnnSizes,
  cnnStarts,
  runCnn,
  writeCnn,
} from "./train_cnn_net.ts";
import {
  CNN_TARGETS,
  type CnnBatch,
  cnnTargets,
  cnnViews,
  type LabelledScenes,
} from "./train_cnn_views.ts";
import { batches } from "./train_data.ts";
import { optimize, weightedSum } from "./train_step.ts";
import {
  type NetTraining,
  type Start,
  TrainableWeights,
  type TrainedNet,
  type TrainRun,
} from "./train_weights.ts";

/** How the shipped network was trained. */
export const cnnTraining: NetTraining = { steps: 500, batch: 16, nScenes: 2000, peak: 3e-3 };

/** Weights of the parts of the loss, each a mean over its values, those but the first in standard deviations squared. */
const WEIGHTS: Readonly<Record<keyof typeof cnnTargets, number>> = {
  present: 2,
  shares: 1,
  gratings: 1,
  thumbnail: 0.5,
};
const MOMENT_BATCHES = 12; // whose statistics the batch norms keep
const MOMENT_VIEWS = 256; // that tell the mean and standard deviation of each target

/** Mean and standard deviation of every target; presence is left as it is. */
interface Moments {
  readonly mean: Float32Array<ArrayBuffer>;
  readonly sd: Float32Array<ArrayBuffer>;
}

function momentsOf({ targets }: CnnBatch): Moments {
  const n = targets.length / CNN_TARGETS;
  const at = (i: number, t: number) => targets[i * CNN_TARGETS + t];
  const mean = new Float32Array(CNN_TARGETS), sd = new Float32Array(CNN_TARGETS).fill(1);
  for (let t = cnnTargets.present; t < CNN_TARGETS; t++) {
    let sum = 0, squares = 0;
    for (let i = 0; i < n; i++) sum += at(i, t);
    mean[t] = sum / n;
    for (let i = 0; i < n; i++) squares += (at(i, t) - mean[t]) ** 2;
    sd[t] = Math.sqrt(squares / n) || 1;
  }
  return { mean, sd };
}

function lossOf(gpu: Gpu, weights: Weights, batch: CnnBatch, moments: Moments): Tensor {
  const { size } = cnnSizes;
  const n = batch.targets.length / CNN_TARGETS;
  return tidy(gpu, () => {
    const said = runCnn(weights, Tensor.from(gpu, batch.pixels, [n, 3, size, size]));
    const row = (values: Float32Array<ArrayBuffer>) => Tensor.from(gpu, values, [1, CNN_TARGETS]);
    const raw = Tensor.from(gpu, batch.targets, [n, CNN_TARGETS]);
    const wanted = div(sub(raw, row(moments.mean)), row(moments.sd));
    let start = 0;
    const losses = Object.entries(cnnTargets).map(([name, count]) => {
      const part = (x: Tensor) => slice(x, { axis: 1, start, end: start + count });
      const [x, t] = [part(said), part(wanted)];
      start += count;
      return mean(name === "present" ? sub(softplus(x), mul(x, t)) : square(sub(x, t)));
    });
    return weightedSum(losses, Object.values(WEIGHTS));
  });
}

/**
 * First weights with the values of a trained network in them.
 *
 * @throws {InputError} when a tensor is missing or has another size
 */
function startsFrom(starts: ReadonlyMap<string, Start>, net: StateDict): Map<string, Start> {
  return new Map([...starts].map(([name, { shape }]) => {
    const tensor = net.get(name);
    if (`${tensor?.shape}` === `${shape}`) {
      return [name, { shape, values: toFloat32(tensor!).slice() }];
    }
    throw new InputError(
      `Cannot go on from this network: "${name}" must be [${shape}], is ${
        tensor ? `[${tensor.shape}]` : "missing"
      }`,
    );
  }));
}

function batchSource(data: LabelledScenes, key: Key, batch: number): (step: number) => CnnBatch {
  let epoch = 0;
  const shuffle = (order: readonly number[]) =>
    new Draws(key.hi, key.lo, 1, epoch++).shuffle(order);
  const stream = batches(shuffle, { count: data.scenes.length, batch });
  return (step) => cnnViews(data, stream.next().value, new Draws(key.hi, key.lo, 2, step));
}

/** Statistics of every batch norm over some batches, each counted alike, with the weights as they are (Wu and Johnson 2021, "precise BN"). */
async function normMoments(
  { gpu, tensors }: TrainableWeights,
  batches: readonly Float32Array<ArrayBuffer>[],
): Promise<CnnMoments> {
  const sums = new Map<
    string,
    { mean: Float32Array<ArrayBuffer>; variance: Float32Array<ArrayBuffer> }
  >();
  const { size } = cnnSizes;
  for (const pixels of batches) {
    const found = tidy(gpu, () => {
      const taken: Record<string, Tensor> = {};
      const n = pixels.length / (3 * size * size);
      runCnn(tensors, Tensor.from(gpu, pixels, [n, 3, size, size]), (name, mean, variance) => {
        taken[name] = stack([mean, variance]);
      });
      return taken;
    });
    for (const [name, tensor] of Object.entries(found)) {
      const values = await tensor.data() as Float32Array, channels = values.length / 2;
      tensor.dispose();
      const sum = sums.get(name) ??
        { mean: new Float32Array(channels), variance: new Float32Array(channels) };
      for (let c = 0; c < channels; c++) {
        sum.mean[c] += values[c] / batches.length;
        sum.variance[c] += values[channels + c] / batches.length;
      }
      sums.set(name, sum);
    }
  }
  return sums;
}

/** Trains the phantom's convolutional network from a key. */
export async function trainCnn(
  gpu: Gpu,
  data: LabelledScenes,
  { key, onStep, from, ...training }: NetTraining & TrainRun,
  call: PhantomCall = {},
): Promise<TrainedNet> {
  const fresh = cnnStarts();
  const starts = from ? startsFrom(fresh, from) : fresh;
  using weights = new TrainableWeights(gpu, starts, foldIn(key, 0));
  const views = foldIn(key, 1);
  const some = Array.from({ length: MOMENT_VIEWS }, (_, i) => i % data.scenes.length);
  const moments = momentsOf(cnnViews(data, some, new Draws(views.hi, views.lo, 3)));
  const next = batchSource(data, views, training.batch);
  const still = batchSource(data, foldIn(key, 2), training.batch);
  const seen = Array.from({ length: MOMENT_BATCHES }, (_, i) => still(i).pixels);
  const net = async (losses: readonly number[]): Promise<TrainedNet> => ({
    tensors: writeCnn(await weights.read(), starts, await normMoments(weights, seen)),
    config: cnnConfigJson,
    losses,
  });
  const losses = await optimize(
    weights,
    (step, watched) => lossOf(gpu, watched, next(step), moments),
    {
      ...training,
      weightDecay: 0.02,
      onStep: onStep && ((step, value) => onStep(step, value, () => net([]))),
    },
    call,
  );
  return await net(losses);
}
