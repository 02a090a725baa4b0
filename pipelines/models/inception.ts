/**
 * Inception V3 on a device: from torchvision's state dict to its taps, and back to the pixels by the tape.
 *
 * @module
 */
import { DisposedError } from "../../engine/errors.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { cast } from "../../engine/ops/cast.ts";
import { conv2d, type Conv2dOptions } from "../../engine/ops/conv.ts";
import { full, relu } from "../../engine/ops/elementwise.ts";
import { imagesToFill, type Into, placed } from "../../engine/ops/into.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { maxPool2d } from "../../engine/ops/pool.ts";
import { PreparedWeights } from "../../engine/ops/prepared_weights.ts";
import { mean } from "../../engine/ops/reduce.ts";
import { Tensor } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import {
  cropped,
  type ImageSize,
  type Preprocessing,
  preprocessings,
  unitColors,
} from "../images/preprocess.ts";
import type { StateDict } from "../io/state_dict.ts";
import { Captures, checkCaptures } from "./captures.ts";
import {
  convName,
  convsOf,
  INCEPTION_MIN_SIDE,
  type InceptionConv,
  type InceptionStage,
  inceptionStages,
  inceptionTaps,
  sizeAfter,
} from "./inception_layout.ts";
import {
  type FoldedInception,
  foldInception,
  type InceptionOptions,
  readInceptionOptions,
} from "./inception_weights.ts";
import type { ForwardResult } from "./model.ts";
import type { TapModel, TapRunOptions, TapShape } from "./tap_model.ts";
import { own, type Weights } from "./vit_weights.ts";

/** Options of {@link InceptionModel.forward}. */
export interface InceptionForwardOptions extends TapRunOptions {
  /** Taps to return, by torchvision's names (see {@link inceptionTaps}). */
  readonly capture?: readonly string[];
}

/** Inception V3 on a device. Owns its weights. */
export class InceptionModel implements TapModel {
  /** Family. */
  readonly family = "inception" as const;
  /** Names of the taps. */
  readonly tapNames: readonly string[] = inceptionTaps;
  /**
   * The shorter side becomes that of the crop, without rounding to bytes, as in VWAM's code, where torchvision's own transform resizes to
   * 342 before a crop of 299.
   */
  readonly preprocessing: Preprocessing;
  /** Channels after each tap, from the shapes of the weights. */
  readonly channels: ReadonlyMap<string, number>;
  /** Trained values in the checkpoint, the auxiliary classifier included: 27,161,264 in torchvision's. */
  readonly parameters: number;
  /** Keys of the checkpoint that carry nothing here. */
  readonly ignoredKeys: readonly string[];
  /** `<name>.weight` and `<name>.bias` of every convolution, batch norm folded in, and of `fc`; owned by the model. */
  readonly weights: Weights;
  /** Storage of weights and activations. */
  readonly dtype: "f32" | "f16";
  readonly #prepared = new PreparedWeights();
  #disposed = false;

  /** @internal Use {@link loadInception}. */
  constructor(
    folded: FoldedInception,
    weights: Weights,
    { dtype = "f32", input = "imagenet" }: Pick<InceptionOptions, "dtype" | "input"> = {},
  ) {
    const { mean, std } = input === "unit" ? unitColors : preprocessings.inception;
    this.preprocessing = { ...cropped(preprocessings.inception), mean, std };
    this.channels = folded.channels;
    this.parameters = folded.parameters;
    this.ignoredKeys = folded.ignoredKeys;
    this.weights = weights;
    this.dtype = dtype;
  }

  /** Number of classes. */
  get outputWidth(): number {
    return this.channels.get("fc")!;
  }

  /**
   * Shapes of all taps of an image, in the order in which they are computed.
   *
   * @throws {InputError} when a side is below 75 pixels
   */
  tapShapes({ height, width }: ImageSize): TapShape[] {
    checkInceptionSides({ height, width });
    let size: [number, number] = [height, width];
    const shapes = inceptionStages.map((stage): TapShape => {
      size = sizeAfter(stage, size);
      return { name: stage.name, shape: [this.channels.get(stage.name)!, ...size] };
    });
    for (const name of ["avgpool", "fc"]) {
      shapes.push({ name, shape: [this.channels.get(name)!, 1, 1] });
    }
    return shapes;
  }

  /**
   * Runs the network to its logits `[n, classes]`.
   *
   * @param pixels `[n, 3, height, width]`, both sides from 75; on a tape the results are differentiable by it
   * @throws {InputError} when the pixels have another shape, or a name to capture is not a tap
   */
  forward(
    pixels: Tensor,
    { capture = [], ...options }: InceptionForwardOptions = {},
  ): ForwardResult {
    const captures = this.#captures(capture);
    const output = captures.scope(pixels.gpu, () => this.#run(pixels, captures, options)!);
    return { output, captured: new Map(Object.entries(captures.taken)) };
  }

  /**
   * The taps that are named, each `[n, channels, height, width]`, `avgpool` `[n, channels, 1, 1]` and `fc` `[n, classes]`. Nothing
   * after the last of them is computed.
   *
   * @param pixels `[n, 3, height, width]`, both sides from 75; on a tape the taps are differentiable by it
   * @throws {InputError} when the pixels have another shape, or a name is not a tap
   */
  taps(
    pixels: Tensor,
    names: readonly string[],
    options: TapRunOptions = {},
  ): ReadonlyMap<string, Tensor> {
    const captures = this.#captures(names);
    const last = Math.max(...names.map((name) => inceptionTaps.indexOf(name)));
    captures.scope(pixels.gpu, () => {
      this.#run(pixels, captures, { ...options, last });
    });
    return new Map(names.map((name) => [name, captures.taken[name]]));
  }

  /** Weights `[channels, inputs]` of `fc`; undefined for other taps. */
  linearWeight(name: string): Tensor | undefined {
    return name === "fc" ? this.weights.get("fc.weight") : undefined;
  }

  #captures(names: readonly string[]): Captures {
    if (this.#disposed) throw new DisposedError("Cannot run the model: it was disposed");
    checkCaptures(
      names,
      [new RegExp(`^(${inceptionTaps.join("|")})$`)],
      inceptionTaps.join(", "),
    );
    return new Captures(names);
  }

  /** Runs the stages up to number `last`, taking what was asked for on the way. */
  #run(
    pixels: Tensor,
    captures: Captures,
    { last = inceptionTaps.length - 1, reluGradient }: TapRunOptions & { last?: number },
  ): Tensor | undefined {
    checkPixels(pixels);
    const pass: Pass = {
      ...{ weights: this.weights, channels: this.channels, prepared: this.#prepared },
      reluGradient,
    };
    let x = pixels.dtype === this.dtype ? pixels.reshape(pixels.shape) : cast(pixels, this.dtype);
    for (const stage of inceptionStages.slice(0, last + 1)) {
      const from = x;
      x = captures.scope(pixels.gpu, () => {
        const y = runStage(pass, stage, from);
        captures.take(stage.name, y);
        return y;
      });
      from.dispose(); // 36 MB of activations for each image of 299 pixels, unless a tape keeps them
    }
    if (last < inceptionStages.length) return undefined;
    const pooled = mean(x, { axes: [2, 3], keepDims: true });
    captures.take("avgpool", pooled);
    const [n, channels] = pooled.shape;
    const [weight, bias] = ["weight", "bias"].map((part) => this.weights.get(`fc.${part}`)!);
    const logits = linear(pooled.reshape([n, channels]), weight, { bias });
    captures.take("fc", logits);
    return logits;
  }

  /** Frees the weights. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#prepared[Symbol.dispose]();
    for (const tensor of this.weights.values()) tensor.dispose();
  }
}

/**
 * Refuses images that do not reach the last stage.
 *
 * @throws {InputError} when a side is below 75 pixels
 */
function checkInceptionSides({ height, width }: ImageSize): void {
  if (height >= INCEPTION_MIN_SIDE && width >= INCEPTION_MIN_SIDE) return;
  throw new InputError(
    `Cannot run Inception V3 on ${height}x${width} pixels: both sides must be at least ${INCEPTION_MIN_SIDE}`,
  );
}

function checkPixels({ shape, size }: Tensor): void {
  if (shape.length !== 4 || shape[1] !== 3 || size === 0) {
    throw new InputError(
      `Cannot run Inception V3 on pixels [${shape}]: they must be [n, 3, height, width]`,
    );
  }
  checkInceptionSides({ height: shape[2], width: shape[3] });
}

/** What every step of a pass reads. */
interface Pass {
  readonly weights: Weights;
  readonly channels: ReadonlyMap<string, number>;
  readonly prepared: PreparedWeights;
  readonly reluGradient?: "standard" | "redirected";
}

/** The last step of every branch, which alone may be a maximum or several convolutions, writes beside those of the others. */
function runStage(pass: Pass, stage: InceptionStage, x: Tensor): Tensor {
  const [n, , height, width] = x.shape;
  const sides = sizeAfter(stage, [height, width]);
  const images = imagesToFill(x, [n, pass.channels.get(stage.name)!, ...sides]);
  let first = 0;
  for (const branch of stage.branches) {
    const last = branch.length - 1;
    const from = branch.slice(0, last).reduce(
      (maps, step) => convsOf(step).reduce((_, conv) => runConv(pass, { stage, conv }, maps), maps),
      x,
    );
    if (branch[last] === "max") {
      maxPool2d(from, 3, { stride: 2, into: { images, first } });
      first += from.shape[1];
    }
    for (const conv of convsOf(branch[last])) {
      runConv(pass, { stage, conv }, from, { images, first });
      first += pass.weights.get(`${convName(stage, conv)}.weight`)!.shape[0];
    }
  }
  return images;
}

function runConv(
  { weights, prepared, reluGradient }: Pass,
  { stage, conv }: { stage: InceptionStage; conv: InceptionConv },
  x: Tensor,
  into?: Into,
): Tensor {
  const name = convName(stage, conv), { stride, padding, averaged } = conv;
  const weight = weights.get(`${name}.weight`)!, bias = weights.get(`${name}.bias`)!;
  const isFused = reluGradient !== "redirected";
  const end = { bias, prepared, ...isFused ? { activation: "relu" as const, into } : {} };
  const y = averaged
    ? averagedConv(x, weight, end)
    : conv2d(x, weight, { ...end, stride, padding });
  if (isFused) return y;
  const active = relu(y, { grad: reluGradient });
  return into ? placed(active, into) : active;
}

/**
 * A mean over 3×3 that counts its zeros, and a 1×1 convolution: the two commute, and after the convolution there is a quarter to a tenth of
 * the channels.
 */
function averagedConv(
  x: Tensor,
  weight: Tensor,
  end: Conv2dOptions & { readonly prepared: PreparedWeights },
): Tensor {
  const { prepared } = end, [groups] = weight.shape;
  const ninths = prepared.form(
    weight,
    "ninths",
    () => full(x.gpu, [groups, 1, 3, 3], 1 / 9, { dtype: weight.dtype }),
  );
  return conv2d(conv2d(x, weight, { prepared }), ninths, { ...end, groups, padding: 1 });
}

function upload(gpu: Gpu, folded: FoldedInception, dtype: "f32" | "f16"): Weights {
  const weights = new Map<string, Tensor>();
  try {
    for (const [name, { shape, weight, bias }] of folded.layers) {
      weights.set(`${name}.weight`, own(Tensor.from(gpu, weight, shape, { dtype })));
      weights.set(`${name}.bias`, own(Tensor.from(gpu, bias, [bias.length], { dtype })));
    }
  } catch (error) {
    for (const tensor of weights.values()) tensor.dispose();
    throw error;
  }
  return weights;
}

/**
 * Loads Inception V3 from torchvision's state dict, of any width: every tensor is checked, batch norm (eps 0.001) and input transform
 * are folded into the convolutions.
 *
 * @param config {@link InceptionOptions}, or a configuration with torchvision's `transform_input`
 * @throws {InputError} when a tensor is missing, unknown, of another shape or not finite
 *
 * @example
 * ```ts ignore
 * import { Gpu, loadInception, readSafetensors, Tensor } from "@gyrus/gyrus";
 * using gpu = await Gpu.open();
 * using model = await loadInception(gpu, readSafetensors(await Deno.readFile("inception_v3.safetensors")));
 * using pixels = Tensor.zeros(gpu, [1, 3, 299, 299]);
 * const { output, captured } = model.forward(pixels, { capture: ["Mixed_6e"] });
 * ```
 */
export async function loadInception(
  gpu: Gpu,
  stateDict: StateDict,
  config?: InceptionOptions | Readonly<Record<string, unknown>>,
): Promise<InceptionModel> {
  const options = readInceptionOptions(config);
  const { dtype = "f32" } = options;
  const folded = foldInception(stateDict, options);
  const weights = upload(gpu, folded, dtype);
  await gpu.settled(); // an upload that the device refused
  return new InceptionModel(folded, weights, options);
}
