/**
 * Exact normalised cuts: golden eigenvectors of float64, multiplicities, planted groups and the rules for odd graphs.
 */
import assert from "node:assert/strict";
import {
  type Affinity,
  affinityGraph,
  cutGraph,
  exactNcut,
  featureGraph,
  normal,
  randomKey,
  sub,
  Tensor,
  tidy,
} from "../../mod.ts";
import { openMethodGpu } from "../_gpu.ts";
import { GoldenFile } from "../golden_file.ts";
import { assertOrthonormal, assertWithin, compareCuts, principalSine } from "./ncut_golden.ts";

const gpu = await openMethodGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

Deno.test("golden: exactNcut() has the eigenvalues and subspaces of float64", async () => {
  const { data } = new GoldenFile("ncut_images_x").f32("in.images.X");
  using x = Tensor.from(gpu, data, [768, 64]);
  await compareCuts(x, { file: new GoldenFile("ncut_images"), name: "images", eigvec: "eigvec6" });
});

const rbf: Affinity = { kind: "rbf", sigma: 1 };

/** Groups of nodes 100 apart on their own axis, so that affinities between them are 0. */
function apart(sizes: readonly number[], spread = 0.3): Tensor {
  const n = sizes.reduce((a, b) => a + b), d = sizes.length;
  const x = normal(randomKey(n), n * d).map((v) => spread * v);
  sizes.flatMap((size, group) => Array(size).fill(group)).forEach((group, i) => {
    x[i * d + group] += 100;
  });
  return Tensor.from(gpu, x, [n, d]);
}

Deno.test("exactNcut() finds eigenvalue 1 once for every part of a disconnected graph", async () => {
  using x = apart([40, 25, 30, 10, 1]);
  for (const solver of ["dense", "krylov"] as const) {
    const { eigval, eigvec, isConverged } = await exactNcut(x, {
      affinity: rbf,
      nEig: 8,
      solver,
    });
    assert(isConverged);
    for (let i = 0; i < 5; i++) assertWithin(Math.abs(eigval[i] - 1), 1e-5, `${solver}: λ${i}`);
    assert(eigval[5] < 0.9);
    // The span holds the parts: rows of two nodes of one part are parallel, of two parts orthogonal.
    const row = (i: number) => eigvec.data.subarray(i * 8, i * 8 + 5);
    const cosine = (i: number, j: number) => {
      const dot = (a: Float32Array, b: Float32Array) => a.reduce((s, v, c) => s + v * b[c], 0);
      return dot(row(i), row(j)) / Math.sqrt(dot(row(i), row(i)) * dot(row(j), row(j)));
    };
    assertWithin(Math.abs(cosine(0, 39) - 1), 1e-4, `${solver}: within`);
    assertWithin(Math.abs(cosine(0, 50)), 1e-4, `${solver}: between`);
    assertWithin(Math.abs(cosine(105, 100)), 1e-4, `${solver}: the single node`);
  }
});

Deno.test("a graph in many panels of rows is the graph in one", async () => {
  const n = 300, d = 12;
  using x = Tensor.from(gpu, normal(randomKey(5), n * d), [n, d]);
  const affinity: Affinity = { kind: "euclidean", gamma: 2 };
  const [one, many] = await Promise.all([{}, { panelBytes: n * 4 * 64 }].map((options) => {
    return exactNcut(x, { affinity, nEig: 30, ...options });
  }));
  one.eigval.forEach((value, i) => assertWithin(Math.abs(many.eigval[i] - value), 2e-6, `λ${i}`));
  assertWithin(principalSine(one.eigvec, many.eigvec, 1), 1e-5, "the first vector");
  assert(many.residuals.every((r) => r <= 1e-5));
  using first = await featureGraph(x, affinity);
  using panels = await featureGraph(x, affinity, { panelBytes: n * 4 * 64 });
  using difference = tidy(gpu, () => sub(first.matrixOutside(), panels.matrixOutside()));
  (await difference.data()).forEach((v) => assertWithin(Math.abs(v), 1e-6, "an entry"));
});

Deno.test("exactNcut() agrees with itself by both solvers, far into the tail", async () => {
  const n = 640, d = 16;
  using x = Tensor.from(gpu, normal(randomKey(6), n * d), [n, d]);
  const affinity: Affinity = { kind: "cosine", gamma: 0.3 };
  using graph = await featureGraph(x, affinity);
  const krylov = await cutGraph(graph, { nEig: 40, solver: "krylov" });
  const dense = await cutGraph(graph, { nEig: 40, solver: "dense" });
  // A residual of 1e-5 bounds the error of an eigenvalue.
  dense.eigval.forEach((value, i) => {
    assertWithin(Math.abs(krylov.eigval[i] - value), 1e-5, `λ${i}`);
  });
  assert(krylov.isConverged && dense.isConverged);
  assertOrthonormal(krylov);
  const again = await cutGraph(graph, { nEig: 40, solver: "krylov" });
  assert.deepEqual(again.eigvec.data, krylov.eigvec.data);
});

Deno.test("a cut orders eigenvalues by sign, and takes graphs that are not positive semi-definite", async () => {
  // Two groups that repel themselves: within a group 0.2, between 1. The eigenvalue −2/3 is second in magnitude and last by sign.
  const n = 12, group = (i: number) => i % 2;
  const a = Float32Array.from({ length: n * n }, (_, at) => {
    const i = Math.floor(at / n), j = at % n;
    return group(i) === group(j) ? 0.2 + (i === j ? 0.3 : 0) : 1;
  });
  using affinities = Tensor.from(gpu, a, [n, n]);
  using graph = await affinityGraph(affinities);
  for (const solver of ["dense", "krylov"] as const) {
    const cut = await cutGraph(graph, { nEig: n, solver });
    const degree = 6 * 1.2 + 0.3;
    const want = [1, ...Array(10).fill(0.3 / degree), (6 * 0.2 + 0.3 - 6) / degree];
    cut.eigval.forEach((v, i) => assertWithin(Math.abs(v - want[i]), 1e-6, `${solver}: λ${i}`));
    assertOrthonormal(cut);
  }
  // Negative affinities allow an eigenvalue above 1, which then leads.
  using two = Tensor.from(gpu, [2, -1, -1, 2], [2, 2]);
  using repelled = await affinityGraph(two);
  const { eigval } = await cutGraph(repelled, { nEig: 2 });
  assertWithin(Math.abs(eigval[0] - 3) + Math.abs(eigval[1] - 1), 1e-5, "eigenvalue 3");
  using x = Tensor.from(gpu, normal(randomKey(7), 60 * 5), [60, 5]);
  const cut = await exactNcut(x, { affinity: { kind: "squared-cosine", sigma: 0.5 }, nEig: 20 });
  assert(cut.isConverged);
});

Deno.test("exactNcut() takes duplicates and single nodes, and refuses what has no cut", async () => {
  const rows = [1, 2, 1, 2, -1, 0.5, 1, 2, 3, 1];
  using doubled = Tensor.from(gpu, rows, [5, 2]);
  const { eigvec, eigval } = await exactNcut(doubled, { affinity: rbf, nEig: 5 });
  // Equal nodes have equal rows in every eigenvector of an eigenvalue that is not 0; their differences have the eigenvalue 0.
  for (let j = 0; j < 5; j++) {
    if (eigval[j] < 1e-3) continue;
    assertWithin(Math.abs(eigvec.data[j] - eigvec.data[5 + j]), 1e-5, `column ${j}`);
  }
  assertWithin(Math.abs(eigval[3]) + Math.abs(eigval[4]), 1e-5, "eigenvalues of differences");
  using one = Tensor.from(gpu, [3, 4], [1, 2]);
  const single = await exactNcut(one, { affinity: rbf, nEig: 1 });
  assert.deepEqual([Array.from(single.eigval), Array.from(single.eigvec.data)], [[1], [1]]);
  const refused = (message: RegExp) => ({ name: "InputError", message });
  const cut = (x: Tensor, affinity: Affinity, nEig = 2) => exactNcut(x, { affinity, nEig });
  await assert.rejects(cut(doubled, rbf, 6), refused(/from 1 to 5/));
  await assert.rejects(cut(doubled, rbf, 0), refused(/from 1 to 5/));
  using zero = Tensor.from(gpu, [1, 2, 0, 0], [2, 2]);
  await assert.rejects(cut(zero, { kind: "cosine", gamma: 1 }), refused(/row 1/));
  using bad = Tensor.from(gpu, [1, 2, 1, NaN], [2, 2]);
  await assert.rejects(cut(bad, rbf), refused(/row 1 .* NaN/));
});

Deno.test("affinityGraph() refuses negative degrees and one-sided affinities, and floors a degree of 0", async () => {
  const graph = async (values: number[]) => {
    using a = Tensor.from(gpu, values, [2, 2]);
    using made = await affinityGraph(a);
    return await cutGraph(made, { nEig: 2 });
  };
  const refused = (message: RegExp) => ({ name: "InputError", message });
  await assert.rejects(graph([1, 0, 0, -1]), refused(/node 1 .* has -1/));
  await assert.rejects(graph([1, 0.5, 0, 1]), refused(/symmetric/));
  await assert.rejects(graph([1, NaN, NaN, 1]), refused(/node 0/));
  const { eigval } = await graph([1, 0, 0, 0]);
  assertWithin(Math.abs(eigval[0] - 1) + Math.abs(eigval[1]), 1e-6, "an isolated node");
  using wide = Tensor.zeros(gpu, [2, 3]);
  await assert.rejects(affinityGraph(wide), refused(/\[n, n\]/));
});
