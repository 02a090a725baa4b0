import assert from "node:assert/strict";
import { mapCheckpoint } from "../../pipelines/models/layouts.ts";
import { chooseAdaptor, radioTokens } from "../../pipelines/models/radio.ts";
import { checkTensors } from "../../pipelines/models/vit_check.ts";
import { inferTextConfig, inferVitConfig, ShapeReader } from "../../pipelines/models/vit_config.ts";
import { readModelConfig } from "../../pipelines/models/vit_options.ts";
import { assertInputError } from "./io_fixtures.ts";
import { type PlainModel, random, reshaped, toStateDict } from "./vit_fixtures.ts";
import * as models from "./vit_models.ts";

/** Everything that loading checks before it touches a device. */
function inspect(keys: PlainModel, config: unknown) {
  const said = readModelConfig(config);
  const checkpoint = mapCheckpoint(toStateDict(keys), { prefix: said.prefix });
  const reader = new ShapeReader(checkpoint);
  const vision = inferVitConfig(reader, said);
  const text = inferTextConfig(reader, vision, said);
  checkTensors(reader, { vision, text, strict: said.strict });
  return { checkpoint, vision, text };
}

for (const { name, family, heads, layouts } of models.tinyModels) {
  for (const layout of layouts) {
    Deno.test(`inferVitConfig() recognises ${name} in the layout of ${layout.name}`, () => {
      const { vision, checkpoint } = inspect(layout.keys, layout.config);
      assert.equal(vision.family, family);
      assert.equal(vision.heads, heads);
      assert.equal(vision.depth, 2);
      assert.equal(vision.width, 24);
      assert.equal(vision.hidden, 40);
      assert.deepEqual(checkpoint.unknown, []);
    });
  }
}

Deno.test("inferVitConfig() reads sizes that differ between families", () => {
  const of = ({ layouts: [first] }: models.TinyModel) => inspect(first.keys, first.config);
  const clip = of(models.clip);
  assert.deepEqual(clip.vision.grid, [3, 3]);
  assert.equal(clip.vision.eps, 1e-5);
  assert.equal(clip.vision.activation, "quickGelu");
  assert.equal(clip.text?.causal, true);
  assert.equal(clip.text?.endToken, undefined); // 2 is the legacy "largest id"
  const registers = of(models.dinov2Registers).vision;
  assert.equal(registers.prefixTokens, 3);
  assert.equal(registers.posInterpolation, "dinov2_reg");
  assert.equal(registers.eps, 1e-6);
  const swiglu = of(models.dinov2Swiglu).vision;
  assert.equal(swiglu.gated, true);
  assert.equal(swiglu.posInterpolation, "dinov2");
  assert.equal(of(models.dino).vision.posInterpolation, "dino");
  assert.equal(of(models.mae).vision.posInterpolation, "hf");
  const heads = { heads: 3 }; // and nothing about eps
  assert.equal(inspect(models.dino.layouts[0].keys, heads).vision.eps, 1e-12);
  assert.equal(inspect(models.dino.layouts[1].keys, heads).vision.eps, 1e-6);
  assert.equal(inspect(models.dinov2Swiglu.layouts[0].keys, heads).vision.eps, 1e-6);
  const siglip = of(models.siglip);
  assert.equal(siglip.vision.posPrefix, 0);
  assert.equal(siglip.vision.activation, "geluTanh");
  assert.equal(siglip.text?.causal, false);
  assert.equal(siglip.text?.pooling, "last");
  assert.equal(siglip.text?.padToken, 1);
  const [{ keys, config }] = models.siglip.layouts;
  const token = "text_model.embeddings.token_embedding.weight";
  const gemma = { ...keys, [token]: { shape: [256000, 24], data: new Float32Array(256000 * 24) } };
  assert.equal(inspect(gemma, config).text?.padToken, 0); // SigLIP 2
  const radio = of(models.radio).vision;
  assert.equal(radio.prefixTokens, 5);
  assert.deepEqual(radio.grid, [5, 5]);
  assert.equal(radio.patchSize, 4);
  assert.equal(radio.posInterpolation, "radio");
});

Deno.test("inferVitConfig() finds the class token's missing row of positions in timm's DINOv2", () => {
  const timm = models.dinov2Registers.layouts.find(({ name }) => name === "timm")!;
  assert.equal(inspect(timm.keys, timm.config).vision.posPrefix, 0);
});

Deno.test("inferVitConfig() takes heads from the width, the public models' exceptions and the user", () => {
  const clip = models.clip.layouts[1];
  assertInputError(() => inspect(clip.keys, {}), /heads.*0\.375.*"heads"/s);
  assert.equal(inspect(clip.keys, { heads: 6, textHeads: 4 }).vision.heads, 6);
  assertInputError(() => inspect(clip.keys, { heads: 5, textHeads: 4 }), /width 24.*multiple.*5/);
  assertInputError(() => inspect(clip.keys, { heads: 6 }), /text tower.*"textHeads"/);
  const wide = random([1152, 1]);
  const keys: PlainModel = { ...models.siglip.layouts[2].keys };
  keys["patch_embed.proj.weight"] = reshaped(wide, 1152, 1, 1, 1);
  const reader = new ShapeReader(mapCheckpoint(toStateDict(keys)));
  assert.equal(inferVitConfig(reader, {}).heads, 16);
});

Deno.test("inferVitConfig() tells the giants of SigLIP 2 and DINOv2 apart, and a text tower from an image's", () => {
  /** A checkpoint of that width with nothing but what tells its architecture. */
  const headsAt = (keys: PlainModel, patch: string, width: number) => {
    const wide = { ...keys, [patch]: reshaped(random([width, 1]), width, 1, 1, 1) };
    return inferVitConfig(new ShapeReader(mapCheckpoint(toStateDict(wide))), {}).heads;
  };
  const patch = "patch_embed.proj.weight";
  assert.equal(headsAt(models.siglip.layouts[2].keys, patch, 1536), 16);
  assert.equal(headsAt(models.dinov2Swiglu.layouts[1].keys, patch, 1536), 24);
  assert.equal(headsAt(models.dino.layouts[1].keys, patch, 1792), 16);
  const openai = models.clip.layouts[1];
  const keys = { ...openai.keys, "token_embedding.weight": random([2, 1280]) }; // ViT-bigG
  const reader = new ShapeReader(mapCheckpoint(toStateDict(keys)));
  assert.equal(inferTextConfig(reader, inspect(openai.keys, openai.config).vision, {})?.heads, 20);
});

Deno.test("inferVitConfig() asks for the grid when the positional embedding is no square", () => {
  const { keys, config } = models.dino.layouts[1];
  const odd = { ...keys, pos_embed: random([1, 7, 24]) };
  assertInputError(() => inspect(odd, config), /7 rows.*no square.*"grid"/);
  assert.deepEqual(inspect(odd, { ...config, grid: [2, 3] }).vision.grid, [2, 3]);
  assert.deepEqual(inspect(odd, { ...config, img_size: [8, 12] }).vision.grid, [2, 3]);
  assertInputError(() => inspect(odd, { ...config, grid: [5, 5] }), /does not fit 5x5/);
});

Deno.test("inferVitConfig() tells MAE from DINO by the table, the decoder or the configuration", () => {
  const [, repository] = models.dino.layouts;
  assert.equal(inspect(repository.keys, { heads: 3, family: "mae" }).vision.family, "mae");
  const withDecoder = { ...repository.keys, "decoder_embed.weight": random([8, 24]) };
  assert.equal(inspect(withDecoder, { heads: 3 }).vision.family, "mae");
  const clip = models.clip.layouts[1];
  assertInputError(
    () => inspect(clip.keys, { ...clip.config, family: "mae" }),
    /as mae.*its keys are those of clip/,
  );
});

Deno.test("mapCheckpoint() lists what was expected and found when no layout fits", () => {
  assertInputError(
    () => mapCheckpoint(toStateDict({ "conv1.weight": random([4]), "layer1.0.bias": random([4]) })),
    /expected one of .*"ln_pre\.weight".*found "conv1\.weight", "layer1\.0\.bias"/s,
  );
});

Deno.test("checkTensors() lists missing keys in the file's own spelling, and unknown ones", () => {
  const [hf, openai] = models.clip.layouts;
  const hfKeys: PlainModel = { ...hf.keys, "vision_model.surprise": random([1]) };
  delete hfKeys["vision_model.encoder.layers.1.self_attn.k_proj.weight"];
  assertInputError(
    () => inspect(hfKeys, hf.config),
    /missing "vision_model\.encoder\.layers\.1\.self_attn\.k_proj\.weight"; unknown "vision_model\.surprise"; found "/,
  );
  const openaiKeys: PlainModel = { ...openai.keys };
  delete openaiKeys["visual.transformer.resblocks.0.attn.in_proj_weight"];
  delete openaiKeys["text_projection"];
  assertInputError(() => inspect(openaiKeys, openai.config), /expected the key "text_projection"/);
  openaiKeys["text_projection"] = openai.keys["text_projection"];
  assertInputError(
    () => inspect(openaiKeys, openai.config),
    /missing "visual\.transformer\.resblocks\.0\.attn\.in_proj_weight"; found/,
  );
  const [dinov2] = models.dinov2Swiglu.layouts;
  const gatedKeys: PlainModel = { ...dinov2.keys };
  delete gatedKeys["encoder.layer.1.mlp.weights_out.bias"];
  assertInputError(
    () => inspect(gatedKeys, dinov2.config),
    /missing "encoder\.layer\.1\.mlp\.weights_out\.bias"/,
  );
});

Deno.test("checkTensors() finds a block that lacks what the others have", () => {
  const [, , repository] = models.dinov2Registers.layouts;
  for (const name of ["blocks.0.ls1.gamma", "blocks.1.attn.qkv.bias"]) {
    const keys: PlainModel = { ...repository.keys };
    delete keys[name];
    const pattern = new RegExp(`missing "${name.replaceAll(".", "\\.")}"`);
    assertInputError(() => inspect(keys, repository.config), pattern);
  }
});

Deno.test("checkTensors() accepts unknown keys when strict is off", () => {
  const { keys, config } = models.dino.layouts[1];
  const more = { ...keys, "teacher_temperature": random([1]) };
  assertInputError(() => inspect(more, config), /unknown "teacher_temperature"/);
  const { checkpoint } = inspect(more, { ...config, strict: false });
  assert.deepEqual(checkpoint.unknown, ["teacher_temperature"]);
});

Deno.test("checkTensors() names the first tensor of a wrong shape", () => {
  const { keys, config } = models.dino.layouts[1];
  const wrong = { ...keys, "blocks.1.attn.proj.weight": random([24, 23]) };
  assertInputError(
    () => inspect(wrong, config),
    /"blocks\.1\.attn\.proj\.weight" must be \[24,24\], got \[24,23\]/,
  );
  const scalar = { ...keys, "patch_embed.proj.weight": random([24]) };
  assertInputError(() => inspect(scalar, config), /must have 2 or 4 axes/);
});

Deno.test("mapCheckpoint() asks for a prefix when a file holds two image towers", () => {
  const { keys } = models.dino.layouts[1];
  const both = { ...models.prefixed("student.", keys), ...models.prefixed("teacher.", keys) };
  assertInputError(() => inspect(both, { heads: 3 }), /prefixes "student\.", "teacher\."/);
  const said = { heads: 3, prefix: "teacher.", strict: false };
  assert.equal(inspect(both, said).vision.family, "dino");
});

Deno.test("chooseAdaptor() finds a teacher's head by name or number, radioTokens() the class token it reads", () => {
  const { keys } = models.radio.layouts[0];
  const head: PlainModel = {
    "fc1.weight": random([8, 24]),
    "fc1.bias": random([8]),
    "norm.weight": random([8]),
    "norm.bias": random([8]),
    "fc2.weight": random([6, 8]),
    "fc2.bias": random([6]),
  };
  const chosen = (roots: readonly string[], config: Record<string, unknown>) => {
    const heads = roots.map((root) => models.prefixed(root, head));
    const reader = new ShapeReader(mapCheckpoint(toStateDict(Object.assign({}, keys, ...heads))));
    const said = readModelConfig(config);
    const adaptor = chooseAdaptor(reader, { said, width: 24 });
    const { summaryTokens, adaptorToken } = radioTokens(reader, { prefixTokens: 5, said, adaptor });
    return [adaptor?.key, adaptorToken, `${summaryTokens}`];
  };
  const args = {
    teachers: [
      { name: "clip" },
      { name: "sam", use_summary: false },
      { name: "clip" }, // the same teacher at another size
      { name: "siglip", token_slot: 2 },
    ],
  };
  const numbered = ["_heads.0.", "_heads.1.", "_heads.3."];
  assert.deepEqual(chosen(numbered, { args }), ["3", 2, "0,3"]);
  assert.deepEqual(chosen(numbered, { args, adaptor: "sam" }), ["1", 1, "0,3"]);
  assert.deepEqual(chosen(numbered, { adaptor: "3" }), ["3", 3, "0,1,2,3,4"]);
  assert.deepEqual(chosen(numbered, {})[0], undefined);
  const named = ["radio_model.adaptors.clip.head_mlp.", "radio_model.adaptors.siglip.head_mlp."];
  const adaptor_configs = { clip: { head_idx: 4 }, siglip: { head_idx: 3 } };
  assert.deepEqual(chosen(named, { args, adaptor_configs }), ["siglip", 3, "0,3"]);
  assert.deepEqual(chosen(named, { args, adaptor_configs, adaptor: "clip" }), ["clip", 4, "0,3"]);
  assert.deepEqual(chosen(named, { adaptor: "clip" }), ["clip", 0, "0,1,2,3,4"]);
  const single = { ...args, cls_token_per_teacher: false };
  assert.deepEqual(chosen(named, { args: single }), ["siglip", 0, "0"]);
});

Deno.test("readModelConfig() names the entry that is wrong", () => {
  const cases: [unknown, RegExp][] = [
    [[], /must be an object/],
    [{ heads: 2.5 }, /"heads" must be a whole number from 1, got 2\.5/],
    [{ family: "resnet" }, /"family" must be one of clip, dinov2/],
    [{ activation: "mish" }, /"activation" must be one of/],
    [{ posInterpolation: "nearest" }, /"posInterpolation" must be one of auto, naclip/],
    [{ vision_config: { num_attention_heads: "12" } }, /"vision_config\.num_attention_heads"/],
    [{ eps: 0 }, /"eps" must be a number above 0/],
    [{ strict: 1 }, /"strict" must be true or false/],
    [{ summaryTokens: [0, -1] }, /"summaryTokens" must be a list/],
    [{ img_size: [1, 2, 3] }, /"img_size" must be a whole number or a list of two/],
    [
      { model_cfg: { vision_cfg: { pool_type: "avg" } } },
      /vision_cfg\.pool_type" must be one of tok/,
    ],
    [{ vision_cfg: {}, text_cfg: { pool_type: "first" } }, /text_cfg\.pool_type" must be one of/],
  ];
  for (const [config, message] of cases) assertInputError(() => readModelConfig(config), message);
});

Deno.test("readModelConfig() reads the dialects of transformers, open_clip, timm and DINOv2", () => {
  assert.deepEqual(readModelConfig(undefined), {});
  const clip = readModelConfig({
    model_type: "clip",
    dtype: "float32",
    vision_config: { image_size: 224 },
    text_config: { eos_token_id: 49407 },
  });
  assert.equal(clip.activation, "quickGelu");
  assert.equal(clip.endToken, 49407);
  assert.equal(clip.dtype, undefined);
  assert.deepEqual(clip.imageSize, [224, 224]);
  const laion = readModelConfig({ model_cfg: { vision_cfg: { head_width: 80 }, text_cfg: {} } });
  assert.equal(laion.activation, "gelu");
  assert.equal(laion.headWidth, 80);
  const multilingual = readModelConfig({
    vision_cfg: { act_kwargs: { approximate: "tanh" } },
    text_cfg: { pool_type: "eos", eos_id: 2, no_causal_mask: true, norm_kwargs: { eps: 1e-6 } },
  });
  assert.equal(multilingual.activation, "geluTanh");
  assert.equal(multilingual.textActivation, "gelu");
  assert.equal(multilingual.textEps, 1e-6);
  assert.equal(multilingual.endToken, 2);
  assert.equal(multilingual.textCausal, false);
  const trunk = { vision_cfg: { timm_model_name: "vit_base_patch16_siglip_224" } };
  assert.equal(readModelConfig({ model_cfg: trunk }).activation, "gelu");
  const timm = (architecture: string, tag: string) =>
    readModelConfig({ architecture, pretrained_cfg: { tag } }).activation;
  assert.equal(timm("vit_base_patch16_clip_224", "laion2b"), "gelu");
  assert.equal(timm("vit_base_patch16_clip_224", "openai"), "quickGelu");
  assert.equal(timm("vit_base_patch16_clip_quickgelu_224", "dfn2b"), "quickGelu");
  assert.equal(timm("vit_base_patch14_dinov2", "lvd142m"), undefined);
  const dinov2 = (antialias: boolean) =>
    readModelConfig({ interpolate_antialias: antialias }).posInterpolation;
  assert.equal(dinov2(true), "dinov2_reg");
  assert.equal(dinov2(false), "dinov2");
});
