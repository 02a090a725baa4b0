/**
 * Claims about whole models as ratios within one run, on the phantom's CLIP.
 *
 * @module
 */
import type { Gpu } from "../engine/gpu.ts";
import { mul } from "../engine/ops/elementwise.ts";
import { gather, scatterAdd } from "../engine/ops/gather.ts";
import { concat, slice } from "../engine/ops/shape.ts";
import { normal, randomKey } from "../engine/random.ts";
import { Tensor, tidy } from "../engine/tensor.ts";
import { distillDense, patchCoverage } from "../pipelines/dense/distill.ts";
import { whiteInfill } from "../pipelines/dense/features.ts";
import {
  OUTSIDE,
  type PatchShift,
  patchShifts,
  shiftedPatches,
} from "../pipelines/dense/offsets.ts";
import type { VisionModel } from "../pipelines/models/model.ts";
import { loadPhantomNet } from "../pipelines/phantom/nets.ts";
import { compare, type Ratio } from "./ratios.ts";
import type { TimeOptions } from "./time.ts";

const SIZE = 128; // pixels, as the demo's maps
const VIEWS = 17;

/** Views of one image, `[views, 3, size, size]`, each shifted and mirrored pixel by pixel, white outside. */
function shiftedImages(
  pixels: Tensor,
  shifts: readonly PatchShift[],
  { patchSize, infill }: { patchSize: number; infill: readonly number[] },
): Tensor {
  const { gpu, shape: [, channels, size] } = pixels;
  const shiftPixels = shifts.map(({ dy, dx, flip }) => ({
    dy: dy * patchSize,
    dx: dx * patchSize,
    flip,
  }));
  const index = shiftPixels.flatMap((shift) =>
    Array.from(shiftedPatches([size, size], shift), (at) => at === OUTSIDE ? size * size : at)
  );
  const white = Tensor.from(gpu, infill, [channels, 1]);
  const table = concat([pixels.reshape([channels, size * size]), white], 1);
  const views = shifts.map((_, v) => {
    const own = index.slice(v * size * size, (v + 1) * size * size);
    return gather(table, own, { axis: 1 }).reshape([1, channels, size, size]);
  });
  return concat(views, 0);
}

/** Distillation that embeds the patches of every view anew. */
function distillFromPixels(
  model: VisionModel,
  pixels: Tensor,
  shifts: readonly PatchShift[],
): Tensor {
  const { gpu, shape: [, , size] } = pixels;
  const { patchSize } = model.config;
  const grid = [size / patchSize, size / patchSize] as const;
  const patches = grid[0] * grid[1];
  return tidy(gpu, () => {
    const infill = whiteInfill(model.family);
    const views = shiftedImages(pixels, shifts, { patchSize, infill });
    const tokens = model.embedPatches(views);
    const features = model.denseTokens(tokens, { grid: [...grid] }).reshape([
      shifts.length * patches,
      -1,
    ]);
    const put = shifts.flatMap((shift) =>
      Array.from(shiftedPatches([...grid], shift), (at) => at === OUTSIDE ? patches : at)
    );
    const sums = slice(scatterAdd(features, put, { size: patches + 1 }), { axis: 0, end: patches });
    const counts = patchCoverage([...grid], shifts);
    const share = Tensor.from(gpu, Float32Array.from(counts, (count) => 1 / count), [patches, 1]);
    return mul(sums, share).reshape([1, ...grid, sums.shape[1]]);
  });
}

/** Patch embedding of every view against once and gathered, alone and in the whole distillation. */
export async function* modelRatios(gpu: Gpu, options: TimeOptions = {}): AsyncGenerator<Ratio> {
  using model = await loadPhantomNet(gpu, "clip");
  using pixels = Tensor.from(gpu, normal(randomKey(6), 3 * SIZE * SIZE), [1, 3, SIZE, SIZE]);
  const side = SIZE / model.config.patchSize;
  const shifts = patchShifts([side, side], VIEWS);
  const infill = whiteInfill(model.family);
  yield await compare(gpu, {
    name: `distillation of ${VIEWS} views, ${side}² patches: embedded each / once`,
    plain: () => distillFromPixels(model, pixels, shifts),
    ours: () => distillDense(model, pixels, { shifts, infill, batch: VIEWS }),
    tolerance: 1e-4, // four blocks of sums in another order
  }, options);
}
