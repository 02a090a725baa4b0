import assert from "node:assert/strict";
import { normal, randomKey } from "../../mod.ts";
import {
  categoryOf,
  coarseMask,
  LocalizationScores,
  mapMethods,
} from "../../pipelines/brain_sail/localization.ts";
import { shuffledRegionWeights } from "../../pipelines/brain_sail/shuffled_regions.ts";
import { permutation } from "../../pipelines/encoding/cross_validation.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { RidgeSystems } from "../../pipelines/encoding/ridge_systems.ts";
import { foldIn } from "../../engine/random.ts";
import { Matrix, solve } from "ml-matrix";

Deno.test("categoryOf() knows the field's regions, their parts and hemispheres", () => {
  assert.equal(categoryOf("FFA-1"), "face");
  assert.equal(categoryOf("lh.PPA"), "place");
  assert.equal(categoryOf("V1"), undefined);
  assert.equal(categoryOf("aIT", { aIT: "body" }), "body");
});

Deno.test("coarseMask() keeps small masks and halves large ones by majority", () => {
  const small = { data: Uint8Array.of(1, 0, 0, 1), size: [2, 2] as const };
  assert.equal(coarseMask(small).data, small.data);
  const data = Uint8Array.from({ length: 256 * 256 }, (_, i) => Number(i % 256 < 100));
  const { data: half, size } = coarseMask({ data, size: [256, 256] });
  assert.deepEqual(size, [128, 128]);
  assert.deepEqual(half, Uint8Array.from({ length: 128 * 128 }, (_, i) => Number(i % 128 < 50)));
});

Deno.test("LocalizationScores gives means, intervals, paired gains and the share of shuffles as good", () => {
  const regions = [{ name: "FFA", category: "face" }, { name: "PPA", category: "place" }];
  const n = 40, nShuffles = 9;
  const scores = new LocalizationScores(regions, n, nShuffles);
  const noise = normal(randomKey(1), n * 2);
  const all = (value: number) => ({ iou: value, pearson: value, auc: value, pointing: value });
  for (let i = 0; i < n; i++) {
    for (const r of [0, 1]) {
      if (r === 1 && i % 2) continue; // half of the images have no place
      const value = 0.5 + 0.1 * r + 0.05 * noise[2 * i + r];
      scores.add(i, r, "distilled", all(value));
      scores.add(i, r, "plain", all(value - 0.02));
      scores.add(i, r, "whole image", all(0));
      for (let b = 0; b < nShuffles; b++) {
        scores.addShuffled(i, r, b, all(b === 0 ? 0.9 : 0.1 * b - 0.5));
      }
    }
  }
  const [face, place, mean] = scores.table({ key: randomKey(2), nResamples: 500 });
  assert.deepEqual([face.nImages, place.nImages, mean.nImages], [40, 20, 40]);
  const values = Array.from({ length: n }, (_, i) => 0.5 + 0.05 * noise[2 * i]);
  const expected = values.reduce((sum, value) => sum + value, 0) / n;
  const { pearson } = face.scores.distilled;
  assert.ok(Math.abs(pearson.mean - expected) < 1e-12);
  // 1.96 · 0.05 / √40 = 0.0155 on either side, itself known to a tenth or so from 40 values and 500 resamples.
  const half = (pearson.high - pearson.low) / 2;
  assert.ok(half > 0.01 && half < 0.021, `${half}`);
  for (const end of ["mean", "low", "high"] as const) {
    assert.ok(Math.abs(face.gain.pearson[end] - 0.02) < 1e-12);
  }
  assert.ok(Math.abs(mean.scores["whole image"].iou.mean) < 1e-12);
  assert.ok(Number.isNaN(face.scores.chance.iou.mean));
  // One of nine shuffles is as good: (1 + 1) / (1 + 9).
  assert.ok(Math.abs(face.pValues.pearson - 0.2) < 1e-12);
  const shuffled = [0.9, -0.4, -0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3];
  const average = shuffled.reduce((sum, value) => sum + value, 0) / 9;
  assert.ok(Math.abs(face.shuffled.auc.mean - average) < 1e-12);
  assert.ok(face.shuffled.auc.low >= -0.4 && face.shuffled.auc.high <= 0.9);
  assert.deepEqual(Object.keys(face.scores), [...mapMethods]);
});

const [nSamples, m, nVoxels] = [30, 6, 5];
const X = normal(randomKey(3), nSamples * m), Y = normal(randomKey(4), nSamples * nVoxels);
const centred = Matrix.from1DArray(nSamples, m, [...X]).center("column");

/** Ridge weights in float64, by the normal equations. */
function weightsOf(y: readonly number[], alpha: number): number[] {
  const gram = centred.transpose().mmul(centred).add(Matrix.eye(m).mul(alpha));
  return solve(gram, centred.transpose().mmul(Matrix.columnVector([...y]))).to1DArray();
}

Deno.test("RidgeSystems solves ridge regressions with an intercept at any alpha", () => {
  const systems = new RidgeSystems(hostMatrix(X, [nSamples, m]));
  for (const alpha of [0.1, 10]) {
    const y = Array.from({ length: nSamples }, (_, r) => Y[r * nVoxels]);
    const got = systems.fit(alpha, Float64Array.from(y), 1);
    weightsOf(y, alpha).forEach((w, f) => assert.ok(Math.abs(got[f] - w) < 1e-12));
  }
  const same = new RidgeSystems(hostMatrix(new Float32Array(8).fill(1), [4, 2]));
  assert.throws(() => same.solve(0, new Float64Array(2), 1), /at alpha 0: features that depend/);
});

Deno.test("shuffledRegionWeights() are means of the weights of voxels fitted to permuted rows", () => {
  const bestAlphas = [1, 5, 1, 5, 0.2];
  const rois = [{ name: "a", voxels: [0, 1, 2] }, { name: "b", voxels: [3, 4] }];
  const key = randomKey(5), n = 2;
  const problem = {
    features: hostMatrix(X, [nSamples, m]),
    responses: hostMatrix(Y, [nSamples, nVoxels]),
    bestAlphas,
  };
  const got = shuffledRegionWeights(problem, rois, { key, n });
  for (let b = 0; b < n; b++) {
    const order = permutation(foldIn(key, b), nSamples);
    rois.forEach(({ voxels }, r) => {
      const expected = new Array<number>(m).fill(0);
      for (const v of voxels) {
        const y = Array.from(order, (from) => Y[from * nVoxels + v]);
        weightsOf(y, bestAlphas[v]).forEach((w, f) => expected[f] += w / voxels.length);
      }
      // The result is float32.
      expected.forEach((w, f) => {
        const value = got[f * n * 2 + b * 2 + r];
        assert.ok(Math.abs(value - w) <= 2e-7 * (Math.abs(w) + 0.1), `${value}, not ${w}`);
      });
    });
  }
});
