/**
 * Picking slices by index, and its adjoint.
 *
 * @module
 */
import { DTypeError, ShapeError } from "../errors.ts";
import { run } from "../run.ts";
import { record } from "../tape.ts";
import { Tensor, tidy } from "../tensor.ts";
import { asWords, movedTo } from "./copy.ts";
import { add } from "./elementwise.ts";
import { normalizeAxes } from "./reduce.ts";
import { slice } from "./shape.ts";
import { sortPairs } from "./sort.ts";
import { gatherKernel } from "../../shaders/index/gather.ts";
import { gatherSumKernel } from "../../shaders/index/gather_sum.ts";
import { scatterAddKernel, segmentSumKernel } from "../../shaders/index/scatter_add.ts";
import { sizeOf } from "../../shaders/kernel.ts";
import { segmentStartsKernel } from "../../shaders/sort/sort.ts";

/**
 * Indices as a u32 tensor, or as numbers of the host in one axis. Numbers are checked; what a tensor holds cannot be, so an index out
 * of range has a defined effect: {@link gather} gives 0 and {@link scatterAdd} adds nothing.
 */
export type Indices = Tensor | ArrayLike<number>;

/** Options of {@link gather}. */
export interface GatherOptions {
  /** Axis to pick from. */
  readonly axis?: number;
  /** Leading axes that `x` and the indices share: one list of indices for each of their entries. */
  readonly batchAxes?: number;
}

/** Options of {@link scatterAdd}. */
export interface ScatterAddOptions extends GatherOptions {
  /** Length of the axis in the result. */
  readonly size: number;
}

interface Plan {
  readonly outer: number;
  readonly inner: number;
  readonly rows: number;
  readonly share: number;
  readonly picked: readonly number[];
}

/** Sizes around an axis of `shape`; `shape` is that of the tensor that has one axis where the indices may have several. */
function plan(
  op: string,
  shape: readonly number[],
  indices: Indices,
  { axis = 0, batchAxes = 0 }: GatherOptions,
): Plan & { axis: number } {
  const [k] = normalizeAxes(op, shape, [axis]);
  const own = indices instanceof Tensor ? indices.shape : [indices.length];
  const batch = own.slice(0, batchAxes);
  if (batchAxes > k || `${batch}` !== `${shape.slice(0, batchAxes)}`) {
    throw new ShapeError(
      `Cannot ${op} [${shape}] by indices [${own}]: the first ${batchAxes} axes must agree and come before axis ${k}`,
    );
  }
  if (indices instanceof Tensor && indices.dtype !== "u32") {
    throw new DTypeError(`Cannot ${op} by ${indices.dtype}: indices must be u32`);
  }
  const outer = sizeOf(shape.slice(0, k));
  const rows = sizeOf(batch);
  return {
    axis: k,
    outer,
    inner: sizeOf(shape.slice(k + 1)),
    rows,
    share: outer / rows || 1,
    picked: own.slice(batchAxes),
  };
}

function checkRange(op: string, indices: Indices, n: number): void {
  if (indices instanceof Tensor) return;
  for (let i = 0; i < indices.length; i++) {
    if (!(Number.isInteger(indices[i]) && indices[i] >= 0 && indices[i] < n)) {
      throw new ShapeError(
        `Cannot ${op}: indices must be whole and from 0 to ${n - 1}, got ${indices[i]} at ${i}`,
      );
    }
  }
}

const onDevice = (x: Tensor, indices: Indices): Tensor =>
  indices instanceof Tensor
    ? indices.detach()
    : Tensor.from(x.gpu, Uint32Array.from(indices), [indices.length]);

/**
 * Slices of an axis by index: `y[…, j, …] = x[…, indices[j], …]`. The axis is replaced by the axes of the indices.
 *
 * @example
 * ```ts
 * import { gather, Gpu, Tensor } from "@gyrus/gyrus";
 * using gpu = await Gpu.open();
 * using table = Tensor.from(gpu, [0, 1, 10, 11, 20, 21], [3, 2]);
 * using rows = gather(table, [2, 0, 2]);
 * console.log(rows.shape, await rows.data()); // [3, 2], 20 21 0 1 20 21
 * ```
 *
 * @throws {ShapeError} when shared axes disagree or an index of the host is out of range.
 * @throws {DTypeError} when an index tensor is not u32.
 */
export function gather(x: Tensor, indices: Indices, options: GatherOptions = {}): Tensor {
  const { axis, outer, inner, rows, share, picked } = plan("gather", x.shape, indices, options);
  const n = x.shape[axis];
  checkRange("gather", indices, n);
  const shape = [...x.shape.slice(0, axis), ...picked, ...x.shape.slice(axis + 1)];
  const k = sizeOf(picked);
  const y = tidy(x.gpu, () => {
    const list = onDevice(x, indices);
    const words = asWords(x); // f64 moves as pairs of integers
    const dims = { outer, n, inner: inner * words.size / (x.size || 1), rows, k };
    const shapes = { y: words === x ? shape : [...shape, 2] };
    const [y] = run(gatherKernel, [words, list], { dims, args: { share }, shapes });
    return y.alias(shape, 0, x.dtype);
  });
  const saved = indices instanceof Tensor ? [indices] : [];
  return record(y, [x], saved, (g, [list]) => [() => {
    const flat = g.reshape([...x.shape.slice(0, axis), k, ...x.shape.slice(axis + 1)]);
    const flatList = list?.reshape([...list.shape.slice(0, options.batchAxes ?? 0), k]);
    return scatterAdd(flat, flatList ?? indices, { ...options, axis, size: n });
  }]);
}

/**
 * `y[i, j] = Σ_s x[rows[s, i], columns[s, j]]`, off the tape; an index out of range adds nothing.
 *
 * @param x `[m, n]`
 * @param rows u32 `[count, p]`
 * @param columns u32 `[count, q]`
 * @returns `[p, q]`
 * @throws {ShapeError} when the lists are not as many as each other or `x` is no matrix.
 * @throws {DTypeError} when indices are not u32.
 * @internal
 */
export function gatherSum(x: Tensor, rows: Tensor, columns: Tensor): Tensor {
  return run(gatherSumKernel, [x, rows, columns])[0];
}

const SCAN_LIMIT = 1 << 22; // comparisons above which sorting the indices pays

/**
 * Slices added to an axis by index: `y[…, d, …] = Σ_{j: indices[j] = d} values[…, j, …]`, the adjoint of {@link gather}. Added in the
 * order of `j` without atomics: the same bits in every run.
 *
 * @throws {ShapeError} when the indices and the axis of `values` disagree or an index of the host is out of range.
 * @throws {DTypeError} when an index tensor is not u32.
 */
export function scatterAdd(values: Tensor, indices: Indices, options: ScatterAddOptions): Tensor {
  const { axis, outer, inner, rows, share, picked } = plan(
    "scatterAdd",
    values.shape,
    indices,
    options,
  );
  const { size: n } = options;
  const k = values.shape[axis];
  if (sizeOf(picked) !== k || !Number.isInteger(n) || n < 0) {
    throw new ShapeError(
      `Cannot scatterAdd [${values.shape}] on axis ${axis} to ${n} places: needs ${k} indices, got [${picked}]`,
    );
  }
  checkRange("scatterAdd", indices, n);
  const shape = values.shape.map((length, i) => (i === axis ? n : length));
  const dims = { outer, n, inner, rows, k };
  const common = { args: { share }, shapes: { y: shape } };
  const y = tidy(values.gpu, () => {
    const most = values.gpu.caps.maxLoopTurns - 1;
    if (k > most) return scatterAddInPieces(values, indices, { ...options, axis, size: n }, most);
    if (outer * n * k * inner <= SCAN_LIMIT) {
      return run(scatterAddKernel, [values, onDevice(values, indices)], { dims, ...common })[0];
    }
    const [order, starts] = indices instanceof Tensor || rows > 1
      ? segments(onDevice(values, indices), { rows, k, n })
      : countingSort(indices, n).map((places) => Tensor.from(values.gpu, places));
    const sized = { ...dims, ends: n + 1 };
    return run(segmentSumKernel, [values, order, starts], { dims: sized, ...common })[0];
  });
  const saved = indices instanceof Tensor ? [indices] : [];
  return record(
    y,
    [values],
    saved,
    (g, [list]) => [() => gather(g, list ?? indices, { axis, batchAxes: options.batchAxes })],
  );
}

/** {@link scatterAdd} of `most` places at a time, for a driver that allows no longer loops. */
function scatterAddInPieces(
  values: Tensor,
  indices: Indices,
  options: ScatterAddOptions & { axis: number },
  most: number,
): Tensor {
  const { axis, batchAxes = 0 } = options;
  const k = values.shape[axis];
  const list = onDevice(values, indices);
  const flat = list.reshape([...list.shape.slice(0, batchAxes), k]);
  let total: Tensor | undefined;
  for (let start = 0; start < k; start += most) {
    const end = Math.min(k, start + most);
    const part = scatterAdd(
      slice(values.detach(), { axis, start, end }),
      slice(flat, { axis: batchAxes, start, end }),
      options,
    );
    total = total ? add(total, part) : part;
  }
  return total!;
}

/** Positions of the indices of every row in the order of their values, stably, and where each value begins. */
function segments(
  list: Tensor,
  { rows, k, n }: { rows: number; k: number; n: number },
): [order: Tensor, starts: Tensor] {
  const pairs = sortPairs(list, rows, k);
  const order = movedTo(pairs, [rows, k], [{ n: rows * k, source: 2, target: 1 }], { source: 1 });
  const [starts] = run(segmentStartsKernel, [pairs], { dims: { rows, n: k, ends: n + 1 } });
  return [order, starts];
}

/** The same for one row on the host. */
function countingSort(indices: ArrayLike<number>, n: number): Uint32Array<ArrayBuffer>[] {
  const starts = new Uint32Array(n + 1);
  for (let j = 0; j < indices.length; j++) starts[indices[j] + 1]++;
  for (let d = 0; d < n; d++) starts[d + 1] += starts[d];
  const next = starts.slice(0, n);
  const order = new Uint32Array(indices.length);
  for (let j = 0; j < indices.length; j++) order[next[indices[j]]++] = j;
  return [order, starts];
}
