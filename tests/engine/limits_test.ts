/**
 * Products and rows over the adapter's limits (bytes of a binding, turns of a loop) are done in pieces, with the same result. The
 * limits are lowered for the test.
 */
import assert from "node:assert/strict";
import {
  cast,
  conv2d,
  cumsum,
  gelu,
  Gpu,
  gram,
  linear,
  matmul,
  max,
  normal,
  randomKey,
  readAll,
  rfft2,
  scatterAdd,
  slice,
  square,
  sum,
  Tape,
  Tensor,
  tidy,
  variance,
} from "../../mod.ts";
import { openTestGpu } from "../_gpu.ts";
import { needs } from "../expectations.ts";

const whole = await openTestGpu();
const pieces = Gpu.from(whole.device, {
  ...whole.options,
  features: [...whole.caps.features],
  limits: { maxBindingBytes: 128 * 1024 },
});
const short = Gpu.from(whole.device, {
  ...whole.options,
  features: [...whole.caps.features],
  limits: { maxLoopTurns: 400 },
});
Deno.test.afterEach(() => assert.equal(whole.liveBytes + pieces.liveBytes + short.liveBytes, 0));

/** Runs `work` with and without the low limit on the same values. */
async function both(
  shapes: readonly (readonly number[])[],
  work: (...inputs: Tensor[]) => Tensor,
  limited: Gpu = pieces,
): Promise<void> {
  const results = [];
  for (const gpu of [whole, limited]) {
    const inputs = shapes.map((shape, i) =>
      Tensor.from(gpu, normal(randomKey(i), shape.reduce((a, b) => a * b, 1)), shape)
    );
    const y = work(...inputs);
    results.push((await readAll([y]))[0]);
    [...inputs, y].forEach((t) => t.dispose());
  }
  const [want, got] = results;
  const rms = Math.hypot(...want) / Math.sqrt(want.length);
  // The order of a sum over k may differ: eps·√k relative to the rms.
  want.forEach((v: number, i: number) =>
    assert(Math.abs(got[i] - v) <= 1e-5 * rms + 1e-6 * Math.abs(v), `${i}: ${got[i]} is not ${v}`)
  );
}

Deno.test("elementwise ops over the limit are done in pieces", () =>
  both([[50_000]], (x) => gelu(x)));

Deno.test("matmul() over the limit is done in pieces of rows", () =>
  both([[700, 65], [65, 70]], (a, b) => matmul(a, b)));

Deno.test("matmul() of transposed operands over the limit is done in pieces", async () => {
  await both([[65, 700], [65, 70]], (a, b) => matmul(a, b, { transposeA: true }));
  await both([[700, 65], [700, 70]], (a, b) => matmul(a, b, { transposeA: true }));
  await both([[40, 65], [600, 65]], (a, b) => matmul(a, b, { transposeB: true }));
  await both([[40, 700], [700, 50]], (a, b) => matmul(a, b));
});

Deno.test("batched matmul() over the limit is done in pieces of the batch", () =>
  both([[300, 16, 20], [300, 20, 12]], (a, b) => matmul(a, b)));

Deno.test("rfft2() over the limit is done in pieces of the images", () =>
  both([[24, 40, 36]], (x) => tidy(x.gpu, () => rfft2(x).im)));

Deno.test("linear() over the limit is done in pieces of rows", () =>
  both(
    [[4, 200, 65], [60, 65], [60], [4, 200, 60]],
    (x, weight, bias, residual) => linear(x, weight, { bias, residual, activation: "gelu" }),
  ));

Deno.test("a kernel that cannot be split names the buffer and the limit", () => {
  using x = Tensor.zeros(pieces, [8, 65, 65]);
  using y = Tensor.zeros(pieces, [8, 65, 65]);
  assert.throws(() => matmul(x, y), { name: "UnsupportedError", message: /131072/ });
});

Deno.test("gram() over the limit is done in pieces", async () => {
  await both([[600, 70]], (x) => gram(x, { transpose: true })); // of the sum
  await both([[70, 600]], (x) => gram(x));
  await both([[190, 65]], (x) => gram(x)); // of the result
  await both([[65, 190]], (x) => gram(x, { transpose: true }));
  await both([[20, 50, 40]], (x) => gram(x)); // of the batch
  await both([[190, 65], [190, 190]], (x, r) => tidy(x.gpu, () => gram(x, { residual: gram(r) })));
});

Deno.test("gram() with more terms than a loop may have sums them in pieces", async () => {
  await both([[70, 1001]], (x) => gram(x), short);
  await both(
    [[1001, 70], [70, 70]],
    (x, r) => tidy(x.gpu, () => gram(x, { transpose: true, residual: gram(r) })),
    short,
  );
});

const wide = needs("f64", whole.caps.features.has("shader-f64"));

Deno.test("products of f64 over a limit are done in pieces", wide, async () => {
  const twice = (f: (...xs: Tensor[]) => Tensor) => (...xs: Tensor[]) =>
    tidy(xs[0].gpu, () => f(...xs.map((x) => cast(x, "f64"))));
  await both([[300, 65], [65, 70]], twice((a, b) => matmul(a, b)));
  await both([[65, 300], [65, 70]], twice((a, b) => matmul(a, b, { transposeA: true })));
  await both([[70, 600], [600, 8]], twice((a, b) => matmul(a, b)), short);
  for (const shape of [[70, 300], [190, 65]]) {
    await both([shape], (x) => gram(x, { dtype: "f64" }));
    await both([shape], (x) => gram(x, { transpose: true, dtype: "f64" }));
  }
  await both([[70, 1001]], (x) => gram(x, { dtype: "f64" }), short);
});

Deno.test("matmul() with more terms than a loop may have sums them in pieces", async () => {
  const k = 1201;
  await both([[5, k], [k, 8]], (a, b) => matmul(a, b), short);
  await both(
    [[k, 6], [7, k]],
    (a, b) => matmul(a, b, { transposeA: true, transposeB: true }),
    short,
  );
  await both([[2, 3, k], [2, k, 5]], (a, b) => matmul(a, b), short);
  await both(
    [[2, k, 3], [4, k]],
    (a, b) => matmul(a, b, { transposeA: true, transposeB: true }),
    short,
  );
});

Deno.test("reductions, running sums and scatterAdd() longer than a loop may be are done in pieces", async () => {
  await both([[3, 2003]], (x) => sum(x, { axes: [1] }), short);
  await both([[2003, 300]], (x) => max(x, { axes: [0] }), short);
  await both([[1500, 3]], (x) => cumsum(x, { axis: 0 }), short);
  const indices = Uint32Array.from({ length: 1000 }, (_, i) => i * i % 7);
  await both([[1000, 3]], (x) => scatterAdd(x, indices, { size: 7 }), short);
});

Deno.test("the gradient of a convolution by its weights is summed in parts that loops can take", () =>
  both([[1, 2, 40, 40], [3, 2, 3, 3]], (x, weight) => {
    using tape = new Tape();
    return tidy(x.gpu, () => {
      const watched = tape.watch(weight);
      return tape.gradient(sum(square(conv2d(x, watched))), [watched])[0];
    });
  }, short));

Deno.test("a kernel whose loops would be too long names their turns", () => {
  using x = Tensor.zeros(short, [2, 100_000]);
  assert.throws(() => variance(x, { axes: [1] }), {
    name: "UnsupportedError",
    message: /loop \d+ times.*400/,
  });
});

Deno.test("no loop of a software driver ends early unseen", async () => {
  const k = 70_001; // llvmpipe of Mesa 22.3 ends a thread's loops after 65,535 turns
  using ones = Tensor.from(whole, new Float32Array(k).fill(1), [1, k]);
  const results = tidy(whole, () => [
    matmul(ones, ones, { transposeB: true }),
    sum(ones),
    slice(cumsum(ones, { axis: 1 }), { axis: 1, start: k - 1 }),
    scatterAdd(ones.reshape([k]), new Uint32Array(k), { size: 1 }),
  ]);
  for (const [value] of await readAll(results)) assert.equal(value, k);
  results.forEach((t) => t.dispose());
});

Deno.test("close the device", () => {
  short[Symbol.dispose]();
  pieces[Symbol.dispose]();
  whole[Symbol.dispose]();
});
