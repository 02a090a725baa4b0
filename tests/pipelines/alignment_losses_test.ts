/** The losses of channel alignment against float64, with their gradients. */
import assert from "node:assert/strict";
import { normal, randomKey } from "../../engine/random.ts";
import { Tape } from "../../engine/tape.ts";
import { readAll, Tensor, tidy } from "../../engine/tensor.ts";
import { eighHost } from "../../engine/ops/eigh.ts";
import {
  eigenLoss,
  type EigenLossForm,
  nodeGraph,
} from "../../pipelines/encoding/alignment/eigen_loss.ts";
import {
  type BrainLossForm,
  brainLossSum,
  covarianceLoss,
  type CovarianceLossForm,
  zeroLoss,
} from "../../pipelines/encoding/alignment/losses.ts";
import { gradcheck } from "../gradcheck.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const [SLICES, NODES, WIDTH] = [2, 7, 5];

const brainForms: Record<BrainLossForm, (e: number) => number> = {
  "smooth-l1": (e) => Math.abs(e) < 0.1 ? e * e / 0.2 : Math.abs(e) - 0.05,
  l1: Math.abs,
  mse: (e) => e * e,
};

for (const [form, of] of Object.entries(brainForms)) {
  Deno.test(`brainLossSum() is the sum of ${form} losses, with its gradient`, async () => {
    await gradcheck(gpu, {
      name: form,
      shapes: [[SLICES, 3, 4], [3, 4]],
      // Errors on both sides of smooth L1's 0.1, none near 0 or 0.1 where forms have kinks.
      data: (size, input) =>
        Float64Array.from(
          { length: size },
          (_, i) => input ? i : i % 12 + [0.03, -0.06, 0.4, -1.2, 2][i % 5],
        ),
      f: (predicted, responses) => brainLossSum(predicted, responses, form as BrainLossForm),
      reference: (predicted, responses) => [
        predicted.reduce((sum, p, i) => sum + of(p - responses[i % 12]), 0),
      ],
    });
  });
}

/** Covariances of one slice's rows, `[width, width]`. */
function covarianceOf(rows: Float64Array): number[][] {
  const means = Array.from({ length: WIDTH }, (_, d) => {
    let sum = 0;
    for (let n = 0; n < NODES; n++) sum += rows[n * WIDTH + d] / NODES;
    return sum;
  });
  return means.map((a, i) =>
    means.map((b, j) => {
      let sum = 0;
      for (let n = 0; n < NODES; n++) {
        sum += (rows[n * WIDTH + i] - a) * (rows[n * WIDTH + j] - b) / (NODES - 1);
      }
      return sum;
    })
  );
}

const slicesOf = (x: Float64Array) =>
  Array.from({ length: SLICES }, (_, s) => x.subarray(s * NODES * WIDTH, (s + 1) * NODES * WIDTH));

const covarianceForms: Record<CovarianceLossForm, (c: number, i: number, j: number) => number> = {
  "off-diagonal": (c, i, j) => i === j ? 0 : c * c,
  identity: (c, i, j) => (c - Number(i === j)) ** 2,
};

for (const [form, of] of Object.entries(covarianceForms)) {
  Deno.test(`covarianceLoss() of the form ${form} is the mean over slices, with its gradient`, async () => {
    await gradcheck(gpu, {
      name: form,
      shapes: [[SLICES, NODES, WIDTH]],
      f: (x) => covarianceLoss(x, form as CovarianceLossForm),
      reference: (x) => [
        slicesOf(x).flatMap((rows) =>
          covarianceOf(rows).flatMap((row, i) => row.map((c, j) => of(c, i, j)))
        )
          .reduce((a, b) => a + b) / SLICES / WIDTH,
      ],
    });
  });
}

Deno.test("zeroLoss() is the square of channel means, or the mean square, with its gradient", async () => {
  await gradcheck(gpu, {
    name: "channel-mean",
    shapes: [[SLICES, NODES, WIDTH]],
    f: (x) => zeroLoss(x),
    reference: (x) => {
      let loss = 0;
      for (const rows of slicesOf(x)) {
        for (let d = 0; d < WIDTH; d++) {
          const mean = rows.reduce((sum, v, at) => sum + (at % WIDTH === d ? v / NODES : 0), 0);
          loss += mean * mean / WIDTH / SLICES;
        }
      }
      return [loss];
    },
  });
  await gradcheck(gpu, {
    name: "square",
    shapes: [[SLICES, NODES, WIDTH]],
    f: (x) => zeroLoss(x, "square"),
    reference: (x) => [x.reduce((sum, v) => sum + v * v, 0) / x.length],
  });
});

const N = 12, D = 4, KS = [2, 3], GAMMA = 0.7;

/** Normalised cosine affinities of rows, in float64. */
function graphOf(rows: Float64Array): Float64Array {
  const cosine = (i: number, j: number) => {
    let [xy, xx, yy] = [0, 0, 0];
    for (let d = 0; d < D; d++) {
      const [a, b] = [rows[i * D + d], rows[j * D + d]];
      [xy, xx, yy] = [xy + a * b, xx + a * a, yy + b * b];
    }
    return xy / Math.sqrt(xx * yy);
  };
  const a = Float64Array.from(
    { length: N * N },
    (_, at) => Math.exp((cosine(Math.floor(at / N), at % N) - 1) / GAMMA),
  );
  const degree = Array.from(
    { length: N },
    (_, i) => a.subarray(i * N, (i + 1) * N).reduce((s, x) => s + x, 0),
  );
  return a.map((value, at) => value / Math.sqrt(degree[Math.floor(at / N)] * degree[at % N]));
}

function projectorOf(graph: Float64Array, k: number): Float64Array {
  const { vectors } = eighHost(graph, N);
  return Float64Array.from({ length: N * N }, (_, at) => {
    const [i, j] = [Math.floor(at / N), at % N];
    let sum = 0;
    for (let c = N - k; c < N; c++) sum += vectors[i * N + c] * vectors[j * N + c];
    return sum;
  });
}

function eigenReference(before: Float64Array, after: Float64Array, form: EigenLossForm): number {
  const [s, t] = [graphOf(before), graphOf(after)];
  const mean = (x: Float64Array, of: (v: number) => number) =>
    x.reduce((sum, v) => sum + of(v), 0) / x.length;
  if (form === "affinity") return mean(s.map((v, i) => v - t[i]), Math.abs);
  const losses = KS.map((k) => {
    const [p, q] = [projectorOf(s, k), projectorOf(t, k)];
    const difference = p.map((v, i) => v - q[i]);
    const squares = difference.reduce((sum, v) => sum + v * v, 0);
    switch (form) {
      case "mean-abs":
        return mean(difference, Math.abs);
      case "smooth-l1":
        return mean(difference, (v) => Math.abs(v) < 1 ? v * v / 2 : Math.abs(v) - 0.5);
      case "frobenius":
        return Math.sqrt(squares);
      default:
        return squares / (2 * k);
    }
  });
  return losses.reduce((a, b) => a + b) / losses.length;
}

const x0 = Float64Array.from(normal(randomKey(5), N * D));
const x1 = Float64Array.from(normal(randomKey(6), N * D), (z, i) => x0[i] + 0.5 * z);

for (const form of ["projector", "mean-abs", "smooth-l1", "frobenius", "affinity"] as const) {
  Deno.test(`eigenLoss() of the form ${form} equals float64, and its gradient finite differences`, async () => {
    using before = Tensor.from(gpu, x0, [1, N, D]);
    using after = Tensor.from(gpu, x1, [1, N, D]);
    using tape = new Tape();
    using watched = tape.watch(after);
    using graph = nodeGraph(before, GAMMA);
    using next = nodeGraph(watched, GAMMA);
    using loss = await eigenLoss(graph, next, { form, ks: KS });
    const [gradient] = tape.gradient(loss, [watched]);
    const [[value], slope] = await readAll([loss, gradient]);
    gradient.dispose();
    const wanted = eigenReference(x0, x1, form);
    assert(Math.abs(value - wanted) < 1e-5 * (1 + Math.abs(wanted)), `${value} for ${wanted}`);
    const direction = Float64Array.from(normal(randomKey(9), N * D));
    const at = (h: number) => eigenReference(x0, x1.map((x, i) => x + h * direction[i]), form);
    const expected = (at(1e-5) - at(-1e-5)) / 2e-5;
    const found = direction.reduce((sum, d, i) => sum + d * slope[i], 0);
    // f32 gradients through gaps of about 0.1: 1e-7 / 0.1, summed over 48 values.
    assert(
      Math.abs(found - expected) < 1e-3 * (Math.abs(expected) + 1e-2),
      `${found} for ${expected}`,
    );
  });
}

Deno.test("eigenLoss() of the projector is 0 for the same nodes turned and stretched, and 1 at most", async () => {
  using before = Tensor.from(gpu, x0, [1, N, D]);
  // A rotation in the first two channels, and twice the length: cosines stay.
  const turned = x0.map((_, at) => {
    const row = at - at % D;
    const [a, b] = [x0[row], x0[row + 1]];
    return 2 * (at % D === 0 ? 0.6 * a - 0.8 * b : at % D === 1 ? 0.8 * a + 0.6 * b : x0[at]);
  });
  using same = Tensor.from(gpu, turned, [1, N, D]);
  using graphs = tidy(gpu, () => nodeGraph(before, 1));
  using next = nodeGraph(same, 1);
  using none = await eigenLoss(graphs, next, { ks: [2, 4, 8] });
  assert(Math.abs(await none.item()) < 1e-5);
  using other = Tensor.from(gpu, normal(randomKey(77), N * D), [1, N, D]);
  using far = nodeGraph(other, 1);
  using loss = await eigenLoss(graphs, far, { ks: [2] });
  const value = await loss.item();
  assert(value > 0.1 && value <= 1, `${value}`);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
