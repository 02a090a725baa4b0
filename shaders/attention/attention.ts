/**
 * Attention by heads in one pass over the keys: the matrix of scores never exists in memory.
 *
 * @module
 */
import naive from "./attention_naive.wgsl" with { type: "text" };
import subgroup from "./attention_subgroup.wgsl" with { type: "text" };
import tiled from "./attention_tiled.wgsl" with { type: "text" };
import scores from "../_lib/attention_scores.wgsl" with { type: "text" };
import subgroupDot from "../_lib/subgroup_dot32.wgsl" with { type: "text" };
import {
  type Args,
  type Caps,
  ceilDiv,
  type Constants,
  defineKernel,
  type Dims,
  type HostArrays,
  type KernelSpec,
} from "../kernel.ts";

const divides = (by: number, ...sizes: number[]) => sizes.every((size) => size % by === 0);

/** One subgroup size, and a driver where barriers cost more than registers. */
export const hasLanes = ({ isSoftware, subgroupMinSize, subgroupMaxSize }: Caps): boolean =>
  isSoftware && subgroupMinSize >= 8 && subgroupMinSize === subgroupMaxSize;

/** Constants that every attention kernel has. */
export const attentionConstants = (
  { headDim }: Dims,
  { causal, window, positional }: Args,
): Constants => ({ HEAD_DIM: headDim, CAUSAL: causal, WINDOW: window, POSITIONAL: positional });

/** True where rows of q, k and v are whole vec4s. */
export const hasVec4Rows = (
  { headDim }: Dims,
  { qOffset, kOffset, vOffset, qStride, kStride, vStride }: Args,
): boolean =>
  headDim <= 128 && divides(4, headDim, qOffset, kOffset, vOffset, qStride, kStride, vStride);

/** Keys per tile that keep two tiles within 16 KiB. */
export function tileKeys(headDim: number): number {
  return Math.max(1, Math.min(16, 2 ** Math.floor(Math.log2(512 / ceilDiv(headDim, 4)))));
}

/** Turns of the loops of a tiled kernel: copies of a tile, then two loops over a row for each of its keys. */
export function tiledTurns(keys: number, headDim: number, tile: number): number {
  const d4 = ceilDiv(headDim, 4);
  return ceilDiv(keys, tile) * (ceilDiv(tile * d4, 64) + 3) + keys * (2 * d4 + 3) + d4 + headDim +
    3;
}

/** Row and column of a token on the grid of patches, or undefined for a prefix token. */
function place(token: number, { nPrefix, gridWidth }: Args): [number, number] | undefined {
  const t = token - nPrefix;
  return t < 0 ? undefined : [Math.floor(t / gridWidth), t % gridWidth];
}

/** exp(−d² / 2σ²) between two patches, 0 where one of the tokens is a prefix token. */
export function windowBetween(i: number, j: number, args: Args): number {
  const a = place(i, args), b = place(j, args);
  return a && b ? Math.exp(-((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) * args.invTwoVar) : 0;
}

/** The logits of one query row in float64; −∞ where the key is hidden. */
export function logitsOf(
  { q, k, level }: HostArrays,
  { batch, head, i }: { batch: number; head: number; i: number },
  { tq, tk, headDim }: Dims,
  args: Args,
): Float64Array {
  const atQ = (batch * tq + i) * args.qStride + args.qOffset + head * headDim;
  return Float64Array.from({ length: tk }, (_, j) => {
    if (args.causal && j > i) return -Infinity;
    const atK = (batch * tk + j) * args.kStride + args.kOffset + head * headDim;
    let s = 0;
    for (let d = 0; d < headDim; d++) s += q[atQ + d] * k[atK + d];
    s = args.positional ? 0 : s * args.scale;
    const rise = args.positional ? level[batch] : 1;
    return args.window ? s + rise * windowBetween(i, j, args) : s;
  });
}

/** Sizes and places of q, k and v packed in rows of three heads·headDim (self-attention). */
export function packed(batch: number, tokens: number, heads: number, headDim: number): Dims {
  const width = heads * headDim, size = batch * tokens * 3 * width;
  return {
    ...{ batch, tq: tokens, tk: tokens, heads, headDim, levelSize: batch },
    ...{ qSize: size, kSize: size, vSize: size, qStride: 3 * width, kStride: 3 * width },
    ...{ vStride: 3 * width, qOffset: 0, kOffset: width, vOffset: 2 * width },
    scale: 1 / Math.sqrt(headDim),
  };
}

/** The same for q, k and v on their own. */
export function separate(
  { batch, tq, tk }: { batch: number; tq: number; tk: number },
  heads: number,
  headDim: number,
): Dims {
  const width = heads * headDim;
  return {
    ...{ batch, tq, tk, heads, headDim, levelSize: batch, qSize: batch * tq * width },
    ...{ kSize: batch * tk * width, vSize: batch * tk * width },
    ...{ qStride: width, kStride: width, vStride: width, scale: 1 / Math.sqrt(headDim) },
  };
}

/** Scalars of every attention kernel. */
export const attentionArgs: Args = {
  ...{ scale: 1, causal: 0, window: 0, positional: 0, nPrefix: 0, gridWidth: 1, invTwoVar: 0 },
  ...{ qOffset: 0, kOffset: 0, vOffset: 0, qStride: 0, kStride: 0, vStride: 0 },
};

/** σ = 2 patches on a grid 4 wide after one prefix token. */
export const windowCase = { window: 1, nPrefix: 1, gridWidth: 4, invTwoVar: 1 / 8 };

/**
 * `o = softmax(scale · q·kᵀ + window) · v`, `lse` the logarithm of each row's sum.
 *
 * Rows of q start at `qOffset` and are `qStride` values apart, so that q, k and v may lie packed in one buffer, which is then bound three
 * times. `causal` (0 or 1) hides later keys. `window` adds exp(−d²·invTwoVar) between patches of a grid `gridWidth` wide, which
 * follow `nPrefix` other tokens; `positional` replaces q·k by that window times `level[batch]`. `level` is not read otherwise.
 */
export const attentionKernel: KernelSpec = defineKernel({
  name: "attention",
  buffers: {
    q: "qSize",
    k: "kSize",
    v: "vSize",
    level: "levelSize",
    o: "out batch tq heads*headDim",
    lse: "out f32 batch tq heads",
  },
  args: attentionArgs,
  flops: ({ batch, tq, tk, heads, headDim }) => 4 * batch * tq * tk * heads * headDim,
  bytes: ({ batch, tq, tk, heads, headDim }, elemBytes) =>
    2 * batch * (tq + tk) * heads * headDim * elemBytes,
  reference(inputs, dims, args) {
    const { batch, tq, tk, heads, headDim } = dims;
    const o = new Float64Array(batch * tq * heads * headDim);
    const lse = new Float64Array(batch * tq * heads);
    for (let row = 0; row < batch * tq; row++) {
      const z = Math.floor(row / tq);
      for (let head = 0; head < heads; head++) {
        const logits = logitsOf(inputs, { batch: z, head, i: row % tq }, dims, args);
        const top = logits.reduce((a, b) => Math.max(a, b), -Infinity);
        const sum = logits.reduce((s, x) => s + Math.exp(x - top), 0);
        lse[row * heads + head] = top + Math.log(sum);
        for (let j = 0; j < tk; j++) {
          const p = Math.exp(logits[j] - top) / sum;
          const from = (z * tk + j) * args.vStride + args.vOffset + head * headDim;
          for (let d = 0; d < headDim; d++) {
            o[(row * heads + head) * headDim + d] += p * inputs.v[from + d];
          }
        }
      }
    }
    return { o, lse };
  },
  // Logits are sums of headDim products of unit normals over √headDim: rounded to eps·√headDim, exp to 2 ulp; weights are relative.
  tolerance: { f32: 1e-5, f16: 2e-3 },
  cases: [
    separate({ batch: 1, tq: 1, tk: 1 }, 1, 4),
    { ...packed(2, 17, 2, 32), ...windowCase },
    { ...packed(2, 17, 2, 32), ...windowCase, positional: 1 },
    { ...packed(1, 21, 2, 20), causal: 1 },
    separate({ batch: 2, tq: 5, tk: 77 }, 2, 64),
    separate({ batch: 1, tq: 9, tk: 6 }, 3, 7),
    packed(1, 9, 1, 128),
  ],
  large: [packed(1, 197, 12, 64), packed(1, 1025, 12, 64), {
    ...packed(1, 785, 12, 64),
    ...windowCase,
  }],
  variants: [
    {
      name: "attention_subgroup",
      source: subgroup,
      lib: [scores, subgroupDot],
      needs: ["subgroups"],
      constants: (dims, args, caps) => ({
        ...attentionConstants(dims, args),
        SG: caps.subgroupMinSize,
      }),
      supports: (dims, caps, args) => hasLanes(caps) && hasVec4Rows(dims, args),
      loopTurns: ({ tk }) => ceilDiv(tk, 2) + 1,
      workgroups: ({ batch, tq, heads, headDim }, { SG }) => [
        ceilDiv(tq, headDim <= 64 ? 2 * SG : SG), // PAIR in the shader
        heads,
        batch,
      ],
    },
    {
      name: "attention_tiled",
      source: tiled,
      lib: [scores],
      constants: (dims, args) => ({
        ...attentionConstants(dims, args),
        KEYS: tileKeys(dims.headDim),
      }),
      supports: ({ headDim }, { maxWorkgroupInvocations, maxWorkgroupStorage }) =>
        maxWorkgroupInvocations >= 64 && maxWorkgroupStorage >= 16384 && headDim <= 512,
      loopTurns: ({ tk, headDim }, { KEYS }) => tiledTurns(tk, headDim, KEYS),
      workgroups: ({ batch, tq, heads }) => [ceilDiv(tq, 64), heads, batch],
    },
    {
      name: "attention_naive",
      source: naive,
      lib: [scores],
      tunables: { WG: [64] },
      constants: attentionConstants,
      loopTurns: ({ tk, headDim }) => tk * (3 * headDim + 5) + 2 * headDim + 4,
      workgroups: ({ batch, tq, heads }, { WG }) => [ceilDiv(tq, WG), heads, batch],
    },
  ],
});
