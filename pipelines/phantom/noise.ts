/** Smooth noise over the plane. */

import type { Draws } from "./draws.ts";

/** Noise at a point, in [0, 1]. */
export type Noise = (x: number, y: number) => number;

const PERIOD = 32;

/** Makes value noise of unit feature size: random numbers on a grid (which repeats after 32), smoothly joined. */
export function valueNoise(draws: Draws): Noise {
  const grid = Float64Array.from({ length: PERIOD * PERIOD }, () => draws.uniform());
  return (x, y) => {
    const ix = Math.floor(x);
    const iy = Math.floor(y);
    const fx = x - ix;
    const fy = y - iy;
    const sx = fx * fx * (3 - 2 * fx);
    const sy = fy * fy * (3 - 2 * fy);
    const top = (iy & (PERIOD - 1)) * PERIOD;
    const bottom = ((iy + 1) & (PERIOD - 1)) * PERIOD;
    const left = ix & (PERIOD - 1);
    const right = (ix + 1) & (PERIOD - 1);
    const upper = grid[top + left] + (grid[top + right] - grid[top + left]) * sx;
    const lower = grid[bottom + left] + (grid[bottom + right] - grid[bottom + left]) * sx;
    return upper + (lower - upper) * sy;
  };
}

/** A function of x in [0, 1) kept as 2,048 values, for outlines that every row of an image asks again. */
export function tabulate(f: (x: number) => number): (x: number) => number {
  const table = Float64Array.from({ length: 2048 }, (_, i) => f((i + 0.5) / 2048));
  return (x) => table[Math.floor(x * 2048)];
}
