/**
 * Distillation as it is told: every shifted and mirrored image is made and embedded anew. The way that `distillDense` is held against.
 *
 * @module
 */
import { add, mul } from "../engine/ops/elementwise.ts";
import { scatterAdd } from "../engine/ops/gather.ts";
import { broadcastTo, concat, flip, slice } from "../engine/ops/shape.ts";
import { Tensor, tidy } from "../engine/tensor.ts";
import { type DistillOptions, patchCoverage } from "../pipelines/dense/distill.ts";
import { OUTSIDE, type PatchShift, shiftedPatches } from "../pipelines/dense/offsets.ts";
import type { VisionModel } from "../pipelines/models/model.ts";
import type { Grid } from "../pipelines/models/pos_embed.ts";

/** Tokens that run at once, as many as `distillDense` takes. */
const TOKENS_AT_ONCE = 2048;

/** An image `[1, channels, height, width]` with a border of the infill, wide enough for every shift. */
function onCanvas(
  pixels: Tensor,
  infill: readonly number[],
  [dy, dx]: readonly [number, number],
): Tensor {
  const { gpu, shape: [, channels, height, width] } = pixels;
  return tidy(gpu, () => {
    const colour = Tensor.from(gpu, infill, [1, channels, 1, 1]);
    const bar = (h: number, w: number) => broadcastTo(colour, [1, channels, h, w]);
    const row = dx > 0
      ? concat([bar(height, dx), pixels, bar(height, dx)], 3)
      : pixels.reshape(pixels.shape);
    if (dy === 0) return row;
    const above = bar(dy, width + 2 * dx);
    return concat([above, row, above], 2);
  });
}

/**
 * The mean over shifted and mirrored images of one image, as `distillDense` gives it: `[1, gridHeight, gridWidth, m]`.
 *
 * @param pixels `[1, channels, height, width]`
 */
export function distillEveryView(
  model: VisionModel,
  pixels: Tensor,
  { shifts, infill, batch, posInterpolation, ...dense }: DistillOptions,
): Tensor {
  const { gpu, shape: [, , height, width] } = pixels;
  const { patchSize } = model.config;
  const grid: Grid = [height / patchSize, width / patchSize];
  const patches = grid[0] * grid[1];
  const step = batch ?? Math.max(1, Math.floor(TOKENS_AT_ONCE / (patches + 1)));
  const reach = (of: (shift: PatchShift) => number) =>
    patchSize * shifts.reduce((most, shift) => Math.max(most, Math.abs(of(shift))), 0);
  const [reachY, reachX] = [reach(({ dy }) => dy), reach(({ dx }) => dx)];
  return tidy(gpu, () => {
    const canvas = onCanvas(pixels, infill, [reachY, reachX]);
    const view = ({ dy, dx, flip: isMirrored }: PatchShift) => {
      const [top, left] = [reachY + dy * patchSize, reachX + dx * patchSize];
      const rows = slice(canvas, { axis: 2, start: top, end: top + height });
      const moved = slice(rows, { axis: 3, start: left, end: left + width });
      return isMirrored ? flip(moved, [3]) : moved;
    };
    let total: Tensor | undefined;
    for (let at = 0; at < shifts.length; at += step) {
      const some = shifts.slice(at, at + step);
      const next = tidy(gpu, () => {
        const tokens = model.embedPatches(concat(some.map(view), 0));
        const map = model.denseTokens(tokens, { ...dense, posInterpolation, grid });
        const put = some.flatMap((shift) =>
          Array.from(shiftedPatches(grid, shift), (to) => to === OUTSIDE ? patches : to)
        );
        const features = map.reshape([some.length * patches, map.shape[3]]);
        const sums = scatterAdd(features, put, { size: patches + 1 });
        return total ? add(total, sums) : sums;
      });
      total?.dispose();
      total = next;
    }
    const sums = slice(total!, { axis: 0, end: patches });
    const counts = patchCoverage(grid, shifts);
    const share = Tensor.from(gpu, Float32Array.from(counts, (count) => 1 / count), [patches, 1]);
    return mul(sums, share).reshape([1, ...grid, sums.shape[1]]);
  });
}
