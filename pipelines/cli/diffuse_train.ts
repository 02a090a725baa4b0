/**
 * `gyrus diffuse train`: the UNet of denoising-diffusion-pytorch, from images.
 *
 * @module
 */
import type { Command } from "commander";
import { trainDiffusion } from "../diffusion/train.ts";
import type { TrainingImages } from "../diffusion/train_draws.ts";
import { InputError } from "../errors.ts";
import { openSafetensors, saveSafetensors } from "../io/safetensors_file.ts";
import { hostTensor, type StateDict } from "../io/state_dict.ts";
import { quote } from "../io/strict_json.ts";
import { runRecord } from "../run_record.ts";
import {
  addTrainOptions,
  chooseTraining,
  type ChosenTraining,
  type TrainOptions,
} from "./diffuse_train_options.ts";
import { openGpu } from "./open_gpu.ts";
import { beginOutput, letSignalsIn, RUN_RECORD, writeOutput } from "./output.ts";
import { Progress } from "./progress.ts";
import { readSignedImages } from "./signed_images.ts";

const HELP = `
Output: with --out W.safetensors one file, otherwise a folder with model.safetensors, config.json and run.json. The tensors are
  model.*            the trained weights by the names of denoising-diffusion-pytorch
  ema_model.model.*  their averages, which gyrus diffuse sample takes with --ema
  betas              [timesteps] the schedule
  losses             [steps] mean squared error of each step
Without options it is the training of MIG-Vis: dim 64, levels 1,2,4,8, one channel, 150 sigmoid levels, 20000 steps of 2 times 64
images. Values of images are limited to -1..1. Two levels of noise of one image are two samples: sample s of step k is the same
whatever --batch and --accumulate are, as long as their product is.

A configuration (--config) has the library's names: dim, dim_mults, channels, full_attn, attn_heads, attn_dim_head, timesteps,
beta_schedule, objective, train_num_steps, train_batch_size, gradient_accumulate_every, train_lr, max_grad_norm, ema_decay,
ema_update_every, augment_horizontal_flip.

Example:
  gyrus diffuse train --images stimuli.npy --dim 16 --mults 1,2,4 --steps 500 --batch 16 --accumulate 1 --lr 1e-3 \\
    --checkpoint state --out unet
  gyrus diffuse sample --model unet --ema --steps 25 --n 8 --out drawn
`;

const LOSS_EVERY = 100; // steps between lines with a loss

/** Adds the command. */
export function register(diffuse: Command): void {
  addTrainOptions(diffuse.command("train").description("train a UNet on images"))
    .addHelpText("after", HELP)
    .action(async (_, command: Command) => await train(command.optsWithGlobals()));
}

async function readImages(options: TrainOptions, channels: number): Promise<TrainingImages> {
  const { data, shape: [n, , height, width] } = await readSignedImages(options.images, {
    channels,
    size: options.size,
  });
  return {
    values: data.map((v) => Math.min(1, Math.max(-1, v))),
    shape: [n, channels, height, width],
  };
}

const meanOf = (values: ArrayLike<number>) =>
  Array.from(values).reduce((a, b) => a + b, 0) / values.length;

/** The training itself, with its progress. */
async function run(
  options: TrainOptions,
  { training }: ChosenTraining,
  { images, from, progress }: {
    readonly images: TrainingImages;
    readonly from?: StateDict;
    readonly progress: Progress;
  },
) {
  using gpu = await openGpu(options);
  const recent: number[] = [];
  const trained = await trainDiffusion(gpu, images, {
    ...training,
    from,
    onProgress: progress.update,
    async onStep({ step, loss }) {
      recent.push(loss);
      if ((step + 1) % LOSS_EVERY === 0) {
        progress.log(`step ${step + 1}  loss ${meanOf(recent.splice(0)).toFixed(4)}`);
      }
      await letSignalsIn();
    },
  });
  return { trained, gpu };
}

async function train(options: TrainOptions): Promise<void> {
  const started = new Date(), { out, checkpoint } = options;
  const isFile = /\.safetensors$/i.test(out ?? "");
  const output = beginOutput(out, { kind: isFile ? "file" : "folder" });
  if (checkpoint !== undefined && checkpoint.replace(/\/+$/, "") === out?.replace(/\/+$/, "")) {
    throw new InputError(`Cannot keep the state in ${quote(out)}: the result goes there`);
  }
  const chosen = chooseTraining(options), { training, channels, config } = chosen;
  const images = await readImages(options, channels);
  using before = options.from === undefined ? undefined : openSafetensors(options.from);
  const progress = new Progress({ silent: options.json });
  const { trained: { tensors, losses }, gpu } = await run(options, chosen, {
    ...{ images, from: before?.tensors, progress },
  });
  progress.end();
  const { betas } = training.schedule, weights = isFile ? output.partial : "model.safetensors";
  saveSafetensors(
    isFile ? weights : `${output.partial}/${weights}`,
    new Map([
      ...tensors,
      ["betas", hostTensor(betas, [betas.length])],
      ["losses", hostTensor(losses, [losses.length])],
    ]),
  );
  const last = losses.subarray(-LOSS_EVERY);
  const results = { steps: losses.length, firstLoss: losses[0], lastLosses: meanOf(last) };
  const record = runRecord({
    ...{ command: "diffuse train", options: { ...options }, gpu, started, results },
    inputs: {
      images: options.images,
      ...(options.from === undefined ? {} : { from: options.from }),
    },
  });
  const text = `${JSON.stringify(record, null, 2)}\n`;
  if (!isFile) {
    const described = { ...config, image_size: images.shape[2] };
    Deno.writeTextFileSync(
      `${output.partial}/config.json`,
      `${JSON.stringify(described, null, 2)}\n`,
    );
    Deno.writeTextFileSync(`${output.partial}/${RUN_RECORD}`, text);
  }
  output.commit();
  if (isFile) writeOutput(`${out}.run.json`, text);
  if (options.json) return console.log(JSON.stringify({ out, ...results }));
  for (const [name, value] of Object.entries(results)) console.log(`${name.padEnd(12)}${value}`);
  console.log(`${"written".padEnd(12)}${out}`);
}
