import { foldIn, type Key, randomBit32, randomKey } from "../../../engine/random.ts";
import { InputError } from "../../errors.ts";
import { hostMatrix, range } from "../host_matrix.ts";
import type { Alignment } from "./alignment.ts";
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
  /** Mean cosine of each patch with a random one of another image. */
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
  /** Which patches are paired with others. */
  readonly key?: Key;
}

/** Unit vectors of the patches of each slice, `[images · patches, width]`. */
async function unitPatches(
  source: TokenSource,
  images: Uint32Array,
  alignment: Alignment | undefined,
): Promise<{ data: Float32Array; width: number }[]> {
  const nTokens = 1 + source.grid ** 2;
  const read = source.read(images);
  const out: { data: Float32Array; width: number }[] = [];
  for (const [s, { model, layer, width }] of source.slices.entries()) {
    const patches = new Float32Array(images.length * (nTokens - 1) * width);
    for (let i = 0; i < images.length; i++) {
      const from = (i * nTokens + 1) * width;
      patches.set(read[s].subarray(from, from + (nTokens - 1) * width), i * (nTokens - 1) * width);
    }
    const matrix = hostMatrix(patches, [patches.length / width, width]);
    const { data, shape } = alignment ? await alignment.apply(matrix, { model, layer }) : matrix;
    for (let row = 0; row < shape[0]; row++) {
      const part = data.subarray(row * shape[1], (row + 1) * shape[1]);
      const length = Math.sqrt(part.reduce((sum, x) => sum + x * x, 0)) || 1;
      part.forEach((x, d) => part[d] = x / length);
    }
    out.push({ data, width: shape[1] });
  }
  return out;
}

/** For each patch, one of another image. */
function partnersOf(nImages: number, nPatches: number, key: Key): Uint32Array {
  return Uint32Array.from({ length: nImages * nPatches }, (_, at) => {
    const draw = (i: number, n: number) =>
      Math.floor(randomBit32(foldIn(key, i), at) / 2 ** 32 * n);
    const image = (Math.floor(at / nPatches) + 1 + draw(0, nImages - 1)) % nImages;
    return image * nPatches + draw(1, nPatches);
  });
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
  { alignment, images, key = randomKey(0) }: SamePatchOptions = {},
): Promise<PatchAgreements> {
  const all = alignment?.training.heldOut ?? range(source.nImages);
  const rows = Uint32Array.from(images ?? all.subarray(0, MOST_IMAGES));
  const models = [...new Set(source.slices.map(({ model }) => model))];
  if (models.length < 2 || rows.length < 2) {
    throw new InputError(
      `Cannot compare patches between networks: it takes 2 networks and 2 images, got ${models.length} and ${rows.length}`,
    );
  }
  const units = await unitPatches(source, rows, alignment);
  const partners = partnersOf(rows.length, source.grid ** 2, key);
  const placesOf = (model: string) =>
    source.slices.flatMap((slice, s) => slice.model === model ? [s] : []);
  const pairs: PatchAgreement[] = [];
  models.forEach((first, i) => {
    for (const second of models.slice(i + 1)) {
      const [a, b] = [placesOf(first), placesOf(second)];
      for (let l = 0; l < Math.min(a.length, b.length); l++) {
        pairs.push({
          models: [first, second],
          layers: [source.slices[a[l]].layer, source.slices[b[l]].layer],
          ...agreement(units[a[l]], units[b[l]], partners),
        });
      }
    }
  });
  const mean = (of: (pair: PatchAgreement) => number) =>
    pairs.reduce((sum, pair) => sum + of(pair), 0) / pairs.length;
  const [same, other] = [mean((pair) => pair.same), mean((pair) => pair.other)];
  return { pairs, same, other, margin: same - other };
}

function agreement(
  a: { readonly data: Float32Array; readonly width: number },
  b: { readonly data: Float32Array; readonly width: number },
  partners: Uint32Array,
): { same: number; other: number } {
  const width = Math.min(a.width, b.width);
  let [same, other] = [0, 0];
  partners.forEach((partner, row) => {
    for (let d = 0; d < width; d++) {
      const x = a.data[row * a.width + d];
      same += x * b.data[row * b.width + d];
      other += x * b.data[partner * b.width + d];
    }
  });
  return { same: same / partners.length, other: other / partners.length };
}
