/**
 * What the tuned voxels of `tuned_voxels.ts` see in an image: directions, hues and places of contrast, measured on its pixels; and the
 * salience of categories, known of scenes alone.
 */

import { InputError } from "../errors.ts";
import { CATEGORIES } from "./scene.ts";

/** What a voxel can be tuned to. */
export type TuningKind = "orientation" | "hue" | "position" | "category";

/** One variable of an image, which one region of each subject is tuned to. */
export interface TunedVariable {
  /** Kind of the tuning. */
  readonly kind: TuningKind;
  /** Name within the kind; of an orientation the degrees along which its waves run, clockwise from the right. */
  readonly name: string;
}

/** Every variable, in order. */
export const TUNED_VARIABLES: readonly TunedVariable[] = [
  ...["0", "45", "90", "135"].map((name) => ({ kind: "orientation", name } as const)),
  ...["red", "yellow", "green", "blue"].map((name) => ({ kind: "hue", name } as const)),
  ...["top left", "top right", "bottom left", "bottom right"]
    .map((name) => ({ kind: "position", name } as const)),
  ...CATEGORIES.map((name) => ({ kind: "category", name } as const)),
];

/** Those that pixels tell: all but the categories, which come last. */
export const N_PIXEL_VARIABLES: number = TUNED_VARIABLES.length - CATEGORIES.length;

const LUMA = [0.2126, 0.7152, 0.0722];
const REACH = 5, WAVELENGTH = 6, SPREAD = 2.5, STEP = 2; // of the Gabor filters, in pixels of images of 64
const ENERGY_FLOOR = 2e-4; // half of what a scene of little contrast has: shares of less fade (Heeger 1992's semi-saturation)
const PREFERRED_HUE = [0, 1 / 6, 1 / 3, 2 / 3].map((turn) => turn * 2 * Math.PI);
const HUE_SHARPNESS = 4; // von Mises: half a response 34 degrees away
const FIELD_SPREAD = 0.15, VARIANCE_FLOOR = 0.01; // of the receptive fields, in sides; and of their contrast

/** Even and odd filters along the four directions, of mean 0 and length 1, row by row. */
function gaborFilters(): Float64Array[] {
  const side = 2 * REACH + 1;
  return Array.from({ length: 8 }, (_, k) => {
    const angle = Math.floor(k / 2) * Math.PI / 4, phase = k % 2 * Math.PI / 2;
    const filter = Float64Array.from({ length: side * side }, (_, p) => {
      const x = p % side - REACH, y = Math.floor(p / side) - REACH;
      const along = x * Math.cos(angle) + y * Math.sin(angle);
      const window = Math.exp(-(x * x + y * y) / (2 * SPREAD * SPREAD));
      return window * Math.cos(2 * Math.PI * along / WAVELENGTH + phase);
    });
    const mean = filter.reduce((sum, v) => sum + v, 0) / filter.length;
    const centred = filter.map((v) => v - mean);
    const length = Math.sqrt(centred.reduce((sum, v) => sum + v * v, 0));
    return centred.map((v) => v / length);
  });
}

const FILTERS = gaborFilters();

/** Energy along each direction over the energy along all. */
function orientations(luma: Float64Array, size: number): number[] {
  const energies = [0, 0, 0, 0], side = 2 * REACH + 1;
  let places = 0;
  for (let i = 0; i + side <= size; i += STEP) {
    for (let j = 0; j + side <= size; j += STEP, places++) {
      for (let k = 0; k < FILTERS.length; k++) {
        const filter = FILTERS[k];
        let sum = 0;
        for (let y = 0; y < side; y++) {
          const row = (i + y) * size + j;
          for (let x = 0; x < side; x++) sum += filter[y * side + x] * luma[row + x];
        }
        energies[k >> 1] += sum * sum;
      }
    }
  }
  const means = energies.map((energy) => energy / places / side);
  const total = means.reduce((sum, v) => sum + v, ENERGY_FLOOR);
  return means.map((v) => v / total);
}

/** Mean over the pixels of chroma in the colour hexagon times the tuning to each hue. */
function hues(image: ArrayLike<number>, plane: number): number[] {
  const sums = [0, 0, 0, 0];
  for (let p = 0; p < plane; p++) {
    const r = image[p], g = image[plane + p], b = image[2 * plane + p];
    const across = r - (g + b) / 2, up = Math.sqrt(3) / 2 * (g - b);
    const chroma = Math.hypot(across, up), hue = Math.atan2(up, across);
    PREFERRED_HUE.forEach((preferred, k) => {
      sums[k] += chroma * Math.exp(HUE_SHARPNESS * (Math.cos(hue - preferred) - 1));
    });
  }
  return sums.map((sum) => sum / plane);
}

/** Variance of the colours under a Gaussian window at the middle of each quarter, over that of all four. */
function places(image: ArrayLike<number>, size: number): number[] {
  const plane = size * size;
  const variances = [0, 1, 2, 3].map((quarter) => {
    const bump = (at: number) =>
      Float64Array.from({ length: size }, (_, i) => {
        return Math.exp(-(((i + 0.5) / size - at) ** 2) / (2 * FIELD_SPREAD ** 2));
      });
    const rows = bump(quarter < 2 ? 0.25 : 0.75), columns = bump(quarter % 2 ? 0.75 : 0.25);
    let variance = 0;
    for (let c = 0; c < 3; c++) {
      let weight = 0, sum = 0, squares = 0;
      for (let p = 0; p < plane; p++) {
        const w = rows[Math.floor(p / size)] * columns[p % size], v = image[c * plane + p];
        weight += w;
        sum += w * v;
        squares += w * v * v;
      }
      variance += squares / weight - (sum / weight) ** 2;
    }
    return variance;
  });
  const total = variances.reduce((sum, v) => sum + v, VARIANCE_FLOOR);
  return variances.map((v) => v / total);
}

/**
 * The variables that pixels tell, in float64.
 *
 * @param image `[3, size, size]`, colours in 0…1; what lies outside is clipped
 * @returns `[N_PIXEL_VARIABLES]`
 * @throws {InputError} when the image does not hold what its size says, or is smaller than a filter
 */
export function pixelVariables(
  image: ArrayLike<number>,
  size: number,
): Float64Array<ArrayBuffer> {
  const plane = size * size;
  if (image.length !== 3 * plane || size < 2 * REACH + 1) {
    throw new InputError(
      `Cannot see an image of ${size} pixels: it must be [3, size, size] with a side from ${
        2 * REACH + 1
      }, has ${image.length} values`,
    );
  }
  const seen = Float64Array.from(image, (v) => Math.min(1, Math.max(0, v)));
  const luma = Float64Array.from(
    { length: plane },
    (_, p) => LUMA.reduce((sum, weight, c) => sum + weight * seen[c * plane + p], 0),
  );
  return Float64Array.from([
    ...orientations(luma, size),
    ...hues(seen, plane),
    ...places(seen, size),
  ]);
}

/** Bytes `[size, size, 3]` as colours in 0…1, `[3, size, size]`. */
export function planesOf(rgb: Uint8Array): Float32Array<ArrayBuffer> {
  const plane = rgb.length / 3;
  return Float32Array.from(
    { length: rgb.length },
    (_, i) => rgb[3 * (i % plane) + Math.floor(i / plane)] / 255,
  );
}
