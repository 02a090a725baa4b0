/**
 * Cholesky factors, triangular systems and inverses, in f32. The recursion halves a matrix until the blocks fit one workgroup;
 * everything above the leaves is matrix product, so the tuned product sets the speed.
 *
 * @module
 */
import { NotPositiveDefiniteError, ShapeError } from "../errors.ts";
import { run } from "../run.ts";
import { record } from "../tape.ts";
import { allocate, type Tensor, tidy } from "../tensor.ts";
import { full, neg, scale, sub } from "./elementwise.ts";
import { matmul } from "./matmul.ts";
import {
  diagonal,
  identity,
  matrices,
  putBlock,
  requireF32,
  takeBlock,
  triangle,
} from "./matrix.ts";
import { broadcastTo } from "./shape.ts";
import { ceilDiv } from "../../shaders/kernel.ts";
import {
  choleskyKernel,
  FACTOR_BLOCK,
  triangularSolveKernel,
} from "../../shaders/linalg/factor.ts";

/** Rows of the first half: whole leaves, so that only the last one is ragged. */
function half(n: number): number {
  return ceilDiv(ceilDiv(n, FACTOR_BLOCK), 2) * FACTOR_BLOCK;
}

/**
 * The lower Cholesky factor: `l·lᵀ = a`, `a: […, n, n]` symmetric and positive definite → `[…, n, n]`, zero above the diagonal. Only
 * the lower triangle of `a` is read. Where `a` is not positive definite the first bad pivot and all that follows from it are NaN:
 * {@link assertPositiveDefinite} reads that. The gradient is symmetric.
 *
 * @throws {ShapeError} when the matrices are not square.
 * @throws {DTypeError} for another type than f32.
 */
export function cholesky(a: Tensor): Tensor {
  requireF32("factor", a);
  const { batch, rows: n } = matrices("factor", a, { square: true });
  const flat = tidy(a.gpu, () => {
    const l = full(a.gpu, [batch, n, n], 0);
    if (l.size > 0) factorInto(l, a.alias([batch, n, n]), 0);
    return l;
  });
  const l = flat.alias(a.shape);
  record(l, [a], [l], (g, [l]) => [() => choleskyGradient(l, g)]);
  flat.dispose();
  return l;
}

/** Factors `a: [batch, n, n]` and writes the factor into `l` from row and column `at` on. */
function factorInto(l: Tensor, a: Tensor, at: number): void {
  const n = a.shape[1];
  if (n <= FACTOR_BLOCK) {
    const [leaf] = run(choleskyKernel, [a]);
    putBlock(leaf, l, { row: at, col: at });
    leaf.dispose();
    return;
  }
  const n1 = half(n), n2 = n - n1;
  const rest = tidy(a.gpu, () => {
    factorInto(l, takeBlock(a, { row: 0, col: 0, rows: n1, cols: n1 }), at);
    const right = takeBlock(a, { row: n1, col: 0, rows: n2, cols: n1 }, { transpose: true });
    const l11 = takeBlock(l, { row: at, col: at, rows: n1, cols: n1 });
    const w = solveBlocks(l11, right, { lower: true, transpose: false }); // l₂₁ᵀ: [batch, n1, n2]
    putBlock(w, l, { row: at + n1, col: at, transpose: true });
    const a22 = takeBlock(a, { row: n1, col: n1, rows: n2, cols: n2 });
    return sub(a22, matmul(w, w, { transposeA: true }));
  });
  factorInto(l, rest, at + n1);
  rest.dispose();
}

// Murray, "Differentiation of the Cholesky decomposition" (2016), eq. 9, for a symmetric a:
// ā = l⁻ᵀ · sym(Φ(lᵀ l̄)) · l⁻¹, where Φ keeps the lower triangle and halves the diagonal; sym mirrors half of it.
function choleskyGradient(l: Tensor, g: Tensor): Tensor {
  return tidy(l.gpu, () => {
    const inner = matmul(l, triangle("lower", g), { transposeA: true });
    const symmetric = scale(triangle("mirror", inner), 0.5);
    const inverse = inverseOfLower(l);
    return matmul(matmul(inverse, symmetric, { transposeA: true }), inverse);
  });
}

/**
 * Reads whether a factor of {@link cholesky} is one.
 *
 * @param l `[…, n, n]`
 * @throws {NotPositiveDefiniteError} naming the first pivot that was not positive.
 */
export async function assertPositiveDefinite(l: Tensor): Promise<void> {
  using pivots = tidy(l.gpu, () => diagonal(l.detach()));
  const values = await pivots.data();
  const bad = values.findIndex((pivot) => !(pivot > 0));
  if (bad < 0) return;
  const n = l.shape.at(-1)!;
  const which = l.shape.length > 2 ? ` of matrix ${Math.floor(bad / n)}` : "";
  throw new NotPositiveDefiniteError(
    `Cannot factor [${l.shape}]: it must be positive definite, pivot ${
      bad % n
    }${which} is not positive`,
  );
}

/** Options of {@link solveTriangular}. */
export interface TriangularOptions {
  /** Which triangle of `t` holds the matrix; the other one is not read. */
  readonly lower?: boolean;
  /** Solves `tᵀ·x = b`. */
  readonly transpose?: boolean;
}

/**
 * `x` with `t·x = b`, or `tᵀ·x = b`. `t: […, n, n]` triangular, `b: […, n, k]` → `[…, n, k]`; the leading axes are equal. A zero on the
 * diagonal gives infinities.
 *
 * @throws {ShapeError} when the shapes disagree.
 * @throws {DTypeError} for another type than f32.
 */
export function solveTriangular(
  t: Tensor,
  b: Tensor,
  { lower = true, transpose = false }: TriangularOptions = {},
): Tensor {
  requireF32("solve", t, b);
  const { lead, batch, rows: n } = matrices("solve", t, { square: true });
  const right = matrices("solve for", b);
  if (right.rows !== n || `${right.lead}` !== `${lead}`) {
    throw new ShapeError(
      `Cannot solve [${t.shape}] for [${b.shape}]: b must be [${[...lead, n, "k"]}]`,
    );
  }
  const flat = tidy(
    t.gpu,
    () =>
      solveBlocks(t.alias([batch, n, n]), b.alias([batch, n, right.cols]), { lower, transpose }),
  );
  const x = flat.alias(b.shape);
  record(x, [t, b], [t, x], (g, [t, x]) => {
    // b̄ = op(t)⁻ᵀ·g and the gradient of op(t) is −b̄·xᵀ, of which the triangle reaches t.
    let solved: Tensor | undefined; // both gradients need it
    const back = () => solved ??= solveTriangular(t, g, { lower, transpose: !transpose });
    const gradientOfT = () => {
      const y = back();
      return tidy(t.gpu, () => {
        const [rows, cols] = transpose ? [x, y] : [y, x];
        const product = matmul(rows, cols, { transposeB: true });
        return neg(triangle(lower ? "lower" : "upper", product));
      });
    };
    return [gradientOfT, back];
  });
  flat.dispose();
  return x;
}

/** Solves with `t: [batch, n, n]` for `b: [batch, n, cols]`, off the tape. */
function solveBlocks(t: Tensor, b: Tensor, options: Required<TriangularOptions>): Tensor {
  const { lower, transpose } = options;
  const [batch, n, cols] = b.shape;
  if (b.size === 0) return b.alias();
  if (n <= FACTOR_BLOCK) {
    const args = { lower: Number(lower), transpose: Number(transpose) };
    return run(triangularSolveKernel, [t, b], { args })[0];
  }
  const n1 = half(n), n2 = n - n1;
  return tidy(t.gpu, () => {
    const forward = lower !== transpose;
    const parts = [{ row: 0, rows: n1 }, { row: n1, rows: n2 }];
    const [one, two] = forward ? parts : parts.toReversed();
    const corner = ({ row, rows }: typeof one) => takeBlock(t, { row, col: row, rows, cols: rows });
    const rowsOf = ({ row, rows }: typeof one) => takeBlock(b, { row, col: 0, rows, cols });
    const x1 = solveBlocks(corner(one), rowsOf(one), options);
    const off = lower
      ? takeBlock(t, { row: n1, col: 0, rows: n2, cols: n1 })
      : takeBlock(t, { row: 0, col: n1, rows: n1, cols: n2 });
    const known = matmul(off, x1, { transposeA: transpose });
    const x2 = solveBlocks(corner(two), sub(rowsOf(two), known), options);
    const x = allocate(t.gpu, [batch, n, cols], "f32");
    putBlock(x1, x, { row: one.row, col: 0 });
    putBlock(x2, x, { row: two.row, col: 0 });
    return x;
  });
}

/**
 * `x` with `l·lᵀ·x = b`: a system solved by the factor of its matrix. `l: […, n, n]`, `b: […, n, k]` → `[…, n, k]`
 *
 * @throws {ShapeError} when the shapes disagree.
 */
export function choleskySolve(l: Tensor, b: Tensor): Tensor {
  return tidy(l.gpu, () => {
    const y = solveTriangular(l, b, { lower: true });
    return solveTriangular(l, y, { lower: true, transpose: true });
  });
}

/** The inverse of lower triangular matrices, off the tape. @internal */
export function inverseOfLower(l: Tensor): Tensor {
  const { rows: n } = matrices("invert", l, { square: true });
  return tidy(l.gpu, () => {
    const ones = broadcastTo(identity(l.gpu, n), l.shape);
    return solveTriangular(l.detach(), ones);
  });
}

/**
 * The inverse of symmetric positive definite matrices, `a: […, n, n]`; NaN where `a` is not positive definite. Prefer
 * {@link choleskySolve} where only a product with the inverse is needed: it is cheaper and more accurate.
 *
 * @throws {ShapeError} when the matrices are not square.
 */
export function spdInverse(a: Tensor): Tensor {
  const x = tidy(a.gpu, () => {
    const inverse = inverseOfLower(cholesky(a.detach()));
    return matmul(inverse, inverse, { transposeA: true });
  });
  return record(x, [a], [x], (g, [x]) => [
    () => neg(matmul(matmul(x, g, { transposeA: true }), x, { transposeB: true })),
  ]);
}
