/**
 * Gradient ascent on images: the whole gradient by central differences, the ascent itself, its bits, its memory and its end.
 */
import assert from "node:assert/strict";
import {
  addObjectives,
  channelObjective,
  diversityObjective,
  foldIn,
  fourierParam,
  type ImageParam,
  learningRate,
  makeOptimizer,
  maximize,
  type MaximizeOptions,
  modelInput,
  normal,
  type Objective,
  optvisPresets,
  pixelParam,
  presetParam,
  randomKey,
  readoutObjective,
  scaleObjective,
  Tensor,
  tidy,
  transformImages,
  transformMap,
  type Transforms,
} from "../../mod.ts";
import { affineWarpKernel } from "../../shaders/image/affine_warp.ts";
import { gradcheck } from "../gradcheck.ts";
import { openTestGpu } from "../_gpu.ts";
import { CHANNELS, convReference, TinyNet } from "./optvis_net.ts";
import { decay, inverseReal, mixChannels, sigmoid } from "./optvis_reference.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const SIZE = { height: 16, width: 16 };
const VIEWS: Transforms = {
  steps: [
    { kind: "pad", by: 2 },
    { kind: "jitter", by: 4 },
    { kind: "scale", factor: { low: 0.9, high: 1.1 } },
    { kind: "rotate", degrees: { low: -10, high: 10 } },
  ],
  fill: 0.5,
};
const BASE: MaximizeOptions = {
  key: randomKey(1),
  images: { count: 1 },
  steps: 20,
  optimizer: { name: "adam", lr: 0.05 },
  transforms: VIEWS,
};

Deno.test("the gradient of parameters through views, network and readout equals central differences", async () => {
  const size = { height: 6, width: 8 }, plane = 48;
  using param = fourierParam(gpu, size);
  using net = new TinyNet(gpu, "softplus");
  const readout = normal(randomKey(2), CHANNELS * plane);
  using w = Tensor.from(gpu, readout);
  const objective = readoutObjective([{ layer: "conv", weights: w }]);
  const draws = { key: randomKey(3), step: 4 };
  const input = { mean: [0.4, 0.5, 0.6], std: [0.2, 0.3, 0.4] } as const;
  const key = foldIn(foldIn(foldIn(foldIn(draws.key, 0), 4), 0), 0);
  const matrix = Float64Array.from(
    Float32Array.from(transformMap(VIEWS.steps, { size, key })),
  );
  const s = decay(size, 1), half = [1, 3, 6, 5];
  await gradcheck(gpu, {
    name: "the whole chain",
    shapes: [half, half],
    f: (re, im) => {
      const image = param.image([re, im]);
      const views = modelInput(transformImages(image, VIEWS, draws), input);
      const taps = net.taps(views, ["conv"], { reluGradient: "standard" });
      return objective.score({ image, crops: 1, activation: (name) => taps.get(name)! });
    },
    reference: (re, im) => {
      const scaled = (z: Float64Array) => z.map((v, i) => v * s[i % s.length] / 4);
      const x = mixChannels(inverseReal(scaled(re), scaled(im), size)).map(sigmoid);
      const dims = {
        ...{ batch: 1, crops: 1, channels: 3, height: 6, width: 8 },
        ...{ outHeight: 6, outWidth: 8 },
      };
      const { y } = affineWarpKernel.reference({ x, matrix }, dims, { fill: 0.5 });
      const pixels = y.map((v, i) => {
        const c = Math.floor(i / plane);
        return (v - input.mean[c]) / input.std[c];
      });
      return [convReference(pixels, 6, 8).reduce((sum, v, i) => sum + v * readout[i], 0)];
    },
  });
});

Deno.test("maximize() raises the score of a voxel, and of its negative lowers it", async () => {
  using param = fourierParam(gpu, SIZE);
  using net = new TinyNet(gpu);
  const up = channelObjective("conv", 2);
  const run = (objective: Objective) => maximize(param, net, objective, { ...BASE, steps: 40 });
  const raised = await run(up), lowered = await run(scaleObjective(up, -1));
  const meanOf = (values: Float32Array) => values.reduce((s, v) => s + v) / values.length;
  const half = (curve: Float32Array, part: 0 | 1) =>
    meanOf(curve.subarray(20 * part, 20 * part + 20));
  assert(half(raised.curve, 1) > half(raised.curve, 0));
  assert(-half(lowered.curve, 1) < -half(lowered.curve, 0));
  assert(raised.scores[0] > raised.curve[0] && -lowered.scores[0] < -lowered.curve[0]);
  assert(raised.images.every((v) => v >= 0 && v <= 1));
  assert.deepEqual([raised.images.length, raised.curve.length], [3 * 256, 40]);
});

Deno.test("the same key gives the same bits, and image s is the same in a batch of any size", async () => {
  using param = fourierParam(gpu, SIZE);
  using net = new TinyNet(gpu);
  const rows = normal(randomKey(4), 3 * CHANNELS);
  const readoutOf = (first: number, count: number) =>
    Tensor.from(gpu, rows.subarray(first * CHANNELS, (first + count) * CHANNELS), [
      count,
      CHANNELS,
    ]);
  const run = async (first: number, count: number) => {
    using weights = readoutOf(first, count); // every image a voxel of its own
    const objective = readoutObjective([{ layer: "pooled", weights }]);
    const transforms = { ...VIEWS, crops: 2, normalNoise: 0.01 };
    const images = { first, count };
    return await maximize(param, net, objective, {
      ...BASE,
      images,
      transforms,
      hasSaliency: true,
    });
  };
  const all = await run(0, 3), again = await run(0, 3), one = await run(2, 1);
  assert.deepEqual(again, all);
  assert.deepEqual(one.images, all.images.slice(2 * 768));
  assert.deepEqual(one.scores, all.scores.slice(2));
  assert.deepEqual(one.curve, all.curve.filter((_, i) => i % 3 === 2));
  assert.deepEqual(one.saliency, all.saliency!.slice(2 * 256));
  assert(one.saliency!.every((v) => v >= 0) && one.saliency!.some((v) => v > 0));
  assert.notDeepEqual(all.images.slice(0, 768), all.images.slice(768, 1536));
});

Deno.test("memory stays flat over 1,000 steps", async () => {
  using param = fourierParam(gpu, SIZE);
  using net = new TinyNet(gpu);
  const bytes = new Set<number>();
  const { curve } = await maximize(param, net, channelObjective("conv", 1), {
    ...BASE,
    steps: 1000,
    onProgress: () => bytes.add(gpu.liveBytes),
  });
  assert.equal(bytes.size, 1, `live bytes were ${[...bytes]}`);
  assert(curve[999] > curve[0]);
});

Deno.test("maximize() stops when told, with nothing left on the device", async () => {
  using param = pixelParam(gpu, SIZE);
  using net = new TinyNet(gpu);
  const control = new AbortController();
  const seen: number[] = [];
  const run = maximize(param, net, channelObjective("conv", 0), {
    ...BASE,
    steps: 100,
    readEvery: 7,
    signal: control.signal,
    onProgress: ({ done, total }) => {
      assert.equal(total, 100);
      seen.push(done);
      if (done === 21) control.abort(new Error("enough"));
    },
  });
  await assert.rejects(run, /enough/);
  assert.deepEqual(seen, [7, 14, 21]);
});

Deno.test("images grow from size to size and keep what they show", async () => {
  using net = new TinyNet(gpu);
  const sides = [8, 16, 32].map((side) => fourierParam(gpu, { height: side, width: side }));
  const stages: number[] = [];
  const watched = sides.map((param): ImageParam => ({
    ...param,
    image: (theta) => {
      stages.push(theta[0].shape[2]);
      return param.image(theta);
    },
  }));
  const { size, images, curve } = await maximize(watched, net, channelObjective("conv", 2), {
    ...BASE,
    steps: 30,
    shares: [20, 30, 50],
    hasSaliency: true,
  });
  assert.deepEqual(size, { height: 32, width: 32 });
  assert.equal(images.length, 3 * 32 * 32);
  assert.deepEqual(stages, [...Array(6).fill(8), ...Array(9).fill(16), ...Array(16).fill(32)]);
  assert(curve[29] > curve[0]);
  const flat = pixelParam(gpu, SIZE);
  await assert.rejects(maximize([flat, flat], net, channelObjective("conv", 2), BASE), {
    name: "InputError",
    message: /cannot grow/,
  });
  [...sides, flat].forEach((param) => param[Symbol.dispose]());
});

Deno.test("images that must differ come out less alike", async () => {
  using param = fourierParam(gpu, SIZE);
  using net = new TinyNet(gpu, "softplus");
  const likeness = diversityObjective("conv");
  const both = (weight: number) =>
    addObjectives(channelObjective("conv", 0), scaleObjective(likeness, weight));
  const made = async (weight: number) => {
    const options = { ...BASE, images: { count: 3 }, transforms: undefined, steps: 40 };
    const { images } = await maximize(param, net, both(weight), options);
    using x = Tensor.from(gpu, images, [3, 3, 16, 16]);
    using score = tidy(gpu, () => {
      const taps = net.taps(x, ["conv"], { reluGradient: "standard" });
      return likeness.score({ image: x, crops: 1, activation: (name) => taps.get(name)! });
    });
    const values = await score.data();
    return Array.from(values).reduce((s, v) => s + v, 0);
  };
  assert(await made(-100) < await made(0));
});

Deno.test("gradients pass dead units in the first steps only when told to", async () => {
  using param = pixelParam(gpu, SIZE);
  using dead = new TinyNet(gpu, "relu", -20);
  const [start] = param.init(foldIn(BASE.key, 0), { count: 1 });
  using held = start;
  using image = param.image([held]);
  const before = await image.data();
  for (const redirectedSteps of [0, 5]) {
    const { images } = await maximize(param, dead, channelObjective("conv", 0), {
      ...BASE,
      steps: 5,
      redirectedSteps,
    });
    const isSame = images.every((v, i) => v === before[i]);
    assert.equal(isSame, redirectedSteps === 0);
  }
});

Deno.test("maximize() says when a score is no longer finite, and refuses runs that cannot be", async () => {
  using param = pixelParam(gpu, SIZE);
  using net = new TinyNet(gpu);
  const channel = channelObjective("conv", 0);
  const infinite: Objective = {
    name: "infinite",
    layers: [],
    score: ({ image }) => Tensor.from(image.gpu, [NaN]),
  };
  const broken = addObjectives(channel, infinite);
  await assert.rejects(maximize(param, net, broken, { ...BASE, readEvery: 5 }), {
    name: "InputError",
    message: /image 0 of the batch is NaN at step 0/,
  });
  const refuse = (options: Partial<MaximizeOptions>, message: RegExp) =>
    assert.rejects(maximize(param, net, channel, { ...BASE, ...options }), {
      name: "InputError",
      message,
    });
  await refuse({ steps: 0 }, /in 0 steps/);
  await refuse({ optimizer: { lr: -1 } }, /step sizes/);
  await refuse({ shares: [1, 2] }, /1 sizes/);
  await assert.rejects(maximize(param, net, channelObjective("fc", 0), BASE), {
    message: /the model gave no fc/,
  });
});

Deno.test("step sizes follow half a cosine", () => {
  const options = { lr: 0.03, lastLr: 0.001 };
  assert.equal(learningRate(options, 0, 100), 0.03);
  assert(Math.abs(learningRate(options, 50, 100) - 0.0155) < 1e-12);
  assert(
    Math.abs(learningRate(options, 25, 100) - (0.001 + 0.029 * (1 + Math.SQRT1_2) / 2)) < 1e-12,
  );
  assert.equal(learningRate({ lr: 0.05 }, 77, 100), 0.05);
  using x = Tensor.zeros(gpu, [1]);
  assert.throws(() => makeOptimizer([x], { lr: NaN }), { name: "InputError" });
});

Deno.test("every preset makes images of its own kind", async () => {
  using net = new TinyNet(gpu);
  const picture = { ...SIZE, data: new Uint8Array(768).map((_, i) => (37 * i) % 256) };
  for (const [name, preset] of Object.entries(optvisPresets)) {
    using param = presetParam(gpu, preset, { size: SIZE, picture });
    const transforms = {
      ...preset.transforms,
      steps: preset.transforms.steps.map((step) =>
        step.kind === "box"
          ? { ...step, output: SIZE }
          : "by" in step
          ? { ...step, by: Math.min(step.by, 4) }
          : step
      ),
    };
    const result = await maximize(param, net, channelObjective("conv", 3), {
      ...BASE,
      ...preset,
      images: { count: 2 },
      steps: 3,
      transforms,
    });
    assert.equal(result.images.length, 2 * 768, name);
    assert(result.images.every(Number.isFinite), name);
  }
  assert.throws(() => presetParam(gpu, optvisPresets.accentuate), { name: "InputError" });
  const { vwam, lucid, maco } = optvisPresets;
  assert.deepEqual([vwam.size, vwam.steps, vwam.optimizer.lr], [500, 1000, 2.5]);
  assert.deepEqual([lucid.size, lucid.steps, lucid.optimizer.lr], [128, 512, 0.05]);
  assert.deepEqual([maco.optimizer.name, maco.optimizer.lr, maco.transforms.crops], [
    "nadam",
    1,
    6,
  ]);
  const turns = lucid.transforms.steps.find((step) => step.kind === "rotate")!;
  assert("choices" in turns.degrees && turns.degrees.choices.filter((d) => d === 0).length === 6);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
