import { eigh } from "../../engine/ops/eigh_device.ts";
import { eighTopK } from "../../engine/ops/eigh_top.ts";
import { add, mul, square, sub } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { concat, flip, slice } from "../../engine/ops/shape.ts";
import { type Key, randomKey } from "../../engine/random.ts";
import { readAll, Tensor, tidy } from "../../engine/tensor.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import type { Affinity } from "./affinity.ts";
import { featureGraph, type GraphOptions, type NormalizedGraph } from "./graph.ts";

/** Options of {@link cutGraph}. */
export interface CutOptions {
  /** Eigenvectors, the first trivial one among them. */
  readonly nEig: number;
  /** Greatest allowed ‖S·v − λ·v‖. */
  readonly tolerance?: number;
  /** All eigenvectors by `eigh`, or the leading ones by `eighTopK`; by size when absent. */
  readonly solver?: "dense" | "krylov";
  /** Randomness of the first Krylov block. */
  readonly key?: Key;
  /** Stops the work. */
  readonly signal?: AbortSignal;
}

/** Options of {@link exactNcut}. */
export interface ExactNcutOptions extends CutOptions, GraphOptions {
  /** How alike two nodes are. */
  readonly affinity: Affinity;
}

/** The leading eigenvectors of a normalised graph. */
export interface GraphCut {
  /** `[n, nEig]`: orthonormal columns, the sum of each at least 0, not divided by √degree. */
  readonly eigvec: HostMatrix;
  /** Descending, with their sign; the first is 1. */
  readonly eigval: Float64Array<ArrayBuffer>;
  /** ‖S·v − λ·v‖ of each, as computed on the device in f32. */
  readonly residuals: Float64Array<ArrayBuffer>;
  /** Sums of the affinities of each node. */
  readonly degree: Float64Array<ArrayBuffer>;
  /** Whether every residual is within the tolerance. */
  readonly isConverged: boolean;
}

const DENSE_ROWS = 512;
const SPARE = 12; // columns of a block beyond those wanted
const BLOCK = 16; // a block is a multiple of this wide, and at least twice: narrower products take as long
const PRODUCTS = 150;
const ABOVE_ONE = 1e-4; // an eigenvalue that rounding may have put above 1

/**
 * The normalised cut of all nodes `x: [n, d]`, without sampling: the `nEig` eigenvectors of S = D^−½·A·D^−½ with the largest eigenvalues.
 * Every one is converged to the tolerance, the last as the first, and repeated eigenvalues have as many vectors: c parts without affinity
 * between them give c eigenvalues 1. Memory for n² values in f32: 256 MiB for 8,192 nodes.
 *
 * @throws {InputError} when there are more eigenvectors than nodes, or as {@link featureGraph}
 */
export async function exactNcut(x: Tensor, options: ExactNcutOptions): Promise<GraphCut> {
  requireCount(options.nEig, x.shape[0]);
  using graph = await featureGraph(x, options.affinity, options);
  return await cutGraph(graph, options);
}

/**
 * The `nEig` eigenvectors of a graph with the largest eigenvalues, with their sign (a matrix that is not positive semi-definite may have
 * larger ones in magnitude, which cut nothing).
 *
 * @throws {InputError} when there are more eigenvectors than nodes
 */
export async function cutGraph(
  graph: NormalizedGraph,
  { nEig, tolerance = 1e-5, solver, key = randomKey(0), signal }: CutOptions,
): Promise<GraphCut> {
  const { gpu, n } = graph;
  requireCount(nEig, n);
  const others = nEig - 1;
  let found = others > 0 && (solver ?? solverFor(n, others)) === "krylov"
    ? await leading(graph, others, { tolerance, key, signal })
    : await all(graph, others, signal);
  using first = found.vectors;
  let cut = await finished(graph, { values: found.values, vectors: first }, tolerance);
  const fits = 4 * (n + 3) ** 2 <= gpu.caps.maxBindingBytes;
  if (!cut.isConverged && solver === undefined && found.isLeading && fits) {
    found = await all(graph, others, signal);
    using second = found.vectors;
    cut = await finished(graph, { values: found.values, vectors: second }, tolerance);
  }
  return cut;
}

function requireCount(nEig: number, n: number): void {
  if (!(Number.isInteger(nEig) && nEig >= 1 && nEig <= n)) {
    throw new InputError(
      `Cannot cut ${n} nodes into ${nEig} eigenvectors: there must be from 1 to ${n}`,
    );
  }
}

function solverFor(n: number, others: number): "dense" | "krylov" {
  return n <= DENSE_ROWS || others > n / 8 ? "dense" : "krylov";
}

interface Found {
  readonly values: Float64Array;
  /** `[n, count]` */
  readonly vectors: Tensor;
  readonly isLeading: boolean;
}

async function leading(
  graph: NormalizedGraph,
  count: number,
  options: { tolerance: number; key: Key; signal?: AbortSignal },
): Promise<Found> {
  const { gpu, n } = graph;
  const width = Math.max(2 * BLOCK, BLOCK * Math.ceil((count + SPARE) / BLOCK));
  const { values, vectors } = await eighTopK(
    { gpu, n, apply: (q) => graph.applyOutside(q) },
    count,
    {
      ...options,
      order: "signed",
      nOversamples: width - count,
      iterations: PRODUCTS,
      tolerance: options.tolerance / Math.max(1, graph.bound), // it is relative to the largest magnitude
    },
  );
  return { values, vectors, isLeading: true };
}

async function all(graph: NormalizedGraph, count: number, signal?: AbortSignal): Promise<Found> {
  const { gpu, n } = graph;
  if (count === 0) {
    return { values: new Float64Array(0), vectors: Tensor.zeros(gpu, [n, 0]), isLeading: false };
  }
  using matrix = graph.matrixOutside();
  const { values, vectors } = await eigh(matrix, { signal });
  using every = vectors; // ascending
  const top = tidy(gpu, () => flip(slice(every, { axis: 1, start: n - count }), [1]));
  return { values: values.slice(n - count).reverse(), vectors: top, isLeading: false };
}

/** The cut with the trivial eigenvector, signs and residuals. */
async function finished(
  graph: NormalizedGraph,
  { values, vectors }: { values: Float64Array; vectors: Tensor },
  tolerance: number,
): Promise<GraphCut> {
  const { gpu, n, degree, trivial } = graph;
  // Where an eigenvalue exceeds 1, which takes negative affinities, the trivial vector is not the first.
  const before = values.findLastIndex((value) => value > 1 + ABOVE_ONE) + 1;
  const eigval = Float64Array.from([...values.slice(0, before), 1, ...values.slice(before)]);
  const nEig = eigval.length;
  const computed = tidy(gpu, () => {
    const parts = [
      slice(vectors, { axis: 1, end: before }),
      trivial,
      slice(vectors, { axis: 1, start: before }),
    ].filter((part) => part.size > 0);
    const v = concat(parts, 1);
    const along = matmul(trivial, v, { transposeA: true });
    const product = add(graph.applyRest(v), matmul(trivial, along));
    const scaled = mul(v, Tensor.from(gpu, Float32Array.from(eigval), [1, nEig]));
    return [v, sum(square(sub(product, scaled)), { axes: [0] })];
  });
  const [data, squares] = await readAll(computed);
  computed.forEach((t) => t.dispose());
  const residuals = Float64Array.from(squares, Math.sqrt);
  const eigvec = hostMatrix(data, [n, nEig]);
  fixColumns(eigvec);
  const isConverged = residuals.every((r) => r <= tolerance);
  return { eigvec, eigval, residuals, degree: degree.slice(), isConverged };
}

/** Gives each column length 1, which products in f32 leave off by 10⁻⁶, and a sum that is not negative (`correct_rotation`). */
function fixColumns({ data, shape: [n, width] }: HostMatrix): void {
  for (let j = 0; j < width; j++) {
    let total = 0, square = 0;
    for (let i = 0; i < n; i++) {
      total += data[i * width + j];
      square += data[i * width + j] ** 2;
    }
    const factor = (total < 0 ? -1 : 1) / Math.sqrt(square);
    for (let i = 0; i < n; i++) data[i * width + j] *= factor;
  }
}
