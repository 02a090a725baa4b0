/**
 * Agreement of labellings and the assignment problem, against scikit-learn's values and every permutation.
 */
import assert from "node:assert/strict";
import {
  adjustedMutualInfo,
  adjustedRandIndex,
  assignRows,
  contingency,
  normalizedMutualInfo,
  randomKey,
  uniform,
} from "../../mod.ts";

const near = (got: number, want: number, tolerance = 1e-12) =>
  assert(Math.abs(got - want) <= tolerance, `${got} is not ${want}`);

Deno.test("scores of labellings are those of scikit-learn", () => {
  // scikit-learn 1.9.1: adjusted_rand_score, adjusted_mutual_info_score, normalized_mutual_info_score
  const cases: readonly [string, string, number, number, number][] = [
    ["001122", "001222", 0.4444444444444444, 0.5023607027202738, 0.7396673768007592],
    ["0120120120", "1100221100", 0.05904059040590406, 0.13751883986923835, 0.3692033550634545],
    ["00001111", "01230123", -0.2727272727272727, -0.4, 0],
    [
      "33311110022222",
      "00111112220000",
      0.4396551724137931,
      0.5013368259735992,
      0.6229083742741092,
    ],
  ];
  const labels = (text: string) => Array.from(text, Number);
  for (const [a, b, rand, adjusted, normalized] of cases) {
    near(adjustedRandIndex(labels(a), labels(b)), rand);
    near(adjustedMutualInfo(labels(a), labels(b)), adjusted, 1e-11);
    near(normalizedMutualInfo(labels(a), labels(b)), normalized);
  }
});

Deno.test("scores of labellings do not depend on names, and are 1 for one partition", () => {
  const a = [0, 0, 1, 1, 2, 2, 2], b = [5, 5, -1, -1, 9, 9, 9];
  for (const score of [adjustedRandIndex, adjustedMutualInfo, normalizedMutualInfo]) {
    near(score(a, b), 1);
    near(score(a, a.map(() => 4)), 0, 1e-12);
    near(score([1, 1], [3, 3]), 1);
    assert.throws(() => score([1, 2], [1]), { name: "InputError", message: /2 and 1 items/ });
    assert.throws(() => score([1, 0.5], [1, 2]), { name: "InputError", message: /item 1/ });
  }
  const { rows, columns, counts } = contingency(a, b);
  assert.deepEqual([rows, columns], [[0, 1, 2], [-1, 5, 9]]);
  assert.deepEqual(Array.from(counts), [0, 2, 0, 2, 0, 0, 0, 0, 3]);
});

/** The least sum over all ways to give `rows` different columns. */
function leastSum(costs: ArrayLike<number>, rows: number, columns: number): number {
  const search = (row: number, used: number): number => {
    if (row === rows) return 0;
    let least = Infinity;
    for (let j = 0; j < columns; j++) {
      if (used & 1 << j) continue;
      least = Math.min(least, costs[row * columns + j] + search(row + 1, used | 1 << j));
    }
    return least;
  };
  return search(0, 0);
}

Deno.test("assignRows() finds the least sum of every permutation, and the largest", () => {
  for (let trial = 0; trial < 40; trial++) {
    const rows = 1 + trial % 6, columns = rows + trial % 3;
    const drawn = uniform(randomKey(trial), rows * columns);
    // Every other trial has costs 0 to 3, which tie.
    const costs = Float64Array.from(drawn, (v) => trial % 2 ? v : Math.floor(4 * v) - 1);
    const assigned = assignRows(costs, [rows, columns]);
    assert.equal(new Set(assigned).size, rows);
    const sum = assigned.reduce((s, j, i) => s + costs[i * columns + j], 0);
    near(sum, leastSum(costs, rows, columns));
    const most = assignRows(costs, [rows, columns], { maximize: true });
    const largest = most.reduce((s, j, i) => s + costs[i * columns + j], 0);
    near(largest, -leastSum(costs.map((v) => -v), rows, columns));
    const turned = Float64Array.from(
      costs,
      (_, at) => costs[at % rows * columns + Math.floor(at / rows)],
    );
    const back = assignRows(turned, [columns, rows]);
    near(back.reduce((s, i, j) => s + (i < 0 ? 0 : turned[j * rows + i]), 0), sum);
    assert.equal(back.filter((i) => i < 0).length, columns - rows);
  }
});

Deno.test("assignRows() refuses costs that are not finite or not as many", () => {
  assert.throws(() => assignRows([1, 2, 3], [2, 2]), { name: "InputError", message: /3 costs/ });
  const error = { name: "InputError", message: /row 1, column 0/ };
  assert.throws(() => assignRows([1, 2, NaN, 4], [2, 2]), error);
});
