/**
 * Ridge regression with delayed features against the same on the design that it never makes.
 */
import assert from "node:assert/strict";
import { delayRows } from "../../pipelines/encoding/delays.ts";
import { Encoder } from "../../pipelines/encoding/encoder.ts";
import { loadEncoder, saveEncoder } from "../../pipelines/encoding/encoder_file.ts";
import { GroupRidgeCV } from "../../pipelines/encoding/group_ridge.ts";
import { type HostMatrix, hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { splitsOf } from "../../pipelines/encoding/cross_validation.ts";
import { fitRidge, RidgeCV, type RidgeCVOptions } from "../../pipelines/encoding/ridge.ts";
import { openTestGpu } from "../_gpu.ts";
import { TestFolder } from "./io_fixtures.ts";
import {
  assertNear,
  gaussian,
  linearData,
  oracleFits,
  oraclePredict,
  oracleScores,
} from "./ridge_oracle.ts";

const gpu = await openTestGpu();
const plain = await openTestGpu({ without: ["shader-f64"] });
Deno.test.afterEach(() => assert.equal(gpu.liveBytes + plain.liveBytes, 0));

const N = 60, T = 4, delays = [1, 2, 3];
const runs = Array.from({ length: N }, (_, r) => r < 13 ? 5 : r < 30 ? 2 : r < 31 ? 9 : 4);
const newRuns = [1, 1, 1, 1, 1, 8, 8, 3, 3, 3, 3, 3];
const alphas = [1, 30, 1000];
// Leaving the run of one sample out leaves a fold of one: only a squared error is scored then.
const CLOSE = 1e-4;

/** Responses follow delayed features. */
function delayedData(p: number): { x: HostMatrix; y: HostMatrix; design: HostMatrix } {
  const { x } = linearData([N, p, 1], { seed: p });
  const design = delayRows(x, delays, { runs });
  const weights = gaussian(p + 1, 3 * p, T), y = gaussian(p + 2, N, T);
  for (let r = 0; r < N; r++) {
    for (let t = 0; t < T; t++) {
      y.data[r * T + t] += 3;
      for (let j = 0; j < 3 * p; j++) {
        y.data[r * T + t] += design.data[r * 3 * p + j] * weights.data[j * T + t] / Math.sqrt(p);
      }
    }
  }
  return { x, y, design };
}

const few = delayedData(6), many = delayedData(30);
const ARITHMETICS = [[gpu, "f32"], [gpu, "f64"], [plain, "f64"]] as const;

for (const fitIntercept of [true, false]) {
  Deno.test(`RidgeCV of delayed features ${fitIntercept ? "with" : "without"} intercept is that of their design`, async () => {
    const splits = splitsOf({ runs }, N);
    for (const { x, y, design } of [few, many]) {
      const want = oracleScores(design, y, { splits, alphas, fitIntercept });
      const fits = oracleFits(design, y, { alphas, fitIntercept });
      for (const solver of ["primal", "dual"] as const) {
        for (const [device, precision] of ARITHMETICS) {
          // Beyond what f32 promises: the means are a direction of size 10⁴ beside an alpha of 1.
          if (precision === "f32" && solver === "primal" && x === many.x) continue;
          const what = `${solver} ${precision} p = ${x.shape[1]}`;
          const options: RidgeCVOptions = {
            ...{ alphas, cv: { runs }, delays, delayOptions: { runs }, solver, precision },
            ...{ fitIntercept, coef: true },
          };
          const model = await new RidgeCV(device, options).fit(x, y);
          assertNear(model.foldScores, want, CLOSE, `${what} foldScores`);
          assert.deepEqual(model.coef!.shape, [3 * x.shape[1], T]);
          assert.equal(model.nFeatures, x.shape[1]);
          // Block d of the rows belongs to delays[d], as in the design.
          const fitOf = (t: number) => fits[alphas.indexOf(model.bestAlphas[t])];
          const coef = Float64Array.from(model.coef!.data, (_, at) => fitOf(at % T).coef[at]);
          assertNear(model.coef!.data, coef, CLOSE, `${what} coef`);
          const intercepts = Array.from({ length: T }, (_, t) => fitOf(t).intercept[t]);
          assertNear(model.intercept, intercepts, CLOSE, `${what} intercept`);
          const xNew = gaussian(5, 12, x.shape[1]);
          const predicted = await model.predict(xNew, { runs: newRuns });
          const designNew = delayRows(xNew, delays, { runs: newRuns });
          const all = fits.map((fit) => oraclePredict(fit, designNew));
          const expected = Float64Array.from(
            predicted.data,
            (_, at) => all[alphas.indexOf(model.bestAlphas[at % T])][at],
          );
          assertNear(predicted.data, expected, CLOSE, `${what} predictions`);
        }
      }
    }
  });
}

Deno.test("a dual model of delayed features predicts new runs without coefficients, also from its file", async () => {
  using folder = new TestFolder();
  const { x, y } = many;
  for (const fitIntercept of [true, false]) {
    for (const acrossRuns of [false, true]) {
      const options: RidgeCVOptions = {
        ...{ alphas, delays, delayOptions: { runs, acrossRuns }, solver: "dual", fitIntercept },
        precision: "f32",
      };
      const dual = await new RidgeCV(gpu, options).fit(x, y);
      const primal = await new RidgeCV(gpu, { ...options, coef: true }).fit(x, y);
      assert.equal(dual.coef, undefined);
      const xNew = gaussian(5, 12, 30);
      const want = await primal.predict(xNew, { runs: newRuns });
      const got = await dual.predict(xNew, { runs: newRuns });
      assertNear(got.data, want.data, CLOSE, "dual predictions");
      for (const model of [dual, primal]) {
        const { alphas: grid, bestAlphas, cvSurface, cvR2 } = model;
        const details = { alphas: grid, bestAlphas, cvSurface, cvR2 };
        const encoder = new Encoder({
          ...{ model, normalizer: { kind: "none" }, solver: "ridge", details, options: {} },
        });
        await saveEncoder(folder.at("model.h5"), encoder);
        const loaded = await loadEncoder(gpu, folder.at("model.h5"));
        assert.equal(loaded.nFeatures, 30);
        const again = await loaded.predict(xNew, { runs: newRuns });
        assert.deepEqual(again, await model.predict(xNew, { runs: newRuns }));
        assert.deepEqual(loaded.details.cvSurface, cvSurface);
      }
    }
  }
});

Deno.test("fitRidge() and banded ridge regressions delay features too", async () => {
  const { x, y, design } = few;
  const groups = [0, 0, 0, 1, 1, 1], gamma = [0.8, 0.2];
  const scaled = hostMatrix(
    design.data.map((value, at) => value * Math.sqrt(gamma[groups[at % 6]])),
    design.shape,
  );
  const [fit] = oracleFits(design, y, { alphas: [30] });
  const [banded] = oracleFits(scaled, y, { alphas: [30] });
  const weights = banded.coef.map((value, at) =>
    value * Math.sqrt(gamma[groups[Math.floor(at / T) % 6]])
  );
  const ways = [["primal", "f32"], ["dual", "f32"], ["dual", "f64"]] as const;
  for (const [solver, precision] of ways) {
    const shared = { delays, delayOptions: { runs }, solver, precision, coef: true };
    const one = await fitRidge(gpu, x, y, { alpha: 30, ...shared });
    assertNear(one.coef!.data, fit.coef, CLOSE, `${solver} coef`);
    for (const coef of [true, false]) {
      const search = { ...shared, coef, alphas: [30], nIter: [gamma], groups };
      const model = await new GroupRidgeCV(gpu, search).fit(x, y);
      if (coef) assertNear(model.coef!.data, weights, CLOSE, `${solver} banded coef`);
      assertNear(model.intercept, banded.intercept, CLOSE, `${solver} banded intercept`);
      const { data } = await model.predict(x, { runs });
      assertNear(data, oraclePredict(banded, scaled), CLOSE, `${solver} banded predictions`);
    }
  }
});

Deno.test("close the devices", () => {
  gpu[Symbol.dispose]();
  plain[Symbol.dispose]();
});
