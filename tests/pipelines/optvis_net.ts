/**
 * A small convolutional network with known weights, on the device and in float64.
 *
 * @module
 */
import { conv2d } from "../../engine/ops/conv.ts";
import { relu, softplus } from "../../engine/ops/elementwise.ts";
import { mean } from "../../engine/ops/reduce.ts";
import { foldIn, normal, randomKey } from "../../engine/random.ts";
import { Tensor } from "../../engine/tensor.ts";
import type { Gpu } from "../../engine/gpu.ts";
import type { ImageModel } from "../../pipelines/optvis/maximize.ts";

export const CHANNELS = 5;
const weights = normal(foldIn(randomKey(77), 0), CHANNELS * 3 * 9).map((w) => w / 3);

/** 3×3 convolution with padding, an activation (`conv`), and the means over places (`pooled`). */
export class TinyNet implements ImageModel, Disposable {
  readonly #weight: Tensor;
  readonly #bias: Tensor;

  constructor(gpu: Gpu, readonly activation: "relu" | "softplus" = "relu", bias = 0) {
    this.#weight = Tensor.from(gpu, weights, [CHANNELS, 3, 3, 3]);
    this.#bias = Tensor.from(gpu, new Float32Array(CHANNELS).fill(bias));
  }

  taps(
    x: Tensor,
    _layers: readonly string[],
    { reluGradient }: { reluGradient: "standard" | "redirected" },
  ): ReadonlyMap<string, Tensor> {
    const conv = conv2d(x, this.#weight, { bias: this.#bias, padding: 1 });
    const y = this.activation === "relu" ? relu(conv, { grad: reluGradient }) : softplus(conv);
    return new Map([["conv", y], ["pooled", mean(y, { axes: [2, 3] })]]);
  }

  [Symbol.dispose](): void {
    this.#weight.dispose();
    this.#bias.dispose();
  }
}

/** `conv` with softplus for one image `[3, height, width]`, in float64. */
export function convReference(x: Float64Array, height: number, width: number): Float64Array {
  const y = new Float64Array(CHANNELS * height * width);
  y.forEach((_, at) => {
    const o = Math.floor(at / (height * width)), i = Math.floor(at / width) % height;
    const j = at % width;
    let sum = 0;
    for (let k = 0; k < 27; k++) {
      const p = i + Math.floor(k / 3) % 3 - 1, q = j + k % 3 - 1;
      if (p < 0 || q < 0 || p >= height || q >= width) continue;
      sum += weights[o * 27 + k] * x[(Math.floor(k / 9) * height + p) * width + q];
    }
    y[at] = Math.log1p(Math.exp(sum));
  });
  return y;
}
