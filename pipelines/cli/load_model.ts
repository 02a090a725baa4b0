/**
 * The model of a command: weights, and the configuration that belongs to them.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Gpu } from "../../engine/gpu.ts";
import { randomKey } from "../../engine/random.ts";
import { InputError } from "../errors.ts";
import { fileError } from "../io/files.ts";
import { findSafetensors, openSafetensors } from "../io/safetensors_file.ts";
import { parseJsonObject, quote } from "../io/strict_json.ts";
import type { StateDict } from "../io/state_dict.ts";
import { type AnyModel, loadAnyModel } from "../models/any_model.ts";
import { loadVit, type VisionModel } from "../models/model.ts";
import { randomWeights, type TrainedPart } from "../models/random_weights.ts";

/** No model's configuration is nearly as long. */
const MAX_CONFIG_BYTES = 2 ** 24;

/** Whether there is a file of this name. */
export function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.NotADirectory) {
      return false;
    }
    throw fileError("read", path, cause);
  }
}

/**
 * Where the configuration of a file of weights may be, best first: under the name of the weights themselves, or under the names that
 * libraries give it, where the weights have such a name too or are all that their folder was named for.
 */
function configPlaces(weights: string, inFolder: boolean): string[] {
  const cut = weights.lastIndexOf("/") + 1;
  const [folder, name] = [weights.slice(0, cut), weights.slice(cut)];
  const stem = name.replace(
    /(\.weights)?\.(safetensors|bin|ckpt|pt|pth|pth\.tar)(\.index\.json)?$/,
    "",
  );
  const places = [`${folder}${stem}.config.json`];
  const isOpenClip = name.startsWith("open_clip");
  if (isOpenClip) places.push(`${folder}open_clip_config.json`);
  if (inFolder || /^(model|pytorch_model|diffusion_pytorch_model)\b/.test(name)) {
    places.push(`${folder}config.json`);
  }
  if (inFolder) places.push(`${folder}open_clip_config.json`);
  return places;
}

/**
 * Reads a configuration.
 *
 * @throws {InputError} when it cannot be read, or is no JSON object
 */
export function readConfig(path: string): Record<string, unknown> {
  let bytes: Uint8Array;
  try {
    const { size } = Deno.statSync(path);
    if (size > MAX_CONFIG_BYTES) {
      throw new InputError(
        `Cannot read ${
          quote(path)
        }: a configuration has at most ${MAX_CONFIG_BYTES} bytes, got ${size}`,
      );
    }
    bytes = Deno.readFileSync(path);
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    throw fileError("read", path, cause);
  }
  return parseJsonObject(bytes, `Cannot read the configuration ${quote(path)}: it`);
}

/** What names a model. */
export interface ModelChoice {
  /** A .safetensors file or one of PyTorch's, an index of shards, or a folder with one of them. */
  readonly model: string;
  /** Its configuration; looked for beside the weights when left out. */
  readonly config?: string;
  /** Of several state dicts in a file, the one whose name has this in it. */
  readonly part?: string;
  /** Draws the weights at random, but for this part of them. */
  readonly randomWeights?: TrainedPart;
  /** Seed of the draws. */
  readonly seed?: number;
}

/** Weights of a choice, and where their configuration is. */
export function filesOf({ model, config }: ModelChoice): { weights: string; config?: string } {
  const weights = findSafetensors(model);
  return { weights, config: config ?? configPlaces(weights, weights !== model).find(isFile) };
}

/**
 * A digest of all weights and of their configuration, whatever files they are in.
 *
 * @throws {InputError} when a file is missing or damaged
 */
export function digestOfModel(choice: ModelChoice): string {
  const { weights, config } = filesOf(choice);
  const hash = createHash("sha256");
  hash.update(JSON.stringify(config === undefined ? null : readConfig(config)));
  if (choice.randomWeights) hash.update(JSON.stringify([choice.randomWeights, choice.seed ?? 0]));
  using checkpoint = openSafetensors(weights, choice);
  for (const name of [...checkpoint.tensors.keys()].sort()) {
    const { dtype, shape, bytes } = checkpoint.tensors.get(name)!;
    hash.update(JSON.stringify([name, dtype, shape])).update(bytes);
  }
  return hash.digest("hex");
}

/** Opens the weights of a choice and hands them and the configuration on. */
export async function withWeights<M>(
  choice: ModelChoice,
  load: (tensors: StateDict, config?: Record<string, unknown>) => Promise<M>,
): Promise<M> {
  const { weights, config } = filesOf(choice);
  using checkpoint = openSafetensors(weights, choice);
  const { randomWeights: trained, seed = 0 } = choice;
  return await load(
    trained ? randomWeights(checkpoint.tensors, randomKey(seed), { trained }) : checkpoint.tensors,
    config === undefined ? undefined : readConfig(config),
  );
}

/**
 * Loads the vision transformer that the options name.
 *
 * @throws {InputError} when a file is missing or damaged, or no layout is recognised
 */
export async function loadModelFile(gpu: Gpu, choice: ModelChoice): Promise<VisionModel> {
  return await withWeights(choice, (tensors, config) => loadVit(gpu, tensors, config));
}

/**
 * Loads the network that the options name: a vision transformer, Inception V3 or a VGG.
 *
 * @throws {InputError} when a file is missing or damaged, or no layout is recognised
 */
export async function loadAnyModelFile(gpu: Gpu, choice: ModelChoice): Promise<AnyModel> {
  return await withWeights(choice, (tensors, config) => loadAnyModel(gpu, tensors, config));
}
