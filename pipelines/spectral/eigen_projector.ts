import { eighHost } from "../../engine/ops/eigh.ts";
import { add, mul, rsqrt, scale } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { transpose } from "../../engine/ops/shape.ts";
import { record } from "../../engine/tape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { sizeOf } from "../../shaders/kernel.ts";
import { InputError } from "../errors.ts";

/** Most rows of a matrix whose eigenvectors are differentiated: the gradient needs all of its eigenvectors. */
export const MAX_PROJECTOR_ROWS = 512;

/** Options of {@link eigenbases} and {@link eigenProjectors}. */
export interface EigenbasisOptions {
  /**
   * Least gap between an eigenvalue inside and one outside, as a share of the largest magnitude; the gradient divides by the gap. Where the
   * k-th gap is smaller, the gradient is that of a gap of this size.
   */
  readonly gapFloor?: number;
  /** Stops between two matrices. */
  readonly signal?: AbortSignal;
}

/** The leading eigenvectors of a batch of matrices; the caller owns the tensor. */
export interface Eigenbasis {
  /** Columns. */
  readonly k: number;
  /** `[…, n, k]`, orthonormal, descending by eigenvalue, with a gradient by the matrices. */
  readonly vectors: Tensor;
  /** `[batch, k]`, descending in each. */
  readonly values: Float64Array<ArrayBuffer>;
}

/**
 * The normalised matrix S = D^−½·A·D^−½ of affinities `a: […, n, n]`, with degrees D the sums of its rows, and its gradient. A degree
 * that is not positive gives NaN.
 */
export function normalizedAffinity(a: Tensor): Tensor {
  return tidy(a.gpu, () => {
    const inverse = rsqrt(sum(a, { axes: [-1], keepDims: true })); // [..., n, 1]
    return mul(mul(a, inverse), inverse.reshape([...a.shape.slice(0, -2), 1, a.shape.at(-1) ?? 0]));
  });
}

/**
 * The eigenvectors of the `k` largest eigenvalues (signed, not by magnitude) of symmetric matrices `s: […, n, n]`, for each k of `ks`, by one
 * full decomposition per matrix on the host in float64. On a tape they have the gradient of a function of the projector U·Uᵀ: one
 * that does not change when U is turned within its span. For any other function the gradient lacks the part within the span.
 *
 * With G the gradient by the projector P = U·Uᵀ, and U⊥ the other eigenvectors: H = U⊥ᵀ·G·U, Qᵢⱼ = Hᵢⱼ/(λⱼ − λᵢ), M = U⊥·Q·Uᵀ, and
 * ∂L/∂S = M + Mᵀ. The gradient by U is 2·G·U, so H = U⊥ᵀ·(∂L/∂U)/2. Only the gap between λ_k and λ_k+1 is singular: average a
 * loss over several k.
 *
 * @throws {InputError} when the matrices are not square, have more than 512 rows or a value that is not finite, or a k is not from 1 to n
 */
export async function eigenbases(
  s: Tensor,
  ks: readonly number[],
  { gapFloor = 1e-5, signal }: EigenbasisOptions = {},
): Promise<Eigenbasis[]> {
  const n = s.shape.at(-1) ?? 0;
  requireProjectable(s, ks);
  const { gpu } = s, lead = s.shape.slice(0, -2), batch = sizeOf(lead);
  const matrices = await s.data();
  const all = new Float32Array(batch * n * n), values = new Float64Array(batch * n);
  for (let b = 0; b < batch; b++) {
    await new Promise((resolve) => setTimeout(resolve)); // lets an interruption in
    signal?.throwIfAborted();
    const eigen = decomposed(matrices.subarray(b * n * n, (b + 1) * n * n), n, b);
    for (let j = 0; j < n; j++) {
      values[b * n + j] = eigen.values[n - 1 - j];
      for (let i = 0; i < n; i++) all[(b * n + i) * n + j] = eigen.vectors[i * n + n - 1 - j];
    }
  }
  using full = Tensor.from(gpu, all, [...lead, n, n]);
  return ks.map((k) => basisOf(s, { full, all, values, k, gapFloor }));
}

function basisOf(
  s: Tensor,
  { full, all, values, k, gapFloor }: {
    readonly full: Tensor;
    readonly all: Float32Array;
    readonly values: Float64Array;
    readonly k: number;
    readonly gapFloor: number;
  },
): Eigenbasis {
  const n = s.shape.at(-1) ?? 0, lead = s.shape.slice(0, -2), batch = sizeOf(lead);
  const top = new Float32Array(batch * n * k), kept = new Float64Array(batch * k);
  const weights = new Float32Array(batch * n * k); // 1/(λⱼ − λᵢ)/2 where i is outside and j inside, 0 elsewhere
  for (let b = 0; b < batch; b++) {
    const own = values.subarray(b * n, (b + 1) * n);
    const least = gapFloor * Math.max(Math.abs(own[0]), Math.abs(own[n - 1]), 2 ** -100);
    kept.set(own.subarray(0, k), b * k);
    for (let i = 0; i < n; i++) {
      const row = (b * n + i) * n, to = (b * n + i) * k;
      for (let j = 0; j < k; j++) {
        top[to + j] = all[row + j];
        if (i >= k) weights[to + j] = 0.5 / Math.max(least, own[j] - own[i]);
      }
    }
  }
  const shape = [...lead, n, k];
  const vectors = Tensor.from(s.gpu, top, shape);
  using own = vectors.detach();
  using inverses = Tensor.from(s.gpu, weights, shape);
  record(vectors, [s], [own, full, inverses], (g, [u, full, weights]) => [
    () =>
      tidy(g.gpu, () => {
        const q = mul(matmul(full, g, { transposeA: true }), weights); // rows inside are zero
        const m = matmul(matmul(full, q), u, { transposeB: true });
        return add(m, transpose(m));
      }),
  ]);
  return { k, vectors, values: kept };
}

function decomposed(matrix: ArrayLike<number>, n: number, b: number): ReturnType<typeof eighHost> {
  try {
    return eighHost(matrix, n);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new InputError(
      `Cannot differentiate eigenvectors: matrix ${b} (counted from 0) of the batch has a value that is not finite`,
    );
  }
}

function requireProjectable(s: Tensor, ks: readonly number[]): void {
  const [rows, n] = s.shape.slice(-2);
  if (s.shape.length < 2 || rows !== n || s.dtype !== "f32") {
    throw new InputError(
      `Cannot take eigenvectors of [${s.shape}] ${s.dtype}: they must be square matrices of f32`,
    );
  }
  if (n > MAX_PROJECTOR_ROWS) {
    throw new InputError(
      `Cannot differentiate eigenvectors of [${s.shape}]: all ${n} are needed, and at most ${MAX_PROJECTOR_ROWS} are computed; ` +
        "draw a subset of the nodes",
    );
  }
  const bad = ks.find((k) => !(Number.isInteger(k) && k >= 1 && k <= n));
  if (ks.length === 0 || bad !== undefined) {
    throw new InputError(
      `Cannot take ${bad ?? "no"} eigenvectors of [${s.shape}]: k must be from 1 to ${n}`,
    );
  }
}

/**
 * The projectors U·Uᵀ `[…, n, n]` on the `k` leading eigenvectors of `s: […, n, n]`, one for each k of `ks`, with their gradient; see
 * {@link eigenbases}, which is cheaper where the projectors themselves are not needed.
 *
 * @throws {InputError} as {@link eigenbases}
 */
export async function eigenProjectors(
  s: Tensor,
  ks: readonly number[],
  options: EigenbasisOptions = {},
): Promise<Tensor[]> {
  const bases = await eigenbases(s, ks, options);
  const projectors = bases.map(({ vectors }) => matmul(vectors, vectors, { transposeB: true }));
  bases.forEach(({ vectors }) => vectors.dispose());
  return projectors;
}

/**
 * Overlap of the spans of two bases `u, v: […, n, k]` with orthonormal columns: ‖uᵀ·v‖²/k `[…]`, from 0 (orthogonal) to 1 (the same span).
 * 1 less it is ‖U·Uᵀ − V·Vᵀ‖²/(2k), the distance of the projectors, without n² values.
 */
export function spanOverlap(u: Tensor, v: Tensor): Tensor {
  return tidy(u.gpu, () => {
    const products = matmul(u, v, { transposeA: true });
    return scale(sum(mul(products, products), { axes: [-2, -1] }), 1 / (u.shape.at(-1) ?? 1));
  });
}
