/** Farthest-point sampling against the definition in float64, and rows of sources. */
import assert from "node:assert/strict";
import { normal, randomKey, uniform } from "../../engine/random.ts";
import { farthestPoints, stratifiedRows } from "../../pipelines/spectral/farthest_points.ts";
import { nodesOf, requireRows, takeNodes } from "../../pipelines/spectral/node_source.ts";
import { blockOrder } from "../../pipelines/spectral/point_blocks.ts";
import { InputError } from "../../pipelines/errors.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();

function squared(points: ArrayLike<number>, d: number, i: number, j: number): number {
  let sum = 0;
  for (let c = 0; c < d; c++) sum += (points[i * d + c] - points[j * d + c]) ** 2;
  return sum;
}

/** The picks by definition, and the least gap between the best and the second best at a pick, relative to the best. */
function byDefinition(points: ArrayLike<number>, d: number, count: number, start: number) {
  const n = points.length / d, nearest = new Float64Array(n).fill(Infinity);
  const picks: number[] = [];
  let pick = start, gap = Infinity;
  while (picks.length < count) {
    picks.push(pick);
    nearest[pick] = -1;
    for (let i = 0; i < n; i++) {
      if (nearest[i] >= 0) nearest[i] = Math.min(nearest[i], squared(points, d, i, pick));
    }
    const order = [...nearest.keys()].sort((a, b) => nearest[b] - nearest[a] || a - b);
    pick = order[0];
    if (picks.length < count) {
      gap = Math.min(gap, (nearest[pick] - nearest[order[1]]) / nearest[pick]);
    }
  }
  return { picks, gap };
}

Deno.test("farthestPoints() picks what the definition in float64 does", async () => {
  const n = 700, d = 8, count = 60;
  const data = normal(randomKey(3), n * d);
  const { picks, gap } = byDefinition(data, d, count, 11);
  // Squares of d = 8 differences: about 10 roundings of 2⁻²⁴ in each of two distances.
  assert.ok(gap > 20 * 2 ** -24, `the data has no near ties, the least gap is ${gap}`);
  for (const on of ["device", "host"] as const) {
    const options = { start: 11, candidatesPerPick: n, on };
    const found = await farthestPoints(gpu, { data, shape: [n, d] }, count, options);
    assert.deepEqual([...found], picks, on);
  }
  assert.equal(gpu.liveBytes, 0);
});

Deno.test("farthestPoints() decides ties for the first row, and takes duplicates last and once", async () => {
  const n = 150, d = 3; // whole numbers: all distances are exact
  const data = uniform(randomKey(5), n * d).map((v) => Math.floor(3 * v));
  const { picks } = byDefinition(data, d, n, 4);
  for (const on of ["device", "host"] as const) {
    const options = { start: 4, candidatesPerPick: 1, on };
    const found = await farthestPoints(gpu, { data, shape: [n, d] }, n, options);
    assert.deepEqual([...found], picks, on);
    assert.equal(new Set(found).size, n);
  }
});

Deno.test("farthestPoints() in a projection is reproducible and covers clusters", async () => {
  const n = 900, d = 40, groups = 30;
  const centres = normal(randomKey(6), groups * d), noise = normal(randomKey(7), n * d);
  const data = noise.map((v, at) => 0.05 * v + centres[Math.floor(at / d) % groups * d + at % d]);
  for (const space of ["orthogonal", "pca"] as const) {
    const run = () =>
      farthestPoints(gpu, { data, shape: [n, d] }, groups, { space, key: randomKey(1) });
    const found = await run();
    assert.deepEqual(await run(), found);
    // Noise is 1/20 of the distances of centres: only groups that fall on one spot of the 8 dimensions are missed.
    assert.ok(new Set(found.map((row) => row % groups)).size >= groups - 2, space);
  }
  assert.equal(gpu.liveBytes, 0);
});

Deno.test("farthestPoints() refuses counts and starts that there are not", async () => {
  const nodes = { data: new Float32Array(12), shape: [4, 3] as const };
  await assert.rejects(farthestPoints(gpu, nodes, 5), InputError);
  await assert.rejects(farthestPoints(gpu, nodes, 0), InputError);
  await assert.rejects(farthestPoints(gpu, nodes, 2, { start: 4 }), InputError);
  const bad = { ...nodes, data: nodes.data.with(4, NaN) };
  await assert.rejects(farthestPoints(gpu, bad, 2), /not finite/);
});

Deno.test("stratifiedRows() takes one row of each stretch", () => {
  const rows = stratifiedRows(1000, 300, randomKey(2));
  rows.forEach((row, i) => assert.ok(row >= Math.floor(i * 10 / 3) && row < (i + 1) * 10 / 3));
  assert.deepEqual([...stratifiedRows(5, 5, randomKey(2))], [0, 1, 2, 3, 4]);
});

Deno.test("blockOrder() is a permutation that puts near points together", () => {
  const n = 400, d = 2, points = uniform(randomKey(8), n * d);
  const order = blockOrder(points, n, d);
  assert.deepEqual([...order].sort((a, b) => a - b), [...Array(n).keys()]);
  let inside = 0, apart = 0;
  for (let i = 0; i + 1 < n; i++) {
    if (i % 16 !== 15) inside += squared(points, d, order[i], order[i + 1]) / (n * 15 / 16);
    apart += squared(points, d, i, i + 1) / n;
  }
  assert.ok(inside < apart / 4, `${inside} in blocks, ${apart} in the given order`);
});

Deno.test("takeNodes() reads rows of any order, and requireRows() names a bad one", () => {
  const data = Float32Array.from({ length: 300 }, (_, i) => i);
  const source = nodesOf({ data, shape: [100, 3] });
  const indices = Uint32Array.of(99, 0, 5, 5, 70, 6);
  const taken = takeNodes(source, indices, { chunkSize: 10 });
  assert.deepEqual([...taken.data], [...indices].flatMap((i) => [3 * i, 3 * i + 1, 3 * i + 2]));
  const cosine = { kind: "cosine", gamma: 1 } as const, rbf = { kind: "rbf", sigma: 1 } as const;
  const zero = new Float32Array(6).fill(1, 0, 3);
  requireRows(zero, { width: 3, firstRow: 0, affinity: rbf });
  const refused = (values: Float32Array, pattern: RegExp) =>
    assert.throws(
      () => requireRows(values, { width: 3, firstRow: 40, affinity: cosine }),
      (e: Error) => e instanceof InputError && pattern.test(e.message),
    );
  refused(zero, /row 41 .* is zero/);
  refused(zero.with(1, NaN), /row 40 .* NaN/);
  refused(zero.with(4, Infinity), /row 41 .* size Infinity/);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
