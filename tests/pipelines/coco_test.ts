import assert from "node:assert/strict";
import { jsonItems } from "../../pipelines/io/json_items.ts";
import { readCocoCaptions, readCocoObjects } from "../../pipelines/nsd/coco.ts";
import { cocoMask, decodeRuns } from "../../pipelines/nsd/coco_mask.ts";
import { assertInputError, TestFolder } from "./io_fixtures.ts";

/** pycocotools' text of run lengths, written after its description: 5 bits a character, differences from the third run on. */
function encodeRuns(counts: readonly number[]): string {
  let text = "";
  counts.forEach((count, i) => {
    let x = i > 2 ? count - counts[i - 2] : count;
    for (let more = true; more;) {
      const digit = x & 0x1f;
      x >>= 5;
      more = digit & 0x10 ? x !== -1 : x !== 0;
      text += String.fromCharCode(48 + (digit | (more ? 0x20 : 0)));
    }
  });
  return text;
}

Deno.test("decodeRuns() reads pycocotools' text", () => {
  // The usual example: a mask of 9 × 10 with 13 pixels.
  assert.deepEqual(decodeRuns("61X13mN000`0"), [6, 1, 40, 4, 5, 4, 5, 4, 21]);
  const runs = [0, 307199, 1, 5, 300000, 17, 1, 262144, 31, 32, 33, 15, 16];
  assert.deepEqual(decodeRuns(encodeRuns(runs)), runs);
  assertInputError(() => decodeRuns("61\n"), /character 2 is no digit/);
  assertInputError(() => decodeRuns("6X"), /character 2 is no digit/); // The last digit says that more follow.
  assertInputError(() => decodeRuns("oooooooo0"), /is no digit/);
});

/** Rows of a mask as text. */
function rows(mask: Uint8Array, width: number): string[] {
  return Array.from(
    { length: mask.length / width },
    (_, r) => mask.subarray(r * width, (r + 1) * width).join("").replaceAll("0", "."),
  );
}

Deno.test("cocoMask() fills polygons and runs, joins them, crops and stretches", () => {
  const image = { height: 4, width: 6 };
  const square = { polygons: [[1, 1, 4, 1, 4, 3, 1, 3]] };
  assert.deepEqual(rows(cocoMask([square], image, { size: [4, 6] }), 6), [
    "......",
    ".111..",
    ".111..",
    "......",
  ]);
  // The same pixels column by column: 4 + 1 outside, 2 inside, 2 outside, …
  const runs = { counts: [5, 2, 2, 2, 2, 2, 9], size: [4, 6] } as const;
  const text = { counts: encodeRuns(runs.counts), size: runs.size };
  for (const shape of [runs, text]) {
    assert.deepEqual(
      cocoMask([shape], image, { size: [4, 6] }),
      cocoMask([square], image, { size: [4, 6] }),
    );
  }
  // Without the upper quarter and the right half of 3 columns, twice as wide.
  const crop = { cropBox: [0.25, 0, 0, 0.5], size: [3, 6] as const };
  for (const shape of [square, runs]) {
    assert.deepEqual(rows(cocoMask([shape], image, crop), 6), ["..1111", "..1111", "......"]);
  }
  // A triangle and a square are a union; a hole is what one polygon encloses twice.
  const both = [square, { polygons: [[0, 0, 2, 0, 0, 4]] }];
  assert.deepEqual(rows(cocoMask(both, image, { size: [4, 6] }), 6), [
    "11....",
    "1111..",
    "1111..",
    "......",
  ]);
  const ring = { polygons: [[0, 0, 6, 0, 6, 4, 0, 4, 0, 0, 2, 1, 2, 3, 4, 3, 4, 1, 2, 1]] };
  assert.deepEqual(rows(cocoMask([ring], image, { size: [4, 6] }), 6)[1], "11..11");
  assert.equal(cocoMask([], image).length, 425 * 425);
});

Deno.test("cocoMask() gives the area of a circle at NSD's size, whatever the crop", () => {
  const corners = Array.from({ length: 720 }, (_, i) => i * Math.PI / 360)
    .flatMap((a) => [320 + 90 * Math.cos(a), 240 + 90 * Math.sin(a)]);
  const cropBox = [0, 0, 0.125, 0.125]; // 480 × 640 to its middle square.
  const mask = cocoMask([{ polygons: [corners] }], { height: 480, width: 640 }, { cropBox });
  const area = mask.reduce((sum, x) => sum + x, 0) * (480 / 425) ** 2;
  // Pixels along the edge, about 500, err by random halves: sqrt(500) / 2 = 11 pixels of 20,000.
  assert.ok(Math.abs(area / (Math.PI * 90 ** 2) - 1) < 3e-3, `${area}`);
});

Deno.test("cocoMask() refuses crops and runs that do not fit", () => {
  const image = { height: 4, width: 6 };
  assertInputError(() => cocoMask([], image, { cropBox: [0.5, 0.5, 0, 0] }), /Cannot make a mask/);
  assertInputError(() => cocoMask([], image, { cropBox: [0, 0, 0] }), /Cannot make a mask/);
  assertInputError(() => cocoMask([], image, { size: [0, 5] }), /Cannot make a mask/);
  const short = { counts: [5, 2], size: [4, 6] as const };
  assertInputError(() => cocoMask([short], image), /runs must have 24 pixels, have 7/);
  const negative = { counts: [30, -6], size: [4, 6] as const };
  assertInputError(() => cocoMask([negative], image), /runs must have 24 pixels/);
  const other = { counts: [24], size: [6, 4] as const };
  assertInputError(() => cocoMask([other], image), /a mask of 6 × 4: its image has 4 × 6/);
});

const instances = {
  info: { text: 'a "quoted" ] } text', nested: [[1], { annotations: [7] }] },
  images: [
    { id: 12, height: 4, width: 6, file_name: "b.jpg" },
    { id: 5, height: 2, width: 3, file_name: "a.jpg" },
  ],
  annotations: [
    { id: 1, image_id: 5, category_id: 18, iscrowd: 0, segmentation: [[0, 0, 2, 0, 0, 2]] },
    {
      id: 2,
      image_id: 12,
      category_id: 59,
      iscrowd: 1,
      segmentation: { counts: [20, 4], size: [4, 6] },
    },
  ],
  categories: [
    { supercategory: "animal", id: 18, name: "dog" },
    { supercategory: "food", id: 59, name: "pizza" },
  ],
};

Deno.test("readCocoObjects() and readCocoCaptions() read COCO's files, all images or some", () => {
  using folder = new TestFolder();
  const path = folder.write("instances_train2017.json", JSON.stringify(instances));
  const all = readCocoObjects(path);
  assert.deepEqual([...all.keys()], [12, 5]);
  assert.deepEqual(all.get(5), {
    height: 2,
    width: 3,
    objects: [{
      category: "dog",
      supercategory: "animal",
      isCrowd: false,
      shape: { polygons: [[0, 0, 2, 0, 0, 2]] },
    }],
  });
  const some = readCocoObjects(path, { cocoIds: [12, 77] });
  assert.deepEqual([...some.keys()], [12]);
  assert.equal(some.get(12)!.objects[0].isCrowd, true);
  const captions = {
    annotations: [
      { image_id: 5, id: 1, caption: "A dog.\n" },
      { image_id: 12, id: 2, caption: 'A "pizza" ü' },
      { image_id: 5, id: 3, caption: "One dog." },
    ],
  };
  const list = folder.write("captions.json", JSON.stringify(captions, null, 2));
  assert.deepEqual(
    readCocoCaptions(list),
    new Map([[5, ["A dog.", "One dog."]], [12, ['A "pizza" ü']]]),
  );
  assert.deepEqual([...readCocoCaptions(list, { cocoIds: [12] }).keys()], [12]);
});

Deno.test("readCocoObjects() refuses damaged files in one sentence", () => {
  using folder = new TestFolder();
  const text = JSON.stringify(instances);
  const bad = (changed: string, message: RegExp) =>
    assertInputError(() => readCocoObjects(folder.write("x.json", changed)), message);
  bad(text.slice(0, -1), /it is cut off after \d+ bytes/);
  bad(text.slice(0, 300), /it is cut off after 300 bytes/);
  bad(`${text}{}`, /must be one JSON object/);
  bad("[1]", /must be one JSON object/);
  bad(text.replace('"id":1,', '"id":1,,'), /it is not JSON at/);
  bad(
    text.replace('"category_id":18', '"category_id":19'),
    /of image 5 and category 19, of which the category/,
  );
  bad(text.replace('"image_id":5', '"image_id":6'), /of which the image is not in the file/);
  bad(text.replace("[[0,0,2,0,0,2]]", "[[0,0,2]]"), /has the "segmentation"/);
  bad(text.replace('"height":4', '"height":-4'), /has the "height" -4/);
  bad(text.replace('"annotations":[{', '"annotations":[3,{'), /a record of "annotations" is 3/);
});

Deno.test("jsonItems() gives elements of any kind across the edges of its blocks", () => {
  using folder = new TestFolder();
  const long = 'é\\"]},{'.repeat(40_000); // 360 kB each, with everything that could be taken for structure.
  const value = { a: [1, "x", null, [2, [3]], { b: long }, long], c: { a: [5] }, d: [], e: [true] };
  for (const indent of [0, 1]) {
    const path = folder.write("a.json", JSON.stringify(value, null, indent));
    const items = [...jsonItems(path, ["a", "d", "e"])];
    assert.deepEqual(items.filter(({ key }) => key === "a").map((item) => item.value), value.a);
    assert.deepEqual(items.filter(({ key }) => key !== "a"), [{ key: "e", value: true }]);
  }
  const many = { a: Array.from({ length: 6 }, (_, i) => `${i}${long}`) };
  const path = folder.write("b.json", JSON.stringify(many));
  assert.deepEqual([...jsonItems(path, ["a"])].map((item) => item.value), many.a);
});
