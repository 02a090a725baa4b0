import assert from "node:assert/strict";
import { normal, randomKey, uniform } from "../../engine/random.ts";
import {
  maskAuc,
  maskPearson,
  matchedAreaIou,
  pointingGame,
} from "../../pipelines/dense/localization_metrics.ts";
import { InputError } from "../../pipelines/errors.ts";

const n = 400;
const map = Float64Array.from(normal(randomKey(1), n));
const mask = Uint8Array.from(uniform(randomKey(2), n), (u, i) => u < 0.3 + 0.2 * map[i] ? 1 : 0);

Deno.test("maskPearson() is the correlation coefficient", () => {
  const mean = (v: ArrayLike<number>) => Array.from(v).reduce((a, b) => a + b) / v.length;
  const [mx, my] = [mean(map), mean(mask)];
  const covariance = mean(map.map((v, i) => (v - mx) * (mask[i] - my)));
  const deviation = (v: Float64Array, m: number) => Math.sqrt(mean(v.map((x) => (x - m) ** 2)));
  const expected = covariance / deviation(map, mx) / deviation(Float64Array.from(mask), my);
  assert(Math.abs(maskPearson(map, mask) - expected) < 1e-12);
  assert.equal(maskPearson([1, 2, 3], [0, 0, 1]).toFixed(12), (Math.sqrt(3) / 2).toFixed(12));
  assert.equal(maskPearson(mask, mask), 1);
  assert(Number.isNaN(maskPearson(map, new Uint8Array(n))));
  assert(Number.isNaN(maskPearson(new Float64Array(n), mask)));
});

Deno.test("matchedAreaIou() compares as many of the highest values as the mask has pixels", () => {
  assert.equal(matchedAreaIou([5, 4, 3, 2], [1, 1, 0, 0]), 1);
  assert.equal(matchedAreaIou([5, 4, 3, 2], [0, 0, 1, 1]), 0);
  assert.equal(matchedAreaIou([5, 4, 3, 2], [1, 0, 1, 0]), 1 / 3);
  const top = new Set(
    Array.from(map.keys()).sort((a, b) => map[b] - map[a]).slice(0, mask.filter((v) => v).length),
  );
  let [both, either] = [0, 0];
  mask.forEach((v, i) => {
    both += v && top.has(i) ? 1 : 0;
    either += v || top.has(i) ? 1 : 0;
  });
  assert(Math.abs(matchedAreaIou(map, mask) - both / either) < 1e-12);
  assert(Number.isNaN(matchedAreaIou([1, 2], [0, 0])));
});

Deno.test("matchedAreaIou() does not depend on the order of ties: a flat map scores as chance does", () => {
  // 2 of 8 pixels are chosen at random: 2 · 2/8 = 0.5 hits are expected
  const flat = new Float64Array(8);
  assert.equal(matchedAreaIou(flat, [1, 1, 0, 0, 0, 0, 0, 0]), 0.5 / 3.5);
  assert.equal(matchedAreaIou(flat, [0, 0, 0, 0, 0, 0, 1, 1]), 0.5 / 3.5);
});

Deno.test("maskAuc() counts the pairs that are in the right order", () => {
  let [right, pairs] = [0, 0];
  const coarse = map.map((v) => Math.round(v)); // many ties
  coarse.forEach((a, i) => {
    if (!mask[i]) return;
    coarse.forEach((b, j) => {
      if (mask[j]) return;
      pairs++;
      right += a > b ? 1 : a === b ? 0.5 : 0;
    });
  });
  assert(Math.abs(maskAuc(coarse, mask) - right / pairs) < 1e-12);
  assert.equal(maskAuc([1, 2, 3], [0, 0, 1]), 1);
  assert(Number.isNaN(maskAuc([1, 2], [1, 1])));
});

Deno.test("pointingGame() asks whether the highest value lies in the mask, ties by their share", () => {
  assert.equal(pointingGame([1, 5, 2, 3], [0, 1, 0, 0]), 1);
  assert.equal(pointingGame([1, 5, 2, 3], [1, 0, 1, 1]), 0);
  assert.equal(pointingGame([5, 1, 5, 5], [1, 1, 0, 0]), 1 / 3);
  assert.equal(pointingGame(new Float64Array(8), [1, 1, 0, 0, 0, 0, 0, 0]), 0.25);
  assert(Number.isNaN(pointingGame([1, 2], [0, 0])));
  let best = 0;
  map.forEach((value, i) => best = value > map[best] ? i : best);
  assert.equal(pointingGame(map, mask), mask[best]);
});

Deno.test("the metrics refuse other sizes and values that are not finite", () => {
  for (const metric of [maskPearson, matchedAreaIou, maskAuc, pointingGame]) {
    assert.throws(() => metric([1, 2], [1]), InputError);
    assert.throws(() => metric([], []), InputError);
    assert.throws(() => metric([1, NaN], [1, 0]), InputError);
  }
});
