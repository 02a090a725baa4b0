/**
 * PCA, SVD, k-means, t-SNE, Fourier transforms and statistics against the golden scikit-learn and scipy outputs.
 */
import assert from "node:assert/strict";
import { irfft2, normal, randomKey, readAll, rfft2, Tensor } from "../../mod.ts";
import { type HostMatrix, hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { correlationScore } from "../../pipelines/encoding/scoring.ts";
import { tsneAffinities, tsneDescend, tsneGradient } from "../../pipelines/spectral/tsne.ts";
import { rankColumns, spearman, zscore } from "../../pipelines/stats/columns.ts";
import { bhFdr } from "../../pipelines/stats/fdr.ts";
import { kMeans } from "../../pipelines/stats/kmeans.ts";
import { fitPca } from "../../pipelines/stats/pca.ts";
import { pinvHost, svdHost } from "../../pipelines/stats/svd.ts";
import { openTestGpu } from "../_gpu.ts";
import { GoldenFile } from "../golden_file.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

function relative(got: ArrayLike<number>, want: ArrayLike<number>): number {
  assert.equal(got.length, want.length);
  let error = 0, size = 0;
  for (let i = 0; i < want.length; i++) {
    error += (got[i] - want[i]) ** 2;
    size += want[i] ** 2;
  }
  return Math.sqrt(error / size);
}

function assertWithin(error: number, tolerance: number, what: string): void {
  assert(error <= tolerance, `${what}: error ${error.toExponential(2)} above ${tolerance}`);
}

function matrixOf(file: GoldenFile, name: string): HostMatrix {
  const { data, shape } = file.f32(name);
  return hostMatrix(data, [shape[0], shape[1] ?? 1]);
}

// Tolerances without a reason of their own are those that the golden data state: 1e-5 for values, 1e-4 for vectors.

Deno.test("golden: fitPca() on tall samples", () => {
  const file = new GoldenFile("pca");
  const x = matrixOf(file, "in.X");
  const pca = fitPca(x, 10);
  assertWithin(relative(pca.mean, file.f32("mean").data), 1e-5, "mean");
  assertWithin(relative(pca.components, file.f32("components").data), 1e-4, "components");
  const names = ["explained_variance", "explained_variance_ratio", "singular_values"];
  const got = [pca.explainedVariance, pca.explainedVarianceRatio, pca.singularValues];
  names.forEach((name, i) => assertWithin(relative(got[i], file.f32(name).data), 1e-5, name));
  const z = pca.transform(x);
  assertWithin(relative(z.data, file.f32("transform").data), 1e-4, "transform");
  const white = pca.transform(x, { whiten: true });
  assertWithin(relative(white.data, file.f32("whiten_transform").data), 1e-4, "whitened");
  const back = pca.inverseTransform(hostMatrix(z.data.slice(0, 50), [5, 10]));
  assertWithin(relative(back.data, file.f32("inverse_transform_first5").data), 1e-4, "inverse");
  assert.throws(() => fitPca(x, 49), { name: "InputError", message: /from 1 to 48/ });
});

Deno.test("golden: fitPca() on wide samples", () => {
  const file = new GoldenFile("pca");
  const x = matrixOf(file, "in.Xwide");
  const pca = fitPca(x, 8);
  assertWithin(relative(pca.components, file.f32("wide.components").data), 1e-4, "components");
  const names = ["explained_variance", "explained_variance_ratio", "singular_values"];
  const got = [pca.explainedVariance, pca.explainedVarianceRatio, pca.singularValues];
  names.forEach((name, i) =>
    assertWithin(relative(got[i], file.f32(`wide.${name}`).data), 1e-5, name)
  );
  assertWithin(relative(pca.transform(x).data, file.f32("wide.transform").data), 1e-4, "transform");
});

Deno.test("golden: svdHost() and pinvHost()", () => {
  const file = new GoldenFile("svd");
  const a = new GoldenFile("qr").f32("a").data;
  const { u, s, vt } = svdHost(a, [200, 64]);
  assertWithin(relative(s, file.f32("s").data), 1e-5, "s");
  const wantU = file.f32("u").data, wantVt = file.f32("vt").data;
  for (let c = 0; c < 64; c++) {
    // Up to one sign for both sides.
    const sign = Math.sign(vt[c * 64] * wantVt[c * 64]);
    const left = Array.from({ length: 200 }, (_, r) => sign * u[r * 64 + c]);
    const wantLeft = Array.from({ length: 200 }, (_, r) => wantU[r * 64 + c]);
    assertWithin(relative(left, wantLeft), 1e-4, `u ${c}`);
    const right = vt.slice(c * 64, c * 64 + 64).map((value) => sign * value);
    assertWithin(relative(right, wantVt.slice(c * 64, c * 64 + 64)), 1e-4, `vt ${c}`);
  }
  assertWithin(relative(pinvHost(a, [200, 64]), file.f32("pinv").data), 1e-4, "pinv");
  const wide = svdHost([3, 0, 0, 0, 4, 0], [2, 3]);
  assert.deepEqual([wide.u.length, [...wide.s], wide.vt.length], [4, [4, 3], 6]);
});

Deno.test("golden: kMeans() from given centres", async () => {
  const file = new GoldenFile("kmeans");
  const x = matrixOf(file, "in.X"), init = matrixOf(file, "in.init");
  for (const iterations of [1, 2, 5, 300]) {
    const found = await kMeans(gpu, x, init, { iterations });
    const centers = file.f32(`centers_it${iterations}`).data;
    assertWithin(relative(found.centers.data, centers), 1e-5, `centres ${iterations}`);
    assert.deepEqual([...found.labels], [...file.i32(`labels_it${iterations}`).data]);
    const inertia = file.f32(`inertia_it${iterations}`).data[0];
    assertWithin(Math.abs(found.inertia / inertia - 1), 1e-5, `inertia ${iterations}`);
    assert.equal(found.iterations, Math.min(iterations, 5));
  }
});

Deno.test("kMeans() fills an empty cluster with the furthest sample", async () => {
  const x = hostMatrix([0, 1, 10, 11, 30], [5, 1]);
  const init = hostMatrix([0, 1000, 10], [3, 1]);
  const found = await kMeans(gpu, x, init);
  assert.deepEqual([...found.labels], [0, 0, 2, 2, 1]);
  assert.deepEqual([...found.centers.data], [0.5, 30, 10.5]);
  await assert.rejects(kMeans(gpu, x, hostMatrix([1, 2], [1, 2])), { name: "InputError" });
});

const tsne = new GoldenFile("tsne");
const points = matrixOf(tsne, "in.X");
const probabilities = (perplexity: number) => tsneAffinities(points, { perplexity });
const embedding = (name: string) => Float64Array.from(tsne.f32(name).data);

for (const perplexity of [10, 30]) {
  Deno.test(`golden: t-SNE's probabilities, divergence and gradient at perplexity ${perplexity}`, () => {
    const p = probabilities(perplexity);
    const upper = p.filter((_, at) => at % 150 > Math.floor(at / 150));
    assertWithin(relative(upper, tsne.f32(`P.perp${perplexity}`).data), 1e-4, "P");
    for (const place of ["init", "unit", "spread"]) {
      const name = `perp${perplexity}.${place}`;
      const { kl, gradient } = tsneGradient(p, embedding(`${name}.Y`), 150);
      assertWithin(Math.abs(kl / tsne.f32(`${name}.kl`).data[0] - 1), 1e-5, `${name} kl`);
      const want = tsne.f32(`${name}.grad`).data;
      if (place !== "init") assertWithin(relative(gradient, want), 1e-4, `${name} gradient`);
      else want.forEach((g, i) => assertWithin(Math.abs(gradient[i] - g), 1e-8, `${name} ${i}`));
    }
  });
}

Deno.test("golden: t-SNE descends as scikit-learn for 20 steps, and as well for 500", () => {
  const p = probabilities(30);
  const start = embedding("descent.Y0");
  const options = { momentum: 0.5, learningRate: 50 };
  for (const iterations of [1, 5, 20, 50]) {
    const y = tsneDescend(p, start, 150, { ...options, iterations });
    assertWithin(relative(y, tsne.f32(`descent.Y${iterations}`).data), 1e-3, `Y${iterations}`);
  }
  const strong = p.map((value) => 12 * value);
  const early = tsneDescend(strong, start, 150, { ...options, iterations: 20 });
  assertWithin(relative(early, tsne.f32("descent_exag12.Y20").data), 1e-3, "exaggerated");
  // The long run is chaotic: only how good it is can be compared.
  const want = tsne.f32("full500.kl").data[0];
  const theirs = tsneGradient(p, embedding("full500.Y"), 150).kl;
  // scikit-learn reports the divergence before its last step, which then gains about 1e-4 of it.
  assertWithin(Math.abs(theirs / want - 1), 1e-3, "divergence of the golden embedding");
  const middle = tsneDescend(strong, start, 150, { ...options, iterations: 250 });
  const end = tsneDescend(p, middle, 150, { momentum: 0.8, learningRate: 50, iterations: 250 });
  const { kl } = tsneGradient(p, end, 150);
  assert(kl < 1.1 * want, `${kl} against ${want}`);
  assert.throws(() => tsneAffinities(points, { perplexity: 150 }), { name: "InputError" });
});

Deno.test("golden: rfft2(), and irfft2() goes back", async () => {
  const file = new GoldenFile("fft_stats");
  using x = Tensor.from(gpu, file.f32("fft.in.x").data, [48, 60]);
  const spectrum = rfft2(x);
  using back = irfft2(spectrum, 60);
  const [re, im, again] = await readAll([spectrum.re, spectrum.im, back]);
  assert.deepEqual(spectrum.re.shape, [48, 31]);
  assertWithin(relative(re, file.f32("fft.rfft2_real").data), 1e-5, "real part");
  assertWithin(relative(im, file.f32("fft.rfft2_imag").data), 1e-5, "imaginary part");
  assertWithin(relative(again, file.f32("fft.in.x").data), 1e-6, "there and back");
  spectrum.re.dispose();
  spectrum.im.dispose();
});

Deno.test("irfft2() inverts odd widths and batches, with either norm", async () => {
  const values = normal(randomKey(3), 2 * 5 * 7);
  using x = Tensor.from(gpu, values, [2, 5, 7]);
  for (const norm of ["backward", "ortho"] as const) {
    const { re, im } = rfft2(x, { norm });
    using back = irfft2({ re, im }, 7, { norm });
    const [r, i, again] = await readAll([re, im, back]);
    assertWithin(relative(again, values), 1e-6, norm);
    // Parseval: columns but the first count twice.
    let energy = 0;
    for (let at = 0; at < r.length; at++) {
      energy += (at % 4 === 0 ? 1 : 2) * (r[at] ** 2 + i[at] ** 2);
    }
    const squares = values.reduce((sum, v) => sum + v * v, 0);
    const scale = norm === "ortho" ? 1 : 35;
    assertWithin(Math.abs(energy / (scale * squares) - 1), 1e-5, `Parseval ${norm}`);
    assert.throws(() => irfft2({ re, im }, 8), { name: "ShapeError", message: /5 columns/ });
    re.dispose();
    im.dispose();
  }
});

Deno.test("golden: z-scores, correlations and q-values", () => {
  const file = new GoldenFile("fft_stats");
  const a = matrixOf(file, "stats.in.a"), b = matrixOf(file, "stats.in.b");
  assertWithin(relative(zscore(a).data, file.f32("stats.zscore_a").data), 1e-6, "z-scores");
  assertWithin(relative(correlationScore(a, b), file.f32("stats.pearson").data), 1e-5, "Pearson");
  assertWithin(relative(spearman(a, b), file.f32("stats.spearman").data), 1e-5, "Spearman");
  const q = bhFdr(file.f32("stats.in.p").data);
  assertWithin(relative(q, file.f32("stats.bh_fdr_qvalues").data), 1e-6, "q-values");
  assert.throws(() => bhFdr([0.5, NaN]), { name: "InputError", message: /NaN at 1/ });
  const ties = rankColumns(hostMatrix([3, 1, 3, 2, 3], [5, 1]));
  assert.deepEqual([...ties.data], [4, 1, 4, 2, 4]);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
