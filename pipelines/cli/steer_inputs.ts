/**
 * What commands on latents and images read: a VAE's latents, images in their order, the network of features.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { openArray } from "../io/array_ref.ts";
import { quote } from "../io/strict_json.ts";
import type { ImageArray } from "../mig_vis/image_features.ts";
import type { VisionModel } from "../models/model.ts";
import { readNeuralVae } from "../vae/vae_file.ts";
import { digestOfModel, loadModelFile, type ModelChoice } from "./load_model.ts";
import { readSamples } from "./read_matrix.ts";
import { isArray, readSignedImages } from "./signed_images.ts";

/** Latents with the sizes of their groups. */
export interface GroupedLatents {
  /** `[n, sum of groups]` */
  readonly latents: HostMatrix;
  /** Length of each group. */
  readonly groups: readonly number[];
}

/**
 * Latents of a VAE: those of its own stimuli, or of others that it encoded.
 *
 * @throws {InputError} when the file is no VAE, or the latents are of another width
 */
export async function readLatents(
  { vae, latents: reference }: { readonly vae: string; readonly latents?: string },
): Promise<GroupedLatents> {
  const record = await readNeuralVae(vae), { groups } = record.vae.shape;
  const latents = reference === undefined
    ? record.latents.mu
    : await readSamples(reference, "latents");
  const width = groups.reduce((a, b) => a + b, 0);
  if (latents.shape[1] === width) return { latents, groups };
  throw new InputError(
    `Cannot use ${
      quote(reference)
    }: the VAE has ${width} latents in groups of ${groups}, it is [${latents.shape}]`,
  );
}

/**
 * Images that rows of latents belong to.
 *
 * @param options.channels 1 or 3; as an array has them, 3 of pictures, when left out
 * @throws {InputError} when there are no such images, or they are not as many as the latents
 */
export async function readImagesOf(
  reference: string,
  { n, channels, size }: { readonly n: number; readonly channels?: number; readonly size?: string },
): Promise<ImageArray> {
  const { data, shape } = await readSignedImages(reference, {
    channels: channels ?? await channelsOf(reference),
    size,
  });
  if (shape[0] !== n) {
    throw new InputError(
      `Cannot use ${
        quote(reference)
      }: there must be an image for each of ${n} rows of latents, there are ${shape[0]}`,
    );
  }
  return { data, shape: [shape[0], shape[1], shape[2], shape[3]] };
}

async function channelsOf(reference: string): Promise<number> {
  if (!isArray(reference)) return 3;
  using rows = await openArray(reference);
  const isPicture = rows.dtype === "u8" && rows.shape.length === 4;
  return isPicture ? 3 : rows.shape.length === 3 ? 1 : rows.shape[1];
}

/** A network of features with what tells it from others. Owns the network. */
export interface FeatureNetwork extends Disposable {
  readonly model: VisionModel;
  readonly digest: string;
}

/**
 * Loads the network of features.
 *
 * @throws {InputError} when a file is missing or damaged, or it is no vision transformer
 */
export async function loadFeatureNetwork(gpu: Gpu, choice: ModelChoice): Promise<FeatureNetwork> {
  const digest = digestOfModel(choice), model = await loadModelFile(gpu, choice);
  return { model, digest, [Symbol.dispose]: () => model[Symbol.dispose]() };
}

/**
 * Groups that an option means: `all`, or numbers with commas between them.
 *
 * @throws {InputError} when one is not there
 */
export function groupList(text: string, nGroups: number): number[] {
  if (text === "all") return Array.from({ length: nGroups }, (_, g) => g);
  return numbersOf(text, { n: nGroups, what: "group" });
}

/**
 * Rows that an option means: numbers and ranges with commas between them, as `0,5,10-20`.
 *
 * @throws {InputError} for anything else, and numbers that are not below `n`
 */
export function numbersOf(
  text: string,
  { n, what }: { readonly n: number; readonly what: string },
): number[] {
  const found = text.split(",").flatMap((part) => {
    const [, first, last = first] = /^\s*(\d{1,9})(?:-(\d{1,9}))?\s*$/.exec(part) ?? [];
    const from = Number(first), to = Number(last);
    if (first !== undefined && from <= to && to < n) {
      return Array.from({ length: to - from + 1 }, (_, i) => from + i);
    }
    throw new InputError(
      `Cannot take ${what} ${
        quote(part)
      }: numbers and ranges are needed, as 0,2 or 1-3, there are ${n}, counted from 0`,
    );
  });
  return [...new Set(found)];
}
