/**
 * Other codes' names of the networks that diffusers has: LDM's (CompVis, Stable Diffusion in one file) and those of DDPM's port to PyTorch
 * (pesser/pytorch_diffusion, ermongroup/ddim), which LDM's autoencoder has too.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import type { HostTensor, StateDict } from "../io/state_dict.ts";
import { anchorPrefixes } from "./checkpoint_reader.ts";
import type { DiffusersUnetOptions } from "./diffusers_options.ts";
import { listNames } from "./layouts.ts";

/** A network under diffusers' names. */
export interface RenamedNetwork {
  /** Whose names it had. */
  readonly layout: "LDM" | "DDPM";
  /** Its tensors, without what else the file holds; keys that the layout does not have keep their names. */
  readonly stateDict: StateDict;
  /** What that code's networks have where no shape tells. */
  readonly options: DiffusersUnetOptions;
}

type Rule = readonly [from: RegExp, to: string | ((...groups: string[]) => string)];

/** A file's tensors behind a prefix, by the first rule that fits a name. */
function renamed(stateDict: StateDict, prefix: string, rules: readonly Rule[]): StateDict {
  const all = new Map<string, HostTensor>();
  for (const [key, tensor] of stateDict) {
    if (!key.startsWith(prefix)) continue;
    const name = key.slice(prefix.length);
    const [from, to] = rules.find(([pattern]) => pattern.test(name)) ?? [/^/, ""];
    all.set(
      typeof to === "string"
        ? name.replace(from, to)
        : name.replace(from, (_, ...groups) => to(...groups)),
      tensor,
    );
  }
  return all;
}

/** The one prefix of a network, where there is one. */
function prefixOf(stateDict: StateDict, anchor: string, wanted?: string): string | undefined {
  const found = anchorPrefixes(stateDict, anchor).filter((prefix) =>
    wanted === undefined || prefix === wanted
  );
  if (found.length < 2) return found[0];
  throw new InputError(
    `Cannot load the checkpoint: a network stands under the prefixes ${
      listNames(found)
    }; name one with the option "prefix"`,
  );
}

/** Layers of LDM's residual blocks. */
const LDM_RES: Readonly<Record<string, string>> = {
  "in_layers.0": "norm1",
  "in_layers.2": "conv1",
  "emb_layers.1": "time_emb_proj",
  "out_layers.0": "norm2",
  "out_layers.3": "conv2",
  "skip_connection": "conv_shortcut",
};

/** A layer of a block of LDM's: of a residual block, a transformer or a resampling. */
function ldmLayer(level: string, block: number, rest: string, way: "down" | "up"): string {
  const res = Object.entries(LDM_RES).find(([name]) => rest.startsWith(`${name}.`));
  if (res) return `${level}.resnets.${block}.${res[1]}${rest.slice(res[0].length)}`;
  const conv = way === "down" ? "op." : "conv.";
  if (rest.startsWith(conv)) return `${level}.${way}samplers.0.conv.${rest.slice(conv.length)}`;
  return `${level}.attentions.${block}.${rest}`;
}

/** Whether a state dict has a UNet of LDM with transformers, as Stable Diffusion's. */
export function isLdmUnet(stateDict: StateDict, prefix?: string): boolean {
  return anchorPrefixes(stateDict, "input_blocks.0.0.weight").some((found) =>
    (prefix === undefined || found === prefix) &&
    [...stateDict.keys()].some((key) =>
      key.startsWith(`${found}middle_block.1.transformer_blocks.`)
    )
  );
}

function ldmUnet(stateDict: StateDict, wanted?: string): RenamedNetwork {
  const prefix = prefixOf(stateDict, "input_blocks.0.0.weight", wanted)!;
  const downs = [...stateDict.keys()].flatMap((key) => {
    const found = /^input_blocks\.(\d+)\.0\.op\.weight$/.exec(
      key.startsWith(prefix) ? key.slice(prefix.length) : "",
    );
    return found ? [Number(found[1])] : [];
  });
  if (downs.length === 0) {
    throw new InputError(
      `Cannot load the checkpoint as a UNet of LDM: it has no level that halves the sides (${prefix}input_blocks.N.0.op)`,
    );
  }
  const period = Math.min(...downs); // residual blocks of a level, and one that resamples
  const rules: Rule[] = [
    [/^time_embed\.0\./, "time_embedding.linear_1."],
    [/^time_embed\.2\./, "time_embedding.linear_2."],
    [/^label_emb\.weight$/, "class_embedding.weight"],
    [/^input_blocks\.0\.0\./, "conv_in."],
    [/^input_blocks\.(\d+)\.\d\.(.*)$/, (at, rest) => {
      const k = Number(at) - 1;
      return ldmLayer(`down_blocks.${Math.floor(k / period)}`, k % period, rest, "down");
    }],
    [
      /^middle_block\.([012])\.(.*)$/,
      (at, rest) => ldmLayer("mid_block", Number(at) >> 1, rest, "down"),
    ],
    [/^output_blocks\.(\d+)\.\d\.(.*)$/, (at, rest) => {
      const k = Number(at);
      return ldmLayer(`up_blocks.${Math.floor(k / period)}`, k % period, rest, "up");
    }],
    [/^out\.0\./, "conv_norm_out."],
    [/^out\.2\./, "conv_out."],
  ];
  return { layout: "LDM", stateDict: renamed(stateDict, prefix, rules), options: {} };
}

/** Layers of a block of DDPM's. */
const ddpmLayer = (rest: string): string =>
  rest.replace(/^temb_proj\./, "time_emb_proj.").replace(/^nin_shortcut\./, "conv_shortcut.");

const DDPM_ATTENTION: Readonly<Record<string, string>> = {
  ...{ norm: "group_norm", q: "to_q", k: "to_k", v: "to_v", proj_out: "to_out.0" },
};

/** Rules for blocks of DDPM's, whose levels on the way up are counted from the widest images. */
function ddpmRules(half: string, ups: number): Rule[] {
  const start = half.replaceAll(".", "\\.");
  const up = (i: string) => `${half}up_blocks.${ups - 1 - Number(i)}`;
  const attention = (part: string, rest: string) => `${DDPM_ATTENTION[part] ?? part}.${rest}`;
  const rule = (pattern: string, to: Rule[1]): Rule => [new RegExp(`^${start}${pattern}`), to];
  return [
    rule(
      "down\\.(\\d+)\\.block\\.(\\d+)\\.(.*)$",
      (i, j, rest) => `${half}down_blocks.${i}.resnets.${j}.${ddpmLayer(rest)}`,
    ),
    rule(
      "down\\.(\\d+)\\.attn\\.(\\d+)\\.(\\w+)\\.(.*)$",
      (i, j, part, rest) => `${half}down_blocks.${i}.attentions.${j}.${attention(part, rest)}`,
    ),
    rule("down\\.(\\d+)\\.downsample\\.", (i) => `${half}down_blocks.${i}.downsamplers.0.`),
    rule(
      "mid\\.block_([12])\\.(.*)$",
      (j, rest) => `${half}mid_block.resnets.${Number(j) - 1}.${ddpmLayer(rest)}`,
    ),
    rule(
      "mid\\.attn_1\\.(\\w+)\\.(.*)$",
      (part, rest) => `${half}mid_block.attentions.0.${attention(part, rest)}`,
    ),
    rule(
      "up\\.(\\d+)\\.block\\.(\\d+)\\.(.*)$",
      (i, j, rest) => `${up(i)}.resnets.${j}.${ddpmLayer(rest)}`,
    ),
    rule(
      "up\\.(\\d+)\\.attn\\.(\\d+)\\.(\\w+)\\.(.*)$",
      (i, j, part, rest) => `${up(i)}.attentions.${j}.${attention(part, rest)}`,
    ),
    rule("up\\.(\\d+)\\.upsample\\.", (i) => `${up(i)}.upsamplers.0.`),
    rule("norm_out\\.", `${half}conv_norm_out.`),
  ];
}

/** How many levels a half has on the way up. */
function levelsOf(stateDict: StateDict, start: string): number {
  const numbers = [...stateDict.keys()].filter((key) => key.startsWith(start))
    .map((key) => Number(key.slice(start.length).split(".", 1)[0]));
  return Math.max(-1, ...numbers) + 1;
}

/** Whether a state dict has a UNet of DDPM's port to PyTorch. */
export function isDdpmUnet(stateDict: StateDict, prefix?: string): boolean {
  return anchorPrefixes(stateDict, "temb.dense.0.weight").some((found) =>
    prefix === undefined || found === prefix
  );
}

function ddpmUnet(stateDict: StateDict, wanted?: string): RenamedNetwork {
  const prefix = prefixOf(stateDict, "temb.dense.0.weight", wanted)!;
  const ups = levelsOf(stateDict, `${prefix}up.`);
  if (ups > 1 && !stateDict.has(`${prefix}down.0.downsample.conv.weight`)) {
    throw new InputError(
      `Cannot load the checkpoint as a UNet of DDPM: it must halve its sides by convolutions (resamp_with_conv), "${prefix}down.0.downsample.conv.weight" is missing`,
    );
  }
  const rules: Rule[] = [
    [/^temb\.dense\.0\./, "time_embedding.linear_1."],
    [/^temb\.dense\.1\./, "time_embedding.linear_2."],
    ...ddpmRules("", ups),
  ];
  return {
    layout: "DDPM",
    stateDict: renamed(stateDict, prefix, rules),
    // model.py of that code: [sin | cos] over half − 1, eps 1e-6, one head, zeros on the right and below
    options: {
      ...{ attentionHeadDim: null, flipSinToCos: false, freqShift: 1, normEps: 1e-6 },
      downsamplePadding: 0,
    },
  };
}

/** A UNet of another layout under diffusers' names; undefined where the state dict has none. */
export function renameUnet(stateDict: StateDict, prefix?: string): RenamedNetwork | undefined {
  if (isLdmUnet(stateDict, prefix)) return ldmUnet(stateDict, prefix);
  if (isDdpmUnet(stateDict, prefix)) return ddpmUnet(stateDict, prefix);
  return undefined;
}

const LDM_AUTOENCODER = "decoder.mid.block_1.norm1.weight";

/** Whether a state dict has an autoencoder of LDM, with its encoder. */
export function isLdmAutoencoder(stateDict: StateDict, prefix?: string): boolean {
  return anchorPrefixes(stateDict, LDM_AUTOENCODER).some((found) =>
    (prefix === undefined || found === prefix) && stateDict.has(`${found}encoder.conv_in.weight`)
  );
}

/** The tensors of an autoencoder of LDM under diffusers' names; undefined where the state dict has none. */
export function renameAutoencoder(stateDict: StateDict, wanted?: string): StateDict | undefined {
  if (!isLdmAutoencoder(stateDict, wanted)) return undefined;
  const prefix = prefixOf(stateDict, LDM_AUTOENCODER, wanted)!;
  const ups = levelsOf(stateDict, `${prefix}decoder.up.`);
  const rules = [...ddpmRules("encoder.", 0), ...ddpmRules("decoder.", ups)];
  const all = renamed(stateDict, prefix, rules);
  return new Map([...all].filter(([name]) => !/^(loss|model_ema)\./.test(name))); // of its training
}
