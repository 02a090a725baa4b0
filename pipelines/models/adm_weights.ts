/**
 * Weights of a network of guided-diffusion on a device.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import type { Tensor } from "../../engine/tensor.ts";
import type { AdmBlock, AdmLayer, AdmLayout } from "./adm_layout.ts";
import type { AdmHeads } from "./adm_options.ts";
import type { CheckpointReader } from "./checkpoint_reader.ts";
import { LayerUploader } from "./layer_uploader.ts";
import type { AttentionBlock, Layer, Norm, ResBlock } from "./unet_layers.ts";

/** A layer ready to run. */
export type AdmStep =
  | { readonly kind: "conv" | "down-conv" | "up-conv"; readonly layer: Layer }
  | { readonly kind: "res"; readonly block: ResBlock }
  | { readonly kind: "attention"; readonly block: AttentionBlock }
  | { readonly kind: "average" | "nearest" };

/** The head of a classifier. */
export type AdmHead =
  | { readonly kind: "image"; readonly norm: Norm; readonly conv: Layer }
  | { readonly kind: "mean"; readonly norm: Norm; readonly linear: Layer }
  | {
    readonly kind: "attention";
    readonly norm: Norm;
    /** `[tokens, C]`, the mean's first. */
    readonly positions: Tensor;
    readonly qkv: Layer;
    readonly out: Layer;
    readonly nHeads: number;
  };

/** All of a network. */
export interface AdmWeights {
  readonly time: readonly [Layer, Layer];
  /** `[classes, width]` */
  readonly labels?: Tensor;
  readonly inputBlocks: readonly (readonly AdmStep[])[];
  readonly middleBlock: readonly AdmStep[];
  readonly outputBlocks: readonly (readonly AdmStep[])[];
  readonly head: AdmHead;
}

const GROUPS = 32, EPS = 1e-5; // `normalization` of nn.py

/** Rows of queries, keys and values in the order of `selfAttention`, from the order `[q | k | v]` head by head. */
export function ungroupHeads(
  values: Float32Array<ArrayBuffer>,
  channels: number,
  nHeads: number,
): Float32Array<ArrayBuffer> {
  const width = values.length / (3 * channels), headDim = channels / nHeads;
  const out = new Float32Array(values.length);
  for (let row = 0; row < 3 * channels; row++) {
    const part = Math.floor(row / channels), within = row % channels;
    const head = Math.floor(within / headDim), d = within % headDim;
    const from = (head * 3 + part) * headDim + d;
    out.set(values.subarray(from * width, (from + 1) * width), row * width);
  }
  return out;
}

/** Uploads the layers of a network of guided-diffusion. */
export class AdmUploader extends LayerUploader {
  constructor(
    gpu: Gpu,
    reader: CheckpointReader,
    readonly layout: AdmLayout,
    readonly heads: AdmHeads,
  ) {
    super(gpu, reader);
  }

  #norm(name: string, channels: number): Norm {
    return this.norm(name, channels, { groups: GROUPS, eps: EPS });
  }

  /** A convolution over tokens, `[out, in, 1]` in the file, as a linear layer. */
  tokens(name: string, [out, width]: readonly [number, number], nHeads?: number): Layer {
    const read = (part: string, shape: readonly number[]) => {
      const values = this.reader.values(`${name}.${part}`, shape);
      return nHeads === undefined ? values : ungroupHeads(values, out / 3, nHeads);
    };
    const weight = this.put(read("weight", [out, width, 1]), [out, width]);
    return { weight, bias: this.put(read("bias", [out]), [out]) };
  }

  #resBlock({ key, resampling }: AdmLayer, width: number): ResBlock {
    const { reader, layout: { useScaleShiftNorm } } = this;
    const [cout, cin] = reader.shape(`${key}.in_layers.2.weight`);
    const skip = `${key}.skip_connection`;
    const hasShortcut = reader.has(`${skip}.weight`);
    const side = hasShortcut ? reader.shape(`${skip}.weight`)[2] : 1;
    return {
      norm1: this.#norm(`${key}.in_layers.0`, cin),
      conv1: this.layer(`${key}.in_layers.2`, [cout, cin, 3, 3]),
      embedding: this.layer(`${key}.emb_layers.1`, [(useScaleShiftNorm ? 2 : 1) * cout, width]),
      norm2: this.#norm(`${key}.out_layers.0`, cout),
      conv2: this.layer(`${key}.out_layers.3`, [cout, cout, 3, 3]),
      ...(hasShortcut ? { shortcut: this.layer(skip, [cout, cin, side, side]) } : {}),
      ...{ hasScaleShift: useScaleShiftNorm, resampling },
    };
  }

  #attention({ key }: AdmLayer, isUp: boolean): AttentionBlock {
    const [channels] = this.reader.shape(`${key}.norm.weight`);
    const nHeads = this.heads.count(channels, isUp);
    const grouped = this.heads.isNewOrder ? undefined : nHeads;
    return {
      norm: this.#norm(`${key}.norm`, channels),
      qkv: this.tokens(`${key}.qkv`, [3 * channels, channels], grouped),
      out: this.tokens(`${key}.proj_out`, [channels, channels]),
      nHeads,
    };
  }

  /** The layers of a block. */
  block(block: AdmBlock, isUp = false): AdmStep[] {
    const width = 4 * this.layout.modelChannels;
    return block.map((layer): AdmStep => {
      const { kind, key } = layer;
      if (kind === "average" || kind === "nearest") return { kind };
      if (kind === "res") return { kind, block: this.#resBlock(layer, width) };
      if (kind === "attention") return { kind, block: this.#attention(layer, isUp) };
      const name = kind === "conv" ? key : `${key}.${kind === "down-conv" ? "op" : "conv"}`;
      const [cout, cin] = this.reader.shape(`${name}.weight`);
      return { kind, layer: this.layer(name, [cout, cin, 3, 3]) };
    });
  }

  /** The head behind the last block. */
  head(): AdmHead {
    const { reader, layout: { outChannels, kind } } = this;
    const [channels] = reader.shape("out.0.weight");
    const norm = this.#norm("out.0", channels);
    if (kind === "unet") {
      return { kind: "image", norm, conv: this.layer("out.2", [outChannels, channels, 3, 3]) };
    }
    if (reader.has("out.3.weight")) {
      const [values, bias] = [
        reader.values("out.3.weight", [outChannels, channels, 1, 1]),
        reader.values("out.3.bias", [outChannels]),
      ];
      const linear = {
        weight: this.put(values, [outChannels, channels]),
        bias: this.put(bias, [outChannels]),
      };
      return { kind: "mean", norm, linear };
    }
    const [, nTokens] = reader.shape("out.2.positional_embedding");
    const given = reader.values("out.2.positional_embedding", [channels, nTokens]);
    const positions = new Float32Array(given.length);
    for (let t = 0; t < nTokens; t++) {
      for (let c = 0; c < channels; c++) positions[t * channels + c] = given[c * nTokens + t];
    }
    return {
      kind: "attention",
      norm,
      positions: this.put(positions, [nTokens, channels]),
      qkv: this.tokens("out.2.qkv_proj", [3 * channels, channels]), // always in the new order
      out: this.tokens("out.2.c_proj", [outChannels, channels]),
      nHeads: this.heads.count(channels, false),
    };
  }
}

/**
 * Uploads a network.
 *
 * @throws {InputError} when a tensor is missing, of another shape or not finite
 */
export function uploadAdm(uploader: AdmUploader): AdmWeights {
  const { layout } = uploader, { modelChannels, numClasses } = layout;
  const width = 4 * modelChannels;
  return {
    time: [
      uploader.layer("time_embed.0", [width, modelChannels]),
      uploader.layer("time_embed.2", [width, width]),
    ],
    ...(numClasses > 0 ? { labels: uploader.tensor("label_emb.weight", [numClasses, width]) } : {}),
    inputBlocks: layout.inputBlocks.map((block) => uploader.block(block)),
    middleBlock: uploader.block(layout.middleBlock),
    outputBlocks: layout.outputBlocks.map((block) => uploader.block(block, true)),
    head: uploader.head(),
  };
}
