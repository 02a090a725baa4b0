/** DDPM, DDIM, guidance and inversion on a network whose noise is known in closed form. */
import assert from "node:assert/strict";
import { foldIn, normal, randomKey } from "../../engine/random.ts";
import { concat, slice } from "../../engine/ops/shape.ts";
import { full, scale } from "../../engine/ops/elementwise.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { clipStart, type DenoisingModel } from "../../pipelines/diffusion/denoise.ts";
import {
  posteriorVariance,
  processFrom,
  respacedProcess,
} from "../../pipelines/diffusion/process.ts";
import { ddim, ddpm, type Guidance } from "../../pipelines/diffusion/sampler.ts";
import { noiseSchedule } from "../../pipelines/diffusion/schedule.ts";
import { openTestGpu } from "../_gpu.ts";
import { assertInputError } from "./io_fixtures.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const SHAPE = [2, 1, 3, 2] as const;

/** The best network for images of independent normal values of standard deviation 0.5, and a variance between the two where it is asked. */
function gaussianModel(alphasCumprod: Float64Array, range?: number): DenoisingModel {
  return {
    gpu,
    forward: (x, { timesteps }) => ({
      output: tidy(gpu, () => {
        const a = alphasCumprod[timesteps[0]];
        const told = scale(x, Math.sqrt(1 - a) / (a / 4 + 1 - a));
        if (range === undefined) return told;
        return concat([told, full(gpu, x.shape, range)], 1);
      }),
    }),
  };
}

const start = () => Tensor.from(gpu, normal(randomKey(3), 12), SHAPE);

Deno.test("ddpm.sample() takes the posterior's mean and variance, also between the two of learned ranges", async () => {
  const schedule = noiseSchedule({ kind: "sigmoid", steps: 20 }),
    process = respacedProcess(schedule);
  const key = randomKey(5), range = -0.4;
  using x = start();
  const model = gaussianModel(schedule.alphasCumprod, range);
  using found = await ddpm.sample(model, x, { process, key, variance: "learned-range" });
  const wanted = Float64Array.from(await x.data());
  process.forEach((step, index) => {
    const { alphaCumprod: a, alphaCumprodPrev: prev } = step, beta = 1 - a / prev;
    const small = prev === 1 ? process[index - 1] : step; // the last variance is that of the step before
    const logs = [Math.log(beta), Math.log(posteriorVariance(small))];
    const variance = Math.exp((1 + range) / 2 * logs[0] + (1 - range) / 2 * logs[1]);
    for (let s = 0; s < 2; s++) {
      const noise = normal(foldIn(foldIn(key, s), index), 6);
      for (let i = 0; i < 6; i++) {
        const at = 6 * s + i, now = wanted[at];
        const epsilon = Math.sqrt(1 - a) / (a / 4 + 1 - a) * now;
        const clean = Math.min(1, Math.max(-1, (now - Math.sqrt(1 - a) * epsilon) / Math.sqrt(a)));
        wanted[at] = beta * Math.sqrt(prev) / (1 - a) * clean +
          (1 - prev) * Math.sqrt(1 - beta) / (1 - a) * now +
          (prev === 1 ? 0 : Math.sqrt(variance) * noise[i]);
      }
    }
  });
  // Twenty steps of some ten roundings of values about 1; the first divides by √ᾱ of 1e-3.
  (await found.data()).forEach((value, i) =>
    assert.ok(Math.abs(value - wanted[i]) < 2e-4, `${value}, ${wanted[i]}`)
  );
  await assert.rejects(ddpm.sample(model, x, { process }), /adding noise takes a key/);
});

Deno.test("ddim.sample() with eta 1 is ddpm.sample(), and images are the same in any batch", async () => {
  const schedule = noiseSchedule({ kind: "linear", steps: 50 });
  const options = { process: respacedProcess(schedule, 10), key: randomKey(9) };
  const model = gaussianModel(schedule.alphasCumprod);
  using x = start();
  using one = await ddim.sample(model, x, { ...options, eta: 1 });
  using other = await ddpm.sample(model, x, options);
  const a = await one.data(), b = await other.data();
  a.forEach((value, i) => assert.ok(Math.abs(value - b[i]) < 1e-5, `${value}, ${b[i]}`));
  using second = tidy(gpu, () => slice(x, { axis: 0, start: 1 }));
  using alone = await ddim.sample(model, second, { ...options, eta: 1, first: 1 });
  assert.deepEqual(await alone.data(), a.slice(6));
});

Deno.test("guidance moves the mean by the variance, or the noise, and limits clean images behind it where asked", async () => {
  const schedule = noiseSchedule({ kind: "sigmoid", steps: 150 });
  const process = processFrom(respacedProcess(schedule), 135).slice(0, 1), [step] = process;
  const model = gaussianModel(schedule.alphasCumprod);
  using x = start();
  const options = { process, key: randomKey(1) };
  const gradient = () => full(gpu, SHAPE, 2);
  const moved = async (guidance: Guidance) => {
    using plain = await ddpm.sample(model, x, options);
    using guided = await ddpm.sample(model, x, { ...options, guidance });
    const [a, b] = [await plain.data(), await guided.data()];
    return Math.max(...a.map((value, i) => b[i] - value));
  };
  const mean = await moved({ gradient, weight: 0.5 });
  assert.ok(Math.abs(mean - posteriorVariance(step)) < 1e-6, `${mean}`);
  let largest = 0;
  const look = ({ predXstart }: { predXstart: Tensor }) =>
    predXstart.data().then((values) => {
      largest = Math.max(...values.map(Math.abs));
    });
  for (const clipsAfter of [false, true]) {
    const guidance = { gradient, weight: 100, convention: "epsilon", clipsAfter } as const;
    using _ = await ddim.sample(model, x, {
      process,
      guidance,
      rederivesEpsilon: false,
      onStep: look,
    });
    // 1/√ᾱ − … of ε moved by 200: 5.16 · 200.
    assert.ok(clipsAfter ? largest === 1 : Math.abs(largest - 1032) < 5, `${largest}`);
  }
  const wrong = { gradient: () => full(gpu, [1], 2) };
  await assert.rejects(
    ddim.sample(model, x, { process, guidance: wrong }),
    /gradient must have their shape/,
  );
});

Deno.test("ddim.invert() finds the noise that ddim.sample() makes the image of", async () => {
  const schedule = noiseSchedule({ kind: "sigmoid", steps: 150 }), all = respacedProcess(schedule);
  const process = processFrom(all, 135), model = gaussianModel(schedule.alphasCumprod);
  using image = tidy(gpu, () => scale(start(), 0.4));
  const clean = await image.data();
  for (const evaluateAt of ["current", "next"] as const) {
    using noisy = await ddim.invert(model, image, { process, evaluateAt, clip: false });
    using back = await ddim.sample(model, noisy, { process, clip: false });
    const values = await back.data();
    const mse = Array.from(values).reduce((sum, v, i) => sum + (v - clean[i]) ** 2, 0) /
      values.length;
    // Each way takes the noise for that of one end of a step: the errors of 136 such steps, over a range of 2.
    assert.ok(10 * Math.log10(4 / mse) > 35, `${evaluateAt}: ${10 * Math.log10(4 / mse)} dB`);
  }
  await assert.rejects(ddim.invert(model, image, { process: process.slice(0, 1) }), /two or more/);
  assertInputError(() => processFrom(process, 140), /begin at step 140/);
});

Deno.test("clean images are limited by a quantile as diffusers does", async () => {
  using x = Tensor.from(gpu, [0, 1, -2, 3, -4, 0.1, 0.2, -0.3, 0.4, 0.5], [2, 1, 1, 5]);
  using y = clipStart(x, { ratio: 0.9, max: 3 });
  // Quantile .9 of 0…4 is 3.6, above max; of the second image .46, below 1.
  const wanted = [0, 1 / 3, -2 / 3, 1, -1, 0.1, 0.2, -0.3, 0.4, 0.5];
  (await y.data()).forEach((value, i) => assert.ok(Math.abs(value - wanted[i]) < 1e-6, `${value}`));
  using whole = clipStart(x, false);
  assert.deepEqual(await whole.data(), await x.data());
  assertInputError(() => clipStart(x, { ratio: 0, max: 2 }), /ratio must be above 0/);
});

Deno.test("sampling stops where images are no numbers, at a wrong number of channels, or on a signal", async () => {
  const schedule = noiseSchedule({ kind: "cosine", steps: 10 }),
    process = respacedProcess(schedule);
  using x = start();
  const broken: DenoisingModel = {
    gpu,
    forward: (x, { timesteps }) => ({ output: full(gpu, x.shape, timesteps[0] === 7 ? NaN : 0) }),
  };
  await assert.rejects(
    ddim.sample(broken, x, { process }),
    /at step 7 the network's output must be finite, the largest value is NaN/,
  );
  const wide: DenoisingModel = { gpu, forward: () => ({ output: full(gpu, [2, 3, 3, 2], 0) }) };
  await assert.rejects(ddim.sample(wide, x, { process }), /must have 1 or 2 channels/);
  const narrow = { process, key: randomKey(0), variance: "learned-range" } as const;
  await assert.rejects(
    ddpm.sample(gaussianModel(schedule.alphasCumprod), x, narrow),
    /must have 2 channels/,
  );
  const signal = AbortSignal.abort(new Error("enough"));
  await assert.rejects(ddim.sample(broken, x, { process, signal }), /enough/);
  using flat = Tensor.from(gpu, [1], [1]);
  await assert.rejects(ddim.sample(broken, flat, { process }), /images are \[n, channels/);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
