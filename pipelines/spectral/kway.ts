import type { Gpu } from "../../engine/gpu.ts";
import { argmax } from "../../engine/ops/reduce.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { type Key, randomKey } from "../../engine/random.ts";
import { readAll, Tensor, tidy } from "../../engine/tensor.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { farthestRows } from "../stats/farthest_rows.ts";
import { svdHost } from "../stats/svd.ts";
import { farthestPoints, stratifiedRows } from "./farthest_points.ts";

/** Options of {@link kwayNcut}. */
export interface KwayOptions {
  /** Clusters, and leading eigenvectors that are turned; all eigenvectors when absent. */
  readonly nClusters?: number;
  /** The rotation is found on this many nodes at most: the farthest in the space of the eigenvectors. */
  readonly nSample?: number;
  /** Most turns. */
  readonly iterations?: number;
  /** Stops between two turns. */
  readonly signal?: AbortSignal;
}

/** Options of {@link quickKway}. */
export interface QuickKwayOptions {
  /** Clusters. */
  readonly nClusters?: number;
  /** Leading eigenvectors that are compared; all when there are fewer. */
  readonly nEig?: number;
  /** The centres are found on this many nodes at most, drawn evenly. */
  readonly nSample?: number;
  /** Most updates of the centres. */
  readonly iterations?: number;
  /** Seed of the drawn nodes. */
  readonly key?: Key;
  /** Stops between two updates. */
  readonly signal?: AbortSignal;
}

/** Labels of nodes by a {@link KwayCut}. */
export interface KwayLabels {
  /** The cluster of each node, `[n]`. */
  readonly labels: Uint32Array<ArrayBuffer>;
  /** `[n, nClusters]`: the eigenvectors turned; the label is the largest of a row. */
  readonly scores: HostMatrix;
}

const N_SAMPLE = 10240; // ncut_pytorch v3, ncut_kway.py, as the other defaults here
const STILL = 2 ** -23; // change of the objective that ends the turns
const NODES_PER_LAUNCH = 2 ** 16;

/** A discretisation of eigenvectors into clusters, which labels new nodes too. */
export class KwayCut {
  /** Clusters. */
  readonly nClusters: number;
  /** Leading eigenvectors in use. */
  readonly nEig: number;
  /** `[nEig, nClusters]`: an orthogonal matrix, or unit centres as columns; ordered by the second row. */
  readonly rotation: Float64Array<ArrayBuffer>;
  /** Turns or updates of centres. */
  readonly iterations: number;

  /** @internal Use {@link kwayNcut} or {@link quickKway}. */
  constructor(
    rotation: Float64Array<ArrayBuffer>,
    { nEig, iterations }: { nEig: number; iterations: number },
  ) {
    this.nEig = nEig;
    this.nClusters = rotation.length / nEig;
    this.rotation = rotation;
    this.iterations = iterations;
  }

  /**
   * Labels of nodes by their eigenvectors: those of the fit or, propagated, of new nodes. The length of a row has no influence.
   *
   * @param eigvec `[n, nEig or more]`
   * @throws {InputError} when there are fewer eigenvectors than the clusters need
   */
  async transform(gpu: Gpu, eigvec: HostMatrix): Promise<KwayLabels> {
    const { nEig, nClusters } = this, [n, width] = eigvec.shape;
    if (width < nEig) {
      throw new InputError(
        `Cannot label nodes [${eigvec.shape}]: the clusters compare ${nEig} eigenvectors`,
      );
    }
    const labels = new Uint32Array(n), scores = new Float32Array(n * nClusters);
    using rotation = Tensor.from(gpu, Float32Array.from(this.rotation), [nEig, nClusters]);
    for (let start = 0; start < n; start += NODES_PER_LAUNCH) {
      const rows = Math.min(n - start, NODES_PER_LAUNCH);
      const part = leading(eigvec, nEig, start, rows);
      const found = tidy(gpu, () => {
        const turned = matmul(Tensor.from(gpu, part, [rows, nEig]), rotation);
        return [turned, argmax(turned, { axis: 1 })];
      });
      const [values, best] = await readAll(found);
      found.forEach((t) => t.dispose());
      scores.set(values, start * nClusters);
      labels.set(best, start);
    }
    return { labels, scores: hostMatrix(scores, [n, nClusters]) };
  }
}

/** The first `count` columns of some rows. */
function leading(
  { data, shape: [, width] }: HostMatrix,
  count: number,
  start: number,
  rows: number,
): Float32Array<ArrayBuffer> {
  const part = new Float32Array(rows * count);
  for (let i = 0; i < rows; i++) {
    part.set(data.subarray((start + i) * width, (start + i) * width + count), i * count);
  }
  return part;
}

/** Some rows of unit length in float64; a row of zeros stays. */
function unitRows(
  { data, shape: [, width] }: HostMatrix,
  rows: ArrayLike<number>,
  count: number,
): Float64Array<ArrayBuffer> {
  const unit = new Float64Array(rows.length * count);
  for (let r = 0; r < rows.length; r++) {
    let square = 0;
    for (let j = 0; j < count; j++) square += data[rows[r] * width + j] ** 2;
    if (!Number.isFinite(square)) {
      throw new InputError(
        `Cannot cluster eigenvectors: row ${
          rows[r]
        } (counted from 0) has a value that is not finite`,
      );
    }
    const length = Math.sqrt(square) || 1;
    for (let j = 0; j < count; j++) unit[r * count + j] = data[rows[r] * width + j] / length;
  }
  return unit;
}

function requireClusters(
  { shape: [n, width] }: HostMatrix,
  { nClusters, nEig }: { nClusters: number; nEig: number },
): void {
  const isCount = (value: number, most: number) =>
    Number.isInteger(value) && value >= 1 && value <= most;
  if (!isCount(nClusters, n) || !isCount(nEig, width)) {
    throw new InputError(
      `Cannot cut nodes [${n},${width}] into ${nClusters} clusters by ${nEig} eigenvectors: ` +
        `there must be from 1 to ${n} clusters and from 1 to ${width} eigenvectors`,
    );
  }
}

/**
 * K-way cut of eigenvectors by the orthogonal turn that brings the rows, of unit length, nearest to indicators of clusters (Yu and Shi,
 * "Multiclass spectral clustering", 2003), on the host in float64. It starts from the rows farthest from each other.
 *
 * @param eigvec `[n, nEig]`, descending by eigenvalue, the trivial first among them
 * @throws {InputError} when there are fewer eigenvectors or nodes than clusters, or a value is not finite
 */
export async function kwayNcut(
  gpu: Gpu,
  eigvec: HostMatrix,
  { nClusters = eigvec.shape[1], nSample = N_SAMPLE, iterations = 1000, signal }: KwayOptions = {},
): Promise<KwayCut> {
  const k = nClusters, n = eigvec.shape[0];
  requireClusters(eigvec, { nClusters, nEig: k });
  const rows = await sampleFarthest(gpu, eigvec, k, nSample);
  const z = unitRows(eigvec, rows, k), count = rows.length;
  let rotation = columnsFromRows(z, farthestRows(z, [count, k], k), k);
  let last = 0, done = 0;
  while (done < iterations) {
    await new Promise((resolve) => setTimeout(resolve)); // lets an interruption in
    signal?.throwIfAborted();
    done++;
    const sums = clusterSums(z, k, nearestColumns(z, rotation, k, k), k).sums;
    const { u, s, vt } = svdHost(sums, [k, k]);
    const objective = 2 * (n - s.reduce((total, value) => total + value, 0));
    if (Math.abs(objective - last) < STILL) break;
    last = objective;
    rotation = polar(u, vt, k);
  }
  return new KwayCut(sortedColumns(rotation, k, k), { nEig: k, iterations: done });
}

/**
 * K-way cut of eigenvectors by spherical k-means of their rows, from centres farthest from each other; an empty cluster keeps its centre.
 * Takes more clusters than eigenvectors.
 *
 * @param eigvec `[n, width]`, descending by eigenvalue, the trivial first among them
 * @throws {InputError} when there are fewer nodes than clusters, or a value is not finite
 */
export async function quickKway(
  eigvec: HostMatrix,
  {
    nClusters = 10,
    nEig = Math.min(10, eigvec.shape[1]),
    nSample = N_SAMPLE,
    iterations = 10,
    key = randomKey(0),
    signal,
  }: QuickKwayOptions = {},
): Promise<KwayCut> {
  const n = eigvec.shape[0];
  requireClusters(eigvec, { nClusters, nEig });
  const count = Math.max(nClusters, Math.min(n, nSample));
  const z = unitRows(eigvec, stratifiedRows(n, count, key), nEig);
  let centers = columnsFromRows(z, farthestRows(z, [count, nEig], nClusters), nEig);
  let before: Uint32Array | undefined, done = 0;
  while (done < iterations) {
    await new Promise((resolve) => setTimeout(resolve)); // lets an interruption in
    signal?.throwIfAborted();
    done++;
    const labels = nearestColumns(z, centers, nEig, nClusters);
    if (before?.every((label, i) => label === labels[i])) break;
    before = labels;
    centers = movedCenters(centers, clusterSums(z, nEig, labels, nClusters), nEig, nClusters);
  }
  return new KwayCut(sortedColumns(centers, nEig, nClusters), { nEig, iterations: done });
}

/** The rows that the rotation is found on. */
async function sampleFarthest(
  gpu: Gpu,
  eigvec: HostMatrix,
  k: number,
  nSample: number,
): Promise<ArrayLike<number>> {
  const n = eigvec.shape[0], count = Math.max(k, Math.min(n, nSample));
  if (count === n) return Uint32Array.from({ length: n }, (_, i) => i);
  const part = hostMatrix(leading(eigvec, k, 0, n), [n, k]);
  return await farthestPoints(gpu, part, count, { start: 0 });
}

/** `[k, rows.length]`: rows of `z: [n, k]` as columns. */
function columnsFromRows(
  z: Float64Array,
  rows: ArrayLike<number>,
  k: number,
): Float64Array<ArrayBuffer> {
  const count = rows.length;
  return Float64Array.from({ length: k * count }, (_, at) => {
    return z[rows[at % count] * k + Math.floor(at / count)];
  });
}

/** The column of `r: [k, c]` with the largest product with each row of `z: [n, k]`; of equal ones the first. */
function nearestColumns(
  z: Float64Array,
  r: Float64Array,
  k: number,
  c: number,
): Uint32Array<ArrayBuffer> {
  const labels = new Uint32Array(z.length / k), products = new Float64Array(c);
  for (let i = 0; i < labels.length; i++) {
    products.fill(0);
    for (let j = 0; j < k; j++) {
      const factor = z[i * k + j];
      for (let q = 0; q < c; q++) products[q] += factor * r[j * c + q];
    }
    let best = 0;
    for (let q = 1; q < c; q++) if (products[q] > products[best]) best = q;
    labels[i] = best;
  }
  return labels;
}

interface ClusterSums {
  /** `[c, k]` */
  readonly sums: Float64Array<ArrayBuffer>;
  /** Rows of each cluster. */
  readonly counts: Uint32Array<ArrayBuffer>;
}

function clusterSums(z: Float64Array, k: number, labels: Uint32Array, c: number): ClusterSums {
  const sums = new Float64Array(c * k), counts = new Uint32Array(c);
  labels.forEach((label, i) => {
    counts[label]++;
    for (let j = 0; j < k; j++) sums[label * k + j] += z[i * k + j];
  });
  return { sums, counts };
}

/** v·uᵀ: the orthogonal matrix nearest to the transpose of u·s·vt. */
function polar(u: Float64Array, vt: Float64Array, k: number): Float64Array<ArrayBuffer> {
  const out = new Float64Array(k * k);
  for (let p = 0; p < k; p++) {
    for (let i = 0; i < k; i++) {
      for (let j = 0; j < k; j++) out[i * k + j] += vt[p * k + i] * u[j * k + p];
    }
  }
  return out;
}

/** Means of unit length as columns `[k, c]`; the old ones where there is none. */
function movedCenters(
  before: Float64Array<ArrayBuffer>,
  { sums }: ClusterSums,
  k: number,
  c: number,
): Float64Array<ArrayBuffer> {
  const centers = before.slice();
  for (let q = 0; q < c; q++) {
    const sum = sums.subarray(q * k, (q + 1) * k);
    const length = Math.hypot(...sum);
    if (length > 0) sum.forEach((value, j) => centers[j * c + q] = value / length);
  }
  return centers;
}

/** Columns of `r: [k, c]` in ascending order of the second row (the first where there is no other), as ncut_pytorch v3. */
function sortedColumns(r: Float64Array, k: number, c: number): Float64Array<ArrayBuffer> {
  const row = Math.min(1, k - 1) * c;
  const order = Array.from({ length: c }, (_, q) => q).sort((p, q) => r[row + p] - r[row + q]);
  return Float64Array.from(r, (_, at) => r[at - at % c + order[at % c]]);
}
