/**
 * Fourier transforms of real images as products with the matrices of the transform: exact for any size, differentiable through the
 * product, and for the few hundred pixels that parameterise an image no slower than butterflies.
 *
 * @module
 */
import { ShapeError } from "../errors.ts";
import { Tensor, tidy } from "../tensor.ts";
import { add, scale, sub } from "./elementwise.ts";
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
}

/** `[rows, cols]` of `f(2π·j·k / n)`, the phase reduced exactly in integers. */
function phases(
  gpu: Gpu,
  [rows, cols]: readonly [number, number],
  n: number,
  f: (angle: number) => number,
): Tensor {
  const values = new Float32Array(rows * cols);
  for (let j = 0; j < rows; j++) {
    for (let k = 0; k < cols; k++) values[j * cols + k] = f(2 * Math.PI * ((j * k) % n) / n);
  }
  return Tensor.from(gpu, values, [rows, cols]);
}

/**
 * The two-dimensional transform of real images, `x: […, h, w]` → `[…, h, ⌊w/2⌋ + 1]`, as `numpy.fft.rfft2`.
 *
 * @throws {ShapeError} for fewer than two axes.
 * @throws {DTypeError} for another type than f32.
 */
export function rfft2(x: Tensor, { norm = "backward" }: FftOptions = {}): ComplexParts {
  requireF32("transform", x);
  const { rows: h, cols: w } = matrices("transform", x);
  const half = Math.floor(w / 2) + 1;
  return tidy(x.gpu, () => {
    const table = (shape: readonly [number, number], n: number) => ({
      cos: phases(x.gpu, shape, n, Math.cos),
      sin: phases(x.gpu, shape, n, Math.sin),
    });
    const alongW = table([w, half], w), alongH = table([h, h], h);
    const re = matmul(x, alongW.cos), im = scale(matmul(x, alongW.sin), -1); // e^(−iθ)
    const parts = {
      re: add(matmul(alongH.cos, re), matmul(alongH.sin, im)),
      im: sub(matmul(alongH.cos, im), matmul(alongH.sin, re)),
    };
    if (norm === "backward") return parts;
    const root = 1 / Math.sqrt(h * w);
    return { re: scale(parts.re, root), im: scale(parts.im, root) };
  });
}

/**
 * The inverse of {@link rfft2}, `[…, h, ⌊w/2⌋ + 1]` → `[…, h, w]`, as `numpy.fft.irfft2`: where `w` is even the imaginary parts of the first
 * and last column that a real image cannot have are dropped.
 *
 * @param w width of the image, which the spectrum leaves open
 * @throws {ShapeError} when the parts differ or do not have ⌊w/2⌋ + 1 columns.
 * @throws {DTypeError} for another type than f32.
 */
export function irfft2(
  { re, im }: ComplexParts,
  w: number,
  { norm = "backward" }: FftOptions = {},
): Tensor {
  requireF32("transform", re, im);
  const { rows: h, cols: half } = matrices("transform", re);
  if (`${re.shape}` !== `${im.shape}` || half !== Math.floor(w / 2) + 1) {
    throw new ShapeError(
      `Cannot transform [${re.shape}] and [${im.shape}] to a width of ${w}: both must have ${
        Math.floor(w / 2) + 1
      } columns`,
    );
  }
  return tidy(re.gpu, () => {
    const cos = phases(re.gpu, [h, h], h, Math.cos), sin = phases(re.gpu, [h, h], h, Math.sin);
    const rowsRe = sub(matmul(cos, re), matmul(sin, im)); // e^(+iθ)
    const rowsIm = add(matmul(cos, im), matmul(sin, re));
    // Every column but the first, and the last of an even width, stands for its mirror image too.
    const size = norm === "ortho" ? Math.sqrt(h * w) : h * w;
    const twice = (k: number) => (k === 0 || 2 * k === w ? 1 : 2) / size;
    const table = (f: (angle: number) => number) => {
      const values = new Float32Array(half * w);
      for (let k = 0; k < half; k++) {
        for (let j = 0; j < w; j++) {
          values[k * w + j] = twice(k) * f(2 * Math.PI * ((j * k) % w) / w);
        }
      }
      return Tensor.from(re.gpu, values, [half, w]);
    };
    return sub(matmul(rowsRe, table(Math.cos)), matmul(rowsIm, table(Math.sin)));
  });
}
