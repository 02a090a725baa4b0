/**
 * Grids of alphas, their text, and fractions against bisection.
 */
import assert from "node:assert/strict";
import { normal, randomKey } from "../../mod.ts";
import {
  edgeReport,
  extendAlphas,
  fracridgeAlphas,
  fracsToAlphas,
  logspace,
  parseAlphas,
} from "../../pipelines/encoding/alphas.ts";

const refusal = (message: RegExp) => ({ name: "InputError", message });
const close = (got: readonly number[], want: readonly number[]) =>
  got.length === want.length && got.every((a, i) => Math.abs(a - want[i]) <= 1e-12 * want[i]);

Deno.test("logspace() has both ends", () => {
  assert(close(logspace(-1, 2, 4), [0.1, 1, 10, 100]));
  assert(close(logspace(1, 0, 3), [10, Math.sqrt(10), 1]));
  assert.throws(() => logspace(0, 1, 1), refusal(/from 2 to 10000/));
  assert.throws(() => logspace(0, Infinity, 3), refusal(/finite exponents/));
});

Deno.test("parseAlphas() reads lists and ranges of exponents", () => {
  assert.deepEqual(parseAlphas("0.1, 1,10"), [0.1, 1, 10]);
  assert.deepEqual(parseAlphas("-1:1:3"), [0.1, 1, 10]);
  assert.deepEqual(parseAlphas(" logspace(0, 10, 15) "), logspace(0, 10, 15));
  const bad = ["", "1,,2", "0", "a", "1:2", "1:2:1", "1:2:3:4", "1e999", "logspace(0,1)", "2(3)"];
  for (const text of [...bad, "1:2:2.5", "1:x:3", "0:400:3", "-1", "logspace(0,1,3),5"]) {
    assert.throws(() => parseAlphas(text), refusal(/^Cannot [^\n]+$/), text);
  }
});

Deno.test("fracridgeAlphas() spans the spectrum in steps of 0.2 decades", () => {
  // 1e-2 · 2² = 0.04 and 1e4 · 30² = 9e6, rounded outwards.
  const alphas = fracridgeAlphas([30, 7, 2, 0]);
  assert.equal(alphas.length, 46);
  assert(close([alphas[0], alphas[1], alphas[45]], [1e-2, 10 ** -1.8, 1e7]));
  assert.equal(fracridgeAlphas([30, 2], { step: 3 }).length, 4);
  assert.throws(() => fracridgeAlphas([0]), refusal(/not all 0/));
  assert.throws(() => fracridgeAlphas([1, NaN]), refusal(/one is NaN/));
  assert.throws(() => fracridgeAlphas([1], { step: 0 }), refusal(/step/));
});

Deno.test("fracsToAlphas() finds the alphas that bisection finds", () => {
  const s = [40, 11, 3, 0.5, 0.02], k = s.length, nTargets = 6;
  const uty = Float64Array.from(normal(randomKey(3), k * nTargets));
  for (let i = 0; i < k; i++) uty[i * nTargets + 5] = 0; // a target without coefficients
  const fracs = [0.999, 0.9, 0.5, 0.1, 1e-4, 1e-8, 1, 1 - 1e-13];
  const alphas = fracsToAlphas(s, uty, fracs);
  const length = (v: number, alpha: number) =>
    Math.hypot(...s.map((value, i) => value * uty[i * nTargets + v] / (value ** 2 + alpha)));
  for (let v = 0; v < 5; v++) {
    fracs.forEach((fraction, f) => {
      const alpha = alphas[f * nTargets + v];
      if (fraction === 1) return assert.equal(alpha, 0);
      let low = -60, high = 60;
      for (let turn = 0; turn < 200; turn++) {
        const middle = (low + high) / 2;
        if (length(v, 10 ** middle) / length(v, 0) > fraction) low = middle;
        else high = middle;
      }
      // The share is within 1e-9; where it changes with alpha, so is alpha to a few times that.
      const share = length(v, alpha) / length(v, 0);
      assert(Math.abs(share - fraction) <= 1.1e-9, `${v} ${fraction}: ${share}`);
      if (fraction >= 0.1 && fraction <= 0.9) {
        assert(Math.abs(Math.log10(alpha) - low) < 1e-7, `${v} ${fraction}: ${alpha}, 10^${low}`);
      }
    });
  }
  assert(Math.abs(Math.log10(alphas[5]) - 8) < 1e-12); // ceil(log10(1e4 · 40²))
  assert.throws(() => fracsToAlphas(s, uty, [0]), refusal(/fraction 0/));
  assert.throws(() => fracsToAlphas(s, [1, 2, 3], [0.5]), refusal(/3 products with 5/));
});

Deno.test("edgeReport() counts targets at the ends, and nothing where there was no choice", () => {
  assert.deepEqual(edgeReport([0, 2, 1, 2, 0, 0], 3), { lowest: 3, highest: 2, nTargets: 6 });
  assert.deepEqual(edgeReport([0, 0], 1), { lowest: 0, highest: 0, nTargets: 2 });
});

Deno.test("extendAlphas() goes on with the ratio at each end", () => {
  assert(close(extendAlphas([1, 2, 20], { below: 2, above: 1 }), [0.25, 0.5, 1, 2, 20, 200]));
  assert.deepEqual(extendAlphas([1, 2], {}), [1, 2]);
  assert.throws(() => extendAlphas([2, 1], { above: 1 }), refusal(/ascending/));
});
