/**
 * Sorting, top-k and running sums against the host's own.
 */
import assert from "node:assert/strict";
import {
  argsort,
  cumsum,
  matmul,
  normal,
  productTopK,
  randomKey,
  sort,
  Tensor,
  tidy,
  topK,
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

/** Indices in order, equal values in that of their indices, NaN greatest. */
function order(list: ArrayLike<number>, descending = false): number[] {
  const rank = (a: number, b: number) =>
    Number.isNaN(a) || Number.isNaN(b) ? Number(Number.isNaN(a)) - Number(Number.isNaN(b)) : a - b;
  return Array.from(list, (_, i) => i).sort((i, j) =>
    (descending ? rank(list[j], list[i]) : rank(list[i], list[j])) || i - j
  );
}

/** Values rounded so that many are equal. */
const coarse = (seed: number, n: number) =>
  normal(randomKey(seed), n).map((v) => Math.round(20 * v) / 20);

Deno.test("sort() is stable at any length, up and down", async () => {
  for (const n of [1, 2, 7, 8, 9, 16, 17, 100, 1025, 4099]) {
    const host = coarse(n, n);
    for (const descending of [false, true]) {
      const x = () => Tensor.from(gpu, host);
      const places = order(host, descending);
      assert.deepEqual(await values(() => argsort(x(), { descending })), places, `${n}`);
      const sorted = await values(() => sort(x(), { descending }).values);
      assert.deepEqual(sorted, places.map((i) => host[i]));
    }
  }
});

Deno.test("sort() orders infinities, zeros of both signs and NaN", async () => {
  const host = [NaN, 1, -Infinity, 0, -0, Infinity, -1, NaN, 1e-40, -1e-40];
  const x = () => Tensor.from(gpu, host);
  assert.deepEqual(await values(() => argsort(x())), [2, 6, 9, 3, 4, 8, 1, 5, 0, 7]);
  assert.deepEqual(await values(() => argsort(x(), { descending: true })), [
    0,
    7,
    5,
    1,
    8,
    3,
    4,
    9,
    6,
    2,
  ]);
});

Deno.test("sort() takes any axis", async () => {
  const host = coarse(1, 24);
  const x = () => Tensor.from(gpu, host, [2, 3, 4]);
  const expected = new Array<number>(24);
  for (let i = 0; i < 2; i++) {
    for (let k = 0; k < 4; k++) {
      const column = [0, 1, 2].map((j) => host[i * 12 + j * 4 + k]);
      order(column).forEach((from, j) => expected[i * 12 + j * 4 + k] = column[from]);
    }
  }
  assert.deepEqual(await values(() => sort(x(), { axis: 1 }).values), expected);
});

Deno.test("topK() is the head of a stable sort for small and large k", async () => {
  const [rows, n] = [3, 3001];
  const host = coarse(2, rows * n);
  const x = () => Tensor.from(gpu, host, [rows, n]);
  for (const k of [1, 5, 8, 9, 100, 1024, 3000, n]) {
    for (const largest of [true, false]) {
      const expected = [0, 1, 2].flatMap((row) =>
        order(host.subarray(row * n, (row + 1) * n), largest).slice(0, k)
      );
      using top = tidy(gpu, () => topK(x(), k, { largest }).indices);
      assert.deepEqual(top.shape, [rows, k]);
      assert.deepEqual([...await top.data()], expected, `k=${k} largest=${largest}`);
      const picked = expected.map((i, at) => host[Math.floor(at / k) * n + i]);
      assert.deepEqual(await values(() => topK(x(), k, { largest }).values), picked);
    }
  }
  using whole = x();
  const { values: none, indices } = topK(whole, 0);
  assert.deepEqual([none.shape, indices.shape], [[rows, 0], [rows, 0]]);
  none.dispose();
  indices.dispose();
});

Deno.test("topK() refuses a k beyond the axis", () => {
  using x = Tensor.zeros(gpu, [2, 3]);
  assert.throws(() => topK(x, 4), { name: "ShapeError", message: /top 4 of \[2,3\]/ });
  assert.throws(() => topK(x, 1.5), { name: "ShapeError" });
  assert.throws(() => sort(x, { axis: 2 }), { name: "ShapeError" });
});

Deno.test("productTopK() is the top of the product, of narrow rows in one kernel and of wide ones in two", async () => {
  // Halves, whose products of up to 68 are exact in any order; columns that no block divides; more neighbours than stay in registers.
  const some = (size: number, key: number) =>
    normal(randomKey(key), size).map((v) => Math.round(2 * v) / 2);
  for (const [rows, n, d, k] of [[37, 52, 20, 5], [9, 45, 20, 5], [9, 44, 68, 5], [5, 44, 8, 40]]) {
    using a = Tensor.from(gpu, some(rows * d, 1), [rows, d]);
    using b = Tensor.from(gpu, some(n * d, 2), [n, d]);
    using shift = Tensor.from(gpu, some(n, 3), [n]);
    const found = productTopK(a, b, shift, k);
    using values = found.values;
    using indices = found.indices;
    using product = matmul(a, b, { transposeB: true });
    const x = await product.data(), less = await shift.data();
    const columns = await indices.data(), greatest = await values.data();
    for (let row = 0; row < rows; row++) {
      const score = (c: number) => x[row * n + c] - less[c];
      const order = Array.from({ length: n }, (_, c) => c).sort((i, j) =>
        score(j) - score(i) || i - j
      );
      assert.deepEqual(
        [...columns.slice(row * k, (row + 1) * k)],
        order.slice(0, k),
        `${[rows, n, d, k]}`,
      );
      assert.deepEqual([...greatest.slice(row * k, (row + 1) * k)], order.slice(0, k).map(score));
    }
  }
  using a = Tensor.from(gpu, [1, 2, 3, 4], [1, 4]);
  using shift = Tensor.from(gpu, [0], [1]);
  assert.throws(() => productTopK(a, a, shift, 2), /top 2/);
});

Deno.test("cumsum() runs over any axis in either direction", async () => {
  const shape = [2, 5000, 2];
  // Whole numbers: the sums are exact in any order.
  const host = Float32Array.from({ length: 20_000 }, (_, i) => (i * 31) % 11 - 5);
  for (const exclusive of [false, true]) {
    for (const reverse of [false, true]) {
      const expected = new Float32Array(host.length);
      for (let line = 0; line < 4; line++) {
        let total = 0;
        for (let s = 0; s < 5000; s++) {
          const t = reverse ? 4999 - s : s;
          const at = Math.floor(line / 2) * 10_000 + 2 * t + line % 2;
          expected[at] = exclusive ? total : total + host[at];
          total += host[at];
        }
      }
      const got = await values(() =>
        cumsum(Tensor.from(gpu, host, shape), { axis: 1, exclusive, reverse })
      );
      assert.deepEqual(got, [...expected]);
    }
  }
  assert.deepEqual(await values(() => cumsum(Tensor.zeros(gpu, [2, 0]))), []);
});

Deno.test({
  name: "half precision sorts, and its running sums do not stall",
  ...needs("f16", gpu.caps.features.has("shader-f16")),
  fn: async () => {
    const half = (list: number[]) => Tensor.from(gpu, list, [list.length], { dtype: "f16" });
    assert.deepEqual(await values(() => sort(half([2, -1, 0.5])).values), [-1, 0.5, 2]);
    // 2048 + 1 is 2048 in half precision: a sum kept in it would stop there.
    const sums = await values(() => cumsum(half(new Array(6000).fill(1))));
    assert.equal(sums[5999], 6000);
  },
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
