/**
 * Fourier transforms of images, of any size, differentiable: by butterflies along every axis whose length has factors of up to 13 alone, as
 * products with the matrix of the transform along others.
 *
 * @module
 */
import { ShapeError } from "../errors.ts";
import { Tensor, tidy } from "../tensor.ts";
import { mul } from "./elementwise.ts";
import { AxisTable, transformAxis } from "./fft_axis.ts";
import { matrices, requireF32 } from "./matrix.ts";
import { concat, slice, stack } from "./shape.ts";
import type { Gpu } from "../gpu.ts";

/** A complex tensor by its parts. */
export interface ComplexParts {
  /** Real part. */
  readonly re: Tensor;
  /** Imaginary part. */
  readonly im: Tensor;
}

/** Options of the transforms. */
export interface FftOptions {
  /** `"backward"`: the inverse divides by the number of pixels; `"ortho"`: both divide by its root. */
  readonly norm?: "backward" | "ortho";
  /** Tables of the image's size, for a caller that transforms many times; made and dropped in the call when absent. */
  readonly tables?: FftTables;
}

/** Cosines and sines that the transforms of both axes of an image read. They live until they are disposed, whatever scope made them. */
export class FftTables implements Disposable {
  /** Along the rows' axis, of length `height`. @internal */
  readonly rows: AxisTable;
  /** Along the columns' axis, of length `width`. @internal */
  readonly columns: AxisTable;

  /** Tables of images of `height` by `width`. */
  constructor(gpu: Gpu, readonly height: number, readonly width: number) {
    this.rows = new AxisTable(gpu, height);
    this.columns = new AxisTable(gpu, width);
  }

  /** Gives the tables up. */
  [Symbol.dispose](): void {
    this.rows[Symbol.dispose]();
    this.columns[Symbol.dispose]();
  }
}

/** Runs `work` with the caller's tables, or with its own. */
function withTables<T extends Tensor | ComplexParts>(
  gpu: Gpu,
  [h, w]: readonly [number, number],
  given: FftTables | undefined,
  work: (tables: FftTables) => T,
): T {
  if (given && (given.height !== h || given.width !== w)) {
    throw new ShapeError(
      `Cannot transform images of ${h}×${w}: the tables are for ${given.height}×${given.width}`,
    );
  }
  using own = given ? undefined : new FftTables(gpu, h, w);
  return tidy(gpu, () => work(given ?? own!) as Tensor & ComplexParts) as T;
}

/** The real part of `[2, …]`, or the imaginary one. */
function partOf(z: Tensor, part: 0 | 1): Tensor {
  return slice(z, { axis: 0, start: part, end: part + 1 }).reshape(z.shape.slice(1));
}

function requireParts({ re, im }: ComplexParts, columns: number | undefined, goal: string): void {
  requireF32("transform", re, im);
  if (`${re.shape}` !== `${im.shape}` || columns !== undefined && re.shape.at(-1) !== columns) {
    throw new ShapeError(
      `Cannot transform [${re.shape}] and [${im.shape}] ${goal}: both must have ${
        columns === undefined ? "one shape" : `${columns} columns`
      }`,
    );
  }
}

/**
 * The two-dimensional transform of real images, `x: […, h, w]` → `[…, h, ⌊w/2⌋ + 1]`, as `numpy.fft.rfft2`.
 *
 * @throws {ShapeError} for fewer than two axes, or tables of another size.
 * @throws {DTypeError} for another type than f32.
 */
export function rfft2(x: Tensor, { norm = "backward", tables }: FftOptions = {}): ComplexParts {
  requireF32("transform", x);
  const { rows: h, cols: w } = matrices("transform", x);
  return withTables(x.gpu, [h, w], tables, ({ rows, columns }) => {
    const z = stack([x, Tensor.zeros(x.gpu, x.shape)]);
    const wide = transformAxis(z, "columns", columns, { sign: -1 });
    const half = slice(wide, { axis: -1, end: Math.floor(w / 2) + 1 });
    const factor = norm === "ortho" ? 1 / Math.sqrt(h * w) : 1;
    const both = transformAxis(half, "rows", rows, { sign: -1, scale: factor });
    return { re: partOf(both, 0), im: partOf(both, 1) };
  });
}

/**
 * The inverse of {@link rfft2}, `[…, h, ⌊w/2⌋ + 1]` → `[…, h, w]`, as `numpy.fft.irfft2`: where `w` is even the imaginary parts of the first
 * and last column that a real image cannot have are dropped.
 *
 * @param w width of the image, which the spectrum leaves open
 * @throws {ShapeError} when the parts differ or do not have ⌊w/2⌋ + 1 columns, or for tables of another size.
 * @throws {DTypeError} for another type than f32.
 */
export function irfft2(
  parts: ComplexParts,
  w: number,
  { norm = "backward", tables }: FftOptions = {},
): Tensor {
  const { lead, rows: h } = matrices("transform", parts.re);
  const half = Math.floor(w / 2) + 1;
  requireParts(parts, half, `to a width of ${w}`);
  return withTables(parts.re.gpu, [h, w], tables, ({ rows, columns }) => {
    const z = transformAxis(stack([parts.re, parts.im]), "rows", rows, { sign: 1 });
    // Every column but the first, and the last of an even width, stands for its mirror image too.
    const size = norm === "ortho" ? Math.sqrt(h * w) : h * w;
    const shares = Tensor.from(
      z.gpu,
      Float32Array.from({ length: half }, (_, k) => (k === 0 || 2 * k === w ? 1 : 2) / size),
    );
    const rest = Tensor.zeros(z.gpu, [2, ...lead, h, w - half]);
    const whole = half === w ? mul(z, shares) : concat([mul(z, shares), rest], -1);
    return partOf(transformAxis(whole, "columns", columns, { sign: 1 }), 0);
  });
}

/**
 * The inverse transform of complex images, `[…, h, w]` → `[…, h, w]`, as `numpy.fft.ifft2`.
 *
 * @throws {ShapeError} when the parts differ or have fewer than two axes, or for tables of another size.
 * @throws {DTypeError} for another type than f32.
 */
export function ifft2(parts: ComplexParts, options: FftOptions = {}): ComplexParts {
  requireParts(parts, undefined, "back");
  return tidy(parts.re.gpu, () => {
    const both = stackedIfft2(stack([parts.re, parts.im]), options);
    return { re: partOf(both, 0), im: partOf(both, 1) };
  });
}

/**
 * {@link ifft2} of images whose parts lie one after the other, `[2, …, h, w]` → `[2, …, h, w]`.
 *
 * @throws {ShapeError} when the first axis is not 2 or there are fewer than three, or for tables of another size.
 * @throws {DTypeError} for another type than f32.
 *
 * @internal
 */
export function stackedIfft2(z: Tensor, { norm = "backward", tables }: FftOptions = {}): Tensor {
  requireF32("transform", z);
  if (z.shape.length < 3 || z.shape[0] !== 2) {
    throw new ShapeError(`Cannot transform [${z.shape}] back: it must be [2, …, h, w]`);
  }
  const { rows: h, cols: w } = matrices("transform", z);
  return withTables(z.gpu, [h, w], tables, ({ rows, columns }) => {
    const factor = 1 / (norm === "ortho" ? Math.sqrt(h * w) : h * w);
    const along = transformAxis(z, "rows", rows, { sign: 1 });
    return transformAxis(along, "columns", columns, { sign: 1, scale: factor });
  });
}
