/**
 * The training of the phantom's networks.
 *
 * @module
 */
import assert from "node:assert/strict";
import { loadVit } from "../../pipelines/models/model.ts";
import { phantomNets, type TrainOptions, trainPhantomNet } from "../../pipelines/phantom/train.ts";
import { phantomTokenizer } from "../../pipelines/phantom/train_clip.ts";
import { clipStarts, writeClip } from "../../pipelines/phantom/train_clip_net.ts";
import { dinov2Starts } from "../../pipelines/phantom/train_dinov2_net.ts";
import { positionWindows } from "../../pipelines/phantom/train_radio.ts";
import { radioStarts, writeRadio } from "../../pipelines/phantom/train_radio_net.ts";
import type { Start } from "../../pipelines/phantom/train_weights.ts";
import { resizePosEmbed } from "../../pipelines/models/pos_embed.ts";
import { clipMean, clipStd, imagenetMean, imagenetStd } from "../../pipelines/images/preprocess.ts";
import { toFloat32 } from "../../pipelines/io/state_dict.ts";
import { loadVgg } from "../../pipelines/models/vgg.ts";
import { Draws } from "../../pipelines/phantom/draws.ts";
import {
  CNN_TARGETS,
  cnnTargets,
  cnnViews,
  renderLabelledScenes,
} from "../../pipelines/phantom/train_cnn_views.ts";
import { shiftedPatches } from "../../pipelines/dense/offsets.ts";
import {
  cameraPixels,
  type CameraView,
  sceneInView,
} from "../../pipelines/phantom/train_camera.ts";
import { normalizedPixels, renderTrainingScenes } from "../../pipelines/phantom/train_data.ts";
import { startsFrom } from "../../pipelines/phantom/train_resume.ts";
import { openMethodGpu } from "../_gpu.ts";

for (const net of phantomNets) {
  Deno.test(`trainPhantomNet("${net}") gives the same bits twice and lowers its loss`, async () => {
    using gpu = await openMethodGpu();
    const run = () => trainPhantomNet(gpu, { net, seed: 3, steps: 3, nScenes: 4, batch: 4 });
    const [first, second] = [await run(), await run()];
    assert.deepEqual(first.losses, second.losses);
    assert.ok(first.losses[2] < first.losses[0], `${first.losses}`);
    for (const [name, { bytes }] of first.tensors) {
      assert.deepEqual(bytes, second.tensors.get(name)!.bytes, name);
    }
    {
      using model = await loadVit(gpu, first.tensors, first.config);
      assert.equal(model.family, net);
    }
    assert.equal(gpu.liveBytes, 0);
  });
}

Deno.test('trainPhantomNet("cnn") gives the same bits twice and goes on from itself', async () => {
  using gpu = await openMethodGpu();
  const run = (options: Partial<TrainOptions>) =>
    trainPhantomNet(gpu, { net: "cnn", seed: 3, steps: 2, nScenes: 2, batch: 2, ...options });
  const [first, second] = [await run({}), await run({})];
  assert.deepEqual(first.losses, second.losses);
  for (const [name, { bytes }] of first.tensors) {
    assert.deepEqual(bytes, second.tensors.get(name)!.bytes, name);
  }
  {
    using model = await loadVgg(gpu, first.tensors, first.config);
    assert.deepEqual(model.tapNames.slice(0, 3), ["features.2", "features.3", "features.6"]);
  }
  const later = await run({ from: first.tensors, steps: 1, seed: 4 });
  const [before, after] = [first, later].map(({ tensors }) =>
    toFloat32(tensors.get("classifier.0.weight")!)
  );
  // Adam's first step moves a weight by its size, 3e-3 / 20; f16 rounds weights below 0.25 to 1.3e-4; fresh ones have a spread of 0.04
  assert.ok(before.every((v, i) => Math.abs(v - after[i]) < 5e-4));
  const part = new Map([...first.tensors].filter(([name]) => name !== "classifier.0.bias"));
  await assert.rejects(run({ from: part }), {
    name: "InputError",
    message: /"classifier.0.bias" must be \[64\], is missing/,
  });
  assert.equal(gpu.liveBytes, 0);
});

Deno.test("cnnViews() tells what was drawn over scenes, and where", async () => {
  const data = await renderLabelledScenes({ seed: 5, count: 3, size: 64 });
  const indices = Array.from({ length: 24 }, (_, i) => i % 3);
  const { pixels, targets } = cnnViews(data, indices, new Draws(9));
  assert.deepEqual(cnnViews(data, indices, new Draws(9)).targets, targets);
  const start = cnnTargets.present + cnnTargets.shares;
  let gratings = 0;
  indices.forEach((_, i) => {
    const row = targets.subarray(i * CNN_TARGETS, (i + 1) * CNN_TARGETS);
    const amounts = row.subarray(start, start + cnnTargets.gratings);
    if (amounts.some((v) => v > 0)) gratings++;
    const shares = row.subarray(cnnTargets.present, start);
    for (let quarter = 0; quarter < 4; quarter++) {
      const total = [0, 1, 2, 3, 4, 5].reduce((sum, k) => sum + shares[4 * k + quarter], 0);
      assert.ok(total <= 1 + 1e-6); // a pixel has one category at most
    }
    const first = start + cnnTargets.gratings; // red of the top left sixteenth
    let red = 0;
    for (let p = 0; p < 16 * 64; p++) {
      if (p % 64 < 16) red += pixels[i * 3 * 4096 + p] * imagenetStd[0] + imagenetMean[0];
    }
    assert.ok(Math.abs(row[first] - red / 256) < 1e-5);
  });
  assert.ok(gratings >= 5 && gratings <= 19, `${gratings}`); // half of 24, three standard deviations
});

/** Values for every tensor, of up to eleven bits: f16 holds them exactly. */
function countingValues(starts: ReadonlyMap<string, Start>) {
  let next = 0;
  return new Map(
    [...starts].map(([name, { shape }]) => {
      const n = shape.reduce((a, b) => a * b, 1);
      return [name, Float32Array.from({ length: n }, () => Math.fround((next++ % 2048) / 1024))];
    }),
  );
}

Deno.test("startsFrom() takes up every weight of a written network where it was left", async () => {
  const data = await renderTrainingScenes({ seed: 5, count: 2, size: 64 });
  const vocabulary = phantomTokenizer().vocabSize;
  const starts = clipStarts(vocabulary, data);
  const values = countingValues(starts);
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

Deno.test("startsFrom() takes up a RADIO with its adaptor, but for the head of its patches", async () => {
  const data = await renderTrainingScenes({ seed: 5, count: 2, size: 64 });
  const starts = radioStarts(data);
  const values = countingValues(starts);
  const again = startsFrom(starts, writeRadio(values, starts));
  assert.deepEqual([...again.keys()], [...starts.keys()]);
  for (const [name, expected] of values) {
    if (name.startsWith("feat_head.")) assert.deepEqual(again.get(name), starts.get(name), name);
    else assert.deepEqual(again.get(name)!.values, expected, name);
  }
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

Deno.test("positionWindows() reads a table as the model resizes it, and a part of it for a closer view", () => {
  const table = Float32Array.from({ length: 256 }, (_, i) => Math.sin(i * i));
  const resized = (side: number) =>
    resizePosEmbed(table, {
      ...{ prefix: 0, from: [16, 16], to: [side, side], width: 1, convention: "radio" },
    });
  const closer = { ...wholeView, side: 0.5, left: 0.25, top: 0.5 };
  const windows = positionWindows([wholeView, closer]);
  const read = Float64Array.from({ length: 128 }, (_, row) => {
    let sum = 0;
    for (let k = 0; k < 256; k++) sum += windows[row * 256 + k] * table[k];
    return sum;
  });
  const eight = resized(8), sixteen = resized(16);
  for (let p = 0; p < 64; p++) {
    const [y, x] = [Math.floor(p / 8), p % 8];
    // Halves and quarters are exact; what is left is one rounding to f32 of values below 1.
    assert.ok(Math.abs(read[p] - eight[p]) < 1e-7, `patch ${p} of the whole`);
    assert.equal(read[64 + p], sixteen[16 * (y + 8) + x + 4], `patch ${p} of the part`);
  }
});

Deno.test("trainPhantomNet() refuses steps that are no whole number", async () => {
  using gpu = await openMethodGpu();
  await assert.rejects(trainPhantomNet(gpu, { net: "clip", steps: 0.5 }), {
    name: "InputError",
    message: /steps must be a whole number from 1 to 1000000, got 0.5/,
  });
});
