/**
 * Random tensors: the host's numbers, whatever the shape.
 */
import assert from "node:assert/strict";
import { normal, randomBits, randomKey, split, Tensor, uniform } from "../../mod.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
const [key] = split(randomKey(2 ** 40 + 5));
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

Deno.test("Tensor.bits() and Tensor.uniform() are the host's, bit for bit", async () => {
  using bits = Tensor.bits(gpu, key, [50, 21]);
  assert.deepEqual(await bits.data(), randomBits(key, 1050));
  using floats = Tensor.uniform(gpu, key, [50, 21]);
  assert.deepEqual(await floats.data(), uniform(key, 1050));
});

Deno.test("Tensor.randn() is the host's to rounding and does not depend on the batch", async () => {
  using few = Tensor.randn(gpu, key, [2, 100]);
  using many = Tensor.randn(gpu, key, [40, 100]);
  const values = await many.data();
  assert.deepEqual([...await few.data()], [...values.slice(0, 200)]);
  const host = normal(key, 4000);
  // 23 random bits reach 5.2 standard deviations, where log(1 − u²) carries 1e-7: 3e-6 of the value is seen at most.
  host.forEach((v, i) => assert(Math.abs(v - values[i]) <= 3e-6 * (1 + Math.abs(v)), `${i}`));
  const mean = host.reduce((s, v) => s + v, 0) / host.length;
  assert(Math.abs(mean) < 5 / Math.sqrt(host.length));
});

Deno.test("random tensors may be empty and refuse impossible shapes", async () => {
  using empty = Tensor.randn(gpu, key, [0, 3]);
  assert.equal((await empty.data()).length, 0);
  assert.throws(() => Tensor.uniform(gpu, key, [-1]), { name: "ShapeError" });
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
