/** Student's t and what is tested with it, against closed forms, brute force and their own null. */
import assert from "node:assert/strict";
import {
  acrossSubjects,
  foldIn,
  normal,
  oneSampleTest,
  pairedTest,
  randomKey,
  studentQuantile,
  studentTail,
  type TTest,
  welchTest,
} from "../../mod.ts";
import { assertInputError } from "./io_fixtures.ts";

const near = (a: number, b: number, tolerance = 1e-12) =>
  assert.ok(Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b)), `${a} is not ${b}`);

Deno.test("studentTail() is the closed form of 1, 2 and 4 degrees of freedom", () => {
  for (const t of [-30, -2, -0.1, 0, 0.3, 1, 2.5, 40, 1e6]) {
    const u = Math.sqrt(4 + t * t);
    near(studentTail(t, 1), 0.5 - Math.atan(t) / Math.PI);
    near(studentTail(t, 2), 0.5 - t / (2 * Math.sqrt(2 + t * t)));
    near(studentTail(t, 4), 0.5 - t / u * (3 - (t / u) ** 2) / 4);
  }
  // far out the tail keeps its digits: 1 / (π t) of one degree of freedom, to t⁻²
  near(studentTail(1e8, 1) * Math.PI * 1e8, 1, 1e-10);
  assert.deepEqual([studentTail(Infinity, 3), studentTail(-Infinity, 3)], [0, 1]);
  // many degrees of freedom: the normal distribution and φ(x) (x³ + x) / (4 df); sums of log-gammas of 7e7 leave 1e-8 of it
  near(studentTail(1.959963984540054, 1e7), 0.025 + 1.3865e-8, 1e-9);
  assertInputError(() => studentTail(1, 0), /0 degrees of freedom/);
});

Deno.test("studentQuantile() undoes studentTail()", () => {
  for (const df of [1, 2.5, 7, 300]) {
    for (const tail of [1e-6, 0.025, 0.3, 0.5, 0.9]) {
      near(studentTail(studentQuantile(tail, df), df), tail, 1e-11);
    }
  }
  near(studentQuantile(0.025, 1), Math.tan(0.475 * Math.PI), 1e-11);
  assertInputError(() => studentQuantile(0, 3), /quantile of Student's t at 0/);
});

Deno.test("oneSampleTest() and pairedTest() are worked out by hand", () => {
  // 1, 2, 3: mean 2, standard error 1/√3, t = 2√3 with 2 degrees of freedom
  const t = 2 * Math.sqrt(3), tail = 0.5 - t / (2 * Math.sqrt(2 + t * t));
  const one = oneSampleTest([1, 2, 3]);
  for (const [name, value] of Object.entries({ mean: 2, t, df: 2, p: 2 * tail, effect: 2 })) {
    near(one[name as keyof TTest], value);
  }
  near(one.pGreater, tail);
  // the quantile of 2 degrees of freedom: q = (2 P − 1) √(2 / (4 P (1 − P))), P = 0.975
  const reach = 0.95 * Math.sqrt(2 / (4 * 0.975 * 0.025)) / Math.sqrt(3);
  near(one.low, 2 - reach, 1e-10);
  near(one.high, 2 + reach, 1e-10);
  assert.deepEqual(pairedTest([5, 7, 4], [4, 5, 1]), one);
  const same = oneSampleTest([0.1, 0.1, 0.1]);
  assert.deepEqual([same.t, same.p, same.low, same.high], [Infinity, 0, 0.1, 0.1]);
  const none = pairedTest([3, 3], [3, 3]);
  assert.deepEqual([none.t, none.p, none.effect], [0, 1, 0]);
  assertInputError(() => oneSampleTest([1]), /two finite values are needed, got 1/);
  assertInputError(() => oneSampleTest([1, NaN]), /one that is NaN/);
  assertInputError(() => pairedTest([1, 2], [1]), /pair 2 values with 1/);
  assertInputError(() => oneSampleTest([1, 2], { level: 1 }), /level 1/);
});

Deno.test("welchTest() takes unequal variances", () => {
  // means 2 and 0, variances 1 and 4, 3 and 3 values
  const test = welchTest([1, 2, 3], [-2, 0, 2]);
  near(test.mean, 2);
  near(test.t, 2 / Math.sqrt(5 / 3));
  near(test.df, (5 / 3) ** 2 / (1 / 9 / 2 + 16 / 9 / 2));
  near(test.effect, (1 - 3 / 15) * 2 / Math.sqrt(2.5));
  const turned = welchTest([-2, 0, 2], [1, 2, 3]);
  near(turned.p, test.p);
  near(turned.pGreater, 1 - test.pGreater);
  near(turned.low, -test.high);
});

Deno.test("p-values of both tests are uniform where nothing differs", () => {
  const n = 1500, shares = [0.05, 0.25, 0.5, 0.9];
  const welch: number[] = [], paired: number[] = [];
  for (let i = 0; i < n; i++) {
    const draw = normal(foldIn(randomKey(9), i), 18);
    const wide = draw.slice(6, 18).map((v) => 3 * v); // another variance and number, the same mean
    welch.push(welchTest(draw.slice(0, 6), wide).p);
    paired.push(pairedTest(draw.slice(0, 9), draw.slice(9)).pGreater);
  }
  for (const p of [welch, paired]) {
    for (const share of shares) {
      const found = p.filter((v) => v <= share).length / n;
      // four standard errors of a share; Welch's own approximation adds less than 0.01 at these sizes
      const most = 4 * Math.sqrt(share * (1 - share) / n) + 0.01;
      assert.ok(Math.abs(found - share) < most, `${found} of p-values are up to ${share}`);
    }
  }
});

Deno.test("acrossSubjects() has subjects for units, and counts signs", () => {
  const [a, b, c] = acrossSubjects({
    data: [1, NaN, 0, 2, 5, -1, 3, NaN, -2],
    shape: [3, 3],
  });
  assert.deepEqual([a.nSubjects, a.mean, a.nPositive, a.pSign], [3, 2, 3, 0.125]);
  assert.deepEqual(a.test, oneSampleTest([1, 2, 3]));
  assert.deepEqual([b.nSubjects, b.mean, b.test], [1, 5, undefined]);
  // 0 is of neither sign: none of two is above 0, and as many or more always are
  assert.deepEqual([c.nPositive, c.pSign], [0, 1]);
  near(acrossSubjects({ data: [1, 2, 3, -1, 5], shape: [5, 1] })[0].pSign, 6 / 32);
  assertInputError(() => acrossSubjects({ data: [1], shape: [2, 1] }), /1 values as \[2,1\]/);
});
