/**
 * QR of tall matrices by Cholesky factors of Gram matrices, in f32: nearly all of it is matrix product.
 *
 * @module
 */
import { ShapeError } from "../errors.ts";
import { record } from "../tape.ts";
import { type Tensor, tidy } from "../tensor.ts";
import { cholesky, inverseOfLower } from "./cholesky.ts";
import { add, neg, scale } from "./elementwise.ts";
import { matmul } from "./matmul.ts";
import { addDiagonal, diagonal, matrices, requireF32, takeBlock, triangle } from "./matrix.ts";
import { sum } from "./reduce.ts";
import { broadcastTo } from "./shape.ts";

/** What {@link qr} returns. */
export interface QrFactors {
  /** `[…, m, n]`, orthonormal columns. */
  readonly q: Tensor;
  /** `[…, n, n]`, upper triangular with a positive diagonal. */
  readonly r: Tensor;
}

/** Options of {@link qr}. */
export interface QrOptions {
  /** Adds a shifted pass first, which is needed above a condition number of about 1000. */
  readonly shifted?: boolean;
}

// Times ‖a‖²: about ten times the rounding error of a Gram matrix in f32 (2⁻²⁴), so that its shifted factor always exists.
const SHIFT = 6e-7;

/**
 * `a = q·r` by CholeskyQR2, after one shifted pass unless `shifted` is false. `a: […, m, n]` with m ≥ n and full column rank. Orthonormal
 * to f32 rounding for condition numbers up to about 10⁵ (10³ without the shifted pass); beyond that the result is NaN, which
 * {@link assertPositiveDefinite} reads from `r`. Yamamoto et al., "Roundoff error analysis of the CholeskyQR2 algorithm" (2015);
 * Fukaya et al., "Shifted Cholesky QR" (2020).
 *
 * @throws {ShapeError} when the matrices are wider than tall.
 * @throws {DTypeError} for another type than f32.
 */
export function qr(a: Tensor, { shifted = true }: QrOptions = {}): QrFactors {
  requireF32("factor", a);
  const { lead, batch, rows, cols } = matrices("factor", a);
  if (rows < cols) {
    throw new ShapeError(`Cannot factor [${a.shape}] as q·r: it needs rows ≥ columns`);
  }
  const { q, r, inverse } = tidy(a.gpu, () => {
    const passes = shifted ? [SHIFT, 0, 0] : [0, 0];
    let [q, l, inverse]: (Tensor | undefined)[] = [a.detach()];
    for (const shift of passes) {
      const factor = gramFactor(q!, shift);
      const inverted = inverseOfLower(factor);
      q = matmul(q!, inverted, { transposeB: true });
      l = l ? matmul(l, factor) : factor; // r = (l₁·l₂·l₃)ᵀ
      inverse = inverse ? matmul(inverted, inverse) : inverted;
    }
    const block = { row: 0, col: 0, rows: cols, cols };
    const flat = takeBlock(l!.alias([batch, cols, cols]), block, { transpose: true });
    return { q: q!, r: triangle("upper", flat.alias([...lead, cols, cols])), inverse: inverse! };
  });
  // Walter and Lehmann (2018), eq. 41: ā = (q̄ + q·mirror(r·r̄ᵀ − q̄ᵀ·q))·r⁻ᵀ, split by output.
  const saved = [q.detach(), r.detach(), inverse];
  record(q, [a], saved, (g, [q, , inverse]) => [
    () =>
      tidy(g.gpu, () => {
        const inner = triangle("mirror", neg(matmul(g, q, { transposeA: true })));
        return matmul(add(g, matmul(q, inner)), inverse);
      }),
  ]);
  record(r, [a], saved, (g, [q, r, inverse]) => [
    () =>
      tidy(g.gpu, () => {
        const inner = matmul(r, triangle("upper", g), { transposeB: true });
        return matmul(matmul(q, triangle("mirror", inner)), inverse);
      }),
  ]);
  saved.forEach((t) => t.dispose());
  return { q, r };
}

/** The Cholesky factor of `aᵀ·a + shift·‖a‖²`, off the tape. @internal */
export function gramFactor(a: Tensor, shift: number): Tensor {
  return tidy(a.gpu, () => {
    const gram = matmul(a, a, { transposeA: true });
    if (shift === 0) return cholesky(gram);
    const squares = diagonal(gram);
    const total = sum(squares, { axes: [-1], keepDims: true });
    return cholesky(addDiagonal(gram, broadcastTo(scale(total, shift), squares.shape)));
  });
}

/**
 * A basis of nearly the same span with columns of unit size, by one shifted pass: enough to keep a subspace iteration from collapsing,
 * and never NaN for finite columns that are not all zero. @internal
 */
export function rescaleBasis(a: Tensor): Tensor {
  return tidy(a.gpu, () => {
    const inverse = inverseOfLower(gramFactor(a, SHIFT));
    return matmul(a, inverse, { transposeB: true });
  });
}
