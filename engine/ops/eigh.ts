/**
 * All eigenvectors of small symmetric matrices, on the host in float64: f32 eigensolvers on small matrices lose digits for no speed.
 *
 * @module
 */
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { ShapeError } from "../errors.ts";

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
