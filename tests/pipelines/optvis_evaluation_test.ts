/**
 * What made images do to regions: matrices, selectivity and their tests against values worked out by hand.
 */
import assert from "node:assert/strict";
import {
  compareWithNatural,
  diagonalDominance,
  holm,
  normal,
  ownAgainstNext,
  pooledReadout,
  randomKey,
  responseMatrix,
  selectivity,
  selectivityIntervals,
  shuffledReadout,
  type TargetResponses,
} from "../../mod.ts";

const near = (a: ArrayLike<number>, b: readonly number[], tolerance = 1e-12) =>
  assert(
    a.length === b.length && b.every((v, i) => Math.abs(a[i] - v) <= tolerance),
    `${Array.from(a)} is not ${b}`,
  );

// Two images for each of three regions; columns are the regions that respond.
const RESPONSES: TargetResponses = {
  // deno-fmt-ignore
  data: [
    4, 1, 0, //  made for region 0
    6, 3, 0,
    1, 5, 2, //  for region 1
    3, 7, 2,
    2, 8, 1, //  for region 2
    2, 4, 1,
  ],
  shape: [6, 3],
  targets: [0, 0, 1, 1, 2, 2],
};

Deno.test("responseMatrix() averages the images of each target", () => {
  const { means, nImages } = responseMatrix(RESPONSES);
  near(means, [5, 2, 0, 2, 6, 2, 2, 6, 1]);
  assert.deepEqual([...nImages], [2, 2, 2]);
  const some = { ...RESPONSES, targets: [0, 0, 0, 0, 2, 2] };
  const missing = responseMatrix(some);
  assert(missing.means.subarray(3, 6).every(Number.isNaN));
  near(missing.means.subarray(0, 3), [3.5, 4, 1]);
});

Deno.test("selectivity() compares own images with the others'", () => {
  const [a, b, c] = selectivity(responseMatrix(RESPONSES));
  assert.deepEqual(a, { on: 5, off: 2, difference: 3, index: 3 / 7, rank: 1, runnerUp: 1 });
  assert.deepEqual(b, { on: 6, off: 4, difference: 2, index: 0.2, rank: 1.5, runnerUp: 2 });
  assert.deepEqual(c, { on: 1, off: 1, difference: 0, index: 0, rank: 2, runnerUp: 1 });
  const missing = selectivity(responseMatrix({ ...RESPONSES, targets: [0, 0, 0, 0, 2, 2] }));
  assert.equal(missing[1], undefined);
  assert.equal(missing[0]!.off, 2);
  assert.throws(() => selectivity(responseMatrix({ ...RESPONSES, targets: [0, 0, 0, 0, 0, 0] })), {
    name: "InputError",
    message: /at least two targets/,
  });
});

Deno.test("percentiles and z-scores are of natural images, ties counted half", () => {
  const natural = { data: [1, 10, 2, 20, 3, 20, 4, 30], shape: [4, 2] as const };
  const { percentiles, z } = compareWithNatural({ data: [3, 20, 0, 40], shape: [2, 2] }, natural);
  near(percentiles, [62.5, 50, 0, 100]); // (2 + 1/2)/4; (1 + 2/2)/4
  const a = Math.sqrt(5 / 3), b = Math.sqrt(200 / 3); // of 1…4 about 2.5, and of 10, 20, 20, 30
  near(z, [0.5 / a, 0, -2.5 / a, 20 / b]);
  assert.throws(() => compareWithNatural({ data: [1], shape: [1, 1] }, natural), {
    name: "InputError",
  });
});

Deno.test("diagonalDominance() counts own images that win, and how often by chance", () => {
  const own = diagonalDominance(RESPONSES, { key: randomKey(1), nDraws: 2000 });
  assert.deepEqual([own.count, own.of], [1, 3]);
  assert(Math.abs(own.difference - 5 / 3) < 1e-12);
  // Three regions, three images each, only own images drive them, each by another amount: of the 9!/(3!)³ = 1680 ways to deal the
  // images out, the true one alone has the greatest difference.
  const clear: TargetResponses = {
    data: Array.from({ length: 27 }, (_, k) => Math.floor(k / 9) === k % 3 ? 1 + k / 100 : 0),
    shape: [9, 3],
    targets: [0, 0, 0, 1, 1, 1, 2, 2, 2],
  };
  const nDraws = 20_000;
  const strong = diagonalDominance(clear, { key: randomKey(2), nDraws });
  assert.deepEqual([strong.count, strong.of], [3, 3]);
  const expected = 1 / 1680, error = Math.sqrt(expected / nDraws);
  assert(Math.abs(strong.pDifference - expected) < 5 * error, `${strong.pDifference}`);
  assert(strong.pCount >= strong.pDifference);
  assert.deepEqual(strong, diagonalDominance(clear, { key: randomKey(2), nDraws }));
  const noise: TargetResponses = {
    data: normal(randomKey(3), 60),
    shape: [20, 3],
    targets: Array.from({ length: 20 }, (_, i) => i % 3),
  };
  assert(diagonalDominance(noise, { key: randomKey(4), nDraws: 500 }).pDifference > 0.05);
});

Deno.test("selectivityIntervals() resamples the images of each target", () => {
  // Region 0: own images 4 or 6 (mean 4, 5, 6 with chances 1/4, 1/2, 1/4), the others' 1 or 3 and always 2.
  const { difference } = selectivityIntervals(RESPONSES, {
    key: randomKey(5),
    nDraws: 4000,
    level: 0.5,
  });
  // on − off = {4, 5, 6} − ({1, 2, 3} + 2)/2: chances of 1.5 … 4.5 in steps of a half: quartiles lie at 2.5 and 3.5.
  near([difference.low[0], difference.high[0]], [2.5, 3.5]);
  const whole = selectivityIntervals(RESPONSES, { key: randomKey(5), nDraws: 4000, level: 0.999 });
  near([whole.difference.low[0], whole.difference.high[0]], [1.5, 4.5]);
  near([whole.difference.low[2], whole.difference.high[2]], [0, 0]); // region 2 never differs
  assert(whole.index.low[0] > 0 && whole.index.high[0] < 1);
});

Deno.test("ownAgainstNext() tests the runner-up, and holm() corrects", () => {
  const data = [10, 11, 12, 0, 1, 2, -5, -6, -7].flatMap((v) => [v, 0, 0]);
  const targets = [0, 0, 0, 1, 1, 1, 2, 2, 2];
  const [first] = ownAgainstNext({ data, shape: [9, 3], targets }, {
    key: randomKey(6),
    nDraws: 10_000,
  });
  assert.deepEqual([first.roi, first.runnerUp, first.difference], [0, 1, 10]);
  // one of 6!/(3!·3!) = 20 orders is as large
  assert(Math.abs(first.p - 0.05) < 5 * Math.sqrt(0.05 * 0.95 / 10_000));
  near(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02]);
  near(holm([0.9, 0.8]), [1, 1]);
  assert.throws(() => holm([NaN]), { name: "InputError" });
});

Deno.test("pooledReadout() weighs subjects alike; shuffledReadout() keeps layers together", () => {
  near(pooledReadout([[3, 0], [0, 500]]), [Math.SQRT1_2, Math.SQRT1_2]);
  assert.throws(() => pooledReadout([[1], [1, 2]]), { name: "InputError" });
  const weights = Float64Array.from({ length: 40 }, (_, i) => i);
  const layers = [{ layer: "a", size: 10 }, { layer: "b", size: 30 }];
  const shuffled = shuffledReadout(weights, randomKey(1), layers);
  assert.notDeepEqual([...shuffled], [...weights]);
  assert.deepEqual([...shuffled.subarray(0, 10)].sort((a, b) => a - b), [
    ...weights.subarray(0, 10),
  ]);
  assert.deepEqual([...shuffled].sort((a, b) => a - b), [...weights]);
  assert.throws(() => shuffledReadout([1], randomKey(1), layers), { message: /40 together/ });
});

Deno.test("responses are refused when they do not fit their targets", () => {
  const refuse = (more: Partial<TargetResponses>, message: RegExp) =>
    assert.throws(() => responseMatrix({ ...RESPONSES, ...more }), { name: "InputError", message });
  refuse({ targets: [0, 1] }, /one row and one target per image/);
  refuse({ targets: [0, 0, 1, 1, 2, 3] }, /image 5 is for region 3/);
  refuse({ data: [...Array(17).fill(0), NaN] }, /image 5, region 2 is NaN/);
});
