/**
 * Operations that move values without computing. All of them copy, keep the storage type (floats and integers alike, every bit)
 * and count negative axes from the end.
 *
 * @module
 */
import { DTypeError, ShapeError } from "../errors.ts";
import { record } from "../tape.ts";
import { allocate, type Tensor, tidy } from "../tensor.ts";
import { broadcastShape } from "./broadcast.ts";
import { type BoxAxis, copyBox, movedTo, stridesOf } from "./copy.ts";
import { full } from "./elementwise.ts";
import { normalizeAxes, sumTo } from "./reduce.ts";

const wholeBox = (x: Tensor, target: readonly number[]): BoxAxis[] => {
  const source = stridesOf(x.shape);
  return x.shape.map((n, i) => ({ n, source: source[i], target: target[i] }));
};

/** One axis as a non-negative number. */
function oneAxis(op: string, shape: readonly number[], axis: number): number {
  return normalizeAxes(op, shape, [axis])[0];
}

/** A shape with one axis of another length. */
function withAxis(shape: readonly number[], axis: number, n: number): number[] {
  return shape.map((length, i) => (i === axis ? n : length));
}

/**
 * `x` repeated to a larger shape.
 *
 * @throws {ShapeError} when an axis is neither 1 nor equal.
 */
export function broadcastTo(x: Tensor, shape: readonly number[]): Tensor {
  const reached = broadcastShape("broadcast", x.shape, shape);
  if (reached.length !== shape.length || reached.some((n, i) => n !== shape[i])) {
    throw new ShapeError(`Cannot broadcast [${x.shape}] to [${shape}]`);
  }
  const [from, lead] = [x.shape, shape.length - x.shape.length];
  const [source, target] = [stridesOf(from), stridesOf(shape)];
  const axes = shape.map((n, i) => ({
    n,
    source: i < lead || from[i - lead] === 1 ? 0 : source[i - lead],
    target: target[i],
  }));
  return record(movedTo(x, shape, axes), [x], [], (g) => [() => sumTo(g, from)]);
}

/**
 * `x` with its axes in another order: axis `i` of the result is axis `axes[i]` of `x`.
 *
 * @throws {ShapeError} when `axes` does not name every axis once.
 */
export function permute(x: Tensor, axes: readonly number[]): Tensor {
  const order = axes.map((a) => (a < 0 ? a + x.shape.length : a));
  if (normalizeAxes("permute", x.shape, axes).length !== x.shape.length) {
    throw new ShapeError(`Cannot permute [${x.shape}] by [${axes}]: every axis must be named once`);
  }
  const shape = order.map((a) => x.shape[a]);
  const target = stridesOf(shape);
  const y = movedTo(x, shape, wholeBox(x, x.shape.map((_, a) => target[order.indexOf(a)])));
  const back = order.map((_, a) => order.indexOf(a));
  return record(y, [x], [], (g) => [() => permute(g, back)]);
}

/**
 * `x` with its last two axes exchanged: `[…, m, n]` → `[…, n, m]`.
 *
 * @throws {ShapeError} when `x` has fewer than two axes.
 */
export function transpose(x: Tensor): Tensor {
  const rank = x.shape.length;
  if (rank < 2) throw new ShapeError(`Cannot transpose [${x.shape}]: it needs two axes`);
  const axes = x.shape.map((_, i) => i);
  return permute(x, [...axes.slice(0, -2), rank - 1, rank - 2]);
}

/** Options of {@link slice}: of one axis, or lists that hold one entry for each axis from the first. */
export interface SliceOptions {
  /** The axis that the numbers are about. */
  readonly axis?: number;
  /** First index, negative from the end; 0 when absent. */
  readonly start?: number | readonly number[];
  /** Index after the last, negative from the end; the axis' length when absent. */
  readonly end?: number | readonly number[];
  /** Distance between the indices taken, at least 1. */
  readonly step?: number;
}

/**
 * A part of `x`.
 *
 * @example
 * ```ts
 * import { Gpu, slice, Tensor } from "@gyrus/gyrus";
 * using gpu = await Gpu.open();
 * using x = Tensor.from(gpu, [1, 2, 3, 4, 5, 6], [2, 3]);
 * using columns = slice(x, { axis: -1, start: 1 });
 * console.log(columns.shape, await columns.data()); // [2, 2], 2 3 5 6
 * using corner = slice(x, { start: [0, 0], end: [1, 2] });
 * console.log(corner.shape); // [1, 2]
 * ```
 *
 * @throws {ShapeError} when an index is out of range or `end` lies before `start`.
 */
export function slice(x: Tensor, options: SliceOptions): Tensor {
  const { start, end, step } = sliceBounds(x.shape, options);
  const shape = x.shape.map((_, i) => Math.ceil((end[i] - start[i]) / step[i]));
  const [source, target] = [stridesOf(x.shape), stridesOf(shape)];
  const first = start.reduce((at, n, i) => at + n * source[i], 0);
  const axes = shape.map((n, i) => ({ n, source: step[i] * source[i], target: target[i] }));
  const y = movedTo(x, shape, axes, { source: first });
  const from = x.shape;
  return record(y, [x], [], (g) => [() => {
    const dx = full(g.gpu, from, 0, { dtype: g.dtype });
    copyBox(g, dx, axes.map((a) => ({ n: a.n, source: a.target, target: a.source })), {
      target: first,
    });
    return dx;
  }]);
}

function sliceBounds(
  shape: readonly number[],
  { axis, start = [], end = [], step = 1 }: SliceOptions,
): { start: number[]; end: number[]; step: number[] } {
  const k = axis === undefined ? -1 : oneAxis("slice", shape, axis);
  const spread = (given: number | readonly number[], absent: readonly number[]) =>
    absent.map((n, i) => {
      const value = typeof given === "number" ? (i === k ? given : n) : given[i] ?? n;
      return value < 0 ? value + shape[i] : value;
    });
  const fail = () => {
    throw new ShapeError(
      `Cannot slice [${shape}] from ${start} to ${end} by ${step}${
        axis === undefined ? "" : ` on axis ${axis}`
      }: needs 0 ≤ start ≤ end ≤ length, a whole step ≥ 1, and an axis for single numbers`,
    );
  };
  const isNumber = typeof start === "number" || typeof end === "number" || step !== 1;
  const tooLong = [start, end].some((given) => Array.isArray(given) && given.length > shape.length);
  const isList = [start, end].some((given) => Array.isArray(given) && given.length > 0);
  if (isNumber && k < 0 || isList && k >= 0 || tooLong) fail();
  const from = spread(start, shape.map(() => 0)), to = spread(end, shape);
  const valid = from.every((n, i) =>
    Number.isInteger(n) && Number.isInteger(to[i]) && 0 <= n && n <= to[i] && to[i] <= shape[i]
  );
  if (!valid || !Number.isInteger(step) || step < 1) fail();
  return { start: from, end: to, step: shape.map((_, i) => (i === k ? step : 1)) };
}

/**
 * Tensors laid one after the other on an axis; the other axes agree.
 *
 * @throws {ShapeError} when there is no tensor or another axis differs.
 * @throws {DTypeError} when the storage types differ.
 */
export function concat(tensors: readonly Tensor[], axis = 0): Tensor {
  if (tensors.length === 0) {
    throw new ShapeError("Cannot concat: there must be at least one tensor");
  }
  const [first] = tensors;
  const k = oneAxis("concat", first.shape, axis);
  for (const t of tensors) {
    if (`${withAxis(t.shape, k, 0)}` !== `${withAxis(first.shape, k, 0)}`) {
      throw new ShapeError(
        `Cannot concat [${first.shape}] and [${t.shape}] on axis ${k}: the other axes must agree`,
      );
    }
    if (t.dtype !== first.dtype) {
      throw new DTypeError(`Cannot concat ${first.dtype} and ${t.dtype}: both must have one type`);
    }
    t.binding(); // throws for a disposed input, before allocating
  }
  const lengths = tensors.map((t) => t.shape[k]);
  const starts = lengths.map((_, i) => lengths.slice(0, i).reduce((p, n) => p + n, 0));
  const shape = withAxis(first.shape, k, lengths.reduce((p, n) => p + n, 0));
  const strides = stridesOf(shape);
  const y = tidy(first.gpu, () => {
    const out = allocate(first.gpu, shape, first.dtype);
    tensors.forEach((t, i) =>
      copyBox(t, out, wholeBox(t, strides), { target: starts[i] * strides[k] })
    );
    return out;
  });
  return record(
    y,
    tensors,
    [],
    (g) => lengths.map((n, i) => () => slice(g, { axis: k, start: starts[i], end: starts[i] + n })),
  );
}

/**
 * Tensors of one shape laid along a new axis.
 *
 * @throws {ShapeError} when there is no tensor or the shapes differ.
 */
export function stack(tensors: readonly Tensor[], axis = 0): Tensor {
  if (tensors.length === 0) throw new ShapeError("Cannot stack: there must be at least one tensor");
  const k = oneAxis("stack", [...tensors[0].shape, 1], axis);
  return tidy(tensors[0].gpu, () => {
    const parts = tensors.map((t) => t.reshape([...t.shape.slice(0, k), 1, ...t.shape.slice(k)]));
    return concat(parts, k);
  });
}

/** `x` with some axes (all when absent) in reverse order. */
export function flip(x: Tensor, axes?: readonly number[]): Tensor {
  const over = normalizeAxes("flip", x.shape, axes);
  const strides = stridesOf(x.shape);
  const box = x.shape.map((n, i) => ({
    n,
    source: over.includes(i) ? -strides[i] : strides[i],
    target: strides[i],
  }));
  const last = over.reduce((at, i) => at + Math.max(0, x.shape[i] - 1) * strides[i], 0);
  const y = movedTo(x, x.shape, box, { source: last });
  return record(y, [x], [], (g) => [() => flip(g, over)]);
}

/**
 * `x` laid `times[i]` times in a row on each axis `i`; missing leading axes of `x` count as 1.
 *
 * @throws {ShapeError} when `times` is shorter than the shape or not of whole numbers from 1.
 */
export function tile(x: Tensor, times: readonly number[]): Tensor {
  const lead = times.length - x.shape.length;
  if (lead < 0 || !times.every((n) => Number.isInteger(n) && n >= 1)) {
    throw new ShapeError(
      `Cannot tile [${x.shape}] by [${times}]: needs a whole number from 1 for every axis`,
    );
  }
  const from = [...new Array<number>(lead).fill(1), ...x.shape];
  return tidy(x.gpu, () => {
    const split = broadcastTo(
      x.reshape(from.flatMap((n) => [1, n])),
      from.flatMap((n, i) => [times[i], n]),
    );
    return split.reshape(from.map((n, i) => n * times[i]));
  });
}

/**
 * `x` with every slice of an axis repeated `times` times: `[a, b]` → `[a, a, b, b]`.
 *
 * @throws {ShapeError} when `times` is not a whole number from 1.
 */
export function repeat(x: Tensor, { axis, times }: { axis: number; times: number }): Tensor {
  const k = oneAxis("repeat", x.shape, axis);
  if (!Number.isInteger(times) || times < 1) {
    throw new ShapeError(
      `Cannot repeat [${x.shape}]: times must be a whole number from 1, got ${times}`,
    );
  }
  const [head, tail] = [x.shape.slice(0, k + 1), x.shape.slice(k + 1)];
  return tidy(x.gpu, () => {
    const spread = broadcastTo(x.reshape([...head, 1, ...tail]), [...head, times, ...tail]);
    return spread.reshape(withAxis(x.shape, k, times * x.shape[k]));
  });
}
