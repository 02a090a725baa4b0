import assert from "node:assert/strict";
import { foldIn, normal, randomKey, uniform } from "../../engine/random.ts";
import { InputError } from "../../pipelines/errors.ts";
import { type ObjectiveOptions, vaeObjective } from "../../pipelines/vae/objective.ts";
import {
  initialWeights,
  vaeTensorShapes,
  type VaeWeights,
} from "../../pipelines/vae/parameters.ts";
import { partialCorrelation } from "../../pipelines/vae/partial_correlation.ts";
import type { VaeShape } from "../../pipelines/vae/settings.ts";

const key = randomKey(7);
const draws = (seed: number, n: number) => Float64Array.from(normal(foldIn(key, seed), n));

/** The formulas of the estimator, term by term and without any of the savings of the code under test. */
function reference(
  { z, mu, logvar }: Record<"z" | "mu" | "logvar", Float64Array>,
  groups: readonly number[],
  { M, power }: { M: number; power: number },
): number {
  const D = groups.reduce((a, b) => a + b), B = z.length / D;
  const ell = (i: number, j: number, d: number) => {
    const v = Math.max(Math.exp(power * logvar[j * D + d]), 1e-6);
    return -0.5 * (Math.log(2 * Math.PI * v) + (z[i * D + d] - mu[j * D + d]) ** 2 / v);
  };
  const density = (i: number, from: number, to: number) => {
    let q = 0;
    for (let j = 0; j < B; j++) {
      let logDensity = 0;
      for (let d = from; d < to; d++) logDensity += ell(i, j, d);
      q += (j === i ? 1 : (M - 1) / (B - 1)) * Math.exp(logDensity);
    }
    return Math.log(q / M);
  };
  let total = 0;
  for (let i = 0; i < B; i++) {
    let at = 0;
    total += density(i, 0, D) / B;
    for (const size of groups) total -= density(i, at, at += size) / B;
  }
  return total;
}

const isZero = (values: Float64Array) => values.every((v) => v === 0);

function batchOf(B: number, D: number) {
  return {
    z: draws(1, B * D),
    mu: draws(2, B * D),
    logvar: draws(3, B * D).map((v) => 0.4 * v - 1),
  };
}

Deno.test("partialCorrelation() is the importance-sampled estimate, in every form", () => {
  const groups = [1, 2, 1], batch = batchOf(5, 4);
  for (const [variance, power] of [["exact", 1], ["code", 2]] as const) {
    for (const M of [5, 4608]) {
      const { value } = partialCorrelation(batch, { groups, datasetSize: M, variance });
      const expected = reference(batch, groups, { M, power });
      // Sums of 5 terms near 10 in float64: 1e-15 each.
      assert.ok(Math.abs(value - expected) < 1e-12, `${variance}, M = ${M}: ${value}, ${expected}`);
    }
  }
});

Deno.test("partialCorrelation() has the gradients of finite differences", () => {
  const groups = [2, 1, 3], batch = batchOf(4, 6);
  batch.logvar[3] = -20; // held at the least variance: no slope by its logvar
  for (const variance of ["exact", "code"] as const) {
    const options = { groups, datasetSize: 100, variance };
    const { gradients } = partialCorrelation(batch, options);
    for (const name of ["z", "mu", "logvar"] as const) {
      for (let at = 0; at < batch.z.length; at++) {
        const by = (step: number) => {
          const moved = { ...batch, [name]: batch[name].map((v, i) => i === at ? v + step : v) };
          return partialCorrelation(moved, options).value;
        };
        // Steepest near the least variance, where second differences are 1/1e-6 of the step.
        const h = 1e-6, slope = (by(h) - by(-h)) / (2 * h);
        const apart = Math.abs(slope - gradients[name][at]);
        assert.ok(apart < 1e-6 * (1 + Math.abs(slope)), `${variance} ${name} ${at}: ${slope}`);
      }
    }
    assert.equal(gradients.logvar[3], 0);
  }
});

Deno.test("partialCorrelation() is exactly zero with one group, and of one sample has no slope", () => {
  const one = partialCorrelation(batchOf(6, 4), { groups: [4], datasetSize: 60 });
  assert.equal(one.value, 0);
  assert.ok([one.gradients.z, one.gradients.mu, one.gradients.logvar].every(isZero));
  const alone = partialCorrelation(batchOf(1, 4), { groups: [2, 2], datasetSize: 60 });
  const { z, mu, logvar } = alone.gradients;
  assert.ok([z, mu, logvar].every(isZero));
});

Deno.test("partialCorrelation() grows with what groups share, and not with what a group holds", () => {
  // z of the second group copies the first: one nat and more. Dimensions of one group may copy each other.
  const B = 200, first = draws(9, B), second = draws(10, B);
  const logvar = new Float64Array(2 * B).fill(Math.log(0.01));
  const estimate = (other: Float64Array) => {
    const mu = Float64Array.from(
      { length: 2 * B },
      (_, i) => i % 2 ? other[i >> 1] : first[i >> 1],
    );
    const noise = draws(11, 2 * B);
    const z = mu.map((m, i) => m + 0.1 * noise[i]);
    return partialCorrelation({ z, mu, logvar }, { groups: [1, 1], datasetSize: B }).value;
  };
  const [shared, apart] = [estimate(first), estimate(second)];
  // Copies with deviation 0.1 share log(1/0.1) = 2.3 nats less what the noise takes; 200 samples estimate independent ones 1 nat high.
  assert.ok(shared > apart + 0.5, `${shared} of copies, ${apart} of independent groups`);
});

Deno.test("partialCorrelation() refuses arrays that do not fit", () => {
  const batch = batchOf(4, 6);
  assert.throws(() => partialCorrelation(batch, { groups: [5], datasetSize: 10 }), InputError);
  assert.throws(() => partialCorrelation(batch, { groups: [6], datasetSize: 3 }), InputError);
});

const shape: VaeShape = {
  nSites: 5,
  hidden: 7,
  groups: [2, 3, 1],
  pose: { group: 1, size: 2 },
  category: { group: 0, size: 3 },
};
const options: ObjectiveOptions = {
  klWeight: 0.3,
  labelWeight: 0.7,
  partialCorrelationWeight: 0.2,
  variance: "exact",
  sampleWeights: "dataset",
  datasetSize: 40,
};
const nBatch = 4;
const batch = {
  responses: normal(foldIn(key, 20), nBatch * 5),
  pose: normal(foldIn(key, 21), nBatch * 2),
  categories: uniform(foldIn(key, 22), nBatch),
  noise: normal(foldIn(key, 23), nBatch * 6),
};
const samples = {
  ...batch,
  categories: Uint32Array.from(batch.categories, (u) => Math.floor(3 * u)),
};

Deno.test("vaeTensorShapes() are those of the released code's module", () => {
  const published = vaeTensorShapes({
    nSites: 58,
    hidden: 64,
    groups: [6, 6, 6, 6],
    pose: { group: 0, size: 6 },
    category: { group: 1, size: 8 },
  });
  assert.deepEqual(Object.fromEntries(published), {
    "encoder.fc1.weight": [64, 58],
    "encoder.fc1.bias": [64],
    "encoder.fc_mu.weight": [24, 64],
    "encoder.fc_mu.bias": [24],
    "encoder.fc_logvar.weight": [24, 64],
    "encoder.fc_logvar.bias": [24],
    "decoder.fc_x.weight": [58, 24],
    "decoder.fc_x.bias": [58],
    "decoder.fc_category.weight": [8, 6],
    "decoder.fc_category.bias": [8],
    "decoder.dimwise_scale": [6],
  });
});

Deno.test("initialWeights() are PyTorch's of Linear, and small ones of the pose", () => {
  const weights = initialWeights({ ...shape, nSites: 400, hidden: 300 }, key);
  for (const [name, nIn] of [["encoder.fc1", 400], ["encoder.fc_mu", 300]] as const) {
    for (const part of ["weight", "bias"]) {
      const values = weights.get(`${name}.${part}`)!;
      const bound = 1 / Math.sqrt(nIn);
      assert.ok(values.every((v) => Math.abs(v) <= bound));
      assert.ok(Math.max(...values.subarray(0, 300)) > 0.5 * bound);
    }
  }
  assert.ok(weights.get("decoder.dimwise_scale")!.every((v) => v !== 0 && Math.abs(v) < 0.05));
});

/** A forward pass, sample by sample. */
function forwardRows(weights: VaeWeights) {
  const w = (name: string) => weights.get(name)!;
  return Array.from({ length: nBatch }, (_, b) => {
    const x = [...samples.responses.subarray(5 * b, 5 * b + 5)];
    const layer = (name: string, from: number[]) =>
      [...w(`${name}.bias`)].map((bias, o) =>
        from.reduce((sum, v, i) => sum + v * w(`${name}.weight`)[o * from.length + i], bias)
      );
    const h = layer("encoder.fc1", x).map((v) => Math.max(0, v));
    const mu = layer("encoder.fc_mu", h), logvar = layer("encoder.fc_logvar", h);
    const z = mu.map((m, d) => m + Math.exp(0.5 * logvar[d]) * samples.noise[6 * b + d]);
    const logits = layer("decoder.fc_category", z.slice(0, 2));
    return { x, mu, logvar, z, logits, out: layer("decoder.fc_x", z) };
  });
}

Deno.test("vaeObjective() is the sum of its parts as the paper's code has them", () => {
  const weights = initialWeights(shape, key);
  const { losses } = vaeObjective(weights, shape, samples, options);
  const scales = weights.get("decoder.dimwise_scale")!;
  const rows = forwardRows(weights);
  const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
  const near = (a: number, b: number, what: string) => assert.ok(Math.abs(a - b) < 1e-12, what);
  near(
    losses.reconstruction,
    mean(rows.flatMap(({ x, out }) => x.map((v, i) => (v - out[i]) ** 2))),
    "reconstruction",
  );
  near(
    losses.pose,
    mean(
      rows.flatMap(({ z }, b) =>
        [0, 1].map((k) => (z[2 + k] * scales[k] - samples.pose[2 * b + k]) ** 2)
      ),
    ),
    "pose",
  );
  near(
    losses.category,
    mean(
      rows.map(({ logits }, b) =>
        Math.log(logits.reduce((s, v) => s + Math.exp(v), 0)) - logits[samples.categories[b]]
      ),
    ),
    "category",
  );
  near(
    losses.kl,
    mean(
      rows.flatMap(({ mu, logvar }) =>
        mu.map((m, d) => -0.5 * (1 + logvar[d] - m * m - Math.exp(logvar[d])))
      ),
    ),
    "KL",
  );
  const all = (name: "z" | "mu" | "logvar") => Float64Array.from(rows.flatMap((row) => row[name]));
  const latents = { z: all("z"), mu: all("mu"), logvar: all("logvar") };
  near(
    losses.partialCorrelation,
    reference(latents, shape.groups, { M: 40, power: 1 }),
    "partial correlation",
  );
  near(
    losses.total,
    losses.reconstruction + 0.7 * (losses.pose + 0.1 * losses.category) + 0.3 * losses.kl +
      0.2 * losses.partialCorrelation,
    "total",
  );
});

Deno.test("vaeObjective() has the gradients of finite differences, by every weight", () => {
  const variants: Partial<ObjectiveOptions>[] = [{}, { variance: "code", sampleWeights: "batch" }];
  for (const variant of variants) {
    const chosen = { ...options, ...variant };
    const weights = initialWeights(shape, foldIn(key, 30));
    const { gradients } = vaeObjective(weights, shape, samples, chosen);
    for (const [name, values] of weights) {
      for (let at = 0; at < values.length; at++) {
        const by = (step: number) => {
          const moved = new Map(weights);
          moved.set(name, values.map((v, i) => i === at ? v + step : v));
          return vaeObjective(moved, shape, samples, chosen).losses.total;
        };
        const h = 1e-5, slope = (by(h) - by(-h)) / (2 * h);
        // Differences are O(h²) = 1e-10 off, roundings 1e-16 / 1e-5.
        const apart = Math.abs(slope - gradients.get(name)![at]);
        assert.ok(apart < 1e-8 * (1 + Math.abs(slope)), `${name} ${at}: ${slope}`);
      }
    }
  }
});

Deno.test("vaeObjective() leaves parts out that have no labels, no weight, or one group", () => {
  const bare: VaeShape = { nSites: 5, hidden: 7, groups: [6] };
  const weights = initialWeights(bare, key);
  const { losses, gradients } = vaeObjective(weights, bare, samples, options);
  assert.equal(losses.pose, 0);
  assert.equal(losses.category, 0);
  assert.equal(losses.partialCorrelation, 0);
  assert.deepEqual([...gradients.keys()], [...vaeTensorShapes(bare).keys()]);
});
