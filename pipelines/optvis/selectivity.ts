import { foldIn, type Key, randomBits } from "../../engine/random.ts";
import { permutation } from "../encoding/cross_validation.ts";
import { InputError } from "../errors.ts";
import { quantileOf } from "../stats/bootstrap.ts";
import {
  matrixOf,
  requireTargets,
  type ResponseMatrix,
  responseMatrix,
  type TargetResponses,
} from "./response_matrix.ts";

/** How much a region prefers the images that were made for it. */
export interface RoiSelectivity {
  /** Mean response to its own images. */
  readonly on: number;
  /** Mean over the other targets of the mean response to their images. */
  readonly off: number;
  /** `on − off`. */
  readonly difference: number;
  /** `(on − off) / (|on| + |off|)`, from −1 to 1; 0 where both are 0. */
  readonly index: number;
  /** Place of its own images among the targets, 1 the highest; ties share the mean place. */
  readonly rank: number;
  /** The other target whose images drive it most. */
  readonly runnerUp: number;
}

/**
 * Selectivity of every region whose own images were shown, with at least one other target.
 *
 * @throws {InputError} when fewer than two targets have images
 */
export function selectivity(matrix: ResponseMatrix): (RoiSelectivity | undefined)[] {
  const { means, nImages, nRois } = matrix;
  const shown = Array.from(nImages.keys()).filter((t) => nImages[t] > 0);
  if (shown.length < 2) {
    throw new InputError(
      `Cannot judge selectivity: at least two targets must have images, got ${shown.length}`,
    );
  }
  return Array.from({ length: nRois }, (_, r) => {
    if (nImages[r] === 0) return undefined;
    const value = (t: number) => means[t * nRois + r];
    const others = shown.filter((t) => t !== r);
    const on = value(r), off = others.reduce((s, t) => s + value(t), 0) / others.length;
    const size = Math.abs(on) + Math.abs(off);
    const higher = others.filter((t) => value(t) > on).length;
    const equal = others.filter((t) => value(t) === on).length;
    return {
      on,
      off,
      difference: on - off,
      index: size > 0 ? (on - off) / size : 0,
      rank: 1 + higher + equal / 2,
      runnerUp: others.reduce((best, t) => value(t) > value(best) ? t : best),
    };
  });
}

/** Options of the resampling tests. */
export interface ResamplingOptions {
  /** Draw `i` is made with `foldIn(key, i)`. */
  readonly key: Key;
  /** Draws (default 10,000); no p-value is below `1 / (1 + nDraws)`. */
  readonly nDraws?: number;
}

/** Options of the tests that exchange images. */
export interface ExchangeOptions extends ResamplingOptions {
  /** Group of each image, such as the run that it was shown in: images are exchanged with others of their group only. */
  readonly groups?: ArrayLike<number>;
}

/** Random orders of units that leave every unit in its group. */
function ordersWithin(n: number, groups?: ArrayLike<number>): (key: Key) => ArrayLike<number> {
  if (!groups) return (key) => permutation(key, n);
  if (groups.length !== n) {
    throw new InputError(`Cannot exchange ${n} images within groups: got ${groups.length} groups`);
  }
  const members = new Map<number, number[]>();
  for (let i = 0; i < n; i++) members.set(groups[i], [...members.get(groups[i]) ?? [], i]);
  const all = [...members.values()];
  return (key) => {
    const order = new Uint32Array(n);
    all.forEach((own, g) =>
      permutation(foldIn(key, g), own.length).forEach((from: number, to: number) => {
        order[own[to]] = own[from];
      })
    );
    return order;
  };
}

/** Whether regions respond most to their own images, with the chance of it. */
export interface DiagonalDominance {
  /** Regions that respond most to their own images. */
  readonly count: number;
  /** Regions with images. */
  readonly of: number;
  /** p-value of the count when images are exchanged among the targets. */
  readonly pCount: number;
  /** Mean over regions of `on − off`. */
  readonly difference: number;
  /** p-value of the mean difference under the same exchanges. */
  readonly pDifference: number;
}

function requireDraws(nDraws: number): void {
  if (!(Number.isInteger(nDraws) && nDraws >= 1)) {
    throw new InputError(
      `Cannot test with ${nDraws} draws: there must be a whole number of them from 1`,
    );
  }
}

function dominance(matrix: ResponseMatrix): { count: number; of: number; difference: number } {
  const rois = selectivity(matrix).filter((roi) => roi !== undefined);
  return {
    count: rois.filter(({ rank }) => rank === 1).length,
    of: rois.length,
    difference: rois.reduce((s, roi) => s + roi.difference, 0) / rois.length,
  };
}

// Sums of the same values in another order differ by less; they are ties, and ties count.
const TIE = 1e-12;

/**
 * Permutation test of the diagonal: the images' targets are exchanged among the images, whole rows at a time, so that the null keeps each
 * image's responses and each target's number of images.
 *
 * @param responses `[nImages, nRois]`
 * @throws {InputError} when the responses do not fit their targets, fewer than two targets have images, or there is no draw
 */
export function diagonalDominance(
  responses: TargetResponses,
  { key, nDraws = 10_000, groups }: ExchangeOptions,
): DiagonalDominance {
  requireTargets(responses);
  requireDraws(nDraws);
  const { targets, shape: [n] } = responses;
  const observed = dominance(matrixOf(responses, targets));
  let asMany = 0, asLarge = 0;
  const least = observed.difference - TIE * (Math.abs(observed.difference) + 1);
  const orderOf = ordersWithin(n, groups);
  for (let draw = 0; draw < nDraws; draw++) {
    const order = orderOf(foldIn(key, draw));
    const exchanged = Array.from(order, (i) => targets[i]);
    const { count, difference } = dominance(matrixOf(responses, exchanged));
    if (count >= observed.count) asMany++;
    if (difference >= least) asLarge++;
  }
  return {
    ...observed,
    pCount: (1 + asMany) / (1 + nDraws),
    pDifference: (1 + asLarge) / (1 + nDraws),
  };
}

/** Options of {@link selectivityIntervals}. */
export interface IntervalOptions extends ResamplingOptions {
  /** Share of the resampled values between the ends. */
  readonly level?: number;
}

/** Percentile bootstrap intervals over images, `[nRois]` each; NaN for regions without images. */
export interface SelectivityIntervals {
  /** Of `on − off`. */
  readonly difference: { readonly low: Float64Array; readonly high: Float64Array };
  /** Of the index. */
  readonly index: { readonly low: Float64Array; readonly high: Float64Array };
}

/** Rows drawn with replacement within each target. */
function redrawn(groups: readonly number[][], key: Key): { rows: number[]; targets: number[] } {
  const rows: number[] = [], targets: number[] = [];
  groups.forEach((group, t) => {
    for (const bits of randomBits(foldIn(key, t), group.length)) {
      rows.push(group[Math.floor(bits * group.length / 2 ** 32)]);
      targets.push(t);
    }
  });
  return { rows, targets };
}

/**
 * Bootstrap intervals of selectivity: images are drawn with replacement among those of the same target.
 *
 * @param responses `[nImages, nRois]`
 * @throws {InputError} as {@link diagonalDominance} says, or for a level that is not between 0 and 1
 */
export function selectivityIntervals(
  responses: TargetResponses,
  { key, nDraws = 10_000, level = 0.95 }: IntervalOptions,
): SelectivityIntervals {
  requireTargets(responses);
  requireDraws(nDraws);
  if (!(level > 0 && level < 1)) {
    throw new InputError(`Cannot take intervals at level ${level}: it must be between 0 and 1`);
  }
  const { data, targets, shape: [n, nRois] } = responses;
  const groups = Array.from({ length: nRois }, (): number[] => []);
  for (let i = 0; i < n; i++) groups[targets[i]].push(i);
  const draws = Array.from({ length: nRois }, () => ({
    difference: new Float64Array(nDraws).fill(NaN),
    index: new Float64Array(nDraws).fill(NaN),
  }));
  const values = new Float64Array(n * nRois);
  for (let b = 0; b < nDraws; b++) {
    const sample = redrawn(groups, foldIn(key, b));
    sample.rows.forEach((row, i) => {
      for (let r = 0; r < nRois; r++) values[i * nRois + r] = data[row * nRois + r];
    });
    const matrix = matrixOf({ data: values, shape: [n, nRois] }, sample.targets);
    selectivity(matrix).forEach((roi, r) => {
      if (!roi) return;
      draws[r].difference[b] = roi.difference;
      draws[r].index[b] = roi.index;
    });
  }
  const ends = (name: "difference" | "index") => {
    const at = (share: number) =>
      Float64Array.from(draws, (draw) => quantileOf(draw[name].toSorted(), share));
    return { low: at((1 - level) / 2), high: at((1 + level) / 2) };
  };
  return { difference: ends("difference"), index: ends("index") };
}

/** A region's own images against its runner-up's. */
export interface OwnAgainstNext {
  /** The region. */
  readonly roi: number;
  /** The other target whose images drive it most. */
  readonly runnerUp: number;
  /** Difference of the mean responses. */
  readonly difference: number;
  /** One-sided p-value when the images of the two are exchanged. */
  readonly p: number;
}

/**
 * Tests every region's own images against those of the runner-up, which was chosen by looking: correct over the regions with `holm`.
 *
 * @param responses `[nImages, nRois]`
 * @throws {InputError} as {@link diagonalDominance} says
 */
export function ownAgainstNext(
  responses: TargetResponses,
  { key, nDraws = 10_000, groups }: ExchangeOptions,
): OwnAgainstNext[] {
  requireDraws(nDraws);
  const { data, targets, shape: [n, nRois] } = responses;
  return selectivity(responseMatrix(responses)).flatMap((found, roi) => {
    if (!found) return [];
    const { runnerUp } = found;
    const of = (target: number) =>
      Array.from({ length: n }, (_, i) => i).filter((i) => targets[i] === target);
    const own = of(roi), both = [...own, ...of(runnerUp)];
    const all = both.map((i) => data[i * nRois + roi]);
    const orderOf = ordersWithin(all.length, groups && both.map((i) => groups[i]));
    const meanOfFirst = (order: ArrayLike<number>) => {
      let first = 0, rest = 0;
      for (let i = 0; i < all.length; i++) {
        if (i < own.length) first += all[order[i]];
        else rest += all[order[i]];
      }
      return first / own.length - rest / (all.length - own.length);
    };
    const difference = meanOfFirst(all.map((_, i) => i));
    const least = difference - TIE * (Math.abs(difference) + 1);
    let asLarge = 0;
    for (let draw = 0; draw < nDraws; draw++) {
      const order = orderOf(foldIn(foldIn(key, roi), draw));
      if (meanOfFirst(order) >= least) asLarge++;
    }
    return [{ roi, runnerUp, difference, p: (1 + asLarge) / (1 + nDraws) }];
  });
}
