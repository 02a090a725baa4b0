import { add, scale } from "../../engine/ops/elementwise.ts";
import { FftTables, rfft2 } from "../../engine/ops/fft.ts";
import { norm } from "../../engine/ops/reduce.ts";
import { stack } from "../../engine/ops/shape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { InputError } from "../errors.ts";
import { centerCrop, type ImageSize, resizeToCover } from "../images/preprocess.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { decorrelateColors } from "./colors.ts";
import { radialFrequencies } from "./frequencies.ts";
import { requireSize } from "./image_param.ts";

/** How strong each frequency of natural images is, in decorrelated colours. */
export interface MagnitudeTemplate {
  /** Size of the images. */
  readonly size: ImageSize;
  /** `[3, height, ⌊width/2⌋ + 1]`, of the transform with `norm: "ortho"`. */
  readonly values: Float32Array<ArrayBuffer>;
}

/** `[1, 3, height, width]` in 0…1. */
export function pixelsOf(gpu: Gpu, { height, width, data }: RgbImage): Tensor {
  const plane = height * width;
  const values = new Float32Array(3 * plane);
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) values[c * plane + i] = data[3 * i + c] / 255;
  }
  return Tensor.from(gpu, values, [1, 3, height, width]);
}

/** An image cut and resized to cover a size, antialiased. */
export function fitImage(image: RgbImage, size: ImageSize): RgbImage {
  if (image.height === size.height && image.width === size.width) return image;
  const filter = "bicubic";
  const covered = resizeToCover(image, { ...size, filter });
  return covered.height === size.height && covered.width === size.width
    ? covered
    : centerCrop(covered, size);
}

/**
 * Mean magnitude of the transforms of images, each resized to cover the size: what {@link macoParam} holds fixed. Taken from the
 * stimuli of an experiment it makes images of that experiment's statistics.
 *
 * @throws {InputError} when there is no image, or for a size below 2
 */
export async function magnitudeTemplate(
  gpu: Gpu,
  images: Iterable<RgbImage>,
  size: ImageSize,
): Promise<MagnitudeTemplate> {
  requireSize(size);
  using tables = new FftTables(gpu, size.height, size.width);
  let total: Tensor | undefined, count = 0;
  for (const image of images) {
    const fitted = fitImage(image, size);
    const before: Tensor | undefined = total;
    total = tidy(gpu, () => {
      const { re, im } = rfft2(decorrelateColors(pixelsOf(gpu, fitted)), { norm: "ortho", tables });
      const magnitude = norm(stack([re, im]), { axes: [0] });
      return before ? add(before, magnitude) : magnitude;
    });
    before?.dispose();
    count++;
  }
  if (!total) throw new InputError("Cannot average magnitudes: there must be at least one image");
  using sum: Tensor = total;
  using mean = scale(sum, 1 / count);
  return { size, values: await mean.data() as Float32Array<ArrayBuffer> };
}

// Mean |rfft2| of ImageNet at 512², by distance from zero in bins of 1/512 cycles per pixel, for the three decorrelated colours:
// radial means of the spectrum that MACO's authors publish (Horama and Xplique load it as `imagenet_decorrelated.npy`).
const NATURAL_BINS = [0, 1, 2, 4, 8, 16, 32, 64, 128, 192, 256];
const NATURAL_MAGNITUDES = [
  [2.55e5, 8.0e4, 3.7e4, 1.7e4, 7.5e3, 3.0e3, 1.13e3, 393, 104, 28, 2.7],
  [2.70e5, 8.7e4, 4.1e4, 1.7e4, 7.4e3, 2.9e3, 1.11e3, 363, 83, 18, 1.4],
  [2.28e5, 6.6e4, 3.1e4, 1.4e4, 6.0e3, 2.5e3, 9.6e2, 345, 88, 21, 1.7],
];

/** The magnitude at a distance from zero, between the tabulated ones on a double logarithmic scale (below the first bin, linearly). */
function naturalAt(channel: number, bin: number): number {
  const m = NATURAL_MAGNITUDES[channel];
  const last = NATURAL_BINS.length - 1;
  if (bin >= NATURAL_BINS[last]) return m[last];
  const i = NATURAL_BINS.findIndex((b) => b > bin) - 1;
  if (i === 0) return m[0] + bin * (m[1] - m[0]);
  const share = Math.log(bin / NATURAL_BINS[i]) / Math.log(NATURAL_BINS[i + 1] / NATURAL_BINS[i]);
  return m[i] * (m[i + 1] / m[i]) ** share;
}

/**
 * A template for a user without stimuli: the radial mean of ImageNet's, from eleven published distances. It has no orientation; a
 * template of one's own stimuli is better.
 *
 * @throws {InputError} for a size below 2
 */
export function naturalMagnitudes(size: ImageSize): MagnitudeTemplate {
  requireSize(size);
  const radii = radialFrequencies(size);
  const values = new Float32Array(3 * radii.length);
  for (let c = 0; c < 3; c++) {
    radii.forEach((f, i) => values[c * radii.length + i] = naturalAt(c, 512 * f) / 512);
  }
  return { size, values };
}
