/**
 * Networks, images and brain responses about which everything is known: the fixture that channel alignment, joint cuts and their
 * controls are checked on. Nothing is trained and nothing is read; everything follows from a key.
 *
 * @module
 */
import { foldIn, type Key, normal, randomKey, split, uniform } from "../../engine/random.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { drawToyScenes, TOY_CATEGORIES, TOY_GRID, type ToyScenes } from "./toy_scenes.ts";

/** The latent variables of a patch: figure, ground, and one for each category. */
export const TOY_LATENTS: readonly string[] = ["figure", "ground", ...TOY_CATEGORIES];

/** Regions of the toy brain in the paper's order (table 2), each with the latent that it is tuned to: two for each latent. */
export const TOY_ROIS: readonly { readonly name: string; readonly latent: string }[] = [
  { name: "V1", latent: "ground" },
  { name: "V2", latent: "ground" },
  { name: "V3", latent: "figure" },
  { name: "V4", latent: "figure" },
  { name: "EBA", latent: "body" },
  { name: "FBA", latent: "body" },
  { name: "OFA", latent: "face" },
  { name: "FFA", latent: "face" },
  { name: "OPA", latent: "place" },
  { name: "PPA", latent: "place" },
  { name: "OWFA", latent: "word" },
  { name: "VWFA", latent: "word" },
];

/** Options of {@link makeToyNets}. */
export interface ToyNetsOptions {
  /** Everything random follows from it. */
  readonly key?: Key;
  /** Number of images. */
  readonly nImages?: number;
  /** Names of the networks and the widths of their tokens. */
  readonly models?: readonly { readonly name: string; readonly width: number }[];
  /** Layers of every network. */
  readonly nLayers?: number;
  /** First layer, from 0, whose tokens hold the categories; those before hold figure and ground alone. */
  readonly categoryLayer?: number;
  /** Voxels of each of the 12 regions. */
  readonly voxelsPerRoi?: number;
  /** Standard deviation of a channel's noise in the last layer; it is three times as much in the first. */
  readonly noise?: number;
  /** Variables that each network alone sees, with random loadings of its own: what brain responses say nothing about. */
  readonly nPrivate?: number;
  /** Standard deviation of a voxel's noise; its signal has 1 over the images. */
  readonly voxelNoise?: number;
}

const DEFAULTS = {
  nImages: 96,
  models: [{ name: "clip", width: 64 }, { name: "dino", width: 96 }, { name: "mae", width: 64 }],
  nLayers: 12,
  categoryLayer: 6, // "category dims only from layer 6"
  voxelsPerRoi: 8,
  noise: 0.3,
  nPrivate: 2,
  voxelNoise: 0.5,
} as const;

/** Leakage between latents in a voxel's tuning: no region is perfectly selective. */
const WEIGHT_JITTER = 0.08;

/** A fixture of {@link makeToyNets}: what is measured, and what is true. */
export class ToyNets {
  /** Images: concepts, masks and latents of their patches. */
  readonly scenes: ToyScenes;
  /** Networks. */
  readonly models: readonly { readonly name: string; readonly width: number }[];
  /** Layers of every network. */
  readonly nLayers: number;
  /** First layer that holds the categories. */
  readonly categoryLayer: number;
  /** Responses, z-scored per voxel but for the noise added after it, `[nImages, nVoxels]`. */
  readonly responses: HostMatrix;
  /** Tuning: weight of each latent's mean over an image, `[nLatents, nVoxels]`. */
  readonly tuning: HostMatrix;
  /** Region of each voxel, an index into {@link TOY_ROIS}, `[nVoxels]`. */
  readonly roi: Uint8Array<ArrayBuffer>;
  /** Places of the voxels, neighbours in a region, `[nVoxels, 3]`. */
  readonly coordinates: HostMatrix;
  readonly #noise: number;
  readonly #nPrivate: number;
  readonly #key: Key;

  /** @internal Use {@link makeToyNets}. */
  constructor(key: Key, options: Required<Omit<ToyNetsOptions, "key">>) {
    const [sceneKey, voxelKey, netKey] = split(key, 3);
    this.scenes = drawToyScenes(sceneKey, options.nImages);
    const { models, nLayers, categoryLayer } = options;
    this.models = models;
    this.nLayers = nLayers;
    this.categoryLayer = categoryLayer;
    this.#noise = options.noise;
    this.#nPrivate = options.nPrivate;
    this.#key = netKey;
    const voxels = drawVoxels(voxelKey, this.scenes, options);
    this.responses = voxels.responses;
    this.tuning = voxels.tuning;
    this.roi = voxels.roi;
    this.coordinates = voxels.coordinates;
  }

  /** Number of images. */
  get nImages(): number {
    return this.scenes.nImages;
  }

  /** How the latents enter the channels of a layer, `[nLatents, width]`; rows of categories are 0 before `categoryLayer`. */
  mixing(model: number, layer: number): HostMatrix {
    const { width } = this.#at(model, layer);
    const values = normal(foldIn(this.#layerKey(model, layer), 0), TOY_LATENTS.length * width);
    if (layer < this.categoryLayer) values.fill(0, 2 * width);
    return hostMatrix(values, [TOY_LATENTS.length, width]);
  }

  /**
   * Tokens of a layer as a network would give them: the class token, which is what the patches have in mean, then the patches, row by
   * row. The token of a patch is its latents times {@link mixing}, plus private variables times loadings of their own, plus noise.
   *
   * @returns `[nImages, 1 + 64, width]`
   */
  tokens(model: number, layer: number): Float32Array<ArrayBuffer> {
    const { width } = this.#at(model, layer);
    const key = this.#layerKey(model, layer);
    const [nPatches, nTokens] = [TOY_GRID ** 2, 1 + TOY_GRID ** 2];
    const n = this.nImages;
    const out = new Float32Array(n * nTokens * width);
    const loadings = normal(foldIn(key, 1), this.#nPrivate * width);
    const share = this.nLayers > 1 ? layer / (this.nLayers - 1) : 1;
    const sigma = this.#noise * (3 - 2 * share);
    const mixing = this.mixing(model, layer).data;
    const { latents } = this.scenes;
    for (let i = 0; i < n; i++) {
      // What a network alone sees is the same in all of its layers.
      const own = normal(foldIn(foldIn(this.#key, model), i), nPatches * this.#nPrivate);
      const noise = normal(foldIn(foldIn(key, 2), i), nTokens * width);
      const image = out.subarray(i * nTokens * width, (i + 1) * nTokens * width);
      for (let p = 0; p < nPatches; p++) {
        const token = image.subarray((1 + p) * width, (2 + p) * width);
        const row = (i * nPatches + p) * TOY_LATENTS.length;
        addRows(token, latents.subarray(row, row + TOY_LATENTS.length), mixing);
        addRows(token, own.subarray(p * this.#nPrivate, (p + 1) * this.#nPrivate), loadings);
        for (let d = 0; d < width; d++) image[d] += token[d] / nPatches;
      }
      // Averaging 64 patches leaves an eighth of the noise; the class token has as much of its own.
      noise.forEach((z, at) => image[at] += sigma * (at < width ? z / TOY_GRID : z));
    }
    return out;
  }

  #layerKey(model: number, layer: number): Key {
    return foldIn(foldIn(this.#key, 1000 + model), layer);
  }

  #at(model: number, layer: number): { readonly name: string; readonly width: number } {
    const found = this.models[model];
    if (found && Number.isInteger(layer) && layer >= 0 && layer < this.nLayers) return found;
    throw new InputError(
      `Cannot take layer ${layer} of network ${model}: there are ${this.models.length} networks of ${this.nLayers} layers`,
    );
  }
}

/** `out += values · rows`, where `rows` is `[values.length, out.length]`. */
function addRows(out: Float32Array, values: Float32Array, rows: Float32Array): void {
  values.forEach((value, k) => {
    if (value === 0) return;
    for (let d = 0; d < out.length; d++) out[d] += value * rows[k * out.length + d];
  });
}

function drawVoxels(
  key: Key,
  { latents, nImages }: ToyScenes,
  { voxelsPerRoi, voxelNoise }: Required<Omit<ToyNetsOptions, "key">>,
) {
  const q = TOY_LATENTS.length;
  const nVoxels = TOY_ROIS.length * voxelsPerRoi;
  const [weightKey, placeKey, noiseKey] = split(key, 3);
  const roi = Uint8Array.from({ length: nVoxels }, (_, v) => Math.floor(v / voxelsPerRoi));
  const weights = normal(weightKey, q * nVoxels).map((z) => WEIGHT_JITTER * z);
  roi.forEach((r, v) => weights[TOY_LATENTS.indexOf(TOY_ROIS[r].latent) * nVoxels + v] += 1);
  const pooled = new Float64Array(nImages * q);
  const patches = TOY_GRID ** 2;
  latents.forEach((z, at) => pooled[Math.floor(at / q / patches) * q + at % q] += z / patches);
  const noise = normal(noiseKey, nImages * nVoxels);
  const responses = new Float32Array(nImages * nVoxels);
  for (let v = 0; v < nVoxels; v++) {
    const signal = Float64Array.from({ length: nImages }, (_, i) => {
      let sum = 0;
      for (let k = 0; k < q; k++) sum += pooled[i * q + k] * weights[k * nVoxels + v];
      return sum;
    });
    const mean = signal.reduce((a, b) => a + b, 0) / nImages;
    const spread = Math.sqrt(signal.reduce((a, b) => a + (b - mean) ** 2, 0) / nImages);
    signal.forEach((s, i) => {
      responses[i * nVoxels + v] = (s - mean) / spread + voxelNoise * noise[i * nVoxels + v];
    });
  }
  const jitter = uniform(placeKey, 3 * nVoxels);
  // Regions lie on a grid of four by three, ten apart, and are two wide.
  const places = jitter.map((u, at) => {
    const r = roi[Math.floor(at / 3)];
    return [10 * (r % 4), 10 * Math.floor(r / 4), 0][at % 3] + 2 * u;
  });
  return {
    roi,
    responses: hostMatrix(responses, [nImages, nVoxels]),
    tuning: hostMatrix(weights, [q, nVoxels]),
    coordinates: hostMatrix(places, [nVoxels, 3]),
  };
}

/**
 * Makes the fixture: images of 32 × 32 pixels of a figure of one of four categories on a ground, in patches of 4 × 4 pixels; networks
 * whose layers mix the six latents of a patch into their channels by random matrices of their own; and voxels in 12 regions that are
 * tuned to one latent's mean over the image each. Before alignment channels of two networks have nothing in common; a map of each layer
 * that predicts the voxels brings them together.
 *
 * @throws {InputError} for a number that is out of range
 */
export function makeToyNets(options: ToyNetsOptions = {}): ToyNets {
  const { key = randomKey(0), ...rest } = options;
  const full = { ...DEFAULTS, ...rest };
  const { nImages, nLayers, voxelsPerRoi, nPrivate, categoryLayer, models } = full;
  const counts = { nImages, nLayers, voxelsPerRoi, models: models.length };
  for (const [name, value] of Object.entries({ ...counts, nPrivate: nPrivate + 1 })) {
    if (Number.isInteger(value) && value >= 1) continue;
    throw new InputError(`Cannot make toy networks: ${name} is out of range, got ${value}`);
  }
  if (nImages < 2 || models.some(({ width }) => width < TOY_LATENTS.length)) {
    throw new InputError(
      `Cannot make toy networks: it takes 2 images and ${TOY_LATENTS.length} channels, got ${nImages} and ${
        models.map(({ width }) => width)
      }`,
    );
  }
  if (!Number.isInteger(categoryLayer) || categoryLayer < 0) {
    throw new InputError(
      `Cannot make toy networks: categoryLayer must be a whole number, got ${categoryLayer}`,
    );
  }
  return new ToyNets(key, full);
}
