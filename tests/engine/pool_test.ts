/**
 * Maxima over windows as ops: values by hand, ties, NaN, refusals.
 */
import assert from "node:assert/strict";
import { adaptiveMaxPool2d, maxPool2d, Tape, Tensor } from "../../mod.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

Deno.test("maxPool2d() never takes padding, and rounds up when told", async () => {
  using x = Tensor.from(gpu, [-1, -2, -3, -4, -5, -6], [1, 1, 2, 3]);
  using y = maxPool2d(x, 2, { padding: 1 });
  assert.deepEqual(y.shape, [1, 1, 2, 2]);
  assert.deepEqual([...await y.data()], [-1, -2, -4, -5]);
  using up = maxPool2d(x, 2, { ceilMode: true });
  assert.deepEqual([...await up.data()], [-1, -3]);
  using down = maxPool2d(x, 2);
  assert.deepEqual([...await down.data()], [-1]);
});

Deno.test("the gradient of maxPool2d() goes to the first of equal values", async () => {
  using x = Tensor.from(gpu, [1, 5, 5, 5, 5, 0], [1, 1, 2, 3]);
  using tape = new Tape();
  using watched = tape.watch(x);
  using y = maxPool2d(watched, 2, { stride: 1 });
  using seed = Tensor.from(gpu, [1, 10], [1, 1, 1, 2]);
  const [gradient] = tape.gradient(y, [watched], { seed });
  assert.deepEqual([...await gradient.data()], [0, 11, 0, 0, 0, 0]);
  gradient.dispose();
});

Deno.test("maxPool2d() passes NaN and −∞ on", async () => {
  using x = Tensor.from(gpu, [1, NaN, 3, 4, ...new Array(4).fill(-Infinity)], [1, 2, 2, 2]);
  using y = maxPool2d(x, 2);
  assert.deepEqual([...await y.data()], [NaN, -Infinity]);
});

Deno.test("adaptiveMaxPool2d() overlaps its windows when sizes do not divide", async () => {
  using x = Tensor.from(gpu, [1, 2, 3, 4, 5], [1, 1, 1, 5]);
  using y = adaptiveMaxPool2d(x, [2, 3]);
  assert.deepEqual([...await y.data()], [2, 4, 5, 2, 4, 5]);
});

Deno.test("max pooling refuses what does not fit, by name", () => {
  using x = Tensor.zeros(gpu, [1, 1, 4, 4]);
  const refuses = (f: () => Tensor, message: RegExp) =>
    assert.throws(f, { name: "ShapeError", message });
  refuses(() => maxPool2d(x, 2, { padding: 2 }), /padding alone/);
  using one = Tensor.zeros(gpu, [1, 1, 1, 1]);
  refuses(() => maxPool2d(one, 2, { padding: 1, dilation: 2 }), /padding alone/); // taps at −1 and 1
  refuses(() => maxPool2d(x, 5), /smaller than a kernel/);
  refuses(() => adaptiveMaxPool2d(x, 0), /whole numbers from 1/);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
