import assert from "node:assert/strict";
import { normal, randomBits, randomKey, uniform } from "../../mod.ts";
import {
  conceptProfiles,
  contrastConcepts,
  layerProfiles,
  regionsOf,
} from "../../pipelines/aligned_cut/concepts.ts";
import { joinGraph } from "../../pipelines/aligned_cut/joint_graph.ts";
import { pathOf, trajectories, trajectoryNull } from "../../pipelines/aligned_cut/trajectories.ts";
import {
  layerTransitions,
  softMemberships,
  softTransitions,
  transitionNull,
  transitions,
} from "../../pipelines/aligned_cut/transitions.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const key = randomKey(101);
const refusal = (message: RegExp) => ({ name: "InputError", message });
const near = (got: ArrayLike<number>, want: ArrayLike<number>, tolerance: number) => {
  assert.equal(got.length, want.length);
  for (let i = 0; i < want.length; i++) {
    const isSame = Object.is(got[i], want[i]) || Math.abs(got[i] - want[i]) <= tolerance;
    assert(isSame, `${i}: ${got[i]}, not ${want[i]}`);
  }
};

const [n, width, nVoxels, nClusters] = [60, 5, 7, 3];
const features = hostMatrix(normal(randomKey(102), n * width), [n, width]);
const beta = hostMatrix(normal(randomKey(103), width * nVoxels), [width, nVoxels]);
const labels = Uint32Array.from(randomBits(randomKey(104), n), (bits) => bits % nClusters);
const regions = regionsOf([0, 0, 1, -1, 1, 1, 0], ["V1", "FFA"]);

Deno.test("regionsOf() lists the voxels of each label", () => {
  assert.deepEqual(regions, [{ name: "V1", voxels: [0, 1, 6] }, {
    name: "FFA",
    voxels: [2, 4, 5],
  }]);
});

Deno.test("conceptProfiles() are means of the responses of their nodes, z-scored over all", async () => {
  const got = await conceptProfiles(features, labels, { nClusters, beta, regions });
  // Node by node: the response of every node, then means of responses.
  const response = Array.from({ length: n }, (_, i) =>
    Array.from({ length: nVoxels }, (_, v) => {
      let sum = 0;
      for (let c = 0; c < width; c++) {
        sum += features.data[i * width + c] * beta.data[c * nVoxels + v];
      }
      return sum;
    }));
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  for (let k = 0; k < nClusters; k++) {
    const own = response.filter((_, i) => labels[i] === k);
    assert.equal(got.counts[k], own.length);
    const z = Array.from({ length: nVoxels }, (_, v) => {
      const all = response.map((row) => row[v]), centre = mean(all);
      const std = Math.sqrt(mean(all.map((value) => (value - centre) ** 2)));
      const map = mean(own.map((row) => row[v]));
      assert(Math.abs(got.maps[k * nVoxels + v] - map) < 1e-12);
      assert(Math.abs(got.std[v] - std) < 1e-12);
      return (map - centre) / std;
    });
    near(got.display.subarray(k * nVoxels, (k + 1) * nVoxels), z, 1e-11);
    const profile = regions.map(({ voxels }) => mean(Array.from(voxels, (v) => z[v])));
    near(got.profiles.subarray(2 * k, 2 * k + 2), profile, 1e-11);
  }
  const device = await conceptProfiles(features, labels, { nClusters, beta, regions, gpu });
  near(device.profiles, got.profiles, 1e-5); // second moments in f32
  const contrast = contrastConcepts(got, { plus: [0, 2], minus: [1], regions });
  const group = (ks: number[]) =>
    mean(response.filter((_, i) => ks.includes(labels[i])).map((row) => row[4]));
  assert(Math.abs(contrast.map[4] - (group([0, 2]) - group([1]))) < 1e-12);
  const voxel = contrast.display[2] + contrast.display[4] + contrast.display[5];
  assert(Math.abs(contrast.profile[1] - voxel / 3) < 1e-12);
  assert.throws(
    () => contrastConcepts(got, { plus: [], minus: [1], regions }),
    refusal(/needs nodes/),
  );
});

Deno.test("layerProfiles() describes each layer by its own nodes, empty concepts by NaN", async () => {
  const part = (layer: number, from: number) => ({
    ...{ model: "clip", layer, grid: [5, 6] as const },
    features: hostMatrix(features.data.slice(from * width, (from + 30) * width), [30, width]),
  });
  const graph = joinGraph([part(0, 0), part(1, 30)]);
  const only = labels.map((label, i) => i < 30 && label === 2 ? 0 : label);
  const layers = await layerProfiles(graph, only, { nClusters, beta, regions });
  const alone = await conceptProfiles(part(1, 30).features, only.slice(30), {
    nClusters,
    beta,
    regions,
  });
  assert.deepEqual(layers[1].concepts, alone);
  assert.equal(layers[0].concepts.counts[2], 0);
  assert(layers[0].concepts.profiles.subarray(4, 6).every(Number.isNaN));
  const bad = { nClusters: 2, beta, regions };
  await assert.rejects(conceptProfiles(features, labels, bad), refusal(/there are 2/));
  await assert.rejects(conceptProfiles(beta, labels, bad), refusal(/60 labels and a head \[5,7\]/));
});

Deno.test("transitions() are counted, normalised and summarised", () => {
  const from = [0, 0, 0, 0, 1, 1, 2], to = [0, 0, 1, 1, 1, 1, 0];
  const got = transitions(from, to, { nConcepts: 4, minCount: 2 });
  assert.deepEqual([...got.counts], [2, 2, 0, 0, 0, 2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
  near(got.probabilities.subarray(0, 8), [0.5, 0.5, 0, 0, 0, 1, 0, 0], 0);
  assert(got.probabilities.subarray(8).every(Number.isNaN), "rows of one patch and of none");
  near(got.rowEntropy, [0.5, 0, NaN, NaN], 1e-15); // log 2 of log 4
  assert.equal(got.stationarity, 4 / 7);
  const term = (both: number, a: number, b: number) => both / 7 * Math.log(both * 7 / a / b);
  near(
    [got.mutualInformation],
    [term(2, 4, 3) + term(2, 4, 4) + term(2, 2, 4) + term(1, 1, 3)],
    1e-15,
  );
  assert.throws(() => transitions(from, [0], { nConcepts: 4 }), refusal(/the same/));
  assert.throws(() => transitions(from, to, { nConcepts: 2 }), refusal(/patch 6 goes from 2/));
});

Deno.test("layerTransitions() go from each layer of a model to its next", () => {
  const features = hostMatrix(new Float32Array(4), [2, 2]);
  const part = (model: string, layer: number) => ({
    model,
    layer,
    grid: [1, 2] as const,
    features,
  });
  const graph = joinGraph([part("a", 9), part("b", 0), part("a", 2), part("a", 5)]);
  const steps = layerTransitions(graph, [2, 2, 0, 0, 0, 1, 1, 1], { model: "a", nConcepts: 3 });
  assert.deepEqual(steps.map(({ from, to }) => [from.layer, to.layer]), [[2, 5], [5, 9]]);
  assert.deepEqual([...steps[0].transitions.counts], [0, 1, 0, 0, 1, 0, 0, 0, 0]);
  assert.deepEqual([...steps[1].transitions.counts], [0, 0, 0, 0, 0, 2, 0, 0, 0]);
  const one = { model: "b", nConcepts: 3 };
  assert.throws(() => layerTransitions(graph, new Uint8Array(8), one), refusal(/1 layers of it/));
});

Deno.test("softTransitions() of certain memberships are the counts", () => {
  const from = [0, 1, 2, 2], to = [1, 1, 0, 2];
  const hot = (list: number[]) => {
    const values = new Float32Array(12);
    list.forEach((k, i) => values[3 * i + k] = 1);
    return hostMatrix(values, [4, 3]);
  };
  assert.deepEqual(softTransitions(hot(from), hot(to)), transitions(from, to, { nConcepts: 3 }));
  const soft = softMemberships(hot(from), { temperature: 0.01 });
  near(soft.data, hot(from).data, 1e-6);
  const even = softMemberships(hostMatrix([2, 2, 0, 0], [2, 2]));
  assert.deepEqual([...even.data], [0.5, 0.5, 0.5, 0.5]);
  const mixed = softTransitions(even, even);
  near(mixed.probabilities, [0.5, 0.5, 0.5, 0.5], 1e-12);
  near([mixed.mutualInformation, ...mixed.rowEntropy], [0, 1, 1], 1e-12);
});

Deno.test("transitionNull() finds patches that keep their concept, and only those", () => {
  const concept = Array.from(randomBits(randomKey(105), 120), (bits) => bits % 3);
  const kept = concept.map((k, i) => i % 3 === 0 ? (k + 1) % 3 : k);
  const options = { nConcepts: 3, key, nPermutations: 99 };
  const found = transitionNull(concept, kept, options);
  assert.deepEqual([found.pInformation, found.pStationarity], [0.01, 0.01]);
  for (let k = 0; k < 3; k++) assert(found.logOdds[4 * k] > 1, `${found.logOdds}`);
  const rows = concept.filter((k) => k === 1).length, columns = kept.filter((k) => k === 2).length;
  assert(Math.abs(found.expected[5] - rows * columns / 120) < 2, "chance is the product of shares");
  // Labels that have nothing to do with each other: p-values are even.
  const p = Array.from({ length: 40 }, (_, i) => {
    const other = Array.from(randomBits(randomKey(200 + i), 120), (bits) => bits % 3);
    return transitionNull(concept, other, { nConcepts: 3, key: randomKey(i), nPermutations: 39 })
      .pInformation;
  });
  const mean = p.reduce((a, b) => a + b, 0) / 40;
  assert(Math.abs(mean - 0.5) < 4 * Math.sqrt(1 / 12 / 40), `${mean}`); // four standard errors
});

Deno.test("trajectories() follow patches, and trajectoryNull() tells paths from chance", () => {
  const [nPatches, layers] = [48, [3, 0, 7]];
  const zeros = hostMatrix(new Float32Array(nPatches * 2), [nPatches, 2]);
  const graph = joinGraph([
    ...layers.map((layer) => ({ model: 0, layer, grid: [4, 6] as const, features: zeros })),
    { model: 1, layer: 0, grid: [4, 6] as const, features: zeros },
  ]);
  const home = uniform(randomKey(106), nPatches * 2),
    step = uniform(randomKey(107), graph.shape[0] * 2);
  const drift = hostMatrix(step.map((u, at) => home[at % (2 * nPatches)] + 0.1 * u), [
    graph.shape[0],
    2,
  ]);
  const paths = trajectories(graph, drift, 0);
  assert.deepEqual([paths.layers, paths.nPatches], [[0, 3, 7], nPatches]);
  const { start } = graph.sliceOf(0, 3);
  assert.deepEqual(
    [...pathOf(paths, 5).data.subarray(2, 4)],
    [...drift.data.subarray(2 * (start + 5), 2 * (start + 6))],
  );
  const found = trajectoryNull(paths, { key, nPermutations: 99 });
  near(found.pValues, [0.01, 0.01], 1e-15);
  assert(found.ratio < 0.25, `${found.ratio}`);
  const apart = Array.from({ length: nPatches }, (_, p) => {
    const path = pathOf(paths, p).data;
    return Math.hypot(path[2] - path[0], path[3] - path[1]);
  });
  near([found.steps[0]], [apart.reduce((a, b) => a + b, 0) / nPatches], 1e-12);
  const many = { ...paths, places: new Float32Array(3000 * 6).fill(1), nPatches: 3000 };
  near(trajectoryNull(many, { key, nPermutations: 2 }).pValues, [1, 1], 0);
  const lost = trajectoryNull(trajectories(graph, hostMatrix(step, drift.shape), 0), {
    key,
    nPermutations: 99,
  });
  assert(lost.pValues.every((p) => p > 0.02) && Math.abs(lost.ratio - 1) < 0.1);
  assert.throws(() => trajectories(graph, drift, 1), refusal(/through 1 layers/));
  assert.throws(() => pathOf(paths, 48), refusal(/there are 48/));
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
