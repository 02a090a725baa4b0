/**
 * Any network that features are taken from.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { InputError } from "../errors.ts";
import type { StateDict } from "../io/state_dict.ts";
import { isAdm } from "./adm.ts";
import { isDdpUnet } from "./ddp_unet.ts";
import { isDiffusersUnet } from "./diffusers_unet.ts";
import { type InceptionModel, loadInception } from "./inception.ts";
import { type InceptionOptions, isInception, readInceptionOptions } from "./inception_weights.ts";
import { mapCheckpoint } from "./layouts.ts";
import { loadVit, type VisionModel } from "./model.ts";
import { tapFamilyNames } from "./tap_model.ts";
import { loadVgg, type VggModel } from "./vgg.ts";
import { isVgg, type VggOptions } from "./vgg_weights.ts";
import type { ModelOptions } from "./vit_options.ts";

/** A vision transformer, Inception V3 or a VGG; `family` tells which, and {@link isTapModel} which are read out at taps. */
export type AnyModel = VisionModel | InceptionModel | VggModel;

/** Whether a network is a convolutional one, with taps. */
export function isTapModel(model: AnyModel): model is InceptionModel | VggModel {
  return model.family === "inception" || model.family === "vgg";
}

/**
 * What a state dict is a network of, told by its keys: a family with taps, or the layout of a vision transformer; undefined
 * where no layout is known.
 */
export function networkOf(stateDict: StateDict): string | undefined {
  if (isInception(stateDict)) return tapFamilyNames.inception;
  if (isVgg(stateDict)) return tapFamilyNames.vgg;
  if (isAdm(stateDict)) return "network of guided-diffusion";
  if (isDdpUnet(stateDict)) return "UNet of denoising-diffusion-pytorch";
  if (isDiffusersUnet(stateDict)) return "UNet of diffusers";
  try {
    return `vision transformer, layout ${mapCheckpoint(stateDict).layout}`;
  } catch (cause) {
    if (cause instanceof InputError) return undefined;
    throw cause;
  }
}

/**
 * Loads whatever the keys of a state dict belong to: see {@link loadVit}, {@link loadInception} and {@link loadVgg}.
 *
 * @throws {InputError} when the checkpoint is none of them, or not whole
 */
export async function loadAnyModel(
  gpu: Gpu,
  stateDict: StateDict,
  config?: ModelOptions | InceptionOptions | VggOptions | Readonly<Record<string, unknown>>,
): Promise<AnyModel> {
  const { prefix } = readInceptionOptions(config && { prefix: config.prefix });
  if (isInception(stateDict, prefix)) {
    return await loadInception(gpu, stateDict, config as InceptionOptions);
  }
  if (isVgg(stateDict, prefix)) return await loadVgg(gpu, stateDict, config as VggOptions);
  return await loadVit(gpu, stateDict, config as ModelOptions);
}
