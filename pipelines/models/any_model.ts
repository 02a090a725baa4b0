/**
 * Any network that features are taken from.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import type { StateDict } from "../io/state_dict.ts";
import { type InceptionModel, loadInception } from "./inception.ts";
import { type InceptionOptions, isInception, readInceptionOptions } from "./inception_weights.ts";
import { loadModel, type VisionModel } from "./model.ts";
import type { ModelOptions } from "./vit_options.ts";

/** A vision transformer or Inception V3; `family` tells which. */
export type AnyModel = VisionModel | InceptionModel;

/**
 * Loads whatever the keys of a state dict belong to: see {@link loadModel} and {@link loadInception}.
 *
 * @throws {InputError} when the checkpoint is neither, or not whole
 */
export async function loadAnyModel(
  gpu: Gpu,
  stateDict: StateDict,
  config?: ModelOptions | InceptionOptions | Readonly<Record<string, unknown>>,
): Promise<AnyModel> {
  const { prefix } = readInceptionOptions(config && { prefix: config.prefix });
  return isInception(stateDict, prefix)
    ? await loadInception(gpu, stateDict, config as InceptionOptions)
    : await loadModel(gpu, stateDict, config as ModelOptions);
}
