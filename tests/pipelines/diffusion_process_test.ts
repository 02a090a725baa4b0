/** Schedules, steps and samplers of diffusion processes: published vectors, and the trajectories of both reference codes. */
import assert from "node:assert/strict";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { scale, sub } from "../../engine/ops/elementwise.ts";
import type { DenoisingModel } from "../../pipelines/diffusion/denoise.ts";
import { diffusersProcess, respacedProcess } from "../../pipelines/diffusion/process.ts";
import { ddim, type SamplingOptions } from "../../pipelines/diffusion/sampler.ts";
import { noiseSchedule, type ScheduleOptions } from "../../pipelines/diffusion/schedule.ts";
import { diffusersTimesteps, respacedTimesteps } from "../../pipelines/diffusion/timesteps.ts";
import { openTestGpu } from "../_gpu.ts";
import { GoldenFile } from "../golden_file.ts";
import { assertInputError } from "./io_fixtures.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const guided = new GoldenFile("ddim_guided"), diffusers = new GoldenFile("diffusers_schedulers");

function near(values: ArrayLike<number>, wanted: ArrayLike<number>, what: string, relative = 1e-6) {
  assert.equal(values.length, wanted.length, what);
  for (let i = 0; i < wanted.length; i++) {
    const error = Math.abs(values[i] - wanted[i]);
    assert.ok(
      error <= relative * Math.abs(wanted[i]),
      `${what} ${i}: ${values[i]}, not ${wanted[i]}`,
    );
  }
}

Deno.test("noiseSchedule() gives the variances of the reference codes", () => {
  const every37 = (values: Float64Array) => values.filter((_, i) => i % 37 === 0);
  for (const kind of ["linear", "cosine"] as const) {
    const schedule = noiseSchedule({ kind });
    const golden = (name: string) => guided.f32(`sched.${kind}.${name}`).data;
    // Stored rounded to f32, 6e-8 of each.
    near(every37(schedule.betas), golden("betas"), `${kind} betas`, 1e-7);
    near(every37(schedule.alphasCumprod), golden("alphas_cumprod"), `${kind} ᾱ`, 1e-7);
    near(
      every37(schedule.alphasCumprod),
      diffusers.f32(`sched.${kind}.alphas_cumprod`).data,
      kind,
      2e-5,
    );
    const steps = [...respacedProcess(schedule)].reverse();
    const logs = Float64Array.from(steps, (step) => step.posteriorLogVariance);
    near(every37(logs), golden("posterior_log_variance_clipped"), `${kind} log variances`, 1e-6);
  }
  const four = noiseSchedule({ kind: "linear", steps: 400 }).betas;
  near(
    four.filter((_, i) => i % 37 === 0),
    guided.f32("sched.linear_T400.betas").data,
    "400 steps",
    1e-7,
  );
});

Deno.test("noiseSchedule() gives MIG-Vis's sigmoid and Stable Diffusion's scaled line", () => {
  const sigmoid = noiseSchedule({ kind: "sigmoid", steps: 150 });
  const vectors: [number, number, number][] = [
    [0, 0.002032963, 0.99796704],
    [50, 0.011609704, 0.74650305],
    [75, 0.022092882, 0.48895356],
    [100, 0.035173276, 0.23612057],
    [134, 0.079836088, 0.039492783],
    [135, 0.083917508, 0.036178647],
    [148, 0.50901348, 0.002032963],
    [149, 0.999, 2.032963e-06],
  ];
  for (const [t, beta, share] of vectors) {
    near([sigmoid.betas[t], sigmoid.alphasCumprod[t]], [beta, share], `step ${t}`);
  }
  const scaled = noiseSchedule({ kind: "scaled-linear" }).alphasCumprod;
  near(
    [0, 500, 981, 999].map((t) => scaled[t]),
    [0.99915, 0.27633268, 0.0057755001, 0.0046600985],
    "SD",
  );
});

Deno.test("noiseSchedule() refuses variances that are none", () => {
  const cases: [ScheduleOptions, RegExp][] = [
    [{ kind: "linear", steps: 0 }, /schedule of 0 steps/],
    [{ kind: "linear", steps: 10 }, /that of step 5 is 1/],
    [{ kind: "betas", betas: [] }, /there are none/],
    [{ kind: "betas", betas: [0.1, NaN] }, /step 1 is NaN/],
  ];
  for (const [options, message] of cases) assertInputError(() => noiseSchedule(options), message);
});

Deno.test("respacedTimesteps() keeps guided-diffusion's steps, diffusersTimesteps() diffusers'", () => {
  assert.deepEqual(respacedTimesteps(1000, "ddim10"), [
    0,
    100,
    200,
    300,
    400,
    500,
    600,
    700,
    800,
    900,
  ]);
  assert.deepEqual(respacedTimesteps(1000, "10"), [0, 111, 222, 333, 444, 555, 666, 777, 888, 999]);
  assert.deepEqual(
    respacedTimesteps(1000, 25),
    [
      ...[0, 42, 83, 125, 166, 208, 250, 291, 333, 375, 416, 458, 500],
      ...[541, 583, 624, 666, 708, 749, 791, 832, 874, 916, 957, 999],
    ],
  );
  assert.deepEqual(
    respacedTimesteps(12, "2,3,1"),
    [0, 3, 4, 6, 7, 8],
    "halves round to even: 5.5 is 6",
  );
  assertInputError(() => respacedTimesteps(1000, "ddim999"), /no stride leaves as many/);
  assertInputError(() => respacedTimesteps(10, "6,2"), /take 6 of 5 steps/);
  for (
    const [name, spacing] of [
      ["linear_clip", "leading"],
      ["scaled_linear_v_trailing", "trailing"],
      ["linear_offset1_linspace", "linspace"],
    ] as const
  ) {
    const wanted = [...diffusers.i32(`traj.${name}.timesteps`).data];
    assert.deepEqual(diffusersTimesteps(1000, 10, { spacing }), wanted, name);
  }
  assert.deepEqual(diffusersTimesteps(1000, 2, { stepsOffset: 1 }), [501, 1]);
  assertInputError(() => diffusersTimesteps(10, 10, { stepsOffset: 1 }), /take step 10/);
});

/** A network that tells what a file holds, step after step, and checks which steps it is asked about. */
function replay(outputs: Float32Array<ArrayBuffer>, shape: readonly number[], asked: number[]) {
  const size = shape.slice(1).reduce((a, b) => a * b);
  let turn = 0;
  const model: DenoisingModel = {
    gpu,
    forward(_x, { timesteps }) {
      asked.push(timesteps[0]);
      const part = outputs.slice(turn * size, ++turn * size);
      return { output: Tensor.from(gpu, part, shape.slice(1)) };
    },
  };
  return model;
}

interface Case {
  readonly file: GoldenFile;
  readonly name: string;
  readonly samples: string;
  readonly options: SamplingOptions;
  readonly start?: string;
  readonly isInverse?: boolean;
}

/** Fed with the reference's network, the sampler makes the reference's images at every step. */
async function follow({ file, name, samples, options, start = "in.noise", isInverse }: Case) {
  const { data, shape } = file.f32(`traj.${name}.model_output`), wanted = file.f32(samples).data;
  const asked: number[] = [], size = data.length / shape[0], x = file.f32(start);
  using input = Tensor.from(gpu, x.data, x.shape);
  let turn = 0;
  using last = await ddim[isInverse ? "invert" : "sample"](replay(data, shape, asked), input, {
    ...options,
    async onStep({ sample }) {
      const own = await sample.data(), other = wanted.slice(turn * size, ++turn * size);
      let error = 0, norm = 0;
      own.forEach((value, i) => {
        error += (value - other[i]) ** 2;
        norm += other[i] ** 2;
      });
      assert.ok(
        Math.sqrt(error / norm) < 1e-5,
        `${name}, step ${turn}: ${Math.sqrt(error / norm)}`,
      );
    },
  });
  assert.equal(turn, shape[0]);
  assert.deepEqual(last.shape, shape.slice(1));
  return asked;
}

Deno.test("ddim follows guided-diffusion: clipped and not, respaced both ways, guided, inverted", async () => {
  const linear = noiseSchedule({ kind: "linear" }), cosine = noiseSchedule({ kind: "cosine" });
  const ten = respacedProcess(linear, "ddim10");
  const run = async (name: string, options: SamplingOptions, more: Partial<Case> = {}) =>
    await follow({ file: guided, name, samples: `traj.${name}.sample`, options, ...more });
  assert.deepEqual(await run("linear10", { process: ten }), [
    900,
    800,
    700,
    600,
    500,
    400,
    300,
    200,
    100,
    0,
  ]);
  await run("cosine10", { process: respacedProcess(cosine, "ddim10") });
  await run("linear10_noclip", { process: ten, clip: false });
  await run("linear_frac10", { process: respacedProcess(linear, "10") });
  const { data, shape } = guided.f32("in.target");
  using target = Tensor.from(gpu, data, shape);
  const gradient = ({ x }: { x: Tensor }) => tidy(gpu, () => scale(sub(target, x), 0.7));
  await run("cosine10_l2guided", {
    process: respacedProcess(cosine, "ddim10"),
    guidance: { gradient },
  });
  const asked = await run("linear10_reverse", { process: ten }, {
    isInverse: true,
    start: "in.target",
  });
  assert.deepEqual(asked, [0, 100, 200, 300, 400, 500, 600, 700, 800]);
});

Deno.test("ddim follows diffusers: clipped and not, v, trailing, linspace without a last step", async () => {
  const linear = noiseSchedule({ kind: "linear" });
  const run = async (name: string, options: SamplingOptions) =>
    await follow({
      ...{ file: diffusers, name, samples: `traj.${name}` },
      options: { rederivesEpsilon: false, ...options },
    });
  await run("linear_clip", { process: diffusersProcess(linear, { steps: 10 }) });
  await run("linear_noclip", { process: diffusersProcess(linear, { steps: 10 }), clip: false });
  const cosine = noiseSchedule({ kind: "cosine" });
  await run("cosine_clip", { process: diffusersProcess(cosine, { steps: 10 }) });
  const scaled = noiseSchedule({ kind: "scaled-linear" });
  const trailing = diffusersProcess(scaled, { steps: 10, spacing: "trailing" });
  await run("scaled_linear_v_trailing", { process: trailing, clip: false, prediction: "v" });
  const process = diffusersProcess(linear, {
    steps: 10,
    spacing: "linspace",
    setAlphaToOne: false,
  });
  assert.equal((await run("linear_offset1_linspace", { process }))[0], 999);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
