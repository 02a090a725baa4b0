/**
 * Images for a screen, controls and predicted responses.
 */
import assert from "node:assert/strict";
import {
  type ColorImage,
  colorImage,
  luminanceMoments,
  normal,
  phaseScrambled,
  predictResponses,
  presentationReference,
  presentImage,
  randomKey,
  rfft2,
  slice,
  Tensor,
  tidy,
} from "../../mod.ts";
import { openTestGpu } from "../_gpu.ts";
import { CHANNELS, convReference, TinyNet } from "./optvis_net.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));
const near = (a: ArrayLike<number>, b: readonly number[], tolerance = 1e-12) =>
  assert(
    a.length === b.length && b.every((v, i) => Math.abs(a[i] - v) <= tolerance),
    `${Array.from(a)} is not ${b}`,
  );

/** Four gray pixels. */
const gray = (values: readonly number[]): ColorImage => ({
  height: 2,
  width: 2,
  data: [...values, ...values, ...values],
});

Deno.test("luminance is Rec. 709's, contrast its standard deviation", () => {
  const { luminance, contrast } = luminanceMoments({
    height: 1,
    width: 2,
    data: [1, 0, 0, 1, 0, 0], // red, then green
  });
  near([luminance, contrast], [(0.2126 + 0.7152) / 2, (0.7152 - 0.2126) / 2]);
});

Deno.test("presentImage() gives the luminance and contrast asked for, in colour too", () => {
  const noise = Float64Array.from(normal(randomKey(1), 3 * 64), (v) => 0.5 + 0.1 * v);
  const image = { height: 8, width: 8, data: noise };
  const { colors, clipped, moments } = presentImage(image, { luminance: 0.4, contrast: 0.05 });
  near([moments.luminance, moments.contrast, clipped], [0.4, 0.05, 0]);
  const before = luminanceMoments(image), gain = 0.05 / before.contrast;
  near(colors.data, [...noise].map((v) => 0.4 + gain * (v - before.luminance)));
  near(presentImage(gray([0.2, 0.4, 0.6, 0.8])).colors.data.subarray(0, 4), [0.2, 0.4, 0.6, 0.8]);
  const wild = presentImage(gray([-0.5, 0.5, 0.5, 2]));
  near(wild.colors.data.subarray(0, 4), [0, 0.5, 0.5, 1]);
  assert.equal(wild.clipped, 0.5);
});

Deno.test("presentImage() matches a histogram rank by rank", () => {
  // even shares of 0…1: the four ranks lie at 1/8, 3/8, 5/8 and 7/8
  const { colors } = presentImage(gray([0.5, 0.1, 0.2, 0.4]), { quantiles: [0, 0.5, 1] });
  near(colors.data.subarray(0, 4), [0.875, 0.125, 0.375, 0.625]);
  const dark = { height: 1, width: 2, data: Uint8Array.from([0, 0, 0, 51, 51, 51]) };
  const light = { height: 1, width: 2, data: Uint8Array.from([102, 102, 102, 255, 255, 255]) };
  const reference = presentationReference([dark, light]);
  near([reference.luminance, reference.contrast], [(0.1 + 0.7) / 2, (0.1 + 0.3) / 2]);
  near([reference.quantiles[0], reference.quantiles[128], reference.quantiles[256]], [
    0.2,
    0.4,
    0.6,
  ]);
  near(colorImage(dark).data, [0, 0.2, 0, 0.2, 0, 0.2]);
  assert.throws(() => presentationReference([]), { name: "InputError" });
});

Deno.test("presentImage() shows a soft window on gray, and undoes a screen's gamma", () => {
  const size = 40,
    white: ColorImage = {
      height: size,
      width: size,
      data: new Float64Array(3 * size * size).fill(1),
    };
  const { colors } = presentImage(white, { aperture: { radius: 0.8, edge: 0.4 }, background: 0.5 });
  const at = (row: number, column: number) => colors.data[row * size + column];
  assert.equal(at(20, 20), 1);
  assert.equal(at(0, 0), 0.5);
  // column 32 is 12.5 pixels out: a share of √(12.5² + 0.5²)/20 of the half side
  const t = (Math.hypot(12.5, 0.5) / 20 - 0.4) / 0.4;
  near([at(20, 32)], [0.5 + 0.5 * (1 + Math.cos(Math.PI * t)) / 2]);
  const bytes = presentImage(gray([0, 0.25, 0.5, 1]), { gamma: 2 }).image.data;
  assert.deepEqual([...bytes.filter((_, i) => i % 3 === 1)], [0, 128, 180, 255]); // 255·√v
  const refuse = (options: Parameters<typeof presentImage>[1]) =>
    assert.throws(() => presentImage(white, options), { name: "InputError" });
  refuse({ luminance: 2 });
  refuse({ quantiles: [0, 1], contrast: 0.1 });
  refuse({ gamma: 0 });
  assert.throws(() => presentImage({ ...white, height: 3 }), { name: "InputError" });
});

for (const [height, width] of [[8, 10], [7, 9]]) {
  Deno.test(`phaseScrambled() keeps amplitudes and means of ${height}x${width} and nothing else`, async () => {
    using x = Tensor.from(gpu, normal(randomKey(2), 2 * 3 * height * width), [2, 3, height, width]);
    using y = phaseScrambled(x, randomKey(3));
    const amplitudes = async (t: Tensor) => {
      const { re, im } = rfft2(t);
      const [a, b] = [await re.data(), await im.data()];
      re.dispose();
      im.dispose();
      return Array.from(a, (v, i) => Math.hypot(v, b[i]));
    };
    near(await amplitudes(y), await amplitudes(x), 2e-4); // amplitudes up to 30, two transforms in f32
    const [before, after] = [await x.data(), await y.data()];
    let dot = 0, size = 0;
    before.forEach((v, i) => {
      dot += v * after[i];
      size += v * v;
    });
    assert(Math.abs(dot / size) < 0.5);
    using second = tidy(gpu, () => slice(x, { axis: 0, start: 1, end: 2 }));
    using alone = phaseScrambled(second, randomKey(3), { first: 1 });
    assert.deepEqual(await alone.data(), after.slice(after.length / 2));
  });
}

Deno.test("predictResponses() is every readout of every image, in batches", async () => {
  using net = new TinyNet(gpu, "softplus");
  const n = 5, plane = 36, images = normal(randomKey(4), n * 3 * plane);
  using x = Tensor.from(gpu, images, [n, 3, 6, 6]);
  const direct = normal(randomKey(5), 2 * CHANNELS * plane),
    means = normal(randomKey(6), 2 * CHANNELS);
  using a = Tensor.from(gpu, direct, [2, CHANNELS * plane]);
  using b = Tensor.from(gpu, means, [2, CHANNELS]);
  const parts = [{ layer: "conv", weights: a }, { layer: "pooled", weights: b }];
  const { data, shape } = await predictResponses(x, net, parts, { batch: 2, intercept: [10, -10] });
  assert.deepEqual(shape, [5, 2]);
  for (let i = 0; i < n; i++) {
    const y = convReference(Float64Array.from(images.subarray(i * 108, (i + 1) * 108)), 6, 6);
    for (let r = 0; r < 2; r++) {
      let want = [10, -10][r];
      y.forEach((v, k) => {
        want += v *
          (direct[r * y.length + k] + means[r * CHANNELS + Math.floor(k / plane)] / plane);
      });
      assert(Math.abs(data[2 * i + r] - want) < 1e-4); // 180 products of size 1
    }
  }
  await assert.rejects(predictResponses(x, net, [{ layer: "conv", weights: b }]), {
    name: "InputError",
    message: /180 features, the weights 5/,
  });
  await assert.rejects(predictResponses(x, net, []), { name: "InputError" });
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
