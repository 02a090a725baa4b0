/**
 * The attentions of a vision transformer, on packed queries, keys and values.
 *
 * @module
 */
import { selfAttention } from "../../engine/ops/attention.ts";
import { mul, scale, sqrt, square } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { softmax } from "../../engine/ops/norm.ts";
import { mean, sum } from "../../engine/ops/reduce.ts";
import { slice } from "../../engine/ops/shape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import type { Grid } from "./pos_embed.ts";

/** A Gaussian window around each patch. */
interface Place {
  /** Standard deviation in patches. */
  readonly std: number;
  /** Patch grid. */
  readonly grid: Grid;
  /** Tokens before the first patch. */
  readonly prefix: number;
}

/** What an attention does. */
export type AttentionKind =
  | { readonly mode: "qk"; readonly causal?: boolean }
  | { readonly mode: "maskclip" | "kk" | "csa" }
  | { readonly mode: "naclip" | "nonly" } & Place;

/** The Gaussian as a matrix `[tokens, tokens]`, 0 where a token is no patch. */
function windowMatrix(like: Tensor, { std, grid, prefix }: Place): Tensor {
  const tokens = prefix + grid[0] * grid[1];
  const values = new Float32Array(tokens * tokens);
  for (let i = prefix; i < tokens; i++) {
    for (let j = prefix; j < tokens; j++) {
      const [a, b] = [i - prefix, j - prefix];
      const rows = Math.floor(a / grid[1]) - Math.floor(b / grid[1]);
      const columns = a % grid[1] - b % grid[1];
      values[i * tokens + j] = Math.exp(-(rows * rows + columns * columns) / (2 * std * std));
    }
  }
  return Tensor.from(like.gpu, values, [tokens, tokens], { dtype: like.dtype });
}

/**
 * NACLIP's `nonly`: logits are the window times the typical size of a similarity, `scale · mean(‖q‖·‖k‖)` over heads and pairs. All
 * heads weigh alike then. The fused attention has no gradient by that size, so that a tape gets the matrix.
 */
function windowOnly(qkv: Tensor, heads: number, place: Place): Tensor {
  const [n, tokens, packed] = qkv.shape;
  const headDim = packed / 3 / heads;
  const parts = qkv.reshape([n, tokens, 3, heads, headDim]);
  const lengths = mean(sqrt(sum(square(parts), { axes: [-1] })), { axes: [1] }); // [n, 3, heads]
  const [q, k] = [0, 1].map((i) => slice(lengths, { axis: 1, start: i, end: i + 1 }));
  const level = scale(mean(mul(q, k), { axes: [1, 2] }), 1 / Math.sqrt(headDim)); // [n]
  if (qkv.node) {
    const weights = softmax(mul(windowMatrix(qkv, place), level.reshape([n, 1, 1])));
    return matmul(weights, slice(qkv, { axis: -1, start: packed * 2 / 3 }));
  }
  const { std, grid, prefix } = place;
  const window = { std, gridWidth: grid[1], nPrefix: prefix, level };
  return selfAttention(qkv, { nHeads: heads, window });
}

/** Self-attention: `qkv: [n, tokens, 3·width]` → `[n, tokens, width]`. */
export function attend(qkv: Tensor, nHeads: number, kind: AttentionKind): Tensor {
  switch (kind.mode) {
    case "qk":
      return selfAttention(qkv, { nHeads, isCausal: kind.causal });
    case "maskclip": // each token attends to itself alone: its value passes
      return slice(qkv, { axis: -1, start: qkv.shape[2] * 2 / 3 });
    case "kk":
    case "csa":
      return selfAttention(qkv, { nHeads, similarity: kind.mode });
    case "naclip": {
      const window = { std: kind.std, gridWidth: kind.grid[1], nPrefix: kind.prefix };
      return selfAttention(qkv, { nHeads, similarity: "kk", window });
    }
    case "nonly":
      return tidy(qkv.gpu, () => windowOnly(qkv, nHeads, kind));
  }
}
