/**
 * Convolutions and their gradients by the input, held against float64 at some places of the result.
 *
 * @module
 */
import type { SizedConv } from "../pipelines/models/inception_flops.ts";

/** A convolution of a layer, or its gradient by the input. */
export interface LayerWork {
  /** The layer. */
  readonly layer: SizedConv;
  /** Which way. */
  readonly pass: "forward" | "data gradient";
}

/** Values of a {@link LayerWork}, of one image or more. */
export interface LayerValues {
  /** `[batch, …]`: the input, or the gradient of the output. */
  readonly x: ArrayLike<number>;
  /** `[cout, cin, kh, kw]` */
  readonly weight: ArrayLike<number>;
  /** `[cout]` */
  readonly bias: ArrayLike<number>;
}

/** Places of the result that are looked at. */
const PLACES = 96;

/** What value `at` of the first image of the result is, in float64: with bias and ReLU forward, without either back. */
function exactValue({ layer, pass }: LayerWork, values: LayerValues, at: number): number {
  const { conv: { kernel: [kh, kw], stride, padding: [padY, padX] }, input, output } = layer;
  const [cin, h, w] = input, [cout, oh, ow] = output;
  const isForward = pass === "forward";
  const [, rows, columns] = isForward ? output : input;
  const channel = Math.floor(at / (rows * columns));
  const y = Math.floor(at / columns) % rows, x = at % columns;
  let sum = 0;
  for (let dy = 0; dy < kh; dy++) {
    for (let dx = 0; dx < kw; dx++) {
      const [iy, ix] = isForward
        ? [y * stride - padY + dy, x * stride - padX + dx]
        : [(y + padY - dy) / stride, (x + padX - dx) / stride];
      const [mostY, mostX] = isForward ? [h, w] : [oh, ow];
      const isPlace = Number.isInteger(iy) && Number.isInteger(ix);
      if (!isPlace || iy < 0 || ix < 0 || iy >= mostY || ix >= mostX) continue;
      for (let c = 0; c < (isForward ? cin : cout); c++) {
        const [o, i] = isForward ? [channel, c] : [c, channel];
        const weight = values.weight[((o * cin + i) * kh + dy) * kw + dx];
        sum += weight * values.x[(c * mostY + iy) * mostX + ix];
      }
    }
  }
  return isForward ? Math.max(0, sum + values.bias[channel]) : sum;
}

/** The most that a result may be off, in parts of its root mean square: sums of K terms in f32, with room for products at points. */
export function layerTolerance({ layer: { conv, input, output }, pass }: LayerWork): number {
  const terms = conv.kernel[0] * conv.kernel[1] * (pass === "forward" ? input[0] : output[0]);
  return 16 * 2 ** -24 * Math.sqrt(terms);
}

/**
 * The greatest error of a result at some places, in parts of the root mean square of the exact values there, and of each.
 *
 * @param got `[batch, …]`, of which the first image is looked at
 * @throws {Error} when it is over {@link layerTolerance}
 */
export function checkLayer(
  work: LayerWork,
  values: LayerValues,
  got: ArrayLike<number>,
  by: string,
): number {
  const { layer, pass } = work;
  const size = (pass === "forward" ? layer.output : layer.input).reduce((a, b) => a * b);
  const count = Math.min(PLACES, size);
  const places = Array.from({ length: count }, (_, i) => Math.floor((i + 0.5) * size / count));
  const exact = places.map((at) => exactValue(work, values, at));
  const rms = Math.sqrt(exact.reduce((sum, v) => sum + v * v, 0) / count);
  const error = places.reduce((worst, at, i) => {
    const off = Math.abs(got[at] - exact[i]) / (Math.abs(exact[i]) + rms);
    return off <= worst || Number.isNaN(worst) ? worst : off;
  }, 0);
  const most = layerTolerance(work);
  if (error <= most) return error;
  throw new Error(
    `Cannot time ${by}: ${layer.name}, ${pass}, is off by ${error}, at most ${most} is rounding`,
  );
}
