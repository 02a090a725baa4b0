/**
 * Products and rows over the adapter's binding limit are done in pieces, with the same result. The limit is lowered for the test.
 */
import assert from "node:assert/strict";
import { gelu, Gpu, linear, matmul, normal, randomKey, readAll, Tensor } from "../../mod.ts";
import { openTestGpu } from "../_gpu.ts";

const whole = await openTestGpu();
const pieces = Gpu.from(whole.device, {
  ...whole.options,
  features: [...whole.caps.features],
  limits: { maxBindingBytes: 128 * 1024 },
});
Deno.test.afterEach(() => assert.equal(whole.liveBytes + pieces.liveBytes, 0));

/** Runs `work` with and without the low limit on the same values. */
async function both(
  shapes: readonly (readonly number[])[],
  work: (...inputs: Tensor[]) => Tensor,
): Promise<void> {
  const results = [];
  for (const gpu of [whole, pieces]) {
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

Deno.test("close the device", () => {
  pieces[Symbol.dispose]();
  whole[Symbol.dispose]();
});
