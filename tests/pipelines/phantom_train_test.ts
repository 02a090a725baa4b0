/**
 * The training of the phantom's networks.
 *
 * @module
 */
import assert from "node:assert/strict";
import { loadModel } from "../../pipelines/models/model.ts";
import { phantomNets, trainPhantomNet } from "../../pipelines/phantom/train.ts";
import { phantomTokenizer } from "../../pipelines/phantom/train_clip.ts";
import { clipStarts, writeClip } from "../../pipelines/phantom/train_clip_net.ts";
import { dinov2Starts } from "../../pipelines/phantom/train_dinov2_net.ts";
import { clipMean, clipStd } from "../../pipelines/images/preprocess.ts";
import { shiftedPatches } from "../../pipelines/dense/offsets.ts";
import {
  cameraPixels,
  type CameraView,
  sceneInView,
} from "../../pipelines/phantom/train_camera.ts";
import { normalizedPixels, renderTrainingScenes } from "../../pipelines/phantom/train_data.ts";
import { startsFrom } from "../../pipelines/phantom/train_resume.ts";
import { openTestGpu } from "../_gpu.ts";

for (const net of phantomNets) {
  Deno.test(`trainPhantomNet("${net}") gives the same bits twice and lowers its loss`, async () => {
    using gpu = await openTestGpu();
    const run = () => trainPhantomNet(gpu, { net, seed: 3, steps: 3, nScenes: 4, batch: 4 });
    const [first, second] = [await run(), await run()];
    assert.deepEqual(first.losses, second.losses);
    assert.ok(first.losses[2] < first.losses[0], `${first.losses}`);
    for (const [name, { bytes }] of first.tensors) {
      assert.deepEqual(bytes, second.tensors.get(name)!.bytes, name);
    }
    {
      using model = await loadModel(gpu, first.tensors, first.config);
      assert.equal(model.family, net);
    }
    assert.equal(gpu.liveBytes, 0);
  });
}

Deno.test("startsFrom() takes up every weight of a written network where it was left", async () => {
  const data = await renderTrainingScenes({ seed: 5, count: 2, size: 64 });
  const vocabulary = phantomTokenizer().vocabSize;
  const starts = clipStarts(vocabulary, data);
  let next = 0;
  const values = new Map(
    [...starts].map(([name, { shape }]) => {
      const n = shape.reduce((a, b) => a * b, 1);
      return [name, Float32Array.from({ length: n }, () => Math.fround((next++ % 2048) / 1024))];
    }),
  ); // up to eleven bits: f16 holds them exactly
  const again = startsFrom(starts, writeClip(values, starts));
  for (const [name, expected] of values) {
    if (name.startsWith("present.")) continue; // thrown away after training, as CLIP has no place for them
    assert.deepEqual(again.get(name)!.values, expected, name);
    assert.deepEqual(again.get(name)!.shape, starts.get(name)!.shape, name);
  }
  const other = dinov2Starts(data);
  assert.throws(() => startsFrom(other, writeClip(values, starts)), {
    name: "InputError",
    message: /"patch.weight" must have 12288 values, got 24576/,
  });
  const whole = writeClip(values, starts);
  const rest = new Map([...whole].filter(([name]) => name !== "visual_projection.weight"));
  assert.throws(() => startsFrom(starts, rest), {
    name: "InputError",
    message: /it has no "projection.weight"/,
  });
});

const wholeView: CameraView = {
  ...{ left: 0, top: 0, side: 1, moveX: 0, moveY: 0, mirrored: false },
};

Deno.test("cameraPixels() moves, fills and mirrors as distillation does", async () => {
  const data = await renderTrainingScenes({ seed: 6, count: 1, size: 64 });
  const plain = normalizedPixels(data, [0]);
  assert.deepEqual(cameraPixels(data, [0], [wholeView]), plain);
  for (const [dy, dx, flip] of [[1, -1, false], [-1, 1, true]] as const) {
    const view = { ...wholeView, moveY: dy / 8, moveX: dx / 8, mirrored: flip };
    const seen = cameraPixels(data, [0], [view]);
    const source = shiftedPatches([8, 8], { dy, dx, flip });
    for (let p = 0; p < 3 * 64 * 64; p++) {
      const [c, y, x] = [Math.floor(p / 4096), Math.floor(p / 64) % 64, p % 64];
      const patch = source[8 * (y >> 3) + (x >> 3)];
      const column = flip ? 7 - (x & 7) : x & 7;
      const from = c * 4096 + (8 * (patch >> 3) + (y & 7)) * 64 + 8 * (patch & 7) + column;
      const expected = patch < 0 ? Math.fround((1 - clipMean[c]) / clipStd[c]) : plain[from];
      assert.equal(seen[p], expected, `pixel ${p}`);
    }
  }
});

Deno.test("sceneInView() names what the camera sees, where it sees it", async () => {
  const { scenes: [scene] } = await renderTrainingScenes({ seed: 6, count: 1, size: 64 });
  const objects = [[0.25, 0.5], [0.9, 0.5]].map(([x, y]) => (
    { ...scene.objects[0], x, y, size: 0.1 }
  ));
  const left = { ...wholeView, side: 0.5, top: 0.25 };
  const near = sceneInView({ ...scene, objects }, { ...left, moveX: 1 / 8, mirrored: true });
  assert.deepEqual(near.objects.map(({ x, y, size }) => [x, y, size]), [[0.625, 0.5, 0.2]]);
  const seenAlone = (share: number) => {
    const view = { ...left, left: 0.8 + share * 0.2 - 0.5 }; // its right edge crosses the second object
    return sceneInView({ ...scene, objects: objects.slice(1) }, view).objects.length;
  };
  assert.deepEqual([0.2, 0.5, 1].map(seenAlone), [0, 1, 1]);
});

Deno.test("trainPhantomNet() refuses steps that are no whole number", async () => {
  using gpu = await openTestGpu();
  await assert.rejects(trainPhantomNet(gpu, { net: "clip", steps: 0.5 }), {
    name: "InputError",
    message: /steps must be a whole number from 1 to 1000000, got 0.5/,
  });
});
