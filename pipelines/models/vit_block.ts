/**
 * One transformer block, shared by all families and both towers: `x + s₁·attention(norm₁ x)`, then `x + s₂·mlp(norm₂ x)`.
 *
 * @module
 */
import { add, mul, silu } from "../../engine/ops/elementwise.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { layerNorm } from "../../engine/ops/norm.ts";
import { slice } from "../../engine/ops/shape.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { attend, type AttentionKind } from "./vit_attention.ts";
import type { Captures } from "./captures.ts";
import type { TowerConfig } from "./vit_config.ts";
import type { Weights } from "./vit_weights.ts";

/** A tower while it runs. */
export interface Tower {
  /** Its weights, by our names. */
  readonly weights: Weights;
  /** Its sizes. */
  readonly config: TowerConfig;
  /** Beginning of its names: empty for images, `text.` for text. */
  readonly root: string;
  /** What the caller wants to see. */
  readonly captures: Captures;
}

/** Layer norm by name. */
export function norm({ weights, config, root }: Tower, name: string, x: Tensor): Tensor {
  const weight = weights.get(`${root}${name}.weight`)!;
  return layerNorm(x, weight, weights.get(`${root}${name}.bias`)!, { eps: config.eps });
}

/**
 * Linear layer of a block whose result is scaled and added to the residual stream; `capture` is the result alone, `capture.added` what
 * is added: the result times LayerScale.
 */
function branch(
  { weights, captures }: Tower,
  h: Tensor,
  at: { layer: string; scale: string; capture: string; residual?: Tensor },
): Tensor {
  const weight = weights.get(`${at.layer}.weight`)!;
  const bias = weights.get(`${at.layer}.bias`);
  const scale = weights.get(at.scale);
  const { residual } = at;
  const added = `${at.capture}.added`;
  if (!captures.wantsAny(at.capture, added)) return linear(h, weight, { bias, scale, residual });
  const y = linear(h, weight, { bias });
  captures.take(at.capture, y);
  const scaled = scale ? mul(y, scale) : y;
  captures.take(added, scaled);
  return residual ? add(residual, scaled) : scaled;
}

function attention(tower: Tower, x: Tensor, at: BlockOptions): Tensor {
  const { weights, config, root, captures } = tower;
  const block = `${root}blocks.${at.index}`;
  const h = norm(tower, `blocks.${at.index}.norm1`, x);
  const qkv = linear(h, weights.get(`${block}.qkv.weight`)!, {
    bias: weights.get(`${block}.qkv.bias`),
  });
  ["q", "k", "v"].forEach((part, i) => {
    const name = `${block}.attn.${part}`;
    if (!captures.wants(name)) return;
    const [start, end] = [i * config.width, (i + 1) * config.width];
    captures.take(name, slice(qkv, { axis: -1, start, end }));
  });
  return attend(qkv, config.heads, at.attention);
}

function mlp({ weights, config, root }: Tower, h: Tensor, index: number): Tensor {
  const layer = `${root}blocks.${index}.fc1`;
  const [weight, bias] = [weights.get(`${layer}.weight`)!, weights.get(`${layer}.bias`)];
  if (!config.gated) return linear(h, weight, { bias, activation: config.activation });
  const both = linear(h, weight, { bias });
  const gate = slice(both, { axis: -1, end: config.hidden });
  return mul(silu(gate), slice(both, { axis: -1, start: config.hidden }));
}

/** Options of {@link runBlock}. */
export interface BlockOptions {
  /** Number of the block. */
  readonly index: number;
  /** What its attention does. */
  readonly attention: AttentionKind;
  /** `reduced` gives the attention branch alone: no residual, no MLP (NACLIP). */
  readonly arch?: "reduced" | "vanilla";
}

/** Runs a block on `x: [n, tokens, width]`. */
export function runBlock(tower: Tower, x: Tensor, options: BlockOptions): Tensor {
  const { captures, root } = tower;
  const { index, arch = "vanilla" } = options;
  const block = `${root}blocks.${index}`;
  return captures.scope(x.gpu, () => {
    const mixed = attention(tower, x, options);
    const seen = branch(tower, mixed, {
      layer: `${block}.out`,
      scale: `${block}.scale1`,
      capture: `${block}.attn.out`,
      residual: arch === "reduced" ? undefined : x,
    });
    if (arch === "reduced") return seen;
    const hidden = mlp(tower, norm(tower, `blocks.${index}.norm2`, seen), index);
    return branch(tower, hidden, {
      layer: `${block}.fc2`,
      scale: `${block}.scale2`,
      capture: `${block}.mlp`,
      residual: seen,
    });
  });
}

/** Runs blocks `from` to `to` (exclusive), capturing the residual stream after each. Consumes nothing of the caller's. */
export function runBlocks(
  tower: Tower,
  x: Tensor,
  { from, to, attention }: { from: number; to: number; attention: AttentionKind },
): Tensor {
  let stream = x.reshape(x.shape);
  for (let index = from; index < to; index++) {
    const next = runBlock(tower, stream, { index, attention });
    tower.captures.take(`${tower.root}blocks.${index}`, next);
    stream.dispose(); // the tape keeps what it needs
    stream = next;
  }
  return stream;
}
