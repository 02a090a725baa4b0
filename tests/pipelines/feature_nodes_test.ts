import assert from "node:assert/strict";
import { Hdf5Writer } from "../../pipelines/io/hdf5_writer.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { hostTensor } from "../../pipelines/io/state_dict.ts";
import { FeatureNodes, type FeatureNodesOptions } from "../../pipelines/spectral/feature_nodes.ts";
import { rbfOfNodes, sourceVariance } from "../../pipelines/spectral/source_variance.ts";
import { assertInputError, TestFolder } from "./io_fixtures.ts";

/** An array whose value says its place: `100·image + token + channel/10`. */
function array(shape: readonly number[]): Float32Array<ArrayBuffer> {
  const width = shape.at(-1)!, tokens = shape.slice(1, -1).reduce((a, b) => a * b, 1);
  return Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => {
    const row = Math.floor(i / width);
    return 100 * Math.floor(row / tokens) + row % tokens + i % width / 10;
  });
}

function write(folder: TestFolder, name: string, shape: readonly number[], data = array(shape)) {
  return folder.write(name, writeNpy(hostTensor(data, shape)));
}

async function assertRefused(
  references: readonly string[],
  message: RegExp,
  options: FeatureNodesOptions = {},
): Promise<void> {
  const error = await FeatureNodes.open(references, options).then(
    (nodes) => nodes[Symbol.dispose](),
    (cause) => cause,
  );
  assertInputError(() => {
    throw error;
  }, message);
}

Deno.test("FeatureNodes joins tokens, maps and plain rows, and leaves prefix tokens out", async () => {
  using folder = new TestFolder();
  using nodes = await FeatureNodes.open([
    write(folder, "tokens.npy", [2, 5, 2]), // a class token and 2x2 patches
    write(folder, "map.npy", [3, 2, 3, 2]),
    write(folder, "rows.npy", [4, 2]),
  ]);
  assert.deepEqual(nodes.shape, [8 + 18 + 4, 2]);
  assert.deepEqual(
    nodes.parts.map(({ firstNode, prefixTokens, grid }) => [firstNode, prefixTokens, grid]),
    [
      [0, 1, [2, 2]],
      [8, 0, [2, 3]],
      [26, 0, undefined],
    ],
  );
  const first = (start: number, end: number) =>
    Array.from(nodes.readRows(start, end).filter((_, i) => i % 2 === 0));
  const all = [
    ...[0, 1].flatMap((image) => [1, 2, 3, 4].map((token) => 100 * image + token)),
    ...[0, 1, 2].flatMap((image) => [0, 1, 2, 3, 4, 5].map((token) => 100 * image + token)),
    ...[0, 100, 200, 300],
  ];
  assert.deepEqual(first(0, 30), all);
  for (let start = 0; start < 30; start++) { // every window, over every border
    for (let end = start; end <= 30; end++) {
      assert.deepEqual(first(start, end), all.slice(start, end), `${start} to ${end}`);
    }
  }
  assert.deepEqual(nodes.placeOf(7), { part: 0, image: 1, patch: 3 });
  assert.deepEqual(nodes.placeOf(8), { part: 1, image: 0, patch: 0 });
  assert.deepEqual(nodes.placeOf(29), { part: 2, image: 3, patch: 0 });
  assert.throws(() => nodes.placeOf(30), RangeError);
});

Deno.test("FeatureNodes takes the grid and the prefix it is told", async () => {
  using folder = new TestFolder();
  const path = write(folder, "tokens.npy", [2, 8, 3]);
  using nodes = await FeatureNodes.open([path], { grid: [2, 3], prefixTokens: 2 });
  assert.deepEqual(nodes.parts[0].grid, [2, 3]);
  assert.equal(nodes.readRows(6, 7)[0], 102);
  await assertRefused([path], /8 tokens without the first 0 or 1 or 5 must be a square grid/);
  await assertRefused([path], /must be a grid of 2x2/, { grid: [2, 2], prefixTokens: 1 });
});

Deno.test("FeatureNodes believes what gyrus features writes of its tokens, where it fits", async () => {
  using folder = new TestFolder();
  const path = folder.at("f.h5");
  {
    using file = await Hdf5Writer.create(path);
    for (const [name, shape] of [["a", [2, 9, 3]], ["b", [2, 10, 3]]] as const) {
      file.createDataset(`/${name}`, { shape, dtype: "f32" });
      file.writeRows(`/${name}`, 0, array(shape));
    }
    file.setAttribute("/", "prefix_tokens", 3);
    file.setAttribute("/", "grid", [2, 3]);
    file.commit();
  }
  using nodes = await FeatureNodes.open([`${path}:/a`, `${path}:/b`]);
  assert.deepEqual(nodes.parts.map(({ grid, prefixTokens }) => [grid, prefixTokens]), [
    [[2, 3], 3], // not a square of 3x3
    [[3, 3], 1], // ten tokens are not what the file tells of
  ]);
  assert.equal(nodes.readRows(6, 7)[0], 103);
});

Deno.test("FeatureNodes refuses channel-first features, unless told that they are not", async () => {
  using folder = new TestFolder();
  for (const shape of [[2, 16, 4, 4], [2, 40, 3, 4], [16, 4, 4]]) {
    await assertRefused([write(folder, "x.npy", shape)], /channels must be the last axis/);
  }
  using nodes = await FeatureNodes.open([write(folder, "x.npy", [16, 4, 4])], {
    isChannelLast: true,
  });
  assert.deepEqual(nodes.shape, [64, 4]);
});

Deno.test("FeatureNodes refuses other widths, other axes and values that are not finite", async () => {
  using folder = new TestFolder();
  const a = write(folder, "a.npy", [4, 2]), b = write(folder, "b.npy", [4, 3]);
  await assertRefused([a, b], /features must be as wide, they have 2 and 3 channels/);
  await assertRefused([write(folder, "c.npy", [4])], /its shape is \[4\]/);
  await assertRefused([write(folder, "d.npy", [0, 4])], /none of them 0/);
  await assertRefused([], /without nodes/);
  const bad = array([6, 2]);
  bad[7] = NaN;
  using nodes = await FeatureNodes.open([write(folder, "e.npy", [6, 2], bad)]);
  nodes.readRows(0, 3);
  assertInputError(() => nodes.readRows(2, 5), /row 3, column 1 .* is NaN/);
});

Deno.test("sourceVariance() is the unbiased variance of the features, far from zero too", () => {
  const [n, width] = [37, 3];
  const data = Float32Array.from(
    { length: n * width },
    (_, i) => 1000 * (i % width) + (i * 7919) % 13,
  );
  const rows = (start: number, end: number) => data.slice(start * width, end * width);
  const found = sourceVariance({ shape: [n, width], readRows: rows }, { chunkSize: 5 });
  const column = (j: number) => Array.from({ length: n }, (_, i) => data[i * width + j]);
  let total = 0;
  for (let j = 0; j < width; j++) {
    const mean = column(j).reduce((a, b) => a + b) / n;
    const variance = column(j).reduce((sum, v) => sum + (v - mean) ** 2, 0) / (n - 1);
    assert.ok(Math.abs(found[j] - variance) < 1e-9 * variance); // float64, cancelled by values of 13
    total += variance;
  }
  const affinity = rbfOfNodes({ shape: [n, width], readRows: rows }, 0.3);
  assert.ok(affinity.kind === "rbf" && Math.abs(affinity.sigma ** 2 - 0.3 * total) < 1e-9 * total);
});
