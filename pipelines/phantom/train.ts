/** Training of the phantom's networks, from nothing but a seed. */

import { foldIn, randomKey } from "../../engine/random.ts";
import type { Gpu } from "../../engine/gpu.ts";
import type { StateDict } from "../io/state_dict.ts";
import { InputError } from "../errors.ts";
import type { PhantomCall } from "./phantom.ts";
import { clipTraining, trainClip } from "./train_clip.ts";
import { clipSizes } from "./train_clip_net.ts";
import { renderTrainingScenes } from "./train_data.ts";
import { allPhantomNets, type AnyPhantomNet } from "./nets.ts";
import { cnnTraining, trainCnn } from "./train_cnn.ts";
import { renderLabelledScenes } from "./train_cnn_views.ts";
import { dinov2Training, trainDinov2 } from "./train_dinov2.ts";
import { radioTraining, trainRadio } from "./train_radio.ts";
import { trainUnet, unetTraining } from "./train_unet.ts";
import type { TrainingCheckpoint } from "../diffusion/train_options.ts";
import type { NetTraining, OnStep, TrainedNet } from "./train_weights.ts";

export { allPhantomNets, type AnyPhantomNet, type PhantomNet, phantomNets } from "./nets.ts";
export type { TrainedNet } from "./train_weights.ts";

const trainings: Readonly<Record<AnyPhantomNet, NetTraining>> = {
  clip: clipTraining,
  dinov2: dinov2Training,
  radio: radioTraining,
  cnn: cnnTraining,
  unet: unetTraining,
};

/** Steps of the shipped networks. */
export const trainingSteps: Readonly<Record<AnyPhantomNet, number>> = {
  clip: clipTraining.steps,
  dinov2: dinov2Training.steps,
  radio: radioTraining.steps,
  cnn: cnnTraining.steps,
  unet: unetTraining.steps,
};

/** Scenes of the shipped networks. */
export const trainingScenes: Readonly<Record<AnyPhantomNet, number>> = {
  clip: clipTraining.nScenes,
  dinov2: dinov2Training.nScenes,
  radio: radioTraining.nScenes,
  cnn: cnnTraining.nScenes,
  unet: unetTraining.nScenes,
};

/** Options of {@link trainPhantomNet}. */
export interface TrainOptions {
  /** Which network. */
  readonly net: AnyPhantomNet;
  /** Everything random follows from it. */
  readonly seed?: number;
  /** Steps of AdamW; as the shipped network when left out. */
  readonly steps?: number;
  /** Number of scenes to train on; as the shipped network when left out. */
  readonly nScenes?: number;
  /** Scenes in a step; as the shipped network when left out. */
  readonly batch?: number;
  /** A network trained before, to go on from. */
  readonly from?: StateDict;
  /** Where the state of the `"unet"` is kept, to go on from after a stop; the others take none. */
  readonly checkpoint?: TrainingCheckpoint;
  /** Called after every step with its loss and a way to take the network as it is. */
  readonly onStep?: OnStep;
}

/** Seeds of scenes start here, so that no phantom with a seed below shows a scene that a network was trained on. */
const FIRST_SCENE_SEED = 2 ** 40;

function checkOptions(
  options: Required<Omit<TrainOptions, "net" | "onStep" | "from" | "checkpoint">>,
): void {
  const limits = [["seed", 0, 2 ** 40], ["steps", 1, 1e6], ["nScenes", 2, 1e6], [
    "batch",
    2,
    4096,
  ]] as const;
  for (const [name, low, high] of limits) {
    const value = options[name];
    if (!Number.isInteger(value) || value < low || value > high) {
      throw new InputError(
        `Cannot train a network: ${name} must be a whole number from ${low} to ${high}, got ${value}`,
      );
    }
  }
}

/**
 * Trains one of the phantom's networks on scenes of its own. The same seed on the same adapter gives the same bits.
 *
 * @throws {InputError} for an option that is not a whole number in its range, or a checkpoint of a network that keeps none
 */
export async function trainPhantomNet(
  gpu: Gpu,
  { net, onStep, from, checkpoint, ...options }: TrainOptions,
  call: PhantomCall = {},
): Promise<TrainedNet> {
  const training = trainings[net];
  const { seed = 0, nScenes = training.nScenes } = options;
  const { steps = training.steps, batch = training.batch } = options;
  checkOptions({ seed, nScenes, steps, batch });
  const scenes = { seed: FIRST_SCENE_SEED + seed, count: nScenes, size: clipSizes.size };
  const key = foldIn(randomKey(seed), allPhantomNets.indexOf(net));
  const run = { steps, batch, key, onStep, from };
  if (net === "unet") {
    const all = { ...unetTraining, ...run, nScenes, sceneSeed: scenes.seed, checkpoint };
    return await trainUnet(gpu, all, call);
  }
  if (checkpoint) {
    throw new InputError(`Cannot keep the state of ${net}: the unet alone goes on after a stop`);
  }
  if (net === "cnn") {
    const labelled = await renderLabelledScenes(scenes, call);
    return await trainCnn(gpu, labelled, { ...cnnTraining, ...run }, call);
  }
  const data = await renderTrainingScenes(scenes, call);
  switch (net) {
    case "clip":
      return await trainClip(gpu, data, { ...clipTraining, ...run }, call);
    case "dinov2":
      return await trainDinov2(gpu, data, { ...dinov2Training, ...run }, call);
    case "radio":
      return await trainRadio(gpu, data, { ...radioTraining, ...run }, call);
  }
}
