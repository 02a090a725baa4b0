import { add, div, mul, sub } from "../../engine/ops/elementwise.ts";
import { FftTables, irfft2, rfft2 } from "../../engine/ops/fft.ts";
import { norm } from "../../engine/ops/reduce.ts";
import { stack } from "../../engine/ops/shape.ts";
import { foldIn, type Key } from "../../engine/random.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { permutation } from "../encoding/cross_validation.ts";
import { InputError } from "../errors.ts";
import type { ImageRange } from "./image_param.ts";
import type { LayerSizes } from "./readout_weights.ts";

/**
 * Images with the amplitudes of others and random phases: the phases of white noise are added, the same ones to all channels, which keeps
 * how colours go together.
 *
 * @param x `[n, channels, height, width]`
 * @param images numbers of the images: the noise of image `s` depends on the key and on `s` alone
 * @returns the same shape; values may leave the range of `x`
 */
export function phaseScrambled(
  x: Tensor,
  key: Key,
  { first = 0 }: Pick<ImageRange, "first"> = {},
): Tensor {
  const [n, , height, width] = x.shape;
  using tables = new FftTables(x.gpu, height, width);
  return tidy(x.gpu, () => {
    const noise = stack(
      Array.from(
        { length: n },
        (_, i) => Tensor.randn(x.gpu, foldIn(key, first + i), [1, height, width]),
      ),
    );
    const spectrum = rfft2(x, { tables }), other = rfft2(noise, { tables });
    const length = norm(stack([other.re, other.im]), { axes: [0] });
    const cos = div(other.re, length), sin = div(other.im, length);
    const parts = {
      re: sub(mul(spectrum.re, cos), mul(spectrum.im, sin)),
      im: add(mul(spectrum.re, sin), mul(spectrum.im, cos)),
    };
    return irfft2(parts, width, { tables });
  });
}

/**
 * A readout with its weights in another order, layer by layer: what an optimisation makes of weights that mean nothing.
 *
 * @param weights `[nFeatures]`
 * @param layers sizes in the order of the features; one layer of all when absent
 * @throws {InputError} when the sizes do not add up
 */
export function shuffledReadout(
  weights: ArrayLike<number>,
  key: Key,
  layers: LayerSizes = [{ layer: "all", size: weights.length }],
): Float64Array<ArrayBuffer> {
  const total = layers.reduce((sum, { size }) => sum + size, 0);
  if (total !== weights.length) {
    throw new InputError(
      `Cannot shuffle ${weights.length} weights: the layers have ${total} together`,
    );
  }
  const out = new Float64Array(total);
  let start = 0;
  layers.forEach(({ size }, i) => {
    permutation(foldIn(key, i), size).forEach((from: number, p: number) => {
      out[start + p] = weights[start + from];
    });
    start += size;
  });
  return out;
}
