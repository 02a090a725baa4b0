import assert from "node:assert/strict";
import { normal, randomKey } from "../../engine/random.ts";
import { compareMaps, lowLevelSensitivity } from "../../pipelines/dense/compare_backbones.ts";
import { maskPearson } from "../../pipelines/dense/localization_metrics.ts";
import { interpolate } from "../../pipelines/images/interpolate.ts";

const refusal = (message: RegExp) => ({ name: "InputError", message });
const near = (got: number, want: number, tolerance = 1e-12) =>
  assert(Math.abs(got - want) < tolerance, `${got}, not ${want}`);

Deno.test("compareMaps() correlates maps on a common grid, image by image", () => {
  const a = { data: normal(randomKey(1), 3 * 2 * 20), nRois: 2, grid: [4, 5] } as const;
  const b = { data: normal(randomKey(2), 3 * 2 * 21), nRois: 2, grid: [7, 3] } as const;
  a.data.fill(2, 20, 40); // region 1 of image 0
  const { perImage, mean } = compareMaps(a, b);
  const fine = (data: Float32Array, at: number, [height, width]: readonly [number, number]) =>
    interpolate(data.subarray(at * height * width, (at + 1) * height * width), {
      ...{ layout: "chw", channels: 1, height, width, size: [7, 5], mode: "bilinear" },
    }).data;
  for (let at = 0; at < 6; at++) {
    if (at === 1) assert(Number.isNaN(perImage[at]));
    else near(perImage[at], maskPearson(fine(a.data, at, a.grid), fine(b.data, at, b.grid)));
  }
  near(mean[0], (perImage[0] + perImage[2] + perImage[4]) / 3);
  near(mean[1], (perImage[3] + perImage[5]) / 2);
  const same = compareMaps(a, { ...a, data: a.data.map((v) => 3 * v - 1) });
  same.perImage.forEach((r, at) => at === 1 || near(r, 1, 1e-6));
  assert.throws(() => compareMaps(a, { ...b, nRois: 1 }), refusal(/3 images and 2 regions with 6/));
  assert.throws(() => compareMaps({ ...a, grid: [4, 4] }, b), refusal(/120 values as maps/));
  const hole = { ...a, data: a.data.with(3, NaN) };
  assert.throws(() => compareMaps(hole, b), refusal(/not finite/));
});

Deno.test("lowLevelSensitivity() is the R² of a regression on an image's own fields", () => {
  const n = 30, [x, y, noise] = [3, 4, 5].map((seed) => normal(randomKey(seed), n));
  // Gram-Schmidt: orthogonal to 1, then to each other, so that shares of variance are known.
  const units: Float64Array[] = [new Float64Array(n).fill(1 / Math.sqrt(n))];
  for (const values of [x, y, noise]) {
    const row = Float64Array.from(values);
    for (const unit of units) {
      const along = unit.reduce((sum, u, i) => sum + u * row[i], 0);
      row.forEach((_, i) => row[i] -= along * unit[i]);
    }
    units.push(row.map((value) => value / Math.hypot(...row)));
  }
  const [, u, v, w] = units;
  const of = (a: number, b: number, c: number) =>
    u.map((_, i) => a * u[i] + b * v[i] + c * w[i] + 4);
  const data = Float64Array.from([...of(1, 0, 0), ...of(0, 0, 1), ...of(2, 1, 2), ...of(0, 0, 0)]);
  const maps = { data, nRois: 2, grid: [5, 6] } as const;
  // Two fields that mix u and v, a copy of one and a constant one: the same space.
  const fields = [
    ...of(1, 1, 0),
    ...of(1, -2, 0),
    ...of(-2, -2, 0),
    ...new Float64Array(n).fill(0.1),
  ];
  const { perImage, mean } = lowLevelSensitivity(maps, [fields, fields]);
  near(perImage[0], 1, 1e-9);
  near(perImage[1], 0, 1e-9);
  near(perImage[2], 5 / 9, 1e-9);
  assert(Number.isNaN(perImage[3]));
  near(mean[0], 7 / 9, 1e-9);
  const none = lowLevelSensitivity(maps, [new Float64Array(n), fields]);
  assert.equal(none.perImage[0], 0, "fields without variation explain nothing");
  assert.throws(() => lowLevelSensitivity(maps, [fields]), refusal(/2 images by fields of 1:/));
  assert.throws(() => lowLevelSensitivity(maps, [fields, [1]]), refusal(/one with 1 values/));
});
