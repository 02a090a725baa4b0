/**
 * Clusters from eigenvectors: golden labels of ncut_pytorch, planted groups, new nodes and levels of a hierarchy.
 */
import assert from "node:assert/strict";
import {
  adjustedRandIndex,
  type Affinity,
  exactNcut,
  type HostMatrix,
  hostMatrix,
  kwayNcut,
  ncutHierarchy,
  nestingOf,
  normal,
  quickKway,
  randomKey,
  Tensor,
} from "../../mod.ts";
import { openTestGpu } from "../_gpu.ts";
import { GoldenFile } from "../golden_file.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const refused = (message: RegExp) => ({ name: "InputError", message });

/** Nodes around planted centres: node i in group `groups[i]`. */
function planted(
  groups: ArrayLike<number>,
  { d = 16, noise = 0.3, key = 0 }: { d?: number; noise?: number; key?: number } = {},
): HostMatrix {
  const n = groups.length;
  const centers = normal(randomKey(99), 64 * d), jitter = normal(randomKey(key), n * d);
  const x = Float32Array.from(jitter, (v, at) => {
    return centers[groups[Math.floor(at / d)] * d + at % d] + noise * v;
  });
  return hostMatrix(x, [n, d]);
}

async function eigvecOf({ data, shape }: HostMatrix, affinity: Affinity, nEig: number) {
  using x = Tensor.from(gpu, data, shape);
  const { eigvec } = await exactNcut(x, { affinity, nEig });
  return eigvec;
}

Deno.test("golden: kwayNcut() and quickKway() label as ncut_pytorch v3 does", async () => {
  const file = new GoldenFile("ncut_images");
  const x = hostMatrix(new GoldenFile("ncut_images_x").f32("in.images.X").data, [768, 64]);
  const sigma = file.f32("in.images.sigma").data[0];
  const eigvec = await eigvecOf(x, { kind: "rbf", sigma }, 10);
  const turned = await kwayNcut(gpu, eigvec, { nClusters: 5 });
  const { labels, scores } = await turned.transform(gpu, eigvec);
  const want = file.i32("v3.images.kway_k5.labels").data;
  assert(adjustedRandIndex(labels, want) >= 0.99);
  assert.deepEqual([scores.shape, turned.nEig, turned.nClusters], [[768, 5], 5, 5]);
  const quick = await quickKway(eigvec, { nClusters: 5, nEig: 5 });
  const near = await quick.transform(gpu, eigvec);
  const wantQuick = file.i32("v3.images.quick_kway_k5.labels").data;
  assert(adjustedRandIndex(near.labels, wantQuick) >= 0.99);
});

Deno.test("both k-way cuts find planted groups, and label new nodes alike", async () => {
  const groups = Array.from({ length: 180 }, (_, i) => (i * 7) % 180 < 90 ? 0 : i % 5 + 1);
  const eigvec = await eigvecOf(planted(groups), { kind: "rbf", sigma: 1.5 }, 6);
  const turned = await kwayNcut(gpu, eigvec);
  const quick = await quickKway(eigvec, { nClusters: 6 });
  for (const cut of [turned, quick]) {
    const { labels } = await cut.transform(gpu, eigvec);
    assert.equal(adjustedRandIndex(labels, groups), 1);
    // New nodes: rows between two of one group, shorter than either.
    const pairs = [...groups.keys()].filter((i) => i + 35 < 180 && groups[i] === groups[i + 35]);
    const rows = pairs.flatMap((i) =>
      Array.from(
        { length: 6 },
        (_, j) => (eigvec.data[i * 6 + j] + eigvec.data[(i + 35) * 6 + j]) / 9,
      )
    );
    const fresh = await cut.transform(gpu, hostMatrix(rows, [pairs.length, 6]));
    assert.deepEqual(Array.from(fresh.labels), pairs.map((i) => labels[i]));
    await assert.rejects(cut.transform(gpu, hostMatrix([1, 2], [1, 2])), refused(/compare 6/));
  }
  // R is orthogonal.
  const { rotation: r } = turned;
  for (let a = 0; a < 6; a++) {
    for (let b = 0; b < 6; b++) {
      let dot = 0;
      for (let i = 0; i < 6; i++) dot += r[i * 6 + a] * r[i * 6 + b];
      assert(Math.abs(dot - Number(a === b)) < 1e-12);
    }
  }
  const sampled = await kwayNcut(gpu, eigvec, { nSample: 60 });
  const drawn = await quickKway(eigvec, { nClusters: 6, nSample: 60 });
  for (const cut of [sampled, drawn]) {
    const { labels } = await cut.transform(gpu, eigvec);
    assert(adjustedRandIndex(labels, groups) > 0.99);
  }
});

Deno.test("quickKway() takes more clusters than eigenvectors, and one cluster", async () => {
  // Directions at 0°, 40°, 80° and 120° of a plane: four clusters by two eigenvectors.
  const angle = (i: number) => (i % 4) * 40 * Math.PI / 180 + 0.02 * Math.sin(i);
  const rows = Array.from({ length: 80 }, (_, i) => [Math.cos(angle(i)), Math.sin(angle(i))]);
  const eigvec = hostMatrix(rows.flat(), [80, 2]);
  const cut = await quickKway(eigvec, { nClusters: 4 });
  const { labels } = await cut.transform(gpu, eigvec);
  assert.equal(adjustedRandIndex(labels, rows.map((_, i) => i % 4)), 1);
  const one = await kwayNcut(gpu, eigvec, { nClusters: 1 });
  assert.equal(new Set((await one.transform(gpu, eigvec)).labels).size, 1);
});

Deno.test("k-way cuts refuse more clusters than nodes or eigenvectors, and NaN", async () => {
  const eigvec = hostMatrix([1, 0, 0, 1, 1, 1], [3, 2]);
  await assert.rejects(
    kwayNcut(gpu, eigvec, { nClusters: 3 }),
    refused(/from 1 to 2 eigenvectors/),
  );
  await assert.rejects(quickKway(eigvec, { nClusters: 4 }), refused(/from 1 to 3 clusters/));
  const bad = hostMatrix([1, 0, 0, NaN, 1, 1], [3, 2]);
  await assert.rejects(kwayNcut(gpu, bad), refused(/row 1 .* not finite/));
});

Deno.test("ncutHierarchy() divides planted groups of groups into a tree, and masks a node", async () => {
  // Three groups of two near centres each.
  const d = 8, n = 120;
  const outer = normal(randomKey(1), 3 * d), inner = normal(randomKey(2), 6 * d);
  const jitter = normal(randomKey(3), n * d);
  const x = Float32Array.from(jitter, (v, at) => {
    const group = Math.floor(at / d) % 6, j = at % d;
    return 4 * outer[Math.floor(group / 2) * d + j] + inner[group * d + j] + 0.15 * v;
  });
  const eigvec = await eigvecOf(hostMatrix(x, [n, d]), { kind: "rbf", sigma: 1.2 }, 6);
  for (const method of ["rotation", "kmeans"] as const) {
    const tree = await ncutHierarchy(gpu, eigvec, { ks: [3, 6], method });
    const [coarse, fine] = tree.levels;
    const groups = Array.from({ length: n }, (_, i) => i % 6);
    assert.equal(adjustedRandIndex(fine.labels, groups), 1, method);
    assert.equal(adjustedRandIndex(coarse.labels, groups.map((g) => Math.floor(g / 2))), 1, method);
    assert.equal(coarse.nesting, undefined);
    assert.equal(fine.nesting?.nested, 1);
    fine.labels.forEach((label, i) => {
      assert.equal(fine.nesting?.parents[label], coarse.labels[i]);
    });
    const masks = tree.masksAt(7); // group 1 of 0 to 5
    const size = (mask: Uint8Array) => mask.reduce((s, v) => s + v, 0);
    assert.deepEqual(masks.map(size), [40, 20]);
    assert(masks[1].every((v, i) => v === Number(i % 6 === 1)));
    assert.throws(() => tree.masksAt(n), refused(/there are 120/));
  }
  await assert.rejects(ncutHierarchy(gpu, eigvec, { ks: [3, 3] }), refused(/must ascend/));
  const { parents, shares, nested } = nestingOf([0, 0, 0, 2, 2], 3, [5, 5, 7, 7, 7]);
  assert.deepEqual(Array.from(parents), [5, -1, 7]);
  assert.deepEqual(Array.from(shares), [2 / 3, NaN, 1]);
  assert.equal(nested, 0.8);
});
