/**
 * The shifts and flips of learning-free distillation, drawn as BrainSAIL draws them.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import type { Grid } from "../models/pos_embed.ts";
import { firstTwisterWord, NumpyGenerator } from "./numpy_random.ts";

/** One augmentation: the image moved by whole patches, then mirrored or not. */
export interface PatchShift {
  /** Rows, in patches; positive moves the content up. */
  readonly dy: number;
  /** Columns, in patches; positive moves the content left. */
  readonly dx: number;
  /** Mirrored left to right after the shift. */
  readonly flip: boolean;
}

/** BrainSAIL's dense scripts: seed of `default_rng` and of `torch.manual_seed`. */
export const BRAINSAIL_SEED = 42;

/** BrainSAIL's dense scripts: offsets reach 15 % of the grid. */
const REACH = 0.15;

/** BrainSAIL's dense scripts: points that farthest-point sampling chooses from. */
const CANDIDATES = 5000;

/** `numpy.rint`: halves go to the even neighbour. */
function rint(x: number): number {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}

/** Indices of points that lie far from each other: each is the farthest from those before, the first one where several are. */
function farthestPoints(x: Int32Array, y: Int32Array, n: number, start: number): number[] {
  const distance = new Float64Array(x.length).fill(Infinity);
  const chosen = [start];
  while (chosen.length < n) {
    const last = chosen[chosen.length - 1];
    let farthest = 0;
    for (let i = 0; i < x.length; i++) {
      const d = (x[i] - x[last]) ** 2 + (y[i] - y[last]) ** 2;
      if (d < distance[i]) distance[i] = d;
      if (distance[i] > distance[farthest]) farthest = i;
    }
    chosen.push(farthest);
  }
  return chosen;
}

/**
 * The augmentations of learning-free distillation for a patch grid, as BrainSAIL's dense scripts draw them: 5000 offsets within 15 %
 * of the grid from `numpy.random.default_rng(seed)`, thinned to `n` by farthest-point sampling from the point that
 * `torch.manual_seed(seed)` draws, the first replaced by no shift at all, then a coin for each mirroring. At their seed and grids
 * the result is theirs, offset by offset. A grid that is not square has a reach of its own on each axis.
 *
 * @param n number of augmentations, 1 to 5000; the first is the image itself
 * @throws {InputError} when `n` or `seed` is not a whole number in its range
 */
export function patchShifts(
  grid: Grid,
  n: number,
  { seed = BRAINSAIL_SEED }: { readonly seed?: number } = {},
): PatchShift[] {
  if (!Number.isInteger(n) || n < 1 || n > CANDIDATES) {
    throw new InputError(
      `Cannot distil from ${n} augmentations: a whole number from 1 to ${CANDIDATES} is needed`,
    );
  }
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new InputError(`Cannot draw augmentations: the seed must be a whole number, got ${seed}`);
  }
  const [reachY, reachX] = grid.map((side) => rint(REACH * side));
  const rng = new NumpyGenerator(seed);
  const first = rng.integers(-reachY, reachY, CANDIDATES);
  const second = rng.integers(-reachX, reachX, CANDIDATES);
  const chosen = farthestPoints(first, second, n, firstTwisterWord(seed >>> 0) % CANDIDATES);
  const flips = rng.integers(0, 1, n);
  return chosen.map((at, i) =>
    i === 0
      ? { dy: 0, dx: 0, flip: false }
      : { dy: first[at], dx: second[at], flip: flips[i] === 1 }
  );
}

/** Index of cells that show what is outside the image. */
export const OUTSIDE: number = -1;

/**
 * The patch of the image that each cell of a shifted and mirrored image shows, `[rows·columns]`; {@link OUTSIDE} where it shows none.
 */
export function shiftedPatches([rows, columns]: Grid, { dy, dx, flip }: PatchShift): Int32Array {
  const source = new Int32Array(rows * columns);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const y = r + dy;
      const x = (flip ? columns - 1 - c : c) + dx;
      const inside = y >= 0 && y < rows && x >= 0 && x < columns;
      source[r * columns + c] = inside ? y * columns + x : OUTSIDE;
    }
  }
  return source;
}
