/**
 * What a user may say about a model: our own options, or the configuration file that came with the weights.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import type { Activation } from "../../shaders/elementwise/unary.ts";
import { Entries, isJson } from "./config_entries.ts";
import { type PosEmbedConvention, posEmbedConventions } from "./pos_embed.ts";

/** Families of vision transformers. */
export type ModelFamily = "clip" | "dinov2" | "dino" | "mae" | "siglip" | "radio";

/** Every family, for help texts. */
export const modelFamilies: readonly ModelFamily[] = [
  "clip",
  "dinov2",
  "dino",
  "mae",
  "siglip",
  "radio",
];

/** What the weights alone do not tell. Everything is optional; what is left out is read from the shapes or is the family's own. */
export interface ModelOptions {
  /** Family, where the keys fit two (DINO and the encoder of MAE have the same). */
  readonly family?: ModelFamily;
  /** Attention heads of the image tower. */
  readonly heads?: number;
  /** Attention heads of the text tower. */
  readonly textHeads?: number;
  /** Activation of the image tower's MLPs. */
  readonly activation?: Activation;
  /** Activation of the text tower's MLPs; as the image tower's when left out. */
  readonly textActivation?: Activation;
  /** Added to the variance by every layer norm of the image tower. */
  readonly eps?: number;
  /** The same in the text tower. */
  readonly textEps?: number;
  /** Patch grid `[rows, columns]` of the positional embedding, where it is not square. */
  readonly grid?: readonly [number, number];
  /** How the positional embedding is brought to other grids; `auto` is the family's own way. */
  readonly posInterpolation?: PosEmbedConvention | "auto";
  /** Storage of weights and activations; sums are always f32. */
  readonly dtype?: "f32" | "f16";
  /** Token id that ends a caption; the largest id when left out (OpenAI's rule). */
  readonly endToken?: number;
  /** Name of the RADIO adaptor head to use; `false` for none. `siglip` where the checkpoint has it. */
  readonly adaptor?: string | false;
  /** Class token that the adaptor head reads. */
  readonly adaptorToken?: number;
  /** Class tokens that make up RADIO's summary. */
  readonly summaryTokens?: readonly number[];
  /** `internal` (default) normalises RADIO's input in 0..1 by the checkpoint's mean and std; `external` expects it done. */
  readonly inputConditioner?: "internal" | "external";
  /** Beginning of the image tower's keys, where a file holds several. */
  readonly prefix?: string;
  /** `false` accepts keys that no layout knows. */
  readonly strict?: boolean;
}

/** What a configuration says beyond {@link ModelOptions}: checked against the shapes of the weights. */
export interface ModelDescription extends ModelOptions {
  /** Blocks of the image tower. */
  readonly depth?: number;
  /** Width of one head, in place of `heads`. */
  readonly headWidth?: number;
  /** Image `[height, width]` in pixels that the positional embedding belongs to. */
  readonly imageSize?: readonly [number, number];
  /** False where tokens of a caption see the ones after them too. */
  readonly textCausal?: boolean;
  /** Which token a caption is read from: its end, or the last position. */
  readonly textPooling?: "end" | "last";
  /** RADIO: names of the teachers, in the order in which heads are numbered. */
  readonly teachers?: readonly string[];
  /** RADIO: class token that each teacher's adaptor head reads. */
  readonly adaptorSlots?: Readonly<Record<string, number>>;
  /** RADIO: number of class tokens among the prefix tokens. */
  readonly classTokens?: number;
  /** RADIO: number of registers among the prefix tokens. */
  readonly registers?: number;
}

const familyOfType: Readonly<Record<string, ModelFamily>> = {
  clip: "clip",
  clip_vision_model: "clip",
  dinov2: "dinov2",
  dinov2_with_registers: "dinov2",
  vit: "dino",
  vit_mae: "mae",
  siglip: "siglip",
  siglip_vision_model: "siglip",
  radio: "radio",
};

/** Our own options, by their names. */
function ownOptions(top: Entries): ModelDescription {
  const adaptor = top.json.adaptor === false ? false : top.text("adaptor");
  return {
    family: top.oneOf("family", modelFamilies),
    heads: top.count("heads", "num_attention_heads", "vision_heads", "num_heads"),
    textHeads: top.count("textHeads", "transformer_heads"),
    activation: top.activation("activation", "hidden_act", "hidden_activation"),
    textActivation: top.activation("textActivation"),
    eps: top.positive("eps", "layer_norm_eps"),
    textEps: top.positive("textEps"),
    grid: top.sides("grid"),
    posInterpolation: top.oneOf("posInterpolation", ["auto", ...posEmbedConventions]),
    // transformers writes the training type under the same name, as "float32"
    dtype: /^b?float\d+$/.test(String(top.json.dtype))
      ? undefined
      : top.oneOf("dtype", ["f32", "f16"] as const),
    endToken: top.index("endToken"),
    adaptor,
    adaptorToken: top.index("adaptorToken"),
    summaryTokens: top.indices("summaryTokens", "summary_idxs"),
    inputConditioner: top.oneOf("inputConditioner", ["internal", "external"] as const),
    prefix: top.text("prefix"),
    strict: top.flag("strict"),
    imageSize: top.sides("image_size", "image_resolution", "img_size"),
    depth: top.count("num_hidden_layers"),
    classTokens: top.count("classTokens", "num_cls_tokens"),
    registers: top.index("num_registers", "cpe_num_registers"),
  };
}

/** transformers: `model_type`, and one section per tower for CLIP and SigLIP. */
function huggingFaceOptions(top: Entries): ModelDescription {
  const vision = top.section("vision_config");
  const text = top.section("text_config");
  const family = familyOfType[String(top.json.model_type)];
  const towers = vision || text;
  const defaultAct = family === "clip" && towers ? "quickGelu" : undefined;
  return {
    family,
    heads: vision?.count("num_attention_heads"),
    depth: vision?.count("num_hidden_layers"),
    activation: vision?.activation("hidden_act") ?? defaultAct,
    eps: vision?.positive("layer_norm_eps"),
    imageSize: vision?.sides("image_size"),
    textHeads: text?.count("num_attention_heads"),
    textActivation: text?.activation("hidden_act"),
    textEps: text?.positive("layer_norm_eps"),
    endToken: legacyEndToken(text?.index("eos_token_id")),
  };
}

/** CLIP's first configurations say 2, an id that is never used; transformers then takes the largest id. */
function legacyEndToken(id: number | undefined): number | undefined {
  return id === 2 ? undefined : id;
}

/** What open_clip says of either tower: plain GELU unless it says `quick_gelu`, and PyTorch's eps. */
function openClipTower(tower: Entries | undefined, quick: boolean) {
  const approximate = tower?.section("act_kwargs")?.text("approximate");
  const plain = approximate === "tanh" ? "geluTanh" : "gelu";
  return {
    activation: (quick ? "quickGelu" : plain) as Activation,
    eps: tower?.section("norm_kwargs")?.positive("eps") ?? 1e-5,
  };
}

/** open_clip's text tower: reads the end of a caption by its largest id (`argmax`), by `eos_id`, or the last position. */
function openClipText(text: Entries | undefined, quick: boolean): ModelDescription {
  const { activation, eps } = openClipTower(text, quick);
  const pool = text?.oneOf("pool_type", ["argmax", "eos", "last"]) ?? "argmax";
  return {
    textActivation: activation,
    textEps: eps,
    textHeads: text?.count("heads"),
    textCausal: !text?.flag("no_causal_mask"),
    textPooling: pool === "last" ? "last" : "end",
    endToken: pool === "eos" ? text?.index("eos_id") : undefined,
  };
}

/** open_clip's `open_clip_config.json`, or the `model_cfg` in it alone. */
function openClipOptions(top: Entries): ModelDescription {
  const model = top.section("model_cfg") ?? top;
  const vision = model.section("vision_cfg");
  if (!vision) return {};
  const quick = model.flag("quick_gelu") ?? false;
  const text = openClipText(model.section("text_cfg"), quick);
  if (vision.text("timm_model_name") !== undefined) return { ...text, activation: "gelu" };
  vision.oneOf("pool_type", ["tok"]);
  return {
    ...text,
    ...openClipTower(vision, quick),
    headWidth: vision.count("head_width"),
    imageSize: vision.sides("image_size"),
  };
}

/**
 * timm's `config.json`: of the CLIP models only those named `quickgelu` use QuickGELU. OpenAI's weights do under either name: they
 * were trained so, and timm says of the other name that it does not give the original results.
 */
function timmOptions(top: Entries): ModelDescription {
  const architecture = top.text("architecture");
  if (architecture === undefined) return {};
  const args = top.section("model_args");
  const tag = top.section("pretrained_cfg")?.text("tag") ?? "";
  const quick = architecture.includes("quickgelu") || tag.startsWith("openai");
  const own = architecture.includes("_clip_") ? (quick ? "quickGelu" : "gelu") : undefined;
  return {
    heads: args?.count("num_heads"),
    activation: args?.activation("act_layer") ?? own,
  };
}

/** DINOv2's own training configuration: how the positional embedding is resized. */
function dinov2Options(top: Entries): ModelDescription {
  const antialias = top.flag("interpolate_antialias");
  if (antialias === undefined) return {};
  return { posInterpolation: antialias ? "dinov2_reg" : "dinov2" };
}

/** RADIO's `config.json`: one class token per teacher, the summary from those that have one. */
function radioOptions(top: Entries): ModelDescription {
  const args = top.section("args");
  const list = args?.json.teachers;
  if (!args || !Array.isArray(list)) return {};
  const configs = top.section("adaptor_configs");
  const perTeacher = args.flag("cls_token_per_teacher") ?? true;
  const slots: Record<string, number> = {};
  const summary = new Map<string, number>();
  const teachers = list.map((json, i) => {
    const teacher = new Entries(isJson(json) ? json : {}, `args.teachers[${i}].`);
    const name = teacher.text("name") ?? "";
    const slot = configs?.section(name)?.index("head_idx") ?? teacher.index("token_slot") ?? i;
    slots[name] ??= perTeacher ? slot : 0; // a teacher that is listed again shares its first token
    if ((teacher.flag("use_summary") ?? true) && !summary.has(name)) summary.set(name, i);
    return name;
  });
  return {
    family: "radio",
    classTokens: perTeacher ? new Set(teachers).size : 1,
    registers: args.index("cpe_num_registers"),
    summaryTokens: perTeacher ? [...summary.values()] : [0],
    teachers,
    adaptorSlots: slots,
  };
}

/** Later entries win where they are defined. */
function merge(...parts: readonly ModelDescription[]): ModelDescription {
  const entries = parts.flatMap((part) => Object.entries(part));
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

/**
 * Reads a model configuration: our own options, or the JSON of transformers, open_clip, timm, DINOv2 or RADIO; both may be mixed,
 * our names win. Entries that mean nothing here are passed over.
 *
 * @throws {InputError} when an entry that is used has the wrong type
 */
export function readModelConfig(config: unknown): ModelDescription {
  if (config === undefined || config === null) return {};
  if (!isJson(config)) {
    throw new InputError(
      `Cannot use the model configuration: it must be an object, got ${JSON.stringify(config)}`,
    );
  }
  const top = new Entries(config, "");
  return merge(
    huggingFaceOptions(top),
    openClipOptions(top),
    timmOptions(top),
    dinov2Options(top),
    radioOptions(top),
    ownOptions(top),
  );
}
