import { foldIn, type Key, normal, split } from "../../engine/random.ts";
import { permutation } from "../encoding/cross_validation.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import type { SlotFile } from "../encoding/alignment/slot_file.ts";
import { LOSS_PARTS, type VaeBatch, type VaeLosses } from "./objective.ts";
import type { VaeWeights } from "./parameters.ts";
import { latentSize, type VaeSettings, type VaeShape } from "./settings.ts";
import type { TrainTestSplit } from "./split.ts";
import type { VaeTrainer } from "./trainer.ts";
import { packTraining, unpackTraining } from "./training_state.ts";

/** Scaled samples of all stimuli. */
export interface VaeSamples {
  /** `[n, nSites]` */
  readonly responses: Float32Array<ArrayBuffer>;
  /** `[n, pose.size]` */
  readonly pose?: Float32Array<ArrayBuffer>;
  /** Categories from 0, `[n]` */
  readonly categories?: Uint32Array<ArrayBuffer>;
}

/** Losses over the epochs. */
export interface VaeHistory {
  /** Mean losses of the steps of each epoch. */
  readonly train: readonly VaeLosses[];
  /** Losses of the test stimuli at each look. */
  readonly test: readonly VaeLosses[];
  /** Epochs, from 1, after which there was a look. */
  readonly testEpochs: readonly number[];
}

/** Where training stands after a look at the test loss. */
export interface VaeTraining extends VaeHistory {
  /** Weights that are kept: those of the lowest test loss so far, or the last ones. */
  readonly kept: VaeWeights;
  /** Epoch of the kept weights, from 1. */
  readonly keptEpoch: number;
}

/** What training needs beside a trainer. */
export interface TrainingPlan {
  readonly samples: VaeSamples;
  readonly shape: VaeShape;
  readonly split: TrainTestSplit;
  readonly settings: VaeSettings;
  readonly key: Key;
}

function takeRows<T extends Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>>(
  values: T,
  rows: Uint32Array,
  width: number,
): T {
  const taken = values.slice(0, rows.length * width) as T;
  rows.forEach((row, r) => taken.set(values.subarray(row * width, (row + 1) * width), r * width));
  return taken;
}

/** Some stimuli with the noise of their latents. */
function batchOf({ samples, shape }: TrainingPlan, rows: Uint32Array, noise: Key): VaeBatch {
  const { responses, pose, categories } = samples;
  return {
    responses: takeRows(responses, rows, shape.nSites),
    pose: pose && shape.pose && takeRows(pose, rows, shape.pose.size),
    categories: categories && takeRows(categories, rows, 1),
    noise: normal(noise, rows.length * latentSize(shape.groups)),
  };
}

/** Steps on the host never wait, so that listeners would be heard at the end alone. */
const STEPS_BETWEEN_SIGNALS = 8;

async function letSignalsIn(signal: AbortSignal | undefined): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve));
  signal?.throwIfAborted();
}

/** Batches of rows in their order; the last one may be smaller, as PyTorch's loader has it. */
function* batchesOf(plan: TrainingPlan, rows: Uint32Array, noise: Key): Generator<VaeBatch> {
  const { batchSize } = plan.settings;
  for (let start = 0, i = 0; start < rows.length; start += batchSize, i++) {
    yield batchOf(plan, rows.subarray(start, start + batchSize), foldIn(noise, i));
  }
}

function requireFiniteLosses(losses: VaeLosses, epoch: number, lr: number): void {
  const bad = LOSS_PARTS.filter((part) => part !== "total").find((part) =>
    !Number.isFinite(losses[part])
  );
  if (bad === undefined) return;
  throw new InputError(
    `Cannot train the VAE with step size ${lr}: its ${bad} loss is ${
      losses[bad]
    } in epoch ${epoch}`,
  );
}

/**
 * Trains until the last epoch; every draw follows from the key and the number of its step, so that a run that goes on from `file` after a
 * kill gives the same bits.
 *
 * @throws {InputError} when a loss is not finite: it says which and in which epoch
 */
export async function trainVae(
  trainer: VaeTrainer,
  plan: TrainingPlan,
  { file, signal, onProgress }: LongCall & { readonly file?: SlotFile } = {},
): Promise<VaeTraining> {
  const { settings: { epochs, evaluateEvery, keep, lr }, split: rows, key } = plan;
  const [orderKey, noiseKey, testKey] = split(key, 3);
  let state: VaeTraining | undefined;
  if (file?.latest) {
    const { training, trainer: was } = unpackTraining(file.latest);
    trainer.restore(was);
    state = training;
  }
  const train = [...state?.train ?? []];
  for (let epoch = train.length + 1; epoch <= epochs; epoch++) {
    const drawn = permutation(foldIn(orderKey, epoch), rows.train.length);
    const order = drawn.map((at) => rows.train[at]);
    let steps = 0;
    for (const batch of batchesOf(plan, order, foldIn(noiseKey, epoch))) {
      if (steps++ % STEPS_BETWEEN_SIGNALS === 0) await letSignalsIn(signal);
      trainer.step(batch);
    }
    const losses = await trainer.takeLosses();
    requireFiniteLosses(losses, epoch, lr);
    train.push(losses);
    onProgress?.({ stage: "training", done: epoch, total: epochs });
    if (epoch % evaluateEvery !== 0 && epoch !== epochs) continue;
    const tested = await trainer.evaluate(batchesOf(plan, rows.test, testKey));
    const lowest = Math.min(...(state?.test ?? []).map(({ total }) => total));
    const isKept = keep === "last" || !(tested.total >= lowest);
    const now = await trainer.state();
    state = {
      train: [...train],
      test: [...state?.test ?? [], tested],
      testEpochs: [...state?.testEpochs ?? [], epoch],
      kept: isKept || state === undefined ? now.weights : state.kept,
      keptEpoch: isKept || state === undefined ? epoch : state.keptEpoch,
    };
    file?.write(packTraining(state, now));
  }
  if (state === undefined) throw new RangeError("Cannot train for no epochs");
  return state;
}
