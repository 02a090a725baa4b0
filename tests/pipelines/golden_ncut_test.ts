/**
 * Exact cuts of the 2,000 clustered nodes of the reference outputs. Runs where `GYRUS_GOLDEN` names the folder that holds them.
 */
import assert from "node:assert/strict";
import { adjustedRandIndex, exactNcut, findSigma, kwayNcut, quickKway, Tensor } from "../../mod.ts";
import { openTestGpu } from "../_gpu.ts";
import { needs } from "../expectations.ts";
import { GoldenFile } from "../golden_file.ts";
import { goldenFolder } from "./golden_vit.ts";
import { compareCuts } from "./ncut_golden.ts";

const here = needs("golden", goldenFolder !== undefined);
const gpu = here.ignore ? undefined : await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu?.liveBytes ?? 0, 0));

Deno.test(
  "golden: exactNcut() of 2,000 nodes, and their clusters (needs GYRUS_GOLDEN)",
  here,
  async () => {
    assert(gpu);
    const file = new GoldenFile("ncut", goldenFolder);
    const { data } = file.f32("in.clusters.X");
    using x = Tensor.from(gpu, data, [2000, 64]);
    await compareCuts(x, { file, name: "clusters", eigvec: "eigvec" });
    const sigma = await findSigma(x);
    assert.equal(sigma, file.f32("in.clusters.sigma").data[0]);
    const { eigvec } = await exactNcut(x, { affinity: { kind: "rbf", sigma }, nEig: 6 });
    const cuts = {
      kway_k6: await kwayNcut(gpu, eigvec),
      quick_kway_k6: await quickKway(eigvec, { nClusters: 6 }),
    };
    for (const [name, cut] of Object.entries(cuts)) {
      const { labels } = await cut.transform(gpu, eigvec);
      const want = file.i32(`v3.clusters.${name}.labels`).data;
      assert(adjustedRandIndex(labels, want) >= 0.99, name);
    }
  },
);
