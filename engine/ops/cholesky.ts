/**
 * Cholesky factors, triangular systems and inverses, in f32 or f64. A matrix is cut into blocks that fit one workgroup; everything
 * above them is matrix product, so the tuned product sets the speed, and known zeros are left out of it.
 *
 * @module
 */
import { NotPositiveDefiniteError, ShapeError } from "../errors.ts";
import { run } from "../run.ts";
import { record } from "../tape.ts";
import { allocate, dtypeBytes, type Tensor, tidy } from "../tensor.ts";
import { full, neg, scale, sub } from "./elementwise.ts";
import { gramOfLower } from "./gram.ts";
import { matmul } from "./matmul.ts";
import { product, type Zeros } from "./matmul_pieces.ts";
import {
  diagonal,
  identity,
  matrices,
  putBlock,
  requirePrecise,
  takeBlock,
  triangle,
} from "./matrix.ts";
import { movedTo } from "./copy.ts";
import { broadcastTo } from "./shape.ts";
import { ceilDiv } from "../../shaders/kernel.ts";
import {
  CHOLESKY_BLOCK,
  choleskyKernel,
  FACTOR_BLOCK,
  triangularSolveKernel,
} from "../../shaders/linalg/factor.ts";

/** Rows of the first half: whole leaves, so that only the last one is ragged. */
function half(n: number, block: number): number {
  return ceilDiv(ceilDiv(n, block), 2) * block;
}

/**
 * The lower Cholesky factor: `l·lᵀ = a`, `a: […, n, n]` symmetric and positive definite → `[…, n, n]`, zero above the diagonal. Only
 * the lower triangle of `a` is read. Where `a` is not positive definite the first bad pivot and all that follows from it are NaN:
 * {@link assertPositiveDefinite} reads that. The gradient is symmetric.
 *
 * @throws {ShapeError} when the matrices are not square.
 * @throws {DTypeError} for another type than f32 or f64, or for two types.
 */
export function cholesky(a: Tensor): Tensor {
  requirePrecise("factor", a);
  const { batch, rows: n } = matrices("factor", a, { square: true });
  const flat = tidy(a.gpu, () => factor(a.alias([batch, n, n])).l);
  const l = flat.alias(a.shape);
  record(l, [a], [l], (g, [l]) => [() => choleskyGradient(l, g)]);
  flat.dispose();
  return l;
}

/** A Cholesky factor with what its making leaves behind. */
interface Factor {
  /** `[batch, n, n]` */
  readonly l: Tensor;
  /** Inverses of the blocks on its diagonal, from the first. */
  readonly inverses: readonly Tensor[];
}

/**
 * Factors `a: [batch, n, n]`, off the tape, one block of columns after the other: all that is left of it is known once the columns
 * before have been taken off, so that no entry above the diagonal is made and every product has long sums.
 */
function factor(a: Tensor): Factor {
  const [batch, n] = a.shape;
  const l = full(a.gpu, a.shape, 0, { dtype: a.dtype });
  const inverses: Tensor[] = [];
  for (let at = 0; at < n && batch > 0; at += CHOLESKY_BLOCK) {
    const width = Math.min(CHOLESKY_BLOCK, n - at), rows = n - at;
    inverses.push(tidy(a.gpu, () => {
      let rest = takeBlock(a, { row: at, col: at, rows, cols: width });
      if (at > 0) {
        const before = takeBlock(l, { row: at, col: 0, rows, cols: at });
        rest = sub(rest, matmul(before, rowsOf(before, 0, width), { transposeB: true }));
      }
      const [leaf, inverse] = run(choleskyKernel, [rowsOf(rest, 0, width)]);
      putBlock(leaf, l, { row: at, col: at });
      if (rows > width) {
        const below = matmul(rowsOf(rest, width, rows), inverse, { transposeB: true });
        putBlock(below, l, { row: at + width, col: at });
      }
      return inverse;
    }));
  }
  return { l, inverses };
}

/** Rows of every matrix of `x: [batch, rows, cols]`, without a copy where they lie together. */
function rowsOf(x: Tensor, start: number, end: number): Tensor {
  const [batch, , cols] = x.shape;
  const { offsetAlignment } = x.gpu.caps;
  const isAligned = start * cols * dtypeBytes(x.dtype) % offsetAlignment === 0;
  if (batch === 1 && isAligned) return x.alias([1, end - start, cols], start * cols);
  return takeBlock(x, { row: start, col: 0, rows: end - start, cols });
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
 * @throws {DTypeError} for another type than f32 or f64, or for two types.
 */
export function solveTriangular(
  t: Tensor,
  b: Tensor,
  { lower = true, transpose = false }: TriangularOptions = {},
): Tensor {
  requirePrecise("solve", t, b);
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
  const n = t.shape[1];
  if (b.size === 0) return b.alias();
  if (n <= FACTOR_BLOCK) {
    const args = { lower: Number(lower), transpose: Number(transpose) };
    return run(triangularSolveKernel, [t, b], { args })[0];
  }
  return tidy(t.gpu, () => {
    const x = allocate(t.gpu, b.shape, b.dtype);
    const system = { ...options, t, inverses: inverseBlocks(t, lower), x };
    solveRows(system, b, 0, n);
    return x;
  });
}

/** A triangular system with the inverses of the blocks on its diagonal, and its solution so far. */
interface System extends Required<TriangularOptions> {
  readonly t: Tensor;
  readonly inverses: readonly Tensor[];
  readonly x: Tensor;
}

/**
 * Inverses of the blocks on the diagonal of `t: [batch, n, n]`, or of their transposes where they are upper triangles: products with
 * them are faster than substitution, and blocks are too small to be much worse conditioned than that.
 */
function inverseBlocks(t: Tensor, lower: boolean): Tensor[] {
  const [batch, n] = t.shape;
  const step = CHOLESKY_BLOCK, whole = Math.floor(n / step);
  const shape = [whole, batch, step, step];
  const diagonal = movedTo(t, shape, [
    { n: whole, source: step * (n + 1), target: batch * step * step },
    { n: batch, source: n * n, target: step * step },
    { n: step, source: lower ? n : 1, target: step },
    { n: step, source: lower ? 1 : n, target: 1 },
  ]);
  const found = whole > 0 ? inverseOfLower(diagonal) : diagonal;
  const each = Array.from({ length: whole }, (_, i) => {
    return found.alias([batch, step, step], i * batch * step * step);
  });
  const [row, rows] = [whole * step, n - whole * step];
  if (rows === 0) return each;
  const last = takeBlock(t, { row, col: row, rows, cols: rows }, { transpose: !lower });
  return [...each, inverseOfLower(last)];
}

/** Rows `start` to `end` of the solution, from what is left of these rows of the right-hand side. */
function solveRows(system: System, rest: Tensor, start: number, end: number): void {
  const { t, inverses, x, lower, transpose } = system;
  const forward = lower !== transpose, n = end - start;
  if (n <= CHOLESKY_BLOCK) {
    const rows = matmul(inverses[start / CHOLESKY_BLOCK], rest, { transposeA: !forward });
    return putBlock(rows, x, { row: start, col: 0 });
  }
  const middle = start + half(n, CHOLESKY_BLOCK);
  const parts = [[start, middle], [middle, end]];
  const [one, two] = forward ? parts : parts.toReversed();
  const rowsLeft = ([from, to]: number[]) => rowsOf(rest, from - start, to - start);
  tidy(t.gpu, () => {
    solveRows(system, rowsLeft(one), one[0], one[1]);
    const [row, col] = lower ? [middle, start] : [start, middle];
    const size = {
      rows: lower ? end - middle : middle - start,
      cols: lower ? middle - start : end - middle,
    };
    const off = takeBlock(t, { row, col, ...size });
    const known = matmul(off, rowsOf(x, one[0], one[1]), { transposeA: transpose });
    solveRows(system, sub(rowsLeft(two), known), two[0], two[1]);
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
  const { batch, rows: n } = matrices("invert", l, { square: true });
  return tidy(l.gpu, () => {
    const flat = l.alias([batch, n, n]);
    if (l.size === 0) return l.alias();
    const inverses = n > CHOLESKY_BLOCK ? inverseBlocks(flat, true) : inverseLeaves(flat);
    return inverseOfBlocks(flat, inverses, 0, n).alias(l.shape);
  });
}

/** Inverses of the blocks on the diagonal that one workgroup solves. */
function inverseLeaves(l: Tensor): Tensor[] {
  const n = l.shape[1];
  return Array.from({ length: ceilDiv(n, FACTOR_BLOCK) }, (_, i) => {
    const at = i * FACTOR_BLOCK, rows = Math.min(FACTOR_BLOCK, n - at);
    const block = takeBlock(l, { row: at, col: at, rows, cols: rows });
    const ones = broadcastTo(identity(l.gpu, rows, { dtype: l.dtype }), block.shape);
    return run(triangularSolveKernel, [block, ones])[0];
  });
}

/** The inverse of rows and columns `start` to `end` of `l: [batch, n, n]`, whose blocks on the diagonal have these inverses. */
function inverseOfBlocks(
  l: Tensor,
  inverses: readonly Tensor[],
  start: number,
  end: number,
): Tensor {
  if (inverses.length === 0) return l.alias();
  const block = inverses[0].shape[1];
  if (end - start <= block) return inverses[start / block];
  return tidy(l.gpu, () => {
    const rows = end - start;
    const n1 = half(rows, block);
    const x11 = inverseOfBlocks(l, inverses, start, start + n1);
    const x22 = inverseOfBlocks(l, inverses, start + n1, end);
    const l21 = takeBlock(l, { row: start + n1, col: start, rows: rows - n1, cols: n1 });
    const x = full(l.gpu, [l.shape[0], rows, rows], 0, { dtype: l.dtype });
    putBlock(x11, x, { row: 0, col: 0 });
    putBlock(x22, x, { row: n1, col: n1 });
    const inner = neg(triangularProduct(l21, x11, "lower b"));
    putBlock(triangularProduct(x22, inner, "lower a"), x, { row: n1, col: 0 });
    return x;
  });
}

/** `a·b` of batches of matrices, one of which is lower triangular. */
function triangularProduct(a: Tensor, b: Tensor, zeros: Zeros): Tensor {
  const [batch, m, k] = a.shape, n = b.shape[2];
  const whole = { transposeA: false, transposeB: false, isSharedA: false, isSharedB: false };
  return product(a, b, { batch, m, n, k, ...whole }, [batch, m, n], zeros);
}

/**
 * The inverse of symmetric positive definite matrices, `a: […, n, n]`; NaN where `a` is not positive definite. Prefer
 * {@link choleskySolve} where only a product with the inverse is needed: it is cheaper and more accurate.
 *
 * @throws {ShapeError} when the matrices are not square.
 * @throws {DTypeError} for another type than f32 or f64, or for two types.
 */
export function spdInverse(a: Tensor): Tensor {
  requirePrecise("invert", a);
  const { batch, rows: n } = matrices("invert", a, { square: true });
  const x = tidy(a.gpu, () => {
    const { l, inverses } = factor(a.alias([batch, n, n]));
    return gramOfLower(inverseOfBlocks(l, inverses, 0, n)).alias(a.shape);
  });
  return record(x, [a], [x], (g, [x]) => [
    () => neg(matmul(matmul(x, g, { transposeA: true }), x, { transposeB: true })),
  ]);
}
