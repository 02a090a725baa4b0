/**
 * Ops that write side by side: the channels of one tensor in place of tensors of their own that are copied together afterwards.
 *
 * @module
 */
import { DTypeError, ShapeError } from "../errors.ts";
import { record, type Vjp } from "../tape.ts";
import { allocate, type Tensor } from "../tensor.ts";
import { slice } from "./shape.ts";
import { copyBox, stridesOf } from "./copy.ts";

/** Channels of images that an op writes in place of a tensor of its own; what they held before is lost, for a tape too. */
export interface Into {
  /** `[n, channels, h, w]` */
  readonly images: Tensor;
  /** The first channel that is written. */
  readonly first: number;
}

/**
 * Images `[n, channels, h, w]` that ops are to write side by side, of the type of `like`: what no op writes is undefined. On a tape the ops
 * that write differentiate as their concatenation does.
 *
 * @example
 * ```ts
 * import { conv2d, Gpu, imagesToFill, maxPool2d, Tensor } from "@gyrus/gyrus";
 * using gpu = await Gpu.open();
 * using x = Tensor.zeros(gpu, [1, 3, 8, 8]);
 * using weight = Tensor.zeros(gpu, [5, 3, 1, 1]);
 * using images = imagesToFill(x, [1, 8, 8, 8]);
 * conv2d(x, weight, { into: { images, first: 0 } });
 * maxPool2d(x, 3, { stride: 1, padding: 1, into: { images, first: 5 } });
 * ```
 */
export function imagesToFill(like: Tensor, shape: readonly number[]): Tensor {
  return allocate(like.gpu, shape, like.dtype);
}

/**
 * Where an op puts `[n, channels, h, w]`: what it was given, or a new tensor.
 *
 * @throws {ShapeError} when they are not within the images given
 * @throws {DTypeError} when those have another type
 */
export function whereTo(op: string, like: Tensor, shape: readonly number[], into?: Into): Into {
  if (!into) return { images: imagesToFill(like, shape), first: 0 };
  const { images, first } = into, [n, channels, h, w] = images.shape;
  const fits = images.shape.length === 4 && n === shape[0] && h === shape[2] && w === shape[3];
  if (!fits || !(Number.isSafeInteger(first) && first >= 0 && first + shape[1] <= channels)) {
    throw new ShapeError(
      `Cannot ${op} [${shape}] into channels ${first} and on of [${images.shape}]: they must be within it, the other axes equal`,
    );
  }
  if (images.dtype !== like.dtype) {
    throw new DTypeError(
      `Cannot ${op} ${like.dtype} into ${images.dtype}: both must have one type`,
    );
  }
  return into;
}

/**
 * Records that an op wrote some channels of images: what was there before is one more input of theirs, whose gradient passes as it is,
 * because ops that write side by side leave each other's channels alone.
 */
export function recordInto(
  images: Tensor,
  inputs: readonly (Tensor | undefined)[],
  saved: readonly Tensor[],
  vjp: Vjp,
): Tensor {
  return record(images, [...inputs, images], saved, (g, kept, before) => [
    ...vjp(g, kept, before),
    () => g,
  ]);
}

/** Neighbouring channels of images. */
export interface ChannelRange {
  /** The first of them. */
  readonly first: number;
  /** How many. */
  readonly count: number;
}

/** The channels of a gradient that an op wrote: a copy where there are others. */
export function channelsAt(g: Tensor, { first, count }: ChannelRange): Tensor {
  if (count === g.shape[1]) return g;
  return slice(g, { axis: 1, start: first, end: first + count });
}

/**
 * Copies `[n, channels, h, w]` into channels of images, for results of ops that cannot write there themselves; returns those images.
 *
 * @throws {ShapeError} when it is not within them
 * @throws {DTypeError} when they have another type
 */
export function placed(x: Tensor, into: Into): Tensor {
  const to = whereTo("place", x, x.shape, into);
  const strides = stridesOf(to.images.shape), from = stridesOf(x.shape);
  const axes = x.shape.map((n, i) => ({ n, source: from[i], target: strides[i] }));
  copyBox(x, to.images, axes, { target: to.first * strides[1] });
  const range = { first: to.first, count: x.shape[1] };
  return x.node ? recordInto(to.images, [x], [], (g) => [() => channelsAt(g, range)]) : to.images;
}
