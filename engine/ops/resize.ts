/**
 * Linear maps of images that work axis by axis: resizing and average pooling. Their tables are made on the host in float64, and the
 * gradient is the same kernel with the transposed tables, so it is exact.
 *
 * @module
 */
import { ShapeError, UnsupportedError } from "../errors.ts";
import { run } from "../run.ts";
import { record } from "../tape.ts";
import { Tensor, tidy } from "../tensor.ts";
import {
  imageShape,
  type Padding,
  type Pair,
  type Window,
  windowCount,
  windowOf,
} from "./conv_geometry.ts";
import { resampleAxisKernel } from "../../shaders/resize/resample_axis.ts";
import {
  isIdentity,
  type ResampleMode,
  resampleTaps,
  type Taps,
  tapsOf,
  transposeTaps,
} from "../../shaders/resize/taps.ts";

/** Options of {@link resize}. */
export interface ResizeOptions {
  /**
   * `torch.nn.functional.interpolate`'s modes, and `"lanczos"`, which is always antialiased (default bilinear). With `antialias` the
   * smooth modes have Pillow's weights; Pillow also rounds bytes between the axes, which this does not.
   */
  readonly mode?: ResampleMode;
  /** Filter support that grows when shrinking, and weights renormalised at the borders (default false). */
  readonly antialias?: boolean;
  /** Whether the centres of the corner samples coincide, rather than the outer edges (default false). */
  readonly alignCorners?: boolean;
  /** Output samples per input sample: sampling positions follow it rather than the ratio of the sizes, as with torch's `scale_factor`. */
  readonly scale?: Pair;
  /** Parameter of the cubic kernel (default −0.75, with `antialias` −0.5: torch's). */
  readonly a?: number;
}

/** Tables of the two axes of an image. */
export interface ImageTaps {
  /** Of the rows, top to bottom. */
  readonly rows: Taps;
  /** Of the columns, left to right. */
  readonly columns: Taps;
}

function applyTaps(x: Tensor, taps: Taps, axis: 2 | 3): Tensor {
  if (isIdentity(taps)) return x.alias();
  const { gpu, shape } = x;
  const inner = axis === 2 ? shape[3] : 1;
  const to = shape.map((n, i) => (i === axis ? taps.outSize : n));
  // A table of zeros has no weights, and a kernel binds no empty buffer.
  const weight = taps.weight.length ? taps.weight : Float64Array.of(0);
  return tidy(gpu, () => {
    const tables = [taps.first, taps.offset].map((t) => Tensor.from(gpu, t));
    const weights = Tensor.from(gpu, weight);
    const [y] = run(resampleAxisKernel, [x, ...tables, weights], {
      dims: {
        ...{ outer: x.size / (shape[axis] * inner), inSize: taps.inSize, inner },
        ...{ outSize: taps.outSize, offsets: taps.outSize + 1, taps: weight.length },
      },
      shapes: { y: to },
    });
    return y;
  });
}

/** Both axes, the one first that leaves less to do. */
function applyBoth(x: Tensor, { rows, columns }: ImageTaps): Tensor {
  const rowsFirst = rows.outSize * columns.inSize <= rows.inSize * columns.outSize;
  return tidy(
    x.gpu,
    () =>
      rowsFirst
        ? applyTaps(applyTaps(x, rows, 2), columns, 3)
        : applyTaps(applyTaps(x, columns, 3), rows, 2),
  );
}

/**
 * Applies a table to the rows and one to the columns of `[n, channels, h, w]`.
 *
 * @throws {ShapeError} when a table is for another size.
 */
export function resample(x: Tensor, taps: ImageTaps): Tensor {
  const [, , h, w] = imageShape("resample", x.shape);
  const { rows, columns } = taps;
  if (rows.inSize !== h || columns.inSize !== w) {
    throw new ShapeError(
      `Cannot resample [${x.shape}]: the tables are for images of ${rows.inSize}×${columns.inSize}`,
    );
  }
  return record(applyBoth(x, taps), [x], [], (g) => [
    () => applyBoth(g, { rows: transposeTaps(rows), columns: transposeTaps(columns) }),
  ]);
}

/**
 * Resizes `[n, channels, h, w]` to `[n, channels, ...size]` exactly as `torch.nn.functional.interpolate` does.
 *
 * @throws {ShapeError} when a size is not a whole number from 1.
 * @throws {UnsupportedError} for options that do not go together.
 */
export function resize(
  x: Tensor,
  size: readonly [height: number, width: number],
  options: ResizeOptions = {},
): Tensor {
  const { mode = "bilinear", antialias = mode === "lanczos", alignCorners = false, scale, a } =
    options;
  const [, , h, w] = imageShape("resize", x.shape);
  if (![h, w, ...size].every((n) => Number.isSafeInteger(n) && n >= 1)) {
    throw new ShapeError(
      `Cannot resize [${x.shape}] to ${size}: sizes must be whole numbers from 1`,
    );
  }
  const isSmooth = mode === "bilinear" || mode === "bicubic" || mode === "lanczos";
  if (!isSmooth && (antialias || alignCorners) || antialias && alignCorners) {
    throw new UnsupportedError(
      `Cannot resize with mode ${mode}, antialias ${antialias}, alignCorners ${alignCorners}: nearest modes take neither, the others one`,
    );
  }
  if (mode === "lanczos" && !antialias) {
    throw new UnsupportedError("Cannot resize with mode lanczos and antialias false");
  }
  const scales = typeof scale === "number" ? [scale, scale] : scale ?? [];
  const axis = (i: 0 | 1) =>
    resampleTaps({
      ...{ inSize: [h, w][i], outSize: size[i], scale: scales[i] },
      ...{ alignCorners, antialias, a },
    }, mode);
  return resample(x, { rows: axis(0), columns: axis(1) });
}

/** Options of {@link avgPool2d}. */
export interface AvgPool2dOptions {
  /** Step between windows (default: the kernel). */
  readonly stride?: Pair;
  /** Zeros around the image (default 0). */
  readonly padding?: Padding;
  /** Keeps a last window that reaches beyond the padding (default false). */
  readonly ceilMode?: boolean;
  /** Whether a window's divisor counts the padding it covers (default true, PyTorch's). */
  readonly countIncludePad?: boolean;
}

/** Averages over windows as a table; `count` is how many outputs there are. */
function averageTaps(
  axis: 0 | 1,
  inSize: number,
  count: number,
  { window: { kernel, stride, padding }, countIncludePad }: {
    window: Window;
    countIncludePad: boolean;
  },
): Taps {
  const [before, after] = axis === 0 ? [padding[0], padding[2]] : [padding[3], padding[1]];
  return tapsOf(inSize, count, (i) => {
    const start = i * stride[axis] - before;
    const end = Math.min(start + kernel[axis], inSize + after); // a last window ends with the padding
    const first = Math.max(start, 0), last = Math.min(end, inSize);
    const weight = 1 / (countIncludePad ? end - start : last - first);
    return [first, new Array<number>(Math.max(0, last - first)).fill(weight)];
  });
}

/**
 * Means over windows of `[n, channels, h, w]`, PyTorch's `avg_pool2d`.
 *
 * @throws {ShapeError} when the window does not fit.
 */
export function avgPool2d(x: Tensor, kernel: Pair, options: AvgPool2dOptions = {}): Tensor {
  const { stride = kernel, padding = 0, ceilMode = false, countIncludePad = true } = options;
  const [, , h, w] = imageShape("avgPool2d", x.shape);
  const sides = typeof kernel === "number" ? [kernel, kernel] as const : kernel;
  const window = windowOf("avgPool2d", sides, { stride, padding });
  const count = windowCount("avgPool2d", [h, w], window, { ceilMode });
  const axis = (i: 0 | 1) => averageTaps(i, [h, w][i], count[i], { window, countIncludePad });
  return resample(x, { rows: axis(0), columns: axis(1) });
}

/**
 * Means over windows from `⌊i·in/out⌋` to `⌈(i + 1)·in/out⌉` of `[n, channels, h, w]`, PyTorch's `adaptive_avg_pool2d`.
 *
 * @throws {ShapeError} when a size is not a whole number from 1.
 */
export function adaptiveAvgPool2d(x: Tensor, size: Pair): Tensor {
  const [, , h, w] = imageShape("adaptiveAvgPool2d", x.shape);
  const to = typeof size === "number" ? [size, size] : size;
  if (!to.every((n) => Number.isSafeInteger(n) && n >= 1)) {
    throw new ShapeError(
      `Cannot adaptiveAvgPool2d [${x.shape}] to ${to}: sizes must be whole numbers from 1`,
    );
  }
  const axis = (i: 0 | 1) => {
    const inSize = [h, w][i];
    return tapsOf(inSize, to[i], (k) => {
      const start = Math.floor(k * inSize / to[i]), end = Math.ceil((k + 1) * inSize / to[i]);
      return [start, new Array<number>(end - start).fill(1 / (end - start))];
    });
  };
  return resample(x, { rows: axis(0), columns: axis(1) });
}
