/** Scenes to pixels, with the masks and maps that a photograph could never give exactly. */

import {
  luminance as luminanceOf,
  saturation as saturationOf,
} from "../images/image_properties.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { buildBackground, isPlace } from "./backgrounds.ts";
import { Draws } from "./draws.ts";
import { buildFood, type FoodKind } from "./food.ts";
import { buildBody, buildFace } from "./people.ts";
import { CATEGORIES, type Scene, type SceneObject } from "./scene.ts";
import { type Part, textureAt } from "./shapes.ts";
import { buildThing, buildWord, type ThingKind } from "./things.ts";

/** How a scene is rendered. */
export interface RenderOptions {
  /** Side of the square image in pixels. */
  readonly size?: number;
  /** Samples per pixel along each axis. */
  readonly supersample?: number;
}

/** An image and what is true of it; every map is [size, size], row-major. */
export interface RenderedScene {
  /** Side in pixels. */
  readonly size: number;
  /** Red, green and blue bytes, [size, size, 3]. */
  readonly rgb: Uint8Array<ArrayBuffer>;
  /** Category per pixel: index in `CATEGORIES` plus one, 0 = none. */
  readonly labels: Uint8Array<ArrayBuffer>;
  /** Object per pixel: index in `scene.objects` plus one, 0 = background. */
  readonly instances: Uint8Array<ArrayBuffer>;
  /** Distance from the camera in [0, 1], far = large. */
  readonly depth: Float32Array<ArrayBuffer>;
}

/** An object's parts in the order they are painted, in object units (the unit circle holds it). */
export function buildObject(object: SceneObject): Part[] {
  const draws = new Draws(object.variation);
  const next = (): number => draws.uniform();
  if (object.category === "face") return buildFace(object.color, next);
  if (object.category === "body") return buildBody(object.color, next);
  if (object.category === "food") return buildFood(object.kind as FoodKind, next);
  if (object.category === "word") return buildWord(object.color, next);
  return buildThing(object.kind as ThingKind, object.color, object.texture, next);
}

/** Supersampled colour, depth and owner, side samples square. */
interface Samples {
  readonly side: number;
  readonly color: Float32Array;
  readonly depth: Float32Array;
  readonly owner: Uint8Array;
}

/**
 * Renders a scene.
 *
 * A pixel belongs to the object with the most of its samples, so the masks are disjoint and agree with the labels.
 * @throws {RangeError} for a size or supersample that is not a whole number of at least 1
 */
export function renderScene(scene: Scene, options: RenderOptions = {}): RenderedScene {
  const { size = 64, supersample = 3 } = options;
  if (!Number.isInteger(size) || !Number.isInteger(supersample) || size < 1 || supersample < 1) {
    throw new RangeError(
      `Cannot render: size and supersample must be whole numbers of at least 1, got ${size} and ${supersample}`,
    );
  }
  const side = size * supersample;
  const samples: Samples = {
    side,
    color: new Float32Array(side * side * 3),
    depth: new Float32Array(side * side),
    owner: new Uint8Array(side * side),
  };
  paintBackground(scene, samples);
  const order = scene.objects.map((_, i) => i)
    .sort((a, b) => scene.objects[b].depth - scene.objects[a].depth);
  for (const i of order) {
    const layer = paintObject(scene.objects[i], side);
    if (scene.shadow > 0) paintShadow(layer, scene.objects[i], scene.shadow, samples);
    place(layer, scene.objects[i], i + 1, samples);
  }
  return resolve(scene, samples, size, supersample);
}

function paintBackground(scene: Scene, { side, color, depth }: Samples): void {
  const paint = buildBackground(scene.background);
  const out = new Float64Array(4);
  for (let row = 0, i = 0; row < side; row++) {
    for (let column = 0; column < side; column++, i++) {
      paint((column + 0.5) / side, (row + 0.5) / side, out);
      color[3 * i] = out[0];
      color[3 * i + 1] = out[1];
      color[3 * i + 2] = out[2];
      depth[i] = out[3];
    }
  }
}

/** Rows and columns of samples that a circle can touch. */
function bounds(
  x: number,
  y: number,
  radius: number,
  side: number,
): [number, number, number, number] {
  const low = (centre: number): number => Math.max(0, Math.floor((centre - radius) * side));
  const high = (centre: number): number => Math.min(side, Math.ceil((centre + radius) * side));
  return [low(y), high(y), low(x), high(x)];
}

/** One object's samples within its bounding square. */
interface Layer {
  readonly top: number;
  readonly left: number;
  readonly width: number;
  readonly height: number;
  readonly color: Float32Array;
  /** 1 where the object is, else 0. */
  readonly alpha: Float32Array;
}

function paintObject(object: SceneObject, side: number): Layer {
  const parts = buildObject(object);
  const cos = Math.cos(object.rotation) / object.size;
  const sin = Math.sin(object.rotation) / object.size;
  // Light comes from the upper left of the image, whatever the object's turn.
  const lightU = -(0.6 * cos + 0.8 * sin) * object.size;
  const lightV = -(0.8 * cos - 0.6 * sin) * object.size;
  const [top, bottom, left, right] = bounds(object.x, object.y, object.size * 1.4, side);
  const width = right - left;
  const color = new Float32Array((bottom - top) * width * 3);
  const alpha = new Float32Array((bottom - top) * width);
  for (let row = top, i = 0; row < bottom; row++) {
    const dy = (row + 0.5) / side - object.y;
    for (let column = left; column < right; column++, i++) {
      const dx = (column + 0.5) / side - object.x;
      const u = cos * dx + sin * dy;
      const v = cos * dy - sin * dx;
      if (u * u + v * v > 1.5) continue;
      if (paintPoint(parts, u, v, lightU, lightV, color, 3 * i)) alpha[i] = 1;
    }
  }
  return { top, left, width, height: bottom - top, color, alpha };
}

/** Running mean over 2·radius + 1 samples along one axis of a layer; outside counts as 0. */
function blur(source: Float32Array, lines: number, length: number, radius: number): Float32Array {
  const out = new Float32Array(source.length); // Transposed, so that two calls blur both axes.
  for (let line = 0; line < lines; line++) {
    let sum = 0;
    for (let i = -radius; i < length; i++) {
      if (i + radius < length) sum += source[line * length + i + radius];
      if (i - radius > 0) sum -= source[line * length + i - radius - 1];
      if (i >= 0) out[i * lines + line] = sum / (2 * radius + 1);
    }
  }
  return out;
}

/** Darkens what lies under an object by its blurred outline, moved to the lower right. */
function paintShadow(layer: Layer, object: SceneObject, strength: number, samples: Samples): void {
  const { side, color } = samples;
  const radius = Math.max(1, Math.round(0.09 * object.size * side));
  const shift = Math.round(0.1 * object.size * side);
  const soft = blur(
    blur(layer.alpha, layer.height, layer.width, radius),
    layer.width,
    layer.height,
    radius,
  );
  for (let row = 0; row < layer.height; row++) {
    const y = layer.top + row + shift;
    if (y >= side) break;
    for (let column = 0; column < layer.width; column++) {
      const x = layer.left + column + shift;
      if (x >= side) break;
      const light = 1 - strength * soft[row * layer.width + column];
      const i = 3 * (y * side + x);
      color[i] *= light;
      color[i + 1] *= light;
      color[i + 2] *= light;
    }
  }
}

function place(layer: Layer, object: SceneObject, id: number, samples: Samples): void {
  const { side, color, depth, owner } = samples;
  for (let row = 0, from = 0; row < layer.height; row++) {
    let to = (layer.top + row) * side + layer.left;
    for (let column = 0; column < layer.width; column++, from++, to++) {
      if (layer.alpha[from] === 0) continue;
      for (let c = 0; c < 3; c++) color[3 * to + c] = layer.color[3 * from + c];
      depth[to] = object.depth;
      owner[to] = id;
    }
  }
}

/** Colours one sample by the topmost part that holds it; false where none does. */
function paintPoint(
  parts: readonly Part[],
  u: number,
  v: number,
  lightU: number,
  lightV: number,
  color: Float32Array,
  at: number,
): boolean {
  for (let p = parts.length - 1; p >= 0; p--) {
    const { shape, shade, rim, texture } = parts[p];
    const du = u - shape.cx;
    const dv = v - shape.cy;
    if (du * du + dv * dv > shape.radius * shape.radius) continue;
    const distance = shape.sdf(u, v);
    if (distance > 0) continue;
    let light = 1 + shade * ((du * lightU + dv * lightV) / shape.radius);
    if (distance > -rim) light *= 0.72;
    const paint = texture && textureAt(texture, u, v) ? texture.color : parts[p].color;
    for (let c = 0; c < 3; c++) color[at + c] = Math.min(1, paint[c] * light);
    return true;
  }
  return false;
}

/** Averages the samples of each pixel and gives the pixel to its main owner. */
function resolve(scene: Scene, samples: Samples, size: number, n: number): RenderedScene {
  const { side, color, depth, owner } = samples;
  const rgb = new Uint8Array(size * size * 3);
  const labels = new Uint8Array(size * size);
  const instances = new Uint8Array(size * size);
  const depthOut = new Float32Array(size * size);
  const label = [isPlace(scene.background.kind) ? CATEGORIES.indexOf("place") + 1 : 0];
  for (const object of scene.objects) label.push(CATEGORIES.indexOf(object.category) + 1);
  const votes = new Int32Array(label.length);
  const depths = new Float64Array(label.length);
  const scale = 255 / (n * n);
  for (let pixel = 0; pixel < size * size; pixel++) {
    const first = Math.floor(pixel / size) * n * side + (pixel % size) * n;
    votes.fill(0);
    depths.fill(0);
    let r = 0, g = 0, b = 0;
    for (let row = first; row < first + n * side; row += side) {
      for (let i = row; i < row + n; i++) {
        r += color[3 * i];
        g += color[3 * i + 1];
        b += color[3 * i + 2];
        votes[owner[i]]++;
        depths[owner[i]] += depth[i];
      }
    }
    rgb[3 * pixel] = Math.round(scale * r);
    rgb[3 * pixel + 1] = Math.round(scale * g);
    rgb[3 * pixel + 2] = Math.round(scale * b);
    let winner = 0;
    for (let k = 1; k < votes.length; k++) if (votes[k] > votes[winner]) winner = k;
    instances[pixel] = winner;
    labels[pixel] = label[winner];
    depthOut[pixel] = depths[winner] / votes[winner];
  }
  return { size, rgb, labels, instances, depth: depthOut };
}

/** The pixels of one object as 0 and 1, [size, size]; object -1 is the background. */
export function objectMask(rendered: RenderedScene, object: number): Uint8Array<ArrayBuffer> {
  return rendered.instances.map((instance) => Number(instance === object + 1));
}

/** The pixels of one category as 0 and 1, [size, size]. */
export function categoryMask(
  rendered: RenderedScene,
  category: typeof CATEGORIES[number],
): Uint8Array<ArrayBuffer> {
  const label = CATEGORIES.indexOf(category) + 1;
  return rendered.labels.map((value) => Number(value === label));
}

/** Byte pixels `[n, 3]` as an image of one row. */
function rowOf(rgb: Uint8Array<ArrayBuffer>): RgbImage {
  return { height: 1, width: rgb.length / 3, data: rgb };
}

/** Rec. 709 luma of byte pixels [n, 3], in [0, 1]. */
export function luminance(rgb: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  return Float32Array.from(luminanceOf(rowOf(rgb)).data);
}

/** HSV saturation of byte pixels [n, 3], in [0, 1]; black has saturation 0. */
export function saturation(rgb: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  return Float32Array.from(saturationOf(rowOf(rgb)).data);
}
