import assert from "node:assert/strict";
import { foldIn, normal, randomKey } from "../../mod.ts";
import { type HostMatrix, hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { nearestRows } from "../../pipelines/stats/nearest_rows.ts";
import { embeddingColors, fitUmap } from "../../pipelines/stats/umap.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const key = randomKey(61);
const [nClusters, width] = [4, 16];
const refusal = (message: RegExp) => ({ name: "InputError", message });

/** Rows about four directions, in turn; lengths vary a thousandfold, which an angle must not see. */
function clustered(seed: number, n: number): HostMatrix {
  const centres = normal(randomKey(62), nClusters * width),
    noise = normal(randomKey(seed), n * width);
  const lengths = normal(foldIn(randomKey(seed), 1), n);
  const data = noise.map((value, at) => {
    const i = Math.floor(at / width);
    const centre = centres[(i % nClusters) * width + at % width];
    return (centre + 0.25 * value) * 10 ** (1.5 * Math.tanh(lengths[i]));
  });
  return hostMatrix(data, [n, width]);
}

const rows = clustered(63, 160), more = clustered(64, 40);
const fitted = await fitUmap(rows, { key });

const pointsOf = ({ data, shape: [n, c] }: HostMatrix) =>
  Array.from({ length: n }, (_, i) => Array.from(data.subarray(i * c, (i + 1) * c)));
const apart = (a: number[], b: number[]) => Math.hypot(...a.map((value, axis) => value - b[axis]));

function angle(a: HostMatrix, i: number, b: HostMatrix, j: number): number {
  let [ab, aa, bb] = [0, 0, 0];
  for (let c = 0; c < a.shape[1]; c++) {
    const [x, y] = [a.data[i * a.shape[1] + c], b.data[j * b.shape[1] + c]];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return Math.acos(Math.min(1, ab / Math.sqrt(aa * bb))) / Math.PI;
}

Deno.test("nearestRows() are the nearest of all, by angle and by length, on host and device", async () => {
  const n = rows.shape[0], [queries, points] = [pointsOf(more), pointsOf(rows)];
  const cases = [["angular", 6], ["euclidean", 6], ["euclidean", 30]] as const; // the last sorts on the host
  for (const [metric, k] of cases) {
    const near = await nearestRows(more, rows, { k, metric });
    for (let i = 0; i < more.shape[0]; i++) {
      const all = Array.from({ length: n }, (_, j) => ({
        j,
        d: metric === "angular" ? angle(more, i, rows, j) : apart(queries[i], points[j]),
      })).sort((a, b) => a.d - b.d).slice(0, k);
      assert.deepEqual([...near.indices.subarray(i * k, (i + 1) * k)], all.map(({ j }) => j));
      all.forEach(({ d }, r) => assert(Math.abs(near.distances[i * k + r] - d) < 1e-7));
    }
    assert.deepEqual(await nearestRows(more, rows, { k, metric, gpu }), near);
  }
  const line = hostMatrix([1, 1, 2, 2, 1, 1], [3, 2]); // one direction three times
  const ties = await nearestRows(line, line, { k: 2, metric: "angular" });
  assert.deepEqual([...ties.indices], [0, 1, 0, 1, 0, 1]);
  assert(ties.distances.every((d) => d === 0));
});

Deno.test("fitUmap() keeps planted clusters on a sphere apart", () => {
  const points = pointsOf(fitted.embedding);
  assert.equal(fitted.embedding.shape[1], 3);
  // The nearest neighbour of a point is of its cluster, for all but stray points: chance is a quarter.
  const right = points.filter((point, i) => {
    let [best, nearest] = [Infinity, -1];
    points.forEach((other, j) => {
      if (j === i || apart(point, other) >= best) return;
      [best, nearest] = [apart(point, other), j];
    });
    return nearest % nClusters === i % nClusters;
  }).length;
  assert(right / points.length > 0.98, `${right} of ${points.length}`);
});

Deno.test("transform() puts rows among the fitted ones of their cluster, and fitted rows near themselves", async () => {
  const points = pointsOf(fitted.embedding);
  const extent = Math.max(...points.map((p) => apart(p, points[0])));
  const placed = pointsOf(await fitted.transform(rows));
  const moved = placed.map((p, i) => apart(p, points[i])).sort((a, b) => a - b);
  assert(moved[Math.floor(moved.length / 2)] < 0.15 * extent, "half of the fitted rows");
  const strangers = pointsOf(await fitted.transform(more));
  const centre = (c: number) =>
    [0, 1, 2].map((axis) =>
      points.filter((_, i) => i % nClusters === c).reduce((s, p) => s + p[axis] / 40, 0)
    );
  const centres = [0, 1, 2, 3].map(centre);
  strangers.forEach((point, i) => {
    const distances = centres.map((c) => apart(point, c));
    assert.equal(distances.indexOf(Math.min(...distances)), i % nClusters);
  });
});

Deno.test("transform() is the mean of neighbours with UMAP's weights, row by row", async () => {
  const k = 15;
  const near = await nearestRows(more, rows, { k, metric: "angular" });
  const got = await fitted.transform(more);
  for (const i of [0, 7, 39]) {
    const d = near.distances.subarray(i * k, (i + 1) * k);
    const sumAt = (logSigma: number) =>
      d.reduce((sum, x) => sum + Math.exp((d[0] - x) / Math.exp(logSigma)), 0);
    let [low, high] = [-60, 60];
    for (let step = 0; step < 200; step++) {
      const middle = (low + high) / 2;
      if (sumAt(middle) < Math.log2(k)) low = middle;
      else high = middle;
    }
    const weights = d.map((x) => Math.exp((d[0] - x) / Math.exp(high)) / sumAt(high));
    for (const axis of [0, 1, 2]) {
      const want = weights.reduce(
        (sum, w, r) => sum + w * fitted.embedding.data[near.indices[i * k + r] * 3 + axis],
        0,
      );
      // A coordinate is below 20 and rounded to f32 once.
      assert(Math.abs(got.data[i * 3 + axis] - want) < 20 * 2 ** -24);
    }
  }
  const alone = await fitted.transform(hostMatrix(more.data.slice(0, width), [1, width]));
  assert.deepEqual([...alone.data], [...got.data.subarray(0, 3)], "whatever else is transformed");
  assert.deepEqual((await fitted.transform(more)).data, got.data);
});

Deno.test("fitUmap() gives the same bits for the same key alone", async () => {
  const again = await fitUmap(rows, { key });
  assert.deepEqual(again.embedding, fitted.embedding);
  const other = await fitUmap(rows, { key: randomKey(65) });
  assert.notDeepEqual(other.embedding.data, fitted.embedding.data);
});

Deno.test("embeddingColors() shares a range between cortex and image", async () => {
  const { rgb, range } = embeddingColors(fitted.embedding);
  const sorted = (axis: number) =>
    Array.from({ length: 160 }, (_, i) => rgb[i * 3 + axis]).sort((a, b) => a - b);
  for (const axis of [0, 1, 2]) {
    assert.equal(sorted(axis)[2], 0);
    assert.equal(sorted(axis)[157], 255);
    assert(new Set(sorted(axis)).size > 40);
  }
  const some = hostMatrix(fitted.embedding.data.slice(30, 60), [10, 3]);
  assert.deepEqual([...embeddingColors(some, range).rgb], [...rgb.subarray(30, 60)]);
  assert.notDeepEqual([...embeddingColors(some).rgb], [...rgb.subarray(30, 60)]);
  const patches = await fitted.transform(more);
  assert.deepEqual(embeddingColors(patches, range).range, range);
  const flat = embeddingColors(hostMatrix(new Float32Array(6), [2, 3]));
  assert.deepEqual([...flat.rgb], new Array(6).fill(128));
  assert.throws(() => embeddingColors(hostMatrix([1, 2], [1, 2])), refusal(/\[1,2\]/));
  assert.throws(() => embeddingColors(hostMatrix([], [0, 3])), refusal(/points/));
});

Deno.test("UMAP refuses rows without direction and options out of range, and stops when asked to", async () => {
  const zero = hostMatrix(rows.data.slice(), rows.shape);
  zero.data.fill(0, 5 * width, 6 * width);
  await assert.rejects(fitUmap(zero, { key }), refusal(/row 5 .* is zero and has no direction/));
  await assert.rejects(fitted.transform(zero), refusal(/the queries .* row 5/));
  zero.data[7 * width] = NaN;
  await assert.rejects(
    fitUmap(zero, { key, metric: "euclidean" }),
    refusal(/row 7 .* is not finite/),
  );
  const few = hostMatrix(rows.data.slice(0, 15 * width), [15, width]);
  await assert.rejects(fitUmap(few, { key }), refusal(/15 rows with 15 neighbours/));
  await assert.rejects(fitUmap(rows, { key, nComponents: 0 }), refusal(/0 components/));
  await assert.rejects(fitUmap(rows, { key, minDist: 1 }), refusal(/minDist 1/));
  const narrow = hostMatrix(new Float32Array(8).fill(1), [1, 8]);
  await assert.rejects(fitted.transform(narrow), refusal(/\[1,8\] among \[160,16\]/));
  await assert.rejects(fitUmap(rows, { key, signal: AbortSignal.abort() }), { name: "AbortError" });
});
