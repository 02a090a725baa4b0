/**
 * Gradients of attention.
 *
 * @module
 */
import { attention, crossAttention, selfAttention } from "../../engine/ops/attention.ts";
import {
  attentionArgs,
  attentionKernel,
  packed,
  separate,
} from "../../shaders/attention/attention.ts";
import type { Args, Dims } from "../../shaders/kernel.ts";
import type { GradientCase } from "../gradcheck.ts";

const forward = (q: Float64Array, k: Float64Array, v: Float64Array, dims: Dims, args: Args = {}) =>
  attentionKernel.reference({ q, k, v, level: q }, dims, { ...attentionArgs, ...dims, ...args }).o;

const own = packed(2, 7, 2, 8); // width 16: q, k and v start at 0, 16 and 32
const window = { window: 1, nPrefix: 1, gridWidth: 3, invTwoVar: 1 / 8 };
const windowOption = { nPrefix: 1, gridWidth: 3, std: 2 };

/** Cases of this family. */
export const attentionCases: readonly GradientCase[] = [{
  name: "selfAttention",
  shapes: [[2, 7, 48]],
  f: (x) => selfAttention(x, { nHeads: 2 }),
  reference: (x) => forward(x, x, x, own),
}, {
  name: "selfAttention, causal, odd head width",
  shapes: [[1, 5, 15]],
  f: (x) => selfAttention(x, { nHeads: 1, isCausal: true, scale: 0.7 }),
  reference: (x) => forward(x, x, x, { ...packed(1, 5, 1, 5), causal: 1, scale: 0.7 }),
}, {
  name: "selfAttention of keys with a window (NACLIP)",
  shapes: [[2, 7, 48]],
  f: (x) => selfAttention(x, { nHeads: 2, similarity: "kk", window: windowOption }),
  reference: (x) => forward(x, x, x, own, { ...window, qOffset: 16 }),
}, {
  name: "selfAttention, csa",
  shapes: [[2, 7, 48]],
  f: (x) => selfAttention(x, { nHeads: 2, similarity: "csa" }),
  reference: (x) => {
    const kk = forward(x, x, x, own, { qOffset: 16 });
    return forward(x, x, x, own, { kOffset: 0 }).map((v, i) => v + kk[i]);
  },
}, {
  name: "attention with more keys than queries",
  shapes: [[2, 3, 16], [2, 9, 16], [2, 9, 16]],
  f: (q, k, v) => attention(q, k, v, { nHeads: 2 }),
  reference: (q, k, v) => forward(q, k, v, separate({ batch: 2, tq: 3, tk: 9 }, 2, 8)),
}, {
  name: "crossAttention over packed keys and values",
  shapes: [[2, 3, 16], [2, 9, 32]],
  f: (q, kv) => crossAttention(q, kv, { nHeads: 2 }),
  reference: (q, kv) =>
    forward(q, kv, kv, separate({ batch: 2, tq: 3, tk: 9 }, 2, 8), {
      ...{ kStride: 32, vStride: 32, vOffset: 16 },
    }),
}, {
  name: "selfAttention of wide heads, which CPU drivers do by products",
  shapes: [[2, 5, 3 * 264]],
  f: (x) => selfAttention(x, { nHeads: 2 }),
  reference: (x) => forward(x, x, x, packed(2, 5, 2, 132)),
}, {
  name: "crossAttention of one wide head",
  shapes: [[1, 3, 260], [1, 9, 520]],
  f: (q, kv) => crossAttention(q, kv, { nHeads: 1, scale: 0.05 }),
  reference: (q, kv) =>
    forward(q, kv, kv, separate({ batch: 1, tq: 3, tk: 9 }, 1, 260), {
      ...{ kStride: 520, vStride: 520, vOffset: 260, scale: 0.05 },
    }),
}];
