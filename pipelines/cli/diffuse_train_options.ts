/**
 * What `gyrus diffuse train` trains and how: options, a configuration by the names of denoising-diffusion-pytorch, defaults of MIG-Vis.
 *
 * @module
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { randomKey } from "../../engine/random.ts";
import type { PredictionType } from "../diffusion/denoise.ts";
import { noiseSchedule } from "../diffusion/schedule.ts";
import { type ScheduleName, scheduleNames } from "../diffusion/settings.ts";
import type { DiffusionTrainingOptions } from "../diffusion/train_options.ts";
import { InputError } from "../errors.ts";
import { quote } from "../io/strict_json.ts";
import { Entries } from "../models/config_entries.ts";
import { readConfig } from "./load_model.ts";
import { type GlobalOptions, realNumber, wholeNumber } from "./options.ts";

/** What options and a configuration may say of a training. */
interface TrainingChoices {
  readonly channels?: number;
  readonly dim?: number;
  readonly mults?: readonly number[];
  readonly fullAttention?: readonly number[];
  readonly heads?: number;
  readonly dimHead?: number;
  readonly schedule?: ScheduleName;
  readonly timesteps?: number;
  readonly prediction?: PredictionType;
  readonly steps?: number;
  readonly batch?: number;
  readonly accumulate?: number;
  readonly lr?: number;
  readonly decaySteps?: number;
  readonly clipNorm?: number;
  readonly flip?: number;
  readonly emaDecay?: number;
  readonly emaEvery?: number;
}

/** Options of the command. */
export interface TrainOptions extends GlobalOptions, TrainingChoices {
  readonly images: string;
  readonly size?: string;
  readonly config?: string;
  readonly from?: string;
  readonly checkpoint?: string;
  readonly checkpointEvery?: number;
}

/** Parses whole numbers with commas between them. */
function wholeList(text: string): number[] {
  if (text.trim() === "") throw new InvalidArgumentError("Whole numbers with commas are needed.");
  return text.split(",").map((part) => wholeNumber(part.trim()));
}

/** Adds the options. */
export function addTrainOptions(command: Command): Command {
  return command
    .requiredOption("--images <ref>", "[n, channels, height, width] from -1 to 1, or pictures")
    .option("--size <SxS>", "bring pictures to this size: S or HxW (default: their own)")
    .option("--config <file>", "JSON by the library's names; options go before it")
    .option("--channels <n>", "channels of the images (default: 1)", wholeNumber)
    .option("--dim <n>", "channels of the first level (default: 64)", wholeNumber)
    .option("--mults <list>", "channels of the levels over --dim (default: 1,2,4,8)", wholeList)
    .option(
      "--full-attention <list>",
      "for each level 1 where attention is full, 0 where linear (default: the last alone)",
      wholeList,
    )
    .option("--heads <n>", "heads of attention (default: 4)", wholeNumber)
    .option("--dim-head <n>", "channels of a head (default: 32)", wholeNumber)
    .addOption(
      new Option("--schedule <name>", "schedule of noise (default: sigmoid)")
        .choices([...scheduleNames]),
    )
    .option("--timesteps <n>", "levels of noise (default: 150)", wholeNumber)
    .addOption(
      new Option("--prediction <what>", "what the network tells (default: epsilon)")
        .choices(["epsilon", "v", "sample"]),
    )
    .option("--steps <n>", "steps of Adam (default: 20000)", wholeNumber)
    .option("--batch <n>", "images of a pass (default: 64)", wholeNumber)
    .option("--accumulate <n>", "passes of a step (default: 2)", wholeNumber)
    .option("--lr <rate>", "step size (default: 2e-4)", realNumber)
    .option("--decay-steps <n>", "last steps over which it falls to 0 (default: 0)", wholeNumber)
    .option("--clip-norm <length>", "largest length of all gradients (default: 1)", realNumber)
    .option("--flip <p>", "probability of mirroring an image (default: 0.5)", realNumber)
    .option("--ema-decay <share>", "of the averaged weights (default: 0.98)", realNumber)
    .option("--ema-every <n>", "steps between their updates (default: 10)", wholeNumber)
    .option("--from <path>", "weights to begin with")
    .option("--checkpoint <folder>", "keep the state there; the same command goes on after a stop")
    .option("--checkpoint-every <n>", "steps between kept states (default: 1000)", wholeNumber);
}

/** Names of what networks tell, as denoising-diffusion-pytorch has them. */
const OBJECTIVES = { epsilon: "pred_noise", v: "pred_v", sample: "pred_x0" } as const;

const CONFIG_NAMES = [
  ...["dim", "dim_mults", "channels", "full_attn", "attn_heads", "attn_dim_head"],
  ...["timesteps", "beta_schedule", "objective", "train_num_steps", "train_batch_size"],
  ...["gradient_accumulate_every", "train_lr", "max_grad_norm", "ema_decay", "ema_update_every"],
  ...["augment_horizontal_flip", "image_size", "model_type"],
];

/**
 * Choices of a configuration: arguments of the library's `Unet`, `GaussianDiffusion` and `Trainer`.
 *
 * @throws {InputError} for an entry that is not known, or of another type
 */
function configChoices(path: string): TrainingChoices {
  const json = readConfig(path), entries = new Entries(json, "");
  const unknown = Object.keys(json).find((name) => !CONFIG_NAMES.includes(name));
  if (unknown !== undefined) {
    throw new InputError(
      `Cannot use the configuration ${quote(path)}: it says ${quote(unknown)}, it may say ${
        CONFIG_NAMES.join(", ")
      }`,
    );
  }
  const flips = entries.flag("augment_horizontal_flip"), full = json.full_attn;
  const objective = entries.oneOf("objective", Object.values(OBJECTIVES));
  return {
    dim: entries.count("dim"),
    mults: entries.indices("dim_mults"),
    channels: entries.count("channels"),
    fullAttention: Array.isArray(full) ? full.map(Number) : undefined,
    heads: entries.count("attn_heads"),
    dimHead: entries.count("attn_dim_head"),
    schedule: entries.oneOf("beta_schedule", scheduleNames),
    timesteps: entries.count("timesteps"),
    prediction: (["epsilon", "v", "sample"] as const).find((p) => OBJECTIVES[p] === objective),
    steps: entries.count("train_num_steps"),
    batch: entries.count("train_batch_size"),
    accumulate: entries.count("gradient_accumulate_every"),
    lr: entries.positive("train_lr"),
    clipNorm: entries.positive("max_grad_norm"),
    flip: flips === undefined ? undefined : flips ? 0.5 : 0,
    emaDecay: entries.positive("ema_decay"),
    emaEvery: entries.count("ema_update_every"),
  };
}

/** A training as options and configuration say it. */
export interface ChosenTraining {
  /** Channels of the images. */
  readonly channels: number;
  /** All but the images and what a run brings. */
  readonly training: DiffusionTrainingOptions;
  /** What a `config.json` says of the network. */
  readonly config: Readonly<Record<string, unknown>>;
}

/**
 * Reads the configuration, which options go before.
 *
 * @throws {InputError} when it cannot be read or says something that is not known
 */
export function chooseTraining(options: TrainOptions): ChosenTraining {
  const said = options.config === undefined ? {} : configChoices(options.config);
  const given = Object.fromEntries(Object.entries(options).filter(([, v]) => v !== undefined));
  const all: TrainingChoices = { ...said, ...given };
  const { channels = 1, dim = 64, mults = [1, 2, 4, 8], heads = 4, dimHead = 32 } = all;
  const { schedule = "sigmoid", timesteps = 150, prediction = "epsilon", decaySteps } = all;
  const { steps, batch, accumulate, lr, flip } = all;
  const fullAttention = all.fullAttention?.map((flag) => flag !== 0);
  const { checkpoint: folder, checkpointEvery } = options;
  return {
    channels,
    training: {
      sizes: { dim, dimMults: mults, channels, heads, dimHead, fullAttention },
      schedule: noiseSchedule({ kind: schedule, steps: timesteps }),
      key: randomKey(options.seed),
      ...{ prediction, steps, batch, accumulate, lr, decaySteps, flip },
      maxGradientNorm: all.clipNorm,
      ema: { decay: all.emaDecay, every: all.emaEvery },
      checkpoint: folder === undefined ? undefined : { folder, every: checkpointEvery },
    },
    config: {
      ...{ model_type: "denoising-diffusion-pytorch", dim, dim_mults: mults, channels },
      ...{ attn_heads: heads, attn_dim_head: dimHead, full_attn: fullAttention },
      ...{ timesteps, beta_schedule: schedule, objective: OBJECTIVES[prediction] },
    },
  };
}
