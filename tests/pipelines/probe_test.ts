/**
 * The linear probe against PyTorch's rules in float64, and its determinism.
 */
import assert from "node:assert/strict";
import { foldIn, normal, randomKey, split, uniform } from "../../mod.ts";
import { permutation } from "../../pipelines/encoding/cross_validation.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import {
  fitNormalizer,
  normalizeFeatures,
  normalizeRows,
} from "../../pipelines/encoding/normalize.ts";
import { LinearProbe } from "../../pipelines/encoding/probe.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const [N, P, T] = [23, 6, 5];
const x = hostMatrix(normalizeRows(normal(randomKey(1), N * P), P), [N, P]);
const truth = normal(randomKey(2), P * T);
const y = hostMatrix(
  Float32Array.from({ length: N * T }, (_, at) => {
    const [r, t] = [Math.floor(at / T), at % T];
    let value = 0.3;
    for (let i = 0; i < P; i++) value += x.data[r * P + i] * truth[i * T + t];
    return value;
  }),
  [N, T],
);

/** torch.nn.Linear + torch.optim.AdamW on nn.MSELoss, one number at a time. */
function trainInFloat64(options: {
  epochs: number;
  batchSize: number;
  lr: number;
  lrFinal: number;
  weightDecay: number;
}): { coef: number[]; intercept: number[]; losses: number[] } {
  const { epochs, batchSize, lr, lrFinal, weightDecay } = options;
  const [kw, kb, order] = split(randomKey(9), 3);
  const bound = 1 / Math.sqrt(P);
  const params = [...uniform(kw, T * P), ...uniform(kb, T)].map((u) => (2 * u - 1) * bound);
  const m = params.map(() => 0), v = params.map(() => 0);
  const losses = Array.from({ length: epochs }, () => 0);
  let step = 0;
  for (let epoch = 1; epoch <= epochs; epoch++) {
    const rate = lr * (lrFinal / lr) ** (epoch / epochs);
    const rows = permutation(foldIn(order, epoch - 1), N);
    for (let from = 0; from < N; from += batchSize) {
      const batch = rows.slice(from, from + batchSize);
      const g = params.map(() => 0);
      for (const r of batch) {
        for (let t = 0; t < T; t++) {
          let error = params[T * P + t] - y.data[r * T + t];
          for (let i = 0; i < P; i++) error += params[t * P + i] * x.data[r * P + i];
          losses[epoch - 1] += error ** 2 / (N * T);
          const slope = 2 * error / (batch.length * T);
          for (let i = 0; i < P; i++) g[t * P + i] += slope * x.data[r * P + i];
          g[T * P + t] += slope;
        }
      }
      step++;
      params.forEach((_, k) => {
        params[k] *= 1 - rate * weightDecay;
        m[k] = 0.9 * m[k] + 0.1 * g[k];
        v[k] = 0.999 * v[k] + 0.001 * g[k] ** 2;
        const moved = m[k] / (1 - 0.9 ** step);
        params[k] -= rate * moved / (Math.sqrt(v[k] / (1 - 0.999 ** step)) + 1e-8);
      });
    }
  }
  const coef = Array.from({ length: P * T }, (_, at) => params[(at % T) * P + Math.floor(at / T)]);
  return { coef, intercept: params.slice(T * P), losses };
}

const options = { epochs: 12, batchSize: 8, lr: 0.02, lrFinal: 0.005, weightDecay: 0.1 };
const key = randomKey(9);

Deno.test("LinearProbe follows PyTorch's Linear, MSELoss and AdamW", async () => {
  const want = trainInFloat64(options);
  const seen: number[] = [];
  const model = await new LinearProbe(gpu, { ...options, key }).fit(x, y, {
    onProgress: ({ done, total }) => seen.push(done / total),
  });
  // 36 steps of f32 rounding; Adam divides by √v, which magnifies small gradients' errors.
  model.coef.data.forEach((w, i) => assert(Math.abs(w - want.coef[i]) < 2e-5, `coef ${i}`));
  model.intercept.forEach((b, i) => assert(Math.abs(b - want.intercept[i]) < 2e-5, `b ${i}`));
  assert.deepEqual(seen.length, 12);
  assert.equal(seen.at(-1), 1);
  model.losses.forEach((l, i) => assert(Math.abs(l / want.losses[i] - 1) < 1e-5, `loss ${i}`));
  assert(model.losses[11] < 0.6 * model.losses[0]);
});

Deno.test("LinearProbe gives the same bits for a key, whatever the batches of targets", async () => {
  const fit = (extra = {}) => new LinearProbe(gpu, { ...options, key, ...extra }).fit(x, y);
  const whole = await fit(), again = await fit(), parts = await fit({ nTargetsBatch: 2 });
  const other = await fit({ key: randomKey(10) });
  assert.deepEqual(again.coef, whole.coef);
  assert.deepEqual(again.losses, whole.losses);
  // Products of other widths may add in another order.
  parts.coef.data.forEach((w, i) => assert(Math.abs(w - whole.coef.data[i]) < 1e-5));
  parts.losses.forEach((l, i) => assert(Math.abs(l / whole.losses[i] - 1) < 1e-5));
  assert.notDeepEqual(other.coef, whole.coef);
});

Deno.test("LinearProbe stops at a signal and refuses bad options", async () => {
  const signal = AbortSignal.abort();
  await assert.rejects(new LinearProbe(gpu).fit(x, y, { signal }), { name: "AbortError" });
  assert.throws(() => new LinearProbe(gpu, { epochs: 0 }), { name: "InputError" });
  assert.throws(() => new LinearProbe(gpu, { lr: NaN }), { name: "InputError" });
  await assert.rejects(new LinearProbe(gpu, { ...options, lr: 1e38, lrFinal: 1e38 }).fit(x, y), {
    name: "InputError",
    message: /not finite/,
  });
});

Deno.test("normalizeFeatures() gives unit rows, or columns by the training samples", () => {
  const raw = hostMatrix([3, 4, 0, 0, 1, 1], [3, 2]);
  const unit = normalizeFeatures(raw, fitNormalizer(raw, "l2"));
  assert.deepEqual([...unit.data.slice(0, 4)], [3 / 5, 4 / 5, 0, 0].map(Math.fround));
  const z = fitNormalizer(raw, "zscore");
  const { data } = normalizeFeatures(raw, z);
  assert(Math.abs(data[0] + data[2] + data[4]) < 1e-6);
  assert(Math.abs(data[0] ** 2 + data[2] ** 2 + data[4] ** 2 - 3) < 1e-5);
  // A column that never changed says nothing, even where it does later; 0.7 has a mean beside it.
  const flat = fitNormalizer(hostMatrix([0.7, 2, 0.7, 3, 0.7, 4], [3, 2]), "zscore");
  const later = normalizeFeatures(hostMatrix([0.9, 3, 0.7, 3], [2, 2]), flat);
  assert.deepEqual([...later.data], [0, 0, 0, 0]);
  const still = hostMatrix([1, 2, 1, 2], [2, 2]);
  assert.throws(() => fitNormalizer(still, "zscore"), { message: /all 2 columns are constant/ });
  const wide = hostMatrix([1, 2, 3], [1, 3]);
  assert.throws(() => normalizeFeatures(wide, z), { message: /fitted on 2 features/ });
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
