/**
 * Weights of a UNet of denoising-diffusion-pytorch on a device.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import type { CheckpointReader } from "./checkpoint_reader.ts";
import { LayerUploader } from "./layer_uploader.ts";
import type { Layer } from "./unet_layers.ts";

/** Weights of a residual block. */
export interface DdpRes {
  /** Of the time embedding: scales, then shifts. */
  readonly embedding: Layer;
  readonly conv1: Layer;
  /** `[1, C, 1, 1]`: the norm's gain times √C, as all gains here. */
  readonly gain1: Tensor;
  readonly conv2: Layer;
  readonly gain2: Tensor;
  readonly shortcut?: Layer;
}

/** Weights of attention over places, which sees some learned tokens too. */
export interface DdpAttention {
  readonly kind: "full" | "linear";
  readonly gain: Tensor;
  /** `[3·hidden, C, 1, 1]` */
  readonly qkv: Tensor;
  /** Learned keys and values: `[1, tokens, hidden]` of full, `[1, heads, headDim, tokens]` of linear attention. */
  readonly memory: readonly [keys: Tensor, values: Tensor];
  readonly nHeads: number;
  readonly out: Layer;
  /** Of linear attention, after `out`. */
  readonly gainOut?: Tensor;
}

/** One level: two residual blocks, attention behind the second, and what leads to the next level. */
export interface DdpLevel {
  readonly blocks: readonly [DdpRes, DdpRes];
  readonly attention: DdpAttention;
  readonly resample: Layer;
}

/** All of a network. */
export interface DdpWeights {
  readonly initConv: Layer;
  readonly time: readonly [Layer, Layer];
  readonly downs: readonly DdpLevel[];
  readonly middle: Omit<DdpLevel, "resample">;
  readonly ups: readonly DdpLevel[];
  readonly finalRes: DdpRes;
  readonly finalConv: Layer;
}

/** Uploads the blocks of such a UNet. */
export class DdpUploader extends LayerUploader {
  constructor(gpu: Gpu, reader: CheckpointReader) {
    super(gpu, reader);
  }

  #conv(name: string): Required<Layer> {
    return this.layer(name, this.reader.shape(`${name}.weight`));
  }

  #gain(name: string): Tensor {
    const shape = this.reader.shape(`${name}.g`);
    const values = this.reader.values(`${name}.g`, shape).map((g) => g * Math.sqrt(shape[1]));
    return this.put(values, shape);
  }

  #res(name: string): DdpRes {
    return {
      embedding: this.#conv(`${name}.mlp.1`),
      conv1: this.#conv(`${name}.block1.proj`),
      gain1: this.#gain(`${name}.block1.norm`),
      conv2: this.#conv(`${name}.block2.proj`),
      gain2: this.#gain(`${name}.block2.norm`),
      ...(this.reader.has(`${name}.res_conv.weight`)
        ? { shortcut: this.#conv(`${name}.res_conv`) }
        : {}),
    };
  }

  #attention(name: string): DdpAttention {
    const isLinear = this.reader.has(`${name}.to_out.0.weight`);
    const shape = this.reader.shape(`${name}.mem_kv`), [two, nHeads] = shape;
    const [hidden3] = this.reader.shape(`${name}.to_qkv.weight`), hidden = hidden3 / 3;
    const [headDim, tokens] = isLinear ? [shape[2], shape[3]] : [shape[3], shape[2]];
    if (shape.length !== 4 || two !== 2 || nHeads * headDim !== hidden) {
      throw new InputError(
        `${this.reader.cannot} ${
          this.reader.named(`${name}.mem_kv`)
        } must be keys and values of heads that make ${hidden} channels, is [${shape}]`,
      );
    }
    const values = this.reader.values(`${name}.mem_kv`, shape), size = hidden * tokens;
    const memory = (part: number) => {
      const own = values.slice(part * size, (part + 1) * size);
      if (isLinear) return this.put(own, [1, nHeads, headDim, tokens]);
      const rows = new Float32Array(size); // [heads, tokens, headDim] → [tokens, heads · headDim]
      for (let at = 0; at < size; at++) {
        const head = Math.floor(at / (tokens * headDim)), token = Math.floor(at / headDim) % tokens;
        rows[token * hidden + head * headDim + at % headDim] = own[at];
      }
      return this.put(rows, [1, tokens, hidden]);
    };
    const [, channels] = this.reader.shape(`${name}.to_qkv.weight`);
    return {
      kind: isLinear ? "linear" : "full",
      gain: this.#gain(`${name}.norm`),
      qkv: this.tensor(`${name}.to_qkv.weight`, [3 * hidden, channels, 1, 1]),
      memory: [memory(0), memory(1)],
      nHeads,
      out: this.#conv(isLinear ? `${name}.to_out.0` : `${name}.to_out`),
      ...(isLinear ? { gainOut: this.#gain(`${name}.to_out.1`) } : {}),
    };
  }

  /** What leads down: a convolution over squares of 2×2, which the file has as 1×1 over unshuffled pixels, or one that keeps the sides. */
  #down(name: string): Layer {
    if (this.reader.has(`${name}.weight`)) return this.#conv(name);
    const [cout, unshuffled] = this.reader.shape(`${name}.1.weight`);
    const values = this.reader.values(`${name}.1.weight`, [cout, unshuffled, 1, 1]);
    return {
      weight: this.put(values, [cout, unshuffled / 4, 2, 2]), // channel c·4 + 2·row + column of the square
      bias: this.tensor(`${name}.1.bias`, [cout]),
    };
  }

  #level(name: string, resample: Layer): DdpLevel {
    return {
      blocks: [this.#res(`${name}.0`), this.#res(`${name}.1`)],
      attention: this.#attention(`${name}.2`),
      resample,
    };
  }

  /** The whole network. */
  all(): DdpWeights {
    const { reader } = this, levels = reader.count("downs");
    if (levels === 0 || reader.count("ups") !== levels) {
      throw new InputError(
        `${reader.cannot} it has ${levels} levels on the way down and ${
          reader.count("ups")
        } on the way up, they must be as many`,
      );
    }
    const numbers = Array.from({ length: levels }, (_, i) => i);
    const up = (i: number) => reader.has(`ups.${i}.3.weight`) ? `ups.${i}.3` : `ups.${i}.3.1`;
    return {
      initConv: this.#conv("init_conv"),
      time: [this.#conv("time_mlp.1"), this.#conv("time_mlp.3")],
      downs: numbers.map((i) => this.#level(`downs.${i}`, this.#down(`downs.${i}.3`))),
      middle: {
        blocks: [this.#res("mid_block1"), this.#res("mid_block2")],
        attention: this.#attention("mid_attn"),
      },
      ups: numbers.map((i) => this.#level(`ups.${i}`, this.#conv(up(i)))),
      finalRes: this.#res("final_res_block"),
      finalConv: this.#conv("final_conv"),
    };
  }
}
