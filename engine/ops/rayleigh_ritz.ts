/**
 * The small symmetric problems of subspace methods, on the host in float64.
 *
 * @module
 */
import { eighHost } from "./eigh.ts";

const DEPENDENT = 1e-6; // share of the largest eigenvalue of a Gram matrix below which its direction is rounding noise
const NEARLY = 1e-3; // deviation from an orthonormal basis whose square is below the rounding of f32

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
  const size = order === "signed" ? (x: number) => x : Math.abs;
  const { values, turned } = whitened(Float64Array.from(h), g, b);
  const rank = values.length;
  const sorted = [...values.keys()].sort((i, j) => size(values[j]) - size(values[i]));
  const rotation = turned.map((_, at) => turned[at - at % rank + sorted[at % rank]]);
  return { values: Float64Array.from(sorted, (i) => values[i]), rotation };
}

interface Pairs {
  readonly values: Float64Array;
  /** `[b, rank]` */
  readonly turned: Float64Array<ArrayBuffer>;
}

/** The same in any order: by w = g^−½·v, without the directions of `g` that depend on the others. */
function whitened(h: Float64Array, g: ArrayLike<number>, b: number): Pairs {
  const off = Float64Array.from({ length: b * b }, (_, at) => {
    return (g[at] + g[at % b * b + Math.floor(at / b)]) / 2 - Number(at % (b + 1) === 0);
  });
  let largestSum = 0; // of a row: it bounds the norm
  for (let i = 0; i < b; i++) {
    const sum = off.subarray(i * b, (i + 1) * b).reduce((s, x) => s + Math.abs(x), 0);
    if (!(sum <= largestSum)) largestSum = sum;
  }
  if (largestSum <= NEARLY) { // g^−½ = 1 − off/2 + …
    const product = productHost(off, h, b, b); // its transpose is h·off, as far as h is symmetric
    const inner = h.map((x, at) => x - product[at]); // eighHost takes the mean of both triangles
    const { values, vectors } = eighHost(inner, b);
    const along = productHost(off, vectors, b, b);
    return { values, turned: vectors.map((x, at) => x - along[at] / 2) };
  }
  const gram = eighHost(g, b);
  const first = gram.values.findIndex((d) => d > DEPENDENT * gram.values[b - 1]);
  if (first < 0) throw new RangeError("Cannot find eigenvectors: the basis is zero");
  const rank = b - first;
  const white = Float64Array.from({ length: b * rank }, (_, at) => {
    const column = first + at % rank;
    return gram.vectors[Math.floor(at / rank) * b + column] / Math.sqrt(gram.values[column]);
  });
  const inner = productHost(transposeHost(white, b, rank), productHost(h, white, b, rank), b, rank);
  const { values, vectors } = eighHost(inner, rank);
  return { values, turned: productHost(white, vectors, rank, rank) };
}

/** `a·b` for `b: [k, n]` and `a: […, k]`, both row-major. */
function productHost(
  a: Float64Array,
  b: Float64Array,
  k: number,
  n: number,
): Float64Array<ArrayBuffer> {
  const c = new Float64Array(a.length / k * n);
  for (let row = 0, at = 0; row < c.length; row += n) {
    for (let p = 0; p < k; p++) {
      const factor = a[at++];
      for (let j = row, from = p * n; j < row + n; j++) c[j] += factor * b[from++];
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
