/**
 * Options of windows that slide over images: kernel, stride, padding, dilation.
 *
 * @module
 */
import { ShapeError } from "../errors.ts";

/** One number for both axes, or `[y, x]`. */
export type Pair = number | readonly [y: number, x: number];

/** One number for all sides, `[y, x]`, or `[top, right, bottom, left]`. */
export type Padding = Pair | readonly [top: number, right: number, bottom: number, left: number];

/** A window in full. */
export interface Window {
  /** Rows and columns of the kernel. */
  readonly kernel: readonly [y: number, x: number];
  /** Steps between windows. */
  readonly stride: readonly [y: number, x: number];
  /** Steps between the taps of a window. */
  readonly dilation: readonly [y: number, x: number];
  /** Rows and columns added around the image. */
  readonly padding: readonly [top: number, right: number, bottom: number, left: number];
}

/** A window as an op takes it. */
export interface WindowOptions {
  /** Step between windows (default 1). */
  readonly stride?: Pair;
  /** Zeros around the image (default 0). */
  readonly padding?: Padding;
  /** Step between the taps of a window (default 1). */
  readonly dilation?: Pair;
}

function pair(value: Pair): readonly [number, number] {
  return typeof value === "number" ? [value, value] : value;
}

function sides(value: Padding): readonly [number, number, number, number] {
  if (typeof value === "number") return [value, value, value, value];
  if (value.length === 4) return value;
  const [y, x] = value;
  return [y, x, y, x];
}

/**
 * The window in full.
 *
 * @throws {ShapeError} when a number is not whole, a kernel, stride or dilation is below 1, or a padding below 0.
 *
 * @internal
 */
export function windowOf(
  op: string,
  kernel: readonly [number, number],
  { stride = 1, padding = 0, dilation = 1 }: WindowOptions,
): Window {
  const window = {
    kernel,
    stride: pair(stride),
    dilation: pair(dilation),
    padding: sides(padding),
  };
  const { kernel: k, stride: s, dilation: d, padding: p } = window;
  const isWhole = (least: number) => (n: number) => Number.isSafeInteger(n) && n >= least;
  if (![...k, ...s, ...d].every(isWhole(1)) || ![...p].every(isWhole(0))) {
    throw new ShapeError(
      `Cannot ${op} with kernel ${k}, stride ${s}, dilation ${d}, padding ${p}: they must be whole numbers, padding from 0, the rest from 1`,
    );
  }
  return window;
}

/**
 * Number of windows on each axis: `⌊(size + padding − dilation·(kernel − 1) − 1) / stride⌋ + 1`. `ceilMode` rounds up instead, but
 * every window starts inside the image or the padding before it.
 *
 * @throws {ShapeError} when the padded image is smaller than the window.
 *
 * @internal
 */
export function windowCount(
  op: string,
  size: readonly [number, number],
  { kernel, stride, dilation, padding: [top, right, bottom, left] }: Window,
  { ceilMode = false }: { ceilMode?: boolean } = {},
): [number, number] {
  const padded = [size[0] + top + bottom, size[1] + left + right];
  const count = padded.map((n, i) => {
    const steps = (n - dilation[i] * (kernel[i] - 1) - 1) / stride[i];
    if (!ceilMode || steps < 0) return Math.floor(steps) + 1;
    const many = Math.ceil(steps) + 1;
    return (many - 1) * stride[i] >= size[i] + [top, left][i] ? many - 1 : many;
  });
  if (!(count[0] >= 1 && count[1] >= 1)) {
    throw new ShapeError(
      `Cannot ${op} images of ${size}: with padding ${padded} they are smaller than a kernel of ${kernel} with dilation ${dilation}`,
    );
  }
  return [count[0], count[1]];
}

/**
 * Sizes of a batch of images `[n, channels, height, width]`.
 *
 * @throws {ShapeError} for any other number of axes.
 *
 * @internal
 */
export function imageShape(
  op: string,
  shape: readonly number[],
): readonly [n: number, channels: number, height: number, width: number] {
  if (shape.length !== 4) {
    throw new ShapeError(`Cannot ${op} [${shape}]: it must be [n, channels, height, width]`);
  }
  return [shape[0], shape[1], shape[2], shape[3]];
}

/** Scalars of the convolution kernels. @internal */
export function windowArgs({ stride, dilation, padding }: Window): Record<string, number> {
  return {
    strideY: stride[0],
    strideX: stride[1],
    padTop: padding[0],
    padLeft: padding[3],
    dilationY: dilation[0],
    dilationX: dilation[1],
  };
}
