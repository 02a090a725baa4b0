/**
 * Normalisation of the channels of images: group, instance and batch norm.
 *
 * @module
 */
import { ShapeError } from "../errors.ts";
import { run } from "../run.ts";
import { record } from "../tape.ts";
import { type Tensor, tidy } from "../tensor.ts";
import {
  channelMomentsKernel,
  channelNormGradientKernel,
  channelNormKernel,
  channelNormReduceKernel,
  channelNormSumsKernel,
} from "../../shaders/norm/channel_norm.ts";
import { type Activation, activationCodes } from "../../shaders/elementwise/unary.ts";
import type { Dims } from "../../shaders/kernel.ts";

/** The affine map and activation after a normalisation. */
export interface ChannelNormOptions {
  /** `[channels]`: multiplies the normalised values. */
  readonly weight?: Tensor;
  /** `[channels]`: added after the weight. */
  readonly bias?: Tensor;
  /** Added to the variance (PyTorch's default 1e-5). */
  readonly eps?: number;
  /** Applied last, in the same pass (default none). */
  readonly activation?: Activation;
}

/** Options of {@link groupNorm}. */
export interface GroupNormOptions extends ChannelNormOptions {
  /** Groups of neighbouring channels that share a mean and a variance; as many as channels is instance norm. */
  readonly groups: number;
}

/** Options of {@link batchNorm}. */
export interface BatchNormOptions extends ChannelNormOptions {
  /** `[channels]`, f32: running mean. A constant: no gradient flows to it. */
  readonly mean: Tensor;
  /** `[channels]`, f32: running variance. A constant too. */
  readonly variance: Tensor;
}

/** Result of {@link batchNormTraining}. */
export interface BatchNormResult {
  /** The normalised values. */
  readonly y: Tensor;
  /** `[channels]`, f32: mean of the batch. */
  readonly mean: Tensor;
  /** `[channels]`, f32: population variance of the batch; PyTorch's running variance takes it times `count / (count − 1)`. */
  readonly variance: Tensor;
}

/** How statistics belong to channels. */
interface Sharing {
  readonly statsPerImage: number;
  readonly channelsPerStat: number;
  /** Whether the statistics are constants. */
  readonly isFixed: boolean;
}

function checkChannels(op: string, x: Tensor, others: Record<string, Tensor | undefined>): number {
  const channels = x.shape[1];
  if (x.shape.length < 2 || x.size === 0) {
    throw new ShapeError(`Cannot ${op} [${x.shape}]: it must be [n, channels, …] and not empty`);
  }
  for (const [name, t] of Object.entries(others)) {
    if (t && t.size !== channels) {
      throw new ShapeError(
        `Cannot ${op} [${x.shape}] with ${name} [${t.shape}]: it must have ${channels} values`,
      );
    }
  }
  return channels;
}

/** Normalises by given statistics and records the gradient; does not dispose them. */
function normalise(
  x: Tensor,
  [mean, variance]: readonly [Tensor, Tensor],
  { weight, bias, eps = 1e-5, activation = "none" }: ChannelNormOptions,
  { isFixed, ...sharing }: Sharing,
): Tensor {
  const [n, channels] = x.shape;
  const dims: Dims = {
    ...{ n, channels, inner: x.size / (n * channels), stats: mean.size, ...sharing },
    ...{ weightSize: (weight ?? x).size, biasSize: (bias ?? x).size },
  };
  const flags = { hasWeight: Number(!!weight), hasBias: Number(!!bias) };
  const args = { ...flags, eps, activation: activationCodes[activation] };
  const [y] = run(channelNormKernel, [x, mean, variance, weight ?? x, bias ?? x], {
    ...{ dims, args, shapes: { y: x.shape } },
  });
  // A thunk may run alone: what they share is computed by the first one, in the scope of all.
  return record(
    y,
    [x, weight, bias],
    [x, mean, variance, weight ?? x, bias ?? x],
    (g, [x, mean, variance, w, b]) => {
      const given = [x, g, mean, variance, w, b];
      let reduced: Tensor[] | undefined;
      const reduce = () => {
        const sums = run(channelNormSumsKernel, given, { dims, args });
        return run(channelNormReduceKernel, [...sums, w], {
          dims,
          args: { hasWeight: flags.hasWeight },
        });
      };
      const part = (i: number) => (reduced ??= reduce())[i];
      return [
        () => {
          const means = isFixed ? mean : part(2);
          return run(channelNormGradientKernel, [...given, means], {
            dims: { ...dims, meansSize: means.size },
            args: { ...args, isFixed: Number(isFixed) },
            shapes: { dx: x.shape },
          })[0];
        },
        () => part(0).alias(w.shape),
        () => part(1).alias(b.shape),
      ];
    },
  );
}

/**
 * Group norm of `[n, channels, …]`: every group of channels of an image has mean 0 and variance 1, then an affine map per channel.
 *
 * @throws {ShapeError} when the groups do not divide the channels, or weight or bias have another size.
 */
export function groupNorm(x: Tensor, options: GroupNormOptions): Tensor {
  const { groups, weight, bias } = options;
  const channels = checkChannels("groupNorm", x, { weight, bias });
  if (!(Number.isSafeInteger(groups) && groups >= 1 && channels % groups === 0)) {
    throw new ShapeError(
      `Cannot groupNorm [${x.shape}] in ${groups} groups: they must divide ${channels} channels`,
    );
  }
  const rows = x.shape[0] * groups;
  const [mean, variance] = run(channelMomentsKernel, [x], {
    dims: { outer: 1, rows, inner: x.size / rows },
  });
  const y = normalise(x, [mean, variance], options, {
    ...{ statsPerImage: groups, channelsPerStat: channels / groups, isFixed: false },
  });
  mean.dispose();
  variance.dispose();
  return y;
}

/**
 * Batch norm of `[n, channels, …]` as a trained network applies it, with running statistics.
 *
 * @throws {ShapeError} when an option has another size than the channels.
 * @throws {DTypeError} when the statistics are not f32.
 */
export function batchNorm(x: Tensor, options: BatchNormOptions): Tensor {
  const { mean, variance, weight, bias } = options;
  checkChannels("batchNorm", x, { mean, variance, weight, bias });
  return normalise(x, [mean, variance], options, {
    ...{ statsPerImage: 0, channelsPerStat: 1, isFixed: true },
  });
}

/**
 * Batch norm of `[n, channels, …]` by the statistics of the batch itself. They are returned as constants; the gradient of `y` flows
 * through them.
 *
 * @throws {ShapeError} when weight or bias have another size than the channels.
 */
export function batchNormTraining(x: Tensor, options: ChannelNormOptions = {}): BatchNormResult {
  const { weight, bias } = options;
  const channels = checkChannels("batchNormTraining", x, { weight, bias });
  return tidy(x.gpu, () => {
    const [mean, variance] = run(channelMomentsKernel, [x], {
      dims: { outer: x.shape[0], rows: channels, inner: x.size / (x.shape[0] * channels) },
    });
    const y = normalise(x, [mean, variance], options, {
      ...{ statsPerImage: 0, channelsPerStat: 1, isFixed: false },
    });
    return { y, mean, variance };
  });
}
