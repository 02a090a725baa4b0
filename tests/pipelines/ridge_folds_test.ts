/**
 * Cross-validated scores against a dense solve per split and alpha in float64.
 */
import assert from "node:assert/strict";
import { randomKey } from "../../mod.ts";
import {
  type CrossValidation,
  kFold,
  repeatedKFold,
  splitsOf,
} from "../../pipelines/encoding/cross_validation.ts";
import type { ScoreFunction } from "../../pipelines/encoding/fold_scores.ts";
import { type HostMatrix, hostMatrix, range } from "../../pipelines/encoding/host_matrix.ts";
import { RidgeCV, type RidgeCVOptions } from "../../pipelines/encoding/ridge.ts";
import type { Scoring } from "../../pipelines/encoding/scoring.ts";
import { openTestGpu } from "../_gpu.ts";
import { assertNear, linearData, oracleMeans, oracleScores } from "./ridge_oracle.ts";

const gpu = await openTestGpu();
// The same adapter as one without float64: small problems then go to the host.
const plain = await openTestGpu({ without: ["shader-f64"] });
const hasF64 = gpu.caps.features.has("shader-f64");
Deno.test.afterEach(() => assert.equal(gpu.liveBytes + plain.liveBytes, 0));

const N = 60, T = 5;
const wide = linearData([N, 200, T]), narrow = linearData([N, 20, T]);
const median: ScoreFunction = ({ squaredError, responseSquares, count }) =>
  1 / (1 + squaredError / count) + responseSquares / (10 * count);
const SCORINGS: readonly (Scoring | ScoreFunction)[] = ["l2NegLoss", "r2", "correlation", median];

// What the project promises for scores. Errors of f32 are about eps·κ = 6e-8·(λ_max/alpha + 1) of a prediction: with an intercept λ_max
// is below 1000 here, and with alphas from 1 that is 6e-5 at worst.
const SCORE = 1e-4;

interface Data {
  readonly x: HostMatrix;
  readonly y: HostMatrix;
}

/** Fits and compares every score, the choice and the means with the oracle's. */
async function assertScores(
  { x, y }: Data,
  options: RidgeCVOptions & { alphas: readonly number[]; cv: CrossValidation },
  { device = gpu, tolerance = SCORE, what = "" } = {},
): Promise<void> {
  const { alphas, cv, scoring = "l2NegLoss", fitIntercept = true } = options;
  const model = await new RidgeCV(device, options).fit(x, y);
  const splits = splitsOf(cv, x.shape[0]);
  const want = oracleScores(x, y, { splits, alphas, scoring, fitIntercept });
  const nTargets = y.shape[1];
  assertNear(model.foldScores, want, tolerance, `${what} foldScores`);
  const means = oracleMeans(want, splits.length, nTargets);
  assertNear(model.cvSurface, means, tolerance, `${what} cvSurface`);
  model.bestAlphas.forEach((alpha, t) => {
    const a = alphas.indexOf(alpha);
    const own = alphas.map((_, b) => means[b * nTargets + t]);
    assert(own[a] >= Math.max(...own) - 2 * tolerance, `${what} target ${t} chose ${alpha}`);
    assert.equal(model.cvScores[t], model.cvSurface[a * nTargets + t]);
  });
  const r2 = oracleMeans(
    oracleScores(x, y, { splits, alphas, scoring: "r2", fitIntercept }),
    splits.length,
    nTargets,
  );
  const chosen = Array.from(
    model.bestAlphas,
    (alpha, t) => r2[alphas.indexOf(alpha) * nTargets + t],
  );
  assertNear(model.cvR2, chosen, tolerance, `${what} cvR2`);
}

const SPACES = [["primal", narrow], ["dual", narrow], ["primal", wide], ["dual", wide]] as const;
const ARITHMETICS = [
  ["f32", gpu, "f32", [1, 30, 1000]],
  ...(hasF64 ? [["f64", gpu, "f64", [1e-3, 1, 30, 1000]] as const] : []),
  ["f64 on the host", plain, "f64", [1e-3, 1, 30, 1000]],
] as const;

for (const [name, device, precision, alphas] of ARITHMETICS) {
  for (const fitIntercept of [true, false]) {
    Deno.test(`RidgeCV in ${name} ${fitIntercept ? "with" : "without"} intercept has the scores of brute force`, async () => {
      for (const [i, [solver, data]] of SPACES.entries()) {
        // 60 samples in 7 folds: four of 9, three of 8.
        // Without intercept the means of the wide features are a direction of size 1e4: f32 then has alphas from 10.
        const scaled = precision === "f32" && !fitIntercept ? alphas.map((a) => 10 * a) : alphas;
        const options = { alphas: scaled, cv: 7, solver, precision, fitIntercept };
        const scoring = SCORINGS[(i + 2 * Number(fitIntercept)) % 4];
        const what = `${solver} p = ${data.x.shape[1]}`;
        await assertScores(data, { ...options, scoring }, { device, what });
      }
    });
  }
}

const runs = Float64Array.from({ length: N }, (_, r) => [4, 2, 9, 7][Math.floor(r / 17)]);
const CVS: readonly (readonly [string, CrossValidation])[] = [
  ["shuffled folds", { nSplits: 7, key: randomKey(5) }],
  ["runs", { runs }],
  ["runs that are not contiguous", { runs: range(N).map((r) => r % 4) }],
  ["a gap", { nSplits: 4, gap: 3 }],
  ["shuffled chunks with a gap", { nSplits: 4, key: randomKey(6), chunkLength: 5, gap: 1 }],
  ["repeated folds", repeatedKFold(N, 4, { nRepeats: 2, key: randomKey(7) })],
  [
    "overlapping test sides",
    [0, 10, 20].map((from) => {
      const test = range(25).map((i) => from + i);
      return { test, train: range(N).filter((r) => r < from || r >= from + 25) };
    }),
  ],
  ["a small train side", [
    { train: range(9), test: range(N).subarray(30) },
    { train: range(N).subarray(20), test: range(15) },
  ]],
  ["half of the samples", kFold(N, 2)],
];

for (const [c, [name, cv]] of CVS.entries()) {
  Deno.test(`RidgeCV on ${name} has the scores of brute force`, async () => {
    for (const [i, [solver, data]] of SPACES.entries()) {
      const fitIntercept = (i + c) % 2 === 0;
      // On the device: what is small would else be solved on the host.
      const precision = i === 2 && hasF64 ? "f64" : fitIntercept ? "f32" : "auto";
      const scoring = SCORINGS[i % 3];
      const options = { alphas: [1, 30, 1000], cv, solver, scoring, precision } as const;
      const what = `${name} ${solver} p = ${data.x.shape[1]}`;
      await assertScores(data, { ...options, fitIntercept }, { what });
    }
  });
}

Deno.test("RidgeCV scores alphas up to 1e20, also by correlation, with an intercept", async () => {
  const alphas = [1, 1e3, 1e6, 1e10, 1e15, 1e20];
  for (const [solver, data] of SPACES) {
    const what = `${solver} p = ${data.x.shape[1]}`;
    for (const precision of ["f32", "auto"] as const) {
      const options = { alphas, cv: 5, solver, scoring: "correlation", precision } as const;
      await assertScores(data, options, { what });
    }
  }
});

Deno.test("RidgeCV without intercept correlates predictions that shrink to nothing, and large ones", async () => {
  const far = { x: narrow.x, y: hostMatrix(narrow.y.data.map((value) => value + 30), [N, T]) };
  for (const data of [narrow, far]) {
    for (const solver of ["primal", "dual"] as const) {
      const options = { cv: 5, solver, scoring: "correlation", fitIntercept: false } as const;
      const grid = { alphas: [1, 1e3, 1e5, 1e8, 1e15, 1e20], precision: "f32" } as const;
      await assertScores(data, { ...options, ...grid }, { what: solver });
    }
  }
});

Deno.test("RidgeCV without intercept scores responses that are far from 0", async () => {
  // Means of 300 to 1500 at unit deviation, features far from 0 too: there is much to explain, and R² is far below 0.
  const far = { x: narrow.x, y: hostMatrix(narrow.y.data.map((value) => value + 300), [N, T]) };
  for (const solver of ["primal", "dual"] as const) {
    for (const scoring of ["l2NegLoss", "r2"] as const) {
      const options = { alphas: [1, 30, 1000], cv: 5, solver, scoring, fitIntercept: false };
      await assertScores(far, options, { what: `${solver} ${scoring}` });
    }
  }
});

Deno.test("RidgeCV is bit-identical for any batches, and when it runs twice", async () => {
  const fit = async (data: Data, options: RidgeCVOptions) => {
    const { bestAlphas, cvSurface, foldScores, cvR2, intercept, coef, dualCoef } =
      await new RidgeCV(gpu, options).fit(data.x, data.y);
    return { bestAlphas, cvSurface, foldScores, cvR2, intercept, coef, dualCoef };
  };
  for (const [solver, data] of SPACES.slice(0, 1).concat(SPACES.slice(3))) {
    const precision = solver === "primal" ? "f32" : "f64";
    const options: RidgeCVOptions = { alphas: [0.1, 1, 30, 1000], cv: 7, solver, precision };
    const whole = await fit(data, options);
    assert.deepEqual(await fit(data, options), whole, `${solver} again`);
    for (const [nTargetsBatch, nAlphasBatch] of [[1, 1], [3, 2], [64, 3]]) {
      const batched = await fit(data, { ...options, nTargetsBatch, nAlphasBatch });
      assert.deepEqual(batched, whole, `${solver} in batches of ${nTargetsBatch}, ${nAlphasBatch}`);
    }
  }
});

Deno.test("RidgeCV chooses as himalaya does: one alpha for all, conservatively, ties to the larger alpha", async () => {
  const alphas = [3, 1000, 0.5, 100, 30];
  const { x, y } = narrow, splits = kFold(N, 5);
  const scores = oracleScores(x, y, { splits, alphas });
  const means = oracleMeans(scores, 5, T);
  const shared = await new RidgeCV(gpu, { alphas, localAlpha: false }).fit(x, y);
  const total = alphas.map((_, a) => means.subarray(a * T, (a + 1) * T).reduce((s, v) => s + v, 0));
  const top = alphas[total.indexOf(Math.max(...total))];
  assert.deepEqual([...shared.bestAlphas], Array(T).fill(top));

  const careful = await new RidgeCV(gpu, { alphas, conservative: true }).fit(x, y);
  const want = Array.from({ length: T }, (_, t) => {
    const own = alphas.map((_, a) => means[a * T + t]);
    const best = own.indexOf(Math.max(...own));
    const folds = splits.map((_, f) => scores[(best * 5 + f) * T + t]);
    const mean = folds.reduce((s, v) => s + v, 0) / 5;
    const deviation = Math.sqrt(folds.reduce((s, v) => s + (v - mean) ** 2, 0) / 5);
    return Math.max(...alphas.filter((_, a) => own[a] > own[best] - deviation));
  });
  assert.deepEqual([...careful.bestAlphas], want);
  const local = await new RidgeCV(gpu, { alphas }).fit(x, y);
  assert(careful.bestAlphas.some((alpha, t) => alpha > local.bestAlphas[t]), "nothing is tested");

  // Constant responses score the same at every alpha.
  const flat = hostMatrix(new Float32Array(2 * N).fill(3), [N, 2]);
  for (const scoring of ["l2NegLoss", "r2", "correlation"] as const) {
    const model = await new RidgeCV(gpu, { alphas, scoring }).fit(x, flat);
    assert.deepEqual([...model.bestAlphas], [1000, 1000]);
    assert.deepEqual([...model.cvScores], [0, 0]);
    assert.deepEqual([...model.intercept], [3, 3]);
    assert(model.coef!.data.every((value) => value === 0));
  }
});

Deno.test("a response that is constant over a test side scores 0 there", async () => {
  // 0.7 and its mean are not the same to the last bit once another mean has been taken off and added again.
  const y = hostMatrix(
    narrow.y.data.map((value, at) => at < 12 * T && at % T < 3 ? 0.7 + at % T : value),
    [N, T],
  );
  for (const scoring of ["r2", "correlation"] as const) {
    for (const precision of ["f32", "auto"] as const) {
      const options = { alphas: [1, 30], cv: 5, scoring, precision, fitIntercept: true };
      const model = await new RidgeCV(gpu, options).fit(narrow.x, y);
      for (const a of [0, 1]) {
        assert.deepEqual([...model.foldScores.subarray(a * 5 * T, a * 5 * T + 3)], [0, 0, 0]);
      }
      await assertScores({ x: narrow.x, y }, options, { what: scoring });
    }
  }
});

Deno.test("RidgeCV marks alphas that f32 cannot resolve and refuses a grid of them", async () => {
  // Two equal columns of size 1e4: the Gram matrix is singular, and f32 cannot see an alpha of 1e-6 beside 1e10.
  const [a] = [linearData([N, 2, 2], { offset: 0 })];
  const x = hostMatrix(a.x.data.map((_, at) => 1e4 * a.x.data[at - at % 2]), [N, 2]);
  for (const solver of ["primal", "dual"] as const) {
    const options = { alphas: [1e-6, 1e10], solver, precision: "f32" as const };
    const model = await new RidgeCV(gpu, options).fit(x, a.y);
    assert.deepEqual([...model.bestAlphas], [1e10, 1e10], solver);
    assert.deepEqual([...model.cvSurface.subarray(0, 2)], [-Infinity, -Infinity], solver);
    assert(model.cvSurface.subarray(2).every(Number.isFinite), solver);
    await assert.rejects(
      new RidgeCV(gpu, { ...options, alphas: [1e-7, 1e-6] }).fit(x, a.y),
      { name: "InputError", message: /any of the alphas \[1e-7,0.000001\].*add larger ones/ },
    );
    // By itself it takes float64 there and is right.
    for (const device of [gpu, plain]) {
      const exact = { alphas: [1e-2, 1e10], solver, cv: 5 };
      await assertScores({ x, y: a.y }, exact, { device, what: `auto ${solver}` });
    }
  }
});

Deno.test("close the devices", () => {
  gpu[Symbol.dispose]();
  plain[Symbol.dispose]();
});
