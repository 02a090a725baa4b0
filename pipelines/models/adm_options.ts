import { InputError } from "../errors.ts";
import type { AdmLayout } from "./adm_layout.ts";
import { attentionOrder, type PackedAttention } from "./attention_order.ts";
import { isJson, type Json } from "./config_entries.ts";

/** What shapes do not tell of a network of guided-diffusion. */
export interface AdmOptions {
  /** Channels of an attention head; heads are then as many as a layer's channels hold (`num_head_channels`). */
  readonly numHeadChannels?: number;
  /** Heads of every attention layer (`num_heads`). */
  readonly numHeads?: number;
  /** Heads on the way up (`num_heads_upsample`). */
  readonly numHeadsUpsample?: number;
  /** Whether queries, keys and values of all heads lie apart, or together head by head (`use_new_attention_order`, default false). */
  readonly useNewAttentionOrder?: boolean;
  /** Residual blocks of a level (`num_res_blocks`, `classifier_depth`): needed where a classifier's blocks may be read in two ways. */
  readonly numResBlocks?: number;
  /** Beginning of the keys, where a file holds several networks. */
  readonly prefix?: string;
  /** `false` accepts keys that are not the network's. */
  readonly strict?: boolean;
}

const CANNOT = "Cannot use the configuration of guided-diffusion:";

/** Names of an option in our spelling, the repository's, and that of its flags for classifiers. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  numHeadChannels: ["numHeadChannels", "num_head_channels"],
  numHeads: ["numHeads", "num_heads"],
  numHeadsUpsample: ["numHeadsUpsample", "num_heads_upsample"],
  useNewAttentionOrder: ["useNewAttentionOrder", "use_new_attention_order"],
  numResBlocks: ["numResBlocks", "num_res_blocks", "classifier_depth"],
  prefix: ["prefix"],
  strict: ["strict"],
};

/** An entry that says something: guided-diffusion writes −1 and the empty text where it says nothing. */
function entryOf(config: Json, names: readonly string[]): unknown {
  const name = names.find((n) => config[n] !== undefined && config[n] !== null);
  const value = name === undefined ? undefined : config[name];
  return value === -1 || value === "" ? undefined : value;
}

/**
 * Reads options by our names or guided-diffusion's flags.
 *
 * @throws {InputError} when a number is not whole and above 0, or a flag is not true or false
 */
export function readAdmOptions(config: AdmOptions | Json = {}): AdmOptions {
  if (!isJson(config)) throw new InputError(`${CANNOT} it must be an object`);
  const options: Record<string, unknown> = {};
  for (const [option, names] of Object.entries(NAMES)) {
    const value = entryOf(config, names);
    if (value === undefined) continue;
    const isText = option === "prefix", isFlag = /^use|^strict/.test(option);
    const isFit = isText
      ? typeof value === "string"
      : isFlag
      ? typeof value === "boolean"
      : Number.isSafeInteger(value) && Number(value) >= 1;
    if (!isFit) {
      const rule = isText ? "text" : isFlag ? "true or false" : "a whole number from 1";
      throw new InputError(
        `${CANNOT} ${names[1] ?? names[0]} must be ${rule}, it is ${JSON.stringify(value)}`,
      );
    }
    options[option] = value;
  }
  return options;
}

/** Numbers of a list or of text between commas. */
const listOf = (value: unknown): number[] =>
  (Array.isArray(value) ? value : String(value).split(",")).map(Number);

/** What flags say of a network, and what its shapes do: `[flag, said, found]`. */
function claims(config: Json, layout: AdmLayout): [string, unknown, unknown][] {
  const found: Readonly<Record<string, unknown>> = {
    num_channels: layout.modelChannels,
    model_channels: layout.modelChannels,
    classifier_width: layout.modelChannels,
    num_res_blocks: layout.numResBlocks,
    classifier_depth: layout.numResBlocks,
    in_channels: layout.inChannels,
    learn_sigma: layout.outChannels === 2 * layout.inChannels,
    class_cond: layout.numClasses > 0,
    num_classes: layout.numClasses,
    use_scale_shift_norm: layout.useScaleShiftNorm,
    classifier_use_scale_shift_norm: layout.useScaleShiftNorm,
    resblock_updown: layout.resblockUpdown,
    classifier_resblock_updown: layout.resblockUpdown,
    dims: 2,
    ...(layout.kind === "classifier" ? { pool: layout.pool, classifier_pool: layout.pool } : {}),
    ...(layout.resblockUpdown || layout.channelMult.length === 1
      ? {}
      : { conv_resample: layout.convResample }),
    ...(layout.kind === "classifier" || config.learn_sigma === undefined
      ? { out_channels: layout.outChannels }
      : {}),
  };
  const all = Object.entries(found).map(([flag, value]): [string, unknown, unknown] => [
    flag,
    entryOf(config, [flag]),
    value,
  ]);
  const mult = entryOf(config, ["channel_mult"]);
  if (mult !== undefined) all.push(["channel_mult", `${listOf(mult)}`, `${layout.channelMult}`]);
  const factors = `${layout.attentionFactors}`;
  const ds = entryOf(config, ["attention_ds"]);
  if (ds !== undefined) all.push(["attention_ds", `${listOf(ds).sort((a, b) => a - b)}`, factors]);
  const at = entryOf(config, ["attention_resolutions", "classifier_attention_resolutions"]);
  if (at !== undefined && typeof config.image_size === "number") {
    const side = config.image_size;
    const said = listOf(at).map((resolution) => side / resolution).sort((a, b) => a - b)
      .filter((factor) => factor < 2 ** layout.channelMult.length);
    all.push(["attention_resolutions", `factors ${said}`, `factors ${factors}`]);
  }
  return all;
}

/**
 * Refuses flags that are not those of the checkpoint.
 *
 * @throws {InputError} naming the flag, what it says, and what the shapes say
 */
export function checkAdmFlags(config: AdmOptions | Json, layout: AdmLayout): void {
  const wrong = claims(config as Json, layout)
    .find(([, said, found]) => said !== undefined && said !== found);
  if (!wrong) return;
  const [flag, said, found] = wrong;
  throw new InputError(`${CANNOT} ${flag} is ${said}, the checkpoint's shapes say ${found}`);
}

/** Attention of a network. */
export interface AdmHeads {
  /** Heads of a layer with so many channels, on the way up or not. */
  readonly count: (channels: number, isUp: boolean) => number;
  /** Whether queries, keys and values of all heads lie apart. */
  readonly isNewOrder: boolean;
}

/** Released networks by channels and levels (README of guided-diffusion): 64 pixels, 128, 256 and 512; classifiers are 128 wide. */
const RELEASED: readonly { readonly widths: string; readonly options: AdmOptions }[] = [
  { widths: "unet 192 1,2,3,4", options: { numHeadChannels: 64, useNewAttentionOrder: true } },
  { widths: "unet 256 1,1,2,3,4", options: { numHeads: 4 } },
  { widths: "unet 256 1,1,2,2,4,4", options: { numHeadChannels: 64 } },
  { widths: "unet 256 0.5,1,1,2,2,4,4", options: { numHeadChannels: 64 } },
  { widths: "classifier 128 1,2,3,4", options: { numHeadChannels: 64 } },
  { widths: "classifier 128 1,1,2,3,4", options: { numHeadChannels: 64 } },
  { widths: "classifier 128 1,1,2,2,4,4", options: { numHeadChannels: 64 } },
  { widths: "classifier 128 0.5,1,1,2,2,4,4", options: { numHeadChannels: 64 } },
];

/**
 * Heads of attention, which no shape tells: what the options say, else those of the released network of these channels.
 *
 * @throws {InputError} when neither is known, or the heads do not divide a layer's channels
 */
export function admHeads(
  options: AdmOptions,
  layout: AdmLayout,
  readPacked: (key: string) => PackedAttention["weight"],
): AdmHeads {
  const widths = `${layout.kind} ${layout.modelChannels} ${layout.channelMult}`;
  const isSaid = options.numHeads !== undefined || options.numHeadChannels !== undefined;
  const released = RELEASED.find((network) => network.widths === widths)?.options;
  const chosen = isSaid ? options : { ...released, ...options };
  const { numHeads, numHeadChannels, numHeadsUpsample } = chosen;
  const count = (channels: number, isUp: boolean): number => {
    if (numHeads === undefined && numHeadChannels === undefined) {
      throw new InputError(
        `${CANNOT} no shape tells the attention heads of a ${widths}: give num_head_channels or num_heads`,
      );
    }
    const count = numHeadChannels !== undefined
      ? channels / numHeadChannels
      : isUp
      ? numHeadsUpsample ?? numHeads!
      : numHeads!;
    if (Number.isInteger(count) && channels % count === 0) return count;
    throw new InputError(
      `${CANNOT} an attention layer has ${channels} channels, which ${
        numHeadChannels !== undefined ? `heads of ${numHeadChannels}` : `${count} heads`
      } do not divide`,
    );
  };
  const blocks = [...layout.inputBlocks, layout.middleBlock, ...layout.outputBlocks];
  const layers = blocks.flatMap((block, i) =>
    block.filter(({ kind }) => kind === "attention").map(({ key }) => {
      const weight = readPacked(`${key}.qkv.weight`), channels = Math.sqrt(weight.length / 3);
      return { weight, channels, nHeads: count(channels, i > layout.inputBlocks.length) };
    })
  );
  return { count, isNewOrder: orderOf(options, attentionOrder(layers), released) };
}

/**
 * The order of queries, keys and values: what the weights tell, else what is said, else the released network's, else the old one.
 *
 * @throws {InputError} when what is said is not what the weights tell
 */
function orderOf(
  { useNewAttentionOrder: said, strict = true }: AdmOptions,
  told: boolean | undefined,
  released: AdmOptions | undefined,
): boolean {
  if (strict && said !== undefined && told !== undefined && said !== told) {
    throw new InputError(
      `${CANNOT} use_new_attention_order is ${said}, the sizes of the weights say ${told}: queries, keys and values ${
        told ? "lie apart" : "lie together head by head"
      }; strict: false takes what is said`,
    );
  }
  return said ?? told ?? released?.useNewAttentionOrder ?? false;
}
