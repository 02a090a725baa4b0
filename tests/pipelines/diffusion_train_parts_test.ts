/** Parts of training of diffusion models: gradients of every weight, what a loss is of, and what is drawn. */
import assert from "node:assert/strict";
import { full, mul } from "../../engine/ops/elementwise.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { normal, randomKey } from "../../engine/random.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import type { PredictionType } from "../../pipelines/diffusion/denoise.ts";
import { noiseSchedule } from "../../pipelines/diffusion/schedule.ts";
import {
  gatherImages,
  TrainingDraws,
  type TrainingImages,
} from "../../pipelines/diffusion/train_draws.ts";
import { diffusionLoss } from "../../pipelines/diffusion/train_loss.ts";
import { emaShare, fullTraining, stepSize } from "../../pipelines/diffusion/train_options.ts";
import { clipGradients, lossGradients } from "../../pipelines/gradients.ts";
import { hostTensor, toFloat32 } from "../../pipelines/io/state_dict.ts";
import { runDdp } from "../../pipelines/models/ddp_forward.ts";
import { type DdpSizes, ddpTensors, drawDdpWeights } from "../../pipelines/models/ddp_layout.ts";
import { bindDdp, DdpTensors } from "../../pipelines/models/ddp_weights.ts";
import { openTestGpu } from "../_gpu.ts";
import { drawUnet, TinyDdp, tinySizes } from "./ddp_reference.ts";
import { assertSlope, Drawn } from "./unet_reference.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

Deno.test("gradients of every weight of the paper's UNet equal differences of the host in float64", async () => {
  const stateDict = drawUnet(new Drawn(randomKey(4)), tinySizes);
  const image = normal(randomKey(5), 64), readout = normal(randomKey(6), 64), timestep = 120;
  const weights = new Map(
    [...stateDict].map(([name, t]) => [name, Tensor.from(gpu, toFloat32(t), t.shape)]),
  );
  const { loss, gradients } = tidy(gpu, () => {
    const x = Tensor.from(gpu, image, [1, 1, 8, 8]), by = Tensor.from(gpu, readout, [1, 1, 8, 8]);
    return lossGradients(weights, (watched) => {
      const bound = bindDdp(new DdpTensors(watched), tinySizes.mults.length);
      return sum(mul(runDdp(bound, x, { timesteps: [timestep] }), by));
    });
  });
  const names = [...stateDict.keys()];
  for (const [i, name] of names.entries()) {
    const { shape } = stateDict.get(name)!;
    assert.deepEqual(gradients[i].shape, shape, name);
    assertSlope((values) => {
      const moved = new Map([...stateDict, [name, hostTensor(Float64Array.from(values), shape)]]);
      return new TinyDdp(moved).forward(Float64Array.from(image), timestep);
    }, {
      input: toFloat32(stateDict.get(name)!),
      slope: await gradients[i].data(),
      readout,
      what: name,
    });
  }
  [loss, ...gradients, ...weights.values()].forEach((t) => t.dispose());
});

Deno.test("drawDdpWeights() makes the tensors of the library, with PyTorch's first values", () => {
  const shapes = (tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>) =>
    [...tensors].map(([name, { shape }]) => `${name} ${shape}`).sort();
  const { dim, mults, nHeads, headDim, nMemory } = tinySizes;
  const sizes: DdpSizes = {
    ...{ dim, dimMults: mults, channels: 1, heads: nHeads, dimHead: headDim },
    memoryTokens: nMemory,
  };
  const drawn = drawDdpWeights(sizes, randomKey(1));
  assert.deepEqual(shapes(drawn), shapes(drawUnet(new Drawn(randomKey(4)), tinySizes)));
  const paper = ddpTensors({ dim: 64, channels: 1 });
  const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
  assert.equal(paper.size, 245);
  assert.equal([...paper.values()].reduce((all, { shape }) => all + size(shape), 0), 35_705_089);
  // Kaiming-uniform with a = √5 is uniform within ± 1/√fan-in: 8·9 inputs of a 3×3 convolution of 8 channels.
  const values = toFloat32(drawn.get("downs.0.0.block1.proj.weight")!), bound = 1 / Math.sqrt(72);
  const variance = values.reduce((all, v) => all + v * v, 0) / values.length;
  assert.ok(values.every((v) => Math.abs(v) <= bound));
  // The variance of n uniform draws: bound²/3 · (1 ± √(0.8/n)), n = 576; four of those.
  assert.ok(Math.abs(variance / (bound ** 2 / 3) - 1) < 4 * Math.sqrt(0.8 / values.length));
  assert.ok(toFloat32(drawn.get("mid_attn.norm.g")!).every((g) => g === 1));
  assert.throws(() => ddpTensors({ dim: 7 }), /dim must be even and at least 4, got 7/);
  assert.throws(() => ddpTensors({ dim: 8, dimMults: [1, 0.5] }), /dimMults must be whole/);
  assert.throws(
    () => ddpTensors({ dim: 8, dimMults: [1, 2], fullAttention: [true] }),
    /a value for each of 2 levels, got 1/,
  );
});

Deno.test("diffusionLoss() is the weighted squared error of what is asked for", async () => {
  const schedule = noiseSchedule({ kind: "sigmoid", steps: 150 }), timesteps = [3, 120];
  const start = normal(randomKey(1), 8), noise = normal(randomKey(2), 8);
  for (const prediction of ["epsilon", "v", "sample"] as const satisfies PredictionType[]) {
    const loss = tidy(gpu, () =>
      diffusionLoss(
        {
          start: Tensor.from(gpu, start, [2, 1, 2, 2]),
          noise: Tensor.from(gpu, noise, [2, 1, 2, 2]),
          timesteps,
        },
        schedule,
        { prediction, predict: (x) => mul(x, full(gpu, [1], 0.5)) },
      ));
    let wanted = 0;
    start.forEach((x0, i) => {
      const a = schedule.alphasCumprod[timesteps[Math.floor(i / 4)]];
      const said = 0.5 * (Math.sqrt(a) * x0 + Math.sqrt(1 - a) * noise[i]);
      const [target, weight] = prediction === "epsilon"
        ? [noise[i], 1]
        : prediction === "sample"
        ? [x0, a / (1 - a)]
        : [Math.sqrt(a) * noise[i] - Math.sqrt(1 - a) * x0, a];
      wanted += weight * (said - target) ** 2 / 8;
    });
    const found = await loss.item();
    loss.dispose();
    // A dozen roundings of values of about 1, in a mean of 8.
    assert.ok(Math.abs(found - wanted) < 1e-5 * Math.max(1, wanted), `${prediction}: ${found}`);
  }
});

Deno.test("clipGradients() shortens all gradients together, and leaves short ones", async () => {
  using a = Tensor.from(gpu, [3, 0]);
  using b = Tensor.from(gpu, [4]);
  for (const [most, wanted] of [[1, [0.6, 0, 0.8]], [10, [3, 0, 4]]] as const) {
    const { clipped, norm } = clipGradients([a, b], most);
    assert.equal(await norm.item(), 5);
    const values = [...await clipped[0].data(), ...await clipped[1].data()];
    values.forEach((v, i) => assert.ok(Math.abs(v - wanted[i]) < 1e-6));
    [norm, ...clipped].forEach((t) => t.dispose());
  }
});

Deno.test("the step size falls in a line, and averages warm up", () => {
  const options = { schedule: noiseSchedule({ kind: "linear" }), key: randomKey(0) };
  const training = fullTraining({
    ...options,
    sizes: { dim: 8 },
    steps: 100,
    lr: 1e-3,
    decaySteps: 10,
  });
  const sizes = [0, 90, 95, 99].map((step) => stepSize(step, training) / 1e-3);
  [1, 1, 0.5, 0.1].forEach((wanted, i) => assert.ok(Math.abs(sizes[i] - wanted) < 1e-12));
  const ema = { decay: 0.98, every: 10, after: 100 };
  assert.deepEqual([5, 0, 100].map((step) => emaShare(step, ema)), [undefined, 0, 0]);
  // ema_pytorch: 1 − (1 + 10)^(−2/3) ten steps behind `after`, and at most the decay.
  assert.ok(Math.abs(emaShare(110, ema)! - (1 - 11 ** (-2 / 3))) < 1e-12);
  assert.equal(emaShare(2000, ema), 0.98);
});

Deno.test("TrainingDraws draws every image once an epoch, times and sides evenly, and noise by samples", async () => {
  const draws = new TrainingDraws(randomKey(9), { n: 7, perStep: 4, timesteps: 10, flip: 0.5 });
  const samples = Array.from({ length: 2800 }, (_, at) => draws.sample(Math.floor(at / 4), at % 4));
  for (let epoch = 0; epoch < 400; epoch++) {
    const seen = samples.slice(7 * epoch, 7 * epoch + 7).map(({ image }) => image).sort();
    assert.deepEqual(seen, [0, 1, 2, 3, 4, 5, 6]);
  }
  const times = new Array(10).fill(0);
  samples.forEach(({ timestep }) => times[timestep]++);
  // 2800 draws of chance 0.1 and 0.5: standard deviations of 15.9 and 26.5; five of those.
  assert.ok(times.every((count) => Math.abs(count - 280) < 80), `${times}`);
  const flips = samples.filter(({ isFlipped }) => isFlipped).length;
  assert.ok(Math.abs(flips - 1400) < 133, `${flips}`);
  using whole = draws.noise(gpu, 5, { from: 0, to: 4, shape: [3] });
  using part = draws.noise(gpu, 5, { from: 2, to: 4, shape: [3] });
  assert.deepEqual([...await part.data()], [...(await whole.data()).slice(6)]);
  const images: TrainingImages = { values: Float32Array.of(1, 2, 3, 4), shape: [1, 1, 2, 2] };
  const flipped = { image: 0, timestep: 0, isFlipped: true };
  assert.deepEqual([...gatherImages(images, [flipped])], [2, 1, 4, 3]);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
