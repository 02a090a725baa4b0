/**
 * How well a map of values finds a mask. All sums are in float64; a mask is 1 inside and 0 outside.
 *
 * @module
 */
import { InputError } from "../errors.ts";

function checkPair(map: ArrayLike<number>, mask: ArrayLike<number>): void {
  if (map.length !== mask.length || map.length === 0) {
    throw new InputError(
      `Cannot compare a map of ${map.length} values with a mask of ${mask.length}: they must have one size`,
    );
  }
  for (let i = 0; i < map.length; i++) {
    if (!Number.isFinite(map[i])) {
      throw new InputError(`Cannot compare a map: value ${i} is ${map[i]}, it must be finite`);
    }
  }
}

/**
 * Pearson correlation of a map with a mask; NaN where either is constant, as nothing can be said then.
 */
export function maskPearson(map: ArrayLike<number>, mask: ArrayLike<number>): number {
  checkPair(map, mask);
  const n = map.length;
  let [meanX, meanY] = [0, 0];
  for (let i = 0; i < n; i++) {
    meanX += map[i] / n;
    meanY += mask[i] / n;
  }
  let [xx, yy, xy] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    const [dx, dy] = [map[i] - meanX, mask[i] - meanY];
    xx += dx * dx;
    yy += dy * dy;
    xy += dx * dy;
  }
  return xx === 0 || yy === 0 ? NaN : Math.max(-1, Math.min(1, xy / Math.sqrt(xx * yy)));
}

/**
 * Intersection over union of a mask and the map's highest values, as many as the mask has pixels. Matching the area asks only
 * whether the map ranks the right places first. Of values that tie at the threshold the share that fits the area is counted, so that
 * the result does not depend on their order; NaN where the mask is empty.
 */
export function matchedAreaIou(map: ArrayLike<number>, mask: ArrayLike<number>): number {
  checkPair(map, mask);
  let area = 0;
  for (let i = 0; i < mask.length; i++) area += mask[i] > 0 ? 1 : 0;
  if (area === 0) return NaN;
  const threshold = Float64Array.from(map).sort()[map.length - area];
  let [above, aboveInside, tied, tiedInside] = [0, 0, 0, 0];
  for (let i = 0; i < map.length; i++) {
    const inside = mask[i] > 0 ? 1 : 0;
    if (map[i] > threshold) {
      above++;
      aboveInside += inside;
    } else if (map[i] === threshold) {
      tied++;
      tiedInside += inside;
    }
  }
  const hits = aboveInside + tiedInside * (area - above) / tied;
  return hits / (2 * area - hits);
}

/**
 * Probability that a pixel inside the mask has a higher value than one outside (area under the ROC curve), ties counting half; NaN
 * where the mask is empty or everything.
 */
export function maskAuc(map: ArrayLike<number>, mask: ArrayLike<number>): number {
  checkPair(map, mask);
  // Typed arrays are sorted several times as fast as lists of places by a comparison.
  const values = Float64Array.from(map);
  const inside = values.filter((_, i) => mask[i] > 0).sort();
  const outside = values.filter((_, i) => !(mask[i] > 0)).sort();
  if (inside.length === 0 || outside.length === 0) return NaN;
  let [below, notAbove, wins] = [0, 0, 0];
  for (const value of inside) {
    while (below < outside.length && outside[below] < value) below++;
    while (notAbove < outside.length && outside[notAbove] <= value) notAbove++;
    wins += (below + notAbove) / 2;
  }
  return wins / (inside.length * outside.length);
}

/**
 * The pointing game (Zhang et al. 2016, without their margin of pixels): 1 where the map's highest value lies in the mask, 0 where it
 * does not, and where several values are the highest the share of them that does. NaN where the mask is empty.
 */
export function pointingGame(map: ArrayLike<number>, mask: ArrayLike<number>): number {
  checkPair(map, mask);
  let [highest, tied, inside, area] = [-Infinity, 0, 0, 0];
  for (let i = 0; i < map.length; i++) {
    if (map[i] > highest) [highest, tied, inside] = [map[i], 0, 0];
    const isInside = mask[i] > 0 ? 1 : 0;
    area += isInside;
    if (map[i] !== highest) continue;
    tied++;
    inside += isInside;
  }
  return area === 0 ? NaN : inside / tied;
}
