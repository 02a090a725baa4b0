import { addScalar, scale } from "../../engine/ops/elementwise.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import type { Gpu } from "../../engine/gpu.ts";
import type { ImageSize } from "../images/preprocess.ts";
import { finishColors, type ImageColorOptions } from "./colors.ts";
import { drawImages, type ImageParam, requireSize } from "./image_param.ts";

/** Options of {@link pixelParam}. */
export interface PixelParamOptions extends ImageColorOptions {
  /** Spread of the starting values about 0 (lucid, `optvis/param/spatial.py`: 0.01). */
  readonly sd?: number;
  /** Centre of the starting values: 0, or where no sigmoid follows the gray of this value. */
  readonly center?: number;
}

/**
 * Every value of every pixel is a parameter, `[n, 3, height, width]` (lucid's `naive`).
 *
 * @throws {InputError} for a size below 2
 */
export function pixelParam(
  gpu: Gpu,
  size: ImageSize,
  { sd = 0.01, center = 0, ...colors }: PixelParamOptions = {},
): ImageParam {
  requireSize(size);
  const shape = [3, size.height, size.width];
  return {
    gpu,
    size,
    init: (key, images) => [
      drawImages(
        gpu,
        key,
        images,
        (k) => tidy(gpu, () => addScalar(scale(Tensor.randn(gpu, k, shape), sd), center)),
      ),
    ],
    image: ([x]) => finishColors(x, colors),
    [Symbol.dispose]: () => {}, // it has no tables
  };
}
