/** A small UNet of denoising-diffusion-pytorch that makes images like the phantom's stimuli for inferior temporal cortex. */

import type { Gpu } from "../../engine/gpu.ts";
import type { Key } from "../../engine/random.ts";
import { noiseSchedule } from "../diffusion/schedule.ts";
import { trainDiffusion } from "../diffusion/train.ts";
import type { TrainingCheckpoint } from "../diffusion/train_options.ts";
import { encodeFloat16, hostTensor, type StateDict, toFloat32 } from "../io/state_dict.ts";
import type { DdpSizes } from "../models/ddp_layout.ts";
import { IT_SIDE, renderItStimuli } from "./it_stimuli.ts";
import type { PhantomCall } from "./phantom.ts";
import type { NetTraining, OnStep, TrainedNet } from "./train_weights.ts";

/** How the shipped network was trained. */
export const unetTraining: NetTraining & { readonly decaySteps: number } = {
  steps: 660,
  batch: 8,
  nScenes: 8192,
  peak: 1e-3,
  decaySteps: 60,
};

/** Sizes: images of 32 pixels in one channel; three levels. */
export const unetSizes: DdpSizes = {
  dim: 16,
  dimMults: [1, 2, 4],
  channels: 1,
  heads: 2,
  dimHead: 16,
};

/** Levels of noise, as MIG-Vis has them. */
export const unetSchedule = { kind: "sigmoid", steps: 150 } as const;

/** What the weights do not tell, under names of denoising-diffusion-pytorch. */
export const unetConfigJson: Readonly<Record<string, unknown>> = {
  model_type: "denoising-diffusion-pytorch",
  image_size: IT_SIDE,
  timesteps: unetSchedule.steps,
  beta_schedule: unetSchedule.kind,
  objective: "pred_noise",
};

/** What one run starts from. */
export interface UnetRun {
  /** Seed of the stimuli, apart from those of any phantom. */
  readonly sceneSeed: number;
  /** Everything else random follows from it. */
  readonly key: Key;
  /** A network to go on from. */
  readonly from?: StateDict;
  /** Called after every step. */
  readonly onStep?: OnStep;
  /** Where the state is kept. */
  readonly checkpoint?: TrainingCheckpoint;
}

const WEIGHTS = "model.";

/**
 * The weights by names without a prefix, in f16: not their averages, which lag behind the fall of the step size and are not what MIG-Vis's code
 * samples with either.
 */
function written(tensors: StateDict): StateDict {
  return new Map(
    [...tensors].filter(([name]) => name.startsWith(WEIGHTS)).map(([name, tensor]) => [
      name.slice(WEIGHTS.length),
      hostTensor(encodeFloat16(toFloat32(tensor)), tensor.shape, { dtype: "f16" }),
    ]),
  );
}

/** Trains the phantom's UNet from a key. */
export async function trainUnet(
  gpu: Gpu,
  { sceneSeed, key, from, onStep, checkpoint, ...training }: typeof unetTraining & UnetRun,
  call: PhantomCall = {},
): Promise<TrainedNet> {
  const { steps, batch, nScenes, peak, decaySteps } = training;
  const { images } = renderItStimuli(nScenes, { seed: sceneSeed });
  const net = (tensors: StateDict, losses: readonly number[]): TrainedNet => ({
    ...{ tensors: written(tensors), config: unetConfigJson, losses },
  });
  const trained = await trainDiffusion(gpu, {
    values: images,
    shape: [nScenes, 1, IT_SIDE, IT_SIDE],
  }, {
    ...{ sizes: unetSizes, schedule: noiseSchedule(unetSchedule), key, from, checkpoint, ...call },
    ...{ steps, batch, accumulate: 1, lr: peak, decaySteps: Math.min(decaySteps, steps) },
    flip: 0, // stripes and some silhouettes have a handedness
    onStep: onStep &&
      (({ step, loss, net: now }) => onStep(step, loss, async () => net(await now(), []))),
  });
  return net(trained.tensors, [...trained.losses]);
}
