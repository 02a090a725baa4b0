/**
 * A small DINOv2-like network that learns from pictures alone: the class token tells which two views show the same scene, and every
 * hidden patch is to be painted from the others.
 */

import { add, addScalar, mul, neg, scale, square, sub } from "../../engine/ops/elementwise.ts";
import { linear, matmul } from "../../engine/ops/matmul.ts";
import { patchify } from "../../engine/ops/patchify.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { slice } from "../../engine/ops/shape.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, type Key } from "../../engine/random.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { Captures } from "../models/captures.ts";
import { embedPatches, type ImageTower, runTokens } from "../models/vit.ts";
import type { VitConfig } from "../models/vit_config.ts";
import type { Weights } from "../models/vit_weights.ts";
import { Draws } from "./draws.ts";
import type { PhantomCall } from "./phantom.ts";
import { batches, type TrainingScenes } from "./train_data.ts";
import { dinov2ConfigJson, dinov2Sizes, dinov2Starts, writeDinov2 } from "./train_dinov2_net.ts";
import { startsFrom } from "./train_resume.ts";
import { cosineLogits, crossEntropy, optimize, unitRows, weightedSum } from "./train_step.ts";
import {
  MLP_RATIO,
  type NetTraining,
  TrainableWeights,
  type TrainedNet,
  type TrainRun,
} from "./train_weights.ts";
import { randomMask, randomViews } from "./train_views.ts";

/** How the shipped network was trained. */
export const dinov2Training: NetTraining = { steps: 400, batch: 8, nScenes: 2000, peak: 1.5e-3 };

const HIDDEN_SHARE = 0.4; // of the patches; SimMIM hides 0.6 of larger pictures
const TEMPERATURE = 0.2; // SimCLR, table 5: 0.1 to 0.5
const VIEW_WEIGHT = 0.5;

const config: VitConfig = {
  ...{ family: "dinov2", gated: false, activation: "gelu", eps: 1e-6 },
  ...{ width: dinov2Sizes.width, depth: dinov2Sizes.depth, heads: dinov2Sizes.heads },
  ...{ hidden: MLP_RATIO * dinov2Sizes.width, patchSize: dinov2Sizes.patch, channels: 3 },
  ...{ prefixTokens: 1, posPrefix: 1, grid: [dinov2Sizes.grid, dinov2Sizes.grid] },
  posInterpolation: "dinov2",
};

/** What one step looks at. */
interface Batch {
  readonly pixels: Float32Array<ArrayBuffer>;
  readonly mask: Float32Array<ArrayBuffer>;
}

/** Mean squared error of the hidden patches. `painted, pixels: [n, patches, inner]`, `mask: [n, patches, 1]`. */
function paintLoss(painted: Tensor, pixels: Tensor, mask: Tensor): Tensor {
  const hidden = HIDDEN_SHARE * dinov2Sizes.grid ** 2;
  const count = painted.shape[0] * Math.round(hidden) * painted.shape[2];
  return scale(sum(mul(square(sub(painted, pixels)), mask)), 1 / count);
}

/** How well each class token finds the other view of its scene among all. `cls: [2 · scenes, width]`, views after views. */
function viewLoss(cls: Tensor, weights: Weights): Tensor {
  const layer = (name: string, x: Tensor, activation: "gelu" | "none") =>
    linear(x, weights.get(`${name}.weight`)!, { bias: weights.get(`${name}.bias`), activation });
  const said = unitRows(layer("view_head.1", layer("view_head.0", cls, "gelu"), "none"));
  const n = cls.shape[0] / 2;
  const [first, second] = [slice(said, { axis: 0, end: n }), slice(said, { axis: 0, start: n })];
  const logits = cosineLogits(matmul(first, second, { transposeB: true }), 1 / TEMPERATURE);
  const same = Float32Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0));
  const targets = Tensor.from(cls.gpu, same, [n, n]);
  const [rows, columns] = [crossEntropy(logits, targets, 1), crossEntropy(logits, targets, 0)];
  return scale(add(rows, columns), 0.5);
}

function lossOf(gpu: Gpu, weights: Weights, batch: Batch): Tensor {
  const { size, patch, grid, width } = dinov2Sizes;
  const patches = grid * grid;
  const n = batch.mask.length / patches;
  return tidy(gpu, () => {
    const tower: ImageTower = { weights, readout: { config, summaryTokens: [] } };
    const pixels = Tensor.from(gpu, batch.pixels, [n, 3, size, size]);
    const mask = Tensor.from(gpu, batch.mask, [n, patches, 1]);
    const seen = mul(embedPatches(tower, pixels), addScalar(neg(mask), 1));
    const hidden = mul(mask, weights.get("mask_token")!.reshape([1, 1, width]));
    const captures = new Captures(["final"]);
    const cls = runTokens(tower, add(seen, hidden), {
      pos: weights.get("pos")!,
      grid: [grid, grid],
      captures,
    })!;
    const tokens = slice(captures.taken.final, { axis: 1, start: 1 });
    const painted = linear(tokens, weights.get("paint_head.weight")!, {
      bias: weights.get("paint_head.bias"),
    });
    return weightedSum(
      [paintLoss(painted, patchify(pixels, patch), mask), viewLoss(cls, weights)],
      [1, VIEW_WEIGHT],
    );
  });
}

function batchSource(data: TrainingScenes, key: Key, batch: number): (step: number) => Batch {
  let epoch = 0;
  const shuffle = (order: readonly number[]) =>
    new Draws(key.hi, key.lo, 1, epoch++).shuffle(order);
  const stream = batches(shuffle, { count: data.scenes.length, batch });
  return (step) => {
    const draws = new Draws(key.hi, key.lo, 2, step);
    const indices = stream.next().value;
    const both = [...indices, ...indices];
    return {
      pixels: randomViews(data, both, draws),
      mask: randomMask(draws, {
        n: both.length,
        patches: dinov2Sizes.grid ** 2,
        share: HIDDEN_SHARE,
      }),
    };
  };
}

/** Trains the phantom's DINOv2-like network from a key. */
export async function trainDinov2(
  gpu: Gpu,
  data: TrainingScenes,
  { key, onStep, from, ...training }: NetTraining & TrainRun,
  call: PhantomCall = {},
): Promise<TrainedNet> {
  const fresh = dinov2Starts(data);
  const starts = from ? startsFrom(fresh, from) : fresh;
  using weights = new TrainableWeights(gpu, starts, foldIn(key, 0));
  const next = batchSource(data, foldIn(key, 1), training.batch);
  const net = async (losses: readonly number[]): Promise<TrainedNet> => ({
    tensors: writeDinov2(await weights.read(), starts),
    config: dinov2ConfigJson,
    losses,
  });
  const losses = await optimize(weights, (step, watched) => lossOf(gpu, watched, next(step)), {
    ...training,
    weightDecay: 0.05,
    onStep: onStep && ((step, value) => onStep(step, value, () => net([]))),
  }, call);
  return await net(losses);
}
