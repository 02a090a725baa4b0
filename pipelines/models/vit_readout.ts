/**
 * What is read from the last tokens: the image embedding, and embeddings of single patches in the same space.
 *
 * @module
 */
import { linear } from "../../engine/ops/matmul.ts";
import { mean } from "../../engine/ops/reduce.ts";
import { broadcastTo, concat, slice } from "../../engine/ops/shape.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { adaptorHead } from "./radio.ts";
import { crossAttention } from "../../engine/ops/attention.ts";
import { norm, type Tower } from "./vit_block.ts";
import type { VitConfig } from "./vit_config.ts";
import type { Weights } from "./vit_weights.ts";

/** How an image tower ends. */
export interface Readout {
  /** Sizes. */
  readonly config: VitConfig;
  /** RADIO: class tokens of the summary. */
  readonly summaryTokens: readonly number[];
  /** RADIO: class token of the adaptor head, undefined without one. */
  readonly adaptorToken?: number;
}

function layer(weights: Weights, name: string, x: Tensor): Tensor {
  return linear(x, weights.get(`${name}.weight`)!, { bias: weights.get(`${name}.bias`) });
}

/** SigLIP's pooling after its attention: `h + mlp(norm h)`. */
function poolMlp(tower: Tower, h: Tensor): Tensor {
  const { weights, config } = tower;
  const hidden = linear(norm(tower, "pool.norm", h), weights.get("pool.fc1.weight")!, {
    bias: weights.get("pool.fc1.bias"),
    activation: config.activation,
  });
  return linear(hidden, weights.get("pool.fc2.weight")!, {
    bias: weights.get("pool.fc2.bias"),
    residual: h,
  });
}

/** True where the checkpoint has SigLIP's pooling head; towers that were made for dense features come without. */
function hasPool({ weights }: Tower): boolean {
  return weights.has("pool.probe");
}

/** SigLIP's attention pooling: a learned query over the tokens `[n, tokens, width]` → `[n, width]`. */
function attentionPool(tower: Tower, tokens: Tensor): Tensor {
  const { weights, config } = tower;
  const [n] = tokens.shape;
  const probe = layer(weights, "pool.q", weights.get("pool.probe")!);
  const q = broadcastTo(probe.reshape([1, 1, config.width]), [n, 1, config.width]);
  const mixed = crossAttention(q, layer(weights, "pool.kv", tokens), { nHeads: config.heads });
  return poolMlp(tower, layer(weights, "pool.out", mixed)).reshape([n, config.width]);
}

/** A patch on SigLIP's value path: what the pooling gives when all its attention is on that patch. */
function valuePool(tower: Tower, tokens: Tensor): Tensor {
  const kv = layer(tower.weights, "pool.kv", tokens);
  const value = slice(kv, { axis: -1, start: tower.config.width });
  return poolMlp(tower, layer(tower.weights, "pool.out", value));
}

/** Final norm; RADIO has none. */
export function finalNorm(tower: Tower, x: Tensor): Tensor {
  return tower.weights.has("post_norm.weight") ? norm(tower, "post_norm", x) : x.reshape(x.shape);
}

function token(x: Tensor, index: number): Tensor {
  return slice(x, { axis: 1, start: index, end: index + 1 });
}

function flatTokens(x: Tensor, indices: readonly number[]): Tensor {
  const picked = concat(indices.map((i) => token(x, i)), 1);
  return picked.reshape([x.shape[0], indices.length * x.shape[2]]);
}

/**
 * The image embedding from the tokens `[n, tokens, width]` after the last block: CLIP's projected class token, SigLIP's pooled
 * embedding (the mean of the normalised tokens where it has no pooling head), RADIO's adaptor summary (or its own where no adaptor is used), else the normalised class token.
 */
export function imageEmbedding(tower: Tower, x: Tensor, readout: Readout): Tensor {
  const { family, width } = readout.config;
  const { weights, captures } = tower;
  const [n] = x.shape;
  if (family === "siglip") {
    const final = finalNorm(tower, x);
    return hasPool(tower) ? attentionPool(tower, final) : mean(final, { axes: [1] });
  }
  if (family === "radio") {
    const final = finalNorm(tower, x);
    if (captures.wants("summary")) {
      captures.take("summary", flatTokens(final, readout.summaryTokens));
    }
    return readout.adaptorToken === undefined
      ? flatTokens(final, readout.summaryTokens)
      : adaptorHead(weights, flatTokens(final, [readout.adaptorToken]));
  }
  const cls = finalNorm(tower, token(x, 0)).reshape([n, width]);
  return weights.has("projection.weight") ? layer(weights, "projection", cls) : cls;
}

/**
 * The tokens in the space of the image embedding: `[n, tokens, m]` for CLIP, patches only for SigLIP and RADIO's adaptor; elsewhere
 * the normalised tokens themselves, which C-RADIO rotates.
 */
export function projectTokens(tower: Tower, x: Tensor, { config, adaptorToken }: Readout): Tensor {
  const { weights } = tower;
  const final = finalNorm(tower, x);
  if (hasPool(tower)) return valuePool(tower, final);
  if (adaptorToken !== undefined) {
    return adaptorHead(weights, slice(final, { axis: 1, start: config.prefixTokens }));
  }
  const last = ["projection", "features"].find((name) => weights.has(`${name}.weight`));
  return last === undefined ? final : layer(weights, last, final);
}

/** Patch embeddings as a map `[n, gridHeight, gridWidth, m]`, from {@link projectTokens}. */
export function denseMap(projected: Tensor, grid: readonly [number, number]): Tensor {
  const [n, tokens, m] = projected.shape;
  const patches = slice(projected, { axis: 1, start: tokens - grid[0] * grid[1] });
  return patches.reshape([n, grid[0], grid[1], m]);
}
