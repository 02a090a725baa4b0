/** Tuning: the fastest right variant is found, a wrong one refused, and a table is what later commands run by. */
import assert from "node:assert/strict";
import { tuneKernel } from "../bench/tune.ts";
import { Gpu } from "../engine/gpu.ts";
import { run } from "../engine/run.ts";
import { sizeClass } from "../engine/select.ts";
import { Tensor } from "../engine/tensor.ts";
import { writeNpy } from "../pipelines/io/npy.ts";
import { hostTensor } from "../pipelines/io/state_dict.ts";
import { readTuning } from "../pipelines/io/tuning_file.ts";
import { defineKernel, type KernelVariant } from "../shaders/kernel.ts";
import { gyrus } from "./console.ts";
import { openCommandGpu } from "./_gpu.ts";

const folder = Deno.makeTempDirSync();
addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

/** y = 2x after `TURNS` turns of a loop whose end the compiler cannot see through. */
function variant(name: string, factor: number, turns: number[]): KernelVariant {
  return {
    name,
    source: `
alias Elem = f32;
struct Params { n: u32 }
const TURNS: u32 = ${turns[0]};
@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> params: Params;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= params.n) { return; }
  var sum = f32(x[id.x]);
  for (var i = 0u; i < TURNS * min(params.n, 1u); i++) { sum = fract(sum * 0.5) * 2.0 + floor(sum * 0.5) * 2.0; }
  y[id.x] = Elem(${factor} * sum);
}`,
    tunables: { TURNS: turns },
    workgroups: ({ n }) => [Math.ceil(n / 64), 1, 1],
  };
}

const spec = defineKernel({
  name: "twice",
  buffers: { x: "n", y: "out n" },
  flops: ({ n }) => n,
  reference: ({ x }) => ({ y: x.map((v) => 2 * v) }),
  tolerance: { f32: 1e-3 },
  cases: [{ n: 3 }, { n: 130 }],
  variants: [
    variant("twice_slow", 2, [4000]),
    variant("twice_wrong", 3, [1]),
    variant("twice_naive", 2, [2000, 1]),
  ],
});

Deno.test("tuneKernel() finds the fastest right variant and its tunables, and refuses a wrong one", async () => {
  using gpu = await openCommandGpu();
  const sizes = { n: 1 << 14 };
  const found = (await tuneKernel(gpu, spec, sizes, { samples: 5 }))!;
  assert.equal(found.key, sizeClass(spec, sizes));
  assert.deepEqual(found.standard, { variant: "twice_slow", tunables: {} });
  assert.deepEqual(found.best, { variant: "twice_naive", tunables: { TURNS: 1 } }); // 4000 turns, 2000, 1
  assert(found.ratio < 0.75);
  assert.equal(found.refused.length, 1);
  assert.match(found.refused[0], /twice_wrong .*reference/);
  assert.equal(gpu.liveBytes, 0);

  const lines: string[] = [];
  const log = (line: string) => void lines.push(line);
  using tuned = await Gpu.open({ trace: 3, log, tuning: () => ({ [found.key]: found.best }) });
  using x = Tensor.zeros(tuned, [sizes.n]);
  using y = run(spec, [x])[0];
  await y.data();
  const choice = lines.find((line) => line.startsWith("select twice/"))!;
  assert.match(choice, /twice_naive \(table\) .*"TURNS":1.*; twice_slow was not asked for/);
});

Deno.test("gyrus tune keeps a table that --tuning takes and --explain tells of", async () => {
  const out = `${folder}/table.json`;
  const made = await gyrus("tune", "axpy", "--samples", "1", "--out", out);
  assert.equal(made.code, 0, made.text);
  const { adapter, table } = readTuning(out);
  for (const entry of Object.values(table)) assert.equal(entry.variant, "axpy");

  const values = Float32Array.from({ length: 96 }, (_, i) => Math.sin(i));
  Deno.writeFileSync(`${folder}/x.npy`, writeNpy(hostTensor(values, [24, 4])));
  const fit = (...more: string[]) =>
    gyrus(
      ...["encode", "fit", "--features", `${folder}/x.npy`, "--responses", `${folder}/x.npy`],
      ...["--out", `${folder}/fit.h5`, ...more],
    );
  const naive = { matmul: { variant: "matmul_naive" } };
  Deno.writeTextFileSync(out, JSON.stringify({ adapter, table: naive }));
  const explained = await fit("--tuning", out, "--explain", "--profile", `${folder}/P`);
  assert.equal(explained.code, 0, explained.text);
  assert.match(
    explained.text,
    /^matmul\/\w+: matmul_naive \(table\) .*; matmul_\w+ was not asked/m,
  );
  const own = await gyrus(
    ...["tune", "--from", `${folder}/P`, "--top", "1", "--samples", "1", "--out", out],
  );
  assert.equal(own.code, 0, own.text);
  assert.match(own.text, /^\w+\/\w+\d+$/m);

  Deno.writeTextFileSync(out, JSON.stringify({ adapter: `not ${adapter}`, table: {} }));
  const other = await gyrus("info", "--tuning", out);
  assert.equal(other.code, 2);
  assert.match(other.text, /it is of "not .*, this adapter is/);
  Deno.writeTextFileSync(out, JSON.stringify({ adapter, table: { matmul: { variant: 3 } } }));
  const bad = await gyrus("info", "--tuning", out);
  assert.equal(bad.code, 2);
  assert.match(bad.text, /"matmul": an entry must be \{"variant": name/);
});
