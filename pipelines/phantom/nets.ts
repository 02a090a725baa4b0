/** The phantom's trained networks, as they are shipped. */

import type { Gpu } from "../../engine/gpu.ts";
import { readSafetensors } from "../io/safetensors.ts";
import { type DdpUnet, loadDdpUnet } from "../models/ddp_unet.ts";
import { loadVit, type VisionModel } from "../models/model.ts";
import { loadVgg, type VggModel } from "../models/vgg.ts";

/** The phantom's vision transformers. */
export type PhantomNet = "clip" | "dinov2" | "radio";

/** Every vision transformer. */
export const phantomNets: readonly PhantomNet[] = ["clip", "dinov2", "radio"];

/** All of the phantom's networks: the transformers, a convolutional one, and a diffusion model's UNet. */
export type AnyPhantomNet = PhantomNet | "cnn" | "unet";

/** Every network, for help texts; each trains from the key that its place gives. */
export const allPhantomNets: readonly AnyPhantomNet[] = [...phantomNets, "cnn", "unet"];

/** Where a network's files are: weights, and the configuration that tells what they do not, such as the number of attention heads. */
export function phantomNetFiles(
  net: AnyPhantomNet,
): { readonly weights: URL; readonly config: URL } {
  return {
    weights: new URL(`./weights/${net}.safetensors`, import.meta.url),
    config: new URL(`./weights/${net}.config.json`, import.meta.url),
  };
}

export async function loadPhantomNet(gpu: Gpu, net: PhantomNet): Promise<VisionModel>;
export async function loadPhantomNet(gpu: Gpu, net: "cnn"): Promise<VggModel>;
export async function loadPhantomNet(gpu: Gpu, net: "unet"): Promise<DdpUnet>;
/**
 * Loads one of the phantom's networks, for images of 64 × 64 pixels prepared as the family's: a transformer of patches of 8, or the
 * convolutional `"cnn"` in a VGG's form; or `"unet"`, which tells the noise in grey images of 32 × 32 from −1 to 1, those of
 * `renderItStimuli`, at `unetSchedule`'s levels. The caller owns the model.
 */
export async function loadPhantomNet(
  gpu: Gpu,
  net: AnyPhantomNet,
): Promise<VisionModel | VggModel | DdpUnet> {
  const { weights, config } = phantomNetFiles(net);
  const tensors = readSafetensors(await Deno.readFile(weights));
  if (net === "unet") return await loadDdpUnet(gpu, tensors);
  const said = JSON.parse(await Deno.readTextFile(config));
  return net === "cnn" ? await loadVgg(gpu, tensors, said) : await loadVit(gpu, tensors, said);
}
