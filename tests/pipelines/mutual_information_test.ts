/** What images are steered by: features, targets against negatives, readouts; gradients against float64 through whole networks. */
import assert from "node:assert/strict";
import { foldIn, normal, randomKey } from "../../engine/random.ts";
import { concat, slice } from "../../engine/ops/shape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { startGuidance } from "../../pipelines/diffusion/guidances.ts";
import { processFrom, respacedProcess } from "../../pipelines/diffusion/process.ts";
import { noiseSchedule } from "../../pipelines/diffusion/schedule.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { imagenetMean, imagenetStd } from "../../pipelines/images/preprocess.ts";
import { gaussianLikelihood } from "../../pipelines/mig_vis/criteria.ts";
import {
  extractFeatures,
  type FeatureSettings,
  type ImageFeatures,
  type VitFeatureOptions,
  vitFeatures,
} from "../../pipelines/mig_vis/image_features.ts";
import { exchangeJobs, traversalJobs } from "../../pipelines/mig_vis/latent_groups.ts";
import { fitLatentReadout } from "../../pipelines/mig_vis/latent_readout.ts";
import { mutualInformation } from "../../pipelines/mig_vis/mutual_information.ts";
import { LatentScorer } from "../../pipelines/mig_vis/scorer.ts";
import { loadAdm } from "../../pipelines/models/adm.ts";
import { loadVit } from "../../pipelines/models/model.ts";
import { openTestGpu } from "../_gpu.ts";
import { TinyAdm } from "./adm_reference.ts";
import { hostScore, type HostValues } from "./scorer_reference.ts";
import { assertSlope } from "./unet_reference.ts";
import { toStateDict } from "./vit_fixtures.ts";
import { dino } from "./vit_models.ts";
import { referenceOutput, relativeError, runReference } from "./vit_oracle.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const key = randomKey(8), SIDE = 8, SIZES = [2, 3];
const { keys, config } = dino.layouts[0];
const loadDino = () => loadVit(gpu, toStateDict(keys), config);

/** Torch's bilinear interpolation of one plane, corners not aligned, without antialiasing. */
function bilinear(plane: ArrayLike<number>, side: number, to: number): Float64Array {
  const place = (i: number) => Math.max(0, (i + 0.5) * side / to - 0.5);
  return Float64Array.from({ length: to * to }, (_, at) => {
    const [y, x] = [place(Math.floor(at / to)), place(at % to)];
    const [top, left] = [Math.floor(y), Math.floor(x)], [v, u] = [y - top, x - left];
    const of = (r: number, c: number) =>
      plane[Math.min(r, side - 1) * side + Math.min(c, side - 1)];
    return (1 - v) * ((1 - u) * of(top, left) + u * of(top, left + 1)) +
      v * ((1 - u) * of(top + 1, left) + u * of(top + 1, left + 1));
  });
}

/** Features of one image of any channels in float64: what MIG-Vis's code feeds a network with. */
function hostFeatures(
  image: ArrayLike<number>,
  { token = "cls", range = "symmetric", size: [side] = [12, 12] }: VitFeatureOptions = {},
): number[] {
  const plane = SIDE * SIDE, channels = image.length / plane, all = Array.from(image);
  const pixels = new Float64Array(3 * side * side);
  for (let c = 0; c < 3; c++) {
    const own = channels === 1 ? all : all.slice(c * plane, (c + 1) * plane);
    bilinear(own, SIDE, side).forEach((v, i) => {
      const color = range === "unit" ? (v + 1) / 2 : v;
      pixels[c * side * side + i] = (color - imagenetMean[c]) / imagenetStd[c];
    });
  }
  const run = runReference(dino, pixels, { height: side, width: side });
  if (token === "cls") return referenceOutput(dino, run);
  const patches = run.final.slice(1);
  if (token === "tokens") return patches.flat();
  return patches[0].map((_, i) => patches.reduce((sum, row) => sum + row[i], 0) / patches.length);
}

Deno.test("vitFeatures() feeds images as MIG-Vis's code does, and as networks were trained", async () => {
  using model = await loadDino();
  const grey = normal(foldIn(key, 0), 2 * SIDE * SIDE),
    color = normal(foldIn(key, 1), 3 * SIDE ** 2);
  const cases: VitFeatureOptions[] = [
    {},
    { token: "patches", range: "unit" },
    { token: "tokens" },
    { size: [8, 8] },
  ];
  for (const options of cases) {
    const features = vitFeatures(model, options);
    const found = await extractFeatures(gpu, features, {
      ...{ data: grey, shape: [2, 1, SIDE, SIDE], batch: 1 },
    });
    const wanted = [0, 1].flatMap((s) =>
      hostFeatures(grey.subarray(s * SIDE ** 2, (s + 1) * SIDE ** 2), options)
    );
    assert.ok(relativeError(found.data, wanted) < 1e-5, JSON.stringify(options)); // as vit_oracle.ts
    assert.deepEqual(found.shape, [2, features.settings.width]);
    using images = Tensor.from(gpu, color, [1, 3, SIDE, SIDE]);
    using other = features.extract(images);
    assert.ok(relativeError(await other.data(), hostFeatures(color, options)) < 1e-5);
  }
  using flat = Tensor.from(gpu, grey, [2, SIDE, SIDE]);
  assert.throws(() => vitFeatures(model).extract(flat), /must be \[n, 1 or 3, height, width\]/);
  assert.throws(() => vitFeatures(model, { size: [9, 8] }), /multiples of 4/);
});

Deno.test("jobs add γ to every latent of a group, or take another image's", () => {
  const latents = hostMatrix(Array.from({ length: 10 }, (_, i) => i), [2, 5]);
  const jobs = traversalJobs(latents, { sizes: SIZES, groups: [1], gammas: [-1, 2], sources: [1] });
  assert.deepEqual(jobs, [
    { source: 0, group: 1, gamma: -1, target: Float32Array.of(6, 7, 8) },
    { source: 0, group: 1, gamma: 2, target: Float32Array.of(9, 10, 11) },
  ]);
  assert.equal(traversalJobs(latents, { sizes: SIZES }).length, 2 * 2 * 4);
  const exchanged = exchangeJobs(latents, { sizes: SIZES, sources: [0, 1], targets: [1] });
  assert.deepEqual(exchanged.map(({ source, group, target }) => [source, group, ...target]), [
    ...[[0, 0, 5, 6], [0, 1, 7, 8, 9], [1, 0, 5, 6], [1, 1, 7, 8, 9]],
  ]);
  assert.throws(
    () => traversalJobs(latents, { sizes: SIZES, groups: [2] }),
    /there are 2, counted/,
  );
  assert.throws(() => traversalJobs(latents, { sizes: [2, 2] }), /groups of 2,2 are 4 wide/);
  assert.throws(() => exchangeJobs(latents, { sizes: SIZES, targets: [2] }), /latents of image 2/);
});

const pool = hostMatrix(normal(foldIn(key, 2), 40 * 5), [40, 5]);
const jobs = [
  ...traversalJobs(pool, { sizes: SIZES, sources: [3], groups: [1], gammas: [2] }),
  ...traversalJobs(pool, { sizes: SIZES, sources: [7], groups: [0], gammas: [-2] }),
];

/** Scorers of both groups with what they hold. */
async function drawScorers(featureWidth: number) {
  const scorers = new Map(SIZES.map((latentWidth, g) => {
    const sizes = { kind: "mlp", latentWidth, featureWidth, projection: 6, hidden: 8 } as const;
    return [g, new LatentScorer(gpu, sizes, { key: foldIn(key, 10 + g) })];
  }));
  const values = new Map<number, HostValues>();
  for (const [g, scorer] of scorers) values.set(g, await scorer.read());
  const dispose = () => scorers.forEach((scorer) => scorer[Symbol.dispose]());
  return { scorers, values, dispose };
}

/** log-sum-exp of scores of some rows of the pool and of the target, and the target's own. */
function hostScores(values: HostValues, job: typeof jobs[number], rows: number[], f: number[]) {
  const start = job.group === 0 ? 0 : 2, width = SIZES[job.group];
  const own = hostScore("mlp", values, job.target, f);
  const others = rows.map((row) => {
    const at = row * 5 + start;
    return hostScore("mlp", values, pool.data.subarray(at, at + width), f);
  });
  const total = (list: number[]) => Math.log(list.reduce((sum, s) => sum + Math.exp(s), 0));
  return { own, withOwn: total([own, ...others]), alone: total(others) };
}

Deno.test("guidance by information is its gradient through resize, transformer and scorer, and through the UNet", async () => {
  using model = await loadDino();
  const tiny = new TinyAdm(randomKey(11), { hasClasses: false });
  using unet = await loadAdm(gpu, tiny.stateDict, { num_heads: 2 });
  const features = vitFeatures(model), size = 3 * SIDE * SIDE;
  const { scorers, values, dispose } = await drawScorers(features.settings.width);
  using _ = { [Symbol.dispose]: dispose };
  const all = Array.from({ length: 40 }, (_, row) => row);
  const criterion = mutualInformation(gpu, features, {
    ...{ scorers, pool, sizes: SIZES, key, nNegatives: 40 }, // every row: which are drawn is no matter
  });
  const images = normal(foldIn(key, 3), 2 * size), steps = noiseSchedule({ kind: "cosine" });
  const [step] = processFrom(respacedProcess(steps), 600);
  using x = Tensor.from(gpu, images, [2, 3, SIDE, SIDE]);
  using epsilon = tidy(gpu, () => {
    const { output } = unet.forward(x, { timesteps: [600, 600] });
    return slice(output, { axis: 1, end: 3 });
  });
  const told = await epsilon.data();
  const [image, noise] = [Math.sqrt(step.alphaCumprod), Math.sqrt(1 - step.alphaCumprod)];
  for (const through of [undefined, unet]) {
    const guidance = startGuidance(
      (start, { index }) => criterion.objective(start, jobs, index),
      { through },
    );
    using found = await guidance.gradient({ step, index: 4, x, epsilon, predXstart: x });
    const slopes = await found.data();
    for (const [s, job] of jobs.entries()) {
      const objective = (input: Float64Array) => {
        const own = through ? tiny.forward(input, 600, 0) : told.subarray(s * size, (s + 1) * size);
        const f = hostFeatures(input.map((v, i) => (v - noise * own[i]) / image));
        const scores = hostScores(values.get(job.group)!, job, all, f);
        return Float64Array.of(scores.own - scores.withOwn);
      };
      // assertSlope's tolerance, 1e-5 of |gradient|·|direction|: thirty layers of f32 there, some twenty more here.
      assertSlope(objective, {
        input: Float64Array.from(images.subarray(s * size, (s + 1) * size)),
        slope: slopes.subarray(s * size, (s + 1) * size),
        ...{ readout: [1], what: `${through ? "full" : "detached"}, job ${s}` },
      });
    }
  }
});

Deno.test("negatives are drawn for source, group and step, not for the batch; scores hold targets against the pool", async () => {
  using model = await loadDino();
  const features = vitFeatures(model), shape = [1, 1, SIDE, SIDE];
  const { scorers, values, dispose } = await drawScorers(features.settings.width);
  using _ = { [Symbol.dispose]: dispose };
  const grey = normal(foldIn(key, 4), SIDE * SIDE);
  using one = Tensor.from(gpu, grey, shape);
  using two = tidy(gpu, () => concat([one, one], 0));
  const options = { scorers, pool, sizes: SIZES, key };
  const run = async (more: object, index: number, some = jobs) => {
    const criterion = mutualInformation(gpu, features, { ...options, ...more });
    using value = criterion.objective(some.length === 2 ? two : one, some, index);
    return [...await value.data()];
  };
  const f = hostFeatures(grey);
  const resampled = await run({}, 0);
  assert.notDeepEqual(await run({}, 1), resampled);
  assert.deepEqual([...await run({}, 0, [jobs[0]]), ...await run({}, 0, [jobs[1]])], resampled);
  const fixed = await run({ negatives: "fixed" }, 0);
  assert.deepEqual(await run({ negatives: "fixed" }, 1), fixed);
  const own = jobs.map((job) => hostScores(values.get(job.group)!, job, [], f).own);
  (await run({ negatives: "none" }, 0)).forEach((value, i) =>
    assert.ok(Math.abs(value - own[i]) < 1e-5)
  );
  const halves = await run({ negatives: "fixed", negativeWeight: 0 }, 0);
  halves.forEach((value, i) => assert.ok(Math.abs(value - own[i]) < 1e-5));
  const criterion = mutualInformation(gpu, features, options);
  using scores = criterion.scores(two, jobs);
  assert.deepEqual([scores.shape, criterion.scoreNames], [[2, 2], ["score", "information"]]);
  const found = await scores.data(), all = Array.from({ length: 40 }, (_, row) => row);
  jobs.forEach((job, i) => {
    const { own, alone } = hostScores(values.get(job.group)!, job, all, f);
    assert.ok(Math.abs(found[2 * i] - own) < 1e-5);
    assert.ok(Math.abs(found[2 * i + 1] - (own - alone + Math.log(40))) < 1e-5);
  });
  assert.throws(
    () => mutualInformation(gpu, features, { ...options, nNegatives: 41 }),
    /the 40 of/,
  );
  const lone = mutualInformation(gpu, features, { ...options, scorers: new Map() });
  assert.throws(() => lone.scores(two, jobs), /group 1: there are scorers of none/);
  const long = [{ ...jobs[0], target: new Float32Array(2) }, jobs[1]];
  assert.throws(() => criterion.scores(two, long), /to 2 latents: its scorer takes 3/);
});

Deno.test("the readout of the baseline finds linear latents, and its likelihood is Gaussian", async () => {
  const n = 60, f = normal(foldIn(key, 5), 4 * n), noise = normal(foldIn(key, 6), 2 * n);
  const latents = Float32Array.from({ length: 2 * n }, (_, at) => {
    const i = Math.floor(at / 2), d = at % 2;
    return 2 * f[4 * i + d] - f[4 * i + 3] + 3 + (d + 1) * 0.1 * noise[at];
  });
  const pairs = { latents: hostMatrix(latents, [n, 2]), features: hostMatrix(f, [n, 4]) };
  const readout = await fitLatentReadout(gpu, pairs, { key });
  const { coef, intercept, variances, r2 } = readout;
  // Standard errors 0.1/√60 and 0.2/√60; relative ones of the variances √(2/60), left-out errors being some 8 % larger.
  const wanted = [2, 0, 0, 2, 0, 0, -1, -1];
  coef.data.forEach((value, i) => assert.ok(Math.abs(value - wanted[i]) < 0.12, `${value}`));
  assert.ok(intercept.every((value) => Math.abs(value - 3) < 0.12));
  assert.ok(
    variances[0] > 0.005 && variances[0] < 0.02 && variances[1] > 0.02 && variances[1] < 0.08,
  );
  assert.ok(r2.every((value) => value > 0.97));
  const features: ImageFeatures = {
    settings: {
      ...{ family: "none", token: "cls", size: [2, 2], range: "symmetric", width: 4 },
      ...{ mean: imagenetMean, std: imagenetStd },
    } satisfies FeatureSettings,
    extract: (images: Tensor) => images.reshape([-1, 4]),
  };
  const criterion = gaussianLikelihood(gpu, features, new Map([[0, readout]]));
  using image = Tensor.from(gpu, f.subarray(0, 4), [1, 1, 2, 2]);
  const target = Float32Array.of(1, -1);
  using scores = criterion.scores(image, [{ source: 0, group: 0, target }]);
  const likelihood = [0, 1].reduce((sum, d) => {
    const told = [0, 1, 2, 3].reduce((all, i) => all + f[i] * coef.data[2 * i + d], intercept[d]);
    return sum - (target[d] - told) ** 2 / variances[d] / 2;
  }, 0);
  assert.ok(Math.abs(await scores.item() / likelihood - 1) < 1e-5);
  await assert.rejects(
    fitLatentReadout(gpu, { ...pairs, latents: hostMatrix([1], [1, 1]) }, { key }),
    /ten images or more/,
  );
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
