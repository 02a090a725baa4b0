/**
 * What can be seen in an image without any network: directions, hues and places, for judging images that were made to drive something.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import type { ColorImage } from "./presentation.ts";

const LUMA = [0.2126, 0.7152, 0.0722]; // Rec. 709, on values as they are stored

function requireImage({ data, height, width }: ColorImage): void {
  if (height >= 3 && width >= 3 && data.length === 3 * height * width) return;
  throw new InputError(
    `Cannot measure an image of ${height}x${width}: it must be [3, height, width] with sides from 3, ` +
      `has ${data.length} values`,
  );
}

/**
 * Share of the energy of luminance's gradient along directions, from the structure tensor: `cos²` of the angle between, summed. Waves
 * along a direction have their gradient there. The shares of a direction and the one across it add up to 1; without any gradient all are ½.
 *
 * @param angles in radians, from the right towards the bottom (default 0, 45, 90 and 135 degrees)
 * @throws {InputError} when the image does not hold what its size says
 */
export function directionEnergies(
  image: ColorImage,
  angles: readonly number[] = [0, 1, 2, 3].map((k) => k * Math.PI / 4),
): number[] {
  requireImage(image);
  const { data, height, width } = image, plane = height * width;
  const luma = Float64Array.from(
    { length: plane },
    (_, p) => LUMA.reduce((sum, weight, c) => sum + weight * data[c * plane + p], 0),
  );
  let xx = 0, xy = 0, yy = 0;
  for (let i = 1; i < height - 1; i++) {
    for (let j = 1; j < width - 1; j++) {
      const dx = luma[i * width + j + 1] - luma[i * width + j - 1];
      const dy = luma[(i + 1) * width + j] - luma[(i - 1) * width + j];
      xx += dx * dx;
      xy += dx * dy;
      yy += dy * dy;
    }
  }
  return angles.map((angle) => {
    const c = Math.cos(angle), s = Math.sin(angle);
    return xx + yy > 0 ? (c * c * xx + 2 * c * s * xy + s * s * yy) / (xx + yy) : 0.5;
  });
}

/** How far each colour's mean lies above the mean of all three: red, green, blue. */
export function colorShares(image: ColorImage): number[] {
  requireImage(image);
  const plane = image.height * image.width;
  const means = [0, 1, 2].map((c) => {
    let sum = 0;
    for (let p = 0; p < plane; p++) sum += image.data[c * plane + p];
    return sum / plane;
  });
  const middle = (means[0] + means[1] + means[2]) / 3;
  return means.map((mean) => mean - middle);
}

/** Hues that {@link hueShares} knows: CIE LAB's hue angle of pure sRGB red, yellow, green and blue, in degrees. */
export const HUE_ANGLES = { red: 40, yellow: 103, green: 136, blue: 306 } as const;

const linear = (v: number) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const cubed = (t: number) => t > 216 / 24389 ? Math.cbrt(t) : (24389 / 27 * t + 16) / 116;

/** CIE LAB's a and b of an sRGB colour in 0…1 (IEC 61966-2-1, white D65). */
function chromaticity(r: number, g: number, b: number): [a: number, b: number] {
  const [lr, lg, lb] = [r, g, b].map((v) => linear(Math.min(1, Math.max(0, v))));
  const x = cubed((0.4124564 * lr + 0.3575761 * lg + 0.1804375 * lb) / 0.95047);
  const y = cubed(0.2126729 * lr + 0.7151522 * lg + 0.072175 * lb);
  const z = cubed((0.0193339 * lr + 0.119192 * lg + 0.9503041 * lb) / 1.08883);
  return [500 * (x - y), 200 * (y - z)];
}

/**
 * Share of an image's chroma (CIE LAB) whose hue is nearest to each of some hues; all alike in an image without colour.
 *
 * @param angles degrees (default {@link HUE_ANGLES}: red, yellow, green, blue)
 * @throws {InputError} when the image does not hold what its size says
 */
export function hueShares(
  image: ColorImage,
  angles: readonly number[] = Object.values(HUE_ANGLES),
): number[] {
  requireImage(image);
  const { data, height, width } = image, plane = height * width;
  const sums = new Array<number>(angles.length).fill(0);
  for (let p = 0; p < plane; p++) {
    const [a, b] = chromaticity(data[p], data[plane + p], data[2 * plane + p]);
    const hue = Math.atan2(b, a) * 180 / Math.PI;
    const distances = angles.map((angle) => Math.abs((hue - angle + 900) % 360 - 180));
    sums[distances.indexOf(Math.min(...distances))] += Math.hypot(a, b);
  }
  const total = sums.reduce((all, sum) => all + sum, 0);
  return sums.map((sum) => total > 0 ? sum / total : 1 / angles.length);
}

/**
 * Share of the squared differences of neighbours that lies in each quarter: top left, top right, bottom left, bottom right.
 *
 * @throws {InputError} when the image does not hold what its size says
 */
export function quarterEnergies(image: ColorImage): number[] {
  const sums = [0, 0, 0, 0];
  eachContrast(image, (energy, i, j) => {
    sums[2 * Number(i >= image.height / 2) + Number(j >= image.width / 2)] += energy;
  });
  const total = sums.reduce((all, sum) => all + sum, 0);
  return sums.map((sum) => total > 0 ? sum / total : 1 / 4);
}

/** Centre of mass of the squared differences of neighbours, as shares of the sides: down, right. The middle where nothing differs. */
export function contrastCenter(image: ColorImage): [down: number, right: number] {
  let total = 0, down = 0, right = 0;
  eachContrast(image, (energy, i, j) => {
    total += energy;
    down += energy * (i + 1) / image.height; // between a pixel and the next
    right += energy * (j + 1) / image.width;
  });
  return total > 0 ? [down / total, right / total] : [0.5, 0.5];
}

function eachContrast(
  image: ColorImage,
  visit: (energy: number, row: number, column: number) => void,
): void {
  requireImage(image);
  const { data, height, width } = image;
  for (let c = 0; c < 3; c++) {
    for (let i = 0; i < height - 1; i++) {
      for (let j = 0; j < width - 1; j++) {
        const p = (c * height + i) * width + j;
        visit((data[p + 1] - data[p]) ** 2 + (data[p + width] - data[p]) ** 2, i, j);
      }
    }
  }
}
