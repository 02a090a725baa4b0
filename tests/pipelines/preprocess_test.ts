import assert from "node:assert/strict";
import { type PilFilter, pilResize } from "../../pipelines/images/pil_resize.ts";
import {
  centerCrop,
  parseImageSize,
  preprocess,
  type PreprocessingName,
  preprocessings,
  resizeToCover,
  stretched,
} from "../../pipelines/images/preprocess.ts";
import type { RgbImage } from "../../pipelines/images/rgb_image.ts";
import { GoldenFile, maxDifference } from "../golden_file.ts";
import { assertInputError } from "./io_fixtures.ts";

function goldenImage(file: GoldenFile, name: string): RgbImage {
  const { data, shape: [height, width] } = file.u8(name);
  return { height, width, data };
}

/** Red counts columns, green counts rows. */
function rampImage(height: number, width: number): RgbImage {
  const data = new Uint8Array(height * width * 3);
  for (let i = 0; i < height * width; i++) {
    data.set([1 + i % width, 1 + Math.floor(i / width), 255], i * 3);
  }
  return { height, width, data };
}

function pixel(image: RgbImage, y: number, x: number): number[] {
  return [...image.data.subarray((y * image.width + x) * 3, (y * image.width + x) * 3 + 3)];
}

Deno.test("pilResize() gives Pillow's bytes when each filter grows and shrinks", () => {
  const golden = new GoldenFile("pil_filters");
  const image = goldenImage(golden, "in");
  const names = golden.names.filter((name) => name !== "in");
  assert.equal(names.length, 20);
  for (const name of names) {
    const [filter, size] = name.split(".");
    const { height, width } = parseImageSize(size);
    const resized = pilResize(image, { height, width, filter: filter as PilFilter });
    assert.deepEqual(resized.data, golden.u8(name).data, name);
  }
});

Deno.test("pilResize() gives Pillow's bytes when whole pictures are resized directly", () => {
  const golden = new GoldenFile("preprocess");
  const size = { height: 48, width: 48 };
  const large = goldenImage(golden, "in.a150x211");
  const small = goldenImage(golden, "in.c40x52");
  assert.deepEqual(
    pilResize(large, { ...size, filter: "lanczos" }).data,
    golden.u8("resized.a150x211.direct_lanczos_48x48").data,
  );
  assert.deepEqual(
    pilResize(small, size).data, // bicubic is Pillow's default
    golden.u8("resized.c40x52.direct_bicubic_48x48").data,
  );
});

Deno.test("pilResize() counts a pixel at the edge of the box to its left, as Pillow does", () => {
  const image = { height: 1, width: 3, data: Uint8Array.of(10, 0, 0, 20, 255, 0, 90, 7, 0) };
  const { data } = pilResize(image, { height: 1, width: 2, filter: "box" });
  assert.deepEqual([...data], [15, 128, 0, 90, 7, 0]); // Pillow 12.3.0
});

Deno.test("pilResize() copies when the size is unchanged", () => {
  const image = rampImage(5, 7);
  const same = pilResize(image, { height: 5, width: 7, filter: "lanczos" });
  assert.deepEqual(same, image);
  assert.notEqual(same.data.buffer, image.data.buffer);
});

Deno.test("pilResize() refuses sizes and images that do not fit together", () => {
  const image = rampImage(2, 2);
  assertInputError(() => pilResize(image, { height: 0, width: 2 }), /from 1, got 0x2/);
  assertInputError(() => pilResize(image, { height: 2.5, width: 2 }), /got 2.5x2/);
  const short = { ...image, data: image.data.subarray(3) };
  assertInputError(() => pilResize(short, { height: 1, width: 1 }), /needs 12 bytes, got 9/);
});

Deno.test("resizeToCover() gives torchvision's size and bytes when the side is one number", () => {
  const golden = new GoldenFile("preprocess");
  const cases = [
    ["a150x211", "clip64", 64, "bicubic"],
    ["c40x52", "inception75", 85, "bilinear"],
  ] as const;
  for (const [name, family, side, filter] of cases) {
    const image = goldenImage(golden, `in.${name}`);
    const want = golden.u8(`resized.${name}.${family}`);
    const resized = resizeToCover(image, { height: side, width: side, filter });
    assert.deepEqual([resized.height, resized.width, 3], want.shape);
    assert.deepEqual(resized.data, want.data);
  }
});

Deno.test("resizeToCover() covers both sides exactly or more when the size is not square", () => {
  const wide = resizeToCover(rampImage(30, 100), { height: 20, width: 50, filter: "box" });
  assert.deepEqual([wide.height, wide.width], [20, 66]); // 20 * 100 / 30 = 66.7, truncated
  const tall = resizeToCover(rampImage(100, 30), { height: 20, width: 50, filter: "box" });
  assert.deepEqual([tall.height, tall.width], [166, 50]);
});

Deno.test("preprocess() gives torchvision's floats bit for bit when DINOv2's transform runs", () => {
  const golden = new GoldenFile("preprocess");
  const size = { height: 56, width: 56 };
  const made = preprocess(goldenImage(golden, "in.c40x52"), { family: "dinov2", size });
  const want = golden.f32("out.c40x52.dinov2_56");
  assert.deepEqual([3, made.height, made.width], want.shape);
  assert.equal(maxDifference(made.data, want.data), 0);
});

Deno.test("preprocess() resizes to the side that each family names before the crop", () => {
  const side = (family: PreprocessingName, output: number): number =>
    preprocessings[family].resizeSide?.(output) ?? output;
  assert.equal(side("clip", 224), 224);
  assert.equal(side("dinov2", 224), 256);
  assert.equal(side("dinov2", 518), 592);
  assert.equal(side("dino", 224), 256);
  assert.equal(side("mae", 224), 256);
  assert.equal(side("mae", 448), 448); // no crop above 224
  assert.equal(side("inception", 299), 342);
});

Deno.test("preprocess() keeps the whole picture when the family stretches", () => {
  const image = rampImage(8, 24);
  const { data } = preprocess(image, { family: "radio", size: { height: 8, width: 24 } });
  assert.equal(data[23], Math.fround(24 / 255)); // red of the last column, in 0..1
  const siglip = preprocess(image, { family: "siglip", size: { height: 8, width: 24 } });
  assert.equal(siglip.data[2 * 8 * 24], 1); // blue 255: (1 - 0.5) / 0.5
  const clip = preprocess(image, { family: stretched("clip"), size: { height: 8, width: 24 } });
  const red = Math.fround(Math.fround(1 / 255) - Math.fround(0.48145466));
  assert.equal(clip.data[0], Math.fround(red / Math.fround(0.26862954)));
  const native = preprocess(image, { family: "clip" });
  assert.deepEqual([native.height, native.width, native.data.length], [224, 224, 3 * 224 * 224]);
});

Deno.test("centerCrop() rounds halves to the even offset", () => {
  // (10 - 7) / 2 = 1.5 rounds to 2; (12 - 7) / 2 = 2.5 rounds to 2.
  const cropped = centerCrop(rampImage(10, 12), { height: 7, width: 7 });
  assert.deepEqual(pixel(cropped, 0, 0), [3, 3, 255]);
  assert.deepEqual(pixel(cropped, 6, 6), [9, 9, 255]);
});

Deno.test("centerCrop() pads with black, the smaller half first, when the image is smaller", () => {
  const padded = centerCrop(rampImage(4, 9), { height: 7, width: 6 });
  assert.deepEqual(pixel(padded, 0, 3), [0, 0, 0]);
  assert.deepEqual(pixel(padded, 1, 0), [3, 1, 255]); // one row above; columns from 2 (1.5 to even)
  assert.deepEqual(pixel(padded, 4, 5), [8, 4, 255]);
  assert.deepEqual(pixel(padded, 5, 5), [0, 0, 0]);
  const island = centerCrop(rampImage(1, 1), { height: 2, width: 4 });
  assert.deepEqual([...island.data].map(Boolean).indexOf(true), 3); // row 0, column 1
});

Deno.test("parseImageSize() reads S and HxW and refuses the rest", () => {
  assert.deepEqual(parseImageSize("224"), { height: 224, width: 224 });
  assert.deepEqual(parseImageSize(" 336X448 "), { height: 336, width: 448 });
  for (const text of ["", "0", "-3", "12.5", "10x", "x10", "1x2x3", "1e3", "999999"]) {
    assertInputError(() => parseImageSize(text), /must be S or HxW/);
  }
});

Deno.test("preprocess() in floats differs from Pillow's by the rounding of bytes alone", () => {
  const image = goldenImage(new GoldenFile("preprocess"), "in.a150x211");
  const bytes = preprocessings.inception;
  const floats = { ...bytes, resizeIn: "floats" } as const;
  for (const fit of ["crop", "stretch"] as const) {
    for (const size of [{ height: 90, width: 99 }, { height: 170, width: 131 }]) {
      const [a, b] = [bytes, floats].map((f) => preprocess(image, { family: { ...f, fit }, size }));
      assert.deepEqual([b.height, b.width], [a.height, a.width]);
      const difference = maxDifference(a.data, b.data);
      // half a byte after each axis, in units of the smallest std
      assert(difference > 1e-3 && difference <= 1 / 255 / 0.224, `${fit} ${difference}`);
    }
  }
  const same = { height: 150, width: 211 };
  const [a, b] = [bytes, floats].map((f) =>
    preprocess(image, { family: { ...f, resizeSide: undefined }, size: same })
  );
  assert(maxDifference(a.data, b.data) < 1e-6); // nothing is resized: two roundings of f32
  assertInputError(
    () => preprocess(image, { family: { ...floats, filter: "lanczos" }, size: same }),
    /by lanczos: the filter must be bilinear or bicubic/,
  );
});
