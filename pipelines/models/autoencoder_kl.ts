/**
 * The autoencoder that Stable Diffusion's latents are of (diffusers' `AutoencoderKL`), on a device.
 *
 * @module
 */
import { DisposedError } from "../../engine/errors.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { clamp } from "../../engine/ops/elementwise.ts";
import { conv2d } from "../../engine/ops/conv.ts";
import { slice } from "../../engine/ops/shape.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import type { StateDict } from "../io/state_dict.ts";
import { anchorPrefixes, CheckpointReader, findPrefix } from "./checkpoint_reader.ts";
import { Entries, isJson } from "./config_entries.ts";
import { isLdmAutoencoder, renameAutoencoder } from "./diffusers_layouts.ts";
import { type DiffusersLevel, DiffusersUploader } from "./diffusers_weights.ts";
import { loadWhole } from "./layer_uploader.ts";
import { requireNoisyImages } from "./unet_inputs.ts";
import {
  convolve,
  doubled,
  type Layer,
  type Norm,
  normed,
  runAttention,
  runResBlock,
} from "./unet_layers.ts";

/** What the shapes of an autoencoder do not tell; a `config.json` says it by diffusers' names. */
export interface AutoencoderOptions {
  /** Groups of the norms (`norm_num_groups`, default 32). */
  readonly normNumGroups?: number;
  /** Multiplies latents for a diffusion model (`scaling_factor`, default 0.18215, Stable Diffusion 1 and 2). */
  readonly scalingFactor?: number;
  /** Beginning of the keys, such as `first_stage_model.`. */
  readonly prefix?: string;
  /** `false` accepts keys that are not the network's. */
  readonly strict?: boolean;
}

/** Half of an autoencoder. */
interface Half {
  readonly convIn: Layer;
  readonly levels: readonly DiffusersLevel[];
  readonly middle: DiffusersLevel;
  readonly normOut: Norm;
  readonly convOut: Layer;
  /** 1×1 beside the latents. */
  readonly quant?: Layer;
}

const CANNOT = "Cannot load the checkpoint as an autoencoder of diffusers:";
const ANCHOR = "decoder.conv_in.weight";
const EPS = 1e-6; // of all its norms
const LOG_VARIANCES = [-30, 20] as const; // DiagonalGaussianDistribution

/** The normal distribution of latents that an image is encoded to, each `[n, latentChannels, h, w]`; the caller's. */
export interface LatentDistribution {
  /** Means. */
  readonly mean: Tensor;
  /** Logarithms of the variances, from −30 to 20. */
  readonly logVariance: Tensor;
}

/** An autoencoder on a device. Owns its weights. */
export class AutoencoderKl implements Disposable {
  /** Family. */
  readonly family = "autoencoder-kl" as const;
  /** The device. */
  readonly gpu: Gpu;
  /** Trained values. */
  readonly parameters: number;
  /** Multiplies latents for a diffusion model. */
  readonly scalingFactor: number;
  readonly #encoder: Half;
  readonly #decoder: Half;
  readonly #uploader: DiffusersUploader;
  #disposed = false;

  /** @internal Use {@link loadAutoencoder}. */
  constructor(
    [encoder, decoder]: readonly [Half, Half],
    uploader: DiffusersUploader,
    scalingFactor: number,
  ) {
    this.gpu = uploader.gpu;
    this.parameters = uploader.parameters;
    this.scalingFactor = scalingFactor;
    this.#encoder = encoder;
    this.#decoder = decoder;
    this.#uploader = uploader;
  }

  /** Channels of latents. */
  get latentChannels(): number {
    return this.#decoder.convIn.weight.shape[1];
  }

  /** How many pixels a side of a latent stands for. */
  get factor(): number {
    return 2 ** this.#encoder.levels.filter(({ resampling }) => resampling).length;
  }

  /**
   * The distribution of an image's latents, not yet times {@link AutoencoderKl.scalingFactor}.
   *
   * @param images `[n, channels, height, width]` from −1 to 1, sides that {@link AutoencoderKl.factor} divides
   * @throws {InputError} when the images are others
   */
  encode(images: Tensor): LatentDistribution {
    this.#requireAlive();
    const { convIn, levels, middle, quant, ...out } = this.#encoder;
    requireNoisyImages(images, { inChannels: convIn.weight.shape[1], factor: this.factor });
    return tidy(images.gpu, () => {
      let h = convolve(images, convIn);
      for (const level of levels) h = within(h, (x) => runLevel(x, level, "down"));
      const moments = finish(within(h, (x) => runMiddle(x, middle)), out, quant);
      const half = moments.shape[1] / 2;
      return {
        mean: slice(moments, { axis: 1, end: half }),
        logVariance: clamp(slice(moments, { axis: 1, start: half }), ...LOG_VARIANCES),
      };
    });
  }

  /**
   * Images of latents, which a diffusion model's must be divided by {@link AutoencoderKl.scalingFactor} before.
   *
   * @param latents `[n, latentChannels, h, w]`; on a tape the images are differentiable by it
   * @returns `[n, channels, factor · h, factor · w]`, about −1 to 1
   * @throws {InputError} when the latents are others
   */
  decode(latents: Tensor): Tensor {
    this.#requireAlive();
    requireNoisyImages(latents, { inChannels: this.latentChannels, factor: 1 });
    const { convIn, levels, middle, quant, ...out } = this.#decoder;
    return tidy(latents.gpu, () => {
      const z = quant ? convolve(latents, quant) : latents;
      let h = within(convolve(z, convIn), (x) => runMiddle(x, middle));
      for (const level of levels) h = within(h, (x) => runLevel(x, level, "up"));
      return finish(h, out);
    });
  }

  #requireAlive(): void {
    if (this.#disposed) throw new DisposedError("Cannot run the model: it was disposed");
  }

  /** Frees the weights. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#uploader.dispose();
  }
}

/** A step whose input is not needed any more: what a tape needs it keeps. */
function within(x: Tensor, work: (x: Tensor) => Tensor): Tensor {
  const y = tidy(x.gpu, () => work(x));
  x.dispose();
  return y;
}

function runLevel(x: Tensor, { resnets, resampling }: DiffusersLevel, way: "down" | "up"): Tensor {
  const h = resnets.reduce((y, block) => runResBlock(y, undefined, block), x);
  if (resampling?.kind !== "conv") return h === x ? x.alias() : h;
  const { layer: { weight, bias } } = resampling;
  if (way === "up") return convolve(doubled(h), { weight, bias });
  return conv2d(h, weight, { bias, stride: 2, padding: [0, 1, 1, 0] }); // zeros on the right and below
}

function runMiddle(x: Tensor, { resnets, mixings }: DiffusersLevel): Tensor {
  return resnets.slice(1).reduce((y, block, i) => {
    const mixing = mixings[i];
    const mixed = mixing?.kind === "attention" ? runAttention(y, mixing.block) : y;
    return runResBlock(mixed, undefined, block);
  }, runResBlock(x, undefined, resnets[0]));
}

function finish(
  x: Tensor,
  { normOut, convOut }: Pick<Half, "normOut" | "convOut">,
  quant?: Layer,
): Tensor {
  const y = convolve(normed(x, normOut, "silu"), convOut);
  return quant ? convolve(y, quant) : y;
}

/**
 * Whether a state dict is of such an autoencoder, by diffusers' names or LDM's.
 *
 * @param prefix beginning of its keys; any when left out
 */
export function isAutoencoder(stateDict: StateDict, prefix?: string): boolean {
  if (isLdmAutoencoder(stateDict, prefix)) return true;
  return anchorPrefixes(stateDict, ANCHOR).some((found) =>
    (prefix === undefined || found === prefix) && stateDict.has(`${found}encoder.conv_in.weight`)
  );
}

/**
 * Loads an autoencoder of diffusers, or of LDM (Stable Diffusion in one file: `first_stage_model.`): levels are read off the keys, old names of attention layers are taken too, and every tensor is checked.
 *
 * @param config {@link AutoencoderOptions}, or a `config.json`
 * @throws {InputError} when a tensor is missing, unknown, of another shape or not finite
 */
export async function loadAutoencoder(
  gpu: Gpu,
  stateDict: StateDict,
  config: AutoencoderOptions | Readonly<Record<string, unknown>> = {},
): Promise<AutoencoderKl> {
  if (!isJson(config)) throw new InputError(`${CANNOT} its configuration must be an object`);
  const entries = new Entries(config, "");
  const normNumGroups = entries.count("normNumGroups", "norm_num_groups");
  const scalingFactor = entries.positive("scalingFactor", "scaling_factor") ?? 0.18215;
  const wanted = entries.text("prefix");
  const renamed = renameAutoencoder(stateDict, wanted);
  const prefix = renamed ? "" : findPrefix(stateDict, { cannot: CANNOT, key: ANCHOR }, wanted);
  const reader = new CheckpointReader(renamed ?? stateDict, prefix, CANNOT);
  const options = { normNumGroups, normEps: EPS, attentionHeadDim: null };
  const uploader = new DiffusersUploader(gpu, reader, options);
  const half = (name: "encoder" | "decoder"): Half => {
    const way = name === "encoder" ? "down" : "up";
    const quant = name === "encoder" ? "quant_conv" : "post_quant_conv";
    const count = reader.count(`${name}.${way}_blocks`);
    return {
      convIn: uploader.conv(`${name}.conv_in`),
      levels: Array.from(
        { length: count },
        (_, i) => uploader.level(`${name}.${way}_blocks.${i}`, i, way),
      ),
      middle: uploader.level(`${name}.mid_block`, 0),
      normOut: uploader.groupNorm(`${name}.conv_norm_out`),
      convOut: uploader.conv(`${name}.conv_out`),
      ...(reader.has(`${quant}.weight`) ? { quant: uploader.conv(quant) } : {}),
    };
  };
  return await loadWhole(uploader, () => {
    const halves = [half("encoder"), half("decoder")] as const;
    return new AutoencoderKl(halves, uploader, scalingFactor);
  }, { strict: entries.flag("strict") });
}
