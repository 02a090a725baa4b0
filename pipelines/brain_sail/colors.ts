/**
 * One map of colours for cortex and images: an embedding of the encoders' weights in three dimensions, in which the features of patches
 * have places too. Nothing is told of regions.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, type Key } from "../../engine/random.ts";
import { permutation } from "../encoding/cross_validation.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { embeddingColors, fitUmap } from "../stats/umap.ts";
import { predictedVoxels } from "./encoders.ts";
import type { MapOwner } from "./map_pass.ts";
import { takeRows } from "./study.ts";

/** How weights are embedded. */
export interface ColorOptions {
  /** Voxels that count as near. */
  readonly nNeighbors: number;
  /** Least distance of points. */
  readonly minDist: number;
  /** Most voxels that the embedding is made of; the others are placed in it. */
  readonly mostVoxels: number;
}

/** Colours of everything. */
export interface StudyColors {
  /** R, G, B of each owner's voxels, `[nVoxels, 3]`; mid grey where the encoder explains too little. */
  readonly voxels: readonly Uint8Array<ArrayBuffer>[];
  /** R, G, B of the patches of images by their position, `[nPatches, 3]`. */
  readonly images: ReadonlyMap<number, Uint8Array<ArrayBuffer>>;
}

const GREY = 128;

/** Weights of an owner's voxels as rows, `[nChosen, m]`. */
function weightRows(
  { fit: { encoder: { model } } }: MapOwner,
  voxels: readonly number[],
): HostMatrix {
  const { data, shape: [m, nVoxels] } = model.coef!;
  const rows = new Float32Array(voxels.length * m);
  voxels.forEach((v, i) => {
    for (let f = 0; f < m; f++) rows[i * m + f] = data[f * nVoxels + v];
  });
  return hostMatrix(rows, [voxels.length, m]);
}

/**
 * Colours voxels by their weights and patches by their features (BrainSAIL, arXiv 2410.05266: UMAP with an angular metric, its basis
 * applied to dense features). Colours of two backbones have nothing to do with each other.
 *
 * @param owners whose voxels of at least `minR2` are embedded together
 * @param features of the patches of images by position, `[nPatches, m]`
 * @returns undefined where fewer voxels are explained than neighbours are asked for
 */
export async function studyColors(
  gpu: Gpu,
  owners: readonly MapOwner[],
  features: ReadonlyMap<number, HostMatrix>,
  { options, minR2, key, ...call }: LongCall & {
    readonly options: ColorOptions;
    readonly minR2: number;
    readonly key: Key;
  },
): Promise<StudyColors | undefined> {
  const { nNeighbors, minDist, mostVoxels } = options;
  const chosen = owners.map((owner) => {
    const { data, shape: [m, nVoxels] } = owner.fit.encoder.model.coef!;
    const isZero = (v: number) => {
      for (let f = 0; f < m; f++) if (data[f * nVoxels + v] !== 0) return false;
      return true;
    };
    return predictedVoxels(owner.fit, minR2).filter((v) => !isZero(v));
  });
  const parts = owners.map((owner, o) => weightRows(owner, chosen[o]));
  const n = parts.reduce((sum, { shape }) => sum + shape[0], 0);
  const m = parts[0].shape[1];
  if (n <= nNeighbors) return undefined;
  const all = new Float32Array(n * m);
  let at = 0;
  for (const { data } of parts) {
    all.set(data, at);
    at += data.length;
  }
  const rows = hostMatrix(all, [n, m]);
  const drawn = permutation(foldIn(key, 0), n).subarray(0, mostVoxels).sort();
  const settings = { nNeighbors, minDist, metric: "angular", gpu, ...call } as const;
  const umap = await fitUmap(takeRows(rows, drawn), { ...settings, key: foldIn(key, 1) });
  const { range } = embeddingColors(umap.embedding);
  // What the embedding was made of keeps its own place; the others are placed among it.
  const placed = (await umap.transform(rows)).data;
  drawn.forEach((row, i) => placed.set(umap.embedding.data.subarray(3 * i, 3 * i + 3), 3 * row));
  const { rgb } = embeddingColors(hostMatrix(placed, [n, 3]), range);
  const images = new Map<number, Uint8Array<ArrayBuffer>>();
  for (const [image, patches] of features) {
    images.set(image, embeddingColors(await umap.transform(patches), range).rgb);
  }
  let first = 0;
  const voxels = owners.map(({ fit }, o) => {
    const colors = new Uint8Array(3 * fit.r2.length).fill(GREY);
    for (const v of chosen[o]) {
      colors.set(rgb.subarray(3 * first, 3 * first + 3), 3 * v);
      first++;
    }
    return colors;
  });
  return { voxels, images };
}
