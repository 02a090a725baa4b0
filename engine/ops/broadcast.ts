/**
 * Broadcasting rules, as NumPy's: shapes are aligned at the last axis, and an axis of size 1 repeats.
 *
 * @module
 */
import { ShapeError, UnsupportedError } from "../errors.ts";
import type { Args } from "../../shaders/kernel.ts";

/**
 * The shape that two shapes broadcast to.
 *
 * @throws {ShapeError} when an axis differs and neither is 1.
 */
export function broadcastShape(
  op: string,
  a: readonly number[],
  b: readonly number[],
): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const na = a[i - rank + a.length] ?? 1, nb = b[i - rank + b.length] ?? 1;
    if (na !== nb && na !== 1 && nb !== 1) {
      throw new ShapeError(
        `Cannot ${op} [${a}] and [${b}]: axis ${i} must agree or be 1, got ${na} and ${nb}`,
      );
    }
    return na === 1 ? nb : na;
  });
}

/** Strides in elements of `shape` seen as `to`; 0 on a repeated axis. */
function stridesIn(shape: readonly number[], to: readonly number[]): number[] {
  const strides = new Array<number>(to.length).fill(0);
  let stride = 1;
  for (let i = shape.length - 1, k = to.length - 1; i >= 0; i--, k--) {
    if (shape[i] !== 1) strides[k] = stride;
    stride *= shape[i];
  }
  return strides;
}

/**
 * Sizes and strides of the five merged axes that the broadcast kernel takes.
 *
 * @throws {UnsupportedError} when merging leaves more than five axes.
 */
export function broadcastArgs(
  a: readonly number[],
  b: readonly number[],
  to: readonly number[],
): Args {
  const sa = stridesIn(a, to), sb = stridesIn(b, to);
  const axes: { n: number; a: number; b: number }[] = [];
  to.forEach((n, i) => {
    if (n === 1) return;
    const last = axes.at(-1);
    const merges = last && last.a === sa[i] * n && last.b === sb[i] * n;
    if (merges) axes[axes.length - 1] = { n: last.n * n, a: sa[i], b: sb[i] };
    else axes.push({ n, a: sa[i], b: sb[i] });
  });
  if (axes.length > 5) {
    throw new UnsupportedError(
      `Cannot broadcast [${a}] and [${b}]: at most 5 alternating axes, got ${axes.length}`,
    );
  }
  while (axes.length < 5) axes.unshift({ n: 1, a: 0, b: 0 });
  const args: Record<string, number> = {};
  axes.forEach((axis, i) => {
    if (i > 0) args[`n${i}`] = axis.n;
    args[`a${i}`] = axis.a;
    args[`b${i}`] = axis.b;
  });
  return args;
}
