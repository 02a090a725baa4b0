import { mul, scale } from "../../engine/ops/elementwise.ts";
import { FftTables, irfft2 } from "../../engine/ops/fft.ts";
import { foldIn } from "../../engine/random.ts";
import { readAll, Tensor, tidy } from "../../engine/tensor.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { InputError } from "../errors.ts";
import type { ImageSize } from "../images/preprocess.ts";
import { finishColors, type ImageColorOptions } from "./colors.ts";
import { spectrumScale } from "./frequencies.ts";
import { drawImages, type ImageParam, requireSize } from "./image_param.ts";

/** Options of {@link fourierParam}; the defaults are lucid's (`optvis/param/spatial.py`, `fft_image`). */
export interface FourierParamOptions extends ImageColorOptions {
  /** Spread of the starting values. */
  readonly sd?: number;
  /** Power by which amplitudes fall with frequency. */
  readonly decayPower?: number;
}

/** lucid divides the image by 4, so that the colours of a fresh image stay in the sigmoid's middle (`fft_image`). */
export const FOURIER_GAIN = 1 / 4;

/** A constant table that outlives the scope it is made in. @internal */
export function keptTable(
  gpu: Gpu,
  values: ArrayLike<number>,
  shape: readonly number[],
): Tensor {
  const table = Tensor.from(gpu, Float32Array.from(values), shape);
  gpu.scopes.at(-1)?.delete(table);
  return table;
}

/**
 * Real and imaginary parts of a real image's transform, `[n, 3, height, ⌊width/2⌋ + 1]` each, scaled by the spectrum of natural images
 * before they are transformed back: `squash(colours · irfft2(s(f)·z, ortho) / 4)`, lucid's `fft_image` and lucent's to f32 rounding (for an odd
 * width lucent keeps one more column, which it never reads).
 *
 * @throws {InputError} for a size below 2
 */
export function fourierParam(
  gpu: Gpu,
  size: ImageSize,
  { sd = 0.01, decayPower = 1, ...colors }: FourierParamOptions = {},
): ImageParam {
  requireSize(size);
  const columns = Math.floor(size.width / 2) + 1;
  const shape = [3, size.height, columns];
  const tables = new FftTables(gpu, size.height, size.width);
  const gain = spectrumScale(size, decayPower).map((s) => s * FOURIER_GAIN);
  const spectrum = keptTable(gpu, gain, [size.height, columns]);
  return {
    gpu,
    size,
    init: (key, images) =>
      [0, 1].map((part) =>
        drawImages(
          gpu,
          key,
          images,
          (k) => tidy(gpu, () => scale(Tensor.randn(gpu, foldIn(k, part), shape), sd)),
        )
      ),
    image: ([re, im]) =>
      tidy(gpu, () => {
        const parts = { re: mul(re, spectrum), im: mul(im, spectrum) };
        return finishColors(irfft2(parts, size.width, { norm: "ortho", tables }), colors);
      }),
    grow: (theta, from) => growFourier(theta, from, size, { decayPower }),
    [Symbol.dispose]() {
      tables[Symbol.dispose]();
      spectrum.dispose();
    },
  };
}

/** One plane of a spectrum at another size: the bins that both have, at their frequencies. */
function grownPlane(
  z: ArrayLike<number>,
  from: ImageSize,
  to: ImageSize,
  gain: Float64Array,
): Float32Array {
  const [half, wide] = [from.width, to.width].map((w) => Math.floor(w / 2) + 1);
  const out = new Float32Array(to.height * wide);
  for (let i = 0; i < from.height; i++) {
    // The row of half a cycle per pixel is a positive and a negative frequency at once: each gets half of it.
    const isNyquist = 2 * i === from.height && to.height > from.height;
    const rows = isNyquist
      ? [i, to.height - i]
      : [2 * i < from.height ? i : i + to.height - from.height];
    for (let k = 0; k < half; k++) {
      const twice = 2 * k === from.width && to.width > from.width ? 2 : 1; // now it stands for its mirror image too
      const value = z[i * half + k] * gain[i * half + k] / (rows.length * twice);
      for (const row of rows) out[row * wide + k] += value;
    }
  }
  return out;
}

/**
 * The parameters of {@link fourierParam} for larger images that look the same: their spectra with zeros at the frequencies that the
 * smaller images cannot have. With the default decay the values stay what they are.
 *
 * @param theta `[n, 3, height, ⌊width/2⌋ + 1]` each
 * @returns the same at the size `to`, the caller's to dispose
 * @throws {InputError} when a side shrinks
 */
export async function growFourier(
  theta: readonly Tensor[],
  from: ImageSize,
  to: ImageSize,
  { decayPower = 1 }: Pick<FourierParamOptions, "decayPower"> = {},
): Promise<Tensor[]> {
  if (to.height < from.height || to.width < from.width) {
    throw new InputError(
      `Cannot grow spectra from ${from.height}x${from.width} to ${to.height}x${to.width}: no side may shrink`,
    );
  }
  const small = spectrumScale(from, decayPower), large = spectrumScale(to, decayPower);
  const [half, wide] = [from.width, to.width].map((w) => Math.floor(w / 2) + 1);
  const gain = small.map((s, at) => {
    const i = Math.floor(at / half), k = at % half;
    const row = 2 * i < from.height ? i : i + to.height - from.height;
    const root = Math.sqrt(to.height * to.width / (from.height * from.width)); // of the ortho norm
    return root * s / large[row * wide + k];
  });
  const values = await readAll(theta);
  return theta.map(({ gpu, shape: [n, channels] }, p) => {
    const all = new Float32Array(n * channels * to.height * wide);
    const plane = from.height * half;
    for (let c = 0; c < n * channels; c++) {
      const z = values[p].subarray(c * plane, (c + 1) * plane);
      all.set(grownPlane(z, from, to, gain), c * to.height * wide);
    }
    return Tensor.from(gpu, all, [n, channels, to.height, wide]);
  });
}
