/**
 * Fitted ridge regressions: their coefficients and predictions against a dense solve in float64, and what they refuse.
 */
import assert from "node:assert/strict";
import { type HostMatrix, hostMatrix, range } from "../../pipelines/encoding/host_matrix.ts";
import { fitRidge, RidgeCV, type RidgeCVOptions } from "../../pipelines/encoding/ridge.ts";
import { RidgeModel } from "../../pipelines/encoding/fitted_ridge.ts";
import { r2Score } from "../../pipelines/encoding/scoring.ts";
import { openTestGpu } from "../_gpu.ts";
import { assertNear, gaussian, linearData, oracleFits, oraclePredict } from "./ridge_oracle.ts";

const gpu = await openTestGpu();
const plain = await openTestGpu({ without: ["shader-f64"] });
Deno.test.afterEach(() => assert.equal(gpu.liveBytes + plain.liveBytes, 0));

const N = 60, T = 6;
const data = { narrow: linearData([N, 20, T]), wide: linearData([N, 200, T]) };
const alpha = [0.1, 1, 1, 30, 1000, 1e6];
const refusal = (message: RegExp) => ({ name: "InputError", message });

// What the project promises for predictions. Coefficients of samples are residuals over alpha, stored in f32: with residuals of unit scale
// and 60 samples of 20 features a sum of them is off by 6e-8/0.1·√60·√20 = 2e-5.
const CLOSE = 1e-4;

for (const fitIntercept of [true, false]) {
  Deno.test(`fitRidge() ${fitIntercept ? "with" : "without"} intercept solves every target at its alpha, primal and dual`, async () => {
    for (const [name, { x, y }] of Object.entries(data)) {
      const xTest = gaussian(99, 9, x.shape[1]);
      const fits = oracleFits(x, y, { alphas: alpha, fitIntercept });
      const pick = (of: (fit: typeof fits[0], t: number) => number) => fits.map((f, t) => of(f, t));
      const want = fits.map((fit) => oraclePredict(fit, xTest));
      for (const device of [gpu, plain]) {
        for (const solver of ["primal", "dual"] as const) {
          const what = `${name} ${solver}`;
          const options = { alpha, solver, fitIntercept, coef: true };
          const model = await fitRidge(device, x, y, options);
          const coef = Float64Array.from(model.coef!.data, (_, at) => fits[at % T].coef[at]);
          assertNear(model.coef!.data, coef, CLOSE, `${what} coef`);
          assertNear(model.intercept, pick((f, t) => f.intercept[t]), CLOSE, `${what} intercept`);
          if (!fitIntercept) assert(model.intercept.every((value) => value === 0));
          const predictions = Float64Array.from({ length: 9 * T }, (_, at) => want[at % T][at]);
          assertNear((await model.predict(xTest)).data, predictions, CLOSE, `${what} predict`);
          // The same from the coefficients of the samples.
          const { coef: _, ...parts } = model;
          if (!parts.dualCoef) continue;
          const dual = new RidgeModel(device, parts);
          assertNear((await dual.predict(xTest)).data, predictions, CLOSE, `${what} dual predict`);
        }
      }
    }
  });
}

Deno.test("RidgeCV fits all samples at the chosen alphas, in whatever space, with coefficients only where asked", async () => {
  for (const { x, y } of Object.values(data)) {
    const alphas = [0.1, 3, 100, 3000];
    const fits = oracleFits(x, y, { alphas });
    const predictions: HostMatrix[] = [];
    for (const solver of ["primal", "dual"] as const) {
      const model = await new RidgeCV(gpu, { alphas, solver }).fit(x, y);
      assert.equal(model.coef !== undefined, solver === "primal");
      assert.equal(model.dualCoef !== undefined, solver === "dual");
      assert.equal(model.xFit !== undefined, solver === "dual");
      assert.deepEqual([model.nFeatures, model.nTargets], [x.shape[1], T]);
      predictions.push(await model.predict(x));
      const want = Float64Array.from(y.data, (_, at) => {
        const fit = fits[alphas.indexOf(model.bestAlphas[at % T])];
        let sum = fit.intercept[at % T];
        const row = Math.floor(at / T) * x.shape[1];
        for (let j = 0; j < x.shape[1]; j++) sum += x.data[row + j] * fit.coef[j * T + at % T];
        return sum;
      });
      assertNear(predictions.at(-1)!.data, want, CLOSE, solver);
      assertNear(
        await model.score(x, y),
        r2Score(y, hostMatrix(want, [N, T])),
        CLOSE,
        `${solver} score`,
      );
      if (solver === "primal") continue;
      // Coefficients of samples sum to 0 where there is an intercept, but for alpha⁻¹ times what f32 leaves of 60 centred responses.
      const sums = new Float64Array(T);
      model.dualCoef!.data.forEach((value, at) => sums[at % T] += value * model.bestAlphas[at % T]);
      assertNear(sums, new Float64Array(T), 60 * 6e-8 * 10, "sums of dual coefficients");
    }
    assertNear(predictions[1].data, predictions[0].data, CLOSE, "primal and dual");
  }
});

Deno.test("RidgeCV solves in the smaller space by itself", async () => {
  // 48 samples train in each of five folds.
  for (const [p, isDual] of [[47, false], [48, true]] as const) {
    const model = await new RidgeCV(gpu).fit(gaussian(1, N, p), gaussian(2, N, 1));
    assert.equal(model.dualCoef !== undefined, isDual, `${p} features`);
  }
});

Deno.test("FittedRidge predicts any number of samples, one too", async () => {
  for (const solver of ["primal", "dual"] as const) {
    const { x, y } = data.narrow;
    const model = await new RidgeCV(gpu, { solver }).fit(x, y);
    const all = await model.predict(x);
    for (const rows of [1, 7]) {
      const some = hostMatrix(x.data.slice(0, rows * 20), [rows, 20]);
      const part = await model.predict(some);
      assert.deepEqual(part.shape, [rows, T]);
      assertNear(part.data, all.data.subarray(0, rows * T), 1e-5, `${rows} rows`);
    }
    const wrong = hostMatrix(new Float32Array(19), [1, 19]);
    await assert.rejects(model.predict(wrong), refusal(/\[1,19\].*fitted on 20 features/));
    await assert.rejects(model.score(x, hostMatrix([1], [1, 1])), refusal(/one shape/));
  }
});

Deno.test("duplicate rows and columns are fitted as they are", async () => {
  const { x, y } = data.narrow;
  const twice = ({ data, shape: [, width] }: HostMatrix) =>
    hostMatrix(Float32Array.from({ length: 40 * width }, (_, at) => data[at % (20 * width)]), [
      40,
      width,
    ]);
  const columns = ({ data, shape: [n, p] }: HostMatrix) =>
    hostMatrix(
      Float32Array.from({ length: 2 * n * p }, (_, at) => data[(at - at % 2) / 2]),
      [n, 2 * p],
    );
  for (const features of [twice(x), columns(twice(x))]) {
    const [fit] = oracleFits(features, twice(y), { alphas: [1] });
    for (const solver of ["primal", "dual"] as const) {
      const model = await fitRidge(gpu, features, twice(y), { alpha: 1, solver, coef: true });
      assertNear(model.coef!.data, fit.coef, CLOSE, `${solver} of [${features.shape}]`);
    }
  }
});

Deno.test("constant and missing features get no weight", async () => {
  const { x, y } = data.narrow;
  const flat = hostMatrix(
    x.data.map((value, at) => at % 20 === 3 ? 7 : at % 20 === 4 ? 0 : value),
    [
      N,
      20,
    ],
  );
  for (const solver of ["primal", "dual"] as const) {
    const model = await fitRidge(gpu, flat, y, { alpha: 1, solver, coef: true });
    const weights = model.coef!.data.subarray(3 * T, 5 * T);
    assert(weights.every((value) => Math.abs(value) < 1e-6), `${solver}: ${weights}`);
  }
});

const row = (from: number, to: number) => range(to - from).map((i) => i + from);
const BAD_OPTIONS: readonly [RidgeCVOptions, RegExp][] = [
  [{ alphas: [] }, /there must be some/],
  [{ alphas: [1, 1] }, /all different/],
  [{ alphas: [1, 0] }, /above 0/],
  [{ alphas: [-1] }, /above 0/],
  [{ alphas: [1, NaN] }, /finite/],
  [{ alphas: [Infinity] }, /finite/],
  [{ cv: 1 }, /60 samples into 1 folds/],
  [{ cv: 61 }, /61 folds/],
  [{ cv: 2.5 }, /2.5 folds/],
  [{ cv: 60, scoring: "r2" }, /score by r2.*fold 0 has 1.*l2NegLoss/],
  [{ cv: 31, scoring: "correlation" }, /score by correlation.*fold 29 has 1/],
  [{ cv: { runs: range(59) } }, /59 run labels for 60 samples/],
  [{ cv: { runs: new Float64Array(60) } }, /two runs or more.*name 1/],
  [{ cv: { runs: new Float64Array(60).fill(NaN) } }, /finite number, row 0/],
  [{ cv: { nSplits: 2, gap: 60 } }, /gap of 60/],
  [{ cv: { nSplits: 2, gap: -1 } }, /gap must be a whole number/],
  [{ cv: { nSplits: 2, nRepeats: 2 } }, /without a key/],
  [{ cv: [] }, /no split/],
  [{ cv: [{ train: row(0, 0), test: row(0, 3) }] }, /side is empty/],
  [{ cv: [{ train: row(0, 50), test: row(50, 61) }] }, /row is not from 0 to 59: 60/],
  [{ cv: [{ train: row(0, 50), test: Uint32Array.of(55, 55) }] }, /55 is twice on the test side/],
  [{ delays: [] }, /one delay or more/],
  [{ delays: [1, 1] }, /all different/],
  [{ delays: [0.5] }, /whole numbers/],
  [{ delays: [1], delayOptions: { runs: [1, 2] } }, /2 run labels for 60/],
  [{ delays: [1], delayOptions: { runs: range(60).map((r) => r % 2) } }, /begins again at row 2/],
  [{ nTargetsBatch: 0 }, /nTargetsBatch must be a whole number from 1/],
  [{ nAlphasBatch: 1.5 }, /nAlphasBatch must be a whole number from 1/],
  [{ conservative: true, localAlpha: false }, /one of both/],
];

Deno.test("RidgeCV and fitRidge() say in one sentence what they cannot fit", async () => {
  const { x, y } = data.narrow;
  const holed = (m: HostMatrix, at: number, value: number) => {
    const copy = m.data.slice();
    copy[at] = value;
    return hostMatrix(copy, m.shape);
  };
  const empty = (rows: number, columns: number) => hostMatrix([], [rows, columns]);
  const samples: [HostMatrix, HostMatrix, RegExp][] = [
    [holed(x, 2 * 20 + 5, NaN), y, /features row 2, column 5 .* is NaN/],
    [holed(x, 0, Infinity), y, /features row 0, column 0 .* is Infinity/],
    [x, holed(y, 3 * T + 1, -Infinity), /responses row 3, column 1 .* is -Infinity/],
    [x, hostMatrix(y.data.slice(T), [N - 1, T]), /\[60,20\] to responses \[59,6\].*same number/],
    [empty(N, 0), y, /\[60,0\].*none may be empty/],
    [x, empty(N, 0), /\[60,0\].*none may be empty/],
    [empty(0, 20), empty(0, 6), /none may be empty/],
  ];
  for (const [features, responses, message] of samples) {
    await assert.rejects(new RidgeCV(gpu).fit(features, responses), refusal(message));
    await assert.rejects(fitRidge(gpu, features, responses), refusal(message));
  }
  for (const [given, message] of BAD_OPTIONS) {
    const fit = async () => await new RidgeCV(gpu, given).fit(x, y);
    await assert.rejects(fit(), refusal(message), JSON.stringify(given));
  }
  // One sample per fold is a squared error like any other.
  const loo = await new RidgeCV(gpu, { cv: 60 }).fit(x, y);
  assert(loo.cvScores.every(Number.isFinite));
  await assert.rejects(fitRidge(gpu, x, y, { alpha: [1, 2] }), refusal(/6 targets with 2 alphas/));
  await assert.rejects(fitRidge(gpu, x, y, { alpha: -1 }), refusal(/above 0/));
  await assert.rejects(fitRidge(gpu, x, y, { nTargetsBatch: 0 }), refusal(/nTargetsBatch/));
});

Deno.test("precision f64 is refused where neither the adapter nor the host has it", async () => {
  const x = gaussian(1, 700, 641), y = gaussian(2, 700, 1);
  const message = /no 64-bit floats.*up to 640 rows; choose precision "auto"/;
  const options = { precision: "f64", solver: "primal" } as const;
  await assert.rejects(fitRidge(plain, x, y, options), refusal(message));
});

Deno.test("close the devices", () => {
  gpu[Symbol.dispose]();
  plain[Symbol.dispose]();
});
