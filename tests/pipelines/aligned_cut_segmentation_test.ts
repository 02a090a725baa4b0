import assert from "node:assert/strict";
import { normal, randomBits, randomKey } from "../../mod.ts";
import {
  clusterSegmentation,
  heldOutSegmentation,
  segmentationBaselines,
} from "../../pipelines/aligned_cut/held_out_segmentation.ts";
import { type GraphPart, joinFiles, joinGraph } from "../../pipelines/aligned_cut/joint_graph.ts";
import {
  classCenters,
  imageScores,
  ORACLE_THRESHOLDS,
  oracleSegmentation,
  type SegmentationData,
  segmentImage,
} from "../../pipelines/aligned_cut/oracle_segmentation.ts";
import { patchLabels } from "../../pipelines/aligned_cut/patch_labels.ts";
import {
  boundaryF,
  confusionOf,
  iouScores,
  matchedIou,
} from "../../pipelines/aligned_cut/segmentation_scores.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { FeatureNodes } from "../../pipelines/spectral/feature_nodes.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const key = randomKey(91);
const refusal = (message: RegExp) => ({ name: "InputError", message });
const [nImages, nClasses, width] = [8, 4, 5];
const grid = [4, 6] as const;
const n = nImages * grid[0] * grid[1];

/** Each image: background and one class on a rectangle; one patch in ten to ignore. */
const labels = Uint8Array.from({ length: n }, (_, i) => {
  const image = Math.floor(i / 24), p = i % 24;
  if (randomBits(randomKey(92), n)[i] % 10 === 0) return 255;
  return p % 6 >= 2 && p >= 6 && p % 6 < 5 ? 1 + image % (nClasses - 1) : 0;
});

function dataOf(noise: number): SegmentationData {
  const drawn = normal(randomKey(93), n * width);
  const values = drawn.map((z, at) => {
    const i = Math.floor(at / width), own = labels[i] === 255 ? 0 : labels[i];
    return Number(at % width === own) + noise * z;
  });
  return { eigvec: hostMatrix(values, [n, width]), labels, nClasses, grid };
}

Deno.test("joinGraph() lays layers after each other, reads across them, and says what a node is", () => {
  const part = (model: string, layer: number, images: number, from: number): GraphPart => {
    const rows = images * 6;
    const values = Float32Array.from({ length: rows * 2 }, (_, at) => from + at);
    return { model, layer, grid: [2, 3], features: hostMatrix(values, [rows, 2]) };
  };
  const graph = joinGraph([part("a", 0, 2, 0), part("a", 5, 2, 100), part("b", 0, 3, 200)]);
  assert.deepEqual([graph.shape, graph.sliceOf("b", 0).start, graph.sliceOf("a", 5).nImages], [
    [42, 2],
    24,
    2,
  ]);
  assert.deepEqual([...graph.readRows(11, 14)], [22, 23, 100, 101, 102, 103]);
  assert.equal(graph.readRows(0, 42).length, 84);
  const place = { slice: 2, model: "b", layer: 0, image: 2, patch: 4 };
  assert.deepEqual(graph.placeOf(40), place);
  for (let node = 0; node < 42; node++) assert.equal(graph.nodeOf(graph.placeOf(node)), node);
  assert.throws(() => graph.placeOf(42), refusal(/there are 42/));
  assert.throws(() => graph.nodeOf({ slice: 0, image: 2, patch: 0 }), refusal(/2 images of 2x3/));
  assert.throws(() => graph.sliceOf("c", 0), refusal(/a\.0, a\.5, b\.0/));
  const wide = {
    model: "c",
    layer: 1,
    grid: [2, 3] as const,
    features: hostMatrix([1, 2, 3], [1, 3]),
  };
  assert.throws(() => joinGraph([part("a", 0, 1, 0), wide]), refusal(/must have 2 channels/));
  assert.throws(() => joinGraph([]), refusal(/no features/));
});

Deno.test("joinFiles() reads layers from files, class tokens left out", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const tokens = Float32Array.from({ length: 2 * 5 * 3 }, (_, at) => at);
    const flat = Float32Array.from({ length: 8 * 3 }, (_, at) => 100 + at);
    const save = (name: string, values: Float32Array<ArrayBuffer>, shape: number[]) => {
      const bytes = new Uint8Array(values.buffer);
      Deno.writeFileSync(`${folder}/${name}.npy`, writeNpy({ dtype: "f32", shape, bytes }));
    };
    save("a", tokens, [2, 5, 3]);
    save("b", flat, [2, 2, 2, 3]);
    using nodes = await FeatureNodes.open([`${folder}/a.npy`, `${folder}/b.npy`]);
    const graph = joinFiles(nodes, [{ model: "clip", layer: 5 }, { model: "mae", layer: 5 }]);
    assert.deepEqual(graph.shape, [16, 3]);
    // The last patch of the second image, behind its class token, then the first of the other model.
    assert.deepEqual([...graph.readRows(7, 9)], [27, 28, 29, 100, 101, 102]);
    assert.equal(graph.placeOf(8).model, "mae");
    assert.throws(() => joinFiles(nodes, []), refusal(/2 arrays by 0 names/));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("iouScores() counts a data set, and classes that it has", () => {
  const truth = [0, 0, 0, 1, 1, 255, 3], predicted = [0, 0, 1, 1, 0, 1, 2];
  const { miou, perClass, accuracy } = iouScores(confusionOf(predicted, truth, 4));
  // Class 0: 2 of {2, 1 lost, 1 given}; class 1: 1 of {1, 1, 1}; class 2 is not there; class 3 is lost.
  assert.deepEqual([...perClass], [2 / 4, 1 / 3, NaN, 0]);
  assert.equal(miou, (2 / 4 + 1 / 3) / 3);
  assert.equal(accuracy, 3 / 6);
  assert.throws(() => confusionOf([4], [0], 4), refusal(/predicted as 4/));
});

Deno.test("matchedIou() gives each class a cluster of its own, whatever the names", () => {
  const truth = [0, 0, 0, 1, 1, 2, 2, 255];
  const renamed = matchedIou([2, 2, 2, 0, 0, 1, 1, 1], truth, { nClasses: 3, nClusters: 3 });
  assert.equal(renamed.miou, 1);
  assert.deepEqual([...renamed.classOf], [1, 2, 0]);
  // Four clusters: the smaller half of class 0 finds no class and is background, which it is.
  const split = matchedIou([2, 2, 3, 0, 0, 1, 1, 0], truth, { nClasses: 3, nClusters: 4 });
  assert.equal(split.miou, 1);
});

Deno.test("boundaryF() is 1 for the same boundary, 0 without one, and forgives a pixel", () => {
  const size = { height: 12, width: 12 };
  const split = (at: number) => Array.from({ length: 144 }, (_, i) => Number(i % 12 >= at));
  assert.equal(boundaryF(split(5), split(5), size), 1);
  assert.equal(boundaryF(split(6), split(5), size), 1);
  assert.equal(boundaryF(split(8), split(5), size), 0);
  assert.equal(boundaryF(split(0), split(5), size), 0);
  assert.equal(boundaryF(split(0), split(0), size), 1);
  // The upper half: 6 edges on the boundary and 7 below, one of them next to it; of 12 true ones 6 and the next are near.
  const half = split(5).map((v, i) => i < 72 ? v : 0);
  const [precision, recall] = [7 / 13, 7 / 12];
  const f = 2 * precision * recall / (precision + recall);
  assert(Math.abs(boundaryF(half, split(5), size) - f) < 1e-12);
  const ignored = split(5).map((v, i) => i % 12 > 2 && i % 12 < 8 ? 255 : v);
  assert.equal(boundaryF(split(4), ignored, size), 1, "edges among ignored pixels do not count");
});

Deno.test("patchLabels() take the class of most pixels, or of the one in the middle", () => {
  const labels = [[1, 1, 0, 255], [1, 2, 255, 255], [0, 0, 3, 3], [0, 2, 3, 3]].flat();
  const mask = { height: 4, width: 4, labels };
  assert.deepEqual([...patchLabels(mask, [2, 2])], [1, 0, 0, 3]);
  assert.deepEqual([...patchLabels(mask, [2, 2], { rule: "nearest" })], [2, 255, 2, 3]);
  assert.deepEqual([...patchLabels({ height: 1, width: 2, labels: [255, 255] }, [1, 1])], [255]);
  assert.throws(() => patchLabels(mask, [5, 2]), refusal(/patches of 5x2/));
});

Deno.test("oracleSegmentation() of one-hot eigenvectors is the ground truth", () => {
  const { best, centers } = oracleSegmentation(dataOf(0));
  assert.equal(best.miou, 1);
  for (let k = 0; k < nClasses; k++) {
    for (let c = 0; c < width; c++) assert.equal(centers[k * width + c], Number(c === k));
  }
});

Deno.test("oracleSegmentation() takes the paper's five steps", () => {
  const data = dataOf(0.6), { eigvec: { data: values } } = data;
  const { scores, best, centers } = oracleSegmentation(data);
  // Once more, pixel by pixel, with plain lists.
  const rows = Array.from(
    { length: n },
    (_, i) => [...values.subarray(i * width, (i + 1) * width)],
  );
  const means = Array.from({ length: nClasses }, (_, k) => {
    const own = rows.filter((_, i) => labels[i] === k);
    return own[0].map((_, c) => own.reduce((sum, row) => sum + row[c], 0) / own.length);
  });
  assert(means.flat().every((value, at) => Math.abs(value - centers[at]) < 1e-12));
  const cosine = (a: number[], b: number[]) =>
    a.reduce((sum, v, c) => sum + v * b[c], 0) / Math.hypot(...a) / Math.hypot(...b);
  const miou = ORACLE_THRESHOLDS.map((threshold) => {
    const predicted = rows.map((row) => {
      const similar = means.map((center) => cosine(row, center));
      const top = Math.max(...similar);
      return top < threshold ? 0 : similar.indexOf(top);
    });
    const classes = [0, 1, 2, 3].map((k) => {
      const valid = (i: number) => labels[i] !== 255;
      const both = predicted.filter((p, i) => valid(i) && p === k && labels[i] === k).length;
      const either = predicted.filter((p, i) => valid(i) && (p === k || labels[i] === k)).length;
      return both / either;
    });
    return classes.reduce((sum, v) => sum + v, 0) / nClasses;
  });
  assert.equal(scores.length, 10);
  scores.forEach((score, t) => assert(Math.abs(score.miou - miou[t]) < 1e-12, `${t}`));
  assert.equal(best.miou, Math.max(...scores.map((score) => score.miou)));
  const single = imageScores(data, { centers, threshold: best.threshold });
  assert(single.length === nImages && single.every((value) => value >= 0 && value <= 1));
});

Deno.test("oracleSegmentation() scores pixels between patches where there are masks", () => {
  const data = dataOf(0);
  const blocks = (image: number) => {
    const labelsOf = Array.from({ length: 16 * 24 }, (_, at) => {
      const patch = Math.floor(at / 24 / 4) * 6 + Math.floor(at % 24 / 4);
      return labels[image * 24 + patch];
    });
    return { height: 16, width: 24, labels: labelsOf };
  };
  const full = { ...data, maskOf: blocks };
  const { best } = oracleSegmentation(full);
  // Patches to ignore carry eigenvectors of the background, which bleed into half of a neighbour.
  assert(best.miou > 0.8 && best.miou <= 1, `${best.miou}`);
  const centers = classCenters(data);
  const pixels = segmentImage(full, 1, { centers, threshold: 0 });
  assert.equal(pixels.length, 16 * 24);
  const middle = (8 * 24) + 14; // inside the rectangle of class 2
  assert.equal(pixels[middle], 2);
});

Deno.test("heldOutSegmentation() chooses nothing on what it scores", () => {
  assert.equal(heldOutSegmentation(dataOf(0), { key }).miou, 1);
  const noise = { ...dataOf(0), eigvec: hostMatrix(normal(randomKey(94), n * width), [n, width]) };
  const leaky = oracleSegmentation(noise).best.miou;
  const { miou, halves } = heldOutSegmentation(noise, { key });
  assert(miou < leaky, `${miou} ${leaky}: eigenvectors of noise say nothing about new images`);
  assert.equal(miou, (halves[0].miou + halves[1].miou) / 2);
  assert.deepEqual(heldOutSegmentation(noise, { key }), heldOutSegmentation(noise, { key }));
  const one = { ...dataOf(0), eigvec: hostMatrix(new Float32Array(24 * 5).fill(1), [24, 5]) };
  assert.throws(
    () => heldOutSegmentation({ ...one, labels: labels.slice(0, 24) }, { key }),
    refusal(/two or more/),
  );
});

Deno.test("clusterSegmentation() finds planted classes without an oracle, baselines are below", async () => {
  const data = dataOf(0.1);
  const found = await clusterSegmentation(gpu, data, { key });
  assert.equal(found.miou, 1);
  const raw = hostMatrix(
    normal(randomKey(95), n * 12).map((z, at) =>
      z + data.eigvec.data[Math.floor(at / 12) * width + at % 12 % width]
    ),
    [n, 12],
  );
  const baselines = segmentationBaselines(data, raw);
  const share = labels.filter((label) => label === 0).length / labels.filter((l) => l < 255).length;
  assert(Math.abs(baselines.background - share / nClasses) < 1e-12);
  assert(baselines.raw > baselines.background && baselines.raw < 1);
  assert(baselines.pca > baselines.background && baselines.pca < 1);
});

Deno.test("segmentation refuses what does not fit", () => {
  const data = dataOf(0);
  const refuse = (more: Partial<SegmentationData>, message: RegExp) =>
    assert.throws(() => oracleSegmentation({ ...data, ...more }), refusal(message));
  refuse({ grid: [5, 7] }, /whole images/);
  refuse({ labels: labels.slice(1) }, /191 labels/);
  refuse({ nClasses: 3 }, /has the class 3/);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
