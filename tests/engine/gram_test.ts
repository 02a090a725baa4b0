/**
 * Gram matrices: one triangle is made and mirrored, on every path and without a trace.
 */
import assert from "node:assert/strict";
import { gather, type Gpu, gram, normal, randomKey, Tensor, tidy } from "../../mod.ts";
import { openTestGpu } from "../_gpu.ts";

const gpus = [await openTestGpu(), await openTestGpu({ without: ["subgroups"] })];
const names = gpus.map((_, i) => i === 0 ? "as it is" : "without subgroups");
Deno.test.afterEach(() => gpus.forEach((gpu) => assert.equal(gpu.liveBytes, 0)));

function random(gpu: Gpu, seed: number, shape: readonly number[]): Tensor {
  return Tensor.from(gpu, normal(randomKey(seed), shape.reduce((a, b) => a * b, 1)), shape);
}

// Sums of up to 65 products of unit normals: eps·√65 relative to √65, the worst of 700,000 about five of those.
const TOLERANCE = 5 * 2 ** -23 * 65;

function assertGram(
  got: ArrayLike<number>,
  x: ArrayLike<number>,
  { m, k, transpose }: { m: number; k: number; transpose: boolean },
): void {
  for (let i = 0; i < m; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let p = 0; p < k; p++) {
        sum += transpose ? x[p * m + i] * x[p * m + j] : x[i * k + p] * x[j * k + p];
      }
      const value = got[i * m + j];
      assert(Math.abs(value - sum) <= TOLERANCE, `[${i}, ${j}] is ${value}, not ${sum}`);
      assert.equal(got[j * m + i], value, `[${j}, ${i}] mirrors [${i}, ${j}]`);
    }
  }
}

gpus.forEach((gpu, g) => {
  // One tile, panels whose last is ragged, and numbers of rows that panels must be padded for.
  for (const [m, k] of [[1, 1], [7, 33], [200, 64], [261, 37], [330, 65]]) {
    for (const transpose of [false, true]) {
      Deno.test(`gram() of ${m} × ${k}, transpose=${transpose}, ${names[g]}`, async () => {
        using x = random(gpu, m, transpose ? [k, m] : [m, k]);
        using y = gram(x, { transpose });
        assert.deepEqual(y.shape, [m, m]);
        assertGram(await y.data(), await x.data(), { m, k, transpose });
      });
    }
  }

  Deno.test(`gram() of slabs adds up to the gram of the whole, ${names[g]}`, async () => {
    for (const m of [200, 203]) {
      using x = random(gpu, 3, [m, 64]);
      using y = tidy(gpu, () => {
        const [left, right] = [0, 1].map((half) => {
          const columns = Array.from({ length: 32 }, (_, i) => half * 32 + i);
          return gather(x, columns, { axis: 1 });
        });
        return gram(right, { residual: gram(left) });
      });
      assertGram(await y.data(), await x.data(), { m, k: 64, transpose: false });
    }
  });
});

Deno.test("gram() refuses a residual of another shape", () => {
  using x = random(gpus[0], 4, [3, 5]);
  using wrong = random(gpus[0], 5, [5, 5]);
  assert.throws(() => gram(x, { residual: wrong }), { name: "ShapeError", message: /\[3,3\]/ });
});

Deno.test("close the devices", () => gpus.forEach((gpu) => gpu[Symbol.dispose]()));
