/**
 * What a user may say about a model: our own options, or the configuration file that came with the weights.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { type PosEmbedConvention, posEmbedConventions } from "./pos_embed.ts";
import type { Activation } from "../../shaders/elementwise/unary.ts";

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

const activationNames: Readonly<Record<string, Activation>> = {
  quick_gelu: "quickGelu",
  quickGelu: "quickGelu",
  gelu: "gelu",
  gelu_new: "geluTanh",
  gelu_pytorch_tanh: "geluTanh",
  gelu_tanh: "geluTanh",
  geluTanh: "geluTanh",
  relu: "relu",
  silu: "silu",
  swish: "silu",
};

type Json = Readonly<Record<string, unknown>>;

function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Reads the first of several spellings of an entry, checked. */
class Entries {
  constructor(readonly json: Json, readonly where: string) {}

  #first(names: readonly string[]): [string, unknown] | undefined {
    const name = names.find((n) => this.json[n] !== undefined && this.json[n] !== null);
    return name === undefined ? undefined : [name, this.json[name]];
  }

  #fail(name: string, rule: string, value: unknown): never {
    throw new InputError(
      `Cannot use the model configuration: "${this.where}${name}" must be ${rule}, got ${
        JSON.stringify(value)
      }`,
    );
  }

  count(...names: string[]): number | undefined {
    const found = this.#first(names);
    if (!found) return undefined;
    const [name, value] = found;
    if (!Number.isInteger(value) || (value as number) < 1) {
      this.#fail(name, "a whole number from 1", value);
    }
    return value as number;
  }

  index(...names: string[]): number | undefined {
    const found = this.#first(names);
    if (!found) return undefined;
    const [name, value] = found;
    if (!Number.isInteger(value) || (value as number) < 0) {
      this.#fail(name, "a whole number from 0", value);
    }
    return value as number;
  }

  positive(...names: string[]): number | undefined {
    const found = this.#first(names);
    if (!found) return undefined;
    const [name, value] = found;
    if (typeof value !== "number" || !(value > 0) || !Number.isFinite(value)) {
      this.#fail(name, "a number above 0", value);
    }
    return value;
  }

  flag(...names: string[]): boolean | undefined {
    const found = this.#first(names);
    if (!found) return undefined;
    if (typeof found[1] !== "boolean") this.#fail(found[0], "true or false", found[1]);
    return found[1];
  }

  text(...names: string[]): string | undefined {
    const found = this.#first(names);
    if (!found) return undefined;
    if (typeof found[1] !== "string") this.#fail(found[0], "a string", found[1]);
    return found[1];
  }

  oneOf<T extends string>(name: string, allowed: readonly T[]): T | undefined {
    const value = this.text(name);
    if (value !== undefined && !allowed.includes(value as T)) {
      this.#fail(name, `one of ${allowed.join(", ")}`, value);
    }
    return value as T | undefined;
  }

  activation(...names: string[]): Activation | undefined {
    const found = this.#first(names);
    if (!found) return undefined;
    const known = typeof found[1] === "string" ? activationNames[found[1]] : undefined;
    return known ?? this.#fail(found[0], `one of ${Object.keys(activationNames)}`, found[1]);
  }

  indices(...names: string[]): number[] | undefined {
    const found = this.#first(names);
    if (!found) return undefined;
    const [name, value] = found;
    if (!Array.isArray(value) || !value.every((v) => Number.isInteger(v) && v >= 0)) {
      this.#fail(name, "a list of whole numbers from 0", value);
    }
    return value as number[];
  }

  /** One side or `[rows, columns]`. */
  sides(...names: string[]): readonly [number, number] | undefined {
    const found = this.#first(names);
    if (!found) return undefined;
    const value = typeof found[1] === "number" ? [found[1], found[1]] : found[1];
    if (
      !Array.isArray(value) || value.length !== 2 ||
      !value.every((v) => Number.isInteger(v) && v > 0)
    ) this.#fail(found[0], "a whole number or a list of two", found[1]);
    return [value[0], value[1]];
  }

  section(...names: string[]): Entries | undefined {
    const found = this.#first(names);
    return found && isJson(found[1])
      ? new Entries(found[1], `${this.where}${found[0]}.`)
      : undefined;
  }
}

/** What a configuration says beyond {@link ModelOptions}: checked against the shapes of the weights. */
export interface ModelDescription extends ModelOptions {
  /** Blocks of the image tower. */
  readonly depth?: number;
  /** Width of one head, in place of `heads`. */
  readonly headWidth?: number;
  /** Image `[height, width]` in pixels that the positional embedding belongs to. */
  readonly imageSize?: readonly [number, number];
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

/** open_clip's `open_clip_config.json`: plain GELU unless it says `quick_gelu`. */
function openClipOptions(top: Entries): ModelDescription {
  const model = top.section("model_cfg");
  const vision = model?.section("vision_cfg");
  const text = model?.section("text_cfg");
  if (!model || !vision || typeof vision.json.timm_model_name === "string") return {};
  const activation = model.flag("quick_gelu") ? "quickGelu" : "gelu";
  return {
    headWidth: vision.count("head_width"),
    imageSize: vision.sides("image_size"),
    activation,
    textActivation: activation,
    textHeads: text?.count("heads"),
  };
}

/** timm's `config.json`: of the CLIP models only those named `quickgelu` and OpenAI's own use QuickGELU. */
function timmOptions(top: Entries): ModelDescription {
  const architecture = top.text("architecture");
  if (!architecture?.includes("_clip_")) return {};
  const tag = top.section("pretrained_cfg")?.text("tag") ?? "";
  const quick = architecture.includes("quickgelu") || tag.startsWith("openai");
  return { activation: quick ? "quickGelu" : "gelu" };
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
  const teachers = args?.json.teachers;
  if (!args || !Array.isArray(teachers)) return {};
  const names = teachers.map((t) => isJson(t) ? String(t.name) : "");
  const summary = teachers.flatMap((t, i) => isJson(t) && t.use_summary === false ? [] : [i]);
  const adaptors = top.section("adaptor_configs");
  const adaptorToken = adaptors?.section("siglip")?.index("head_idx") ?? names.indexOf("siglip");
  const perTeacher = args.flag("cls_token_per_teacher") ?? true;
  return {
    family: "radio",
    classTokens: perTeacher ? new Set(names).size : 1,
    registers: args.index("cpe_num_registers"),
    summaryTokens: perTeacher ? summary : [0],
    adaptorToken: adaptorToken < 0 ? undefined : perTeacher ? adaptorToken : 0,
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
