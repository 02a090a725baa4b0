/**
 * Convolutions as ops: values by hand, options, refusals.
 */
import assert from "node:assert/strict";
import {
  conv2d,
  convTranspose2d,
  Gpu,
  PreparedWeights,
  readAll,
  relu,
  slice,
  Tape,
  Tensor,
  tidy,
} from "../../mod.ts";
import { normal, randomKey } from "../../engine/random.ts";
import { usesWinograd } from "../../engine/ops/winograd.ts";
import { windowOf } from "../../engine/ops/conv_geometry.ts";
import { worstError } from "../../bench/check_kernel.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
const plain = Gpu.from(gpu.device, {
  ...gpu.options,
  features: [...gpu.caps.features],
  kernels: "naive",
});
Deno.test.afterEach(() => assert.equal(gpu.liveBytes + plain.liveBytes, 0));
const randn = (seed: number, shape: readonly number[]) =>
  Tensor.from(gpu, normal(randomKey(seed), shape.reduce((a, b) => a * b, 1)), shape);

Deno.test("conv2d() slides the kernel without flipping it", async () => {
  using x = Tensor.from(gpu, [1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 1, 3, 3]);
  using weight = Tensor.from(gpu, [1, 10, 100, 1000], [1, 1, 2, 2]);
  using bias = Tensor.from(gpu, [0.5]);
  using y = conv2d(x, weight, { bias });
  assert.deepEqual(y.shape, [1, 1, 2, 2]);
  assert.deepEqual([...await y.data()], [5421.5, 6532.5, 8754.5, 9865.5]);
  using uneven = conv2d(x, weight, { padding: [1, 0, 0, 2], stride: [2, 1] });
  // rows: zeros above 1 2 3, then 4 5 6 above 7 8 9; columns: two zeros on the left
  assert.deepEqual([...await uneven.data()], [0, 1000, 2100, 3200, 0, 7040, 8754, 9865]);
});

Deno.test("convTranspose2d() spreads each value over the kernel", async () => {
  using x = Tensor.from(gpu, [1, 2], [1, 1, 1, 2]);
  using weight = Tensor.from(gpu, [1, 10, 100, 1000], [1, 1, 2, 2]);
  using y = convTranspose2d(x, weight, { stride: [1, 1] });
  assert.deepEqual(y.shape, [1, 1, 2, 3]);
  assert.deepEqual([...await y.data()], [1, 12, 20, 100, 1200, 2000]);
});

Deno.test("conv2d() gives the same with the activation fused, apart, and on a tape", async () => {
  using x = randn(1, [2, 3, 5, 6]);
  using weight = randn(2, [4, 3, 3, 3]);
  using fused = conv2d(x, weight, { padding: 1, activation: "relu" });
  using apart = tidy(gpu, () => relu(conv2d(x, weight, { padding: 1 })));
  using tape = new Tape();
  using watched = tape.watch(x);
  using taped = conv2d(watched, weight, { padding: 1, activation: "relu" });
  const expected = [...await apart.data()];
  assert.deepEqual([...await fused.data()], expected);
  assert.deepEqual([...await taped.data()], expected);
});

Deno.test("conv2d() on a tape of its image alone keeps a bit for each value", async () => {
  using x = randn(1, [1, 3, 9, 11]);
  using weight = randn(2, [5, 3, 3, 3]);
  using g = randn(3, [1, 5, 9, 11]);
  const options = { padding: 1, activation: "relu" } as const;
  using tape = new Tape();
  using watched = tape.watch(x);
  const before = gpu.liveBytes;
  using y = conv2d(watched, weight, options);
  const output = 4 * 5 * 9 * 11, bits = 4 * Math.ceil(5 * 9 * 11 / 32);
  assert.equal(gpu.liveBytes - before, output + bits);
  using whole = new Tape(); // of the weights too: keeps the image and the output
  using both = whole.watch(x);
  using weights = whole.watch(weight);
  using again = conv2d(both, weights, options);
  const [dx] = tape.gradient(y, [watched], { seed: g });
  const [want, dWeight] = whole.gradient(again, [both, weights], { seed: g });
  assert.deepEqual(await dx.data(), await want.data());
  [dx, want, dWeight].forEach((t) => t.dispose());
});

/** A convolution of two images and its gradient by them, and of the second image alone. */
async function bothWays(on: Gpu, { padding, prepared }: { padding: number; prepared: boolean }) {
  using forms = new PreparedWeights();
  const tensors = tidy(on, () => {
    const made = (seed: number, shape: readonly number[]) =>
      Tensor.from(on, normal(randomKey(seed), shape.reduce((a, b) => a * b, 1)), shape);
    const x = made(1, [2, 40, 30, 34]), weight = made(2, [70, 40, 3, 3]), bias = made(3, [70]);
    const g = made(4, [2, 70, 28 + 2 * padding, 32 + 2 * padding]);
    const kept = prepared ? forms : undefined;
    const run = (x: Tensor) =>
      conv2d(x, weight, { bias, padding, activation: "relu", prepared: kept });
    using tape = new Tape();
    const watched = tape.watch(x), y = run(watched);
    const [dx] = tape.gradient(y, [watched], { seed: g });
    const second = run(slice(x, { start: [1] }));
    return [y, dx, second];
  });
  const values = await readAll(tensors);
  tensors.forEach((t) => t.dispose());
  return values;
}

Deno.test("conv2d() by products at points equals plain sums, forward and back, in any batch", async () => {
  for (const padding of [0, 2]) {
    const [y, dx, second] = await bothWays(gpu, { padding, prepared: false });
    const [wantY, wantDx] = await bothWays(plain, { padding, prepared: false });
    // 360 and 630 products; points double the error of f32 sums, 6e-8·√630, of which the worst of 10⁵ values is five
    assert.ok(worstError(y, wantY).value < 2e-5, `${padding} ${worstError(y, wantY).value}`);
    assert.ok(worstError(dx, wantDx).value < 2e-5, `${padding} ${worstError(dx, wantDx).value}`);
    assert.deepEqual(second, y.subarray(y.length / 2));
    assert.deepEqual(await bothWays(gpu, { padding, prepared: true }), [y, dx, second]);
  }
});

Deno.test("PreparedWeights keeps forms up to its limit and has others made anew", () => {
  using prepared = new PreparedWeights({ maxBytes: 16 });
  using weight = Tensor.zeros(gpu, [1]);
  let made = 0;
  const form = (name: string, size: number) =>
    tidy(gpu, () => {
      const tensor = prepared.form(weight, name, () => {
        made++;
        return Tensor.zeros(gpu, [size]);
      });
      return tensor.size;
    });
  assert.deepEqual([form("a", 3), form("a", 3), made], [3, 3, 1]);
  assert.deepEqual([form("b", 2), form("b", 2), made], [2, 2, 3]); // 12 of 16 bytes are taken
  assert.deepEqual([form("c", 1), form("c", 1), form("a", 3), made], [1, 1, 3, 4]);
});

Deno.test("usesWinograd() takes stride 1, 3x3 taps and full tiles, whatever the batch", () => {
  if (gpu.caps.subgroupMinSize !== 8 || !gpu.caps.isSoftware || gpu.options.kernels === "naive") {
    return;
  }
  const takes = (
    shape: readonly number[],
    { taps = 3, stride = 1, groups = 1, side = shape[2] } = {},
  ) => {
    using x = Tensor.zeros(gpu, shape);
    const window = windowOf("conv2d", [taps, taps], { stride, padding: 1 });
    return usesWinograd(x, { window, groups, cout: 64, size: [side, side], isTransposed: false });
  };
  assert.equal(takes([1, 64, 35, 35]), true);
  assert.equal(takes([3, 64, 35, 35]), true);
  assert.equal(takes([1, 64, 8, 8]), false);
  assert.equal(takes([64, 64, 8, 8]), false);
  assert.equal(takes([1, 8, 35, 35]), false);
  assert.equal(takes([1, 64, 35, 35], { taps: 5 }), false);
  assert.equal(takes([1, 64, 35, 35], { stride: 2, side: 18 }), false);
  assert.equal(takes([1, 64, 35, 35], { groups: 2 }), false);
});

Deno.test("conv2d() refuses what does not fit, by name", () => {
  using x = Tensor.zeros(gpu, [1, 4, 5, 5]);
  using weight = Tensor.zeros(gpu, [6, 2, 3, 3]);
  using flat = Tensor.zeros(gpu, [6, 2]);
  const refuses = (f: () => Tensor, message: RegExp) =>
    assert.throws(f, { name: "ShapeError", message });
  refuses(() => conv2d(x, weight), /takes 2 channels, x has 4/);
  refuses(() => conv2d(x, flat), /four axes/);
  refuses(() => conv2d(flat, weight), /\[n, channels, height, width\]/);
  refuses(() => conv2d(x, weight, { groups: 2, bias: flat }), /must have 6 values, has 12/);
  refuses(() => conv2d(x, weight, { groups: 2, dilation: 3 }), /smaller than a kernel/);
  refuses(() => conv2d(x, weight, { groups: 2, stride: 0 }), /from 1/);
  refuses(() => conv2d(x, weight, { groups: 2, padding: -1 }), /padding from 0/);
  refuses(() => convTranspose2d(x, weight), /takes 6 channels, x has 4/);
  using back = Tensor.zeros(gpu, [4, 1, 2, 2]);
  refuses(() => convTranspose2d(x, back, { outputPadding: 1 }), /below the stride/);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
