/**
 * Channels of every place of images brought to one length.
 *
 * @module
 */
import { ShapeError } from "../errors.ts";
import { run } from "../run.ts";
import { record } from "../tape.ts";
import { type Tensor, tidy } from "../tensor.ts";
import { cast } from "./cast.ts";
import { sumTo } from "./reduce.ts";
import {
  channelRmsNormGradientKernel,
  channelRmsNormKernel,
  channelRmsNormSumsKernel,
} from "../../shaders/norm/channel_rms_norm.ts";
import { type Activation, activationCodes } from "../../shaders/elementwise/unary.ts";

/** The affine map and activation after the lengths are one. */
export interface ChannelRmsNormOptions {
  /** Multiplies the values: one for each channel, `channels` values, or for each image and channel, `n · channels`. */
  readonly weight: Tensor;
  /** Added after the weight, as many values or one for each channel (default none). */
  readonly bias?: Tensor;
  /** Applied last, in the same pass (default none). */
  readonly activation?: Activation;
}

/**
 * `activation(x / max(‖x‖, 10⁻¹²) · weight + bias)`, the length taken over the channels at each place of `x: [n, channels, …]`: the
 * RMSNorm of denoising-diffusion-pytorch with `weight` its gain times √channels.
 *
 * @throws {ShapeError} when there are no channels, or weight or bias do not fit.
 */
export function channelRmsNorm(
  x: Tensor,
  { weight, bias, activation = "none" }: ChannelRmsNormOptions,
): Tensor {
  const [n, channels] = x.shape, from = x.shape, shift = bias ?? weight;
  const isFit = (t: Tensor) => t.size === channels || t.size === n * channels;
  if (from.length < 3 || x.size === 0 || !isFit(weight) || !isFit(shift)) {
    throw new ShapeError(
      `Cannot channelRmsNorm [${from}] with weight [${weight.shape}] and bias [${bias?.shape}]: x must be [n, channels, …] and not empty, the others have channels or n · channels values`,
    );
  }
  const options = {
    dims: {
      n,
      channels,
      inner: x.size / (n * channels),
      weightSize: weight.size,
      biasSize: shift.size,
    },
    args: { activation: activationCodes[activation], hasBias: Number(!!bias) },
    shapes: { y: from, dx: from },
  };
  return tidy(x.gpu, () => {
    const [y, r] = run(channelRmsNormKernel, [x, weight, shift], options);
    return record(y, [x, weight, bias], [x, weight, shift, r], (g, [x, weight, shift, r]) => {
      const given = [x, g, weight, shift, r];
      let sums: Tensor[] | undefined; // a thunk may run alone: what they share is computed by the first one
      const part = (at: number, like: Tensor) => {
        sums ??= run(channelRmsNormSumsKernel, given, options);
        const own = cast(sums[at], like.dtype);
        return (like.size === channels ? sumTo(own, [1, channels]) : own).reshape(like.shape);
      };
      return [
        () => run(channelRmsNormGradientKernel, given, options)[0],
        () => part(0, weight),
        () => part(1, shift),
      ];
    });
  });
}
