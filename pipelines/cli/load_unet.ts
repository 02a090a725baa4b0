/**
 * The diffusion model of a command: its UNet, how images are drawn with it, and the autoencoder of its latents.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import {
  type DiffusionSettings,
  diffusionSettings,
  type DiffusionUnet,
  trainedSide,
} from "../diffusion/settings.ts";
import { InputError } from "../errors.ts";
import { quote } from "../io/strict_json.ts";
import { type AutoencoderKl, isAutoencoder, loadAutoencoder } from "../models/autoencoder_kl.ts";
import { averagedWeights } from "../models/ema_weights.ts";
import { type LoadedModel, loadModel } from "../models/load_model.ts";
import type { DiffuseOptions } from "./diffuse_options.ts";
import { filesOf, isFile, readConfig, withWeights } from "./load_model.ts";

/** A UNet with all that drawing takes. */
export interface LoadedUnet extends Disposable {
  readonly unet: DiffusionUnet;
  /** Channels of its images. */
  readonly channels: number;
  readonly settings: DiffusionSettings;
  /** Side of the images that it was trained on, where that is known. */
  readonly side?: number;
  /** Turns latents into images. */
  readonly vae?: AutoencoderKl;
}

/** Where diffusers keeps the scheduler of a network. */
function schedulerOf(
  { model, config, schedulerConfig }: DiffuseOptions,
): Record<string, unknown> | undefined {
  if (schedulerConfig !== undefined) return readConfig(schedulerConfig);
  const { weights } = filesOf({ model, config });
  const folder = weights.slice(0, weights.lastIndexOf("/") + 1);
  const found = [
    `${folder}scheduler_config.json`,
    `${folder}scheduler/scheduler_config.json`,
    `${folder}../scheduler/scheduler_config.json`,
  ].find(isFile);
  return found === undefined ? undefined : readConfig(found);
}

function isUnet(model: LoadedModel): model is DiffusionUnet {
  return model.family === "adm" || model.family === "ddp" || model.family === "diffusers";
}

/** Frees a network that is not the one that was meant. */
function refuse(model: LoadedModel, path: string, rule: string): never {
  model[Symbol.dispose]();
  throw new InputError(`Cannot use ${quote(path)}: ${rule}, it is a ${model.family} network`);
}

async function loadVae(gpu: Gpu, options: DiffuseOptions): Promise<AutoencoderKl | undefined> {
  const { vae: model, vaeConfig: config } = options;
  if (model === undefined) return undefined;
  return await withWeights({ model, config }, async (tensors, own) => {
    // a file may have the UNet too
    if (isAutoencoder(tensors)) return await loadAutoencoder(gpu, tensors, own);
    const other = await loadModel<LoadedModel>(gpu, tensors, own);
    return refuse(other, model, "--vae takes an autoencoder of latents");
  });
}

/**
 * Loads a classifier of noisy images.
 *
 * @throws {InputError} when the file is another network's
 */
export async function loadClassifier(gpu: Gpu, choice: { model: string; config?: string }) {
  const loaded = await withWeights(
    choice,
    (tensors, config) => loadModel<LoadedModel>(gpu, tensors, config),
  );
  if (loaded.family === "adm" && loaded.layout.kind === "classifier") return loaded;
  return refuse(loaded, choice.model, "--classifier takes a classifier of guided-diffusion");
}

/** Whether a network is told classes. */
export function takesClasses(unet: DiffusionUnet): boolean {
  if (unet.family === "adm") return unet.layout.numClasses > 0;
  return unet.family === "diffusers" && unet.facts.numClassEmbeds > 0;
}

/**
 * Refuses conditions that a network takes no notice of.
 *
 * @throws {InputError} naming the option
 */
export function requireConditions(
  unet: DiffusionUnet,
  given: { readonly class?: unknown; readonly context?: unknown },
): void {
  const takesContext = unet.family === "diffusers" && unet.facts.crossAttentionDim > 0;
  for (const [name, takes] of [["class", takesClasses(unet)], ["context", takesContext]] as const) {
    if (takes || given[name] === undefined) continue;
    throw new InputError(`Cannot use --${name}: the network was trained without`);
  }
}

/** Channels of a network's images. */
function channelsOf(unet: DiffusionUnet): number {
  switch (unet.family) {
    case "adm":
      return unet.layout.inChannels;
    case "ddp":
      return unet.inChannels;
    case "diffusers":
      return unet.facts.inChannels;
  }
}

/**
 * Loads the network that the options name, with its settings and its autoencoder.
 *
 * @throws {InputError} when a file is missing, damaged or another network's, or its settings are not known here
 */
export async function loadUnetFile(gpu: Gpu, options: DiffuseOptions): Promise<LoadedUnet> {
  const { model, config, ema, prefix } = options;
  const scheduler = schedulerOf(options);
  using owned = new DisposableStack();
  const choice = { model, config, ...(ema ? { part: "ema" } : {}) };
  const found = await withWeights(choice, async (tensors, own) => {
    const placed = ema ? averagedWeights(tensors) : { stateDict: tensors, prefix };
    const unet = await loadModel<LoadedModel>(gpu, placed.stateDict, {
      ...own,
      ...(placed.prefix === undefined ? {} : { prefix: placed.prefix }),
    });
    if (!isUnet(unet)) return refuse(unet, model, "--model takes a UNet");
    owned.use(unet);
    const sources = { config: own, scheduler, stateDict: tensors };
    const settings = diffusionSettings(unet, sources, options);
    return { unet, settings, side: trainedSide(unet, own) };
  });
  const vae = await loadVae(gpu, options);
  if (vae) owned.use(vae);
  const channels = channelsOf(found.unet);
  if (vae && vae.latentChannels !== channels) {
    throw new InputError(
      `Cannot use ${
        quote(options.vae)
      }: its latents have ${vae.latentChannels} channels, the network draws ${channels}`,
    );
  }
  const kept = owned.move();
  return { ...found, channels, vae, [Symbol.dispose]: () => kept.dispose() };
}
