/** What the phantom's networks are trained on: scenes of another seed than any phantom's, rendered once and held in memory; no masks. */

import { clipMean, clipStd, type Rgb } from "../images/preprocess.ts";
import type { PhantomCall } from "./phantom.ts";
import { renderScene } from "./render.ts";
import { randomScene, type Scene } from "./scene.ts";

/** Rendered scenes. */
export interface TrainingScenes {
  /** Side of the images in pixels. */
  readonly size: number;
  /** What is in them. */
  readonly scenes: readonly Scene[];
  /** Pixels, [n, size, size, 3]. */
  readonly pixels: Uint8Array<ArrayBuffer>;
}

/** Renders the first `count` scenes of a seed. */
export async function renderTrainingScenes(
  { seed, count, size }: { seed: number; count: number; size: number },
  { onProgress, signal }: PhantomCall = {},
): Promise<TrainingScenes> {
  const pixels = new Uint8Array(count * size * size * 3);
  const scenes: Scene[] = [];
  for (let i = 0; i < count; i++) {
    const scene = randomScene(seed, i);
    const { rgb } = renderScene(scene, { size });
    scenes.push(scene);
    pixels.set(rgb, i * rgb.length);
    if (i % 16 === 15 || i === count - 1) {
      onProgress?.({ stage: "scenes", done: i + 1, total: count });
      await new Promise((resolve) => setTimeout(resolve)); // lets Ctrl-C and progress bars in
      signal?.throwIfAborted();
    }
  }
  return { size, scenes, pixels };
}

/** How pixels are handed to a network. */
export interface PixelOptions {
  /** Subtracted from pixels in 0..1. */
  readonly mean?: Rgb;
  /** Divides what is left. */
  readonly std?: Rgb;
}

/** The pixels of some images as a network takes them, `[n, 3, size, size]`. */
export function normalizedPixels(
  { size, pixels }: Pick<TrainingScenes, "size" | "pixels">,
  indices: readonly number[],
  { mean = clipMean, std = clipStd }: PixelOptions = {},
): Float32Array<ArrayBuffer> {
  const area = size * size;
  const out = new Float32Array(indices.length * 3 * area);
  indices.forEach((image, i) => {
    for (let c = 0; c < 3; c++) {
      const [from, to] = [image * 3 * area + c, (i * 3 + c) * area];
      for (let p = 0; p < area; p++) {
        out[to + p] = (pixels[from + 3 * p] / 255 - mean[c]) / std[c];
      }
    }
  });
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
