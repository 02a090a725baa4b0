import { InputError } from "../errors.ts";
import { interpolate } from "./interpolate.ts";
import { checkRgbImage, type RgbImage } from "./rgb_image.ts";

/** Grid and opacity of {@link overlayPatches}. */
export interface PatchOverlayOptions {
  /** Rows and columns of patches. */
  readonly grid: readonly [height: number, width: number];
  /** Opacity of the colours, 0 to 1. */
  readonly alpha?: number;
  /** How the grid is brought to the image's size; `nearest` shows the patches. */
  readonly upsample?: "bilinear" | "nearest";
}

/**
 * Lays a colour per patch over an image, the grid stretched to the whole of it.
 *
 * @param rgb `[grid[0], grid[1], 3]` bytes
 * @returns an image of the size of the one given
 * @throws {InputError} when there are not as many colours as patches, or `alpha` is not in 0..1
 */
export function overlayPatches(
  image: RgbImage,
  rgb: Uint8Array,
  { grid, alpha = 0.7, upsample = "nearest" }: PatchOverlayOptions,
): RgbImage {
  checkRgbImage(image);
  const [rows, columns] = grid, { height, width } = image;
  if (rgb.length !== rows * columns * 3 || !(alpha >= 0 && alpha <= 1)) {
    throw new InputError(
      `Cannot overlay ${
        rgb.length / 3
      } colours on a grid of ${rows}x${columns} with an opacity of ${alpha}: ` +
        "there must be one for each patch, and the opacity be in 0..1",
    );
  }
  const fine = interpolate(Float32Array.from(rgb), {
    ...{ layout: "hwc", channels: 3, height: rows, width: columns },
    ...{ size: [height, width], mode: upsample },
  });
  const data = image.data.map((value, at) =>
    Math.round((1 - alpha) * value + alpha * fine.data[at])
  );
  return { height, width, data };
}
