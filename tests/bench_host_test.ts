/** Recorded runs held against each other, and dispatches replayed as raw calls. */
import assert from "node:assert/strict";
import { compareRuns } from "../bench/compare.ts";
import { RawReplay } from "../bench/raw_replay.ts";
import { run as runKernel } from "../engine/run.ts";
import { Tensor } from "../engine/tensor.ts";
import { axpyKernel } from "../shaders/elementwise/axpy.ts";
import { register } from "../pipelines/cli/bench.ts";
import { benchAll } from "../pipelines/cli/bench_all.ts";
import { gyrus } from "./console.ts";
import { openCommandGpu } from "./_gpu.ts";

const run = (...rows: unknown[]) => rows.map((row) => JSON.stringify(row)).join("\n");
const head = { adapter: "A", peaks: { gflops: 1 } };

Deno.test("compareRuns() pairs rows by what they measure and tells noise from change", () => {
  const row = { kernel: "matmul", dims: { m: 2, n: 3 }, gflops: 1 };
  const found = compareRuns(
    run(head, { ...row, ms: 2, spread: 0.1 }, { pass: "old", seconds: 1 }),
    run(
      head,
      { pass: "new", seconds: 1 },
      { ...row, ms: 3, spread: 0.2, gflops: 0.7 },
      { ...row, dims: { m: 3, n: 3 }, ms: 9 },
    ),
  );
  assert.deepEqual(found.changes.map(({ row, ...rest }) => [row, rest]), [[
    "matmul dims.m=2 dims.n=3",
    { time: "ms", before: 2, after: 3, ratio: 1.5, spread: 0.1 + 0.2 },
  ]]);
  assert.deepEqual(found.gone, ["old"]);
  assert.deepEqual(found.added, ["new", "matmul dims.m=3 dims.n=3"]);
  assert.throws(() => compareRuns("{}", run(head)), /the first run: a recorded run names its/);
  assert.throws(() => compareRuns(run(head), "{"), /the second run: line 1 must be JSON/);
});

Deno.test("RawReplay runs the very dispatches that it heard", async () => {
  using gpu = await openCommandGpu();
  using x = Tensor.from(gpu, [1, 2, 3]);
  using y = Tensor.from(gpu, [1, 1, 1]);
  const add = (alpha: number) => {
    runKernel(axpyKernel, [x, y], { dims: { n: 3 }, args: { alpha } });
  };
  const replay = RawReplay.of(gpu, () => add(2)); // in place
  assert.equal(replay.dispatches, 1);
  assert.deepEqual([...await y.data()], [3, 5, 7]);
  replay.run();
  assert.deepEqual([...await y.data()], [5, 9, 13]);
  add(-4); // the Gpu records as before
  assert.deepEqual([...await y.data()], [1, 1, 1]);
});

Deno.test("gyrus bench host and bench compare run as written", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    const out = `${folder}/host.jsonl`;
    const { code, text } = await gyrus("bench", "host", "--samples", "1", "--out", out);
    assert.equal(code, 0, text);
    const rows = Deno.readTextFileSync(out).trim().split("\n").slice(1).map((l) => JSON.parse(l));
    assert.equal(rows[0].dispatches, 1000);
    assert(rows.every(({ oursUs }) => oursUs > 0));
    const compared = await gyrus("bench", "compare", out, out);
    assert.equal(compared.out.length, rows.length + rows.filter(({ rawUs }) => rawUs).length + 1);
    assert(compared.out.every((line) => line.startsWith("× 1.00")));
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("benchAll() keeps the lines of every bench and goes on after one that fails", async () => {
  const folder = Deno.makeTempDirSync();
  const options = { json: true, seed: 0, backend: "deno", out: `${folder}/all` } as const;
  const parts = { wrong: ["no_such_kernel"], axpy: ["axpy", "--samples", "1"] };
  const { log, error } = console;
  const said: string[] = [];
  console.log = console.error = (line: string) => void said.push(line);
  try {
    await benchAll(register, options, parts);
    const [head, row] = Deno.readTextFileSync(`${folder}/all/axpy.jsonl`).trim().split("\n");
    assert.equal(typeof JSON.parse(head).adapter, "string");
    assert.equal(JSON.parse(row).kernel, "axpy");
    const { results } = JSON.parse(Deno.readTextFileSync(`${folder}/all/run.json`));
    assert.match(results.failures.wrong, /no kernel has such a name/);
    await assert.rejects(
      benchAll(register, { ...options, out: `${folder}/none` }, { wrong: parts.wrong }),
      /every part failed, Cannot bench no_such_kernel/,
    );
  } finally {
    Object.assign(console, { log, error });
    Deno.removeSync(folder, { recursive: true });
  }
});
