/**
 * Weights of a UNet of diffusers on a device: its blocks are read off the keys.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import type { CheckpointReader } from "./checkpoint_reader.ts";
import type { DiffusersFacts, DiffusersUnetOptions } from "./diffusers_options.ts";
import { LayerUploader } from "./layer_uploader.ts";
import type { SpatialTransformer, TransformerBlock } from "./spatial_transformer.ts";
import type { AttentionBlock, BiasedLayer, Layer, Norm, ResBlock } from "./unet_layers.ts";

/** What follows a residual block: attention over places, a transformer that attends to the context, or nothing. */
export type Mixing =
  | { readonly kind: "attention"; readonly block: AttentionBlock }
  | { readonly kind: "transformer"; readonly block: SpatialTransformer };

/** How a level hands over to the next one. */
export type Resampling =
  | { readonly kind: "conv"; readonly layer: Layer }
  | { readonly kind: "res"; readonly block: ResBlock };

/** One level on the way down or up. */
export interface DiffusersLevel {
  readonly resnets: readonly ResBlock[];
  /** One for each residual block, or none. */
  readonly mixings: readonly Mixing[];
  readonly resampling?: Resampling;
}

/** A table of classes, or layers that numbers go through as time steps do (`class_embed_type: "timestep"`). */
export type ClassEmbedding =
  | { readonly kind: "table"; readonly table: Tensor }
  | { readonly kind: "timestep"; readonly layers: readonly [Layer, Layer] };

/** All of a network. */
export interface DiffusersWeights {
  readonly convIn: Layer;
  readonly time: readonly [Layer, Layer];
  /** How classes are told: `[classes, width]`, or two layers over the sinusoids of numbers. */
  readonly labels?: ClassEmbedding;
  readonly down: readonly DiffusersLevel[];
  readonly middle: DiffusersLevel;
  readonly up: readonly DiffusersLevel[];
  readonly normOut: Norm;
  readonly convOut: Layer;
}

const TRANSFORMER_EPS = 1e-6; // Transformer2DModel's group norm
/** Names of queries, keys, values and output: today's, and those of files from before 2023. */
const ATTENTION_NAMES = [
  ["to_q", "to_k", "to_v", "to_out.0"],
  ["query", "key", "value", "proj_attn"],
] as const;

/** What sets the middle block apart. */
interface MiddleBlock {
  readonly outputScale?: number;
  readonly mayLackNorm?: boolean;
}

/** Uploads the blocks of a UNet of diffusers. */
export class DiffusersUploader extends LayerUploader {
  constructor(
    gpu: Gpu,
    reader: CheckpointReader,
    readonly options: DiffusersUnetOptions,
  ) {
    super(gpu, reader);
  }

  get isConditional(): boolean {
    return [...this.reader.stateDict.keys()].some((key) => key.includes(".transformer_blocks."));
  }

  /** A group norm of as many channels as the file has. */
  groupNorm(
    name: string,
    { eps = this.options.normEps ?? 1e-5, groups = this.options.normNumGroups ?? 32 } = {},
  ): Norm {
    const [channels] = this.reader.shape(`${name}.weight`);
    if (channels % groups !== 0) {
      throw new InputError(
        `${this.reader.cannot} ${
          this.reader.named(name)
        } has ${channels} channels, which ${groups} groups do not divide; give norm_num_groups`,
      );
    }
    return this.norm(name, channels, { groups, eps });
  }

  /** A convolution of whatever shape the file has. */
  conv(name: string): BiasedLayer {
    return this.layer(name, this.reader.shape(`${name}.weight`));
  }

  /** Matrices one below the other, `[out, in]` each, or convolutions of 1×1. */
  rows(names: readonly string[], hasBias: boolean): Layer {
    const parts = names.map((name) => {
      const shape = this.reader.shape(`${name}.weight`);
      if (shape.length < 2 || shape.slice(2).some((n) => n !== 1)) {
        throw new InputError(
          `${this.reader.cannot} ${
            this.reader.named(`${name}.weight`)
          } must be [out, in], is [${shape}]`,
        );
      }
      return {
        values: this.reader.values(`${name}.weight`, shape),
        shape,
        bias: hasBias ? this.reader.values(`${name}.bias`, [shape[0]]) : new Float32Array(0),
      };
    });
    const [, width] = parts[0].shape, out = parts.reduce((sum, { shape }) => sum + shape[0], 0);
    const joined = (of: (part: typeof parts[number]) => Float32Array, size: number) => {
      const all = new Float32Array(size);
      let at = 0;
      for (const part of parts) {
        all.set(of(part), at);
        at += of(part).length;
      }
      return all;
    };
    const weight = this.put(joined(({ values }) => values, out * width), [out, width]);
    return hasBias
      ? { weight, bias: this.put(joined(({ bias }) => bias, out), [out]) }
      : { weight };
  }

  /** A residual block; it may resample. */
  resBlock(name: string, more: Pick<ResBlock, "resampling" | "outputScale"> = {}): ResBlock {
    const [cout] = this.reader.shape(`${name}.conv1.weight`);
    const embedding = this.reader.has(`${name}.time_emb_proj.weight`)
      ? this.conv(`${name}.time_emb_proj`)
      : undefined;
    return {
      norm1: this.groupNorm(`${name}.norm1`),
      conv1: this.conv(`${name}.conv1`),
      embedding,
      norm2: this.groupNorm(`${name}.norm2`),
      conv2: this.conv(`${name}.conv2`),
      ...(this.reader.has(`${name}.conv_shortcut.weight`)
        ? { shortcut: this.conv(`${name}.conv_shortcut`) }
        : {}),
      hasScaleShift: embedding?.bias.size === 2 * cout,
      ...more,
    };
  }

  /**
   * Heads of a layer. Where nothing is said: heads of 8 channels (`UNet2DModel`); of networks with a context 8 heads (Stable Diffusion 1), or
   * heads of 64 channels where projections are linear (Stable Diffusion 2).
   */
  #heads(channels: number, level: number, isLinear = false): number {
    const { attentionHeadDim: said } = this.options;
    const own = Array.isArray(said) ? said[level] : said as number | null | undefined;
    const count = this.isConditional
      ? own ?? (isLinear ? channels / 64 : 8)
      : own === null
      ? 1
      : channels / (own ?? 8);
    if (Number.isInteger(count) && channels % count === 0) return count;
    throw new InputError(
      `${this.reader.cannot} attention of ${channels} channels at level ${level} cannot have ${
        this.isConditional ? `${count} heads` : `heads of ${own} channels`
      }; give attention_head_dim`,
    );
  }

  #attention(name: string, level: number, middle?: MiddleBlock): AttentionBlock {
    const { reader, options: { attnNormNumGroups: groups } } = this;
    const names = ATTENTION_NAMES.find(([query]) => reader.has(`${name}.${query}.weight`)) ??
      ATTENTION_NAMES[0];
    const [query, key, value, out] = names.map((part) => `${name}.${part}`);
    const channels = reader.shape(`${query}.weight`)[1];
    const norm = `${name}.group_norm`, lacksNorm = !reader.has(`${norm}.weight`);
    return {
      ...(middle?.mayLackNorm && lacksNorm
        ? {}
        : { norm: this.groupNorm(norm, middle && groups ? { groups } : {}) }),
      qkv: this.rows([query, key, value], true),
      out: this.rows([out], true),
      nHeads: this.#heads(channels, level),
      outputScale: middle?.outputScale,
    };
  }

  #transformer(name: string, level: number): SpatialTransformer {
    const norm = this.groupNorm(`${name}.norm`, { eps: TRANSFORMER_EPS });
    const block = (at: string): TransformerBlock => {
      const attention = (n: number, part: string) => `${at}.attn${n}.${part}`;
      return {
        norm1: this.conv(`${at}.norm1`),
        qkv: this.rows(["to_q", "to_k", "to_v"].map((part) => attention(1, part)), false),
        out1: this.rows([attention(1, "to_out.0")], true),
        norm2: this.conv(`${at}.norm2`),
        query: this.rows([attention(2, "to_q")], false),
        keyValue: this.rows(["to_k", "to_v"].map((part) => attention(2, part)), false),
        out2: this.rows([attention(2, "to_out.0")], true),
        norm3: this.conv(`${at}.norm3`),
        gated: this.rows([`${at}.ff.net.0.proj`], true),
        out3: this.rows([`${at}.ff.net.2`], true),
      };
    };
    const count = this.reader.count(`${name}.transformer_blocks`);
    const isLinear = this.reader.shape(`${name}.proj_in.weight`).length === 2;
    return {
      norm,
      projIn: this.rows([`${name}.proj_in`], true),
      blocks: Array.from({ length: count }, (_, i) => block(`${name}.transformer_blocks.${i}`)),
      projOut: this.rows([`${name}.proj_out`], true),
      nHeads: this.#heads(norm.weight.size, level, isLinear),
    };
  }

  /** Attention of either kind. */
  mixing(name: string, level: number, middle?: MiddleBlock): Mixing {
    return this.reader.count(`${name}.transformer_blocks`) > 0
      ? { kind: "transformer", block: this.#transformer(name, level) }
      : { kind: "attention", block: this.#attention(name, level, middle) };
  }

  /** A level by its keys; one that leads neither down nor up is the middle. */
  level(name: string, level: number, way?: "down" | "up", outputScale?: number): DiffusersLevel {
    const numbered = (part: string) =>
      Array.from(
        { length: this.reader.count(`${name}.${part}`) },
        (_, i) => `${name}.${part}.${i}`,
      );
    const sampler = `${name}.${way}samplers.0`;
    let resampling: Resampling | undefined;
    const resnets = numbered("resnets").map((at) => this.resBlock(at, { outputScale }));
    // UNetMidBlock2D gives its attention a norm only where time steps are added, or groups are named.
    const middle = way ? undefined : { outputScale, mayLackNorm: resnets[0]?.hasScaleShift };
    const mixings = numbered("attentions").map((at) => this.mixing(at, level, middle));
    if (way && this.reader.has(`${sampler}.conv.weight`)) {
      resampling = { kind: "conv", layer: this.conv(`${sampler}.conv`) };
    } else if (way && this.reader.has(`${sampler}.conv1.weight`)) {
      resampling = { kind: "res", block: this.resBlock(sampler, { resampling: way }) };
    }
    return { resnets, mixings, resampling };
  }

  #labels(): ClassEmbedding | undefined {
    const { reader } = this, name = "class_embedding";
    if (reader.has(`${name}.weight`)) {
      const table = this.tensor(`${name}.weight`, reader.shape(`${name}.weight`));
      return { kind: "table", table };
    }
    if (!reader.has(`${name}.linear_1.weight`)) return undefined;
    return {
      kind: "timestep",
      layers: [this.conv(`${name}.linear_1`), this.conv(`${name}.linear_2`)],
    };
  }

  /** The whole network. */
  all(): DiffusersWeights {
    const levels = this.reader.count("down_blocks"), ups = this.reader.count("up_blocks");
    if (levels === 0 || ups !== levels) {
      throw new InputError(
        `${this.reader.cannot} it has ${levels} blocks on the way down and ${ups} on the way up, they must be as many`,
      );
    }
    const numbers = Array.from({ length: levels }, (_, i) => i);
    return {
      convIn: this.conv("conv_in"),
      time: [this.conv("time_embedding.linear_1"), this.conv("time_embedding.linear_2")],
      labels: this.#labels(),
      down: numbers.map((i) => this.level(`down_blocks.${i}`, i, "down")),
      middle: this.level("mid_block", levels - 1, undefined, this.options.midBlockScaleFactor),
      up: numbers.map((i) => this.level(`up_blocks.${i}`, levels - 1 - i, "up")),
      normOut: this.groupNorm("conv_norm_out"),
      convOut: this.conv("conv_out"),
    };
  }
}

/** Names of blocks that have such keys. */
function typesOf({ mixings: [mixing], resampling }: DiffusersLevel, way: "Down" | "Up"): string[] {
  if (mixing?.kind === "transformer") return [`CrossAttn${way}Block2D`];
  if (mixing) return [`Attn${way}Block2D`];
  const resampled = `Resnet${way}sampleBlock2D`;
  return resampling?.kind === "res"
    ? [resampled]
    : resampling
    ? [`${way}Block2D`]
    : [`${way}Block2D`, resampled];
}

/** What the shapes of a network say. */
export function diffusersFacts(
  { convIn, labels, down, middle, up, convOut }: DiffusersWeights,
  isConditional: boolean,
): DiffusersFacts {
  const widths = down.map(({ resnets }) => resnets[0].conv1.weight.shape[0]);
  const transformer = [...down, ...up].flatMap(({ mixings }) => mixings)
    .find((mixing) => mixing.kind === "transformer");
  return {
    className: isConditional ? "UNet2DConditionModel" : "UNet2DModel",
    inChannels: convIn.weight.shape[1],
    outChannels: convOut.weight.shape[0],
    blockOutChannels: widths,
    layersPerBlock: down.map(({ resnets }) => resnets.length),
    downBlockTypes: down.map((level) => typesOf(level, "Down")),
    upBlockTypes: up.map((level) => typesOf(level, "Up")),
    crossAttentionDim: transformer ? transformer.block.blocks[0].keyValue.weight.shape[1] : 0,
    numClassEmbeds: labels === undefined
      ? 0
      : labels.kind === "table"
      ? labels.table.shape[0]
      : Infinity,
    hasScaleShift: down[0].resnets[0].hasScaleShift,
    hasMiddleAttention: middle.mixings.length > 0,
  };
}
