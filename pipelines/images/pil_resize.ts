import { InputError } from "../errors.ts";
import { checkRgbImage, type RgbImage } from "./rgb_image.ts";

/** The antialiasing filters of Pillow's `Image.resize`. */
export type PilFilter = "box" | "bilinear" | "hamming" | "bicubic" | "lanczos";

interface Kernel {
  /** Half width of the filter at scale 1, in pixels. */
  readonly support: number;
  readonly weight: (x: number) => number;
}

/** Pillow's `PRECISION_BITS`: 32 bits less 8 of the pixel and 2 of head room for negative lobes. */
const PRECISION_BITS = 32 - 8 - 2;

// Pillow writes these two as C floats and computes with them as doubles.
const HAMMING_MEAN = Math.fround(0.54);
const HAMMING_SWING = Math.fround(0.46);

function box(x: number): number {
  return x > -0.5 && x <= 0.5 ? 1 : 0;
}

function bilinear(x: number): number {
  const d = Math.abs(x);
  return d < 1 ? 1 - d : 0;
}

function hamming(x: number): number {
  const d = Math.abs(x);
  if (d === 0) return 1;
  if (d >= 1) return 0;
  const angle = d * Math.PI;
  return Math.sin(angle) / angle * (HAMMING_MEAN + HAMMING_SWING * Math.cos(angle));
}

/** Keys' cubic with a = -0.5, in the order of operations of `Resample.c`. */
function bicubic(x: number): number {
  const a = -0.5;
  const d = Math.abs(x);
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  if (d < 2) return (((d - 5) * d + 8) * d - 4) * a;
  return 0;
}

function sinc(x: number): number {
  if (x === 0) return 1;
  const angle = x * Math.PI;
  return Math.sin(angle) / angle;
}

function lanczos(x: number): number {
  return -3 <= x && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

const kernels: Readonly<Record<PilFilter, Kernel>> = {
  box: { support: 0.5, weight: box },
  bilinear: { support: 1, weight: bilinear },
  hamming: { support: 1, weight: hamming },
  bicubic: { support: 2, weight: bicubic },
  lanczos: { support: 3, weight: lanczos },
};

/** One axis of a resize: output `i` is the sum over `j < count[i]` of `weights[i * width + j] * input[first[i] + j]`. */
interface Taps {
  readonly width: number;
  readonly first: Int32Array;
  readonly count: Int32Array;
  /** Fixed point with `PRECISION_BITS` fraction bits. */
  readonly weights: Int32Array;
}

/** `precompute_coeffs` and `normalize_coeffs_8bpc` of Pillow's `Resample.c`. */
function fixedPointTaps(inSize: number, outSize: number, { support, weight }: Kernel): Taps {
  const scale = inSize / outSize;
  const filterScale = Math.max(scale, 1); // the support grows when shrinking: antialiasing
  const reach = support * filterScale;
  const width = Math.ceil(reach) * 2 + 1;
  const first = new Int32Array(outSize);
  const count = new Int32Array(outSize);
  const weights = new Int32Array(outSize * width);
  const row = new Float64Array(width);
  const inverse = 1 / filterScale; // Pillow multiplies by the reciprocal
  for (let i = 0; i < outSize; i++) {
    const center = (i + 0.5) * scale;
    const from = Math.max(Math.trunc(center - reach + 0.5), 0);
    const n = Math.min(Math.trunc(center + reach + 0.5), inSize) - from;
    let sum = 0;
    for (let j = 0; j < n; j++) {
      row[j] = weight((j + from - center + 0.5) * inverse);
      sum += row[j];
    }
    for (let j = 0; j < n; j++) {
      const fixed = (sum !== 0 ? row[j] / sum : row[j]) * (1 << PRECISION_BITS);
      weights[i * width + j] = Math.trunc(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
    }
    first[i] = from;
    count[i] = n;
  }
  return { width, first, count, weights };
}

function clip8(fixed: number): number {
  const value = fixed >> PRECISION_BITS;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

function resizeColumns(image: RgbImage, outWidth: number, kernel: Kernel): RgbImage {
  const { height, width, data } = image;
  const taps = fixedPointTaps(width, outWidth, kernel);
  const out = new Uint8Array(height * outWidth * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < outWidth; x++) {
      let red = 1 << (PRECISION_BITS - 1), green = red, blue = red; // 0.5: round to nearest
      let source = (y * width + taps.first[x]) * 3;
      const start = x * taps.width;
      for (let j = start; j < start + taps.count[x]; j++, source += 3) {
        const weight = taps.weights[j];
        red += data[source] * weight;
        green += data[source + 1] * weight;
        blue += data[source + 2] * weight;
      }
      const target = (y * outWidth + x) * 3;
      out[target] = clip8(red);
      out[target + 1] = clip8(green);
      out[target + 2] = clip8(blue);
    }
  }
  return { height, width: outWidth, data: out };
}

function resizeRows(image: RgbImage, outHeight: number, kernel: Kernel): RgbImage {
  const { height, width, data } = image;
  const taps = fixedPointTaps(height, outHeight, kernel);
  const stride = width * 3;
  const out = new Uint8Array(outHeight * stride);
  const sums = new Float64Array(stride); // whole numbers below 2^31: exact
  for (let y = 0; y < outHeight; y++) {
    sums.fill(1 << (PRECISION_BITS - 1));
    for (let j = 0; j < taps.count[y]; j++) {
      const weight = taps.weights[y * taps.width + j];
      const source = (taps.first[y] + j) * stride;
      for (let i = 0; i < stride; i++) sums[i] += data[source + i] * weight;
    }
    for (let i = 0; i < stride; i++) out[y * stride + i] = clip8(sums[i]);
  }
  return { height: outHeight, width, data: out };
}

/** Size and filter of {@link pilResize}. */
export interface PilResizeOptions {
  /** Output rows. */
  height: number;
  /** Output columns. */
  width: number;
  /** Resampling filter; `Image.resize` uses bicubic when none is named. */
  filter?: PilFilter;
}

/**
 * Resizes an 8-bit RGB image as Pillow's `Image.resize` does, bit for bit: 22-bit fixed-point weights, columns
 * first, 8-bit rounding between the two passes, and a pass whose size is unchanged left out
 * (`src/libImaging/Resample.c`).
 *
 * @throws {InputError} when the image or the size asked for is not usable
 */
export function pilResize(
  image: RgbImage,
  { height, width, filter = "bicubic" }: PilResizeOptions,
): RgbImage {
  checkRgbImage(image);
  if (!Number.isInteger(height) || !Number.isInteger(width) || height < 1 || width < 1) {
    throw new InputError(
      `Cannot resize an image: height and width must be whole numbers from 1, got ${height}x${width}`,
    );
  }
  const kernel = kernels[filter];
  const wide = width === image.width ? image : resizeColumns(image, width, kernel);
  const done = height === wide.height ? wide : resizeRows(wide, height, kernel);
  return done === image ? { ...image, data: image.data.slice() } : done;
}

/**
 * An image of at most so many pixels a side, its sides in proportion; a smaller one stays as it is.
 *
 * @throws {InputError} when `side` is not a number above 0
 */
export function shrink(image: RgbImage, side: number): RgbImage {
  const scale = side / Math.max(image.height, image.width);
  if (scale >= 1) return image;
  return pilResize(image, {
    height: Math.max(1, Math.round(image.height * scale)),
    width: Math.max(1, Math.round(image.width * scale)),
    filter: "bicubic",
  });
}
