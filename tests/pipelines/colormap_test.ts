import assert from "node:assert/strict";
import {
  colorize,
  colormapNames,
  colormapTable,
  valueRange,
} from "../../pipelines/images/colormap.ts";
import { mosaic } from "../../pipelines/images/mosaic.ts";
import { overlayHeatmap } from "../../pipelines/images/overlay.ts";
import type { RgbImage } from "../../pipelines/images/rgb_image.ts";
import { assertInputError } from "./io_fixtures.ts";

function plainImage(height: number, width: number, value: number): RgbImage {
  return { height, width, data: new Uint8Array(height * width * 3).fill(value) };
}

function pixel(image: RgbImage, y: number, x: number): number[] {
  return [...image.data.subarray((y * image.width + x) * 3, (y * image.width + x) * 3 + 3)];
}

/** CIE 1976 lightness of an sRGB colour, 0 to 100. */
function lightness([red, green, blue]: readonly number[]): number {
  const linear = (v: number) => v <= 10 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
  const y = 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  return y > 0.008856 ? 116 * Math.cbrt(y) - 16 : 903.3 * y;
}

Deno.test("colormapTable() gives matplotlib's colours", () => {
  const at = (i: number) => [...colormapTable("viridis").subarray(i * 3, i * 3 + 3)];
  // matplotlib 3, cm.viridis([0, 128, 255], bytes=True)
  assert.deepEqual([at(0), at(128), at(255)], [[68, 1, 84], [33, 145, 140], [253, 231, 37]]);
});

Deno.test("colormapTable() rises in lightness by even steps when the map is sequential", () => {
  for (const name of colormapNames.filter((name) => name !== "diverging")) {
    const table = colormapTable(name);
    const light = Array.from({ length: 17 }, (_, i) => {
      const step = Math.min(i * 16, 255) * 3;
      return lightness([...table.subarray(step, step + 3)]);
    });
    const mean = (light[16] - light[0]) / 16;
    for (let i = 1; i < light.length; i++) {
      const step = light[i] - light[i - 1];
      // The maps' lightness is even in CAM02-UCS; CIE L* bends it by less than this.
      assert.ok(step > 0.3 * mean && step < 1.9 * mean, `${name} ${i}: ${step} of ${mean}`);
    }
  }
});

Deno.test("colorize() takes the ends beyond the range, and grey for NaN", () => {
  const image = colorize([-5, 0, 0.5, 1, 9, NaN], { height: 1, width: 6, range: [0, 1] });
  const table = colormapTable("viridis");
  const color = (i: number) => [...table.subarray(i * 3, i * 3 + 3)];
  assert.deepEqual(pixel(image, 0, 0), color(0));
  assert.deepEqual(pixel(image, 0, 1), color(0));
  assert.deepEqual(pixel(image, 0, 2), color(128));
  assert.deepEqual(pixel(image, 0, 3), color(255));
  assert.deepEqual(pixel(image, 0, 4), color(255));
  assert.deepEqual(pixel(image, 0, 5), [128, 128, 128]);
  assertInputError(() => colorize([1, 2], { height: 1, width: 3 }), /needs 3 values, got 2/);
});

Deno.test("colorize() puts zero in the middle when the map is diverging", () => {
  const image = colorize([-2, 0, 1], { height: 1, width: 3, colormap: "diverging" });
  const [red, , blue] = pixel(image, 0, 0);
  assert.ok(blue > 2 * red, "negative is blue");
  assert.ok(Math.min(...pixel(image, 0, 1)) > 230, "zero is white");
  assert.ok(pixel(image, 0, 2)[0] > pixel(image, 0, 2)[2], "positive is red");
});

Deno.test("valueRange() leaves out what is not finite and is never empty", () => {
  assert.deepEqual(valueRange([NaN, 2, -1, Infinity]), [-1, 2]);
  assert.deepEqual(valueRange([2, -1], { symmetric: true }), [-2, 2]);
  assert.deepEqual(valueRange([3, 3]), [3, 6]);
  assert.deepEqual(valueRange([0, 0]), [0, 1]);
  assert.deepEqual(valueRange([0, 0], { symmetric: true }), [-1, 1]);
  assert.deepEqual(valueRange([NaN]), [0, 1]);
});

Deno.test("overlayHeatmap() blends the colours of each patch with the image", () => {
  const image = plainImage(4, 6, 100);
  const values = Float32Array.of(0, 1, 2, 3, 4, 5);
  const options = { grid: [2, 3], upsample: "nearest" } as const;
  const opaque = overlayHeatmap(image, values, { ...options, alpha: 1 });
  const colors = colorize(values, { height: 2, width: 3 });
  for (let y = 0; y < 4; y++) {
    for (let x = 0; x < 6; x++) {
      assert.deepEqual(pixel(opaque, y, x), pixel(colors, y >> 1, x >> 1));
    }
  }
  const quarter = overlayHeatmap(image, values, { ...options, alpha: 0.25 });
  const mixed = pixel(colors, 0, 0).map((v) => Math.round(75 + v / 4));
  assert.deepEqual(pixel(quarter, 0, 0), mixed);
  assert.deepEqual(overlayHeatmap(image, values, { ...options, alpha: 0 }), image);
});

Deno.test("overlayHeatmap() colours a smooth map by the range of its grid", () => {
  const values = Float32Array.of(0, 1);
  const smooth = overlayHeatmap(plainImage(1, 8, 0), values, { grid: [1, 2], alpha: 1 });
  const steps = Array.from({ length: 8 }, (_, x) => lightness(pixel(smooth, 0, x)));
  for (let x = 1; x < 8; x++) assert.ok(steps[x] >= steps[x - 1]);
  assert.deepEqual(pixel(smooth, 0, 7), [253, 231, 37]);
  assertInputError(
    () => overlayHeatmap(plainImage(1, 1, 0), values, { grid: [1, 2], alpha: 2 }),
    /alpha must be in 0..1, got 2/,
  );
});

Deno.test("mosaic() sets images row by row, small ones in the middle of their cell", () => {
  const images = [plainImage(3, 3, 10), plainImage(1, 1, 20), plainImage(3, 3, 30)];
  const whole = mosaic(images, { columns: 2, gap: 1, background: [1, 2, 3] });
  assert.deepEqual([whole.height, whole.width], [9, 9]);
  assert.deepEqual(pixel(whole, 0, 0), [1, 2, 3]);
  assert.deepEqual(pixel(whole, 1, 1), [10, 10, 10]);
  assert.deepEqual(pixel(whole, 3, 3), [10, 10, 10]);
  assert.deepEqual(pixel(whole, 2, 6), [20, 20, 20]);
  assert.deepEqual(pixel(whole, 1, 6), [1, 2, 3]);
  assert.deepEqual(pixel(whole, 5, 1), [30, 30, 30]);
  assert.deepEqual(pixel(whole, 6, 6), [1, 2, 3]); // the empty cell
  assert.equal(mosaic(images).width, 2 * 5 + 2); // two columns when not told
});

Deno.test("mosaic() refuses no images and broken arrangements", () => {
  assertInputError(() => mosaic([]), /no images/);
  assertInputError(() => mosaic([plainImage(1, 1, 0)], { columns: 0 }), /got 0 and 2/);
  assertInputError(() => mosaic([plainImage(1, 1, 0)], { gap: 0.5 }), /got 1 and 0.5/);
});
