import type { Gpu } from "../../engine/gpu.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { nearestRows, type RowMetric } from "../stats/nearest_rows.ts";

/** Options of {@link extendValues}. */
export interface ExtendOptions {
  /** Neighbours that are averaged; all samples where there are fewer. */
  readonly nNeighbors?: number;
  /** How far rows are from samples. */
  readonly metric?: RowMetric;
  /** Finds neighbours: worth it from some thousand rows on. */
  readonly gpu?: Gpu;
  /** Stops the search. */
  readonly signal?: AbortSignal;
}

/**
 * Values of rows by those of the nearest samples, weighted by the inverse square of their distance (Shepard, 1968): a sample keeps its
 * own value, and the weights need no scale, which eigenvectors of graphs of different sizes would not share.
 *
 * @param rows `[n, width]`
 * @param samples `[nSamples, width]`
 * @param values of the samples, such as coordinates or colours, `[nSamples, nValues]`
 * @returns `[n, nValues]`
 * @throws {InputError} when samples and values differ in number, and as {@link nearestRows} says
 */
export async function extendValues(
  rows: HostMatrix,
  samples: HostMatrix,
  { values, nNeighbors = 10, metric = "euclidean", gpu, signal }: ExtendOptions & {
    readonly values: HostMatrix;
  },
): Promise<HostMatrix> {
  const [n] = rows.shape, [nSamples] = samples.shape, [given, width] = values.shape;
  if (given !== nSamples) {
    throw new InputError(`Cannot extend ${given} values: there are ${nSamples} samples`);
  }
  const k = Math.min(nNeighbors, nSamples);
  const { indices, distances } = await nearestRows(rows, samples, { k, metric, gpu, signal });
  const out = new Float32Array(n * width), sums = new Float64Array(width);
  for (let i = 0; i < n; i++) {
    sums.fill(0);
    let total = 0;
    const nearest = distances[i * k];
    for (let r = 0; r < k; r++) {
      // Relative to the nearest, so that tiny distances do not overflow; a distance of 0 leaves no weight to others.
      const ratio = nearest === 0
        ? Number(distances[i * k + r] === 0)
        : nearest / distances[i * k + r];
      total += ratio * ratio;
      const at = indices[i * k + r] * width;
      for (let c = 0; c < width; c++) sums[c] += ratio * ratio * values.data[at + c];
    }
    for (let c = 0; c < width; c++) out[i * width + c] = sums[c] / total;
  }
  return hostMatrix(out, [n, width]);
}
