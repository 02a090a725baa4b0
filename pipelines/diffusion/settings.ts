/**
 * How images are drawn with a trained network: the schedule that it was trained with, and its library's way of sampling.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { type StateDict, toFloat64 } from "../io/state_dict.ts";
import type { AdmModel } from "../models/adm.ts";
import { Entries } from "../models/config_entries.ts";
import type { DdpUnet } from "../models/ddp_unet.ts";
import type { DiffusersUnet } from "../models/diffusers_unet.ts";
import type { Clipping, PredictionType, VarianceType } from "./denoise.ts";
import {
  diffusersProcess,
  type DiffusionProcess,
  keptProcess,
  respacedProcess,
} from "./process.ts";
import { type NoiseSchedule, noiseSchedule } from "./schedule.ts";
import { schedulerSettings } from "./scheduler_config.ts";
import { ddpTimesteps, type TimestepSpacing } from "./timesteps.ts";

/** A UNet of a diffusion model; `family` tells which. */
export type DiffusionUnet = AdmModel | DdpUnet | DiffusersUnet;

/** What tells how images are drawn with a UNet: its family and shapes. */
export type UnetFacts =
  | Pick<AdmModel, "family" | "layout">
  | Pick<DdpUnet, "family">
  | Pick<DiffusersUnet, "family" | "facts">;

/** How images are drawn with a network. */
export interface DiffusionSettings {
  /** Variances of its training. */
  readonly schedule: NoiseSchedule;
  /** What it tells. */
  readonly prediction: PredictionType;
  /** Limits of clean images. */
  readonly clip: Clipping;
  /** Whether DDIM takes the noise anew from limited clean images. */
  readonly rederivesEpsilon: boolean;
  /** How the variance of DDPM comes about. */
  readonly variance: VarianceType;
  /** Whose steps are taken. */
  readonly library: "guided-diffusion" | "denoising-diffusion-pytorch" | "diffusers";
  /** Spread of diffusers' steps. */
  readonly spacing?: TimestepSpacing;
  /** Added to diffusers' steps. */
  readonly stepsOffset?: number;
  /** Whether diffusers' last step ends without noise. */
  readonly setAlphaToOne?: boolean;
  /** Multiplies the steps that the network is told (guided-diffusion's `rescale_timesteps`). */
  readonly timestepScale?: number;
}

/** Schedules by name. */
export const scheduleNames = ["linear", "scaled-linear", "cosine", "sigmoid"] as const;

/** A schedule by its name. */
export type ScheduleName = "linear" | "scaled-linear" | "cosine" | "sigmoid";

/** What a user says instead of what files do. */
export interface DiffusionChoices {
  /** Schedule of the training. */
  readonly schedule?: ScheduleName;
  /** Steps of the training. */
  readonly trainSteps?: number;
  /** First variance of a linear or scaled linear schedule. */
  readonly betaStart?: number;
  /** The last. */
  readonly betaEnd?: number;
  /** What the network tells. */
  readonly prediction?: PredictionType;
  /** Limits of clean images. */
  readonly clip?: Clipping;
}

/** Where settings are read. */
export interface SettingsSources {
  /** Configuration of the network: guided-diffusion's flags, or arguments of denoising-diffusion-pytorch's `GaussianDiffusion`. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** diffusers' `scheduler_config.json`. */
  readonly scheduler?: Readonly<Record<string, unknown>>;
  /** The checkpoint: a buffer `betas` is its schedule. */
  readonly stateDict?: StateDict;
}

const CANNOT = "Cannot tell how images are drawn with the network:";

/** Schedule by a name in any library's spelling. */
function scheduleKind(name: string): ScheduleName {
  const known = scheduleNames.find((kind) => kind === name.replace("_", "-"));
  if (known) return known;
  if (name === "squaredcos_cap_v2") return "cosine";
  throw new InputError(
    `${CANNOT} its schedule must be one of ${scheduleNames.join(", ")}, it is "${name}"`,
  );
}

/** guided-diffusion: flags of `script_util.py`; the released network of 64 pixels alone was trained with a cosine schedule. */
function admSettings(
  { layout }: Pick<AdmModel, "layout">,
  { config = {} }: SettingsSources,
): Defaults {
  const { kind, modelChannels, channelMult, inChannels, outChannels } = layout;
  if (kind !== "unet") {
    throw new InputError(`${CANNOT} it is a classifier, which tells classes and no noise`);
  }
  if (inChannels === 6 && (outChannels === 3 || outChannels === 6)) {
    throw new InputError(
      `${CANNOT} it is an upsampler, which takes a small image with the noise (6 channels to ${outChannels})`,
    );
  }
  const entries = new Entries(config, "");
  const released = modelChannels === 192 && `${channelMult}` === "1,2,3,4" ? "cosine" : "linear";
  const isLearned = outChannels === 2 * inChannels;
  const steps = entries.count("diffusion_steps") ?? 1000;
  return {
    kind: scheduleKind(entries.text("noise_schedule") ?? released),
    steps,
    prediction: entries.flag("predict_xstart") ? "sample" : "epsilon",
    clip: [-1, 1],
    rederivesEpsilon: true,
    variance: isLearned
      ? "learned-range"
      : entries.flag("sigma_small")
      ? "fixed-small"
      : "fixed-large",
    library: "guided-diffusion",
    ...(entries.flag("rescale_timesteps") ? { timestepScale: 1000 / steps } : {}),
  };
}

const OBJECTIVES: Readonly<Record<string, PredictionType>> = {
  pred_noise: "epsilon",
  pred_v: "v",
  pred_x0: "sample",
};

/** denoising-diffusion-pytorch: arguments of `GaussianDiffusion`, else MIG-Vis's: 150 steps, sigmoid, noise. */
function ddpSettings({ config = {}, stateDict }: SettingsSources): Defaults {
  const entries = new Entries(config, "");
  const objective = entries.oneOf("objective", Object.keys(OBJECTIVES)) ?? "pred_noise";
  const buffer = [...stateDict?.keys() ?? []].find((key) => /(^|\.)betas$/.test(key));
  return {
    kind: scheduleKind(entries.text("beta_schedule", "schedule") ?? "sigmoid"),
    steps: entries.count("timesteps", "steps") ?? 150,
    ...(buffer === undefined ? {} : { betas: toFloat64(stateDict!.get(buffer)!) }),
    prediction: OBJECTIVES[objective],
    clip: [-1, 1],
    rederivesEpsilon: true,
    variance: "fixed-small",
    library: "denoising-diffusion-pytorch",
  };
}

/** What files say, before a user's choices. */
export interface Defaults extends Omit<DiffusionSettings, "schedule"> {
  readonly kind: ScheduleName;
  readonly steps: number;
  readonly betaStart?: number;
  readonly betaEnd?: number;
  /** The variances themselves. */
  readonly betas?: ArrayLike<number>;
}

function defaultsOf(model: UnetFacts, sources: SettingsSources): Defaults {
  switch (model.family) {
    case "adm":
      return admSettings(model, sources);
    case "ddp":
      return ddpSettings(sources);
    case "diffusers":
      return schedulerSettings(model.facts, sources.scheduler);
  }
}

/**
 * Settings of a network, as its files and its library have them, and as a user says where that differs.
 *
 * - guided-diffusion: the flags `noise_schedule`, `diffusion_steps`, `predict_xstart`, `sigma_small` and `rescale_timesteps`; without them 1000
 *   steps, linear (cosine for the released network of 64 pixels).
 * - denoising-diffusion-pytorch: the buffer `betas` of the checkpoint, `timesteps`, `beta_schedule` and `objective`; without them MIG-Vis's 150
 *   sigmoid steps of ε.
 * - diffusers: the scheduler's configuration; without it DDPM's, of a network with a context Stable Diffusion 1.5's.
 *
 * @throws {InputError} when an entry is unknown, or the network draws no images
 */
export function diffusionSettings(
  model: UnetFacts,
  sources: SettingsSources = {},
  choices: DiffusionChoices = {},
): DiffusionSettings {
  const { kind: foundKind, steps: foundSteps, betas, betaStart, betaEnd, ...found } = defaultsOf(
    model,
    sources,
  );
  const kind = choices.schedule ?? foundKind, steps = choices.trainSteps ?? foundSteps;
  const isOther = choices.schedule !== undefined || choices.trainSteps !== undefined;
  const own = isOther && kind !== foundKind ? {} : { betaStart, betaEnd }; // variances of another schedule mean nothing
  const ends = {
    betaStart: choices.betaStart ?? own.betaStart,
    betaEnd: choices.betaEnd ?? own.betaEnd,
  };
  const schedule = betas && !isOther
    ? noiseSchedule({ kind: "betas", betas })
    : kind === "linear" || kind === "scaled-linear"
    ? noiseSchedule({ kind, steps, ...ends })
    : noiseSchedule({ kind, steps });
  return {
    ...found,
    schedule,
    prediction: choices.prediction ?? found.prediction,
    clip: choices.clip ?? found.clip,
  };
}

/**
 * The process that settings mean.
 *
 * @param options.steps how many are taken; all when left out
 * @param options.spacing how: guided-diffusion's `"ddimN"` or counts, or diffusers' `"leading"`, `"trailing"` or `"linspace"`; the library's own
 * way when left out, which for guided-diffusion is `"ddimN"` without noise at every step (`isDdim`), and N with it
 * @throws {InputError} when there are no such steps
 */
export function settingsProcess(
  settings: DiffusionSettings,
  { steps, spacing, isDdim = true }: {
    readonly steps?: number;
    readonly spacing?: string;
    readonly isDdim?: boolean;
  } = {},
): DiffusionProcess {
  const { schedule, library, timestepScale = 1 } = settings;
  const total = schedule.betas.length;
  const theirs = (["leading", "trailing", "linspace"] as const).find((name) => name === spacing);
  if (theirs !== undefined || (library === "diffusers" && spacing === undefined)) {
    const { spacing: own, stepsOffset, setAlphaToOne } = settings;
    const is = isDdim ? setAlphaToOne : true; // DDPMScheduler always ends without noise
    return diffusersProcess(schedule, {
      ...{ steps, spacing: theirs ?? own, stepsOffset, setAlphaToOne: is },
    });
  }
  const levels = spacing !== undefined
    ? respacedProcess(schedule, spacing)
    : steps === undefined || steps === total
    ? respacedProcess(schedule)
    : library === "denoising-diffusion-pytorch"
    ? keptProcess(schedule, ddpTimesteps(total, steps))
    : respacedProcess(schedule, isDdim ? `ddim${steps}` : steps);
  return timestepScale === 1
    ? levels
    : levels.map((step) => ({ ...step, timestep: step.timestep * timestepScale }));
}

/** Sides of a network's images by its level widths (README of guided-diffusion). */
const ADM_SIDES: Readonly<Record<string, number>> = {
  "1,2,3,4": 64,
  "1,1,2,3,4": 128,
  "1,1,2,2,4,4": 256,
  "0.5,1,1,2,2,4,4": 512,
};

/**
 * The side of the images that a network was trained on, where its configuration (`image_size`, `sample_size`) or the widths of its levels
 * tell it.
 *
 * @throws {InputError} when the configuration's is no whole number
 */
export function trainedSide(
  model: UnetFacts,
  config: Readonly<Record<string, unknown>> = {},
): number | undefined {
  const entries = new Entries(config, "");
  const said = Array.isArray(config.sample_size)
    ? config.sample_size[0] as number
    : entries.count("image_size", "sample_size");
  if (said !== undefined || model.family !== "adm") return said;
  return ADM_SIDES[`${model.layout.channelMult}`];
}
