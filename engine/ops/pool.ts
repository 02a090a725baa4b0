/**
 * Maxima over windows. Averages are linear and live with resizing.
 *
 * @module
 */
import { ShapeError } from "../errors.ts";
import { run } from "../run.ts";
import { type Tensor, tidy } from "../tensor.ts";
import {
  imageShape,
  type Pair,
  type Window,
  windowArgs,
  windowCount,
  windowOf,
  type WindowOptions,
} from "./conv_geometry.ts";
import { full } from "./elementwise.ts";
import { channelsAt, type Into, recordInto, whereTo } from "./into.ts";
import {
  maxPool2dGradientKernel,
  maxPool2dKernel,
  maxPool2dScatterKernel,
} from "../../shaders/pool/max_pool2d.ts";
import type { Args, Dims } from "../../shaders/kernel.ts";

/** Options of {@link maxPool2d}; the stride defaults to the kernel, and padding never wins. */
export interface MaxPool2dOptions extends WindowOptions {
  /** Keeps a last window that reaches beyond the padding (default false). */
  readonly ceilMode?: boolean;
  /** Channels of other images that are written in place of a new tensor; those images are returned. */
  readonly into?: Into;
}

const pairOf = (value: Pair): readonly [number, number] =>
  typeof value === "number" ? [value, value] : value;

/** Whether each of `count` windows of an axis has a tap inside. */
function holdImage(window: Window, axis: 0 | 1, size: number, count: number): boolean {
  const [kernel, stride, dilation] = [window.kernel, window.stride, window.dilation].map((p) =>
    p[axis]
  );
  const before = axis === 0 ? window.padding[0] : window.padding[3];
  for (let o = 0; o < count; o++) {
    let at = o * stride - before;
    if (at < 0) at += Math.ceil(-at / dilation) * dilation;
    if (at >= size || at > o * stride - before + (kernel - 1) * dilation) return false;
  }
  return true;
}

/** Windows of a plane that one thread goes through, and how many values there must be for each of them. */
const FEW_WINDOWS = 64, MANY_VALUES = 8;

/** The gradient of a pooling of `[n, channels, h, w]`, of which `index` tells where each maximum was. */
function unpool(
  [g, index]: readonly [Tensor, Tensor],
  from: readonly number[],
  { dims, args }: { dims: Dims; args: Args },
): Tensor {
  const { planes, h, w, oh, ow } = dims;
  if (oh * ow > FEW_WINDOWS || MANY_VALUES * oh * ow > h * w) {
    return run(maxPool2dGradientKernel, [g, index], { dims, args, shapes: { dx: from } })[0];
  }
  const dx = full(g.gpu, from, 0, { dtype: g.dtype });
  run(maxPool2dScatterKernel, [g, index, dx], { dims: { planes, count: oh * ow, size: h * w } });
  return dx;
}

function pool(x: Tensor, [oh, ow]: readonly [number, number], args: Args, into?: Into): Tensor {
  const [images, channels, h, w] = x.shape;
  const dims = { planes: images * channels, h, w, oh, ow };
  return tidy(x.gpu, () => {
    const shape = [images, channels, oh, ow];
    const to = whereTo("pool", x, shape, into), range = { first: to.first, count: channels };
    const [index] = run(maxPool2dKernel, [x, to.images], {
      dims: { ...dims, images, channels, yChannels: to.images.shape[1] },
      args: { ...args, yFirst: to.first },
      shapes: { index: shape },
    });
    const from = x.shape;
    if (x.node) {
      recordInto(to.images, [x], [index], (g, [index]) => [
        () => unpool([channelsAt(g, range), index], from, { dims, args }),
      ]);
    }
    return to.images;
  });
}

/**
 * Greatest value of each window of `[n, channels, h, w]`, PyTorch's `max_pool2d`. The gradient goes to the first of equal values.
 *
 * @throws {ShapeError} when the window does not fit, or a window would hold padding alone.
 */
export function maxPool2d(x: Tensor, kernel: Pair, options: MaxPool2dOptions = {}): Tensor {
  const { stride = kernel, padding, dilation, ceilMode = false, into } = options;
  const [, , h, w] = imageShape("maxPool2d", x.shape);
  const window = windowOf("maxPool2d", pairOf(kernel), { stride, padding, dilation });
  const count = windowCount("maxPool2d", [h, w], window, { ceilMode });
  if (!count.every((n, i) => holdImage(window, i as 0 | 1, [h, w][i], n))) {
    throw new ShapeError(
      `Cannot maxPool2d [${x.shape}] with kernel ${window.kernel}, dilation ${window.dilation} and padding ${window.padding}: a window would hold padding alone`,
    );
  }
  return pool(x, count, {
    ...windowArgs(window),
    kernelY: window.kernel[0],
    kernelX: window.kernel[1],
  }, into);
}

/**
 * Greatest value of each of `size` windows from `⌊i·in/out⌋` to `⌈(i + 1)·in/out⌉` of `[n, channels, h, w]`, PyTorch's
 * `adaptive_max_pool2d`.
 *
 * @throws {ShapeError} when a size is not a whole number from 1.
 */
export function adaptiveMaxPool2d(x: Tensor, size: Pair): Tensor {
  const [, , h, w] = imageShape("adaptiveMaxPool2d", x.shape);
  const to = pairOf(size);
  if (![h, w, ...to].every((n) => Number.isSafeInteger(n) && n >= 1)) {
    throw new ShapeError(
      `Cannot adaptiveMaxPool2d [${x.shape}] to ${to}: sizes must be whole numbers from 1`,
    );
  }
  return pool(x, [to[0], to[1]], { adaptive: 1 });
}
