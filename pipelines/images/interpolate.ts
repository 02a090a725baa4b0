import { resampleTaps, type Taps } from "../../shaders/resize/taps.ts";
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

/** Resamples the middle axis of `[outer, inSize, inner]`. */
function applyTaps(
  input: ArrayLike<number>,
  { first, offset, weight, inSize, outSize }: Taps,
  { outer, inner }: { outer: number; inner: number },
): Float64Array<ArrayBuffer> {
  const out = new Float64Array(outer * outSize * inner);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < outSize; i++) {
      const target = (o * outSize + i) * inner;
      for (let t = offset[i]; t < offset[i + 1]; t++) {
        const source = (o * inSize + first[i] + t - offset[i]) * inner;
        for (let c = 0; c < inner; c++) out[target + c] += weight[t] * input[source + c];
      }
    }
  }
  return out;
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
  const axis = (i: 0 | 1) =>
    resampleTaps({
      ...{ inSize: [height, width][i], outSize: size[i], alignCorners, antialias },
      scale: scaleFactor?.[i],
    }, mode);
  const planes = layout === "chw";
  const tall = applyTaps(input, axis(0), {
    outer: planes ? channels : 1,
    inner: planes ? width : width * channels,
  }); // [channels, outHeight, width] or [outHeight, width, channels]
  const data = applyTaps(tall, axis(1), {
    outer: planes ? channels * outHeight : outHeight,
    inner: planes ? 1 : channels,
  });
  return { data, height: outHeight, width: outWidth };
}
