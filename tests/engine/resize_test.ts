/**
 * Resizing and average pooling as ops: torch's values, the adjoint, refusals.
 */
import assert from "node:assert/strict";
import {
  adaptiveAvgPool2d,
  avgPool2d,
  mul,
  resample,
  type ResampleMode,
  resize,
  type ResizeOptions,
  sum,
  Tensor,
  tidy,
} from "../../mod.ts";
import { normal, randomKey } from "../../engine/random.ts";
import { pilResize } from "../../pipelines/images/pil_resize.ts";
import { resampleTaps, transposeTaps } from "../../shaders/resize/taps.ts";
import { GoldenFile, maxDifference } from "../golden_file.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

/** Options and size that a golden tensor's name stands for, as `interp.bicubic.aa1.5x4`. */
function optionsOf(name: string): { size: [number, number]; options: ResizeOptions } {
  const [, mode, variant] = name.split(".");
  const [height, width] = name.match(/(\d+)x(\d+)$/)!.slice(1).map(Number);
  return {
    size: [height, width],
    options: {
      mode: mode as ResampleMode,
      antialias: variant === "aa1",
      alignCorners: variant === "aligncorners",
      scale: variant === "scale_offset0" ? [22.1 / 11, 14.1 / 7] : undefined,
    },
  };
}

Deno.test("resize() gives torch's values in every mode, variant and size", async () => {
  const golden = new GoldenFile("interpolate");
  const input = golden.f32("interp.in");
  using x = Tensor.from(gpu, input.data, input.shape);
  for (const name of golden.names.filter((name) => name !== "interp.in")) {
    const want = golden.f32(name);
    const { size, options } = optionsOf(name);
    using y = resize(x, size, options);
    assert.deepEqual(y.shape, want.shape, name);
    // Two passes of at most 11 products of values below 4 in f32: a few eps of 4.
    const error = maxDifference(await y.data(), want.data);
    assert.ok(error <= 1e-6, `${name}: ${error}`);
  }
});

Deno.test("resize() with Lanczos gives Pillow's bytes within its roundings", async () => {
  const bytes = Uint8Array.from({ length: 13 * 17 * 3 }, (_, i) => (i * i * 37) % 251);
  const image = { data: bytes, height: 13, width: 17 };
  const want = pilResize(image, { height: 6, width: 9, filter: "lanczos" });
  const planes = Float32Array.from(
    { length: bytes.length },
    (_, i) => bytes[(i % 221) * 3 + Math.floor(i / 221)],
  );
  using x = Tensor.from(gpu, planes, [1, 3, 13, 17]);
  using y = resize(x, [6, 9], { mode: "lanczos" });
  const got = (await y.data()).map((v) => Math.min(255, Math.max(0, v)));
  const expected = Float32Array.from(
    { length: got.length },
    (_, i) => want.data[(i % 54) * 3 + Math.floor(i / 54)],
  );
  // Pillow rounds to bytes after each axis; the weights of the second sum to 1 with overshoot below 1.5.
  assert.ok(maxDifference(got, expected) <= 1.5);
});

Deno.test("the gradient of resize() is its exact adjoint", async () => {
  using x = Tensor.from(gpu, normal(randomKey(1), 3 * 9 * 8), [1, 3, 9, 8]);
  using y = Tensor.from(gpu, normal(randomKey(2), 3 * 5 * 12), [1, 3, 5, 12]);
  const rows = resampleTaps({ inSize: 9, outSize: 5, antialias: true }, "bicubic");
  const columns = resampleTaps({ inSize: 8, outSize: 12 }, "bicubic");
  const back = { rows: transposeTaps(rows), columns: transposeTaps(columns) };
  using forward = tidy(gpu, () => sum(mul(resample(x, { rows, columns }), y)));
  using backward = tidy(gpu, () => sum(mul(x, resample(y, back))));
  // Both sum 180 or 216 products of size about 1 in f32.
  assert.ok(Math.abs(await forward.item() - await backward.item()) <= 2e-5);
});

Deno.test("transposeTaps() twice gives the table back", () => {
  const taps = resampleTaps({ inSize: 23, outSize: 9, antialias: true }, "bilinear");
  assert.deepEqual(transposeTaps(transposeTaps(taps)), taps);
});

Deno.test("resize() to the same size shares the memory of its input", () => {
  using x = Tensor.from(gpu, [1, 2, 3, 4], [1, 1, 2, 2]);
  using same = resize(x, [2, 2], { mode: "bicubic", antialias: true });
  assert.deepEqual(same.shape, [1, 1, 2, 2]);
  assert.equal(gpu.liveBytes, 16);
});

Deno.test("resize() and pooling refuse what does not fit, by name", () => {
  using x = Tensor.zeros(gpu, [1, 1, 4, 4]);
  using row = Tensor.zeros(gpu, [4]);
  const refuses = (f: () => Tensor, name: string, message: RegExp) =>
    assert.throws(f, { name, message });
  refuses(() => resize(x, [0, 2]), "ShapeError", /whole numbers from 1/);
  refuses(() => resize(row, [2, 2]), "ShapeError", /\[n, channels, height, width\]/);
  refuses(
    () => resize(x, [2, 2], { mode: "nearest", antialias: true }),
    "UnsupportedError",
    /nearest/,
  );
  refuses(
    () => resize(x, [2, 2], { antialias: true, alignCorners: true }),
    "UnsupportedError",
    /one/,
  );
  refuses(() => adaptiveAvgPool2d(x, [2, 0]), "ShapeError", /whole numbers from 1/);
  refuses(() => avgPool2d(x, 5), "ShapeError", /smaller than a kernel/);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
