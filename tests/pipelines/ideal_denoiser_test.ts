/**
 * The denoiser that is best for a set of images.
 *
 * @module
 */
import assert from "node:assert/strict";
import { normal, randomKey } from "../../engine/random.ts";
import { Tensor } from "../../engine/tensor.ts";
import { idealDenoiser } from "../../pipelines/diffusion/ideal_denoiser.ts";
import { respacedProcess } from "../../pipelines/diffusion/process.ts";
import { ddim } from "../../pipelines/diffusion/sampler.ts";
import { noiseSchedule } from "../../pipelines/diffusion/schedule.ts";
import { openTestGpu } from "../_gpu.ts";

Deno.test("idealDenoiser() tells the noise by the posterior mean, and samples are images of the set", async () => {
  using gpu = await openTestGpu();
  const schedule = noiseSchedule({ kind: "sigmoid", steps: 150 }), shape = [5, 1, 2, 3];
  const data = normal(randomKey(0), 30).map((v) => Math.max(-1, Math.min(1, 0.5 * v)));
  {
    using denoiser = idealDenoiser(gpu, { data, shape }, schedule);
    const noisy = normal(randomKey(1), 2 * 6);
    using x = Tensor.from(gpu, noisy, [2, 1, 2, 3]);
    for (const t of [20, 75, 135]) {
      using told = denoiser.forward(x, { timesteps: [t, t] }).output;
      const found = await told.data(), a = schedule.alphasCumprod[t];
      for (const row of [0, 1]) {
        const own = noisy.subarray(6 * row, 6 * row + 6);
        const weights = [0, 1, 2, 3, 4].map((i) =>
          Math.exp(
            -own.reduce((s, v, p) => s + (v - Math.sqrt(a) * data[6 * i + p]) ** 2, 0) /
              (2 * (1 - a)),
          )
        );
        const total = weights.reduce((s, w) => s + w, 0);
        own.forEach((v, p) => {
          const start = weights.reduce((s, w, i) => s + w * data[6 * i + p], 0) / total;
          const noise = (v - Math.sqrt(a) * start) / Math.sqrt(1 - a);
          // f32 logits of size 30 have errors of 4e-6, and 1/√(1 − ᾱ) is at most 3.4.
          assert.ok(Math.abs(found[6 * row + p] - noise) < 5e-5, `step ${t}`);
        });
      }
    }
    using made = await ddim.sample(denoiser, x, {
      process: respacedProcess(schedule, 50),
      clip: false,
    });
    const images = await made.data();
    for (const row of [0, 1]) {
      const apart = [0, 1, 2, 3, 4].map((i) =>
        Math.hypot(...Array.from({ length: 6 }, (_, p) => images[6 * row + p] - data[6 * i + p]))
      );
      assert.ok(Math.min(...apart) < 1e-2, `${apart}`);
    }
    assert.throws(() => denoiser.forward(x, { timesteps: [3, 4] }), /at steps 3,4/);
  }
  assert.throws(() => idealDenoiser(gpu, { data, shape: [0, 6] }, schedule), /as images \[0,6\]/);
  assert.equal(gpu.liveBytes, 0);
});
