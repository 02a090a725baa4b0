import { InputError } from "../errors.ts";

/** Adds `rowsᵀ·rows` to `gram: [k, k]`, in float64. */
export function addProducts(gram: Float64Array, rows: Float32Array, k: number): void {
  for (let at = 0; at < rows.length; at += k) {
    for (let i = 0; i < k; i++) {
      const value = rows[at + i];
      for (let j = 0; j <= i; j++) gram[i * k + j] += value * rows[at + j];
    }
  }
}

/**
 * `R⁻¹` of the QR factors of a matrix by its products `AᵀA = RᵀR`, of which the lower triangle is read: columns times it are orthonormal,
 * each turned only by those before it.
 *
 * @throws {InputError} when a column depends on those before it
 */
export function inverseOfFactor(gram: Float64Array, k: number): Float64Array<ArrayBuffer> {
  const l = new Float64Array(k * k);
  for (let i = 0; i < k; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = gram[i * k + j];
      for (let c = 0; c < j; c++) sum -= l[i * k + c] * l[j * k + c];
      if (i !== j) l[i * k + j] = sum / l[j * k + j];
      else if (sum > 1e-12 * gram[i * k + i]) l[i * k + i] = Math.sqrt(sum);
      else {
        throw new InputError(
          `Cannot make eigenvectors orthogonal: number ${i + 1} depends on those before it`,
        );
      }
    }
  }
  const inverse = new Float64Array(k * k); // of Lᵀ, upper triangular
  for (let j = 0; j < k; j++) {
    for (let i = j; i >= 0; i--) {
      let sum = i === j ? 1 : 0;
      for (let c = i + 1; c <= j; c++) sum -= l[c * k + i] * inverse[c * k + j];
      inverse[i * k + j] = sum / l[i * k + i];
    }
  }
  return inverse;
}

/** Rows times an upper triangular matrix `[k, k]`, in place. */
export function turnRows(rows: Float32Array, turn: Float64Array, k: number): void {
  for (let at = 0; at < rows.length; at += k) {
    for (let j = k - 1; j >= 0; j--) {
      let sum = 0;
      for (let i = 0; i <= j; i++) sum += rows[at + i] * turn[i * k + j];
      rows[at + j] = sum;
    }
  }
}
