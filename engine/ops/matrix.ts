/**
 * Parts of matrices: blocks, triangles, diagonals.
 *
 * @module
 */
import { DTypeError, ShapeError } from "../errors.ts";
import { run } from "../run.ts";
import { record } from "../tape.ts";
import { type DType, floatType, type Tensor, tidy } from "../tensor.ts";
import { copyBox, movedTo } from "./copy.ts";
import { full } from "./elementwise.ts";
import { sumTo } from "./reduce.ts";
import type { Gpu } from "../gpu.ts";
import {
  addDiagonalKernel,
  diagonalKernel,
  type Triangle,
  triangleKernels,
} from "../../shaders/linalg/blocks.ts";
import { sizeOf } from "../../shaders/kernel.ts";

/** A batch of matrices as the linear algebra reads it. @internal */
export interface Matrices {
  /** Leading axes. */
  readonly lead: readonly number[];
  /** Number of matrices. */
  readonly batch: number;
  /** Rows of each. */
  readonly rows: number;
  /** Columns of each. */
  readonly cols: number;
}

/**
 * Reads a shape as a batch of matrices.
 *
 * @throws {ShapeError} for fewer than two axes, or for matrices that are not square where they must be.
 *
 * @internal
 */
export function matrices(op: string, x: Tensor, { square = false } = {}): Matrices {
  const lead = x.shape.slice(0, -2);
  const [rows, cols] = x.shape.slice(-2);
  if (x.shape.length < 2 || (square && rows !== cols)) {
    throw new ShapeError(
      `Cannot ${op} [${x.shape}]: it must be ${square ? "square matrices" : "matrices"}`,
    );
  }
  return { lead, batch: sizeOf(lead), rows, cols };
}

/**
 * Refuses anything but f32.
 *
 * @throws {DTypeError} for another storage type.
 *
 * @internal
 */
export function requireF32(op: string, ...xs: readonly Tensor[]): void {
  const other = xs.find((x) => x.dtype !== "f32");
  if (other) {
    throw new DTypeError(
      `Cannot ${op} [${other.shape}] ${other.dtype}: factorisations need f32`,
    );
  }
}

/**
 * Refuses anything but f32 or f64, and two types at once.
 *
 * @throws {DTypeError} for another storage type.
 *
 * @internal
 */
export function requirePrecise(op: string, ...xs: readonly Tensor[]): void {
  const [{ dtype }] = xs;
  const other = xs.find((x) => x.dtype !== dtype || dtype !== "f32" && dtype !== "f64");
  if (other) {
    throw new DTypeError(
      `Cannot ${op} [${other.shape}] ${other.dtype}: factorisations need f32 or f64, and one type throughout`,
    );
  }
}

/** Where a block begins and how large it is. @internal */
export interface Block {
  /** First row. */
  readonly row: number;
  /** First column. */
  readonly col: number;
  /** Number of rows. */
  readonly rows: number;
  /** Number of columns. */
  readonly cols: number;
}

/** A block of every matrix of `x: [batch, rows, cols]`, off the tape, transposed where asked. @internal */
export function takeBlock(x: Tensor, block: Block, { transpose = false } = {}): Tensor {
  const { batch, rows, cols } = matrices("take a block of", x);
  const [m, n] = transpose ? [block.cols, block.rows] : [block.rows, block.cols];
  const axes = [
    { n: batch, source: rows * cols, target: m * n },
    { n: block.rows, source: cols, target: transpose ? 1 : n },
    { n: block.cols, source: 1, target: transpose ? n : 1 },
  ];
  return movedTo(x, [batch, m, n], axes, { source: block.row * cols + block.col });
}

/** Writes a block into every matrix of `into: [batch, rows, cols]` at (row, col), transposed where asked. @internal */
export function putBlock(
  block: Tensor,
  into: Tensor,
  { row, col, transpose = false }: { row: number; col: number; transpose?: boolean },
): void {
  const from = matrices("put", block), to = matrices("put into", into);
  const axes = [
    { n: from.batch, source: from.rows * from.cols, target: to.rows * to.cols },
    { n: from.rows, source: from.cols, target: transpose ? 1 : to.cols },
    { n: from.cols, source: 1, target: transpose ? to.cols : 1 },
  ];
  copyBox(block, into, axes, { target: row * to.cols + col });
}

/** A triangle of square matrices, off the tape. @internal */
export function triangle(kind: Triangle, x: Tensor): Tensor {
  const { batch, rows: n } = matrices(`take the ${kind} triangle of`, x, { square: true });
  return run(triangleKernels[kind], [x], { dims: { batch, n }, shapes: { y: x.shape } })[0];
}

/**
 * The lower triangle with its diagonal, zero above. `x: […, n, n]`
 *
 * @throws {ShapeError} when the matrices are not square.
 */
export function tril(x: Tensor): Tensor {
  return record(triangle("lower", x), [x], [], (g) => [() => triangle("lower", g)]);
}

/**
 * The upper triangle with its diagonal, zero below. `x: […, n, n]`
 *
 * @throws {ShapeError} when the matrices are not square.
 */
export function triu(x: Tensor): Tensor {
  return record(triangle("upper", x), [x], [], (g) => [() => triangle("upper", g)]);
}

/**
 * The diagonals of square matrices: `x: […, n, n]` → `[…, n]`.
 *
 * @throws {ShapeError} when the matrices are not square.
 */
export function diagonal(x: Tensor): Tensor {
  const { lead, batch, rows: n } = matrices("take the diagonal of", x, { square: true });
  const [y] = run(diagonalKernel, [x], { dims: { batch, n }, shapes: { y: [...lead, n] } });
  return record(y, [x], [], (g) => [() => diagonalMatrix(g)]);
}

/** Square matrices with these diagonals and zero elsewhere: `d: […, n]` → `[…, n, n]`. */
export function diagonalMatrix(d: Tensor): Tensor {
  return tidy(d.gpu, () => {
    const shape = [...d.shape, d.shape.at(-1) ?? 1];
    return addDiagonal(full(d.gpu, shape, 0, { dtype: floatType(d) }), d);
  });
}

/** The identity matrix `[n, n]`. */
export function identity(
  gpu: Gpu,
  n: number,
  { dtype = "f32" }: { dtype?: DType } = {},
): Tensor {
  return tidy(gpu, () => addDiagonal(full(gpu, [n, n], 0, { dtype }), 1));
}

/**
 * `x + diag(d)`. `x: […, n, n]`; `d: […, n]`, or one number for all.
 *
 * @throws {ShapeError} when the matrices are not square or `d` does not fit.
 */
export function addDiagonal(x: Tensor, d: Tensor | number): Tensor {
  const { lead, batch, rows: n } = matrices("add to the diagonal of", x, { square: true });
  if (typeof d === "number") {
    return tidy(x.gpu, () => {
      return addDiagonal(x, full(x.gpu, [...lead, n], d, { dtype: floatType(x) }));
    });
  }
  if (d.size !== batch * n) {
    throw new ShapeError(
      `Cannot add [${d.shape}] to the diagonal of [${x.shape}]: it must be [${[...lead, n]}]`,
    );
  }
  const [y] = run(addDiagonalKernel, [x, d], { dims: { batch, n }, shapes: { y: x.shape } });
  const shape = d.shape;
  return record(y, [x, d], [], (g) => [() => g, () => sumTo(diagonal(g), shape)]);
}
