/**
 * Padding.
 *
 * @module
 */
import { ShapeError } from "../errors.ts";
import { record } from "../tape.ts";
import { allocate, type Tensor, tidy } from "../tensor.ts";
import { type BoxAxis, copyBox, stridesOf } from "./copy.ts";
import { add, full } from "./elementwise.ts";
import { sum } from "./reduce.ts";
import { flip, slice } from "./shape.ts";

/** What {@link pad} puts around a tensor. */
export type PadMode = "constant" | "edge" | "reflect" | "circular";

/** Options of {@link pad}. */
export interface PadOptions {
  /** `[before, after]` for each axis; missing leading axes count as `[0, 0]`. */
  readonly pads: readonly (readonly [number, number])[];
  /**
   * `constant` repeats `value`, `edge` the outermost value, `reflect` mirrors without repeating the edge (`numpy.pad`, PyTorch
   * `reflect`), `circular` wraps around.
   */
  readonly mode?: PadMode;
  /** The constant. */
  readonly value?: number;
}

/**
 * `x` with values added around it.
 *
 * @throws {ShapeError} when a pad is negative, or longer than the axis can fill: `reflect` needs less than its length, `circular` at
 * most its length, `edge` one value.
 */
export function pad(x: Tensor, { pads, mode = "constant", value = 0 }: PadOptions): Tensor {
  const lead = x.shape.length - pads.length;
  const all = x.shape.map((_, i) => i < lead ? [0, 0] as const : pads[i - lead]);
  const longest = (n: number) =>
    ({ constant: Infinity, edge: n > 0 ? Infinity : 0, reflect: n - 1, circular: n })[mode];
  const isValid = (n: number, limit: number) => Number.isInteger(n) && n >= 0 && n <= limit;
  if (lead < 0 || all.some((p, i) => !p.every((n) => n === 0 || isValid(n, longest(x.shape[i]))))) {
    throw new ShapeError(
      `Cannot pad [${x.shape}] by [${
        pads.join("; ")
      }] in mode ${mode}: pads must be whole, not negative and within the axis`,
    );
  }
  if (mode === "constant") return padConstant(x, all, value);
  return tidy(x.gpu, () => {
    let y = record(x.alias(), [x], [], (g) => [() => g]);
    all.forEach(([before, after], axis) => {
      if (before + after > 0) y = padAxis(y, axis, segments(mode, x.shape[axis], before, after));
    });
    return y;
  });
}

function padConstant(
  x: Tensor,
  pads: readonly (readonly [number, number])[],
  value: number,
): Tensor {
  x.binding(); // throws for a disposed input, before allocating
  const shape = x.shape.map((n, i) => n + pads[i][0] + pads[i][1]);
  const [source, target] = [stridesOf(x.shape), stridesOf(shape)];
  const axes = x.shape.map((n, i) => ({ n, source: source[i], target: target[i] }));
  const start = { target: pads.reduce((at, [before], i) => at + before * target[i], 0) };
  const y = tidy(x.gpu, () => {
    const out = full(x.gpu, shape, value, { dtype: x.dtype });
    copyBox(x, out, axes, start);
    return out;
  });
  const from = x.shape;
  return record(
    y,
    [x],
    [],
    (g) => [() =>
      slice(g, {
        start: pads.map(([before]) => before),
        end: pads.map(([before], i) => before + from[i]),
      })],
  );
}

/** A run of the padded axis: where it begins there, its length, and where and in which direction it reads the axis. */
interface Segment {
  readonly at: number;
  readonly n: number;
  readonly from: number;
  readonly step: -1 | 0 | 1;
}

function segments(mode: PadMode, n: number, before: number, after: number): Segment[] {
  const middle: Segment = { at: before, n, from: 0, step: 1 };
  const ends: Record<string, [number, number, -1 | 0 | 1]> = {
    edge: [0, n - 1, 0],
    reflect: [before, n - 2, -1],
    circular: [n - before, 0, 1],
  };
  const [head, tail, step] = ends[mode];
  return [
    middle,
    { at: 0, n: before, from: head, step },
    { at: before + n, n: after, from: tail, step },
  ].filter((s) => s.n > 0) as Segment[];
}

function padAxis(x: Tensor, axis: number, parts: readonly Segment[]): Tensor {
  const from = x.shape;
  const length = parts.reduce((sum, { n }) => sum + n, 0);
  const shape = from.map((n, i) => (i === axis ? length : n));
  const y = tidy(x.gpu, () => {
    const out = allocate(x.gpu, shape, x.dtype);
    parts.forEach((part) => copySegment(x, out, axis, part));
    return out;
  });
  return record(y, [x], [], (g) => [() => adjoint(g, axis, parts, from)]);
}

function copySegment(x: Tensor, y: Tensor, axis: number, { at, n, from, step }: Segment): void {
  const [source, target] = [stridesOf(x.shape), stridesOf(y.shape)];
  const axes = y.shape.map((size, i): BoxAxis => ({
    n: i === axis ? n : size,
    source: i === axis ? step * source[i] : source[i],
    target: target[i],
  }));
  copyBox(x, y, axes, { source: from * source[axis], target: at * target[axis] });
}

/** Every segment's gradient, put back where the segment read, and added up. */
function adjoint(
  g: Tensor,
  axis: number,
  parts: readonly Segment[],
  shape: readonly number[],
): Tensor {
  return parts.map(({ at, n, from, step }) => {
    let part = slice(g, { axis, start: at, end: at + n });
    if (step === 0) part = sum(part, { axes: [axis], keepDims: true });
    if (step === -1) part = flip(part, [axis]);
    const before = step === -1 ? from - n + 1 : from;
    const after = shape[axis] - before - part.shape[axis];
    const pads = shape.map((_, i) => i === axis ? [before, after] as const : [0, 0] as const);
    return before + after > 0 ? pad(part, { pads }) : part;
  }).reduce((total, part) => add(total, part));
}
