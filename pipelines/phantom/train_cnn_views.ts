/**
 * What the phantom's convolutional network looks at: scenes with gratings and tints drawn over some of them; and what it is told of them:
 * what was drawn, where.
 */

import { imagenetMean, imagenetStd } from "../images/preprocess.ts";
import type { Draws } from "./draws.ts";
import type { PhantomCall } from "./phantom.ts";
import { renderScene } from "./render.ts";
import { CATEGORIES, randomScene } from "./scene.ts";
import type { TrainingScenes } from "./train_data.ts";

/** Rendered scenes with the category of every pixel. */
export interface LabelledScenes extends TrainingScenes {
  /** Index in `CATEGORIES` plus one, 0 = none, `[n, size, size]`. */
  readonly labels: Uint8Array<ArrayBuffer>;
}

/** Renders the first `count` scenes of a seed with their masks. */
export async function renderLabelledScenes(
  { seed, count, size }: { seed: number; count: number; size: number },
  { onProgress, signal }: PhantomCall = {},
): Promise<LabelledScenes> {
  const area = size * size;
  const pixels = new Uint8Array(count * area * 3), labels = new Uint8Array(count * area);
  const scenes = [];
  for (let i = 0; i < count; i++) {
    const scene = randomScene(seed, i);
    const rendered = renderScene(scene, { size });
    scenes.push(scene);
    pixels.set(rendered.rgb, i * 3 * area);
    labels.set(rendered.labels, i * area);
    if (i % 16 === 15 || i === count - 1) {
      onProgress?.({ stage: "scenes", done: i + 1, total: count });
      await new Promise((resolve) => setTimeout(resolve)); // lets Ctrl-C and progress bars in
      signal?.throwIfAborted();
    }
  }
  return { size, scenes, pixels, labels };
}

/** Quarters of an image: top left, top right, bottom left, bottom right. */
const QUARTERS = 4;
/** Directions of gratings: waves along 0, 45, 90 and 135 degrees, x to the right and y down. */
const DIRECTIONS = 4;
/** Side of the thumbnail. */
const THUMBNAIL = 4;
const PRESENT = 0.004; // of the pixels: as `sceneVariables` has it

/** Parts of a target, in order. */
export const cnnTargets = {
  /** Whether each category is there. */
  present: CATEGORIES.length,
  /** Share of each quarter that is each category's. */
  shares: CATEGORIES.length * QUARTERS,
  /** How strong a grating along each direction was drawn over each quarter. */
  gratings: DIRECTIONS * QUARTERS,
  /** Colours, 4 by 4. */
  thumbnail: 3 * THUMBNAIL * THUMBNAIL,
} as const;

/** Values of a target. */
export const CNN_TARGETS = Object.values(cnnTargets).reduce((sum, n) => sum + n, 0);

// What is drawn over scenes, each in half of the views.
const DRAWN = 0.5;
const WAVELENGTH = [4, 14], CONTRAST = [0.12, 0.5], TINT = [0.2, 0.7]; // pixels, amplitude, opacity
const RADIUS = [0.12, 0.5]; // standard deviation of the window, of the image's side
const MOST_NOISE = 0.08; // standard deviation, of colours in 0…1

/** A view: the pixels and what they show. */
interface CnnView {
  /** `[size, size, 3]`, in 0…1. */
  readonly colors: Float32Array;
  /** `[size, size]` */
  readonly labels: Uint8Array;
  /** Amounts of gratings, `[DIRECTIONS, QUARTERS]`. */
  readonly gratings: Float64Array;
}

/** A Gaussian over an image's axis. */
const bump = (size: number, at: number, radius: number) =>
  Float64Array.from({ length: size }, (_, i) => {
    return Math.exp(-(((i + 0.5) / size - at) ** 2) / (2 * radius * radius));
  });

function drawWindow(draws: Draws, size: number): (y: number, x: number) => number {
  const [cy, cx, radius] = [draws.uniform(), draws.uniform(), draws.uniform(RADIUS[0], RADIUS[1])];
  const [rows, columns] = [bump(size, cy, radius), bump(size, cx, radius)];
  return (y, x) => rows[y] * columns[x];
}

/** Mean of a function over each quarter. */
function quarterMeans(size: number, f: (y: number, x: number) => number): Float64Array {
  const sums = new Float64Array(QUARTERS), half = size / 2;
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) sums[2 * Number(y >= half) + Number(x >= half)] += f(y, x);
  }
  return sums.map((sum) => sum / (half * half));
}

/** Draws a grating over the colours; returns its amounts. */
function drawGrating(colors: Float32Array, size: number, draws: Draws): Float64Array {
  const at = drawWindow(draws, size);
  const angle = draws.uniform(0, Math.PI), phase = draws.uniform(0, 2 * Math.PI);
  const turn = 2 * Math.PI / draws.uniform(WAVELENGTH[0], WAVELENGTH[1]);
  const contrast = draws.uniform(CONTRAST[0], CONTRAST[1]);
  const gain = [0, 1, 2].map(() => draws.uniform(0.6, 1)); // nearly gray
  const [dx, dy] = [turn * Math.cos(angle), turn * Math.sin(angle)];
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const wave = contrast * at(y, x) * Math.cos(dx * x + dy * y + phase);
      for (let c = 0; c < 3; c++) colors[3 * (y * size + x) + c] += gain[c] * wave;
    }
  }
  const means = quarterMeans(size, at);
  return Float64Array.from({ length: DIRECTIONS * QUARTERS }, (_, i) => {
    const difference = angle - Math.floor(i / QUARTERS) * Math.PI / DIRECTIONS;
    return contrast * means[i % QUARTERS] * Math.max(0, Math.cos(2 * difference));
  });
}

function drawTint(colors: Float32Array, size: number, draws: Draws): void {
  const at = drawWindow(draws, size);
  const hue = draws.uniform(0, 2 * Math.PI), opacity = draws.uniform(TINT[0], TINT[1]);
  const level = draws.uniform(0.3, 0.7);
  const tint = [0, 1, 2].map((c) => level + 0.5 * Math.cos(hue - c * 2 * Math.PI / 3));
  for (let p = 0; p < size * size; p++) {
    const share = opacity * at(Math.floor(p / size), p % size);
    for (let c = 0; c < 3; c++) colors[3 * p + c] += share * (tint[c] - colors[3 * p + c]);
  }
}

/** A random view of a scene. */
function drawView(
  { size, pixels, labels }: LabelledScenes,
  image: number,
  draws: Draws,
): CnnView {
  const area = size * size, isMirrored = draws.uniform() < 0.5;
  const from = (p: number) => image * area + (isMirrored ? p - p % size + size - 1 - p % size : p);
  const colors = new Float32Array(3 * area), seen = new Uint8Array(area);
  for (let p = 0; p < area; p++) {
    const at = from(p);
    seen[p] = labels[at];
    for (let c = 0; c < 3; c++) colors[3 * p + c] = pixels[3 * at + c] / 255;
  }
  if (draws.uniform() < DRAWN) drawTint(colors, size, draws);
  const gratings = draws.uniform() < DRAWN
    ? drawGrating(colors, size, draws)
    : new Float64Array(DIRECTIONS * QUARTERS);
  const noise = draws.uniform(0, MOST_NOISE);
  for (let i = 0; i < colors.length; i++) {
    colors[i] = Math.min(1, Math.max(0, colors[i] + noise * draws.normal()));
  }
  return { colors, labels: seen, gratings };
}

function targetOf({ colors, labels, gratings }: CnnView, size: number): Float64Array {
  const shares = CATEGORIES.map((_, k) =>
    quarterMeans(size, (y, x) => labels[y * size + x] === k + 1 ? 1 : 0)
  );
  const present = shares.map((share) =>
    Number(share.reduce((sum, v) => sum + v, 0) / QUARTERS >= PRESENT)
  );
  const thumbnail = new Float64Array(cnnTargets.thumbnail), cell = size / THUMBNAIL;
  for (let p = 0; p < size * size; p++) {
    const at = Math.floor(Math.floor(p / size) / cell) * THUMBNAIL + Math.floor(p % size / cell);
    for (let c = 0; c < 3; c++) thumbnail[3 * at + c] += colors[3 * p + c] / (cell * cell);
  }
  return Float64Array.from([
    ...present,
    ...shares.flatMap((s) => [...s]),
    ...gratings,
    ...thumbnail,
  ]);
}

/** Views and targets of one step. */
export interface CnnBatch {
  /** Normalised by ImageNet's mean and std, `[n, 3, size, size]`. */
  readonly pixels: Float32Array<ArrayBuffer>;
  /** `[n, CNN_TARGETS]` */
  readonly targets: Float32Array<ArrayBuffer>;
}

/** Random views of some scenes. */
export function cnnViews(
  data: LabelledScenes,
  indices: readonly number[],
  draws: Draws,
): CnnBatch {
  const { size } = data, area = size * size;
  const pixels = new Float32Array(indices.length * 3 * area);
  const targets = new Float32Array(indices.length * CNN_TARGETS);
  indices.forEach((image, n) => {
    const view = drawView(data, image, draws);
    for (let i = 0; i < 3 * area; i++) {
      const c = i % 3;
      pixels[(3 * n + c) * area + (i - c) / 3] = (view.colors[i] - imagenetMean[c]) /
        imagenetStd[c];
    }
    targets.set(targetOf(view, size), n * CNN_TARGETS);
  });
  return { pixels, targets };
}
