/**
 * Correlates of relevance maps against correlations of maps that are made, patch by patch in float64.
 */
import assert from "node:assert/strict";
import { foldIn, normal, randomKey, Tensor } from "../../mod.ts";
import {
  type DenseImages,
  measureCorrelates,
  poolMoments,
  relevanceCorrelates,
  summedCorrelations,
} from "../../pipelines/dense/correlates.ts";
import { maskPearson } from "../../pipelines/dense/localization_metrics.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const [nImages, gridH, gridW, m, nTargets] = [5, 4, 7, 12, 9];
const nPatches = gridH * gridW;
const key = randomKey(21);
const names = ["depth", "saturation"];
const featuresOf = Array.from(
  { length: nImages },
  (_, i) => normal(foldIn(key, i), nPatches * m).map((value, at) => value + at % 3),
);
const weights = normal(randomKey(22), m * nTargets);
const maps = Float64Array.from(normal(randomKey(23), nImages * 2 * nPatches));
maps.fill(0.3, 3 * nPatches, 4 * nPatches); // saturation of image 1 is constant
for (let a = 0; a < m; a++) weights[a * nTargets + 4] = 0; // a voxel without weights
const properties = { names, data: maps };
const images: DenseImages = {
  ...{ nImages, nPatches, nFeatures: m },
  read: (i) => Tensor.from(gpu, featuresOf[i], [gridH, gridW, m]),
};

/** A relevance map in float64. */
function mapOf(image: number, voxel: number, unit = true): Float64Array {
  return Float64Array.from({ length: nPatches }, (_, patch) => {
    const row = featuresOf[image].subarray(patch * m, patch * m + m);
    const dot = row.reduce((sum, x, a) => sum + x * weights[a * nTargets + voxel], 0);
    return unit ? dot / Math.hypot(...row) : dot;
  });
}

function propertyOf(image: number, p: number): Float64Array {
  return maps.subarray((image * 2 + p) * nPatches, (image * 2 + p + 1) * nPatches);
}

// Features and weights of unit scale: products of 12 and sums of 28 terms lose less than 1e-6; a tenth of the length of the weights
// would be the least deviation of a map, which makes it 1e-5.
const TOLERANCE = 1e-5;

Deno.test("relevanceCorrelates() is the mean over images of the correlation of maps", async () => {
  for (const normalize of [true, false]) {
    const moments = await measureCorrelates(gpu, images, properties, { normalize });
    for (const nTargetsBatch of [undefined, 4]) {
      const r = await relevanceCorrelates(gpu, moments, hostMatrix(weights, [m, nTargets]), {
        nTargetsBatch,
      });
      for (let p = 0; p < 2; p++) {
        for (let v = 0; v < nTargets; v++) {
          const used = [0, 1, 2, 3, 4].filter((i) => p === 0 || i !== 1);
          const want = used.reduce(
            (sum, i) =>
              sum + (maskPearson(mapOf(i, v, normalize), propertyOf(i, p)) || 0) / used.length,
            0,
          );
          const got = r[p * nTargets + v];
          assert(Math.abs(got - want) < TOLERANCE, `${names[p]}, voxel ${v}: ${got}, not ${want}`);
        }
      }
    }
  }
});

Deno.test("relevanceCorrelates() pooled is the correlation over all patches", async () => {
  const moments = await measureCorrelates(gpu, images, properties);
  const shape = [m, nTargets] as const;
  const r = await relevanceCorrelates(gpu, moments, hostMatrix(weights, shape), { pooled: true });
  for (let p = 0; p < 2; p++) {
    for (let v = 0; v < nTargets; v++) {
      const map = Float64Array.from(featuresOf.flatMap((_, i) => [...mapOf(i, v)]));
      const property = Float64Array.from(featuresOf.flatMap((_, i) => [...propertyOf(i, p)]));
      const want = maskPearson(map, property) || 0;
      assert(Math.abs(r[p * nTargets + v] - want) < TOLERANCE, `${r[p * nTargets + v]}, ${want}`);
    }
  }
  assert.equal(poolMoments(moments).covariances.length, 1);
});

Deno.test("correlates are the same however many images are on the device at once", async () => {
  const moments = await measureCorrelates(gpu, images, properties);
  using w = Tensor.from(gpu, weights, [m, nTargets]);
  using all = summedCorrelations(moments, w, 1e6);
  using some = summedCorrelations(moments, w, 2 * m * m);
  const [a, b] = [await all.data(), await some.data()];
  a.forEach((value, i) => assert(Math.abs(value - b[i]) < TOLERANCE));
});

Deno.test("a map that is its property, and an image of one colour, are what they should be", async () => {
  // The first feature is the property; the second image is the same everywhere.
  const data = Float32Array.from({ length: 3 * 4 }, (_, at) => at % 3 === 0 ? at : 1);
  const flat = Float32Array.from({ length: 3 * 4 }, (_, at) => [0.1, 0.7, 0.9][at % 3]);
  const two: DenseImages = {
    ...{ nImages: 2, nPatches: 4, nFeatures: 3 },
    read: (i) => Tensor.from(gpu, i === 0 ? data : flat, [4, 3]),
  };
  const depth = { names: ["depth"], data: [0, 1, 2, 3, 5, 3, 2, 4] };
  const moments = await measureCorrelates(gpu, two, depth, { normalize: false });
  const w = hostMatrix([1, -2, 0, 0, 0, 1], [3, 2]);
  const r = await relevanceCorrelates(gpu, moments, w);
  assert(Math.abs(r[0] - 0.5) < 1e-6 && Math.abs(r[1] + 0.5) < 1e-6, `${r}`);
  const never = { names: ["flat"], data: new Float32Array(8).fill(2) };
  const none = await measureCorrelates(gpu, two, never, { normalize: false });
  assert.deepEqual([...await relevanceCorrelates(gpu, none, w)], [NaN, NaN]);
});

Deno.test("correlates refuse what does not fit, and stop when asked to", async () => {
  const refusal = (message: RegExp) => ({ name: "InputError", message });
  const short = { names, data: maps.subarray(1) };
  await assert.rejects(measureCorrelates(gpu, images, short), refusal(/2 properties need 280/));
  const hole = { names, data: maps.with(2 * nPatches + 3, NaN) };
  await assert.rejects(
    measureCorrelates(gpu, images, hole),
    refusal(/depth: patch 3 of image 1 is NaN/),
  );
  const wrong = { ...images, nFeatures: 11 };
  await assert.rejects(measureCorrelates(gpu, wrong, properties), refusal(/must be \[28,11\]/));
  const bad = {
    ...images,
    read: () => Tensor.from(gpu, new Float32Array(28 * m).fill(NaN), [28, m]),
  };
  await assert.rejects(measureCorrelates(gpu, bad, properties), refusal(/image 0 are not finite/));
  const moments = await measureCorrelates(gpu, images, properties);
  const w = hostMatrix(new Float32Array(22), [11, 2]);
  await assert.rejects(relevanceCorrelates(gpu, moments, w), refusal(/there are 12 features/));
  const signal = AbortSignal.abort();
  await assert.rejects(measureCorrelates(gpu, images, properties, { signal }), {
    name: "AbortError",
  });
});
