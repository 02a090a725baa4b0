/**
 * Cuts that clicks bias, and the channels that make a cluster, against planted ones and differences in float64.
 */
import assert from "node:assert/strict";
import {
  type Affinity,
  channelAttribution,
  clickPrompt,
  eighHost,
  exactNcut,
  kwayNcut,
  normal,
  randomKey,
  Tensor,
} from "../../mod.ts";
import { svdHost } from "../../pipelines/stats/svd.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const refused = (message: RegExp) => ({ name: "InputError", message });

/** Nodes `[n, d]` around `groups` centres in turn. */
function planted(n: number, d: number, groups: number, noise: number): Float32Array<ArrayBuffer> {
  const centers = normal(randomKey(11), groups * d);
  return Float32Array.from(normal(randomKey(12), n * d), (v, at) => {
    return centers[Math.floor(at / d) % groups * d + at % d] + noise * v;
  });
}

Deno.test("clickPrompt() cuts out the group that was clicked, whichever it is", async () => {
  const n = 120, groups = 4;
  using x = Tensor.from(gpu, planted(n, 12, groups, 0.3), [n, 12]);
  const affinity: Affinity = { kind: "rbf", sigma: 1 }; // nodes of a group are 1.5 apart, groups 4 to 5.5
  for (let group = 0; group < groups; group++) {
    const foreground = [group, group + 4 * groups];
    const background = [0, 1, 2, 3].filter((g) => g !== group);
    const { mask, heat, eigval, isConverged } = await clickPrompt(x, {
      ...{ affinity, foreground, background },
    });
    assert(isConverged && Math.abs(eigval[0] - 1) < 1e-5);
    const want = Uint8Array.from({ length: n }, (_, i) => Number(i % groups === group));
    assert.deepEqual(mask, want, `group ${group}`);
    heat.forEach((h, i) => assert.equal(h > 0, mask[i] === 1));
  }
  // Clicks on two groups take both.
  const { mask } = await clickPrompt(x, {
    ...{ affinity, foreground: [0, 1], background: [2, 3] },
    panelBytes: n * 4 * 64,
  });
  assert(mask.every((v, i) => v === Number(i % groups < 2)));
});

Deno.test("clickPrompt() refuses clicks that say nothing", async () => {
  using x = Tensor.from(gpu, planted(10, 3, 2, 0.1), [10, 3]);
  const affinity: Affinity = { kind: "rbf", sigma: 1 };
  const click = (foreground: number[], options = {}) =>
    clickPrompt(x, { affinity, foreground, ...options });
  await assert.rejects(click([10]), refused(/node 10/));
  await assert.rejects(click([]), refused(/at least one/));
  await assert.rejects(click([1], { background: [2, 1] }), refused(/node 1: .* both/));
  await assert.rejects(click([1], { clickWeight: 1.5 }), refused(/is 1.5/));
  await assert.rejects(click([1], { nEig: 1 }), refused(/at least 2/));
});

const affinity = { kind: "rbf", sigma: 2 } as const;

/** The k leading eigenvectors `[n, k]` of the normalised cut in float64, descending. */
function basisOf(x: ArrayLike<number>, n: number, d: number, k: number): Float64Array {
  const a = Float64Array.from({ length: n * n }, (_, at) => {
    const i = Math.floor(at / n), j = at % n;
    let square = 0;
    for (let c = 0; c < d; c++) square += (x[i * d + c] - x[j * d + c]) ** 2;
    return Math.exp(-square / 2 / affinity.sigma ** 2);
  });
  const degree = Float64Array.from({ length: n }, (_, i) => {
    return a.subarray(i * n, (i + 1) * n).reduce((s, v) => s + v, 0);
  });
  const s = a.map((v, at) => v / Math.sqrt(degree[Math.floor(at / n)] * degree[at % n]));
  const { vectors } = eighHost(s, n);
  return Float64Array.from({ length: n * k }, (_, at) => {
    return vectors[Math.floor(at / k) * n + n - 1 - at % k];
  });
}

/** The mean magnitude of the scores of a cluster, with the direction carried along by the nearest turn of `from`. */
function membership(
  basis: Float64Array,
  from: { basis: ArrayLike<number>; direction: ArrayLike<number> },
  n: number,
  nodes: readonly number[],
): number {
  const k = from.direction.length;
  const overlap = new Float64Array(k * k); // basisᵀ·from
  for (let i = 0; i < n; i++) {
    for (let p = 0; p < k; p++) {
      for (let q = 0; q < k; q++) overlap[p * k + q] += basis[i * k + p] * from.basis[i * k + q];
    }
  }
  const { u, vt } = svdHost(overlap, [k, k]);
  const turned = Float64Array.from({ length: k }, (_, p) => {
    let sum = 0;
    for (let c = 0; c < k; c++) {
      for (let q = 0; q < k; q++) sum += u[p * k + c] * vt[c * k + q] * from.direction[q];
    }
    return sum;
  });
  const score = (i: number) => turned.reduce((s, v, p) => s + v * basis[i * k + p], 0);
  return nodes.reduce((s, i) => s + Math.abs(score(i)), 0) / nodes.length;
}

Deno.test("channelAttribution() is the derivative of the membership, and ranks the planted channels first", async () => {
  const n = 60, d = 10, k = 3;
  // Group 2 differs from the others in channels 4 and 7 alone; groups 0 and 1 in channel 1.
  const x = Float32Array.from(normal(randomKey(13), n * d), (v, at) => {
    const group = Math.floor(at / d) % k, channel = at % d;
    const isOwn = group === 2 && (channel === 4 || channel === 7) || group === 1 && channel === 1;
    return 0.5 * v + (isOwn ? 4 : 0);
  });
  const nodes = Array.from({ length: n / k }, (_, i) => k * i + 2);
  using tensor = Tensor.from(gpu, x, [n, d]);
  const found = await channelAttribution(tensor, nodes, { affinity, nClusters: k });
  assert.deepEqual(Array.from(found.order.subarray(0, 2)).sort(), [4, 7]);
  assert(found.scores[4] > 0 && found.scores[7] > 0); // further out is more distinct
  const means = found.scores.map((_, j) => {
    return nodes.reduce((s, i) => s + found.gradient.data[i * d + j], 0) / nodes.length;
  });
  means.forEach((v, j) => assert(Math.abs(v - found.scores[j]) < 1e-6));

  // The k-way cut of the same features says where the column points; its basis is that of float64 up to a turn.
  const { eigvec } = await exactNcut(tensor, { affinity, nEig: k });
  const cut = await kwayNcut(gpu, eigvec);
  const { labels } = await cut.transform(gpu, eigvec);
  assert(nodes.every((i) => labels[i] === labels[nodes[0]]));
  const column = labels[nodes[0]];
  const from = {
    basis: eigvec.data,
    direction: Float64Array.from({ length: k }, (_, i) => cut.rotation[i * k + column]),
  };
  const value = membership(basisOf(x, n, d, k), from, n, nodes);
  assert(Math.abs(value - found.membership) < 1e-5);
  const step = normal(randomKey(14), n * d), h = 1e-5;
  const at = (t: number) => {
    const moved = Float64Array.from(x, (v, i) => v + t * step[i]);
    return membership(basisOf(moved, n, d, k), from, n, nodes);
  };
  const want = (at(h) - at(-h)) / (2 * h);
  const got = found.gradient.data.reduce((s, v, i) => s + v * step[i], 0);
  assert(Math.abs(got - want) <= 1e-3 * Math.abs(want), `${got} is not ${want}`);
});

Deno.test("channelAttribution() refuses what it cannot differentiate", async () => {
  using x = Tensor.from(gpu, planted(10, 3, 2, 0.1), [10, 3]);
  const options = { affinity, nClusters: 2 };
  await assert.rejects(channelAttribution(x, [], options), refused(/0 nodes/));
  await assert.rejects(channelAttribution(x, [10], options), refused(/not 10/));
  const custom: Affinity = { kind: "custom", compute: (x) => x.alias() };
  await assert.rejects(
    channelAttribution(x, [1], { affinity: custom, nClusters: 2 }),
    refused(/custom/),
  );
  using large = Tensor.from(gpu, normal(randomKey(1), 513), [513, 1]);
  await assert.rejects(channelAttribution(large, [1], options), refused(/at most 512/));
});
