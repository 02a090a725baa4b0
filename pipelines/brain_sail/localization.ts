/**
 * How well the maps of regions find what the regions are about, with intervals over images.
 *
 * @module
 */
import { foldIn, type Key } from "../../engine/random.ts";
import type { Grid } from "../models/pos_embed.ts";
import { areaAverage, type PixelField } from "../images/image_properties.ts";
import type { Interval } from "../report/numbers.ts";
import { bootstrapDifferences, bootstrapMeans, quantileOf } from "../stats/bootstrap.ts";
import { type MapScoreName, mapScoreNames } from "./evaluate.ts";

/** The category of regions, by the field's names of them; parts of a region (FFA-1) count as it. */
export const ROI_CATEGORIES: Readonly<Record<string, string>> = {
  OFA: "face",
  FFA: "face",
  "mTL-faces": "face",
  "aTL-faces": "face",
  EBA: "body",
  FBA: "body",
  "mTL-bodies": "body",
  OPA: "place",
  PPA: "place",
  RSC: "place",
  OWFA: "word",
  VWFA: "word",
  "mfs-words": "word",
  "mTL-words": "word",
  food: "food",
};

/** The category of a region, hemisphere and part left aside; undefined where the name says none. */
export function categoryOf(
  roi: string,
  named: Readonly<Record<string, string>> = {},
): string | undefined {
  return named[roi] ?? ROI_CATEGORIES[roi.replace(/^[lr]h\./, "").replace(/-[12]$/, "")];
}

/** A way of making maps. */
export type MapMethodName = "distilled" | "plain" | "chance" | "whole image";

/** Ways of making maps that are compared. */
export const mapMethods: readonly MapMethodName[] = ["distilled", "plain", "chance", "whole image"];

/** What each of {@link mapMethods} is. */
export const mapMethodsAbout: Readonly<Record<MapMethodName, string>> = {
  "distilled": "mean over shifted and mirrored views",
  "plain": "the image alone",
  "chance": "the region's distilled map of another image",
  "whole image": "the class token alone: one prediction an image, the same everywhere",
};

/** Scores of one region's maps. */
export interface RegionLocalization {
  /** The region; the last of a table is the mean over regions. */
  readonly name: string;
  /** The category whose masks it is judged by. */
  readonly category: string;
  /** Images with a mask to judge by. */
  readonly nImages: number;
  /** Means over them by method and score. */
  readonly scores: Readonly<Record<MapMethodName, Readonly<Record<MapScoreName, Interval>>>>;
  /** Distilled minus plain, image by image. */
  readonly gain: Readonly<Record<MapScoreName, Interval>>;
  /** The same scores of distilled maps of encoders of shuffled responses: mean and the middle 95 % over shuffles; NaN without any. */
  readonly shuffled: Readonly<Record<MapScoreName, Interval>>;
  /** `(1 + shuffles at least as good) / (1 + shuffles)` of the distilled maps. */
  readonly pValues: Readonly<Record<MapScoreName, number>>;
}

/** Longest side of a mask that maps are judged at; larger ones are brought to it. */
const MOST_PIXELS = 128;

/** A mask of at most {@link MOST_PIXELS} a side: a pixel is inside where at least half of it is. */
export function coarseMask({ data, size }: PixelField<Uint8Array>): PixelField<Uint8Array> {
  if (Math.max(...size) <= MOST_PIXELS) return { data, size };
  const scale = MOST_PIXELS / Math.max(...size);
  const to: Grid = [
    Math.max(1, Math.round(size[0] * scale)),
    Math.max(1, Math.round(size[1] * scale)),
  ];
  const share = areaAverage({ data, size }, to);
  return { data: Uint8Array.from(share, (s) => Number(s >= 0.5)), size: to };
}

/** Mean of what is there; NaN of nothing. */
function meanOf(values: readonly number[]): number {
  const known = values.filter((value) => !Number.isNaN(value));
  return known.length === 0 ? NaN : known.reduce((sum, value) => sum + value, 0) / known.length;
}

/** Collects the scores of maps, image by image. */
export class LocalizationScores {
  readonly #regions: readonly { readonly name: string; readonly category: string }[];
  readonly #nImages: number;
  /** `[nImages, (regions + 1) × methods]` of each score; the last region is the mean of the image's others. */
  readonly #values: Readonly<Record<MapScoreName, Float64Array<ArrayBuffer>>>;
  /** `[nImages, regions]` of each shuffle and score. */
  readonly #shuffled: Readonly<Record<MapScoreName, Float64Array<ArrayBuffer>>>[];

  /** For these regions and so many images. */
  constructor(
    regions: readonly { readonly name: string; readonly category: string }[],
    nImages: number,
    nShuffles = 0,
  ) {
    this.#regions = regions;
    this.#nImages = nImages;
    const make = () =>
      new Float64Array(nImages * (regions.length + 1) * mapMethods.length).fill(NaN);
    this.#values = { iou: make(), pearson: make(), auc: make(), pointing: make() };
    const small = () => new Float64Array(nImages * regions.length).fill(NaN);
    this.#shuffled = Array.from(
      { length: nShuffles },
      () => ({ iou: small(), pearson: small(), auc: small(), pointing: small() }),
    );
  }

  /** Adds the scores of a region's map of one shuffle. */
  addShuffled(
    image: number,
    region: number,
    shuffle: number,
    scores: Readonly<Record<MapScoreName, number>>,
  ): void {
    const at = image * this.#regions.length + region;
    for (const name of mapScoreNames) this.#shuffled[shuffle][name][at] = scores[name];
  }

  /** Adds the scores of a region's map in one image. */
  add(
    image: number,
    region: number,
    method: MapMethodName,
    scores: Readonly<Record<MapScoreName, number>>,
  ): void {
    const at = this.#at(image, region, method);
    for (const name of mapScoreNames) this.#values[name][at] = scores[name];
  }

  #at(image: number, region: number, method: MapMethodName): number {
    const columns = (this.#regions.length + 1) * mapMethods.length;
    return image * columns + region * mapMethods.length + mapMethods.indexOf(method);
  }

  /** Means of every shuffle, of a region or (last) of the means of an image's regions. */
  #shuffledMeans(region: number, name: MapScoreName): number[] {
    const k = this.#regions.length;
    return this.#shuffled.map(({ [name]: values }) => {
      const perImage = Array.from({ length: this.#nImages }, (_, i) => {
        const row = values.subarray(i * k, (i + 1) * k);
        return region < k ? row[region] : meanOf(Array.from(row));
      });
      return meanOf(perImage);
    });
  }

  /** Means of an image's regions, as one more region. */
  #addMeans(): void {
    const all = this.#regions.length;
    for (let i = 0; i < this.#nImages; i++) {
      for (const method of mapMethods) {
        for (const name of mapScoreNames) {
          const values = this.#regions.map((_, r) => this.#values[name][this.#at(i, r, method)]);
          this.#values[name][this.#at(i, all, method)] = meanOf(values);
        }
      }
    }
  }

  /** What shuffled responses reach, and how seldom it is as much. */
  #control(
    region: number,
    observed: (name: MapScoreName) => number,
    perScore: <T>(of: (name: MapScoreName) => T) => Record<MapScoreName, T>,
  ): Pick<RegionLocalization, "shuffled" | "pValues"> {
    const means = perScore((name) => this.#shuffledMeans(region, name).sort((a, b) => a - b));
    return {
      shuffled: perScore((name): Interval => ({
        mean: meanOf(means[name]),
        low: quantileOf(means[name], 0.025),
        high: quantileOf(means[name], 0.975),
      })),
      pValues: perScore((name) => {
        const best = means[name].filter((mean) => mean >= observed(name)).length;
        return Number.isNaN(observed(name)) ? NaN : (1 + best) / (1 + means[name].length);
      }),
    };
  }

  /**
   * The table: means over images with 95 % percentile bootstrap intervals; images are drawn together for all entries.
   */
  table(
    { key, nResamples }: { readonly key: Key; readonly nResamples: number },
  ): RegionLocalization[] {
    this.#addMeans();
    const rows = [...this.#regions, { name: "mean", category: "" }];
    const columns = rows.length * mapMethods.length;
    const draw = { key: foldIn(key, 0), nResamples };
    const pairs = rows.map((_, r): readonly [number, number] => [
      r * mapMethods.length,
      r * mapMethods.length + 1,
    ]);
    const byScore = Object.fromEntries(mapScoreNames.map((name) => {
      const values = { data: this.#values[name], shape: [this.#nImages, columns] as const };
      const means = bootstrapMeans(values, draw);
      return [name, { means, gains: bootstrapDifferences(values, pairs, draw) }];
    }));
    const interval = (of: typeof byScore[string]["means"], i: number): Interval => ({
      mean: of.mean[i],
      low: of.low[i],
      high: of.high[i],
    });
    const perScore = <T>(of: (name: MapScoreName) => T) =>
      Object.fromEntries(mapScoreNames.map((name) => [name, of(name)])) as Record<MapScoreName, T>;
    return rows.map(({ name, category }, r) => ({
      name,
      category,
      nImages: byScore.iou.means.nUnits[r * mapMethods.length],
      scores: Object.fromEntries(mapMethods.map((method, m) => [
        method,
        perScore((score) => interval(byScore[score].means, r * mapMethods.length + m)),
      ])) as RegionLocalization["scores"],
      gain: perScore((score) => interval(byScore[score].gains, r)),
      ...this.#control(r, (score) => byScore[score].means.mean[r * mapMethods.length], perScore),
    }));
  }
}
