/**
 * Scores and splits on numbers that can be checked by hand.
 */
import assert from "node:assert/strict";
import { randomKey } from "../../mod.ts";
import { kFold, splitsOf } from "../../pipelines/encoding/cross_validation.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { correlationScore, l2NegLoss, r2Score } from "../../pipelines/encoding/scoring.ts";

// Columns: perfect, the mean, reversed, constant responses, constant predictions.
const responses = hostMatrix([1, 1, 1, 5, 1, 2, 2, 2, 5, 2, 3, 3, 3, 5, 3], [3, 5]);
const predictions = hostMatrix([1, 2, 3, 4, 7, 2, 2, 2, 5, 7, 3, 2, 1, 6, 7], [3, 5]);

Deno.test("r2Score() is 1 for perfect, 0 for the mean and for constant responses", () => {
  const scores = r2Score(responses, predictions);
  [1, 0, -3, 0, -37.5].forEach((want, t) => assert(Math.abs(scores[t] - want) < 1e-12));
});

Deno.test("correlationScore() is 0 where a side is constant", () => {
  const scores = correlationScore(responses, predictions);
  [1, 0, -1, 0, 0].forEach((want, t) => assert(Math.abs(scores[t] - want) < 1e-12));
});

Deno.test("constant sides are seen whatever their value and number are", () => {
  for (const n of [3, 7, 30, 49, 1001]) {
    const flat = hostMatrix(new Float32Array(n).fill(0.7), [n, 1]);
    const other = hostMatrix(new Float32Array(n).map((_, i) => Math.sin(i)), [n, 1]);
    assert.deepEqual([...r2Score(flat, other), ...correlationScore(flat, other)], [0, 0]);
    assert.deepEqual([...correlationScore(other, flat)], [0]);
  }
});

Deno.test("l2NegLoss() is minus the mean squared error", () => {
  const scores = l2NegLoss(responses, predictions);
  [0, -2 / 3, -8 / 3, -2 / 3, -77 / 3].forEach((want, t) =>
    assert(Math.abs(scores[t] - want) < 1e-12)
  );
  assert.throws(() => l2NegLoss(responses, hostMatrix([1], [1, 1])), { name: "InputError" });
});

Deno.test("kFold() gives the first folds one more, as scikit-learn", () => {
  const folds = kFold(10, 4);
  assert.deepEqual(folds.map(({ test }) => [...test]), [[0, 1, 2], [3, 4, 5], [6, 7], [8, 9]]);
  assert.deepEqual([...folds[2].train], [0, 1, 2, 3, 4, 5, 8, 9]);
  assert.throws(() => kFold(3, 4), { name: "InputError", message: /from 2 to 3/ });
});

Deno.test("kFold() with a key covers every sample once, in another order", () => {
  const folds = kFold(11, 3, { key: randomKey(4) });
  const all = folds.flatMap(({ test }) => [...test]);
  assert.deepEqual(all.toSorted((a, b) => a - b), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  assert.notDeepEqual(all, all.toSorted((a, b) => a - b));
  assert.deepEqual(folds.map(({ test }) => test.length), [4, 4, 3]);
  assert.deepEqual(folds, kFold(11, 3, { key: randomKey(4) }));
});

Deno.test("splitsOf() refuses splits that are none", () => {
  const split = (train: number[], test: number[]) => [
    { train: Uint32Array.from(train), test: Uint32Array.from(test) },
  ];
  assert.throws(() => splitsOf(split([0], []), 3), { message: /a side is empty/ });
  assert.throws(() => splitsOf(split([0], [3]), 3), { message: /from 0 to 2/ });
  assert.throws(() => splitsOf(split([0, 1], [1]), 3), { message: /both sides/ });
  assert.throws(() => splitsOf([], 3), { message: /no split/ });
  assert.equal(splitsOf(split([0, 1], [2]), 3).length, 1);
});
