/**
 * Eigenvectors of a symmetric tridiagonal matrix by divide and conquer: the small problems on the host in float64, the bases on the
 * device in f32.
 *
 * @module
 */
import { Tensor, tidy } from "../tensor.ts";
import { matmul } from "./matmul.ts";
import { rankOneEigen } from "./secular.ts";
import { concat } from "./shape.ts";
import { tridiagonalQl } from "./tridiagonal_host.ts";
import type { Gpu } from "../gpu.ts";

const LEAF_ROWS = 48; // solved by QL on the host: a few thousand rotations of short rows
// Couplings below this share of the matrix are dropped: far below the f32 rounding of the bases, far above the host's.
const NEGLIGIBLE = 1e-11;

/** The eigenvalues of a tridiagonal matrix and what a merge needs to know of its eigenvectors. */
interface Part {
  /** Ascending. */
  readonly values: Float64Array<ArrayBuffer>;
  /** First row of the eigenvectors. */
  readonly first: Float64Array;
  /** Last row of them. */
  readonly last: Float64Array;
  /** `[m, m]`, column i belongs to `values[i]`. */
  readonly basis: Tensor;
}

/** What {@link divideAndConquer} returns; the caller owns `basis`. @internal */
export interface TridiagonalEigen {
  /** Ascending. */
  readonly values: Float64Array<ArrayBuffer>;
  /** `[n, n]` f32: column i belongs to `values[i]`. */
  readonly basis: Tensor;
}

/**
 * All eigenvalues and eigenvectors of the tridiagonal matrix with diagonal `d: [n]` and `e[i]` beside `d[i]` and `d[i + 1]`, n ≥ 1.
 * Reads nothing back. `betweenMerges` hears of the rows merged; it may wait, or throw to end the work. @internal
 */
export async function divideAndConquer(
  gpu: Gpu,
  d: Float64Array,
  e: Float64Array,
  betweenMerges: (rows: number) => Promise<void> = () => Promise.resolve(),
): Promise<TridiagonalEigen> {
  const diagonal = d.slice();
  const live = new Set<Tensor>(); // bases that nobody else owns yet
  const solve = async (from: number, to: number): Promise<Part> => {
    if (to - from <= LEAF_ROWS) {
      return own(leaf(gpu, diagonal.slice(from, to), e.slice(from, to)));
    }
    const cut = (from + to) >> 1;
    const coupling = e[cut - 1]; // is subtracted from the values beside the cut, and comes back as a rank-one matrix
    diagonal[cut - 1] -= Math.abs(coupling);
    diagonal[cut] -= Math.abs(coupling);
    const upper = await solve(from, cut), lower = await solve(cut, to);
    const part = own(merge(gpu, upper, lower, coupling));
    for (const { basis } of [upper, lower]) {
      live.delete(basis);
      basis.dispose();
    }
    await betweenMerges(to - from);
    return part;
  };
  const own = (part: Part) => {
    live.add(part.basis);
    return part;
  };
  try {
    const { values, basis } = await solve(0, d.length);
    return { values, basis };
  } catch (error) {
    live.forEach((basis) => basis.dispose());
    throw error;
  }
}

/** A small part, solved as it is. */
function leaf(gpu: Gpu, d: Float64Array<ArrayBuffer>, e: Float64Array): Part {
  const m = d.length;
  const rows = new Float64Array(m * m); // row i is eigenvector i
  for (let i = 0; i < m; i++) rows[i * m + i] = 1;
  tridiagonalQl(d, e, rows, m);
  const host = Float32Array.from(rows, (_, at) => rows[at % m * m + Math.floor(at / m)]);
  return {
    values: d,
    first: Float64Array.from(d, (_, i) => rows[i * m]),
    last: Float64Array.from(d, (_, i) => rows[i * m + m - 1]),
    basis: Tensor.from(gpu, host, [m, m]),
  };
}

/**
 * Joins two parts: `diag(upper, lower) + |coupling|·u·uᵀ` with u one at both sides of the cut. The vectors of the update are written
 * as the two factors that multiply the upper and the lower basis.
 */
function merge(gpu: Gpu, upper: Part, lower: Part, coupling: number): Part {
  const m1 = upper.values.length, m2 = lower.values.length, m = m1 + m2;
  const d = new Float64Array(m), z = new Float64Array(m);
  d.set(upper.values);
  d.set(lower.values, m1);
  z.set(upper.last);
  lower.first.forEach((x, i) => z[m1 + i] = coupling < 0 ? -x : x);
  const update = rankOneEigen(d, z, Math.abs(coupling), NEGLIGIBLE);
  const top = new Float32Array(m * m1), bottom = new Float32Array(m * m2); // transposed: a row is a vector
  const first = new Float64Array(m), last = new Float64Array(m);
  const vector = new Float64Array(m);
  for (let j = 0; j < m; j++) {
    update.vector(j, vector);
    const above = vector.subarray(0, m1), below = vector.subarray(m1);
    top.set(above, j * m1);
    bottom.set(below, j * m2);
    first[j] = dot(above, upper.first);
    last[j] = dot(below, lower.last);
  }
  const basis = tidy(gpu, () => {
    const times = (basis: Tensor, factor: Float32Array, rows: number) =>
      matmul(basis, Tensor.from(gpu, factor, [m, rows]), { transposeB: true });
    return concat([times(upper.basis, top, m1), times(lower.basis, bottom, m2)], 0);
  });
  return { values: update.values, first, last, basis };
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
