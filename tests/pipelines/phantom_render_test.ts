import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { isPlace } from "../../pipelines/phantom/backgrounds.ts";
import {
  categoryMask,
  luminance,
  objectMask,
  renderScene,
  saturation,
} from "../../pipelines/phantom/render.ts";
import { CATEGORIES, randomScene, sceneCategories } from "../../pipelines/phantom/scene.ts";

const scenes = Array.from({ length: 40 }, (_, i) => randomScene(3, i));

Deno.test("renderScene() gives the same bytes for the same seed and index, and others for others", () => {
  const hash = (seed: number, index: number): string =>
    createHash("sha256").update(renderScene(randomScene(seed, index)).rgb).digest("hex");
  assert.equal(hash(3, 5), hash(3, 5));
  assert.notEqual(hash(3, 5), hash(3, 6));
  assert.notEqual(hash(3, 5), hash(4, 5));
});

Deno.test("objectMask() holds exactly the pixels that the object changes", () => {
  // With one sample per pixel and no shadow, taking an object away changes the pixels it owned and no other.
  for (const scene of scenes) {
    const options = { size: 48, supersample: 1 };
    const full = renderScene({ ...scene, shadow: 0 }, options);
    scene.objects.forEach((_, k) => {
      const objects = scene.objects.filter((_, i) => i !== k);
      const without = renderScene({ ...scene, objects, shadow: 0 }, options);
      const mask = objectMask(full, k);
      let kept = 0;
      for (let p = 0; p < mask.length; p++) {
        const same = [0, 1, 2].every((c) => full.rgb[3 * p + c] === without.rgb[3 * p + c]);
        if (mask[p] === 0) assert.ok(same, `pixel ${p} changed outside the mask`);
        else if (same) kept++;
      }
      const area = mask.reduce((sum, m) => sum + m, 0);
      // Two people in the same shirt may paint a few shared pixels alike, no more.
      assert.ok(kept <= 0.1 * area, `${kept} of ${area} pixels do not show the object`);
    });
  }
});

Deno.test("renderScene() partitions the pixels among objects and background", () => {
  for (const scene of scenes) {
    const rendered = renderScene(scene);
    const place = isPlace(scene.background.kind);
    for (let p = 0; p < rendered.labels.length; p++) {
      const instance = rendered.instances[p];
      const category = instance > 0 ? scene.objects[instance - 1].category : place ? "place" : null;
      const label = category === null ? 0 : CATEGORIES.indexOf(category) + 1;
      assert.equal(rendered.labels[p], label);
    }
    for (const category of CATEGORIES) {
      const seen = categoryMask(rendered, category).some((m) => m === 1);
      if (seen) assert.ok(sceneCategories(scene).includes(category));
    }
  }
});

Deno.test("renderScene() shows the nearer of two objects where they meet, and objects before the background", () => {
  for (const scene of scenes) {
    const rendered = renderScene({ ...scene, shadow: 0 });
    const alone = scene.objects.map((object) =>
      objectMask(renderScene({ ...scene, objects: [object], shadow: 0 }, { supersample: 3 }), 0)
    );
    for (let p = 0; p < rendered.depth.length; p++) {
      const owner = rendered.instances[p];
      if (owner === 0) {
        assert.ok(rendered.depth[p] >= 0.6 - 1e-6 && rendered.depth[p] <= 1);
        continue;
      }
      assert.ok(Math.abs(rendered.depth[p] - scene.objects[owner - 1].depth) < 1e-6);
      // A pixel that another object fully owned alone must belong to something at least as near.
      alone.forEach((mask, k) => {
        if (mask[p] === 1 && k !== owner - 1 && interior(mask, p, rendered.size)) {
          assert.ok(scene.objects[owner - 1].depth <= scene.objects[k].depth);
        }
      });
    }
  }
});

/** Whether all eight neighbours of a pixel are in a mask, so that the pixel has no partial coverage. */
function interior(mask: Uint8Array, p: number, size: number): boolean {
  return [-size - 1, -size, -size + 1, -1, 1, size - 1, size, size + 1].every((d) =>
    mask[p + d] === 1
  );
}

Deno.test("renderScene() draws the same scene at every size", () => {
  // The label map of a 96-pixel image, sampled at every third pixel, agrees with the 32-pixel image but for edges.
  const scene = scenes.find((s) => s.objects.length === 2)!;
  const small = renderScene(scene, { size: 32 });
  const large = renderScene(scene, { size: 96 });
  let agree = 0;
  for (let p = 0; p < 32 * 32; p++) {
    const centre = (3 * Math.floor(p / 32) + 1) * 96 + 3 * (p % 32) + 1;
    if (small.labels[p] === large.labels[centre]) agree++;
  }
  assert.ok(agree / 1024 > 0.95, `${agree} of 1024 pixels agree`);
});

Deno.test("luminance() and saturation() follow Rec. 709 and HSV on known colours", () => {
  const rgb = new Uint8Array([255, 0, 0, 0, 255, 0, 255, 255, 255, 0, 0, 0, 100, 150, 200]);
  const luma = [0.2126, 0.7152, 1, 0, (0.2126 * 100 + 0.7152 * 150 + 0.0722 * 200) / 255];
  luminance(rgb).forEach((value, i) => assert.ok(Math.abs(value - luma[i]) < 1e-6));
  assert.deepEqual([...saturation(rgb)], [1, 1, 0, 0, 0.5]);
});

Deno.test("renderScene() and randomScene() refuse sizes, seeds and indices that are not whole numbers", () => {
  assert.throws(() => renderScene(scenes[0], { size: 0 }), /at least 1, got 0/);
  assert.throws(() => randomScene(1.5, 0), /whole numbers, got 1.5/);
  assert.throws(() => randomScene(1, -1), RangeError);
});

Deno.test("renderScene() draws the pixels that the shipped networks were trained on", () => {
  // Recorded once; a change of the renderer that alters it calls for training them again.
  const hash = createHash("sha256");
  for (let i = 0; i < 24; i++) hash.update(renderScene(randomScene(0, i)).rgb);
  assert.equal(
    hash.digest("hex"),
    "f9588bbf9a24aeeef9da8ed8b5f6c456ae200a86735e3053bbf402c7178271c1",
  );
});
