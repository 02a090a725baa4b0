import { foldIn, type Key } from "../../engine/random.ts";
import { stack } from "../../engine/ops/shape.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { InputError } from "../errors.ts";
import type { ImageSize } from "../images/preprocess.ts";

/** Which images of a study are made together: `count` of them from number `first`. */
export interface ImageRange {
  /** Number of the first image; draws depend on an image's number and on nothing else. */
  readonly first?: number;
  /** How many. */
  readonly count: number;
}

/**
 * How images are written as the parameters that are optimised. It owns device tables and gives them up when disposed.
 */
export interface ImageParam extends Disposable {
  /** The device. */
  readonly gpu: Gpu;
  /** Size of the images. */
  readonly size: ImageSize;
  /**
   * Starting parameters, `[count, …]` each, the caller's to dispose: those of image `s` depend on the key and on `s` alone.
   */
  init(key: Key, images: ImageRange): Tensor[];
  /** The images of some parameters, `[count, 3, height, width]`; differentiable. */
  image(theta: readonly Tensor[]): Tensor;
  /** Parameters for this size of images that were smaller, the caller's to dispose; absent where a parameterisation cannot grow. */
  grow?(theta: readonly Tensor[], from: ImageSize): Promise<Tensor[]>;
}

/**
 * Checks an image size.
 *
 * @throws {InputError} when a side is not a whole number from 2
 */
export function requireSize({ height, width }: ImageSize): void {
  if (![height, width].every((n) => Number.isSafeInteger(n) && n >= 2)) {
    throw new InputError(
      `Cannot parameterise images of ${height}x${width}: both sides must be whole numbers from 2`,
    );
  }
}

/**
 * One draw per image, laid on a first axis.
 *
 * @param draw makes the tensor of one image from its own key
 */
export function drawImages(
  gpu: Gpu,
  key: Key,
  { first = 0, count }: ImageRange,
  draw: (key: Key) => Tensor,
): Tensor {
  return tidy(
    gpu,
    () => stack(Array.from({ length: count }, (_, i) => draw(foldIn(key, first + i)))),
  );
}
