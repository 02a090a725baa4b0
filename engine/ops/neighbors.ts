/**
 * Neighbours among rows: the greatest of each row, sums of rows by index, farthest-point sampling. Off the tape.
 *
 * @module
 */
import { ShapeError } from "../errors.ts";
import { run } from "../run.ts";
import { type Tensor, tidy } from "../tensor.ts";
import { add, full, maximum, scale, sub } from "./elementwise.ts";
import { matmul } from "./matmul.ts";
import { type Sorted, topK } from "./sort.ts";
import { distancesOfProductsKernel } from "../../shaders/spectral/distances.ts";
import {
  FARTHEST_BLOCK,
  farthestPointsKernel,
  farthestTurns,
} from "../../shaders/spectral/farthest_points.ts";
import {
  MOST_FEATURES,
  MOST_IN_REGISTERS,
  productTopKKernel,
  rowTopKKernel,
  weightedRowsKernel,
} from "../../shaders/spectral/nearest_rows.ts";

/**
 * The `k` greatest of `x − shift` in every row, greatest first, of equal ones the first. As `topK` of the difference, five times as fast
 * for k ≤ 32 and a number of columns that 4 divides.
 *
 * @param x `[rows, n]`
 * @param shift `[n]`
 * @returns values and u32 columns, `[rows, k]`
 * @throws {ShapeError} when the sizes disagree or `k` is not from 1 to n.
 */
export function rowTopK(x: Tensor, shift: Tensor, k: number): Sorted {
  const [rows, n] = x.shape;
  if (x.shape.length !== 2 || shift.size !== n || !(Number.isInteger(k) && k >= 1 && k <= n)) {
    throw new ShapeError(
      `Cannot take the top ${k} of the rows of [${x.shape}] less [${shift.shape}]: the sizes must agree, and k be from 1 to ${n}`,
    );
  }
  if (k > MOST_IN_REGISTERS || n % 4 !== 0) {
    return tidy(x.gpu, () => {
      const { values, indices } = topK(sub(x.detach(), shift.reshape([1, n])), k);
      return { values, indices };
    });
  }
  const [values, indices] = run(rowTopKKernel, [x, shift], { dims: { rows, n, k } });
  return { values, indices };
}

/**
 * The `k` greatest of `a·bᵀ − shift` in every row, greatest first, of equal ones the first: with half of the squared lengths as shift, the
 * rows of `b` that are nearest to each of `a`. Up to 64 features in one kernel, which does not store the product; of wider rows the product
 * is the work, and made first.
 *
 * @param a `[rows, d]`
 * @param b `[n, d]`
 * @param shift `[n]`
 * @returns values and u32 columns, `[rows, k]`
 * @throws {ShapeError} when the sizes disagree or `k` is not from 1 to n.
 */
export function productTopK(a: Tensor, b: Tensor, shift: Tensor, k: number): Sorted {
  const [rows, d] = a.shape, [n] = b.shape;
  const isNarrow = d <= MOST_FEATURES && d % 4 === 0 && n % 4 === 0 && k <= MOST_IN_REGISTERS;
  if (
    !isNarrow || b.shape[1] !== d || shift.size !== n || !(Number.isInteger(k) && k >= 1 && k <= n)
  ) {
    return tidy(a.gpu, () => {
      const { values, indices } = rowTopK(
        matmul(a.detach(), b.detach(), { transposeB: true }),
        shift,
        k,
      );
      return { values, indices };
    });
  }
  const [values, indices] = run(productTopKKernel, [a, b, shift], { dims: { rows, n, d, k } });
  return { values, indices };
}

/**
 * Sums of rows by index: `y[r] = Σⱼ weights[r, j] · x[indices[r, j]]`.
 *
 * @param x `[m, n]`
 * @param indices u32 `[rows, k]`; one out of range adds nothing
 * @param weights `[rows, k]`
 * @returns `[rows, n]`
 * @throws {ShapeError} when indices and weights differ in shape.
 */
export function weightedRows(x: Tensor, indices: Tensor, weights: Tensor): Tensor {
  return run(weightedRowsKernel, [x, indices, weights])[0];
}

/**
 * Squared distances by products: `max(rows + columns − 2·products, 0)`.
 *
 * @param products `[…, n, m]`
 * @param rows squared lengths, `[…, n]`
 * @param columns `[…, m]`
 * @returns `[…, n, m]`
 * @throws {ShapeError} when the sizes disagree.
 */
export function distancesOfProducts(products: Tensor, rows: Tensor, columns: Tensor): Tensor {
  const [n, m] = products.shape.slice(-2);
  if (4 * products.size > products.gpu.caps.maxBindingBytes) {
    return tidy(products.gpu, () => {
      const lead = products.shape.slice(0, -2);
      const both = add(rows.reshape([...lead, n, 1]), columns.reshape([...lead, 1, m]));
      return maximum(sub(both, scale(products, 2)), full(products.gpu, [1], 0));
    });
  }
  const dims = { batch: products.size / (n * m) || 0, n, m };
  const shapes = { y: products.shape };
  return run(distancesOfProductsKernel, [products, rows, columns], { dims, shapes })[0];
}

/** Points in blocks of 16 that lie together, see {@link farthestPicks}. */
export interface PointBlocks {
  /** `[16·blocks, d]`, d divisible by 4 */
  readonly points: Tensor;
  /** u32 `[16·blocks]`: what a pick is called, and ties are decided by. */
  readonly order: Tensor;
  /** `[blocks, 2, d]`: least and greatest coordinates. */
  readonly boxes: Tensor;
  /** `[16·blocks]`: 0, more where picking must begin, −2 where there is no point. It is worked on. */
  readonly nearest: Tensor;
}

const MOST_PICKS = 512; // in one dispatch: a display driver's patience

/**
 * Farthest-point sampling: `count` times the point whose nearest pick is farthest, of equal ones the first in order. Recorded as a whole,
 * with no look from the host in between.
 *
 * @returns u32 `[count]`, by `order`
 * @throws {ShapeError} when the sizes disagree.
 */
export function farthestPicks(
  { points, order, boxes, nearest }: PointBlocks,
  count: number,
): Tensor {
  const { gpu, shape: [n, d] } = points;
  const blocks = n / FARTHEST_BLOCK;
  const turns = 2 * (farthestTurns({ blocks, d }) + 64); // of the slowest variant
  const step = Math.max(1, Math.min(MOST_PICKS, Math.floor(gpu.caps.maxLoopTurns / turns) - 1));
  return tidy(gpu, () => {
    const near = nearest.detach();
    const picks = full(gpu, [count], 0, { dtype: "u32" });
    for (let first = 0; first < count; first += step) {
      const args = { first, count: Math.min(step, count - first) };
      const dims = { n, d, blocks, m: count };
      run(farthestPointsKernel, [points, order, boxes, near, picks], { dims, args })
        .forEach((t) => t.dispose());
    }
    return picks;
  });
}
