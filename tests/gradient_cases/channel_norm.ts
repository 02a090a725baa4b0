/**
 * Gradients of group and batch norm, against their definitions.
 *
 * @module
 */
import { batchNorm, batchNormTraining, groupNorm } from "../../engine/ops/channel_norm.ts";
import { channelRmsNorm } from "../../engine/ops/channel_rms_norm.ts";
import { Tensor } from "../../engine/tensor.ts";
import { unaryOps } from "../../shaders/elementwise/unary.ts";
import type { GradientCase } from "../gradcheck.ts";

const [N, CHANNELS, INNER] = [3, 6, 20];
const shapes = [[N, CHANNELS, 4, 5], [CHANNELS], [CHANNELS]] as const;

/** Normalises the values that share a key, then maps and activates them. */
function byKey(
  key: (image: number, channel: number) => number,
  f: (v: number) => number = (v) => v,
): GradientCase["reference"] {
  return (x, weight, bias) => {
    const keyOf = (k: number) =>
      key(Math.floor(k / (CHANNELS * INNER)), Math.floor(k / INNER) % CHANNELS);
    const groups = new Map<number, number[]>();
    x.forEach((v, k) => groups.set(keyOf(k), [...groups.get(keyOf(k)) ?? [], v]));
    const moments = new Map([...groups].map(([k, values]) => {
      const mean = values.reduce((s, v) => s + v) / values.length;
      return [k, [mean, values.reduce((s, v) => s + (v - mean) ** 2, 0) / values.length]];
    }));
    return x.map((v, k) => {
      const [mean, variance] = moments.get(keyOf(k))!;
      const c = Math.floor(k / INNER) % CHANNELS;
      return f((v - mean) / Math.sqrt(variance + 1e-5) * weight[c] + bias[c]);
    });
  };
}

/** Lengths of 1 at every place, weights and biases for each channel or for each image and channel. */
function byPlace(f: (v: number) => number): GradientCase["reference"] {
  return (x, weight, bias) => {
    const place = (k: number) => Math.floor(k / (CHANNELS * INNER)) * INNER + k % INNER;
    const squares = new Float64Array(N * INNER);
    x.forEach((v, k) => squares[place(k)] += v * v);
    return x.map((v, k) => {
      const row = Math.floor(k / INNER);
      const [w, b] = [weight, bias].map((t) =>
        t && t[t.length === CHANNELS ? row % CHANNELS : row]
      );
      return f(v / Math.sqrt(squares[place(k)]) * w + (b ?? 0));
    });
  };
}

const MEAN = [0.5, -1, 0, 2, 0.1, 0.3], VARIANCE = [1, 0.5, 2, 3, 0.1, 1.5];

/** Cases of this family. */
export const channelNormCases: readonly GradientCase[] = [{
  name: "channelRmsNorm with SiLU, weights and biases of every image",
  shapes: [[N, CHANNELS, 4, 5], [N, CHANNELS, 1, 1], [N, CHANNELS]],
  f: (x, weight, bias) => channelRmsNorm(x, { weight, bias, activation: "silu" }),
  reference: byPlace(unaryOps.silu.f),
}, {
  name: "channelRmsNorm with one list of weights and biases",
  shapes,
  f: (x, weight, bias) => channelRmsNorm(x, { weight, bias }),
  reference: byPlace((v) => v),
}, {
  name: "channelRmsNorm with weights alone",
  shapes: [[N, CHANNELS, 4, 5], [1, CHANNELS, 1, 1]],
  f: (x, weight) => channelRmsNorm(x, { weight }),
  reference: byPlace((v) => v),
}, {
  name: "groupNorm with SiLU",
  shapes,
  f: (x, weight, bias) => groupNorm(x, { groups: 2, weight, bias, activation: "silu" }),
  reference: byKey((image, c) => image * 2 + Math.floor(c / 3), unaryOps.silu.f),
}, {
  name: "groupNorm with a group per channel (instance norm)",
  shapes,
  f: (x, weight, bias) => groupNorm(x, { groups: CHANNELS, weight, bias }),
  reference: byKey((image, c) => image * CHANNELS + c),
}, {
  name: "batchNormTraining",
  shapes,
  f: (x, weight, bias) => batchNormTraining(x, { weight, bias }).y,
  reference: byKey((_, c) => c),
}, {
  name: "batchNorm with ReLU",
  shapes,
  f: (x, weight, bias) =>
    batchNorm(x, {
      ...{ mean: Tensor.from(x.gpu, MEAN), variance: Tensor.from(x.gpu, VARIANCE) },
      ...{ weight, bias, eps: 1e-3, activation: "relu" },
    }),
  reference: (x, weight, bias) =>
    x.map((v, k) => {
      const c = Math.floor(k / INNER) % CHANNELS;
      const xHat = (v - MEAN[c]) / Math.sqrt(VARIANCE[c] + 1e-3);
      return Math.max(0, xHat * weight[c] + bias[c]);
    }),
}];
