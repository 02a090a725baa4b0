/** Nyström and kernel cuts against the exact cut, against ncut_pytorch with fixed samples, and against what must hold for any graph. */
import assert from "node:assert/strict";
import { eighHost } from "../../engine/ops/eigh.ts";
import { Gpu } from "../../engine/gpu.ts";
import { foldIn, normal, randomKey } from "../../engine/random.ts";
import { Tensor } from "../../engine/tensor.ts";
import { InputError } from "../../pipelines/errors.ts";
import type { HostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import type { Affinity } from "../../pipelines/spectral/affinity.ts";
import { rbfOfGamma } from "../../pipelines/spectral/affinity_scale.ts";
import { Ncut } from "../../pipelines/spectral/ncut.ts";
import { type NcutOptions, ncutPresets } from "../../pipelines/spectral/ncut_options.ts";
import { indirectAffinity } from "../../pipelines/spectral/neighbor_ncut.ts";
import {
  addProducts,
  inverseOfFactor,
  turnRows,
} from "../../pipelines/spectral/orthogonal_rows.ts";
import { propagate } from "../../pipelines/spectral/propagate.ts";
import { GoldenFile } from "../golden_file.ts";
import { openMethodGpu } from "../_gpu.ts";

const gpu = await openMethodGpu();
const COSINE: Affinity = { kind: "cosine", gamma: 0.5 };

/** `groups` clusters of unequal sizes around random centres, and which one each row is of. */
function clusters(n: number, d: number, groups: number, spread = 0.3) {
  const key = randomKey(9);
  const centres = normal(foldIn(key, 1), groups * d), noise = normal(foldIn(key, 2), n * d);
  const labels = Uint32Array.from({ length: n }, (_, i) => Math.floor(groups * (i / n) ** 1.5));
  const data = noise.map((v, at) => spread * v + centres[labels[Math.floor(at / d)] * d + at % d]);
  const nodes: HostMatrix = { data, shape: [n, d] };
  return { nodes, labels };
}

function columns({ data, shape: [n, k] }: HostMatrix, count = k): HostMatrix {
  const out = new Float32Array(n * count);
  for (let i = 0; i < n; i++) out.set(data.subarray(i * k, i * k + count), i * count);
  return { data: out, shape: [n, count] };
}

function orthonormal(x: HostMatrix): Float32Array {
  const k = x.shape[1], rows = x.data.slice(), gram = new Float64Array(k * k);
  addProducts(gram, rows, k);
  turnRows(rows, inverseOfFactor(gram, k), k);
  return rows;
}

/** Sine of the largest principal angle between the spans of the first columns. */
function largestSine(a: HostMatrix, b: HostMatrix, count: number): number {
  const [p, q] = [a, b].map((x) => orthonormal(columns(x, count)));
  const c = new Float64Array(count * count);
  for (let at = 0; at < p.length; at += count) {
    for (let i = 0; i < count; i++) {
      for (let j = 0; j < count; j++) c[i * count + j] += p[at + i] * q[at + j];
    }
  }
  const g = new Float64Array(count * count);
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < count; j++) {
      for (let l = 0; l < count; l++) g[i * count + j] += c[l * count + i] * c[l * count + j];
    }
  }
  return Math.sqrt(Math.max(0, 1 - eighHost(g, count).values[0]));
}

Deno.test("Ncut by neighbours of fixed samples equals ncut_pytorch, versions 1 and 3", async () => {
  const golden = new GoldenFile("ncut_nystrom_images");
  const x = new GoldenFile("ncut_images_x").f32("in.images.X");
  const landmarks = golden.i32("in.images.nystrom_idx").data;
  const nodes: HostMatrix = { data: x.data, shape: [768, 64] };
  const sampled = Float32Array.from(
    { length: landmarks.length * 64 },
    (_, at) => x.data[landmarks[Math.floor(at / 64)] * 64 + at % 64],
  );
  const scaleOf = async (rows: Float32Array) => {
    using on = Tensor.from(gpu, rows, [rows.length / 64, 64]);
    return await rbfOfGamma(on, 0.3);
  };
  const sigma = new GoldenFile("ncut_images").f32("in.images.sigma").data[0];
  const cases: (NcutOptions & { name: string })[] = [
    // v1 takes the variances of its first argument: of the samples in the graph, of all nodes in the propagation.
    { name: "v1rbf", affinity: await scaleOf(sampled), propagationAffinity: await scaleOf(x.data) },
    { name: "v1cosine", affinity: { kind: "cosine", gamma: 0.3 } as const },
    {
      ...{ name: "v3rbf", affinity: { kind: "rbf", sigma } as const, nNeighbors: 8 },
      ...{
        propagationAffinity: { kind: "rbf", quantile: 0.25 } as const,
        weights: "degree" as const,
      },
    },
  ];
  for (const { name, ...options } of cases) {
    const of = (what: string) => golden.f32(`nystrom.images.${name}.${what}`);
    using cut = await new Ncut(gpu, {
      ...{ nEig: 20, landmarks, extension: "neighbors", nNeighbors: 10, ...options },
    }).fit(nodes);
    cut.eigval.forEach((value, i) =>
      assert.ok(Math.abs(value - of("eigval").data[i]) < 1e-6, `${name} eigenvalue ${i}: ${value}`)
    );
    const want: HostMatrix = { data: of("eigvec6").data, shape: [768, 6] };
    // The file's own bound after QR: a principal sine of 1e-3 for the columns of the five clusters.
    const sine = largestSine(cut.eigvec, want, 5);
    assert.ok(sine < 1e-3, `${name}: principal sine ${sine}`);
    const values: HostMatrix = { data: of("subgraph_eigvec6").data, shape: [256, 6] };
    const { affinity } = cut.state.neighbors!;
    const carried = await propagate(gpu, nodes, { data: sampled, shape: [256, 64] }, values, {
      ...{ affinity, nNeighbors: options.nNeighbors ?? 10, weights: options.weights },
    });
    let error = 0, size = 0;
    carried.data.forEach((value, i) => {
      error += (value - want.data[i]) ** 2;
      size += want.data[i] ** 2;
    });
    // From the same eigenvectors only distances in f32 differ; another neighbour would be 0.1.
    assert.ok(Math.sqrt(error / size) < 2e-6, `${name}: ${Math.sqrt(error / size)}`);
  }
  assert.equal(gpu.liveBytes, 0);
});

Deno.test("propagate() gives a landmark its own values with one neighbour, and a far node finite ones", async () => {
  const m = 41, d = 5;
  const landmarks: HostMatrix = { data: normal(randomKey(1), m * d), shape: [m, d] };
  const values: HostMatrix = { data: normal(randomKey(2), m * 3), shape: [m, 3] };
  for (
    const affinity of [COSINE, { kind: "rbf", sigma: 0.01 }, { kind: "euclidean", gamma: 1 }, {
      kind: "squared-cosine",
      sigma: 0.5,
    }] as const
  ) {
    const own = await propagate(gpu, landmarks, landmarks, values, { affinity, nNeighbors: 1 });
    assert.deepEqual(own.data, values.data);
    const far = { data: new Float32Array(d).fill(1e4), shape: [1, d] as const };
    const carried = await propagate(gpu, far, landmarks, values, { affinity, nNeighbors: 40 });
    carried.data.forEach((v) => assert.ok(Number.isFinite(v), affinity.kind));
  }
  assert.equal(gpu.liveBytes, 0);
});

Deno.test("propagate() and features take more rows than one binding holds products of", async () => {
  const m = 1200, n = 1500, d = 4; // with 1 MiB bound at once, 218 rows of 1,200 products
  using narrow = Gpu.from(gpu.device, { ...gpu.options, limits: { maxBindingBytes: 2 ** 20 } });
  const landmarks: HostMatrix = { data: normal(randomKey(1), m * d), shape: [m, d] };
  const nodes: HostMatrix = { data: normal(randomKey(3), n * d), shape: [n, d] };
  const values: HostMatrix = { data: normal(randomKey(2), m * 3), shape: [m, 3] };
  const affinity: Affinity = { kind: "rbf", sigma: 1 };
  const whole = await propagate(gpu, nodes, landmarks, values, { affinity });
  const parts = await propagate(narrow, nodes, landmarks, values, { affinity });
  parts.data.forEach((v, i) => assert.ok(Math.abs(v - whole.data[i]) < 1e-5, `${i}`));
  const rows = Uint32Array.from({ length: 300 }, (_, i) => 5 * i);
  const cutBy = async (gpu: Gpu) => {
    using cut = await new Ncut(gpu, { nEig: 4, affinity, landmarks: rows, chunkSize: 512 }).fit(
      nodes,
    );
    return cut.eigval;
  };
  const eigval = await cutBy(gpu);
  (await cutBy(narrow)).forEach((v, i) => assert.ok(Math.abs(v - eigval[i]) < 1e-4, `${i}`));
  assert.equal(narrow.liveBytes, 0);
});

Deno.test("Ncut by features of all nodes is the exact cut, and orthonormal by fewer", async () => {
  const { nodes } = clusters(500, 16, 5), nEig = 5;
  using exact = await new Ncut(gpu, { method: "exact", nEig, affinity: COSINE }).fit(nodes);
  const all = Uint32Array.from({ length: 500 }, (_, i) => i);
  using whole = await new Ncut(gpu, { nEig, affinity: COSINE, landmarks: all }).fit(nodes);
  exact.eigval.forEach((v, i) => assert.ok(Math.abs(v - whole.eigval[i]) < 1e-4, `${i}`));
  assert.ok(largestSine(exact.eigvec, whole.eigvec, nEig) < 1e-3);
  using few = await new Ncut(gpu, { nEig, affinity: COSINE, nLandmarks: 60, chunkSize: 128 })
    .fit(nodes);
  const sine = largestSine(exact.eigvec, few.eigvec, nEig);
  assert.ok(sine < 0.05, `60 landmarks: ${sine}`);
  assert.ok(Math.abs(few.eigval[0] - 1) < 1e-5);
  const gram = new Float64Array(nEig * nEig);
  addProducts(gram, few.eigvec.data, nEig);
  for (let i = 0; i < nEig; i++) {
    for (let j = 0; j <= i; j++) {
      assert.ok(Math.abs(gram[i * nEig + j] - Number(i === j)) < 1e-4, `${i},${j}`);
    }
    let sum = 0;
    for (let r = 0; r < 500; r++) sum += few.eigvec.data[r * nEig + i];
    assert.ok(sum > -1e-4, `the sum of column ${i} is ${sum}`);
  }
  const part = { data: nodes.data.slice(0, 30 * 16), shape: [30, 16] as const };
  const again = await few.transform(part);
  again.data.forEach((v, i) => assert.ok(Math.abs(v - few.eigvec.data[i]) < 1e-6));
});

Deno.test("Ncut by features finds many eigenvectors of affinities near 1", async () => {
  const { nodes } = clusters(400, 48, 6), nEig = 40; // the scale of v3's rule, at which all nodes are alike
  const affinity = { kind: "rbf", quantile: 0.25 } as const;
  using cut = await new Ncut(gpu, {
    nEig,
    affinity,
    landmarks: [...Array(160).keys()].map((i) => 2 * i),
  })
    .fit(nodes);
  using exact = await new Ncut(gpu, { method: "exact", nEig, affinity: cut.affinity }).fit(nodes);
  assert.ok(exact.eigval[39] < 1e-3, "the last ones are small beside the first");
  exact.eigval.forEach((v, i) =>
    assert.ok(Math.abs(v - cut.eigval[i]) < 0.1 * v, `${i}: ${v}, ${cut.eigval[i]}`)
  );
  assert.ok(largestSine(exact.eigvec, cut.eigvec, 6) < 0.05);
});

Deno.test("Ncut without kept features gives the same bits, and so does the same seed", async () => {
  const { nodes } = clusters(300, 8, 4);
  const options = { nEig: 4, nLandmarks: 40, chunkSize: 100 };
  using kept = await new Ncut(gpu, options).fit(nodes);
  using anew = await new Ncut(gpu, { ...options, cacheBytes: 0 }).fit(nodes);
  assert.deepEqual(anew.eigvec.data, kept.eigvec.data);
});

Deno.test("Ncut by Fourier features nears the exact cut as more of them are drawn", async () => {
  const { nodes } = clusters(400, 12, 4, 0.2), nEig = 4;
  using exact = await new Ncut(gpu, { method: "exact", nEig, affinity: COSINE }).fit(nodes);
  const sineOf = async (kernelDim: number, frequencies: "independent" | "orthogonal") => {
    let sum = 0;
    for (const seed of [1, 2, 3]) {
      using cut = await new Ncut(gpu, {
        ...{ method: "kernel", nEig, affinity: COSINE, kernelDim, frequencies },
        key: randomKey(seed),
      }).fit(nodes);
      // √degree is an eigenvector of 1; approximate affinities below 0 may put others above it.
      assert.ok(cut.eigval[0] > 1 - 1e-4, `${cut.eigval}`);
      sum += largestSine(exact.eigvec, cut.eigvec, nEig) / 3;
    }
    return sum;
  };
  const few = await sineOf(64, "independent"), many = await sineOf(1024, "independent");
  // Sixteen times as many: a quarter of the error in expectation.
  assert.ok(many < few / 2, `${few} and ${many}`);
  const even = await sineOf(64, "orthogonal");
  assert.ok(even < few, `orthogonal ${even}, independent ${few}`);
});

Deno.test("Ncut tells planted groups, parts without affinity and duplicates apart", async () => {
  const n = 120, d = 6; // three groups on three axes, each row twice
  const data = new Float32Array(n * d);
  for (let i = 0; i < n; i++) {
    data[i * d + i % 3] = 1;
    data[i * d + 3] = 0.01 * Math.floor(i / 6);
  }
  const affinity: Affinity = { kind: "cosine", gamma: 0.01 }; // e^-100 between groups
  for (const method of ["exact", "nystrom"] as const) {
    using cut = await new Ncut(gpu, { nEig: 3, affinity, method, nLandmarks: 30 })
      .fit({ data, shape: [n, d] });
    cut.eigval.forEach((v) => assert.ok(Math.abs(v - 1) < 1e-3, `${method} ${cut.eigval}`));
    // Rows of one group are in one direction, rows of two are at a right angle.
    const row = (i: number) => [...cut.eigvec.data.subarray(i * 3, i * 3 + 3)];
    const cosine = (a: number[], b: number[]) =>
      a.reduce((s, v, i) => s + v * b[i], 0) / Math.hypot(...a) / Math.hypot(...b);
    for (let i = 3; i < n; i++) {
      for (let g = 0; g < 3; g++) {
        assert.ok(Math.abs(cosine(row(i), row(g)) - Number(i % 3 === g)) < 1e-2, `${method} ${i}`);
      }
    }
  }
});

Deno.test("Ncut refuses what cannot be cut", async () => {
  const { nodes } = clusters(60, 6, 3);
  const rejects = async (data: Float32Array<ArrayBuffer>, options: object, message: RegExp) =>
    await assert.rejects(
      new Ncut(gpu, { nEig: 3, ...options }).fit({ data, shape: [60, 6] }),
      (error: Error) => error instanceof InputError && message.test(error.message),
    );
  const ways = [{}, { extension: "neighbors" }, { method: "kernel" }, { method: "exact" }];
  for (const way of ways) {
    const bad = nodes.data.slice(), zero = nodes.data.slice().fill(0, 17 * 6, 18 * 6);
    bad[17 * 6 + 2] = NaN;
    const landmarks = "method" in way ? undefined : [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    await rejects(bad, { ...way, landmarks }, /row 17 .*NaN/);
    await rejects(zero, { ...way, landmarks }, /row 17 .*zero/);
    await rejects(nodes.data, { ...way, nEig: 61 }, /from 1 to 60 eigenvectors, not 61/);
  }
  await rejects(nodes.data, { nEig: 0 }, /eigenvectors, not 0/);
  await rejects(nodes.data.slice().fill(1), {}, /3 eigenvectors of 60 nodes by 1 features/);
  await rejects(nodes.data, { landmarks: [1, 1, 2, 3] }, /each once/);
  await rejects(nodes.data, { landmarks: [1, 60, 2, 3] }, /row 60 as a landmark/);
  await rejects(nodes.data, { landmarks: [1, 2] }, /3 eigenvectors need as many landmarks/);
  await rejects(
    nodes.data,
    { method: "kernel", affinity: { kind: "euclidean", gamma: 1 } },
    /Fourier/,
  );
  assert.equal(gpu.liveBytes, 0);
});

Deno.test("indirectAffinity() is the stated product, and presets run", async () => {
  const m = 7, q = 3, d = 4;
  const l = normal(randomKey(1), m * d), p = normal(randomKey(2), q * d);
  using x = Tensor.from(gpu, l, [m, d]);
  using y = Tensor.from(gpu, p, [q, d]);
  using got = indirectAffinity(x, y, { kind: "rbf", sigma: 1.5 });
  const b = Array.from({ length: m }, (_, i) =>
    Array.from({ length: q }, (_, j) => {
      let sum = 0;
      for (let c = 0; c < d; c++) sum += (l[i * d + c] - p[j * d + c]) ** 2;
      return Math.exp(-sum / 4.5);
    }));
  const rows = b.map((r) => r.reduce((s, v) => s + v));
  const cols = b[0].map((_, j) => b.reduce((s, r) => s + r[j], 0));
  (await got.data()).forEach((value, at) => {
    const i = Math.floor(at / m), j = at % m;
    const one = (i: number, j: number) =>
      b[i].reduce((s, v, c) => s + v / rows[i] * b[j][c] / cols[c], 0);
    const want = i === j ? 0 : (one(i, j) + one(j, i)) / 2;
    assert.ok(Math.abs(value - want) < 1e-5, `${i},${j}: ${value}, ${want}`);
  });
  const { nodes } = clusters(200, 12, 3);
  for (const preset of [{ ...ncutPresets.paper, nIndirect: 5 }, ncutPresets.fast]) {
    const run = () => new Ncut(gpu, { ...preset, nEig: 4, makeOrthogonal: true }).fit(nodes);
    using cut = await run();
    using again = await run();
    assert.deepEqual(again.eigvec.data, cut.eigvec.data);
    assert.ok(Math.abs(cut.eigval[0] - 1) < 1e-5);
    const gram = new Float64Array(16);
    addProducts(gram, cut.eigvec.data, 4);
    for (let i = 0; i < 4; i++) assert.ok(Math.abs(gram[5 * i] - 1) < 1e-5);
  }
});

Deno.test("close the device", () => {
  assert.equal(gpu.liveBytes, 0);
  gpu[Symbol.dispose]();
});
