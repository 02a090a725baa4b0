/**
 * How far eigenvectors of a graph of any size are from being eigenvectors, by some of its rows.
 *
 * @module
 */
import type { Gpu } from "../engine/gpu.ts";
import { matmul } from "../engine/ops/matmul.ts";
import type { Key } from "../engine/random.ts";
import { Tensor, tidy } from "../engine/tensor.ts";
import type { HostMatrix } from "../pipelines/encoding/host_matrix.ts";
import { type Affinity, affinityMatrix } from "../pipelines/spectral/affinity.ts";
import { stratifiedRows } from "../pipelines/spectral/farthest_points.ts";
import { type NodeSource, takeNodes, windows } from "../pipelines/spectral/node_source.ts";
import { addProducts, inverseOfFactor, turnRows } from "../pipelines/spectral/orthogonal_rows.ts";

const SAMPLE = 1024; // rows
const CHUNK = 4096; // nodes at once

/**
 * The share of P·f that lies outside the span of the f, P = D⁻¹·A being the random walk on the graph and f the eigenvectors over the first
 * one, at rows that are weighted by their degree: 0 for eigenvectors, 1 where nothing is kept. A row of P needs that node's affinities
 * alone, so that it is exact however many nodes there are.
 *
 * @param spans eigenvectors of D^−½·A·D^−½, `[n, k]`, the first of them that of eigenvalue 1
 * @returns one share for each of `spans`
 */
export async function walkResiduals(
  gpu: Gpu,
  source: NodeSource,
  affinity: Affinity,
  { spans, key }: { readonly spans: readonly HostMatrix[]; readonly key: Key },
): Promise<number[]> {
  const [n, width] = source.shape, rows = stratifiedRows(n, Math.min(n, SAMPLE), key);
  const sample = takeNodes(source, rows, { chunkSize: CHUNK });
  using x = Tensor.from(gpu, sample.data, sample.shape);
  const columns = spans.map(({ shape }) => shape[1]), total = columns.reduce((a, b) => a + b);
  const sums = new Float64Array(rows.length * total); // Σⱼ Aᵢⱼ·fⱼ; the first column of each span is the degree
  for (const [start, end] of windows(n, CHUNK)) {
    using part = tidy(gpu, () => {
      const y = Tensor.from(gpu, source.readRows(start, end), [end - start, width]);
      const f = Tensor.from(gpu, ratios(spans, start, end), [end - start, total]);
      return matmul(affinityMatrix(x, y, affinity), f);
    });
    (await part.data()).forEach((value, i) => sums[i] += value);
  }
  return spans.map((span, s) => {
    const k = columns[s], from = columns.slice(0, s).reduce((a, b) => a + b, 0);
    const own = new Float64Array(rows.length * k), image = new Float64Array(rows.length * k);
    rows.forEach((row, i) => {
      const degree = sums[i * total + from], f = ratios([span], row, row + 1);
      for (let j = 0; j < k; j++) {
        own[i * k + j] = Math.sqrt(degree) * f[j];
        image[i * k + j] = sums[i * total + from + j] / Math.sqrt(degree);
      }
    });
    return shareOutside(own, image, k);
  });
}

/** Rows `start` to `end` of every span over its first column, beside each other. */
function ratios(spans: readonly HostMatrix[], start: number, end: number) {
  const total = spans.reduce((sum, { shape }) => sum + shape[1], 0);
  const out = new Float32Array((end - start) * total);
  let at = 0;
  for (const { data, shape: [, k] } of spans) {
    for (let row = start; row < end; row++) {
      for (let j = 0; j < k; j++) {
        out[(row - start) * total + at + j] = data[row * k + j] / data[row * k];
      }
    }
    at += k;
  }
  return out;
}

/** Of what `image` holds beside the first of `own`'s columns, the share (a ratio of norms) that `own` does not span. */
function shareOutside(own: Float64Array, image: Float64Array, k: number): number {
  const basis = Float32Array.from(own), gram = new Float64Array(k * k);
  addProducts(gram, basis, k);
  turnRows(basis, inverseOfFactor(gram, k), k); // triangular, so that the first column stays the first
  let outside = 0, all = 0;
  for (let j = 1; j < k; j++) {
    const rest = Float64Array.from({ length: own.length / k }, (_, i) => image[i * k + j]);
    for (let l = 0; l < k; l++) {
      const along = rest.reduce((sum, value, i) => sum + value * basis[i * k + l], 0);
      rest.forEach((_, i) => rest[i] -= along * basis[i * k + l]);
      if (l === 0) all += rest.reduce((sum, value) => sum + value * value, 0);
    }
    outside += rest.reduce((sum, value) => sum + value * value, 0);
  }
  return Math.sqrt(outside / all);
}
