/**
 * Permutation tests of image-property correlates against refits and maps that are made one by one in float64.
 */
import assert from "node:assert/strict";
import { bhFdr, fitRidge, foldIn, normal, randomKey, Tensor } from "../../mod.ts";
import type { DenseImages } from "../../pipelines/dense/correlates.ts";
import { measureCorrelates } from "../../pipelines/dense/correlates.ts";
import { correlatesTest } from "../../pipelines/dense/correlates_null.ts";
import { maskPearson } from "../../pipelines/dense/localization_metrics.ts";
import { permutation } from "../../pipelines/encoding/cross_validation.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { PermutedRidge } from "../../pipelines/encoding/permuted_ridge.ts";
import { pinvHost } from "../../pipelines/stats/svd.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const key = randomKey(31);
const [n, m, nTargets, nImages, nPatches] = [40, 6, 7, 5, 20];
const features = hostMatrix(normal(randomKey(32), n * m), [n, m]);
const responses = hostMatrix(normal(randomKey(33), n * nTargets), [n, nTargets]);
const alphas = Float64Array.from({ length: nTargets }, (_, v) => 10 ** (v - 3));
const dense = normal(randomKey(34), nImages * nPatches * m);
const data = Float64Array.from(normal(randomKey(35), nImages * 2 * nPatches));
data.fill(1, 3 * nPatches, 4 * nPatches); // property b of image 1 is constant
const properties = { names: ["a", "b"], data };
const size = nPatches * m;
const images: DenseImages = {
  ...{ nImages, nPatches, nFeatures: m },
  read: (i) => Tensor.from(gpu, dense.subarray(i * size, (i + 1) * size), [nPatches, m]),
};
const problem = { features, responses, alphas };

/** Ridge weights `[m]` of one target by the normal equations, row `order[i]` of the features meeting response `i`. */
function refit(voxel: number, order: ArrayLike<number>): Float64Array {
  const mean = (j: number) => {
    let total = 0;
    for (let i = 0; i < n; i++) total += features.data[i * m + j] / n;
    return total;
  };
  const means = Array.from({ length: m }, (_, j) => mean(j));
  const x = (i: number, j: number) => features.data[order[i] * m + j] - means[j];
  const system = new Float64Array(m * m), right = new Float64Array(m);
  for (let i = 0; i < n; i++) {
    for (let a = 0; a < m; a++) {
      right[a] += x(i, a) * responses.data[i * nTargets + voxel];
      for (let b = 0; b < m; b++) system[a * m + b] += x(i, a) * x(i, b);
    }
  }
  for (let a = 0; a < m; a++) system[a * m + a] += alphas[voxel];
  const inverse = pinvHost(system, [m, m]);
  return right.map((_, a) => right.reduce((sum, value, b) => sum + inverse[a * m + b] * value, 0));
}

/** Mean correlation of the maps of some weights with property `p`, the one of image `order[i]` for image `i`. */
function correlationOf(w: Float64Array, p: number, order: ArrayLike<number>): number {
  const values: number[] = [];
  for (let i = 0; i < nImages; i++) {
    if (p === 1 && order[i] === 1) continue;
    const map = Float64Array.from({ length: nPatches }, (_, patch) => {
      const row = dense.subarray(i * size + patch * m, i * size + patch * m + m);
      return row.reduce((sum, x, a) => sum + x * w[a], 0) / Math.hypot(...row);
    });
    const start = (order[i] * 2 + p) * nPatches;
    values.push(maskPearson(map, data.subarray(start, start + nPatches)));
  }
  return values.reduce((sum, r) => sum + r / values.length, 0);
}

const identity = (count: number) => Array.from({ length: count }, (_, i) => i);

Deno.test("PermutedRidge refits by the normal equations, in any order", async () => {
  using ridge = await PermutedRidge.open(gpu, problem);
  const orders = [Uint32Array.from(identity(n)), permutation(key, n)];
  const { y, shrink } = ridge.targets(2, nTargets);
  using _y = y, _shrink = shrink;
  using weights = ridge.weights(orders, { y, shrink });
  const got = await weights.data(), width = nTargets - 2;
  for (const [o, order] of orders.entries()) {
    for (let v = 2; v < nTargets; v++) {
      const want = refit(v, order), scale = Math.hypot(...want);
      // Sums of 40 products in f32 over eigenvalues that differ by less than ten times: 1e-6.
      for (let a = 0; a < m; a++) {
        assert(Math.abs(got[a * 2 * width + o * width + v - 2] - want[a]) < 1e-5 * scale);
      }
    }
  }
  const bad = { ...problem, alphas: alphas.with(3, 0) };
  await assert.rejects(PermutedRidge.open(gpu, bad), { message: /the one of target 3 is 0/ });
});

Deno.test("correlatesTest() counts what refitted encoders, or exchanged images, reach", async () => {
  const nPermutations = 60;
  for (const kind of ["responses", "images"] as const) {
    const rows = kind === "responses" ? n : nImages;
    const result = await correlatesTest(gpu, { images, properties }, problem, {
      ...{ key, null: kind, nPermutations },
    });
    for (let v = 0; v < nTargets; v++) {
      const rs = Array.from({ length: 1 + nPermutations }, (_, o) => {
        const order = o === 0 ? identity(rows) : permutation(foldIn(key, o - 1), rows);
        const w = refit(v, kind === "responses" ? order : identity(n));
        return [0, 1].map((p) =>
          correlationOf(w, p, kind === "images" ? order : identity(nImages))
        );
      });
      for (const p of [0, 1]) {
        const [observed, ...null_] = rs.map((pair) => pair[p]);
        const beyond = null_.filter((r) => Math.abs(r) >= Math.abs(observed) - 1e-6).length;
        const at = p * nTargets + v;
        assert(Math.abs(result.correlations[at] - observed) < 1e-5, `${kind}: ${observed}`);
        assert.equal(result.pValues[at], (1 + beyond) / (1 + nPermutations));
      }
    }
    const q = bhFdr(result.pValues.subarray(nTargets));
    assert.deepEqual(result.qValues.subarray(nTargets), q);
    const parts = await correlatesTest(gpu, { images, properties }, problem, {
      ...{ key, null: kind, nPermutations, nTargetsBatch: 3 },
    });
    assert.deepEqual(parts.pValues, result.pValues);
  }
});

Deno.test("correlatesTest() finds planted voxels, and as many others as chance does", async () => {
  // Feature 0 of the patches is the property plus noise; planted voxels answer to feature 0, the rest to nothing.
  const [rows, width, count, patches, many, planted] = [120, 8, 6, 36, 220, 20];
  const x = normal(randomKey(41), rows * width), y = normal(randomKey(42), rows * many);
  for (let i = 0; i < rows; i++) {
    for (let v = 0; v < planted; v++) y[i * many + v] += 2 * x[i * width];
  }
  const patchFeatures = normal(randomKey(43), count * patches * width);
  const noise = normal(randomKey(44), count * patches);
  const depth = noise.map((value, at) => patchFeatures[at * width] + value);
  const source: DenseImages = {
    ...{ nImages: count, nPatches: patches, nFeatures: width },
    read: (i) => {
      const values = patches * width;
      return Tensor.from(gpu, patchFeatures.subarray(i * values, (i + 1) * values), [
        patches,
        width,
      ]);
    },
  };
  const maps = { names: ["depth"], data: depth };
  const moments = await measureCorrelates(gpu, source, maps);
  const { pValues, qValues } = await correlatesTest(gpu, { images: source, properties: maps }, {
    features: hostMatrix(x, [rows, width]),
    responses: hostMatrix(y, [rows, many]),
    alphas: new Float64Array(many).fill(10),
  }, { key, nPermutations: 399, moments });
  assert(qValues.subarray(0, planted).every((q) => q < 0.05), "planted voxels are found");
  // 200 voxels without signal: 10 below 0.05 are expected, with a deviation of √(200 · 0.05 · 0.95) = 3.1.
  const found = pValues.subarray(planted).filter((p) => p <= 0.05).length;
  assert(Math.abs(found - 10) < 4 * 3.1, `${found} of 200 voxels without signal`);
  const rest = pValues.subarray(planted);
  const mean = rest.reduce((sum, p) => sum + p / rest.length, 0);
  assert(Math.abs(mean - 0.5) < 4 / Math.sqrt(12 * rest.length), `their mean p-value is ${mean}`);
});

Deno.test("correlatesTest() goes through orders in groups that fit, and by targets", async () => {
  const rows = 2100, many = 2050; // 250 orders of 8 features and 2,050 targets are more than are on the device at once
  const large = {
    features: hostMatrix(normal(randomKey(51), rows * m), [rows, m]),
    responses: hostMatrix(normal(randomKey(52), rows * many), [rows, many]),
    alphas: new Float64Array(many).fill(3),
  };
  const seen: number[] = [];
  const call = {
    key,
    nPermutations: 4,
    onProgress: (e: { done: number }) => void seen.push(e.done),
  };
  const all = await correlatesTest(gpu, { images, properties }, large, call);
  assert(seen.length >= 2 && seen.at(-1) === 10, `${seen}`);
  const last = Array.from(
    { length: rows * 10 },
    (_, at) => large.responses.data[Math.floor(at / 10) * many + many - 10 + at % 10],
  );
  const few = {
    ...large,
    responses: hostMatrix(last, [rows, 10]),
    alphas: new Float64Array(10).fill(3),
  };
  const alone = await correlatesTest(gpu, { images, properties }, few, { key, nPermutations: 4 });
  for (const p of [0, 1]) {
    const from = p * many + many - 10;
    assert.deepEqual(
      all.pValues.subarray(from, from + 10),
      alone.pValues.subarray(p * 10, p * 10 + 10),
    );
  }
});

Deno.test("correlatesTest() refuses what it cannot test, repeats itself, and stops when asked to", async () => {
  const refusal = (message: RegExp) => ({ name: "InputError", message });
  const call = { key, nPermutations: 9 };
  const weights = (await fitRidge(gpu, features, responses, { alpha: 1, coef: true })).coef!;
  const both = { images, properties };
  const first = await correlatesTest(gpu, both, { weights }, { ...call, null: "images" });
  assert.deepEqual(
    await correlatesTest(gpu, both, { weights }, { ...call, null: "images" }),
    first,
  );
  await assert.rejects(correlatesTest(gpu, both, { weights }, call), refusal(/cannot be refitted/));
  const none = { ...call, nPermutations: 0 };
  await assert.rejects(correlatesTest(gpu, both, problem, none), refusal(/0 permutations/));
  const wide = { weights: hostMatrix(new Float32Array(14), [7, 2]) };
  await assert.rejects(correlatesTest(gpu, both, wide, call), refusal(/weights of 7 features/));
  const moments = await measureCorrelates(gpu, images, properties);
  const one = { images, properties: { names: ["a"], data: data.subarray(nImages * nPatches) } };
  await assert.rejects(
    correlatesTest(gpu, one, problem, { ...call, moments }),
    refusal(/5 images and 1 properties with the moments of 5 images and 2/),
  );
  const signal = AbortSignal.abort();
  for (const kind of ["responses", "images"] as const) {
    const stopped = correlatesTest(gpu, both, problem, { ...call, null: kind, signal });
    await assert.rejects(stopped, { name: "AbortError" });
  }
});
