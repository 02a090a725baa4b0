import { InputError } from "../errors.ts";
import { colorize, type ColormapName, type ValueRange, valueRange } from "./colormap.ts";
import { interpolate } from "./interpolate.ts";
import { checkRgbImage, type RgbImage } from "./rgb_image.ts";

/** Grid, colours and opacity of {@link overlayHeatmap}. */
export interface OverlayOptions {
  /** Rows and columns of the map. */
  grid: readonly [height: number, width: number];
  /** The colours. */
  colormap?: ColormapName;
  /** Values of the first and the last colour; the map's own range when left out. */
  range?: ValueRange;
  /** Opacity of the map, 0 to 1. */
  alpha?: number;
  /** How the grid is brought to the image's size; `nearest` shows the patches. */
  upsample?: "bilinear" | "nearest";
}

/**
 * Lays a map of values over an image, the grid stretched to the whole of it.
 *
 * @param values `[grid[0], grid[1]]`, one per patch
 * @returns an image of the size of the one given
 * @throws {InputError} when the values are not as many as the grid has, or `alpha` is not in 0..1
 */
export function overlayHeatmap(
  image: RgbImage,
  values: Float32Array | Float64Array,
  { grid, colormap = "viridis", range, alpha = 0.5, upsample = "bilinear" }: OverlayOptions,
): RgbImage {
  checkRgbImage(image);
  if (!(alpha >= 0 && alpha <= 1)) {
    throw new InputError(`Cannot overlay a map: alpha must be in 0..1, got ${alpha}`);
  }
  const { height, width } = image;
  const fine = interpolate(values, {
    layout: "chw",
    channels: 1,
    height: grid[0],
    width: grid[1],
    size: [height, width],
    mode: upsample,
  });
  const colors = colorize(fine.data, {
    height,
    width,
    colormap,
    // The range of the grid, so that the colours do not depend on the image's size.
    range: range ?? valueRange(values, { symmetric: colormap === "diverging" }),
  });
  const data = new Uint8Array(image.data.length);
  for (let i = 0; i < data.length; i++) {
    data[i] = Math.round((1 - alpha) * image.data[i] + alpha * colors.data[i]);
  }
  return { height, width, data };
}
