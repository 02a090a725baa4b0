/**
 * Toy images: a ground with one or two figures on it, each of one of four categories.
 *
 * @module
 */
import { foldIn, type Key, normal, split, uniform } from "../../engine/random.ts";

/** Categories of the figures, in the order of their labels from 1. */
export const TOY_CATEGORIES: readonly string[] = ["face", "body", "place", "word"];

/** Patches along a side. */
export const TOY_GRID = 8;

/** Pixels along a side of a patch: images are 32 × 32. */
export const TOY_PATCH = 4;

/** Images of {@link drawToyScenes}. */
export interface ToyScenes {
  /** Number of images. */
  readonly nImages: number;
  /** Category of each patch, 0 ground, else 1 + index into {@link TOY_CATEGORIES}, `[nImages, 64]`. A patch is all of one kind. */
  readonly category: Uint8Array<ArrayBuffer>;
  /** 1 where a patch shows a figure, `[nImages, 64]`. */
  readonly figure: Uint8Array<ArrayBuffer>;
  /** The same as `category` for every pixel, `[nImages, 32, 32]`. */
  readonly masks: Uint8Array<ArrayBuffer>;
  /** Latent variables of each patch: figure, ground, then the categories, `[nImages, 64, 6]`. */
  readonly latents: Float32Array<ArrayBuffer>;
}

const SMALLEST = 3; // patches along a figure's side
const LARGEST = 5;
const SECOND_SHARE = 0.5; // of images that have a second figure
// Strengths differ between figures and between latents: otherwise the mean of "figure" over an image would be the sum of the
// categories', and no response could tell them apart.
const STRENGTH_JITTER = 0.3;
const PATCH_JITTER = 0.1;

/** Draws scenes; image `i` depends on the key and on `i` alone. */
export function drawToyScenes(key: Key, nImages: number): ToyScenes {
  const nPatches = TOY_GRID ** 2;
  const q = 2 + TOY_CATEGORIES.length;
  const category = new Uint8Array(nImages * nPatches);
  const latents = new Float32Array(nImages * nPatches * q);
  for (let i = 0; i < nImages; i++) {
    const [figureKey, latentKey] = split(foldIn(key, i));
    const labels = category.subarray(i * nPatches, (i + 1) * nPatches);
    const owner = paintFigures(figureKey, labels);
    drawLatents(latentKey, labels, owner, latents.subarray(i * nPatches * q));
  }
  const side = TOY_GRID * TOY_PATCH;
  const masks = Uint8Array.from({ length: nImages * side * side }, (_, at) => {
    const [x, y, i] = [at % side, Math.floor(at / side) % side, Math.floor(at / side / side)];
    const patch = Math.floor(y / TOY_PATCH) * TOY_GRID + Math.floor(x / TOY_PATCH);
    return category[i * nPatches + patch];
  });
  return { nImages, category, figure: category.map((c) => Number(c > 0)), masks, latents };
}

/** Paints labels; returns which figure each patch belongs to, 0 the ground. */
function paintFigures(key: Key, labels: Uint8Array): Uint8Array {
  const draws = uniform(key, 11);
  const count = draws[0] < SECOND_SHARE ? 2 : 1;
  const owner = new Uint8Array(labels.length);
  for (let f = 0; f < count; f++) {
    const [kind, w, h, x, y] = draws.subarray(1 + 5 * f);
    const length = (u: number) => SMALLEST + Math.floor(u * (LARGEST - SMALLEST + 1));
    const [width, height] = [length(w), length(h)];
    const left = Math.floor(x * (TOY_GRID - width + 1));
    const top = Math.floor(y * (TOY_GRID - height + 1));
    for (let p = 0; p < labels.length; p++) {
      const [column, row] = [p % TOY_GRID, Math.floor(p / TOY_GRID)];
      if (column < left || column >= left + width || row < top || row >= top + height) continue;
      labels[p] = 1 + Math.floor(kind * TOY_CATEGORIES.length);
      owner[p] = f + 1;
    }
  }
  return owner;
}

function drawLatents(key: Key, labels: Uint8Array, owner: Uint8Array, out: Float32Array): void {
  const q = 2 + TOY_CATEGORIES.length;
  const [strengthKey, patchKey] = split(key);
  // Two strengths for each figure and one for the ground: [figure, category] of owners 1 and 2, then of the ground.
  const strength = normal(strengthKey, 5).map((z) => Math.exp(STRENGTH_JITTER * z));
  const jitter = normal(patchKey, 2 * labels.length).map((z) => Math.exp(PATCH_JITTER * z));
  labels.forEach((label, p) => {
    if (label === 0) {
      out[p * q + 1] = strength[4] * jitter[2 * p];
      return;
    }
    const at = 2 * (owner[p] - 1);
    out[p * q] = strength[at] * jitter[2 * p];
    out[p * q + 1 + label] = strength[at + 1] * jitter[2 * p + 1];
  });
}
