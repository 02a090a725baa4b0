import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { zscorePerRun } from "../encoding/runs.ts";
import { correlationScore } from "../encoding/scoring.ts";

/**
 * Columns with mean 0 and population standard deviation 1; a constant column becomes 0.
 *
 * @param x `[nSamples, nColumns]`
 */
export function zscore(x: HostMatrix): HostMatrix {
  return zscorePerRun(x);
}

/**
 * Ranks within each column from 1, the mean rank for ties.
 *
 * @param x `[nSamples, nColumns]`
 */
export function rankColumns({ data, shape }: HostMatrix): HostMatrix {
  const [n, cols] = shape;
  const ranks = new Float32Array(data.length);
  for (let j = 0; j < cols; j++) {
    const order = Array.from({ length: n }, (_, r) => r)
      .sort((a, b) => data[a * cols + j] - data[b * cols + j]);
    for (let from = 0; from < n;) {
      let to = from + 1;
      while (to < n && data[order[to] * cols + j] === data[order[from] * cols + j]) to++;
      for (let i = from; i < to; i++) ranks[order[i] * cols + j] = (from + 1 + to) / 2;
      from = to;
    }
  }
  return hostMatrix(ranks, [n, cols]);
}

/**
 * Spearman's rank correlation of each pair of columns, 0 where a side is constant.
 *
 * @param a `[nSamples, nColumns]`
 * @param b `[nSamples, nColumns]`
 * @returns `[nColumns]`, in float64
 * @throws {InputError} when the shapes differ
 */
export function spearman(a: HostMatrix, b: HostMatrix): Float64Array<ArrayBuffer> {
  return correlationScore(rankColumns(a), rankColumns(b));
}
