/**
 * The small symmetric problems of subspace methods, on the host in float64.
 *
 * @module
 */
import { eighHost } from "./eigh.ts";

const DEPENDENT = 1e-6; // share of the largest eigenvalue of a Gram matrix below which its direction is rounding noise
const NEARLY = 0.01; // deviation from an orthonormal basis whose third power is below the rounding of f32

/** What {@link rayleighRitz} returns. @internal */
export interface RitzPairs {
  /** In the order asked for. */
  readonly values: Float64Array<ArrayBuffer>;
  /** `[b, rank]` with one column for each value: `rotationᵀ·g·rotation` is the identity. */
  readonly rotation: Float64Array<ArrayBuffer>;
}

/** Solves `h·w = λ·g·w` for symmetric `h, g: [b, b]`, where `g` may be singular. @internal */
export function rayleighRitz(
  h: ArrayLike<number>,
  g: ArrayLike<number>,
  b: number,
  order: "magnitude" | "signed",
): RitzPairs {
  const white = inverseRoot(g, b); // [b, rank]
  const rank = white.length / b;
  const inner = productHost(transposeHost(white, b, rank), productHost(h, white, b, rank), b, rank);
  const { values, vectors } = eighHost(inner, rank);
  const size = order === "signed" ? (x: number) => x : Math.abs;
  const sorted = [...values.keys()].sort((i, j) => size(values[j]) - size(values[i]));
  const turned = productHost(white, vectors, rank, rank);
  const rotation = turned.map((_, at) => turned[at - at % rank + sorted[at % rank]]);
  return { values: Float64Array.from(sorted, (i) => values[i]), rotation };
}

/** `w: [b, rank]` with wᵀ·g·w = 1, without directions that depend on the others. */
function inverseRoot(g: ArrayLike<number>, b: number): Float64Array<ArrayBuffer> {
  const off = Float64Array.from({ length: b * b }, (_, at) => {
    return (g[at] + g[at % b * b + Math.floor(at / b)]) / 2 - Number(at % (b + 1) === 0);
  });
  let largestSum = 0; // of a row: it bounds the norm
  for (let i = 0; i < b; i++) {
    const sum = off.subarray(i * b, (i + 1) * b).reduce((s, x) => s + Math.abs(x), 0);
    if (!(sum <= largestSum)) largestSum = sum;
  }
  if (largestSum <= NEARLY) { // (1 + e)^−½ = 1 − e/2 + 3/8·e² − …
    const square = productHost(off, off, b, b);
    return off.map((e, at) => Number(at % (b + 1) === 0) - e / 2 + 3 / 8 * square[at]);
  }
  const { values, vectors } = eighHost(g, b);
  const first = values.findIndex((d) => d > DEPENDENT * values[b - 1]);
  if (first < 0) throw new RangeError("Cannot find eigenvectors: the basis is zero");
  const rank = b - first;
  return Float64Array.from({ length: b * rank }, (_, at) => {
    const column = first + at % rank;
    return vectors[Math.floor(at / rank) * b + column] / Math.sqrt(values[column]);
  });
}

/** `a·b` for `b: [k, n]` and `a: […, k]`, both row-major. @internal */
export function productHost(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  k: number,
  n: number,
): Float64Array<ArrayBuffer> {
  const rows = a.length / k;
  const c = new Float64Array(rows * n);
  for (let i = 0; i < rows; i++) {
    const row = c.subarray(i * n, (i + 1) * n);
    for (let p = 0; p < k; p++) {
      const factor = a[i * k + p], start = p * n;
      for (let j = 0; j < n; j++) row[j] += factor * b[start + j];
    }
  }
  return c;
}

function transposeHost(
  a: Float64Array,
  rows: number,
  columns: number,
): Float64Array<ArrayBuffer> {
  return Float64Array.from({ length: a.length }, (_, at) => {
    return a[at % rows * columns + Math.floor(at / rows)];
  });
}
