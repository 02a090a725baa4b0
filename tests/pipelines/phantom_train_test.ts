/**
 * The training of the phantom's networks.
 *
 * @module
 */
import assert from "node:assert/strict";
import { loadModel } from "../../pipelines/models/model.ts";
import { phantomNets, trainPhantomNet } from "../../pipelines/phantom/train.ts";
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

Deno.test("trainPhantomNet() refuses steps that are no whole number", async () => {
  using gpu = await openTestGpu();
  await assert.rejects(trainPhantomNet(gpu, { net: "clip", steps: 0.5 }), {
    name: "InputError",
    message: /steps must be a whole number from 1 to 1000000, got 0.5/,
  });
});
