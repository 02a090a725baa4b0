/** The order of queries, keys and values, told by the sizes of a trained network's rows. */
import assert from "node:assert/strict";
import { normal, randomKey } from "../../engine/random.ts";
import { attentionOrder } from "../../pipelines/models/attention_order.ts";

/** A layer whose rows of one kind are alike in size: values twice as large, keys a little smaller. */
function layer(channels: number, nHeads: number, isNew: boolean, seed: number, contrast = 1) {
  const sizes = [1, 1 - 0.1 * contrast, 1 + contrast], headDim = channels / nHeads;
  const weight = normal(randomKey(seed), 3 * channels ** 2).map((v, i) => {
    const row = Math.floor(i / channels);
    const kind = isNew ? Math.floor(row / channels) : Math.floor(row / headDim) % 3;
    return v * sizes[kind];
  });
  return { weight, channels, nHeads };
}

Deno.test("attentionOrder() tells either order with few heads and many, and nothing of untrained weights", () => {
  for (const nHeads of [2, 4, 8]) {
    for (const isNew of [true, false]) {
      const layers = [layer(64, nHeads, isNew, 1), layer(64, nHeads, isNew, 2)];
      assert.equal(attentionOrder(layers), isNew, `${nHeads} heads`);
    }
    assert.equal(attentionOrder([layer(64, nHeads, true, 3, 0)]), undefined);
  }
  assert.equal(attentionOrder([layer(64, 1, true, 1)]), undefined); // one head: both are the same
  assert.equal(attentionOrder([]), undefined);
});
