import { InputError } from "../errors.ts";
import { Entries, isJson, type Json } from "./config_entries.ts";

/** What the shapes of a UNet of diffusers do not tell; a `config.json` says it by diffusers' names. */
export interface DiffusersUnetOptions {
  /**
   * Of a `UNet2DModel` the channels of a head, `null` for one head (`attention_head_dim`, default 8); of a `UNet2DConditionModel` the number
   * of heads at each level, which diffusers calls by the same name.
   */
  readonly attentionHeadDim?: number | readonly number[] | null;
  /** Groups of the norms (default 32). */
  readonly normNumGroups?: number;
  /** Groups of the norm before the attention of the middle block (default as the others). */
  readonly attnNormNumGroups?: number;
  /** Added to variances (default 1e-5). */
  readonly normEps?: number;
  /** Whether time steps are told as [cos | sin] (default true) or [sin | cos]. */
  readonly flipSinToCos?: boolean;
  /** Taken from the divisor of the frequencies' exponent (default 0). */
  readonly freqShift?: number;
  /** Of convolutions that halve the sides: 1 on all sides (default), or 0 for one on the right and below. */
  readonly downsamplePadding?: number;
  /** Whether images from 0 to 1 are brought to −1 to 1 (default false). */
  readonly centerInputSample?: boolean;
  /** Divides the sums of the middle block (default 1). */
  readonly midBlockScaleFactor?: number;
  /** Beginning of the keys, where a file holds several networks. */
  readonly prefix?: string;
  /** `false` accepts keys that are not the network's. */
  readonly strict?: boolean;
  /** What a configuration says that shapes say too, for comparison. */
  readonly claims?: Readonly<Record<string, unknown>>;
}

const CANNOT = "Cannot use the configuration of diffusers:";

/** Blocks that are known here: those of NCSN++ (Skip), of k-diffusion (K) and of DeepFloyd (SimpleCrossAttn) are not. */
const BLOCK_TYPE = /^(Attn|CrossAttn|Resnet(Down|Up)sample|)(Down|Up)?Block2D$/;

/** Entries that can have one value here. */
const FIXED: Readonly<Record<string, readonly unknown[]>> = {
  time_embedding_type: ["positional"],
  act_fn: ["silu", "swish"],
  class_embed_type: [null, "timestep"],
  resnet_time_scale_shift: ["default", "scale_shift"],
  mid_block_type: [null, "UNetMidBlock2D", "UNetMidBlock2DCrossAttn"],
  downsample_type: ["conv", "resnet"],
  upsample_type: ["conv", "resnet"],
  attention_type: ["default"],
  attention_legacy_order: [false],
  resnet_skip_time_act: [false],
  resnet_out_scale_factor: [1],
  time_embedding_act_fn: [null],
  timestep_post_act: [null],
  time_cond_proj_dim: [null],
  class_embeddings_concat: [false],
  mid_block_only_cross_attention: [false],
  cross_attention_norm: [null],
  encoder_hid_dim_type: [null],
  reverse_transformer_layers_per_block: [null],
  addition_embed_type: [null],
  encoder_hid_dim: [null],
  dual_cross_attention: [false],
  only_cross_attention: [false],
  conv_in_kernel: [3],
  conv_out_kernel: [3],
};

/**
 * Reads options by our names or those of a `config.json`.
 *
 * @throws {InputError} when an entry has a value that no network here has, or of a wrong type
 */
export function readDiffusersOptions(
  config: DiffusersUnetOptions | Json = {},
): DiffusersUnetOptions {
  if (!isJson(config)) throw new InputError(`${CANNOT} it must be an object`);
  for (const [name, allowed] of Object.entries(FIXED)) {
    const value = config[name];
    if (value === undefined || value === null || allowed.includes(value)) continue;
    throw new InputError(
      `${CANNOT} ${name} must be ${allowed.join(" or ")}, it is ${JSON.stringify(value)}`,
    );
  }
  const entries = new Entries(config, "");
  const heads = ["num_attention_heads", "attentionHeadDim", "attention_head_dim"]
    .map((name) => config[name]).find((value) => value !== undefined && value !== null);
  const isNone = config.attentionHeadDim === null || config.attention_head_dim === null;
  return {
    attentionHeadDim: heads === undefined ? (isNone ? null : undefined) : headsOf(heads),
    normNumGroups: entries.count("normNumGroups", "norm_num_groups"),
    attnNormNumGroups: entries.count("attnNormNumGroups", "attn_norm_num_groups"),
    normEps: entries.positive("normEps", "norm_eps"),
    flipSinToCos: entries.flag("flipSinToCos", "flip_sin_to_cos"),
    freqShift: entries.index("freqShift", "freq_shift"),
    downsamplePadding: entries.index("downsamplePadding", "downsample_padding"),
    centerInputSample: entries.flag("centerInputSample", "center_input_sample"),
    midBlockScaleFactor: entries.positive("midBlockScaleFactor", "mid_block_scale_factor"),
    prefix: entries.text("prefix"),
    strict: entries.flag("strict"),
    claims: config,
  };
}

function headsOf(value: unknown): number | readonly number[] {
  const list = Array.isArray(value) ? value : [value];
  if (list.length > 0 && list.every((v) => Number.isSafeInteger(v) && v >= 1)) {
    return Array.isArray(value) ? list : list[0];
  }
  throw new InputError(
    `${CANNOT} attention heads must be a whole number from 1 or a list of them, got ${
      JSON.stringify(value)
    }`,
  );
}

/** Facts that shapes tell. */
export interface DiffusersFacts {
  /** Class of diffusers that the network is. */
  readonly className: "UNet2DModel" | "UNet2DConditionModel";
  /** Channels of the images. */
  readonly inChannels: number;
  /** Channels of the output. */
  readonly outChannels: number;
  /** Channels of each level. */
  readonly blockOutChannels: readonly number[];
  /** Residual blocks of each level on the way down. */
  readonly layersPerBlock: readonly number[];
  /** Types of the blocks that have these keys, for each level. */
  readonly downBlockTypes: readonly (readonly string[])[];
  /** The same on the way up. */
  readonly upBlockTypes: readonly (readonly string[])[];
  /** Width of the context; 0 without. */
  readonly crossAttentionDim: number;
  /** Classes; 0 where the network is told none, infinitely many where it is told numbers (`class_embed_type: "timestep"`). */
  readonly numClassEmbeds: number;
  /** Whether the time step scales and shifts (`resnet_time_scale_shift: "scale_shift"`). */
  readonly hasScaleShift: boolean;
  /** Whether the middle block attends (`add_attention`). */
  readonly hasMiddleAttention: boolean;
}

/**
 * Refuses a configuration that is not the checkpoint's.
 *
 * @throws {InputError} naming the entry, what it says, and what the shapes say
 */
export function checkDiffusersClaims(claims: Json = {}, facts: DiffusersFacts): void {
  const differ = (name: string, said: unknown, found: unknown): void => {
    if (said === undefined || said === null || `${said}` === `${found}`) return;
    throw new InputError(`${CANNOT} ${name} is ${said}, the checkpoint's shapes say ${found}`);
  };
  differ("_class_name", claims._class_name, facts.className);
  differ("in_channels", claims.in_channels, facts.inChannels);
  differ("out_channels", claims.out_channels, facts.outChannels);
  differ("block_out_channels", claims.block_out_channels, facts.blockOutChannels);
  const { layers_per_block: layers } = claims;
  const isUniform = facts.layersPerBlock.every((n) => n === facts.layersPerBlock[0]);
  const found = isUniform && !Array.isArray(layers)
    ? facts.layersPerBlock[0]
    : facts.layersPerBlock;
  differ("layers_per_block", layers, found);
  if (!Array.isArray(claims.cross_attention_dim) && facts.className === "UNet2DConditionModel") {
    differ("cross_attention_dim", claims.cross_attention_dim, facts.crossAttentionDim);
  }
  if (Number.isFinite(facts.numClassEmbeds)) {
    differ("num_class_embeds", claims.num_class_embeds, facts.numClassEmbeds);
  }
  const shift = facts.hasScaleShift ? "scale_shift" : "default";
  differ("resnet_time_scale_shift", claims.resnet_time_scale_shift, shift);
  differ(
    "class_embed_type",
    claims.class_embed_type,
    facts.numClassEmbeds === Infinity && "timestep",
  );
  if (facts.className === "UNet2DModel" && claims.mid_block_type !== null) {
    differ("add_attention", claims.add_attention, facts.hasMiddleAttention);
  }
  for (const way of ["down", "up"] as const) {
    const said = claims[`${way}_block_types`];
    if (!Array.isArray(said)) continue;
    const strange = said.find((type) => !BLOCK_TYPE.test(`${type}`));
    if (strange !== undefined) {
      throw new InputError(`${CANNOT} ${way}_block_types has ${strange}, which is not known here`);
    }
    const all = way === "down" ? facts.downBlockTypes : facts.upBlockTypes;
    all.forEach((types, i) => {
      if (types.includes(`${said[i]}`)) return;
      differ(`${way}_block_types[${i}]`, said[i] ?? "absent", types.join(" or "));
    });
  }
}
