/**
 * The largest eigenvalue of matrices whose spectrum is known.
 */
import assert from "node:assert/strict";
import { largestEigenvalue, normal, randomKey, Tensor } from "../../mod.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

/** `h·diag(d)·h` with `h = 1 − 2·u·uᵀ`: dense, with the eigenvalues `d`. */
function withSpectrum(d: ArrayLike<number>): Tensor {
  const n = d.length;
  const u = normal(randomKey(n), n);
  const size = Math.hypot(...u);
  const x = u.map((v) => v / size);
  const du = x.map((v, i) => d[i] * v);
  const udu = x.reduce((sum, v, i) => sum + v * du[i], 0);
  const a = Float32Array.from({ length: n * n }, (_, at) => {
    const i = Math.floor(at / n), j = at % n;
    return (i === j ? d[i] : 0) - 2 * (x[i] * du[j] + du[i] * x[j]) + 4 * udu * x[i] * x[j];
  });
  return Tensor.from(gpu, a, [n, n]);
}

const N = 301;
const spectra: Readonly<Record<string, (i: number) => number>> = {
  "uniform": (i) => (i + 1) / N,
  "one value a tenth above all others": (i) => (i === 7 ? 1 : 0.9),
  "falling by powers of two": (i) => 2 ** -i,
  "clustered at the top": (i) => (i % 2 ? 1 - i * 1e-4 : 0.2),
  "one value": () => 1,
  "of rank one": (i) => (i === 3 ? 1 : 0),
};

for (const [name, at] of Object.entries(spectra)) {
  Deno.test(`largestEigenvalue() is within 5 % of a spectrum that is ${name}`, async () => {
    const d = Float64Array.from({ length: N }, (_, i) => 1e3 * at(i));
    using a = withSpectrum(d);
    const largest = Math.max(...d);
    const found = await largestEigenvalue(a);
    assert(found > 0.95 * largest && found < 1.0001 * largest, `${found} for ${largest}`);
    assert.equal(await largestEigenvalue(a), found, "the same bits again");
  });
}

Deno.test("largestEigenvalue() comes closer with every product", async () => {
  using a = withSpectrum(Float64Array.from({ length: N }, (_, i) => (i + 1) / N));
  const found: number[] = [];
  for (const iterations of [1, 2, 5, 10, 60]) {
    found.push(await largestEigenvalue(a, { iterations }));
  }
  assert.deepEqual(found, found.toSorted((x, y) => x - y));
  assert(Math.abs(found[4] - 1) < 1e-4, `${found[4]} after 60`);
});

Deno.test("largestEigenvalue() takes small matrices, zero, and what is not finite", async () => {
  const of = async (values: number[], n: number) => {
    using a = Tensor.from(gpu, values, [n, n]);
    return await largestEigenvalue(a);
  };
  assert(Math.abs(await of([7], 1) - 7) < 1e-5);
  assert(Math.abs(await of([2, 1, 1, 2], 2) - 3) < 1e-5);
  assert.equal(await of([0, 0, 0, 0], 2), 0);
  assert(Number.isNaN(await of([NaN, 1, 1, 2], 2)));
});

Deno.test("largestEigenvalue() refuses what is no matrix, and no iterations", async () => {
  using wide = Tensor.zeros(gpu, [2, 3]);
  using batch = Tensor.zeros(gpu, [2, 3, 3]);
  using square = Tensor.zeros(gpu, [3, 3]);
  for (const x of [wide, batch]) {
    await assert.rejects(largestEigenvalue(x), { name: "ShapeError", message: /square/ });
  }
  await assert.rejects(largestEigenvalue(square, { iterations: 0 }), { name: "RangeError" });
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
