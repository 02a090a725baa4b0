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
import { renderTrainingScenes } from "../../pipelines/phantom/train_data.ts";
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
    assert.deepEqual(again.get(name)!.values, expected, name);
    assert.deepEqual(again.get(name)!.shape, starts.get(name)!.shape, name);
  }
  const other = dinov2Starts(data);
  assert.throws(() => startsFrom(other, writeClip(values, starts)), {
    name: "InputError",
    message: /it has no "patch.bias"/,
  });
});

Deno.test("trainPhantomNet() refuses steps that are no whole number", async () => {
  using gpu = await openTestGpu();
  await assert.rejects(trainPhantomNet(gpu, { net: "clip", steps: 0.5 }), {
    name: "InputError",
    message: /steps must be a whole number from 1 to 1000000, got 0.5/,
  });
});
