/**
 * The UNet of denoising-diffusion-pytorch (github lucidrains), which MIG-Vis synthesises with, on a device.
 *
 * @module
 */
import { DisposedError } from "../../engine/errors.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { add, addScalar, gelu, mul, silu } from "../../engine/ops/elementwise.ts";
import { conv2d } from "../../engine/ops/conv.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { concat, slice } from "../../engine/ops/shape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import type { StateDict } from "../io/state_dict.ts";
import { Captures, checkCaptures } from "./captures.ts";
import { anchorPrefixes, CheckpointReader, findPrefix } from "./checkpoint_reader.ts";
import { Entries } from "./config_entries.ts";
import { channelNorm, runFullAttention, runLinearAttention } from "./ddp_attention.ts";
import { type DdpAttention, type DdpRes, DdpUploader, type DdpWeights } from "./ddp_weights.ts";
import { loadWhole } from "./layer_uploader.ts";
import type { ForwardResult } from "./model.ts";
import { requireConditions, requireNoisyImages } from "./unet_inputs.ts";
import { convolve, doubled, type Layer, timestepValues } from "./unet_layers.ts";

/** Options of {@link DdpUnet.forward}. */
export interface DdpForwardOptions {
  /** Time step of each image, `[n]`, counted from 0. */
  readonly timesteps: ArrayLike<number>;
  /** Activations to return: `init_conv`, `downs.<i>`, `mid_block` and `ups.<i>`, `[n, channels, height, width]`. */
  readonly capture?: readonly string[];
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
  forward(x: Tensor, { timesteps, capture = [] }: DdpForwardOptions): ForwardResult {
    if (this.#disposed) throw new DisposedError("Cannot run the model: it was disposed");
    const { downs, ups } = this.#weights;
    const names = [
      ...["init_conv", ...downs.map((_, i) => `downs.${i}`), "mid_block"],
      ...ups.map((_, i) => `ups.${i}`),
    ];
    checkCaptures(capture.filter((name) => !names.includes(name)), [], names.join(", "));
    requireNoisyImages(x, { inChannels: this.inChannels, factor: 2 ** (downs.length - 1) });
    requireConditions(x.shape[0], { timesteps, numClasses: 0 });
    const captures = new Captures(capture);
    const output = captures.scope(x.gpu, () => this.#run(x, this.#embed(timesteps), captures));
    return { output, captured: new Map(Object.entries(captures.taken)) };
  }

  #embed(timesteps: ArrayLike<number>): Tensor {
    const { time: [first, second] } = this.#weights, width = first.weight.shape[1];
    const values = timestepValues(timesteps, width, { order: "sin-cos", shift: 1 });
    const sinusoid = Tensor.from(this.gpu, values, [timesteps.length, width]);
    const inner = gelu(linear(sinusoid, first.weight, { bias: first.bias }));
    return silu(linear(inner, second.weight, { bias: second.bias }));
  }

  #run(x: Tensor, active: Tensor, captures: Captures): Tensor {
    const { initConv, downs, middle, ups, finalRes, finalConv } = this.#weights;
    const step = (work: () => Tensor) => captures.scope(x.gpu, work);
    const first = convolve(x, initConv);
    captures.take("init_conv", first);
    const skips: Tensor[] = [];
    let h = first;
    downs.forEach(({ blocks: [one, two], attention, resample }, i) => {
      skips.push(h = step(() => runRes(h, active, one)));
      skips.push(h = step(() => attend(runRes(h, active, two), attention)));
      h = step(() => halve(h, resample));
      captures.take(`downs.${i}`, h);
    });
    h = step(() => {
      const attended = attend(runRes(h, active, middle.blocks[0]), middle.attention);
      return runRes(attended, active, middle.blocks[1]);
    });
    captures.take("mid_block", h);
    const joined = (from: Tensor, skip: Tensor, work: (both: Tensor) => Tensor) => {
      const y = step(() => work(concat([from, skip], 1)));
      [from, skip].forEach((t) => t.dispose()); // what a tape needs it keeps
      return y;
    };
    ups.forEach(({ blocks: [one, two], attention, resample }, i) => {
      h = joined(h, skips.pop()!, (both) => runRes(both, active, one));
      h = joined(h, skips.pop()!, (both) => attend(runRes(both, active, two), attention));
      using from = h;
      h = step(() => convolve(i < ups.length - 1 ? doubled(from) : from, resample));
      captures.take(`ups.${i}`, h);
    });
    h = joined(h, first, (both) => runRes(both, active, finalRes));
    return convolve(h, finalConv);
  }

  /** Frees the weights. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#uploader.dispose();
  }
}

function runRes(x: Tensor, active: Tensor, block: DdpRes): Tensor {
  const { embedding, conv1, gain1, conv2, gain2, shortcut } = block;
  return tidy(x.gpu, () => {
    const told = linear(active, embedding.weight, { bias: embedding.bias });
    const inner = channelNorm(convolve(x, conv1), gain1), [n, channels] = inner.shape;
    const part = (at: number) =>
      slice(told, { axis: 1, start: at * channels, end: (at + 1) * channels })
        .reshape([n, channels, 1, 1]);
    const fed = silu(add(mul(inner, addScalar(part(0), 1)), part(1)));
    const out = silu(channelNorm(convolve(fed, conv2), gain2));
    return add(out, shortcut ? convolve(x, shortcut) : x);
  });
}

function attend(x: Tensor, attention: DdpAttention): Tensor {
  return tidy(
    x.gpu,
    () =>
      add(
        x,
        attention.kind === "full"
          ? runFullAttention(x, attention)
          : runLinearAttention(x, attention),
      ),
  );
}

/** Half the sides by squares of 2×2 pixels, or, at the last level, the same sides. */
function halve(x: Tensor, { weight, bias }: Layer): Tensor {
  return weight.shape[2] === 2
    ? conv2d(x, weight, { bias, stride: 2 })
    : convolve(x, { weight, bias });
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
  return await loadWhole(uploader, () => new DdpUnet(uploader.all(), uploader), {
    strict: entries.flag("strict"),
  });
}
