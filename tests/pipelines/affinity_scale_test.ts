/**
 * The scales of affinities that ncut_pytorch v1 and v3 search for, against golden values of that package.
 */
import assert from "node:assert/strict";
import {
  affinityMatrix,
  farthestRows,
  findGamma,
  findSigma,
  mean,
  normal,
  randomKey,
  rbfOfGamma,
  Tensor,
  tidy,
} from "../../mod.ts";
import { openTestGpu } from "../_gpu.ts";
import { GoldenFile, maxDifference } from "../golden_file.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const images = new GoldenFile("ncut_images_x").f32("in.images.X");
const golden = new GoldenFile("ncut_images");
const nodes = () => Tensor.from(gpu, images.data, [768, 64]);

Deno.test("golden: affinityMatrix() is rbf_affinity and cosine_affinity of v3, and those of v1", async () => {
  using x = Tensor.from(gpu, golden.f32("piece.in.x").data, [64, 64]);
  using y = Tensor.from(gpu, golden.f32("piece.in.y").data, [32, 64]);
  using rbf = affinityMatrix(x, y, { kind: "rbf", sigma: 6 });
  using cosine = affinityMatrix(x, y, { kind: "squared-cosine", sigma: 0.5 });
  // The stored values are f32 of f32 inputs: exponents of a few, of terms of about 100 in 2·6².
  assert(maxDifference(await rbf.data(), golden.f32("piece.rbf_sigma2").data) < 2e-6);
  assert(maxDifference(await cosine.data(), golden.f32("piece.cosine_sigma0.5").data) < 2e-6);
  using all = nodes();
  const kinds = {
    v1rbf: await rbfOfGamma(all, 0.3),
    v1cosine: { kind: "cosine", gamma: 0.3 },
    v1euclidean: { kind: "euclidean", gamma: 4 },
  } as const;
  for (const [name, kind] of Object.entries(kinds)) {
    using a = affinityMatrix(all, all, kind);
    const values = await a.data();
    const corner = Float32Array.from({ length: 64 }, (_, at) => {
      return values[Math.floor(at / 8) * 768 + at % 8];
    });
    const want = golden.f32(`exact.images.${name}.affinity_8x8`).data;
    assert(maxDifference(corner, want) < 3e-6, name);
  }
});

Deno.test("golden: findSigma() finds the sigmas of v3", async () => {
  using all = nodes();
  assert.equal(await findSigma(all), golden.f32("in.images.sigma").data[0]);
  using first = tidy(gpu, () => all.alias([256, 64]));
  assert.equal(await findSigma(first), golden.f32("piece.find_sigma_images256").data[0]);
});

Deno.test("golden: findGamma() finds the gammas of v1 for a degree of 0.05", async () => {
  using all = nodes();
  for (const [kind, want] of [["rbf", 0.09765625], ["cosine", 0.0703125]] as const) {
    const gamma = await findGamma(all, kind);
    assert.equal(gamma, want, kind);
    const affinity = kind === "rbf" ? await rbfOfGamma(all, gamma) : { kind, gamma } as const;
    using average = tidy(gpu, () => mean(affinityMatrix(all, all, affinity)));
    assert(Math.abs(await average.item() - 0.05) < 5.01e-4, kind);
  }
});

Deno.test("findGamma() and findSigma() sample large graphs and refuse what has no scale", async () => {
  using x = Tensor.from(gpu, normal(randomKey(0), 300 * 8), [300, 8]);
  const sample = (x: Tensor, count: number) => {
    assert.deepEqual([x.shape, count], [[300, 8], 50]);
    return Promise.resolve(Array.from({ length: count }, (_, i) => 6 * i));
  };
  const gamma = await findGamma(x, "euclidean", { degree: 0.1, nSample: 50, sample });
  using some = Tensor.from(
    gpu,
    Float32Array.from((await x.data()).filter((_, at) => Math.floor(at / 8) % 6 === 0)),
    [50, 8],
  );
  using average = tidy(gpu, () => mean(affinityMatrix(some, some, { kind: "euclidean", gamma })));
  assert(Math.abs(await average.item() - 0.1) < 1.01e-3);
  const sigma = await findSigma(x, "squared-cosine", { nSample: 100 });
  assert(sigma > 0);
  const refused = (message: RegExp) => ({ name: "InputError", message });
  await assert.rejects(findGamma(x, "rbf", { degree: 1e-3 }), refused(/mean affinity 0.001/));
  await assert.rejects(findGamma(x, "rbf", { degree: 1 }), refused(/between 0 and 1/));
  await assert.rejects(findSigma(x, "rbf", { quantile: 0 }), refused(/between 0 and 1/));
  using one = Tensor.from(gpu, [1, 2], [1, 2]);
  await assert.rejects(findSigma(one), refused(/two or more/));
  using equal = Tensor.from(gpu, [1, 2, 1, 2], [2, 2]);
  await assert.rejects(findGamma(equal, "rbf"), refused(/all equal/));
});

Deno.test("farthestRows() takes the furthest row each time, and each duplicate once", () => {
  const picks = farthestRows([0, 10, 4, 10, 4.9], [5, 1], 5);
  assert.deepEqual(Array.from(picks), [0, 1, 4, 2, 3]);
  assert.throws(() => farthestRows([0, 1], [2, 1], 3), { name: "InputError" });
});
