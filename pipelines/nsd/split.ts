/** The Natural Scenes Dataset's own split: images of one subject alone to train, shared ones to test. */

import { noiseCeiling } from "../encoding/noise_ceiling.ts";
import { InputError } from "../errors.ts";
import type { NsdResponses } from "./load_nsd.ts";

/** Some images of a subject. */
export interface NsdPart {
  /** Their rows in what `loadNsd` gave, ascending, [nImages]. */
  readonly rows: Uint32Array<ArrayBuffer>;
  /** NSD ids, [nImages]. */
  readonly nsdIds: Uint32Array<ArrayBuffer>;
  /** Number of trials behind each, [nImages]. */
  readonly nRepeats: Uint16Array<ArrayBuffer>;
  /** Responses, [nImages, nVoxels]. */
  readonly responses: Float32Array<ArrayBuffer>;
  /** Largest share of the variance of these responses that a model can explain, in [0, 1], [nVoxels]. */
  readonly noiseCeiling: Float32Array<ArrayBuffer>;
}

/** How to split. */
export interface SplitNsdOptions {
  /** Test images must have this many trials; others are left out of both parts. */
  readonly minTestRepeats?: number;
}

function partOf(nsd: NsdResponses, rows: Uint32Array<ArrayBuffer>): NsdPart {
  const nVoxels = nsd.ncsnr.length;
  const responses = new Float32Array(rows.length * nVoxels);
  const counts: Record<number, number> = {};
  const nRepeats = new Uint16Array(rows.length);
  rows.forEach((row, i) => {
    responses.set(nsd.responses.subarray(row * nVoxels, (row + 1) * nVoxels), i * nVoxels);
    nRepeats[i] = nsd.nRepeats[row];
    counts[nRepeats[i]] = (counts[nRepeats[i]] ?? 0) + 1;
  });
  return {
    rows,
    nsdIds: Uint32Array.from(rows, (row) => nsd.nsdIds[row]),
    nRepeats,
    responses,
    noiseCeiling: noiseCeiling(nsd.ncsnr, counts),
  };
}

/**
 * Splits responses into the images that only this subject saw (train) and the shared ones (test). The noise ceiling is
 * ncsnr² / (ncsnr² + mean of 1/n) over the part's images, whose numbers of repeats n may differ.
 *
 * @throws {InputError} when a part would be empty
 */
export function splitShared(
  nsd: NsdResponses,
  { minTestRepeats = 1 }: SplitNsdOptions = {},
): { train: NsdPart; test: NsdPart } {
  const all = Uint32Array.from(nsd.nsdIds.keys());
  const train = all.filter((row) => nsd.shared[row] === 0);
  const test = all.filter((row) => nsd.shared[row] === 1 && nsd.nRepeats[row] >= minTestRepeats);
  if (train.length === 0 || test.length === 0) {
    throw new InputError(
      `Cannot split the images: both parts need some, got ${train.length} to train and ` +
        `${test.length} to test (shared, with ${minTestRepeats} repeats or more) of ${all.length}`,
    );
  }
  return { train: partOf(nsd, train), test: partOf(nsd, test) };
}
