import type { Tensor } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";

/**
 * Refuses images that a UNet does not take.
 *
 * @throws {InputError} unless they are `[n, inChannels, height, width]` in f32 with sides that `factor` divides
 */
export function requireNoisyImages(
  { shape, dtype }: Tensor,
  { inChannels, factor }: { readonly inChannels: number; readonly factor: number },
): void {
  const [n, channels, ...sides] = shape;
  const isFit = shape.length === 4 && n >= 1 && channels === inChannels && dtype === "f32" &&
    sides.every((side) => side >= factor && side % factor === 0);
  if (isFit) return;
  throw new InputError(
    `Cannot run the network on [${shape}] ${dtype}: images must be [n, ${inChannels}, height, width] in f32 with sides that ${factor} divides`,
  );
}

/**
 * Refuses time steps or classes that do not go with the images.
 *
 * @param numClasses classes that the network is told; 0 where it is told none, infinitely many where it is told any number
 * @throws {InputError} unless there is a time step from 0 for each image, and a class where classes are told
 */
export function requireConditions(
  n: number,
  { timesteps, classLabels, numClasses }: {
    readonly timesteps: ArrayLike<number>;
    readonly classLabels?: ArrayLike<number>;
    readonly numClasses: number;
  },
): void {
  if (timesteps.length !== n || !Array.from(timesteps).every((t) => t >= 0 && t < Infinity)) {
    throw new InputError(
      `Cannot run the network: there must be a time step from 0 for each of ${n} images, got ${
        Array.from(timesteps).slice(0, 8)
      }`,
    );
  }
  const isClass = (label: number) =>
    (Number.isInteger(label) || numClasses === Infinity) && label >= 0 && label < numClasses;
  const labels = classLabels && Array.from(classLabels);
  if (numClasses === 0 && !labels) return;
  if (numClasses > 0 && labels?.length === n && labels.every(isClass)) return;
  throw new InputError(
    numClasses === 0
      ? "Cannot run the network: it was not trained on classes, so that it takes no classLabels"
      : `Cannot run the network: there must be a class from 0 to ${
        numClasses - 1
      } for each of ${n} images, got ${labels?.slice(0, 8) ?? "none"}`,
  );
}
