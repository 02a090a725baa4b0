/**
 * The analyses on networks about which everything is known: what was planted is found, and only that.
 */
import assert from "node:assert/strict";
import { adjustedRandIndex, exactNcut, kwayNcut, randomKey, Tensor } from "../../mod.ts";
import { conceptProfiles, regionsOf } from "../../pipelines/aligned_cut/concepts.ts";
import {
  compareSlices,
  matchConcepts,
  modelAgreement,
} from "../../pipelines/aligned_cut/consistency.ts";
import { joinGraph, type JointGraph } from "../../pipelines/aligned_cut/joint_graph.ts";
import { conceptAreas, measuredMaps } from "../../pipelines/aligned_cut/measured_maps.ts";
import {
  oracleSegmentation,
  type SegmentationData,
} from "../../pipelines/aligned_cut/oracle_segmentation.ts";
import { heldOutSegmentation } from "../../pipelines/aligned_cut/held_out_segmentation.ts";
import { regionScores, regionTest } from "../../pipelines/aligned_cut/roi_correspondence.ts";
import { makeToyNets, TOY_ROIS } from "../../pipelines/aligned_cut/toy_nets.ts";
import { TOY_CATEGORIES } from "../../pipelines/aligned_cut/toy_scenes.ts";
import { trajectories, trajectoryNull } from "../../pipelines/aligned_cut/trajectories.ts";
import { transitionNull, transitions } from "../../pipelines/aligned_cut/transitions.ts";
import { fitAlignment } from "../../pipelines/encoding/alignment/fit_alignment.ts";
import { tokensInMemory } from "../../pipelines/encoding/alignment/tokens.ts";
import { permutation } from "../../pipelines/encoding/cross_validation.ts";
import { type HostMatrix, hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { spectralTsne } from "../../pipelines/spectral/spectral_tsne.ts";
import { permutedOrders, shiftOrders } from "../../pipelines/stats/spatial_nulls.ts";
import { openMethodGpu } from "../_gpu.ts";
import { alignToyNets } from "./toy_alignment.ts";

const gpu = await openMethodGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const [nTrain, nHeld, patches] = [72, 24, 64];
// The first held-out images of this key show all categories.
const nets = makeToyNets({ key: randomKey(134), nImages: nTrain + nHeld });
const aligned = alignToyNets(nets, nets.responses, nTrain);
const grid = [8, 8] as const, key = randomKey(132);
const concepts = ["ground", ...TOY_CATEGORIES];

/** Patches of some held-out images. */
function part(features: HostMatrix, nImages: number): HostMatrix {
  const start = nTrain * patches * 6;
  return hostMatrix(features.data.slice(start, start + nImages * patches * 6), [
    nImages * patches,
    6,
  ]);
}

/** What the patches of held-out images show. */
const planted = (kind: "figure" | "category", nImages: number) =>
  nets.scenes[kind].slice(nTrain * patches, (nTrain + nImages) * patches);

async function cut(features: HostMatrix, nEig: number): Promise<HostMatrix> {
  using x = Tensor.from(gpu, features.data, features.shape);
  return (await exactNcut(x, { affinity: { kind: "cosine", gamma: 0.3 }, nEig })).eigvec;
}

async function labelsOf(eigvec: HostMatrix, nClusters: number): Promise<Uint32Array> {
  return (await (await kwayNcut(gpu, eigvec, { nClusters })).transform(gpu, eigvec)).labels;
}

const nImages = 6;
const lateParts = nets.models.map(({ name }, m) => ({
  ...{ model: name, layer: 11, grid },
  features: part(aligned.features(m, 11), nImages),
}));
const late: JointGraph = joinGraph(lateParts);
const eigvec = await cut(hostMatrix(late.readRows(0, late.shape[0]), late.shape), 10);
const labels = await labelsOf(eigvec, concepts.length);
const truth = Array.from(labels, (_, i) => planted("category", nImages)[i % (nImages * patches)]);

Deno.test("a joint cut of three aligned networks finds the planted concepts, alike in all", () => {
  assert(adjustedRandIndex(labels, truth) >= 0.9, `${adjustedRandIndex(labels, truth)}`);
  const { slices } = late;
  for (const pair of [[0, 1], [0, 2], [1, 2]]) {
    const { same, other, ari } = compareSlices(late, labels, [slices[pair[0]], slices[pair[1]]]);
    assert(same >= 0.9 && same - other > 0.3 && ari >= 0.9, `${pair}: ${same} ${other} ${ari}`);
  }
});

Deno.test("the trained alignment comes to the same: concepts of a joint cut, and the regions of its head", async () => {
  const name = (m: number) => ({ model: nets.models[m].name, layer: "11" });
  const source = tokensInMemory(
    nets.models.map(({ width }, m) => ({ ...name(m), width, tokens: nets.tokens(m, 11) })),
    8,
  );
  using alignment = await fitAlignment(gpu, source, nets.responses, {
    ...{ key, width: 24, epochs: 1, heldOut: nHeld },
    ...{ eigenNodes: 48, eigenSlices: 1, voxelChunk: 40 },
  });
  const parts = await Promise.all(nets.models.map(async ({ width }, m) => {
    const tokens = nets.tokens(m, 11), kept = new Float32Array(nImages * patches * width);
    for (let i = 0; i < nImages; i++) {
      const start = (nTrain + i) * 65 + 1; // behind the class token
      kept.set(tokens.subarray(start * width, (start + patches) * width), i * patches * width);
    }
    const features = await alignment.apply(hostMatrix(kept, [nImages * patches, width]), name(m));
    return { ...name(m), layer: 11, grid, features };
  }));
  const graph = joinGraph(parts), all = hostMatrix(graph.readRows(0, graph.shape[0]), graph.shape);
  const found = await labelsOf(await cut(all, 10), concepts.length);
  assert(adjustedRandIndex(found, truth) >= 0.9, `${adjustedRandIndex(found, truth)}`);
  for (const { same, ari, models } of modelAgreement(graph, found)) {
    assert(same >= 0.9 && ari >= 0.9, `${models}: ${same} ${ari}`);
  }
  const regions = regionsOf(nets.roi, TOY_ROIS.map(({ name }) => name));
  const options = { nClusters: concepts.length, beta: alignment.head.beta, regions };
  const { display } = await conceptProfiles(graph, found, options);
  const { bestRegion } = regionScores({
    maps: display,
    regionOf: nets.roi,
    nRegions: regions.length,
  });
  concepts.forEach((concept, c) => {
    const best = bestRegion[found[truth.indexOf(c)]];
    assert.equal(TOY_ROIS[best].latent, concept, `${concept} peaks in ${TOY_ROIS[best].name}`);
  });
});

Deno.test("image-shuffled responses leave networks apart", () => {
  const order = permutation(key, nets.nImages), nVoxels = nets.responses.shape[1];
  const shuffled = Float32Array.from(
    nets.responses.data,
    (_, at) => nets.responses.data[order[Math.floor(at / nVoxels)] * nVoxels + at % nVoxels],
  );
  const lost = alignToyNets(nets, hostMatrix(shuffled, nets.responses.shape), nTrain);
  const graph = joinGraph([0, 1].map((m) => ({
    ...{ model: m, layer: 11, grid },
    features: part(lost.features(m, 11), nImages),
  })));
  const { margin } = compareSlices(graph, [...labels].slice(0, graph.shape[0]), [
    graph.slices[0],
    graph.slices[1],
  ]);
  const brain = compareSlices(late, labels, [late.slices[0], late.slices[1]]).margin;
  assert(margin < brain / 2, `${margin} ${brain}`);
});

Deno.test("figure and ground come apart at earlier layers than categories", async () => {
  const layers = [1, 5, 6, 11], count = 8;
  const scores = { figure: [] as number[], category: [] as number[], heldOut: [] as number[] };
  for (const layer of layers) {
    const own = await cut(part(aligned.features(0, layer), count), 10);
    const data = (kind: "figure" | "category"): SegmentationData => ({
      ...{ eigvec: own, grid, labels: planted(kind, count) },
      nClasses: kind === "figure" ? 2 : concepts.length,
    });
    scores.figure.push(oracleSegmentation(data("figure")).best.miou);
    scores.category.push(oracleSegmentation(data("category")).best.miou);
    scores.heldOut.push(heldOutSegmentation(data("category"), { key }).miou);
  }
  const first = (values: number[]) => layers[values.findIndex((miou) => miou >= 0.9)];
  assert.equal(first(scores.figure), 1);
  assert.equal(first(scores.category), nets.categoryLayer, `${scores.category}`);
  const [early, , , deep] = scores.heldOut;
  assert(deep > early + 0.2, `${scores.heldOut}: new images tell the same`);
});

/** Number of the cluster of each planted concept: the one most of its patches are in. */
const clusterOf = concepts.map((_, c) => {
  const counts = concepts.map((_, k) => truth.filter((t, i) => t === c && labels[i] === k).length);
  return counts.indexOf(Math.max(...counts));
});

/** Regions that are tuned to a concept. */
const tuned = (c: number) => TOY_ROIS.flatMap(({ latent }, r) => latent === concepts[c] ? [r] : []);

Deno.test("every concept's map peaks in the regions that were tuned to it, predicted and measured", async () => {
  const regions = regionsOf(nets.roi, TOY_ROIS.map(({ name }) => name));
  const nClusters = concepts.length, nVoxels = nets.roi.length;
  const profiles = await conceptProfiles(late, labels, { nClusters, beta: aligned.beta, regions });
  const heldOut = hostMatrix(nets.responses.data.slice(nTrain * nVoxels), [nHeld, nVoxels]);
  const all = planted("category", nHeld);
  const areas = conceptAreas(all, { start: 0, nImages: nHeld, grid }, nClusters);
  const measured = measuredMaps(areas, heldOut);
  const places = nets.coordinates.data.filter((_, at) => at % 3 < 2);
  for (const orders of [permutedOrders(key, nVoxels), shiftOrders(key, places)]) {
    for (const maps of [profiles.display, measured]) {
      const data = { maps, regionOf: nets.roi, nRegions: TOY_ROIS.length };
      const { observed, pSelectivity } = await regionTest(data, { orders, nPermutations: 99 });
      concepts.forEach((name, c) => {
        const cluster = maps === measured ? c : clusterOf[c];
        const best = observed.bestRegion[cluster];
        assert(tuned(c).includes(best), `${name} peaks in ${TOY_ROIS[best].name}`);
      });
      assert(pSelectivity <= 0.05, `${pSelectivity}`); // a shift by nearly nothing is among the shifts
    }
  }
});

Deno.test("maps of the same concept agree between networks", async () => {
  const options = { nClusters: concepts.length, beta: aligned.beta, regions: [] };
  const [a, b] = await Promise.all([0, 1].map(async (s) => {
    const { maps } = await conceptProfiles(late, labels, { ...options, nodes: late.slices[s] });
    return hostMatrix(maps, [concepts.length, nets.roi.length]);
  }));
  const { partner, mean } = matchConcepts(a, b);
  assert.deepEqual([...partner], concepts.map((_, k) => k));
  assert(mean > 0.9, `${mean}`);
});

Deno.test("patches stay with their concept from layer to layer, and near their place", async () => {
  const count = 5, layers = [6, 8, 11];
  const graph = joinGraph(layers.map((layer) => ({
    ...{ model: "clip", layer, grid },
    features: part(aligned.features(0, layer), count),
  })));
  const own = await cut(hostMatrix(graph.readRows(0, graph.shape[0]), graph.shape), 8);
  const joint = await labelsOf(own, concepts.length), n = count * patches;
  const moved = transitions(joint.subarray(0, n), joint.subarray(n, 2 * n), { nConcepts: 5 });
  assert(moved.stationarity > 0.9, `${moved.stationarity}`);
  const chance = transitionNull(joint.subarray(0, n), joint.subarray(n, 2 * n), {
    ...{ nConcepts: 5, key, nPermutations: 99 },
  });
  assert.deepEqual([chance.pInformation, chance.pStationarity], [0.01, 0.01]);
  const placed = await spectralTsne(gpu, own, {
    ...{ key, nComponents: 2, nSamples: 300, perplexity: 40, iterations: 350 },
  });
  const paths = trajectories(graph, placed.coordinates, "clip");
  const found = trajectoryNull(paths, { key, nPermutations: 99 });
  assert(
    found.ratio < 0.7 && found.pValues.every((p) => p === 0.01),
    `${found.ratio} ${found.pValues}`,
  );
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
