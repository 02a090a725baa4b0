/**
 * What changing images does to predicted responses: preparing them for a screen, and small edits that set two regions apart.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import type { TargetResponses } from "../optvis/response_matrix.ts";
import type { UnitValues } from "../stats/bootstrap.ts";
import { requireTable } from "./experiment_targets.ts";

/** What a change of its images costs a region. */
export interface ResponseLoss {
  /** The region, as a column of the responses. */
  readonly region: number;
  /** Images. */
  readonly nImages: number;
  /** Mean response to its own images before. */
  readonly before: number;
  /** And after. */
  readonly after: number;
  /** What is lost, `before − after`. */
  readonly loss: number;
  /** Share of the distance from the mean of natural images (from 0 where none are given) that is kept. */
  readonly kept: number;
}

function requirePair(before: UnitValues, after: UnitValues): void {
  requireTable(before, "responses before");
  requireTable(after, "responses after");
  const [n, columns] = before.shape;
  if (after.shape[0] === n && after.shape[1] === columns) return;
  throw new InputError(
    `Cannot compare responses [${before.shape}] with [${after.shape}]: images and regions must be the same`,
  );
}

/**
 * What is lost of every region's responses to its own images when these are changed, as by preparing them for a screen.
 *
 * @param before `[nImages, nRegions]` with the target of each image; one that is not a region is passed over
 * @param after the same images, changed
 * @param natural responses to natural images, `[nNatural, nRegions]`
 * @returns regions with images of their own
 * @throws {InputError} when sizes differ
 */
export function responseLosses(
  before: TargetResponses,
  after: UnitValues,
  natural?: UnitValues,
): ResponseLoss[] {
  requirePair(before, after);
  const { shape: [n, nRegions], targets } = before;
  const meanOf = ({ data }: UnitValues, rows: readonly number[], r: number) =>
    rows.reduce((sum, i) => sum + data[i * nRegions + r], 0) / rows.length;
  return Array.from({ length: nRegions }, (_, region) => {
    const rows = Array.from({ length: n }, (_, i) => i).filter((i) => targets[i] === region);
    const all = Array.from({ length: natural?.shape[0] ?? 0 }, (_, i) => i);
    const base = natural ? meanOf(natural, all, region) : 0;
    const [was, is] = [before, after].map((responses) => meanOf(responses, rows, region));
    return {
      ...{ region, nImages: rows.length, before: was, after: is, loss: was - is },
      kept: (is - base) / (was - base),
    };
  }).filter(({ nImages }) => nImages > 0);
}

/** How far two images are apart, over their values in 0…1. */
export interface PixelChange {
  /** Root of the mean square. */
  readonly rms: number;
  /** The largest difference of one value. */
  readonly largest: number;
}

/**
 * How far an image was changed.
 *
 * @throws {InputError} when they differ in size
 */
export function pixelChange(image: ArrayLike<number>, original: ArrayLike<number>): PixelChange {
  if (image.length !== original.length || image.length === 0) {
    throw new InputError(
      `Cannot compare images of ${image.length} and ${original.length} values: they must have as many`,
    );
  }
  let squares = 0, largest = 0;
  for (let i = 0; i < image.length; i++) {
    const by = Math.abs(image[i] - original[i]);
    squares += by * by;
    largest = Math.max(largest, by);
  }
  return { rms: Math.sqrt(squares / image.length), largest };
}

/** Two regions that an image is to set apart. */
export interface RegionPair {
  /** The one that is to respond more. */
  readonly a: number;
  /** The other. */
  readonly b: number;
}

/** The regions of a contrast's name, `A-B`; nothing where it is none. Names may have hyphens of their own. */
export function contrastOf(name: string, regions: readonly string[]): RegionPair | undefined {
  for (let at = name.indexOf("-"); at >= 0; at = name.indexOf("-", at + 1)) {
    const a = regions.indexOf(name.slice(0, at)), b = regions.indexOf(name.slice(at + 1));
    if (a >= 0 && b >= 0) return { a, b };
  }
  return undefined;
}

/** What one edited image does. */
export interface ContrastChange extends RegionPair, PixelChange {
  /** Predicted response of each region less that to the original, `[nRegions]`. */
  readonly deltas: Float64Array<ArrayBuffer>;
  /** `deltas[a] − deltas[b]`: what was wanted. */
  readonly apart: number;
}

/**
 * What edits of images do to every region's predicted response, and how far pixels moved.
 *
 * @param pairs the regions that each image sets apart
 * @param edited responses to the images, `[nImages, nRegions]`
 * @param originals responses to what each was made from
 * @param pixels how far each image was changed
 * @throws {InputError} when sizes differ
 */
export function contrastChanges(
  pairs: readonly RegionPair[],
  edited: UnitValues,
  originals: UnitValues,
  pixels: readonly PixelChange[],
): ContrastChange[] {
  requirePair(edited, originals);
  const [n, nRegions] = edited.shape;
  if (pairs.length !== n || pixels.length !== n) {
    throw new InputError(
      `Cannot compare ${n} edited images: got ${pairs.length} pairs of regions and ${pixels.length} changes of pixels`,
    );
  }
  return pairs.map(({ a, b }, i) => {
    const deltas = Float64Array.from({ length: nRegions }, (_, r) => {
      const at = i * nRegions + r;
      return edited.data[at] - originals.data[at];
    });
    return { a, b, ...pixels[i], deltas, apart: deltas[a] - deltas[b] };
  });
}
