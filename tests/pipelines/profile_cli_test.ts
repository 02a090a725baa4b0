import assert from "node:assert/strict";
import type { ProfiledDispatch } from "../../engine/profile.ts";
import { kernelTable } from "../../pipelines/cli/profile.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { hostTensor } from "../../pipelines/io/state_dict.ts";
import { gyrus } from "../console.ts";

const folder = Deno.makeTempDirSync();
addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

const peaks = { gflops: 10, gbps: 5, dispatchUs: 1, recordUs: 1 };
const dispatch = (
  label: string,
  gpuMs: number,
  flops: number,
  bytes: number,
): ProfiledDispatch => ({
  ...{ kernel: label, label, dims: {}, args: {}, dtype: "f32", flops, bytes, startMs: 0, gpuMs },
});

Deno.test("kernelTable() sums dispatches and holds them against the roofline", () => {
  const table = kernelTable([
    dispatch("copy", 1, 0, 5e6), // memory alone takes the whole millisecond
    dispatch("matmul", 2, 1e7, 0), // arithmetic alone takes half of the two
    dispatch("matmul", 1, 1e7, 0), // and all of this one
  ], peaks);
  assert.deepEqual(table.map(({ variant, calls, ms }) => [variant, calls, ms]), [
    ["matmul", 2, 3],
    ["copy", 1, 1],
  ]);
  assert.deepEqual(table.map(({ share }) => share), [0.75, 0.25]);
  assert.equal(table[0].roofline, 2 / 3);
  assert.equal(table[1].roofline, 1);
  assert.equal(table[1].gbps, 5);
});

Deno.test("gyrus --profile writes a table and a trace of every dispatch, and leaves the result as it is", async () => {
  const encode = (out: string, ...more: string[]) =>
    gyrus(
      ...["encode", "fit", "--features", `${folder}/x.npy`, "--responses", `${folder}/y.npy`],
      ...["--out", `${folder}/${out}`, ...more],
    );
  const n = 24;
  const x = Float32Array.from({ length: 3 * n }, (_, i) => Math.sin(i));
  const y = Float32Array.from({ length: 2 * n }, (_, i) => Math.cos(3 * i));
  Deno.writeFileSync(`${folder}/x.npy`, writeNpy(hostTensor(x, [n, 3])));
  Deno.writeFileSync(`${folder}/y.npy`, writeNpy(hostTensor(y, [n, 2])));
  for (const [out, more] of [["a.h5", []], ["b.h5", ["--profile", `${folder}/P`]]] as const) {
    const { code, text } = await encode(out, ...more);
    assert.equal(code, 0, text);
  }
  assert.deepEqual(Deno.readFileSync(`${folder}/a.h5`), Deno.readFileSync(`${folder}/b.h5`));
  const { results } = JSON.parse(Deno.readTextFileSync(`${folder}/P/run.json`));
  const trace = JSON.parse(Deno.readTextFileSync(`${folder}/P/trace.json`));
  assert(results.dispatches > 0);
  assert.equal(trace.traceEvents.length, results.dispatches);
  const [head, ...lines] = Deno.readTextFileSync(`${folder}/P/kernels.csv`).trim().split("\n");
  assert.equal(head, "kernel,variant,dtype,calls,ms,share,gflops,gbps,roofline");
  const calls = lines.reduce((sum, line) => sum + Number(line.split(",")[3]), 0);
  assert.equal(calls, results.dispatches);
  const refused = await encode("c.h5", "--profile", folder); // holds other files
  assert.equal(refused.code, 2);
  assert.match(refused.text, /Cannot write .*: the folder holds/);
});
