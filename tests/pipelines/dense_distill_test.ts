import assert from "node:assert/strict";
import { normal, randomKey } from "../../engine/random.ts";
import { Tensor } from "../../engine/tensor.ts";
import { distillDense } from "../../pipelines/dense/distill.ts";
import { type PatchShift, patchShifts } from "../../pipelines/dense/offsets.ts";
import { relevanceMaps, roiWeights, textSimilarity } from "../../pipelines/dense/relevance.ts";
import { InputError } from "../../pipelines/errors.ts";
import { type ForwardOptions, loadVit, type VisionModel } from "../../pipelines/models/model.ts";
import { openTestGpu } from "../_gpu.ts";
import { toStateDict } from "./vit_fixtures.ts";
import * as models from "./vit_models.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

interface Images {
  readonly n: number;
  readonly height: number;
  readonly width: number;
  readonly data: Float32Array<ArrayBuffer>;
}

function makeImages(n: number, height: number, width: number, offset = 0): Images {
  const data = Float32Array.from(
    normal(randomKey(7), n * 3 * height * width),
    (v) => offset + 0.3 * v,
  );
  return { n, height, width, data };
}

/** The augmented image itself: pixels moved by whole patches, infilled, mirrored; pixel by pixel. */
function augment(
  { height, width, data }: Images,
  image: number,
  { shift, patch, infill }: { shift: PatchShift; patch: number; infill: readonly number[] },
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(3 * height * width);
  for (let c = 0; c < 3; c++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const fromY = y + shift.dy * patch;
        const fromX = (shift.flip ? width - 1 - x : x) + shift.dx * patch;
        const inside = fromY >= 0 && fromY < height && fromX >= 0 && fromX < width;
        out[(c * height + y) * width + x] = inside
          ? data[((image * 3 + c) * height + fromY) * width + fromX]
          : infill[c];
      }
    }
  }
  return out;
}

/** Distillation in so many words: run every augmented image, carry every cell back by hand, average in float64. */
async function bruteForce(
  model: VisionModel,
  images: Images,
  shifts: readonly PatchShift[],
  { infill, ...options }: ForwardOptions & { infill: readonly number[] },
): Promise<Float64Array> {
  const patch = model.config.patchSize;
  const [rows, columns] = [images.height / patch, images.width / patch];
  let sums = new Float64Array(0);
  const counts = new Float64Array(images.n * rows * columns);
  for (let i = 0; i < images.n; i++) {
    for (const shift of shifts) {
      const moved = augment(images, i, { shift, patch, infill });
      using pixels = Tensor.from(gpu, moved, [1, 3, images.height, images.width]);
      const { output, captured } = model.forward(pixels, { ...options, capture: ["dense"] });
      using _output = output;
      using dense = captured.get("dense")!;
      const values = await dense.data();
      const m = dense.shape[3];
      if (sums.length === 0) sums = new Float64Array(images.n * rows * columns * m);
      for (let r = 0; r < rows; r++) {
        for (let c = 0; c < columns; c++) {
          const y = r + shift.dy, x = (shift.flip ? columns - 1 - c : c) + shift.dx;
          if (y < 0 || y >= rows || x < 0 || x >= columns) continue;
          const to = (i * rows + y) * columns + x;
          counts[to]++;
          for (let j = 0; j < m; j++) sums[to * m + j] += values[(r * columns + c) * m + j];
        }
      }
    }
  }
  const m = sums.length / counts.length;
  return sums.map((sum, at) => sum / counts[Math.floor(at / m)]);
}

function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  assert.equal(a.length, b.length);
  let [difference, size] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    difference += (a[i] - b[i]) ** 2;
    size += b[i] ** 2;
  }
  return Math.sqrt(difference / size);
}

// Both sides run the same f32 model; the sums differ in order over at most 13 images and the batches in their tiling: ~1e-6.
const TOLERANCE = 1e-5;

async function withModel(
  tiny: models.TinyModel,
  body: (model: VisionModel) => Promise<void>,
): Promise<void> {
  const { keys, config } = tiny.layouts[0];
  using model = await loadVit(gpu, toStateDict(keys), config);
  await body(model);
}

Deno.test("distillDense() is what running every shifted image gives, for every family with a dense map", async () => {
  const cases: [models.TinyModel, ForwardOptions, number[]][] = [
    [models.clip, { dense: "naclip", gaussianStd: 2 }, [1.9, 2.1, 2.2]],
    [models.clip, { dense: "vanilla", posInterpolation: "naclip" }, [1.9, 2.1, 2.2]],
    [models.dinov2Registers, { dense: "maskclip" }, [2.2, 2.4, 2.6]],
    [models.mae, { dense: "sclip" }, [2.2, 2.4, 2.6]],
    [models.radio, { dense: "maskclip" }, [1, 1, 1]],
  ];
  for (const [tiny, options, infill] of cases) {
    await withModel(tiny, async (model) => {
      const { patchSize } = model.config;
      const offset = tiny.family === "radio" ? 0.5 : 0;
      const images = makeImages(2, 7 * patchSize, 8 * patchSize, offset);
      const shifts = patchShifts([7, 8], 13);
      const expected = await bruteForce(model, images, shifts, { ...options, infill });
      for (const batch of [undefined, 4]) {
        using pixels = Tensor.from(gpu, images.data, [2, 3, images.height, images.width]);
        using map = distillDense(model, pixels, { ...options, shifts, infill, batch });
        assert.deepEqual(map.shape.slice(0, 3), [2, 7, 8]);
        const error = relativeError(await map.data(), expected);
        assert(error <= TOLERANCE, `${tiny.name}, batch ${batch}: ${error}`);
      }
    });
  }
});

Deno.test("distillDense() over the image alone is the model's own dense map", async () => {
  await withModel(models.clip, async (model) => {
    const images = makeImages(1, 16, 16);
    using pixels = Tensor.from(gpu, images.data, [1, 3, 16, 16]);
    const infill = [2, 2, 2];
    using map = distillDense(model, pixels, {
      dense: "naclip",
      infill,
      shifts: patchShifts([4, 4], 1),
    });
    const plain = model.forward(pixels, { dense: "naclip", capture: ["dense"] });
    using _output = plain.output;
    using dense = plain.captured.get("dense")!;
    assert(relativeError(await map.data(), await dense.data()) <= TOLERANCE);
  });
});

Deno.test("distillDense() refuses shifts that leave a patch unseen, and an infill of other channels", async () => {
  await withModel(models.clip, async (model) => {
    using pixels = Tensor.zeros(gpu, [1, 3, 16, 16]);
    const away = [{ dy: 1, dx: 0, flip: false }];
    const infill = [2, 2, 2];
    assert.throws(() => distillDense(model, pixels, { shifts: away, infill }), InputError);
    const shifts = patchShifts([4, 4], 3);
    assert.throws(() => distillDense(model, pixels, { shifts, infill: [1] }), InputError);
    await gpu.sync();
  });
});

Deno.test("relevanceMaps() of a region's mean weights are the mean of its voxels' maps", async () => {
  const [n, h, w, m, nTargets] = [2, 3, 4, 5, 6];
  const draw = (key: number, size: number) => Float32Array.from(normal(randomKey(key), size));
  const [features, coef, intercept] = [draw(1, n * h * w * m), draw(2, m * nTargets), draw(3, 6)];
  const rois = [{ name: "A", voxels: [0, 2, 5] }, { name: "B", voxels: [1] }];
  const roi = roiWeights(coef, intercept, rois);
  using dense = Tensor.from(gpu, features, [n, h, w, m]);
  using all = Tensor.from(gpu, coef, [m, nTargets]);
  using b = Tensor.from(gpu, intercept);
  using maps = relevanceMaps(dense, all, { intercept: b });
  using weights = Tensor.from(gpu, roi.coef, [m, 2]);
  using c = Tensor.from(gpu, roi.intercept);
  using roiMaps = relevanceMaps(dense, weights, { intercept: c });
  assert.deepEqual(maps.shape, [n, nTargets, h, w]);
  const [each, mean] = [await maps.data(), await roiMaps.data()];
  for (let i = 0; i < n; i++) {
    for (let p = 0; p < h * w; p++) {
      const patch = features.subarray((i * h * w + p) * m, (i * h * w + p + 1) * m);
      const norm = Math.hypot(...patch);
      const at = (v: number) => (i * nTargets + v) * h * w + p;
      for (let v = 0; v < nTargets; v++) {
        let value = intercept[v];
        for (let f = 0; f < m; f++) value += patch[f] / norm * coef[f * nTargets + v];
        assert(Math.abs(each[at(v)] - value) < 1e-5);
      }
      rois.forEach(({ voxels }, r) => {
        const expected = voxels.reduce((sum, v) => sum + each[at(v)], 0) / voxels.length;
        assert(Math.abs(mean[(i * 2 + r) * h * w + p] - expected) < 1e-5);
      });
    }
  }
  assert.throws(() => roiWeights(coef, intercept, [{ name: "C", voxels: [6] }]), InputError);
  assert.throws(() => roiWeights(coef, intercept, [{ name: "C", voxels: [] }]), InputError);
  using short = Tensor.zeros(gpu, [4, 2]);
  assert.throws(() => relevanceMaps(dense, short), InputError);
});

Deno.test("textSimilarity() is 1 where a patch is the text and survives patches of zeros", async () => {
  using dense = Tensor.from(gpu, [3, 4, 0, 0, -6, -8, 4, -3], [1, 2, 2, 2]);
  using text = Tensor.from(gpu, [0.6, 0.8], [1, 2]);
  using maps = textSimilarity(dense, text);
  const expected = [1, 0, -1, 0];
  (await maps.data()).forEach((v, i) => assert(Math.abs(v - expected[i]) < 1e-6, `${i}: ${v}`));
});
