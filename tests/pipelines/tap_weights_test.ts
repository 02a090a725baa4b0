/**
 * What an encoder reads of each tap: weights, and parts of held-out scores.
 */
import assert from "node:assert/strict";
import { randomKey } from "../../mod.ts";
import { delayRows, shiftedDual } from "../../pipelines/encoding/delays.ts";
import { fitEncoder, type FitEncoderOptions } from "../../pipelines/encoding/encoder.ts";
import { layerGroups, layerStages, stageGroups } from "../../pipelines/encoding/feature_layers.ts";
import { featureWeights } from "../../pipelines/encoding/feature_weights.ts";
import { FittedGroupRidge } from "../../pipelines/encoding/fitted_group_ridge.ts";
import { RidgeModel } from "../../pipelines/encoding/fitted_ridge.ts";
import { type HostMatrix, hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { splitByLayer, sumStages } from "../../pipelines/encoding/layer_split.ts";
import { normalizeFeatures } from "../../pipelines/encoding/normalize.ts";
import { correlationScore, r2Score } from "../../pipelines/encoding/scoring.ts";
import { modelTapWeights, tapWeights } from "../../pipelines/encoding/tap_weights.ts";
import { inceptionTaps } from "../../pipelines/models/inception_layout.ts";
import { openTestGpu } from "../_gpu.ts";
import { assertInputError } from "./io_fixtures.ts";
import { assertNear, gaussian, linearData } from "./ridge_oracle.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const TAPS = [
  { name: "Conv2d_1a_3x3", length: 5 },
  { name: "Mixed_6a", length: 11 },
  { name: "Mixed_6b", length: 3 },
  { name: "fc", length: 13 },
];
const P = 32, T = 5;

Deno.test("layerStages() cuts Inception V3 at its blocks, and other networks in thirds", () => {
  const stages = layerStages(inceptionTaps);
  const of = (stage: string) => inceptionTaps.filter((_, i) => stages[i] === stage);
  assert.deepEqual([of("early").at(-1), of("mid")[0]], ["maxpool2", "Mixed_5b"]);
  assert.deepEqual([of("mid").at(-1), of("late")[0]], ["Mixed_6e", "Mixed_7a"]);
  assert.deepEqual([of("early").length, of("mid").length, of("late").length], [7, 8, 5]);
  assert.deepEqual(layerStages(["a", "b", "c", "d"]), ["early", "early", "mid", "late"]);
  assertInputError(() => layerStages(["a", "b"]), /a, b early, mid and late: there must be three/);
});

Deno.test("layerGroups() and stageGroups() label every column", () => {
  const groups = TAPS.flatMap(({ length }, tap) => Array(length).fill(tap));
  assert.deepEqual([...layerGroups(TAPS, P)], groups);
  assert.deepEqual([...stageGroups(TAPS, P)], groups.map((tap) => [0, 1, 1, 2][tap]));
  assert.deepEqual([...stageGroups(TAPS.slice(1), 27)], groups.slice(5).map((t) => Number(t > 2)));
  assertInputError(() => layerGroups(TAPS, 31), /layers of 31 features apart.*fc with 13/);
  assertInputError(() => layerGroups([TAPS[0], TAPS[0]], 10), /named differently/);
  assertInputError(() => layerGroups([], 0), /none/);
});

Deno.test("tapWeights() sums weights, and their squares, of each tap", () => {
  const coef = gaussian(1, 2 * P, T);
  const { names, sum, norm, share, argmaxSum, argmaxNorm } = tapWeights(coef, TAPS, { nDelays: 2 });
  assert.deepEqual(names, TAPS.map(({ name }) => name));
  const groups = layerGroups(TAPS, P);
  for (let t = 0; t < T; t++) {
    const sums = [0, 0, 0, 0], squares = [0, 0, 0, 0];
    for (let j = 0; j < 2 * P; j++) {
      sums[groups[j % P]] += coef.data[j * T + t];
      squares[groups[j % P]] += coef.data[j * T + t] ** 2;
    }
    const total = squares.reduce((a, b) => a + b);
    TAPS.forEach((_, tap) => {
      // float64 sums of the same values in the same order
      assert.equal(sum[tap * T + t], sums[tap]);
      assert.equal(norm[tap * T + t], Math.sqrt(squares[tap]));
      assert(Math.abs(share[tap * T + t] - squares[tap] / total) < 1e-14);
    });
    assert.equal(argmaxSum[t], sums.indexOf(Math.max(...sums)));
    assert.equal(argmaxNorm[t], squares.indexOf(Math.max(...squares)));
  }
  const none = tapWeights(hostMatrix(new Float32Array(P * T), [P, T]), TAPS);
  assert.deepEqual([...none.share], Array(4 * T).fill(0));
  assertInputError(() => tapWeights(coef, TAPS, { nDelays: 3 }), /64 rows.*3 delays/);
});

const N = 40, RUNS = Array.from({ length: N }, (_, r) => Math.floor(r / 10));
const narrow = linearData([N, P, T]);
const alphas = [1, 10];
const bands = { groups: layerGroups(TAPS, P), nIter: 3, key: randomKey(2) };
const delayed = { delays: [1, 2], delayOptions: { runs: RUNS } };
/** Every way in which a model is kept; features have means of their size, as after a ReLU. */
const models: Readonly<Record<string, FitEncoderOptions>> = {
  primal: { ridge: { alphas, solver: "primal" } },
  dual: { ridge: { alphas, solver: "dual", coef: false } },
  "dual, z-scored": {
    normalization: "zscore",
    ridge: { alphas, solver: "dual", coef: false },
  },
  "dual without an intercept": {
    ridge: { alphas, solver: "dual", coef: false, fitIntercept: false },
  },
  "primal, delayed": { ridge: { alphas, ...delayed, coef: true } },
  "dual, delayed": { ridge: { alphas, ...delayed, solver: "dual", coef: false } },
  "banded, primal": { ridge: { alphas, coef: true }, bands },
  "banded, dual": { ridge: { alphas, solver: "dual", coef: false }, bands },
  probe: { solver: "probe", probe: { epochs: 2 } },
};

/** Weights by the definition in float64, `[nDelays · P, T]`. */
function weightsOf(model: RidgeModel | FittedGroupRidge): Float64Array {
  const { dualCoef, xFit, delays = [0], delayOptions } = model;
  const weights = new Float64Array(delays.length * P * T);
  delays.forEach((delay, d) => {
    const shifted = shiftedDual(dualCoef!, delay, delayOptions).data;
    for (let at = 0; at < P * T; at++) {
      const j = Math.floor(at / T), t = at % T;
      let sum = 0;
      for (let r = 0; r < N; r++) sum += xFit!.data[r * P + j] * shifted[r * T + t];
      if (model instanceof FittedGroupRidge) {
        sum *= model.gammas[model.bestGammas[t]][model.bands.bandOf[j]];
      }
      weights[d * P * T + at] = sum;
    }
  });
  return weights;
}

// f32 products of 40 samples whose terms, about 2, add up to less than 40: 40 · 2 · 2⁻²⁴ = 5e-6, times 4 beside 1.
const PRODUCTS = 2e-5;

const encoders = new Map(
  await Promise.all(
    Object.entries(models).map(async ([name, options]) =>
      [name, await fitEncoder(gpu, narrow.x, narrow.y, options)] as const
    ),
  ),
);

Deno.test("modelTapWeights() gives the weights of every kind of model, block by block", async () => {
  for (const [name, { model }] of encoders) {
    const isRidge = model instanceof RidgeModel || model instanceof FittedGroupRidge;
    const isDual = isRidge && model.coef === undefined;
    assert.equal(isDual, name.includes("dual"), name);
    const coef = isDual ? weightsOf(model) : model.coef!.data;
    const rows = coef.length / T;
    const want = tapWeights(hostMatrix(Float32Array.from(coef), [rows, T]), TAPS, {
      nDelays: rows / P,
    });
    const got = await modelTapWeights(gpu, model, TAPS, { nTargetsBatch: 2 });
    for (const key of ["sum", "norm", "share"] as const) {
      assertNear(got[key], want[key], PRODUCTS, `${name} ${key}`);
    }
    assert.deepEqual(got.argmaxNorm, want.argmaxNorm, name);
    assert.deepEqual(got.argmaxSum, want.argmaxSum, name);
  }
  const { model } = encoders.get("dual")!;
  await assert.rejects(() => featureWeights(gpu, model, [5]), /target 5: there are 5/);
  await assert.rejects(() => modelTapWeights(gpu, model, TAPS.slice(1)), /32 features apart/);
});

/** The split by its definition in float64, `[nTaps, T]` each. */
function oracleSplit(
  predictions: readonly Float64Array[],
  y: HostMatrix,
  intercept: ArrayLike<number>,
): { r2: Float64Array; correlation: Float64Array } {
  const n = y.shape[0];
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / n;
  const dot = (a: number[], b: number[]) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  const r2 = new Float64Array(predictions.length * T), correlation = r2.slice();
  for (let t = 0; t < T; t++) {
    const column = (data: ArrayLike<number>) =>
      Array.from({ length: n }, (_, r) => data[r * T + t]);
    const measured = column(y.data), center = mean(measured);
    const responses = measured.map((value) => value - center);
    let offset = intercept[t] - center;
    const parts = predictions.map((data) => {
      const own = column(data), own0 = mean(own);
      offset += own0;
      return own.map((value) => value - own0);
    });
    const joint = responses.map((_, r) => parts.reduce((sum, part) => sum + part[r], 0));
    const size = Math.sqrt(dot(responses, responses) * dot(joint, joint));
    parts.forEach((part, tap) => {
      const share = part.map((value) => value + offset / parts.length);
      const twice = responses.map((value, r) => 2 * value - joint[r] - offset);
      r2[tap * T + t] = dot(share, twice) / dot(responses, responses);
      correlation[tap * T + t] = dot(part, responses) / size;
    });
  }
  return { r2, correlation };
}

Deno.test("splitByLayer() splits the scores of every kind of model on held-out data", async () => {
  const test = linearData([20, P, T], { seed: 4 }),
    runs = Array.from({ length: 20 }, (_, r) => r >> 3);
  for (const [name, encoder] of encoders) {
    const { model } = encoder;
    const samples = { features: test.x, responses: test.y, runs };
    const split = await splitByLayer(gpu, encoder, samples, TAPS, { nTargetsBatch: 3 });
    const weights = await featureWeights(gpu, model, [0, 1, 2, 3, 4]);
    const nDelays = weights.shape[0] / P;
    const x = delayRows(
      normalizeFeatures(test.x, encoder.normalizer),
      nDelays === 1 ? [0] : delayed.delays,
      { runs },
    );
    const groups = layerGroups(TAPS, P);
    const predictions = TAPS.map((_, tap) =>
      Float64Array.from({ length: 20 * T }, (_, at) => {
        const r = Math.floor(at / T), t = at % T;
        let sum = 0;
        for (let j = 0; j < nDelays * P; j++) {
          if (groups[j % P] === tap) sum += x.data[r * nDelays * P + j] * weights.data[j * T + t];
        }
        return sum;
      })
    );
    const want = oracleSplit(predictions, test.y, model.intercept);
    // f32 products of 32 features of size 2 whose sums are about 10: 1e-6 of them, beside responses of size 1.
    assertNear(split.r2, want.r2, 1e-4, `${name} r2`);
    assertNear(split.correlation, want.correlation, 1e-4, `${name} correlation`);
    const joint = await encoder.predict(test.x, { runs });
    const total = (parts: Float64Array) =>
      Float64Array.from(
        { length: T },
        (_, t) => TAPS.reduce((sum, _, tap) => sum + parts[tap * T + t], 0),
      );
    assertNear(total(split.r2), r2Score(test.y, joint), 1e-4, `${name}: parts of R²`);
    assertNear(total(split.correlation), correlationScore(test.y, joint), 1e-4, name);
    const stages = sumStages(split.names, split.r2);
    assert.deepEqual(stages.stages, ["early", "mid", "late"]);
    assertNear(
      stages.values.subarray(T, 2 * T),
      split.r2.subarray(T, 2 * T).map((part, t) => part + split.r2[2 * T + t]),
      1e-15,
      "middle taps",
    );
  }
  const encoder = encoders.get("primal")!;
  const wrong = { features: test.x, responses: narrow.y };
  await assert.rejects(() => splitByLayer(gpu, encoder, wrong, TAPS), /responses \[40,5\]/);
});
