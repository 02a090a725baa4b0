/**
 * Training of the UNet of denoising-diffusion-pytorch, which MIG-Vis synthesises with.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { add, scale } from "../../engine/ops/elementwise.ts";
import { foldIn } from "../../engine/random.ts";
import { readAll, Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { clipGradients, type LossGradients, lossGradients } from "../gradients.ts";
import { hostTensor, type StateDict, toFloat32 } from "../io/state_dict.ts";
import { quote } from "../io/strict_json.ts";
import { runDdp } from "../models/ddp_forward.ts";
import { ddpTensors, drawDdpWeights } from "../models/ddp_layout.ts";
import { bindDdp, DdpTensors } from "../models/ddp_weights.ts";
import { trainingFacts, TrainingFolder } from "./train_checkpoint.ts";
import { gatherImages, TrainingDraws, type TrainingImages } from "./train_draws.ts";
import { diffusionLoss } from "./train_loss.ts";
import {
  type DiffusionTrainingOptions,
  emaShare,
  type FullTraining,
  fullTraining,
  stepSize,
  type TrainedDiffusion,
} from "./train_options.ts";
import { trainedPrefixes, TrainingState } from "./train_state.ts";

const CHECKPOINT_EVERY = 1000; // steps; denoising-diffusion-pytorch's `save_and_sample_every`

/** Refuses images that the network does not take. */
function requireImages({ values, shape }: TrainingImages, { sizes }: FullTraining): void {
  const [n, channels, height, width] = shape, { channels: taken = 3, dimMults } = sizes;
  const factor = 2 ** ((dimMults?.length ?? 4) - 1);
  const isFit = n >= 1 && channels === taken && values.length === n * channels * height * width &&
    [height, width].every((side) => side >= factor && side % factor === 0);
  if (!isFit) {
    throw new InputError(
      `Cannot train on [${shape}] with ${values.length} values: images must be [n, ${taken}, height, width] with sides that ${factor} divides`,
    );
  }
  const bad = values.findIndex((v) => !(v >= -1 && v <= 1));
  if (bad < 0) return;
  throw new InputError(
    `Cannot train on the images: values must be from -1 to 1, value ${bad} is ${values[bad]}`,
  );
}

/** The weights that training begins with, by names without a prefix. */
function firstWeights({ sizes, key }: FullTraining, from?: StateDict): StateDict {
  if (!from) return drawDdpWeights(sizes, foldIn(key, 0));
  return new Map([...ddpTensors(sizes)].map(([name, { shape }]) => {
    const tensor = from.get(name) ?? from.get(trainedPrefixes.weights + name);
    if (`${tensor?.shape}` === `${shape}`) return [name, hostTensor(toFloat32(tensor!), shape)];
    throw new InputError(
      `Cannot go on from this network: ${quote(name)} must be [${shape}], is ${
        tensor ? `[${tensor.shape}]` : "missing"
      }`,
    );
  }));
}

/** A training and what its passes need. */
interface Run {
  readonly gpu: Gpu;
  readonly images: TrainingImages;
  readonly training: FullTraining;
  readonly draws: TrainingDraws;
  readonly state: TrainingState;
}

/** Loss and gradients of the samples of one pass. */
function passGradients({ gpu, images, training, draws, state }: Run, pass: number): LossGradients {
  const { batch, schedule, prediction, sizes } = training, step = state.losses.length;
  const levels = sizes.dimMults?.length ?? 4, [, ...shape] = images.shape;
  const from = pass * batch, to = from + batch;
  const samples = Array.from({ length: batch }, (_, s) => draws.sample(step, from + s));
  return tidy(gpu, () => {
    const start = Tensor.from(gpu, gatherImages(images, samples), [batch, ...shape]);
    const noise = draws.noise(gpu, step, { from, to, shape });
    const timesteps = samples.map(({ timestep }) => timestep);
    return lossGradients(state.weights, (watched) => {
      const weights = bindDdp(new DdpTensors(watched), levels);
      const predict = (x: Tensor, timesteps: readonly number[]) =>
        runDdp(weights, x, { timesteps });
      return diffusionLoss({ start, noise, timesteps }, schedule, { prediction, predict });
    });
  });
}

/** Mean of the losses and gradients of all passes of a step. */
function stepGradients(run: Run): LossGradients {
  const { gpu, training: { accumulate } } = run;
  let sum = passGradients(run, 0);
  if (accumulate === 1) return sum;
  const mixed = (a: LossGradients, b: LossGradients, factor: number): LossGradients =>
    tidy(gpu, () => ({
      loss: scale(add(a.loss, b.loss), factor),
      gradients: a.gradients.map((g, i) => scale(add(g, b.gradients[i]), factor)),
    }));
  for (let pass = 1; pass < accumulate; pass++) {
    const [before, own] = [sum, passGradients(run, pass)];
    sum = mixed(before, own, pass === accumulate - 1 ? 1 / accumulate : 1);
    [before, own].forEach(({ loss, gradients }) =>
      [loss, ...gradients].forEach((t) => t.dispose())
    );
  }
  return sum;
}

/** One step of the optimiser; its loss and the length of its gradients. */
async function takeStep(run: Run): Promise<{ loss: number; gradientNorm: number }> {
  const { gpu, training, state } = run, step = state.losses.length;
  state.optimizer.lr = stepSize(step, training);
  const told = tidy(gpu, () => {
    const { loss, gradients } = stepGradients(run);
    const { clipped, norm } = clipGradients(gradients, training.maxGradientNorm);
    state.optimizer.step(clipped);
    const kept = emaShare(step, training.ema);
    if (kept !== undefined) state.average(kept);
    return [loss, norm];
  });
  const [[loss], [gradientNorm]] = await readAll(told);
  told.forEach((t) => t.dispose());
  if (Number.isFinite(loss) && Number.isFinite(gradientNorm)) return { loss, gradientNorm };
  throw new InputError(
    `Cannot go on training: at step ${step} loss and gradients must be finite, they are ${loss} and ${gradientNorm}; a smaller step size may help`,
  );
}

/**
 * Trains a UNet of denoising-diffusion-pytorch to tell the noise in images (Ho, Jain and Abbeel 2020), as MIG-Vis does: Adam, gradients
 * shortened, averages of the weights, mirrored images. The same key on the same adapter gives the same bits, also after a kill where a
 * checkpoint is kept; sample `s` of step `k` is the same image, time step and noise however a step is divided into passes.
 *
 * @param images values from −1 to 1, `[n, channels, height, width]`
 * @throws {InputError} when images, sizes or options do not fit, a checkpoint is another training's, or a loss is not finite
 * @throws the signal's reason when it is aborted
 */
export async function trainDiffusion(
  gpu: Gpu,
  images: TrainingImages,
  options: DiffusionTrainingOptions,
): Promise<TrainedDiffusion> {
  const training = fullTraining(options);
  requireImages(images, training);
  const { steps, batch, accumulate, flip, key, schedule } = training;
  const { signal, onStep, onProgress, checkpoint } = options;
  const first = firstWeights(training, options.from);
  const folder = checkpoint &&
    new TrainingFolder(checkpoint.folder, trainingFacts(gpu, images, training, first), training);
  using state = folder?.read(gpu, first) ?? new TrainingState(gpu, first, training);
  const draws = new TrainingDraws(foldIn(key, 1), {
    ...{ n: images.shape[0], perStep: batch * accumulate, flip },
    timesteps: schedule.alphasCumprod.length,
  });
  const run = { gpu, images, training, draws, state };
  while (state.losses.length < steps) {
    signal?.throwIfAborted();
    const step = state.losses.length, taken = await takeStep(run);
    state.losses.push(taken.loss);
    await onStep?.({ step, ...taken, net: () => state.net() });
    onProgress?.({ stage: "training", done: step + 1, total: steps });
    const isDue = (step + 1) % (checkpoint?.every ?? CHECKPOINT_EVERY) === 0;
    if (isDue || step + 1 === steps) await folder?.write(state);
  }
  return { tensors: await state.net(), losses: Float32Array.from(state.losses) };
}
