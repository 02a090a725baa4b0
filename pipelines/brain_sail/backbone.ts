/**
 * A network of a study, and what it makes of images: class tokens that encoders are fitted on, dense features that maps are made of.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { readAll, Tensor, tidy } from "../../engine/tensor.ts";
import { distillDense } from "../dense/distill.ts";
import { extractFeatures, whiteInfill } from "../dense/features.ts";
import { type PatchShift, patchShifts } from "../dense/offsets.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { type ImageSize, preprocess, stretched } from "../images/preprocess.ts";
import type { VisionModel } from "../models/model.ts";
import type { Grid, PosEmbedConvention } from "../models/pos_embed.ts";
import type { ClipTokenizer } from "../models/clip_bpe.ts";
import type { DenseOptions } from "../models/vit.ts";
import type { StudyImages } from "./study.ts";

/** How a network is used. */
export interface BackboneSettings {
  /** Name, usable as a folder's name. */
  readonly name: string;
  /** Size of the images whose class tokens are taken. */
  readonly encoderSize: ImageSize;
  /** Size of the images whose dense features are taken. */
  readonly denseSize: ImageSize;
  /** Last block of the dense path. */
  readonly dense: DenseOptions;
  /** Augmentations of the distillation, the image itself among them. */
  readonly nAugmentations: number;
  /** Seed of their offsets; the published ones when left out. */
  readonly offsetSeed?: number;
  /** How positions are brought to a grid; the model's own choice when left out. */
  readonly posInterpolation?: PosEmbedConvention | "auto";
}

/** A network, loaded. */
export interface Backbone {
  /** How it is used. */
  readonly settings: BackboneSettings;
  /** The network. */
  readonly model: VisionModel;
  /** The model whose text tower shares the space of its features, where that is not its own: a teacher's. */
  readonly textModel?: VisionModel;
  /** Tokenizer of the text tower, where there is one. */
  readonly tokenizer?: ClipTokenizer;
}

/** Tokens that fill a device without filling its memory. */
const TOKENS_AT_ONCE = 4096;

/** Patch grid of the dense features. */
export function denseGrid(
  { model: { config: { patchSize } }, settings: { denseSize } }: Backbone,
): Grid {
  return [denseSize.height / patchSize, denseSize.width / patchSize];
}

function pixelsOf(
  { model: { family } }: Backbone,
  images: StudyImages,
  { rows, size }: { readonly rows: ArrayLike<number>; readonly size: ImageSize },
): Float32Array<ArrayBuffer> {
  const values = 3 * size.height * size.width;
  const out = new Float32Array(rows.length * values);
  for (let i = 0; i < rows.length; i++) {
    const image = images.read(rows[i]);
    // Straight to the size: the maps of a cropped image would not lie on the image.
    out.set(preprocess(image, { family: stretched(family), size }).data, i * values);
  }
  return out;
}

/**
 * Class tokens of images in batches, `[end − start, m]` each.
 *
 * @param first image to begin with
 */
export async function* classTokens(
  gpu: Gpu,
  backbone: Backbone,
  images: StudyImages,
  { first = 0, onProgress, signal }: LongCall & { readonly first?: number } = {},
): AsyncGenerator<HostMatrix> {
  const { model, settings: { encoderSize: size } } = backbone;
  const n = images.names.length;
  const step = classTokenBatch(backbone);
  for (let start = first; start < n; start += step) {
    signal?.throwIfAborted();
    onProgress?.({ stage: "class tokens", done: start, total: n });
    const rows = Uint32Array.from({ length: Math.min(step, n - start) }, (_, i) => start + i);
    const values = pixelsOf(backbone, images, { rows, size });
    using pixels = Tensor.from(gpu, values, [rows.length, 3, size.height, size.width]);
    const { data, shape } = (await extractFeatures(model, pixels, { save: ["cls"] })).get("/cls")!;
    yield hostMatrix(data, [shape[0], shape[1]]);
  }
  onProgress?.({ stage: "class tokens", done: n, total: n });
}

/** Images whose class tokens are computed at once. */
export function classTokenBatch({ model, settings: { encoderSize } }: Backbone): number {
  const { patchSize, prefixTokens } = model.config;
  const tokens = encoderSize.height * encoderSize.width / patchSize ** 2 + prefixTokens;
  return Math.max(1, Math.floor(TOKENS_AT_ONCE / tokens));
}

/** The augmentations of a backbone's distillation. */
export function backboneShifts(backbone: Backbone): PatchShift[] {
  const { nAugmentations, offsetSeed: seed } = backbone.settings;
  return patchShifts(denseGrid(backbone), nAugmentations, seed === undefined ? {} : { seed });
}

/** Dense features of one image, raw, `[nPatches, m]` each. */
export interface DensePair {
  /** Mean over the augmentations. */
  readonly distilled: HostMatrix;
  /** Of the image alone. */
  readonly plain: HostMatrix;
}

/**
 * Dense features of images, one at a time.
 *
 * @param rows of the images
 * @param first image of them to begin with
 */
export async function* denseFeatures(
  gpu: Gpu,
  backbone: Backbone,
  images: StudyImages,
  { rows, first = 0, onProgress, signal }: LongCall & {
    readonly rows: Uint32Array;
    readonly first?: number;
  },
): AsyncGenerator<DensePair> {
  const { model, settings: { denseSize: size, dense, posInterpolation } } = backbone;
  const grid = denseGrid(backbone);
  const shifts = backboneShifts(backbone);
  const options = { ...dense, posInterpolation };
  const infill = whiteInfill(model.family);
  for (let i = first; i < rows.length; i++) {
    signal?.throwIfAborted();
    onProgress?.({ stage: "dense features", done: i, total: rows.length });
    const values = pixelsOf(backbone, images, { rows: rows.subarray(i, i + 1), size });
    using pixels = Tensor.from(gpu, values, [1, 3, size.height, size.width]);
    const maps = tidy(gpu, () => [
      distillDense(model, pixels, { ...options, shifts, infill }),
      model.denseTokens(model.embedPatches(pixels), { ...options, grid }),
    ]);
    const width = maps[0].shape[3];
    const [distilled, plain] = await readAll(maps) as Float32Array<ArrayBuffer>[];
    for (const map of maps) map.dispose();
    const shape = [grid[0] * grid[1], width] as const;
    yield { distilled: hostMatrix(distilled, shape), plain: hostMatrix(plain, shape) };
  }
  onProgress?.({ stage: "dense features", done: rows.length, total: rows.length });
}
