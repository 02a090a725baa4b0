import assert from "node:assert/strict";
import { Gpu } from "../../engine/gpu.ts";
import { normal, randomKey } from "../../engine/random.ts";
import {
  gaussianTargets,
  lowLevelFeatures,
  noisyTargets,
  readoutTargets,
  shuffledTargets,
} from "../../pipelines/aligned_cut/control_targets.ts";
import { columnMeans, hostMatrix, range } from "../../pipelines/encoding/host_matrix.ts";
import type { HostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { assertInputError } from "./io_fixtures.ts";

/** Covariance of the columns, `[width, width]`. */
function covariance(x: HostMatrix): Float64Array {
  const [n, width] = x.shape, means = columnMeans(x, range(n));
  const c = new Float64Array(width * width);
  for (let r = 0; r < n; r++) {
    for (let i = 0; i < width; i++) {
      for (let j = 0; j < width; j++) {
        c[i * width + j] += (x.data[r * width + i] - means[i]) *
          (x.data[r * width + j] - means[j]) / n;
      }
    }
  }
  return c;
}

/** Correlated responses with means: column j holds the draws of columns 0 to j, plus j. */
function responses(n: number, width: number, seed: number): HostMatrix {
  const draws = normal(randomKey(seed), n * width), data = new Float32Array(n * width);
  for (let r = 0; r < n; r++) {
    let sum = 0;
    for (let j = 0; j < width; j++) data[r * width + j] = (sum += draws[r * width + j]) + j;
  }
  return hostMatrix(data, [n, width]);
}

Deno.test("shuffledTargets() moves whole rows, each once", () => {
  const y = hostMatrix(Float32Array.from({ length: 40 }, (_, i) => i), [20, 2]);
  const { data } = shuffledTargets(y, randomKey(3));
  const first = Array.from({ length: 20 }, (_, r) => data[2 * r]);
  assert.deepEqual(first.toSorted((a, b) => a - b), Array.from({ length: 20 }, (_, r) => 2 * r));
  first.forEach((value, r) => assert.equal(data[2 * r + 1], value + 1));
  assert.ok(first.filter((value, r) => value === 2 * r).length < 6); // one fixed row is expected
  assert.deepEqual(shuffledTargets(y, randomKey(3)).data, data);
  assert.notDeepEqual(shuffledTargets(y, randomKey(4)).data, data);
});

Deno.test("gaussianTargets() keep means and covariance of the voxels, and nothing of the images", async () => {
  using gpu = await Gpu.open();
  const n = 1500, width = 4, y = responses(n, width, 1); // 1500 rows are two blocks
  const drawn = await gaussianTargets(gpu, y, randomKey(2));
  const expected = covariance(y), found = covariance(drawn);
  for (let i = 0; i < width; i++) {
    for (let j = 0; j < width; j++) {
      // Standard error of a covariance of normal draws, five times.
      const at = i * width + j;
      const se = Math.sqrt(
        (expected[i * width + i] * expected[j * width + j] + expected[at] ** 2) / n,
      );
      assert.ok(
        Math.abs(found[at] - expected[at]) < 5 * se,
        `${i},${j}: ${found[at]} ${expected[at]}`,
      );
    }
  }
  const [a, b] = [y, drawn].map((x) => columnMeans(x, range(n)));
  a.forEach((mean, j) =>
    assert.ok(Math.abs(b[j] - mean) < 5 * Math.sqrt(expected[j * width + j] / n))
  );
  const both = hostMatrix(
    Float32Array.from({ length: 2 * n }, (_, i) => (i % 2 ? drawn : y).data[(i >> 1) * width + 3]),
    [n, 2],
  );
  const c = covariance(both);
  assert.ok(Math.abs(c[1]) / Math.sqrt(c[0] * c[3]) < 5 / Math.sqrt(n));
  assert.equal(gpu.liveBytes, 0);
});

Deno.test("readoutTargets() are linear in the features, and noisyTargets() as predictable as asked", async () => {
  using gpu = await Gpu.open();
  const x = responses(800, 3, 5);
  const targets = await readoutTargets(gpu, x, 6, randomKey(8));
  const gram = covariance(targets);
  for (let j = 0; j < 6; j++) assert.ok(Math.abs(gram[j * 7] - 1) < 1e-4);
  // Six targets of three features: of their covariance only three eigenvalues are not 0, so a 4x4 determinant is 0.
  const determinant = (m: number[][]): number =>
    m.length === 1 ? m[0][0] : m[0].reduce(
      (sum, value, j) =>
        sum + (j % 2 ? -1 : 1) * value *
          determinant(m.slice(1).map((row) => row.filter((_, k) => k !== j))),
      0,
    );
  const top = [0, 1, 2, 3].map((i) => [0, 1, 2, 3].map((j) => gram[i * 6 + j]));
  assert.ok(Math.abs(determinant(top)) < 1e-4, `${determinant(top)}`);
  const noisy = noisyTargets(targets, [1, 0.75, 0.5, 0.25, 0, 0.5], randomKey(9));
  [1, 0.75, 0.5, 0.25, 0, 0.5].forEach((share, j) => {
    let r = 0;
    for (let i = 0; i < 800; i++) r += targets.data[i * 6 + j] * noisy.data[i * 6 + j] / 800;
    assert.ok(Math.abs(r - Math.sqrt(share)) < 5 / Math.sqrt(800), `${j}: ${r}`);
  });
  assertInputError(() => noisyTargets(targets, 1.5, randomKey(0)), /shares from 0 to 1/);
  assertInputError(() => noisyTargets(targets, [0.5], randomKey(0)), /got 1/);
  const constant = hostMatrix(new Float32Array(8).fill(2), [4, 2]);
  await assert.rejects(readoutTargets(gpu, constant, 2, randomKey(0)), /no feature varies/);
  assert.equal(gpu.liveBytes, 0);
});

Deno.test("lowLevelFeatures() tell colours and directions of edges, cell by cell", () => {
  const size = 32;
  const image = (value: (x: number, y: number) => readonly number[]) => ({
    height: size,
    width: size,
    data: Uint8Array.from(
      { length: 3 * size * size },
      (_, i) =>
        value(Math.floor(i / 3) % size, Math.floor(i / 3 / size))[
          i % 3
        ],
    ),
  });
  const grey = (v: number) => [v, v, v];
  const { data, shape } = lowLevelFeatures([
    image((x) => grey(x % 8 < 4 ? 0 : 255)), // changes along x: direction 0
    image((_, y) => grey(y % 8 < 4 ? 0 : 255)), // along y: between directions 4 and 5
    image((x, y) => (x < 8 && y < 8 ? [255, 0, 0] : [0, 0, 0])), // red in the first cell
  ]);
  assert.deepEqual(shape, [3, 192]);
  const fieldOf = (i: number, f: number) => data.subarray(i * 192 + f * 16, i * 192 + (f + 1) * 16);
  const total = (i: number, f: number) => fieldOf(i, f).reduce((sum, value) => sum + value, 0);
  const directions = (i: number) => Array.from({ length: 9 }, (_, d) => total(i, 3 + d));
  const [across, down] = [directions(0), directions(1)];
  assert.ok(across[0] > 1);
  across.slice(1).forEach((value) => assert.ok(value < 1e-6));
  assert.ok(down[4] > 0.5 && Math.abs(down[4] - down[5]) < 1e-6);
  [0, 1, 2, 3, 6, 7, 8].forEach((d) => assert.ok(down[d] < 1e-6));
  assert.deepEqual(Array.from(fieldOf(2, 0)), [1, ...new Array(15).fill(0)]);
  assert.equal(total(2, 1), 0);
});
