/** What the phantom's networks are trained on: scenes of another seed than any phantom's, rendered once and held in memory. */

import { clipMean, clipStd, type Rgb } from "../images/preprocess.ts";
import type { PhantomCall } from "./phantom.ts";
import { renderScene } from "./render.ts";
import { CATEGORIES, randomScene, type Scene } from "./scene.ts";

/** Rendered scenes. */
export interface TrainingScenes {
  /** Side of the images in pixels. */
  readonly size: number;
  /** What is in them. */
  readonly scenes: readonly Scene[];
  /** Pixels, [n, size, size, 3]. */
  readonly pixels: Uint8Array<ArrayBuffer>;
  /** Category per pixel: index in `CATEGORIES` plus one, 0 = none, [n, size, size]. */
  readonly labels: Uint8Array<ArrayBuffer>;
}

/** Renders the first `count` scenes of a seed. */
export async function renderTrainingScenes(
  { seed, count, size }: { seed: number; count: number; size: number },
  { onProgress, signal }: PhantomCall = {},
): Promise<TrainingScenes> {
  const pixels = new Uint8Array(count * size * size * 3);
  const labels = new Uint8Array(count * size * size);
  const scenes: Scene[] = [];
  for (let i = 0; i < count; i++) {
    const scene = randomScene(seed, i);
    const rendered = renderScene(scene, { size });
    scenes.push(scene);
    pixels.set(rendered.rgb, i * rendered.rgb.length);
    labels.set(rendered.labels, i * rendered.labels.length);
    if (i % 16 === 15 || i === count - 1) {
      onProgress?.({ stage: "scenes", done: i + 1, total: count });
      await new Promise((resolve) => setTimeout(resolve)); // lets Ctrl-C and progress bars in
      signal?.throwIfAborted();
    }
  }
  return { size, scenes, pixels, labels };
}

/** How pixels are handed to a network. */
export interface PixelOptions {
  /** Subtracted from pixels in 0..1. */
  readonly mean?: Rgb;
  /** Divides what is left. */
  readonly std?: Rgb;
  /** Left and right exchanged. */
  readonly mirrored?: boolean;
}

/** The pixels of some images as a network takes them, `[n, 3, size, size]`. */
export function normalizedPixels(
  { size, pixels }: Pick<TrainingScenes, "size" | "pixels">,
  indices: readonly number[],
  { mean = clipMean, std = clipStd, mirrored = false }: PixelOptions = {},
): Float32Array<ArrayBuffer> {
  const area = size * size;
  const out = new Float32Array(indices.length * 3 * area);
  indices.forEach((image, i) => {
    for (let c = 0; c < 3; c++) {
      const [from, to] = [image * 3 * area + c, (i * 3 + c) * area];
      for (let p = 0; p < area; p++) {
        const column = p % size;
        const seen = mirrored ? p - column + size - 1 - column : p;
        out[to + p] = (pixels[from + 3 * seen] / 255 - mean[c]) / std[c];
      }
    }
  });
  return out;
}

/** How many labels there are: none and every category. */
export const N_LABELS = CATEGORIES.length + 1;

/** Share of every label in each patch of some images, `[n, patches, N_LABELS]`. */
export function patchShares(
  { size, labels }: Pick<TrainingScenes, "size" | "labels">,
  indices: readonly number[],
  { patch, mirrored = false }: { patch: number; mirrored?: boolean },
): Float32Array<ArrayBuffer> {
  const grid = size / patch;
  const out = new Float32Array(indices.length * grid * grid * N_LABELS);
  const share = 1 / (patch * patch);
  indices.forEach((image, i) => {
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        const cell = (i * grid + Math.floor(y / patch)) * grid + Math.floor(x / patch);
        const seen = mirrored ? size - 1 - x : x;
        out[cell * N_LABELS + labels[(image * size + y) * size + seen]] += share;
      }
    }
  });
  return out;
}

// A label counts as present from 16 pixels of 64 × 64, as for the simulated cortex.
const PRESENT = 0.004;

/** Each image's target shared equally among the labels present in it, `[n, N_LABELS]`, from the shares in its patches. */
export function presentTargets(shares: Float32Array, n: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(n * N_LABELS);
  const perImage = shares.length / n;
  for (let i = 0; i < n; i++) {
    const total = new Float64Array(N_LABELS);
    for (let k = 0; k < perImage; k++) total[k % N_LABELS] += shares[i * perImage + k];
    const isPresent = Array.from(total, (sum) => sum * N_LABELS / perImage >= PRESENT);
    const count = isPresent.filter(Boolean).length;
    isPresent.forEach((present, label) => out[i * N_LABELS + label] = present ? 1 / count : 0);
  }
  return out;
}

/** An endless stream of batches: every image once before any comes again, in an order drawn anew each time. */
export function* batches(
  shuffle: (order: readonly number[]) => number[],
  { count, batch }: { count: number; batch: number },
): Generator<number[], never> {
  const all = Array.from({ length: count }, (_, i) => i);
  let queue: number[] = [];
  while (true) {
    while (queue.length < batch) queue = [...queue, ...shuffle(all)];
    yield queue.slice(0, batch);
    queue = queue.slice(batch);
  }
}
