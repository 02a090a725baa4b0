/**
 * The phantom's networks as they are shipped.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Tensor } from "../../engine/tensor.ts";
import type { VisionModel } from "../../pipelines/models/model.ts";
import { imagenetMean, imagenetStd } from "../../pipelines/images/preprocess.ts";
import { categoryPrompts } from "../../pipelines/phantom/captions.ts";
import { loadPhantomNet, phantomNetFiles } from "../../pipelines/phantom/nets.ts";
import { sceneIndex } from "../../pipelines/phantom/phantom.ts";
import { renderScene } from "../../pipelines/phantom/render.ts";
import { CATEGORIES, randomScene, sceneCategories } from "../../pipelines/phantom/scene.ts";
import { phantomNets } from "../../pipelines/phantom/train.ts";
import { phantomTokenizer } from "../../pipelines/phantom/train_clip.ts";
import { CNN_TARGETS, cnnTargets } from "../../pipelines/phantom/train_cnn_views.ts";
import { normalizedPixels, type TrainingScenes } from "../../pipelines/phantom/train_data.ts";
import { openMethodGpu } from "../_gpu.ts";

const SIZE = 64;
const GRID = 8;
const N_SCENES = 60;

/** Test scenes of the phantom with seed 0, which no network was trained on. */
function heldOut(): TrainingScenes & { readonly labels: Uint8Array } {
  const scenes = Array.from({ length: N_SCENES }, (_, i) => randomScene(0, sceneIndex(i, 0)));
  const pixels = new Uint8Array(N_SCENES * SIZE * SIZE * 3);
  const labels = new Uint8Array(N_SCENES * SIZE * SIZE);
  scenes.forEach((scene, i) => {
    const rendered = renderScene(scene, { size: SIZE });
    pixels.set(rendered.rgb, i * rendered.rgb.length);
    labels.set(rendered.labels, i * rendered.labels.length);
  });
  return { size: SIZE, scenes, pixels, labels };
}

/** Share of a category in each patch of an image, `[GRID * GRID]`. */
function patchShares(labels: Uint8Array, image: number, category: number): number[] {
  const patch = SIZE / GRID;
  const out = new Array<number>(GRID * GRID).fill(0);
  for (let p = 0; p < SIZE * SIZE; p++) {
    const cell = Math.floor(p / SIZE / patch) * GRID + Math.floor(p % SIZE / patch);
    if (labels[image * SIZE * SIZE + p] === category + 1) out[cell] += 1 / (patch * patch);
  }
  return out;
}

const all = Array.from({ length: N_SCENES }, (_, i) => i);

function unit(v: Float32Array): Float32Array {
  const length = Math.hypot(...v);
  return v.map((x) => x / length);
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

function pearson(a: readonly number[], b: readonly number[]): number {
  const centred = (x: readonly number[]) => {
    const mean = x.reduce((s, v) => s + v, 0) / x.length;
    return x.map((v) => v - mean);
  };
  const [x, y] = [centred(a), centred(b)];
  return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
}

/** Mean embedding of each category's prompts. */
async function categoryEmbeddings(model: VisionModel): Promise<Float32Array[]> {
  const tokenizer = phantomTokenizer();
  const { startOfText, endOfText } = tokenizer;
  const out: Float32Array[] = [];
  for (const category of CATEGORIES) {
    const rows = categoryPrompts[category]
      .map((text) => [startOfText, ...tokenizer.tokenize(text), endOfText]);
    using texts = model.encodeText(rows);
    const values = await texts.data() as Float32Array;
    const width = values.length / rows.length;
    const sum = new Float32Array(width);
    rows.forEach((_, i) => {
      unit(values.slice(i * width, (i + 1) * width)).forEach((v, j) => sum[j] += v);
    });
    out.push(unit(sum));
  }
  return out;
}

Deno.test("the shipped networks are 4 MB together and load as their families", async () => {
  using gpu = await openMethodGpu();
  let bytes = 0;
  for (const net of phantomNets) {
    bytes += Deno.statSync(phantomNetFiles(net).weights).size;
    using model = await loadPhantomNet(gpu, net);
    assert.equal(model.family, net);
    assert.deepEqual(
      [...model.ignoredKeys].filter((key) => !key.includes(".feat_mlp.")),
      {
        clip: [],
        dinov2: ["embeddings.mask_token"],
        radio: [],
      }[net],
    );
    const grid = net === "radio" ? 2 * GRID : GRID; // of positions: RADIO's table is larger than its images
    assert.deepEqual([model.config.patchSize, ...model.config.grid], [8, grid, grid]);
  }
  const { weights } = phantomNetFiles("cnn");
  bytes += Deno.statSync(weights).size;
  {
    using model = await loadPhantomNet(gpu, "cnn");
    assert.equal(model.family, "vgg");
    assert.deepEqual(model.ignoredKeys, []);
    assert.equal(model.preprocessing.size, SIZE);
    assert.equal(model.outputWidth, CNN_TARGETS);
    assert.deepEqual(model.tapNames.slice(-3), ["avgpool", "classifier.1", "classifier.3"]);
  }
  assert.ok(bytes <= 4 * 2 ** 20, `${bytes} bytes`);
  assert.equal(gpu.liveBytes, 0);
});

Deno.test("the shipped CNN tells what is in held-out scenes, in which quarter, and its colours", async () => {
  using gpu = await openMethodGpu();
  const data = heldOut();
  {
    using model = await loadPhantomNet(gpu, "cnn");
    const { mean, std } = model.preprocessing;
    using pixels = Tensor.from(gpu, normalizedPixels(data, all, { mean, std }), [
      ...[N_SCENES, 3, SIZE, SIZE],
    ]);
    using output = model.forward(pixels).output;
    const said = await output.data() as Float32Array;
    const column = (k: number) => all.map((i) => said[i * CNN_TARGETS + k]);
    let right = 0;
    const located: number[] = [];
    CATEGORIES.forEach((category, k) => {
      const logits = column(k);
      data.scenes.forEach((scene, i) => {
        if ((logits[i] > 0) === sceneCategories(scene).includes(category)) right++;
      });
      for (let quarter = 0; quarter < 4; quarter++) {
        const shares = all.map((i) => {
          let count = 0;
          for (let p = 0; p < SIZE * SIZE; p++) {
            const at = 2 * Number(Math.floor(p / SIZE) >= SIZE / 2) + Number(p % SIZE >= SIZE / 2);
            if (at === quarter && data.labels[i * SIZE * SIZE + p] === k + 1) count++;
          }
          return count;
        });
        located.push(pearson(column(cnnTargets.present + 4 * k + quarter), shares));
      }
    });
    const first = cnnTargets.present + cnnTargets.shares + cnnTargets.gratings;
    const colored = [0, 1, 2].map((c) => {
      const corner = all.map((i) => {
        let sum = 0;
        for (let p = 0; p < SIZE * SIZE / 4; p++) {
          if (p % SIZE < SIZE / 4) sum += data.pixels[3 * (i * SIZE * SIZE + p) + c];
        }
        return sum;
      });
      return pearson(column(first + c), corner);
    });
    const meanOf = (values: readonly number[]) => values.reduce((s, v) => s + v, 0) / values.length;
    const found = [right / (N_SCENES * CATEGORIES.length), meanOf(located), Math.min(...colored)];
    // Measured: 0.85, 0.61 and 0.69, after which these were chosen; always to deny a category would be right in 0.69.
    assert.ok(found[0] >= 0.8 && found[1] >= 0.55 && found[2] >= 0.6, `${found}`);
  }
  assert.equal(gpu.liveBytes, 0);
});

Deno.test("the shipped CLIP names what is in held-out scenes, and where it is", async () => {
  using gpu = await openMethodGpu();
  const data = heldOut();
  {
    using model = await loadPhantomNet(gpu, "clip");
    const categories = await categoryEmbeddings(model);
    using pixels = Tensor.from(gpu, normalizedPixels(data, all), [N_SCENES, 3, SIZE, SIZE]);
    const { output, captured } = model.forward(pixels, { capture: ["dense"], dense: "naclip" });
    const images = await output.data() as Float32Array;
    const dense = await captured.get("dense")!.data() as Float32Array;
    for (const tensor of [output, ...captured.values()]) tensor.dispose();
    const m = model.outputWidth;
    const named = data.scenes.filter((scene, i) => {
      const scores = categories.map((c) => dot(c, images.subarray(i * m, (i + 1) * m)));
      const best = CATEGORIES[scores.indexOf(Math.max(...scores))];
      return sceneCategories(scene).includes(best);
    });
    // Measured: see weights/README.md.
    assert.ok(named.length >= 0.9 * N_SCENES, `${named.length} of ${N_SCENES} scenes`);
    const found: number[] = [];
    CATEGORIES.forEach((_, k) => {
      for (const i of all) {
        const mask = patchShares(data.labels, i, k);
        if (Math.max(...mask) < 0.5 || Math.min(...mask) > 0.5) continue;
        const map = mask.map((_, p) => {
          const cell = i * GRID * GRID + p;
          return dot(categories[k], unit(dense.slice(cell * m, (cell + 1) * m)));
        });
        found.push(pearson(map, mask));
      }
    });
    const mean = found.reduce((sum, r) => sum + r, 0) / found.length;
    assert.ok(mean >= 0.45, `mean Pearson r ${mean} of ${found.length} maps`);
  }
  assert.equal(gpu.liveBytes, 0);
});

Deno.test("the shipped DINOv2 keeps what two pictures of one kind share", async () => {
  using gpu = await openMethodGpu();
  const data = heldOut();
  {
    using model = await loadPhantomNet(gpu, "dinov2");
    const values = normalizedPixels(data, all, { mean: imagenetMean, std: imagenetStd });
    using pixels = Tensor.from(gpu, values, [N_SCENES, 3, SIZE, SIZE]);
    const { output } = model.forward(pixels);
    const cls = await output.data() as Float32Array;
    output.dispose();
    const m = model.outputWidth;
    const rows = all.map((i) => unit(cls.slice(i * m, (i + 1) * m)));
    // Whether the nearest other scene has a place behind it too.
    const isPlace = data.scenes.map((scene) => sceneCategories(scene).includes("place"));
    const right = all.filter((i) => {
      const order = all.filter((j) => j !== i).sort((a, b) =>
        dot(rows[b], rows[i]) - dot(rows[a], rows[i])
      );
      return isPlace[order[0]] === isPlace[i];
    });
    assert.ok(right.length >= 0.75 * N_SCENES, `${right.length} of ${N_SCENES} scenes`);
  }
  assert.equal(gpu.liveBytes, 0);
});

Deno.test("the shipped RADIO says of held-out scenes what its teacher says, through its adaptor", async () => {
  using gpu = await openMethodGpu();
  const data = heldOut();
  {
    using teacher = await loadPhantomNet(gpu, "clip");
    using student = await loadPhantomNet(gpu, "radio");
    const embed = async (model: VisionModel, values: Float32Array<ArrayBuffer>) => {
      using pixels = Tensor.from(gpu, values, [N_SCENES, 3, SIZE, SIZE]);
      const { output } = model.forward(pixels);
      const rows = await output.data() as Float32Array;
      output.dispose();
      const m = model.outputWidth;
      return all.map((i) => unit(rows.slice(i * m, (i + 1) * m)));
    };
    const taught = await embed(teacher, normalizedPixels(data, all));
    // RADIO takes pixels in 0..1 and normalises them itself.
    const inside = normalizedPixels(data, all, { mean: [0, 0, 0], std: [1, 1, 1] });
    const said = await embed(student, inside);
    const mean = (shift: number) =>
      all.reduce((sum, i) => sum + dot(said[i], taught[(i + shift) % N_SCENES]) / N_SCENES, 0);
    const [own, other] = [mean(0), mean(1)];
    // Measured: see weights/README.md.
    assert.ok(own >= 0.95, `mean cosine to the teacher ${own}`);
    assert.ok(own >= other + 0.7, `${own} of the same scene, ${other} of another`);
  }
  assert.equal(gpu.liveBytes, 0);
});
