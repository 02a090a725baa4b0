/**
 * Reduction of symmetric matrices to tridiagonal ones by Householder reflectors on the device, with no read inside: LAPACK's sytrd,
 * blocked as its latrd. A panel of reflectors leaves the matrix as it is; the products with it, one per reflector, are bound by memory
 * and are a third of the work, and the rest is one matrix product per panel, which makes both triangles.
 *
 * @module
 */
import { run } from "../run.ts";
import { allocate, type Tensor, tidy } from "../tensor.ts";
import { addScalar, full, maximum, neg, scale, sub } from "./elementwise.ts";
import { inverseOfLower } from "./cholesky.ts";
import { copyBox } from "./copy.ts";
import { gram } from "./gram.ts";
import { linear, matmul } from "./matmul.ts";
import { addDiagonal, diagonal, takeBlock } from "./matrix.ts";
import { axpyKernel } from "../../shaders/elementwise/axpy.ts";
import {
  COLUMN_PART,
  tridiagonalColumnKernel,
  tridiagonalProductKernel,
} from "../../shaders/linalg/tridiagonal.ts";
import { ceilDiv } from "../../shaders/kernel.ts";

/** Reflectors in a panel: more of them update the matrix less often and make longer panels to read at every step. */
const PANEL = 32;
// Reflectors applied at once to the eigenvectors. A multiple of 64, so that rows of any length begin at offsets that every adapter
// binds: 64 values are 256 bytes.
const APPLIED = 128;

/** What {@link tridiagonalize} makes; the caller owns all three. @internal */
export interface Tridiagonal {
  /** `[n]` */
  readonly diagonal: Tensor;
  /** `[n]`, beside the diagonal; the last one is zero. */
  readonly offDiagonal: Tensor;
  /** `[≥ n, n]`: row k is the reflector 1 − v·vᵀ that clears column k, zero up to its own column; rows of zeros beyond n. */
  readonly reflectors: Tensor;
}

/** The state of a reduction that every panel goes on with. */
interface Reduction extends Tridiagonal {
  readonly n: number;
  /** The part not yet reduced, `[m, m]`, m a multiple of 4: zero rows and columns beyond n. */
  rest: Tensor;
  /** Columns that are reduced. */
  done: number;
}

/**
 * Reduces `a: [n, n]`, symmetric, entries of size about 1, to a tridiagonal matrix `t`: `a = h·t·hᵀ`, where `h` is the product of the
 * reflectors in order. Records only; `betweenPanels` may wait. @internal
 */
export async function tridiagonalize(
  a: Tensor,
  betweenPanels: (done: number) => Promise<void> = () => Promise.resolve(),
): Promise<Tridiagonal> {
  const { gpu } = a;
  const [n] = a.shape;
  const tensors = tidy(gpu, () => ({
    rest: padded(a),
    diagonal: full(gpu, [n], 0),
    offDiagonal: full(gpu, [n], 0),
    reflectors: full(gpu, [ceilDiv(n, APPLIED) * APPLIED, n], 0),
  }));
  const state: Reduction = { ...tensors, n, done: 0 };
  const { diagonal, offDiagonal, reflectors } = state;
  try {
    while (state.done < n) {
      const before = state.rest;
      state.rest = tidy(gpu, () => reducePanel(state));
      before.dispose();
      await betweenPanels(state.done);
    }
  } catch (error) {
    [diagonal, offDiagonal, reflectors].forEach((t) => t.dispose());
    throw error;
  } finally {
    state.rest.dispose();
  }
  return { diagonal, offDiagonal, reflectors };
}

/** `a` with zero rows and columns up to a multiple of 4, which the kernels read at a time. */
function padded(a: Tensor): Tensor {
  const [n] = a.shape;
  const m = ceilDiv(n, 4) * 4;
  if (m === n) return a.alias();
  const to = full(a.gpu, [m, m], 0);
  copyRows(a, to, [n, n], { row: n }, { row: m });
  return to;
}

/** Copies a block of rows; where it begins and how far rows are apart, in values. */
function copyRows(
  x: Tensor,
  y: Tensor,
  [rows, cols]: readonly [number, number],
  from: { readonly start?: number; readonly row: number },
  to: { readonly start?: number; readonly row: number },
): void {
  const axes = [
    { n: rows, source: from.row, target: to.row },
    { n: cols, source: 1, target: 1 },
  ];
  copyBox(x, y, axes, { source: from.start, target: to.start });
}

/** Reduces the next columns and returns what is left. */
function reducePanel(state: Reduction): Tensor {
  const { n, rest: a, done, diagonal, offDiagonal, reflectors } = state;
  const { gpu } = a;
  const [m] = a.shape;
  const steps = Math.min(PANEL, n - done);
  const parts = ceilDiv(m, COLUMN_PART);
  const dims = { m, width: PANEL, parts, n };
  const panel = full(gpu, [2, PANEL, m], 0);
  const dots = full(gpu, [2, PANEL], 0);
  const [column, y] = [0, 0].map(() => allocate(gpu, [m], "f32"));
  const squares = allocate(gpu, [parts], "f32");
  const nextColumn = (step: number) => {
    const args = { step, at: Math.min(done + step, n - 1) };
    const inputs = [a, y, dots, panel, diagonal];
    run(tridiagonalColumnKernel, inputs, { dims, args, out: { column, squares } });
  };
  for (let step = 0; step < steps; step++) {
    nextColumn(step);
    const inputs = [a, column, squares, panel, dots, offDiagonal];
    run(tridiagonalProductKernel, inputs, { dims, args: { step, at: done + step }, out: { y } });
  }
  const to = { start: done * n + done, row: n };
  copyRows(panel, reflectors, [steps, n - done], { row: m }, to);
  state.done += steps;
  if (state.done >= n) return a.alias();
  nextColumn(steps); // which finishes the last w; its column is that of the next panel
  return updated(a, panel);
}

/** What is left of `a` behind the columns of a panel: `a − v·wᵀ − w·vᵀ`, by one product of twice the panel's width. */
function updated(a: Tensor, panel: Tensor): Tensor {
  const { gpu } = a;
  const [m] = a.shape;
  const left = m - PANEL;
  const swapped = allocate(gpu, [2 * PANEL, left], "f32"); // [w; v]
  for (const half of [0, 1]) {
    const from = { start: half * PANEL * m + PANEL, row: m };
    const to = { start: (1 - half) * PANEL * left, row: left };
    copyRows(panel, swapped, [PANEL, left], from, to);
  }
  const rows = (x: Tensor, width: number, col: number) => {
    const block = { row: 0, col, rows: 2 * PANEL, cols: left };
    return takeBlock(x.alias([1, 2 * PANEL, width]), block, { transpose: true })
      .alias([left, 2 * PANEL]);
  };
  const corner = takeBlock(a.alias([1, m, m]), { row: PANEL, col: PANEL, rows: left, cols: left });
  return linear(neg(rows(panel, m, PANEL)), rows(swapped, left, 0), {
    residual: corner.alias([left, left]),
  });
}

/**
 * Applies the reflectors of {@link tridiagonalize} to eigenvectors of the tridiagonal matrix, in place: `q ← h·q`, `q: [n, k]`. A block
 * of reflectors is one block reflector `1 − vᵀ·s·v`, so that nearly all is matrix product. @internal
 */
export function applyReflectors(reflectors: Tensor, q: Tensor): void {
  const [n, k] = q.shape;
  const rows = reflectors.shape[0];
  const blocks = reflectors.alias([rows / APPLIED, APPLIED, n]);
  tidy(q.gpu, () => {
    const factors = middleFactors(blocks.alias());
    for (let row = rows - APPLIED; row >= 0; row -= APPLIED) {
      tidy(q.gpu, () => {
        const block = { row, col: row, rows: APPLIED, cols: n - row };
        const v = takeBlock(reflectors.alias([1, rows, n]), block).alias([APPLIED, n - row]);
        const factor = factors.alias([APPLIED, APPLIED], row * APPLIED);
        const part = q.alias([n - row, k], row * k);
        const turned = matmul(factor, matmul(v, part), { transposeA: true });
        const change = matmul(v, turned, { transposeA: true });
        run(axpyKernel, [change, part], { dims: { n: part.size }, args: { alpha: -1 } });
      });
    }
  });
  blocks.dispose();
}

/**
 * The transposed middle factors `sᵀ` of block reflectors `v: [batch, rows, n]`: the inverse of `s` is the upper triangle of `v·vᵀ` with
 * half of its diagonal (the UT transform of Puglisi 1992), which keeps the block reflector orthogonal to rounding where the lengths
 * of the vectors are off by it. The diagonal is 1 where a reflector is none.
 */
function middleFactors(v: Tensor): Tensor {
  const products = gram(v);
  const squares = diagonal(products); // 2 to rounding, or 0
  const wanted = maximum(scale(squares, 0.5), addScalar(neg(squares), 1));
  return inverseOfLower(addDiagonal(products, sub(wanted, squares)));
}
