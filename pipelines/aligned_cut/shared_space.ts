/**
 * Patches of several networks in one space, however they came there: as they are, through an alignment, or turned onto each other.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import type { Alignment } from "../encoding/alignment/alignment.ts";
import type { TokenSource } from "../encoding/alignment/tokens.ts";
import { columnMeans, type HostMatrix, hostMatrix, range } from "../encoding/host_matrix.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { generalizedProcrustes } from "../stats/procrustes.ts";

/** One layer of one network in the shared space. */
export interface SpaceSlice {
  /** Network. */
  readonly model: string;
  /** Its layer. */
  readonly layer: string;
  /** Patches image by image, row by row, `[nImages · grid², width]`; as wide in all slices. */
  readonly features: HostMatrix;
}

/** Patches of the same images in all layers of all networks. */
export interface SharedSpace {
  /** Layers of networks, network by network. */
  readonly slices: readonly SpaceSlice[];
  /** Number of images. */
  readonly nImages: number;
  /** Patches along a side. */
  readonly grid: number;
}

/** Patches of some images, without the class token: one matrix for each slice of the source. */
function patchesOf(source: TokenSource, images: ArrayLike<number>): HostMatrix[] {
  const nPatches = source.grid ** 2;
  return source.read(images).map((tokens, s) => {
    const { width } = source.slices[s];
    const out = new Float32Array(images.length * nPatches * width);
    for (let i = 0; i < images.length; i++) {
      const from = (i * (1 + nPatches) + 1) * width;
      out.set(tokens.subarray(from, from + nPatches * width), i * nPatches * width);
    }
    return hostMatrix(out, [images.length * nPatches, width]);
  });
}

function spaceOf(
  { slices, grid }: TokenSource,
  images: ArrayLike<number>,
  features: readonly HostMatrix[],
): SharedSpace {
  const named = slices.map(({ model, layer }, s) => ({ model, layer, features: features[s] }));
  return { slices: named, nImages: images.length, grid };
}

/** Features as the networks have them; those with fewer channels have zeros behind. */
export function rawSpace(source: TokenSource, images: ArrayLike<number>): SharedSpace {
  const widest = Math.max(...source.slices.map(({ width }) => width));
  const padded = patchesOf(source, images).map(({ data, shape: [n, width] }) => {
    const out = new Float32Array(n * widest);
    for (let i = 0; i < n; i++) out.set(data.subarray(i * width, (i + 1) * width), i * widest);
    return hostMatrix(out, [n, widest]);
  });
  return spaceOf(source, images, padded);
}

/** Features through the maps of an alignment. */
export async function alignedSpace(
  source: TokenSource,
  images: ArrayLike<number>,
  alignment: Alignment,
): Promise<SharedSpace> {
  const mapped: HostMatrix[] = [];
  for (const [s, patches] of patchesOf(source, images).entries()) {
    mapped.push(await alignment.apply(patches, source.slices[s]));
  }
  return spaceOf(source, images, mapped);
}

/** Patches of a layer that Procrustes analysis looks at: enough for its rotations of some hundred channels. */
const FITTED_ROWS = 4096;

/**
 * Features turned onto each other by generalised Procrustes analysis of the same patches of training images: an alignment that needs to
 * know which patch is which, and no brain. Sizes are left as they are: what is compared here are directions.
 *
 * @throws {InputError} as `generalizedProcrustes`
 */
export async function turnedSpace(
  gpu: Gpu,
  source: TokenSource,
  { train, images, nComponents, ...call }: LongCall & {
    readonly train: ArrayLike<number>;
    readonly images: ArrayLike<number>;
    readonly nComponents: number;
  },
): Promise<SharedSpace> {
  const count = Math.max(1, Math.min(train.length, Math.floor(FITTED_ROWS / source.grid ** 2)));
  const every = Uint32Array.from(
    { length: count },
    (_, i) => train[Math.floor(i * train.length / count)],
  );
  const fitted = patchesOf(source, every);
  const { maps } = await generalizedProcrustes(gpu, fitted, { nComponents, ...call });
  const features: HostMatrix[] = [];
  for (const [s, patches] of patchesOf(source, images).entries()) {
    const means = columnMeans(fitted[s], range(fitted[s].shape[0]));
    const width = patches.shape[1];
    const centred = Float32Array.from(patches.data, (value, at) => value - means[at % width]);
    using out = tidy(gpu, () => {
      const x = Tensor.from(gpu, centred, patches.shape);
      return matmul(x, Tensor.from(gpu, maps[s].data, maps[s].shape));
    });
    features.push(hostMatrix(Float32Array.from(await out.data()), [patches.shape[0], nComponents]));
  }
  return spaceOf(source, images, features);
}
