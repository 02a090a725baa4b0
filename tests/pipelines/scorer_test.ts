/** Scorers of latents with images: against float64, and what a fit finds where the mutual information is known. */
import assert from "node:assert/strict";
import { mul } from "../../engine/ops/elementwise.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { foldIn, normal, randomKey } from "../../engine/random.ts";
import { Tape } from "../../engine/tape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { fitScorer, infoNce } from "../../pipelines/mig_vis/fit_scorer.ts";
import type { FeatureSettings } from "../../pipelines/mig_vis/image_features.ts";
import { fitLatentReadout } from "../../pipelines/mig_vis/latent_readout.ts";
import { LatentScorer, type ScorerKind } from "../../pipelines/mig_vis/scorer.ts";
import { readScorers, writeScorers } from "../../pipelines/mig_vis/scorer_file.ts";
import { openSafetensors, saveSafetensors } from "../../pipelines/io/safetensors_file.ts";
import { openTestGpu } from "../_gpu.ts";
import { assertInputError, TestFolder } from "./io_fixtures.ts";
import { hostScore } from "./scorer_reference.ts";
import { relativeError } from "./vit_oracle.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const key = randomKey(21);
const sizes = { latentWidth: 3, featureWidth: 7, projection: 5, hidden: 6 };
const N = 4, M = 3;
const latents = normal(foldIn(key, 0), N * M * 3), features = normal(foldIn(key, 1), N * 7);
const latentOf = (i: number, j: number) => latents.subarray((i * M + j) * 3, (i * M + j + 1) * 3);
const featuresOf = (i: number) => features.subarray(i * 7, (i + 1) * 7);

for (const kind of ["mlp", "bilinear"] as ScorerKind[]) {
  Deno.test(`a scorer (${kind}) and its gradients by latents and features equal float64`, async () => {
    using scorer = new LatentScorer(gpu, { kind, ...sizes }, { key });
    const values = await scorer.read();
    using z = Tensor.from(gpu, latents, [N, M, 3]);
    using f = Tensor.from(gpu, features, [N, 7]);
    using tape = new Tape();
    using zOn = tape.watch(z);
    using fOn = tape.watch(f);
    using scores = scorer.scores(zOn, fOn);
    assert.deepEqual(scores.shape, [N, M]);
    const all = (z = latents as ArrayLike<number>, f = features as ArrayLike<number>) =>
      Float64Array.from({ length: N * M }, (_, at) => {
        const i = Math.floor(at / M);
        const [a, b] = [Array.from(z).slice(at * 3, at * 3 + 3), Array.from(f)];
        return hostScore(kind, values, a, b.slice(i * 7, (i + 1) * 7));
      });
    // Four products of at most 12 terms and a norm in f32: some 2⁻²⁴·√50, with room for unlike signs.
    assert.ok(relativeError(await scores.data(), all()) < 2e-6);
    const readout = normal(foldIn(key, 2), N * M);
    using weights = Tensor.from(gpu, readout, [N, M]);
    using loss = tidy(gpu, () => sum(mul(scores, weights)));
    const gradients = tape.gradient(loss, [zOn, fOn]);
    const inputs = [latents, features];
    for (const [at, gradient] of gradients.entries()) {
      using own = gradient;
      const slope = await own.data(), direction = normal(foldIn(key, 3), slope.length), h = 1e-5;
      const [up, down] = [h, -h].map((by) => {
        const moved = Float64Array.from(inputs[at], (v, i) => v + by * direction[i]);
        const found = at === 0 ? all(moved) : all(undefined, moved);
        return found.reduce((total, v, i) => total + v * readout[i], 0);
      });
      const wanted = (up - down) / (2 * h);
      const along = direction.reduce((total, d, i) => total + d * slope[i], 0);
      // Rounding of f32 through ten layers; the differences err by h², 1e-10.
      const length = Math.hypot(...slope) * Math.hypot(...direction);
      assert.ok(Math.abs(along - wanted) < 5e-6 * length, `${at}: ${along}, ${wanted}`);
    }
    using shared = tidy(gpu, () => scorer.scores(z.reshape([1, N * M, 3]), f));
    const cross = await shared.data();
    const wanted = hostScore(kind, values, latentOf(2, 1), featuresOf(3));
    assert.ok(Math.abs(cross[3 * N * M + 2 * M + 1] - wanted) < 1e-5);
    assert.throws(() => scorer.scores(z, z), /they must be \[n or 1, m, 3\] and \[n, 7\]/);
  });
}

Deno.test("infoNce() is the mean logarithm of the share of an image's own latents among all", async () => {
  using scorer = new LatentScorer(gpu, { kind: "mlp", ...sizes }, { key });
  const values = await scorer.read();
  using z = Tensor.from(gpu, latents.subarray(0, N * 3), [N, 3]);
  using f = Tensor.from(gpu, features, [N, 7]);
  using loss = infoNce("mlp", scorer.weights, { latents: z, features: f });
  const wanted = Array.from({ length: N }, (_, i) => {
    const scores = Array.from(
      { length: N },
      (_, j) => hostScore("mlp", values, latents.subarray(j * 3, j * 3 + 3), featuresOf(i)),
    );
    return Math.log(scores.reduce((total, s) => total + Math.exp(s), 0)) - scores[i];
  });
  const mean = wanted.reduce((a, b) => a + b) / N;
  assert.ok(Math.abs(await loss.item() - mean) < 1e-5 * mean);
});

/** Two latents and two features with a correlation of 0.9 each, in a vector that a layer norm takes nothing from: antisymmetric, with constants. */
function gaussianPairs(n: number) {
  const z = normal(foldIn(key, 10), 2 * n), noise = normal(foldIn(key, 11), 7 * n);
  const f = new Float32Array(7 * n);
  for (let i = 0; i < n; i++) {
    for (let d = 0; d < 7; d++) {
      const own = d < 2 ? 0.9 * z[2 * i + d] + Math.sqrt(1 - 0.81) * noise[7 * i + d] : 0;
      f[7 * i + d] = d < 2 ? own : d < 4 ? -f[7 * i + d - 2] : [3, -3, 0][d - 4];
    }
  }
  return { latents: hostMatrix(z, [n, 2]), features: hostMatrix(f, [n, 7]) };
}

Deno.test("fitScorer() bounds a known mutual information from below, the same for the same key", async () => {
  const pairs = gaussianPairs(1000);
  const options = {
    ...{ key, projection: 8, hidden: 16, batch: 64, lr: 1e-2, steps: 75 },
  };
  const one = await fitScorer(gpu, pairs, options);
  using _one = one.scorer;
  // Two pairs of correlation 0.9: −log(1 − 0.81) nats; with 64 the bound itself is short by some 0.1. The mean of 192 held-out logarithms,
  // each of standard deviation about 1, errs by 0.07.
  const known = -Math.log(1 - 0.81);
  const { bound, heldOutBatch, heldOutLosses, losses, step } = one.fit;
  assert.ok(bound > 0.8 * known && bound < known + 0.2, `${bound} of ${known}`);
  assert.equal(heldOutBatch, 64);
  assert.ok(Math.abs(heldOutLosses[0] - Math.log(64)) < 0.2 && losses.length >= step);
  const again = await fitScorer(gpu, pairs, { ...options, steps: 30 });
  using _again = again.scorer;
  assert.deepEqual(again.fit.losses, losses.slice(0, 30));
});

Deno.test("fitScorer() finds nothing where there is nothing, ends early, and refuses what cannot be", async () => {
  const { latents, features } = gaussianPairs(300);
  const turned = hostMatrix(
    Float32Array.from(latents.data, (_, i) => latents.data[(i + 20) % 600]),
    [300, 2],
  );
  const small = { key, projection: 8, hidden: 16, kind: "bilinear" } as const;
  const { scorer, fit } = await fitScorer(gpu, { latents: turned, features }, {
    ...small,
    ...{ evalEvery: 5, patience: 3, lr: 1e-2 },
  });
  scorer[Symbol.dispose]();
  assert.ok(fit.bound < 0.1 && fit.losses.length <= fit.step + 15, `${fit.bound}`);
  const cases: [Partial<Parameters<typeof fitScorer>[2]>, RegExp][] = [
    [{ batch: 0 }, /batch 0: it must be a whole number from 1/],
    [{ heldOut: 1 }, /heldOut between 0 and 1/],
    [{ views: 2 }, /2 rows of features for each/],
    [{ signal: AbortSignal.abort(new Error("enough")) }, /enough/],
  ];
  for (const [options, message] of cases) {
    await assert.rejects(fitScorer(gpu, { latents, features }, { ...small, ...options }), message);
  }
});

Deno.test("fitScorer() draws one of an image's views", async () => {
  const { latents, features } = gaussianPairs(64);
  const doubled = new Float32Array(2 * features.data.length);
  for (let i = 0; i < 64; i++) {
    doubled.set(features.data.subarray(7 * i, 7 * i + 7), 14 * i);
    doubled.set(features.data.subarray(7 * i, 7 * i + 7), 14 * i + 7);
  }
  const small = { key, projection: 4, hidden: 4, steps: 3 };
  const one = await fitScorer(gpu, { latents, features }, small);
  const two = await fitScorer(gpu, { latents, features: hostMatrix(doubled, [128, 7]) }, {
    ...small,
    views: 2,
  });
  using _one = one.scorer;
  using _two = two.scorer;
  assert.deepEqual(one.fit, two.fit);
});

Deno.test("readScorers() reads what writeScorers() wrote, and refuses other files", async () => {
  using folder = new TestFolder();
  const path = folder.at("scorers.safetensors"), pairs = gaussianPairs(40);
  const fitted = await fitScorer(gpu, pairs, { key, projection: 4, hidden: 5, steps: 3 });
  using _fitted = fitted.scorer;
  const readout = await fitLatentReadout(gpu, pairs, { key });
  const features: FeatureSettings = {
    ...{ family: "dino", token: "cls", size: [12, 12], range: "symmetric", width: 7 },
    ...{ mean: [0, 0, 0], std: [1, 1, 1] },
  };
  const kept = { groups: [3, 2], features, network: "abc", weights: "dino.safetensors" };
  const scorers = new Map([[1, fitted]]), readouts = new Map([[1, readout]]);
  folder.write("scorers.safetensors", await writeScorers({ ...kept, scorers, readouts }));
  using found = readScorers(gpu, path);
  const { losses: _, ...fit } = fitted.fit;
  assert.deepEqual(found.record, { ...kept, fits: new Map([[1, fit]]), readouts });
  assert.deepEqual(await found.scorers.get(1)!.read(), await fitted.scorer.read());
  using file = openSafetensors(path);
  const { tensors, metadata } = file;
  const about = JSON.parse(metadata.about);
  const cases: [string | undefined, object, RegExp][] = [
    [undefined, { format: "other" }, /format must be "gyrus scorers 1", it is "other"/],
    ["groups.1.scorer.fc1.bias", {}, /"groups.1.scorer.fc1.bias" is missing/],
    ["groups.1.readout.variances", {}, /"groups.1.readout.variances" is missing/],
    [undefined, { about: JSON.stringify({ ...about, groups: [3, 4] }) }, /does not fit together/],
  ];
  for (const [missing, change, message] of cases) {
    const some = new Map([...tensors].filter(([name]) => name !== missing));
    saveSafetensors(folder.at("wrong.safetensors"), some, { ...metadata, ...change });
    assertInputError(() => readScorers(gpu, folder.at("wrong.safetensors")), message);
  }
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
