/** Sizes of the phantom's RADIO, its first weights, and the layout of AM-RADIO's files. */

import { clipMean, clipStd } from "../images/preprocess.ts";
import { hostTensor, type StateDict } from "../io/state_dict.ts";
import type { VitConfig } from "../models/vit_config.ts";
import type { TrainingScenes } from "./train_data.ts";
import { patchComponents, wavePositions } from "./train_patches.ts";
import { blockStarts, MLP_RATIO, normStarts, type Start, Writer } from "./train_weights.ts";

/** Sizes: images of 64 pixels, 8 × 8 patches, positions for twice as many, as AM-RADIO's table is larger than its images. */
export const radioSizes = {
  size: 64,
  patch: 8,
  grid: 8,
  table: 16,
  width: 64,
  depth: 3,
  heads: 2,
  classTokens: 1,
  registers: 3,
  headHidden: 128,
  embedding: 64,
} as const;

/** The teacher's name in the file: the language-image teacher that BrainSAIL takes. */
const TEACHER = "siglip";

/** A head into the teacher's space: `MLP2` of `radio/adaptor_mlp.py` without inner blocks. */
function headStarts(starts: Map<string, Start>, root: string): void {
  const { width, headHidden, embedding } = radioSizes;
  const layer = (name: string, [n, k]: readonly [number, number]) => {
    starts.set(`${root}.${name}.weight`, { shape: [n, k], std: k ** -0.5 });
    starts.set(`${root}.${name}.bias`, { shape: [n] });
  };
  layer("fc1", [headHidden, width]);
  normStarts(starts, `${root}.final.0`, headHidden);
  layer("final.2", [embedding, headHidden]);
}

/** Every trained tensor, for the scenes to be trained on: `adaptor` is the summary head, `feat_head` that of patches. */
export function radioStarts(data: TrainingScenes): Map<string, Start> {
  const { patch, table, width, depth, classTokens, registers } = radioSizes;
  const starts = new Map<string, Start>([
    ["patch.weight", {
      shape: [width, 3 * patch * patch],
      values: patchComponents(data, { patch, width }),
    }],
    ["prefix", { shape: [classTokens + registers, width], std: 0.02 }],
    ["pos", { shape: [table * table, width], values: wavePositions(table, width) }],
  ]);
  for (const [name, start] of blockStarts("", { width, depth })) starts.set(name, start);
  for (const head of ["adaptor", "feat_head"]) headStarts(starts, head);
  return starts;
}

/** The tower as the forward pass takes it; its final norm is the identity. */
export const radioConfig: VitConfig = {
  ...{ family: "radio", gated: false, activation: "gelu", eps: 1e-6 },
  ...{ width: radioSizes.width, depth: radioSizes.depth, heads: radioSizes.heads },
  ...{ hidden: MLP_RATIO * radioSizes.width, patchSize: radioSizes.patch, channels: 3 },
  ...{ prefixTokens: radioSizes.classTokens + radioSizes.registers, posPrefix: 0 },
  ...{ grid: [radioSizes.table, radioSizes.table], posInterpolation: "radio" },
};

/** `config.json` as AM-RADIO writes it, and the number of heads, which AM-RADIO leaves to timm's name of the body. */
export const radioConfigJson: Readonly<Record<string, unknown>> = {
  architectures: ["RADIOModel"],
  adaptor_names: [TEACHER],
  args: {
    teachers: [{ name: TEACHER, type: TEACHER, model: "phantom-clip", use_summary: true }],
    cls_token_per_teacher: true,
    cpe_max_size: radioSizes.table * radioSizes.patch,
    cpe_num_registers: radioSizes.registers,
    mlp_version: "v2",
    mlp_hidden_size: radioSizes.headHidden,
    mlp_num_inner: 0,
  },
  num_attention_heads: radioSizes.heads,
  patch_size: radioSizes.patch,
  max_resolution: radioSizes.table * radioSizes.patch,
  preferred_resolution: [radioSizes.size, radioSizes.size],
};

function writeHead(writer: Writer, to: string, from: string): void {
  for (const name of ["fc1", "final.0", "final.2"]) {
    writer.layer(`${to}.${name}`, `${from}.${name}`);
  }
}

/** Trained values in the layout of AM-RADIO's files. */
export function writeRadio(
  values: ReadonlyMap<string, Float32Array<ArrayBuffer>>,
  starts: ReadonlyMap<string, Start>,
): StateDict {
  const { width, depth, table } = radioSizes;
  const writer = new Writer(values, starts);
  const [root, body] = ["radio_model", "radio_model.model"];
  for (const [name, channels] of [["norm_mean", clipMean], ["norm_std", clipStd]] as const) {
    const tensor = hostTensor(Float32Array.from(channels), [3, 1, 1]);
    writer.tensors.set(`${root}.input_conditioner.${name}`, tensor);
  }
  writer.put(`${body}.patch_generator.embedder.weight`, "patch.weight");
  writer.put(`${body}.patch_generator.pos_embed`, "pos", [1, table * table, width]);
  writer.put(`${body}.patch_generator.cls_token.token`, "prefix");
  for (let i = 0; i < depth; i++) {
    const [from, to] = [`blocks.${i}`, `${body}.blocks.${i}`];
    writer.layer(`${to}.norm1`, `${from}.norm1`);
    writer.layer(`${to}.attn.qkv`, `${from}.qkv`);
    writer.layer(`${to}.attn.proj`, `${from}.out`);
    writer.layer(`${to}.norm2`, `${from}.norm2`);
    writer.layer(`${to}.mlp.fc1`, `${from}.fc1`);
    writer.layer(`${to}.mlp.fc2`, `${from}.fc2`);
  }
  writeHead(writer, `${root}.adaptors.${TEACHER}.head_mlp`, "adaptor");
  writeHead(writer, `${root}.adaptors.${TEACHER}.feat_mlp`, "feat_head");
  return writer.tensors;
}
