/**
 * What every pixel of an image looks like, as fields of numbers, and their means over the patches of a grid. Depth is not in the pixels:
 * the caller brings a field of it.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { checkRgbImage, type RgbImage } from "./rgb_image.ts";
import type { Grid } from "../models/pos_embed.ts";

/** A number for every pixel. */
export interface PixelField<
  T extends Uint8Array | Float32Array | Float64Array = Float64Array<ArrayBuffer>,
> {
  /** `[height, width]`, row-major. */
  readonly data: T;
  /** Height and width. */
  readonly size: Grid;
}

/** Weights of R, G and B in luma: ITU-R BT.709, on values as they are stored. */
const REC709: readonly number[] = [0.2126, 0.7152, 0.0722];

function fieldOf(
  image: RgbImage,
  of: (r: number, g: number, b: number) => number,
): PixelField {
  checkRgbImage(image);
  const { height, width, data } = image;
  const values = new Float64Array(height * width);
  for (let i = 0; i < values.length; i++) {
    values[i] = of(data[3 * i], data[3 * i + 1], data[3 * i + 2]);
  }
  return { data: values, size: [height, width] };
}

/**
 * Luminance of every pixel, 0 to 1: Rec. 709 luma of the stored (gamma-encoded) values.
 *
 * @throws {InputError} when the image does not hold what its size says
 */
export function luminance(image: RgbImage): PixelField {
  return fieldOf(image, (r, g, b) => (REC709[0] * r + REC709[1] * g + REC709[2] * b) / 255);
}

/**
 * Saturation of every pixel, 0 to 1: S of HSV, `(max − min) / max`, 0 for black.
 *
 * @throws {InputError} when the image does not hold what its size says
 */
export function saturation(image: RgbImage): PixelField {
  return fieldOf(image, (r, g, b) => {
    const most = Math.max(r, g, b);
    return most === 0 ? 0 : (most - Math.min(r, g, b)) / most;
  });
}

/**
 * Squared length of the gradient of a field at every pixel, by central differences, one-sided at the borders.
 */
export function edgeEnergy({ data, size: [height, width] }: PixelField): PixelField {
  const energy = new Float64Array(data.length);
  const slope = (at: number, i: number, n: number, step: number) => {
    const [below, above] = [i > 0 ? 1 : 0, i + 1 < n ? 1 : 0];
    if (below + above === 0) return 0;
    return (data[at + above * step] - data[at - below * step]) / (below + above);
  };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      energy[at] = slope(at, x, width, 1) ** 2 + slope(at, y, height, width) ** 2;
    }
  }
  return { data: energy, size: [height, width] };
}

/** Means over `to` equal parts of the middle axis of `[outer, from, inner]`; what lies across a border counts by its shares. */
function averageAxis(
  data: ArrayLike<number>,
  { outer, from, inner, to }: { outer: number; from: number; inner: number; to: number },
): Float64Array<ArrayBuffer> {
  const out = new Float64Array(outer * to * inner);
  for (let o = 0; o < outer; o++) {
    for (let t = 0; t < to; t++) {
      // In units of 1/to of a pixel borders are whole numbers, so that weights have no rounding of their own.
      const start = t * from, end = start + from;
      const at = (o * to + t) * inner;
      for (let s = Math.floor(start / to); s * to < end; s++) {
        const weight = (Math.min(end, (s + 1) * to) - Math.max(start, s * to)) / from;
        for (let c = 0; c < inner; c++) out[at + c] += weight * data[(o * from + s) * inner + c];
      }
    }
  }
  return out;
}

/**
 * Means of a field over the patches of a grid, `[gridHeight · gridWidth]` in float64. Sizes need not divide: a pixel that lies in several
 * patches counts in each by the share of it that does.
 *
 * @param field `[height, width]` of `size`
 * @throws {InputError} when there are not as many values as the size says, or a side is not a whole number from 1
 */
export function areaAverage(
  field: { readonly data: ArrayLike<number>; readonly size: Grid },
  grid: Grid,
): Float64Array<ArrayBuffer> {
  const { data, size: [height, width] } = field;
  const isWhole = [height, width, ...grid].every((side) => Number.isInteger(side) && side >= 1);
  if (!isWhole || data.length !== height * width) {
    throw new InputError(
      `Cannot average ${data.length} values as ${height}x${width} over ${grid[0]}x${
        grid[1]
      } patches: the values must fill the size, and sides be whole numbers from 1`,
    );
  }
  const tall = averageAxis(data, { outer: 1, from: height, inner: width, to: grid[0] });
  return averageAxis(tall, { outer: grid[0], from: width, inner: 1, to: grid[1] });
}

/** Names of {@link lowLevelFields}, in their order. */
export const lowLevelNames: readonly string[] = [
  "luminance",
  "saturation",
  "contrast",
  "edge energy",
];

/** A hundred roundings of 1, and a hundredth of what one step of 8-bit blue among 50,000 pixels makes. */
const LEAST_VARIANCE = 2e-14;

/**
 * Low-level properties of the patches of an image: mean luminance, mean saturation, local contrast (standard deviation of luminance
 * within the patch) and mean edge energy of luminance.
 *
 * @returns `[4, gridHeight · gridWidth]` in float64, in the order of {@link lowLevelNames}
 * @throws {InputError} when the image or the grid cannot be used
 */
export function lowLevelFields(image: RgbImage, grid: Grid): Float64Array<ArrayBuffer> {
  const light = luminance(image);
  const mean = areaAverage(light, grid);
  const squares = areaAverage({ data: light.data.map((v) => v * v), size: light.size }, grid);
  const contrast = squares.map((value, i) => {
    const variance = value - mean[i] * mean[i];
    return variance < LEAST_VARIANCE ? 0 : Math.sqrt(variance);
  });
  const rows = [mean, areaAverage(saturation(image), grid), contrast];
  rows.push(areaAverage(edgeEnergy(light), grid));
  const fields = new Float64Array(rows.length * mean.length);
  rows.forEach((row, i) => fields.set(row, i * mean.length));
  return fields;
}
