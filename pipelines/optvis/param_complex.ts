import { add, scale } from "../../engine/ops/elementwise.ts";
import { FftTables, stackedIfft2 } from "../../engine/ops/fft.ts";
import { norm } from "../../engine/ops/reduce.ts";
import { stack } from "../../engine/ops/shape.ts";
import { foldIn } from "../../engine/random.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import type { Gpu } from "../../engine/gpu.ts";
import type { ImageSize } from "../images/preprocess.ts";
import { correlateColors, finishColors, type ImageColorOptions } from "./colors.ts";
import { drawImages, type ImageParam, requireSize } from "./image_param.ts";

/** Options of {@link complexParam}; the defaults are those of the VWAM demo, but that colours mix channels (the demo's `"vwam-legacy"` does not). */
export interface ComplexParamOptions extends ImageColorOptions {
  /** Gray that an image starts from (the demo: 140 of 255). */
  readonly gray?: number;
  /** Spread of the starting coefficients, of which an image's noise is the `√(h·w)`-th part (the demo: 1). */
  readonly sd?: number;
}

/**
 * VWAM's parameterisation: all complex coefficients of every channel, not only those a real image can have,
 * `colours · |ifft2(F)|`. Parameters are the real and the imaginary part, `[n, 3, height, width]` each. The modulus has no gradient at 0.
 *
 * @throws {InputError} for a size below 2
 */
export function complexParam(
  gpu: Gpu,
  size: ImageSize,
  { gray = 140 / 255, sd = 1, colors = "channels", squash = "none" }: ComplexParamOptions = {},
): ImageParam {
  requireSize(size);
  const { height, width } = size;
  const shape = [3, height, width];
  const tables = new FftTables(gpu, height, width);
  const constant = (part: number) => {
    const values = new Float32Array(3 * height * width);
    if (part === 0) {
      for (let c = 0; c < 3; c++) {
        values[c * height * width] = gray * height * width;
      }
    }
    return Tensor.from(gpu, values, shape);
  };
  return {
    gpu,
    size,
    init: (key, images) =>
      [0, 1].map((part) =>
        drawImages(gpu, key, images, (k) =>
          tidy(gpu, () => {
            // Unit variance is shared by the two parts (torch.randn of complex numbers).
            const noise = scale(Tensor.randn(gpu, foldIn(k, part), shape), sd * Math.SQRT1_2);
            return add(noise, constant(part));
          }))
      ),
    image: ([re, im]) =>
      tidy(gpu, () => {
        const modulus = norm(stackedIfft2(stack([re, im]), { tables }), { axes: [0] });
        // No mean is added: the modulus is a brightness from 0.
        return squash === "none"
          ? correlateColors(modulus, colors)
          : finishColors(modulus, { colors, squash });
      }),
    [Symbol.dispose]: () => tables[Symbol.dispose](),
  };
}
