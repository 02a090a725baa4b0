/**
 * Group and batch norm as ops: statistics, large means, refusals.
 */
import assert from "node:assert/strict";
import { batchNorm, batchNormTraining, groupNorm, Tensor } from "../../mod.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

Deno.test("groupNorm() keeps its digits where the mean is large beside the deviation", async () => {
  // 10000 ± 1 alternating: exact in f32, where E[x²] − E[x]² would leave nothing of the variance 1
  using x = Tensor.from(gpu, Array.from({ length: 24 }, (_, i) => 1e4 + (i % 2 ? 1 : -1)), [
    1,
    4,
    6,
  ]);
  using y = groupNorm(x, { groups: 2 });
  for (const [i, v] of (await y.data()).entries()) {
    assert.ok(Math.abs(v - (i % 2 ? 1 : -1)) < 1e-5, `${v} at ${i}`);
  }
});

Deno.test("batchNormTraining() returns the statistics that it normalised by", async () => {
  using x = Tensor.from(gpu, [1, 3, 10, 10, 5, 7, 20, 40], [2, 2, 2]);
  const { y, mean, variance } = batchNormTraining(x);
  assert.deepEqual([...await mean.data()], [4, 20]);
  assert.deepEqual([...await variance.data()], [5, 150]);
  using again = batchNorm(x, { mean, variance });
  assert.deepEqual([...await again.data()], [...await y.data()]);
  [y, mean, variance].forEach((t) => t.dispose());
});

Deno.test("the channel norms refuse what does not fit, by name", () => {
  using x = Tensor.zeros(gpu, [2, 6, 4]);
  using four = Tensor.zeros(gpu, [4]);
  using six = Tensor.zeros(gpu, [6]);
  const refuses = (f: () => unknown, message: RegExp) =>
    assert.throws(f, { name: "ShapeError", message });
  refuses(() => groupNorm(x, { groups: 4 }), /divide 6 channels/);
  refuses(() => groupNorm(x, { groups: 2, weight: four }), /weight \[4\]: it must have 6 values/);
  refuses(() => batchNorm(x, { mean: four, variance: six }), /mean \[4\]/);
  refuses(() => batchNormTraining(four), /\[n, channels, …\]/);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
