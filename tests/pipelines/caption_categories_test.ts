import assert from "node:assert/strict";
import { normal, randomKey } from "../../engine/random.ts";
import {
  assignCategories,
  brainSailCategories,
  captionCorrelations,
  confusionCounts,
  parseCaptionLists,
} from "../../pipelines/dense/caption_categories.ts";
import { maskPearson } from "../../pipelines/dense/localization_metrics.ts";
import { topImages } from "../../pipelines/dense/top_images.ts";

const refusal = (message: RegExp) => ({ name: "InputError", message });

Deno.test("brainSailCategories are the paper's 54 captions", () => {
  const counts = brainSailCategories.map(({ name, captions }) => [name, captions.length]);
  const expected = [["face", 9], ["body", 10], ["scene", 12], ["food", 14], ["text", 9]];
  assert.deepEqual(counts, expected);
  const all = brainSailCategories.flatMap(({ captions }) => captions);
  assert.equal(new Set(all).size, 54);
  assert(all.every((caption) => /^(A|People) [a-z' ]+$/.test(caption)));
  assert.equal(all[4], "A photo of a person's face");
  assert.equal(all[53], "A photo of text on an object");
});

Deno.test("parseCaptionLists() reads a file per category, a caption a line", () => {
  const lists = [
    { name: "face.txt", text: "\uFEFFa face\r\n\r\n  a portrait \r\n" },
    { name: "b.c", text: "a thing" },
  ];
  assert.deepEqual(parseCaptionLists(lists), [
    { name: "face", captions: ["a face", "a portrait"] },
    { name: "b.c", captions: ["a thing"] },
  ]);
  assert.throws(() => parseCaptionLists([]), refusal(/no caption list/));
  assert.throws(() => parseCaptionLists([{ name: "x.txt", text: " \n" }]), refusal(/"x" holds no/));
  const twice = [{ name: "a", text: "one\ntwo" }, { name: "b", text: "two" }];
  assert.throws(() => parseCaptionLists(twice), refusal(/"two" is in "a" and in "b"/));
  const same = [{ name: "a.txt", text: "one" }, { name: "a", text: "two" }];
  assert.throws(() => parseCaptionLists(same), refusal(/two lists are called "a"/));
});

Deno.test("assignCategories() takes the class of the most correlated caption", () => {
  const n = 30, captions = normal(randomKey(1), 5 * n), noise = normal(randomKey(2), 3 * n);
  const categories = [
    { name: "a", captions: ["1", "2"] },
    { name: "b", captions: ["3", "4", "5"] },
  ];
  const maps = new Float32Array(4 * n); // the last one is constant
  [3, 0].forEach((caption, r) => {
    for (let i = 0; i < n; i++) maps[r * n + i] = 2 * captions[caption * n + i] + noise[r * n + i];
  });
  for (let i = 0; i < n; i++) maps[2 * n + i] = -captions[4 * n + i];
  const roi = { data: maps, shape: [4, n] as const };
  const text = { data: captions, shape: [5, n] as const };
  const { correlations, best, category } = assignCategories(roi, text, categories);
  assert.deepEqual([...best].toSpliced(2, 1), [3, 0, -1]);
  assert.deepEqual([...category].toSpliced(2, 1), [1, 0, -1]);
  assert.notEqual(best[2], 4, "the opposite of a caption is not like it");
  for (let r = 0; r < 4; r++) {
    for (let c = 0; c < 5; c++) {
      const map = maps.subarray(r * n, r * n + n), other = captions.subarray(c * n, c * n + n);
      const got = correlations[r * 5 + c], want = maskPearson(map, other);
      assert(r === 3 ? Number.isNaN(got) : Math.abs(got - want) < 1e-12);
    }
  }
  assert.throws(
    () => assignCategories(roi, text, categories.slice(1)),
    refusal(/5 caption maps for 3/),
  );
  const other = { data: captions, shape: [10, n / 2] as const };
  assert.throws(() => captionCorrelations(roi, other), refusal(/30 patches, caption maps 15/));
});

Deno.test("confusionCounts() counts the categories of top images", () => {
  const counts = confusionCounts([[0, 0, 1, -1], [2], []], 3);
  assert.deepEqual([...counts], [2, 1, 0, 0, 0, 1, 0, 0, 0]);
  assert.throws(() => confusionCounts([[3]], 3), refusal(/category 3: there are 3/));
});

Deno.test("topImages() ranks by the mean prediction of a region, ties by index", () => {
  const data = Float32Array.of(0, 4, 9, 3, 3, 9, 1, 5, 9, 3, 3, 9);
  const predictions = { data, shape: [4, 3] as const };
  const rois = [{ name: "both", voxels: [0, 1] }, { name: "flat", voxels: [2] }];
  assert.deepEqual(topImages(predictions, rois, 3), [
    { name: "both", images: Uint32Array.of(1, 2, 3), scores: Float64Array.of(3, 3, 3) },
    { name: "flat", images: Uint32Array.of(0, 1, 2), scores: Float64Array.of(9, 9, 9) },
  ]);
  assert.throws(() => topImages(predictions, rois, 5), refusal(/5 of 4 images/));
  const bad = [{ name: "x", voxels: [3] }];
  assert.throws(() => topImages(predictions, bad, 1), refusal(/"x": .* among 3, got 3/));
});
