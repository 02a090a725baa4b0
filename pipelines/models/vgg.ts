/**
 * VGG on a device: from torchvision's state dict to its taps, and back to the pixels by the tape.
 *
 * @module
 */
import { DisposedError } from "../../engine/errors.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { cast } from "../../engine/ops/cast.ts";
import { conv2d } from "../../engine/ops/conv.ts";
import { relu } from "../../engine/ops/elementwise.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { PreparedWeights } from "../../engine/ops/prepared_weights.ts";
import { maxPool2d } from "../../engine/ops/pool.ts";
import { adaptiveAvgPool2d } from "../../engine/ops/resize.ts";
import { Tensor } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import {
  cropped,
  type ImageSize,
  type Preprocessing,
  preprocessings,
} from "../images/preprocess.ts";
import type { StateDict } from "../io/state_dict.ts";
import { Captures, checkCaptures } from "./captures.ts";
import type { FoldedLayer } from "./checkpoint_reader.ts";
import type { ForwardResult } from "./model.ts";
import type { TapModel, TapRunOptions, TapShape } from "./tap_model.ts";
import { foldVgg, readVggOptions, vggColors, type VggOptions } from "./vgg_weights.ts";
import { own } from "./vit_weights.ts";

/** Options of {@link VggModel.forward}. */
export interface VggForwardOptions extends TapRunOptions {
  /** Taps to return, of {@link VggModel.tapNames}. */
  readonly capture?: readonly string[];
}

/** A layer on the device. */
interface Layer {
  readonly tap: string;
  readonly kind: "conv" | "pool" | "average" | "linear";
  readonly channels: number;
  readonly weight?: Tensor;
  readonly bias?: Tensor;
  /** Whether a ReLU follows. */
  readonly isActive?: boolean;
}

/** A VGG on a device. Owns its weights. */
export class VggModel implements TapModel {
  /** Family. */
  readonly family = "vgg" as const;
  /**
   * Names of the taps by torchvision's numbers: `features.N` after each ReLU and each pooling; with a classifier also `avgpool`,
   * `classifier.N` after each of its ReLUs, and its last layer, the logits.
   */
  readonly tapNames: readonly string[];
  /** The shorter side becomes that of the crop, without rounding to bytes; torchvision's own transform resizes to 256 before 224. */
  readonly preprocessing: Preprocessing;
  /** Trained values in the checkpoint. */
  readonly parameters: number;
  /** Keys of the checkpoint that carry nothing here. */
  readonly ignoredKeys: readonly string[];
  /** Storage of weights and activations. */
  readonly dtype: "f32" | "f16";
  /** Number of classes; without a classifier, channels of the last map. */
  readonly outputWidth: number;
  readonly #layers: readonly Layer[];
  readonly #grid: number;
  readonly #prepared = new PreparedWeights();
  #disposed = false;

  /** @internal Use {@link loadVgg}. */
  constructor(
    layers: readonly Layer[],
    { grid, options, ...facts }: {
      readonly grid: number;
      readonly options: VggOptions;
      readonly parameters: number;
      readonly ignoredKeys: readonly string[];
    },
  ) {
    const { dtype = "f32", size = 224 } = options;
    this.#layers = layers;
    this.#grid = grid;
    this.tapNames = layers.map(({ tap }) => tap);
    this.outputWidth = layers.at(-1)!.channels;
    this.preprocessing = { ...cropped(preprocessings.inception), ...vggColors(options), size };
    this.parameters = facts.parameters;
    this.ignoredKeys = facts.ignoredKeys;
    this.dtype = dtype;
  }

  /** Shortest side of an image that reaches the last layer. */
  get minSide(): number {
    return 2 ** this.#layers.filter(({ kind }) => kind === "pool").length;
  }

  /**
   * Shapes of all taps of an image, in the order in which they are computed.
   *
   * @throws {InputError} when a side is below {@link VggModel.minSide}
   */
  tapShapes({ height, width }: ImageSize): TapShape[] {
    this.#checkSides({ height, width });
    let [h, w] = [height, width];
    return this.#layers.map(({ tap, kind, channels }) => {
      if (kind === "pool") [h, w] = [Math.floor(h / 2), Math.floor(w / 2)];
      if (kind === "average") [h, w] = [this.#grid, this.#grid];
      return { name: tap, shape: kind === "linear" ? [channels, 1, 1] : [channels, h, w] };
    });
  }

  /**
   * Runs the network to its logits `[n, classes]`; without a classifier to its last map `[n, channels, height, width]`.
   *
   * @param pixels `[n, 3, height, width]`; on a tape the results are differentiable by it
   * @throws {InputError} when the pixels have another shape, or a name to capture is not a tap
   */
  forward(pixels: Tensor, { capture = [], ...options }: VggForwardOptions = {}): ForwardResult {
    const last = this.tapNames.at(-1)!;
    const { [last]: output, ...others } = this.#run(pixels, [...capture, last], options);
    if (!capture.includes(last)) return { output, captured: new Map(Object.entries(others)) };
    const both = { ...others, [last]: output.reshape(output.shape) }; // a handle for each owner
    return { output, captured: new Map(Object.entries(both)) };
  }

  /**
   * The taps that are named, each `[n, channels, height, width]`, those of the classifier `[n, width]`. Nothing after the last of them
   * is computed.
   *
   * @param pixels `[n, 3, height, width]`; on a tape the taps are differentiable by it
   * @throws {InputError} when the pixels have another shape, or a name is not a tap
   */
  taps(
    pixels: Tensor,
    names: readonly string[],
    options: TapRunOptions = {},
  ): ReadonlyMap<string, Tensor> {
    const taken = this.#run(pixels, names, options);
    return new Map(names.map((name) => [name, taken[name]]));
  }

  /** Weights `[channels, inputs]` of the linear layer that a tap is the output of; undefined for other taps. */
  linearWeight(name: string): Tensor | undefined {
    return this.#layers.find(({ tap, kind }) => tap === name && kind === "linear")?.weight;
  }

  #run(
    pixels: Tensor,
    names: readonly string[],
    options: TapRunOptions,
  ): Readonly<Record<string, Tensor>> {
    if (this.#disposed) throw new DisposedError("Cannot run the model: it was disposed");
    const known = names.map((name) => this.tapNames.indexOf(name));
    checkCaptures(names.filter((_, i) => known[i] < 0), [], this.tapNames.join(", "));
    this.#checkPixels(pixels);
    const captures = new Captures(names);
    captures.scope(pixels.gpu, () => {
      let x = pixels.dtype === this.dtype ? pixels.reshape(pixels.shape) : cast(pixels, this.dtype);
      for (const layer of this.#layers.slice(0, Math.max(-1, ...known) + 1)) {
        const from = x;
        x = captures.scope(pixels.gpu, () => {
          const y = this.#apply(layer, from, options);
          captures.take(layer.tap, y);
          return y;
        });
        from.dispose(); // 12.8 MB of activations for each image of 224 pixels, unless a tape keeps them
      }
    });
    return captures.taken;
  }

  #apply({ kind, weight, bias, isActive }: Layer, x: Tensor, options: TapRunOptions): Tensor {
    if (kind === "pool") return maxPool2d(x, 2);
    if (kind === "average") return adaptiveAvgPool2d(x, this.#grid);
    if (kind === "linear") {
      const rows = x.reshape([x.shape[0], x.size / x.shape[0]]);
      const y = linear(rows, weight!, { bias });
      return isActive ? relu(y, { grad: options.reluGradient }) : y;
    }
    const prepared = this.#prepared;
    if (options.reluGradient !== "redirected") {
      return conv2d(x, weight!, { bias, prepared, padding: 1, activation: "relu" });
    }
    return relu(conv2d(x, weight!, { bias, prepared, padding: 1 }), { grad: options.reluGradient });
  }

  #checkSides({ height, width }: ImageSize): void {
    if (height >= this.minSide && width >= this.minSide) return;
    throw new InputError(
      `Cannot run VGG on ${height}x${width} pixels: both sides must be at least ${this.minSide}`,
    );
  }

  #checkPixels({ shape, size }: Tensor): void {
    if (shape.length !== 4 || shape[1] !== 3 || size === 0) {
      throw new InputError(
        `Cannot run VGG on pixels [${shape}]: they must be [n, 3, height, width]`,
      );
    }
    this.#checkSides({ height: shape[2], width: shape[3] });
  }

  /** Frees the weights. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#prepared[Symbol.dispose]();
    for (const { weight, bias } of this.#layers) {
      weight?.dispose();
      bias?.dispose();
    }
  }
}

function upload(gpu: Gpu, folded: ReturnType<typeof foldVgg>, dtype: "f32" | "f16"): Layer[] {
  const made: Tensor[] = [];
  const put = (values: Float32Array<ArrayBuffer>, shape: readonly number[]) => {
    made.push(own(Tensor.from(gpu, values, shape, { dtype })));
    return made.at(-1)!;
  };
  const both = ({ weight, bias, shape }: FoldedLayer) => ({
    weight: put(weight, shape),
    bias: put(bias, [bias.length]),
    channels: shape[0],
  });
  let channels = 0;
  try {
    const layers = folded.steps.map(({ tap, conv }): Layer => {
      if (!conv) return { tap, kind: "pool", channels };
      channels = conv.shape[0];
      return { tap, kind: "conv", ...both(conv) };
    });
    if (folded.classifier.length === 0) return layers;
    const average: Layer = { tap: "avgpool", kind: "average", channels };
    const linears = folded.classifier.map(({ tap, linear, isActive }): Layer => ({
      ...{ tap, kind: "linear", isActive },
      ...both(linear),
    }));
    return [...layers, average, ...linears];
  } catch (error) {
    for (const tensor of made) tensor.dispose();
    throw error;
  }
}

/**
 * Loads a VGG from torchvision's state dict, of any width and depth: every tensor is checked, max poolings are found by the gaps between
 * the numbers of the layers, and batch norm (eps 1e-5), where there is any, is folded into the convolutions.
 *
 * @param config {@link VggOptions}, or a configuration with `image_mean`, `image_std` and `image_size`
 * @throws {InputError} when a tensor is missing, unknown, of another shape or not finite
 *
 * @example
 * ```ts ignore
 * import { Gpu, loadVgg, readSafetensors, Tensor } from "@gyrus/gyrus";
 * using gpu = await Gpu.open();
 * using model = await loadVgg(gpu, readSafetensors(await Deno.readFile("vgg16.safetensors")));
 * using pixels = Tensor.zeros(gpu, [1, 3, 224, 224]);
 * const taps = model.taps(pixels, ["features.15", "classifier.6"]);
 * ```
 */
export async function loadVgg(
  gpu: Gpu,
  stateDict: StateDict,
  config?: VggOptions | Readonly<Record<string, unknown>>,
): Promise<VggModel> {
  const options = readVggOptions(config);
  const { dtype = "f32" } = options;
  const folded = foldVgg(stateDict, options);
  const layers = upload(gpu, folded, dtype);
  await gpu.settled(); // an upload that the device refused
  return new VggModel(layers, { ...folded, options });
}
