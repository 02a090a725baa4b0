import assert from "node:assert/strict";
import { foldIn, normal, randomKey } from "../../engine/random.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { InputError } from "../../pipelines/errors.ts";
import { dci, importanceScores } from "../../pipelines/vae/dci.ts";
import { factorsOf, type StimulusFactor } from "../../pipelines/vae/factors.ts";
import { informationGap, mutualInformation } from "../../pipelines/vae/information_gap.ts";
import { fitLasso, standardize } from "../../pipelines/vae/lasso.ts";
import { sap } from "../../pipelines/vae/sap.ts";

// Every combination of 5 × 4 × 3 levels, 20 times over: factors that share nothing at all.
const n = 5 * 4 * 3 * 20;
const level = (k: number, i: number) => [i % 5, Math.floor(i / 5) % 4, Math.floor(i / 20) % 3][k];
const factors: StimulusFactor[] = [
  { name: "tilt", kind: "number", values: Float64Array.from({ length: n }, (_, i) => level(0, i)) },
  { name: "size", kind: "number", values: Float64Array.from({ length: n }, (_, i) => level(1, i)) },
  {
    name: "kind",
    kind: "category",
    values: Uint32Array.from({ length: n }, (_, i) => level(2, i)),
  },
];
const latentsOf = (row: (i: number) => number[]) => {
  const rows = Array.from({ length: n }, (_, i) => row(i));
  return hostMatrix(Float32Array.from(rows.flat()), [n, rows[0].length]);
};
/** Each dimension says one factor. */
const perfect = latentsOf((i) => [10 * level(1, i) - 3, 2 * level(2, i), -level(0, i)]);
/** Each factor is said alike by two dimensions. */
const doubled = latentsOf((i) => [0, 1, 2].flatMap((k) => [level(k, i), 3 * level(k, i)]));
const near = (a: number, b: number, within = 1e-9) =>
  assert.ok(Math.abs(a - b) <= within, `${a} is not ${b}`);

Deno.test("mutualInformation() is that of tables worked by hand", () => {
  const a = Uint32Array.of(0, 0, 1, 1), same = mutualInformation(a, a);
  near(same.information, Math.log(2));
  near(mutualInformation(a, Uint32Array.of(0, 1, 0, 1)).information, 0);
  // p(0,0) = 1/2, p(1,0) = p(1,1) = 1/4: H = log 2 + 0.5623 − 1.0397 of the joint.
  const half = mutualInformation(a, Uint32Array.of(0, 0, 0, 1));
  near(half.information, Math.log(2) - 0.75 * Math.log(3) + Math.log(4) - 1.5 * Math.log(2));
  near(half.entropies[1], Math.log(4) - 0.75 * Math.log(3));
});

Deno.test("informationGap() is 1 where each factor has its dimension, and 0 where two share it", () => {
  const one = informationGap(perfect, factors);
  one.gaps.forEach((gap) => near(gap, 1));
  assert.deepEqual(one.best, [2, 0, 1]);
  near(one.entropies[0], Math.log(5));
  near(informationGap(doubled, factors).mig, 0);
  // The pairs that share a factor as groups: then every factor has its group.
  const grouped = informationGap(doubled, factors, { groups: [2, 2, 2] });
  near(grouped.groupMig, 1);
  near(grouped.mig, 0);
  assert.deepEqual(grouped.bestGroup, [0, 1, 2]);
});

Deno.test("informationGap() is that of the released code with its epsilon", () => {
  const half = latentsOf((i) => [level(0, i), i % 2, 0]); // five levels and two share nothing
  const { gaps, mig } = informationGap(half, factors, { epsilon: 1e-10 });
  near(gaps[0], Math.log(5) / (Math.log(5) + 1e-10), 1e-12);
  // Runs of five have three even numbers or two: log 2 less the entropy of 0.6 and 0.4.
  const shared = Math.log(2) + 0.6 * Math.log(0.6) + 0.4 * Math.log(0.4);
  near(gaps[1], shared / (Math.log(4) + 1e-10), 1e-12);
  near(mig, (gaps[0] + gaps[1]) / 3);
});

Deno.test("fitLasso() is least squares without a penalty, soft-thresholded with one", () => {
  // Orthogonal features: each coefficient is its correlation less the penalty.
  const x = standardize(Float64Array.from({ length: 2 * n }, (_, at) => level(at % 2, at >> 1)), 2);
  const y = standardize(
    Float64Array.from({ length: n }, (_, i) => x[2 * i] + 0.5 * x[2 * i + 1]),
    1,
  );
  const { coef, r2 } = fitLasso(x, y, 2);
  const top = 1 / Math.sqrt(1.25);
  // The weakest of the seven penalties is chosen, as there is no noise: 1e-4 of the largest correlation.
  near(coef[0], top - 1e-4 * top, 1e-9);
  near(coef[1], 0.5 * top - 1e-4 * top, 1e-9);
  assert.ok(r2 > 0.9999);
  const noise = standardize(Float64Array.from(normal(foldIn(randomKey(1), 2), n)), 1);
  assert.ok(fitLasso(x, noise, 2).r2 < 0.02);
});

Deno.test("importanceScores() are 1 of a permutation, 0 of equal importances", () => {
  const rows = (...lines: number[][]) => lines.map((line) => Float64Array.from(line));
  const one = importanceScores(rows([0, 3], [2, 0], [0, 0]));
  assert.deepEqual([one.disentanglement, one.completeness], [1, 1]);
  const none = importanceScores(rows([1, 1], [1, 1]));
  near(none.disentanglement, 0);
  near(none.completeness, 0);
  // A dimension of two factors beside one of one: (2/3)·0 + (1/3)·1.
  const some = importanceScores(rows([1, 1], [1, 0]));
  near(some.disentanglement, 1 / 3);
  // Of the columns, the second is one dimension's alone: (2/3)·0 + (1/3)·1.
  near(some.completeness, 1 / 3);
});

Deno.test("dci() is 1 where each factor has its dimension, and 0 where all are mixed alike", () => {
  const numbers = factors.slice(0, 2);
  const alone = latentsOf((i) => [level(1, i), level(0, i)]);
  const one = dci(alone, numbers);
  near(one.disentanglement, 1, 1e-6);
  near(one.completeness, 1, 1e-6);
  one.informativeness.forEach((r2) => assert.ok(r2 > 0.999));
  const [a, b] = numbers.map(({ values }) => standardize(values, 1));
  const turned = dci(latentsOf((i) => [a[i] + b[i], a[i] - b[i]]), numbers);
  // Float32 latents: coefficients agree to 1e-6, entropies to its square.
  near(turned.disentanglement, 0, 1e-4);
  near(turned.completeness, 0, 1e-4);
  turned.informativeness.forEach((r2) => assert.ok(r2 > 0.999)); // all is still said
});

Deno.test("dci() of groups sums up dimensions, and takes the factors of a block together", () => {
  const blocks = factors.map((factor, k) => ({ ...factor, block: k < 2 ? "pose" : "kind" }));
  // Pose features are mixed within the first group; the category is in the second.
  const [a, b] = factors.slice(0, 2).map(({ values }) => standardize(values, 1));
  const latents = latentsOf((i) => [a[i] + b[i], a[i] - b[i], level(2, i), 0]);
  const scores = dci(latents, blocks, { groups: [2, 2] });
  assert.deepEqual(scores.blocks, ["pose", "kind"]);
  near(scores.byGroup.disentanglement, 1, 1e-6);
  near(scores.byGroup.completeness, 1, 1e-6);
  assert.ok(scores.disentanglement < 0.5);
  assert.ok(scores.informativeness[2] > 0.6); // three classes on a line: linear indicators miss the middle one
});

Deno.test("sap() is 1 where each factor has its dimension, 0 where two share it", () => {
  const one = sap(perfect, factors);
  near(one.gaps[0], 1, 1e-6);
  near(one.gaps[1], 1, 1e-6);
  near(one.gaps[2], 1 - 1 / 3, 0.02); // thresholds say the category; others by chance
  const two = sap(doubled, factors, { groups: [2, 2, 2] });
  two.gaps.forEach((gap) => near(gap, 0, 1e-6));
  assert.ok(two.groupGaps[0] > 0.99 && two.groupGaps[1] > 0.99);
});

Deno.test("factorsOf() names columns and puts them in one block", () => {
  const made = factorsOf("pose", hostMatrix([1, 2, 3, 4], [2, 2]));
  assert.deepEqual(made.map(({ name, block }) => [name, block]), [["pose 0", "pose"], [
    "pose 1",
    "pose",
  ]]);
  assert.deepEqual([...made[1].values as Float64Array], [2, 4]);
});

Deno.test("measures of disentanglement refuse what they cannot compare", () => {
  const constant: StimulusFactor = { name: "light", kind: "number", values: new Float64Array(n) };
  assert.throws(() => informationGap(perfect, [constant]), /light is the same for all stimuli/);
  assert.throws(() => dci(perfect, factors, { groups: [2, 2] }), InputError);
  assert.throws(() => sap(perfect, []), /there are no factors/);
});
