/**
 * Eigenvalues and eigenvectors of a diagonal matrix plus a rank-one matrix, in float64: the step that joins two halves in the divide
 * and conquer method. Deflation as in LAPACK's dlaed2, roots of the secular equation by the middle way (R.-C. Li 1993, LAPACK's
 * dlaed4) inside a bracket, vectors from the weights for which the roots are exact (Gu and Eisenstat 1994): orthogonal however close
 * the roots are.
 *
 * @module
 */

const EPS = 2 ** -52;
const SMALL_STEP = 1e-9; // the method is quadratic: what is left is the square of it
const MAX_ITERATIONS = 100; // the middle way takes two to six; a bracket halves at worst

/** The eigenvalues of `diag(d) + rho·z·zᵀ`, and its eigenvectors one at a time. @internal */
export interface RankOneEigen {
  /** Ascending. */
  readonly values: Float64Array<ArrayBuffer>;
  /** Writes eigenvector `j`, of unit length. */
  vector(j: number, into: Float64Array): void;
}

interface Rotation {
  readonly p: number;
  readonly q: number;
  readonly c: number;
  readonly s: number;
}

/** What deflation leaves: a smaller problem with distinct poles and no zero weight. */
interface Deflated {
  /** Ascending. */
  readonly poles: Float64Array<ArrayBuffer>;
  readonly weights: Float64Array<ArrayBuffer>;
  /** Place of each pole in the original problem. */
  readonly places: Int32Array;
  /** Eigenvalues that are known, with their place. */
  readonly known: readonly { readonly value: number; readonly place: number }[];
  readonly rotations: readonly Rotation[];
}

/**
 * Solves `diag(d) + rho·z·zᵀ` for `rho ≥ 0`. Neither array is changed.
 *
 * @param tolerance share of the greatest entry below which a coupling is dropped. @internal
 */
export function rankOneEigen(
  d: Float64Array,
  z: Float64Array,
  rho: number,
  tolerance: number = 8 * EPS,
): RankOneEigen {
  const deflated = deflate(d, z, rho, tolerance);
  const { poles, weights, places, known, rotations } = deflated;
  const k = poles.length;
  const squares = weights.map((w) => w * w);
  const origins = new Int32Array(k);
  const offsets = new Float64Array(k); // root j is poles[origins[j]] + offsets[j], both to full accuracy
  for (let j = 0; j < k; j++) {
    [origins[j], offsets[j]] = secularRoot(poles, squares, rho, j);
  }
  const exact = exactWeights(poles, weights, origins, offsets);
  const values = Float64Array.from(offsets, (offset, j) => poles[origins[j]] + offset);
  const all = [...values, ...known.map(({ value }) => value)];
  const order = Int32Array.from(all.keys()).sort((i, j) => all[i] - all[j]);
  return {
    values: Float64Array.from(order, (i) => all[i]),
    vector(j, into) {
      into.fill(0);
      const at = order[j];
      if (at >= k) into[known[at - k].place] = 1;
      else {
        const pole = poles[origins[at]], offset = offsets[at];
        let square = 0;
        for (let i = 0; i < k; i++) {
          const x = exact[i] / ((poles[i] - pole) - offset);
          into[places[i]] = x;
          square += x * x;
        }
        const inverse = 1 / Math.sqrt(square);
        for (let i = 0; i < k; i++) into[places[i]] *= inverse;
      }
      for (let r = rotations.length - 1; r >= 0; r--) {
        const { p, q, c, s } = rotations[r];
        const x = into[p], y = into[q];
        into[p] = c * x - s * y;
        into[q] = s * x + c * y;
      }
    },
  };
}

/** Takes out what is an eigenvector already, and turns pairs of close poles so that one of each pair is. */
function deflate(d: Float64Array, z: Float64Array, rho: number, tolerance: number): Deflated {
  const n = d.length;
  const poleOf = d.slice(), weightOf = z.slice();
  const order = Int32Array.from(d.keys()).sort((i, j) => d[i] - d[j]);
  const length = Math.sqrt(z.reduce((sum, x) => sum + x * x, 0));
  const greatest = Math.max(Math.abs(d[order[0]]), Math.abs(d[order[n - 1]]), rho * length ** 2);
  const limit = tolerance * greatest;
  const kept: number[] = [], known: { value: number; place: number }[] = [];
  const rotations: Rotation[] = [];
  let last = -1; // the pole that may still be turned with the next one
  for (const i of order) {
    if (rho * length * Math.abs(weightOf[i]) <= limit) {
      known.push({ value: poleOf[i], place: i });
      continue;
    }
    if (last >= 0) {
      const size = Math.hypot(weightOf[i], weightOf[last]);
      const c = weightOf[i] / size, s = -weightOf[last] / size;
      const gap = poleOf[i] - poleOf[last];
      if (Math.abs(gap * c * s) <= limit) {
        const low = poleOf[last] * c * c + poleOf[i] * s * s;
        poleOf[i] = poleOf[last] * s * s + poleOf[i] * c * c;
        weightOf[i] = size;
        rotations.push({ p: last, q: i, c, s });
        known.push({ value: low, place: last });
      } else kept.push(last);
    }
    last = i;
  }
  if (last >= 0) kept.push(last);
  return {
    poles: Float64Array.from(kept, (i) => poleOf[i]),
    weights: Float64Array.from(kept, (i) => weightOf[i]),
    places: Int32Array.from(kept),
    known,
    rotations,
  };
}

/**
 * Root `j` of `1/rho + Σ squares[i] / (poles[i] − λ)`, between pole j and the next one (the last root: beyond the last pole), as its
 * distance from the pole nearest to it.
 */
function secularRoot(
  poles: Float64Array,
  squares: Float64Array,
  rho: number,
  j: number,
): [number, number] {
  const k = poles.length, isLast = j === k - 1;
  const left = poles[j];
  const total = isLast ? squares.reduce((s, x) => s + x, 0) : 0;
  const width = isLast ? rho * total : poles[j + 1] - left;
  if (k === 1) return [0, width];
  const middle = width / 2;
  let rest = 1 / rho; // without the two nearest poles
  for (let i = 0; i < k; i++) {
    if (i !== j && i !== j + 1) rest += squares[i] / ((poles[i] - left) - middle);
  }
  const next = isLast ? 0 : squares[j + 1];
  const isLeft = rest - squares[j] / middle + (isLast ? 0 : next / (width - middle)) >= 0;
  const origin = isLeft || isLast ? j : j + 1;
  const bracket = isLast
    ? (isLeft ? [0, middle] : [middle, width])
    : isLeft
    ? [0, middle]
    : [-middle, 0];
  const start = isLast ? squares[j] / rest : firstGuess(rest, squares[j], next, width, isLeft);
  return [origin, refine(poles, squares, rho, j, origin, bracket, start)];
}

/** The root where the far poles are taken as constant. */
function firstGuess(c: number, w0: number, w1: number, width: number, isLeft: boolean): number {
  if (isLeft) {
    const a = c * width + w0 + w1, b = w0 * width;
    const root = Math.sqrt(Math.abs(a * a - 4 * b * c));
    return a > 0 ? 2 * b / (a + root) : (a - root) / (2 * c);
  }
  const a = c * width - w0 - w1, b = w1 * width;
  const root = Math.sqrt(Math.abs(a * a + 4 * b * c));
  return a < 0 ? 2 * b / (a - root) : -(a + root) / (2 * c);
}

/** Newton's method on a function with the two nearest poles in it, kept in a bracket that shrinks. */
function refine(
  poles: Float64Array,
  squares: Float64Array,
  rho: number,
  j: number,
  origin: number,
  [low, high]: number[],
  start: number,
): number {
  const k = poles.length, isLast = j === k - 1;
  const pole = poles[origin];
  let tau = start > low && start < high ? start : (low + high) / 2;
  for (let turn = 0; turn < MAX_ITERATIONS; turn++) {
    let psi = 0, dpsi = 0, phi = 0, dphi = 0;
    for (let i = 0; i <= j; i++) {
      const t = 1 / ((poles[i] - pole) - tau);
      const term = squares[i] * t;
      psi += term;
      dpsi += term * t;
    }
    for (let i = j + 1; i < k; i++) {
      const t = 1 / ((poles[i] - pole) - tau);
      const term = squares[i] * t;
      phi += term;
      dphi += term * t;
    }
    const w = 1 / rho + psi + phi;
    if (Math.abs(w) <= EPS * (2 / rho + 8 * (phi - psi) + Math.abs(tau) * (dpsi + dphi))) break;
    if (w < 0) low = tau;
    else high = tau;
    const near = (poles[j] - pole) - tau;
    const far = isLast ? 0 : (poles[j + 1] - pole) - tau;
    const step = isLast ? lastStep(w, near, dpsi) : middleWay(w, near, far, dpsi, dphi);
    let moved = tau + step;
    if (!(moved > low && moved < high)) moved = halfway(low, high);
    const change = Math.abs(moved - tau);
    tau = moved;
    if (change <= SMALL_STEP * Math.abs(tau)) break;
  }
  return tau;
}

/** Zero of `s + S/(near − x)` that has the value and the slope of the sum. */
function lastStep(w: number, near: number, slope: number): number {
  return near + slope * near * near / (w - slope * near);
}

/** Zero of `c + S/(near − x) + T/(far − x)` where each fraction has the slope of its side, by the stable formula of a quadratic. */
function middleWay(w: number, near: number, far: number, dpsi: number, dphi: number): number {
  const c = w - near * dpsi - far * dphi;
  const a = (near + far) * w - near * far * (dpsi + dphi);
  const b = near * far * w;
  if (c === 0) return b / a;
  const root = Math.sqrt(Math.abs(a * a - 4 * b * c));
  return a <= 0 ? (a - root) / (2 * c) : 2 * b / (a + root);
}

/** The middle of a bracket, of the exponents where it spans many of them: a root may be very close to its pole, which is zero. */
function halfway(low: number, high: number): number {
  const small = Math.min(Math.abs(low), Math.abs(high)),
    large = Math.max(Math.abs(low), Math.abs(high));
  if (small === 0) return (low + high) / 16;
  return small * 8 < large ? Math.sign(low + high) * Math.sqrt(small * large) : (low + high) / 2;
}

/** The weights for which the roots found are exact, with the signs of the old ones. */
function exactWeights(
  poles: Float64Array,
  weights: Float64Array,
  origins: Int32Array,
  offsets: Float64Array,
): Float64Array<ArrayBuffer> {
  const k = poles.length;
  const product = new Float64Array(k).fill(1);
  for (let j = 0; j < k; j++) {
    const pole = poles[j], origin = poles[origins[j]], offset = offsets[j];
    for (let i = 0; i < j; i++) product[i] *= ((origin - poles[i]) + offset) / (pole - poles[i]);
    product[j] *= (origin - pole) + offset;
    for (let i = j + 1; i < k; i++) {
      product[i] *= ((origin - poles[i]) + offset) / (pole - poles[i]);
    }
  }
  return product.map((x, i) => Math.sign(weights[i]) * Math.sqrt(Math.abs(x)));
}
