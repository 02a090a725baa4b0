import assert from "node:assert/strict";
import {
  interpolate,
  type InterpolateMode,
  type InterpolateOptions,
} from "../../pipelines/images/interpolate.ts";
import { GoldenFile, maxDifference } from "../golden_file.ts";
import { assertInputError } from "./io_fixtures.ts";

// Both sides are float64; the golden file is rounded to float32, half an ulp of values below 4: 1.2e-7.
const TOLERANCE = 1.2e-7;

const input: InterpolateOptions = { layout: "chw", channels: 2, height: 11, width: 7 };

/** Options that a golden tensor's name stands for, as `interp.bicubic.aa1.5x4`. */
function optionsOf(name: string): InterpolateOptions {
  const [, mode, variant] = name.split(".");
  const [height, width] = name.match(/(\d+)x(\d+)$/)!.slice(1).map(Number);
  const size: Partial<InterpolateOptions> = variant === "scale_offset0"
    ? { scaleFactor: [22.1 / 11, 14.1 / 7] }
    : { size: [height, width] };
  return {
    ...input,
    ...size,
    mode: mode as InterpolateMode,
    antialias: variant === "aa1",
    alignCorners: variant === "aligncorners",
  };
}

Deno.test("interpolate() gives torch's values in every mode, variant and size", () => {
  const golden = new GoldenFile("interpolate");
  const values = golden.f32("interp.in").data;
  const names = golden.names.filter((name) => name !== "interp.in");
  assert.equal(names.length, 13);
  for (const name of names) {
    const want = golden.f32(name);
    const got = interpolate(values, optionsOf(name));
    assert.deepEqual([1, 2, got.height, got.width], want.shape, name);
    const error = maxDifference(got.data, want.data);
    assert.ok(error <= TOLERANCE, `${name}: ${error} is ${error / TOLERANCE} of the tolerance`);
  }
});

Deno.test("interpolate() gives the same values when channels come last", () => {
  const values = new GoldenFile("interpolate").f32("interp.in").data;
  const last = values.map((_, i) => values[(i % 2) * 77 + (i >> 1)]);
  for (const antialias of [false, true]) {
    const options = { ...input, size: [5, 9], mode: "bicubic", antialias } as const;
    const planes = interpolate(values, options).data;
    const grid = interpolate(last, { ...options, layout: "hwc" }).data;
    for (let i = 0; i < grid.length; i++) assert.equal(grid[i], planes[(i % 2) * 45 + (i >> 1)]);
  }
});

Deno.test("interpolate() copies when the size is unchanged", () => {
  const values = new GoldenFile("interpolate").f32("interp.in").data;
  for (const mode of ["nearest", "bilinear", "bicubic"] as const) {
    for (const antialias of mode === "nearest" ? [false] : [false, true]) {
      const same = interpolate(values, { ...input, size: [11, 7], mode, antialias });
      assert.equal(maxDifference(same.data, values), 0, `${mode} ${antialias}`);
    }
  }
});

Deno.test("interpolate() finds the nearest sample in f32, as torch does for f32 images", () => {
  const row = { layout: "chw", channels: 1, height: 1, width: 2, mode: "nearest" } as const;
  const { data } = interpolate(Float64Array.of(0, 1), { ...row, size: [1, 82] });
  // 41 * fround(2 / 82) is 0.99999994; exactly it is 1.
  assert.deepEqual([data[41], data[42]], [0, 1]);
});

Deno.test("interpolate() takes the first sample when one is asked for with aligned corners", () => {
  const one = interpolate(Float64Array.of(3, 5, 7), {
    layout: "chw",
    channels: 1,
    height: 1,
    width: 3,
    size: [1, 1],
    alignCorners: true,
  });
  assert.deepEqual([...one.data], [3]);
});

Deno.test("interpolate() refuses options that do not fit together", () => {
  const values = new Float32Array(2 * 11 * 7);
  const at = (options: Partial<InterpolateOptions>) => () =>
    interpolate(values, { ...input, size: [2, 2], ...options });
  assertInputError(at({ size: undefined }), /size or a scale factor/);
  assertInputError(at({ size: [0, 3] }), /whole numbers from 1/);
  assertInputError(at({ channels: 3 }), /need 231 values, got 154/);
  assertInputError(at({ mode: "nearest", antialias: true }), /antialias works with/);
  assertInputError(at({ antialias: true, alignCorners: true }), /antialias works with/);
  assertInputError(at({ mode: "nearest", alignCorners: true }), /alignCorners works with/);
});
