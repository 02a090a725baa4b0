/**
 * Loads any network that there is here, by the keys of its checkpoint.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import type { StateDict } from "../io/state_dict.ts";
import { type AdmModel, isAdm, loadAdm } from "./adm.ts";
import { type AnyModel, loadAnyModel } from "./any_model.ts";
import { type DdpUnet, isDdpUnet, loadDdpUnet } from "./ddp_unet.ts";
import { type DiffusersUnet, isDiffusersUnet, loadDiffusersUnet } from "./diffusers_unet.ts";
import { type AutoencoderKl, isAutoencoder, loadAutoencoder } from "./autoencoder_kl.ts";
import type { InceptionOptions } from "./inception_weights.ts";
import type { VisionModel } from "./model.ts";
import type { VggOptions } from "./vgg_weights.ts";
import type { ModelOptions } from "./vit_options.ts";

/** A network that features are taken of, or a UNet of a diffusion model; `family` tells which. */
export type LoadedModel = AnyModel | AdmModel | AutoencoderKl | DdpUnet | DiffusersUnet;

/**
 * Loads whatever the keys of a state dict belong to: a vision transformer ({@link loadVit}), Inception V3 ({@link loadInception}), a VGG
 * ({@link loadVgg}), a network of guided-diffusion ({@link loadAdm}), or a UNet of diffusers ({@link loadDiffusersUnet}) or of
 * denoising-diffusion-pytorch ({@link loadDdpUnet}), or an autoencoder of diffusers ({@link loadAutoencoder}).
 *
 * @typeParam M what the caller knows it to be; a vision transformer unless told otherwise. `family` tells at run time.
 * @param config what shapes do not tell, or the library's own configuration
 * @throws {InputError} when the checkpoint is none of them, or not whole
 *
 * @example
 * ```ts ignore
 * import { type AdmModel, ddim, Gpu, loadModel, noiseSchedule, readSafetensors, respacedProcess, Tensor } from "@gyrus/gyrus";
 * using gpu = await Gpu.open();
 * const weights = readSafetensors(await Deno.readFile("256x256_diffusion_uncond.safetensors"));
 * using unet = await loadModel<AdmModel>(gpu, weights);
 * using noise = Tensor.zeros(gpu, [1, 3, 256, 256]);
 * const process = respacedProcess(noiseSchedule({ kind: "linear" }), "ddim25");
 * using images = await ddim.sample(unet, noise, { process });
 * ```
 */
export async function loadModel<M extends LoadedModel = VisionModel>(
  gpu: Gpu,
  stateDict: StateDict,
  config?: ModelOptions | InceptionOptions | VggOptions | Readonly<Record<string, unknown>>,
): Promise<M> {
  return await loadByKeys(gpu, stateDict, config) as M;
}

async function loadByKeys(
  gpu: Gpu,
  stateDict: StateDict,
  config?: Parameters<typeof loadModel>[2],
): Promise<LoadedModel> {
  const options = config as Readonly<Record<string, unknown>> | undefined;
  const prefix = typeof options?.prefix === "string" ? options.prefix : undefined;
  if (isAdm(stateDict, prefix)) return await loadAdm(gpu, stateDict, options);
  if (isDdpUnet(stateDict, prefix)) return await loadDdpUnet(gpu, stateDict, options);
  if (isDiffusersUnet(stateDict, prefix)) return await loadDiffusersUnet(gpu, stateDict, options);
  if (isAutoencoder(stateDict, prefix)) return await loadAutoencoder(gpu, stateDict, options);
  return await loadAnyModel(gpu, stateDict, config);
}
