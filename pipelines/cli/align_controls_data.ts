/**
 * What `gyrus align controls` reads beside tokens.
 *
 * @module
 */
import { foldIn, randomKey } from "../../engine/random.ts";
import { lowLevelFeatures } from "../aligned_cut/control_targets.ts";
import type { Condition, ControlData, ControlRegions } from "../aligned_cut/controls.ts";
import { patchLabels } from "../aligned_cut/patch_labels.ts";
import type { PatchTruth } from "../aligned_cut/space_measures.ts";
import type { TokenSource } from "../encoding/alignment/tokens.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { openArray } from "../io/array_ref.ts";
import { openImages } from "../io/images.ts";
import { quote } from "../io/strict_json.ts";
import { permutedOrders, shiftOrders, spinOrders } from "../stats/spatial_nulls.ts";
import type { SourceOptions } from "./align_source.ts";
import { readSamples, readVector } from "./read_matrix.ts";

/** Options of `align controls`. */
export interface AlignControlsOptions extends SourceOptions {
  readonly randomModel: readonly string[];
  readonly readoutFeatures?: string;
  readonly images?: string;
  readonly labels?: string;
  readonly noiseCeiling?: string;
  readonly roi?: string;
  readonly flat?: string;
  readonly sphere: readonly string[];
  readonly permutations: number;
  readonly conditions?: readonly Condition[];
  readonly seeds: number;
  readonly nEig: number;
  readonly nClusters: number;
  readonly gamma: number;
  readonly resamples: number;
}

/** Classes of the patches of all images. */
async function readTruth(reference: string, nImages: number, grid: number): Promise<PatchTruth> {
  using rows = await openArray(reference);
  const { shape } = rows;
  if ((shape.length !== 3 && shape.length !== 4) || shape[0] !== nImages) {
    throw new InputError(
      `Cannot use ${
        quote(reference)
      } as classes: [images, height, width] or [images, classes, height, width] of ` +
        `${nImages} images are needed, its shape is [${shape}]`,
    );
  }
  const [height, width] = shape.slice(-2), size = height * width;
  const labels = new Uint8Array(nImages * grid * grid);
  let most = 1;
  for (let i = 0; i < nImages; i++) {
    const values = rows.readRows(i, i + 1);
    const own = new Uint8Array(size);
    values.forEach((value, at) => {
      if (!(Number.isInteger(value) && value >= 0 && value <= 255)) {
        throw new InputError(
          `Cannot use ${
            quote(reference)
          } as classes: whole numbers from 0 to 255 are needed, image ${i} has ${value}`,
        );
      }
      if (shape.length === 3) own[at] = value;
      else if (value > 0) own[at % size] = 1 + Math.floor(at / size);
    });
    own.forEach((label) => most = label === 255 ? most : Math.max(most, label));
    labels.set(patchLabels({ height, width, labels: own }, [grid, grid]), i * grid * grid);
  }
  return { labels, nClasses: most + 1 };
}

/** Colours and edges of the images. */
async function readLowLevel(reference: string, nImages: number): Promise<HostMatrix> {
  using images = await openImages(reference);
  if (images.n !== nImages) {
    throw new InputError(
      `Cannot use ${quote(reference)}: tokens are of ${nImages} images, there are ${images.n}`,
    );
  }
  return lowLevelFeatures((function* () {
    for (let i = 0; i < nImages; i++) yield images.read(i);
  })());
}

async function readRowsOf(
  reference: string,
  nImages: number,
): Promise<HostMatrix> {
  const samples = await readSamples(reference, "features");
  if (samples.shape[0] === nImages) return samples;
  throw new InputError(
    `Cannot use ${
      quote(reference)
    }: ${nImages} rows are needed, one for each image, its shape is [${samples.shape}]`,
  );
}

async function readCeiling(text: string | undefined, nVoxels: number) {
  if (text === undefined || text.trim() === "") return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? value : await readVector(text, nVoxels, "one for each voxel");
}

/** Regions of the voxels, and how chance lays them out. */
async function readRegions(
  { roi, flat, sphere, permutations: nPermutations, seed }: AlignControlsOptions,
  nVoxels: number,
): Promise<ControlRegions | undefined> {
  if (roi === undefined) {
    if (flat === undefined && sphere.length === 0) return undefined;
    throw new InputError("Cannot lay out regions by chance: --roi says which there are");
  }
  const regionOf = await readVector(roi, nVoxels, "one region for each voxel");
  const nRegions = 1 + regionOf.reduce((most, region) => Math.max(most, region), -1);
  if (!regionOf.every((region) => Number.isInteger(region) && region >= -1) || nRegions < 1) {
    throw new InputError(`Cannot use ${quote(roi)} as regions: whole numbers from -1 are needed`);
  }
  const key = foldIn(randomKey(seed), 3000);
  const places = async (reference: string, axes: number) => {
    const found = await readSamples(reference, "axes");
    if (found.shape[1] === axes) return found;
    throw new InputError(
      `Cannot use ${
        quote(reference)
      } as places: ${axes} axes are needed, its shape is [${found.shape}]`,
    );
  };
  const sides = await Promise.all(sphere.map((reference) => places(reference, 3)));
  const plane = flat === undefined ? undefined : await places(flat, 2);
  const counted = [...(sides.length > 0 ? [sides] : []), ...(plane ? [[plane]] : [])];
  const odd = counted.find((list) =>
    list.reduce((sum, { shape }) => sum + shape[0], 0) !== nVoxels
  );
  if (odd || counted.length > 1) {
    throw new InputError(
      `Cannot place ${nVoxels} voxels: a place for each is needed, of --flat or of all --sphere together`,
    );
  }
  const orders = sides.length > 0
    ? spinOrders(key, sides.map(({ data }) => data))
    : plane
    ? shiftOrders(key, plane.data)
    : permutedOrders(key, nVoxels);
  return { regionOf, nRegions, orders, nPermutations };
}

/** Everything that conditions need, as far as the options name it. */
export async function controlData(
  options: AlignControlsOptions,
  tokens: TokenSource,
  randomTokens: TokenSource | undefined,
): Promise<ControlData> {
  const { readoutFeatures: readout, images, labels } = options, { nImages, grid } = tokens;
  const responses = await readSamples(options.responses, "voxels");
  return {
    ...{ tokens, responses, randomTokens },
    readoutFeatures: readout === undefined ? undefined : await readRowsOf(readout, nImages),
    lowLevel: images === undefined ? undefined : await readLowLevel(images, nImages),
    noiseCeiling: await readCeiling(options.noiseCeiling, responses.shape[1]),
    truth: labels === undefined ? undefined : await readTruth(labels, nImages, grid),
    regions: await readRegions(options, responses.shape[1]),
  };
}
