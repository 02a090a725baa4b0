/** Profiles: a row per dispatch, over as many submits as there are, with the kernel's own count of work. */
import assert from "node:assert/strict";
import { neg } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { MAX_RECORDED } from "../../engine/recorder.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { openTestGpu } from "../_gpu.ts";

Deno.test("a profile has every dispatch of many submits, in order, with shapes and work", async () => {
  using gpu = await openTestGpu();
  using x = Tensor.from(gpu, new Float32Array(64).fill(0.5), [8, 8]);
  const count = 3 * MAX_RECORDED + 5, before = gpu.dispatchCount;
  const profile = gpu.startProfile();
  tidy(gpu, () => {
    for (let i = 0; i < count; i++) neg(x);
  });
  using product = matmul(x, x);
  assert.equal((await product.data())[0], 2);
  const rows = await profile.stop();
  neg(x).dispose(); // no longer seen
  assert.equal(rows.length, gpu.dispatchCount - before - 1);
  assert(rows.slice(0, count).every((row) => row.kernel === "neg" && row.bytes === 512));
  const last = rows.find(({ kernel }) => kernel === "matmul")!;
  assert.equal(last.flops, 2 * 8 ** 3);
  assert.equal(last.dims.m, 8);
  if (!gpu.caps.features.has("timestamp-query")) return;
  assert.equal(rows[0].startMs, 0);
  rows.forEach(({ startMs, gpuMs }, i) => {
    assert(gpuMs! >= 0 && Number.isFinite(gpuMs));
    assert(i === 0 || startMs! >= rows[i - 1].startMs!);
  });
});

Deno.test("a profile within a profile takes its dispatches from it", async () => {
  using gpu = await openTestGpu();
  using x = Tensor.from(gpu, [1, 2, 3, 4]);
  const outer = gpu.startProfile();
  neg(x).dispose();
  const inner = await gpu.profile(() => [1, 2].forEach(() => neg(x).dispose()));
  neg(x).dispose();
  assert.deepEqual([inner.length, (await outer.stop()).length], [2, 2]);
});

Deno.test("a profile outlives its Gpu, and ends where the profiled work throws", async () => {
  const gpu = await openTestGpu();
  const x = Tensor.from(gpu, [1, 2, 3, 4]);
  await assert.rejects(
    gpu.profile(() => {
      throw new Error("of the work");
    }),
    /of the work/,
  );
  const profile = gpu.startProfile();
  neg(x).dispose();
  x.dispose();
  gpu[Symbol.dispose]();
  assert.equal((await profile.stop()).length, 1);
  assert.equal(gpu.liveBytes, 0);
  await gpu.device.lost; // the device goes with its last profile
});
