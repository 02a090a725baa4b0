/**
 * Eigenvectors of symmetric matrices: all of a small one on the host in float64, the leading ones of a large one by randomized
 * subspace iteration on the device with the small problems on the host. f32 eigensolvers on small matrices lose digits for no speed.
 *
 * @module
 */
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { ShapeError } from "../errors.ts";
import { type Key, normal, randomKey } from "../random.ts";
import { readAll, Tensor, tidy } from "../tensor.ts";
import { mul, square, sub } from "./elementwise.ts";
import { matmul } from "./matmul.ts";
import { matrices, requireF32 } from "./matrix.ts";
import { rescaleBasis } from "./qr.ts";
import { sum } from "./reduce.ts";
import type { Gpu } from "../gpu.ts";

/** Eigenvalues and eigenvectors on the host. */
export interface HostEigen {
  /** Ascending. */
  readonly values: Float64Array<ArrayBuffer>;
  /** `[n, n]` row-major: column `i` belongs to `values[i]`. */
  readonly vectors: Float64Array<ArrayBuffer>;
}

/**
 * All eigenvalues and eigenvectors of a symmetric matrix `[n, n]` in float64. Its two triangles are averaged. About 25 n³ operations: a
 * second for n = 512.
 *
 * @throws {ShapeError} when `a` does not hold n² values.
 * @throws {RangeError} when a value is not finite.
 */
export function eighHost(a: ArrayLike<number>, n: number): HostEigen {
  if (a.length !== n * n) {
    throw new ShapeError(`Cannot decompose ${a.length} values as [${n},${n}]`);
  }
  const matrix = new Matrix(n, n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      const value = (a[i * n + j] + a[j * n + i]) / 2;
      if (!Number.isFinite(value)) {
        throw new RangeError(`Cannot decompose: entry (${i},${j}) is ${value}, it must be finite`);
      }
      matrix.set(i, j, value);
      matrix.set(j, i, value);
    }
  }
  if (n === 0) return { values: new Float64Array(0), vectors: new Float64Array(0) };
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(matrix, {
    assumeSymmetric: true,
  });
  const vectors = Float64Array.from(eigenvectorMatrix.to1DArray());
  return { values: Float64Array.from(realEigenvalues), vectors };
}

/** A symmetric matrix that is known by its products only. */
export interface SymmetricOperator {
  /** The device of the vectors. */
  readonly gpu: Gpu;
  /** Rows. */
  readonly n: number;
  /** The product with `q: [n, b]` → `[n, b]`. */
  apply(q: Tensor): Tensor;
}

/** Options of {@link eighTopK}. */
export interface EighTopKOptions {
  /** Extra columns of the subspace: more of them, fewer iterations. */
  readonly nOversamples?: number;
  /** Most products with the matrix. */
  readonly iterations?: number;
  /** Greatest allowed `‖a·v − λ·v‖ / |λ₁|`; f32 products cannot reach much below 10⁻⁶. */
  readonly tolerance?: number;
  /** Randomness of the first subspace. */
  readonly key?: Key;
  /** Stops the iteration. */
  readonly signal?: AbortSignal;
}

/** What {@link eighTopK} returns, with fewer than k columns where the matrix has lower rank; the caller owns `vectors`. */
export interface TopEigen {
  /** Eigenvalues of largest magnitude, descending by magnitude. */
  readonly values: Float64Array<ArrayBuffer>;
  /** `[n, k]`: column `i` belongs to `values[i]`. */
  readonly vectors: Tensor;
  /** `‖a·v − λ·v‖ / |λ₁|` of each. */
  readonly residuals: Float64Array<ArrayBuffer>;
  /** Products with the matrix. */
  readonly iterations: number;
  /** Whether every residual is within the tolerance. */
  readonly isConverged: boolean;
}

const PRODUCTS_PER_CHECK = 3; // a check reads back twice, which costs more than a product on small problems
const DEPENDENT = 1e-6; // share of the largest eigenvalue of a Gram matrix below which its direction is rounding noise

/**
 * The `k` eigenvalues of largest magnitude of a symmetric matrix `[n, n]`, with their eigenvectors, by randomized subspace iteration and
 * Rayleigh–Ritz (Halko, Martinsson and Tropp, 2011). It converges as (λ₊/λₖ)ᵗ, where λ₊ is the first eigenvalue that the subspace has
 * no room for; it stops when the residuals are within the tolerance, and says so where they never were.
 *
 * @throws {ShapeError} when the matrix is not square or `k` is not from 1 to n.
 * @throws {DTypeError} for another type than f32.
 */
export async function eighTopK(
  a: Tensor | SymmetricOperator,
  k: number,
  {
    nOversamples = 10,
    iterations = 120,
    tolerance = 1e-5,
    key = randomKey(0),
    signal,
  }: EighTopKOptions = {},
): Promise<TopEigen> {
  const { gpu, n, apply } = operatorOf(a);
  if (!(Number.isInteger(k) && k >= 1 && k <= n)) {
    throw new ShapeError(`Cannot find ${k} eigenvectors of [${n},${n}]: k must be from 1 to ${n}`);
  }
  const width = Math.min(n, k + nOversamples);
  let basis = tidy(gpu, () => rescaleBasis(Tensor.from(gpu, normal(key, n * width), [n, width])));
  for (let products = 0;;) {
    signal?.throwIfAborted();
    const wanted = Math.min(PRODUCTS_PER_CHECK, Math.max(1, iterations - products));
    const from = basis;
    basis = tidy(gpu, () => {
      let q = from;
      for (let i = 1; i < wanted; i++) q = rescaleBasis(apply(q));
      return q.alias();
    });
    from.dispose();
    products += wanted;
    const found = await ritz({ gpu, n, apply }, basis, k);
    basis.dispose();
    const isConverged = found.residuals.every((r) => r <= tolerance);
    if (isConverged || products >= iterations) {
      found.next.dispose();
      const { values, vectors, residuals } = found;
      return { values, vectors, residuals, iterations: products, isConverged };
    }
    found.vectors.dispose();
    basis = found.next;
  }
}

function operatorOf(a: Tensor | SymmetricOperator): SymmetricOperator {
  if (!(a instanceof Tensor)) return a;
  requireF32("decompose", a);
  const { lead, rows: n } = matrices("decompose", a, { square: true });
  if (lead.length > 0) throw new ShapeError(`Cannot decompose [${a.shape}]: it must be one matrix`);
  return { gpu: a.gpu, n, apply: (q) => matmul(a.detach(), q) };
}

interface Ritz {
  readonly values: Float64Array<ArrayBuffer>;
  readonly vectors: Tensor;
  readonly residuals: Float64Array<ArrayBuffer>;
  /** The next basis. */
  readonly next: Tensor;
}

/** Rayleigh–Ritz in the span of `q: [n, b]`, which need not be orthonormal. */
async function ritz({ gpu, apply }: SymmetricOperator, q: Tensor, k: number): Promise<Ritz> {
  const small = tidy(gpu, () => {
    const z = apply(q);
    return [matmul(q, z, { transposeA: true }), matmul(q, q, { transposeA: true }), z];
  });
  const [h, gram, z] = small;
  const [hValues, gramValues] = await readAll([h, gram]);
  const { values, rotation, rank } = rayleighRitz(hValues, gramValues, q.shape[1]);
  const kept = Math.min(k, rank);
  const found = tidy(gpu, () => {
    const turn = (count: number) => {
      const part = new Float32Array(q.shape[1] * count);
      part.forEach((_, at) => part[at] = rotation[Math.floor(at / count) * rank + at % count]);
      return Tensor.from(gpu, part, [q.shape[1], count]);
    };
    const top = turn(kept);
    const vectors = matmul(q, top);
    const row = Tensor.from(gpu, Float32Array.from(values.subarray(0, kept)), [1, kept]);
    const residual = sub(matmul(z, top), mul(vectors, row));
    const squares = sum(square(residual), { axes: [0] });
    return { vectors, squares, next: rescaleBasis(matmul(z, turn(rank))) };
  });
  small.forEach((t) => t.dispose());
  const squares = await found.squares.data();
  found.squares.dispose();
  const largest = Math.abs(values[0]) || 1;
  return {
    values: values.slice(0, kept),
    residuals: Float64Array.from(squares, (s) => Math.sqrt(s) / largest),
    vectors: found.vectors,
    next: found.next,
  };
}

/** Solves `h·w = λ·g·w` for symmetric `h, g: [b, b]`, where `g` may be singular: `rotation: [b, rank]`, descending by |λ|. */
function rayleighRitz(
  h: ArrayLike<number>,
  g: ArrayLike<number>,
  b: number,
): { values: Float64Array<ArrayBuffer>; rotation: Float64Array<ArrayBuffer>; rank: number } {
  const gram = eighHost(g, b);
  const largest = gram.values[b - 1];
  const first = gram.values.findIndex((d) => d > DEPENDENT * largest);
  if (first < 0) throw new RangeError("Cannot find eigenvectors: the matrix maps to zero or NaN");
  const rank = b - first;
  const white = new Matrix(b, rank); // columns u/√d
  for (let i = 0; i < b; i++) {
    for (let j = 0; j < rank; j++) {
      white.set(i, j, gram.vectors[i * b + first + j] / Math.sqrt(gram.values[first + j]));
    }
  }
  const inner = white.transpose().mmul(Matrix.from1DArray(b, b, Array.from(h))).mmul(white);
  const { values, vectors } = eighHost(inner.to1DArray(), rank);
  const order = [...values.keys()].sort((i, j) => Math.abs(values[j]) - Math.abs(values[i]));
  const turned = white.mmul(Matrix.from1DArray(rank, rank, Array.from(vectors)));
  const rotation = new Float64Array(b * rank);
  rotation.forEach((_, at) => {
    rotation[at] = turned.get(Math.floor(at / rank), order[at % rank]);
  });
  return { values: Float64Array.from(order, (i) => values[i]), rotation, rank };
}
