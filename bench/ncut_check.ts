/**
 * How near eigenvectors are to the exact ones: principal angles of their spans, and what of the eigenvalues is lost.
 *
 * @module
 */
import type { Gpu } from "../engine/gpu.ts";
import { eighHost } from "../engine/ops/eigh.ts";
import { matmul } from "../engine/ops/matmul.ts";
import { Tensor, tidy } from "../engine/tensor.ts";
import type { HostMatrix } from "../pipelines/encoding/host_matrix.ts";
import type { NormalizedGraph } from "../pipelines/spectral/graph.ts";
import { addProducts, inverseOfFactor, turnRows } from "../pipelines/spectral/orthogonal_rows.ts";

/** Errors of a span of eigenvectors. */
export interface SpanError {
  /** Sine of the largest principal angle to the exact span. */
  readonly largestSine: number;
  /** Root mean square of the sines. */
  readonly rmsSine: number;
  /** Share of the exact non-trivial eigenvalues' sum that the span misses: of the cut's own objective. */
  readonly lost: number;
}

/** Columns made orthonormal, on the host in float64. */
export function orthonormalColumns({ data, shape: [, k] }: HostMatrix): Float32Array<ArrayBuffer> {
  const rows = data.slice(), gram = new Float64Array(k * k);
  addProducts(gram, rows, k);
  turnRows(rows, inverseOfFactor(gram, k), k);
  return rows;
}

/** Errors of `found` against exact eigenvectors of a graph, both `[n, k]`. */
export async function spanError(
  gpu: Gpu,
  graph: NormalizedGraph,
  exact: { readonly eigvec: HostMatrix; readonly eigval: Float64Array },
  found: HostMatrix,
): Promise<SpanError> {
  const k = found.shape[1];
  using q = Tensor.from(gpu, orthonormalColumns(found), found.shape);
  using u = Tensor.from(gpu, exact.eigvec.data, exact.eigvec.shape);
  using overlaps = tidy(gpu, () => matmul(u, q, { transposeA: true }));
  using image = tidy(gpu, () => matmul(q, graph.applyRest(q), { transposeA: true }));
  const c = await overlaps.data(), energies = await image.data();
  const g = new Float64Array(k * k);
  for (let i = 0; i < k; i++) {
    for (let j = 0; j < k; j++) {
      for (let l = 0; l < k; l++) g[i * k + j] += c[l * k + i] * c[l * k + j];
    }
  }
  const squares = Array.from(eighHost(g, k).values, (v) => Math.max(0, 1 - v));
  const rest = exact.eigval.slice(1).reduce((a, b) => a + b, 0);
  const held = Array.from({ length: k }, (_, i) => energies[i * k + i]).reduce((a, b) => a + b);
  return {
    largestSine: Math.sqrt(Math.max(...squares)),
    rmsSine: Math.sqrt(squares.reduce((a, b) => a + b) / k),
    lost: 1 - held / rest,
  };
}
