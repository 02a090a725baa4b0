/**
 * Floating-point operations of dense features, by formula: what the result needs, whatever is computed beside it.
 *
 * @module
 */
import type { VisionModel } from "../models/model.ts";
import type { Grid } from "../models/pos_embed.ts";
import type { VitConfig } from "../models/vit_config.ts";
import { archOf, type DenseMode, type DenseOptions } from "../models/vit.ts";

/** What {@link denseFlops} counts. */
export interface DenseFlopsOptions extends DenseOptions {
  /** Augmentations that are averaged; 1 when left out. */
  readonly nAugmentations?: number;
  /** True where every augmentation embeds its patches anew; else image, mirror image and infill are embedded once. */
  readonly embedsEveryView?: boolean;
  /** Weights of the head that every patch passes after the last block; 0 when left out, see {@link headWeights}. */
  readonly nHeadWeights?: number;
}

/** Operations for one image; a multiplication with its addition counts twice. */
export interface DenseFlops {
  /** Patch embedding. */
  readonly embedding: number;
  /** Blocks of all augmentations. */
  readonly blocks: number;
  /** Head of all augmentations. */
  readonly head: number;
  /** All together. */
  readonly total: number;
}

/** Layers of the last block's attention out of query, key, value, output, and products of all pairs of tokens, by mode. */
const lastAttention: Readonly<Record<DenseMode, { layers: number; pairs: number }>> = {
  vanilla: { layers: 4, pairs: 2 },
  maskclip: { layers: 2, pairs: 0 }, // value and output
  sclip: { layers: 4, pairs: 3 }, // query with query, key with key, and the mean
  naclip: { layers: 3, pairs: 2 }, // no query
  kk: { layers: 3, pairs: 2 },
  nonly: { layers: 4, pairs: 1 }, // lengths of queries and keys, and the mean
};

/**
 * Operations of the dense features of one image. Norms, activations and softmax are left out: they are less than a hundredth.
 *
 * @param grid patches of the image
 */
export function denseFlops(
  { width, depth, hidden, gated, channels, patchSize, prefixTokens }: VitConfig,
  [rows, columns]: Grid,
  options: DenseFlopsOptions = {},
): DenseFlops {
  const { nAugmentations: n = 1, embedsEveryView = false, nHeadWeights = 0 } = options;
  const patches = rows * columns;
  const tokens = patches + prefixTokens;
  const mlp = (gated ? 3 : 2) * width * hidden;
  const block = (layers: number, pairs: number, hasMlp: boolean) =>
    2 * tokens * (layers * width ** 2 + (hasMlp ? mlp : 0)) + 2 * pairs * tokens ** 2 * width;
  const { layers, pairs } = lastAttention[options.dense ?? "vanilla"];
  const last = block(layers, pairs, archOf(options) === "vanilla");
  const isOnce = !embedsEveryView && n > 1; // the image, its mirror image and one patch of infill
  const embedded = isOnce ? 2 * patches + 1 : n * patches;
  const embedding = 2 * embedded * channels * patchSize ** 2 * width;
  const blocks = n * ((depth - 1) * block(4, 2, true) + last);
  const head = n * 2 * patches * nHeadWeights;
  return { embedding, blocks, head, total: embedding + blocks + head };
}

/** Weights that every patch passes after the last block: CLIP's projection, RADIO's adaptor, the value path of SigLIP's pooling. */
export function headWeights({ weights }: VisionModel): number {
  let sum = 0;
  for (const [name, { shape, size }] of weights) {
    if (shape.length !== 2 || !name.endsWith(".weight")) continue;
    if (/^(projection|features|adaptor\..+|pool\.(out|fc1|fc2))\.weight$/.test(name)) sum += size;
    if (name === "pool.kv.weight") sum += size / 2; // the value alone
  }
  return sum;
}
