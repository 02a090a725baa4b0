/** Cuts of the phantom's trained CLIP: what its layers hold of figure, ground and categories. */
import assert from "node:assert/strict";
import { Tensor } from "../../engine/tensor.ts";
import {
  oracleSegmentation,
  type SegmentationData,
} from "../../pipelines/aligned_cut/oracle_segmentation.ts";
import { patchLabels } from "../../pipelines/aligned_cut/patch_labels.ts";
import { extractFeatures } from "../../pipelines/dense/features.ts";
import { type HostMatrix, hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { preprocess, stretched } from "../../pipelines/images/preprocess.ts";
import { loadPhantomNet } from "../../pipelines/phantom/nets.ts";
import { makePhantom } from "../../pipelines/phantom/phantom.ts";
import { Ncut } from "../../pipelines/spectral/ncut.ts";
import { openMethodGpu } from "../_gpu.ts";

const gpu = await openMethodGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const SIDE = 64, GRID = [8, 8] as const;

/** Patches of each block, `[nImages · 64, width]`. */
async function blocks(
  images: readonly { readonly rgb: Uint8Array<ArrayBuffer> }[],
): Promise<HostMatrix[]> {
  using model = await loadPhantomNet(gpu, "clip");
  const { prefixTokens, width, depth, family } = model.config;
  const size = { width: SIDE, height: SIDE };
  const pixels = images.flatMap(({ rgb }) => [
    ...preprocess({ ...size, data: rgb }, { family: stretched(family), size }).data,
  ]);
  using input = Tensor.from(gpu, Float32Array.from(pixels), [images.length, 3, SIDE, SIDE]);
  const layers = Array.from({ length: depth }, (_, l) => `${l}`);
  const found = await extractFeatures(model, input, { save: [], layers });
  return layers.map((layer) => {
    const { data } = found.get(`/blocks/${layer}`)!, tokens = 64 + prefixTokens;
    const out = new Float32Array(images.length * 64 * width);
    images.forEach((_, i) => {
      const from = (i * tokens + prefixTokens) * width;
      out.set(data.subarray(from, from + 64 * width), i * 64 * width);
    });
    return hostMatrix(out, [images.length * 64, width]);
  });
}

Deno.test("figure and ground come apart in the first block already, categories later", async () => {
  const phantom = await makePhantom({
    seed: 3,
    nTrain: 48,
    nTest: 1,
    nSubjects: 1,
    nVoxels: 150,
    nSessions: 1,
  });
  const images = phantom.images.slice(0, 48).map(({ rendered }) => rendered);
  const category = images.flatMap(({ labels }) => [
    ...patchLabels({ height: SIDE, width: SIDE, labels }, GRID),
  ]);
  const figure = category.map((label) => Number(label > 0));
  const scores: { figure: number; category: number }[] = [];
  for (const x of await blocks(images)) {
    using cut = await new Ncut(gpu, { nEig: 10, affinity: { kind: "cosine", gamma: 0.3 } }).fit(x);
    const miou = (labels: number[], nClasses: number) => {
      const data: SegmentationData = { eigvec: cut.eigvec, labels, nClasses, grid: GRID };
      return oracleSegmentation(data).best.miou;
    };
    scores.push({ figure: miou(figure, 2), category: miou(category, 7) });
  }
  const share = (kind: "figure" | "category") =>
    scores[0][kind] / Math.max(...scores.map((score) => score[kind]));
  const told = JSON.stringify(scores);
  assert.ok(scores.every((score) => score.figure > 0.8), told);
  assert.ok(share("figure") > 0.9 && share("category") < 0.85, told);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
