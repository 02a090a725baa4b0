/**
 * Relevance maps against true masks.
 *
 * @module
 */
import { maskPearson, matchedAreaIou } from "../dense/localization_metrics.ts";
import { interpolate } from "../images/interpolate.ts";
import type { Grid } from "../models/pos_embed.ts";

/** A map brought to the size of a mask, bilinearly. */
export function upsampleMap(
  map: Float32Array | Float64Array,
  grid: Grid,
  size: Grid,
): Float64Array<ArrayBuffer> {
  const [height, width] = grid;
  const { data } = interpolate(map, {
    layout: "chw",
    channels: 1,
    height,
    width,
    size,
    mode: "bilinear",
  });
  return Float64Array.from(data);
}

/** Share of an image that a mask covers, where a map can be right or wrong about it. */
const AREAS: readonly [least: number, most: number] = [0.01, 0.75];

/** True for a mask that is neither nearly empty nor nearly everything. */
export function isJudgeable(mask: Uint8Array): boolean {
  let area = 0;
  for (const value of mask) area += value;
  return area >= AREAS[0] * mask.length && area <= AREAS[1] * mask.length;
}

/** How well the maps of one region find its category. */
export interface RegionScore {
  /** Mean intersection over union at matched area. */
  readonly iou: number;
  /** Mean Pearson correlation with the mask; an image whose map is constant counts 0. */
  readonly pearson: number;
  /** Number of images with a mask to judge by. */
  readonly nImages: number;
}

/** Maps and masks of {@link scoreRegion}. */
export interface RegionCase {
  /** The region's map, `[gridHeight, gridWidth]`. */
  readonly map: Float32Array;
  /** Its category's mask, `[size, size]`. */
  readonly mask: Uint8Array;
}

/** Scores one region over its images. */
export function scoreRegion(
  cases: readonly RegionCase[],
  { grid, size }: { readonly grid: Grid; readonly size: Grid },
): RegionScore {
  const used = cases.filter(({ mask }) => isJudgeable(mask));
  let [iou, pearson] = [0, 0];
  for (const { map, mask } of used) {
    const fine = upsampleMap(map, grid, size);
    iou += matchedAreaIou(fine, mask) / used.length;
    pearson += (maskPearson(fine, mask) || 0) / used.length;
  }
  return { iou, pearson, nImages: used.length };
}

/** Mean of scores, every region counting the same; regions without images are left out. */
export function meanScore(scores: readonly RegionScore[]): RegionScore {
  const used = scores.filter(({ nImages }) => nImages > 0);
  const mean = (of: (score: RegionScore) => number) =>
    used.reduce((sum, score) => sum + of(score) / used.length, 0);
  return {
    iou: mean((s) => s.iou),
    pearson: mean((s) => s.pearson),
    nImages: used.reduce((sum, { nImages }) => sum + nImages, 0),
  };
}
