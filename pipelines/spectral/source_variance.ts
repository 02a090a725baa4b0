import type { Affinity } from "./affinity.ts";
import { type NodeSource, windows } from "./node_source.ts";

/** Unbiased variance of each feature over all nodes, in one pass and in float64: deviations are summed from the first node. */
export function sourceVariance(
  source: NodeSource,
  { chunkSize = 8192 }: { readonly chunkSize?: number } = {},
): Float64Array<ArrayBuffer> {
  const [n, width] = source.shape;
  const first = Float64Array.from(source.readRows(0, 1));
  const sums = new Float64Array(width), squares = new Float64Array(width);
  for (const [start, end] of windows(n, chunkSize)) {
    const rows = source.readRows(start, end);
    for (let at = 0; at < rows.length; at += width) {
      for (let j = 0; j < width; j++) {
        const deviation = rows[at + j] - first[j];
        sums[j] += deviation;
        squares[j] += deviation * deviation;
      }
    }
  }
  return squares.map((square, j) => Math.max(0, square - sums[j] * sums[j] / n) / (n - 1));
}

/**
 * The `rbf` affinity that ncut_pytorch v1 carries eigenvectors from landmarks to nodes by: gamma times the summed variance of the nodes,
 * where that of the landmarks' own graph is by the variance of the landmarks.
 */
export function rbfOfNodes(source: NodeSource, gamma: number): Affinity {
  const total = sourceVariance(source).reduce((sum, value) => sum + value, 0);
  return { kind: "rbf", sigma: Math.sqrt(gamma * total) };
}
