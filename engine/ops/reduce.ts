/**
 * Reductions over any axes.
 *
 * @module
 */
import { ShapeError } from "../errors.ts";
import { run } from "../run.ts";
import { record } from "../tape.ts";
import { type Tensor, tidy } from "../tensor.ts";
import { broadcastTo } from "./shape.ts";
import { mul } from "./elementwise.ts";
import { full } from "./elementwise.ts";
import { reduceKernels, type ReduceName } from "../../shaders/reduce/reduce.ts";
import { sizeOf } from "../../shaders/kernel.ts";

/** Options of a reduction. */
export interface ReduceOptions {
  /** Axes to reduce, negative from the end; all of them when absent. */
  readonly axes?: readonly number[];
  /** Keeps reduced axes with size 1. */
  readonly keepDims?: boolean;
}

/**
 * Axes as sorted non-negative numbers.
 *
 * @throws {ShapeError} for an axis out of range or twice.
 */
export function normalizeAxes(
  op: string,
  shape: readonly number[],
  axes?: readonly number[],
): number[] {
  const rank = shape.length;
  const sorted = (axes ?? shape.map((_, i) => i)).map((a) => (a < 0 ? a + rank : a)).sort((a, b) =>
    a - b
  );
  if (sorted.some((a, i) => !(a >= 0 && a < rank && Number.isInteger(a)) || a === sorted[i - 1])) {
    throw new ShapeError(
      `Cannot ${op} [${shape}] over axes [${axes}]: they must be distinct and from ${-rank} to ${
        rank - 1
      }`,
    );
  }
  return sorted;
}

/** Reduces runs of neighbouring axes one after another, last first. Returns the shape with the axes kept as 1. */
function reduceAxes(name: ReduceName, x: Tensor, axes: readonly number[]): Tensor {
  const shape = [...x.shape];
  let y = x.alias();
  for (let end = axes.length; end > 0;) {
    let begin = end - 1;
    while (begin > 0 && axes[begin - 1] === axes[begin] - 1) begin--;
    const [first, last] = [axes[begin], axes[end - 1]];
    const outer = sizeOf(shape.slice(0, first));
    const axis = sizeOf(shape.slice(first, last + 1));
    const inner = sizeOf(shape.slice(last + 1));
    if (axis === 0) throw new ShapeError(`Cannot reduce [${x.shape}]: axis ${first} is empty`);
    const [reduced] = run(reduceKernels[name], [y], { dims: { outer, axis, inner } });
    y.dispose();
    y = reduced;
    shape.fill(1, first, last + 1);
    end = begin;
  }
  const kept = y.alias(shape);
  y.dispose();
  return kept;
}

function reduce(
  name: ReduceName,
  x: Tensor,
  { axes, keepDims = false }: ReduceOptions,
  vjp: (g: Tensor, x: Tensor, y: Tensor) => Tensor,
): Tensor {
  const over = normalizeAxes(name, x.shape, axes);
  const kept = reduceAxes(name, x, over);
  const shape = keepDims ? kept.shape : x.shape.filter((_, i) => !over.includes(i));
  const y = kept.alias(shape);
  record(y, [x], [x, kept], (g, [x, kept]) => [() => vjp(g.reshape(kept.shape), x, kept)]);
  kept.dispose();
  return y;
}

/** Sum over axes. */
export function sum(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce("sum", x, options, (g, x) => broadcastTo(g, x.shape));
}

/** Mean over axes. */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce("mean", x, options, (g, x, y) => {
    const each = full(g.gpu, [1], y.size / x.size, { dtype: g.dtype === "f16" ? "f16" : "f32" });
    return broadcastTo(mul(g, each), x.shape);
  });
}

/**
 * Sums a gradient over the axes that a tensor of shape `to` was repeated on.
 *
 * @internal
 */
export function sumTo(g: Tensor, to: readonly number[]): Tensor {
  const lead = g.shape.length - to.length;
  const axes = g.shape.flatMap((n, i) => (i < lead || to[i - lead] === 1 && n !== 1 ? [i] : []));
  if (axes.length === 0) return g.alias();
  return tidy(g.gpu, () => sum(g, { axes, keepDims: true }).reshape(to));
}
