/**
 * Layers that the UNets of diffusion models share: residual blocks that take the time step in, attention over places, resampling.
 *
 * @module
 */
import { add, addScalar, mul, scale, silu } from "../../engine/ops/elementwise.ts";
import { selfAttention } from "../../engine/ops/attention.ts";
import { groupNorm } from "../../engine/ops/channel_norm.ts";
import { conv2d } from "../../engine/ops/conv.ts";
import type { PreparedWeights } from "../../engine/ops/prepared_weights.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { avgPool2d, resize } from "../../engine/ops/resize.ts";
import { slice, transpose } from "../../engine/ops/shape.ts";
import { checkpoint } from "../../engine/ops/checkpoint.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";

/** Weight and bias of a layer. */
export interface Layer {
  /** Weights as PyTorch stores them. */
  readonly weight: Tensor;
  /** Added to the result. */
  readonly bias?: Tensor;
  /** Where forms of weights are kept that do not change. */
  readonly prepared?: PreparedWeights;
}

/** A layer with a bias. */
export interface BiasedLayer extends Layer {
  readonly bias: Tensor;
}

/** A group norm. */
export interface Norm extends Layer {
  /** Groups of channels. */
  readonly groups: number;
  /** Added to the variance. */
  readonly eps: number;
}

/** Weights of a residual block. */
export interface ResBlock {
  /** Norm and convolution before the time step comes in. */
  readonly norm1: Norm;
  readonly conv1: Layer;
  /** Linear map of the time embedding; none in autoencoders. */
  readonly embedding?: Layer;
  /** Norm and convolution behind it. */
  readonly norm2: Norm;
  readonly conv2: Layer;
  /** 1×1 or 3×3, where the channels change. */
  readonly shortcut?: Layer;
  /** Whether the embedding scales and shifts what `norm2` gives (guided-diffusion), or is added before it. */
  readonly hasScaleShift: boolean;
  /** Halves or doubles both sides before the first convolution, on both ways. */
  readonly resampling?: "down" | "up";
  /** Divides the sum of both ways (diffusers' `output_scale_factor`; 1 when left out). */
  readonly outputScale?: number;
}

/** Weights of an attention block over all places. */
export interface AttentionBlock {
  /** None in the middle of diffusers' networks whose time steps scale and shift. */
  readonly norm?: Norm;
  /** `[3·C, C]`: queries, keys and values of all heads. */
  readonly qkv: Layer;
  /** `[C, C]` */
  readonly out: Layer;
  readonly nHeads: number;
  /** Divides the sum with what comes in (diffusers' `rescale_output_factor`; 1 when left out). */
  readonly outputScale?: number;
}

/**
 * How the blocks of a network are run: their activations kept for a backward pass, or computed again in it, to the same bits.
 *
 * @param work a block, of nothing but its arguments on a tape
 */
export type RunBlock = (work: (...xs: Tensor[]) => Tensor, ...xs: Tensor[]) => Tensor;

/** {@link RunBlock} by the option `checkpoint`. */
export function blockRunner(isCheckpointed: boolean): RunBlock {
  return isCheckpointed ? checkpoint : (work, ...xs) => work(...xs);
}

/** A group norm of images, with an activation. */
export function normed(
  x: Tensor,
  { weight, bias, groups, eps }: Norm,
  activation: "silu" | "none",
): Tensor {
  return groupNorm(x, { weight, bias, groups, eps, activation });
}

/** A convolution that keeps the sides. */
export function convolve(x: Tensor, { weight, bias, prepared }: Layer): Tensor {
  return conv2d(x, weight, { bias, prepared, padding: Math.floor(weight.shape[2] / 2) });
}

/** Both sides doubled, every pixel twice along each. */
export function doubled(x: Tensor): Tensor {
  return resize(x, [2 * x.shape[2], 2 * x.shape[3]], { mode: "nearest" });
}

/** Both sides halved, means of 2×2 pixels. */
export function halved(x: Tensor): Tensor {
  return avgPool2d(x, 2);
}

const resampled = (x: Tensor, by: ResBlock["resampling"]): Tensor =>
  by === undefined ? x : by === "up" ? doubled(x) : halved(x);

/**
 * A residual block.
 *
 * @param x `[n, cin, h, w]`
 * @param active SiLU of the time embedding, `[n, width]`, where there is one
 * @returns `[n, cout, h, w]`, resampled where the block does
 */
export function runResBlock(x: Tensor, active: Tensor | undefined, block: ResBlock): Tensor {
  const { norm1, conv1, embedding, norm2, conv2, shortcut, hasScaleShift, resampling } = block;
  const { outputScale = 1 } = block;
  return tidy(x.gpu, () => {
    const inner = convolve(resampled(normed(x, norm1, "silu"), resampling), conv1);
    const both = (fed: Tensor) => {
      const straight = resampled(x, resampling);
      const sum = add(shortcut ? convolve(straight, shortcut) : straight, convolve(fed, conv2));
      return outputScale === 1 ? sum : scale(sum, 1 / outputScale);
    };
    if (!embedding || !active) return both(normed(inner, norm2, "silu"));
    const told = linear(active, embedding.weight, { bias: embedding.bias });
    const [n, channels] = inner.shape;
    const part = (at: number) =>
      slice(told, { axis: 1, start: at * channels, end: (at + 1) * channels })
        .reshape([n, channels, 1, 1]);
    const fed = hasScaleShift
      ? silu(add(mul(normed(inner, norm2, "none"), addScalar(part(0), 1)), part(1)))
      : normed(add(inner, part(0)), norm2, "silu");
    return both(fed);
  });
}

/** Attention of every place to every other: `[n, C, h, w]` → the same. */
export function runAttention(
  x: Tensor,
  { norm, qkv, out, nHeads, outputScale = 1 }: AttentionBlock,
): Tensor {
  const [n, channels, h, w] = x.shape;
  return tidy(x.gpu, () => {
    const tokens = transpose((norm ? normed(x, norm, "none") : x).reshape([n, channels, h * w]));
    const packed = linear(tokens, qkv.weight, { bias: qkv.bias });
    const attended = selfAttention(packed, { nHeads });
    const back = linear(attended, out.weight, { bias: out.bias });
    const both = add(x, transpose(back).reshape([n, channels, h, w]));
    return outputScale === 1 ? both : scale(both, 1 / outputScale);
  });
}

/**
 * Sinusoids of time steps, in float64 and rounded once: `[n, width]`, `[cos | sin]` or `[sin | cos]` of the step times
 * exp(−ln(10⁴)·i / (width/2 − shift)).
 */
export function timestepValues(
  timesteps: ArrayLike<number>,
  width: number,
  { order, shift = 0 }: { readonly order: "cos-sin" | "sin-cos"; readonly shift?: number },
): Float32Array<ArrayBuffer> {
  const half = Math.floor(width / 2), out = new Float32Array(timesteps.length * width);
  const first = order === "cos-sin" ? Math.cos : Math.sin;
  const second = order === "cos-sin" ? Math.sin : Math.cos;
  for (let s = 0; s < timesteps.length; s++) {
    for (let i = 0; i < half; i++) {
      const angle = timesteps[s] * Math.exp(-Math.log(1e4) * i / (half - shift));
      out[s * width + i] = first(angle);
      out[s * width + half + i] = second(angle);
    }
  }
  return out;
}
