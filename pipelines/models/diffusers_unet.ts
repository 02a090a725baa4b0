/**
 * UNets of diffusers (`UNet2DModel`: the DDPM family; `UNet2DConditionModel`: Stable Diffusion 1 and 2) on a device.
 *
 * @module
 */
import { DisposedError } from "../../engine/errors.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { add, addScalar, scale, silu } from "../../engine/ops/elementwise.ts";
import { conv2d } from "../../engine/ops/conv.ts";
import { gather } from "../../engine/ops/gather.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { concat } from "../../engine/ops/shape.ts";
import { Tensor } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import type { StateDict } from "../io/state_dict.ts";
import { Captures, requireLayers } from "./captures.ts";
import { anchorPrefixes, CheckpointReader, findPrefix } from "./checkpoint_reader.ts";
import {
  checkDiffusersClaims,
  type DiffusersFacts,
  type DiffusersUnetOptions,
  readDiffusersOptions,
} from "./diffusers_options.ts";
import { isDdpmUnet, isLdmUnet, renameUnet } from "./diffusers_layouts.ts";
import {
  diffusersFacts,
  type DiffusersLevel,
  DiffusersUploader,
  type DiffusersWeights,
  type Mixing,
} from "./diffusers_weights.ts";
import { loadWhole } from "./layer_uploader.ts";
import type { ForwardResult } from "./model.ts";
import { runSpatialTransformer } from "./spatial_transformer.ts";
import {
  blockRunner,
  convolve,
  doubled,
  normed,
  runAttention,
  type RunBlock,
  runResBlock,
  timestepValues,
} from "./unet_layers.ts";
import { requireConditions, requireNoisyImages } from "./unet_inputs.ts";

/** Options of {@link DiffusersUnet.forward}. */
export interface DiffusersForwardOptions {
  /** Time step of each image, `[n]`. */
  readonly timesteps: ArrayLike<number>;
  /** Class of each image, `[n]`: needed where the network is told classes, refused where it is not. */
  readonly classLabels?: ArrayLike<number>;
  /** What a conditional network attends to, `[n, tokens, crossAttentionDim]`, such as CLIP's text tokens. */
  readonly context?: Tensor;
  /** Activations to return: `time_embedding` `[n, 4·channels]`, `conv_in`, `down_blocks.<i>`, `mid_block`, `up_blocks.<i>`. */
  readonly capture?: readonly string[];
  /**
   * Whether activations inside blocks are computed again in a backward pass instead of kept for it (default false): less memory for a second
   * forward pass, the same bits. Gradients are then those by the images and the context, not by weights.
   */
  readonly checkpoint?: boolean;
}

const CANNOT = "Cannot load the checkpoint as a UNet of diffusers:";
const ANCHOR = "conv_in.weight";

/** A UNet on a device. Owns its weights. */
export class DiffusersUnet implements Disposable {
  /** Family. */
  readonly family = "diffusers" as const;
  /** The device. */
  readonly gpu: Gpu;
  /** What the checkpoint's shapes say. */
  readonly facts: DiffusersFacts;
  /** Trained values. */
  readonly parameters: number;
  readonly #weights: DiffusersWeights;
  readonly #options: DiffusersUnetOptions;
  readonly #uploader: DiffusersUploader;
  #disposed = false;

  /** @internal Use {@link loadDiffusersUnet}. */
  constructor(weights: DiffusersWeights, facts: DiffusersFacts, uploader: DiffusersUploader) {
    this.gpu = uploader.gpu;
    this.facts = facts;
    this.parameters = uploader.parameters;
    this.#weights = weights;
    this.#options = uploader.options;
    this.#uploader = uploader;
  }

  /**
   * Runs the network.
   *
   * @param x noisy images or latents, `[n, inChannels, height, width]`, sides that the levels halve without rest; on a tape the results are
   * differentiable by it
   * @returns `output` `[n, outChannels, height, width]`
   * @throws {InputError} when images, time steps, classes or the context do not fit, or a name to capture is not there
   */
  forward(x: Tensor, options: DiffusersForwardOptions): ForwardResult {
    if (this.#disposed) throw new DisposedError("Cannot run the model: it was disposed");
    const { timesteps, classLabels, context, capture = [], checkpoint = false } = options;
    requireLayers(capture, this.layers);
    this.#check(x, options);
    const captures = new Captures(capture);
    const output = captures.scope(x.gpu, () => {
      const active = silu(this.#embed(timesteps, classLabels, captures));
      const centred = this.#options.centerInputSample ? addScalar(scale(x, 2), -1) : x;
      return this.#run(centred, { active, context, captures, run: blockRunner(checkpoint) });
    });
    return { output, captured: new Map(Object.entries(captures.taken)) };
  }

  #run(x: Tensor, { active, context, captures, run }: Told): Tensor {
    const { convIn, down, middle, up, normOut, convOut } = this.#weights;
    const step = (
      work: (y: Tensor, told: BlockInputs, skip?: Tensor) => Tensor,
      ...from: Tensor[]
    ) =>
      captures.scope(x.gpu, () =>
        run(
          (active, ...others) => {
            const [told, y, skip] = context ? others : [undefined, ...others];
            return work(y!, { active, context: told }, skip);
          },
          ...[active, ...(context ? [context] : []), ...from],
        ));
    let h = convolve(x, convIn);
    captures.take("conv_in", h);
    const skips = [h];
    down.forEach((level, i) => {
      level.resnets.forEach((block, j) => {
        h = step(
          (y, { active, context }) => mix(runResBlock(y, active, block), level.mixings[j], context),
          h,
        );
        skips.push(h);
      });
      if (level.resampling) {
        skips.push(h = step((y, { active }) => this.#halve(y, active, level), h));
      }
      captures.take(`down_blocks.${i}`, h);
    });
    const [firstOfMiddle, ...others] = middle.resnets; // none where mid_block_type is null
    h = firstOfMiddle
      ? step(
        (y, { active, context }) =>
          others.reduce(
            (y, block, i) => runResBlock(mix(y, middle.mixings[i], context), active, block),
            runResBlock(y, active, firstOfMiddle),
          ),
        h,
      )
      : h.alias();
    captures.take("mid_block", h);
    up.forEach((level, i) => {
      level.resnets.forEach((block, j) => {
        using skip = skips.pop()!;
        using from = h; // what a tape needs it keeps
        h = step(
          (y, { active, context }, skip) =>
            mix(runResBlock(concat([y, skip!], 1), active, block), level.mixings[j], context),
          ...[from, skip],
        );
      });
      if (level.resampling) {
        using from = h;
        h = step((y, { active }) => double(y, active, level), from);
      }
      captures.take(`up_blocks.${i}`, h);
    });
    return convolve(normed(h, normOut, "silu"), convOut);
  }

  #halve(x: Tensor, active: Tensor, { resampling }: DiffusersLevel): Tensor {
    if (resampling?.kind === "res") return runResBlock(x, active, resampling.block);
    const { weight, bias } = resampling!.layer;
    const { downsamplePadding: p = 1 } = this.#options;
    // Without padding diffusers puts a column and a row of zeros on the right and below.
    const padding = p === 0 ? [0, 1, 1, 0] as const : p;
    return conv2d(x, weight, { bias, stride: 2, padding });
  }

  #embedNumbers(
    numbers: ArrayLike<number>,
    [first, second]: DiffusersWeights["time"],
  ): Tensor {
    const { flipSinToCos = true, freqShift: shift = 0 } = this.#options;
    const width = first.weight.shape[1], order = flipSinToCos ? "cos-sin" : "sin-cos";
    const values = timestepValues(numbers, width, { order, shift });
    const sinusoid = Tensor.from(this.gpu, values, [numbers.length, width]);
    const inner = linear(sinusoid, first.weight, { bias: first.bias, activation: "silu" });
    return linear(inner, second.weight, { bias: second.bias });
  }

  #embed(
    timesteps: ArrayLike<number>,
    classLabels: ArrayLike<number> | undefined,
    captures: Captures,
  ): Tensor {
    const { time, labels } = this.#weights;
    const embedded = this.#embedNumbers(timesteps, time);
    captures.take("time_embed", embedded);
    if (!labels) return embedded;
    return add(
      embedded,
      labels.kind === "table"
        ? gather(labels.table, Uint32Array.from(classLabels!))
        : this.#embedNumbers(classLabels!, labels.layers),
    );
  }

  /** Names of its layers in the order that they are run. */
  get layers(): readonly string[] {
    const { down, up } = this.#weights;
    return [
      "time_embed",
      "conv_in",
      ...down.map((_, i) => `down_blocks.${i}`),
      "mid_block",
      ...up.map((_, i) => `up_blocks.${i}`),
    ];
  }

  #check(x: Tensor, { timesteps, classLabels, context }: DiffusersForwardOptions): void {
    const { inChannels, numClassEmbeds, crossAttentionDim: width } = this.facts;
    const halvings = this.#weights.down.filter(({ resampling }) => resampling).length;
    requireNoisyImages(x, { inChannels, factor: 2 ** halvings });
    requireConditions(x.shape[0], { timesteps, classLabels, numClasses: numClassEmbeds });
    const isFit = width === 0
      ? context === undefined
      : context?.shape.length === 3 && context.shape[0] === x.shape[0] &&
        context.shape[2] === width;
    if (isFit) return;
    throw new InputError(
      width === 0
        ? "Cannot run the network: it attends to no context, so that it takes none"
        : `Cannot run the network: it takes a context [${x.shape[0]}, tokens, ${width}], got ${
          context ? `[${context.shape}]` : "none"
        }`,
    );
  }

  /** Frees the weights. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#uploader.dispose();
  }
}

/** What layers are told beside the images. */
interface BlockInputs {
  readonly active: Tensor;
  readonly context?: Tensor;
}

/** How they are run too. */
interface Told extends BlockInputs {
  readonly captures: Captures;
  readonly run: RunBlock;
}

function mix(x: Tensor, mixing: Mixing | undefined, context: Tensor | undefined): Tensor {
  if (!mixing) return x;
  return mixing.kind === "attention"
    ? runAttention(x, mixing.block)
    : runSpatialTransformer(x, context!, mixing.block);
}

function double(x: Tensor, active: Tensor, { resampling }: DiffusersLevel): Tensor {
  return resampling?.kind === "res"
    ? runResBlock(x, active, resampling.block)
    : convolve(doubled(x), resampling!.layer);
}

/**
 * Whether a state dict is of a UNet of diffusers, by its own names or those of LDM or DDPM.
 *
 * @param prefix beginning of its keys; any when left out
 */
export function isDiffusersUnet(stateDict: StateDict, prefix?: string): boolean {
  if (isLdmUnet(stateDict, prefix) || isDdpmUnet(stateDict, prefix)) return true;
  return anchorPrefixes(stateDict, ANCHOR).some((found) =>
    (prefix === undefined || found === prefix) &&
    stateDict.has(`${found}time_embedding.linear_1.weight`)
  );
}

/**
 * Loads a UNet of diffusers: levels, blocks, attention and transformers are read off the keys, old names of attention layers are taken too,
 * and every tensor is checked. What shapes do not tell is the configuration's, else diffusers' default for the class; what they do is compared.
 * Networks under LDM's names (Stable Diffusion in one file: `model.diffusion_model.`) and under those of DDPM's port to PyTorch
 * (`temb.dense.0` …) are taken too.
 *
 * @param config {@link DiffusersUnetOptions}, or a `config.json`
 * @throws {InputError} when a tensor is missing, unknown, of another shape or not finite, or the configuration contradicts the shapes
 */
export async function loadDiffusersUnet(
  gpu: Gpu,
  stateDict: StateDict,
  config: DiffusersUnetOptions | Readonly<Record<string, unknown>> = {},
): Promise<DiffusersUnet> {
  const said = readDiffusersOptions(config);
  const other = renameUnet(stateDict, said.prefix);
  const isSaid = Object.entries(said).filter(([, value]) => value !== undefined);
  const options: DiffusersUnetOptions = { ...other?.options, ...Object.fromEntries(isSaid) };
  const prefix = other
    ? ""
    : findPrefix(stateDict, { cannot: CANNOT, key: ANCHOR }, options.prefix);
  const cannot = other ? `${CANNOT.slice(0, -1)}, renamed from ${other.layout}'s:` : CANNOT;
  const reader = new CheckpointReader(other?.stateDict ?? stateDict, prefix, cannot);
  const uploader = new DiffusersUploader(gpu, reader, options);
  return await loadWhole(uploader, () => {
    const weights = uploader.all();
    const facts = diffusersFacts(weights, uploader.isConditional);
    checkDiffusersClaims(options.claims, facts);
    return new DiffusersUnet(weights, facts, uploader);
  }, { strict: options.strict });
}
