/**
 * What groups of latents tell of factors, and images straight from latents.
 *
 * @module
 */
import assert from "node:assert/strict";
import { normal, randomKey } from "../../engine/random.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { IT_STEERED, itReadings } from "../../pipelines/mig_vis/it_factors.ts";
import { fitLatentDecoder } from "../../pipelines/mig_vis/latent_decoder.ts";
import { latentFactors, ownFactors } from "../../pipelines/mig_vis/latent_factors.ts";
import { drawItScene, IT_POSE } from "../../pipelines/phantom/it_stimuli.ts";
import { openTestGpu } from "../_gpu.ts";

Deno.test("latentFactors() tells which group holds which factor", async () => {
  const n = 600, scenes = Array.from({ length: n }, (_, i) => drawItScene(0, i));
  const noise = normal(randomKey(1), n * 16);
  // Pose in the first group, the category's place on a circle in the second, tone squared in the third, noise in the fourth.
  const rows = scenes.flatMap(({ category, values }, i) => {
    const angle = 2 * Math.PI * category / 8, tone = (values.tone - 0.275) / 0.225;
    const clean = [
      ...IT_POSE.map((f) => values[f]),
      ...[Math.cos(angle), Math.sin(angle), Math.cos(3 * angle), Math.sin(3 * angle)],
      ...[tone * tone, tone, 0, 0, 0, 0],
    ];
    return clean.map((v, k) => v + 0.02 * noise[i * 16 + k]);
  });
  const latents = hostMatrix(rows, [n, 16]), labels = itReadings(scenes);
  const call = { sizes: [6, 4, 2, 4], key: randomKey(0) };
  const table = await latentFactors({ latents, labels }, IT_STEERED, call);
  const names = IT_STEERED.map(({ name }) => name), at = (name: string) => names.indexOf(name);
  assert.ok(table[0][at("pose")] > 0.9 && table[1][at("category")] > 0.9, JSON.stringify(table));
  assert.ok(table[2][at("tone")] > 0.9);
  // Nothing else is told: on 120 held-out stimuli an R² of nothing is below 0.05, and shares of classes are within 0.15 of chance.
  const known = [at("pose"), at("category"), at("tone"), -1];
  table.forEach((row, g) =>
    row.forEach((value, f) => {
      if (known[g] !== f) assert.ok(value < 0.15, `group ${g}, ${names[f]}: ${value}`);
    })
  );
  const given = new Map([[0, at("pose")], [1, at("category")]]);
  const content = [at("stripes"), at("tone")];
  assert.deepEqual(ownFactors(table, given, content), [0, 1, at("tone"), at("stripes")]);
  assert.deepEqual(ownFactors(table, given, [at("tone")]), [0, 1, at("tone"), -1]);
  assert.throws(() => ownFactors(table, new Map([[9, 0]])), /groups 9/);
  await assert.rejects(
    latentFactors({ latents, labels }, IT_STEERED, { ...call, sizes: [6] }),
    /they are 6 wide/,
  );
});

Deno.test("fitLatentDecoder() draws images from latents", async () => {
  using gpu = await openTestGpu();
  const n = 256, latents = hostMatrix(normal(randomKey(2), 3 * n).map((v) => 3 * v + 1), [n, 3]);
  const turn = normal(randomKey(3), 3 * 16);
  const draw = (z: ArrayLike<number>) =>
    Array.from(
      { length: 16 },
      (_, p) => Math.tanh(0.3 * (z[0] * turn[p] + z[1] * turn[16 + p] + z[2] * turn[32 + p])),
    );
  const images = hostMatrix(
    Array.from({ length: n }, (_, i) => draw(latents.data.subarray(3 * i, 3 * i + 3))).flat(),
    [n, 16],
  );
  const call = { key: randomKey(4), hidden: 64, steps: 150, batch: 64, lr: 5e-3 };
  const decoder = await fitLatentDecoder(gpu, { latents, images }, call);
  assert.equal(decoder.losses.length, 150);
  const told = await decoder.decode(latents);
  const error = told.data.reduce((s, v, at) => s + (v - images.data[at]) ** 2, 0) /
    told.data.length;
  const power = images.data.reduce((s, v) => s + v * v, 0) / images.data.length;
  assert.ok(error < 0.05 * power, `${error} of ${power}`);
  const again = await fitLatentDecoder(gpu, { latents, images }, call);
  assert.deepEqual((await again.decode(latents)).data, told.data);
  await assert.rejects(
    fitLatentDecoder(gpu, { latents, images }, { ...call, steps: 0 }),
    /0 steps/,
  );
  assert.equal(gpu.liveBytes, 0);
});
