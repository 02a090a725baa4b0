/**
 * Every output of the reference cases of guided-diffusion: the UNet and the classifier with their gradients, and samples drawn through both.
 * Runs where `GYRUS_GOLDEN` names the folder that holds them; the networks of `adm_test.ts` and the trajectories of
 * `diffusion_process_test.ts` stand in for them elsewhere.
 */
import assert from "node:assert/strict";
import { mul, sub } from "../../engine/ops/elementwise.ts";
import { gather } from "../../engine/ops/gather.ts";
import { logsumexp, sum } from "../../engine/ops/reduce.ts";
import { slice } from "../../engine/ops/shape.ts";
import { Tape } from "../../engine/tape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { readOutput, readPrediction } from "../../pipelines/diffusion/denoise.ts";
import { respacedProcess } from "../../pipelines/diffusion/process.ts";
import { ddim, type SamplingOptions } from "../../pipelines/diffusion/sampler.ts";
import { noiseSchedule } from "../../pipelines/diffusion/schedule.ts";
import { readSafetensors } from "../../pipelines/io/safetensors.ts";
import { type AdmModel, loadAdm } from "../../pipelines/models/adm.ts";
import { openTestGpu } from "../_gpu.ts";
import { needs } from "../expectations.ts";
import { GoldenFile } from "../golden_file.ts";
import { goldenFolder } from "./golden_vit.ts";
import { relativeError } from "./vit_oracle.ts";

const here = needs("golden", goldenFolder !== undefined);
const gpu = here.ignore ? undefined : await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu?.liveBytes ?? 0, 0));

const golden = (name: string) => new GoldenFile(name, `${goldenFolder}`);

async function load(name: string): Promise<AdmModel> {
  const path = `${goldenFolder}/${name}`;
  const weights = readSafetensors(await Deno.readFile(`${path}.guided.weights.safetensors`));
  return await loadAdm(gpu!, weights, JSON.parse(await Deno.readTextFile(`${path}.json`)).config);
}

const input = (file: GoldenFile, name: string) =>
  Tensor.from(gpu!, file.f32(name).data, file.f32(name).shape);

Deno.test(
  "golden: the UNet of guided-diffusion, block by block, and its gradient",
  here,
  async () => {
    const file = golden("adm_unet");
    using model = await load("adm_unet");
    using tape = new Tape();
    using x = input(file, "in.x");
    using watched = tape.watch(x);
    const names = file.names.filter((n) => /^out\./.test(n) && n !== "out.output");
    const capture = names.map((name) => name.replace(/^out\.|\.first8ch$/g, ""));
    const { output, captured } = model.forward(watched, {
      ...{ timesteps: file.i32("in.t").data, classLabels: file.i32("in.y").data, capture },
    });
    using out = output;
    assert.ok(relativeError(await out.data(), file.f32("out.output").data) < 1e-4);
    for (const [i, name] of names.entries()) {
      using whole = captured.get(capture[i])!;
      using part = tidy(
        gpu!,
        () => name.endsWith("first8ch") ? slice(whole, { axis: 1, end: 8 }) : whole.alias(),
      );
      const error = relativeError(await part.data(), file.f32(name).data);
      assert.ok(error < 1e-4, `${name}: ${error}`);
    }
    using readout = input(file, "in.readout");
    using loss = tidy(gpu!, () => sum(mul(out, readout)));
    const [gradient] = tape.gradient(loss, [watched]);
    using found = gradient;
    assert.ok(relativeError(await found.data(), file.f32("grad.x").data) < 3e-4);
  },
);

/** ∇ₓ log p(label | x) of a classifier. */
function classGradient(
  model: AdmModel,
  x: Tensor,
  timesteps: ArrayLike<number>,
  labels: Int32Array,
) {
  return tidy(gpu!, () => {
    using tape = new Tape();
    const watched = tape.watch(x);
    const { output } = model.forward(watched, { timesteps });
    const [n, classes] = output.shape;
    const at = Uint32Array.from(labels, (label, s) => s * classes + label);
    const chosen = gather(output.reshape([n * classes]), at);
    const [gradient] = tape.gradient(sum(sub(chosen, logsumexp(output, { axes: [1] }))), [watched]);
    return gradient;
  });
}

Deno.test("golden: the classifier of guided-diffusion and its gradient", here, async () => {
  const file = golden("adm_classifier");
  using model = await load("adm_classifier");
  using x = input(file, "in.x");
  const timesteps = file.i32("in.t").data;
  const { output } = model.forward(x, { timesteps });
  using logits = output;
  assert.ok(relativeError(await logits.data(), file.f32("out.logits").data) < 1e-4);
  using gradient = classGradient(model, x, timesteps, file.i32("in.y").data);
  assert.ok(relativeError(await gradient.data(), file.f32("grad.logp_x").data) < 3e-4);
});

Deno.test(
  "golden: samples of the UNet, plain and by the classifier, step after step",
  here,
  async () => {
    const file = golden("ddim_guided");
    using unet = await load("adm_unet");
    using classifier = await load("adm_classifier");
    const options: SamplingOptions = {
      process: respacedProcess(noiseSchedule({ kind: "linear" }), "ddim10"),
      classLabels: file.i32("in.y").data,
    };
    const labels = file.i32("in.y_classifier").data;
    const guidance = {
      weight: 6,
      gradient: ({ x, step: { timestep } }: { x: Tensor; step: { timestep: number } }) =>
        classGradient(classifier, x, [timestep, timestep], labels),
    };
    using noise = input(file, "in.noise");
    for (const [name, more] of [["linear10", {}], ["linear10_classifier", { guidance }]] as const) {
      const { data, shape } = file.f32(`traj.${name}.sample`), size = data.length / shape[0];
      let turn = 0;
      using _ = await ddim.sample(unet, noise, {
        ...{ ...options, ...more },
        async onStep({ sample }) {
          const error = relativeError(
            await sample.data(),
            data.subarray(turn * size, ++turn * size),
          );
          assert.ok(error < 2e-4, `${name}, step ${turn}: ${error}`);
        },
      });
      assert.equal(turn, shape[0]);
    }
  },
);

Deno.test("golden: mean and variance of a step with a learned variance", here, async () => {
  const file = golden("ddim_guided");
  using unet = await load("adm_unet");
  using noise = input(file, "in.noise");
  const ten = [...respacedProcess(noiseSchedule({ kind: "linear" }), "ddim10")].reverse();
  const { output } = unet.forward(noise, {
    timesteps: [100, 700],
    classLabels: file.i32("in.y").data,
  });
  using both = output;
  for (const [s, index] of [1, 7].entries()) {
    const size = 3 * 32 * 32,
      wanted = (name: string) => file.f32(name).data.subarray(s * size, (s + 1) * size);
    const found = tidy(gpu!, () => {
      const one = (t: Tensor) => slice(t, { axis: 0, start: s, end: s + 1 });
      const { told, logVariance } = readOutput(one(both), one(noise), ten[index], "learned-range");
      return { start: readPrediction(told, one(noise), ten[index]).start, logVariance };
    });
    using start = found.start;
    using logVariance = found.logVariance as Tensor;
    const clipped = (await start.data()).map((v: number) => Math.min(1, Math.max(-1, v)));
    assert.ok(relativeError(clipped, wanted("pmv.pred_xstart")) < 1e-4);
    assert.ok(relativeError(await logVariance.data(), wanted("pmv.log_variance")) < 1e-5);
  }
});

Deno.test("close the device", () => gpu?.[Symbol.dispose]());
