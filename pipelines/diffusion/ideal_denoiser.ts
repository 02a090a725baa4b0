/**
 * The best denoiser there is for a given set of clean images, without training.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { add, scale } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { softmax } from "../../engine/ops/norm.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import type { DenoisingModel } from "./denoise.ts";
import type { NoiseSchedule } from "./schedule.ts";

/** A denoiser that owns its images on the device. */
export interface IdealDenoiser extends DenoisingModel, Disposable {}

/**
 * The denoiser of least squared error for images drawn evenly from a set, in closed form: the clean image is the mean of the set under the
 * posterior `softmax(−‖x − √ᾱ·x₀‖² / 2(1−ᾱ))`. What a network that is trained on the set approaches, and beyond it memorises: samples end as
 * images of the set. It stands in for a trained network in tests and studies, and is differentiable.
 *
 * @param images the set, `[n, channels, height, width]`
 * @throws {InputError} when there is no image
 */
export function idealDenoiser(
  gpu: Gpu,
  { data, shape }: { readonly data: Float32Array<ArrayBuffer>; readonly shape: readonly number[] },
  { alphasCumprod }: NoiseSchedule,
): IdealDenoiser {
  const [n, ...rest] = shape, size = rest.reduce((a, b) => a * b, 1);
  if (!(n >= 1) || data.length !== n * size) {
    throw new InputError(`Cannot denoise by ${data.length} values as images [${shape}]`);
  }
  const squares = Float32Array.from({ length: n }, (_, i) => {
    let sum = 0;
    for (let p = i * size; p < (i + 1) * size; p++) sum += data[p] * data[p];
    return sum;
  });
  const set = Tensor.from(gpu, data, [n, size]), lengths = Tensor.from(gpu, squares, [1, n]);
  return {
    gpu,
    forward: (x, { timesteps }) => {
      const a = alphasCumprod[timesteps[0]];
      if (!Array.from(timesteps).every((t) => alphasCumprod[t] === a) || a === undefined) {
        throw new InputError(
          `Cannot denoise at steps ${timesteps}: all must be one of the schedule`,
        );
      }
      const noise = 1 - a;
      const output = tidy(gpu, () => {
        const rows = x.reshape([x.shape[0], size]);
        const products = scale(matmul(rows, set, { transposeB: true }), Math.sqrt(a) / noise);
        const weights = softmax(add(products, scale(lengths, -a / (2 * noise))));
        const start = matmul(weights, set);
        const told = add(scale(rows, 1 / Math.sqrt(noise)), scale(start, -Math.sqrt(a / noise)));
        return told.reshape(x.shape);
      });
      return { output };
    },
    [Symbol.dispose](): void {
      set.dispose();
      lengths.dispose();
    },
  };
}
