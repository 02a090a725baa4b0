/**
 * `gyrus bench ncut`: at a tiny size every way is told, ours nearer to the exact cut than the sampled algorithm it is compared with.
 */
import assert from "node:assert/strict";
import { clusteredNodes } from "../bench/ncut_nodes.ts";
import { walkResiduals } from "../bench/ncut_residual.ts";
import { foldIn, randomKey } from "../engine/random.ts";
import type { HostMatrix } from "../pipelines/encoding/host_matrix.ts";
import { Ncut } from "../pipelines/spectral/ncut.ts";
import { openTestGpu } from "./_gpu.ts";
import { gyrus } from "./console.ts";

Deno.test("bench ncut tells seconds of every way and errors against the exact cut", async () => {
  const sizes = ["--check-nodes", "1200", "--max-nodes", "1000", "--width", "24", "--n-eig", "6"];
  const { code, out, errors } = await gyrus(
    "bench",
    "ncut",
    ...sizes,
    "--affinity",
    "rbf",
    "--json",
  );
  assert.deepEqual([code, errors], [0, []]);
  const [head, ...rows] = out.map((line) => JSON.parse(line));
  assert.ok(head.peaks.gflops > 0);
  const at = (n: number) => rows.filter((row) => row.n === n).map(({ method }) => method);
  const ours = ["nystrom", "kernel"];
  assert.deepEqual(at(1200), [
    "exact",
    "nystrom",
    "nystrom 512",
    "kernel",
    "v3 in full",
    "v3 sampled",
  ]);
  assert.deepEqual(at(1000), ["exact", ...ours, "v3 in full"]);
  for (const row of rows) {
    assert.ok(row.seconds > 0 && row.scale > 0);
    assert.equal(row.error !== undefined, row.n === 1200, row.method);
    const isHardware = !/llvmpipe|SwiftShader/.test(head.adapter);
    assert.equal("published4090Seconds" in row, isHardware && row.n === 1000);
  }
  const error = (method: string) => rows.find((row) => row.method === method).error;
  assert.ok(error("exact").largestSine < 1e-2, "another first block of the solver, the same span");
  assert.ok(error("nystrom").largestSine < error("v3 sampled").largestSine / 3);
  assert.ok(error("nystrom").lost < error("v3 sampled").lost / 3);
  const residual = (method: string) => rows.find((row) => row.method === method).residual;
  assert.ok(residual("exact") < 1e-3 && residual("nystrom") < residual("v3 sampled") / 3);
});

Deno.test("walkResiduals() is 0 for eigenvectors and the sine of a turn out of their span", async () => {
  using gpu = await openTestGpu();
  const n = 300,
    source = clusteredNodes(n, 12, randomKey(4)),
    affinity = { kind: "rbf", sigma: 4 } as const;
  using cut = await new Ncut(gpu, { nEig: 13, affinity, method: "exact", key: randomKey(1) }).fit(
    source,
  );
  const column = (row: number, j: number) => cut.eigvec.data[row * 13 + j];
  // cos·u + sin·v has the image λ·cos·u + μ·sin·v: of its length λ, (λ − μ)·sin·cos lies off it.
  const angle = 0.01;
  const spans = [0, angle, Math.PI / 2].map((by): HostMatrix => ({
    data: Float32Array.from({ length: 2 * n }, (_, at) => {
      const row = Math.floor(at / 2);
      if (at % 2 === 0) return column(row, 0);
      return Math.cos(by) * column(row, 1) + Math.sin(by) * column(row, 12);
    }),
    shape: [n, 2],
  }));
  const [own, turned, other] = await walkResiduals(gpu, source, affinity, {
    spans,
    key: randomKey(2),
  });
  const ratio = 1 - cut.eigval[12] / cut.eigval[1];
  assert.ok(own < 1e-4 && other < 1e-3, `${own}, ${other}`);
  assert.ok(Math.abs(turned / angle - ratio) < 0.02, `${turned} for ${angle * ratio}`);
});

Deno.test("bench ncut refuses affinities and sizes that there are not", async () => {
  const cases: [RegExp, string[]][] = [
    [/must be rbf or cosine/, ["--affinity", "euclidean"]],
    [/width must be at least 1/, ["--width", "0"]],
  ];
  for (const [message, args] of cases) {
    const { code, errors } = await gyrus("bench", "ncut", ...args);
    assert.equal(code, 2);
    assert.match(errors.join("\n"), message);
  }
});

Deno.test("clusteredNodes() gives the same row however it is read, and fills all clusters", () => {
  const nodes = clusteredNodes(3000, 16, foldIn(randomKey(0), 1));
  const whole = nodes.readRows(0, 3000);
  assert.deepEqual(nodes.readRows(1234, 1300), whole.slice(1234 * 16, 1300 * 16));
  assert.deepEqual(clusteredNodes(10 ** 6, 16, foldIn(randomKey(0), 1)).readRows(0, 3000), whole);
});
