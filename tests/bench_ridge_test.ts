/**
 * `gyrus bench ridge`: every row is there at a tiny size, its check can fail, and its counts of operations are those that were published.
 */
import assert from "node:assert/strict";
import { type RidgeCase, ridgeCases } from "../bench/ridge_case.ts";
import { agreement, type RidgeOutcome } from "../bench/ridge_check.ts";
import { kernelWork, oursWork, total } from "../bench/ridge_stages.ts";
import { gyrus } from "./console.ts";

Deno.test("bench ridge tells every way to every case, checked against the exact one", async () => {
  const { code, out, errors } = await gyrus("bench", "ridge", "--scale", "0.012", "--json");
  assert.deepEqual([code, errors], [0, []]);
  const [head, ...rows] = out.map((line) => JSON.parse(line));
  assert.ok(head.adapter);
  const ours = ["exact", "screened by GCV", "coarse to fine"];
  const [svd, kernel] = ["himalaya's RidgeCV", "himalaya's KernelRidgeCV"];
  assert.deepEqual(rows.map(({ method }) => method), [
    ...[undefined, ...ours, svd, kernel], // without a method: the score kernel
    ...[undefined, ...ours, kernel],
  ]);
  for (const { method, ...row } of rows) {
    if (method === undefined) {
      assert.ok(row.fusedMs > 0 && row.share > 0 && row.error < 2e-5, JSON.stringify(row));
      continue;
    }
    const seconds = Object.values<number>(row.seconds);
    assert.ok(seconds.every((s) => s >= 0) && row.totalSeconds > 0 && row.cpuSeconds > 0, method);
    assert.ok(row.totalGflop > 0 && row.gflops > 0 && row.deviceBytes > 0, method);
    for (const stage of ["gram", "operators", "score", "refit"]) assert.ok(stage in row.seconds);
    assert.equal("eigh" in row.seconds, method.startsWith("himalaya") || method.includes("GCV"));
    assert.equal(row.agreement === undefined, method === "exact");
    assert.equal(method === "exact" || method.startsWith("himalaya"), row.scored === 1);
    if (ours.includes(method)) assert.ok(row.faster[kernel] > 0);
  }
});

Deno.test("bench ridge refuses a scale that is none", async () => {
  const { code, errors } = await gyrus("bench", "ridge", "--scale", "0");
  assert.equal(code, 2);
  assert.match(errors.join("\n"), /above 0 and at most 1/);
});

const small: RidgeCase = {
  ...{ name: "small", n: 2, p: 1, nTargets: 2, nFolds: 2, alphas: [1, 10], softwareScale: 1 },
};

function outcome(change: Partial<RidgeOutcome> = {}): RidgeOutcome {
  return {
    scores: Float64Array.of(-0.5, -0.9, -0.6, -0.7),
    best: Uint32Array.of(0, 1),
    weights: Float32Array.of(1, 2),
    predictions: Float32Array.of(1, 2, 3, 4),
    ...change,
  };
}

Deno.test("agreement() passes equal fits and refuses each kind of difference", () => {
  const options = { leastAlpha: 0 };
  const check = (change: Partial<RidgeOutcome>) => () =>
    agreement(small, outcome(change), outcome(), options);
  assert.deepEqual(check({})(), { scores: 0, sameAlpha: 1, weights: 0, predictions: 0 });
  const perturbed = Float64Array.of(-0.5, -0.9, -0.6, -0.7002);
  assert.throws(check({ scores: perturbed }), /small: the fits disagree: scores 0.000200/);
  const broken = Float64Array.of(-0.5, NaN, -0.6, -0.7);
  assert.throws(check({ scores: broken }), /scores Infinity/);
  assert.throws(check({ best: Uint32Array.of(1, 1) }), /sameAlpha 0.5/);
  assert.throws(check({ weights: Float32Array.of(1, 2.1) }), /weights/);
  assert.throws(check({ predictions: Float32Array.of(1, 2, 3, 4.1) }), /predictions/);
});

Deno.test("agreement() leaves out what f32 cannot tell and what a screened search left out", () => {
  const perturbed = Float64Array.of(-0.4, -0.8, -0.6, -Infinity);
  const found = agreement(small, outcome({ scores: perturbed }), outcome(), { leastAlpha: 2 });
  assert.equal(found.scores, 0);
  const other = outcome({ best: Uint32Array.of(1, 1) });
  const screened = { leastAlpha: 0, isScreened: true };
  assert.equal(agreement(small, other, outcome(), screened).sameAlpha, 0.5);
  const tied = { scores: Float64Array.of(-0.6, -0.9, -0.600001, -0.7) };
  const tie = agreement(small, outcome({ ...tied, best: Uint32Array.of(1, 1) }), outcome(tied), {
    leastAlpha: 0,
  });
  assert.equal(tie.sameAlpha, 1);
});

Deno.test("the work of the large case is that of the published table, less the weights of the features", () => {
  const [, large] = ridgeCases;
  const options = { used: large.alphas.length };
  // Table of the 10,000 × 20,000 × 40,000 case: 181 and 407 TFLOP, of which 16 are weights of the features.
  assert.ok(Math.abs(total(oursWork(large, options)) / 1e3 - (181 - 16)) < 1);
  assert.ok(Math.abs(total(kernelWork(large, options)) / 1e3 - (407 - 16)) < 1);
});
