/**
 * Products in which the result is scored and not stored, and the panels that they read.
 *
 * @module
 */
import { ShapeError } from "../errors.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";
import { foldSumsKernel } from "../../shaders/matmul/fold_sums.ts";
import { packPanelsKernel, PANEL, panelDims } from "../../shaders/matmul/panels.ts";

/** A matrix in panels of 64 rows or columns. */
export type Panels = {
  /** `[panels, depth, 64]` */
  readonly values: Tensor;
  /** Rows or columns that lie side by side in the panels, without padding. */
  readonly width: number;
  /** Length of the other axis, made even with zeros. */
  readonly depth: number;
};

/** Packs `x: [rows, k]` into panels of 64 rows, or with `columns` `x: [k, columns]` into panels of 64 columns. */
export function packPanels(x: Tensor, { columns = false } = {}): Panels {
  if (x.shape.length !== 2) throw new ShapeError(`Cannot pack [${x.shape}]: it must be a matrix`);
  const [width, k] = columns ? x.shape.toReversed() : x.shape;
  const dims = panelDims(1, width, k);
  const [y] = run(packPanelsKernel, [x], { dims, args: { byRows: Number(!columns) } });
  const values = y.alias([dims.panels, dims.kPadded, PANEL]);
  y.dispose();
  return { values, width, depth: dims.kPadded };
}

/** Options of {@link foldSums}. */
export interface FoldSumsOptions {
  /** Row of `b` before which rows are left out; none are by default. */
  readonly skipStart?: number;
  /** Number of rows left out. */
  readonly skipCount?: number;
  /** Row of `y` that the first row of the product meets. */
  readonly testStart?: number;
  /** Takes `shift` off the product too. */
  readonly both?: boolean;
}

/**
 * Sums over the rows of `p = a·b`, by blocks of 64 rows: with y' = y − shift and, where `both`, p' = p − shift, else p' = p:
 * Σp', Σp'², Σy'·p' and Σ(y' − p')². `p` itself is never stored.
 *
 * @param a rows of the product, `[m, k]` by rows
 * @param b `[≥ k + skipCount, n]` by columns
 * @param y `[≥ testStart + m, n]` by columns
 * @param shift `[64·⌈n/64⌉]`
 * @returns `[⌈m/64⌉, 64·⌈n/64⌉, 4]`
 * @throws {ShapeError} when sizes disagree
 */
export function foldSums(
  a: Panels,
  b: Panels,
  y: Panels,
  shift: Tensor,
  { skipStart = a.depth, skipCount = 0, testStart = 0, both = false }: FoldSumsOptions = {},
): Tensor {
  const [blocks] = a.values.shape, [panels] = b.values.shape;
  const fits = b.width === y.width && shift.size === panels * PANEL &&
    a.depth + skipCount <= b.depth && testStart + a.width <= y.depth;
  if (!fits) {
    throw new ShapeError(
      `Cannot score products of [${a.width},${a.depth}] and [${b.depth},${b.width}] against [${y.depth},${y.width}] ` +
        `from row ${testStart} on, ${skipCount} rows left out: the sizes disagree`,
    );
  }
  const dims = {
    ...{ m: a.width, n: panels * PANEL, k: a.depth, blocks, rowsB: b.depth, rowsY: y.depth },
    ...{ aSize: a.values.size, bSize: b.values.size, ySize: y.values.size },
  };
  const args = { skipStart, skipCount, testStart, both: Number(both) };
  return run(foldSumsKernel, [a.values, b.values, y.values, shift], { dims, args })[0];
}
