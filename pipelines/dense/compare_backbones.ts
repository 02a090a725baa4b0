/**
 * Maps of the same regions from two networks side by side: how much they agree, and how much of each is low-level looks.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { interpolate } from "../images/interpolate.ts";
import type { Grid } from "../models/pos_embed.ts";
import { pinvHost } from "../stats/svd.ts";

/** Relevance maps of regions in images. */
export interface RoiMaps {
  /** `[nImages, nRois, gridHeight, gridWidth]` */
  readonly data: Float32Array | Float64Array;
  /** Number of regions. */
  readonly nRois: number;
  /** Patch grid. */
  readonly grid: Grid;
}

/** A number for each region in each image, with means. */
export interface RoiComparison {
  /** `[nImages, nRois]`; NaN where a map is constant and nothing can be said. */
  readonly perImage: Float64Array<ArrayBuffer>;
  /** Mean over the images where something can be said, `[nRois]`; NaN where there are none. */
  readonly mean: Float64Array<ArrayBuffer>;
}

/** A value that varies by less than this share of its largest is constant: that is rounding of f32. */
const CONSTANT = 1e-6;
/** Directions of fields with less than this share of their variance are copies of others. */
const LEAST_SHARE = 1e-10;

function imagesOf({ data, nRois, grid: [height, width] }: RoiMaps): number {
  const nImages = data.length / (nRois * height * width);
  if (Number.isInteger(nImages) && nImages > 0 && height * width > 1) return nImages;
  throw new InputError(
    `Cannot compare ${data.length} values as maps of ${nRois} regions on ${height}x${width} patches: ` +
      "they must be whole images, with two patches or more",
  );
}

/** Values with mean 0 and length 1; undefined where they are constant. */
function unitOf(values: ArrayLike<number>): Float64Array<ArrayBuffer> | undefined {
  const n = values.length;
  let [total, least, most, largest] = [0, Infinity, -Infinity, 0];
  for (let i = 0; i < n; i++) {
    total += values[i];
    least = Math.min(least, values[i]);
    most = Math.max(most, values[i]);
    largest = Math.max(largest, Math.abs(values[i]));
  }
  if (!Number.isFinite(total)) {
    throw new InputError("Cannot compare maps: a value is not finite");
  }
  if (most - least <= CONSTANT * largest) return undefined;
  const centred = Float64Array.from(values, (value) => value - total / n);
  const length = Math.sqrt(centred.reduce((sum, value) => sum + value * value, 0));
  return centred.map((value) => value / length);
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

function withMeans(perImage: Float64Array<ArrayBuffer>, nRois: number): RoiComparison {
  const mean = Float64Array.from({ length: nRois }, (_, r) => {
    const known = perImage.filter((value, at) => at % nRois === r && !Number.isNaN(value));
    return known.reduce((sum, value) => sum + value, 0) / known.length;
  });
  return { perImage, mean };
}

/**
 * Agreement of two networks: Pearson correlation of their maps of a region in an image, both brought bilinearly to one grid.
 *
 * @param options.grid the common grid; by default the finer one of both along each axis
 * @throws {InputError} when the maps are not of the same images and regions, or a value is not finite
 */
export function compareMaps(
  a: RoiMaps,
  b: RoiMaps,
  { grid = [Math.max(a.grid[0], b.grid[0]), Math.max(a.grid[1], b.grid[1])] }: { grid?: Grid } = {},
): RoiComparison {
  const nImages = imagesOf(a);
  if (imagesOf(b) !== nImages || a.nRois !== b.nRois) {
    throw new InputError(
      `Cannot compare maps of ${nImages} images and ${a.nRois} regions with ${
        imagesOf(b)
      } images and ${b.nRois} regions: they must be the same ones`,
    );
  }
  const perImage = new Float64Array(nImages * a.nRois);
  for (let at = 0; at < perImage.length; at++) {
    const [x, y] = [a, b].map((maps) => unitOf(resampled(maps, at, grid)));
    perImage[at] = x && y ? Math.max(-1, Math.min(1, dot(x, y))) : NaN;
  }
  return withMeans(perImage, a.nRois);
}

function resampled({ data, grid: [height, width] }: RoiMaps, at: number, size: Grid): Float64Array {
  const map = data.subarray(at * height * width, (at + 1) * height * width);
  if (height === size[0] && width === size[1]) return Float64Array.from(map);
  const options = { layout: "chw", channels: 1, height, width, size, mode: "bilinear" } as const;
  return interpolate(map, options).data;
}

/**
 * Low-level sensitivity: the share of a map's variance over the patches of an image that a linear regression on the image's own low-level
 * fields explains (R², with an intercept). Fields that are constant or copies of others add nothing. A map that has nothing to do with
 * `p` fields is expected to have `p / (nPatches − 1)`, so compare networks on one grid.
 *
 * @param fields of each image, `[nFields, nPatches]` on the grid of the maps, as `lowLevelFields` gives them
 * @throws {InputError} when there are not as many fields as the maps' images and patches, or a value is not finite
 */
export function lowLevelSensitivity(
  maps: RoiMaps,
  fields: readonly ArrayLike<number>[],
): RoiComparison {
  const nImages = imagesOf(maps), { nRois } = maps;
  const nPatches = maps.grid[0] * maps.grid[1];
  const bad = fields.find(({ length }) => length === 0 || length % nPatches !== 0);
  if (fields.length !== nImages || bad) {
    throw new InputError(
      `Cannot explain maps of ${nImages} images by fields of ${fields.length}${
        bad ? `, one with ${bad.length} values` : ""
      }: every image needs fields of ${nPatches} patches`,
    );
  }
  const perImage = new Float64Array(nImages * nRois).fill(NaN);
  fields.forEach((values, image) => {
    const rows = Array.from(
      { length: values.length / nPatches },
      (_, f) => unitOf(Array.from({ length: nPatches }, (_, i) => values[f * nPatches + i])),
    )
      .filter((row) => row !== undefined);
    const p = rows.length;
    const overlap = rows.flatMap((x) => rows.map((y) => dot(x, y)));
    const inverse = p > 0 ? pinvHost(overlap, [p, p], { rcond: LEAST_SHARE }) : new Float64Array();
    for (let r = 0; r < nRois; r++) {
      const at = image * nRois + r;
      const map = unitOf(maps.data.subarray(at * nPatches, (at + 1) * nPatches));
      if (!map) continue;
      const shared = rows.map((row) => dot(row, map));
      let explained = 0;
      shared.forEach((x, i) => shared.forEach((y, j) => explained += x * inverse[i * p + j] * y));
      perImage[at] = Math.max(0, Math.min(1, explained));
    }
  });
  return withMeans(perImage, nRois);
}
