import { InputError } from "../../errors.ts";
import { hostMatrix, range } from "../host_matrix.ts";
import type { Alignment } from "./alignment.ts";
import { patchCosines, type UnitPatches, unitPatches } from "./patch_cosines.ts";
import type { TokenSource } from "./tokens.ts";

/** Images that are compared unless others are named: 4,096 patches tell a mean cosine to a hundredth. */
const MOST_IMAGES = 64;

/** How alike one layer of two networks is. */
export interface PatchAgreement {
  /** Networks. */
  readonly models: readonly [string, string];
  /** Layers of each. */
  readonly layers: readonly [string, string];
  /** Mean cosine of the same patches. */
  readonly same: number;
  /** Mean cosine of patches of different images. */
  readonly other: number;
}

/** Agreement of every pair of networks, layer by layer, and the means. */
export interface PatchAgreements {
  /** Every pair of networks at every layer that both have, the i-th with the i-th. */
  readonly pairs: readonly PatchAgreement[];
  /** Mean over pairs of the cosine of the same patches. */
  readonly same: number;
  /** Mean over pairs of the cosine of different ones. */
  readonly other: number;
  /** Their difference: a feature that is the same everywhere has a cosine of 1 and a margin of 0. */
  readonly margin: number;
}

/** Options of {@link samePatchCosines}. */
export interface SamePatchOptions {
  /** The alignment; without it features are compared as they are, the channels that both have. */
  readonly alignment?: Alignment;
  /** Rows of the images; the first 64 of the alignment's held-out ones, or of all, when left out. */
  readonly images?: ArrayLike<number>;
}

/** Patches of each slice. */
async function patchesOf(
  source: TokenSource,
  images: Uint32Array,
  alignment: Alignment | undefined,
): Promise<UnitPatches[]> {
  const nTokens = 1 + source.grid ** 2;
  const read = source.read(images);
  const out: UnitPatches[] = [];
  for (const [s, { model, layer, width }] of source.slices.entries()) {
    const patches = new Float32Array(images.length * (nTokens - 1) * width);
    for (let i = 0; i < images.length; i++) {
      const from = (i * nTokens + 1) * width;
      patches.set(read[s].subarray(from, from + (nTokens - 1) * width), i * (nTokens - 1) * width);
    }
    const matrix = hostMatrix(patches, [patches.length / width, width]);
    const aligned = alignment ? await alignment.apply(matrix, { model, layer }) : matrix;
    out.push(unitPatches(aligned, images.length));
  }
  return out;
}

function mean(values: ArrayLike<number>): number {
  return Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * Cosines between networks of the features of the same patch, and of different patches. Networks have nothing in common before
 * alignment; after it the same patch must have a cosine near 1 and different patches clearly less.
 *
 * @param source tokens of at least two networks, slices in order of networks
 * @throws {InputError} when there are not two networks with layers, or not two images
 */
export async function samePatchCosines(
  source: TokenSource,
  { alignment, images }: SamePatchOptions = {},
): Promise<PatchAgreements> {
  const all = alignment?.training.heldOut ?? range(source.nImages);
  const rows = Uint32Array.from(images ?? all.subarray(0, MOST_IMAGES));
  const models = [...new Set(source.slices.map(({ model }) => model))];
  if (models.length < 2 || rows.length < 2) {
    throw new InputError(
      `Cannot compare patches between networks: it takes 2 networks and 2 images, got ${models.length} and ${rows.length}`,
    );
  }
  const units = await patchesOf(source, rows, alignment);
  const placesOf = (model: string) =>
    source.slices.flatMap((slice, s) => slice.model === model ? [s] : []);
  const pairs: PatchAgreement[] = [];
  models.forEach((first, i) => {
    for (const second of models.slice(i + 1)) {
      const [a, b] = [placesOf(first), placesOf(second)];
      for (let l = 0; l < Math.min(a.length, b.length); l++) {
        const { same, other } = patchCosines(units[a[l]], units[b[l]]);
        pairs.push({
          models: [first, second],
          layers: [source.slices[a[l]].layer, source.slices[b[l]].layer],
          ...{ same: mean(same), other: mean(other) },
        });
      }
    }
  });
  const [same, other] = [mean(pairs.map((p) => p.same)), mean(pairs.map((p) => p.other))];
  return { pairs, same, other, margin: same - other };
}
