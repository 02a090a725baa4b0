/**
 * Convolutions of images.
 *
 * @module
 */
import { ShapeError } from "../errors.ts";
import { run } from "../run.ts";
import { record } from "../tape.ts";
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
import * as elementwise from "./elementwise.ts";
import type { PreparedWeights } from "./prepared_weights.ts";
import { type ChannelRange, channelsAt, type Into, placed, recordInto, whereTo } from "./into.ts";
import { sum } from "./reduce.ts";
import { masked, reluMask } from "./relu_mask.ts";
import { convolveWinograd, type KeptForms, usesWinograd } from "./winograd.ts";
import { type Activation, activationCodes } from "../../shaders/elementwise/unary.ts";
import { ceilDiv, type KernelSpec } from "../../shaders/kernel.ts";
import { conv2dKernel, convTranspose2dKernel } from "../../shaders/conv/conv2d.ts";
import { conv2dWeightGradientKernel } from "../../shaders/conv/conv2d_weight_gradient.ts";

/** Options of {@link conv2d}. */
export interface Conv2dOptions extends WindowOptions {
  /** `[cout]` */
  readonly bias?: Tensor;
  /** Channels are convolved in this many separate groups (default 1). */
  readonly groups?: number;
  /** Applied after the bias (default none). */
  readonly activation?: Activation;
  /** Where forms of the weight are kept that some kernels take, for weights that do not change; made anew in every call when absent. */
  readonly prepared?: PreparedWeights;
  /** Channels of other images that are written in place of a new tensor; those images are returned. */
  readonly into?: Into;
}

/** Options of {@link convTranspose2d}. */
export interface ConvTranspose2dOptions extends Omit<Conv2dOptions, "into"> {
  /** Rows and columns added at the bottom and right, below the stride: which of several input sizes to go back to (default 0). */
  readonly outputPadding?: Pair;
}

/** The linear part of a convolution: what its gradients need. */
interface Geometry {
  readonly window: Window;
  readonly groups: number;
  readonly prepared?: KeptForms;
}

/** The forms of a weight that a caller keeps, under the handle that it gave: a tape's own are made anew in every call. */
const keptForms = (weight: Tensor, prepared?: PreparedWeights): KeptForms | undefined =>
  prepared && ((name, make) => prepared.form(weight, name, make));

const channelsOf = (t: Tensor) => t.shape[1];
const areaOf = (t: Tensor): [number, number] => [t.shape[2], t.shape[3]];

/** What a kernel makes: its channels, its sides, what is done to the values and where they go. */
interface Output {
  readonly cout: number;
  readonly size: readonly [number, number];
  readonly activation?: Activation;
  readonly into?: Into;
}

/** Runs either kernel; gives the images that it wrote. */
function convolve(
  spec: KernelSpec,
  [x, weight, bias]: readonly [Tensor, Tensor, Tensor?],
  { window, groups, prepared }: Geometry,
  { cout, size, activation = "none", into }: Output,
): Tensor {
  const [n, cin, h, w] = x.shape;
  const [kh, kw] = window.kernel;
  const isTransposed = spec === convTranspose2dKernel;
  const plan = { window, groups, prepared, cout, size, isTransposed };
  return tidy(x.gpu, () => {
    const { images, first } = whereTo(spec.name, x, [n, cout, ...size], into);
    if (usesWinograd(x, plan)) {
      convolveWinograd([x, weight, bias], plan, { activation, into: { images, first } });
      return images;
    }
    const other = bias ?? weight; // a kernel without bias binds another buffer in its place
    run(spec, [x, weight, other, images], {
      dims: {
        ...{ n, groups, cinG: cin / groups, coutG: cout / groups, h, w, kh, kw },
        ...{ oh: size[0], ow: size[1], biasSize: other.size, yChannels: images.shape[1] },
      },
      args: {
        ...windowArgs(window),
        activation: activationCodes[activation],
        ...{ hasBias: bias ? 1 : 0, yFirst: first },
      },
    });
    return images;
  });
}

/** Workgroups that keep a device busy: few on a CPU, where each runs for long. */
const ENOUGH_GROUPS = { software: 16, gpu: 512 };
/** Values that the parts of a weight gradient may take together. */
const MOST_PARTIALS = 1 << 24;

/** Gradient by the weights of a convolution of `x` whose output has the gradient `g`. */
function weightGradient(g: Tensor, x: Tensor, weight: Tensor, geometry: Geometry): Tensor {
  const { window, groups } = geometry;
  const [kh, kw] = window.kernel;
  const [n, cout, oh, ow] = g.shape;
  const [cinG, coutG] = [channelsOf(x) / groups, cout / groups];
  const tiles = groups * ceilDiv(coutG, 32) * ceilDiv(cinG * kh * kw, 32);
  const wanted = ceilDiv(g.gpu.caps.isSoftware ? ENOUGH_GROUPS.software : ENOUGH_GROUPS.gpu, tiles);
  const most = Math.max(1, Math.floor(MOST_PARTIALS / weight.size));
  const longest = Math.max(1, Math.floor(g.gpu.caps.maxLoopTurns / (2 * ow + 4)));
  const each = Math.min(longest, ceilDiv(n * oh, Math.min(wanted, most, n * oh)));
  const splits = ceilDiv(n * oh, each);
  return tidy(g.gpu, () => {
    const [parts] = run(conv2dWeightGradientKernel, [g, x], {
      dims: { n, groups, cinG, coutG, h: x.shape[2], w: x.shape[3], oh, ow, kh, kw, splits },
      args: windowArgs(window),
    });
    return (splits === 1 ? parts : sum(parts, { axes: [0] })).alias(weight.shape);
  });
}

function check(
  op: string,
  x: Tensor,
  weight: Tensor,
  { bias, groups, inAxis }: { bias?: Tensor; groups: number; inAxis: 0 | 1 },
): { cout: number; kernel: [number, number] } {
  const [, cin] = imageShape(op, x.shape);
  const fail = (rule: string) => {
    throw new ShapeError(
      `Cannot ${op} [${x.shape}] with weight [${weight.shape}] in ${groups} groups: ${rule}`,
    );
  };
  const { shape } = weight;
  if (shape.length !== 4) fail("the weight must have four axes");
  if (!(Number.isSafeInteger(groups) && groups >= 1)) fail("groups must be a whole number from 1");
  const wantedIn = inAxis === 1 ? shape[1] * groups : shape[0];
  if (cin !== wantedIn) fail(`the weight takes ${wantedIn} channels, x has ${cin}`);
  if (shape[0] % groups !== 0) fail(`groups must divide the weight's first axis`);
  const cout = inAxis === 1 ? shape[0] : shape[1] * groups;
  if (bias && bias.size !== cout) fail(`the bias must have ${cout} values, has ${bias.size}`);
  return { cout, kernel: [shape[2], shape[3]] };
}

const isOnTape = (...tensors: readonly (Tensor | undefined)[]) => tensors.some((t) => t?.node);

/**
 * `activation(conv(x, weight) + bias)`. `x: [n, cin, h, w]`, `weight: [cout, cin/groups, kh, kw]` as PyTorch stores it →
 * `[n, cout, oh, ow]`. Nothing is flipped: a cross-correlation, as in every deep-learning library.
 *
 * @throws {ShapeError} when channels, groups or sizes do not fit.
 */
export function conv2d(x: Tensor, weight: Tensor, options: Conv2dOptions = {}): Tensor {
  const { bias, groups = 1, activation = "none", into } = options;
  const isRelu = activation === "relu"; // whose gradient needs the value after it alone
  if (activation !== "none" && !isRelu && isOnTape(x, weight, bias)) {
    // The gradient needs the value before the activation, so that is kept.
    return tidy(x.gpu, () => {
      const linear = conv2d(x, weight, { ...options, activation: "none", into: undefined });
      const y = elementwise[activation](linear);
      return into ? placed(y, into) : y;
    });
  }
  const { cout, kernel } = check("conv2d", x, weight, { bias, groups, inAxis: 1 });
  const window = windowOf("conv2d", kernel, options);
  const geometry = { window, groups, prepared: keptForms(weight, options.prepared) };
  const size = windowCount("conv2d", areaOf(x), window);
  const y = convolve(conv2dKernel, [x, weight, bias], geometry, { cout, size, activation, into });
  const range = { first: into?.first ?? 0, count: cout };
  if (isOnTape(weight, bias)) return recordAll(y, [x, weight, bias], geometry, { range, isRelu });
  return isOnTape(x) ? recordImage(y, [x, weight], geometry, { range, isRelu }) : y;
}

/** The channels of the output, and whether they are those of a ReLU. */
type Written = Readonly<{ range: ChannelRange; isRelu: boolean }>;

/** Records a convolution whose weights are on a tape. */
function recordAll(
  y: Tensor,
  [x, weight, bias]: readonly [Tensor, Tensor, Tensor?],
  geometry: Geometry,
  { range, isRelu }: Written,
): Tensor {
  const from = x.shape;
  const saved = isRelu ? [x, weight, channelsAt(y, range)] : [x, weight];
  return recordInto(y, [x, weight, bias], saved, (g, [x, weight, out]) => {
    let passed: Tensor | undefined; // a thunk may run alone: what they share is computed by the first one
    const inner = () => {
      if (passed) return passed;
      const own = channelsAt(g, range);
      return passed = out ? elementwise.reluGradient(out, own) : own;
    };
    return [
      () => inputGradient(inner(), weight, from, geometry),
      () => weightGradient(inner(), x, weight, geometry),
      () => sum(inner(), { axes: [0, 2, 3] }),
    ];
  });
}

/**
 * Records a convolution of an image on a tape. For the gradient by the image alone neither the image nor the output need to stay: a bit for
 * each value of the output does.
 */
function recordImage(
  y: Tensor,
  [x, weight]: readonly [Tensor, Tensor],
  geometry: Geometry,
  { range, isRelu }: Written,
): Tensor {
  const from = x.shape;
  return tidy(x.gpu, () => {
    const mask = isRelu ? reluMask(y, range) : undefined;
    const kept = !isRelu ? [] : [mask ?? channelsAt(y, range)];
    recordInto(y, [x], [weight, ...kept], (g, [weight, kept]) => [() => {
      const inner = mask
        ? masked(g, kept, range)
        : isRelu
        ? elementwise.reluGradient(kept, channelsAt(g, range))
        : channelsAt(g, range);
      return inputGradient(inner, weight, from, geometry);
    }]);
    return y;
  });
}

/** Gradient by the input, of shape `from`, of a convolution whose output has the gradient `g`. */
function inputGradient(
  g: Tensor,
  weight: Tensor,
  from: readonly number[],
  geometry: Geometry,
): Tensor {
  const size = [from[2], from[3]] as const;
  return convolve(convTranspose2dKernel, [g, weight], geometry, { cout: from[1], size });
}

/**
 * The transpose of {@link conv2d}: `x: [n, cin, h, w]`, `weight: [cin, cout/groups, kh, kw]` → `[n, cout, oh, ow]` with
 * `oh = (h − 1)·stride − padding + dilation·(kh − 1) + outputPadding + 1`.
 *
 * @throws {ShapeError} when channels, groups or sizes do not fit.
 */
export function convTranspose2d(
  x: Tensor,
  weight: Tensor,
  options: ConvTranspose2dOptions = {},
): Tensor {
  const { bias, groups = 1, activation = "none", outputPadding = 0 } = options;
  if (activation !== "none" && isOnTape(x, weight, bias)) {
    return tidy(
      x.gpu,
      () => elementwise[activation](convTranspose2d(x, weight, { ...options, activation: "none" })),
    );
  }
  const op = "convTranspose2d";
  const { cout, kernel } = check(op, x, weight, { bias, groups, inAxis: 0 });
  const window = windowOf(op, kernel, options);
  const { stride, dilation, padding: [top, right, bottom, left] } = window;
  const extra = typeof outputPadding === "number" ? [outputPadding, outputPadding] : outputPadding;
  const size = areaOf(x).map((n, i) =>
    (n - 1) * stride[i] - [top + bottom, left + right][i] + dilation[i] * (kernel[i] - 1) +
    extra[i] + 1
  ) as [number, number];
  if (!size.every((n, i) => n >= 1 && extra[i] >= 0 && extra[i] < stride[i])) {
    throw new ShapeError(
      `Cannot ${op} [${x.shape}] to ${size} with output padding ${extra}: sizes must be at least 1 and the padding from 0 below the stride ${stride}`,
    );
  }
  const geometry = { window, groups, prepared: keptForms(weight, options.prepared) };
  const y = convolve(convTranspose2dKernel, [x, weight, bias], geometry, {
    cout,
    size,
    activation,
  });
  return record(y, [x, weight, bias], [x, weight], (g, [x, weight]) => [
    () => convolve(conv2dKernel, [g, weight], geometry, { cout: channelsOf(x), size: areaOf(x) }),
    () => weightGradient(x, g, weight, geometry),
    () => sum(g, { axes: [0, 2, 3] }),
  ]);
}
