import assert from "node:assert/strict";
import { foldIn, normal, randomBits, randomKey } from "../../engine/random.ts";
import {
  bootstrapDifferences,
  bootstrapMeans,
  quantileOf,
} from "../../pipelines/stats/bootstrap.ts";

const key = randomKey(3);

Deno.test("bootstrapMeans() covers the mean of normal data as often as it should", () => {
  const n = 40, cols = 1000;
  const values = { data: normal(randomKey(4), n * cols), shape: [n, cols] as const };
  // The interval is the mean ± z·s·√((n−1)/n)/√n, so it covers 0 with P(|t₃₉| ≤ z·√(39/40)): 0.9398 and 0.7867.
  for (const [level, expected] of [[0.95, 0.9398], [0.8, 0.7867]]) {
    const { low, high, nUnits } = bootstrapMeans(values, { key, nResamples: 1000, level });
    const covered = low.filter((value, j) => value <= 0 && high[j] >= 0).length / cols;
    const error = Math.sqrt(expected * (1 - expected) / cols);
    // Three standard errors of a share of 1,000, and as much again for the quantiles of 1,000 resamples.
    assert(Math.abs(covered - expected) < 4 * error, `${covered} of intervals at ${level}`);
    assert(nUnits.every((count) => count === n));
  }
});

Deno.test("bootstrapMeans() agrees with resampling one by one, and leaves NaN out", () => {
  const n = 7, data = normal(randomKey(5), n * 2);
  data[2 * 3 + 1] = NaN;
  const { mean, low, high, nUnits } = bootstrapMeans({ data, shape: [n, 2] }, {
    ...{ key, nResamples: 200, level: 0.9 },
  });
  for (const j of [0, 1]) {
    const means = Array.from({ length: 200 }, (_, b) => {
      const drawn = Array.from(randomBits(foldIn(key, b), n), (u) => Math.floor(u / 2 ** 32 * n))
        .map((row) => data[row * 2 + j]).filter((value) => !Number.isNaN(value));
      return drawn.reduce((a, v) => a + v, 0) / drawn.length;
    }).sort((a, b) => a - b);
    assert(Math.abs(low[j] - (means[9] + 0.95 * (means[10] - means[9]))) < 1e-12);
    assert(Math.abs(high[j] - (means[189] + 0.05 * (means[190] - means[189]))) < 1e-12);
  }
  const kept = [0, 1, 2, 4, 5, 6].map((row) => data[row * 2 + 1]);
  assert(Math.abs(mean[1] - kept.reduce((a, v) => a + v) / 6) < 1e-12);
  assert.deepEqual([...nUnits], [7, 6]);
});

Deno.test("bootstrapMeans() is exact for constant data, and says nothing of no data", () => {
  const data = Float64Array.from({ length: 30 }, (_, at) => at % 3 === 0 ? 0.1 : at % 3 + 7.3);
  data.forEach((_, at) => data[at] = at % 3 === 2 ? NaN : data[at]);
  const { mean, low, high } = bootstrapMeans({ data, shape: [10, 3] }, { key, nResamples: 50 });
  for (const values of [mean, low, high]) assert.deepEqual([...values], [0.1, 8.3, NaN]);
});

Deno.test("bootstrapMeans() repeats itself for the same key alone", () => {
  const values = { data: normal(key, 60), shape: [30, 2] as const };
  const once = bootstrapMeans(values, { key });
  assert.deepEqual(bootstrapMeans(values, { key }), once);
  assert.notDeepEqual(bootstrapMeans(values, { key: randomKey(6) }).low, once.low);
  const [first] =
    bootstrapMeans({ data: values.data.filter((_, at) => at % 2 === 0), shape: [30, 1] }, {
      key,
    }).low;
  assert.equal(first, once.low[0], "a column's interval does not depend on the others");
});

Deno.test("bootstrapDifferences() pairs units: what units have in common cancels", () => {
  const n = 50, own = normal(randomKey(7), n), noise = normal(randomKey(8), n);
  const data = new Float64Array(2 * n);
  own.forEach((value, i) => {
    data[2 * i] = 100 * value + 1 + 0.1 * noise[i];
    data[2 * i + 1] = 100 * value;
  });
  const { low, high, mean } = bootstrapDifferences({ data, shape: [n, 2] }, [[0, 1], [1, 0]], {
    key,
  });
  // The standard error of the differences is 0.1/√50 = 0.014; of unpaired means it would be 20.
  assert(low[0] > 0.94 && high[0] < 1.06 && low[0] < mean[0] && mean[0] < high[0]);
  assert(Math.abs(low[1] + high[0]) < 1e-9 && Math.abs(high[1] + low[0]) < 1e-9);
  data[0] = NaN;
  const fewer = bootstrapDifferences({ data, shape: [n, 2] }, [[0, 1]], { key });
  assert.equal(fewer.nUnits[0], n - 1);
});

Deno.test("the bootstrap refuses shapes, columns and options that make no sense", () => {
  const refusal = (message: RegExp) => ({ name: "InputError", message });
  const values = { data: [1, 2], shape: [2, 1] as const };
  const call = (options: object, shape: readonly [number, number] = [2, 1]) => () =>
    bootstrapMeans({ data: [1, 2], shape }, { key, ...options });
  assert.throws(call({}, [3, 1]), refusal(/2 values as \[3,1\]/));
  assert.throws(call({}, [0, 1]), refusal(/\[0,1\]/));
  assert.throws(call({ nResamples: 0 }), refusal(/0 resamples/));
  assert.throws(call({ level: 1 }), refusal(/level 1/));
  assert.throws(
    () => bootstrapDifferences(values, [[0, 1]], { key }),
    refusal(/column 1: there are 1/),
  );
});

Deno.test("quantileOf() interpolates as numpy does", () => {
  assert.equal(quantileOf([1, 2, 4, 8], 0.5), 3);
  assert.equal(quantileOf([1, 2, 4, 8], 0.75), 5);
  assert.equal(quantileOf([5], 0.3), 5);
});
