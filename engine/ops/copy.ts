/**
 * Moving boxes of values between tensors: the one mechanism under permute, slice, concat, flip, broadcast and tile.
 *
 * @module
 */
import { run } from "../run.ts";
import { allocate, dtypeBytes, type Tensor, tidy } from "../tensor.ts";
import { stridedCopyKernel } from "../../shaders/index/strided_copy.ts";
import { sizeOf } from "../../shaders/kernel.ts";

/** One axis of a box: its length and its strides, in values, in the source and in the target. */
export interface BoxAxis {
  /** Length. */
  readonly n: number;
  /** Stride in the source; 0 repeats, negative reverses. */
  readonly source: number;
  /** Stride in the target. */
  readonly target: number;
}

/** Where a box begins, in values. */
export interface BoxStart {
  /** First value in the source. */
  readonly source?: number;
  /** First value in the target. */
  readonly target?: number;
}

/** Row-major strides of a shape. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = strides[i + 1] * shape[i + 1];
  return strides;
}

/** Copies a box from `x` into `y`, which have one type. Splits it where a binding would be over the adapter's limit. @internal */
export function copyBox(
  x: Tensor,
  y: Tensor,
  axes: readonly BoxAxis[],
  { source = 0, target = 0 }: BoxStart = {},
): void {
  if (axes.some(({ n }) => n === 0)) return;
  if (x.dtype === "f64") {
    const twice = axes.map(({ n, source, target }) => ({
      n,
      source: 2 * source,
      target: 2 * target,
    }));
    const both = [...twice, { n: 2, source: 1, target: 1 }];
    const start = { source: 2 * source, target: 2 * target };
    return tidy(x.gpu, () => copyBox(asWords(x), asWords(y), both, start));
  }
  const merged = mergeAxes(axes);
  const values = x.gpu.caps.maxBindingBytes / dtypeBytes(x.dtype);
  const room = values - x.gpu.caps.offsetAlignment; // a window starts at an aligned offset before the box
  const widest = (["source", "target"] as const).find((side) => span(merged, side) > room) ??
    (merged.length > 6 ? "target" : undefined);
  if (!widest) return copyWindow(x, y, merged, { source, target });
  const extent = merged.map((axis) => (axis.n - 1) * Math.abs(axis[widest]));
  const k = extent.indexOf(Math.max(...extent));
  const { n, source: s, target: t } = merged[k];
  const half = merged.length > 6 ? 1 : Math.ceil(n / 2);
  const part = (length: number) =>
    merged.map((axis, i) => (i === k ? { ...axis, n: length } : axis));
  copyBox(x, y, part(half), { source, target });
  copyBox(x, y, part(n - half), { source: source + half * s, target: target + half * t });
}

/** The bits of f64 as pairs of u32 on a last axis, as kernels that move integers take them; anything else as it is. @internal */
export function asWords(x: Tensor): Tensor {
  return x.dtype === "f64" ? x.alias([...x.shape, 2], 0, "u32") : x;
}

/** Drops axes of length 1, orders the rest by target stride, joins neighbours that are one axis in both tensors. */
function mergeAxes(axes: readonly BoxAxis[]): BoxAxis[] {
  const merged: BoxAxis[] = [];
  const sorted = axes.filter(({ n }) => n > 1).sort((a, b) => b.target - a.target);
  for (const axis of sorted) {
    const last = merged.at(-1);
    const joins = last && last.target === axis.target * axis.n &&
      last.source === axis.source * axis.n;
    if (joins) merged[merged.length - 1] = { ...axis, n: axis.n * last.n };
    else merged.push(axis);
  }
  return merged;
}

/** Values between the first and the last one that a box touches, both included. */
function span(axes: readonly BoxAxis[], side: "source" | "target"): number {
  return 1 + axes.reduce((sum, axis) => sum + (axis.n - 1) * Math.abs(axis[side]), 0);
}

/** One dispatch on the aligned windows that the box touches. */
function copyWindow(
  x: Tensor,
  y: Tensor,
  merged: readonly BoxAxis[],
  start: Required<BoxStart>,
): void {
  const axes = canonical(merged);
  const args: Record<string, number> = {};
  axes.forEach(({ n, source, target }, k) => {
    args[`n${k}`] = n;
    args[`s${k}`] = source;
    args[`d${k}`] = target;
  });
  const first = axes.reduce(
    (sum, { n, source }) => sum + Math.min(0, (n - 1) * source),
    start.source,
  );
  const from = window(x, first, first + span(axes, "source"));
  const to = window(y, start.target, start.target + span(axes, "target"));
  args.sourceStart = start.source - from.start;
  args.start = start.target - to.start;
  tidy(x.gpu, () => {
    const piece = from.size === x.size ? x : x.alias([from.size], from.start);
    const out = to.size === y.size ? y : y.alias([to.size], to.start);
    run(stridedCopyKernel, [piece], {
      dims: { xSize: from.size, ySize: to.size },
      args,
      out: { y: out },
    });
  });
}

/** The whole tensor where it can be bound, else the part from an aligned offset to `end`. */
function window(t: Tensor, begin: number, end: number): { start: number; size: number } {
  const { maxBindingBytes, offsetAlignment } = t.gpu.caps;
  const bytes = dtypeBytes(t.dtype);
  if (t.size * bytes <= maxBindingBytes) return { start: 0, size: t.size };
  const step = offsetAlignment / bytes;
  const start = Math.floor(begin / step) * step;
  return { start, size: end - start };
}

const UNIT: BoxAxis = { n: 1, source: 0, target: 0 };
const ROW = 1024; // values of a row that a long contiguous axis is folded into

/** Six axes with the target's contiguous axis last and, where that is another, the source's before it. */
function canonical(merged: readonly BoxAxis[]): BoxAxis[] {
  const axes = [...merged];
  const last = axes.pop() ?? { n: 1, source: 1, target: 1 };
  if (axes.length === 0 && last.n > ROW && last.n % ROW === 0) {
    axes.push({ n: last.n / ROW, source: ROW * last.source, target: ROW * last.target });
    return [UNIT, UNIT, UNIT, UNIT, axes[0], { ...last, n: ROW }];
  }
  const inner = axes.findIndex(({ source }) => source === 1);
  if (inner >= 0 && last.source !== 1) axes.push(...axes.splice(inner, 1));
  while (axes.length < 5) axes.unshift(UNIT);
  return [...axes, last];
}

/** A new tensor of `x`'s type that a box of `x` fills whole. @internal */
export function movedTo(
  x: Tensor,
  shape: readonly number[],
  axes: readonly BoxAxis[],
  start: BoxStart = {},
): Tensor {
  x.binding(); // throws for a disposed input, before allocating
  return tidy(x.gpu, () => {
    const y = allocate(x.gpu, shape, x.dtype);
    if (sizeOf(shape) > 0) copyBox(x, y, axes, start);
    return y;
  });
}
