import assert from "node:assert/strict";
import { Gpu } from "../../engine/gpu.ts";
import { foldIn, normal, randomKey } from "../../engine/random.ts";
import { type HostMatrix, hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { generalizedProcrustes } from "../../pipelines/stats/procrustes.ts";
import { svdHost } from "../../pipelines/stats/svd.ts";

const key = randomKey(4);

/** A random matrix with orthonormal columns, or rows where it is wide. */
function isometry(seed: number, rows: number, cols: number): Float64Array {
  const { u, s, vt } = svdHost(normal(foldIn(key, seed), rows * cols), [rows, cols]);
  return product(u, vt, [rows, s.length, cols]);
}

function product(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  [n, k, m]: readonly [number, number, number],
): Float64Array {
  const c = new Float64Array(n * m);
  for (let i = 0; i < n; i++) {
    for (let l = 0; l < k; l++) {
      for (let j = 0; j < m; j++) c[i * m + j] += a[i * k + l] * b[l * m + j];
    }
  }
  return c;
}

/** Latents `[n, q]` seen through an isometry, shifted and scaled. */
function view(z: Float64Array, seed: number, [n, q, width]: readonly [number, number, number]) {
  const x = product(z, isometry(seed, q, width), [n, q, width]);
  return hostMatrix(Float32Array.from(x, (value) => seed * value + 1), [n, width]);
}

function mapped({ data, shape: [n, width] }: HostMatrix, map: HostMatrix): Float64Array {
  const means = new Float64Array(width);
  data.forEach((value, i) => means[i % width] += value / n);
  const centred = Float64Array.from(data, (value, i) => value - means[i % width]);
  return product(centred, map.data, [n, width, map.shape[1]]);
}

/** Mean cosine of rows that belong together. */
function cosine(a: Float64Array, b: Float64Array, width: number): number {
  let sum = 0;
  const n = a.length / width;
  for (let i = 0; i < n; i++) {
    let dot = 0, aa = 0, bb = 0;
    for (let j = i * width; j < (i + 1) * width; j++) {
      dot += a[j] * b[j];
      aa += a[j] ** 2;
      bb += b[j] ** 2;
    }
    sum += dot / Math.sqrt(aa * bb) / n;
  }
  return sum;
}

Deno.test("generalizedProcrustes() undoes rotations, shifts and scales of the same samples", async () => {
  using gpu = await Gpu.open();
  const n = 90, q = 5, z = Float64Array.from(normal(foldIn(key, 9), n * q));
  z.forEach((value, i) => z[i] = value * (1 + i % q)); // axes that differ, so that they can be told apart
  const sets = [12, 8, 5].map((width, m) => view(z, m + 1, [n, q, width]));
  for (const nComponents of [12, 5]) {
    const { maps, mean, iterations } = await generalizedProcrustes(gpu, sets, { nComponents });
    assert.ok(iterations < 30);
    assert.deepEqual(mean.shape, [n, nComponents]);
    const same = maps.map((map, m) => mapped(sets[m], map));
    for (const [a, b] of [[0, 1], [0, 2], [1, 2]]) {
      assert.ok(cosine(same[a], same[b], nComponents) > 1 - 1e-5, `${a},${b}`);
    }
    maps.forEach((map, m) => { // of full rank on the five directions that there are
      const s = svdHost(map.data, map.shape).s;
      s.forEach((value, i) =>
        assert.ok(Math.abs(value - (i < q ? 1 : 0)) < 2e-3, `${m}: ${Array.from(s)}`)
      );
    });
  }
  assert.equal(gpu.liveBytes, 0);
});

Deno.test("generalizedProcrustes() refuses what is not several views of the same samples", async () => {
  using gpu = await Gpu.open();
  const x = hostMatrix(Float32Array.from({ length: 20 }, (_, i) => i), [10, 2]);
  const short = hostMatrix(new Float32Array(8), [4, 2]);
  await assert.rejects(generalizedProcrustes(gpu, [x]), /at least two are needed/);
  await assert.rejects(generalizedProcrustes(gpu, [x, short]), /\[10,2\], \[4,2\]/);
  const bad = hostMatrix(new Float32Array(20).fill(NaN), [10, 2]);
  await assert.rejects(generalizedProcrustes(gpu, [x, bad]), /finite/);
  assert.equal(gpu.liveBytes, 0);
});
