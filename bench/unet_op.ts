/**
 * Single layers of UNets as values on the host, what they make in float64 at some places, and how far a result may be off.
 *
 * @module
 */
import { foldIn, type Key, normal } from "../engine/random.ts";
import { sizeOf } from "../shaders/kernel.ts";

/** A convolution of 3×3 that keeps the sides, with bias. */
export interface ConvOp {
  /** Which layer. */
  readonly kind: "conv";
  /** Channels that it takes. */
  readonly cin: number;
  /** Channels that it makes. */
  readonly cout: number;
  /** Pixels of a side. */
  readonly side: number;
}

/** A group norm of square images and SiLU, in 32 groups. */
export interface NormOp {
  /** Which layer. */
  readonly kind: "norm";
  /** Channels. */
  readonly channels: number;
  /** Pixels of a side. */
  readonly side: number;
}

/** Softmax attention of one image. */
export interface AttentionOp {
  /** Which layer. */
  readonly kind: "attention";
  /** Tokens that attend. */
  readonly queries: number;
  /** Tokens that are attended to. */
  readonly keys: number;
  /** Heads. */
  readonly heads: number;
  /** Channels of a head. */
  readonly headDim: number;
}

/** A layer. */
export type UnetOp = ConvOp | NormOp | AttentionOp;

/** Its inputs: `x`, `weight`, `bias`, or `q`, `k`, `v`. */
export type OpInputs = Readonly<Record<string, Float32Array<ArrayBuffer>>>;

/** Groups and eps of the norms. */
export const NORM_GROUPS = 32, NORM_EPS = 1e-5;

/** The layers that are timed: of MIG-Vis's UNet, of ADM-64, of DDPM-32 and of Stable Diffusion 1.5. */
export const unetOps: readonly UnetOp[] = [
  { kind: "conv", cin: 64, cout: 64, side: 128 },
  { kind: "conv", cin: 384, cout: 384, side: 32 },
  { kind: "conv", cin: 512, cout: 512, side: 16 },
  { kind: "norm", channels: 192, side: 64 },
  { kind: "norm", channels: 320, side: 64 },
  { kind: "attention", queries: 1024, keys: 1024, heads: 6, headDim: 64 },
  { kind: "attention", queries: 256, keys: 256, heads: 1, headDim: 256 },
  { kind: "attention", queries: 4096, keys: 77, heads: 8, headDim: 40 },
];

/** Name for people. */
export function opTitle(op: UnetOp): string {
  if (op.kind === "conv") return `conv 3×3, ${op.cin} to ${op.cout} channels, ${op.side}²`;
  if (op.kind === "norm") return `group norm and SiLU, ${op.channels} channels, ${op.side}²`;
  return `attention, ${op.queries} by ${op.keys} tokens, ${op.heads} heads of ${op.headDim}`;
}

/** Operations: products counted as plain sums; none are counted of norms. */
export function opFlops(op: UnetOp): number {
  if (op.kind === "conv") return 18 * op.cin * op.cout * op.side ** 2;
  return op.kind === "norm" ? 0 : 4 * op.queries * op.keys * op.heads * op.headDim;
}

/** Shapes of the inputs and, last, of the result, as this library takes them. */
export function opShapes(op: UnetOp): Readonly<Record<string, readonly number[]>> {
  if (op.kind === "conv") {
    const { cin, cout, side } = op;
    return {
      ...{ x: [1, cin, side, side], weight: [cout, cin, 3, 3], bias: [cout] },
      y: [1, cout, side, side],
    };
  }
  if (op.kind === "norm") {
    const { channels, side } = op, shape = [1, channels, side, side];
    return { x: shape, weight: [channels], bias: [channels], y: shape };
  }
  const { queries, keys, heads, headDim } = op, width = heads * headDim;
  return {
    q: [1, queries, width],
    k: [1, keys, width],
    v: [1, keys, width],
    y: [1, queries, width],
  };
}

/** Random inputs; weights of a convolution keep the size of what it gets. */
export function drawInputs(op: UnetOp, key: Key): OpInputs {
  const inputs = Object.entries(opShapes(op)).filter(([name]) => name !== "y");
  return Object.fromEntries(inputs.map(([name, shape], i) => {
    const values = normal(foldIn(key, i), sizeOf(shape));
    const spread = name === "weight" && op.kind === "conv" ? 1 / Math.sqrt(9 * op.cin) : 1;
    return [name, spread === 1 ? values : values.map((v) => spread * v)];
  }));
}

function exactConv({ cin, side }: ConvOp, { x, weight, bias }: OpInputs, at: number): number {
  const o = Math.floor(at / side ** 2), y = Math.floor(at / side) % side, z = at % side;
  let sum = bias[o];
  for (let c = 0; c < cin; c++) {
    for (let t = 0; t < 9; t++) {
      const iy = y + Math.floor(t / 3) - 1, ix = z + t % 3 - 1;
      if (iy < 0 || ix < 0 || iy >= side || ix >= side) continue;
      sum += weight[(o * cin + c) * 9 + t] * x[(c * side + iy) * side + ix];
    }
  }
  return sum;
}

function exactNorm({ channels, side }: NormOp, { x, weight, bias }: OpInputs, at: number): number {
  const area = side ** 2, each = channels / NORM_GROUPS * area;
  const channel = Math.floor(at / area), start = Math.floor(at / each) * each;
  let sum = 0, squares = 0;
  for (let i = start; i < start + each; i++) sum += x[i];
  const mean = sum / each;
  for (let i = start; i < start + each; i++) squares += (x[i] - mean) ** 2;
  const normed = (x[at] - mean) / Math.sqrt(squares / each + NORM_EPS);
  const y = normed * weight[channel] + bias[channel];
  return y / (1 + Math.exp(-y));
}

function exactAttention(op: AttentionOp, { q, k, v }: OpInputs, at: number): number {
  const { keys, heads, headDim } = op, width = heads * headDim;
  const row = Math.floor(at / width), first = Math.floor(at % width / headDim) * headDim;
  const logits = Float64Array.from({ length: keys }, (_, j) => {
    let dot = 0;
    for (let d = first; d < first + headDim; d++) dot += q[row * width + d] * k[j * width + d];
    return dot / Math.sqrt(headDim);
  });
  const top = logits.reduce((a, b) => Math.max(a, b)), e = logits.map((l) => Math.exp(l - top));
  const sum = e.reduce((a, b) => a + b);
  return e.reduce((mixed, p, j) => mixed + p / sum * v[j * width + at % width], 0);
}

/** Places of the result that are looked at. */
const PLACES = 96;

/**
 * The most that a result may be off, in parts of its root mean square: sums of K terms in f32, with room for products at points; logits,
 * exponentials and statistics of a few roundings each.
 */
export function opTolerance(op: UnetOp): number {
  return op.kind === "conv" ? 16 * 2 ** -24 * Math.sqrt(9 * op.cin) : 2e-5;
}

/**
 * The greatest error of a result at some places, in parts of the root mean square of the exact values there, and of each.
 *
 * @throws {Error} when it is over {@link opTolerance}
 */
export function checkOp(
  op: UnetOp,
  inputs: OpInputs,
  got: ArrayLike<number>,
  by: string,
): number {
  const size = sizeOf(opShapes(op).y), count = Math.min(PLACES, size);
  const places = Array.from({ length: count }, (_, i) => Math.floor((i + 0.5) * size / count));
  const exact = places.map((at) =>
    op.kind === "conv"
      ? exactConv(op, inputs, at)
      : op.kind === "norm"
      ? exactNorm(op, inputs, at)
      : exactAttention(op, inputs, at)
  );
  const rms = Math.sqrt(exact.reduce((sum, v) => sum + v * v, 0) / count);
  const error = places.reduce((worst, at, i) => {
    const off = Math.abs(got[at] - exact[i]) / (Math.abs(exact[i]) + rms);
    return off <= worst || Number.isNaN(worst) ? worst : off;
  }, 0);
  const most = opTolerance(op);
  if (error <= most && got.length === size) return error;
  throw new Error(
    `Cannot time ${by}: ${opTitle(op)} is off by ${error}, at most ${most} is rounding`,
  );
}
