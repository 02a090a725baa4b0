/** First weights of a patch embedding: the principal components of the patches, and positions as waves. */

import { eighHost } from "../../engine/ops/eigh.ts";
import { normalizedPixels, type TrainingScenes } from "./train_data.ts";

const SAMPLE = 128; // images
// Components are divided by their standard deviation, but by no less than a twentieth of the largest.
const FLOOR = 0.05;

/** Patches of the first images, `[rows, 3 * patch * patch]` in the order (channel, row, column). */
function samplePatches(data: TrainingScenes, patch: number): Float32Array[] {
  const { size } = data;
  const n = Math.min(SAMPLE, data.scenes.length);
  const pixels = normalizedPixels(data, Array.from({ length: n }, (_, i) => i));
  const patches: Float32Array[] = [];
  for (let i = 0; i < n; i++) {
    for (let top = 0; top < size; top += patch) {
      for (let left = 0; left < size; left += patch) {
        const values = new Float32Array(3 * patch * patch);
        for (let k = 0; k < values.length; k++) {
          const [c, y, x] = [
            Math.floor(k / patch / patch),
            Math.floor(k / patch) % patch,
            k % patch,
          ];
          values[k] = pixels[((i * 3 + c) * size + top + y) * size + left + x];
        }
        patches.push(values);
      }
    }
  }
  return patches;
}

/**
 * The largest principal components of patches, each scaled to a variance near 1, `[width, 3 * patch * patch]`: random weights would have
 * to learn first that neighbouring pixels are alike.
 */
export function patchComponents(
  data: TrainingScenes,
  { patch, width }: { patch: number; width: number },
): Float32Array<ArrayBuffer> {
  const patches = samplePatches(data, patch);
  const inner = 3 * patch * patch;
  const moments = new Float64Array(inner * inner);
  for (const p of patches) {
    for (let i = 0; i < inner; i++) {
      for (let j = 0; j <= i; j++) moments[i * inner + j] += p[i] * p[j] / patches.length;
    }
  }
  for (let i = 0; i < inner; i++) {
    for (let j = 0; j < i; j++) moments[j * inner + i] = moments[i * inner + j];
  }
  const { values, vectors } = eighHost(moments, inner);
  const order = [...values.keys()].sort((a, b) => values[b] - values[a]);
  const least = FLOOR * Math.sqrt(values[order[0]]);
  const out = new Float32Array(width * inner);
  for (let row = 0; row < width; row++) {
    const column = order[row];
    const factor = 1 / Math.max(least, Math.sqrt(Math.max(0, values[column])));
    for (let k = 0; k < inner; k++) out[row * inner + k] = factor * vectors[k * inner + column];
  }
  return out;
}

/** Sines and cosines of rows and columns as MAE has them, `[grid * grid, width]`, at half their size: patches are told by looks first. */
export function wavePositions(grid: number, width: number): Float32Array<ArrayBuffer> {
  const quarter = width / 4;
  const out = new Float32Array(grid * grid * width);
  for (let cell = 0; cell < grid * grid; cell++) {
    for (let k = 0; k < quarter; k++) {
      // MAE's longest wave is for sequences of ten thousand; a grid of eight needs none beyond a hundred.
      const omega = 100 ** (-k / quarter);
      [cell % grid, Math.floor(cell / grid)].forEach((at, axis) => {
        out[cell * width + (2 * axis) * quarter + k] = 0.5 * Math.sin(at * omega);
        out[cell * width + (2 * axis + 1) * quarter + k] = 0.5 * Math.cos(at * omega);
      });
    }
  }
  return out;
}
