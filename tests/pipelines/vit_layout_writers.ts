/**
 * Writes a tiny model of `vit_fixtures.ts` under the key names of the layouts that people have.
 *
 * @module
 */
import {
  type Plain,
  type PlainModel,
  random,
  reshaped,
  stack,
  transposed,
} from "./vit_fixtures.ts";

type Rename = Readonly<Record<string, string>>;

function depthOf(model: PlainModel, tower: string): number {
  let depth = 0;
  while (model[`${tower}blocks.${depth}.norm1.weight`]) depth++;
  return depth;
}

/** `from.weight` and `from.bias`, where there is one, under another name. */
function pair(model: PlainModel, from: string, to: string): PlainModel {
  const out: PlainModel = { [`${to}.weight`]: model[`${from}.weight`] };
  if (model[`${from}.bias`]) out[`${to}.bias`] = model[`${from}.bias`];
  return out;
}

function packed(model: PlainModel, block: string): { weight: Plain; bias?: Plain } {
  const part = (name: string, kind: string) => model[`${block}${name}.${kind}`];
  const weight = stack(part("q", "weight"), part("k", "weight"), part("v", "weight"));
  if (!part("q", "bias")) return { weight };
  return { weight, bias: stack(part("q", "bias"), part("k", "bias"), part("v", "bias")) };
}

/** Blocks with query, key and value apart. */
function splitBlocks(model: PlainModel, tower: string, root: string, names: Rename): PlainModel {
  const out: PlainModel = {};
  for (let i = 0; i < depthOf(model, tower); i++) {
    const block = `${tower}blocks.${i}.`;
    for (const [from, to] of Object.entries(names)) {
      if (model[`${block}${from}.weight`]) {
        Object.assign(out, pair(model, block + from, `${root}${i}.${to}`));
      } else if (model[block + from]) out[`${root}${i}.${to}`] = model[block + from];
    }
  }
  return out;
}

/** Blocks with query, key and value as one matrix. */
function packedBlocks(
  model: PlainModel,
  tower: string,
  { root, names, qkv }: { root: string; names: Rename; qkv: readonly [string, string] },
): PlainModel {
  const out = splitBlocks(model, tower, root, names);
  for (let i = 0; i < depthOf(model, tower); i++) {
    const { weight, bias } = packed(model, `${tower}blocks.${i}.`);
    out[`${root}${i}.${qkv[0]}`] = weight;
    if (bias) out[`${root}${i}.${qkv[1]}`] = bias;
  }
  return out;
}

function convolution(model: PlainModel, to: string): PlainModel {
  const weight = model["patch.weight"];
  const side = Math.sqrt(weight.shape[1] / 3);
  const out: PlainModel = { [`${to}.weight`]: reshaped(weight, weight.shape[0], 3, side, side) };
  if (model["patch.bias"]) out[`${to}.bias`] = model["patch.bias"];
  return out;
}

const batched = (plain: Plain) => reshaped(plain, 1, ...plain.shape);
const token = (plain: Plain) => reshaped(plain, 1, 1, plain.data.length);

const clipBlock = {
  norm1: "layer_norm1",
  q: "self_attn.q_proj",
  k: "self_attn.k_proj",
  v: "self_attn.v_proj",
  out: "self_attn.out_proj",
  norm2: "layer_norm2",
  fc1: "mlp.fc1",
  fc2: "mlp.fc2",
};

/** transformers: `CLIPModel` and `SiglipModel`. */
export function asHuggingFaceClip(model: PlainModel): PlainModel {
  const v = "vision_model.", t = "text_model.";
  const out: PlainModel = {
    ...convolution(model, `${v}embeddings.patch_embedding`),
    [`${v}embeddings.position_embedding.weight`]: model.pos,
    ...splitBlocks(model, "", `${v}encoder.layers.`, clipBlock),
    ...pair(model, "post_norm", `${v}post_layernorm`),
    [`${v}embeddings.position_ids`]: random([1, model.pos.shape[0]]),
  };
  if (model.cls) out[`${v}embeddings.class_embedding`] = model.cls;
  if (model["pre_norm.weight"]) Object.assign(out, pair(model, "pre_norm", `${v}pre_layrnorm`));
  if (model["projection.weight"]) out["visual_projection.weight"] = model["projection.weight"];
  if (model["pool.probe"]) {
    out[`${v}head.probe`] = token(model["pool.probe"]);
    const { weight, bias } = packed(model, "pool.");
    out[`${v}head.attention.in_proj_weight`] = weight;
    out[`${v}head.attention.in_proj_bias`] = bias!;
    Object.assign(
      out,
      pair(model, "pool.out", `${v}head.attention.out_proj`),
      pair(model, "pool.norm", `${v}head.layernorm`),
      pair(model, "pool.fc1", `${v}head.mlp.fc1`),
      pair(model, "pool.fc2", `${v}head.mlp.fc2`),
    );
  }
  if (model["text.token"]) {
    Object.assign(out, {
      [`${t}embeddings.token_embedding.weight`]: model["text.token"],
      [`${t}embeddings.position_embedding.weight`]: model["text.pos"],
      ...splitBlocks(model, "text.", `${t}encoder.layers.`, clipBlock),
      ...pair(model, "text.post_norm", `${t}final_layer_norm`),
      ...(model["pool.probe"]
        ? pair(model, "text.projection", `${t}head`)
        : pair(model, "text.projection", "text_projection")),
      logit_scale: random([1]),
    });
  }
  return out;
}

const openaiBlock = {
  norm1: "ln_1",
  out: "attn.out_proj",
  norm2: "ln_2",
  fc1: "mlp.c_fc",
  fc2: "mlp.c_proj",
};

function openaiText(model: PlainModel, root: string): PlainModel {
  return {
    [`${root}token_embedding.weight`]: model["text.token"],
    [`${root}positional_embedding`]: model["text.pos"],
    ...packedBlocks(model, "text.", {
      root: `${root}transformer.resblocks.`,
      names: openaiBlock,
      qkv: ["attn.in_proj_weight", "attn.in_proj_bias"],
    }),
    ...pair(model, "text.post_norm", `${root}ln_final`),
  };
}

/** openai/CLIP and open_clip. */
export function asOpenAi(model: PlainModel): PlainModel {
  const out: PlainModel = {
    ...convolution(model, "visual.conv1"),
    "visual.class_embedding": model.cls,
    "visual.positional_embedding": model.pos,
    ...pair(model, "pre_norm", "visual.ln_pre"),
    ...packedBlocks(model, "", {
      root: "visual.transformer.resblocks.",
      names: openaiBlock,
      qkv: ["attn.in_proj_weight", "attn.in_proj_bias"],
    }),
    ...pair(model, "post_norm", "visual.ln_post"),
    "visual.proj": transposed(model["projection.weight"]),
    input_resolution: random([]),
  };
  if (model["text.token"]) {
    Object.assign(out, openaiText(model, ""), {
      text_projection: transposed(model["text.projection.weight"]),
      logit_scale: random([]),
    });
  }
  return out;
}

const timmBlock = {
  norm1: "norm1",
  out: "attn.proj",
  scale1: "ls1.gamma",
  norm2: "norm2",
  fc1: "mlp.fc1",
  fc2: "mlp.fc2",
  scale2: "ls2.gamma",
};
const timmQkv = ["attn.qkv.weight", "attn.qkv.bias"] as const;

/** timm, and the original repositories of DINO and MAE, which share its names. */
export function asTimm(model: PlainModel, root = ""): PlainModel {
  const out: PlainModel = {
    ...convolution(model, `${root}patch_embed.proj`),
    [`${root}pos_embed`]: batched(model.pos),
    ...packedBlocks(model, "", { root: `${root}blocks.`, names: timmBlock, qkv: timmQkv }),
    ...pair(model, "post_norm", `${root}norm`),
  };
  if (model.cls) out[`${root}cls_token`] = token(model.cls);
  if (model["pre_norm.weight"]) Object.assign(out, pair(model, "pre_norm", `${root}norm_pre`));
  if (model["projection.weight"]) Object.assign(out, pair(model, "projection", `${root}head`));
  if (model["pool.probe"]) {
    const part = (name: string, kind: string) => model[`pool.${name}.${kind}`];
    Object.assign(
      out,
      { [`${root}attn_pool.latent`]: token(model["pool.probe"]) },
      pair(model, "pool.q", `${root}attn_pool.q`),
      {
        [`${root}attn_pool.kv.weight`]: stack(part("k", "weight"), part("v", "weight")),
        [`${root}attn_pool.kv.bias`]: stack(part("k", "bias"), part("v", "bias")),
      },
      pair(model, "pool.out", `${root}attn_pool.proj`),
      pair(model, "pool.norm", `${root}attn_pool.norm`),
      pair(model, "pool.fc1", `${root}attn_pool.mlp.fc1`),
      pair(model, "pool.fc2", `${root}attn_pool.mlp.fc2`),
    );
  }
  return out;
}

/** open_clip's SigLIP: timm's trunk and open_clip's text tower with a linear projection. */
export function asOpenClipSiglip(model: PlainModel): PlainModel {
  return {
    ...asTimm(model, "visual.trunk."),
    ...openaiText(model, "text."),
    ...pair(model, "text.projection", "text.text_projection"),
    logit_scale: random([]),
    logit_bias: random([]),
  };
}

/** facebookresearch/dinov2: timm's names, registers, a mask token, `w12` and `w3` where gated. */
export function asDinov2(model: PlainModel): PlainModel {
  const gated = model["blocks.0.fc1.weight"].shape[0] !== model["blocks.0.fc2.weight"].shape[1];
  const names = gated ? { ...timmBlock, fc1: "mlp.w12", fc2: "mlp.w3" } : timmBlock;
  const out: PlainModel = {
    ...asTimm(model),
    ...packedBlocks(model, "", { root: "blocks.", names, qkv: timmQkv }),
    mask_token: random([1, model.pos.shape[1]]),
  };
  if (gated) {
    for (const key of Object.keys(out)) if (/mlp\.fc/.test(key)) delete out[key];
  }
  if (model.registers) out.register_tokens = batched(model.registers);
  return out;
}

/** timm's DINOv2 with registers: positions for patches only, the class token's own added to it. */
export function asTimmDinov2Reg(model: PlainModel): PlainModel {
  const out = asTimm(model);
  const { shape: [rows, width], data } = model.pos;
  out.pos_embed = reshaped({ shape: [], data: data.slice(width) }, 1, rows - 1, width);
  const cls = model.cls.data.map((v, i) => v + data[i]);
  out.cls_token = reshaped({ shape: [], data: cls }, 1, 1, width);
  out.reg_token = batched(model.registers);
  return out;
}

const hfAttention = {
  q: "attention.attention.query",
  k: "attention.attention.key",
  v: "attention.attention.value",
  out: "attention.output.dense",
};

/** transformers, `Dinov2Model` and `Dinov2WithRegistersModel`. */
export function asHuggingFaceDinov2(model: PlainModel): PlainModel {
  const gated = model["blocks.0.fc1.weight"].shape[0] !== model["blocks.0.fc2.weight"].shape[1];
  const out: PlainModel = {
    ...convolution(model, "embeddings.patch_embeddings.projection"),
    "embeddings.cls_token": token(model.cls),
    "embeddings.position_embeddings": batched(model.pos),
    "embeddings.mask_token": random([1, model.pos.shape[1]]),
    ...splitBlocks(model, "", "encoder.layer.", {
      ...hfAttention,
      norm1: "norm1",
      scale1: "layer_scale1.lambda1",
      norm2: "norm2",
      fc1: gated ? "mlp.weights_in" : "mlp.fc1",
      fc2: gated ? "mlp.weights_out" : "mlp.fc2",
      scale2: "layer_scale2.lambda1",
    }),
    ...pair(model, "post_norm", "layernorm"),
  };
  if (model.registers) out["embeddings.register_tokens"] = batched(model.registers);
  return out;
}

/** transformers, `ViTModel` (DINO) and `ViTMAEModel`; `root` is `vit.` in `ViTMAEForPreTraining`. */
export function asHuggingFaceVit(model: PlainModel, root = ""): PlainModel {
  return {
    ...convolution(model, `${root}embeddings.patch_embeddings.projection`),
    [`${root}embeddings.cls_token`]: token(model.cls),
    [`${root}embeddings.position_embeddings`]: batched(model.pos),
    ...splitBlocks(model, "", `${root}encoder.layer.`, {
      ...hfAttention,
      norm1: "layernorm_before",
      norm2: "layernorm_after",
      fc1: "intermediate.dense",
      fc2: "output.dense",
    }),
    ...pair(model, "post_norm", `${root}layernorm`),
  };
}

/** AM-RADIO: `prefix` holds class tokens and registers, which have no position. */
export function asRadio(model: PlainModel, root = "radio_model.model."): PlainModel {
  return {
    [`${root}patch_generator.embedder.weight`]: model["patch.weight"],
    [`${root}patch_generator.pos_embed`]: batched(model.pos),
    [`${root}patch_generator.cls_token.token`]: model.prefix,
    ...packedBlocks(model, "", { root: `${root}blocks.`, names: timmBlock, qkv: timmQkv }),
  };
}

/** transformers, `RadioModel` in memory; its files keep the names of the repository. */
export function asHuggingFaceRadio(model: PlainModel): PlainModel {
  return {
    "embeddings.patch_projection.weight": model["patch.weight"],
    "embeddings.position_embedding": batched(model.pos),
    "embeddings.cls_register_token": model.prefix,
    ...splitBlocks(model, "", "encoder.layer.", {
      norm1: "norm1",
      q: "attention.q_proj",
      k: "attention.k_proj",
      v: "attention.v_proj",
      out: "attention.o_proj",
      norm2: "norm2",
      fc1: "mlp.fc1",
      fc2: "mlp.fc2",
    }),
  };
}
