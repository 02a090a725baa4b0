/**
 * Affinities of nodes, their gradients, and the gradient through the leading eigenvectors of a graph, against float64 on the host.
 */
import assert from "node:assert/strict";
import {
  add,
  type Affinity,
  affinityMatrix,
  eigenbases,
  eigenProjectors,
  eighHost,
  flattenNodes,
  looksChannelFirst,
  mul,
  normal,
  normalizedAffinity,
  randomKey,
  requireNodes,
  spanOverlap,
  squaredDistances,
  sum,
  Tape,
  Tensor,
  tidy,
} from "../../mod.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

function assertWithin(error: number, tolerance: number, what: string): void {
  assert(error <= tolerance, `${what}: error ${error.toExponential(2)} above ${tolerance}`);
}

function difference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  assert.equal(a.length, b.length);
  return Array.from(a).reduce((worst, v, i) => {
    const d = Math.abs(v - b[i]);
    return d <= worst ? worst : d;
  }, 0);
}

type BuiltIn = Exclude<Affinity, { kind: "custom" }>;

/** One affinity in float64. */
function affinityOf(x: ArrayLike<number>, y: ArrayLike<number>, affinity: BuiltIn): number {
  let square = 0, product = 0, xx = 0, yy = 0;
  for (let j = 0; j < x.length; j++) {
    square += (x[j] - y[j]) ** 2;
    product += x[j] * y[j];
    xx += x[j] ** 2;
    yy += y[j] ** 2;
  }
  const off = 1 - product / Math.sqrt(xx * yy);
  if (affinity.kind === "cosine") return Math.exp(-off / affinity.gamma);
  if (affinity.kind === "rbf") return Math.exp(-square / 2 / affinity.sigma ** 2);
  if (affinity.kind === "euclidean") return Math.exp(-Math.sqrt(square) / affinity.gamma);
  return Math.exp(-(off ** 2) / 2 / affinity.sigma ** 2) + 1e-3;
}

function affinities(
  x: ArrayLike<number>,
  y: ArrayLike<number>,
  d: number,
  affinity: BuiltIn,
): Float64Array<ArrayBuffer> {
  const n = x.length / d, m = y.length / d;
  const row = (values: ArrayLike<number>, i: number) =>
    Array.from({ length: d }, (_, j) => values[i * d + j]);
  return Float64Array.from({ length: n * m }, (_, at) => {
    return affinityOf(row(x, Math.floor(at / m)), row(y, at % m), affinity);
  });
}

const kinds: readonly BuiltIn[] = [
  { kind: "cosine", gamma: 0.5 },
  { kind: "rbf", sigma: 3 },
  { kind: "euclidean", gamma: 4 },
  { kind: "squared-cosine", sigma: 0.5 },
];

Deno.test("affinityMatrix() is the formula of each kind, between and within nodes", async () => {
  const d = 24, x = normal(randomKey(1), 37 * d), y = normal(randomKey(2), 19 * d);
  using a = Tensor.from(gpu, x, [37, d]);
  using b = Tensor.from(gpu, y, [19, d]);
  for (const kind of kinds) {
    using between = affinityMatrix(a, b, kind);
    assert.deepEqual(between.shape, [37, 19]);
    // Exponents of up to 8 whose terms are some 50: eps·√24·100/(2·9) = 2e-6, times the affinity.
    assertWithin(difference(await between.data(), affinities(x, y, d, kind)), 4e-6, kind.kind);
    using within = affinityMatrix(a, a, kind);
    const values = await within.data();
    assertWithin(difference(values, affinities(x, x, d, kind)), 4e-6, `${kind.kind}, within`);
    for (let i = 0; i < 37; i++) {
      assert.equal(values[i * 38], kind.kind === "squared-cosine" ? Math.fround(1.001) : 1);
      for (let j = 0; j < i; j++) assert.equal(values[i * 37 + j], values[j * 37 + i]);
    }
  }
});

Deno.test("affinityMatrix() keeps near distances apart under a large common offset", async () => {
  // Rows that differ by 10⁻² around 100·(1, …, 1): without centring, ‖x‖² = 64·10⁴ leaves an error of 0.04 in d² = 0.0128.
  const d = 64, n = 12;
  const x = normal(randomKey(3), n * d).map((v) => 100 + 0.01 * v);
  using a = Tensor.from(gpu, x, [n, d]);
  using b = Tensor.from(gpu, x, [n, d]);
  const kind = { kind: "rbf", sigma: 0.1 } as const;
  const stored = Float32Array.from(x);
  for (const other of [a, b]) {
    using got = affinityMatrix(a, other, kind);
    // The mean row is rounded to eps·100 = 6e-6, the same for all rows; their distances are exact, their squares to eps·√64.
    assertWithin(difference(await got.data(), affinities(stored, stored, d, kind)), 1e-5, "offset");
  }
});

Deno.test("squaredDistances() of equal rows is 0 within one tensor", async () => {
  const x = normal(randomKey(4), 10 * 33);
  const twice = new Float32Array(20 * 33);
  twice.set(x);
  twice.set(x, 10 * 33);
  using a = Tensor.from(gpu, twice, [20, 33]);
  using distances = squaredDistances(a, a);
  const values = await distances.data();
  for (let i = 0; i < 20; i++) {
    assert.equal(values[i * 20 + i], 0);
    assert.equal(values[i * 20 + (i + 10) % 20], 0);
  }
});

Deno.test("affinityMatrix() differentiates every kind by both nodes, batched too", async () => {
  const d = 6, n = 7, m = 5;
  const x = normal(randomKey(5), 2 * n * d), y = normal(randomKey(6), 2 * m * d);
  const g = normal(randomKey(7), 2 * n * m), gSelf = normal(randomKey(8), 2 * n * n);
  const direction = normal(randomKey(9), 2 * (n + m) * d);
  const loss = (kind: BuiltIn, t: number) => {
    const xs = Float64Array.from(x, (v, i) => v + t * direction[i]);
    const ys = Float64Array.from(y, (v, i) => v + t * direction[2 * n * d + i]);
    let total = 0;
    for (let b = 0; b < 2; b++) {
      const own = xs.slice(b * n * d, (b + 1) * n * d);
      const between = affinities(own, ys.slice(b * m * d, (b + 1) * m * d), d, kind);
      const within = affinities(own, own, d, kind);
      between.forEach((v, i) => total += v * g[b * n * m + i]);
      within.forEach((v, i) => total += v * gSelf[b * n * n + i]);
    }
    return total;
  };
  for (const kind of kinds) {
    using tape = new Tape();
    using a0 = Tensor.from(gpu, x, [2, n, d]);
    using b0 = Tensor.from(gpu, y, [2, m, d]);
    using a = tape.watch(a0);
    using b = tape.watch(b0);
    using total = tidy(gpu, () => {
      const between = mul(affinityMatrix(a, b, kind), Tensor.from(gpu, g, [2, n, m]));
      const within = mul(affinityMatrix(a, a, kind), Tensor.from(gpu, gSelf, [2, n, n]));
      return add(sum(between), sum(within));
    });
    const [dx, dy] = tape.gradient(total, [a, b]);
    let got = 0;
    (await dx.data()).forEach((v, i) => got += v * direction[i]);
    (await dy.data()).forEach((v, i) => got += v * direction[2 * n * d + i]);
    dx.dispose();
    dy.dispose();
    const h = 1e-5;
    const want = (loss(kind, h) - loss(kind, -h)) / (2 * h);
    // f32 sums of about 100 terms of size 1: 1e-5 of their size.
    assertWithin(Math.abs(got - want), 1e-4, kind.kind);
  }
});

/** ‖P_k(S(A(x))) − target‖² summed over k, in float64. */
function projectorLoss(
  x: ArrayLike<number>,
  [n, d]: readonly [number, number],
  kind: BuiltIn,
  { ks, weights }: { ks: readonly number[]; weights: ArrayLike<number> },
): number {
  const a = affinities(x, x, d, kind);
  const degree = new Float64Array(n);
  a.forEach((v, at) => degree[Math.floor(at / n)] += v);
  return weighted(a.map((v, at) => v / Math.sqrt(degree[Math.floor(at / n)] * degree[at % n])), n, {
    ks,
    weights,
  });
}

/** Σₖ ⟨weights, P_k(s)⟩ in float64. */
function weighted(
  s: Float64Array,
  n: number,
  { ks, weights }: { ks: readonly number[]; weights: ArrayLike<number> },
): number {
  const { vectors } = eighHost(s, n); // ascending
  let total = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let p = 0;
      for (const k of ks) {
        for (let c = n - k; c < n; c++) p += vectors[i * n + c] * vectors[j * n + c];
      }
      total += weights[i * n + j] * p;
    }
  }
  return total;
}

/** Rows around three centres, so that the third gap is wide. */
function grouped(key: number, [n, d]: readonly [number, number]): Float64Array {
  const noise = normal(randomKey(key), n * d), centers = normal(randomKey(key + 1), 3 * d);
  return Float64Array.from(noise, (v, at) => {
    return 2 * centers[Math.floor(at / d) % 3 * d + at % d] + 0.7 * v;
  });
}

Deno.test("eigenbases() have the gradient of a projector, against differences in float64", async () => {
  const n = 40, ks = [2, 5], batch = 2;
  const weights = normal(randomKey(20), n * n);
  const s = Array.from({ length: batch }, (_, b) => {
    const a = normal(randomKey(21 + b), n * n);
    return Float64Array.from(a, (v, at) => {
      const mirrored = a[at % n * n + Math.floor(at / n)];
      return Math.fround(v + mirrored); // the tensor holds the same values
    });
  });
  using stored = Tensor.from(gpu, Float32Array.from(s.flatMap((v) => Array.from(v))), [
    batch,
    n,
    n,
  ]);
  using tape = new Tape();
  using watched = tape.watch(stored);
  const projectors = await eigenProjectors(watched, ks);
  using total = tidy(gpu, () => {
    const w = Tensor.from(gpu, weights, [n, n]);
    return add(sum(mul(projectors[0], w)), sum(mul(projectors[1], w)));
  });
  const [gradient] = tape.gradient(total, [watched]);
  const got = await gradient.data();
  const step = normal(randomKey(30), n * n);
  for (let b = 0; b < batch; b++) {
    const moved = (t: number) =>
      s[b].map((v, at) => v + t * (step[at] + step[at % n * n + Math.floor(at / n)]));
    const h = 1e-5;
    const want =
      (weighted(moved(h), n, { ks, weights }) - weighted(moved(-h), n, { ks, weights })) /
      (2 * h);
    let along = 0, size = 0;
    step.forEach((v, at) => {
      along += got[b * n * n + at] * (v + step[at % n * n + Math.floor(at / n)]);
      size += Math.abs(got[b * n * n + at] * v);
    });
    // Both sides are sums of n² terms of either sign; f32 products of length n leave eps·√n·few of the size of the terms.
    assertWithin(Math.abs(along - want) / size, 2e-6, `matrix ${b}`);
  }
  [gradient, ...projectors].forEach((t) => t.dispose());
});

Deno.test("gradients flow from a projector through the cut to the features, within 1e-3", async () => {
  const n = 48, d = 10, ks = [3, 6];
  const x = Float32Array.from(grouped(40, [n, d]));
  const weights = normal(randomKey(42), n * n), step = normal(randomKey(43), n * d);
  for (const kind of [{ kind: "cosine", gamma: 0.5 }, { kind: "rbf", sigma: 4 }] as const) {
    using stored = Tensor.from(gpu, x, [n, d]);
    using tape = new Tape();
    using watched = tape.watch(stored);
    using s = tidy(gpu, () => normalizedAffinity(affinityMatrix(watched, watched, kind)));
    const projectors = await eigenProjectors(s, ks);
    using total = tidy(gpu, () => {
      const w = Tensor.from(gpu, weights, [n, n]);
      return add(sum(mul(projectors[0], w)), sum(mul(projectors[1], w)));
    });
    const [gradient] = tape.gradient(total, [watched]);
    const got = await gradient.data();
    const along = step.reduce((t, v, i) => t + v * got[i], 0);
    const h = 1e-5;
    const at = (t: number) =>
      projectorLoss(Array.from(x, (v, i) => v + t * step[i]), [n, d], kind, { ks, weights });
    const want = (at(h) - at(-h)) / (2 * h);
    assertWithin(Math.abs(along - want) / Math.abs(want), 1e-3, kind.kind);
    [gradient, ...projectors].forEach((t) => t.dispose());
  }
});

Deno.test("spanOverlap() is 1 for a turned basis and 0 for an orthogonal one", async () => {
  const [c, s] = [Math.cos(0.7), Math.sin(0.7)];
  using u = Tensor.from(gpu, [1, 0, 0, 1, 0, 0, 0, 0], [4, 2]);
  using turned = Tensor.from(gpu, [c, -s, s, c, 0, 0, 0, 0], [4, 2]);
  using other = Tensor.from(gpu, [0, 0, 0, 0, 1, 0, 0, 1], [4, 2]);
  using same = spanOverlap(u, turned);
  using none = spanOverlap(u, other);
  assertWithin(Math.abs(await same.item() - 1), 1e-6, "turned");
  assert.equal(await none.item(), 0);
});

Deno.test("eigenbases() refuses what it cannot differentiate", async () => {
  using large = Tensor.zeros(gpu, [513, 513]);
  await assert.rejects(eigenbases(large, [2]), { name: "InputError", message: /at most 512/ });
  using small = Tensor.from(gpu, [1, 0, 0, NaN], [2, 2]);
  await assert.rejects(eigenbases(small, [3]), { name: "InputError", message: /from 1 to 2/ });
  await assert.rejects(eigenbases(small, [1]), { name: "InputError", message: /not finite/ });
  using wide = Tensor.zeros(gpu, [2, 3]);
  await assert.rejects(eigenbases(wide, [1]), { name: "InputError", message: /square/ });
});

Deno.test("requireNodes() names the first row that has no affinity", async () => {
  const cosine = { kind: "cosine", gamma: 1 } as const, rbf = { kind: "rbf", sigma: 1 } as const;
  const rows = (values: number[]) => Tensor.from(gpu, values, [values.length / 2, 2]);
  using bad = rows([1, 2, 0, 0, 3, NaN, Infinity, 1]);
  await assert.rejects(requireNodes(bad, cosine), {
    name: "InputError",
    message: /row 1 .* is zero and has no direction/,
  });
  await assert.rejects(requireNodes(bad, rbf), { name: "InputError", message: /row 2 .* NaN/ });
  using huge = rows([1, 2, 1e30, 1]);
  await assert.rejects(requireNodes(huge, rbf), {
    name: "InputError",
    message: /row 1 .* largest/,
  });
  using doubled = rows([1, 2, 1, 2]);
  await requireNodes(doubled, cosine);
  using flat = Tensor.from(gpu, [1, 2]);
  await assert.rejects(requireNodes(flat, rbf), { name: "InputError", message: /\[n, d\]/ });
});

Deno.test("affinityMatrix() refuses shapes and scales that mean nothing", () => {
  using x = Tensor.zeros(gpu, [3, 2]);
  using y = Tensor.zeros(gpu, [3, 4]);
  const error = (message: RegExp) => ({ name: "InputError", message });
  assert.throws(() => affinityMatrix(x, y, { kind: "rbf", sigma: 1 }), error(/d\] and/));
  assert.throws(
    () => affinityMatrix(x, x, { kind: "rbf", sigma: 0 }),
    error(/sigma must be positive/),
  );
  assert.throws(() => affinityMatrix(x, x, { kind: "cosine", gamma: NaN }), error(/gamma/));
  const wrong = { kind: "custom", compute: (x: Tensor) => x.alias() } as const;
  tidy(gpu, () => {
    assert.throws(() => affinityMatrix(x, x, wrong), error(/must give \[3,3\]/));
  });
});

Deno.test("flattenNodes() makes rows of features and refuses channels first", async () => {
  assert(looksChannelFirst([768, 32, 32]));
  assert(looksChannelFirst([8, 768, 14, 14]));
  assert(looksChannelFirst([768, 24, 32]));
  assert(!looksChannelFirst([32, 32, 768]));
  assert(!looksChannelFirst([3, 16, 16, 64]));
  assert(!looksChannelFirst([36, 1764, 768]));
  assert(!looksChannelFirst([32, 32]));
  using x = Tensor.from(gpu, Float32Array.from({ length: 40 }, (_, i) => i), [10, 2, 2]);
  assert.throws(() => flattenNodes(x), { name: "InputError", message: /channels first/ });
  using kept = flattenNodes(x, { layout: "channels-last" });
  assert.deepEqual(kept.shape, [20, 2]);
  using turned = flattenNodes(x, { layout: "channels-first" });
  assert.deepEqual(turned.shape, [4, 10]);
  const values = await turned.data();
  assert.deepEqual(Array.from(values.subarray(10, 20)), [1, 5, 9, 13, 17, 21, 25, 29, 33, 37]);
});
