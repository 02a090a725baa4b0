import { InputError } from "../errors.ts";
import { mosaic } from "../images/mosaic.ts";
import { overlayPatches, type PatchOverlayOptions } from "../images/patch_overlay.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { labelColors } from "./color_space.ts";

/** What {@link cutOverlay} shows beside an image. */
export interface CutOverlayOptions extends PatchOverlayOptions {
  /** Colours of its patches by their eigenvectors, `[nPatches, 3]` bytes. */
  readonly rgb?: Uint8Array;
  /** Labels of its patches, `[nPatches]` each: one picture for each cut, in order. */
  readonly labels?: readonly ArrayLike<number>[];
  /** Pixels between pictures. */
  readonly gap?: number;
}

/**
 * One row of pictures: the image, its patches in the colours of their eigenvectors, then for each cut in the colours of their labels. A
 * label has the same colour in all images.
 *
 * @throws {InputError} when there are not as many colours or labels as patches, or a label is not a whole number from 0
 */
export function cutOverlay(
  image: RgbImage,
  { rgb, labels = [], gap = 2, ...options }: CutOverlayOptions,
): RgbImage {
  const pictures = [image];
  if (rgb) pictures.push(overlayPatches(image, rgb, { upsample: "bilinear", ...options }));
  for (const list of labels) {
    const numbers = Array.from(list);
    const bad = numbers.find((label) => !(Number.isInteger(label) && label >= 0));
    if (bad !== undefined) {
      throw new InputError(
        `Cannot colour labels: they must be whole numbers from 0, one is ${bad}`,
      );
    }
    const table = labelColors(numbers.reduce((a, b) => Math.max(a, b), 0) + 1);
    const colors = new Uint8Array(3 * numbers.length);
    numbers.forEach((label, p) => colors.set(table.subarray(3 * label, 3 * label + 3), 3 * p));
    pictures.push(overlayPatches(image, colors, { upsample: "nearest", ...options }));
  }
  return mosaic(pictures, { columns: pictures.length, gap });
}
