import assert from "node:assert/strict";
import { firstTwisterWord, NumpyGenerator } from "../../pipelines/dense/numpy_random.ts";
import { OUTSIDE, patchShifts, shiftedPatches } from "../../pipelines/dense/offsets.ts";
import { patchCoverage } from "../../pipelines/dense/distill.ts";
import { InputError } from "../../pipelines/errors.ts";

// The tables that BrainSAIL's dense scripts draw at load time: (row, column, flip).
const PUBLISHED: readonly [grid: number, table: string][] = [
  [
    56,
    "(0,0,0)(-8,8,0)(-7,-8,1)(3,8,1)(-2,0,0)(2,-8,1)(-8,1,1)(8,-8,0)(8,4,1)(3,2,0)(-2,6,1)(3,-3,0)(-3,-5,1)(-8,-4,1)(8,8,1)(-5,4,1)(5,-6,1)(-5,-2,1)(-1,3,1)(6,1,0)(-2,-8,0)(0,-4,0)(4,5,1)(-5,1,1)(-8,4,0)(8,-5,0)(-5,8,1)(1,5,1)(1,0,1)(0,8,0)(5,7,0)(1,-6,0)(4,-1,1)(-5,-6,1)(-6,6,1)(5,3,0)(-1,-2,0)(-7,-1,1)(7,6,1)(-3,2,0)(6,-3,1)(5,-8,1)(0,-8,0)(1,3,1)(-2,8,1)(8,2,1)(-1,-6,0)(3,-6,1)(-3,-3,0)(-5,-8,1)(6,-1,0)",
  ],
  [
    37,
    "(0,0,0)(-6,6,0)(-6,-6,1)(3,6,1)(-2,0,0)(1,-6,1)(3,1,1)(-1,4,0)(-6,1,1)(6,-6,0)(-3,-4,1)(1,-2,0)(6,3,1)(-6,-3,1)(6,6,1)(-4,3,1)(-3,6,1)(3,-4,1)(4,4,1)(-1,-3,0)(1,3,0)(-4,-2,0)(5,0,1)(-2,-6,1)(0,6,0)",
  ],
  [
    48,
    "(0,0,0)(-7,7,0)(-7,-7,1)(3,7,1)(-2,0,0)(1,-7,1)(-7,1,1)(-2,6,0)(7,-7,1)(3,2,0)(-3,-5,1)(7,5,0)(3,-3,1)(-7,-3,1)(-4,3,1)(6,1,1)(4,-6,1)(0,-4,1)(0,3,1)(-7,4,0)(-5,-1,0)(1,0,0)(-6,-5,1)(5,4,1)(4,-1,0)",
  ],
];

Deno.test("patchShifts() draws the published offsets at the published grids", () => {
  for (const [grid, table] of PUBLISHED) {
    const n = table.split(")").length - 1;
    const drawn = patchShifts([grid, grid], n).map(({ dy, dx, flip }) => `(${dy},${dx},${+flip})`);
    assert.equal(drawn.join(""), table);
  }
});

Deno.test("patchShifts() starts with the image itself, reaches 15 % of each side and follows the seed", () => {
  const wide = patchShifts([20, 60], 40);
  assert.deepEqual(wide[0], { dy: 0, dx: 0, flip: false });
  assert.equal(Math.max(...wide.map(({ dy }) => Math.abs(dy))), 3);
  assert.equal(Math.max(...wide.map(({ dx }) => Math.abs(dx))), 9);
  assert.notDeepEqual(patchShifts([20, 60], 40, { seed: 1 }), wide);
  assert.deepEqual(
    patchShifts([20, 60], 12),
    wide.slice(0, 12).map((s, i) => // the coins are tossed after the offsets, one after the other
    ({ ...s, flip: patchShifts([20, 60], 12)[i].flip })),
  );
  for (const n of [0, 1.5, 5001, NaN]) assert.throws(() => patchShifts([4, 4], n), InputError);
  assert.throws(() => patchShifts([4, 4], 2, { seed: -1 }), InputError);
});

Deno.test("NumpyGenerator gives NumPy's numbers", () => {
  // numpy.random.default_rng(42).integers(0, 10, 10) and default_rng(0).integers(0, 100, 5), from NumPy's documentation and use
  assert.deepEqual([...new NumpyGenerator(42).integers(0, 9, 10)], [0, 7, 6, 4, 4, 8, 0, 6, 2, 0]);
  assert.deepEqual([...new NumpyGenerator(0).integers(0, 99, 5)], [85, 63, 51, 26, 30]);
  const rng = new NumpyGenerator(42);
  assert.deepEqual([...rng.integers(3, 3, 2)], [3, 3]);
  assert.equal(rng.integers(0, 9, 3)[1], 7, "a range of one draws nothing");
  // MT19937 with seed 5489 is the reference seed: its first word is 3499211612
  assert.equal(firstTwisterWord(5489), 3499211612);
  assert.equal(firstTwisterWord(42) % 5000, 2542);
});

Deno.test("shiftedPatches() moves the content up and left and mirrors after the shift", () => {
  const _ = OUTSIDE;
  assert.deepEqual([...shiftedPatches([2, 3], { dy: 1, dx: 0, flip: false })], [3, 4, 5, _, _, _]);
  assert.deepEqual([...shiftedPatches([2, 3], { dy: 0, dx: 1, flip: false })], [1, 2, _, 4, 5, _]);
  assert.deepEqual([...shiftedPatches([2, 3], { dy: 0, dx: 1, flip: true })], [_, 2, 1, _, 5, 4]);
});

Deno.test("patchCoverage() agrees with the coverage of the published settings", () => {
  // corner, most, mean: 14, 51, 43.3 for CLIP, 6, 25, 20.5 for DINOv2, 8, 25, 21.2 for RADIO
  const expected = [[56, 51, 14, 43.3], [37, 25, 6, 20.5], [48, 25, 8, 21.2]];
  for (const [grid, n, least, mean] of expected) {
    const counts = patchCoverage([grid, grid], patchShifts([grid, grid], n));
    assert.equal(Math.min(...counts), least);
    assert.equal(Math.max(...counts), n);
    assert.equal((counts.reduce((a, b) => a + b) / counts.length).toFixed(1), mean.toFixed(1));
  }
});
