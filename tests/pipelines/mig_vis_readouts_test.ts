/**
 * Readouts of factors: by drawing the image again, and by ridge regression from features.
 *
 * @module
 */
import assert from "node:assert/strict";
import { normal, randomKey } from "../../engine/random.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { fitFactorReadouts } from "../../pipelines/mig_vis/factor_readouts.ts";
import { factorDistances, factorScale } from "../../pipelines/mig_vis/factors.ts";
import {
  IT_SINGLE,
  IT_STEERED,
  itReadings,
  readItImages,
} from "../../pipelines/mig_vis/it_factors.ts";
import { itReader } from "../../pipelines/phantom/it_readout.ts";
import { IT_FACTORS, IT_RANGES, renderItStimuli } from "../../pipelines/phantom/it_stimuli.ts";
import { openTestGpu } from "../_gpu.ts";

Deno.test("itReader() tells every factor of drawings with noise", () => {
  const n = 24, { images, scenes } = renderItStimuli(n, { seed: 11 });
  const noise = normal(randomKey(1), images.length);
  const noisy = images.map((value, at) => value + 0.05 * noise[at]);
  const { readings, residuals } = readItImages(noisy, itReader({ nEach: 150 }));
  const known = itReadings(scenes), [, width] = known.shape;
  for (let i = 0; i < n; i++) {
    assert.equal(readings.data[i * width + width - 1], scenes[i].category);
    // What is left is the noise, less what nine numbers fit of 1,024.
    assert.ok(Math.abs(residuals[i] - 0.05) < 0.005, `${residuals[i]}`);
    IT_FACTORS.forEach((factor, k) => {
      const [low, high] = IT_RANGES[factor];
      const off = Math.abs(readings.data[i * width + k] - known.data[i * width + k]) / (high - low);
      // Errors over 200 images have standard deviations of 0.001 to 0.03 of the range (stripes).
      assert.ok(off < 0.15, `image ${i}, ${factor}: ${off} of its range`);
    });
  }
});

Deno.test("itReader() says how far an image is from anything that it draws", () => {
  const read = itReader({ nEach: 20, nStarts: 2, nSteps: 4 });
  const checks = Float32Array.from(
    { length: 1024 },
    (_, p) => (p + Math.floor(p / 32)) % 2 ? 1 : -1,
  );
  assert.ok(read(checks).residual > 0.5);
  assert.throws(() => read(new Float32Array(9)), /9 values: it needs 1024/);
  assert.throws(() => read(new Float32Array(1024).fill(NaN)), /finite/);
  assert.throws(() => itReader({ nEach: 0 }), /nEach must be a whole number from 1, is 0/);
});

Deno.test("fitFactorReadouts() reads numbers and classes from features, and says how well", async () => {
  using gpu = await openTestGpu();
  const n = 400, { scenes } = renderItStimuli(n, { seed: 4, side: 8 });
  const labels = itReadings(scenes), [, width] = labels.shape;
  // Features: every number over its range and the category's indicators, turned at random, with noise but for the stripes' column.
  const plain = scenes.map(({ category, values }) =>
    [
      ...IT_FACTORS.map((f) => (values[f] - IT_RANGES[f][0]) / (IT_RANGES[f][1] - IT_RANGES[f][0])),
      ...Array.from({ length: 8 }, (_, c) => Number(c === category)),
    ].map((value, k) => k === IT_FACTORS.indexOf("tone") ? 0 : value)
  );
  const turn = normal(randomKey(1), 17 * 30), noise = normal(randomKey(2), n * 30);
  const features = hostMatrix(
    plain.flatMap((row, i) =>
      Array.from(
        { length: 30 },
        (_, j) => row.reduce((s, v, k) => s + v * turn[k * 30 + j], 0) + 0.05 * noise[i * 30 + j],
      )
    ),
    [n, 30],
  );
  const readouts = await fitFactorReadouts(gpu, { features, labels }, IT_SINGLE, {
    key: randomKey(0),
  });
  IT_FACTORS.forEach((factor, k) => {
    const score = readouts.scores[k];
    // Noise of 0.05 over 30 features leaves almost everything; the tone is not in the features.
    assert.ok(factor === "tone" ? score < 0.1 : score > 0.9, `${factor}: ${score}`);
  });
  assert.ok(readouts.scores[width - 1] > 0.95);
  const told = await readouts.read(features), scale = factorScale(labels, IT_STEERED);
  const row = (from: typeof told, i: number) =>
    Array.from({ length: width }, (_, c) => from.data[i * width + c]);
  const off = factorDistances(scale, row(told, 0), row(labels, 0));
  assert.ok(off[0] < 0.3 && off[1] === 0, String(off));
  await assert.rejects(
    fitFactorReadouts(gpu, { features, labels }, IT_SINGLE, { key: randomKey(0), heldOut: 0 }),
    /with 0 held out/,
  );
  assert.equal(gpu.liveBytes, 0);
});
