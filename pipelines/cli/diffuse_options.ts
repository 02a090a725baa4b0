/**
 * Options that the ways to run a diffusion model have in common.
 *
 * @module
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Clipping, PredictionType } from "../diffusion/denoise.ts";
import { type DiffusionChoices, scheduleNames } from "../diffusion/settings.ts";
import { InputError } from "../errors.ts";
import { type GlobalOptions, realNumber, wholeNumber } from "./options.ts";
import { numberList } from "./maximize_options.ts";

/** Options of a network and its process. */
export interface DiffuseOptions extends GlobalOptions, DiffusionChoices {
  readonly model: string;
  readonly config?: string;
  readonly schedulerConfig?: string;
  readonly prefix?: string;
  readonly ema: boolean;
  readonly vae?: string;
  readonly vaeConfig?: string;
  readonly steps?: number;
  readonly spacing?: string;
  readonly prediction?: PredictionType;
  readonly clip?: Clipping;
  readonly class?: readonly number[];
  readonly context?: string;
  readonly size?: string;
  readonly batch?: number;
  readonly trajectory: boolean;
  readonly checkpoint?: string;
}

/** Help on settings that no file of weights tells. */
export const SETTINGS_HELP = `
Settings come from the files of the network and can be said where these are silent:
  guided-diffusion, improved-diffusion   --config JSON of the training's flags (num_heads, use_new_attention_order, noise_schedule,
                      diffusion_steps, learn_sigma, rescale_timesteps ...); without it 1000 linear steps. Released networks are known
                      by their widths, heads and all:
                        64x64_diffusion                          heads of 64 channels, new order     cosine
                        128x128_diffusion                        4 heads, legacy order               linear
                        256x256_diffusion(_uncond), lsun_*       heads of 64 channels, legacy order  linear
                        512x512_diffusion                        heads of 64 channels, legacy order  linear
  denoising-diffusion-pytorch            the buffer betas of the file, or --config with timesteps, beta_schedule, objective; without
                      them MIG-Vis's 150 sigmoid steps of epsilon
  diffusers           config.json beside the weights, scheduler_config.json there or in ../scheduler; without it DDPM's linear steps,
                      of a network with a context Stable Diffusion's
`;

/** Parses `none`, `-1,1` or `dynamic[:ratio[,max]]`. */
function clipping(text: string): Clipping {
  if (text === "none") return false;
  if (text.startsWith("dynamic")) {
    const [ratio = 0.995, max = 1] = text === "dynamic" ? [] : numberList(text.slice(8));
    return { ratio, max };
  }
  const [low, high, ...more] = numberList(text);
  if (high > low && more.length === 0) return [low, high];
  throw new InvalidArgumentError("Limits are LOW,HIGH, dynamic[:RATIO[,MAX]] or none.");
}

/**
 * Parses classes with commas between them.
 *
 * @throws InvalidArgumentError for anything else
 */
export function classList(text: string): number[] {
  return text.split(",").map((part) => wholeNumber(part.trim()));
}

/** Adds the options that name a network and its process. */
export function addUnetOptions(command: Command): Command {
  return command
    .requiredOption("--model <path>", "weights of a UNet: a file or a folder")
    .option("--config <file>", "its configuration, or flags (default: the one beside it)")
    .option("--scheduler-config <file>", "diffusers' scheduler_config.json (default: as below)")
    .option("--prefix <text>", "beginning of the network's keys, where a file holds several")
    .option("--ema", "the averaged weights of a file that has the trained ones too", false)
    .option("--steps <n>", "steps to take (default: all of the training)", wholeNumber)
    .option(
      "--spacing <how>",
      "which: leading, trailing, linspace (diffusers), or as guided-diffusion's timestep_respacing: " +
        "ddimN, N, or N,M,... of equal sections (default: the library's own)",
    )
    .addOption(
      new Option("--schedule <name>", "schedule of the training").choices([...scheduleNames]),
    )
    .option("--train-steps <n>", "steps of the training", wholeNumber)
    .option("--beta-start <b>", "first variance of a linear schedule", realNumber)
    .option("--beta-end <b>", "last variance of a linear schedule", realNumber)
    .addOption(
      new Option("--prediction <what>", "what the network tells")
        .choices(["epsilon", "v", "sample"]),
    );
}

/** Adds the options to a command. */
export function addDiffuseOptions(command: Command): Command {
  return addUnetOptions(command)
    .option("--vae <path>", "autoencoder (AutoencoderKL) whose latents the network draws")
    .option("--vae-config <file>", "its configuration (default: the one beside it)")
    .option(
      "--clip <range>",
      "limits of clean images: LOW,HIGH, none, or dynamic[:RATIO[,MAX]]",
      clipping,
    )
    .option("--class <list>", "class of each image, or one for all", classList)
    .option("--context <ref>", "what the network attends to: [tokens, width] or [n, tokens, width]")
    .option("--size <SxS>", "size of the images: S or HxW (default: the training's)")
    .option("--batch <n>", "images at once (default: 8, 1 without a GPU)", wholeNumber)
    .option("--no-trajectory", "leave out /trajectory, the images after every step")
    .option(
      "--checkpoint <file>",
      "keep finished images there; the same command goes on after a stop",
    );
}

/**
 * Refuses counts of nothing.
 *
 * @throws {InputError} naming the option
 */
export function requireCounts(counts: Readonly<Record<string, number | undefined>>): void {
  for (const [name, value] of Object.entries(counts)) {
    if (value !== 0) continue;
    throw new InputError(`Cannot draw images with --${name} 0: it counts from 1`);
  }
}

/**
 * A value for each image, from a list of one for all or one for each.
 *
 * @throws {InputError} when the list has another length
 */
export function forEach(
  list: readonly number[] | undefined,
  n: number,
): readonly number[] | undefined {
  if (list === undefined || list.length === n) return list;
  if (list.length === 1) return new Array<number>(n).fill(list[0]);
  throw new InputError(
    `Cannot tell the network ${list.length} classes for ${n} images: give one, or one for each`,
  );
}
