/**
 * Every output of the reference cases for vision transformers, in every layout of their weights. Runs where `GYRUS_GOLDEN` names
 * the folder that holds them.
 */
import assert from "node:assert/strict";
import { mul } from "../../engine/ops/elementwise.ts";
import { layerNorm } from "../../engine/ops/norm.ts";
import { mean, sum } from "../../engine/ops/reduce.ts";
import { concat, permute, slice } from "../../engine/ops/shape.ts";
import { Tape } from "../../engine/tape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { interpolate } from "../../pipelines/images/interpolate.ts";
import type { ForwardOptions, VisionModel } from "../../pipelines/models/model.ts";
import { attend } from "../../pipelines/models/vit_attention.ts";
import type { DenseMode } from "../../pipelines/models/vit.ts";
import { openTestGpu } from "../_gpu.ts";
import { GoldenCase, goldenFolder, goldenLayouts, loadGolden } from "./golden_vit.ts";
import { needs } from "../expectations.ts";

const here = needs("golden", goldenFolder !== undefined);
const gpu = here.ignore ? undefined : await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu?.liveBytes ?? 0, 0));

Deno.test("reference outputs are found (needs GYRUS_GOLDEN, a folder of them)", here, () => {
  for (const name of ["clip_main", "dinov2_reg", "mae_encoder"]) {
    assert(goldenLayouts(name).length > 0, `no weights of ${name}`);
  }
});

/** Runs a model on an input of the case and compares what each output name maps to. */
async function compareForward(
  golden: GoldenCase,
  { model, input, options = {}, names }: {
    model: VisionModel;
    input: string;
    options?: ForwardOptions;
    names: Readonly<Record<string, string | ((get: (name: string) => Tensor) => Tensor)>>;
  },
): Promise<void> {
  using pixels = golden.tensor(input);
  const { output, captured } = model.forward(pixels, options);
  const get = (name: string) => name === "output" ? output : captured.get(name)!;
  for (const [target, source] of Object.entries(names)) {
    if (typeof source === "string") await golden.compare(target, get(source));
    else {
      using made = tidy(output.gpu, () => source(get));
      await golden.compare(target, made);
    }
  }
  for (const tensor of [output, ...captured.values()]) tensor.dispose();
}

const blocks = (prefix: string, count = 4) =>
  Object.fromEntries(
    Array.from({ length: count }, (_, i) => [`${prefix}block${i}`, `blocks.${i}`]),
  );
const blockNames = ["blocks.0", "blocks.1", "blocks.2", "blocks.3"];

/** Cosines of images and captions times the learned scale. */
async function logits(images: Tensor, texts: Tensor, scale: number): Promise<Float32Array> {
  const unit = async (t: Tensor) => {
    const values = await t.data();
    return Array.from({ length: t.shape[0] }, (_, i) => {
      const row = Array.from(values.subarray(i * t.shape[1], (i + 1) * t.shape[1]));
      const length = Math.hypot(...row);
      return row.map((v) => v / length);
    });
  };
  const [a, b] = [await unit(images), await unit(texts)];
  return Float32Array.from(
    a.flatMap((x) => b.map((y) => scale * x.reduce((s, v, k) => s + v * y[k], 0))),
  );
}

for (const layout of goldenLayouts("clip_main")) {
  Deno.test(`CLIP from ${layout.name} weights equals OpenAI's code`, async () => {
    const golden = new GoldenCase("clip_main", gpu!);
    using model = await loadGolden(gpu!, layout);
    await compareForward(golden, {
      model,
      input: "in.image",
      options: { capture: ["patch_embed", "ln_pre", ...blockNames, "final", "projected"] },
      names: {
        "out.vision.conv1": (get) => permute(get("patch_embed"), [0, 2, 1]),
        "out.vision.ln_pre": "ln_pre",
        ...blocks("out.vision."),
        "out.vision.ln_post_all": "final",
        "out.vision.proj_all": "projected",
        "out.vision.embed": "output",
      },
    });
    for (const [name, posInterpolation] of [["size", "hf"], ["naclip", "naclip"]] as const) {
      await compareForward(golden, {
        model,
        input: "in.image_rect",
        options: { capture: ["blocks.0", "blocks.3", "projected"], posInterpolation },
        names: {
          [`out.rect_${name}.block0`]: "blocks.0",
          [`out.rect_${name}.block3`]: "blocks.3",
          [`out.rect_${name}.proj_all`]: "projected",
          [`out.rect_${name}.embed`]: "output",
        },
      });
    }
    golden.skip("out.rect.pos_size", "out.rect.pos_naclip"); // pos_embed_test.ts
    await compareText(golden, model);
    golden.finish();
  });
}

async function compareText(golden: GoldenCase, model: VisionModel): Promise<void> {
  const rows = golden.rows("in.tokens");
  using texts = model.encodeText(rows);
  await golden.compare("out.text.embed", texts);
  const capture = ["text.blocks.0", "text.blocks.1", "text.blocks.2", "text.final"];
  const { output, captured } = model.forwardText(rows.slice(0, 4), { capture });
  for (const i of [0, 1, 2]) {
    await golden.compare(`out.text.block${i}.first4`, captured.get(`text.blocks.${i}`)!);
  }
  await golden.compare("out.text.ln_final.first4", captured.get("text.final")!);
  for (const tensor of [output, ...captured.values()]) tensor.dispose();
  using pixels = golden.tensor("in.image");
  using images = model.forward(pixels).output;
  const scale = Math.exp(model.logitScale!);
  await golden.compare("out.logits_per_image", await logits(images, texts, scale));
}

/** The gradient by the image of `Σ readout · (mean over patches of the dense map)`. */
async function denseGradient(
  golden: GoldenCase,
  model: VisionModel,
  { input, ...options }: ForwardOptions & { input: string },
): Promise<Float32Array> {
  using pixels = golden.tensor(input);
  using readout = golden.tensor("in.grad_readout");
  using tape = new Tape();
  using x = tape.watch(pixels);
  using loss = tidy(pixels.gpu, () => {
    const dense = model.forward(x, { ...options, capture: ["dense"] }).captured.get("dense")!;
    return sum(mul(mean(dense, { axes: [1, 2] }), readout));
  });
  const [gradient] = tape.gradient(loss, [x]);
  using held = gradient;
  return await held.data() as Float32Array;
}

/** The attention itself, read by attending to unit vectors. */
async function compareAttention(golden: GoldenCase, model: VisionModel, image: string) {
  using pixels = golden.tensor(`in.${image}`);
  const { output, captured } = model.forward(pixels, { capture: ["blocks.3.attn.k"] });
  using k = captured.get("blocks.3.attn.k")!;
  output.dispose();
  const [, tokens, width] = k.shape;
  const d = width / 2;
  const qkv = new Float32Array(tokens * 3 * width);
  const keys = await k.data();
  for (let t = 0; t < tokens; t++) {
    qkv.set(keys.subarray(t * width, (t + 1) * width), (3 * t + 1) * width);
    for (const h of [0, 1]) qkv[(3 * t + 2) * width + h * d + t] = 1;
  }
  using packed = Tensor.from(golden.gpu, qkv, [1, tokens, 3 * width]);
  const [, , height, columns] = pixels.shape;
  const grid = [height / 16, columns / 16] as const;
  using weights = tidy(golden.gpu, () => {
    const mixed = attend(packed, 2, { mode: "naclip", std: 5, grid, prefix: 1 });
    const byHead = permute(mixed.reshape([tokens, 2, d]), [1, 0, 2]);
    return slice(byHead, { axis: 2, end: tokens });
  });
  await golden.compare(`out.attn.naclip.${image}`, weights);
}

/** Cosines of patches and queries, resized to the image. */
async function compareSegmentation(golden: GoldenCase, model: VisionModel, image: string) {
  using pixels = golden.tensor(`in.${image}`);
  const { output, captured } = model.forward(pixels, { dense: "naclip", capture: ["dense"] });
  output.dispose();
  using dense = captured.get("dense")!;
  const [, gridHeight, gridWidth, m] = dense.shape;
  using patches = dense.reshape([gridHeight * gridWidth, m]);
  using queries = Tensor.from(golden.gpu, golden.values("out.query_features"), [5, m]);
  const cosines = await logits(queries, patches, 1);
  const [, , height, width] = pixels.shape;
  const resized = interpolate(cosines, {
    layout: "chw",
    channels: 5,
    height: gridHeight,
    width: gridWidth,
    size: [height, width],
    mode: "bilinear",
  });
  await golden.compare(`out.seg_logits.${image}`, resized.data);
}

for (const layout of goldenLayouts("clip_main")) {
  Deno.test(`dense CLIP from ${layout.name} weights equals NACLIP's code`, async () => {
    const golden = new GoldenCase("clip_dense", gpu!);
    using model = await loadGolden(gpu!, layout, { posInterpolation: "naclip" });
    for (const name of golden.outputs) {
      const match = /^out\.(reduced|vanilla)\.(naclip|nonly|kk|csa|vanilla)\.(\w+)$/.exec(name);
      if (!match) continue;
      const dense = (match[2] === "csa" ? "sclip" : match[2]) as DenseMode;
      const arch = match[1] as "reduced" | "vanilla";
      await compareForward(golden, {
        model,
        input: `in.${match[3]}`,
        options: { dense, arch, gaussianStd: 5, capture: ["projected"] },
        names: { [name]: "projected" },
      });
    }
    const gradient = await denseGradient(golden, model, { input: "in.sq64", dense: "naclip" });
    await golden.compare("grad.reduced.naclip.sq64", gradient, 5e-5);
    for (const image of ["sq64", "rect96x64"]) {
      await compareAttention(golden, model, image);
      await compareSegmentation(golden, model, image);
    }
    // The window is computed inside the attention; the queries are an input here, their captions are not in the file.
    golden.skip("out.query_features");
    golden.skip(
      ...["4x4", "6x4", "7x9"].flatMap((g) => [`out.gaussian_window.${g}`, `out.omega.${g}`]),
    );
    golden.finish();
  });
}

for (const layout of goldenLayouts("dinov2_reg")) {
  Deno.test(`DINOv2 with registers from ${layout.name} weights equals the repository's code`, async () => {
    const golden = new GoldenCase("dinov2_reg", gpu!);
    using model = await loadGolden(gpu!, layout);
    for (const image of ["native98", "up154x126", "down42x56"]) {
      await compareForward(golden, {
        model,
        input: `in.${image}`,
        options: { capture: ["embeddings", ...blockNames, "final", "dense"] },
        names: {
          [`out.${image}.tokens`]: "embeddings",
          ...blocks(`out.${image}.`),
          [`out.${image}.x_norm_clstoken`]: "output",
          [`out.${image}.x_norm_patchtokens`]: "dense",
          [`out.${image}.x_norm_regtokens`]: (get) =>
            slice(get("final"), { axis: 1, start: 1, end: 5 }),
          ...(image === "native98"
            ? { "out.native98.intermediate_last2_reshaped": (get) => lastTwo(model, get) }
            : {}),
        },
      });
      golden.skip(`out.${image}.pos_embed`); // pos_embed_test.ts
    }
    const gradient = await denseGradient(golden, model, { input: "in.grad_image" });
    await golden.compare("grad.image", gradient, 1e-4);
    golden.finish();
  });
}

/** Normed patches of the last two blocks as `[layers, n, width, gridHeight, gridWidth]`. */
function lastTwo(model: VisionModel, get: (name: string) => Tensor): Tensor {
  const [weight, bias] = ["weight", "bias"].map((k) => model.weights.get(`post_norm.${k}`)!);
  const maps = ["blocks.2", "blocks.3"].map((name) => {
    const patches = slice(layerNorm(get(name), weight, bias, { eps: 1e-6 }), { axis: 1, start: 5 });
    return permute(patches, [0, 2, 1]).reshape([1, 2, 128, 7, 7]);
  });
  return concat(maps);
}

for (const layout of goldenLayouts("mae_encoder")) {
  Deno.test(`MAE's encoder from ${layout.name} weights equals the repository's code`, async () => {
    const golden = new GoldenCase("mae_encoder", gpu!);
    using model = await loadGolden(gpu!, layout);
    const [weight, bias] = ["weight", "bias"].map((k) => model.weights.get(`post_norm.${k}`)!);
    await compareForward(golden, {
      model,
      input: "in.image",
      options: { capture: ["patch_embed", ...blockNames, "final"] },
      names: {
        "out.patch_embed": "patch_embed",
        ...blocks("out."),
        "out.norm": "final",
        "out.global_pool_fcnorm": (get) => {
          const patches = slice(get("blocks.3"), { axis: 1, start: 1 });
          return layerNorm(mean(patches, { axes: [1] }), weight, bias, { eps: 1e-6 });
        },
      },
    });
    golden.skip("out.sincos_pos_embed", "out.sincos_14x14_dim768"); // pos_embed_test.ts
    golden.finish();
  });
}

Deno.test("close the device", here, () => gpu![Symbol.dispose]());
