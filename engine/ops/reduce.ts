/**
 * Reductions over any axes.
 *
 * @module
 */
import { ShapeError } from "../errors.ts";
import { run } from "../run.ts";
import { record, recordOpaque } from "../tape.ts";
import { type Tensor, tidy } from "../tensor.ts";
import { cast } from "./cast.ts";
import { div, equal, exp, full, maximum, mul, scale, sqrt, sub } from "./elementwise.ts";
import { broadcastTo, permute } from "./shape.ts";
import { type Caps, type KernelSpec, sizeOf } from "../../shaders/kernel.ts";
import { argmaxKernel, argminKernel } from "../../shaders/reduce/arg_reduce.ts";
import { reduceKernels, type ReduceName } from "../../shaders/reduce/reduce.ts";
import { logsumexpKernel, varianceKernel } from "../../shaders/reduce/two_pass.ts";

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

/** One stretch of neighbouring axes seen as `[outer, axis, inner]`. */
interface Stretch {
  readonly first: number;
  readonly last: number;
  readonly outer: number;
  readonly axis: number;
  readonly inner: number;
}

/** Runs of neighbouring axes, last first, as they are reduced one after another. */
function stretches(from: readonly number[], axes: readonly number[]): Stretch[] {
  const shape = [...from];
  const runs: Stretch[] = [];
  for (let end = axes.length; end > 0;) {
    let begin = end - 1;
    while (begin > 0 && axes[begin - 1] === axes[begin] - 1) begin--;
    const [first, last] = [axes[begin], axes[end - 1]];
    runs.push({
      first,
      last,
      outer: sizeOf(shape.slice(0, first)),
      axis: sizeOf(shape.slice(first, last + 1)),
      inner: sizeOf(shape.slice(last + 1)),
    });
    shape.fill(1, first, last + 1);
    end = begin;
  }
  return runs;
}

/** In how many parts an axis is reduced, so that a device has enough to do and no thread too much. */
function partsOf({ outer, axis, inner }: Stretch, { maxLoopTurns }: Caps): number {
  const [threads, wanted, least] = inner === 1
    ? [outer, 256, 2048] // a subgroup for each part
    : [outer * Math.ceil(inner / 4), 4096, 64]; // a thread for each part and four columns
  const useful = Math.min(Math.ceil(wanted / threads), Math.floor(axis / least));
  return Math.max(1, useful, Math.ceil(axis / (maxLoopTurns - 1)));
}

/** Reduces to a tensor that keeps the axes as 1. Partial results of f16 are f32. */
function reduceAxes(
  name: ReduceName,
  x: Tensor,
  axes: readonly number[],
  factor: number,
): Tensor {
  const kept = x.shape.map((n, i) => (axes.includes(i) ? 1 : n));
  if (axes.some((a) => x.shape[a] === 0)) {
    throw new ShapeError(`Cannot reduce [${x.shape}] over axes [${axes}]: one of them is empty`);
  }
  const steps = stretches(x.shape, axes).flatMap((stretch) => {
    const parts = partsOf(stretch, x.gpu.caps);
    const rest = { ...stretch, axis: parts };
    return parts > 1 ? [{ ...stretch, parts }, { ...rest, parts: 1 }] : [{ ...stretch, parts }];
  });
  if (steps.length === 0) {
    steps.push({ first: 0, last: 0, outer: x.size, axis: 1, inner: 1, parts: 1 });
  }
  return tidy(x.gpu, () => {
    const widened = x.dtype === "f16" && steps.length > 1;
    let y = widened ? cast(x.detach(), "f32") : x;
    steps.forEach(({ outer, axis, inner, parts }, i) => {
      const spec = reduceKernels[i > 0 && name === "sumSquares" ? "sum" : name];
      const scale = i === steps.length - 1 ? factor : 1;
      [y] = run(spec, [y], { dims: { outer, axis, inner, parts }, args: { scale } });
    });
    return (widened ? cast(y, "f16") : y).alias(kept);
  });
}

/** Gives the gradient of a reduction by `x`, for the gradient and the result with the axes kept as 1. */
type ReduceVjp = (g: Tensor, x: Tensor, y: Tensor, axes: readonly number[]) => Tensor;

/** The gradient of a linear reduction, which needs no values: every value gets `factor · g`. */
interface Spread {
  readonly factor: number;
}

function finish(
  x: Tensor,
  kept: Tensor,
  axes: readonly number[],
  { keepDims = false }: ReduceOptions,
  vjp: ReduceVjp | Spread,
): Tensor {
  const shape = keepDims ? kept.shape : x.shape.filter((_, i) => !axes.includes(i));
  const y = kept.alias(shape);
  if (typeof vjp === "function") {
    record(y, [x], [x, kept], (g, [x, kept]) => [() => vjp(g.reshape(kept.shape), x, kept, axes)]);
  } else {
    const [from, to] = [x.shape, kept.shape];
    const scaled = (g: Tensor) => vjp.factor === 1 ? g : scale(g, vjp.factor);
    record(y, [x], [], (g) => [() => broadcastTo(scaled(g.reshape(to)), from)]);
  }
  kept.dispose();
  return y;
}

function reduce(
  name: ReduceName,
  x: Tensor,
  options: ReduceOptions,
  vjp: ReduceVjp,
): Tensor {
  const axes = normalizeAxes(name, x.shape, options.axes);
  return finish(x, reduceAxes(name, x, axes, 1), axes, options, vjp);
}

function linear(x: Tensor, options: ReduceOptions, factor: (count: number) => number): Tensor {
  const axes = normalizeAxes("sum", x.shape, options.axes);
  const each = factor(sizeOf(axes.map((a) => x.shape[a])));
  return finish(x, reduceAxes("sum", x, axes, each), axes, options, { factor: each });
}

/** Sum over axes. */
export function sum(x: Tensor, options: ReduceOptions = {}): Tensor {
  return linear(x, options, () => 1);
}

/** Mean over axes. */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  return linear(x, options, (count) => 1 / count);
}

/** Product over axes. Its gradient takes no factor for 0. */
export function prod(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce("prod", x, options, (g, x, y) => div(mul(g, y), x));
}

/** Greatest value over axes; NaN where there is one. Values that tie for it share the gradient evenly. */
export function max(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce("max", x, options, shareTies);
}

/** Smallest value over axes; NaN where there is one. Values that tie for it share the gradient evenly. */
export function min(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce("min", x, options, shareTies);
}

function shareTies(g: Tensor, x: Tensor, y: Tensor, axes: readonly number[]): Tensor {
  const ties = equal(x, y);
  return mul(ties, div(g, sum(ties, { axes, keepDims: true })));
}

/** Euclidean norm over axes. Its gradient at 0 is 0. */
export function norm(x: Tensor, options: ReduceOptions = {}): Tensor {
  return tidy(x.gpu, () => {
    const axes = normalizeAxes("norm", x.shape, options.axes);
    const kept = sqrt(reduceAxes("sumSquares", x, axes, 1));
    return finish(x, kept, axes, options, (g, x, y) => {
      const tiny = full(x.gpu, [1], TINY[floatType(x)], { dtype: x.dtype });
      return mul(x, div(g, maximum(y, tiny)));
    });
  });
}

const TINY = { f32: 2 ** -126, f16: 2 ** -14 }; // smallest normal numbers
const floatType = (x: Tensor): "f32" | "f16" => (x.dtype === "f16" ? "f16" : "f32");

/** Options of {@link normalize}. */
export interface NormalizeOptions {
  /** Axis along which every vector gets length 1; the last one when absent. */
  readonly axis?: number;
  /** Least length that is divided by (`torch.nn.functional.normalize`). */
  readonly eps?: number;
}

/** `x / max(‖x‖, eps)` along an axis. */
export function normalize(x: Tensor, { axis = -1, eps = 1e-12 }: NormalizeOptions = {}): Tensor {
  return tidy(x.gpu, () => {
    const least = full(x.gpu, [1], Math.max(eps, TINY[floatType(x)]), { dtype: x.dtype });
    return div(x, maximum(norm(x, { axes: [axis], keepDims: true }), least));
  });
}

/** Options of {@link variance}. */
export interface VarianceOptions extends ReduceOptions {
  /** Subtracted from the count: 0 for the mean square deviation, 1 for the unbiased estimate. */
  readonly ddof?: number;
}

/** Variance over axes, from centred values. */
export function variance(x: Tensor, { ddof = 0, ...options }: VarianceOptions = {}): Tensor {
  return twoPass(varianceKernel, x, options, ddof, (g, x, y, axes) => {
    const centred = sub(x, mean(x, { axes, keepDims: true }));
    return mul(centred, scale(g, 2 / (x.size / y.size - ddof)));
  });
}

/** `log Σ eˣ` over axes, without overflow. */
export function logsumexp(x: Tensor, options: ReduceOptions = {}): Tensor {
  return twoPass(logsumexpKernel, x, options, 0, (g, x, y) => mul(exp(sub(x, y)), g));
}

/** A reduction of one stretch of axes; axes that are apart are brought together first. */
function twoPass(
  spec: KernelSpec,
  x: Tensor,
  options: ReduceOptions,
  ddof: number,
  vjp: ReduceVjp,
): Tensor {
  const axes = normalizeAxes(spec.name, x.shape, options.axes);
  if (axes.some((a) => x.shape[a] === 0)) {
    throw new ShapeError(`Cannot take the ${spec.name} of [${x.shape}]: an axis is empty`);
  }
  return tidy(x.gpu, () => {
    const runs = stretches(x.shape, axes);
    const rest = x.shape.map((_, i) => i).filter((i) => !axes.includes(i));
    const together = runs.length > 1 ? permute(x.detach(), [...rest, ...axes]) : x;
    const count = sizeOf(axes.map((a) => x.shape[a]));
    const { outer, inner } = runs.length === 1 ? runs[0] : { outer: x.size / count, inner: 1 };
    const dims = { outer, axis: count, inner };
    const [reduced] = run(spec, [together], { dims, args: { ddof } });
    const kept = reduced.alias(x.shape.map((n, i) => (axes.includes(i) ? 1 : n)));
    return finish(x, kept, axes, options, vjp);
  });
}

/** Options of {@link argmax} and {@link argmin}. */
export interface ArgOptions {
  /** The axis; the whole tensor in row-major order when absent. */
  readonly axis?: number;
  /** Keeps the axis with size 1. */
  readonly keepDims?: boolean;
}

/** Index of the greatest value along an axis as u32, the first where several are equal. NaN counts as the greatest. */
export function argmax(x: Tensor, options: ArgOptions = {}): Tensor {
  return argReduce(argmaxKernel, x, options);
}

/** Index of the smallest value along an axis as u32, the first where several are equal. NaN counts as the smallest. */
export function argmin(x: Tensor, options: ArgOptions = {}): Tensor {
  return argReduce(argminKernel, x, options);
}

function argReduce(spec: KernelSpec, x: Tensor, { axis, keepDims = false }: ArgOptions): Tensor {
  const axes = normalizeAxes(spec.name, x.shape, axis === undefined ? undefined : [axis]);
  const [run1] = stretches(x.shape, axes);
  const { outer, axis: n, inner } = run1 ?? { outer: 1, axis: x.size, inner: 1 };
  if (n === 0) throw new ShapeError(`Cannot take the ${spec.name} of [${x.shape}]: it is empty`);
  const kept = x.shape.map((length, i) => (axes.includes(i) ? 1 : length));
  const shape = keepDims ? kept : x.shape.filter((_, i) => !axes.includes(i));
  const [y] = run(spec, [x], { dims: { outer, axis: n, inner }, shapes: { y: shape } });
  return recordOpaque(y, [x], spec.name);
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
