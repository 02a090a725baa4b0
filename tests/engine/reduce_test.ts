/**
 * Reductions: NaN, ties, cancellation, long rows, half precision.
 */
import assert from "node:assert/strict";
import {
  argmax,
  argmin,
  full,
  logsumexp,
  max,
  mean,
  min,
  norm,
  normal,
  normalize,
  prod,
  randomKey,
  sum,
  Tape,
  Tensor,
  tidy,
  variance,
} from "../../mod.ts";
import { openTestGpu } from "../_gpu.ts";
import { needs } from "../expectations.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

/** The result of some work as a list; everything else is disposed. */
async function values(work: () => Tensor): Promise<number[]> {
  using y = tidy(gpu, work);
  return [...await y.data()];
}

const row = (...list: number[]) => Tensor.from(gpu, list, [1, list.length]);

Deno.test("max() and min() give NaN where there is one, and infinities", async () => {
  for (const length of [3, 40]) {
    const list = Array.from({ length }, (_, i) => i - 1);
    const withNaN = list.with(1, NaN);
    // With one row the fast kernels run, with several columns the others.
    for (const f of [max, min]) {
      assert.deepEqual(await values(() => f(row(...withNaN), { axes: [1] })), [NaN]);
      const columns = Tensor.from(gpu, [...withNaN, ...list], [2, length]);
      const [first, second] = await values(() => f(columns, { axes: [0] })).then((
        y,
      ) => [y[0], y[1]]);
      assert.deepEqual([first, second], [-1, NaN]);
      columns.dispose();
    }
  }
  assert.deepEqual(await values(() => max(row(-Infinity, -Infinity))), [-Infinity]);
  assert.deepEqual(await values(() => min(row(Infinity, 5))), [5]);
});

Deno.test("argmax() and argmin() take the first of equal values and NaN before all", async () => {
  assert.deepEqual(await values(() => argmax(row(1, 7, 7, -7), { axis: 1 })), [1]);
  assert.deepEqual(await values(() => argmin(row(1, -7, 7, -7), { axis: 1 })), [1]);
  assert.deepEqual(await values(() => argmax(row(0, -0), { axis: 1 })), [0]);
  assert.deepEqual(await values(() => argmax(row(-0, 0), { axis: 1 })), [0]);
  assert.deepEqual(await values(() => argmax(row(1, NaN, Infinity, NaN), { axis: 1 })), [1]);
  assert.deepEqual(await values(() => argmin(row(1, -Infinity, NaN), { axis: 1 })), [2]);
  assert.deepEqual(await values(() => argmax(Tensor.from(gpu, [1, 5, 9, 2], [2, 2]))), [2]);
  const columns = () => Tensor.from(gpu, [1, 5, 9, 2], [2, 2]);
  assert.deepEqual(await values(() => argmax(columns(), { axis: 0 })), [1, 0]);
  using kept = tidy(gpu, () => argmax(columns(), { axis: 0, keepDims: true }));
  assert.deepEqual([kept.shape, kept.dtype], [[1, 2], "u32"]);
});

Deno.test("ties share the gradient of max() evenly", async () => {
  using x = row(3, 1, 3, 2);
  using tape = new Tape();
  using watched = tape.watch(x);
  using y = max(watched);
  const [g] = tape.gradient(y, [watched]);
  assert.deepEqual([...await g.data()], [0.5, 0, 0.5, 0]);
  g.dispose();
});

Deno.test("the gradient of norm() at 0 is 0", async () => {
  using x = row(0, 0);
  using tape = new Tape();
  using watched = tape.watch(x);
  using y = norm(watched);
  const [g] = tape.gradient(y, [watched]);
  assert.deepEqual([...await g.data()], [0, 0]);
  g.dispose();
  assert.deepEqual(await values(() => normalize(row(0, 0))), [0, 0]);
});

Deno.test("variance() does not cancel where the mean is large", async () => {
  // 4096 + {0, 1, 2}: E[x²] − E[x]² would lose every digit, 2^24 being the last whole number of f32.
  const list = [4096, 4097, 4098];
  assert.deepEqual(await values(() => variance(row(...list), { axes: [1], ddof: 1 })), [1]);
  const column = () => Tensor.from(gpu, list, [3, 1]);
  assert.deepEqual(await values(() => variance(column(), { axes: [0], ddof: 1 })), [1]);
});

Deno.test("logsumexp() neither overflows nor loses infinities", async () => {
  assert.deepEqual(await values(() => logsumexp(row(1000))), [1000]);
  const [two] = await values(() => logsumexp(row(-500, -500)));
  assert(Math.abs(two - (Math.LN2 - 500)) < 1e-4); // one rounding of 500
  assert.deepEqual(await values(() => logsumexp(row(-Infinity, -Infinity))), [-Infinity]);
  assert.deepEqual(await values(() => logsumexp(row(Infinity, 1))), [Infinity]);
});

Deno.test("long rows and tall columns are reduced in parts", async () => {
  const host = normal(randomKey(3), 300_000);
  const reference = host.reduce((s, v) => s + v, 0);
  const [got] = await values(() => sum(Tensor.from(gpu, host)));
  // 2^-24 for each of about log2(n) + 300 levels of sums of size √n: 1e-5 √n.
  assert(Math.abs(got - reference) < 1e-5 * Math.sqrt(host.length), `${got} ${reference}`);
  const tall = await values(() => mean(Tensor.from(gpu, host, [37500, 8]), { axes: [0] }));
  for (let j = 0; j < 8; j++) {
    let total = 0;
    for (let i = j; i < host.length; i += 8) total += host[i];
    assert(Math.abs(tall[j] - total / 37500) < 1e-6);
  }
  assert.deepEqual(await values(() => max(Tensor.from(gpu, host))), [
    host.reduce((a, b) => Math.max(a, b)),
  ]);
  assert.deepEqual(await values(() => prod(full(gpu, [5000], 1))), [1]);
});

Deno.test({
  name: "partial results of half precision do not overflow",
  ...needs("f16", gpu.caps.features.has("shader-f16")),
  fn: async () => {
    const ones = () => full(gpu, [100_000], 1, { dtype: "f16" });
    assert.deepEqual(await values(() => mean(ones())), [1]);
    const apart = () => full(gpu, [300, 2, 300], 1, { dtype: "f16" });
    assert.deepEqual(await values(() => mean(apart(), { axes: [0, 2] })), [1, 1]);
  },
});

Deno.test("reductions refuse empty axes and axes that are not there", () => {
  using empty = Tensor.zeros(gpu, [2, 0]);
  for (const f of [sum, max, variance, logsumexp]) {
    assert.throws(() => f(empty, { axes: [1] }), { name: "ShapeError", message: /empty/ });
    assert.throws(() => f(empty, { axes: [2] }), { name: "ShapeError" });
    assert.throws(() => f(empty, { axes: [0, -2] }), { name: "ShapeError" });
  }
  assert.throws(() => argmax(empty, { axis: 1 }), { name: "ShapeError", message: /empty/ });
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
