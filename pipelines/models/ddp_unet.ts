/**
 * The UNet of denoising-diffusion-pytorch (github lucidrains), which MIG-Vis synthesises with, on a device.
 *
 * @module
 */
import { DisposedError } from "../../engine/errors.ts";
import type { Gpu } from "../../engine/gpu.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import type { StateDict } from "../io/state_dict.ts";
import { Captures, requireLayers } from "./captures.ts";
import { anchorPrefixes, CheckpointReader, findPrefix } from "./checkpoint_reader.ts";
import { Entries } from "./config_entries.ts";
import { runDdp } from "./ddp_forward.ts";
import { bindDdp, DdpUploader, type DdpWeights } from "./ddp_weights.ts";
import { loadWhole } from "./layer_uploader.ts";
import type { ForwardResult } from "./model.ts";
import { requireConditions, requireNoisyImages } from "./unet_inputs.ts";

/** Options of {@link DdpUnet.forward}. */
export interface DdpForwardOptions {
  /** Time step of each image, `[n]`, counted from 0. */
  readonly timesteps: ArrayLike<number>;
  /** Activations to return: `init_conv`, `downs.<i>`, `mid_block` and `ups.<i>`, `[n, channels, height, width]`. */
  readonly capture?: readonly string[];
  /**
   * Whether activations inside blocks are computed again in a backward pass instead of kept for it (default false): less memory for a second
   * forward pass, the same bits.
   */
  readonly checkpoint?: boolean;
}

/** Options of {@link loadDdpUnet}. */
export interface DdpUnetOptions {
  /** Beginning of the keys, such as `model.` or `ema_model.model.`, where a file holds several networks. */
  readonly prefix?: string;
  /** `false` accepts keys that are not the network's. */
  readonly strict?: boolean;
}

const CANNOT = "Cannot load the checkpoint as a UNet of denoising-diffusion-pytorch:";
const ANCHOR = "init_conv.weight";

/** A UNet on a device. Owns its weights. */
export class DdpUnet implements Disposable {
  /** Family. */
  readonly family = "ddp" as const;
  /** The device. */
  readonly gpu: Gpu;
  /** Channels of the images. */
  readonly inChannels: number;
  /** Channels of the output. */
  readonly outChannels: number;
  /** Trained values. */
  readonly parameters: number;
  readonly #weights: DdpWeights;
  readonly #uploader: DdpUploader;
  #disposed = false;

  /** @internal Use {@link loadDdpUnet}. */
  constructor(weights: DdpWeights, uploader: DdpUploader) {
    this.gpu = uploader.gpu;
    this.inChannels = weights.initConv.weight.shape[1];
    this.outChannels = weights.finalConv.weight.shape[0];
    this.parameters = uploader.parameters;
    this.#weights = weights;
    this.#uploader = uploader;
  }

  /**
   * Runs the network.
   *
   * @param x noisy images, `[n, inChannels, height, width]`, sides that the levels halve without rest; on a tape the results are
   * differentiable by it
   * @returns `output` `[n, outChannels, height, width]`
   * @throws {InputError} when images or time steps do not fit, or a name to capture is not there
   */
  forward(x: Tensor, { timesteps, capture = [], checkpoint }: DdpForwardOptions): ForwardResult {
    if (this.#disposed) throw new DisposedError("Cannot run the model: it was disposed");
    const { downs } = this.#weights;
    requireLayers(capture, this.layers);
    requireNoisyImages(x, { inChannels: this.inChannels, factor: 2 ** (downs.length - 1) });
    requireConditions(x.shape[0], { timesteps, numClasses: 0 });
    const captures = new Captures(capture);
    const output = runDdp(this.#weights, x, { timesteps, captures, checkpoint });
    return { output, captured: new Map(Object.entries(captures.taken)) };
  }

  /** Names of its layers in the order that they are run. */
  get layers(): readonly string[] {
    const { downs, ups } = this.#weights;
    return [
      ...["init_conv", ...downs.map((_, i) => `downs.${i}`), "mid_block"],
      ...ups.map((_, i) => `ups.${i}`),
    ];
  }

  /** Frees the weights. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#uploader.dispose();
  }
}

/**
 * Whether a state dict is of denoising-diffusion-pytorch.
 *
 * @param prefix beginning of its keys; any when left out
 */
export function isDdpUnet(stateDict: StateDict, prefix?: string): boolean {
  return anchorPrefixes(stateDict, ANCHOR).some((found) =>
    (prefix === undefined || found === prefix) && stateDict.has(`${found}time_mlp.1.weight`)
  );
}

function countLevels(reader: CheckpointReader): number {
  const levels = reader.count("downs");
  if (levels > 0 && reader.count("ups") === levels) return levels;
  throw new InputError(
    `${reader.cannot} it has ${levels} levels on the way down and ${
      reader.count("ups")
    } on the way up, they must be as many`,
  );
}

/**
 * Loads a UNet of denoising-diffusion-pytorch: all of it is read off the keys and shapes. Keys outside the network's own beginning, such as the
 * buffers of `GaussianDiffusion` beside `model.`, are passed over.
 *
 * @throws {InputError} when a tensor is missing, unknown, of another shape or not finite
 */
export async function loadDdpUnet(
  gpu: Gpu,
  stateDict: StateDict,
  options: DdpUnetOptions | Readonly<Record<string, unknown>> = {},
): Promise<DdpUnet> {
  const entries = new Entries({ ...options }, "");
  const prefix = findPrefix(stateDict, { cannot: CANNOT, key: ANCHOR }, entries.text("prefix"));
  const reader = new CheckpointReader(stateDict, prefix, CANNOT);
  const uploader = new DdpUploader(gpu, reader);
  const bind = () => new DdpUnet(bindDdp(uploader, countLevels(reader)), uploader);
  return await loadWhole(uploader, bind, { strict: entries.flag("strict") });
}
