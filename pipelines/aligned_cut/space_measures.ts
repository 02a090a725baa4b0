/**
 * What an alignment is judged by, image by image, so that any two ways to come to a shared space can be compared on the same images.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { type Key, randomKey } from "../../engine/random.ts";
import { patchCosines, unitPatches } from "../encoding/alignment/patch_cosines.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { kwayNcut } from "../spectral/kway.ts";
import { Ncut } from "../spectral/ncut.ts";
import type { UnitValues } from "../stats/bootstrap.ts";
import { adjustedRandIndex } from "../stats/partitions.ts";
import { joinGraph } from "./joint_graph.ts";
import { conceptAreas } from "./measured_maps.ts";
import {
  bestOf,
  classCenters,
  imageScores,
  scoreCenters,
  type SegmentationData,
} from "./oracle_segmentation.ts";
import type { SharedSpace } from "./shared_space.ts";

/** Classes of patches that are known. */
export interface PatchTruth {
  /** 0 the background, 255 for none, `[nImages · grid²]`. */
  readonly labels: ArrayLike<number>;
  /** Number of classes, the background included. */
  readonly nClasses: number;
}

/** The classes of some images. */
export function takeTruth(
  { labels, nClasses }: PatchTruth,
  images: ArrayLike<number>,
  nPatches: number,
): PatchTruth {
  return {
    nClasses,
    labels: Uint8Array.from(
      { length: images.length * nPatches },
      (_, at) => labels[images[Math.floor(at / nPatches)] * nPatches + at % nPatches],
    ),
  };
}

/** Options of {@link measureSpace}. */
export interface SpaceMeasureOptions extends LongCall {
  /** Randomness of the cut. */
  readonly key?: Key;
  /** Eigenvectors of the joint cut; 10 of them in the paper's segmentation. */
  readonly nEig?: number;
  /** Concepts that the joint graph is cut into. */
  readonly nClusters?: number;
  /** Scale of the cosine affinity. */
  readonly gamma?: number;
  /** Classes of the patches, for the measures that need them. */
  readonly truth?: PatchTruth;
}

/** Names of the measures, in the order of the columns. */
export type MeasureName = "cosine" | "margin" | "agreement" | "truth" | "segmentation";

/** What each measure is, for tables. */
export const measureTitles: Readonly<Record<MeasureName, string>> = {
  cosine: "cosine of the same patch in two networks",
  margin: "the same, less that of different patches",
  agreement: "ARI of joint concepts between networks",
  truth: "ARI of joint concepts with the classes, last layers",
  segmentation: "mIoU of classes, last layers, centres from other images",
};

/** Measures of a space. */
export interface SpaceMeasures {
  /** Names of the columns. */
  readonly names: readonly MeasureName[];
  /** A row for each image; NaN where an image says nothing. */
  readonly values: UnitValues;
  /** Share of each image that each joint concept covers, mean over the last layers, `[nImages, nClusters]`. */
  readonly areas: HostMatrix;
}

type Pair = readonly [a: number, b: number];

/** Slices of every two networks, the i-th layer with the i-th. */
function pairsOf({ slices }: SharedSpace): Pair[] {
  const models = [...new Set(slices.map(({ model }) => model))];
  const places = models.map((name) => slices.flatMap(({ model }, s) => model === name ? [s] : []));
  return places.flatMap((a, i) =>
    places.slice(i + 1).flatMap((b) =>
      Array.from({ length: Math.min(a.length, b.length) }, (_, l): Pair => [a[l], b[l]])
    )
  );
}

/** The last layer of each network. */
function lastSlices({ slices }: SharedSpace): number[] {
  return slices.flatMap(({ model }, s) =>
    slices.findLastIndex((slice) => slice.model === model) === s ? [s] : []
  );
}

/**
 * Mean cosine, over an image, of its patches in one network with the same ones in another; and less their mean cosine with all patches
 * of all other images, both ways.
 */
function cosines(
  { nImages, slices }: SharedSpace,
  pairs: readonly Pair[],
): { readonly cosine: Float64Array; readonly margin: Float64Array } {
  const units = slices.map(({ features }) => unitPatches(features, nImages));
  const cosine = new Float64Array(nImages), margin = new Float64Array(nImages);
  for (const [a, b] of pairs) {
    const { same, other } = patchCosines(units[a], units[b]);
    for (let i = 0; i < nImages; i++) {
      cosine[i] += same[i] / pairs.length;
      margin[i] += (same[i] - other[i]) / pairs.length;
    }
  }
  return { cosine, margin };
}

/** Mean of each image over slices. */
function imageMeans(nImages: number, values: readonly ArrayLike<number>[]): Float64Array {
  return Float64Array.from(
    { length: nImages },
    (_, i) => values.reduce((sum, list) => sum + list[i], 0) / values.length,
  );
}

/**
 * Mean intersection over union of each image by centres and the threshold of the other half of the images (even and odd ones), with the
 * eigenvectors of the joint cut.
 */
function segmentations(data: SegmentationData, nImages: number): Float64Array {
  const out = new Float64Array(nImages);
  for (const half of [0, 1]) {
    const images = Array.from({ length: nImages }, (_, i) => i);
    const [own, others] = [half, 1 - half].map((h) => images.filter((i) => i % 2 === h));
    const centers = classCenters(data, others);
    const { threshold } = bestOf(scoreCenters(data, centers, { images: others }));
    const scores = imageScores(data, { centers, threshold });
    own.forEach((i) => out[i] = scores[i]);
  }
  return out;
}

function requireSpace({ slices, nImages, grid }: SharedSpace, truth: PatchTruth | undefined): void {
  const nPatches = nImages * grid ** 2;
  if (new Set(slices.map(({ model }) => model)).size < 2 || nImages < 2) {
    throw new InputError(
      `Cannot compare networks: it takes 2 of them and 2 images, got ${slices.length} layers and ${nImages} images`,
    );
  }
  if (truth && truth.labels.length !== nPatches) {
    throw new InputError(
      `Cannot score ${nPatches} patches by ${truth.labels.length} classes: there must be one for each patch`,
    );
  }
}

/** Columns side by side. */
function tableOf(
  columns: readonly (readonly [MeasureName, Float64Array])[],
  nImages: number,
): Pick<SpaceMeasures, "names" | "values"> {
  const data = new Float64Array(nImages * columns.length);
  columns.forEach(([, values], c) =>
    values.forEach((value, i) => data[i * columns.length + c] = value)
  );
  const shape = [nImages, columns.length] as const;
  return { names: columns.map(([name]) => name), values: { data, shape } };
}

/** Eigenvectors and concepts of the patches of all layers of all networks, cut together. */
async function jointConcepts(
  gpu: Gpu,
  { slices, grid }: SharedSpace,
  { key, nEig, nClusters, gamma, ...call }: LongCall & {
    readonly key: Key;
    readonly nEig: number;
    readonly nClusters: number;
    readonly gamma: number;
  },
): Promise<{ readonly eigvec: HostMatrix; readonly labels: Uint32Array<ArrayBuffer> }> {
  const graph = joinGraph(slices.map(({ model, features }, s) => ({
    ...{ model: `${s} ${model}`, layer: s, grid: [grid, grid] as const, features },
  })));
  const affinity = { kind: "cosine", gamma } as const;
  const method = graph.shape[0] <= 2048 ? "exact" : "nystrom";
  using cut = await new Ncut(gpu, { nEig, affinity, method, key }).fit(graph, call);
  const kway = await kwayNcut(gpu, cut.eigvec, { nClusters });
  const { labels } = await kway.transform(gpu, cut.eigvec);
  return { eigvec: cut.eigvec, labels };
}

/**
 * Measures a shared space: how near the same patch of different networks is; and, with all layers of all networks cut together, how far
 * the networks agree on the concept of a patch, and with the classes that are known.
 *
 * @throws {InputError} when there are not two networks and two images, or classes are not as many as patches
 */
export async function measureSpace(
  gpu: Gpu,
  space: SharedSpace,
  options: SpaceMeasureOptions = {},
): Promise<SpaceMeasures> {
  const { key = randomKey(0), nEig = 10, nClusters = 6, gamma = 1, truth, ...call } = options;
  requireSpace(space, truth);
  const { nImages, grid } = space, patches = grid ** 2, rows = nImages * patches;
  const { eigvec, labels } = await jointConcepts(gpu, space, {
    key,
    nEig,
    nClusters,
    gamma,
    ...call,
  });
  const pairs = pairsOf(space), last = lastSlices(space);
  const labelsOf = (slice: number, image: number) => {
    const start = slice * rows + image * patches;
    return labels.subarray(start, start + patches);
  };
  const each = (of: (image: number) => number) =>
    Float64Array.from({ length: nImages }, (_, i) => of(i));
  const { cosine, margin } = cosines(space, pairs);
  const agreement = imageMeans(
    nImages,
    pairs.map(([a, b]) => each((i) => adjustedRandIndex(labelsOf(a, i), labelsOf(b, i)))),
  );
  const columns: [MeasureName, Float64Array][] = [
    ["cosine", cosine],
    ["margin", margin],
    ["agreement", agreement],
  ];
  if (truth) {
    const classes = Array.from(truth.labels);
    const own = (i: number) => classes.slice(i * patches, (i + 1) * patches);
    const aris = last.map((s) => each((i) => adjustedRandIndex(labelsOf(s, i), own(i))));
    columns.push(["truth", imageMeans(nImages, aris)]);
    const scores = last.map((s) => {
      const data = eigvec.data.slice(s * rows * nEig, (s + 1) * rows * nEig);
      const own = { eigvec: hostMatrix(data, [rows, nEig]), grid: [grid, grid] as const };
      return segmentations({ ...own, labels: classes, nClasses: truth.nClasses }, nImages);
    });
    columns.push(["segmentation", imageMeans(nImages, scores)]);
  }
  const shares = last.map((s) => {
    const slice = { start: s * rows, nImages, grid: [grid, grid] as const };
    return conceptAreas(labels, slice, nClusters).data;
  });
  const areas = hostMatrix(imageMeans(nImages * nClusters, shares), [nImages, nClusters]);
  return { areas, ...tableOf(columns, nImages) };
}
