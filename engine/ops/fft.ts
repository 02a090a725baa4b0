/**
 * Fourier transforms of images as products with the matrices of the transform: exact for any size, differentiable through the
 * product, and for the few hundred pixels that parameterise an image no slower than butterflies.
 *
 * @module
 */
import { ShapeError } from "../errors.ts";
import { Tensor, tidy } from "../tensor.ts";
import { add, mul, scale, sub } from "./elementwise.ts";
import { matmul } from "./matmul.ts";
import { matrices, requireF32 } from "./matrix.ts";
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

/** Cosines and sines of the angles `2π·j·k / n` of both axes of an image. They live until they are disposed, whatever scope made them. */
export class FftTables implements Disposable {
  /** `[h, h]`, symmetric, as all four. */
  readonly cosRows: Tensor;
  /** `[h, h]` */
  readonly sinRows: Tensor;
  /** `[w, w]` */
  readonly cosColumns: Tensor;
  /** `[w, w]` */
  readonly sinColumns: Tensor;

  /** Tables of images of `height` by `width`. */
  constructor(gpu: Gpu, readonly height: number, readonly width: number) {
    const kept = (n: number, f: (angle: number) => number) => {
      const table = phases(gpu, n, f);
      gpu.scopes.at(-1)?.delete(table);
      return table;
    };
    this.cosRows = kept(height, Math.cos);
    this.sinRows = kept(height, Math.sin);
    this.cosColumns = kept(width, Math.cos);
    this.sinColumns = kept(width, Math.sin);
  }

  /** Gives the tables up. */
  [Symbol.dispose](): void {
    const all = [this.cosRows, this.sinRows, this.cosColumns, this.sinColumns];
    for (const table of all) table.dispose();
  }
}

/** `[n, n]` of `f(2π·j·k / n)`, the phase reduced exactly in integers. */
function phases(gpu: Gpu, n: number, f: (angle: number) => number): Tensor {
  const turn = Float32Array.from({ length: n }, (_, j) => f(2 * Math.PI * j / n));
  const values = new Float32Array(n * n);
  for (let j = 0; j < n; j++) {
    for (let k = 0; k < n; k++) values[j * n + k] = turn[(j * k) % n];
  }
  return Tensor.from(gpu, values, [n, n]);
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

/** `e^(±iθ) · z` along the rows' axis. */
function alongRows(
  { re, im }: ComplexParts,
  { cosRows, sinRows }: FftTables,
  sign: 1 | -1,
): ComplexParts {
  const [plus, minus] = sign === 1 ? [add, sub] : [sub, add];
  return {
    re: minus(matmul(cosRows, re), matmul(sinRows, im)),
    im: plus(matmul(cosRows, im), matmul(sinRows, re)),
  };
}

const scaled = ({ re, im }: ComplexParts, factor: number): ComplexParts =>
  factor === 1 ? { re, im } : { re: scale(re, factor), im: scale(im, factor) };

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
  return withTables(x.gpu, [h, w], tables, (all) => {
    const half = [Math.floor(w / 2) + 1, w];
    const byColumns = (table: Tensor) => matmul(x, table.alias(half), { transposeB: true });
    const parts = { re: byColumns(all.cosColumns), im: scale(byColumns(all.sinColumns), -1) };
    return scaled(alongRows(parts, all, -1), norm === "ortho" ? 1 / Math.sqrt(h * w) : 1);
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
  const { rows: h } = matrices("transform", parts.re);
  const half = Math.floor(w / 2) + 1;
  requireParts(parts, half, `to a width of ${w}`);
  return withTables(parts.re.gpu, [h, w], tables, (all) => {
    const { re, im } = alongRows(parts, all, 1);
    // Every column but the first, and the last of an even width, stands for its mirror image too.
    const size = norm === "ortho" ? Math.sqrt(h * w) : h * w;
    const shares = Tensor.from(
      re.gpu,
      Float32Array.from({ length: half }, (_, k) => (k === 0 || 2 * k === w ? 1 : 2) / size),
    );
    const byColumns = (z: Tensor, table: Tensor) => matmul(mul(z, shares), table.alias([half, w]));
    return sub(byColumns(re, all.cosColumns), byColumns(im, all.sinColumns));
  });
}

/**
 * The inverse transform of complex images, `[…, h, w]` → `[…, h, w]`, as `numpy.fft.ifft2`.
 *
 * @throws {ShapeError} when the parts differ or have fewer than two axes, or for tables of another size.
 * @throws {DTypeError} for another type than f32.
 */
export function ifft2(
  parts: ComplexParts,
  { norm = "backward", tables }: FftOptions = {},
): ComplexParts {
  const { rows: h, cols: w } = matrices("transform", parts.re);
  requireParts(parts, undefined, "back");
  return withTables(parts.re.gpu, [h, w], tables, (all) => {
    const { re, im } = alongRows(parts, all, 1);
    const { cosColumns, sinColumns } = all;
    const both = {
      re: sub(matmul(re, cosColumns), matmul(im, sinColumns)),
      im: add(matmul(re, sinColumns), matmul(im, cosColumns)),
    };
    return scaled(both, 1 / (norm === "ortho" ? Math.sqrt(h * w) : h * w));
  });
}
