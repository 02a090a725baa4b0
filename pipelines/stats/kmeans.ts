import type { Gpu } from "../../engine/gpu.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { Tensor } from "../../engine/tensor.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";

/** Options of {@link kMeans}. */
export interface KMeansOptions {
  /** Most updates of the centres. */
  readonly iterations?: number;
  /** Stops where the centres move less than this times the mean variance of the features, squared and summed. */
  readonly tolerance?: number;
  /** Stops the iteration. */
  readonly signal?: AbortSignal;
}

/** Clusters of samples. */
export interface KMeans {
  /** `[k, nFeatures]` */
  readonly centers: HostMatrix;
  /** Nearest centre of each sample, `[nSamples]`. */
  readonly labels: Uint32Array<ArrayBuffer>;
  /** Sum of squared distances to the nearest centres. */
  readonly inertia: number;
  /** Updates of the centres. */
  readonly iterations: number;
}

/**
 * Lloyd's k-means from given centres, as scikit-learn's: it stops when no label changes or the centres hardly move; the labels are
 * those of the final centres. Products are on the GPU; near-ties are settled in float64, so that labels do not depend on the adapter.
 * An empty cluster takes the sample furthest from its centre.
 *
 * @param samples `[nSamples, nFeatures]`
 * @param init `[k, nFeatures]`
 * @throws {InputError} when the features differ in number or there are fewer samples than centres
 */
export async function kMeans(
  gpu: Gpu,
  samples: HostMatrix,
  init: HostMatrix,
  { iterations = 300, tolerance = 1e-4, signal }: KMeansOptions = {},
): Promise<KMeans> {
  const { data, shape: [n, p] } = samples;
  const k = init.shape[0];
  if (init.shape[1] !== p || k === 0 || n < k) {
    throw new InputError(
      `Cannot cluster samples [${samples.shape}] around centres [${init.shape}]: ` +
        "they must have as many features, and there must be at least as many samples as centres",
    );
  }
  using x = Tensor.from(gpu, data, [n, p]);
  const limit = tolerance * meanVariance(samples);
  let centers = Float64Array.from(init.data);
  let labels = new Uint32Array(n).fill(k);
  let done = 0, isStrict = false;
  while (done < iterations) {
    signal?.throwIfAborted();
    const next = await nearest(x, samples, centers, k);
    const moved = update(samples, next, centers, k);
    const distance = moved.reduce((sum, value, at) => sum + (value - centers[at]) ** 2, 0);
    centers = moved;
    done++;
    isStrict = next.every((label, i) => label === labels[i]);
    labels = next;
    if (isStrict || distance <= limit) break;
  }
  if (!isStrict) labels = await nearest(x, samples, centers, k);
  let inertia = 0;
  for (let i = 0; i < n; i++) inertia += squaredDistance(samples, i, centers, labels[i]);
  return { centers: hostMatrix(centers, [k, p]), labels, inertia, iterations: done };
}

function meanVariance({ data, shape: [n, p] }: HostMatrix): number {
  const sums = new Float64Array(p), squares = new Float64Array(p);
  for (let at = 0; at < data.length; at++) sums[at % p] += data[at] / n;
  for (let at = 0; at < data.length; at++) squares[at % p] += (data[at] - sums[at % p]) ** 2 / n;
  return squares.reduce((sum, s) => sum + s, 0) / p;
}

function squaredDistance(
  { data, shape: [, p] }: HostMatrix,
  i: number,
  centers: Float64Array,
  c: number,
): number {
  let sum = 0;
  for (let j = 0; j < p; j++) sum += (data[i * p + j] - centers[c * p + j]) ** 2;
  return sum;
}

// ‖x − c‖² = ‖x‖² − 2(x·c − ‖c‖²/2): the nearest centre has the largest score x·c − ‖c‖²/2.
async function nearest(
  x: Tensor,
  samples: HostMatrix,
  centers: Float64Array,
  k: number,
): Promise<Uint32Array<ArrayBuffer>> {
  const [n, p] = samples.shape;
  using c = Tensor.from(x.gpu, Float32Array.from(centers), [k, p]);
  using products = matmul(x, c, { transposeB: true }); // [n, k]
  const values = await products.data();
  const half = Float64Array.from({ length: k }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < p; j++) sum += centers[i * p + j] ** 2 / 2;
    return sum;
  });
  const largest = half.reduce((top, value) => Math.max(top, value), 0);
  const labels = new Uint32Array(n);
  for (let i = 0; i < n; i++) {
    let best = 0, size = 0;
    for (let q = 0; q < k; q++) {
      size = Math.max(size, Math.abs(values[i * k + q]));
      if (values[i * k + q] - half[q] > values[i * k + best] - half[best]) best = q;
    }
    // Ten times the f32 rounding of a product of p terms; what is closer than that is compared in float64.
    const noise = 1e-6 * Math.sqrt(p) * (size + largest);
    const top = values[i * k + best] - half[best];
    let least = Infinity;
    for (let q = 0; q < k; q++) {
      if (values[i * k + q] - half[q] < top - noise) continue;
      const distance = squaredDistance(samples, i, centers, q);
      if (distance < least) {
        least = distance;
        labels[i] = q;
      }
    }
  }
  return labels;
}

function update(
  samples: HostMatrix,
  labels: Uint32Array,
  centers: Float64Array,
  k: number,
): Float64Array<ArrayBuffer> {
  const { data, shape: [n, p] } = samples;
  const sums = new Float64Array(k * p), counts = new Uint32Array(k);
  for (let i = 0; i < n; i++) {
    counts[labels[i]]++;
    for (let j = 0; j < p; j++) sums[labels[i] * p + j] += data[i * p + j];
  }
  const empty = [...counts.keys()].filter((c) => counts[c] === 0);
  if (empty.length > 0) {
    const far = Array.from({ length: n }, (_, i) => i).map((i) => ({
      i,
      distance: squaredDistance(samples, i, centers, labels[i]),
    })).sort((a, b) => b.distance - a.distance);
    empty.forEach((c, at) => {
      const { i } = far[at];
      counts[labels[i]]--;
      counts[c] = 1;
      for (let j = 0; j < p; j++) {
        sums[labels[i] * p + j] -= data[i * p + j];
        sums[c * p + j] = data[i * p + j];
      }
    });
  }
  return sums.map((sum, at) => sum / Math.max(1, counts[Math.floor(at / p)]));
}
