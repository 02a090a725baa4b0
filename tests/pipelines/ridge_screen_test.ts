/**
 * Searches that leave alphas out or add some: what is scored is exact, what is left out is known.
 */
import assert from "node:assert/strict";
import { randomKey } from "../../mod.ts";
import { type CrossValidation, kFold } from "../../pipelines/encoding/cross_validation.ts";
import { gcvAlphas } from "../../pipelines/encoding/gcv.ts";
import { type HostMatrix, hostMatrix, range } from "../../pipelines/encoding/host_matrix.ts";
import { RidgeCV } from "../../pipelines/encoding/ridge.ts";
import { planOf } from "../../pipelines/encoding/ridge_plan.ts";
import { RidgeProblem } from "../../pipelines/encoding/ridge_problem.ts";
import { RidgeSamples } from "../../pipelines/encoding/ridge_samples.ts";
import { openTestGpu } from "../_gpu.ts";
import { linearData, oracleFits, oraclePredict } from "./ridge_oracle.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const N = 60, T = 8;
const narrow = linearData([N, 20, T]), wide = linearData([N, 200, T]);
const alphas = Array.from({ length: 13 }, (_, i) => 10 ** (-1 + i / 2));
const refusal = (message: RegExp) => ({ name: "InputError", message });

/**
 * Generalised cross-validation of every alpha by its definition, `[nAlphas, nTargets]`: with the hat matrix H of the features (and of
 * the constant, which an intercept fits), the mean squared residual over the squared mean of the diagonal of 1 − H, both over the
 * directions that are not fitted exactly.
 */
function bruteGcv(x: HostMatrix, y: HostMatrix, fitIntercept: boolean): Float64Array {
  const fits = oracleFits(x, y, { alphas, fitIntercept });
  const unit = hostMatrix(
    Float32Array.from({ length: N * N }, (_, at) => at % (N + 1) === 0 ? 1 : 0),
    [N, N],
  );
  const hats = oracleFits(x, unit, { alphas, fitIntercept }).map((fit) => oraclePredict(fit, x));
  const directions = N - Number(fitIntercept);
  return Float64Array.from({ length: alphas.length * T }, (_, at) => {
    const a = Math.floor(at / T), t = at % T;
    const z = oraclePredict(fits[a], x);
    let residual = 0, trace = 0;
    for (let r = 0; r < N; r++) {
      residual += (y.data[r * T + t] - z[r * T + t]) ** 2;
      trace += 1 - hats[a][r * N + r];
    }
    return residual / (trace / directions) ** 2;
  });
}

for (const fitIntercept of [true, false]) {
  Deno.test(`generalised cross-validation ${fitIntercept ? "with" : "without"} intercept chooses as its definition does`, async () => {
    for (const { x, y } of [narrow, wide]) {
      const want = bruteGcv(x, y, fitIntercept);
      const chosen = new Set<number>();
      for (const solver of ["primal", "dual"] as const) {
        const plan = planOf(x, { fitIntercept, solver, nTrain: N });
        const samples = new RidgeSamples(gpu, { ...plan, y, splits: kFold(N, 5) });
        using problem = new RidgeProblem(samples, plan);
        const { isDual } = plan;
        const choice = await gcvAlphas(problem, { alphas, nTargetsBatch: 3, isDual });
        choice.forEach((a, t) => {
          const own = alphas.map((_, b) => want[b * T + t]);
          // Rounding of f32 may move the choice between alphas that are as good as equal.
          assert(
            own[a] <= Math.min(...own) * (1 + 1e-4),
            `${solver} target ${t} chose ${alphas[a]}`,
          );
          chosen.add(a);
        });
      }
      assert(chosen.size > 1, "all targets chose the same");
    }
  });
}

Deno.test("with an intercept the constant direction does not count: responses without signal get no small alpha", async () => {
  const { y } = linearData([N, 1, T], { seed: 9 });
  const model = await new RidgeCV(gpu, { alphas, exact: false, screening: "gcv" }).fit(wide.x, y);
  const small = model.bestAlphas.filter((alpha) => alpha <= 1);
  assert.equal(small.length, 0, `${model.bestAlphas}`);
});

for (const screening of ["gcv", "coarse"] as const) {
  Deno.test(`what screening by ${screening} scores is what the exact search scores`, async () => {
    for (const solver of ["primal", "dual"] as const) {
      for (const cv of [5, { nSplits: 4, key: randomKey(1) }]) {
        const options = { alphas, cv, solver, precision: "f32" } as const;
        const exact = await new RidgeCV(gpu, options).fit(narrow.x, narrow.y);
        const found = await new RidgeCV(gpu, { ...options, exact: false, screening })
          .fit(narrow.x, narrow.y);
        const scored = new Uint32Array(T);
        found.cvSurface.forEach((score, at) => {
          if (score === -Infinity) return;
          scored[at % T]++;
          // The targets of a tile lie in other places of it; sums over rows are the same.
          assert.equal(score, exact.cvSurface[at], `alpha ${alphas[Math.floor(at / T)]}`);
        });
        const most = screening === "gcv" ? 3 : 5 + 4;
        assert(scored.every((count) => count >= 2 && count <= most), `${scored} alphas scored`);
        const gained = exact.cvScores.map((score, t) => score - found.cvScores[t]);
        assert(gained.every((gain) => gain >= 0));
        if (screening === "coarse") assert.deepEqual(found.bestAlphas, exact.bestAlphas);
      }
    }
  });
}

Deno.test("screening with one alpha for all targets finds the one of the exact search", async () => {
  for (const screening of ["gcv", "coarse"] as const) {
    const options = { alphas, localAlpha: false };
    const exact = await new RidgeCV(gpu, options).fit(narrow.x, narrow.y);
    const found = await new RidgeCV(gpu, { ...options, exact: false, screening })
      .fit(narrow.x, narrow.y);
    assert.deepEqual(found.bestAlphas, exact.bestAlphas, screening);
    assert.deepEqual(found.cvScores, exact.cvScores, screening);
  }
});

Deno.test("screening by generalised cross-validation is refused where samples are not exchangeable", () => {
  const cases: CrossValidation[] = [
    { runs: range(N).map((r) => Math.floor(r / 15)) },
    { nSplits: 5, gap: 1 },
    { nSplits: 5, chunkLength: 4 },
    kFold(N, 5),
  ];
  const make = (cv: CrossValidation, screening: "gcv" | "coarse") => () =>
    new RidgeCV(gpu, { alphas, cv, exact: false, screening });
  for (const cv of cases) {
    assert.throws(make(cv, "gcv"), refusal(/keep runs, chunks or given samples together.*exactly/));
    make(cv, "coarse")();
  }
  const careful = () => new RidgeCV(gpu, { alphas, exact: false, conservative: true });
  assert.throws(careful, refusal(/leave alphas out and choose conservatively/));
  const down = () => new RidgeCV(gpu, { alphas: [3, 1], exact: false });
  assert.throws(down, refusal(/must ascend, they are \[3,1\]/));
});

Deno.test("a coarse search finds the best alpha wherever it lies on the grid", async () => {
  // Grids that start elsewhere: the best alpha is a coarse point, or one or two steps from it.
  for (const first of [0, 1, 2]) {
    const grid = alphas.slice(first, first + 11);
    const options = { alphas: grid };
    const exact = await new RidgeCV(gpu, options).fit(wide.x, wide.y);
    const found = await new RidgeCV(gpu, { ...options, exact: false, screening: "coarse" })
      .fit(wide.x, wide.y);
    assert.deepEqual(found.bestAlphas, exact.bestAlphas);
    assert.deepEqual(found.cvScores, exact.cvScores);
    assert.deepEqual(found.intercept, exact.intercept);
  }
});

Deno.test("RidgeCV warns of targets at the ends of the grid, and extends it where asked", async () => {
  const { x, y } = narrow;
  const all = await new RidgeCV(gpu, { alphas }).fit(x, y);
  const [least, most] = [Math.min(...all.bestAlphas), Math.max(...all.bestAlphas)];
  assert(least > alphas[0] && most < alphas[12] && least < most, "the data test nothing");
  assert.deepEqual(all.warnings, []);

  const high = alphas.filter((alpha) => alpha >= most);
  const plain = await new RidgeCV(gpu, { alphas: high }).fit(x, y);
  assert.match(
    plain.warnings.join(),
    /^\d of 8 targets chose the smallest alpha, .*lie below the grid$/,
  );
  const extended = await new RidgeCV(gpu, { alphas: high, extendAlphas: true }).fit(x, y);
  assert(extended.alphas.length > high.length && extended.alphas[0] < high[0]);
  assert.equal(extended.cvSurface.length, extended.alphas.length * T);
  assert.equal(extended.foldScores.length, extended.alphas.length * 5 * T);
  assert.equal(extended.precisions.length, extended.alphas.length);
  assert.deepEqual([...extended.alphas], [...extended.alphas].sort((a, b) => a - b));
  // Two at a time, up to six: enough here for all but the smallest.
  extended.bestAlphas.forEach((alpha, t) => {
    if (all.bestAlphas[t] < extended.alphas[0]) return;
    assert(Math.abs(alpha / all.bestAlphas[t] - 1) < 1e-9, `target ${t}: ${alpha}`);
  });

  const low = alphas.filter((alpha) => alpha <= least);
  const [below, above] = [
    await new RidgeCV(gpu, { alphas: low.toReversed() }).fit(x, y),
    await new RidgeCV(gpu, { alphas: low, extendAlphas: true }).fit(x, y),
  ];
  assert.match(below.warnings.join(), /chose the largest alpha, .*lie above the grid$/);
  assert(above.alphas.at(-1)! > low.at(-1)!);
  const one = await new RidgeCV(gpu, { alphas: [1] }).fit(x, y);
  assert.deepEqual(one.warnings, []);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
