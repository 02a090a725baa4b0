/**
 * Sorting and the greatest values of an axis. Equal values keep their order; NaN counts as greater than all numbers, and −0 as 0.
 *
 * @module
 */
import { ShapeError } from "../errors.ts";
import { run } from "../run.ts";
import { record, recordOpaque } from "../tape.ts";
import { type Tensor, tidy } from "../tensor.ts";
import { movedTo } from "./copy.ts";
import { full } from "./elementwise.ts";
import { gather } from "./gather.ts";
import { normalizeAxes } from "./reduce.ts";
import { permute } from "./shape.ts";
import { putKernel } from "../../shaders/index/put.ts";
import { sizeOf } from "../../shaders/kernel.ts";
import {
  FIRST_RUN,
  mergedLength,
  mergeRunsKernel,
  sortKeysKernel,
  sortRunsKernel,
} from "../../shaders/sort/sort.ts";

/** Values in order with the places that they had. */
export interface Sorted {
  /** The values, of the input's type; differentiable. */
  readonly values: Tensor;
  /** Their indices on the axis, u32. */
  readonly indices: Tensor;
}

/** Options of {@link sort} and {@link argsort}. */
export interface SortOptions {
  /** Axis to sort along, the last one when absent. */
  readonly axis?: number;
  /** Greatest first. */
  readonly descending?: boolean;
}

/**
 * Sorts `(key, column)` pairs of rows by key: `keys: [rows, n]` u32 → `[rows, min(k, n) or more, 2]`, of which the first `k` are right.
 *
 * @internal
 */
export function sortPairs(keys: Tensor, rows: number, n: number, k = n): Tensor {
  return tidy(keys.gpu, () => {
    let [pairs] = run(sortRunsKernel, [keys], { dims: { rows, n } });
    let length = n;
    for (let width = FIRST_RUN; width < length;) {
      // Runs grow until one holds k pairs; from then on each two leave one of that length.
      const keep = width < k ? 2 * width : width;
      const m = mergedLength(length, width, keep);
      const args = { run: width, keep };
      const [merged] = run(mergeRunsKernel, [pairs], { dims: { rows, n: length, m }, args });
      pairs.dispose();
      [pairs, length, width] = [merged, m, keep];
    }
    return pairs;
  });
}

/** Indices of the first `k` of each row in order, `[rows, k]`. */
function firstIndices(x: Tensor, k: number, descending: boolean): Tensor {
  const n = x.shape.at(-1)!, rows = x.size / n;
  return tidy(x.gpu, () => {
    const args = { descending: Number(descending) };
    const [keys] = run(sortKeysKernel, [x], { dims: { n: x.size }, args });
    const pairs = sortPairs(keys, rows, n, k);
    const stride = pairs.size / rows;
    const axes = [{ n: rows, source: stride, target: k }, { n: k, source: 2, target: 1 }];
    return movedTo(pairs, [rows, k], axes, { source: 1 });
  });
}

/** The first `k` values of the last axis in order. */
function ordered(x: Tensor, k: number, descending: boolean): Sorted {
  const shape = [...x.shape.slice(0, -1), k];
  const n = x.shape.at(-1)!, rows = sizeOf(x.shape.slice(0, -1));
  return tidy(x.gpu, () => {
    if (sizeOf(shape) === 0) {
      return {
        values: full(x.gpu, shape, 0, { dtype: x.dtype }),
        indices: full(x.gpu, shape, 0, { dtype: "u32" }),
      };
    }
    const flat = firstIndices(x, k, descending);
    const picked = gather(x.alias([rows, n]), flat, { axis: 1, batchAxes: 1 });
    const values = record(picked.alias(shape), [x], [flat], (g, [list]) => [() => {
      const dx = full(g.gpu, [rows, n], 0, { dtype: g.dtype });
      run(putKernel, [g.reshape([rows, k]), list, dx], { dims: { rows, k, n } });
      return dx.reshape(x.shape);
    }]);
    return { values, indices: recordOpaque(flat.alias(shape), [x], "the indices of a sort") };
  });
}

/**
 * Sorts along an axis.
 *
 * @example
 * ```ts
 * import { Gpu, sort, Tensor } from "@gyrus/gyrus";
 * using gpu = await Gpu.open();
 * using x = Tensor.from(gpu, [3, 1, 2]);
 * const { values, indices } = sort(x, { descending: true });
 * console.log(await values.data(), await indices.data()); // 3 2 1, 0 2 1
 * values.dispose();
 * indices.dispose();
 * ```
 *
 * @throws {ShapeError} when there is no such axis.
 */
export function sort(x: Tensor, { axis = -1, descending = false }: SortOptions = {}): Sorted {
  const [k] = normalizeAxes("sort", x.shape, [axis]);
  const last = x.shape.length - 1;
  if (k === last) return ordered(x, x.shape[last], descending);
  // Exchanging two axes is its own inverse.
  const order = x.shape.map((_, i) => (i === k ? last : i === last ? k : i));
  return tidy(x.gpu, () => {
    const { values, indices } = ordered(permute(x, order), x.shape[k], descending);
    return { values: permute(values, order), indices: permute(indices, order) };
  });
}

/** The indices that {@link sort} gives, u32. */
export function argsort(x: Tensor, options: SortOptions = {}): Tensor {
  return tidy(x.gpu, () => sort(x, options).indices);
}

/** Options of {@link topK}. */
export interface TopKOptions {
  /** False for the smallest values, smallest first. */
  readonly largest?: boolean;
}

/**
 * The `k` greatest values of the last axis, greatest first, and their indices; of equal values the one with the lower index first.
 *
 * @throws {ShapeError} when `k` is not a whole number from 0 to the axis' length.
 */
export function topK(x: Tensor, k: number, { largest = true }: TopKOptions = {}): Sorted {
  const n = x.shape.at(-1) ?? 0;
  if (!Number.isInteger(k) || k < 0 || k > n) {
    throw new ShapeError(
      `Cannot take the top ${k} of [${x.shape}]: k must be whole and from 0 to ${n}`,
    );
  }
  return ordered(x, k, largest);
}
