/** Guidance by clean images, by classifiers and without one: gradients against float64 differences of whole networks. */
import assert from "node:assert/strict";
import { add, full, mul, neg, scale, square, sub } from "../../engine/ops/elementwise.ts";
import { mean, sum } from "../../engine/ops/reduce.ts";
import { slice } from "../../engine/ops/shape.ts";
import { normal, randomKey } from "../../engine/random.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { classifierFree } from "../../pipelines/diffusion/classifier_free.ts";
import type { DenoisingModel } from "../../pipelines/diffusion/denoise.ts";
import { classifierGuidance, startGuidance } from "../../pipelines/diffusion/guidances.ts";
import { processFrom, respacedProcess } from "../../pipelines/diffusion/process.ts";
import { ddim, type StepState } from "../../pipelines/diffusion/sampler.ts";
import { noiseSchedule } from "../../pipelines/diffusion/schedule.ts";
import { loadAdm } from "../../pipelines/models/adm.ts";
import { openTestGpu } from "../_gpu.ts";
import { TinyAdm } from "./adm_reference.ts";
import { assertSlope } from "./unet_reference.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const SHAPE = [2, 3, 8, 8] as const, SIZE = 3 * 8 * 8;
const heads = { num_heads: 2 } as const;
const process = respacedProcess(noiseSchedule({ kind: "sigmoid", steps: 150 }));
const [step] = processFrom(process, 100);
const images = normal(randomKey(5), 2 * SIZE);
const imageOf = (s: number) => Float64Array.from(images.subarray(s * SIZE, (s + 1) * SIZE));

/** State of a step in which the noise is known. */
function stateOf(x: Tensor, epsilon: Tensor): StepState {
  return { step, index: 0, x, epsilon, predXstart: x };
}

Deno.test("startGuidance() holds the noise constant, or differentiates through the network", async () => {
  const tiny = new TinyAdm(randomKey(11), { hasClasses: false });
  using model = await loadAdm(gpu, tiny.stateDict, heads);
  const readout = normal(randomKey(6), 2 * SIZE);
  using weights = Tensor.from(gpu, readout, SHAPE);
  using x = Tensor.from(gpu, images, SHAPE);
  using epsilon = tidy(gpu, () => {
    const { output } = model.forward(x, { timesteps: [step.timestep, step.timestep] });
    return slice(output, { axis: 1, end: 3 });
  });
  const objective = (start: Tensor) =>
    tidy(gpu, () => sum(mul(square(start), weights), { axes: [1, 2, 3] }));
  const [image, noise] = [Math.sqrt(step.alphaCumprod), Math.sqrt(1 - step.alphaCumprod)];
  const told = await epsilon.data();
  for (const through of [undefined, model]) {
    using found = await startGuidance(objective, { through }).gradient(stateOf(x, epsilon));
    const slopes = await found.data();
    for (let s = 0; s < 2; s++) {
      const squares = (input: Float64Array) => {
        const own = through
          ? tiny.forward(input, step.timestep, 0)
          : told.subarray(s * SIZE, (s + 1) * SIZE);
        return input.map((v, i) => ((v - noise * own[i]) / image) ** 2);
      };
      assertSlope(squares, {
        input: imageOf(s),
        slope: slopes.subarray(s * SIZE, (s + 1) * SIZE),
        readout: readout.subarray(s * SIZE, (s + 1) * SIZE),
        what: `${through ? "full" : "detached"}, image ${s}`,
      });
    }
  }
  const wrong = startGuidance((start) => tidy(gpu, () => mean(start)));
  assert.throws(() => wrong.gradient(stateOf(x, epsilon)), /a value of each, it is \[\]/);
});

Deno.test("classifierGuidance() is the gradient of log p(class) at the noisy images", async () => {
  const tiny = new TinyAdm(randomKey(3), { head: "attention", hasClasses: false });
  using classifier = await loadAdm(gpu, tiny.stateDict, heads);
  using x = Tensor.from(gpu, images, SHAPE);
  const classLabels = [4, 1], guidance = classifierGuidance(classifier, { classLabels, weight: 2 });
  using found = await guidance.gradient(stateOf(x, x));
  assert.deepEqual([guidance.weight, guidance.convention], [2, undefined]);
  const slopes = await found.data();
  for (let s = 0; s < 2; s++) {
    const logLikelihood = (input: Float64Array) => {
      const logits = tiny.forward(input, step.timestep, 0), top = Math.max(...logits);
      const total = logits.reduce((all, v) => all + Math.exp(v - top), 0);
      return Float64Array.of(logits[classLabels[s]] - top - Math.log(total));
    };
    const slope = slopes.subarray(s * SIZE, (s + 1) * SIZE);
    assertSlope(logLikelihood, { input: imageOf(s), slope, readout: [1], what: `image ${s}` });
  }
  for (const [labels, message] of [[[1], /got 1$/], [[0, 5], /among them 5/]] as const) {
    const wrong = classifierGuidance(classifier, { classLabels: labels });
    assert.throws(() => wrong.gradient(stateOf(x, x)), message);
  }
});

Deno.test("guidance of weight 0 changes no bit, and guidance raises its objective", async () => {
  const short = processFrom(process, 30);
  const model: DenoisingModel = {
    gpu, // the best for images of independent normal values of standard deviation 0.5
    forward: (x, { timesteps }) => {
      const { alphaCumprod: a } = process.find(({ timestep }) => timestep === timesteps[0])!;
      return { output: scale(x, Math.sqrt(1 - a) / (a / 4 + 1 - a)) };
    },
  };
  using x = Tensor.from(gpu, images, SHAPE);
  const objective = (start: Tensor) =>
    tidy(gpu, () => neg(sum(square(sub(start, full(gpu, [1], 0.7))), { axes: [1, 2, 3] })));
  const plain = { process: short, rederivesEpsilon: false } as const;
  using unguided = await ddim.sample(model, x, plain);
  const means: number[] = [];
  for (const through of [undefined, model]) {
    for (const weight of [0, 0.05]) {
      const guidance = startGuidance(objective, { through, weight, clipsAfter: true });
      using found = await ddim.sample(model, x, { ...plain, guidance });
      if (weight === 0) assert.deepEqual(await found.data(), await unguided.data());
      using away = tidy(gpu, () => mean(objective(found)));
      means.push(await away.item());
    }
  }
  assert.ok(means[1] > means[0] && means[3] > means[2], `${means}`);
});

Deno.test("classifierFree() joins predictions with and without classes in both forms, variance apart", async () => {
  const tiny = new TinyAdm(randomKey(4));
  using model = await loadAdm(gpu, tiny.stateDict, heads);
  using x = Tensor.from(gpu, images, SHAPE);
  const timesteps = [40, 7], classLabels = [1, 3];
  const unconditional = { classLabel: 0 };
  const run = async (guided: DenoisingModel) => {
    using output = guided.forward(x, { timesteps, classLabels }).output;
    return await output.data();
  };
  const with3 = await run(classifierFree(model, { scale: 3, unconditional }));
  const extra = await run(
    classifierFree(model, { scale: 2, form: "beyond-conditional", unconditional }),
  );
  assert.deepEqual(with3, extra);
  const told = await run(classifierFree(model, { scale: 1, unconditional }));
  assert.deepEqual(told, await run(model));
  for (let s = 0; s < 2; s++) {
    const both = [classLabels[s], 0].map((label) => tiny.forward(imageOf(s), timesteps[s], label));
    with3.subarray(2 * s * SIZE, 2 * (s + 1) * SIZE).forEach((value, i) => {
      const wanted = i < SIZE ? both[1][i] + 3 * (both[0][i] - both[1][i]) : both[0][i];
      // Outputs of some 3 within 1e-5 of themselves (adm_test.ts), five of them added.
      assert.ok(Math.abs(value - wanted) < 1e-4, `image ${s}, ${i}: ${value}, ${wanted}`);
    });
  }
  const without = classifierFree(model, { scale: 3 });
  assert.throws(() => without.forward(x, { timesteps, classLabels }), /takes a class for none/);
});

Deno.test("classifierFree() takes tokens of no text, or another network", async () => {
  const model: DenoisingModel = { // tells the mean of its tokens
    gpu,
    forward: (x, { context }) => ({
      output: tidy(gpu, () => {
        const level = context ? mean(context, { axes: [1, 2] }).reshape([-1, 1, 1, 1]) : undefined;
        return level ? add(scale(x, 0), level) : scale(x, 2);
      }),
    }),
  };
  using x = Tensor.from(gpu, [1, 2], [2, 1, 1, 1]);
  using context = Tensor.from(gpu, [1, 3, 5, 5], [2, 2, 1]);
  using none = Tensor.from(gpu, [1, 0], [1, 2, 1]);
  const run = async (options: Parameters<typeof classifierFree>[1]) => {
    const { output } = classifierFree(model, options).forward(x, { timesteps: [0, 0], context });
    using out = output;
    return [...await out.data()];
  };
  assert.deepEqual(await run({ scale: 2, unconditional: { context: none } }), [3.5, 9.5]);
  assert.deepEqual(await run({ scale: 2, unconditionalModel: model }), [2, 6]);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
