/**
 * Networks that are read out at named layers: what features and gradients need of them.
 *
 * @module
 */
import { add, mul } from "../../engine/ops/elementwise.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { Tape } from "../../engine/tape.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import type { ImageSize, Preprocessing } from "../images/preprocess.ts";

/** Options of a run to the taps. */
export interface TapRunOptions {
  /**
   * How gradients pass the ReLUs (default `standard`): `redirected` is lucid's rule for images that nothing drives yet, see `relu`.
   * The loss must then be one to make small.
   */
  readonly reluGradient?: "standard" | "redirected";
}

/** Shape of a tap of one image. */
export interface TapShape {
  /** torchvision's name. */
  readonly name: string;
  /** `[channels, height, width]`; 1 by 1 where the tap has no places. */
  readonly shape: readonly [channels: number, height: number, width: number];
}

/** A convolutional network on a device that gives its layers by name. */
export interface TapModel extends Disposable {
  /** Whose layout the checkpoint has. */
  readonly family: "inception" | "vgg";
  /** Names of all taps, in the order in which they are computed. */
  readonly tapNames: readonly string[];
  /** How images become what {@link TapModel.taps} takes. */
  readonly preprocessing: Preprocessing;
  /**
   * Shapes of all taps of an image, in the order of {@link TapModel.tapNames}.
   *
   * @throws {InputError} when the image is too small for the network
   */
  tapShapes(size: ImageSize): TapShape[];
  /**
   * The taps that are named, `[n, channels, height, width]`, or `[n, channels]` where they have no places. Nothing after the last of
   * them is computed.
   *
   * @param pixels `[n, 3, height, width]`; on a tape the taps are differentiable by it
   * @throws {InputError} when the pixels have another shape, or a name is not a tap
   */
  taps(
    pixels: Tensor,
    names: readonly string[],
    options?: TapRunOptions,
  ): ReadonlyMap<string, Tensor>;
  /** Weights `[channels, inputs]` of the linear layer that a tap is the output of; undefined for other taps. Stays the model's. */
  linearWeight(name: string): Tensor | undefined;
}

/** What a family is called in sentences. */
export const tapFamilyNames: Readonly<Record<TapModel["family"], string>> = {
  inception: "Inception V3",
  vgg: "VGG",
};

/**
 * Gradient by the pixels of `Σ ⟨readout, tap⟩` over the taps that are named: what each tap's readout wants, in one pass back.
 *
 * @param pixels `[n, 3, height, width]`
 * @param readouts a tensor of its tap's shape for each name
 * @returns `[n, 3, height, width]`
 * @throws {InputError} when the pixels or a readout have another shape, or a name is not a tap
 */
export function tapGradient(
  model: TapModel,
  pixels: Tensor,
  readouts: ReadonlyMap<string, Tensor>,
  options: TapRunOptions = {},
): Tensor {
  return tidy(pixels.gpu, () => {
    using tape = new Tape();
    const x = tape.watch(pixels);
    const taps = model.taps(x, [...readouts.keys()], options);
    const parts = [...taps].map(([name, tap]) => {
      const readout = readouts.get(name)!;
      if (`${readout.shape}` === `${tap.shape}`) return sum(mul(tap, readout));
      throw new InputError(
        `Cannot read out ${name}: the readout must be [${tap.shape}], is [${readout.shape}]`,
      );
    });
    const [gradient] = tape.gradient(parts.reduce(add), [x]);
    return gradient;
  });
}
