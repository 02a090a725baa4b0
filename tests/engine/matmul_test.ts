/**
 * Large products on a CPU driver go through panels; the result is that of float64, whatever is transposed, shared or fused.
 */
import assert from "node:assert/strict";
import { type Gpu, linear, matmul, normal, randomKey, Tensor } from "../../mod.ts";
import { openTestGpu } from "../_gpu.ts";

const gpus = [await openTestGpu(), await openTestGpu({ without: ["subgroups"] })];
const names = gpus.map((_, i) => i === 0 ? "as it is" : "without subgroups");
Deno.test.afterEach(() => gpus.forEach((gpu) => assert.equal(gpu.liveBytes, 0)));

const [M, N, K] = [604, 612, 33]; // the last panels are ragged, k is odd

function random(gpu: Gpu, seed: number, shape: readonly number[]): Tensor {
  return Tensor.from(gpu, normal(randomKey(seed), shape.reduce((a, b) => a * b, 1)), shape);
}

interface Sides {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
}

/** Row `i` of `op(a)·op(b)` in float64, for matrices without leading axes. */
function rowOf(a: ArrayLike<number>, b: ArrayLike<number>, i: number, sides: Sides): Float64Array {
  return Float64Array.from({ length: N }, (_, j) => {
    let sum = 0;
    for (let p = 0; p < K; p++) {
      const x = a[sides.transposeA ? p * M + i : i * K + p];
      sum += x * b[sides.transposeB ? j * K + p : p * N + j];
    }
    return sum;
  });
}

// Sums of 33 products of unit normals: eps·√33 relative to √33, the worst of 370,000 about five of those.
const TOLERANCE = 5 * 2 ** -23 * 33;

function assertRow(got: ArrayLike<number>, at: number, want: Float64Array): void {
  want.forEach((v, j) => {
    assert(Math.abs(got[at + j] - v) <= TOLERANCE, `column ${j}: ${got[at + j]} is not ${v}`);
  });
}

const ROWS = [0, 31, 63, 64, 599, 603];

gpus.forEach((gpu, g) => {
  for (const transposeA of [false, true]) {
    for (const transposeB of [false, true]) {
      const sides = { transposeA, transposeB };
      Deno.test(`matmul() of large matrices, ${JSON.stringify(sides)}, ${names[g]}`, async () => {
        using a = random(gpu, 1, transposeA ? [K, M] : [M, K]);
        using b = random(gpu, 2, transposeB ? [N, K] : [K, N]);
        using c = matmul(a, b, sides);
        const [hostA, hostB, got] = [await a.data(), await b.data(), await c.data()];
        for (const i of ROWS) assertRow(got, i * N, rowOf(hostA, hostB, i, sides));
      });
    }
  }

  Deno.test(`matmul() of a large batch with one shared matrix, ${names[g]}`, async () => {
    using a = random(gpu, 3, [2, M, K]);
    using b = random(gpu, 4, [K, N]);
    using c = matmul(a, b);
    const [hostA, hostB, got] = [await a.data(), await b.data(), await c.data()];
    for (const i of ROWS) {
      assertRow(got, (M + i) * N, rowOf(hostA.subarray(M * K), hostB, i, {}));
    }
  });

  Deno.test(`linear() of many rows with all that may follow, ${names[g]}`, async () => {
    using x = random(gpu, 5, [M, K]);
    using weight = random(gpu, 6, [N, K]);
    using bias = random(gpu, 7, [N]);
    using scale = random(gpu, 8, [N]);
    using residual = random(gpu, 9, [M, N]);
    using y = linear(x, weight, { bias, scale, residual, activation: "relu" });
    const [hostX, hostW, got] = [await x.data(), await weight.data(), await y.data()];
    const [hostBias, hostScale, hostRest] = [
      await bias.data(),
      await scale.data(),
      await residual.data(),
    ];
    for (const i of ROWS) {
      const want = rowOf(hostX, hostW, i, { transposeB: true })
        .map((v, j) => hostRest[i * N + j] + hostScale[j] * Math.max(0, v + hostBias[j]));
      // The scale, a unit normal, stretches the error of the sum fourfold at most.
      want.forEach((v, j) => assert(Math.abs(got[i * N + j] - v) <= 4 * TOLERANCE));
    }
  });

  Deno.test(`on a CPU driver a large product goes through panels, ${names[g]}`, async () => {
    if (!gpu.caps.isSoftware || gpu.options.kernels === "naive") return;
    using a = random(gpu, 1, [M, K]);
    using b = random(gpu, 2, [K, N]);
    const rows = await gpu.profile(() => matmul(a, b).dispose());
    assert(rows.some(({ label }) => label.startsWith("matmul_panels")), JSON.stringify(rows));
  });
});

Deno.test("close the devices", () => gpus.forEach((gpu) => gpu[Symbol.dispose]()));
