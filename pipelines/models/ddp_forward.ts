/**
 * The forward pass of the UNet of denoising-diffusion-pytorch, for inference and training alike.
 *
 * @module
 */
import { add, addScalar, gelu, mul, silu } from "../../engine/ops/elementwise.ts";
import { channelRmsNorm } from "../../engine/ops/channel_rms_norm.ts";
import { conv2d } from "../../engine/ops/conv.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { concat, slice } from "../../engine/ops/shape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { Captures } from "./captures.ts";
import { runFullAttention, runLinearAttention } from "./ddp_attention.ts";
import type { DdpAttention, DdpRes, DdpWeights } from "./ddp_weights.ts";
import {
  blockRunner,
  convolve,
  doubled,
  type Layer,
  type RunBlock,
  timestepValues,
} from "./unet_layers.ts";

/** What the network is told, and what is to be kept of it. */
export interface DdpRun {
  /** Time step of each image, `[n]`. */
  readonly timesteps: ArrayLike<number>;
  /** Collects activations. */
  readonly captures?: Captures;
  /** Whether activations inside blocks are computed again in a backward pass by the images; weights then get no gradient. */
  readonly checkpoint?: boolean;
}

/**
 * Runs the network, differentiably by whatever is on a tape: images or weights.
 *
 * @param x `[n, channels, height, width]`
 * @returns `[n, outChannels, height, width]`
 */
export function runDdp(
  weights: DdpWeights,
  x: Tensor,
  { timesteps, captures = new Captures([]), checkpoint = false }: DdpRun,
): Tensor {
  return captures.scope(x.gpu, () => {
    const active = embedTime(weights.time, x, timesteps);
    return runLevels(weights, x, { active, captures, run: blockRunner(checkpoint) });
  });
}

/** SiLU of the time embedding, `[n, width]`, which every block begins with. */
function embedTime(
  [first, second]: DdpWeights["time"],
  { gpu }: Tensor,
  timesteps: ArrayLike<number>,
): Tensor {
  const width = first.weight.shape[1];
  const values = timestepValues(timesteps, width, { order: "sin-cos", shift: 1 });
  const sinusoid = Tensor.from(gpu, values, [timesteps.length, width]);
  const inner = gelu(linear(sinusoid, first.weight, { bias: first.bias }));
  return silu(linear(inner, second.weight, { bias: second.bias }));
}

function runLevels(
  { initConv, downs, middle, ups, finalRes, finalConv }: DdpWeights,
  x: Tensor,
  { active, captures, run }: {
    readonly active: Tensor;
    readonly captures: Captures;
    readonly run: RunBlock;
  },
): Tensor {
  const step = (work: (active: Tensor, ...from: Tensor[]) => Tensor, ...from: Tensor[]) =>
    captures.scope(x.gpu, () => run((active, ...from) => work(active, ...from), active, ...from));
  const first = convolve(x, initConv);
  captures.take("init_conv", first);
  const skips: Tensor[] = [];
  let h = first;
  downs.forEach(({ blocks: [one, two], attention, resample }, i) => {
    skips.push(h = step((active, y) => runRes(y, active, one), h));
    skips.push(h = step((active, y) => attend(runRes(y, active, two), attention), h));
    h = step((_, y) => halve(y, resample), h);
    captures.take(`downs.${i}`, h);
  });
  h = step((active, y) => {
    const attended = attend(runRes(y, active, middle.blocks[0]), middle.attention);
    return runRes(attended, active, middle.blocks[1]);
  }, h);
  captures.take("mid_block", h);
  const joined = (
    from: Tensor,
    skip: Tensor,
    work: (both: Tensor, active: Tensor) => Tensor,
  ) => {
    const y = step((active, from, skip) => work(concat([from, skip], 1), active), from, skip);
    [from, skip].forEach((t) => t.dispose()); // what a tape needs it keeps
    return y;
  };
  ups.forEach(({ blocks: [one, two], attention, resample }, i) => {
    h = joined(h, skips.pop()!, (both, active) => runRes(both, active, one));
    h = joined(h, skips.pop()!, (both, active) => attend(runRes(both, active, two), attention));
    using from = h;
    h = step((_, y) => convolve(i < ups.length - 1 ? doubled(y) : y, resample), from);
    captures.take(`ups.${i}`, h);
  });
  h = joined(h, first, (both, active) => runRes(both, active, finalRes));
  return convolve(h, finalConv);
}

function runRes(x: Tensor, active: Tensor, block: DdpRes): Tensor {
  const { embedding, conv1, gain1, conv2, gain2, shortcut } = block;
  return tidy(x.gpu, () => {
    const told = linear(active, embedding.weight, { bias: embedding.bias });
    const channels = conv1.weight.shape[0];
    const part = (at: number) =>
      slice(told, { axis: 1, start: at * channels, end: (at + 1) * channels });
    // What the time step says scales and shifts as the gain does: (gain · (1 + scale)) · x̂ + shift.
    const weight = mul(addScalar(part(0), 1), gain1.reshape([1, channels]));
    const film = { weight, bias: part(1), activation: "silu" } as const;
    const fed = channelRmsNorm(convolve(x, conv1), film);
    const out = channelRmsNorm(convolve(fed, conv2), { weight: gain2, activation: "silu" });
    return add(out, shortcut ? convolve(x, shortcut) : x);
  });
}

function attend(x: Tensor, attention: DdpAttention): Tensor {
  return tidy(
    x.gpu,
    () =>
      add(
        x,
        attention.kind === "full"
          ? runFullAttention(x, attention)
          : runLinearAttention(x, attention),
      ),
  );
}

/** Half the sides by squares of 2×2 pixels, or, at the last level, the same sides. */
function halve(x: Tensor, { weight, bias }: Layer): Tensor {
  return weight.shape[2] === 2
    ? conv2d(x, weight, { bias, stride: 2 })
    : convolve(x, { weight, bias });
}
