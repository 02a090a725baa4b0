/**
 * The architecture of a checkpoint, from the shapes of its tensors, the family's habits and what the user says; and the check that
 * every tensor is there in the right shape.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { shapeSize } from "../io/state_dict.ts";
import { toFloat32 } from "../io/state_dict.ts";
import { listNames, type MappedCheckpoint } from "./layouts.ts";
import type { Grid, PosEmbedConvention } from "./pos_embed.ts";
import type { ModelDescription, ModelFamily } from "./vit_options.ts";
import type { Activation } from "../../shaders/elementwise/unary.ts";

/** Sizes of one transformer. */
export interface TowerConfig {
  /** Length of a token. */
  readonly width: number;
  /** Number of blocks. */
  readonly depth: number;
  /** Attention heads. */
  readonly heads: number;
  /** Hidden units of an MLP; half of the first layer's where it is gated. */
  readonly hidden: number;
  /** True for SwiGLU: `silu(x₁)·x₂` of the two halves of the first layer. */
  readonly gated: boolean;
  /** Activation of the MLPs (of the gate, where there is one). */
  readonly activation: Activation;
  /** Added to the variance by every layer norm. */
  readonly eps: number;
}

/** An image tower. */
export interface VitConfig extends TowerConfig {
  /** Family. */
  readonly family: ModelFamily;
  /** Side of a patch in pixels. */
  readonly patchSize: number;
  /** Colour channels of the input. */
  readonly channels: number;
  /** Tokens before the patches: class tokens and registers. */
  readonly prefixTokens: number;
  /** Rows of the positional embedding before the patches (0 or 1). */
  readonly posPrefix: number;
  /** Patch grid of the positional embedding. */
  readonly grid: Grid;
  /** How the positional embedding is brought to other grids. */
  readonly posInterpolation: PosEmbedConvention;
}

/** A text tower. */
export interface TextConfig extends TowerConfig {
  /** Longest caption in tokens. */
  readonly context: number;
  /** Number of token ids. */
  readonly vocabulary: number;
  /** True for CLIP: a token sees the ones before it only. */
  readonly causal: boolean;
  /** Which token the embedding is read from: the caption's end (CLIP) or the last position (SigLIP). */
  readonly pooling: "end" | "last";
  /** Token id that ends a caption; the largest of the caption when left out. */
  readonly endToken?: number;
  /** Token id that fills a caption up to the context; 0 when left out. */
  readonly padToken?: number;
}

/** Number of token ids of Gemma's tokenizer, which is SigLIP 2's; it pads with 0, SigLIP's own with 1. */
const GEMMA_VOCABULARY = 256_000;

/**
 * How each family resizes positions. CLIP: transformers and BrainSAIL resize to a size, NACLIP by a factor; the former is the
 * default. DINO and DINOv2: their repositories. MAE: transformers (its own code cannot).
 */
const familyInterpolation: Readonly<Record<ModelFamily, PosEmbedConvention>> = {
  clip: "hf",
  dinov2: "dinov2",
  dino: "dino",
  mae: "hf",
  siglip: "hf",
  radio: "radio",
};

/**
 * Layer norm's eps: openai/CLIP leaves PyTorch's 1e-5, every other repository sets 1e-6; transformers runs ViT, and with it DINO and
 * MAE, with 1e-12 where its configuration says nothing.
 */
function usualEps(family: ModelFamily, { layout }: MappedCheckpoint): number {
  if (family === "clip") return 1e-5;
  return layout === "hf_vit" && family !== "dinov2" ? 1e-12 : 1e-6;
}

const familyActivation: Readonly<Record<ModelFamily, Activation>> = {
  clip: "quickGelu", // as OpenAI trained it; open_clip's own weights want "gelu", which their files do not say
  dinov2: "gelu",
  dino: "gelu",
  mae: "gelu",
  siglip: "geluTanh", // big_vision's gelu is the tanh approximation; transformers says so in its configuration
  radio: "gelu",
};

/** timm's SigLIP, which is open_clip's too, runs the exact GELU. */
function usualActivation(family: ModelFamily, { layout }: MappedCheckpoint): Activation {
  return family === "siglip" && layout === "timm" ? "gelu" : familyActivation[family];
}

/**
 * Widths of the public image towers that have 16 heads, which are not 64 wide: SO400M, ViT-H, ViT-g, ViT-bigG and ViT-e (open_clip
 * `model_configs`, timm `vision_transformer.py`). OpenAI's rule for the rest is `width // 64`.
 */
const sixteenHeads: readonly number[] = [1152, 1280, 1408, 1664, 1792];

/** Heads where nobody says them; SigLIP 2's giant (1536) has 16, DINOv2's 24; ViT-bigG's text tower (1280) has 20. */
function usualHeads(tower: "image" | "text", width: number, family: ModelFamily): number {
  const widths = tower === "text"
    ? [1152]
    : family === "siglip"
    ? [...sixteenHeads, 1536]
    : sixteenHeads;
  return widths.includes(width) ? 16 : width / 64;
}

/** Reads one checkpoint's shapes. */
export class ShapeReader {
  constructor(readonly checkpoint: MappedCheckpoint) {}

  has(name: string): boolean {
    return this.checkpoint.tensors.has(name);
  }

  /** Shape with our orientation, `undefined` where the tensor is missing. */
  shape(name: string): readonly number[] | undefined {
    const found = this.checkpoint.tensors.get(name);
    if (!found) return undefined;
    const { shape } = found.tensor;
    return found.transposed ? [...shape].reverse() : shape;
  }

  /** As {@link shape}, for a tensor that must be there with so many axes. */
  need(name: string, axes: readonly number[]): readonly number[] {
    const shape = this.shape(name);
    if (!shape) {
      throw new InputError(
        `Cannot load the checkpoint: expected the key "${
          this.checkpoint.sourceName(name)
        }", found ${listNames([...this.checkpoint.tensors.values()].map((t) => t.source))}`,
      );
    }
    if (!axes.includes(shape.length) || shape.some((n) => n === 0)) {
      throw new InputError(
        `Cannot load the checkpoint: "${this.checkpoint.tensors.get(name)!.source}" must have ${
          axes.join(" or ")
        } axes and no empty one, got [${shape}]`,
      );
    }
    return shape;
  }

  /** Number of blocks that any key names. */
  depth(tower: string): number {
    let depth = 0;
    for (const name of this.checkpoint.tensors.keys()) {
      const match = name.startsWith(`${tower}blocks.`) &&
        /^blocks\.(\d+)\./.exec(name.slice(tower.length));
      if (match) depth = Math.max(depth, Number(match[1]) + 1);
    }
    return depth;
  }
}

/** The family where the keys leave no doubt. */
function certainFamily(reader: ShapeReader): ModelFamily | undefined {
  const { layout } = reader.checkpoint;
  if (layout === "radio") return "radio";
  if (layout === "hf_clip" || layout === "openai") {
    return reader.has("pre_norm.weight") || reader.has("cls") ? "clip" : "siglip";
  }
  if (reader.has("pool.probe")) return "siglip";
  if (reader.has("pre_norm.weight")) return "clip";
  if (layout === "timm" && !reader.has("cls")) return "siglip"; // its `gap` variants pool by the mean
  return reader.has("registers") || reader.has("blocks.0.scale1") ? "dinov2" : undefined;
}

function familyOf(reader: ShapeReader, { family }: ModelDescription): ModelFamily {
  const certain = certainFamily(reader);
  if (certain && family && family !== certain) {
    throw new InputError(
      `Cannot load the checkpoint as ${family}, which the configuration says: its keys are those of ${certain}`,
    );
  }
  if (certain || family) return (certain ?? family)!;
  const { checkpoint } = reader;
  if (checkpoint.ignored.some((key) => /(^|\.)decoder[._]/.test(key))) return "mae";
  return hasZeroFirstPosition(checkpoint) ? "mae" : "dino";
}

/** MAE's fixed sine-cosine table gives the class token a row of zeros; DINO's is learned. */
function hasZeroFirstPosition(checkpoint: MappedCheckpoint): boolean {
  const pos = checkpoint.tensors.get("pos")?.tensor;
  const width = pos?.shape.at(-1);
  if (!pos || !width || !shapeSize(pos.shape)) return false;
  return toFloat32(pos).subarray(0, width).every((v) => v === 0);
}

function headsOf(
  tower: "image" | "text",
  { width, family }: { width: number; family: ModelFamily },
  said: { heads?: number; headWidth?: number },
): number {
  const heads = said.heads ?? (said.headWidth ? width / said.headWidth : undefined) ??
    usualHeads(tower, width, family);
  if (!Number.isInteger(heads) || width % heads !== 0) {
    throw new InputError(
      `Cannot tell the number of attention heads of the ${tower} tower: the width ${width} must be a multiple of it, got ${heads}; ` +
        `set "${tower === "text" ? "textHeads" : "heads"}" in the configuration`,
    );
  }
  return heads;
}

function mlpOf(reader: ShapeReader, tower: string): { hidden: number; gated: boolean } {
  const isApart = reader.has(`${tower}blocks.0.gate.weight`); // gate and value, else one after the other
  const [rows] = reader.need(`${tower}blocks.0.${isApart ? "gate" : "fc1"}.weight`, [2]);
  const first = isApart ? 2 * rows : rows;
  const [, hidden] = reader.need(`${tower}blocks.0.fc2.weight`, [2]);
  return { hidden, gated: first === 2 * hidden };
}

function patchOf(reader: ShapeReader): { width: number; channels: number; patchSize: number } {
  const shape = reader.need("patch.weight", [2, 4]);
  const { source } = reader.checkpoint.tensors.get("patch.weight")!;
  const isLinear = shape.length === 2; // RADIO: [width, 3·p²]
  const channels = isLinear ? 3 : shape[1];
  const patchSize = isLinear ? Math.sqrt(shape[1] / 3) : shape[2];
  const isSquare = isLinear ? reader.checkpoint.layout === "radio" : shape[2] === shape[3];
  if (!Number.isInteger(patchSize) || !isSquare) {
    throw new InputError(
      `Cannot load the checkpoint: "${source}" must hold square patches of an image, got [${shape}]`,
    );
  }
  return { width: shape[0], channels, patchSize };
}

function gridOf(
  rows: number,
  { hasClass, patchSize, said }: { hasClass: boolean; patchSize: number; said: ModelDescription },
): { grid: Grid; posPrefix: number } {
  const imageGrid = said.imageSize?.map((n) => Math.floor(n / patchSize));
  const given = said.grid ?? (imageGrid as Grid | undefined);
  for (const posPrefix of hasClass ? [1, 0] : [0]) {
    const patches = rows - posPrefix;
    if (given && given[0] * given[1] === patches) return { grid: given, posPrefix };
  }
  for (const posPrefix of hasClass ? [1, 0] : [0]) {
    const side = Math.sqrt(rows - posPrefix);
    if (!said.grid && side > 0 && Number.isInteger(side)) return { grid: [side, side], posPrefix };
  }
  throw new InputError(
    `Cannot tell the patch grid of the positional embedding: it has ${rows} rows, which is no square${
      hasClass ? " (nor one more than a square)" : ""
    }${given ? ` and does not fit ${given.join("x")}` : ""}; set "grid" in the configuration`,
  );
}

function tokensOf(reader: ShapeReader): number {
  if (reader.checkpoint.layout === "radio") {
    return reader.has("prefix") ? reader.need("prefix", [2])[0] : 0;
  }
  const registers = reader.has("registers") ? reader.need("registers", [2, 3]).at(-2)! : 0;
  return (reader.has("cls") ? 1 : 0) + registers;
}

/**
 * The image tower of a checkpoint.
 *
 * @throws {InputError} when a size cannot be told, naming the option that tells it
 */
export function inferVitConfig(reader: ShapeReader, said: ModelDescription): VitConfig {
  const family = familyOf(reader, said);
  const { width, channels, patchSize } = patchOf(reader);
  const depth = reader.depth("");
  if (depth === 0 || said.depth !== undefined && said.depth < depth) {
    throw new InputError(
      `Cannot load the checkpoint: the configuration says ${
        said.depth ?? "at least 1"
      } blocks, the file has ${depth}`,
    );
  }
  const pos = reader.need("pos", [2, 3]);
  const posRows = pos.at(-2)!;
  const hasClass = reader.has("cls");
  const hasRegisters = reader.has("registers");
  const wanted = said.posInterpolation ?? "auto";
  const own = family === "dinov2" && hasRegisters ? "dinov2_reg" : familyInterpolation[family];
  const mlp = mlpOf(reader, "");
  return {
    family,
    width,
    channels,
    patchSize,
    depth: said.depth ?? depth,
    heads: headsOf("image", { width, family }, said),
    ...mlp,
    activation: mlp.gated ? "silu" : said.activation ?? usualActivation(family, reader.checkpoint),
    eps: said.eps ?? usualEps(family, reader.checkpoint),
    prefixTokens: tokensOf(reader),
    ...gridOf(posRows, { hasClass, patchSize, said }),
    posInterpolation: wanted === "auto" ? own : wanted,
  };
}

/**
 * The text tower of a checkpoint, `undefined` where it has none.
 *
 * @throws {InputError} when a size cannot be told, naming the option that tells it
 */
export function inferTextConfig(
  reader: ShapeReader,
  vision: VitConfig,
  said: ModelDescription,
): TextConfig | undefined {
  if (!reader.has("text.token")) return undefined;
  const [vocabulary, width] = reader.need("text.token", [2]);
  const [context] = reader.need("text.pos", [2]);
  const mlp = mlpOf(reader, "text.");
  const isClip = vision.family === "clip";
  return {
    width,
    depth: reader.depth("text."),
    heads: headsOf("text", { width, family: vision.family }, { heads: said.textHeads }),
    ...mlp,
    activation: mlp.gated ? "silu" : said.textActivation ?? vision.activation,
    eps: said.textEps ?? said.eps ?? usualEps(vision.family, reader.checkpoint),
    context,
    vocabulary,
    causal: said.textCausal ?? isClip,
    pooling: said.textPooling ?? (isClip ? "end" : "last"),
    endToken: said.endToken,
    padToken: isClip || vocabulary === GEMMA_VOCABULARY ? 0 : 1,
  };
}
