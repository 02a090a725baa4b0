/**
 * Scores split over bands.
 */
import assert from "node:assert/strict";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { correlationScore, r2Score } from "../../pipelines/encoding/scoring.ts";
import { correlationScoreSplit, r2ScoreSplit } from "../../pipelines/encoding/variance_split.ts";
import { assertNear, gaussian } from "./ridge_oracle.ts";

const N = 30, T = 4;
const bands = [gaussian(1, N, T), gaussian(2, N, T), gaussian(3, N, T)];
const intercept = [5, -1, 0, 2];
const noise = gaussian(4, N, T);
const sums = hostMatrix(bands[0].data.map((v, at) => v + bands[1].data[at] + bands[2].data[at]), [
  N,
  T,
]);
const joint = hostMatrix(sums.data.map((v, at) => v + intercept[at % T]), [N, T]);
const y = hostMatrix(joint.data.map((v, at) => v + noise.data[at] + 0.3), [N, T]);

/** Sums over the bands, `[nTargets]`. */
function total(split: Float64Array): Float64Array {
  const sum = new Float64Array(T);
  split.forEach((value, at) => sum[at % T] += value);
  return sum;
}

// Sums of 30 products in float64 of values that were rounded to f32 once.
const ROUNDING = 1e-6;

Deno.test("r2ScoreSplit() sums to the R² of the joint prediction", () => {
  const split = r2ScoreSplit(y, bands, { intercept });
  assert.equal(split.length, 3 * T);
  assertNear(total(split), r2Score(y, joint), ROUNDING, "with intercept");
  assertNear(total(r2ScoreSplit(y, bands)), r2Score(y, sums), ROUNDING, "without");
  assertNear(r2ScoreSplit(y, [joint]), r2Score(y, joint), ROUNDING, "one band");
});

Deno.test("r2ScoreSplit() is the product measure where responses have no mean", () => {
  const means = new Float64Array(T);
  y.data.forEach((value, at) => means[at % T] += value / N);
  const centred = hostMatrix(y.data.map((value, at) => value - means[at % T]), [N, T]);
  const split = r2ScoreSplit(centred, bands);
  bands.forEach((band, i) => {
    for (let t = 0; t < T; t++) {
      let part = 0, squares = 0;
      for (let r = 0; r < N; r++) {
        const at = r * T + t;
        part += band.data[at] * (2 * centred.data[at] - sums.data[at]);
        squares += centred.data[at] ** 2;
      }
      assert(Math.abs(split[i * T + t] - part / squares) < ROUNDING, `band ${i}, target ${t}`);
    }
  });
});

Deno.test("r2ScoreSplit() gives all to the band that alone explains the responses", () => {
  const silent = hostMatrix(new Float32Array(N * T), [N, T]);
  const split = r2ScoreSplit(bands[0], [bands[0], silent]);
  assertNear(split.subarray(0, T), new Float64Array(T).fill(1), 0.05, "explaining");
  assertNear(total(split), new Float64Array(T).fill(1), ROUNDING, "sum");
});

Deno.test("correlationScoreSplit() sums to the correlation of the joint prediction, whatever the means", () => {
  const split = correlationScoreSplit(y, bands);
  assertNear(total(split), correlationScore(y, joint), ROUNDING, "sum");
  const moved = bands.map((band) => hostMatrix(band.data.map((v) => v + 3), [N, T]));
  assertNear(correlationScoreSplit(y, moved), split, ROUNDING, "moved");
});

Deno.test("splits are 0 where a side is constant, and refuse what does not fit", () => {
  const flat = hostMatrix(new Float32Array(N * T).fill(2), [N, T]);
  assert(r2ScoreSplit(flat, bands).every((value) => value === 0));
  assert(correlationScoreSplit(flat, bands).every((value) => value === 0));
  assert(correlationScoreSplit(y, [flat, flat]).every((value) => value === 0));
  for (const split of [r2ScoreSplit, correlationScoreSplit]) {
    assert.throws(() => split(y, []), { name: "InputError", message: /0 bands/ });
    const short = hostMatrix(new Float32Array(T), [1, T]);
    assert.throws(() => split(y, [bands[0], short]), { name: "InputError", message: /\[1,4\]/ });
  }
  assert.throws(() => r2ScoreSplit(y, bands, { intercept: [1] }), { message: /1 intercepts/ });
});
