/** Runs of training of diffusion models: the same run however it is divided or stopped. */
import assert from "node:assert/strict";
import { mean } from "../../engine/ops/reduce.ts";
import { randomKey, uniform } from "../../engine/random.ts";
import { Tensor } from "../../engine/tensor.ts";
import { noiseSchedule } from "../../pipelines/diffusion/schedule.ts";
import { trainDiffusion } from "../../pipelines/diffusion/train.ts";
import type { TrainingImages } from "../../pipelines/diffusion/train_draws.ts";
import type { DiffusionTrainingOptions } from "../../pipelines/diffusion/train_options.ts";
import type { StateDict } from "../../pipelines/io/state_dict.ts";
import { type DdpUnet, loadDdpUnet } from "../../pipelines/models/ddp_unet.ts";
import { openMethodGpu } from "../_gpu.ts";

const gpu = await openMethodGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

/** Images of one bright column each on a dark background. */
function columns(n: number): TrainingImages {
  const values = new Float32Array(n * 64).fill(-1), where = uniform(randomKey(8), n);
  for (let i = 0; i < n; i++) {
    const x = Math.floor(8 * where[i]);
    for (let y = 0; y < 8; y++) values[64 * i + 8 * y + x] = 1;
  }
  return { values, shape: [n, 1, 8, 8] };
}

const tiny: Omit<DiffusionTrainingOptions, "steps"> = {
  sizes: { dim: 8, dimMults: [1, 2], channels: 1, heads: 2, dimHead: 4 },
  schedule: noiseSchedule({ kind: "sigmoid", steps: 150 }),
  key: randomKey(2),
  batch: 4,
  accumulate: 1,
  lr: 1e-3,
  ema: { after: 2, every: 2 },
};

const bytesOf = (tensors: StateDict) =>
  [...tensors].map(([name, { bytes }]) => `${name} ${bytes.join()}`);

Deno.test("trainDiffusion() goes on after a stop with the same bits, and keeps no memory", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const images = columns(6), live = new Set<number>();
    const whole = await trainDiffusion(gpu, images, {
      ...tiny,
      steps: 7,
      decaySteps: 3,
      onStep: () => void live.add(gpu.liveBytes),
    });
    assert.equal(live.size, 1, `${[...live]}`);
    const checkpoint = { folder, every: 2 }, stop = new AbortController();
    const run = { ...tiny, steps: 7, decaySteps: 3, checkpoint };
    const onStep = ({ step }: { step: number }) => step === 4 && stop.abort(new Error("stopped"));
    await assert.rejects(
      trainDiffusion(gpu, images, { ...run, signal: stop.signal, onStep: (s) => void onStep(s) }),
      /stopped/,
    );
    const steps: number[] = [];
    const again = await trainDiffusion(gpu, images, {
      ...run,
      onStep: ({ step }) => void steps.push(step),
    });
    assert.deepEqual(steps, [4, 5, 6]); // the state behind step 3 was the last that was kept
    assert.deepEqual([...again.losses], [...whole.losses]);
    assert.deepEqual(bytesOf(again.tensors), bytesOf(whole.tensors));
    await assert.rejects(
      trainDiffusion(gpu, images, { ...run, lr: 2e-3 }),
      /a training with other options; name another folder/,
    );
    await assert.rejects(trainDiffusion(gpu, columns(7), run), /with other images;/);
    await assert.rejects(
      trainDiffusion(gpu, images, { ...run, steps: 9 }),
      /other steps or decaySteps/, // the step size had begun to fall
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("trainDiffusion() learns, in passes of any number, a network that loadDdpUnet() reads", async () => {
  const images = columns(16);
  const one = await trainDiffusion(gpu, images, { ...tiny, batch: 8, steps: 30, lr: 4e-3 });
  const early = mean5(one.losses.subarray(0, 5)), late = mean5(one.losses.subarray(25));
  // Losses of steps scatter by a third of themselves; five of them by a seventh.
  assert.ok(late < 0.6 * early, `${early} → ${late}`);
  const two = await trainDiffusion(gpu, images, {
    ...{ ...tiny, batch: 4, accumulate: 2, steps: 2, lr: 4e-3 },
  });
  for (const [s, loss] of two.losses.entries()) {
    // The same samples, summed in another order: roundings of 2⁻²⁴, and at the second step what they did to Adam's first.
    assert.ok(Math.abs(loss - one.losses[s]) < 1e-3 * loss, `${loss}, not ${one.losses[s]}`);
  }
  for (const prefix of ["model.", "ema_model.model."]) {
    using unet: DdpUnet = await loadDdpUnet(gpu, one.tensors, { prefix });
    using x = Tensor.from(gpu, images.values.subarray(0, 128), [2, 1, 8, 8]);
    using output = unet.forward(x, { timesteps: [3, 140] }).output;
    using size = mean(output);
    assert.ok(Number.isFinite(await size.item()));
  }
  const on = await trainDiffusion(gpu, images, { ...tiny, steps: 1, from: one.tensors });
  assert.ok(on.losses[0] < 0.9 * early, `${on.losses[0]}`);
});

const mean5 = (values: Float32Array) => values.reduce((a, b) => a + b) / values.length;

Deno.test("trainDiffusion() refuses what does not fit", async () => {
  const refused = (images: TrainingImages, more: Partial<DiffusionTrainingOptions>, why: RegExp) =>
    assert.rejects(trainDiffusion(gpu, images, { ...tiny, steps: 1, ...more }), why);
  const images = columns(2);
  await refused({ ...images, shape: [2, 2, 8, 4] }, {}, /images must be \[n, 1, height, width\]/);
  await refused({ values: images.values.map((v) => 2 * v), shape: images.shape }, {}, /is -2$/);
  await refused(images, { batch: 0 }, /batch must be a whole number from 1, got 0/);
  await refused(images, { lr: NaN }, /lr must be above 0, got NaN/);
  await refused(images, { lr: 1e30, steps: 4 }, /at step \d loss and gradients must be finite/);
  await refused(images, { from: new Map() }, /"init_conv.weight" must be \[8,1,7,7\], is missing/);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
