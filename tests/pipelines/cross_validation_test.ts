/**
 * Splits that can be written down by hand, and what a file of splits may not hold.
 */
import assert from "node:assert/strict";
import { randomKey } from "../../mod.ts";
import {
  chunkedKFold,
  type CrossValidation,
  isRunWise,
  kFold,
  leaveOneOut,
  leaveOneRunOut,
  parseSplits,
  repeatedKFold,
  type Split,
  splitsOf,
  withGap,
} from "../../pipelines/encoding/cross_validation.ts";
import { runPieces } from "../../pipelines/encoding/runs.ts";

const key = randomKey(7);
const sides = (splits: readonly Split[]) =>
  splits.map(({ train, test }) => ({ train: [...train], test: [...test] }));
const refusal = (message: RegExp) => ({ name: "InputError", message });

Deno.test("kFold() allows one sample per fold", () => {
  assert.deepEqual(sides(kFold(3, 3)), sides(leaveOneOut(3)));
  assert.deepEqual(sides(leaveOneOut(2)), [{ train: [1], test: [0] }, { train: [0], test: [1] }]);
  assert.throws(() => leaveOneOut(1), refusal(/Cannot split 1 samples/));
  assert.equal(splitsOf(leaveOneOut(4), 4).length, 4);
});

Deno.test("leaveOneOut() of many samples does not hold all train sides", () => {
  const n = 9000; // all together 324 MB
  const splits = leaveOneOut(n);
  assert.equal(splits.length, n);
  assert.deepEqual([...splits[7].test], [7]);
  assert.deepEqual([...splits[7].train.subarray(0, 9)], [0, 1, 2, 3, 4, 5, 6, 8, 9]);
  assert.equal(splits[n - 1].train.length, n - 1);
  assert.notEqual(splits[7].train, splits[7].train);
});

Deno.test("leaveOneRunOut() takes runs as they first appear", () => {
  assert.deepEqual(sides(leaveOneRunOut([5, 5, -1, 5, 0.5])), [
    { train: [2, 4], test: [0, 1, 3] },
    { train: [0, 1, 3, 4], test: [2] },
    { train: [0, 1, 2, 3], test: [4] },
  ]);
  assert.throws(() => leaveOneRunOut([1, 1]), refusal(/two runs or more/));
  assert.throws(() => leaveOneRunOut([]), refusal(/two runs or more/));
  assert.throws(() => leaveOneRunOut([0, NaN]), refusal(/row 1 .* is NaN/));
});

Deno.test("withGap() purges train rows near a test row, within a run", () => {
  const [first, second, third] = sides(withGap(kFold(9, 3), 2));
  assert.deepEqual(first, { train: [5, 6, 7, 8], test: [0, 1, 2] });
  assert.deepEqual(second, { train: [0, 8], test: [3, 4, 5] });
  assert.deepEqual(third, { train: [0, 1, 2, 3], test: [6, 7, 8] });
  const runs = [0, 0, 0, 0, 1, 1, 1, 1, 1];
  assert.deepEqual(sides(withGap(kFold(9, 3), 2, { runs })), [
    { train: [4, 5, 6, 7, 8], test: [0, 1, 2] },
    { train: [0, 8], test: [3, 4, 5] },
    { train: [0, 1, 2, 3], test: [6, 7, 8] },
  ]);
  assert.deepEqual(withGap(kFold(9, 3), 0), kFold(9, 3));
  assert.throws(() => withGap(kFold(9, 3), 5), refusal(/split 1: no train sample is left/));
  assert.throws(() => withGap(kFold(9, 3), 1.5), refusal(/gap must be a whole number/));
});

Deno.test("repeatedKFold() tests every sample once in each repeat, in other orders", () => {
  const splits = repeatedKFold(10, 3, { nRepeats: 2, key });
  const all = sides(splits).map(({ test }) => test);
  for (const folds of [all.slice(0, 3), all.slice(3)]) {
    assert.deepEqual(folds.flat().sort((a, b) => a - b), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  }
  assert.notDeepEqual(all.slice(0, 3), all.slice(3));
  assert.throws(() => repeatedKFold(10, 3, { nRepeats: 0, key }), refusal(/nRepeats/));
});

Deno.test("chunkedKFold() keeps chunks together and cuts them at the end of runs", () => {
  const tests = (options: Parameters<typeof chunkedKFold>[2]) =>
    sides(chunkedKFold(10, 2, options)).map(({ test }) => test);
  assert.deepEqual(tests({ chunkLength: 4 }), [[0, 1, 2, 3, 4, 5, 6, 7], [8, 9]]);
  const runs = [1, 1, 1, 2, 2, 2, 2, 2, 2, 2];
  // Chunks: 0 1 | 2 || 3 4 | 5 6 | 7 8 | 9
  assert.deepEqual(tests({ chunkLength: 2, runs }), [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]);
  for (const split of chunkedKFold(20, 3, { chunkLength: 5, key })) {
    const chunks = new Set([...split.test].map((row) => Math.floor(row / 5)));
    assert.equal(split.test.length, 5 * chunks.size);
    assert.equal(split.train.length, 20 - split.test.length);
  }
  assert.throws(() => chunkedKFold(10, 3, { chunkLength: 5 }), refusal(/2 chunks of 5 samples/));
});

Deno.test("splitsOf() understands runs, folds and gaps", () => {
  const runs = [0, 0, 1, 1, 2, 2];
  assert.deepEqual(splitsOf({ runs }, 6), leaveOneRunOut(runs));
  // One recording cut into runs: the gap reaches over their ends.
  assert.deepEqual(sides(splitsOf({ runs, gap: 1 }, 6))[1], { train: [0, 5], test: [2, 3] });
  assert.deepEqual(splitsOf({ nSplits: 3 }, 6), kFold(6, 3));
  assert.deepEqual(splitsOf({ nSplits: 3, key }, 6), kFold(6, 3, { key }));
  assert.deepEqual(splitsOf({ nSplits: 3, gap: 1 }, 6), withGap(kFold(6, 3), 1));
  const chunkLength = 2;
  assert.deepEqual(
    splitsOf({ nSplits: 2, key, chunkLength }, 6),
    chunkedKFold(6, 2, { chunkLength, key }),
  );
  const nRepeats = 2;
  assert.deepEqual(
    splitsOf({ nSplits: 2, key, nRepeats }, 6),
    repeatedKFold(6, 2, { nRepeats, key }),
  );
  assert.throws(() => splitsOf({ nSplits: 2, nRepeats }, 6), refusal(/without a key/));
  assert.throws(() => splitsOf({ runs }, 7), refusal(/6 run labels for 7 samples/));
});

Deno.test("splitsOf() sorts the rows of a list and refuses a row twice", () => {
  const split = (train: number[], test: number[]) => [
    { train: Uint32Array.from(train), test: Uint32Array.from(test) },
  ];
  assert.deepEqual(sides(splitsOf(split([2, 0], [3, 1]), 4)), [{ train: [0, 2], test: [1, 3] }]);
  assert.throws(() => splitsOf(split([2, 2], [1]), 4), refusal(/row 2 is twice on the train side/));
  assert.throws(() => splitsOf(split([2], [1, 1]), 4), refusal(/row 1 is twice on the test side/));
});

Deno.test("isRunWise() tells splits that keep neighbours together", () => {
  const cases: [CrossValidation, boolean][] = [
    [5, false],
    [{ nSplits: 5 }, false],
    [{ nSplits: 5, key }, false],
    [{ nSplits: 5, gap: 0, chunkLength: 1 }, false],
    [{ nSplits: 5, gap: 1 }, true],
    [{ nSplits: 5, chunkLength: 2 }, true],
    [{ runs: [0, 1] }, true],
    [kFold(4, 2), true],
  ];
  for (const [cv, want] of cases) assert.equal(isRunWise(cv), want, JSON.stringify(cv));
});

Deno.test("parseSplits() reads both sides, or all other rows to train on", () => {
  const text = '[{"train": [3, 0], "test": [1]}, {"test": [0, 2]}]';
  assert.deepEqual(sides(parseSplits(text, 4)), [
    { train: [0, 3], test: [1] },
    { train: [1, 3], test: [0, 2] },
  ]);
});

Deno.test("parseSplits() refuses what is no list of splits, in one sentence", () => {
  const cases: [string, RegExp][] = [
    ["", /"splits.json": it is not JSON/],
    ["{}", /must be a list/],
    ["[]", /there is no split/],
    ["[[1]]", /split 0 must be an object with "test"/],
    ["[null]", /split 0 must be an object with "test"/],
    ['[{"train": [0]}]', /split 0 must be an object with "test"/],
    ['[{"test": 3}]', /"test" of split 0 must be a list of row numbers/],
    ['[{"test": [0.5]}]', /must hold whole numbers from 0, it holds 0.5/],
    ['[{"test": [null]}]', /it holds null/],
    ['[{"test": [-1]}]', /it holds -1/],
    ['[{"test": [5000000000]}]', /it holds 5000000000/],
    ['[{"test": [4]}]', /a row is not from 0 to 3: 4/],
    ['[{"test": [0, 1, 2, 3]}]', /a side is empty/],
    ['[{"test": [0], "train": [0]}]', /row 0 is on both sides/],
    ['[{"test": [0, 0]}]', /row 0 is twice on the test side/],
    ['[{"test": [0], "trian": [1]}]', /it has "trian"/],
    ['[{"test": [0], "__proto__": [1]}]', /it has "__proto__"/],
  ];
  for (const [text, message] of cases) {
    assert.throws(() => parseSplits(text, 4, { source: "splits.json" }), refusal(message), text);
  }
});

Deno.test("runPieces() refuses a run that begins again", () => {
  assert.deepEqual(runPieces(3), [{ start: 0, end: 3 }]);
  assert.deepEqual(runPieces(3, [4, 4, 2]), [{ start: 0, end: 2 }, { start: 2, end: 3 }]);
  assert.throws(() => runPieces(3, [0, 1, 0]), refusal(/run 0 begins again at row 2/));
});
