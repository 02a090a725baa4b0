/**
 * The symmetric eigensolver of the device: residuals, orthonormality and multiplicities on spectra that break weaker methods, and the
 * float64 parts that it stands on.
 */
import assert from "node:assert/strict";
import { eigh, eighHost, Gpu, normal, randomKey, Tensor } from "../../mod.ts";
import { rankOneEigen } from "../../engine/ops/secular.ts";
import { tridiagonalQl } from "../../engine/ops/tridiagonal_host.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

function assertWithin(error: number, tolerance: number, what: string): void {
  assert(error <= tolerance, `${what}: error ${error.toExponential(2)} above ${tolerance}`);
}

/** `q·diag(values)·qᵀ` for the product of 20 random reflectors, which mix every row, rounded to f32. */
function withSpectrum(values: ArrayLike<number>): Float32Array<ArrayBuffer> {
  const n = values.length;
  const a = new Float64Array(n * n);
  for (let i = 0; i < n; i++) a[i * n + i] = values[i];
  for (let turn = 0; turn < 20; turn++) {
    const u = normal(randomKey(100 + turn), n);
    const square = u.reduce((s, x) => s + x * x, 0);
    const p = new Float64Array(n); // 2·a·u / |u|²
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) p[i] += 2 / square * a[i * n + j] * u[j];
    }
    const middle = u.reduce((s, x, i) => s + x * p[i], 0) / square;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        a[i * n + j] -= (p[i] - middle * u[i]) * u[j] + u[i] * (p[j] - middle * u[j]);
      }
    }
  }
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) a[i * n + j] = a[j * n + i];
  return Float32Array.from(a);
}

function randomSymmetric(n: number): Float32Array<ArrayBuffer> {
  const a = normal(randomKey(n), n * n);
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) a[i * n + j] = a[j * n + i];
  return Float32Array.from(a);
}

/** Products in float64 of columns of `[n, n]`: `xᵀ·y`, or `x·y`. */
function product(x: ArrayLike<number>, y: ArrayLike<number>, n: number): Float64Array {
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < n; k++) {
      const factor = x[i * n + k];
      for (let j = 0; j < n; j++) out[i * n + j] += factor * y[k * n + j];
    }
  }
  return out;
}

function transposed(x: ArrayLike<number>, n: number): Float64Array {
  return Float64Array.from({ length: n * n }, (_, at) => x[at % n * n + Math.floor(at / n)]);
}

// n reflectors and as many products of unit size in f32: eps·√n·few. eps·√300 is 1e-6.
const TOLERANCE = 5e-6;

/** Checks vectors and ascending values of `a`, on the scale of the greatest eigenvalue, and returns the values. */
async function assertEigh(a: Float32Array<ArrayBuffer>, n: number): Promise<Float64Array> {
  using input = Tensor.from(gpu, a, [n, n]);
  const { values, vectors } = await eigh(input, { hostRows: 0 });
  const v = await vectors.data();
  assert.deepEqual(vectors.shape, [n, n]);
  vectors.dispose();
  assert(values.every((x, i) => i === 0 || x >= values[i - 1]), "the values ascend");
  const greatest = Math.max(Math.abs(values[0]), Math.abs(values[n - 1])) || 1;
  const residual = new Float64Array(n);
  product(a, v, n).forEach((x, at) => residual[at % n] += (x - values[at % n] * v[at]) ** 2);
  assertWithin(Math.sqrt(Math.max(...residual)) / greatest, TOLERANCE, `residual, n = ${n}`);
  const gram = product(transposed(v, n), v, n);
  const eye = gram.reduce((m, x, at) => Math.max(m, Math.abs(x - Number(at % (n + 1) === 0))), 0);
  assertWithin(eye, TOLERANCE, `orthonormality, n = ${n}`);
  return values;
}

/** The same, and the values against the spectrum that was built in. */
async function assertSpectrum(wanted: readonly number[]): Promise<void> {
  const n = wanted.length;
  const values = await assertEigh(withSpectrum(wanted), n);
  const sorted = wanted.toSorted((x, y) => x - y);
  const greatest = Math.max(...wanted.map(Math.abs));
  values.forEach((x, i) => {
    // The rounding of the matrix to f32 adds eps·√n.
    assertWithin(Math.abs(x - sorted[i]) / greatest, 2 * TOLERANCE, `eigenvalue ${i} of ${n}`);
  });
}

for (const n of [1, 2, 3, 33, 129, 300]) {
  Deno.test(`eigh() decomposes a random symmetric matrix of ${n} rows`, async () => {
    const a = randomSymmetric(n);
    const values = await assertEigh(a, n);
    const want = eighHost(a, n).values;
    const greatest = Math.max(Math.abs(want[0]), Math.abs(want[n - 1]));
    values.forEach((x, i) => {
      assertWithin(Math.abs(x - want[i]) / greatest, TOLERANCE, `eigenvalue ${i}`);
    });
  });
}

Deno.test("eigh() keeps multiplicities", async () => {
  // Fifty times 1, fifty times −2, a close group around 3, and single values.
  await assertSpectrum(Array.from({ length: 180 }, (_, i) => {
    if (i < 50) return 1;
    if (i < 100) return -2;
    return i < 130 ? 3 + (i - 100) * 1e-7 : i / 50;
  }));
});

Deno.test("eigh() decomposes a Gram matrix of low rank", async () => {
  const [n, rank] = [150, 20];
  const x = normal(randomKey(7), n * rank);
  const a = new Float32Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = 0; k < rank; k++) sum += x[i * rank + k] * x[j * rank + k];
      a[i * n + j] = a[j * n + i] = sum;
    }
  }
  const values = await assertEigh(a, n);
  const greatest = values[n - 1];
  values.forEach((value, i) => {
    if (i < n - rank) assertWithin(Math.abs(value) / greatest, TOLERANCE, `zero ${i}`);
    else assert(value > 0.1 * greatest, `eigenvalue ${i} of the range: ${value}`);
  });
});

Deno.test("eigh() decomposes graded spectra to the rounding of the greatest eigenvalue", async () => {
  await assertSpectrum(Array.from({ length: 130 }, (_, i) => 10 ** (-8 * i / 129)));
  await assertSpectrum(Array.from({ length: 130 }, (_, i) => 1e38 * 0.8 ** i));
  await assertSpectrum(Array.from({ length: 70 }, (_, i) => 1e-30 * (i - 20)));
});

Deno.test("eigh() takes diagonal, unit, zero and block matrices", async () => {
  const diagonal = (n: number, value: (i: number) => number) => {
    const a = new Float32Array(n * n);
    for (let i = 0; i < n; i++) a[i * n + i] = value(i);
    return a;
  };
  const values = await assertEigh(diagonal(101, (i) => (i * 37) % 101), 101);
  assert.deepEqual([...values], Array.from({ length: 101 }, (_, i) => i));
  assert((await assertEigh(diagonal(66, () => 1), 66)).every((x) => x === 1));
  assert((await assertEigh(diagonal(50, () => 0), 50)).every((x) => x === 0));
  using none = Tensor.zeros(gpu, [0, 0]);
  const { values: empty, vectors } = await eigh(none);
  assert.deepEqual([empty.length, vectors.shape], [0, [0, 0]]);
  vectors.dispose();
  const blocks = diagonal(120, () => 2); // 60 pairs with eigenvalues 1 and 3
  for (let i = 0; i < 60; i++) blocks[i * 120 + 119 - i] = blocks[(119 - i) * 120 + i] = 1;
  const pairs = await assertEigh(blocks, 120);
  pairs.forEach((x, i) => assertWithin(Math.abs(x - (i < 60 ? 1 : 3)), 1e-5, `pair ${i}`));
});

Deno.test("eigh() averages the triangles, and solves small matrices on the host", async () => {
  using a = Tensor.from(gpu, Float32Array.of(1, 3, 1, 5), [2, 2]);
  for (const hostRows of [0, 2]) {
    const { values, vectors } = await eigh(a, { hostRows });
    vectors.dispose();
    assertWithin(Math.abs(values[0] - (3 - Math.sqrt(8))), 1e-6, "least");
    assertWithin(Math.abs(values[1] - (3 + Math.sqrt(8))), 2e-6, "greatest");
  }
});

Deno.test("eigh() refuses what it cannot decompose", async () => {
  using wide = Tensor.zeros(gpu, [2, 3]);
  using several = Tensor.zeros(gpu, [2, 3, 3]);
  using counts = Tensor.from(gpu, new Uint32Array(4), [2, 2]);
  await assert.rejects(eigh(wide), { name: "ShapeError", message: /square/ });
  await assert.rejects(eigh(several), { name: "ShapeError", message: /one matrix/ });
  await assert.rejects(eigh(counts), { name: "DTypeError" });
  for (const bad of [NaN, Infinity]) {
    const host = randomSymmetric(40);
    host[40 * 7 + 3] = bad;
    using a = Tensor.from(gpu, host, [40, 40]);
    for (const hostRows of [0, 40]) {
      await assert.rejects(eigh(a, { hostRows }), { name: "RangeError", message: /finite/ });
    }
  }
});

Deno.test("eigh() refuses a matrix that is over the adapter's binding", async () => {
  const small = Gpu.from(gpu.device, { ...gpu.options, limits: { maxBindingBytes: 4096 } });
  using a = Tensor.zeros(small, [33, 33]);
  await assert.rejects(eigh(a, { hostRows: 0 }), {
    name: "UnsupportedError",
    message: /needs 5184 bytes, the adapter allows 4096/,
  });
});

Deno.test("eigh() says how far it is and stops when asked, without a leak", async () => {
  using a = Tensor.from(gpu, randomSymmetric(100), [100, 100]);
  const seen: string[] = [];
  const { vectors } = await eigh(a, {
    hostRows: 0,
    onProgress: ({ stage, done, total }) => {
      assert(done <= total);
      seen.push(stage);
    },
  });
  vectors.dispose();
  assert.deepEqual([...new Set(seen)], ["tridiagonal", "merge", "vectors"]);
  for (const stage of ["tridiagonal", "merge"]) {
    const stop = new AbortController();
    const onProgress = (event: { stage: string }) => {
      if (event.stage === stage) stop.abort();
    };
    const work = eigh(a, { hostRows: 0, signal: stop.signal, onProgress });
    await assert.rejects(work, { name: "AbortError" });
    assert.equal(gpu.liveBytes, a.size * 4);
  }
});

Deno.test("rankOneEigen() is exact for close poles, tiny weights and equal poles", () => {
  const n = 40;
  const z = normal(randomKey(3), n);
  const spread = Float64Array.from({ length: n }, (_, i) => (i * 17 % n) / n);
  const close = spread.map((x, i) => i % 2 ? x : 0.5 + x * 1e-13);
  const equal = spread.map((_, i) => i % 3);
  const tiny = Float64Array.from(z, (x, i) => i % 4 ? x : x * 1e-15);
  for (const d of [spread, close, equal]) {
    for (const weights of [Float64Array.from(z), tiny]) {
      for (const rho of [1, 1e-9, 1e6]) {
        const { values, vector } = rankOneEigen(d, weights, rho);
        const basis = values.reduce<Float64Array[]>((all, _, j) => {
          all.push(new Float64Array(n));
          vector(j, all[j]);
          return all;
        }, []);
        const greatest = Math.max(...values.map(Math.abs));
        basis.forEach((v, j) => {
          const along = v.reduce((s, x, i) => s + x * weights[i], 0);
          const residual = v.map((x, i) => d[i] * x + rho * along * weights[i] - values[j] * x);
          // Deflation drops 8·eps at a time.
          assertWithin(Math.hypot(...residual) / greatest, 2e-14, `residual ${j}, rho ${rho}`);
          for (let k = 0; k <= j; k++) {
            const cosine = v.reduce((s, x, i) => s + x * basis[k][i], 0);
            assertWithin(Math.abs(cosine - Number(j === k)), 1e-14, `vectors ${j} ${k}`);
          }
        });
      }
    }
  }
});

Deno.test("tridiagonalQl() finds the eigenvalues of the second difference", () => {
  const n = 48;
  const d = new Float64Array(n).fill(2), e = new Float64Array(n).fill(-1);
  const rows = new Float64Array(n * n);
  for (let i = 0; i < n; i++) rows[i * n + i] = 1;
  tridiagonalQl(d, e, rows, n);
  d.forEach((x, i) => {
    assertWithin(Math.abs(x - 2 + 2 * Math.cos((i + 1) * Math.PI / (n + 1))), 1e-14, `value ${i}`);
    // The vectors are sines.
    const first = Math.sqrt(2 / (n + 1)) * Math.sin((i + 1) * Math.PI / (n + 1));
    assertWithin(Math.abs(Math.abs(rows[i * n]) - first), 1e-13, `vector ${i}`);
  });
});
