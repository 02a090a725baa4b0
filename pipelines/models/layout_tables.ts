/**
 * Key names of vision transformer checkpoints in the layouts people have, as tables from a file's name to ours.
 *
 * `{i}` stands for a block number, `*` for `weight` or `bias`, `{name}` for one path segment, and `^T` after a target for a
 * matrix that the layout stores as `[in, out]`. Several source names for one target are the spellings of different releases.
 *
 * @module
 */

/** Names of the layouts. */
export type LayoutName = "hf_clip" | "hf_vit" | "openai" | "timm" | "radio";

/** One tower of one layout. */
export interface TowerTable {
  /** Layout that the table belongs to. */
  readonly layout: LayoutName;
  /** Which tower it names. */
  readonly tower: "vision" | "text";
  /** The key that marks it; what stands before it in the file is the prefix of all its keys. */
  readonly anchor: string;
  /** Source name → our name. */
  readonly keys: Readonly<Record<string, string>>;
  /** Source names that carry nothing for inference; a last `.` stands for everything below it. */
  readonly ignored: readonly string[];
}

type Keys = Readonly<Record<string, string>>;

function prefixed(from: string, to: string, keys: Keys): Record<string, string> {
  return Object.fromEntries(Object.entries(keys).map(([a, b]) => [from + a, to + b]));
}

/** transformers, CLIP's and SigLIP's encoder layer. */
const hfClipBlock: Keys = {
  "layer_norm1.*": "norm1.*",
  "self_attn.q_proj.*": "q.*",
  "self_attn.k_proj.*": "k.*",
  "self_attn.v_proj.*": "v.*",
  "self_attn.out_proj.*": "out.*",
  "layer_norm2.*": "norm2.*",
  "mlp.fc1.*": "fc1.*",
  "mlp.fc2.*": "fc2.*",
};

/** openai/CLIP and open_clip, `ResidualAttentionBlock`. */
const openaiBlock: Keys = {
  "ln_1.*": "norm1.*",
  "attn.in_proj_weight": "qkv.weight",
  "attn.in_proj_bias": "qkv.bias",
  "attn.out_proj.*": "out.*",
  "ls_1.gamma": "scale1",
  "ln_2.*": "norm2.*",
  "mlp.c_fc.*": "fc1.*",
  "mlp.c_proj.*": "fc2.*",
  "ls_2.gamma": "scale2",
};

/** timm's `Block`, and with it DINO, DINOv2, MAE and RADIO. DINOv2's SwiGLU stores gate and value as one `w12`. */
const timmBlock: Keys = {
  "norm1.*": "norm1.*",
  "attn.qkv.*": "qkv.*",
  "attn.proj.*": "out.*",
  "ls1.gamma": "scale1",
  "norm2.*": "norm2.*",
  "mlp.fc1.*": "fc1.*",
  "mlp.fc2.*": "fc2.*",
  "mlp.w12.*": "fc1.*",
  "mlp.w3.*": "fc2.*",
  "ls2.gamma": "scale2",
};

/** transformers' LayerScale. */
const hfLayerScale: Keys = { "layer_scale1.lambda1": "scale1", "layer_scale2.lambda1": "scale2" };

/** transformers, ViT and ViTMAE (first half) and Dinov2 (second half), with the names that release 5 has in memory. */
const hfVitBlock: Keys = {
  "layernorm_before.*": "norm1.*",
  "attention.attention.query.*": "q.*",
  "attention.attention.key.*": "k.*",
  "attention.attention.value.*": "v.*",
  "attention.output.dense.*": "out.*",
  "attention.q_proj.*": "q.*",
  "attention.k_proj.*": "k.*",
  "attention.v_proj.*": "v.*",
  "attention.o_proj.*": "out.*",
  "layernorm_after.*": "norm2.*",
  "intermediate.dense.*": "fc1.*",
  "output.dense.*": "fc2.*",
  "norm1.*": "norm1.*",
  "norm2.*": "norm2.*",
  "mlp.fc1.*": "fc1.*",
  "mlp.fc2.*": "fc2.*",
  "mlp.weights_in.*": "fc1.*",
  "mlp.weights_out.*": "fc2.*",
  "mlp.gate_proj.*": "gate.*",
  "mlp.up_proj.*": "up.*",
  "mlp.down_proj.*": "fc2.*",
  ...hfLayerScale,
};

/** RADIO's block is timm's. Its files have other names for LayerScale's `gamma`, which transformers takes for a norm's. */
const radioBlock: Keys = {
  ...timmBlock,
  ...hfLayerScale,
  "ls1.grandma": "scale1", // sic
  "ls2.grandma": "scale2",
};

/** The towers, in the order in which their anchors are looked for. */
export const towerTables: readonly TowerTable[] = [
  {
    layout: "radio",
    tower: "vision",
    anchor: "patch_generator.embedder.weight",
    keys: {
      "patch_generator.embedder.*": "patch.*",
      "patch_generator.pos_embed": "pos",
      "patch_generator.cls_token.token": "prefix",
      ...prefixed("blocks.{i}.", "blocks.{i}.", radioBlock),
      "norm.*": "post_norm.*",
    },
    // a body made for registers keeps timm's own, which the patch generator's replace
    ignored: ["head.", "fc_norm.", "reg_token", "mask_token", "patch_generator.video_embedder."],
  },
  {
    layout: "radio", // transformers' RadioModel in memory; its files have the names above
    tower: "vision",
    anchor: "embeddings.patch_projection.weight",
    keys: {
      "embeddings.patch_projection.*": "patch.*",
      "embeddings.position_embedding": "pos",
      "embeddings.cls_register_token": "prefix",
      ...prefixed("encoder.layer.{i}.", "blocks.{i}.", hfVitBlock),
    },
    ignored: ["embeddings.video_patch_projection."],
  },
  {
    layout: "hf_clip",
    tower: "vision",
    anchor: "embeddings.patch_embedding.weight",
    keys: {
      "embeddings.patch_embedding.*": "patch.*",
      "embeddings.class_embedding": "cls",
      "embeddings.position_embedding.weight": "pos",
      "pre_layrnorm.*": "pre_norm.*", // sic
      ...prefixed("encoder.layers.{i}.", "blocks.{i}.", hfClipBlock),
      "post_layernorm.*": "post_norm.*",
      "head.probe": "pool.probe",
      "head.attention.in_proj_weight": "pool.qkv.weight",
      "head.attention.in_proj_bias": "pool.qkv.bias",
      "head.attention.out_proj.*": "pool.out.*",
      "head.layernorm.*": "pool.norm.*",
      "head.mlp.fc1.*": "pool.fc1.*",
      "head.mlp.fc2.*": "pool.fc2.*",
    },
    ignored: ["embeddings.position_ids"],
  },
  {
    layout: "openai",
    tower: "vision",
    anchor: "ln_pre.weight",
    keys: {
      "conv1.*": "patch.*",
      "class_embedding": "cls",
      "positional_embedding": "pos",
      "ln_pre.*": "pre_norm.*",
      ...prefixed("transformer.resblocks.{i}.", "blocks.{i}.", openaiBlock),
      "ln_post.*": "post_norm.*",
      "proj": "projection.weight^T",
    },
    ignored: [],
  },
  {
    layout: "timm",
    tower: "vision",
    anchor: "patch_embed.proj.weight",
    keys: {
      "patch_embed.proj.*": "patch.*",
      "cls_token": "cls",
      "reg_token": "registers",
      "register_tokens": "registers",
      "pos_embed": "pos",
      "norm_pre.*": "pre_norm.*",
      ...prefixed("blocks.{i}.", "blocks.{i}.", timmBlock),
      ...prefixed("blocks.{chunk}.{i}.", "blocks.{i}.", timmBlock), // DINOv2 trained with block_chunks > 0
      "norm.*": "post_norm.*",
      "head.*": "projection.*", // CLIP only, see `dropClassifier`
      "attn_pool.latent": "pool.probe",
      "attn_pool.q.*": "pool.q.*",
      "attn_pool.kv.*": "pool.kv.*",
      "attn_pool.proj.*": "pool.out.*",
      "attn_pool.norm.*": "pool.norm.*",
      "attn_pool.mlp.fc1.*": "pool.fc1.*",
      "attn_pool.mlp.fc2.*": "pool.fc2.*",
    },
    ignored: [
      "mask_token",
      "head_dist.",
      "fc_norm.",
      "decoder_",
      "decoder.",
    ],
  },
  {
    layout: "hf_vit",
    tower: "vision",
    anchor: "embeddings.patch_embeddings.projection.weight",
    keys: {
      "embeddings.patch_embeddings.projection.*": "patch.*",
      "embeddings.cls_token": "cls",
      "embeddings.register_tokens": "registers",
      "embeddings.position_embeddings": "pos",
      ...prefixed("encoder.layer.{i}.", "blocks.{i}.", hfVitBlock),
      ...prefixed("layers.{i}.", "blocks.{i}.", hfVitBlock), // transformers 5 in memory
      "layernorm.*": "post_norm.*",
    },
    ignored: ["embeddings.mask_token", "pooler."],
  },
  {
    layout: "hf_clip",
    tower: "text",
    anchor: "embeddings.token_embedding.weight",
    keys: {
      "embeddings.token_embedding.weight": "token",
      "embeddings.position_embedding.weight": "pos",
      ...prefixed("encoder.layers.{i}.", "blocks.{i}.", hfClipBlock),
      "final_layer_norm.*": "post_norm.*",
      "head.*": "projection.*",
    },
    ignored: ["embeddings.position_ids"],
  },
  {
    layout: "openai",
    tower: "text",
    anchor: "token_embedding.weight",
    keys: {
      "token_embedding.weight": "token",
      "positional_embedding": "pos",
      ...prefixed("transformer.resblocks.{i}.", "blocks.{i}.", openaiBlock),
      "ln_final.*": "post_norm.*",
      "text_projection": "projection.weight^T",
      "text_projection.*": "projection.*", // open_clip's SigLIP: a Linear with bias
    },
    ignored: ["attn_mask"],
  },
];

/** Names found by their end, whatever stands before them. */
export const looseKeys: Keys = {
  "visual_projection.weight": "projection.weight",
  "text_projection.weight": "text.projection.weight",
  "logit_scale": "logit_scale",
  "logit_bias": "logit_bias",
  "input_conditioner.norm_mean": "input_mean",
  "input_conditioner.norm_std": "input_std",
  "summary_idxs": "summary_indices",
  "feature_normalizer.mean": "features.mean", // C-RADIO
  "feature_normalizer.tx": "features.weight",
  "_feature_normalizer.mean": "features.mean",
  "_feature_normalizer.tx": "features.weight",
};

/** RADIO's adaptor heads, by the name of the teacher. */
export const adaptorPatterns: readonly RegExp[] = [
  /^(?:.*\.)?adaptors\.([^.]+)\.head_mlp\.(.+)$/,
  /^(?:.*\.)?_heads\.([^.]+)\.(.+)$/,
];

/** Names that end like a loose key and mean something else: a DINOv2 body of RADIO brings a conditioner of its own, which is not run. */
export const notLoose = /(^|\.)(base_)?model\.input_conditioner\./;

/** Names without meaning for inference, wherever they stand. */
export const ignoredAnywhere: readonly RegExp[] = [
  notLoose,
  /(^|\.)(input_resolution|context_length|vocab_size)$/, // OpenAI's TorchScript archives
  /(^|\.)num_batches_tracked$/,
  /^classifier\./,
  /^decoder\./, // ViTMAEForPreTraining
  /(^|\.)adaptors\.[^.]+\.(feat_mlp|oc_model)\./,
  /(^|\.)_feature_projections\./,
  /(^|\.)_?inter(mediate)?_feature_normalizer\./,
  /(^|\.)(dino_head|ibot_head|koleo_loss)\./, // DINOv2's training checkpoints
  /(^|\.)head\.(mlp|last_layer)\./, // DINO's
];
