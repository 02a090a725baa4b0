import { addScalar, div, log, mul, neg } from "../../engine/ops/elementwise.ts";
import { FftTables, irfft2, rfft2 } from "../../engine/ops/fft.ts";
import { repeat } from "../../engine/ops/shape.ts";
import { record } from "../../engine/tape.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import type { Gpu } from "../../engine/gpu.ts";
import type { ImageSize } from "../images/preprocess.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { decorrelateColors, finishColors } from "./colors.ts";
import { spectrumScale } from "./frequencies.ts";
import { type ImageParam, requireSize } from "./image_param.ts";
import { fitImage, pixelsOf } from "./magnitude_template.ts";
import { keptTable } from "./param_fourier.ts";

/** Options of {@link seedParam}; the defaults are Horama's (`horama/feature_accentuation.py`). */
export interface SeedParamOptions {
  /** Power by which gradients fall with frequency. */
  readonly decayPower?: number;
  /** Keeps black and white finite where the sigmoid is inverted. */
  readonly eps?: number;
}

/** Images that start from a picture. */
export interface SeedParam extends ImageParam {
  /** The picture as the parameters give it before the first step, `[1, 3, height, width]`; lives as long as this object. */
  readonly seed: Tensor;
}

/** `x`, with a gradient that is multiplied by a table. */
function withScaledGradient(x: Tensor, table: Tensor): Tensor {
  return record(x.alias(), [x], [table], (g, [t]) => [() => mul(g, t)]);
}

/**
 * Feature accentuation (Hamblin et al., 2024): the parameters are the transform of a picture behind an inverted sigmoid and in
 * decorrelated colours, `[n, 3, height, ⌊width/2⌋ + 1]` each part, so that the first image is the picture. Gradients, not values, are
 * multiplied by `1 / f^decayPower`; an optimiser that divides by each gradient's own size, as Adam does, does not see the factor. Horama
 * stretches the picture to the whole range of colours first; here 0…1 is kept.
 *
 * @param picture resized to cover the size
 * @throws {InputError} for a size below 2
 */
export function seedParam(
  gpu: Gpu,
  picture: RgbImage,
  size: ImageSize,
  { decayPower = 1.5, eps = 1e-3 }: SeedParamOptions = {},
): SeedParam {
  requireSize(size);
  const fitted = fitImage(picture, size);
  const tables = new FftTables(gpu, size.height, size.width);
  const columns = Math.floor(size.width / 2) + 1;
  const slope = keptTable(gpu, spectrumScale(size, decayPower), [size.height, columns]);
  const start = tidy(gpu, () => {
    const x = pixelsOf(gpu, fitted);
    const logit = log(div(addScalar(x, eps), addScalar(neg(x), 1 + eps)));
    const { re, im } = rfft2(decorrelateColors(logit), { tables });
    return [re, im];
  });
  const image = ([re, im]: readonly Tensor[]) =>
    tidy(gpu, () => {
      const parts = { re: withScaledGradient(re, slope), im: withScaledGradient(im, slope) };
      return finishColors(irfft2(parts, size.width, { tables }), {});
    });
  const seed = image(start);
  const owned = [...start, seed, slope];
  for (const tensor of owned) gpu.scopes.at(-1)?.delete(tensor);
  return {
    gpu,
    size,
    seed,
    image,
    init: (_key, { count }) => start.map((part) => repeat(part, { axis: 0, times: count })),
    [Symbol.dispose]() {
      tables[Symbol.dispose]();
      for (const tensor of owned) tensor.dispose();
    },
  };
}
