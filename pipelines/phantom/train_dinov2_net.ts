/** Sizes of the phantom's DINOv2-like network, its first weights, and its Hugging Face layout. */

import type { StateDict } from "../io/state_dict.ts";
import type { TrainingScenes } from "./train_data.ts";
import { patchComponents, wavePositions } from "./train_patches.ts";
import { blockStarts, MLP_RATIO, normStarts, type Start, Writer } from "./train_weights.ts";

/** Sizes: images of 64 pixels, 8 × 8 patches. */
export const dinov2Sizes = {
  size: 64,
  patch: 8,
  grid: 8,
  width: 64,
  depth: 3,
  heads: 2,
  viewHidden: 128,
  viewWidth: 64,
} as const;

const LAYER_SCALE = 0.5; // DINOv2 begins at 1e-5, which a thousand steps would not undo

/** Every trained tensor, the heads that are thrown away included, for the scenes to be trained on. */
export function dinov2Starts(data: TrainingScenes): Map<string, Start> {
  const { patch, grid, width, depth, viewHidden, viewWidth } = dinov2Sizes;
  const inner = 3 * patch * patch;
  const starts = new Map<string, Start>([
    ["patch.weight", { shape: [width, inner], values: patchComponents(data, { patch, width }) }],
    ["patch.bias", { shape: [width] }],
    ["prefix", { shape: [1, width], std: 0.02 }],
    ["mask_token", { shape: [1, width], std: 0.02 }],
    ["pos", { shape: [grid * grid, width], values: wavePositions(grid, width) }],
  ]);
  for (const [name, start] of blockStarts("", { width, depth, layerScale: LAYER_SCALE })) {
    starts.set(name, start);
  }
  normStarts(starts, "post_norm", width);
  const layers: [string, number, number][] = [
    ["paint_head", inner, width],
    ["view_head.0", viewHidden, width],
    ["view_head.1", viewWidth, viewHidden],
  ];
  for (const [name, n, k] of layers) {
    starts.set(`${name}.weight`, { shape: [n, k], std: k ** -0.5 });
    starts.set(`${name}.bias`, { shape: [n] });
  }
  return starts;
}

/** `config.json` as transformers writes it for `Dinov2Model`. */
export const dinov2ConfigJson: Readonly<Record<string, unknown>> = {
  model_type: "dinov2",
  architectures: ["Dinov2Model"],
  hidden_size: dinov2Sizes.width,
  mlp_ratio: MLP_RATIO,
  num_hidden_layers: dinov2Sizes.depth,
  num_attention_heads: dinov2Sizes.heads,
  hidden_act: "gelu",
  layer_norm_eps: 1e-6,
  layerscale_value: LAYER_SCALE,
  image_size: dinov2Sizes.size,
  patch_size: dinov2Sizes.patch,
  num_channels: 3,
  qkv_bias: true,
  use_swiglu_ffn: false,
  use_mask_token: true,
};

/** Trained values in the layout of transformers' `Dinov2Model`. */
export function writeDinov2(
  values: ReadonlyMap<string, Float32Array<ArrayBuffer>>,
  starts: ReadonlyMap<string, Start>,
): StateDict {
  const { width, depth, patch, grid } = dinov2Sizes;
  const writer = new Writer(values, starts);
  const projection = "embeddings.patch_embeddings.projection";
  writer.put(`${projection}.weight`, "patch.weight", [width, 3, patch, patch]);
  writer.put(`${projection}.bias`, "patch.bias");
  writer.put("embeddings.cls_token", "prefix", [1, 1, width]);
  writer.put("embeddings.mask_token", "mask_token");
  // The class token was trained with its position in it.
  const placed = new Float32Array((1 + grid * grid) * width);
  placed.set(values.get("pos")!, width);
  writer.putValues("embeddings.position_embeddings", placed, [1, 1 + grid * grid, width]);
  for (let i = 0; i < depth; i++) {
    const [from, to] = [`blocks.${i}`, `encoder.layer.${i}`];
    const attention = `${to}.attention.attention`;
    writer.layer(`${to}.norm1`, `${from}.norm1`);
    writer.split([`${attention}.query`, `${attention}.key`, `${attention}.value`], `${from}.qkv`);
    writer.layer(`${to}.attention.output.dense`, `${from}.out`);
    writer.put(`${to}.layer_scale1.lambda1`, `${from}.scale1`);
    writer.layer(`${to}.norm2`, `${from}.norm2`);
    writer.layer(`${to}.mlp.fc1`, `${from}.fc1`);
    writer.layer(`${to}.mlp.fc2`, `${from}.fc2`);
    writer.put(`${to}.layer_scale2.lambda1`, `${from}.scale2`);
  }
  writer.layer("layernorm", "post_norm");
  return writer.tensors;
}
