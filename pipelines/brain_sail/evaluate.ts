/**
 * Relevance maps against true masks.
 *
 * @module
 */
import {
  maskAuc,
  maskPearson,
  matchedAreaIou,
  pointingGame,
} from "../dense/localization_metrics.ts";
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

/** Name of a score of a map. */
export type MapScoreName = "iou" | "pearson" | "auc" | "pointing";

/** All of them. */
export const mapScoreNames: readonly MapScoreName[] = ["iou", "pearson", "auc", "pointing"];

/** How well maps find a category, as means. */
export interface MapScores {
  /** Intersection over union at matched area. */
  readonly iou: number;
  /** Pearson correlation with the mask; an image whose map is constant counts 0. */
  readonly pearson: number;
  /** Area under the ROC curve of the mask's pixels. */
  readonly auc: number;
  /** The pointing game: whether the highest value lies in the mask. */
  readonly pointing: number;
  /** Number of images with a mask to judge by. */
  readonly nImages: number;
}

/** How well the maps of one region find its category. */
export interface RegionScore extends MapScores {
  /** Each score image by image, `[nCases]`, NaN where the mask is none to judge by: units for a bootstrap. */
  readonly perImage: Readonly<Record<MapScoreName, Float64Array<ArrayBuffer>>>;
}

/** Maps and masks of {@link scoreRegion}. */
export interface RegionCase {
  /** The region's map, `[gridHeight, gridWidth]`. */
  readonly map: Float32Array;
  /** Its category's mask, `[size, size]`. */
  readonly mask: Uint8Array;
}

/** Every score of one map, upsampled to its mask; a constant map has the correlation 0. */
export function scoreMap(
  { map, mask }: RegionCase,
  { grid, size }: { readonly grid: Grid; readonly size: Grid },
): Record<MapScoreName, number> {
  const fine = upsampleMap(map, grid, size);
  return {
    iou: matchedAreaIou(fine, mask),
    pearson: maskPearson(fine, mask) || 0,
    auc: maskAuc(fine, mask),
    pointing: pointingGame(fine, mask),
  };
}

/** Scores one region over its images. */
export function scoreRegion(
  cases: readonly RegionCase[],
  sizes: { readonly grid: Grid; readonly size: Grid },
): RegionScore {
  const make = () => new Float64Array(cases.length).fill(NaN);
  const perImage = { iou: make(), pearson: make(), auc: make(), pointing: make() };
  const used: number[] = [];
  cases.forEach((one, i) => {
    if (!isJudgeable(one.mask)) return;
    used.push(i);
    const scores = scoreMap(one, sizes);
    for (const name of mapScoreNames) perImage[name][i] = scores[name];
  });
  const means = meansOf((of) => used.map((i) => perImage[of][i]));
  return { ...means, nImages: used.length, perImage };
}

function meansOf(
  valuesOf: (name: MapScoreName) => readonly number[],
): Omit<MapScores, "nImages"> {
  const mean = (name: MapScoreName) => {
    const values = valuesOf(name);
    return values.reduce((sum, value) => sum + value / values.length, 0);
  };
  return {
    iou: mean("iou"),
    pearson: mean("pearson"),
    auc: mean("auc"),
    pointing: mean("pointing"),
  };
}

/** Mean of scores, every region counting the same; regions without images are left out. */
export function meanScore(scores: readonly MapScores[]): MapScores {
  const used = scores.filter(({ nImages }) => nImages > 0);
  const nImages = used.reduce((sum, score) => sum + score.nImages, 0);
  return { ...meansOf((of) => used.map((score) => score[of])), nImages };
}
