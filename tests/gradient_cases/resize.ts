/**
 * Gradients of resizing and average pooling, against the definitions as four nested loops.
 *
 * @module
 */
import {
  adaptiveAvgPool2d,
  avgPool2d,
  resize,
  type ResizeOptions,
} from "../../engine/ops/resize.ts";
import { interpolate, type InterpolateOptions } from "../../pipelines/images/interpolate.ts";
import type { GradientCase } from "../gradcheck.ts";

const SHAPE = [1, 2, 6, 7] as const;

function resized(
  name: string,
  size: readonly [number, number],
  options: ResizeOptions & Pick<InterpolateOptions, "mode">,
): GradientCase {
  return {
    name: `resize ${name}`,
    shapes: [SHAPE],
    f: (x) => resize(x, size, options),
    reference: (x) =>
      interpolate(x, { layout: "chw", channels: 2, height: 6, width: 7, size, ...options }).data,
  };
}

type Range = readonly [start: number, end: number, divisor: number];

/** Σ over the pixels of a window / divisors, for windows given by their first and last row and column. */
function averages(
  x: Float64Array,
  rows: readonly Range[],
  columns: readonly Range[],
): Float64Array {
  const out: number[] = [];
  for (let c = 0; c < SHAPE[1]; c++) {
    for (const [top, bottom, tall] of rows) {
      for (const [left, right, wide] of columns) {
        let sum = 0;
        for (let i = top; i < bottom; i++) {
          for (let j = left; j < right; j++) sum += x[(c * 6 + i) * 7 + j];
        }
        out.push(sum / (tall * wide));
      }
    }
  }
  return Float64Array.from(out);
}

/** Cases of this family. */
export const resizeCases: readonly GradientCase[] = [
  resized("bilinear up", [9, 10], { mode: "bilinear" }),
  resized("bicubic down and up", [4, 11], { mode: "bicubic" }),
  resized("antialiased bicubic down", [3, 4], { mode: "bicubic", antialias: true }),
  resized("bilinear with aligned corners", [5, 13], { mode: "bilinear", alignCorners: true }),
  resized("nearest", [13, 3], { mode: "nearest" }),
  {
    // windows of 3 by 2: of 6 rows at 0, 2 and, rounding up, 4; of 7 columns with one before them at −1, 1, 3 and, rounding up, 5
    name: "avgPool2d with padding, counting it, rounding up",
    shapes: [SHAPE],
    f: (x) => avgPool2d(x, 3, { stride: 2, padding: [0, 0, 0, 1], ceilMode: true }),
    reference: (x) =>
      averages(
        x,
        [[0, 3, 3], [2, 5, 3], [4, 6, 2]],
        [[0, 2, 3], [1, 4, 3], [3, 6, 3], [5, 7, 2]],
      ),
  },
  {
    name: "avgPool2d with padding, not counting it",
    shapes: [SHAPE],
    f: (x) => avgPool2d(x, [2, 3], { stride: [2, 3], padding: [0, 1], countIncludePad: false }),
    reference: (x) =>
      averages(x, [[0, 2, 2], [2, 4, 2], [4, 6, 2]], [[0, 2, 2], [2, 5, 3], [5, 7, 2]]),
  },
  {
    name: "adaptiveAvgPool2d",
    shapes: [SHAPE],
    f: (x) => adaptiveAvgPool2d(x, [4, 3]),
    // rows: ⌊6i/4⌋ to ⌈6(i + 1)/4⌉; columns: ⌊7i/3⌋ to ⌈7(i + 1)/3⌉
    reference: (x) =>
      averages(
        x,
        [[0, 2, 2], [1, 3, 2], [3, 5, 2], [4, 6, 2]],
        [[0, 3, 3], [2, 5, 3], [4, 7, 3]],
      ),
  },
];
