/**
 * Linear algebra against float64 oracles, its defining properties, and the golden numerics.
 */
import assert from "node:assert/strict";
import { Matrix } from "ml-matrix";
import {
  addDiagonal,
  assertPositiveDefinite,
  cholesky,
  choleskySolve,
  eighHost,
  eighTopK,
  gram,
  identity,
  matmul,
  normal,
  qr,
  randomKey,
  readAll,
  scale,
  solveTriangular,
  spdInverse,
  Tensor,
  tidy,
} from "../../mod.ts";
import { choleskyKernel, triangularSolveKernel } from "../../shaders/linalg/factor.ts";
import { openTestGpu } from "../_gpu.ts";
import { GoldenFile } from "../golden_file.ts";
import { worstError } from "../../bench/check_kernel.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

/** Relative Frobenius error. */
function relative(got: ArrayLike<number>, want: ArrayLike<number>): number {
  assert.equal(got.length, want.length);
  let error = 0, size = 0;
  for (let i = 0; i < want.length; i++) {
    error += (got[i] - want[i]) ** 2;
    size += want[i] ** 2;
  }
  return Math.sqrt(error / size);
}

/** The values of what `work` makes. */
async function onDevice(work: () => Tensor): Promise<ArrayLike<number> & Float32Array> {
  using y = tidy(gpu, work);
  return await y.data() as Float32Array;
}

function assertWithin(error: number, tolerance: number, what: string): void {
  assert(error <= tolerance, `${what}: error ${error.toExponential(2)} above ${tolerance}`);
}

/** The symmetric matrix of a packed lower triangle. */
function unpack(lower: ArrayLike<number>, n: number): Float64Array {
  const a = new Float64Array(n * n);
  for (let i = 0, at = 0; i < n; i++) {
    for (let j = 0; j <= i; j++, at++) a[i * n + j] = a[j * n + i] = lower[at];
  }
  return a;
}

/** `[batch, n, n]`, eigenvalues between 0.5 and about 4.5, rounded to f32. */
function positiveDefinite(batch: number, n: number): Float64Array {
  let at = 0;
  const noise = normal(randomKey(5), batch * n * n + 8);
  const uniform = () => ((noise[at++ % noise.length] + 8) % 1 + 1) % 1;
  const values = choleskyKernel.data!.a(batch * n * n, uniform, { batch, n }, {});
  return Float64Array.from(Float32Array.from(values));
}

// eps·√n·κ with κ ≤ 9 and n ≤ 130, in practice a tenth of it.
const FACTOR = 2e-6;

for (const [batch, n] of [[1, 1], [2, 31], [1, 33], [2, 130]]) {
  Deno.test(`cholesky() equals its float64 reference for ${batch} × ${n}`, async () => {
    const a = positiveDefinite(batch, n);
    const { l: want } = choleskyKernel.reference({ a }, { batch, n }, { invalid: NaN });
    using on = Tensor.from(gpu, a, batch > 1 ? [batch, n, n] : [n, n]);
    using l = cholesky(on);
    await assertPositiveDefinite(l);
    assert.deepEqual(l.shape, on.shape);
    assertWithin(relative(await l.data(), want), FACTOR, "factor");
  });
}

Deno.test("cholesky() reads the lower triangle only", async () => {
  const a = positiveDefinite(1, 40);
  const half = a.map((x, at) => (at % 40 > Math.floor(at / 40) ? 1e6 : x));
  using whole = Tensor.from(gpu, a, [40, 40]);
  using lower = Tensor.from(gpu, half, [40, 40]);
  using l1 = cholesky(whole);
  using l2 = cholesky(lower);
  assert.deepEqual(await l2.data(), await l1.data());
});

Deno.test("assertPositiveDefinite() names the first bad pivot, wherever it is", async () => {
  for (const bad of [0, 40, 69]) {
    const a = Float64Array.from({ length: 2 * 70 * 70 }, (_, at) => {
      const i = Math.floor(at / 70) % 70;
      if (i !== at % 70) return 0;
      return at >= 4900 && i === bad ? 0 : 2;
    });
    using on = Tensor.from(gpu, a, [2, 70, 70]);
    using l = cholesky(on);
    await assert.rejects(assertPositiveDefinite(l), {
      name: "NotPositiveDefiniteError",
      message: new RegExp(`pivot ${bad} of matrix 1`),
    });
    const values = await l.data();
    assert(Number.isNaN(values[4900 + 70 * 70 - 1]), "what follows is NaN too");
    assert(!values.subarray(0, 4900).some(Number.isNaN), "the other matrix is whole");
  }
});

for (const n of [1, 31, 33, 130]) {
  Deno.test(`solveTriangular() equals its float64 reference for all four kinds of ${n}`, async () => {
    const [batch, cols] = [2, 5];
    const seeds = normal(randomKey(n), batch * n * n);
    const t = Float64Array.from(Float32Array.from(seeds, (x, at) => {
      return Math.floor(at / n) % n === at % n ? 1 + x * x : x / n;
    }));
    const b = Float64Array.from(normal(randomKey(n + 1), batch * n * cols));
    using onT = Tensor.from(gpu, t, [batch, n, n]);
    using onB = Tensor.from(gpu, b, [batch, n, cols]);
    for (const lower of [true, false]) {
      for (const transpose of [true, false]) {
        const args = { lower: Number(lower), transpose: Number(transpose) };
        const { x: want } = triangularSolveKernel.reference({ t, b }, { batch, n, cols }, args);
        using x = solveTriangular(onT, onB, { lower, transpose });
        // Well conditioned by construction: eps·√n·few.
        assertWithin(relative(await x.data(), want), 1e-6, `lower=${lower} transpose=${transpose}`);
      }
    }
  });
}

Deno.test("spdInverse() inverts batches of odd sizes", async () => {
  using a = Tensor.from(gpu, positiveDefinite(3, 47), [3, 47, 47]);
  using product = tidy(gpu, () => matmul(spdInverse(a), a));
  const values = await product.data();
  const worst = worstError(
    values,
    values.map((_, at) => Number(at % 47 === Math.floor(at / 47) % 47)),
  );
  // An error of 1 counts 1/(1 + 1/√47) on the diagonal; eps·κ·√n of it off the diagonal, which counts 7-fold.
  assertWithin(worst.value, 5e-5, "a⁻¹·a");
});

Deno.test("spdInverse() leaves out known zeros of large matrices only", async () => {
  const n = 603;
  const values = await onDevice(() => {
    const x = Tensor.from(gpu, normal(randomKey(8), n * n), [n, n]);
    const a = addDiagonal(scale(gram(x), 1 / n), 0.5);
    return addDiagonal(matmul(spdInverse(a), a), -1);
  });
  // eps·κ with κ ≤ 9 of each of the n terms of size 1/√n of a sum: eps·κ·few.
  assertWithin(values.reduce((worst, v) => Math.max(worst, Math.abs(v)), 0), 5e-6, "a⁻¹·a − 1");
});

Deno.test("linear algebra refuses what does not fit", () => {
  using wide = Tensor.zeros(gpu, [2, 3]);
  using square = Tensor.zeros(gpu, [2, 2]);
  using tall = Tensor.zeros(gpu, [3, 1]);
  using counts = Tensor.from(gpu, new Uint32Array(4), [2, 2]);
  assert.throws(() => cholesky(wide), { name: "ShapeError", message: /square/ });
  assert.throws(() => cholesky(counts), { name: "DTypeError", message: /u32: .* need f32/ });
  assert.throws(() => solveTriangular(square, tall), { name: "ShapeError" });
  assert.throws(() => qr(wide), { name: "ShapeError", message: /rows ≥ columns/ });
  assert.throws(() => eighHost([1, 2], 2), { name: "ShapeError" });
  assert.throws(() => eighHost([1, NaN, 0, 1], 2), { name: "RangeError", message: /finite/ });
});

Deno.test("qr() is orthonormal for condition numbers up to 10⁵", async () => {
  const [m, n] = [200, 33];
  const random = new Matrix(m, n);
  normal(randomKey(8), m * n).forEach((x, at) => random.set(Math.floor(at / n), at % n, x));
  for (const condition of [1e3, 1e5]) {
    const scaled = random.clone();
    const mix = new Matrix(n, n);
    normal(randomKey(9), n * n).forEach((x, at) => mix.set(Math.floor(at / n), at % n, x));
    for (let j = 0; j < n; j++) scaled.mulColumn(j, condition ** (-j / (n - 1)));
    const host = Float32Array.from(scaled.mmul(mix).to1DArray());
    using a = Tensor.from(gpu, host, [m, n]);
    const { q, r } = qr(a);
    using gram = matmul(q, q, { transposeA: true });
    using back = matmul(q, r);
    await assertPositiveDefinite(r);
    const [eye, product] = await readAll([gram, back]);
    const worst = [...eye].reduce(
      (s, x, at) => Math.max(s, Math.abs(x - Number(at % (n + 1) === 0))),
      0,
    );
    // CholeskyQR2's bound is a small multiple of eps·√m; the products of three factors add eps·n each.
    assertWithin(worst, 3e-6, `qᵀq at condition ${condition}`);
    assertWithin(relative(product, host), 2e-6, `q·r at condition ${condition}`);
    q.dispose();
    r.dispose();
  }
});

Deno.test("eighTopK() finds leading eigenvectors, and says when it has not", async () => {
  const n = 150;
  const basis = tidy(gpu, () => qr(Tensor.from(gpu, normal(randomKey(4), n * n), [n, n])).q);
  const q = new Matrix(n, n);
  (await basis.data()).forEach((x, at) => q.set(Math.floor(at / n), at % n, x));
  basis.dispose();
  const values = Float64Array.from({ length: n }, (_, i) => (i === 2 ? -1 : 1) * 4 * 0.8 ** i);
  const product = q.mmul(Matrix.diag(Array.from(values))).mmul(q.transpose());
  using a = Tensor.from(gpu, product.to1DArray(), [n, n]);
  const top = await eighTopK(a, 5, { tolerance: 1e-5 });
  assert(top.isConverged);
  // The residual bounds the error of an eigenvalue; the first one is 4.
  top.values.forEach((x, i) => assertWithin(Math.abs(x - values[i]), 4e-5, `λ${i}`));
  const vectors = await top.vectors.data();
  for (let i = 0; i < 5; i++) {
    let cosine = 0;
    for (let row = 0; row < n; row++) cosine += vectors[row * 5 + i] * q.get(row, i);
    // sin θ ≤ residual / gap = 4e-5 / 0.3 for the last of the five.
    assertWithin(1 - Math.abs(cosine), 1e-6, `v${i}`);
  }
  top.vectors.dispose();
  const early = await eighTopK(a, 5, { iterations: 1, nOversamples: 0 });
  assert(!early.isConverged && early.iterations === 1);
  early.vectors.dispose();
  assert(early.residuals.some((r) => r > 1e-3));
});

Deno.test("eighTopK() takes an operator and a matrix of low rank", async () => {
  const n = 90;
  using x = Tensor.from(gpu, normal(randomKey(2), n * 4), [n, 4]);
  using gram = matmul(x, x, { transposeA: true });
  const want = eighHost(await gram.data(), 4).values.toReversed();
  const apply = (q: Tensor) => matmul(x, matmul(x, q, { transposeA: true }));
  const top = await eighTopK({ gpu, n, apply: (q) => tidy(gpu, () => apply(q)) }, 4);
  assert(top.isConverged);
  assertWithin(relative(top.values, want), 1e-6, "eigenvalues of rank 4");
  top.vectors.dispose();
  await assert.rejects(eighTopK(gram, 5), { name: "ShapeError", message: /from 1 to 4/ });
});

Deno.test("golden: cholesky() and choleskySolve() of a matrix with condition number 65", async () => {
  const file = new GoldenFile("cholesky");
  const n = 256;
  using a = Tensor.from(gpu, unpack(file.f32("a_lower").data, n), [n, n]);
  using b = Tensor.from(gpu, file.f32("b").data, [n, 8]);
  using l = cholesky(a);
  using x = choleskySolve(l, b);
  const [factor, solution] = await readAll([l, x]);
  const want = file.f32("l_lower96").data;
  const got = [...want.keys()].map((at) => {
    const i = Math.floor((Math.sqrt(8 * at + 1) - 1) / 2);
    return factor[i * n + at - i * (i + 1) / 2];
  });
  assertWithin(relative(got, want), 1e-5, "l");
  assertWithin(relative(solution, file.f32("x").data), 1e-4, "x"); // the stated tolerance
});

Deno.test("golden: qr() with a positive diagonal", async () => {
  const file = new GoldenFile("qr");
  using a = Tensor.from(gpu, file.f32("a").data, [200, 64]);
  const { q, r } = qr(a);
  const [gotQ, gotR] = await readAll([q, r]);
  q.dispose();
  r.dispose();
  assertWithin(relative(gotQ, file.f32("q").data), 1e-4, "q");
  assertWithin(relative(gotR, file.f32("r").data), 1e-5, "r");
});

Deno.test("golden: eighHost() of a 256 × 256 matrix", () => {
  const file = new GoldenFile("eigh");
  const n = 256;
  const { values, vectors } = eighHost(unpack(file.f32("a_lower").data, n), n);
  assertWithin(relative(values, file.f32("w").data), 1e-5, "values");
  const want = file.f32("v_ends").data; // the first 16 and the last 16
  for (let k = 0; k < 32; k++) {
    const column = k < 16 ? k : 224 + k;
    let cosine = 0;
    for (let i = 0; i < n; i++) cosine += vectors[i * n + column] * want[i * 32 + k];
    assertWithin(Math.abs(1 - Math.abs(cosine)), 1e-6, `vector ${column}`); // 1e-4 in angle: half its square
  }
});

Deno.test("golden: eighTopK() spans the subspaces of near-degenerate pairs", async () => {
  const file = new GoldenFile("eigh_clustered");
  const n = 128;
  using a = Tensor.from(gpu, unpack(file.f32("a_lower").data, n), [n, n]);
  const top = await eighTopK(a, 5, { tolerance: 1e-6 });
  const got = await top.vectors.data();
  top.vectors.dispose();
  const w = file.f32("w").data;
  top.values.forEach((x, i) => assertWithin(Math.abs(x - w[n - 1 - i]), 1e-5, `λ${i}`));
  const want = file.f32("v_top5").data;
  // Each golden vector must lie in the span of the five that were found: ‖(1 − vvᵀ)u‖ ≤ 1e-4.
  for (let k = 0; k < 5; k++) {
    let inside = 0;
    for (let c = 0; c < 5; c++) {
      let dot = 0;
      for (let i = 0; i < n; i++) dot += got[i * 5 + c] * want[i * 5 + k];
      inside += dot * dot;
    }
    assertWithin(Math.sqrt(Math.abs(1 - inside)), 1.5e-3, `vector ${k}`);
  }
});

Deno.test("eighTopK() stops at the rounding of its products, with the best that it had", async () => {
  const file = new GoldenFile("eigh_clustered"), n = 128;
  using a = Tensor.from(gpu, unpack(file.f32("a_lower").data, n), [n, n]);
  // Below what products in f32 of any kernel reach: it used to go on until its basis was rounding alone.
  const top = await eighTopK(a, 5, { tolerance: 1e-7 });
  top.vectors.dispose();
  assert(!top.isConverged && top.iterations < 120, `${top.iterations} products`);
  assert(top.residuals.every((r) => r <= 1e-5), `${top.residuals}`);
  const w = file.f32("w").data;
  top.values.forEach((x, i) => assertWithin(Math.abs(x - w[n - 1 - i]), 1e-5, `λ${i}`));
});

Deno.test("identity() has ones on its diagonal", async () => {
  using eye = identity(gpu, 3);
  assert.deepEqual([...await eye.data()], [1, 0, 0, 0, 1, 0, 0, 0, 1]);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
