/**
 * Delays of features against the designs that they avoid.
 */
import assert from "node:assert/strict";
import { normal, randomKey, Tensor } from "../../mod.ts";
import {
  averageDelays,
  delayedGram,
  delayedGramTensor,
  delayedProducts,
  delayedProductsTensor,
  type DelayOptions,
  delayRows,
  shiftedDual,
} from "../../pipelines/encoding/delays.ts";
import { type HostMatrix, hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { hrfConvolve, hrfKernel } from "../../pipelines/encoding/hrf.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const refusal = (message: RegExp) => ({ name: "InputError", message });
const random = (seed: number, shape: [number, number]): HostMatrix =>
  hostMatrix(normal(randomKey(seed), shape[0] * shape[1]), shape);

/** `a · bᵀ` in float64. */
function products(a: HostMatrix, b: HostMatrix): Float64Array<ArrayBuffer> {
  const [n, p] = a.shape, m = b.shape[0];
  return Float64Array.from({ length: n * m }, (_, at) => {
    const i = Math.floor(at / m) * p, j = (at % m) * p;
    let sum = 0;
    for (let k = 0; k < p; k++) sum += a.data[i + k] * b.data[j + k];
    return sum;
  });
}

/** Largest difference as a share of the largest value. */
function difference(got: ArrayLike<number>, want: ArrayLike<number>): number {
  assert.equal(got.length, want.length);
  let most = 0, size = 0;
  for (let at = 0; at < want.length; at++) {
    most = Math.max(most, Math.abs(got[at] - want[at]) || (got[at] === want[at] ? 0 : Infinity));
    size = Math.max(size, Math.abs(want[at]));
  }
  return most / size;
}

// Uneven runs, one shorter than the longest delay.
const runs = [3, 3, 3, 3, 3, 3, 1, 1, 1, 7, 7, 7, 7, 7, 7, 7, 7];
const n = runs.length;
const delays = [1, 2, 4, -1, 0];
const modes: DelayOptions[] = [{}, { runs }, { runs, acrossRuns: true }];

Deno.test("delayRows() holds sample t − d in block d, within a run", () => {
  const x = hostMatrix([1, 10, 2, 20, 3, 30, 4, 40], [4, 2]);
  const of = (options: DelayOptions) => [...delayRows(x, [1, -2], options).data];
  assert.deepEqual(of({}), [0, 0, 3, 30, 1, 10, 4, 40, 2, 20, 0, 0, 3, 30, 0, 0]);
  const own = [0, 0, 0, 1];
  assert.deepEqual(of({ runs: own }), [0, 0, 3, 30, 1, 10, 0, 0, 2, 20, 0, 0, 0, 0, 0, 0]);
  assert.deepEqual(of({ runs: own, acrossRuns: true }), of({}));
  assert.deepEqual([...delayRows(x, [9]).data], new Array(8).fill(0));
});

Deno.test("delayedGram() equals the Gram matrix of the delayed design", () => {
  const x = random(1, [n, 5]);
  const k = products(x, x);
  for (const options of modes) {
    const design = delayRows(x, delays, options);
    // Sums of the same float64 products in another order: rounding alone.
    assert(difference(delayedGram(k, delays, options), products(design, design)) < 1e-13);
  }
});

Deno.test("delayedGram() centred on both sides is the Gram matrix of the centred delayed design", () => {
  const x = random(2, [n, 4]);
  const k = delayedGram(products(x, x), delays, { runs });
  const means = Float64Array.from({ length: n }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < n; j++) sum += k[i * n + j] / n;
    return sum;
  });
  const mean = means.reduce((sum, value) => sum + value, 0) / n;
  const centred = k.map((v, at) => v - means[Math.floor(at / n)] - means[at % n] + mean);
  const design = delayRows(x, delays, { runs });
  const width = design.shape[1];
  const columns = Float64Array.from({ length: width }, (_, j) => {
    let sum = 0;
    for (let t = 0; t < n; t++) sum += design.data[t * width + j] / n;
    return sum;
  });
  const want = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      for (let c = 0; c < width; c++) {
        want[i * n + j] += (design.data[i * width + c] - columns[c]) *
          (design.data[j * width + c] - columns[c]);
      }
    }
  }
  assert(difference(centred, want) < 1e-13);
});

Deno.test("delayedProducts() pairs new samples with the fitted ones", () => {
  const x = random(3, [n, 5]), other = random(4, [6, 5]);
  const columnRuns = [0, 0, 0, 2, 2, 2];
  const k = products(x, other);
  const got = delayedProducts(k, [n, 6], delays, { runs, columnRuns });
  const want = products(
    delayRows(x, delays, { runs }),
    delayRows(other, delays, { runs: columnRuns }),
  );
  assert(difference(got, want) < 1e-13);
});

Deno.test("delayedGramTensor() agrees with the host", async () => {
  const x = random(5, [n, 5]);
  const k = Float32Array.from(products(x, x));
  using onGpu = Tensor.from(gpu, k, [n, n]);
  for (const options of modes) {
    using sum = delayedGramTensor(onGpu, delays, options);
    // At most four roundings of f32 per element: 4 · 2⁻²⁴ = 2.4e-7 of its largest partial sum.
    assert(difference(await sum.data(), delayedGram(k, delays, options)) < 2.4e-7);
  }
  using part = Tensor.from(gpu, k.slice(0, 6 * n), [6, n]);
  using sum = delayedProductsTensor(part, delays, { columnRuns: runs });
  const want = delayedProducts(k.slice(0, 6 * n), [6, n], delays, { columnRuns: runs });
  assert(difference(await sum.data(), want) < 2.4e-7);
  assert.throws(() => delayedGramTensor(part, delays), refusal(/must be \[6,6\]/));
});

Deno.test("shiftedDual() gives the primal coefficients of each delay without the design", () => {
  const p = 3, nTargets = 2;
  const x = random(6, [n, p]), dual = random(7, [n, nTargets]);
  for (const options of modes) {
    const design = delayRows(x, delays, options);
    delays.forEach((delay, d) => {
      const moved = shiftedDual(dual, delay, options);
      for (let j = 0; j < p; j++) {
        for (let v = 0; v < nTargets; v++) {
          let got = 0, want = 0;
          for (let t = 0; t < n; t++) {
            got += x.data[t * p + j] * moved.data[t * nTargets + v];
            want += design.data[t * delays.length * p + d * p + j] * dual.data[t * nTargets + v];
          }
          assert(Math.abs(got - want) < 1e-13 * n);
        }
      }
    });
  }
});

Deno.test("averageDelays() averages blocks of coefficients", () => {
  const coef = hostMatrix([1, 2, 3, 4, 5, 6, 7, 10], [4, 2]);
  const { data, shape } = averageDelays(coef, 2);
  assert.deepEqual([[...data], shape], [[3, 4, 5, 7], [2, 2]]);
  assert.throws(() => averageDelays(coef, 3), refusal(/3 delays of 4 coefficients/));
});

Deno.test("delays that are not distinct whole numbers are refused", () => {
  const x = random(8, [4, 1]);
  for (const bad of [[], [1, 1], [0.5], [NaN]]) {
    assert.throws(() => delayRows(x, bad), refusal(/Cannot delay by/), `${bad}`);
  }
  assert.throws(() => delayedGram(new Float64Array(8), [1]), refusal(/Cannot delay 8 products/));
  assert.throws(() => delayRows(x, [1], { runs: [0, 1, 0, 1] }), refusal(/begins again/));
});

Deno.test("hrfKernel() is SPM's canonical response", () => {
  // spm_hrf(2): the published vector of 17 samples, to its four decimals.
  const want = [0, 0.0866, 0.3749, 0.3849, 0.2161, 0.0769, 0.0016, -0.0306, -0.0373, -0.0308];
  const got = hrfKernel(2);
  assert.equal(got.length, 17);
  want.forEach((value, i) => assert(Math.abs(got[i] - value) < 5.1e-5, `${i}: ${got[i]}`));
  for (const tr of [0.72, 1, 2]) {
    for (const name of ["spm", "simple"] as const) {
      assert(Math.abs(hrfKernel(tr, name).reduce((sum, value) => sum + value, 0) - 1) < 1e-14);
    }
  }
  assert.throws(() => hrfKernel(0), refusal(/above 0/));
  assert.throws(() => hrfKernel(31), refusal(/must be shorter/));
});

Deno.test("hrfConvolve() answers an impulse with the response and stops at the end of a run", () => {
  const kernel = hrfKernel(2);
  const own = [...new Array(20).fill(0), ...new Array(5).fill(1)];
  const impulse = new Float32Array(50);
  impulse[2 * 3] = 1; // first feature at sample 3 of the first run
  impulse[2 * 18 + 1] = 2; // second feature at its last but one
  const { data } = hrfConvolve(hostMatrix(impulse, [25, 2]), { tr: 2, runs: own });
  for (let t = 0; t < 25; t++) {
    const first = t >= 3 && t < 20 ? kernel[t - 3] ?? 0 : 0;
    const second = t >= 18 && t < 20 ? 2 * kernel[t - 18] : 0;
    assert.equal(data[2 * t], Math.fround(first));
    assert.equal(data[2 * t + 1], Math.fround(second));
  }
});
