/** Steering of images on a network whose noise is known in closed form: what moves, by how much, and that no batch changes a bit. */
import assert from "node:assert/strict";
import { foldIn, normal, randomKey } from "../../engine/random.ts";
import { scale } from "../../engine/ops/elementwise.ts";
import { Tensor } from "../../engine/tensor.ts";
import type { DenoisingModel } from "../../pipelines/diffusion/denoise.ts";
import { respacedProcess } from "../../pipelines/diffusion/process.ts";
import { noiseSchedule } from "../../pipelines/diffusion/schedule.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { gaussianLikelihood } from "../../pipelines/mig_vis/criteria.ts";
import {
  type FeatureSettings,
  type ImageFeatures,
  vitFeatures,
} from "../../pipelines/mig_vis/image_features.ts";
import { traversalJobs } from "../../pipelines/mig_vis/latent_groups.ts";
import { mutualInformation } from "../../pipelines/mig_vis/mutual_information.ts";
import { LatentScorer } from "../../pipelines/mig_vis/scorer.ts";
import { noiseSources, steer, type SteerOptions } from "../../pipelines/mig_vis/steer.ts";
import { loadVit } from "../../pipelines/models/model.ts";
import { openMethodGpu } from "../_gpu.ts";
import { toStateDict } from "./vit_fixtures.ts";
import { dino } from "./vit_models.ts";

const gpu = await openMethodGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const key = randomKey(4), schedule = noiseSchedule({ kind: "sigmoid", steps: 150 });
const process = respacedProcess(schedule);
/** The best network for images of independent normal values of standard deviation 0.3. */
const model: DenoisingModel = {
  gpu,
  forward: (x, { timesteps }) => {
    const a = schedule.alphasCumprod[timesteps[0]];
    return { output: scale(x, Math.sqrt(1 - a) / (0.09 * a + 1 - a)) };
  },
};
const SHAPE = [3, 1, 4, 4] as const, SIZE = 16;
const values = normal(foldIn(key, 0), 3 * SIZE).map((v) => 0.3 * v);

/** Features that are the pixels, and latents that are means over halves of the image: of the left one, of the right one. */
const pixels: ImageFeatures = {
  settings: {
    ...{ family: "none", token: "cls", size: [4, 4], range: "symmetric", width: SIZE },
    ...{ mean: [0, 0, 0], std: [1, 1, 1] },
  } satisfies FeatureSettings,
  extract: (images: Tensor) => images.reshape([-1, SIZE]),
};
const halfOf = (i: number) => i % 4 < 2 ? 0 : 1;
const halves = gaussianLikelihood(
  gpu,
  pixels,
  new Map([0, 1].map((half) => [half, {
    coef: hostMatrix(Array.from({ length: SIZE }, (_, i) => halfOf(i) === half ? 1 / 8 : 0), [
      SIZE,
      1,
    ]),
    ...{ intercept: Float32Array.of(0), variances: Float32Array.of(0.01), r2: Float32Array.of(1) },
  }])),
);
const meanOf = (image: ArrayLike<number>, half: number) =>
  Array.from(image).reduce((sum, v, i) => sum + (halfOf(i) === half ? v / 8 : 0), 0);
const latents = hostMatrix(
  Array.from({ length: 6 }, (_, at) => {
    const s = Math.floor(at / 2) * SIZE;
    return meanOf(values.subarray(s, s + SIZE), at % 2);
  }),
  [3, 2],
);

Deno.test("steer() without a criterion or with weight 0 gives the source back, to the bit the same", async () => {
  using images = Tensor.from(gpu, values, SHAPE);
  const path = { process, start: 135 };
  using noisy = await noiseSources(model, images, path);
  const jobs = [0, 1, 2].map((source) => ({ source, group: 0, target: Float32Array.of(0.2) }));
  const plain = await steer(model, { images, noisy }, { ...path, jobs });
  const zero = await steer(model, { images, noisy }, {
    ...{ ...path, jobs, criterion: halves, weight: 0 },
  });
  assert.deepEqual(zero.map(({ image }) => image), plain.map(({ image }) => image));
  assert.deepEqual(plain[0].strengths.length, 0);
  assert.ok(zero[0].strengths.length === 136 && zero[0].strengths.every((v) => v === 0));
  // As of an inversion in diffusion_sampler_test.ts, over a range of 2.
  for (const { image, number } of plain) {
    const own = values.subarray(number * SIZE, (number + 1) * SIZE);
    const mse = image.reduce((sum, v, i) => sum + (v - own[i]) ** 2, 0) / SIZE;
    assert.ok(10 * Math.log10(4 / mse) > 35, `${10 * Math.log10(4 / mse)} dB`);
  }
});

Deno.test("steer() moves what the group codes by γ, the rest hardly, in both conventions and gradients", async () => {
  using images = Tensor.from(gpu, values, SHAPE);
  const path = { process, start: 75 };
  using noisy = await noiseSources(model, images, path);
  const gammas = [-0.3, -0.15, 0.15, 0.3];
  const jobs = traversalJobs(latents, { sizes: [1, 1], gammas, sources: [2] })
    .map((job) => ({ ...job, source: 2 }));
  for (
    const how of [
      { weight: 0.05 },
      { weight: 0.06, convention: "score" },
      { weight: 0.06, gradient: "full" },
    ] as Partial<SteerOptions>[]
  ) {
    const made = await steer(model, { images, noisy }, {
      ...path,
      jobs,
      criterion: halves,
      ...how,
    });
    const what = JSON.stringify(how);
    for (let at = 0; at < made.length; at += gammas.length) {
      const { source, group } = made[at].job, own = latents.data[2 * source + group];
      const other = latents.data[2 * source + 1 - group];
      const run = made.slice(at, at + gammas.length);
      run.forEach(({ image, before, after, strengths }, i) => {
        // These weights go part of the way, larger ones overshoot at some step; nothing couples the halves.
        const share = (meanOf(image, group) - own) / gammas[i];
        assert.ok(share > 0.1 && share < 1.1, `${what}: ${share} of ${gammas[i]}`);
        assert.ok(Math.abs(meanOf(image, 1 - group) - other) < 0.02, what);
        assert.ok(after[0] > before[0] && strengths.every((v) => v > 0), what);
      });
      const means = run.map(({ image }) => meanOf(image, group));
      assert.ok(means.every((v, i) => i === 0 || v > means[i - 1]), `${what}: ${means}`);
    }
  }
});

Deno.test("steer() by information gives the same bits in any batch, mixed groups, from anywhere, with noise too", async () => {
  using vit = await loadVit(gpu, toStateDict(dino.layouts[0].keys), dino.layouts[0].config);
  const features = vitFeatures(vit), featureWidth = features.settings.width;
  const scorers = new Map([1, 1].map((latentWidth, g) => {
    const sizes = { kind: "mlp", latentWidth, featureWidth, projection: 6, hidden: 8 } as const;
    return [g, new LatentScorer(gpu, sizes, { key: foldIn(key, g) })];
  }));
  const criterion = mutualInformation(gpu, features, {
    ...{ scorers, pool: latents, sizes: [1, 1], key, nNegatives: 2 },
  });
  using images = Tensor.from(gpu, values, SHAPE);
  const jobs = traversalJobs(latents, { sizes: [1, 1], gammas: [-5, 10] });
  const one = { process, start: 12, key };
  for (const sampler of ["ddim", "sdedit"] as const) {
    const path = { ...one, sampler };
    using noisy = await noiseSources(model, images, path);
    const run = (more: Partial<SteerOptions>) =>
      steer(model, { images, noisy }, { ...path, jobs, criterion, weight: 3, ...more });
    const whole = await run({ batch: 12 });
    assert.equal(whole.length, 12);
    const kept: number[] = [];
    const parts = await run({
      batch: 5,
      first: 3,
      onImages: (made) => void kept.push(...made.map(({ number }) => number)),
    });
    assert.deepEqual(parts, whole.slice(3));
    assert.deepEqual(kept, [3, 4, 5, 6, 7, 8, 9, 10, 11]);
    assert.deepEqual(await run({ batch: 1, first: 10 }), whole.slice(10));
    assert.notDeepEqual(whole[0].image, whole[1].image);
    const plain = await run({ criterion: undefined }); // of one source, the same noise for every job
    assert.deepEqual(plain[0].image, plain[3].image);
  }
  scorers.forEach((scorer) => scorer[Symbol.dispose]());
});

Deno.test("steer() refuses what does not fit, and stops on a signal", async () => {
  using images = Tensor.from(gpu, values, SHAPE);
  using noisy = Tensor.from(gpu, values.subarray(0, SIZE), [1, 1, 4, 4]);
  const jobs = [{ source: 3, group: 0, target: Float32Array.of(1) }], path = { process };
  const run = (noise: Tensor, more: object = {}) =>
    steer(model, { images, noisy: noise }, { ...path, jobs, ...more });
  await assert.rejects(run(images), /one of them number 3: shapes must agree/);
  await assert.rejects(run(noisy, { jobs: [] }), /with noise \[1,1,4,4\]/);
  const own = [{ ...jobs[0], source: 0 }];
  await assert.rejects(run(images, { jobs: own, start: 150 }), /begin at step 150/);
  await assert.rejects(run(images, { jobs: own, sampler: "sdedit" }), /it takes a key/);
  const signal = AbortSignal.abort(new Error("enough"));
  await assert.rejects(run(images, { jobs: own, signal }), /enough/);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
