import { encode } from "jpeg-js";
import { Buffer } from "node:buffer";
import { InputError } from "../errors.ts";
import type { RgbImage } from "../images/rgb_image.ts";

/**
 * A baseline JPEG file of a colour image, for pages that hold many; colours are not subsampled.
 *
 * @param options quality from 1 to 100
 * @throws {InputError} for another quality
 */
export function writeJpeg(
  { width, height, data }: RgbImage,
  { quality = 85 }: { readonly quality?: number } = {},
): Uint8Array<ArrayBuffer> {
  if (!(Number.isInteger(quality) && quality >= 1 && quality <= 100)) {
    throw new InputError(`Cannot write a JPEG of quality ${quality}: it must be from 1 to 100`);
  }
  const rgba = new Uint8Array(4 * width * height);
  for (let p = 0; p < width * height; p++) rgba.set(data.subarray(3 * p, 3 * p + 3), 4 * p);
  return new Uint8Array(encode({ width, height, data: Buffer.from(rgba.buffer) }, quality).data);
}
