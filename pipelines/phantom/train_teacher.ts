/** What a student of the phantom's CLIP is taught: views of scenes, and what the teacher makes of them, computed once. */

import { readAll, Tensor, tidy } from "../../engine/tensor.ts";
import type { Gpu } from "../../engine/gpu.ts";
import type { Key } from "../../engine/random.ts";
import { Draws } from "./draws.ts";
import { loadPhantomNet } from "./nets.ts";
import type { PhantomCall } from "./phantom.ts";
import { cameraPixels, type CameraView, drawCamera } from "./train_camera.ts";
import type { TrainingScenes } from "./train_data.ts";
import { unitRows } from "./train_step.ts";

/** Vectors of unit length. */
export interface TaughtRows {
  /** The values, `[rows, width]`. */
  readonly values: Float32Array<ArrayBuffer>;
  /** Length of a row. */
  readonly width: number;
  /** Mean squared distance of the rows from their mean. */
  readonly spread: number;
}

/** Views and what the teacher says of them. */
export interface TaughtViews {
  /** Scene of each view. */
  readonly indices: readonly number[];
  /** How it is looked at. */
  readonly views: readonly CameraView[];
  /** The teacher's image embeddings, one row for each view. */
  readonly summary: TaughtRows;
  /** The teacher's dense features by NACLIP, one row for each patch of each view. */
  readonly patches: TaughtRows;
}

const BATCH = 32;

/** Spread of rows of unit length, whose mean square is 1: what the square of their mean leaves. */
function taughtRows(values: Float32Array<ArrayBuffer>, width: number): TaughtRows {
  const mean = new Float64Array(width);
  const rows = values.length / width;
  for (let i = 0; i < values.length; i++) mean[i % width] += values[i] / rows;
  return { values, width, spread: 1 - mean.reduce((sum, v) => sum + v * v, 0) };
}

/** Looks at every scene `perScene` times, each time through another camera, and asks the phantom's CLIP what it sees. */
export async function teachViews(
  gpu: Gpu,
  data: TrainingScenes,
  { key, perScene }: { readonly key: Key; readonly perScene: number },
  { onProgress, signal }: PhantomCall = {},
): Promise<TaughtViews> {
  using teacher = await loadPhantomNet(gpu, "clip");
  const { size } = data;
  const side = size / teacher.config.patchSize;
  const [n, m] = [perScene * data.scenes.length, teacher.outputWidth];
  const draws = new Draws(key.hi, key.lo);
  const indices = Array.from({ length: n }, (_, i) => i % data.scenes.length);
  const views = indices.map(() => drawCamera(draws, side));
  const summary = new Float32Array(n * m);
  const patches = new Float32Array(n * side * side * m);
  for (let start = 0; start < n; start += BATCH) {
    signal?.throwIfAborted();
    const end = Math.min(n, start + BATCH);
    const values = cameraPixels(data, indices.slice(start, end), views.slice(start, end));
    const said = tidy(gpu, () => {
      const pixels = Tensor.from(gpu, values, [end - start, 3, size, size]);
      const { output, captured } = teacher.forward(pixels, { capture: ["dense"], dense: "naclip" });
      return [unitRows(output), unitRows(captured.get("dense")!.reshape([-1, m]))];
    });
    const [whole, dense] = await readAll(said) as Float32Array<ArrayBuffer>[];
    for (const tensor of said) tensor.dispose();
    summary.set(whole, start * m);
    patches.set(dense, start * side * side * m);
    onProgress?.({ stage: "teacher", done: end, total: n });
  }
  return { indices, views, summary: taughtRows(summary, m), patches: taughtRows(patches, m) };
}
