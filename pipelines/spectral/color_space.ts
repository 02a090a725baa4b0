import { type Key, randomKey } from "../../engine/random.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { quantileOf } from "../stats/bootstrap.ts";
import type { ColorRange } from "../stats/umap.ts";
import { stratifiedRows } from "./farthest_points.ts";

const MOST_ROWS = 10_000; // ncut_pytorch, quantile_normalize

/**
 * Ends of each axis between which colours vary: the quantiles `1 − q` and `q` of at most 10,000 rows drawn at random.
 *
 * @param coordinates `[n, nAxes]`
 * @throws {InputError} when there are no rows, or `q` is not above 0.5 and up to 1
 */
export function quantileRange(
  { data, shape: [n, axes] }: HostMatrix,
  { q = 0.95, key = randomKey(0) }: { readonly q?: number; readonly key?: Key } = {},
): ColorRange {
  if (n === 0 || !(q > 0.5 && q <= 1)) {
    throw new InputError(
      `Cannot take the quantiles ${
        1 - q
      } and ${q} of ${n} rows: there must be rows, and q be above 0.5 and up to 1`,
    );
  }
  const rows = stratifiedRows(n, Math.min(n, MOST_ROWS), key);
  const columns = Array.from({ length: axes }, (_, c) => {
    return Float64Array.from(rows, (row) => data[row * axes + c]).sort();
  });
  return {
    low: columns.map((sorted) => quantileOf(sorted, 1 - q)),
    high: columns.map((sorted) => quantileOf(sorted, q)),
  };
}

/**
 * Coordinates from 0 at the low end of each axis to 1 at the high end, clamped; 0.5 on an axis without extent.
 *
 * @param coordinates `[n, nAxes]`
 */
export function scaleToRange({ data, shape }: HostMatrix, { low, high }: ColorRange): HostMatrix {
  const axes = shape[1];
  const scaled = data.map((value, at) => {
    const c = at % axes, extent = high[c] - low[c];
    return extent > 0 ? Math.max(0, Math.min(1, (value - low[c]) / extent)) : 0.5;
  });
  return hostMatrix(scaled, shape);
}

/**
 * Turns the colour cube: axes are exchanged in a circle `position % 3` times, and inverted for positions above 3 (ncut_pytorch,
 * rotate_rgb_cube). Distances of colours stay.
 *
 * @param rgb from 0 to 1, `[n, 3]`
 * @param position from 0 to 6
 * @throws {InputError} when there are not three axes or no such position
 */
export function rotateRgbCube(rgb: HostMatrix, position: number): HostMatrix {
  requireThree(rgb);
  if (!(Number.isInteger(position) && position >= 0 && position <= 6)) {
    throw new InputError(
      `Cannot turn the colour cube: the position must be from 0 to 6, got ${position}`,
    );
  }
  const turned = rgb.data.map((_, at) => {
    const value = rgb.data[at - at % 3 + (at % 3 + 3 - position % 3) % 3];
    return position > 3 ? 1 - value : value;
  });
  return hostMatrix(turned, rgb.shape);
}

function requireThree({ shape }: HostMatrix): void {
  if (shape[1] !== 3) {
    throw new InputError(`Cannot make colours of [${shape}]: there must be three axes`);
  }
}

/** The sRGB gamma of linear light, clamped to what a screen shows. */
function gamma(linear: number): number {
  const value = linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055;
  return Math.max(0, Math.min(1, value));
}

/** sRGB, from 0 to 1, of a colour in CIE 1976 L*a*b* under D65 (2° observer), as scikit-image's `lab2rgb`. */
export function labToRgb([lightness, a, b]: readonly number[]): [number, number, number] {
  const fy = (lightness + 16) / 116;
  const cube = (f: number) => f > 0.2068966 ? f ** 3 : (f - 16 / 116) / 7.787;
  const x = 0.95047 * cube(fy + a / 500),
    y = cube(fy),
    z = 1.08883 * cube(Math.max(0, fy - b / 200));
  return [
    gamma(3.24048134 * x - 1.53715152 * y - 0.49853633 * z),
    gamma(-0.96925495 * x + 1.87599 * y + 0.04155593 * z),
    gamma(0.05564664 * x - 0.20404134 * y + 1.05731107 * z),
  ];
}

/**
 * Coordinates in the unit cube as lightness, a* and b* (ncut_pytorch, convert_to_lab_color): closer to even steps for the eye than red,
 * green and blue, at the price of colours beyond what a screen shows, which are clamped.
 *
 * @param unit from 0 to 1, `[n, 3]`
 * @returns sRGB from 0 to 1, `[n, 3]`
 * @throws {InputError} when there are not three axes
 */
export function labCubeColors(
  unit: HostMatrix,
  { fullRange = true }: { readonly fullRange?: boolean } = {},
): HostMatrix {
  requireThree(unit);
  const [extent, shift] = fullRange ? [255, 128] : [100, 50];
  const out = new Float32Array(unit.data.length);
  for (let at = 0; at < out.length; at += 3) {
    const [l, a, b] = unit.data.subarray(at, at + 3);
    out.set(labToRgb([100 * l, extent * a - shift, extent * b - shift]), at);
  }
  return hostMatrix(out, unit.shape);
}

const PLANE_LIGHTNESS = 70;
const PLANE_REACH = 60; // of a* and b* from the centre: the corners are just beyond what a screen shows

/**
 * A plane of colours for two coordinates: CIE L*a*b* at one lightness, a* along the first axis (green to red), b* along the second (blue
 * to yellow). Equal steps on the map are equal steps for the eye, and no place is darker than another.
 *
 * @param unit from 0 to 1, `[n, 2]`
 * @returns sRGB from 0 to 1, `[n, 3]`
 * @throws {InputError} when there are not two axes
 */
export function labPlaneColors({ data, shape: [n, axes] }: HostMatrix): HostMatrix {
  if (axes !== 2) {
    throw new InputError(`Cannot colour [${n},${axes}] by a plane: there must be two axes`);
  }
  const out = new Float32Array(3 * n);
  for (let i = 0; i < n; i++) {
    const [a, b] = [0, 1].map((c) => PLANE_REACH * (2 * data[2 * i + c] - 1));
    out.set(labToRgb([PLANE_LIGHTNESS, a, b]), 3 * i);
  }
  return hostMatrix(out, [n, 3]);
}

const GOLDEN_ANGLE = Math.PI * (3 - Math.sqrt(5)); // neighbouring numbers are far apart, whatever their count

/** Colours of labels: hues a golden angle apart at three lightnesses, `[nLabels, 3]` bytes; the first `k` do not depend on `nLabels`. */
export function labelColors(nLabels: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(3 * nLabels);
  for (let i = 0; i < nLabels; i++) {
    const hue = i * GOLDEN_ANGLE, lightness = [65, 45, 85][i % 3];
    const rgb = labToRgb([lightness, 60 * Math.cos(hue), 60 * Math.sin(hue)]);
    out.set(rgb.map((value) => Math.round(255 * value)), 3 * i);
  }
  return out;
}
