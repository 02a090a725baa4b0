import assert from "node:assert/strict";
import { normal, randomKey } from "../../engine/random.ts";
import { Tape } from "../../engine/tape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { type ForwardOptions, loadVit, type VisionModel } from "../../pipelines/models/model.ts";
import type { DenseMode } from "../../pipelines/models/vit.ts";
import { openTestGpu } from "../_gpu.ts";
import { toStateDict } from "./vit_fixtures.ts";
import * as models from "./vit_models.ts";
import { assertTensor, referenceOutput, type ReferenceRun, runReference } from "./vit_oracle.ts";
import { linear, type ReferenceAttention } from "./vit_reference.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

/** Two images whose grid is neither square nor native: 2×4 patches. */
function makeImages({ model, family }: models.TinyModel) {
  const side = Math.sqrt(model["patch.weight"].shape[1] / 3);
  const [height, width] = [2 * side, 4 * side];
  const pixels = Float32Array.from(
    normal(randomKey(3), 2 * 3 * height * width),
    (v) => family === "radio" ? 0.5 + 0.2 * v : v,
  );
  const images = [0, 1].map((i) =>
    Float64Array.from(pixels.subarray(i * 3 * height * width, (i + 1) * 3 * height * width))
  );
  return { height, width, images, tensor: () => Tensor.from(gpu, pixels, [2, 3, height, width]) };
}

/** Runs a model, hands the results to `check`, disposes everything. */
async function withForward(
  model: VisionModel,
  pixels: Tensor,
  options: ForwardOptions,
  check: (get: (name: string) => Tensor) => Promise<void>,
): Promise<void> {
  const { output, captured } = model.forward(pixels, options);
  try {
    await check((name) => {
      const found = name === "output" ? output : captured.get(name);
      assert(found, `${name} was not captured`);
      return found;
    });
  } finally {
    for (const tensor of [output, ...captured.values()]) tensor.dispose();
  }
}

const BLOCK_PARTS = ["q", "k", "v", "out"] as const;
const names = [
  ...["patch_embed", "embeddings", "ln_pre", "final"],
  ...[0, 1].flatMap((i) => [
    `blocks.${i}`,
    `blocks.${i}.mlp`,
    ...BLOCK_PARTS.map((part) => `blocks.${i}.attn.${part}`),
  ]),
];

function referenceOf(name: string, run: ReferenceRun): number[][] {
  const match = /^blocks\.(\d)(?:\.attn)?\.?(.*)$/.exec(name);
  if (match) {
    const part = (match[2] || "stream") as typeof BLOCK_PARTS[number] | "mlp" | "stream";
    return run.blocks[Number(match[1])][part]!;
  }
  const stage = { patch_embed: "patches", embeddings: "embeddings", ln_pre: "start" }[name];
  return run[(stage ?? "final") as "final"];
}

for (const tiny of models.tinyModels) {
  Deno.test(`forward() of ${tiny.name} equals the float64 reference at every stage, in every layout`, async () => {
    const { images, height, width, tensor } = makeImages(tiny);
    const runs = images.map((image) => runReference(tiny, image, { height, width }));
    using pixels = tensor();
    for (const layout of tiny.layouts) {
      using model = await loadVit(gpu, toStateDict(layout.keys), layout.config);
      assert.equal(model.family, tiny.family);
      await withForward(model, pixels, { capture: names }, async (get) => {
        for (const name of names) {
          const want = runs.flatMap((run) => referenceOf(name, run).flat());
          await assertTensor(get(name), want, `${layout.name} ${name}`);
        }
        const want = runs.flatMap((run) => referenceOutput(tiny, run));
        await assertTensor(get("output"), want, `${layout.name} output`);
        assert.deepEqual(get("output").shape, [2, model.outputWidth]);
      });
    }
  });
}

async function loadFirst({ layouts: [{ keys, config }] }: models.TinyModel, more = {}) {
  return await loadVit(gpu, toStateDict(keys), { ...config, ...more });
}

const denseModes: DenseMode[] = ["vanilla", "maskclip", "sclip", "naclip", "kk", "nonly"];

for (const tiny of [models.clip, models.dinov2Registers]) {
  Deno.test(`forward() of ${tiny.name} changes the last block for every dense mode and arch`, async () => {
    const { images, height, width, tensor } = makeImages(tiny);
    using pixels = tensor();
    using model = await loadFirst(tiny);
    const plain = images.map((image) => runReference(tiny, image, { height, width }));
    const window = { grid: [2, 4], prefix: model.config.prefixTokens, std: 1.5 } as const;
    for (const dense of denseModes) {
      for (const arch of ["reduced", "vanilla"] as const) {
        const mode = dense === "vanilla" ? "qk" : dense;
        const kind: ReferenceAttention = { mode, window };
        const last = { kind, reduced: arch === "reduced" };
        const project = (run: ReferenceRun) =>
          tiny.model["projection.weight"] ? linear(tiny.model, "projection", run.final) : run.final;
        const projected = images.map((image) =>
          project(runReference(tiny, image, { height, width, last }))
        );
        const options = { dense, arch, gaussianStd: 1.5, capture: ["dense", "projected", "final"] };
        await withForward(model, pixels, options, async (get) => {
          const what = `${dense} ${arch}`;
          await assertTensor(get("projected"), projected.flat(2), what);
          const patches = projected.map((rows) => rows.slice(model.config.prefixTokens));
          await assertTensor(get("dense"), patches.flat(2), what);
          assert.deepEqual(get("dense").shape, [2, 2, 4, model.outputWidth]);
          // what is not dense is the model as trained
          await assertTensor(get("final"), plain.flatMap((run) => run.final.flat()), what);
          const want = plain.flatMap((run) => referenceOutput(tiny, run));
          await assertTensor(get("output"), want, what);
        });
      }
    }
  });
}

Deno.test("forward() takes arch and window from the mode's own code when nobody says", async () => {
  const tiny = models.clip;
  const { tensor } = makeImages(tiny);
  using pixels = tensor();
  using model = await loadFirst(tiny);
  const data = async (options: ForwardOptions) => {
    let values: ArrayLike<number> = [];
    await withForward(model, pixels, { ...options, capture: ["dense"] }, async (get) => {
      values = await get("dense").data();
    });
    return values;
  };
  assert.deepEqual(
    await data({ dense: "naclip" }),
    await data({ dense: "naclip", arch: "reduced", gaussianStd: 5 }),
  );
  assert.deepEqual(
    await data({ dense: "maskclip" }),
    await data({ dense: "maskclip", arch: "vanilla" }),
  );
  assert.deepEqual(await data({}), await data({ dense: "vanilla", arch: "vanilla" }));
});

Deno.test("forward() follows the positional convention that is asked for", async () => {
  const tiny = models.clip;
  const { images, height, width, tensor } = makeImages(tiny);
  using pixels = tensor();
  using model = await loadFirst(tiny, { posInterpolation: "naclip" });
  for (const posInterpolation of [undefined, "timm"] as const) {
    const convention = posInterpolation ?? "naclip";
    const want = images.flatMap((image) =>
      runReference(tiny, image, { height, width, convention }).embeddings.flat()
    );
    await withForward(
      model,
      pixels,
      { posInterpolation, capture: ["embeddings"] },
      (get) => assertTensor(get("embeddings"), want, convention),
    );
  }
});

Deno.test("forwardTokens() and denseTokens() give what forward() gives on embedded patches", async () => {
  const tiny = models.dinov2Registers;
  const { tensor } = makeImages(tiny);
  using pixels = tensor();
  using model = await loadFirst(tiny);
  using patches = model.embedPatches(pixels);
  const options = { dense: "maskclip", capture: ["dense"] } as const;
  await withForward(model, pixels, options, async (get) => {
    const again = model.forwardTokens(patches, { ...options, grid: [2, 4] });
    using output = again.output;
    using dense = again.captured.get("dense")!;
    assert.deepEqual(await output.data(), await get("output").data());
    assert.deepEqual(await dense.data(), await get("dense").data());
    using alone = model.denseTokens(patches, { dense: "maskclip", grid: [2, 4] });
    assert.deepEqual(await alone.data(), await get("dense").data());
    using plain = model.denseTokens(patches, { grid: [2, 4] });
    assert.deepEqual(plain.shape, [2, 2, 4, 24]);
  });
});

Deno.test("forward() inside tidy leaves the model whole, for more grids than it remembers", async () => {
  using model = await loadFirst(models.dino);
  for (let round = 0; round < 2; round++) {
    for (let columns = 1; columns <= 6; columns++) {
      using output = tidy(gpu, () => {
        const pixels = Tensor.from(gpu, new Float32Array(3 * 4 * 4 * columns), [
          1,
          3,
          4,
          4 * columns,
        ]);
        return model.forward(pixels).output;
      });
      assert((await output.data()).every(Number.isFinite));
    }
  }
});

/** Compares the gradient of `readout · f(pixels)` along a random direction with central differences of the reference. */
async function checkGradient(
  tiny: models.TinyModel,
  f: (model: VisionModel, x: Tensor) => Tensor,
  reference: (image: Float64Array, size: { height: number; width: number }) => number[],
): Promise<void> {
  const { images, height, width, tensor } = makeImages(tiny);
  using model = await loadFirst(tiny);
  using pixels = tensor();
  using tape = new Tape();
  using x = tape.watch(pixels);
  using y = tidy(gpu, () => f(model, x));
  const readout = normal(randomKey(8), y.size);
  using seed = Tensor.from(gpu, readout, y.shape);
  const [gradient] = tape.gradient(y, [x], { seed });
  using held = gradient;
  const got = await held.data();
  const direction = Float64Array.from(normal(randomKey(9), got.length));
  const lossAt = (step: number) =>
    images.flatMap((image, n) => {
      const moved = image.map((v, i) => v + step * direction[n * image.length + i]);
      return reference(moved, { height, width });
    }).reduce((sum, v, i) => sum + v * readout[i], 0);
  const numeric = (lossAt(1e-4) - lossAt(-1e-4)) / 2e-4;
  const analytic = direction.reduce((sum, v, i) => sum + v * got[i], 0);
  // central differences in float64 leave 1e-8 of truncation; f32 gradients through two blocks a few 1e-6
  const error = Math.abs(analytic - numeric) / (Math.hypot(...got) + Math.abs(numeric));
  assert(error <= 2e-5, `gradient ${analytic}, differences ${numeric}: ${error}`);
}

for (const tiny of [models.clip, models.dinov2Swiglu, models.siglip, models.radio]) {
  Deno.test(`forward() of ${tiny.name} is differentiable by pixels`, () =>
    checkGradient(
      tiny,
      (model, x) => model.forward(x).output,
      (image, size) => referenceOutput(tiny, runReference(tiny, image, size)),
    ));
}

for (const dense of denseModes) {
  Deno.test(`forward() of CLIP is differentiable by pixels through the dense mode ${dense}`, () =>
    checkGradient(
      models.clip,
      (model, x) =>
        model.forward(x, { dense, arch: "reduced", gaussianStd: 1.5, capture: ["projected"] })
          .captured.get("projected")!,
      (image, size) => {
        const mode = dense === "vanilla" ? "qk" : dense;
        const kind = { mode, window: { grid: [2, 4], prefix: 1, std: 1.5 } } as const;
        const run = runReference(models.clip, image, { ...size, last: { kind, reduced: true } });
        return linear(models.clip.model, "projection", run.final).flat();
      },
    ));
}

Deno.test("close the device", () => gpu[Symbol.dispose]());
