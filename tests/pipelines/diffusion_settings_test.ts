/** How images are drawn with networks of each library, as their files say it. */
import assert from "node:assert/strict";
import { keptProcess } from "../../pipelines/diffusion/process.ts";
import { noiseSchedule } from "../../pipelines/diffusion/schedule.ts";
import {
  diffusionSettings,
  settingsProcess,
  type UnetFacts,
} from "../../pipelines/diffusion/settings.ts";
import { ddpTimesteps } from "../../pipelines/diffusion/timesteps.ts";
import { hostTensor } from "../../pipelines/io/state_dict.ts";
import type { AdmLayout } from "../../pipelines/models/adm_layout.ts";
import type { DiffusersFacts } from "../../pipelines/models/diffusers_options.ts";
import { assertInputError } from "./io_fixtures.ts";

const layout = {
  ...{ kind: "unet", modelChannels: 192, channelMult: [1, 2, 3, 4], inChannels: 3, outChannels: 6 },
} as unknown as AdmLayout;
const adm = (more: object = {}): UnetFacts => ({ family: "adm", layout: { ...layout, ...more } });
const facts = { inChannels: 4, outChannels: 4, crossAttentionDim: 0 } as unknown as DiffusersFacts;
const diffusers = (more: object = {}): UnetFacts => ({
  family: "diffusers",
  facts: { ...facts, ...more },
});
const told = (
  settings: ReturnType<typeof diffusionSettings>,
  options: Parameters<typeof settingsProcess>[1],
) => settingsProcess(settings, options).map(({ timestep }) => timestep);

Deno.test("diffusionSettings() takes guided-diffusion's flags, and knows the one released network with cosine steps", () => {
  const last = (alphas: Float64Array) => alphas[999];
  const of64 = diffusionSettings(adm()), of256 = diffusionSettings(adm({ modelChannels: 256 }));
  assert.equal(
    last(of64.schedule.alphasCumprod),
    last(noiseSchedule({ kind: "cosine" }).alphasCumprod),
  );
  assert.equal(
    last(of256.schedule.alphasCumprod),
    last(noiseSchedule({ kind: "linear" }).alphasCumprod),
  );
  assert.equal(of64.variance, "learned-range");
  assert.deepEqual(told(of64, { steps: 4 }), [750, 500, 250, 0]);
  assert.deepEqual(told(of64, { steps: 4, isDdim: false }), [999, 666, 333, 0]);
  // improved-diffusion's 4000 steps, of which the network is told a thousandth part of each
  const config = { diffusion_steps: 4000, rescale_timesteps: true, noise_schedule: "cosine" };
  const improved = diffusionSettings(adm({ outChannels: 3 }), { config });
  assert.equal(improved.variance, "fixed-large");
  assert.deepEqual(told(improved, { steps: 4 }), [750, 500, 250, 0]);
  assert.equal(improved.schedule.betas.length, 4000);
  assertInputError(() => diffusionSettings(adm({ inChannels: 6 })), /an upsampler, which takes/);
  assertInputError(
    () => diffusionSettings(adm({ kind: "classifier" })),
    /a classifier, which tells/,
  );
  assertInputError(
    () => diffusionSettings(adm(), { config: { noise_schedule: "exp" } }),
    /it is "exp"/,
  );
});

Deno.test("diffusionSettings() takes the schedule of denoising-diffusion-pytorch from the file's buffer, else MIG-Vis's", () => {
  const paper = diffusionSettings({ family: "ddp" });
  assert.equal(paper.schedule.betas.length, 150);
  assert.ok(Math.abs(paper.schedule.betas[75] / 0.022092882 - 1) < 1e-6);
  const betas = Float64Array.of(0.1, 0.2, 0.3);
  const stateDict = new Map([["betas", hostTensor(betas, [3])]]);
  assert.deepEqual(diffusionSettings({ family: "ddp" }, { stateDict }).schedule.betas, betas);
  const config = { timesteps: 1000, beta_schedule: "cosine", objective: "pred_v" };
  const theirs = diffusionSettings({ family: "ddp" }, { config });
  assert.deepEqual([theirs.schedule.betas.length, theirs.prediction], [1000, "v"]);
  // torch.linspace(-1, 999, 5).int(), without the −1
  assert.deepEqual(told(theirs, { steps: 4 }), [999, 749, 499, 249]);
  assert.deepEqual(ddpTimesteps(150, 7), [20, 41, 63, 84, 106, 127, 149]);
  assertInputError(() => keptProcess(theirs.schedule, [3, 3]), /they must ascend/);
  assertInputError(() => keptProcess(theirs.schedule, [3, 1000]), /they must ascend/);
});

Deno.test("diffusionSettings() takes diffusers' scheduler, and Stable Diffusion's where a network with a context has none", () => {
  const stable = diffusionSettings(diffusers({ crossAttentionDim: 768 }));
  assert.ok(Math.abs(stable.schedule.alphasCumprod[981] / 0.0057755001 - 1) < 1e-6);
  assert.equal(stable.clip, false);
  assert.deepEqual(told(stable, { steps: 50 }).slice(0, 2), [981, 961]);
  const ddpm = diffusionSettings(diffusers());
  assert.deepEqual([ddpm.clip, ddpm.variance, ddpm.rederivesEpsilon], [
    [-1, 1],
    "fixed-small",
    false,
  ]);
  const scheduler = {
    ...{
      _class_name: "DDIMScheduler",
      beta_schedule: "squaredcos_cap_v2",
      num_train_timesteps: 500,
    },
    ...{ prediction_type: "v_prediction", timestep_spacing: "trailing", thresholding: true },
  };
  const other = diffusionSettings(diffusers(), { scheduler });
  assert.deepEqual([other.prediction, other.clip], ["v", { ratio: 0.995, max: 1 }]);
  assert.deepEqual(told(other, { steps: 5 }), [499, 399, 299, 199, 99]);
  const sigmoid = diffusionSettings(diffusers(), { scheduler: { beta_schedule: "sigmoid" } });
  assert.ok(Math.abs(sigmoid.schedule.betas[0] - (0.0001 + 0.0199 / (1 + Math.exp(6)))) < 1e-15);
  assert.deepEqual(
    diffusionSettings(diffusers(), { scheduler }, { clip: false, prediction: "epsilon" }).clip,
    false,
  );
  for (
    const wrong of [{ rescale_betas_zero_snr: true }, { prediction_type: "flow" }, {
      beta_schedule: "laplace",
    }]
  ) {
    assertInputError(
      () => diffusionSettings(diffusers(), { scheduler: wrong }),
      /rescale_betas_zero_snr|must be one of/,
    );
  }
});
