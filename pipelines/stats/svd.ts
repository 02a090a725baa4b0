import { Matrix, SingularValueDecomposition } from "ml-matrix";
import { InputError } from "../errors.ts";

/** A thin singular value decomposition `a = u · diag(s) · vt`, in float64. */
export interface Svd {
  /** `[rows, k]` with k the smaller side. */
  readonly u: Float64Array<ArrayBuffer>;
  /** Descending, `[k]`. */
  readonly s: Float64Array<ArrayBuffer>;
  /** `[k, columns]` */
  readonly vt: Float64Array<ArrayBuffer>;
}

function matrixOf(a: ArrayLike<number>, [rows, cols]: readonly [number, number]): Matrix {
  if (a.length !== rows * cols || a.length === 0) {
    throw new InputError(`Cannot decompose ${a.length} values as [${rows},${cols}]`);
  }
  const matrix = new Matrix(rows, cols);
  for (let at = 0; at < a.length; at++) matrix.set(Math.floor(at / cols), at % cols, a[at]);
  return matrix;
}

/**
 * The thin singular value decomposition of a small matrix, on the host.
 *
 * @param a `[rows, columns]` row-major
 * @throws {InputError} when there are not as many values as the shape needs, or none
 */
export function svdHost(a: ArrayLike<number>, shape: readonly [number, number]): Svd {
  const { leftSingularVectors, diagonal, rightSingularVectors } = new SingularValueDecomposition(
    matrixOf(a, shape),
    { autoTranspose: true },
  );
  return {
    u: Float64Array.from(leftSingularVectors.to1DArray()),
    s: Float64Array.from(diagonal),
    vt: Float64Array.from(rightSingularVectors.transpose().to1DArray()),
  };
}

/**
 * The Moore–Penrose inverse of a small matrix: singular values below `rcond` of the largest count as zero (numpy's default).
 *
 * @param a `[rows, columns]` row-major
 * @returns `[columns, rows]`
 * @throws {InputError} when there are not as many values as the shape needs, or none
 */
export function pinvHost(
  a: ArrayLike<number>,
  shape: readonly [number, number],
  { rcond = 1e-15 }: { rcond?: number } = {},
): Float64Array<ArrayBuffer> {
  const [rows, cols] = shape;
  const { u, s, vt } = svdHost(a, shape);
  const k = s.length;
  const inverse = new Float64Array(cols * rows);
  for (let i = 0; i < cols; i++) {
    for (let c = 0; c < k && s[c] > rcond * s[0]; c++) {
      const scale = vt[c * cols + i] / s[c];
      for (let j = 0; j < rows; j++) inverse[i * rows + j] += scale * u[j * k + c];
    }
  }
  return inverse;
}
