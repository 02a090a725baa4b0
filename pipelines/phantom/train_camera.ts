/** A camera on rendered scenes: it comes closer, looks past the edge, and mirrors; and tells what of a scene is then in view. */

import { clipMean, clipStd } from "../images/preprocess.ts";
import type { Draws } from "./draws.ts";
import type { Scene } from "./scene.ts";
import type { TrainingScenes } from "./train_data.ts";
import { samples } from "./train_views.ts";

/** What a camera sees of an image. */
export interface CameraView {
  /** Left edge of the part that is seen, as a share of the image's side. */
  readonly left: number;
  /** Its top edge. */
  readonly top: number;
  /** Its side. */
  readonly side: number;
  /** By how much of the view its content then moves left; what comes in is white. */
  readonly moveX: number;
  /** By how much it moves up. */
  readonly moveY: number;
  /** Left and right exchanged, last. */
  readonly mirrored: boolean;
}

// Half of the pictures are whole; the others come closer, up to twice, as maps are made at twice the size.
const WHOLE = 0.5;
const CLOSEST = 0.5;
// Distillation moves images by up to 15 % of their side: a patch of eight, in half of the pictures.
const MOVED = 0.5;

/** Draws a view of an image of `grid` patches a side. */
export function drawCamera(draws: Draws, grid: number): CameraView {
  const side = draws.uniform() < WHOLE ? 1 : draws.uniform(CLOSEST, 1);
  const [left, top] = [draws.uniform(0, 1 - side), draws.uniform(0, 1 - side)];
  const moved = draws.uniform() < MOVED;
  const [x, y] = [draws.integer(3) - 1, draws.integer(3) - 1];
  const mirrored = draws.uniform() < 0.5;
  return { side, left, top, moveX: moved ? x / grid : 0, moveY: moved ? y / grid : 0, mirrored };
}

// Of an object's square, the share that must be in view for it to be named.
const IN_VIEW = 0.3;

/** Share of the stretch `at ± radius` that is within the view and, before it moved, within the image. */
function shareInView(at: number, radius: number, move: number): number {
  const low = Math.max(0, -move, at - radius);
  const high = Math.min(1, 1 - move, at + radius);
  return Math.max(0, high - low) / (2 * radius);
}

/**
 * A scene as a view shows it: objects in the view's coordinates, without those of which little is in view.
 */
export function sceneInView(
  scene: Scene,
  { left, top, side, moveX, moveY, mirrored }: CameraView,
): Scene {
  const objects = scene.objects.flatMap((object) => {
    const size = object.size / side;
    const [x, y] = [(object.x - left) / side - moveX, (object.y - top) / side - moveY];
    const seen = shareInView(x, size, moveX) * shareInView(y, size, moveY);
    return seen < IN_VIEW ? [] : [{ ...object, x: mirrored ? 1 - x : x, y, size }];
  });
  return { ...scene, objects };
}

/** Views of some images, normalised as CLIP's input, `[n, 3, size, size]`; a closer one is enlarged bilinearly. */
export function cameraPixels(
  { size, pixels }: Pick<TrainingScenes, "size" | "pixels">,
  indices: readonly number[],
  views: readonly CameraView[],
): Float32Array<ArrayBuffer> {
  const area = size * size;
  const out = new Float32Array(indices.length * 3 * area);
  indices.forEach((image, n) => {
    const { left, top, side, moveX, moveY, mirrored } = views[n];
    const source = pixels.subarray(image * 3 * area, (image + 1) * 3 * area);
    const [rows, columns] = [samples(size, top, side), samples(size, left, side)];
    const [dy, dx] = [Math.round(moveY * size), Math.round(moveX * size)];
    for (let c = 0; c < 3; c++) {
      const at = (r: number, k: number) => source[3 * (r * size + k) + c];
      for (let y = 0; y < size; y++) {
        const row = rows[y + dy];
        for (let x = 0; x < size; x++) {
          const column = columns[(mirrored ? size - 1 - x : x) + dx];
          let value = 255; // white
          if (row && column) {
            const [first, second, share] = [column.first, column.second, column.share];
            const above = at(row.first, first) * (1 - share) + at(row.first, second) * share;
            const below = at(row.second, first) * (1 - share) + at(row.second, second) * share;
            value = above + (below - above) * row.share;
          }
          out[((n * 3 + c) * size + y) * size + x] = (value / 255 - clipMean[c]) / clipStd[c];
        }
      }
    }
  });
  return out;
}
