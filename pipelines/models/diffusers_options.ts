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

/** Entries that can have one value here. */
const FIXED: Readonly<Record<string, readonly unknown[]>> = {
  time_embedding_type: ["positional"],
  act_fn: ["silu", "swish"],
  class_embed_type: [null],
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
  /** Classes; 0 where the network is told none. */
  readonly numClassEmbeds: number;
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
  differ("num_class_embeds", claims.num_class_embeds, facts.numClassEmbeds);
  for (const way of ["down", "up"] as const) {
    const said = claims[`${way}_block_types`];
    if (!Array.isArray(said)) continue;
    const all = way === "down" ? facts.downBlockTypes : facts.upBlockTypes;
    all.forEach((types, i) => {
      if (types.includes(`${said[i]}`)) return;
      differ(`${way}_block_types[${i}]`, said[i] ?? "absent", types.join(" or "));
    });
  }
}
