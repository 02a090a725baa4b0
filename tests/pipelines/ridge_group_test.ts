/**
 * Banded ridge regression against himalaya and against dense solves of the scaled features in float64.
 */
import assert from "node:assert/strict";
import { randomKey } from "../../mod.ts";
import { kFold } from "../../pipelines/encoding/cross_validation.ts";
import type { FittedGroupRidge } from "../../pipelines/encoding/fitted_group_ridge.ts";
import { dirichletGammas } from "../../pipelines/encoding/gammas.ts";
import {
  GroupRidgeCV,
  type GroupRidgeCVOptions,
  solveFixedGamma,
} from "../../pipelines/encoding/group_ridge.ts";
import { type HostMatrix, hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { correlationScore, r2Score } from "../../pipelines/encoding/scoring.ts";
import { correlationScoreSplit, r2ScoreSplit } from "../../pipelines/encoding/variance_split.ts";
import { openTestGpu } from "../_gpu.ts";
import { GoldenFile } from "../golden_file.ts";
import {
  assertNear,
  gaussian,
  linearData,
  oracleFits,
  oracleMeans,
  oracleScores,
} from "./ridge_oracle.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const N = 60, T = 6, P = 24;
const { x, y } = linearData([N, P, T]);
// Three bands whose features are not neighbours; labels are any numbers.
const groups = Array.from({ length: P }, (_, j) => [7, -1, 0.5][j % 3]);
const nIter = [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3], [0.05, 0, 0.95], [0.2, 0.7, 0.1], [0, 1, 0]];
const alphas = [0.3, 3, 30, 300];
const cv = 5;
const SCORE = 1e-4; // what the project promises for scores, as for a ridge regression
const refusal = (message: RegExp) => ({ name: "InputError", message });

/** Features of band i times √gamma_i. */
function scaled(gamma: ArrayLike<number>, features = x): HostMatrix {
  return hostMatrix(
    features.data.map((value, at) => value * Math.sqrt(gamma[(at % P) % 3])),
    features.shape,
  );
}

/** Scores of every weighting and alpha, `[nIter][nAlphas, nTargets]`. */
function surfaces(fitIntercept: boolean): Float64Array[] {
  const splits = kFold(N, cv);
  return nIter.map((gamma) =>
    oracleMeans(oracleScores(scaled(gamma), y, { splits, alphas, fitIntercept }), cv, T)
  );
}

function matrixOf(file: GoldenFile, name: string): HostMatrix {
  const { data, shape } = file.f32(name);
  return hostMatrix(data, [shape[0], shape[1]]);
}

for (const solver of ["primal", "dual"] as const) {
  Deno.test(`golden: GroupRidgeCV, ${solver}`, async () => {
    const inputs = new GoldenFile("ridge_tall_x"), group = new GoldenFile("ridge_group");
    const features = matrixOf(inputs, "x");
    const responses = matrixOf(new GoldenFile("ridge_tall"), "y");
    const weights = group.f32("gammas").data, deltas = group.f32("deltas").data;
    // In the space of 300 samples two of the weightings are enough time spent: targets that chose another one are left out.
    const used = solver === "primal" ? [0, 1, 2, 3, 4] : [3, 4];
    const gammas = used.map((g) => weights.subarray(2 * g, 2 * g + 2));
    const model = await new GroupRidgeCV(gpu, {
      ...{ alphas: [...inputs.f32("alphas").data], solver, coef: true },
      groups: Array.from({ length: 120 }, (_, j) => Number(j >= 40)),
      nIter: gammas,
    }).fit(features, responses);
    const scores = group.f32("cv_scores").data;
    used.forEach((g, i) => {
      const own = model.cvScores.subarray(64 * i, 64 * i + 64);
      assertNear(own, scores.subarray(64 * g, 64 * g + 64), SCORE, `cvScores ${g}`);
    });
    const ratioOf = (t: number) => deltas[t] - deltas[64 + t];
    const targets = Array.from({ length: 64 }, (_, t) => t).filter((t) =>
      gammas.some(([a, b]) => Math.abs(Math.log(a / b) - ratioOf(t)) < 1e-4)
    );
    assert(targets.length > 10, `${targets.length} targets`);
    // Deltas name the weighting and the alpha.
    const wrong = targets.filter((t) =>
      [t, 64 + t].some((at) => Math.abs(model.deltas[at] - deltas[at]) > 1e-4)
    );
    assert.deepEqual(wrong, []);
    const coef = group.f32("coef").data;
    let error = 0, size = 0;
    coef.forEach((want, at) => {
      if (!targets.includes(at % 64)) return;
      error += (model.coef!.data[at] - want) ** 2;
      size += want ** 2;
    });
    assert(Math.sqrt(error / size) <= 1e-3, `coef: ${Math.sqrt(error / size)}`);
    const intercepts = group.f32("intercept").data;
    assertNear(
      targets.map((t) => model.intercept[t]),
      targets.map((t) => intercepts[t]),
      SCORE,
      "intercept",
    );
  });
}

for (const fitIntercept of [true, false]) {
  Deno.test(`GroupRidgeCV ${fitIntercept ? "with" : "without"} intercept is a search over scaled features`, async () => {
    const want = surfaces(fitIntercept);
    const best = want.map((surface) =>
      Float64Array.from(
        { length: T },
        (_, t) => Math.max(...alphas.map((_, a) => surface[a * T + t])),
      )
    );
    const xTest = gaussian(77, 8, P);
    for (const solver of ["primal", "dual"] as const) {
      const options = { groups, nIter, alphas, cv, solver, fitIntercept, coef: true };
      const model = await new GroupRidgeCV(gpu, options).fit(x, y);
      best.forEach((own, g) =>
        assertNear(model.cvScores.subarray(g * T, (g + 1) * T), own, SCORE, `weighting ${g}`)
      );
      const fits = nIter.map((gamma) => oracleFits(scaled(gamma), y, { alphas, fitIntercept }));
      const predictions = await model.predict(xTest);
      for (let t = 0; t < T; t++) {
        const g = model.bestGammas[t], a = alphas.indexOf(model.bestAlphas[t]);
        const scores = best.map((own) => own[t]);
        assert(scores[g] >= Math.max(...scores) - 2 * SCORE, `${solver} target ${t}`);
        const { coef, intercept } = fits[g][a];
        const weights = Float64Array.from(
          { length: P },
          (_, j) => coef[j * T + t] * Math.sqrt(nIter[g][j % 3]),
        );
        const column = (m: HostMatrix) => m.data.filter((_, at) => at % T === t);
        assertNear(column(model.coef!), weights, SCORE, `${solver} coef ${t}`);
        assertNear([model.intercept[t]], [intercept[t]], SCORE, `${solver} intercept ${t}`);
        const expected = Array.from(
          { length: 8 },
          (_, r) => weights.reduce((sum, w, j) => sum + w * xTest.data[r * P + j], intercept[t]),
        );
        assertNear(column(predictions), expected, SCORE, `${solver} predictions ${t}`);
        nIter[g].forEach((gamma, band) =>
          assert.equal(model.deltas[band * T + t], Math.log(gamma / model.bestAlphas[t]))
        );
      }
      assert(new Set(model.bestGammas).size > 1, "all targets chose one weighting");
    }
  });
}

Deno.test("FittedGroupRidge.predictBands() sums to predictions, and scores split over the bands", async () => {
  for (const coef of [true, false]) {
    for (const solver of ["primal", "dual"] as const) {
      const options = { groups, nIter, alphas, cv, solver, coef };
      const model = await new GroupRidgeCV(gpu, options).fit(x, y);
      const parts = await model.predictBands(x), whole = await model.predict(x);
      assert.equal(parts.length, 3);
      const sum = whole.data.map((_, at) =>
        parts.reduce((s, { data }) => s + data[at], model.intercept[at % T])
      );
      assertNear(sum, whole.data, 1e-5, `${solver} sums`);
      const total = (split: Float64Array) =>
        Float64Array.from({ length: T }, (_, t) => split[t] + split[T + t] + split[2 * T + t]);
      const { intercept } = model;
      assertNear(total(r2ScoreSplit(y, parts, { intercept })), r2Score(y, whole), 1e-5, "r2");
      const joint = correlationScore(y, whole);
      assertNear(total(correlationScoreSplit(y, parts)), joint, 1e-5, "correlation");
      assertNear(await model.score(x, y), r2Score(y, whole), 0, "score");
      const wrong = hostMatrix(new Float32Array(5), [1, 5]);
      await assert.rejects(model.predict(wrong), refusal(/fitted on 24 features/));
    }
  }
});

Deno.test("dirichletGammas() draws from the simplex, uniform first, the same for the same key", () => {
  const key = randomKey(3), count = 4000;
  const draws = dirichletGammas(count, 3, { key });
  assert.deepEqual(dirichletGammas(count, 3, { key }), draws);
  assert.deepEqual([...draws[0]], [1 / 3, 1 / 3, 1 / 3]);
  assert.notDeepEqual(dirichletGammas(9, 3, { key: randomKey(4) }).slice(1), draws.slice(1, 9));
  // More draws begin with the same ones.
  assert.deepEqual(dirichletGammas(9, 3, { key }), draws.slice(0, 9));
  for (const gamma of draws) {
    assert(gamma.every((g) => g >= 0) && Math.abs(gamma[0] + gamma[1] + gamma[2] - 1) < 1e-12);
  }
  // Dirichlet(c, c, c): mean 1/3, variance (1/3)(2/3)/(3c + 1). Of 2000 draws the mean is within 4 standard errors.
  for (const [first, c] of [[0, 0.1], [1, 1]]) {
    const own = draws.filter((_, i) => i > 0 && i % 2 === first);
    const variance = 2 / 9 / (3 * c + 1);
    for (const band of [0, 1, 2]) {
      const mean = own.reduce((s, gamma) => s + gamma[band], 0) / own.length;
      const found = own.reduce((s, gamma) => s + (gamma[band] - 1 / 3) ** 2, 0) / own.length;
      assert(Math.abs(mean - 1 / 3) < 4 * Math.sqrt(variance / own.length), `mean ${mean}`);
      assert(Math.abs(found / variance - 1) < 0.15, `variance ${found}, not ${variance}`);
    }
  }
  const draw = (concentrations: number[]) => () => dirichletGammas(2, 2, { concentrations, key });
  assert.throws(draw([]), refusal(/there must be some/));
  assert.throws(draw([1, 0]), refusal(/above 0/));
});

Deno.test("racing with an infinite margin is exact, and never loses a weighting that wins on every fold", async () => {
  const fit = (racing?: number, options: Partial<GroupRidgeCVOptions> = {}) =>
    new GroupRidgeCV(gpu, { groups, nIter, alphas, cv, racing, ...options }).fit(x, y);
  const facts = ({ bestGammas, bestAlphas, cvR2, coef, intercept }: FittedGroupRidge) => ({
    ...{ bestGammas, bestAlphas, cvR2, coef, intercept },
  });
  const exact = await fit();
  const slow = await fit(Infinity);
  assert.deepEqual(facts(slow), facts(exact));
  assert.deepEqual(slow.cvScores, exact.cvScores);
  const splits = kFold(N, cv);
  const scores = nIter.map((gamma) => oracleScores(scaled(gamma), y, { splits, alphas }));
  const at = (g: number, f: number, t: number) =>
    Math.max(...alphas.map((_, a) => scores[g][(a * cv + f) * T + t]));
  const fast = await fit(0);
  let tested = 0, lost = 0;
  for (let t = 0; t < T; t++) {
    const g = exact.bestGammas[t];
    if (fast.cvScores.some((score, i) => i % T === t && score === -Infinity)) lost++;
    const wins = splits.every((_, f) => nIter.every((_, other) => at(g, f, t) >= at(other, f, t)));
    if (!wins) continue;
    tested++;
    assert.equal(fast.bestGammas[t], g, `target ${t}`);
    assert.equal(fast.bestAlphas[t], exact.bestAlphas[t]);
  }
  assert(tested > 0 && lost > 0, `${tested} targets win on all folds, ${lost} lost a race`);
});

Deno.test("solveFixedGamma() is the search over one weighting, and jitter moves the alphas of each", async () => {
  const gamma = [0.2, 0.7, 0.1];
  const fixed = await solveFixedGamma(gpu, x, y, { gamma, groups, alphas, cv });
  const search = await new GroupRidgeCV(gpu, { nIter: [gamma], groups, alphas, cv }).fit(x, y);
  assert.deepEqual(fixed.bestAlphas, search.bestAlphas);
  assert.deepEqual(fixed.coef, search.coef);

  const options = { nIter: 3, groups, alphas, cv, jitterAlphas: true, key: randomKey(1) };
  const one = await new GroupRidgeCV(gpu, options).fit(x, y);
  const two = await new GroupRidgeCV(gpu, options).fit(x, y);
  assert.deepEqual(two.bestAlphas, one.bestAlphas);
  assert.deepEqual([...one.alphas], alphas);
  const shifts = Array.from(
    one.bestAlphas,
    (alpha) => Math.min(...alphas.map((a) => Math.abs(Math.log10(alpha / a)))),
  );
  assert(shifts.every((shift) => shift <= 0.5) && shifts.some((shift) => shift > 1e-6));
});

Deno.test("GroupRidgeCV refuses what is no grouping or weighting, and stops at a signal", async () => {
  const cases: [Partial<GroupRidgeCVOptions>, RegExp][] = [
    [{ groups: [1, 2] }, /24 features by 2 labels/],
    [{ groups: groups.map((g, j) => j === 4 ? NaN : g) }, /feature 4 is NaN/],
    [{ nIter: 0 }, /nIter must be a whole number/],
    [{ nIter: [] }, /there are none/],
    [{ nIter: [[1, 1]] }, /3 bands by gammas 0/],
    [{ nIter: [[1, 1, 1], [0, 0, 0]] }, /gammas 1: \[0,0,0\]/],
    [{ nIter: [[1, -1, 1]] }, /finite numbers from 0/],
    [{ racing: -1 }, /racing must be a number from 0/],
    [{ racing: NaN }, /racing must be a number from 0/],
    [{ concentrations: [0] }, /above 0/],
    [{ alphas: [0] }, /above 0/],
    [{ conservative: true, localAlpha: false }, /one of both/],
    [{ cv: 61 }, /61 folds/],
  ];
  for (const [given, message] of cases) {
    const fit = async () => await new GroupRidgeCV(gpu, { groups, nIter: 2, ...given }).fit(x, y);
    await assert.rejects(fit(), refusal(message), JSON.stringify(given));
  }
  const controller = new AbortController();
  const fit = new GroupRidgeCV(gpu, { groups, nIter, alphas, cv }).fit(x, y, {
    signal: controller.signal,
    onProgress: ({ stage, done }) => {
      if (stage === "search" && done === 2) controller.abort();
    },
  });
  await assert.rejects(fit, { name: "AbortError" });
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
