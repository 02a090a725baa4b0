import assert from "node:assert/strict";
import { randomKey } from "../../engine/random.ts";
import { MersenneTwister } from "../../pipelines/dense/numpy_random.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { InputError } from "../../pipelines/errors.ts";
import { Hdf5Writer } from "../../pipelines/io/hdf5_writer.ts";
import { hostTensor } from "../../pipelines/io/state_dict.ts";
import { fitNeuralVae, type FitNeuralVaeOptions, trainsOnDevice } from "../../pipelines/vae/fit.ts";
import { neuralVaeFrom } from "../../pipelines/vae/from_state_dict.ts";
import { scoreNeuralVae } from "../../pipelines/vae/scores.ts";
import { trainTestSplit } from "../../pipelines/vae/split.ts";
import { readNeuralVae, writeNeuralVae } from "../../pipelines/vae/vae_file.ts";
import { vaeTensorShapes } from "../../pipelines/vae/parameters.ts";
import { openTestGpu } from "../_gpu.ts";
import { plantedPopulation } from "./vae_population.ts";

const data = plantedPopulation(200, 12);
const quick: FitNeuralVaeOptions = {
  groups: [2, 3, 2],
  hidden: 16,
  epochs: 6,
  evaluateEvery: 2,
  lr: 5e-3,
  partialCorrelationWeight: 1e-3,
};
const bitsOf = (vae: { weights: ReadonlyMap<string, Float64Array> }) =>
  [...vae.weights.values()].flatMap((values) => [...values]);

Deno.test("trainTestSplit() draws scikit-learn's rows", () => {
  // numpy.random.RandomState(2024).permutation(5760), the split of the published run.
  const { train, test } = trainTestSplit(5760, { testSize: 0.2, seed: 2024 });
  assert.deepEqual([...test.subarray(0, 8)], [3239, 2422, 448, 1673, 419, 2830, 5105, 3879]);
  assert.deepEqual([...train.subarray(-4)], [5668, 2688, 2656, 3578]);
  assert.equal(test.length, 1152);
  assert.deepEqual([...new MersenneTwister(42).permutation(10)], [8, 1, 5, 0, 7, 2, 9, 4, 3, 6]);
  assert.equal(trainTestSplit(11, { testSize: 0.2, seed: 2024 }).test.length, 3); // rounded up
  assert.throws(() => trainTestSplit(1, { testSize: 0.2, seed: 2024 }), InputError);
});

Deno.test("fitNeuralVae() gives the planted factors to the groups that they supervise", async () => {
  const population = plantedPopulation(600, 24);
  const { vae, split, history } = await fitNeuralVae(population, {
    ...{ groups: [2, 3, 2], hidden: 32, epochs: 40, evaluateEvery: 10, lr: 5e-3 },
    labelWeight: 1,
  });
  const scores = scoreNeuralVae(vae, population, { key: randomKey(1), rows: split.test });
  // Of the variance of a site 1/1.09 is no noise, and of category sites about as much.
  assert.ok(scores.r2 > 0.75 && scores.r2 < 0.93, `R² ${scores.r2}`);
  assert.ok(scores.r2Sampled < scores.r2);
  assert.ok(scores.poseR2!.every((r2) => r2 > 0.8), `pose R² ${scores.poseR2}`);
  assert.ok(scores.categoryAccuracy! > 0.8, `accuracy ${scores.categoryAccuracy}`); // chance 0.25
  assert.equal(scores.groupR2.length, 3);
  // Half of the sites are tuned to the pose: its group alone says more of them than any other.
  const { mu } = vae.encode(population.responses);
  assert.deepEqual(mu.shape, [600, 7]);
  assert.ok(scores.groupLoss.every((loss) => loss > 0.05), `losses ${scores.groupLoss}`);
  assert.ok(history.train[39].total < 0.5 * history.train[0].total);
  assert.deepEqual(history.testEpochs, [10, 20, 30, 40]);
});

Deno.test("fitNeuralVae() gives the same bits for a seed, and others for another", async () => {
  const first = await fitNeuralVae(data, quick), again = await fitNeuralVae(data, quick);
  assert.deepEqual(bitsOf(again.vae), bitsOf(first.vae));
  const other = await fitNeuralVae(data, { ...quick, key: randomKey(3) });
  assert.notDeepEqual(bitsOf(other.vae), bitsOf(first.vae));
});

Deno.test("fitNeuralVae() goes on after a stop with the same bits, and refuses another run's file", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const checkpoint = `${folder}/state`;
    const whole = await fitNeuralVae(data, quick);
    const stop = new AbortController();
    const stopped = fitNeuralVae(data, {
      ...quick,
      checkpoint,
      signal: stop.signal,
      // Within epoch 5, after the look at 4.
      onProgress: ({ done }) => done === 5 && stop.abort(),
    });
    await assert.rejects(stopped, { name: "AbortError" });
    const epochs: number[] = [];
    const resumed = await fitNeuralVae(data, {
      ...quick,
      checkpoint,
      onProgress: ({ done }) => epochs.push(done),
    });
    assert.deepEqual(epochs, [5, 6]);
    assert.deepEqual(bitsOf(resumed.vae), bitsOf(whole.vae));
    assert.deepEqual(resumed.history, whole.history);
    await assert.rejects(
      fitNeuralVae(data, { ...quick, lr: 1e-3, checkpoint }),
      /another settings/,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("fitNeuralVae() trains on a device what it trains on the host", async () => {
  using gpu = await openTestGpu();
  const run = { ...quick, epochs: 2 };
  const host = await fitNeuralVae(data, { ...run, trainOn: "host" });
  const device = await fitNeuralVae(data, { ...run, gpu, trainOn: "device" });
  assert.equal(device.trainedOn, "device");
  const [a, b] = [host, device].map(({ vae }) => bitsOf(vae));
  // Ten steps of Adam in float32: each moves a weight by up to lr = 5e-3, with a relative error of 1e-6 times the condition of small
  // gradients; wrong gradients move whole steps apart.
  const apart = Math.max(...a.map((value, i) => Math.abs(value - b[i])));
  assert.ok(apart < 5e-4, `weights are ${apart} apart`);
  host.history.train.forEach((losses, e) => {
    const other = device.history.train[e];
    for (const part of ["total", "pose", "category", "kl", "partialCorrelation"] as const) {
      const error = Math.abs(losses[part] - other[part]);
      assert.ok(error < 1e-4 * (1 + Math.abs(losses[part])), `${part}: ${losses[part]}`);
    }
  });
  const { vae: again } = await fitNeuralVae(data, { ...run, gpu, trainOn: "device" });
  assert.deepEqual(bitsOf(again), bitsOf(device.vae), "same bits on one device");
  const folder = await Deno.makeTempDir();
  try {
    const options = { ...run, gpu, trainOn: "device", checkpoint: `${folder}/state` } as const;
    const stop = new AbortController();
    const onProgress = () => stop.abort();
    const first = { ...options, evaluateEvery: 1, signal: stop.signal, onProgress };
    await assert.rejects(fitNeuralVae(data, first), { name: "AbortError" });
    const resumed = await fitNeuralVae(data, { ...options, evaluateEvery: 1 });
    const straight = await fitNeuralVae(data, { ...run, gpu, trainOn: "device", evaluateEvery: 1 });
    assert.deepEqual(bitsOf(resumed.vae), bitsOf(straight.vae), "same bits after a stop");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  assert.equal(gpu.liveBytes, 0);
});

Deno.test("trainsOnDevice() is asked of the width of the two wide layers", () => {
  const shape = { hidden: 64, groups: [6, 6, 6, 6] };
  assert.equal(trainsOnDevice({ ...shape, nSites: 110 }), false);
  assert.equal(trainsOnDevice({ ...shape, nSites: 10_000 }), true);
});

Deno.test("fitNeuralVae() learns scales of training stimuli alone where it is told to", async () => {
  const { split, vae } = await fitNeuralVae(data, { ...quick, epochs: 1, normalize: "train" });
  const column = split.train.reduce((sum, row) => sum + data.responses.data[row * 12], 0);
  assert.ok(Math.abs(vae.sites.mean[0] - column / split.train.length) < 1e-9);
  const { vae: all } = await fitNeuralVae(data, { ...quick, epochs: 1 });
  assert.notEqual(all.sites.mean[0], vae.sites.mean[0]);
});

Deno.test("fitNeuralVae() fits a plain VAE of one group, supervised or not", async () => {
  const run = { ...quick, epochs: 1, groups: [5] };
  const { vae, history } = await fitNeuralVae(data, run);
  assert.equal(vae.shape.category?.group, 0);
  assert.equal(history.train[0].partialCorrelation, 0);
  const bare = await fitNeuralVae({ responses: data.responses }, run);
  assert.equal(bare.vae.weights.has("decoder.fc_category.weight"), false);
  const scores = scoreNeuralVae(bare.vae, data, { key: randomKey(1) });
  assert.equal(scores.partialCorrelation, 0);
  assert.ok(scores.poseR2 === undefined && scores.categoryAccuracy === undefined);
});

Deno.test("fitNeuralVae() names what does not fit", async () => {
  const { responses, pose, categories } = data;
  const broken = responses.data.slice();
  broken[3 * 12 + 4] = NaN;
  const cases: [Parameters<typeof fitNeuralVae>[0], FitNeuralVaeOptions, RegExp][] = [
    [{ responses: hostMatrix(broken, [200, 12]) }, {}, /row 3, column 4 .* is NaN/],
    [{ responses, pose: hostMatrix(pose.data.slice(2), [199, 2]) }, {}, /200 stimuli, 199/],
    [{ responses, pose }, { groups: [1, 4] }, /group 0 by the pose: it has 1 dimensions/],
    [{ responses, categories: categories.map((c) => c + 3), nCategories: 4 }, {}, /from 0 to 3/],
    [
      { responses, categories: Float32Array.from(categories, (c) => c - 0.5) },
      {},
      /is -0.5|is 0.5|is 1.5|is 2.5/,
    ],
    [{ responses, categories: new Uint32Array(200) }, {}, /2 are needed, there is 1/],
    [{ responses }, { groups: [0, 4] }, /groups must be sizes from 1/],
    [{ responses }, { poseGroup: 7 }, /poseGroup must be the number of a group/],
    [{ responses }, { lr: 1e9 }, /loss is .* in epoch/],
    [{ responses }, { trainOn: "device" }, /on a device: none is given/],
  ];
  for (const [given, options, message] of cases) {
    await assert.rejects(fitNeuralVae(given, { ...quick, ...options }), (error) => {
      assert.ok(error instanceof InputError, String(error));
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("writeNeuralVae() keeps all that readNeuralVae() gives", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const fitted = await fitNeuralVae(data, quick);
    const latents = fitted.vae.encode(data.responses);
    const path = `${folder}/vae.h5`;
    await writeNeuralVae(path, { ...fitted, latents, settings: { ...fitted.settings } });
    const read = await readNeuralVae(path);
    assert.deepEqual(bitsOf(read.vae), bitsOf(fitted.vae));
    assert.deepEqual(read.vae.shape, fitted.vae.shape);
    assert.deepEqual(read.vae.encode(data.responses), latents);
    assert.deepEqual(read.vae.decodePose(latents.mu), fitted.vae.decodePose(latents.mu));
    assert.deepEqual(read.latents, latents);
    assert.deepEqual(read.history, fitted.history);
    assert.deepEqual(read.split, fitted.split);
    assert.equal(read.keptEpoch, fitted.keptEpoch);
    assert.deepEqual(read.settings, JSON.parse(JSON.stringify(fitted.settings)));
    assert.throws(
      () => read.vae.encode(hostMatrix(new Float32Array(26), [2, 13])),
      /fitted to 12 sites, 13 are given/,
    );
    {
      using other = await Hdf5Writer.create(`${folder}/other.h5`);
      other.setAttribute("/", "format", "gyrus neural vae 1");
      other.setAttribute("/", "groups", [2]);
      other.commit();
    }
    await assert.rejects(readNeuralVae(`${folder}/other.h5`), /\/mean is missing/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("neuralVaeFrom() reads a PyTorch state dict, and names what is wrong with one", async () => {
  const { vae } = await fitNeuralVae(data, { ...quick, epochs: 1 });
  const shapes = vaeTensorShapes(vae.shape);
  const stateDict = new Map([...vae.weights].map(([name, values]) => [
    `module.${name}`,
    hostTensor(Float32Array.from(values), shapes.get(name)!),
  ]));
  const options = { groups: vae.groups, sites: vae.sites, pose: vae.pose };
  const read = neuralVaeFrom(stateDict, options);
  assert.deepEqual(read.shape, vae.shape);
  assert.deepEqual(read.encode(data.responses), vae.encode(data.responses));
  const without = (name: string) => {
    const some = new Map(stateDict);
    some.delete(`module.${name}`);
    return some;
  };
  assert.throws(
    () => neuralVaeFrom(without("decoder.fc_x.bias"), options),
    /decoder\.fc_x\.bias must be \[12\], it is missing/,
  );
  assert.throws(() => neuralVaeFrom(without("encoder.fc1.weight"), options), /must be named/);
  assert.throws(
    () => neuralVaeFrom(stateDict, { ...options, groups: [2, 3] }),
    /7 latent dimensions, groups of \[2,3\] have 5/,
  );
});

Deno.test("NeuralVae.decode() gives responses in their own units", async () => {
  const { vae } = await fitNeuralVae(data, { ...quick, epochs: 1 });
  const zero = vae.decode(hostMatrix(new Float32Array(7), [1, 7]));
  const bias = vae.weights.get("decoder.fc_x.bias")!;
  zero.data.forEach((value, s) => {
    const expected = bias[s] * vae.sites.std[s] + vae.sites.mean[s];
    assert.ok(Math.abs(value - expected) < 1e-5 * expected); // means near 10, in float32
  });
});
