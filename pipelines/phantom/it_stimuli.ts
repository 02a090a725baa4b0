/**
 * Images like those of the HvM set for simulated inferior temporal cortex: one striped plate on a uniform background, all its factors
 * drawn independently, every pixel smooth in them.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { Draws } from "./draws.ts";
import { IT_SHAPES } from "./it_shapes.ts";

/** Side of the images in pixels. */
export const IT_SIDE = 32;

/** Names of the categories, in the order of their numbers. */
export const IT_CATEGORIES: readonly string[] = Object.keys(IT_SHAPES);

/**
 * Pose, in the names of HvM's table: `s` radius and `ty` (right), `tz` (up) place of the centre in halves of the image's side; rotations in
 * degrees, `rxy` in the plane (clockwise), `rxz` about the plate's vertical axis and `ryz` about its horizontal one.
 */
export const IT_POSE = ["s", "ty", "tz", "rxy", "rxz", "ryz"] as const;

/** What an object of a category looks like: contrast of its stripes, and its mean grey. */
export const IT_CONTENT = ["stripes", "tone"] as const;

/** Name of a factor with a value; the category is the one without. */
export type ItFactor = typeof IT_POSE[number] | typeof IT_CONTENT[number] | "background";

/** Ranges that factors are drawn from, evenly. */
export const IT_RANGES: Readonly<Record<ItFactor, readonly [number, number]>> = {
  s: [0.5, 0.68],
  ty: [-0.16, 0.16],
  tz: [-0.16, 0.16],
  rxy: [-50, 50],
  rxz: [-35, 35],
  ryz: [-35, 35],
  stripes: [0, 1],
  tone: [0.05, 0.5],
  background: [-1, -0.55],
};

/** Factors with a value, in the order of their draws. */
export const IT_FACTORS: readonly ItFactor[] = [...IT_POSE, ...IT_CONTENT, "background"];

/** One image's factors. */
export interface ItScene {
  /** Number of the category. */
  readonly category: number;
  /** Every other factor. */
  readonly values: Readonly<Record<ItFactor, number>>;
}

/** Images with what they are of. */
export interface ItStimuli {
  /** `[n, 1, 32, 32]`, −1…1. */
  readonly images: Float32Array<ArrayBuffer>;
  /** `IT_POSE` of each image, `[n, 6]`. */
  readonly pose: Float32Array<ArrayBuffer>;
  /** Number of each image's category, `[n]`. */
  readonly categories: Int32Array<ArrayBuffer>;
  /** `IT_CONTENT` of each image, `[n, 2]`. */
  readonly content: Float32Array<ArrayBuffer>;
  /** Grey of each image's background, `[n]`. */
  readonly background: Float32Array<ArrayBuffer>;
  /** The same factors, one record for each image. */
  readonly scenes: readonly ItScene[];
}

const STREAM = 41; // Of draws: apart from those of the other parts of a phantom.
const STRIPE_FREQUENCY = 1.5; // Periods per object unit: from 5 pixels a period for the smallest object.
const STRIPE_AMPLITUDE = 0.3; // Of full contrast.
const SHADE = 0.2; // How much brighter the plate is per unit that it comes nearer.
const CAMERA = 3; // Distance of the camera in object units: what is nearer looks larger.
const RAMP = 1; // Half the width in pixels over which an edge fades.

/** Draws the factors of an image; the same seed and number give the same. */
export function drawItScene(seed: number, image: number): ItScene {
  const draws = new Draws(seed, STREAM, image);
  const category = draws.integer(IT_CATEGORIES.length);
  const values = Object.fromEntries(
    IT_FACTORS.map((factor) => [factor, draws.uniform(...IT_RANGES[factor])]),
  ) as Record<ItFactor, number>;
  return { category, values };
}

/** From a pixel to the plate: object coordinates and how far behind its centre the plate is there. */
type PlatePoint = (x: number, y: number) => { u: number; v: number; depth: number };

/** Undoes place, rotation in the plane, and the perspective of a plate turned about two axes. */
function plateOf({ values }: ItScene, side: number): PlatePoint {
  const half = side / 2;
  const [rxy, rxz, ryz] = [values.rxy, values.rxz, values.ryz].map((d) => d * Math.PI / 180);
  const [cos, sin] = [Math.cos(rxy), Math.sin(rxy)];
  // The plate's own axes in space: across, down and away from the camera.
  const across = [Math.cos(rxz), 0, -Math.sin(rxz)];
  const down = [Math.sin(rxz) * Math.sin(ryz), Math.cos(ryz), Math.cos(rxz) * Math.sin(ryz)];
  return (x, y) => {
    const right = (x - half - values.ty * half) / (values.s * half);
    const below = (y - half + values.tz * half) / (values.s * half);
    const px = cos * right + sin * below, py = cos * below - sin * right;
    const a = across[0] - px * across[2] / CAMERA, b = down[0] - px * down[2] / CAMERA;
    const c = across[1] - py * across[2] / CAMERA, d = down[1] - py * down[2] / CAMERA;
    const determinant = a * d - b * c;
    const u = (px * d - b * py) / determinant, v = (a * py - px * c) / determinant;
    return { u, v, depth: u * across[2] + v * down[2] };
  };
}

/**
 * Draws one image.
 *
 * @param side of the image in pixels
 * @returns `[side, side]`, −1…1
 * @throws {InputError} for a category that there is not, or a side below 8
 */
export function renderItScene(
  scene: ItScene,
  { side = IT_SIDE }: { readonly side?: number } = {},
): Float32Array<ArrayBuffer> {
  const silhouette = IT_SHAPES[IT_CATEGORIES[scene.category]];
  if (!silhouette) {
    throw new InputError(
      `Cannot draw category ${scene.category}: there are ${IT_CATEGORIES.length}, from 0`,
    );
  }
  if (!(Number.isInteger(side) && side >= 8)) {
    throw new InputError(`Cannot draw an image of ${side} pixels: its side must be from 8`);
  }
  const { s, stripes, tone, background } = scene.values;
  const plate = plateOf(scene, side), pixels = s * side / 2;
  const image = new Float32Array(side * side);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const { u, v, depth } = plate(x + 0.5, y + 0.5);
      const inside = 0.5 - silhouette(u, v) * pixels / (2 * RAMP);
      const t = Math.min(1, Math.max(0, inside)), cover = t * t * (3 - 2 * t);
      const wave = Math.sin(2 * Math.PI * STRIPE_FREQUENCY * (u + v) * Math.SQRT1_2);
      const grey = tone + STRIPE_AMPLITUDE * stripes * wave - SHADE * depth;
      const value = background + cover * (grey - background);
      image[y * side + x] = Math.min(1, Math.max(-1, value));
    }
  }
  return image;
}

/** Options of {@link renderItStimuli}. */
export interface ItStimuliOptions {
  /** Of all draws. */
  readonly seed?: number;
  /** Number of the first image: those of another start are others. */
  readonly start?: number;
  /** Side of the images in pixels. */
  readonly side?: number;
}

/**
 * Draws `n` images; image `i` is the same whatever `n` is.
 *
 * @throws {InputError} when `n` or `start` is not a whole number from 0
 */
export function renderItStimuli(
  n: number,
  { seed = 0, start = 0, side = IT_SIDE }: ItStimuliOptions = {},
): ItStimuli {
  if (!(Number.isInteger(n) && n >= 1 && Number.isInteger(start) && start >= 0)) {
    throw new InputError(
      `Cannot draw ${n} images from number ${start}: both must be whole numbers, from 1 and 0`,
    );
  }
  const scenes = Array.from({ length: n }, (_, i) => drawItScene(seed, start + i));
  const images = new Float32Array(n * side * side);
  scenes.forEach((scene, i) => images.set(renderItScene(scene, { side }), i * side * side));
  const columns = (names: readonly ItFactor[]) =>
    Float32Array.from(scenes.flatMap(({ values }) => names.map((name) => values[name])));
  return {
    images,
    pose: columns(IT_POSE),
    categories: Int32Array.from(scenes, ({ category }) => category),
    content: columns(IT_CONTENT),
    background: columns(["background"]),
    scenes,
  };
}
