/**
 * Noise ceilings on numbers worked by hand, against plain loops, and on signals with known noise; z-scores per run.
 */
import assert from "node:assert/strict";
import { normal, randomKey } from "../../mod.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import {
  correctedCorrelation,
  countRepeats,
  explainableVariance,
  ncsnr,
  noiseCeiling,
  type Repeats,
} from "../../pipelines/encoding/noise_ceiling.ts";
import { zscorePerRun } from "../../pipelines/encoding/runs.ts";

const refusal = (message: RegExp) => ({ name: "InputError", message });
const near = (got: number, want: number, tolerance = 1e-12) =>
  assert(Math.abs(got - want) <= tolerance, `${got}, not ${want}`);

Deno.test("explainableVariance() is right on numbers worked by hand", () => {
  // Targets: both repeats 1 2 3; opposite; 0 2 4 against 0 4 2 (variance 4 each, mean 0 3 3 has variance 3); constant.
  const data = Float32Array.of(
    1,
    1,
    0,
    5,
    2,
    2,
    2,
    5,
    3,
    3,
    4,
    5,
    1,
    3,
    0,
    5,
    2,
    2,
    4,
    5,
    3,
    1,
    2,
    5,
  );
  const repeats: Repeats = { data, shape: [2, 3, 4] };
  const raw = explainableVariance(repeats, { biasCorrection: false });
  [1, 0, 0.75].forEach((want, v) => near(raw[v], want));
  assert(Number.isNaN(raw[3]));
  // 1 − (1 − ev)·2 for two repeats.
  const ev = explainableVariance(repeats);
  [1, -1, 0.5].forEach((want, v) => near(ev[v], want));
  assert(Number.isNaN(ev[3]));
  assert.throws(
    () => explainableVariance({ data, shape: [1, 6, 4] }),
    refusal(/two repeats or more/),
  );
  assert.throws(() => explainableVariance({ data, shape: [2, 3, 5] }), refusal(/24 values/));
});

/** Repeats of `gain · signal + noise`, with the signal. */
function measured(nTargets: number, nSamples: number, nRepeats: number, noise: number) {
  const signal = normal(randomKey(1), nSamples * nTargets);
  const noises = normal(randomKey(2), nRepeats * nSamples * nTargets);
  const data = noises.map((value, at) => 3 * signal[at % signal.length] + 3 * noise * value + 100);
  const shape: [number, number, number] = [nRepeats, nSamples, nTargets];
  return { signal: hostMatrix(signal, [nSamples, nTargets]), repeats: { data, shape } };
}

Deno.test("explainableVariance() equals plain loops over many targets", () => {
  const { repeats } = measured(130, 40, 4, 1.5);
  const [R, T, V] = repeats.shape;
  for (const zscored of [true, false]) {
    const got = explainableVariance(repeats, { biasCorrection: false, zscored });
    for (let v = 0; v < V; v++) {
      const series = Array.from({ length: R }, (_, r) => {
        const own = Array.from({ length: T }, (_, t) => repeats.data[(r * T + t) * V + v]);
        const mean = own.reduce((a, b) => a + b) / T;
        const std = Math.sqrt(own.reduce((a, b) => a + (b - mean) ** 2, 0) / T);
        return zscored ? own.map((x) => (x - mean) / std) : own;
      });
      const varianceOf = (x: number[]) => {
        const mean = x.reduce((a, b) => a + b) / T;
        return x.reduce((a, b) => a + (b - mean) ** 2, 0) / (T - 1);
      };
      const mean = series[0].map((_, t) => series.reduce((a, own) => a + own[t], 0) / R);
      const each = series.reduce((a, own) => a + varianceOf(own), 0) / R;
      near(got[v], varianceOf(mean) / each);
    }
  }
});

Deno.test("explainableVariance() and correctedCorrelation() find the truth behind noise", () => {
  const noise = 1.5, nTargets = 400, nSamples = 500;
  const { signal, repeats } = measured(nTargets, nSamples, 5, noise);
  const mean = (values: Float64Array) => values.reduce((a, b) => a + b, 0) / values.length;
  const ev = mean(explainableVariance(repeats)), truth = 1 / (1 + noise ** 2);
  // One target's estimate varies by about √(2/500) = 0.06 at most; 400 of them by 0.003. Five times that.
  near(ev, truth, 0.016);
  near(mean(correctedCorrelation(repeats, signal)), 1, 0.016);
  const wrong = mean(explainableVariance(repeats, { biasCorrection: false }));
  assert(wrong > truth + 0.1, "without the correction noise counts as signal");
});

Deno.test("correctedCorrelation() is 1 without noise, 0 for constant and NaN for hopeless targets", () => {
  const { signal, repeats } = measured(3, 20, 2, 0);
  const one = correctedCorrelation(repeats, signal);
  for (const r of one) near(r, 1, 1e-6); // the repeats are rounded to f32
  const flat = hostMatrix(new Float32Array(60).fill(0.1), [20, 3]);
  assert.deepEqual([...correctedCorrelation(repeats, flat)], [0, 0, 0]);
  // A constant target has no variance to explain, opposite repeats have less than none.
  const data = repeats.data.slice();
  for (let t = 0; t < 20; t++) {
    data[3 * t] = data[60 + 3 * t] = 7;
    data[3 * t + 1] = -data[60 + 3 * t + 1];
  }
  const got = correctedCorrelation({ data, shape: repeats.shape }, signal);
  assert.deepEqual([...got].map(Number.isNaN), [true, true, false]);
  assert.throws(() => correctedCorrelation(repeats, signal, { least: 0 }), refusal(/above 0/));
  const other = hostMatrix(signal.data, [10, 6]);
  assert.throws(() => correctedCorrelation(repeats, other), refusal(/same samples and targets/));
});

Deno.test("noiseCeiling() is NSD's for one, two, three and mixed repeats", () => {
  const snr = Float32Array.of(0, 0.5, 1, 2);
  const wants: [Record<number, number>, number[]][] = [
    [{ 1: 10 }, [0, 0.2, 0.5, 0.8]],
    [{ 2: 10 }, [0, 1 / 3, 2 / 3, 8 / 9]],
    [{ 3: 10 }, [0, 3 / 7, 0.75, 12 / 13]],
    // 1/n = (1/3 + 1/2 + 1) / 3 = 11/18
    [{ 3: 1, 2: 1, 1: 1 }, [0, 9 / 31, 18 / 29, 72 / 83]],
  ];
  for (const [counts, want] of wants) {
    noiseCeiling(snr, counts).forEach((got, v) => near(got, want[v], 6e-8));
  }
  assert.deepEqual(countRepeats([4, 4, 4, 1, 2, 2, 7]), { 1: 2, 2: 1, 3: 1 });
  const everything = noiseCeiling(snr, countRepeats([4, 4, 4, 1, 2, 2]));
  assert.deepEqual(everything, noiseCeiling(snr, { 3: 1, 2: 1, 1: 1 }));
});

Deno.test("ncsnr() follows signal and noise, and is 0 where it cannot be told", () => {
  // z-scored betas with a share 0.2 of signal variance: ncsnr = √(0.2 / 0.8) = 0.5.
  const nImages = 2000, truth = 0.5;
  const signal = normal(randomKey(5), nImages), noise = normal(randomKey(6), 3 * nImages);
  const trialImage = Uint32Array.from({ length: 3 * nImages }, (_, t) => t % nImages);
  const betas = noise.map((e, t) => Math.sqrt(0.8) * e + Math.sqrt(0.2) * signal[trialImage[t]]);
  // The noise variance has a relative error √(2/4000) = 0.022, ncsnr that over 2·0.2 = 0.056; three times that.
  near(ncsnr(betas, trialImage)[0] / truth, 1, 0.17);
  assert.equal(ncsnr(betas, trialImage, { nRepeats: 2 })[0], 0);
  assert.throws(() => ncsnr(betas.slice(1), trialImage), refusal(/each trial must have as many/));
});

Deno.test("zscorePerRun() scales every run by itself and makes a constant column 0", () => {
  const runs = [1, 1, 1, 0, 0, 0, 1];
  const columns = [[1, 2, 3, 10, 10, 40, 6], [0.1, 0.1, 0.1, 1, 2, 3, 0.1]];
  const data = runs.flatMap((_, t) => columns.map((column) => column[t]));
  const got = zscorePerRun(hostMatrix(data, [7, 2]), runs).data;
  const std = Math.sqrt(14 / 4), half = Math.SQRT1_2, third = Math.sqrt(1.5);
  // Run 1: mean 3, squares 4 + 1 + 0 + 9; run 0: mean 20, variance 200.
  const first = [-2 / std, -1 / std, 0, -half, -half, 2 * half, 3 / std];
  const second = [0, 0, 0, -third, 0, third, 0];
  for (let t = 0; t < 7; t++) {
    near(got[2 * t], first[t], 6e-8 * 2);
    near(got[2 * t + 1], second[t], 6e-8 * 2);
  }
  assert.throws(() => zscorePerRun(hostMatrix(data, [7, 2]), [1]), refusal(/1 run labels for 7/));
});

Deno.test("zscorePerRun() keeps the digits of a small signal on a large offset", () => {
  // f32 values near 10⁴ in steps of 2⁻¹⁰; sums of squares in f32, or E[x²] − E[x]², would lose them.
  const n = 5000;
  const steps = normal(randomKey(9), n).map((x) => Math.round(8 * x));
  const { data } = zscorePerRun(hostMatrix(steps.map((s) => 10_000 + s / 1024), [n, 1]));
  const mean = steps.reduce((a, b) => a + b, 0) / n;
  const std = Math.sqrt(steps.reduce((a, b) => a + (b - mean) ** 2, 0) / n);
  // Two roundings of 2⁻²⁴ of values up to 4, and float64 sums of 5000 values of 10⁴: 10⁻¹² of the steps.
  steps.forEach((s, t) => near(data[t], (s - mean) / std, 5e-7));
});
