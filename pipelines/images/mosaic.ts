import { InputError } from "../errors.ts";
import type { Rgb } from "./preprocess.ts";
import { checkRgbImage, type RgbImage } from "./rgb_image.ts";

/** Arrangement of {@link mosaic}. */
export interface MosaicOptions {
  /** Images in a row; the squarest arrangement when left out. */
  columns?: number;
  /** Pixels between images and around them. */
  gap?: number;
  /** Colour of the gaps and of empty cells, 0..255. */
  background?: Rgb;
}

/**
 * Puts images into a grid, row by row; every cell is as large as the largest image, and smaller ones stand in the
 * middle of theirs.
 *
 * @throws {InputError} when there is no image, or `columns` or `gap` is not a whole number
 */
export function mosaic(
  images: readonly RgbImage[],
  { columns = Math.ceil(Math.sqrt(images.length)), gap = 2, background = [255, 255, 255] }:
    MosaicOptions = {},
): RgbImage {
  if (images.length === 0) throw new InputError("Cannot make a mosaic of no images");
  if (!Number.isInteger(columns) || columns < 1 || !Number.isInteger(gap) || gap < 0) {
    throw new InputError(
      `Cannot make a mosaic: columns must be a whole number from 1 and gap from 0, got ${columns} and ${gap}`,
    );
  }
  let cellHeight = 0;
  let cellWidth = 0;
  for (const image of images) {
    checkRgbImage(image);
    cellHeight = Math.max(cellHeight, image.height);
    cellWidth = Math.max(cellWidth, image.width);
  }
  const rows = Math.ceil(images.length / columns);
  const height = rows * (cellHeight + gap) + gap;
  const width = columns * (cellWidth + gap) + gap;
  const data = new Uint8Array(height * width * 3);
  for (let i = 0; i < data.length; i++) data[i] = background[i % 3];
  for (const [at, image] of images.entries()) {
    const top = gap + Math.floor(at / columns) * (cellHeight + gap) +
      Math.floor((cellHeight - image.height) / 2);
    const left = gap + at % columns * (cellWidth + gap) +
      Math.floor((cellWidth - image.width) / 2);
    for (let y = 0; y < image.height; y++) {
      const row = image.data.subarray(y * image.width * 3, (y + 1) * image.width * 3);
      data.set(row, ((top + y) * width + left) * 3);
    }
  }
  return { height, width, data };
}
