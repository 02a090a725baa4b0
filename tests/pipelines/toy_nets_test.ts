import assert from "node:assert/strict";
import { randomKey } from "../../engine/random.ts";
import {
  makeToyNets,
  TOY_LATENTS,
  TOY_ROIS,
  type ToyNets,
} from "../../pipelines/aligned_cut/toy_nets.ts";
import { InputError } from "../../pipelines/errors.ts";

const options = { key: randomKey(3), nImages: 48, nLayers: 4, categoryLayer: 2 };

/** Mean squared length of the difference of two categories' mean tokens, over the noise of a mean. */
function separation(nets: ToyNets, layer: number): number {
  const tokens = nets.tokens(0, layer);
  const { width } = nets.models[0];
  const sums = [1, 2].map(() => new Float64Array(width));
  const counts = [0, 0];
  nets.scenes.category.forEach((category, at) => {
    if (category !== 1 && category !== 2) return;
    const [image, patch] = [Math.floor(at / 64), at % 64];
    counts[category - 1]++;
    for (let d = 0; d < width; d++) {
      sums[category - 1][d] += tokens[(image * 65 + 1 + patch) * width + d];
    }
  });
  const difference = sums[0].map((s, d) => s / counts[0] - sums[1][d] / counts[1]);
  return difference.reduce((sum, x) => sum + x * x, 0) / width;
}

Deno.test("makeToyNets() is the same for the same key and another for another", () => {
  const [a, b] = [makeToyNets(options), makeToyNets(options)];
  assert.deepEqual(a.responses.data, b.responses.data);
  assert.deepEqual(a.tokens(2, 3), b.tokens(2, 3));
  const c = makeToyNets({ ...options, key: randomKey(4) });
  assert.notDeepEqual(a.tokens(2, 3), c.tokens(2, 3));
  assert.notDeepEqual(a.scenes.category, c.scenes.category);
});

Deno.test("makeToyNets() hides categories before their layer, and figures nowhere", () => {
  const nets = makeToyNets(options);
  // Means of some hundred patches with noise of 1: differences of squared length 0.01 are chance, the latents' own are above 1.
  assert(separation(nets, 1) < 0.15, `${separation(nets, 1)}`);
  assert(separation(nets, 2) > 1, `${separation(nets, 2)}`);
  for (const layer of [0, 3]) {
    const { data, shape: [, width] } = nets.mixing(1, layer);
    const isEmpty = TOY_LATENTS.map((_, k) =>
      data.subarray(k * width, (k + 1) * width).every((x) => x === 0)
    );
    assert.deepEqual(isEmpty, TOY_LATENTS.map((_, k) => layer === 0 && k >= 2));
  }
});

Deno.test("makeToyNets() tunes each region to its latent, and the class token is the mean of the patches", () => {
  const nets = makeToyNets({ ...options, noise: 0, voxelNoise: 0 });
  const { data, shape: [, nVoxels] } = nets.tuning;
  nets.roi.forEach((r, v) => {
    const weights = TOY_LATENTS.map((_, k) => data[k * nVoxels + v]);
    assert.equal(TOY_LATENTS[weights.indexOf(Math.max(...weights))], TOY_ROIS[r].latent);
  });
  const { width } = nets.models[1];
  const image = nets.tokens(1, 3).subarray(0, 65 * width);
  for (const d of [0, 7]) {
    let mean = 0;
    for (let p = 1; p < 65; p++) mean += image[p * width + d] / 64;
    assert(Math.abs(mean - image[d]) < 1e-5);
  }
  for (let v = 0; v < nVoxels; v++) {
    const column = nets.responses.data.filter((_, at) => at % nVoxels === v);
    const mean = column.reduce((a, b) => a + b) / column.length;
    assert(
      Math.abs(mean) < 1e-5 && Math.abs(column.reduce((s, y) => s + y * y, 0) / 48 - 1) < 1e-4,
    );
  }
});

Deno.test("makeToyNets() shows figures of every category in masks of the same patches", () => {
  const { scenes } = makeToyNets(options);
  const { category, figure, masks, latents, nImages } = scenes;
  assert.deepEqual([...new Set(category)].sort(), [0, 1, 2, 3, 4]);
  for (let at = 0; at < category.length; at++) {
    assert.equal(figure[at], Number(category[at] > 0));
    const row = latents.subarray(at * 6, at * 6 + 6);
    assert.deepEqual([...row].map((z) => Number(z > 0)), [
      figure[at],
      1 - figure[at],
      ...[1, 2, 3, 4].map((c) => Number(category[at] === c)),
    ]);
  }
  for (const [image, y, x] of [[0, 0, 0], [5, 13, 22], [nImages - 1, 31, 31]]) {
    const patch = Math.floor(y / 4) * 8 + Math.floor(x / 4);
    assert.equal(masks[(image * 32 + y) * 32 + x], category[image * 64 + patch]);
  }
});

Deno.test("makeToyNets() refuses numbers out of range and layers that are not there", () => {
  assert.throws(() => makeToyNets({ nImages: 1 }), InputError);
  assert.throws(() => makeToyNets({ nLayers: 0 }), /nLayers is out of range, got 0/);
  assert.throws(() => makeToyNets({ models: [{ name: "a", width: 4 }] }), InputError);
  assert.throws(() => makeToyNets(options).tokens(3, 0), /layer 0 of network 3/);
});
