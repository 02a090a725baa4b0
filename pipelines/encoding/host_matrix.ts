import { InputError } from "../errors.ts";

/** A matrix on the host: float32, row-major. Rows are samples. */
export interface HostMatrix {
  /** The values, row after row. */
  readonly data: Float32Array<ArrayBuffer>;
  /** Rows and columns. */
  readonly shape: readonly [number, number];
}

/**
 * A host matrix over values.
 *
 * @param data row after row; a `Float32Array` is not copied
 * @throws {InputError} when there are not as many values as the shape needs
 */
export function hostMatrix(
  data: ArrayLike<number>,
  [rows, cols]: readonly [number, number],
): HostMatrix {
  if (data.length !== rows * cols) {
    throw new InputError(`Cannot make a matrix [${rows},${cols}] of ${data.length} values`);
  }
  const isPlain = data instanceof Float32Array && data.buffer instanceof ArrayBuffer;
  const values = isPlain ? data as Float32Array<ArrayBuffer> : new Float32Array(data);
  return { data: values, shape: [rows, cols] };
}

/** Means of the columns over the given rows, in float64: `[nColumns]`. */
export function columnMeans(
  { data, shape: [, cols] }: HostMatrix,
  rows: ArrayLike<number>,
): Float64Array<ArrayBuffer> {
  const means = new Float64Array(cols);
  for (let r = 0; r < rows.length; r++) {
    const start = rows[r] * cols;
    for (let j = 0; j < cols; j++) means[j] += data[start + j];
  }
  return means.map((sum) => sum / rows.length);
}

/**
 * Some rows and columns with a value taken off each column: `[rows.length, end − start]`.
 *
 * @param means `[nColumns]`
 */
export function centredPart(
  { data, shape: [, cols] }: HostMatrix,
  rows: ArrayLike<number>,
  means: Float64Array,
  { start = 0, end = cols }: { start?: number; end?: number } = {},
): Float32Array<ArrayBuffer> {
  const width = end - start;
  const part = new Float32Array(rows.length * width);
  for (let r = 0; r < rows.length; r++) {
    const from = rows[r] * cols + start;
    for (let j = 0; j < width; j++) part[r * width + j] = data[from + j] - means[start + j];
  }
  return part;
}

/** Some columns: `[nRows, columns.length]`. */
export function takeColumns(
  { data, shape: [rows, cols] }: HostMatrix,
  columns: ArrayLike<number>,
): HostMatrix {
  const width = columns.length;
  const taken = new Float32Array(rows * width);
  for (let r = 0; r < rows; r++) {
    for (let j = 0; j < width; j++) taken[r * width + j] = data[r * cols + columns[j]];
  }
  return { data: taken, shape: [rows, width] };
}

/** The numbers 0 to n − 1. */
export function range(n: number): Uint32Array<ArrayBuffer> {
  return Uint32Array.from({ length: n }, (_, i) => i);
}

/** Place of the first value that is not finite, or −1. A loop: a callback per value takes ten times as long. */
function firstNotFinite(data: Float32Array): number {
  for (let i = 0; i < data.length; i++) if (data[i] - data[i] !== 0) return i;
  return -1;
}

/**
 * Refuses pairs that cannot be samples of features and responses.
 *
 * @throws {InputError} when the rows differ in number, there are none, or a value is not finite
 */
export function requireSamples(features: HostMatrix, responses: HostMatrix): void {
  const [n, p] = features.shape, [m, nTargets] = responses.shape;
  if (n !== m || n === 0 || p === 0 || nTargets === 0) {
    throw new InputError(
      `Cannot fit features [${features.shape}] to responses [${responses.shape}]: ` +
        "they must have the same number of rows, and none may be empty",
    );
  }
  for (const [name, { data, shape: [, cols] }] of Object.entries({ features, responses })) {
    const bad = firstNotFinite(data);
    if (bad >= 0) {
      throw new InputError(
        `Cannot fit: every value must be finite, ${name} row ${Math.floor(bad / cols)}, column ${
          bad % cols
        } (counted from 0) is ${data[bad]}`,
      );
    }
  }
}
