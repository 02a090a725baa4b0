/**
 * Permutation tests against all orders there are, and on data without any relation.
 */
import assert from "node:assert/strict";
import { normal, randomKey } from "../../mod.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { correlationScore } from "../../pipelines/encoding/scoring.ts";
import { bhFdr } from "../../pipelines/stats/fdr.ts";
import { blockPermutation, permutationTest } from "../../pipelines/stats/permutation.ts";

const key = randomKey(11);
const refusal = (message: RegExp) => ({ name: "InputError", message });

Deno.test("blockPermutation() moves whole blocks, within their run", () => {
  const runs = [2, 2, 2, 2, 2, 2, 2, 9, 9, 9, 9];
  const seen = new Set<string>();
  for (let i = 0; i < 200; i++) {
    const order = [...blockPermutation(randomKey(i), 11, { blockLength: 3, runs })];
    seen.add(`${order}`);
    assert.deepEqual(order.slice(0, 7).sort((a, b) => a - b), [0, 1, 2, 3, 4, 5, 6]);
    assert.deepEqual(order.slice(7).sort((a, b) => a - b), [7, 8, 9, 10]);
    for (const first of [0, 3, 7]) {
      const at = order.indexOf(first);
      assert.deepEqual(order.slice(at, at + 3), [first, first + 1, first + 2]);
    }
  }
  assert.equal(seen.size, 12); // 3! orders of one run, 2! of the other
  assert.throws(() => blockPermutation(key, 4, { blockLength: 0 }), refusal(/blocks of 0 rows/));
});

/** Every order of `rows`. */
function orders(rows: number[]): number[][] {
  if (rows.length < 2) return [rows];
  return rows.flatMap((row, i) => orders(rows.toSpliced(i, 1)).map((rest) => [row, ...rest]));
}

Deno.test("permutationTest() approaches the share of all orders, with ties counted", async () => {
  const n = 6, nTargets = 35; // more than one tile
  const x = normal(key, n * nTargets), y = normal(randomKey(12), n * nTargets);
  for (let t = 0; t < n; t++) {
    x[t * nTargets + 1] = y[t * nTargets + 1] = t < 3 ? 1 : 0; // many ties with the observed 1
    x[t * nTargets + 2] = 0.1; // constant
  }
  const predictions = hostMatrix(x, [n, nTargets]), responses = hostMatrix(y, [n, nTargets]);
  for (const alternative of ["greater", "twoSided"] as const) {
    const nPermutations = 8000;
    const { correlations, pValues } = await permutationTest(predictions, responses, {
      ...{ key, nPermutations, alternative },
    });
    const want = correlationScore(responses, predictions);
    correlations.forEach((r, v) => assert(Math.abs(r - want[v]) < 1e-12));
    const size = alternative === "greater" ? (r: number) => r : Math.abs;
    const all = orders([0, 1, 2, 3, 4, 5]);
    const counts = new Float64Array(nTargets);
    for (const order of all) {
      const moved = order.flatMap((row) => [...x.subarray(row * nTargets, (row + 1) * nTargets)]);
      correlationScore(responses, hostMatrix(moved, [n, nTargets])).forEach((r, v) => {
        if (size(r) >= size(want[v]) - 1e-9) counts[v]++;
      });
    }
    // A share p of 8000 draws has a standard deviation of √(p(1 − p)/8000) ≤ 0.0056: 4.5 of them for 70 comparisons.
    pValues.forEach((p, v) => assert(Math.abs(p - counts[v] / all.length) < 0.026, `${v}: ${p}`));
    assert.equal(correlations[2], 0);
    assert.equal(pValues[2], 1);
  }
});

Deno.test("permutationTest() has no p below 1 / (1 + nPermutations) and repeats with its key", async () => {
  const y = normal(key, 200);
  const data = hostMatrix(y, [100, 2]);
  const options = { key, nPermutations: 99, blockLength: 4 };
  const first = await permutationTest(data, data, options);
  assert.deepEqual([...first.pValues], [0.01, 0.01]);
  assert.deepEqual(first, await permutationTest(data, data, options));
});

Deno.test("permutationTest() of slow noise holds its level with blocks, and not without", async () => {
  const n = 240, nTargets = 300, smooth = 12;
  const slow = (seed: number) => {
    const white = normal(randomKey(seed), (n + smooth) * nTargets);
    return hostMatrix(
      Float32Array.from({ length: n * nTargets }, (_, at) => {
        let sum = 0;
        for (let lag = 0; lag < smooth; lag++) sum += white[at + lag * nTargets];
        return sum;
      }),
      [n, nTargets],
    );
  };
  const x = slow(21), y = slow(22);
  const share = async (blockLength: number) => {
    const { pValues } = await permutationTest(x, y, { key, nPermutations: 199, blockLength });
    return pValues.filter((p) => p <= 0.05).length / nTargets;
  };
  // Of independent targets 5 % ± 3 · √(0.05 · 0.95 / 300) = 3.8 % are below 0.05; blocks of 4 times the smoothing leave little more.
  const blocked = await share(4 * smooth), single = await share(1);
  assert(blocked < 0.13, `${blocked}`);
  assert(single > 0.2, `${single}`);
});

Deno.test("permutationTest() refuses what it cannot test", async () => {
  const a = hostMatrix([1, 2, 3, 4], [4, 1]);
  const cases: [Parameters<typeof permutationTest>, RegExp][] = [
    [[a, hostMatrix([1, 2], [2, 1]), { key }], /one shape, with rows/],
    [[hostMatrix([1, NaN, 3, 4], [4, 1]), a, { key }], /predictions row 1, column 0 .* is NaN/],
    [[a, a, { key, nPermutations: 0 }], /0 permutations/],
    [[a, a, { key, runs: [0, 1, 0, 1] }], /begins again/],
  ];
  for (const [args, message] of cases) {
    await assert.rejects(permutationTest(...args), refusal(message));
  }
  const signal = AbortSignal.abort();
  await assert.rejects(permutationTest(a, a, { key, signal }), { name: "AbortError" });
});

Deno.test("bhFdr() gives monotone q-values and refuses NaN", () => {
  const p = [0.01, 0.04, 0.03, 0.005, 1, 0.04];
  // Sorted 0.005 0.01 0.03 0.04 0.04 1 times 6/rank: 0.03 0.03 0.06 0.06 0.048 1, then the least from the right.
  const want = [0.03, 0.048, 0.048, 0.03, 1, 0.048];
  bhFdr(p).forEach((q, i) => assert(Math.abs(q - want[i]) < 1e-15));
  assert.throws(() => bhFdr([0.5, NaN]), refusal(/p-value NaN at 1/));
});
