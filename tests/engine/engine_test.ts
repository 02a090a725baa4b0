/**
 * The machine itself: ownership, errors, random numbers, tapes.
 */
import assert from "node:assert/strict";
import {
  add,
  checkpoint,
  Gpu,
  mul,
  randomKey,
  split,
  sum,
  Tape,
  Tensor,
  tidy,
  uniform,
} from "../../mod.ts";
import { threefry2x32 } from "../../engine/random.ts";
import { compose, reflect } from "../../engine/wgsl.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

Deno.test("tidy() disposes intermediates and keeps what is returned", async () => {
  const y = tidy(gpu, () => {
    const x = Tensor.from(gpu, [1, 2, 3]);
    return { y: add(mul(x, x), x) };
  });
  assert.equal(gpu.liveBytes, 12);
  assert.deepEqual([...await y.y.data()], [2, 6, 12]);
  y.y.dispose();
  assert.equal(gpu.liveBytes, 0);
});

Deno.test("tidy() disposes intermediates when the callback throws", () => {
  assert.throws(() =>
    tidy(gpu, () => {
      Tensor.zeros(gpu, [100]);
      throw new Error("on purpose");
    }), /on purpose/);
  assert.equal(gpu.liveBytes, 0);
});

Deno.test("a disposed tensor is refused by name before anything is allocated", () => {
  const x = Tensor.from(gpu, [1]);
  x.dispose();
  assert.throws(() => add(x, x), {
    name: "DisposedError",
    message: /tensor \[1\] f32: it was disposed/,
  });
  assert.equal(gpu.liveBytes, 0);
});

Deno.test("shapes that do not fit are refused with the shapes", () => {
  using a = Tensor.zeros(gpu, [2, 3]);
  using b = Tensor.zeros(gpu, [2, 4]);
  assert.throws(() => add(a, b), { name: "ShapeError", message: /\[2,3\] and \[2,4\]/ });
  assert.throws(() => a.reshape([4, 2]), { name: "ShapeError", message: /6 values, needs 8/ });
  assert.throws(() => Tensor.from(gpu, [1, 2], [3]), { name: "ShapeError" });
  assert.throws(() => Tensor.zeros(gpu, [2 ** 40, 2 ** 20]), { name: "ShapeError" });
});

Deno.test("reshape() shares memory and follows -1", async () => {
  using x = Tensor.from(gpu, [1, 2, 3, 4, 5, 6]);
  using y = x.reshape([2, -1]);
  assert.deepEqual(y.shape, [2, 3]);
  assert.equal(gpu.liveBytes, 24);
  assert.deepEqual([...await y.data()], [1, 2, 3, 4, 5, 6]);
});

Deno.test("f16 storage rounds to nearest even and reads back widened", async () => {
  if (!gpu.caps.features.has("shader-f16")) return;
  using x = Tensor.from(gpu, [1 + 2 ** -11, 65504, 3, -0.1], [4], { dtype: "f16" });
  using y = add(x, x);
  assert.equal(y.dtype, "f16");
  assert.deepEqual([...(await x.data()).slice(0, 2)], [1, 65504]);
  assert.equal((await y.data())[2], 6);
});

Deno.test("threefry2x32 equals the published test vectors", () => {
  // Random123, kat_vectors: threefry2x32 with 20 rounds
  const ones = 0xffffffff;
  assert.deepEqual(threefry2x32({ hi: 0, lo: 0 }, 0, 0), [0x6b200159, 0x99ba4efe]);
  assert.deepEqual(threefry2x32({ hi: ones, lo: ones }, ones, ones), [0x1cb996fc, 0xbb002be7]);
  assert.deepEqual(
    threefry2x32({ hi: 0x13198a2e, lo: 0x03707344 }, 0x243f6a88, 0x85a308d3),
    [0xc4923a9c, 0x483df7a0],
  );
});

Deno.test("keys split into different streams, and a stream does not depend on its length", () => {
  const [a, b] = split(randomKey(0));
  assert.notDeepEqual(a, b);
  assert.deepEqual([...uniform(a, 10)].slice(0, 3), [...uniform(a, 3)]);
  assert.throws(() => randomKey(-1), RangeError);
});

Deno.test("Tape accumulates over every use of a tensor", async () => {
  using x = Tensor.from(gpu, [3]);
  using tape = new Tape();
  using on = tape.watch(x);
  using loss = tidy(gpu, () => sum(add(mul(on, on), on)));
  const [g] = tape.gradient(loss, [on]);
  assert.equal(await g.item(), 7);
  g.dispose();
});

Deno.test("checkpoint() gives the gradient of the plain call", async () => {
  using x = Tensor.from(gpu, [1, 2]);
  using w = Tensor.from(gpu, [3, 4]);
  const cube = (a: Tensor, b: Tensor) => tidy(gpu, () => mul(mul(a, a), b));
  using tape = new Tape();
  using on = tape.watch(x);
  using loss = tidy(gpu, () => sum(checkpoint(cube, on, w)));
  const [g] = tape.gradient(loss, [on]);
  assert.deepEqual([...await g.data()], [6, 16]);
  g.dispose();
});

Deno.test("a borrowed device works and is left open", async () => {
  using embedded = Gpu.from(gpu.device);
  using x = Tensor.from(embedded, [2]);
  assert.equal(await x.item(), 2);
  assert.throws(() => {
    using y = Tensor.from(gpu, [1]);
    add(x, y);
  }, { name: "UnsupportedError", message: /another Gpu/ });
});

Deno.test("a borrowed buffer is used in place and never freed", async () => {
  const raw = gpu.device.createBuffer({ size: 16, usage: 0x80 | 0x04 | 0x08 });
  gpu.device.queue.writeBuffer(raw, 0, new Float32Array([1, 2, 3, 4]));
  {
    using x = Tensor.borrow(gpu, raw, [4]);
    using y = add(x, x);
    assert.deepEqual([...await y.data()], [2, 4, 6, 8]);
  }
  {
    using x = Tensor.borrow(gpu, raw, [4]);
    assert.deepEqual([...await x.data()], [1, 2, 3, 4]);
  }
  assert.throws(() => Tensor.borrow(gpu, raw, [5]), { name: "ShapeError" });
  raw.destroy();
});

Deno.test("a shader error names the kernel at the next await", async () => {
  await assert.rejects(async () => {
    gpu.guarded("broken", () => {
      gpu.device.createShaderModule({ code: "fn main() { let x: u32 = 1.5; }" });
    });
    using x = Tensor.from(gpu, [1]);
    await x.data();
  }, { name: "KernelError", message: /broken/ });
  using x = Tensor.from(gpu, [1]);
  assert.equal(await x.item(), 1, "the error is thrown once");
});

Deno.test("above the memory budget an allocation is refused and nothing is lost", async () => {
  using small = Gpu.from(gpu.device, { memoryBudget: 4096 });
  using x = Tensor.from(small, [1]);
  assert.throws(() => Tensor.zeros(small, [10_000]), {
    name: "DeviceError",
    message: /budget is 4096/,
  });
  assert.equal(small.liveBytes, 4);
  assert.equal(await x.item(), 1);
});

Deno.test("a buffer that was given up counts no more when the memory budget is short", async () => {
  using small = Gpu.from(gpu.device, { memoryBudget: 6144 });
  for (const size of [256, 512, 1024]) { // 1, 2 and 4 KiB, and 256 bytes each for the sum: 7.75 KiB together
    using x = Tensor.zeros(small, [size]);
    using y = tidy(small, () => sum(x)); // recorded, not yet submitted
    assert.equal(y.size, 1);
    if (size === 1024) assert.equal(await y.item(), 0);
  }
  assert.equal(small.liveBytes, 0);
});

Deno.test("compose() refuses a constant without a line", () => {
  const source = "const WG: u32 = 64;\n";
  const parts = { label: "k", source, elem: "f32" as const, enables: [] };
  assert.equal(compose({ ...parts, constants: { WG: 8 } }), "const WG: u32 = 8u;\n");
  assert.throws(() => compose({ ...parts, constants: { WH: 8 } }), { name: "KernelError" });
});

Deno.test("reflect() refuses a gap in the bindings", () => {
  assert.throws(
    () => reflect("@group(0) @binding(1) var<storage, read> x: array<f32>;", "k"),
    { name: "KernelError", message: /binding 1/ },
  );
});

Deno.test("nothing is left alive", () => {
  assert.equal(gpu.liveBytes, 0);
  gpu[Symbol.dispose]();
});
