import assert from "node:assert/strict";
import { normal, randomKey, readAll, Tensor } from "../../mod.ts";
import { type HostMatrix, hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { tsneAffinities, tsneDescend, tsneGradient } from "../../pipelines/spectral/tsne.ts";
import { tsne, tsneProbabilities } from "../../pipelines/spectral/tsne_device.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const key = randomKey(71);
const [n, width, nClusters] = [130, 6, 5];

/** Points about five centres, in turn. */
function clustered(seed: number, count = n): HostMatrix {
  const centres = normal(randomKey(seed), nClusters * width);
  const noise = normal(randomKey(seed + 1), count * width);
  const data = noise.map((value, at) => {
    const cluster = Math.floor(at / width) % nClusters;
    return 3 * centres[cluster * width + at % width] + 0.5 * value;
  });
  return hostMatrix(data, [count, width]);
}

const points = clustered(72);
const start = (dim: 2 | 3, scale: number) =>
  hostMatrix(normal(randomKey(73), n * dim).map((value) => scale * value), [n, dim]);

function relative(got: ArrayLike<number>, want: ArrayLike<number>): number {
  assert.equal(got.length, want.length);
  let error = 0, size = 0;
  for (let i = 0; i < want.length; i++) {
    error += (got[i] - want[i]) ** 2;
    size += want[i] ** 2;
  }
  return Math.sqrt(error / size);
}

for (const metric of ["euclidean", "cosine"] as const) {
  Deno.test(`tsneProbabilities() are the host's in float64, in one panel and in three (${metric})`, async () => {
    const options = { perplexity: 20, metric };
    const want = tsneAffinities(points, options);
    using whole = tsneProbabilities(gpu, points, options);
    using parts = tsneProbabilities(gpu, points, { ...options, panelBytes: 64 * 4 * n });
    assert.deepEqual([whole.panels.length, parts.panels.length], [1, 3]);
    const got = await whole.data();
    assert.deepEqual(await parts.data(), got);
    // Both searches end within 1e-5 of the entropy, which is 1e-5 of a precision and a few 1e-5 of a probability.
    assert(relative(got, want) < 1e-4, `${relative(got, want)}`);
    let total = 0;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        total += got[i * n + j];
        assert.equal(got[i * n + j] === 0, i === j);
        const other = got[j * n + i];
        assert(Math.abs(got[i * n + j] - other) <= 2e-6 * other, `${i}, ${j}`);
      }
    }
    assert(Math.abs(total - 1) < 1e-5, `${total}`);
  });
}

Deno.test("tsneGradient() with the exact convention is the slope of the divergence in 2-D and 3-D", () => {
  const p = tsneAffinities(points, { perplexity: 20 });
  for (const dim of [2, 3] as const) {
    const y = Float64Array.from(start(dim, 1).data);
    const direction = Float64Array.from(normal(randomKey(74), n * dim));
    const at = (h: number) => tsneGradient(p, y.map((value, i) => value + h * direction[i]), n).kl;
    const slope = (at(1e-5) - at(-1e-5)) / 2e-5;
    const along = (convention: "exact" | "scikit-learn") =>
      tsneGradient(p, y, n, { convention }).gradient.reduce((s, g, i) => s + g * direction[i], 0);
    // Central differences: O(h²) = 1e-10, and rounding of the divergence, 1e-16 / 1e-5.
    assert(Math.abs(along("exact") / slope - 1) < 1e-7, `${dim}: ${along("exact")} ${slope}`);
    const differs = Math.abs(along("scikit-learn") / slope - 1) > 0.01;
    assert.equal(differs, dim === 3, "scikit-learn's is the slope in two dimensions only");
  }
});

for (const dim of [2, 3] as const) {
  for (const convention of ["scikit-learn", "exact"] as const) {
    Deno.test(`tsne() follows the ${convention} descent in float64 in ${dim}-D`, async () => {
      const p = tsneAffinities(points, { perplexity: 20 });
      using device = tsneProbabilities(gpu, points, { perplexity: 20 });
      const y = start(dim, 1);
      {
        using place = Tensor.from(gpu, y.data, y.shape);
        using forces = device.forces(place, { divergence: true, convention });
        const [rows] = await readAll([forces]);
        const { kl, gradient } = tsneGradient(p, Float64Array.from(y.data), n, { convention });
        let [total, divergence] = [0, 0];
        for (let i = 0; i < n; i++) {
          [total, divergence] = [total + rows[8 * i + 3], divergence + rows[8 * i + 7]];
        }
        const dof = dim - 1;
        const got = gradient.map((_, at) => {
          const i = 8 * Math.floor(at / dim) + at % dim;
          return 2 * (dof + 1) / dof * (rows[i] - rows[i + 4] / total);
        });
        // The probabilities' 1e-4 and sums of 130 terms of both signs.
        assert(relative(got, gradient) < 3e-4, `gradient ${relative(got, gradient)}`);
        assert(Math.abs(divergence + Math.log(total) - kl) < 1e-4 * kl);
      }
      // A descent magnifies differences, so steps are few, and fewer where probabilities are exaggerated.
      for (const [iterations, strong] of [[1, 1], [15, 1], [5, 12]]) {
        const settings = { iterations, learningRate: 20, convention };
        const momentum = strong === 12 ? 0.5 : 0.8;
        const want = tsneDescend(
          p.map((value) => strong * value),
          Float64Array.from(y.data),
          n,
          { ...settings, momentum },
        );
        const { embedding, iterations: taken } = await tsne(gpu, points, {
          ...settings,
          ...{ key, nComponents: dim, perplexity: 20, init: y },
          earlyExaggeration: strong,
          exaggerationIterations: strong === 12 ? 250 : 0,
        });
        const error = relative(embedding.data, want);
        assert(error < 1e-3, `${iterations} steps at ${strong}: ${error}`);
        assert.equal(taken, iterations);
      }
    });
  }
}

/** Share of points whose nearest neighbour in the embedding is of their cluster. */
function purity({ data, shape: [count, dim] }: HostMatrix): number {
  let right = 0;
  for (let i = 0; i < count; i++) {
    let [best, nearest] = [Infinity, -1];
    for (let j = 0; j < count; j++) {
      let d = 0;
      for (let c = 0; c < dim; c++) d += (data[i * dim + c] - data[j * dim + c]) ** 2;
      if (j !== i && d < best) [best, nearest] = [d, j];
    }
    right += Number(nearest % nClusters === i % nClusters);
  }
  return right / count;
}

Deno.test("tsne() separates planted clusters, lowers the divergence, and repeats its bits", async () => {
  for (const nComponents of [2, 3] as const) {
    const options = { key, nComponents, perplexity: 20, iterations: 400 };
    const seen: number[] = [];
    const result = await tsne(gpu, points, {
      ...options,
      onProgress: ({ done }) => seen.push(done),
    });
    assert.deepEqual(seen, [50, 100, 150, 200, 250, 300, 350, 400]);
    assert.equal(purity(result.embedding), 1);
    const { history, kl, embedding } = result;
    if (nComponents === 3) {
      const theirs = await tsne(gpu, points, { ...options, convention: "scikit-learn" });
      assert(kl < theirs.kl / 2, `${kl} ${theirs.kl}: their gradient is not the divergence's`);
    }
    assert(kl <= history.at(-1)! + 1e-4 && kl < history[0], `${history} ${kl}`);
    const host = tsneGradient(
      tsneAffinities(points, { perplexity: 20 }),
      Float64Array.from(embedding.data),
      n,
    );
    assert(Math.abs(host.kl - kl) < 1e-3 * kl, `${host.kl} ${kl}`);
    assert.deepEqual((await tsne(gpu, points, options)).embedding, embedding);
  }
});

Deno.test("tsne() keeps duplicates together, starts at random where asked, and stops where nothing moves", async () => {
  const twice = hostMatrix(
    points.data.map((_, at) => points.data[Math.floor(at / width / 4) * 4 * width + at % width]),
    points.shape,
  );
  const options = { key, perplexity: 10, iterations: 100 };
  const { embedding, kl } = await tsne(gpu, twice, options);
  assert(Number.isFinite(kl) && embedding.data.every(Number.isFinite));
  assert.deepEqual(embedding.data.slice(0, 2), embedding.data.slice(2, 4));
  const other = await tsne(gpu, points, { ...options, init: "random", iterations: 0 });
  assert.deepEqual(other.embedding.data, normal(key, 2 * n).map((value) => 1e-4 * value));
  const pair = await tsne(gpu, hostMatrix([0, 0, 1, 1], [2, 2]), { key, perplexity: 1 });
  assert(pair.iterations < 1000, "two points are soon where they belong");
});

Deno.test("tsne() refuses what it cannot embed", async () => {
  const refused = async (samples: HostMatrix, more: object, message: RegExp) => {
    await assert.rejects(tsne(gpu, samples, { key, ...more }), { name: "InputError", message });
  };
  await refused(points, { perplexity: n }, /perplexity be from 1/);
  await refused(hostMatrix([1], [1, 1]), { perplexity: 1 }, /from 2 to 10000 points/);
  await refused(hostMatrix([1, NaN, 2], [3, 1]), { perplexity: 2 }, /value 1 .* is NaN/);
  const zero = hostMatrix([1, 1, 0, 0, 2, 1], [3, 2]);
  await refused(zero, { perplexity: 2, metric: "cosine" }, /row 1 .* no direction/);
  await refused(points, { init: zero }, /must be \[130,2\]/);
  await refused(points, { nComponents: 1 }, /in 1 dimensions/);
  await refused(points, { iterations: -1 }, /whole number from 0/);
  const stopped = tsne(gpu, points, { key, signal: AbortSignal.abort("stop") });
  await assert.rejects(stopped, (reason) => reason === "stop");
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
