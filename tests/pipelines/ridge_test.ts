/**
 * Ridge regression against the golden himalaya outputs and its normal equations.
 */
import assert from "node:assert/strict";
import { Matrix, SVD } from "ml-matrix";
import { normal, randomKey, singularValues } from "../../mod.ts";
import { kFold } from "../../pipelines/encoding/cross_validation.ts";
import {
  centredPart,
  columnMeans,
  type HostMatrix,
  hostMatrix,
  range,
  takeColumns,
} from "../../pipelines/encoding/host_matrix.ts";
import { fitRidge, RidgeCV, type RidgeCVOptions } from "../../pipelines/encoding/ridge.ts";
import { correlationScore, l2NegLoss } from "../../pipelines/encoding/scoring.ts";
import { openTestGpu } from "../_gpu.ts";
import { GoldenFile } from "../golden_file.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

/** The tolerance that the golden data state for scores, predictions and coefficients. */
const STATED = 1e-4;

function relative(got: ArrayLike<number>, want: ArrayLike<number>): number {
  assert.equal(got.length, want.length);
  let error = 0, size = 0;
  for (let i = 0; i < want.length; i++) {
    error += (got[i] - want[i]) ** 2;
    size += want[i] ** 2;
  }
  return Math.sqrt(error / size);
}

function assertWithin(error: number, tolerance: number, what: string): void {
  assert(error <= tolerance, `${what}: error ${error.toExponential(2)} above ${tolerance}`);
}

function matrixOf(file: GoldenFile, name: string): HostMatrix {
  const { data, shape } = file.f32(name);
  return hostMatrix(data, [shape[0], shape[1]]);
}

const grid = new GoldenFile("ridge_tall_x");
const alphas = [...grid.f32("alphas").data];

interface Case {
  readonly x: HostMatrix;
  readonly xTest: HostMatrix;
  readonly file: GoldenFile;
  readonly coef: HostMatrix;
}

function openCase(name: "tall" | "wide" | "uneven"): Case {
  const file = new GoldenFile(`ridge_${name}`);
  const inputs = name === "tall" ? grid : file;
  const weights = name === "wide" ? new GoldenFile("ridge_wide_coef") : file;
  return {
    ...{ x: matrixOf(inputs, "x"), xTest: matrixOf(inputs, "x_test"), file },
    coef: matrixOf(weights, "coef"),
  };
}

/** Chosen alphas must agree wherever the runner-up is further away than f32 noise. */
function assertSameAlphas(got: Float64Array, file: GoldenFile, prefix = ""): void {
  const want = file.f32(`${prefix}best_alphas`).data;
  const gap = file.f32("best_alpha_gap").data, scores = file.f32("cv_scores").data;
  want.forEach((alpha, t) => {
    const isClear = prefix !== "" || gap[t] > 1e-5 * Math.abs(scores[t]);
    if (isClear) {
      assert(Math.abs(got[t] / alpha - 1) < 1e-6, `target ${t}: ${got[t]}, not ${alpha}`);
    }
  });
}

for (const name of ["tall", "wide", "uneven"] as const) {
  Deno.test(`golden: RidgeCV on the ${name} case`, async () => {
    const { x, xTest, file, coef } = openCase(name);
    const y = matrixOf(file, "y");
    const model = await new RidgeCV(gpu, { alphas, coef: true }).fit(x, y);
    assertSameAlphas(model.bestAlphas, file);
    assertWithin(relative(model.cvScores, file.f32("cv_scores").data), STATED, "cvScores");
    assertWithin(relative(model.cvSurface, file.f32("cv_surface").data), STATED, "cvSurface");
    assertWithin(relative(model.coef!.data, coef.data), STATED, "coef");
    assertWithin(relative(model.intercept, file.f32("intercept").data), STATED, "intercept");
    const predictions = await model.predict(xTest);
    assertWithin(relative(predictions.data, file.f32("pred_test").data), STATED, "predictions");
    if (name === "wide") return; // its test rows are cut
    const yTest = matrixOf(file, "y_test");
    const r2 = await model.score(xTest, yTest);
    assertWithin(relative(r2, file.f32("r2_test").data), STATED, "r2");
    const correlation = correlationScore(yTest, predictions);
    assertWithin(relative(correlation, file.f32("corr_test").data), STATED, "correlation");
    const loss = l2NegLoss(yTest, predictions);
    assertWithin(relative(loss, file.f32("l2_test").data), STATED, "l2NegLoss");
  });

  for (const [scoring, prefix] of [["r2", "r2score."], ["correlation", "corrscore."]] as const) {
    Deno.test(`golden: RidgeCV on the ${name} case chooses by ${scoring}`, async () => {
      const { x, file } = openCase(name);
      const y = matrixOf(file, "y");
      const model = await new RidgeCV(gpu, { alphas, scoring, nTargetsBatch: 10 }).fit(x, y);
      const want = file.f32(`${prefix}best_alphas`).data;
      const same = want.filter((alpha, t) => Math.abs(model.bestAlphas[t] / alpha - 1) < 1e-6);
      // No gap is stored for these scores: one target in twenty may sit on a tie.
      assert(same.length >= 0.95 * want.length, `${same.length} of ${want.length} alphas agree`);
      assertWithin(
        relative(model.cvScores, file.f32(`${prefix}cv_scores`).data),
        STATED,
        "cvScores",
      );
    });
  }
}

Deno.test("golden: RidgeCV without intercept, and with one alpha for all", async () => {
  const { x, file } = openCase("tall");
  const y = matrixOf(file, "y");
  // The golden run without intercept had both sides centred beforehand.
  const centred = (m: HostMatrix) => {
    const rows = range(m.shape[0]);
    return hostMatrix(centredPart(m, rows, columnMeans(m, rows)), m.shape);
  };
  const options = { alphas, fitIntercept: false };
  const plain = await new RidgeCV(gpu, options).fit(centred(x), centred(y));
  assertSameAlphas(plain.bestAlphas, file, "nointercept.");
  assertWithin(
    relative(plain.cvScores, file.f32("nointercept.cv_scores").data),
    STATED,
    "cvScores without intercept",
  );
  const some = takeColumns(plain.coef!, Array.from({ length: 24 }, (_, t) => t));
  assertWithin(relative(some.data, file.f32("nointercept.coef24").data), STATED, "coef");
  assert(plain.intercept.every((value) => value === 0));
  const shared = await new RidgeCV(gpu, { alphas, localAlpha: false }).fit(x, y);
  assertSameAlphas(shared.bestAlphas, file, "global_alpha.");
  assertWithin(
    relative(shared.cvScores, file.f32("global_alpha.cv_scores").data),
    STATED,
    "cvScores with one alpha",
  );
});

Deno.test("golden: fitRidge() with an alpha for each target, down to 1/100 at condition 10⁴", async () => {
  // The golden run gave target t the alpha t mod 15.
  const { x, file } = openCase("tall");
  const y = takeColumns(matrixOf(file, "y"), Array.from({ length: 24 }, (_, t) => t));
  const alpha = Array.from({ length: 24 }, (_, t) => alphas[t % 15]);
  const model = await fitRidge(gpu, x, y, { alpha });
  assertWithin(relative(model.coef!.data, file.f32("pertarget_coef24").data), STATED, "coef");
  const intercept = file.f32("ridge_pertarget.intercept").data.subarray(0, 24);
  assertWithin(relative(model.intercept, intercept), STATED, "intercept");
});

Deno.test("RidgeCV by Cholesky factors on the GPU agrees with the exact one", async () => {
  for (const name of ["uneven", "wide"] as const) {
    const { x, file, coef } = openCase(name);
    const y = matrixOf(file, "y");
    const model = await new RidgeCV(gpu, { alphas, precision: "f32", coef: true }).fit(x, y);
    assertSameAlphas(model.bestAlphas, file);
    assertWithin(relative(model.cvScores, file.f32("cv_scores").data), STATED, "cvScores");
    // eps·κ of the regularised problem: λ_max/alpha is at most 5·10⁵ here, of which f32 leaves two to three digits at worst.
    assertWithin(relative(model.coef!.data, coef.data), 2e-3, "coef");
  }
});

Deno.test("RidgeCV solves its normal equations, for any splits and batches", async () => {
  const [n, p, nTargets] = [61, 17, 7];
  const x = hostMatrix(normal(randomKey(1), n * p), [n, p]);
  const y = hostMatrix(normal(randomKey(2), n * nTargets), [n, nTargets]);
  const cv = kFold(n, 4, { key: randomKey(3) }).slice(1); // not a partition
  const options: RidgeCVOptions = { alphas: [1, 10, 100], cv };
  const whole = await new RidgeCV(gpu, options).fit(x, y);
  const batched = await new RidgeCV(gpu, { ...options, nTargetsBatch: 2 }).fit(x, y);
  assert.deepEqual(batched.bestAlphas, whole.bestAlphas);
  assertWithin(relative(batched.coef!.data, whole.coef!.data), 1e-6, "batched");
  // Xᵀ(y − ŷ) = alpha·b and 1ᵀ(y − ŷ) = 0.
  const predictions = await whole.predict(x);
  for (let t = 0; t < nTargets; t++) {
    const rest = Array.from(
      { length: n },
      (_, r) => y.data[r * nTargets + t] - predictions.data[r * nTargets + t],
    );
    assertWithin(Math.abs(rest.reduce((sum, e) => sum + e, 0)), 1e-4, "sum of residuals");
    for (let i = 0; i < p; i++) {
      const side = rest.reduce((sum, e, r) => sum + e * x.data[r * p + i], 0);
      const alpha = whole.bestAlphas[t], b = whole.coef!.data[i * nTargets + t];
      assertWithin(Math.abs(side - alpha * b), 2e-4, `normal equation ${i} of target ${t}`);
    }
  }
});

Deno.test("RidgeCV gives ties to the larger alpha", async () => {
  // Constant responses: every alpha scores 0.
  const x = hostMatrix(normal(randomKey(1), 40), [20, 2]);
  const y = hostMatrix(new Float32Array(20).fill(3), [20, 1]);
  const model = await new RidgeCV(gpu, { alphas: [1, 100, 10] }).fit(x, y);
  assert.deepEqual([...model.bestAlphas], [100]);
  assert.deepEqual([...model.intercept], [3]);
});

Deno.test("RidgeCV refuses what it cannot fit", async () => {
  const x = hostMatrix(new Float32Array(12).map((_, i) => i % 5), [6, 2]);
  const y = hostMatrix([0, 1, 2, 3, 4, 5], [6, 1]);
  const bad = hostMatrix([0, 1, 2, NaN, 4, 5], [6, 1]);
  const fit = (features: HostMatrix, responses: HostMatrix, options: RidgeCVOptions = {}) =>
    new RidgeCV(gpu, options).fit(features, responses);
  await assert.rejects(fit(x, hostMatrix([1, 2], [2, 1])), {
    name: "InputError",
    message: /\[2,1\]/,
  });
  await assert.rejects(fit(x, bad), { name: "InputError", message: /responses row 3, column 0/ });
  await assert.rejects(fit(x, y, { cv: 7 }), { name: "InputError", message: /7 folds/ });
  assert.throws(() => new RidgeCV(gpu, { alphas: [1, 0] }), { name: "InputError", message: /1,0/ });
  const train = Uint32Array.of(0, 1), test = Uint32Array.of(1, 2);
  await assert.rejects(fit(x, y, { cv: [{ train, test }] }), { message: /on both sides/ });
  const model = await fit(x, y);
  await assert.rejects(model.predict(y), { name: "InputError", message: /fitted on 2 features/ });
  assert(Object.isFrozen(model));
});

Deno.test("singularValues() are those of the centred features, for either shape", async () => {
  const n = 40, p = 25;
  const x = hostMatrix(normal(randomKey(1), n * p).map((v, i) => 3 + v * (i % p + 1)), [n, p]);
  const centred = centredPart(x, range(n), columnMeans(x, range(n)));
  const want = new SVD(Matrix.from1DArray(n, p, Array.from(centred))).diagonal;
  const got = await singularValues(gpu, x);
  want.forEach((s, i) =>
    assert(Math.abs(got[i] - s) <= 1e-5 * want[0], `${i}: ${got[i]}, not ${s}`)
  );
  const raw = new SVD(Matrix.from1DArray(n, p, Array.from(x.data))).diagonal;
  const flipped = hostMatrix(new Float32Array(n * p), [p, n]);
  for (let i = 0; i < n * p; i++) flipped.data[(i % p) * n + Math.floor(i / p)] = x.data[i];
  const wide = await singularValues(gpu, flipped, { fitIntercept: false });
  raw.forEach((s, i) =>
    assert(Math.abs(wide[i] - s) <= 1e-5 * raw[0], `${i}: ${wide[i]}, not ${s}`)
  );
});

Deno.test("RidgeCV scores alphas beyond the resolution of f32 by the first of them, with nothing launched for the others", async () => {
  const [n, p, nTargets] = [40, 6, 3];
  const x = hostMatrix(normal(randomKey(1), n * p), [n, p]);
  const y = hostMatrix(normal(randomKey(2), n * nTargets), [n, nTargets]);
  y.data.forEach((noise, at) => y.data[at] = 10 * x.data[Math.floor(at / nTargets) * p] + noise);
  for (const solver of ["primal", "dual"] as const) {
    for (const fitIntercept of [true, false]) {
      const options = { solver, fitIntercept, precision: "f32", scoring: "correlation" } as const;
      const launches = async (alphas: number[]) => {
        const before = gpu.dispatchCount;
        const fit = await new RidgeCV(gpu, { ...options, alphas }).fit(x, y);
        return { fit, count: gpu.dispatchCount - before };
      };
      const one = await launches([1, 1e14]);
      const many = await launches([1, 1e14, 1e16, 1e18, 1e20]);
      assert.equal(many.count, one.count, solver);
      assert.deepEqual(many.fit.bestAlphas, one.fit.bestAlphas);
      // Correlations do not change with the size of predictions.
      const last = many.fit.cvSurface.subarray(4 * nTargets);
      one.fit.cvSurface.subarray(nTargets).forEach((score, t) => {
        assert(Math.abs(last[t] - score) < 1e-12, `${solver} ${t}: ${last[t]}, not ${score}`);
      });
    }
  }
});

Deno.test("RidgeCV stops at a signal and says where it stands", async () => {
  const x = hostMatrix(normal(randomKey(1), 60), [20, 3]);
  const y = hostMatrix(normal(randomKey(2), 20), [20, 1]);
  const controller = new AbortController();
  const seen: string[] = [];
  await assert.rejects(
    new RidgeCV(gpu).fit(x, y, {
      signal: controller.signal,
      onProgress({ stage, done }) {
        seen.push(`${stage} ${done}`);
        if (done === 2) controller.abort();
      },
    }),
    { name: "AbortError" },
  );
  assert.deepEqual(seen, ["cv 0", "cv 1", "cv 2"]);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
