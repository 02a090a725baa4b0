/**
 * Learning-free distillation of dense features (BrainSAIL, arXiv 2410.05266): a model sees an image under whole-patch shifts and
 * mirrorings, its patch features go back to the patches they belong to, and their mean has less of the artefacts that belong to
 * positions than to content.
 *
 * @module
 */
import { add, mul } from "../../engine/ops/elementwise.ts";
import { gather, scatterAdd } from "../../engine/ops/gather.ts";
import { concat, flip, slice } from "../../engine/ops/shape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import type { VisionModel } from "../models/model.ts";
import type { Grid, PosEmbedConvention } from "../models/pos_embed.ts";
import type { DenseOptions } from "../models/vit.ts";
import { OUTSIDE, type PatchShift, shiftedPatches } from "./offsets.ts";

/** Options of {@link distillDense}. */
export interface DistillOptions extends DenseOptions {
  /** The augmentations, from `patchShifts`. */
  readonly shifts: readonly PatchShift[];
  /**
   * Colour of what lies outside the image, one value per channel as the model takes it (normalised). BrainSAIL's is white:
   * `(1 − mean) / std`.
   */
  readonly infill: readonly number[];
  /** How positions are brought to the grid; the model's own choice when left out. */
  readonly posInterpolation?: PosEmbedConvention | "auto";
  /** Augmentations that run at once; as many as make about 2048 tokens when left out. */
  readonly batch?: number;
}

/** Tokens that fill a device without filling its memory. */
const TOKENS_AT_ONCE = 2048;

/** Where the patches of an augmentation come from and where its features go. */
interface Route {
  /** Row of the table of embeddings for each cell. */
  readonly take: Uint32Array;
  /** Patch that each cell's feature belongs to; the number of patches for those outside. */
  readonly put: Uint32Array;
}

/**
 * Routes through a table of the image's patches, then the mirrored image's, then one patch of infill.
 */
function routeOf(grid: Grid, shift: PatchShift): Route {
  const [rows, columns] = grid;
  const patches = rows * columns;
  const source = shiftedPatches(grid, shift);
  const take = Uint32Array.from(source, (patch) => {
    if (patch === OUTSIDE) return 2 * patches;
    if (!shift.flip) return patch;
    const column = patch % columns;
    return patches + patch - column + columns - 1 - column;
  });
  return { take, put: Uint32Array.from(source, (p) => p === OUTSIDE ? patches : p) };
}

/** How many of the augmentations show each patch, `[patches]`. */
export function patchCoverage(grid: Grid, shifts: readonly PatchShift[]): Uint32Array {
  const counts = new Uint32Array(grid[0] * grid[1]);
  for (const shift of shifts) {
    for (const patch of shiftedPatches(grid, shift)) if (patch !== OUTSIDE) counts[patch]++;
  }
  return counts;
}

function checkShifts(grid: Grid, shifts: readonly PatchShift[]): Uint32Array {
  const counts = patchCoverage(grid, shifts);
  const missed = counts.indexOf(0);
  if (missed >= 0) {
    throw new InputError(
      `Cannot distil over ${shifts.length} shifts: every patch must be seen, patch ${missed} of ${
        grid.join("x")
      } never is`,
    );
  }
  return counts;
}

/**
 * Dense features of images, averaged over shifted and mirrored copies: `[n, gridHeight, gridWidth, m]`, raw (not normalised).
 *
 * Shifts by whole patches commute with the patch embedding, so the patches of the image, of its mirror image and one of infill are
 * embedded once and gathered for every augmentation; features of cells outside the image are dropped, the others are summed in
 * their patch and divided by how often it was seen.
 *
 * @param pixels `[n, channels, height, width]`, preprocessed as the model wants
 * @throws {InputError} when the sides are not multiples of the patch size, or a patch is seen by no augmentation
 */
export function distillDense(
  model: VisionModel,
  pixels: Tensor,
  { shifts, infill, batch, posInterpolation, ...dense }: DistillOptions,
): Tensor {
  const { patchSize, channels } = model.config;
  const { gpu, shape: [n, , height, width] } = pixels;
  return tidy(gpu, () => {
    const straight = model.embedPatches(pixels);
    const mirrored = model.embedPatches(flip(pixels, [3]));
    const grid: Grid = [height / patchSize, width / patchSize];
    const patches = grid[0] * grid[1];
    const counts = checkShifts(grid, shifts);
    if (infill.length !== channels) {
      throw new InputError(
        `Cannot fill with ${infill.length} values: the model has ${channels} channels`,
      );
    }
    const white = model.embedPatches(plainPatch(pixels, infill, patchSize));
    const routes = shifts.map((shift) => routeOf(grid, shift));
    const step = batch ?? Math.max(1, Math.floor(TOKENS_AT_ONCE / (patches + 1)));
    const share = Tensor.from(gpu, Float32Array.from(counts, (count) => 1 / count), [patches, 1]);
    const maps: Tensor[] = [];
    for (let i = 0; i < n; i++) {
      const table = tidy(gpu, () => {
        const one = (x: Tensor) => slice(x, { axis: 0, start: i, end: i + 1 });
        const rows = concat([one(straight), one(mirrored), white], 1);
        return rows.reshape([2 * patches + 1, rows.shape[2]]);
      });
      const run = { model, table, grid, routes, step, options: { ...dense, posInterpolation } };
      maps.push(tidy(gpu, () => {
        const total = sumRoutes(run);
        const seen = slice(total, { axis: 0, end: patches });
        return mul(seen, share).reshape([1, ...grid, total.shape[1]]);
      }));
      table.dispose();
    }
    return concat(maps, 0);
  });
}

/** One patch of a colour, `[1, channels, patchSize, patchSize]`. */
function plainPatch({ gpu, dtype }: Tensor, color: readonly number[], patchSize: number): Tensor {
  const area = patchSize * patchSize;
  const values = Float32Array.from(
    { length: color.length * area },
    (_, i) => color[Math.floor(i / area)],
  );
  return Tensor.from(gpu, values, [1, color.length, patchSize, patchSize], { dtype });
}

interface Run {
  readonly model: VisionModel;
  readonly table: Tensor;
  readonly grid: Grid;
  readonly routes: readonly Route[];
  readonly step: number;
  readonly options: DenseOptions & Pick<DistillOptions, "posInterpolation">;
}

/** Sums of the features of every patch, and last those of all infill: `[patches + 1, m]`. */
function sumRoutes({ model, table, grid, routes, step, options }: Run): Tensor {
  const patches = grid[0] * grid[1];
  const { gpu } = table;
  let total: Tensor | undefined;
  for (let at = 0; at < routes.length; at += step) {
    const some = routes.slice(at, at + step);
    const next = tidy(gpu, () => {
      const join = (key: "take" | "put") => some.flatMap((route) => [...route[key]]);
      const tokens = gather(table, join("take")).reshape([some.length, patches, table.shape[1]]);
      const dense = model.denseTokens(tokens, { ...options, grid });
      const features = dense.reshape([some.length * patches, dense.shape[3]]);
      const sums = scatterAdd(features, join("put"), { size: patches + 1 });
      return total ? add(total, sums) : sums;
    });
    total?.dispose();
    total = next;
  }
  return total!;
}
