/**
 * Correlates of relevance maps against maps made patch by patch in float64, and their test against fits to permuted responses.
 */
import assert from "node:assert/strict";
import { foldIn, normal, randomKey, Tensor } from "../../mod.ts";
import { maskPearson } from "../../pipelines/dense/localization_metrics.ts";
import { PropertyCorrelates, testSlopes } from "../../pipelines/dense/property_correlates.ts";
import { permutation } from "../../pipelines/encoding/cross_validation.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { openTestGpu } from "../_gpu.ts";
import { Matrix, solve } from "ml-matrix";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const [nImages, nPatches, m, nVoxels] = [5, 28, 12, 9];
const key = randomKey(21);
const features = Array.from(
  { length: nImages },
  (_, i) => normal(foldIn(key, i), nPatches * m).map((x, at) => x + at % 3),
);
const weights = normal(randomKey(22), m * nVoxels);
for (let a = 0; a < m; a++) weights[a * nVoxels + 4] = 0; // a voxel without weights
const fields = Array.from(
  { length: nImages },
  (_, i) =>
    [0, 1].map((p) => Float64Array.from(normal(foldIn(randomKey(23), 2 * i + p), nPatches))),
);
fields[1][1].fill(0.3); // constant in image 1

function mapOf(image: number, voxel: number): Float64Array {
  return Float64Array.from({ length: nPatches }, (_, p) => {
    let dot = 0;
    for (let a = 0; a < m; a++) dot += features[image][p * m + a] * weights[a * nVoxels + voxel];
    return dot;
  });
}

async function collect(): Promise<PropertyCorrelates> {
  const correlates = new PropertyCorrelates(gpu, hostMatrix(weights, [m, nVoxels]), [
    "a",
    "b",
    "c",
  ]);
  for (let i = 0; i < nImages; i++) {
    using x = Tensor.from(gpu, features[i], [nPatches, m]);
    await correlates.add(x, [...fields[i], undefined]);
  }
  return correlates;
}

// Products of 12 and means of 28 terms of unit scale in f32 lose less than 1e-6 of a map whose deviation is at least a tenth of that.
const TOLERANCE = 1e-5;

Deno.test("PropertyCorrelates averages over images the correlation of every voxel's map", async () => {
  using correlates = await collect();
  assert.deepEqual([...correlates.nImages], [5, 4, 0]);
  const [r, pooled] = [correlates.correlations(), correlates.pooled()];
  for (let v = 0; v < nVoxels; v++) {
    for (const p of [0, 1]) {
      const used = [0, 1, 2, 3, 4].filter((i) => p === 0 || i !== 1);
      const want = used.reduce(
        (sum, i) => sum + (maskPearson(mapOf(i, v), fields[i][p]) || 0) / used.length,
        0,
      );
      assert.ok(Math.abs(r[p * nVoxels + v] - want) < TOLERANCE, `${r[p * nVoxels + v]}, ${want}`);
      const all = (of: (i: number) => ArrayLike<number>) =>
        [0, 1, 2, 3, 4].flatMap((i) => Array.from(of(i)));
      const wantPooled = maskPearson(all((i) => mapOf(i, v)), all((i) => fields[i][p])) || 0;
      assert.ok(Math.abs(pooled[p * nVoxels + v] - wantPooled) < TOLERANCE, `pooled, voxel ${v}`);
    }
    assert.ok(Number.isNaN(r[2 * nVoxels + v]));
  }
});

Deno.test("PropertyCorrelates refuses a property that has not one value per patch", async () => {
  using correlates = new PropertyCorrelates(gpu, hostMatrix(weights, [m, nVoxels]), ["depth"]);
  using x = Tensor.from(gpu, features[0], [nPatches, m]);
  await assert.rejects(correlates.add(x, [[1, 2]]), /depth: it has 2 values for 28 patches/);
});

/** Ridge weights of permuted responses, fitted outright. */
function slopeOf(X: Float32Array, y: ArrayLike<number>, alpha: number, c: Float64Array): number {
  const n = y.length;
  const centred = Matrix.from1DArray(n, m, [...X]).center("column");
  const gram = centred.transpose().mmul(centred).add(Matrix.eye(m).mul(alpha));
  const mean = Array.from(y).reduce((sum, value) => sum + value / n, 0);
  const w = solve(
    gram,
    centred.transpose().mmul(Matrix.columnVector(Array.from(y, (v) => v - mean))),
  );
  return c.reduce((sum, value, a) => sum + value * w.get(a, 0), 0);
}

Deno.test("testSlopes() counts the slopes of ridge fits to permuted responses", async () => {
  const n = 40, alphas = [0.5, 3, 0.5];
  const X = normal(randomKey(31), n * m);
  const noise = normal(randomKey(32), n * 3);
  const directions = Float64Array.from(normal(randomKey(33), m));
  const Y = noise.slice();
  for (let r = 0; r < n; r++) { // voxel 0 follows the direction, the others nothing
    for (let a = 0; a < m; a++) Y[r * 3] += X[r * m + a] * directions[a];
  }
  const problem = {
    features: hostMatrix(X, [n, m]),
    responses: hostMatrix(Y, [n, 3]),
    bestAlphas: alphas,
    directions,
  };
  const draw = randomKey(34), nPermutations = 99;
  const { pValues, qValues, signs } = await testSlopes(problem, { key: draw, nPermutations });
  for (let v = 0; v < 3; v++) {
    const y = Array.from({ length: n }, (_, r) => Y[r * 3 + v]);
    const observed = slopeOf(X, y, alphas[v], directions);
    let count = 1;
    for (let b = 0; b < nPermutations; b++) {
      const order = permutation(foldIn(foldIn(draw, b), 0), n);
      // Permuting what the responses are multiplied by is permuting the responses the other way round.
      const permuted = new Array<number>(n);
      order.forEach((from, to) => permuted[from] = y[to]);
      if (Math.abs(slopeOf(X, permuted, alphas[v], directions)) >= Math.abs(observed)) count++;
    }
    assert.equal(Math.round(pValues[v] * (1 + nPermutations)), count, `voxel ${v}`);
    assert.equal(signs[v], Math.sign(observed));
  }
  assert.equal(pValues[0], 0.01);
  assert.ok(qValues[0] <= 0.03 && qValues[1] > 0.05 && qValues[2] > 0.05);
});

Deno.test("testSlopes() finds nothing in noise about as often as its level says", async () => {
  const [n, many] = [60, 400];
  const result = await testSlopes({
    features: hostMatrix(normal(randomKey(41), n * m), [n, m]),
    responses: hostMatrix(normal(randomKey(42), n * many), [n, many]),
    bestAlphas: new Array(many).fill(1),
    directions: Float64Array.from(normal(randomKey(43), m)),
  }, { key: randomKey(44), nPermutations: 199 });
  // Binomial with 400 draws at 0.05: mean 20, deviation 4.4; three deviations.
  const found = result.pValues.filter((p) => p <= 0.05).length;
  assert.ok(found >= 7 && found <= 33, `${found} of ${many}`);
  assert.equal(result.qValues.filter((q) => q < 0.05).length, 0);
});
