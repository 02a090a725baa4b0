import {
  addScalar,
  cos,
  div,
  mul,
  scale,
  sin,
  sqrt,
  square,
  sub,
} from "../../engine/ops/elementwise.ts";
import { FftTables, irfft2 } from "../../engine/ops/fft.ts";
import { record } from "../../engine/tape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { InputError } from "../errors.ts";
import { finishColors, type ImageColorOptions } from "./colors.ts";
import { meanOfEach } from "./image_sums.ts";
import { drawImages, type ImageParam, requireSize } from "./image_param.ts";
import type { MagnitudeTemplate } from "./magnitude_template.ts";
import { keptTable } from "./param_fourier.ts";

/** Options of {@link macoParam}; the defaults are Horama's (`horama/maco_fv.py`, `horama/common.py`). */
export interface MacoParamOptions extends ImageColorOptions {
  /** Spread of the starting phases. */
  readonly sd?: number;
  /** Added to the standard deviation that phases and images are divided by. */
  readonly eps?: number;
}

/** Every image with mean 0 and standard deviation 1 over all its values, but for `eps` added to the deviation. */
function standardized(x: Tensor, eps: number): Tensor {
  const each = (t: Tensor) => meanOfEach(t).reshape([x.shape[0], 1, 1, 1]);
  return tidy(x.gpu, () => {
    const values = x.detach();
    const centred = sub(values, each(values)), sd = sqrt(each(square(centred)));
    // By hand, so that the sums of the gradient are those of each image too.
    return record(
      div(centred, addScalar(sd, eps)),
      [x],
      [centred, sd],
      (g, [centred, sd]) => [() => {
        const size = addScalar(sd, eps);
        const along = div(each(mul(g, centred)), mul(sd, square(size)));
        return sub(div(sub(g, each(g)), size), mul(centred, along));
      }],
    );
  });
}

/**
 * MACO (Fel et al., NeurIPS 2023): only the phases of the transform are parameters, `[n, 3, height, ⌊width/2⌋ + 1]`; the magnitudes are those of
 * natural images. `squash(colours · standardise(irfft2(template · e^(i·standardise(φ)))))`, each image by itself.
 *
 * @param template its size is the images' size
 * @throws {InputError} for a template that is not of its size, or has a value that is negative or not finite
 */
export function macoParam(
  gpu: Gpu,
  template: MagnitudeTemplate,
  { sd = 1, eps = 1e-4, ...colors }: MacoParamOptions = {},
): ImageParam {
  const { size, values } = template;
  requireSize(size);
  const columns = Math.floor(size.width / 2) + 1;
  const shape = [3, size.height, columns];
  const isMagnitude = values.every((v) => v >= 0 && v < Infinity);
  if (values.length !== 3 * size.height * columns || !isMagnitude) {
    throw new InputError(
      `Cannot use the magnitudes: they must be [${shape}] numbers from 0, got ${values.length} values`,
    );
  }
  const tables = new FftTables(gpu, size.height, size.width);
  const magnitude = keptTable(gpu, values, shape);
  return {
    gpu,
    size,
    init: (key, images) => [
      drawImages(gpu, key, images, (k) => tidy(gpu, () => scale(Tensor.randn(gpu, k, shape), sd))),
    ],
    image: ([phase]) =>
      tidy(gpu, () => {
        const angle = standardized(phase, eps);
        const parts = { re: mul(cos(angle), magnitude), im: mul(sin(angle), magnitude) };
        const x = irfft2(parts, size.width, { norm: "ortho", tables });
        return finishColors(standardized(x, eps), colors);
      }),
    [Symbol.dispose]() {
      tables[Symbol.dispose]();
      magnitude.dispose();
    },
  };
}
