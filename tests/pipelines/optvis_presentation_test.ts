/**
 * Images for a screen, controls and predicted responses.
 */
import assert from "node:assert/strict";
import {
  type ColorImage,
  colorImage,
  type HostData,
  luminanceMoments,
  luminanceSpectrum,
  matchSpectrum,
  normal,
  phaseScrambled,
  predictResponses,
  presentationReference,
  presentImage,
  randomKey,
  rfft2,
  type RgbImage,
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

Deno.test("presentImage() draws a fixation mark over everything", () => {
  const { colors, image } = presentImage(gray([0.2, 0.4, 0.6, 0.8]), {
    fixation: { radius: 0.8, color: [1, 0.5, 0] },
  });
  // the middles of all four pixels are √½ of half the side away
  near(colors.data, [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0, 0, 0, 0]);
  assert.deepEqual([...image.data.subarray(0, 3)], [255, 128, 0]);
  const beside = presentImage(gray([0.2, 0.4, 0.6, 0.8]), { fixation: { radius: 0.7 } });
  near(beside.colors.data.subarray(0, 4), [0.2, 0.4, 0.6, 0.8]);
  assert.throws(() => presentImage(gray([0, 0, 0, 0]), { fixation: { radius: 0 } }), {
    name: "InputError",
    message: /fixation mark/,
  });
});

/** A picture whose luminance is a sum of waves `[rows, columns, amplitude, phase]` about 0.5, gray but for a lift of red. */
function waves(height: number, width: number, all: readonly (readonly number[])[]): RgbImage {
  const data = new Uint8Array(3 * height * width);
  for (let p = 0; p < height * width; p++) {
    const y = Math.floor(p / width) / height, x = p % width / width;
    const luma = all.reduce(
      (sum, [u, v, a, phase]) => sum + a * Math.cos(2 * Math.PI * (u * y + v * x) + phase),
      0.5,
    );
    for (let c = 0; c < 3; c++) data[3 * p + c] = Math.round(255 * luma) + (c === 0 ? 10 : 0);
  }
  return { height, width, data };
}

/** Parts of the transform of an image's luminance. */
async function spectrumOf({ height, width, data }: ColorImage): Promise<HostData[]> {
  const plane = height * width;
  const luma = Float32Array.from(
    { length: plane },
    (_, p) => [0.2126, 0.7152, 0.0722].reduce((s, w, c) => s + w * data[c * plane + p], 0),
  );
  using x = Tensor.from(gpu, luma, [1, height, width]);
  const { re, im } = rfft2(x, { norm: "ortho" });
  const parts = [await re.data(), await im.data()];
  re.dispose();
  im.dispose();
  return parts;
}

for (const [height, width] of [[12, 16], [9, 7]]) {
  Deno.test(`matchSpectrum() gives ${height}x${width} the amplitudes of others and keeps phases, mean and hues`, async () => {
    const size = { height, width };
    const reference = await luminanceSpectrum(
      gpu,
      [
        waves(height, width, [[1, 0, 0.2, 0], [0, 2, 0.1, 1], [2, 1, 0.05, 0]]),
        waves(height, width, [[1, 0, 0.1, 2], [0, 2, 0.2, 0], [2, 1, 0.05, 1]]),
      ],
      size,
    );
    const noise = Uint8Array.from(normal(randomKey(8), 3 * height * width), (v) => 128 + 20 * v);
    const image = colorImage({ ...size, data: noise });
    const matched = await matchSpectrum(gpu, image, reference);
    const [re, im] = await spectrumOf(matched), [re0, im0] = await spectrumOf(image);
    // f32 transforms of values up to 1: amplitudes up to √(h·w)/2
    const columns = Math.floor(width / 2) + 1;
    reference.values.forEach((wanted, i) => {
      if (i === 0) return;
      assert(Math.abs(Math.hypot(re[i], im[i]) - wanted) < 1e-4, `${i}`);
      const turn = re[i] * im0[i] - im[i] * re0[i];
      assert(Math.abs(turn) < 1e-3, `phase ${Math.floor(i / columns)}, ${i % columns}`);
    });
    const before = luminanceMoments(image), after = luminanceMoments(matched);
    assert(Math.abs(before.luminance - after.luminance) < 1e-6);
    // all three colours of a pixel move alike
    const plane = height * width, by = matched.data.map((v, i) => v - image.data[i]);
    by.forEach((v, i) => assert(Math.abs(v - by[i % plane]) < 1e-12));
    const radial = await matchSpectrum(gpu, image, reference, { isRadial: true });
    const [re1, im1] = await spectrumOf(radial);
    const ring = (values: ArrayLike<number>, others: ArrayLike<number>) => {
      let sum = 0;
      for (let i = 0; i < values.length; i++) {
        const row = Math.floor(i / columns), column = i % columns;
        const u = Math.min(row, height - row) / height, v = column / width;
        if (Math.round(Math.hypot(u, v) * Math.max(height, width)) !== 2) continue;
        sum += (column === 0 || 2 * column === width ? 1 : 2) * Math.hypot(values[i], others[i]);
      }
      return sum;
    };
    const zeros = new Float32Array(re.length);
    assert(Math.abs(ring(re1, im1) - ring(reference.values, zeros)) < 1e-3);
    await assert.rejects(matchSpectrum(gpu, { ...image, height: 3 }, reference), {
      name: "InputError",
      message: new RegExp(`to one of ${height}x${width}`),
    });
    await assert.rejects(luminanceSpectrum(gpu, [], size), { name: "InputError" });
  });
}

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
