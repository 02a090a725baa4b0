/**
 * Distillation at the grids, offsets and settings of the paper's three backbones, against brute force in float64. The models are
 * tiny: width 8 and one head; what is tested is the way of every patch through embedding, shifting, positions, attention and back.
 */
import assert from "node:assert/strict";
import { normal, randomKey } from "../../engine/random.ts";
import { Tensor } from "../../engine/tensor.ts";
import { denseSettings, paperSize } from "../../pipelines/brain_sail/config.ts";
import { distillDense } from "../../pipelines/dense/distill.ts";
import { whiteInfill } from "../../pipelines/dense/features.ts";
import { patchShifts } from "../../pipelines/dense/offsets.ts";
import { loadVit, type VisionModel } from "../../pipelines/models/model.ts";
import type { ModelFamily } from "../../pipelines/models/vit_options.ts";
import { openMethodGpu } from "../_gpu.ts";
import { type DenseOracle, distillInFloat64 } from "./dense_oracle.ts";
import { linearPair, makeVision, normPair, type PlainModel, random } from "./vit_fixtures.ts";
import { toStateDict } from "./vit_fixtures.ts";
import * as write from "./vit_layout_writers.ts";
import { prefixed } from "./vit_models.ts";
import { relativeError } from "./vit_oracle.ts";

const gpu = await openMethodGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

// What float32 makes of two blocks is 2e-6 of the norm (see vit_oracle.ts); a mean over views is no worse.
const TOLERANCE = 1e-5;

const sizes = { width: 8, hidden: 16 };

/** A backbone as the paper has it, but for its width and depth. */
interface Backbone {
  readonly family: ModelFamily;
  readonly keys: PlainModel;
  readonly config: Record<string, unknown>;
  readonly oracle: DenseOracle;
  /** Grid and number of augmentations of the paper. */
  readonly paper: readonly [grid: number, nAugmentations: number];
  /** Every how many patches are compared. */
  readonly stride: number;
}

/** CLIP ViT-B/16: one block, as brute force over 51 × 3137² pairs takes too long, and every 27th patch. */
function clip(): Backbone {
  const shape = { ...sizes, depth: 1, patchSize: 16, grid: [14, 14], patchBias: false } as const;
  const model = makeVision({ ...shape, preNorm: true, projected: 6 });
  return {
    family: "clip",
    keys: write.asHuggingFaceClip(model),
    config: { model_type: "clip", vision_config: { num_attention_heads: 1 } },
    oracle: {
      ...{ model, depth: 1, native: 14, grid: 56, patchSize: 16, eps: 1e-5 },
      ...{ convention: "hf", naclipStd: 10 },
    },
    paper: [56, 51],
    stride: 27,
  };
}

/** DINOv2 ViT-B/14 with four registers; all patches, with the attention of a block before the last. */
function dinov2(): Backbone {
  const shape = { ...sizes, depth: 2, patchSize: 14, grid: [37, 37] } as const;
  const model = makeVision({ ...shape, registers: 4, layerScale: true });
  return {
    family: "dinov2",
    keys: write.asHuggingFaceDinov2(model),
    config: { model_type: "dinov2_with_registers", num_attention_heads: 1, hidden_act: "gelu" },
    oracle: {
      ...{ model, depth: 2, native: 37, grid: 37, patchSize: 14, eps: 1e-6 },
      convention: "dinov2_reg",
    },
    paper: [37, 25],
    stride: 1,
  };
}

/**
 * RADIO v2.5-b: eight prefix tokens, SigLIP's head, all patches. Positions are for 1024 pixels in place of 2048, which are resized as
 * well; one block, whose patches do not meet (DINOv2 is the one where they do on this path).
 */
function radio(): Backbone {
  const shape = { ...sizes, depth: 1, patchSize: 16, grid: [64, 64], patchBias: false } as const;
  const body = { ...makeVision({ ...shape, cls: false, postNorm: false }), prefix: random([8, 8]) };
  const head = {
    ...linearPair("fc1", 10, 8),
    ...normPair("norm", 10),
    ...linearPair("fc2", 6, 10),
  };
  return {
    family: "radio",
    keys: { ...write.asRadio(body), ...prefixed("radio_model.adaptors.siglip.head_mlp.", head) },
    config: { heads: 1, summaryTokens: [0, 2], inputConditioner: "external" },
    oracle: {
      ...{ model: body, depth: 1, native: 64, grid: 48, patchSize: 16, eps: 1e-6 },
      ...{ convention: "radio", head },
    },
    paper: [48, 25],
    stride: 1,
  };
}

/** Pixels of one image at the paper's size, as the family takes them. */
function imageOf({ family }: Backbone, side: number): Float32Array<ArrayBuffer> {
  const shift = family === "radio" ? 0.5 : 0;
  return Float32Array.from(normal(randomKey(21), 3 * side * side), (v) => shift + 0.5 * v);
}

async function withBackbone(
  backbone: Backbone,
  body: (model: VisionModel, pixels: Tensor, image: Float32Array) => Promise<void>,
): Promise<void> {
  using model = await loadVit(gpu, toStateDict(backbone.keys), backbone.config);
  assert.equal(model.family, backbone.family);
  const { height, width } = paperSize(model.config);
  const image = imageOf(backbone, height);
  using pixels = Tensor.from(gpu, image, [1, 3, height, width]);
  await body(model, pixels, image);
}

for (const make of [clip, dinov2, radio]) {
  Deno.test(`distillDense() is brute force in float64 at the paper's grid and offsets of ${make.name}`, async () => {
    const backbone = make();
    const { family, oracle, paper: [grid, n], stride } = backbone;
    const settings = denseSettings[family];
    assert.deepEqual([settings.nAugmentations, settings.gaussianStd], [n, oracle.naclipStd]);
    await withBackbone(backbone, async (model, pixels, image) => {
      const shifts = patchShifts([grid, grid], n);
      const infill = whiteInfill(family);
      using map = distillDense(model, pixels, { ...settings, shifts, infill });
      const m = map.shape[3];
      assert.deepEqual(map.shape, [1, grid, grid, m]);
      const values = await map.data();
      const count = Math.ceil(grid * grid / stride);
      // The first and the last patch are corners, which few views show.
      const patches = Array.from({ length: count }, (_, i) => i * stride);
      if (patches.at(-1) !== grid * grid - 1) patches.push(grid * grid - 1);
      const want = distillInFloat64(oracle, image, { shifts, infill, patches });
      const got = patches.flatMap((patch) => [...values.subarray(patch * m, (patch + 1) * m)]);
      const error = relativeError(got, want);
      assert.ok(error <= TOLERANCE, `relative error ${error.toExponential(2)}`);
    });
  });
}

Deno.test("distillDense() over the image alone, and over copies of it, is the plain dense map bit for bit", async () => {
  for (const make of [clip, dinov2, radio]) {
    const backbone = make();
    const { family, paper: [grid] } = backbone;
    const { dense, arch, gaussianStd } = denseSettings[family];
    await withBackbone(backbone, async (model, pixels) => {
      using patches = model.embedPatches(pixels);
      using expected = model.denseTokens(patches, {
        ...{ dense, arch, gaussianStd, grid: [grid, grid] },
      });
      const values = await expected.data();
      // Sums and shares of 1 and 2 copies are exact. Of 3, the sum, the share and their product are rounded, each by 2^-24 at most.
      for (const n of [1, 2, 3]) {
        const shifts = Array.from({ length: n }, () => ({ dy: 0, dx: 0, flip: false }));
        const options = { dense, arch, gaussianStd, shifts, infill: whiteInfill(family) };
        using map = distillDense(model, pixels, options);
        const mean = await map.data();
        if (n < 3) assert.deepEqual(mean, values, `${family}, ${n} copies`);
        values.forEach((v, i) => assert.ok(Math.abs(mean[i] - v) <= 3 * 2 ** -24 * Math.abs(v)));
      }
    });
  }
});
