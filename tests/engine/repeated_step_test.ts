/** What a repeated step costs the host: buffers and bind groups of the step before are found again. */
import assert from "node:assert/strict";
import { layerNorm } from "../../engine/ops/norm.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { Tape } from "../../engine/tape.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { openTestGpu } from "../_gpu.ts";

Deno.test("a step that is repeated makes neither buffers nor bind groups, whatever its ops release on the way", async () => {
  using gpu = await openTestGpu();
  using x = Tensor.from(gpu, new Float32Array(5 * 8).map((_, i) => Math.sin(i)), [5, 8]);
  using weight = Tensor.from(gpu, new Float32Array(64).map((_, i) => Math.cos(i) / 3), [8, 8]);
  using ones = Tensor.from(gpu, new Float32Array(8).fill(1));
  const made = { buffers: 0, groups: 0 };
  const { createBuffer, createBindGroup } = gpu.device;
  gpu.device.createBuffer = (descriptor) => {
    made.buffers++;
    return createBuffer.call(gpu.device, descriptor);
  };
  gpu.device.createBindGroup = (descriptor) => {
    made.groups++;
    return createBindGroup.call(gpu.device, descriptor);
  };
  const step = async () => {
    const before = { ...made };
    const gradient = tidy(gpu, () => {
      using tape = new Tape();
      const watched = tape.watch(weight);
      let y: Tensor = x;
      for (let i = 0; i < 12; i++) y = layerNorm(linear(y, watched), ones, ones); // several submits
      return tape.gradient(sum(y), [watched])[0];
    });
    await gradient.data();
    gradient.dispose();
    return { buffers: made.buffers - before.buffers, groups: made.groups - before.groups };
  };
  const first = await step();
  assert(first.buffers > 0 && first.groups > 30);
  for (let i = 0; i < 3; i++) await step();
  for (let i = 0; i < 3; i++) assert.deepEqual(await step(), { buffers: 0, groups: 0 });
});
