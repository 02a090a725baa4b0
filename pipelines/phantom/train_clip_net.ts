/** Sizes of the phantom's CLIP, its first weights, and its Hugging Face layout. */

import type { StateDict } from "../io/state_dict.ts";
import type { TextConfig, VitConfig } from "../models/vit_config.ts";
import type { TrainingScenes } from "./train_data.ts";
import { patchComponents, wavePositions } from "./train_patches.ts";
import { blockStarts, MLP_RATIO, normStarts, type Start, Writer } from "./train_weights.ts";

/** Sizes of the phantom's CLIP. */
export const clipSizes = {
  size: 64,
  patch: 8,
  width: 128,
  depth: 3,
  heads: 2,
  textWidth: 64,
  textDepth: 2,
  textHeads: 2,
  embedding: 64,
  context: 48,
} as const;

/** Every trained tensor, for a number of token ids and the scenes to be trained on. */
export function clipStarts(vocabulary: number, data: TrainingScenes): Map<string, Start> {
  const { size, patch, width, depth, textWidth, textDepth, embedding, context } = clipSizes;
  const [inner, grid] = [3 * patch * patch, size / patch];
  const map = new Map<string, Start>([
    ["patch.weight", { shape: [width, inner], values: patchComponents(data, { patch, width }) }],
    ["prefix", { shape: [1, width], std: width ** -0.5 }],
    ["pos", { shape: [grid * grid, width], values: wavePositions(grid, width) }],
  ]);
  normStarts(map, "pre_norm", width);
  for (const [name, start] of blockStarts("", { width, depth })) map.set(name, start);
  normStarts(map, "post_norm", width);
  map.set("projection.weight", { shape: [embedding, width], std: width ** -0.5 });
  map.set("text.token", { shape: [vocabulary, textWidth], std: 0.02 });
  map.set("text.pos", { shape: [context, textWidth], std: 0.01 });
  for (const [name, start] of blockStarts("text.", { width: textWidth, depth: textDepth })) {
    map.set(name, start);
  }
  normStarts(map, "text.post_norm", textWidth);
  map.set("text.projection.weight", { shape: [embedding, textWidth], std: textWidth ** -0.5 });
  map.set("logit_scale", { shape: [1], value: Math.log(1 / 0.07) }); // CLIP, section 2.5
  map.set("present.bias", { shape: [1] });
  map.set("present.patch_bias", { shape: [1] });
  return map;
}

/** The towers as the forward pass takes them. */
export function clipConfigs(vocabulary: number): { image: VitConfig; text: TextConfig } {
  const { size, patch, width, depth, heads, textWidth, textDepth, textHeads, context } = clipSizes;
  const common = { gated: false, activation: "quickGelu", eps: 1e-5 } as const;
  return {
    image: {
      ...{ ...common, family: "clip", width, depth, heads, hidden: MLP_RATIO * width },
      ...{ patchSize: patch, channels: 3, prefixTokens: 1, posPrefix: 1 },
      ...{ grid: [size / patch, size / patch], posInterpolation: "hf" },
    },
    text: {
      ...{ ...common, width: textWidth, depth: textDepth, heads: textHeads },
      ...{ hidden: MLP_RATIO * textWidth, context, vocabulary, causal: true, pooling: "end" },
    },
  };
}

/** `config.json` as transformers writes it for `CLIPModel`. */
export function clipConfigJson(vocabulary: number): Record<string, unknown> {
  const { size, patch, width, depth, heads, textWidth, textDepth, textHeads, embedding, context } =
    clipSizes;
  const common = { hidden_act: "quick_gelu", layer_norm_eps: 1e-5, projection_dim: embedding };
  return {
    model_type: "clip",
    architectures: ["CLIPModel"],
    projection_dim: embedding,
    vision_config: {
      ...common,
      model_type: "clip_vision_model",
      hidden_size: width,
      intermediate_size: MLP_RATIO * width,
      num_hidden_layers: depth,
      num_attention_heads: heads,
      image_size: size,
      patch_size: patch,
    },
    text_config: {
      ...common,
      model_type: "clip_text_model",
      hidden_size: textWidth,
      intermediate_size: MLP_RATIO * textWidth,
      num_hidden_layers: textDepth,
      num_attention_heads: textHeads,
      max_position_embeddings: context,
      vocab_size: vocabulary,
      bos_token_id: vocabulary - 2,
      eos_token_id: vocabulary - 1,
    },
  };
}

function writeBlocks(writer: Writer, to: string, { root, depth }: { root: string; depth: number }) {
  for (let i = 0; i < depth; i++) {
    const [from, layer] = [`${root}blocks.${i}`, `${to}.${i}`];
    const attention = `${layer}.self_attn`;
    writer.layer(`${layer}.layer_norm1`, `${from}.norm1`);
    writer.split(
      [`${attention}.q_proj`, `${attention}.k_proj`, `${attention}.v_proj`],
      `${from}.qkv`,
    );
    writer.layer(`${attention}.out_proj`, `${from}.out`);
    writer.layer(`${layer}.layer_norm2`, `${from}.norm2`);
    writer.layer(`${layer}.mlp.fc1`, `${from}.fc1`);
    writer.layer(`${layer}.mlp.fc2`, `${from}.fc2`);
  }
}

/** Weights in the layout of `CLIPModel` of transformers. */
export function writeClip(
  values: ReadonlyMap<string, Float32Array<ArrayBuffer>>,
  shapes: Map<string, Start>,
): StateDict {
  const { width, depth, textDepth, patch } = clipSizes;
  const writer = new Writer(values, shapes);
  const [image, text] = ["vision_model", "text_model"];
  writer.put(`${image}.embeddings.patch_embedding.weight`, "patch.weight", [
    width,
    3,
    patch,
    patch,
  ]);
  writer.put(`${image}.embeddings.class_embedding`, "prefix", [width]);
  // The class token was trained with its position in it.
  const pos = values.get("pos")!;
  const placed = new Float32Array(width + pos.length);
  placed.set(pos, width);
  writer.putValues(`${image}.embeddings.position_embedding.weight`, placed, [
    placed.length / width,
    width,
  ]);
  writer.layer(`${image}.pre_layrnorm`, "pre_norm"); // sic
  writeBlocks(writer, `${image}.encoder.layers`, { root: "", depth });
  writer.layer(`${image}.post_layernorm`, "post_norm");
  writer.put("visual_projection.weight", "projection.weight");
  writer.put(`${text}.embeddings.token_embedding.weight`, "text.token");
  writer.put(`${text}.embeddings.position_embedding.weight`, "text.pos");
  writeBlocks(writer, `${text}.encoder.layers`, { root: "text.", depth: textDepth });
  writer.layer(`${text}.final_layer_norm`, "text.post_norm");
  writer.put("text_projection.weight", "text.projection.weight");
  writer.put("logit_scale", "logit_scale", []);
  return writer.tensors;
}
