import { InputError } from "../errors.ts";

/** The modes of `torch.nn.functional.interpolate` on images. */
export type InterpolateMode = "nearest" | "bilinear" | "bicubic";

/** What {@link interpolate} reads and how it resamples. */
export interface InterpolateOptions {
  /** Order of the axes: planes `[channels, height, width]` or a grid `[height, width, channels]`. */
  layout: "chw" | "hwc";
  /** Channels of the input. */
  channels: number;
  /** Rows of the input. */
  height: number;
  /** Columns of the input. */
  width: number;
  /** Output rows and columns; the input's size times `scaleFactor`, rounded down, when left out. */
  size?: readonly [height: number, width: number];
  /**
   * Given, the sampling coordinates use `1 / scaleFactor` rather than the ratio of the sizes, as torch does with
   * `scale_factor` and `recompute_scale_factor` unset.
   */
  scaleFactor?: readonly [height: number, width: number];
  /** Nearest, bilinear, or Keys' cubic: a = -0.75, and a = -0.5 with `antialias`. */
  mode?: InterpolateMode;
  /** Filter support that grows when shrinking, and weights renormalised at the borders. */
  antialias?: boolean;
  /** Whether the centres of the corner samples coincide, rather than the outer edges. */
  alignCorners?: boolean;
}

/** A resampled image, in the layout of its input. */
export interface Interpolated {
  /** Values, unrounded. */
  readonly data: Float64Array<ArrayBuffer>;
  /** Output rows. */
  readonly height: number;
  /** Output columns. */
  readonly width: number;
}

/** One axis: output `i` is the sum over `j < n` of `weights[i * n + j] * input[index[i * n + j]]`. */
interface AxisTaps {
  readonly n: number;
  readonly index: Int32Array;
  readonly weights: Float64Array;
}

interface Axis {
  readonly inSize: number;
  readonly outSize: number;
  /** Distance between samples, in input samples. */
  readonly step: number;
  readonly alignCorners: boolean;
}

function linear(x: number): number {
  return Math.max(0, 1 - Math.abs(x));
}

/** Keys' cubic convolution kernel. */
function cubic(x: number, a: number): number {
  const d = Math.abs(x);
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  if (d < 2) return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  return 0;
}

function nearestTaps({ inSize, outSize, step }: Axis): AxisTaps {
  const index = new Int32Array(outSize);
  // torch computes the source index of f32 images in f32 (UpSample.h, nearest_neighbor_compute_source_index).
  const step32 = Math.fround(step);
  for (let i = 0; i < outSize; i++) {
    index[i] = Math.min(Math.floor(Math.fround(i * step32)), inSize - 1);
  }
  return { n: 1, index, weights: new Float64Array(outSize).fill(1) };
}

/** Two (linear) or four (cubic) samples with indices clamped at the borders. */
function pointTaps(axis: Axis, mode: "bilinear" | "bicubic"): AxisTaps {
  const { inSize, outSize, step, alignCorners } = axis;
  const n = mode === "bilinear" ? 2 : 4;
  const index = new Int32Array(outSize * n);
  const weights = new Float64Array(outSize * n);
  for (let i = 0; i < outSize; i++) {
    const x = alignCorners ? i * step : (i + 0.5) * step - 0.5;
    const base = Math.floor(x) - (n / 2 - 1);
    for (let j = 0; j < n; j++) {
      index[i * n + j] = Math.min(Math.max(base + j, 0), inSize - 1);
      const distance = x - (base + j);
      weights[i * n + j] = mode === "bilinear" ? linear(distance) : cubic(distance, -0.75);
    }
  }
  return { n, index, weights };
}

/** Weights of `_upsample_bi*2d_aa`: truncated at the borders and renormalised, a = -0.5, as Pillow's. */
function antialiasTaps({ inSize, outSize, step }: Axis, mode: "bilinear" | "bicubic"): AxisTaps {
  const filterScale = Math.max(step, 1);
  const reach = (mode === "bilinear" ? 1 : 2) * filterScale;
  const n = Math.ceil(reach) * 2 + 1;
  const index = new Int32Array(outSize * n);
  const weights = new Float64Array(outSize * n);
  for (let i = 0; i < outSize; i++) {
    const center = (i + 0.5) * step;
    const first = Math.max(Math.trunc(center - reach + 0.5), 0);
    const count = Math.min(Math.trunc(center + reach + 0.5), inSize) - first;
    let sum = 0;
    for (let j = 0; j < count; j++) {
      const x = (j + first - center + 0.5) / filterScale;
      const weight = mode === "bilinear" ? linear(x) : cubic(x, -0.5);
      weights[i * n + j] = weight;
      index[i * n + j] = first + j;
      sum += weight;
    }
    for (let j = 0; j < count; j++) weights[i * n + j] /= sum;
  }
  return { n, index, weights };
}

function axisTaps(axis: Axis, mode: InterpolateMode, antialias: boolean): AxisTaps {
  if (mode === "nearest") return nearestTaps(axis);
  return antialias ? antialiasTaps(axis, mode) : pointTaps(axis, mode);
}

/** Resamples the middle axis of `[outer, inSize, inner]`. */
function applyTaps(
  input: ArrayLike<number>,
  taps: AxisTaps,
  { outer, inner, inSize, outSize }: {
    outer: number;
    inner: number;
    inSize: number;
    outSize: number;
  },
): Float64Array<ArrayBuffer> {
  const out = new Float64Array(outer * outSize * inner);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < outSize; i++) {
      const target = (o * outSize + i) * inner;
      for (let t = i * taps.n; t < (i + 1) * taps.n; t++) {
        const weight = taps.weights[t];
        if (weight === 0) continue;
        const source = (o * inSize + taps.index[t]) * inner;
        for (let c = 0; c < inner; c++) out[target + c] += weight * input[source + c];
      }
    }
  }
  return out;
}

function sampleStep(
  inSize: number,
  outSize: number,
  alignCorners: boolean,
  scaleFactor?: number,
): number {
  if (alignCorners) return outSize > 1 ? (inSize - 1) / (outSize - 1) : 0;
  return scaleFactor === undefined ? inSize / outSize : 1 / scaleFactor;
}

function outputSize(options: InterpolateOptions): readonly [number, number] {
  const { height, width, size, scaleFactor } = options;
  if (size) return size;
  if (!scaleFactor) {
    throw new InputError("Cannot interpolate: give a size or a scale factor, got neither");
  }
  return [Math.floor(height * scaleFactor[0]), Math.floor(width * scaleFactor[1])];
}

function check(length: number, options: InterpolateOptions, size: readonly number[]): void {
  const { channels, height, width, mode, antialias = false, alignCorners = false } = options;
  if (length !== channels * height * width) {
    throw new InputError(
      `Cannot interpolate: ${channels} channels of ${height}x${width} need ` +
        `${channels * height * width} values, got ${length}`,
    );
  }
  for (const side of [height, width, ...size]) {
    if (!Number.isInteger(side) || side < 1) {
      throw new InputError(
        `Cannot interpolate ${height}x${width} to ${size[0]}x${
          size[1]
        }: sides must be whole numbers from 1`,
      );
    }
  }
  if (antialias && (mode === "nearest" || alignCorners)) {
    throw new InputError(
      "Cannot interpolate: antialias works with bilinear and bicubic without alignCorners, " +
        `got mode ${mode ?? "bilinear"} and alignCorners ${alignCorners}`,
    );
  }
  if (mode === "nearest" && alignCorners) {
    throw new InputError("Cannot interpolate: alignCorners works with bilinear and bicubic only");
  }
}

/**
 * Resamples an image as `torch.nn.functional.interpolate` does, in float64.
 *
 * @param input `[channels, height, width]` or `[height, width, channels]`, by `layout`
 * @throws {InputError} when the sizes or the options do not fit together
 */
export function interpolate(
  input: Float32Array | Float64Array,
  options: InterpolateOptions,
): Interpolated {
  const { layout, channels, height, width, mode = "bilinear", scaleFactor } = options;
  const { antialias = false, alignCorners = false } = options;
  const size = outputSize(options);
  check(input.length, options, size);
  const [outHeight, outWidth] = size;
  const rows = {
    inSize: height,
    outSize: outHeight,
    step: sampleStep(height, outHeight, alignCorners, scaleFactor?.[0]),
    alignCorners,
  };
  const columns = {
    inSize: width,
    outSize: outWidth,
    step: sampleStep(width, outWidth, alignCorners, scaleFactor?.[1]),
    alignCorners,
  };
  const planes = layout === "chw";
  const tall = applyTaps(input, axisTaps(rows, mode, antialias), {
    outer: planes ? channels : 1,
    inner: planes ? width : width * channels,
    inSize: height,
    outSize: outHeight,
  }); // [channels, outHeight, width] or [outHeight, width, channels]
  const data = applyTaps(tall, axisTaps(columns, mode, antialias), {
    outer: planes ? channels * outHeight : outHeight,
    inner: planes ? 1 : channels,
    inSize: width,
    outSize: outWidth,
  });
  return { data, height: outHeight, width: outWidth };
}
