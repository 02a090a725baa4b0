/** The phantom's trained networks, as they are shipped. */

import type { Gpu } from "../../engine/gpu.ts";
import { readSafetensors } from "../io/safetensors.ts";
import { loadModel, type VisionModel } from "../models/model.ts";

/** The phantom's networks. */
export type PhantomNet = "clip" | "dinov2" | "radio";

/** Every network, for help texts; each trains from the key that its place gives. */
export const phantomNets: readonly PhantomNet[] = ["clip", "dinov2", "radio"];

/** Where a network's files are: weights, and the configuration that tells the number of its attention heads. */
export function phantomNetFiles(net: PhantomNet): { readonly weights: URL; readonly config: URL } {
  return {
    weights: new URL(`./weights/${net}.safetensors`, import.meta.url),
    config: new URL(`./weights/${net}.config.json`, import.meta.url),
  };
}

/**
 * Loads one of the phantom's networks: images of 64 × 64 pixels, patches of 8, prepared as the family's. The caller owns the model.
 */
export async function loadPhantomNet(gpu: Gpu, net: PhantomNet): Promise<VisionModel> {
  const { weights, config } = phantomNetFiles(net);
  const tensors = readSafetensors(await Deno.readFile(weights));
  return await loadModel(gpu, tensors, JSON.parse(await Deno.readTextFile(config)));
}
