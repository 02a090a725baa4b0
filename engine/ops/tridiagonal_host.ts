/**
 * Eigenvalues and eigenvectors of small symmetric tridiagonal matrices on the host, in float64.
 *
 * @module
 */

const EPS = 2 ** -52;
const MAX_SWEEPS = 60; // for one eigenvalue; it takes about two

/**
 * The implicit QL method with Wilkinson's shift (EISPACK's tql2). `vectors` is turned along; each of its rows, of `width` values, is
 * one column of the basis, so that a rotation reads neighbours. Both arrays are changed: `d` becomes the eigenvalues, ascending.
 *
 * @param d `[n]`
 * @param e `[n]`, the value beside `d[i]` and `d[i + 1]` at i
 * @throws {RangeError} where an eigenvalue does not converge, which no finite matrix does. @internal
 */
export function tridiagonalQl(
  d: Float64Array,
  e: Float64Array,
  vectors: Float64Array,
  width: number,
): void {
  const n = d.length;
  e[n - 1] = 0;
  for (let l = 0; l < n; l++) {
    for (let sweep = 0;; sweep++) {
      let m = l;
      while (m < n - 1 && Math.abs(e[m]) > EPS * (Math.abs(d[m]) + Math.abs(d[m + 1]))) m++;
      if (m === l) break;
      if (sweep === MAX_SWEEPS) {
        throw new RangeError(`Cannot decompose: eigenvalue ${l} of ${n} did not converge`);
      }
      qlSweep(d, e, vectors, width, l, m);
    }
  }
  sortRows(d, vectors, width);
}

/** One sweep over the rows from `m` up to `l`. */
function qlSweep(
  d: Float64Array,
  e: Float64Array,
  vectors: Float64Array,
  width: number,
  l: number,
  m: number,
): void {
  const half = (d[l + 1] - d[l]) / (2 * e[l]);
  const size = Math.hypot(half, 1);
  let g = d[m] - d[l] + e[l] / (half + (half >= 0 ? size : -size));
  let s = 1, c = 1, p = 0;
  for (let i = m - 1; i >= l; i--) {
    const f = s * e[i], b = c * e[i];
    const r = Math.sqrt(f * f + g * g);
    e[i + 1] = r;
    if (r === 0) { // underflow: the matrix splits here
      d[i + 1] -= p;
      e[m] = 0;
      return;
    }
    s = f / r;
    c = g / r;
    g = d[i + 1] - p;
    const t = (d[i] - g) * s + 2 * c * b;
    p = s * t;
    d[i + 1] = g + p;
    g = c * t - b;
    for (let k = i * width, end = k + width; k < end; k++) {
      const x = vectors[k], y = vectors[k + width];
      vectors[k + width] = s * x + c * y;
      vectors[k] = c * x - s * y;
    }
  }
  d[l] -= p;
  e[l] = g;
  e[m] = 0;
}

/** Sorts the eigenvalues and the rows that belong to them. */
function sortRows(d: Float64Array, vectors: Float64Array, width: number): void {
  const order = Int32Array.from(d.keys()).sort((i, j) => d[i] - d[j]);
  const values = d.slice(), rows = vectors.slice();
  order.forEach((from, to) => {
    d[to] = values[from];
    vectors.set(rows.subarray(from * width, (from + 1) * width), to * width);
  });
}
