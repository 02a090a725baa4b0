/**
 * UNets and noisy classifiers of guided-diffusion (Dhariwal and Nichol 2021, `guided_diffusion/unet.py`) and of its predecessor
 * improved-diffusion, on a device.
 *
 * @module
 */
import { DisposedError } from "../../engine/errors.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { add, silu } from "../../engine/ops/elementwise.ts";
import { selfAttention } from "../../engine/ops/attention.ts";
import { groupNorm } from "../../engine/ops/channel_norm.ts";
import { conv2d } from "../../engine/ops/conv.ts";
import { gather } from "../../engine/ops/gather.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { mean } from "../../engine/ops/reduce.ts";
import { concat, slice, transpose } from "../../engine/ops/shape.ts";
import { Tensor } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import type { StateDict } from "../io/state_dict.ts";
import { ADM_ANCHOR, type AdmLayout, admLayout } from "./adm_layout.ts";
import { admHeads, type AdmOptions, checkAdmFlags, readAdmOptions } from "./adm_options.ts";
import {
  type AdmHead,
  type AdmStep,
  AdmUploader,
  type AdmWeights,
  uploadAdm,
} from "./adm_weights.ts";
import { Captures, requireLayers } from "./captures.ts";
import { anchorPrefixes, CheckpointReader, findPrefix } from "./checkpoint_reader.ts";
import { isLdmUnet } from "./diffusers_layouts.ts";
import { loadWhole } from "./layer_uploader.ts";
import type { ForwardResult } from "./model.ts";
import {
  blockRunner,
  convolve,
  doubled,
  halved,
  type Layer,
  runAttention,
  runResBlock,
  timestepValues,
} from "./unet_layers.ts";
import { requireConditions, requireNoisyImages } from "./unet_inputs.ts";

/** Options of {@link AdmModel.forward}. */
export interface AdmForwardOptions {
  /** Time step of each image, `[n]`: those of the whole process, whole or not. */
  readonly timesteps: ArrayLike<number>;
  /** Class of each image, `[n]`: needed where the network is told classes, refused where it is not. */
  readonly classLabels?: ArrayLike<number>;
  /**
   * Activations to return: `timestep_embedding` `[n, modelChannels]`, `time_embed` `[n, 4·modelChannels]` (without that of the class),
   * `input_blocks.<i>`, `middle_block` and `output_blocks.<i>` `[n, channels, height, width]`.
   */
  readonly capture?: readonly string[];
  /**
   * Whether activations inside blocks are computed again in a backward pass instead of kept for it (default false): less memory for a second
   * forward pass, the same bits. Gradients are then those by the images, not by weights.
   */
  readonly checkpoint?: boolean;
}

const CANNOT = "Cannot load the checkpoint as a network of guided-diffusion:";

/** A UNet or a classifier of noisy images on a device. Owns its weights. */
export class AdmModel implements Disposable {
  /** Family. */
  readonly family = "adm" as const;
  /** The device. */
  readonly gpu: Gpu;
  /** What the checkpoint's shapes say. */
  readonly layout: AdmLayout;
  /** Trained values. */
  readonly parameters: number;
  readonly #weights: AdmWeights;
  readonly #uploader: AdmUploader;
  #disposed = false;

  /** @internal Use {@link loadAdm}. */
  constructor(weights: AdmWeights, uploader: AdmUploader) {
    this.gpu = uploader.gpu;
    this.layout = uploader.layout;
    this.parameters = uploader.parameters;
    this.#weights = weights;
    this.#uploader = uploader;
  }

  /**
   * Runs the network.
   *
   * @param x noisy images, `[n, inChannels, height, width]`, sides that the levels halve without rest; on a tape the results are
   * differentiable by it
   * @returns `output` `[n, outChannels, height, width]` of a UNet, twice the channels of the image where it tells the variance too; logits
   * `[n, classes]` of a classifier
   * @throws {InputError} when images, time steps or classes do not fit, or a name to capture is not there
   */
  forward(x: Tensor, options: AdmForwardOptions): ForwardResult {
    const { timesteps, classLabels, capture = [], checkpoint = false } = options;
    if (this.#disposed) throw new DisposedError("Cannot run the model: it was disposed");
    requireLayers(capture, this.layers);
    this.#check(x, timesteps, classLabels);
    const captures = new Captures(capture);
    const { inputBlocks, middleBlock, outputBlocks, head } = this.#weights;
    const run = blockRunner(checkpoint);
    const output = captures.scope(x.gpu, () => {
      const active = silu(this.#embed(timesteps, classLabels, captures));
      const through = (name: string, steps: readonly AdmStep[], ...from: Tensor[]) =>
        captures.scope(x.gpu, () => {
          const last = run(
            (active, ...from) =>
              steps.reduce(
                (h, step) => runStep(h, active, step),
                from.length > 1 ? concat(from, 1) : from[0],
              ),
            ...[active, ...from],
          );
          captures.take(name, last);
          return last;
        });
      const skips: Tensor[] = [];
      let h = x;
      inputBlocks.forEach((steps, i) => {
        h = through(`input_blocks.${i}`, steps, h);
        skips.push(h);
      });
      h = through("middle_block", middleBlock, h);
      outputBlocks.forEach((steps, i) => {
        using skip = skips.pop()!;
        using from = h; // what a tape needs it keeps
        h = through(`output_blocks.${i}`, steps, from, skip);
      });
      return runHead(h, head);
    });
    return { output, captured: new Map(Object.entries(captures.taken)) };
  }

  #embed(
    timesteps: ArrayLike<number>,
    classLabels: ArrayLike<number> | undefined,
    captures: Captures,
  ): Tensor {
    const { time: [first, second], labels } = this.#weights, { modelChannels } = this.layout;
    const values = timestepValues(timesteps, modelChannels, { order: "cos-sin" });
    const sinusoid = Tensor.from(this.gpu, values, [timesteps.length, modelChannels]);
    captures.take("timestep_embedding", sinusoid);
    const inner = linear(sinusoid, first.weight, { bias: first.bias, activation: "silu" });
    const embedded = linear(inner, second.weight, { bias: second.bias });
    captures.take("time_embed", embedded);
    return labels ? add(embedded, gather(labels, Uint32Array.from(classLabels!))) : embedded;
  }

  /** Names of its layers in the order that they are run. */
  get layers(): readonly string[] {
    const { inputBlocks, outputBlocks } = this.layout;
    return [
      "timestep_embedding",
      "time_embed",
      ...inputBlocks.map((_, i) => `input_blocks.${i}`),
      "middle_block",
      ...outputBlocks.map((_, i) => `output_blocks.${i}`),
    ];
  }

  #check(x: Tensor, timesteps: ArrayLike<number>, classLabels?: ArrayLike<number>): void {
    const { inChannels, channelMult, numClasses } = this.layout;
    const factor = 2 ** (channelMult.length - 1), [n, , height, width] = x.shape;
    requireNoisyImages(x, { inChannels, factor });
    requireConditions(n, { timesteps, classLabels, numClasses });
    const { head } = this.#weights;
    const places = height * width / factor ** 2 + 1;
    if (head.kind === "attention" && head.positions.shape[0] !== places) {
      throw new InputError(
        `Cannot classify images of ${height}x${width}: the classifier has positions for ${
          head.positions.shape[0] - 1
        } places of its last level, these make ${places - 1}`,
      );
    }
  }

  /** Frees the weights. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#uploader.dispose();
  }
}

function runStep(x: Tensor, active: Tensor, step: AdmStep): Tensor {
  switch (step.kind) {
    case "res":
      return runResBlock(x, active, step.block);
    case "attention":
      return runAttention(x, step.block);
    case "conv":
      return convolve(x, step.layer);
    case "down-conv":
      return conv2d(x, step.layer.weight, { bias: step.layer.bias, stride: 2, padding: 1 });
    case "up-conv":
      return convolve(doubled(x), step.layer);
    case "average":
      return halved(x);
    case "nearest":
      return doubled(x);
  }
}

function runHead(x: Tensor, head: AdmHead): Tensor {
  const { weight, bias, groups, eps } = head.norm;
  const h = groupNorm(x, { weight, bias, groups, eps, activation: "silu" });
  if (head.kind === "image") return convolve(h, head.conv);
  const [n, channels, height, width] = h.shape;
  const places = h.reshape([n, channels, height * width]);
  const average = mean(places, { axes: [2], keepDims: true });
  const of = (tokens: Tensor, layer: Layer) => linear(tokens, layer.weight, { bias: layer.bias });
  if (head.kind === "mean") return of(average.reshape([n, channels]), head.linear);
  const tokens = add(transpose(concat([average, places], 2)), head.positions);
  const attended = selfAttention(of(tokens, head.qkv), { nHeads: head.nHeads });
  const first = slice(attended, { axis: 1, end: 1 }).reshape([n, channels]);
  return of(first, head.out);
}

/**
 * Whether a state dict is of guided-diffusion.
 *
 * @param prefix beginning of its keys; any when left out
 */
export function isAdm(stateDict: StateDict, prefix?: string): boolean {
  return !isLdmUnet(stateDict, prefix) &&
    anchorPrefixes(stateDict, ADM_ANCHOR).some((found) =>
      (prefix === undefined || found === prefix) && stateDict.has(`${found}time_embed.0.weight`)
    );
}

/**
 * Loads a UNet or a classifier of guided-diffusion: levels, blocks and attention are read off the keys, every tensor is checked. Heads, which
 * no shape tells, are those of the configuration (guided-diffusion's flags by their names), or of the released network that this one is as wide
 * as; other flags are compared with what the shapes say.
 *
 * @param config {@link AdmOptions}, or guided-diffusion's flags
 * @throws {InputError} when a tensor is missing, unknown, of another shape or not finite, a flag contradicts the shapes, or the heads are unknown
 */
export async function loadAdm(
  gpu: Gpu,
  stateDict: StateDict,
  config: AdmOptions | Readonly<Record<string, unknown>> = {},
): Promise<AdmModel> {
  const options = readAdmOptions(config);
  const prefix = findPrefix(stateDict, { cannot: CANNOT, key: ADM_ANCHOR }, options.prefix);
  const reader = new CheckpointReader(stateDict, prefix, CANNOT);
  const layout = admLayout(reader, options.numResBlocks);
  checkAdmFlags(config, layout);
  const heads = admHeads(options, layout, (key) => {
    const [rows, channels] = reader.needShape(key);
    return reader.values(key, [rows, channels, 1]);
  });
  const uploader = new AdmUploader(gpu, reader, layout, heads);
  return await loadWhole(uploader, () => new AdmModel(uploadAdm(uploader), uploader), {
    strict: options.strict,
  });
}
