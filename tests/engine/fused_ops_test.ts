/**
 * Ops that take one kernel off the tape and several on it, and what they refuse.
 */
import assert from "node:assert/strict";
import { attention, selfAttention } from "../../engine/ops/attention.ts";
import { relu } from "../../engine/ops/elementwise.ts";
import { linear, matmul } from "../../engine/ops/matmul.ts";
import { layerNorm } from "../../engine/ops/norm.ts";
import { ShapeError } from "../../engine/errors.ts";
import { normal, randomKey } from "../../engine/random.ts";
import { Tape } from "../../engine/tape.ts";
import { readAll, Tensor, tidy } from "../../engine/tensor.ts";
import { sizeOf } from "../../shaders/kernel.ts";
import { attentionArgs, attentionKernel, packed } from "../../shaders/attention/attention.ts";
import { worstError } from "../../bench/check_kernel.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const random = (seed: number, shape: readonly number[]) =>
  Tensor.from(gpu, Float32Array.from(normal(randomKey(seed), sizeOf(shape))), shape);

Deno.test("linear() gives the same in one kernel as in several on a tape", async () => {
  using x = random(1, [3, 7, 20]);
  using weight = random(2, [12, 20]);
  using bias = random(3, [12]);
  using scale = random(4, [12]);
  using residual = random(5, [3, 7, 12]);
  for (const activation of ["gelu", "quickGelu"] as const) {
    const options = { bias, scale, residual, activation };
    using fused = linear(x, weight, options);
    using tape = new Tape();
    using watched = tape.watch(x);
    using composed = tidy(gpu, () => linear(watched, weight, options));
    assert.deepEqual(fused.shape, [3, 7, 12]);
    const [a, b] = await readAll([fused, composed]);
    // The same sums in the same order; only the epilogue is rounded at other places.
    assert(worstError(a, b).value <= 1e-6, activation);
  }
});

Deno.test("relu() with redirected gradients lets those through that raise dead items", async () => {
  using x = Tensor.from(gpu, [-1, 2, -3, -1, -2, -3], [2, 3]); // the second item is dead
  using seed = Tensor.from(gpu, [-1, 5, 1, -4, 6, -7], [2, 3]);
  using tape = new Tape();
  using watched = tape.watch(x);
  using y = relu(watched, { grad: "redirected" });
  const [gradient] = tape.gradient(y, [watched], { seed });
  using held = gradient;
  const [value, got] = await readAll([y, held]);
  assert.deepEqual([...value], [0, 2, 0, 0, 0, 0]);
  assert.deepEqual([...got].map((v) => v + 0), [0, 5, 0, -4, 0, -7]); // −0 is 0 too
});

Deno.test("a linear layer without options is a product with the transpose", async () => {
  using x = random(1, [5, 6]);
  using weight = random(2, [4, 6]);
  using y = linear(x, weight);
  using z = matmul(x, weight, { transposeB: true });
  const [a, b] = await readAll([y, z]);
  assert.deepEqual(a, b);
});

Deno.test("selfAttention() with window.level leaves q and k out (NACLIP's nonly)", async () => {
  using qkv = random(6, [2, 7, 48]);
  using level = Tensor.from(gpu, [0.5, 2]);
  const window = { gridWidth: 3, nPrefix: 1, std: 2, level };
  using y = selfAttention(qkv, { nHeads: 2, window });
  const [got, x] = (await readAll([y, qkv])).map((v) => Float64Array.from(v));
  const dims = packed(2, 7, 2, 8);
  const { o } = attentionKernel.reference(
    { q: x, k: x, v: x, level: new Float64Array([0.5, 2]) },
    dims,
    {
      ...{ ...attentionArgs, ...dims, window: 1, positional: 1 },
      ...{ nPrefix: 1, gridWidth: 3, invTwoVar: 1 / 8 },
    },
  );
  assert(worstError(got, o).value <= 1e-5);
});

Deno.test("rows of a csa attention sum to 2", async () => {
  const values = Float32Array.from(
    { length: 2 * 5 * 24 },
    (_, i) => (i % 24 < 16 ? Math.sin(i) : 1),
  );
  using qkv = Tensor.from(gpu, values, [2, 5, 24]);
  using y = selfAttention(qkv, { nHeads: 1, similarity: "csa" });
  for (const v of await y.data()) assert(Math.abs(v - 2) <= 1e-6);
});

Deno.test("a causal row does not see what follows", async () => {
  using a = random(7, [1, 6, 24]);
  const changed = (await a.data()).slice();
  changed.fill(1e3, 4 * 24);
  using b = Tensor.from(gpu, changed, [1, 6, 24]);
  using ya = selfAttention(a, { nHeads: 2, isCausal: true });
  using yb = selfAttention(b, { nHeads: 2, isCausal: true });
  const [va, vb] = await readAll([ya, yb]);
  assert.deepEqual(va.slice(0, 4 * 8), vb.slice(0, 4 * 8));
});

Deno.test("operands that do not fit are refused with their shapes", () => {
  using x = random(1, [2, 6]);
  using weight = random(2, [4, 5]);
  using cube = random(3, [2, 3, 6]);
  const refused = (work: () => void, ...parts: string[]) =>
    assert.throws(
      work,
      (e: Error) => e instanceof ShapeError && parts.every((p) => e.message.includes(p)),
    );
  refused(() => linear(x, weight), "[2,6]", "[4,5]");
  refused(() => matmul(x, weight), "[2,6]", "[4,5]");
  refused(() => layerNorm(x, weight), "[2,6]", "[4,5]");
  refused(() => attention(cube, cube, x, { nHeads: 2 }), "[2,3,6]", "[2,6]");
  refused(() => selfAttention(cube, { nHeads: 4 }), "4 heads");
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
