/**
 * Attention of denoising-diffusion-pytorch: over all places, or linear in their number, both with learned tokens in front of keys and values.
 *
 * @module
 */
import { attention } from "../../engine/ops/attention.ts";
import { conv2d } from "../../engine/ops/conv.ts";
import { channelRmsNorm } from "../../engine/ops/channel_rms_norm.ts";
import { scale } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { softmax } from "../../engine/ops/norm.ts";
import { broadcastTo, concat, slice, transpose } from "../../engine/ops/shape.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import type { DdpAttention } from "./ddp_weights.ts";
import { convolve } from "./unet_layers.ts";

/** Queries, keys and values of all places, `[n, hidden, places]` each: a third of the weights for each costs less than taking the whole apart. */
function project(x: Tensor, { gain, qkv }: DdpAttention): readonly [Tensor, Tensor, Tensor] {
  const [n, , h, w] = x.shape,
    hidden = qkv.shape[0] / 3,
    normed = channelRmsNorm(x, { weight: gain });
  const part = (at: number) => {
    const own = slice(qkv, { axis: 0, start: at * hidden, end: (at + 1) * hidden });
    return conv2d(normed, own).reshape([n, hidden, h * w]);
  };
  return [part(0), part(1), part(2)];
}

/** Learned tokens of every image in front of its own. */
function withMemory(own: Tensor, memory: Tensor, axis: number): Tensor {
  const [, ...rest] = memory.shape;
  return concat([broadcastTo(memory, [own.shape[0], ...rest]), own], axis);
}

/** Softmax attention of every place to all of them: `[n, C, h, w]` → the same, without what comes in. */
export function runFullAttention(x: Tensor, block: DdpAttention): Tensor {
  const [n, , h, w] = x.shape, { memory, nHeads, out } = block;
  return tidy(x.gpu, () => {
    const [q, k, v] = project(x, block).map(transpose);
    const keys = withMemory(k, memory[0], 1), values = withMemory(v, memory[1], 1);
    const attended = transpose(attention(q, keys, values, { nHeads }));
    return convolve(attended.reshape([n, attended.shape[1], h, w]), out);
  });
}

/** Attention whose queries are a softmax over features and whose keys one over places, so that keys meet values first. */
export function runLinearAttention(x: Tensor, block: DdpAttention): Tensor {
  const [n, , h, w] = x.shape, { memory, nHeads, out, gainOut } = block;
  return tidy(x.gpu, () => {
    const [q, k, v] = project(x, block).map((t) =>
      t.reshape([n, nHeads, t.shape[1] / nHeads, h * w])
    );
    const headDim = q.shape[2];
    const queries = scale(softmax(transpose(q)), 1 / Math.sqrt(headDim)); // [n, heads, places, headDim]
    const keys = softmax(withMemory(k, memory[0], 3));
    const context = matmul(keys, withMemory(v, memory[1], 3), { transposeB: true });
    const attended = transpose(matmul(queries, context)).reshape([n, nHeads * headDim, h, w]);
    const y = convolve(attended, out);
    return gainOut ? channelRmsNorm(y, { weight: gainOut }) : y;
  });
}
