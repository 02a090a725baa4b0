/**
 * Attention by heads: packed or separate queries, keys and values, causal, with NACLIP's window between patches.
 *
 * @module
 */
import { KernelError, ShapeError } from "../errors.ts";
import { run } from "../run.ts";
import { record } from "../tape.ts";
import { allocate, type Tensor, tidy } from "../tensor.ts";
import * as elementwise from "./elementwise.ts";
import { matmul } from "./matmul.ts";
import { softmax } from "./norm.ts";
import { sum } from "./reduce.ts";
import { permute, slice } from "./shape.ts";
import type { Args } from "../../shaders/kernel.ts";
import { attentionKernel } from "../../shaders/attention/attention.ts";
import { attentionGradientKernel } from "../../shaders/attention/attention_gradient.ts";

/** A Gaussian of the distance between two patches, added to their logit; other tokens get 0 and stay in the softmax. */
export interface AttentionWindow {
  /** Patches in a row of the grid. */
  readonly gridWidth: number;
  /** Tokens before the first patch (class token, registers). */
  readonly nPrefix: number;
  /** Standard deviation in patches (NACLIP's default is 5). */
  readonly std: number;
  /** `[batch]`: the logits are this times the Gaussian alone, and q·k plays no part (NACLIP's `nonly`). */
  readonly level?: Tensor;
}

/** Options of {@link attention}. */
export interface AttentionOptions {
  /** Heads that the width is divided into. */
  readonly nHeads: number;
  /** Factor of q·k; 1/√headDim when absent. */
  readonly scale?: number;
  /** Hides keys after the query. */
  readonly isCausal?: boolean;
  /** See {@link AttentionWindow}. */
  readonly window?: AttentionWindow;
}

/** Queries, keys or values: `width` columns of a tensor `[batch, tokens, stride]` from `start` on. */
interface Columns {
  readonly of: Tensor;
  readonly start: number;
}

type Operands = readonly [q: Columns, k: Columns, v: Columns];

/** Everything that the kernels of one attention agree on. */
interface Plan {
  readonly operands: Operands;
  readonly dims: Record<string, number>;
  readonly args: Args;
  readonly level?: Tensor;
}

function plan(
  operands: Operands,
  width: number,
  { nHeads, scale, isCausal = false, window }: AttentionOptions,
): Plan {
  const [q, k, v] = operands;
  const headDim = width / nHeads;
  const isWrong = operands.some(({ of }) => of.shape.length !== 3) ||
    !Number.isInteger(headDim) || nHeads < 1 || k.of.shape[0] !== q.of.shape[0] ||
    `${k.of.shape.slice(0, 2)}` !== `${v.of.shape.slice(0, 2)}` ||
    operands.some(({ of, start }) => start + width > of.shape[2]);
  if (isWrong) {
    throw new ShapeError(
      `Cannot attend with ${nHeads} heads of q [${q.of.shape}], k [${k.of.shape}], v [${v.of.shape}]: ` +
        "they must be [batch, tokens, width] with one batch and one width that the heads divide, k and v of the same tokens",
    );
  }
  const [batch, tq] = q.of.shape, tk = k.of.shape[1];
  if (window?.level && window.level.size !== batch) {
    throw new ShapeError(
      `Cannot attend: window.level must have one value per batch of ${batch}, got [${window.level.shape}]`,
    );
  }
  const [qSize, kSize, vSize] = operands.map(({ of }) => of.size);
  const levelSize = window?.level?.size ?? qSize;
  return {
    operands,
    dims: { batch, tq, tk, heads: nHeads, headDim, qSize, kSize, vSize, levelSize },
    args: {
      ...{ qOffset: q.start, kOffset: k.start, vOffset: v.start },
      ...{ qStride: q.of.shape[2], kStride: k.of.shape[2], vStride: v.of.shape[2] },
      ...{ scale: scale ?? 1 / Math.sqrt(headDim), causal: Number(isCausal) },
      ...{ window: Number(!!window), positional: Number(!!window?.level) },
      ...{ nPrefix: window?.nPrefix ?? 0, gridWidth: window?.gridWidth ?? 1 },
      invTwoVar: window ? 1 / (2 * window.std ** 2) : 0,
    },
    level: window?.level,
  };
}

/** Gradient by everything that lies in `target`, which may hold several of q, k and v, or one twice. */
function gradientOf(
  { operands, dims, args }: Plan,
  target: Tensor,
  inputs: readonly Tensor[],
): Tensor {
  const parts = operands.flatMap((o, of) => (o.of === target ? [{ start: o.start, of }] : []));
  const starts = new Set(parts.map((p) => p.start));
  const width = dims.heads * dims.headDim;
  const { gpu, shape } = target;
  const dtype = target.dtype === "f16" ? "f16" : "f32";
  const isCovered = starts.size * width === shape[2] && !args.positional;
  const d = isCovered ? allocate(gpu, shape, dtype) : elementwise.full(gpu, shape, 0, { dtype });
  const written = new Set<number>();
  for (const { start, of } of parts) {
    if (args.positional && of !== 2) continue; // q and k play no part
    run(attentionGradientKernel, [...inputs, d], {
      dims: { ...dims, dSize: d.size },
      args: {
        ...args,
        of,
        accumulate: Number(written.has(start)),
        dOffset: start,
        dStride: shape[2],
      },
    });
    written.add(start);
  }
  return d;
}

/** Channels of a head beyond which the kernels of CPU drivers, that hold a query in registers, do not go. */
const MOST_REGISTERS = 128;

/** Whether products of matrices, with all weights in memory in between, are the faster way: that of wide heads on CPU drivers. */
function suitsProducts({ operands: [{ of: { gpu, dtype } }], dims, args }: Plan): boolean {
  const { batch, tq, tk, heads, headDim } = dims, { caps, options } = gpu;
  const bytes = 4 * batch * heads * tq * tk;
  return caps.isSoftware && options.kernels !== "naive" && headDim > MOST_REGISTERS &&
    !args.causal && !args.window && dtype === "f32" && bytes > 0 && bytes <= caps.maxBindingBytes;
}

function attendByProducts({ operands, dims, args }: Plan): Tensor {
  const { batch, tq, heads, headDim } = dims, width = heads * headDim;
  return tidy(operands[0].of.gpu, () => {
    const [q, k, v] = operands.map(({ of, start }) => {
      const own = of.shape[2] === width ? of : slice(of, { axis: 2, start, end: start + width });
      return permute(own.reshape([batch, of.shape[1], heads, headDim]), [0, 2, 1, 3]);
    });
    const weights = softmax(elementwise.scale(matmul(q, k, { transposeB: true }), args.scale));
    return permute(matmul(weights, v), [0, 2, 1, 3]).reshape([batch, tq, width]);
  });
}

function attend(planned: Plan): Tensor {
  if (suitsProducts(planned)) return attendByProducts(planned);
  const { operands, dims, args, level } = planned;
  const { batch, tq, heads, headDim } = dims;
  const [q, k, v] = operands.map((o) => o.of);
  const [o, lse] = run(attentionKernel, [q, k, v, level ?? q], {
    dims,
    args,
    shapes: { o: [batch, tq, heads * headDim] },
  });
  const targets = [...new Set([q, k, v])];
  const inputs = level ? [...targets, level] : targets;
  const places = [q, k, v].map((t) => targets.indexOf(t));
  record(o, inputs, [...targets, o, lse, ...(level ? [level] : [])], (g, saved) => {
    const at = targets.length;
    const [q, k, v] = places.map((i) => saved[i]);
    const again: Plan = {
      ...planned,
      operands: [
        { of: q, start: operands[0].start },
        { of: k, start: operands[1].start },
        { of: v, start: operands[2].start },
      ],
    };
    const delta = sum(elementwise.mul(g, saved[at]).reshape([batch, tq, heads, headDim]), {
      axes: [-1],
    });
    const given = [q, k, v, g, saved[at + 1], delta, saved[at + 2] ?? q];
    return [
      ...saved.slice(0, at).map((target) => () => gradientOf(again, target, given)),
      () => {
        throw new KernelError("Cannot differentiate attention by window.level: it has no gradient");
      },
    ];
  });
  lse.dispose();
  return o;
}

/**
 * `softmax(scale · q·kᵀ + window) · v` by heads. `q: [batch, queries, width]`, `k`, `v`: `[batch, tokens, width]` → the shape of q.
 * Heads are neighbouring columns, as PyTorch's `view(batch, tokens, nHeads, headDim)` has them.
 *
 * @throws {ShapeError} when the shapes or the heads do not fit.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
  const columns = (of: Tensor) => ({ of, start: 0 });
  return attend(plan([columns(q), columns(k), columns(v)], q.shape.at(-1) ?? 0, options));
}

/**
 * Attention of `q: [batch, queries, width]` over packed keys and values `kv: [batch, tokens, 2·width]` → the shape of q.
 *
 * @throws {ShapeError} when the shapes or the heads do not fit.
 */
export function crossAttention(q: Tensor, kv: Tensor, options: AttentionOptions): Tensor {
  const width = q.shape.at(-1) ?? 0;
  const operands = [{ of: q, start: 0 }, { of: kv, start: 0 }, { of: kv, start: width }] as const;
  return attend(plan(operands, width, options));
}

/** Options of {@link selfAttention}. */
export interface SelfAttentionOptions extends AttentionOptions {
  /** What is compared: queries with keys, keys with keys, or (`csa`, SCLIP) the sum of two softmaxes, q·q and k·k, whose rows sum to 2. */
  readonly similarity?: "qk" | "kk" | "csa";
}

/**
 * Attention of packed `qkv: [batch, tokens, 3·width]` to itself → `[batch, tokens, width]`. NACLIP is `similarity: "kk"` with a window.
 *
 * @throws {ShapeError} when the width or the heads do not fit.
 */
export function selfAttention(
  qkv: Tensor,
  { similarity = "qk", ...options }: SelfAttentionOptions,
): Tensor {
  const width = (qkv.shape.at(-1) ?? 0) / 3;
  const part = (i: number) => ({ of: qkv, start: i * width });
  const pair = (a: number, b: number) => attend(plan([part(a), part(b), part(2)], width, options));
  if (similarity === "qk") return pair(0, 1);
  if (similarity === "kk") return pair(1, 1);
  return tidy(qkv.gpu, () => elementwise.add(pair(0, 0), pair(1, 1)));
}
