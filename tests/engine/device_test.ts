/**
 * Devices that lack something or go away: one typed error that names the reason, and never a wait without an end.
 */
import assert from "node:assert/strict";
import { cast, DeviceError, Gpu, matmul, readAll, Tensor, UnsupportedError } from "../../mod.ts";
import { openTestGpu } from "../_gpu.ts";

const noHalf = { name: "UnsupportedError", message: /shader-f16/ };

Deno.test("without shader-f16 every way to f16 storage is refused by the feature's name", async () => {
  using gpu = await openTestGpu({ without: ["shader-f16"] });
  assert(!gpu.caps.features.has("shader-f16"));
  using x = Tensor.from(gpu, [1, 2, 3, 4]);
  const raw = gpu.device.createBuffer({ size: 256, usage: 0x80 });
  const ways: Record<string, () => Tensor> = {
    from: () => Tensor.from(gpu, [1, 2], [2], { dtype: "f16" }),
    zeros: () => Tensor.zeros(gpu, [2, 2], { dtype: "f16" }),
    borrow: () => Tensor.borrow(gpu, raw, [4], { dtype: "f16" }),
    cast: () => cast(x, "f16"),
  };
  for (const [name, way] of Object.entries(ways)) assert.throws(way, noHalf, name);
  raw.destroy();
  assert.equal(gpu.liveBytes, 16); // x, and nothing of what was refused
  using square = x.reshape([2, 2]);
  using y = matmul(square, square);
  assert.deepEqual([...await y.data()], [7, 10, 15, 22]);
});

Deno.test("without an optional feature the same results come from the kernels that need none", async () => {
  using gpu = await openTestGpu({ without: ["subgroups", "shader-f16", "timestamp-query"] });
  assert.equal(gpu.caps.subgroupMinSize, 0);
  using a = Tensor.from(gpu, [1, 2, 3, 4], [2, 2]);
  using b = matmul(a, a);
  assert.deepEqual([...await b.data()], [7, 10, 15, 22]);
  for (const row of await gpu.profile(() => matmul(a, a).dispose())) {
    assert.equal(row.gpuMs, undefined);
  }
});

/** Fails where `promise` is not settled in half a minute: a driver may have to end its work first. */
async function settles<T>(promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("it never ends")), 30_000);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

const lost = { name: "DeviceError", message: /the device was lost \(destroyed\)/ };

Deno.test("after the loss of the device every op and every read says so", async () => {
  const gpu = await openTestGpu();
  const x = Tensor.from(gpu, [1, 2, 3, 4], [2, 2]);
  await x.data();
  const recorded = matmul(x, x); // waits for the next submit
  gpu.device.destroy();
  await gpu.device.lost;
  for (let i = 0; i < 2; i++) {
    assert.throws(() => Tensor.from(gpu, [1]), lost);
    assert.throws(() => matmul(x, x), lost);
    assert.throws(() => gpu.submit(), lost);
    await assert.rejects(settles(x.data()), lost);
    await assert.rejects(settles(readAll([x, recorded])), lost);
    await assert.rejects(settles(gpu.sync()), lost);
    await assert.rejects(settles(gpu.profile(() => matmul(x, x))), lost);
  }
  [x, recorded].forEach((t) => t.dispose());
  assert.equal(gpu.liveBytes, 0);
  gpu[Symbol.dispose]();
  assert.throws(() => Tensor.from(gpu, [1]), { name: "DisposedError" });
});

Deno.test("a read that the loss overtakes is rejected", async () => {
  const gpu = await openTestGpu();
  using x = Tensor.from(gpu, new Float32Array(1 << 16).fill(0.5), [256, 256]);
  let y = matmul(x, x);
  for (let i = 0; i < 4; i++) {
    using before = y;
    y = matmul(before, x);
  }
  const outcomes = [y.data(), gpu.sync()].map((read) =>
    settles(read.then(() => "done", (error) => error))
  );
  gpu.device.destroy();
  // Deno's own WebGPU has finished the work by the time the call returns, so a value is right too.
  for (const outcome of await Promise.all(outcomes)) {
    assert(outcome === "done" || outcome instanceof DeviceError, `${outcome}`);
  }
  await assert.rejects(settles(y.data()), DeviceError);
  y.dispose();
  gpu[Symbol.dispose]();
});

Deno.test("a device that was lost before it was borrowed is refused at the first use", async () => {
  const owner = await openTestGpu();
  owner.device.destroy();
  await owner.device.lost;
  const gpu = Gpu.from(owner.device);
  await Promise.resolve();
  assert.throws(() => Tensor.from(gpu, [1]), DeviceError);
  gpu[Symbol.dispose]();
  owner[Symbol.dispose]();
});

Deno.test("an adapter that is not there is refused with the one that is", async () => {
  await assert.rejects(
    openTestGpu({ adapter: "no such adapter" }),
    (error) => error instanceof UnsupportedError && /no such adapter/.test(error.message),
  );
});
