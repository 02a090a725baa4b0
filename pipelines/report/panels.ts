/**
 * Pictures of maps with the truth drawn on them.
 *
 * @module
 */
import type { ValueRange } from "../images/colormap.ts";
import { overlayHeatmap } from "../images/overlay.ts";
import { pilResize } from "../images/pil_resize.ts";
import type { Rgb } from "../images/preprocess.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import type { Grid } from "../models/pos_embed.ts";

/** An image brought to a square of some pixels. */
export function enlarge(image: RgbImage, side: number): RgbImage {
  return pilResize(image, { height: side, width: side, filter: "bicubic" });
}

/**
 * Draws the outline of a mask on an image.
 *
 * @param mask `[maskSide, maskSide]`, stretched to the image
 * @param width of the line in pixels
 */
export function outlineMask(
  image: RgbImage,
  mask: Uint8Array,
  { color = [255, 255, 255], width = 2 }: { readonly color?: Rgb; readonly width?: number } = {},
): RgbImage {
  const side = Math.sqrt(mask.length);
  const { height, width: columns } = image;
  const inside = (y: number, x: number) => {
    // The border of the image is no outline.
    if (y < 0 || x < 0 || y >= height || x >= columns) return 1;
    return mask[Math.floor(y * side / height) * side + Math.floor(x * side / columns)];
  };
  const data = image.data.slice();
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < columns; x++) {
      if (!inside(y, x)) continue;
      let edge = false;
      for (let d = 1; d <= width && !edge; d++) {
        edge = !inside(y - d, x) || !inside(y + d, x) || !inside(y, x - d) || !inside(y, x + d);
      }
      if (edge) data.set(color, 3 * (y * columns + x));
    }
  }
  return { height, width: columns, data };
}

/** The range that a region's maps are shown in: all but their lowest and highest hundredths. */
export function robustRange(values: Float32Array): ValueRange {
  const sorted = values.slice().sort();
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))];
  const [low, high] = [at(0.01), at(0.99)];
  return low < high ? [low, high] : [low, low + 1];
}

/** One map over its image, with the true mask of the region's category outlined. */
export function mapPanel(
  image: RgbImage,
  map: Float32Array,
  { grid, range, mask, side }: {
    readonly grid: Grid;
    readonly range: ValueRange;
    readonly mask?: Uint8Array;
    readonly side: number;
  },
): RgbImage {
  const panel = overlayHeatmap(enlarge(image, side), map, { grid, range, alpha: 0.72 });
  return mask ? outlineMask(panel, mask) : panel;
}
