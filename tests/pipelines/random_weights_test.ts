import assert from "node:assert/strict";
import { Gpu } from "../../engine/gpu.ts";
import { normal, randomKey } from "../../engine/random.ts";
import { openArray } from "../../pipelines/io/array_ref.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { hostTensor, toFloat32 } from "../../pipelines/io/state_dict.ts";
import { openSafetensors } from "../../pipelines/io/safetensors_file.ts";
import { loadVit } from "../../pipelines/models/model.ts";
import { randomWeights } from "../../pipelines/models/random_weights.ts";
import { gyrus } from "../console.ts";
import { TestFolder } from "./io_fixtures.ts";

const weights = (name: string) =>
  new URL(`../../pipelines/phantom/weights/${name}.safetensors`, import.meta.url).pathname;

Deno.test("randomWeights() draws matrices and tokens, resets biases and norms, and keeps constants", () => {
  for (const name of ["clip", "dinov2", "radio"]) {
    using file = openSafetensors(weights(name));
    const drawn = randomWeights(file.tensors, randomKey(1));
    assert.deepEqual([...drawn.keys()].sort(), [...file.tensors.keys()].sort());
    for (const [key, tensor] of drawn) {
      const before = toFloat32(file.tensors.get(key)!), after = toFloat32(tensor);
      assert.deepEqual(tensor.shape, file.tensors.get(key)!.shape);
      if (/norm_(mean|std)$|lambda|logit_scale/.test(key)) assert.deepEqual(after, before, key);
      else if (key.endsWith("bias")) assert.ok(after.every((value) => value === 0), key);
      else if (tensor.shape.length === 1 && key.endsWith("weight")) {
        assert.ok(after.every((value) => value === 1), key);
      } else {
        const size = (x: Float32Array) => Math.sqrt(x.reduce((s, v) => s + v * v, 0) / x.length);
        // The mean square of n normal draws has a relative deviation of √(2/n); five of them.
        const share = size(after) / size(before), slack = 5 * Math.sqrt(0.5 / after.length);
        assert.ok(Math.abs(share - 1) < slack, `${key}: ${share}`);
        const dot = before.reduce((s, v, i) => s + v * after[i], 0) / before.length;
        assert.ok(Math.abs(dot) < 5 * size(before) * size(after) / Math.sqrt(before.length), key);
      }
    }
  }
});

Deno.test("randomWeights() keeps the part that is asked for, and follows names, not their order", () => {
  using file = openSafetensors(weights("dinov2"));
  const same = (name: string, part: "nothing" | "patch-embed" | "first-block") =>
    toFloat32(randomWeights(file.tensors, randomKey(1), { trained: part }).get(name)!)
      .every((value, i) => value === toFloat32(file.tensors.get(name)!)[i]);
  const patch = "embeddings.patch_embeddings.projection.weight";
  const [first, second] = [0, 1].map((i) => `encoder.layer.${i}.mlp.fc1.weight`);
  assert.deepEqual([patch, first, second].map((name) => same(name, "nothing")), [
    false,
    false,
    false,
  ]);
  assert.deepEqual([patch, first, second].map((name) => same(name, "patch-embed")), [
    true,
    false,
    false,
  ]);
  assert.deepEqual([patch, first, second].map((name) => same(name, "first-block")), [
    true,
    true,
    false,
  ]);
  const reversed = new Map([...file.tensors].reverse());
  const [a, b] = [file.tensors, reversed].map((state) => randomWeights(state, randomKey(7)));
  for (const [name, { bytes }] of a) assert.deepEqual(b.get(name)!.bytes, bytes);
});

Deno.test("a network with random weights runs, and gyrus features writes what it sees", async () => {
  using gpu = await Gpu.open();
  {
    using file = openSafetensors(weights("radio"));
    using model = await loadVit(gpu, randomWeights(file.tensors, randomKey(2)));
    assert.equal(model.family, "radio");
  }
  assert.equal(gpu.liveBytes, 0);
  using folder = new TestFolder();
  const draws = normal(randomKey(5), 2 * 3 * 64 * 64);
  const pixels = folder.write("x.npy", writeNpy(hostTensor(draws, [2, 3, 64, 64])));
  const cls: Float32Array[] = [];
  for (
    const more of [[], ["--random-weights", "nothing"], [
      "--random-weights",
      "nothing",
      "--seed",
      "1",
    ]]
  ) {
    const out = folder.at(`f${cls.length}.h5`);
    const args = ["features", "--model", weights("dinov2"), "--pixels", pixels, "--save", "cls"];
    const { code, text } = await gyrus(...args, ...more, "--out", out);
    assert.equal(code, 0, text);
    using rows = await openArray(`${out}:/cls`);
    cls.push(rows.readRows(0, 2));
  }
  assert.notDeepEqual(cls[1], cls[0]);
  assert.notDeepEqual(cls[2], cls[1]);
  assert.ok(cls[1].every(Number.isFinite));
});
