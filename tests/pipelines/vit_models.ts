/**
 * One tiny model of every family, with every layout that people have it in.
 *
 * @module
 */
import { makeText, makeVision, type PlainModel, random, reshaped } from "./vit_fixtures.ts";
import * as write from "./vit_layout_writers.ts";
import type { ModelFamily } from "../../pipelines/models/vit_options.ts";

/** A model and its spellings. */
export interface TinyModel {
  /** Name in test names. */
  readonly name: string;
  /** Family that must be recognised. */
  readonly family: ModelFamily;
  /** Weights by plain names. */
  readonly model: PlainModel;
  /** Attention heads of the image tower. */
  readonly heads: number;
  /** Key names by layout, with the configuration that the layout needs. */
  readonly layouts: readonly {
    readonly name: string;
    readonly keys: PlainModel;
    readonly config: Record<string, unknown>;
  }[];
}

const sizes = { width: 24, depth: 2, hidden: 40 };
const text = { width: 16, depth: 2, hidden: 24, vocabulary: 50 };

const clipModel: PlainModel = {
  ...makeVision({
    ...sizes,
    patchSize: 4,
    grid: [3, 3],
    patchBias: false,
    preNorm: true,
    projected: 12,
  }),
  ...makeText({ ...text, context: 9, projected: 12 }),
};
const hfClipConfig = {
  model_type: "clip",
  vision_config: { num_attention_heads: 3, hidden_act: "quick_gelu", layer_norm_eps: 1e-5 },
  text_config: { num_attention_heads: 2, hidden_act: "quick_gelu", eos_token_id: 2 },
};

/** CLIP. */
export const clip: TinyModel = {
  name: "CLIP",
  family: "clip",
  model: clipModel,
  heads: 3,
  layouts: [
    { name: "transformers", keys: write.asHuggingFaceClip(clipModel), config: hfClipConfig },
    { name: "OpenAI", keys: write.asOpenAi(clipModel), config: { heads: 3, textHeads: 2 } },
    {
      name: "transformers (image tower)",
      keys: bareImageTower(write.asHuggingFaceClip(clipModel)),
      config: { model_type: "clip_vision_model", num_attention_heads: 3 },
    },
    {
      name: "open_clip",
      keys: prefixed("module.", write.asOpenAi(clipModel)),
      config: {
        model_cfg: {
          quick_gelu: true,
          vision_cfg: { width: 24, head_width: 8 },
          text_cfg: { heads: 2 },
        },
      },
    },
    {
      name: "timm (image tower)",
      keys: write.asTimm(clipModel),
      config: { heads: 3, architecture: "vit_base_patch16_clip_quickgelu_224" },
    },
  ],
};

/** The keys of the image tower alone, without the tower's prefix, as transformers writes `CLIPVisionModelWithProjection` since 5. */
function bareImageTower(keys: PlainModel): PlainModel {
  const kept = Object.entries(keys).filter(([k]) => /^(vision_model|visual_projection)\./.test(k));
  return Object.fromEntries(kept.map(([k, v]) => [k.replace(/^vision_model\./, ""), v]));
}

/** The names that transformers gives the attention of Dinov2 since 5. */
function renamedAttention(keys: PlainModel): PlainModel {
  const short = (k: string) =>
    k.replace(/attention\.attention\.([qkv])(uery|ey|alue)/, "attention.$1_proj")
      .replace("attention.output.dense", "attention.o_proj");
  return Object.fromEntries(Object.entries(keys).map(([k, v]) => [short(k), v]));
}

/** The names that transformers 5 gives ViT and ViTMAE in memory; its files keep the older ones. */
function inMemoryVit(keys: PlainModel): PlainModel {
  const short = (k: string) =>
    k.replace("encoder.layer.", "layers.")
      .replace(/\.intermediate\.dense\./, ".mlp.fc1.")
      .replace(/(\d+)\.output\.dense\./, "$1.mlp.fc2.");
  const renamed = renamedAttention(keys);
  return Object.fromEntries(Object.entries(renamed).map(([k, v]) => [short(k), v]));
}

/** The names that transformers 5 gives Dinov2's SwiGLU in memory: gate and value apart. */
function inMemorySwiglu(keys: PlainModel): PlainModel {
  const out: PlainModel = {};
  for (const [key, value] of Object.entries(renamedAttention(keys))) {
    const [rows, ...rest] = value.shape;
    const half = (start: number) => ({
      shape: [rows / 2, ...rest],
      data: value.data.slice(start * value.data.length / 2, (start + 1) * value.data.length / 2),
    });
    if (key.includes("mlp.weights_in.")) {
      out[key.replace("weights_in", "gate_proj")] = half(0);
      out[key.replace("weights_in", "up_proj")] = half(1);
    } else out[key.replace("weights_out", "down_proj")] = value;
  }
  return out;
}

/** `root` in front of every key. */
export function prefixed(root: string, keys: PlainModel): PlainModel {
  return Object.fromEntries(Object.entries(keys).map(([k, v]) => [root + k, v]));
}

const dinov2Shape = { ...sizes, patchSize: 5, grid: [3, 3] as const, layerScale: true };
const registersModel = makeVision({ ...dinov2Shape, registers: 2 });
const swigluModel = makeVision({ ...dinov2Shape, gated: true });
const dinov2Config = { model_type: "dinov2", num_attention_heads: 3, hidden_act: "gelu" };

/** DINOv2 with registers. */
export const dinov2Registers: TinyModel = {
  name: "DINOv2 with registers",
  family: "dinov2",
  model: registersModel,
  heads: 3,
  layouts: [
    {
      name: "transformers",
      keys: write.asHuggingFaceDinov2(registersModel),
      config: { ...dinov2Config, model_type: "dinov2_with_registers" },
    },
    {
      name: "transformers, prefixed",
      keys: {
        ...prefixed("dinov2_with_registers.", write.asHuggingFaceDinov2(registersModel)),
        "classifier.weight": random([5, 48]),
      },
      config: dinov2Config,
    },
    { name: "the repository", keys: write.asDinov2(registersModel), config: { num_heads: 3 } },
    {
      name: "transformers 5",
      keys: renamedAttention(write.asHuggingFaceDinov2(registersModel)),
      config: dinov2Config,
    },
    { name: "timm", keys: write.asTimmDinov2Reg(registersModel), config: { heads: 3 } },
  ],
};

/** DINOv2 without registers, with SwiGLU. */
export const dinov2Swiglu: TinyModel = {
  name: "DINOv2 with SwiGLU",
  family: "dinov2",
  model: swigluModel,
  heads: 3,
  layouts: [
    {
      name: "transformers",
      keys: write.asHuggingFaceDinov2(swigluModel),
      config: { ...dinov2Config, use_swiglu_ffn: true },
    },
    { name: "the repository", keys: write.asDinov2(swigluModel), config: { heads: 3 } },
    {
      name: "transformers 5, in memory",
      keys: inMemorySwiglu(write.asHuggingFaceDinov2(swigluModel)),
      config: dinov2Config,
    },
    {
      name: "the repository, chunked",
      keys: {
        ...prefixed("teacher.backbone.", chunked(write.asDinov2(swigluModel))),
        "teacher.dino_head.last_layer.weight_v": random([5, 8]),
        "teacher.ibot_head.mlp.0.bias": random([8]),
      },
      config: { heads: 3 },
    },
  ],
};

/** Training checkpoints of DINOv2 keep the blocks in chunks: `blocks.0.<i>.…`. */
function chunked(keys: PlainModel): PlainModel {
  const entries = Object.entries(keys);
  return Object.fromEntries(entries.map(([k, v]) => [k.replace(/^blocks\./, "blocks.0."), v]));
}

const dinoModel = makeVision({ ...sizes, patchSize: 4, grid: [3, 3] });

/** DINO. */
export const dino: TinyModel = {
  name: "DINO",
  family: "dino",
  model: dinoModel,
  heads: 3,
  layouts: [
    {
      name: "transformers",
      keys: {
        ...write.asHuggingFaceVit(dinoModel),
        "pooler.dense.weight": random([24, 24]),
        "pooler.dense.bias": random([24]),
      },
      config: { model_type: "vit", num_attention_heads: 3, layer_norm_eps: 1e-6 },
    },
    { name: "the repository", keys: write.asTimm(dinoModel), config: { heads: 3 } },
    {
      name: "transformers 5, in memory",
      keys: inMemoryVit(write.asHuggingFaceVit(dinoModel)),
      config: { model_type: "vit", num_attention_heads: 3, layer_norm_eps: 1e-6 },
    },
    {
      name: "a training checkpoint",
      keys: {
        ...prefixed("module.backbone.", write.asTimm(dinoModel)),
        "module.head.mlp.0.weight": random([8, 24]),
        "module.head.last_layer.weight_g": random([5, 1]),
      },
      config: { heads: 3 },
    },
  ],
};

const maeModel = makeVision({ ...sizes, patchSize: 4, grid: [3, 3] });
maeModel.pos.data.fill(0, 0, 24); // the fixed table has a row of zeros for the class token

/** The encoder of MAE. */
export const mae: TinyModel = {
  name: "MAE",
  family: "mae",
  model: maeModel,
  heads: 3,
  layouts: [
    {
      name: "transformers, pre-training",
      keys: {
        ...write.asHuggingFaceVit(maeModel, "vit."),
        "decoder.mask_token": random([1, 1, 8]),
        "decoder.decoder_embed.weight": random([8, 24]),
      },
      config: { model_type: "vit_mae", num_attention_heads: 3, layer_norm_eps: 1e-6 },
    },
    {
      name: "the repository",
      keys: {
        ...write.asTimm(maeModel),
        mask_token: random([1, 1, 8]),
        decoder_pos_embed: random([1, 10, 8]),
        "decoder_embed.weight": random([8, 24]),
        "decoder_blocks.0.norm1.weight": random([8]),
      },
      config: { heads: 3 },
    },
    { name: "the repository, encoder alone", keys: write.asTimm(maeModel), config: { heads: 3 } },
  ],
};

const siglipModel: PlainModel = {
  ...makeVision({ ...sizes, patchSize: 4, grid: [3, 3], cls: false, pool: true }),
  ...makeText({ ...text, width: 24, context: 6, projected: 24, headBias: true }),
};

/** SigLIP. */
export const siglip: TinyModel = {
  name: "SigLIP",
  family: "siglip",
  model: siglipModel,
  heads: 3,
  layouts: [
    {
      name: "transformers",
      keys: write.asHuggingFaceClip(siglipModel),
      config: {
        model_type: "siglip",
        vision_config: { num_attention_heads: 3, hidden_act: "gelu_pytorch_tanh" },
        text_config: { num_attention_heads: 3 },
      },
    },
    {
      name: "open_clip",
      keys: write.asOpenClipSiglip(siglipModel),
      config: { heads: 3, textHeads: 3, activation: "gelu_tanh" }, // timm's own is the exact one
    },
    {
      name: "timm (image tower)",
      keys: write.asTimm(siglipModel),
      config: { architecture: "", model_args: { num_heads: 3, act_layer: "gelu_tanh" } },
    },
  ],
};

const radioModel: PlainModel = {
  ...makeVision({
    ...sizes,
    patchSize: 4,
    grid: [5, 5],
    patchBias: false,
    cls: false,
    postNorm: false,
  }),
  prefix: random([5, 24], 0.1),
};
const conditioner: PlainModel = {
  "input_conditioner.norm_mean": reshaped(random([3], 0.05, 0.45), 3, 1, 1),
  "input_conditioner.norm_std": reshaped(random([3], 0.02, 0.25), 3, 1, 1),
};

/** AM-RADIO. */
export const radio: TinyModel = {
  name: "RADIO",
  family: "radio",
  model: { ...radioModel, ...conditioner },
  heads: 3,
  layouts: [
    {
      name: "transformers",
      keys: { ...write.asRadio(radioModel), ...prefixed("radio_model.", conditioner) },
      config: { heads: 3, summaryTokens: [0, 2] },
    },
    {
      name: "transformers' own class, in memory",
      keys: { ...write.asHuggingFaceRadio(radioModel), ...conditioner },
      config: { model_type: "radio", num_attention_heads: 3, summary_idxs: [0, 2] },
    },
    {
      name: "the repository",
      keys: {
        ...write.asRadio(radioModel, "base_model."),
        ...conditioner,
        "base_model.reg_token": random([1, 4, 24]), // left over from a body made for registers
      },
      config: {
        num_heads: 3,
        args: {
          cls_token_per_teacher: true,
          teachers: [{ name: "clip" }, { name: "sam", use_summary: false }, { name: "siglip" }],
        },
      },
    },
  ],
};

/** Every model. */
export const tinyModels: readonly TinyModel[] = [
  clip,
  dinov2Registers,
  dinov2Swiglu,
  dino,
  mae,
  siglip,
  radio,
];
