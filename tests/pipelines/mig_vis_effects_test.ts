/**
 * Effects of steering, on edits of which the truth is known.
 *
 * @module
 */
import assert from "node:assert/strict";
import { normal, randomKey, uniform } from "../../engine/random.ts";
import { type Edits, effectMatrix } from "../../pipelines/mig_vis/effects.ts";
import { evaluateSteering } from "../../pipelines/mig_vis/evaluation.ts";
import { steeringReport } from "../../pipelines/mig_vis/steering_report.ts";
import { type Factor, factorDistances, factorScale } from "../../pipelines/mig_vis/factors.ts";
import { monotonicity } from "../../pipelines/mig_vis/monotonicity.ts";

const FACTORS: readonly Factor[] = [
  { name: "pose", columns: [0, 1], kind: "values" },
  { name: "category", columns: [2], kind: "class" },
  { name: "tone", columns: [3], kind: "values" },
];

/** Stimuli: two uniform numbers, one of four classes, and another number of another size. */
function stimuli(n: number, seed: number): Float64Array<ArrayBuffer> {
  const draws = uniform(randomKey(seed), 4 * n);
  return Float64Array.from(
    draws,
    (u, at) => at % 4 === 2 ? Math.floor(4 * u) : at % 4 === 3 ? 10 * u : u,
  );
}

const scale = factorScale({ data: stimuli(4000, 1), shape: [4000, 4] }, FACTORS);
const GAMMAS = [-10, -5, 5, 10];

/** Edits that move one factor each by so much per gamma, and every column by noise. */
function edits(nSources: number, { step, noise }: { step: number; noise: number }): Edits {
  const sources = stimuli(nSources, 2), rows: number[] = [];
  const [source, group, gamma]: number[][] = [[], [], []];
  const jitter = normal(randomKey(3), nSources * 3 * GAMMAS.length * 4);
  for (let s = 0; s < nSources; s++) {
    for (let g = 0; g < 3; g++) {
      for (const along of GAMMAS) {
        const row = [...sources.subarray(4 * s, 4 * s + 4)], at = rows.length;
        if (g === 0) row[0] += step * along;
        if (g === 1 && step > 0 && Math.abs(along) === 10) row[2] = along > 0 ? 0 : 3;
        if (g === 2) row[3] += 10 * step * along;
        row.forEach((value, c) => rows.push(c === 2 ? value : value + noise * jitter[at + c]));
        source.push(s);
        group.push(g);
        gamma.push(along);
      }
    }
  }
  return {
    ...{ source, group, gamma },
    readings: { data: rows, shape: [source.length, 4] },
    sources: { data: sources, shape: [nSources, 4] },
  };
}

Deno.test("factorScale() makes two unrelated stimuli a distance of 1 apart in every factor", () => {
  const data = stimuli(4000, 9);
  const mean = [0, 0, 0];
  for (let i = 0; i < 2000; i++) {
    const [a, b] = [data.subarray(8 * i, 8 * i + 4), data.subarray(8 * i + 4, 8 * i + 8)];
    factorDistances(scale, a, b).forEach((v, f) => mean[f] += v / 2000);
    assert.deepEqual([...factorDistances(scale, a, a)], [0, 0, 0]);
  }
  // Standard error of |a − b| over its mean is 0.71/√2000 = 0.016 at most.
  for (const value of mean) assert.ok(Math.abs(value - 1) < 0.07, String(mean));
  // Uniform numbers are a third of their range apart, four classes differ in three of four pairs.
  assert.ok(Math.abs(scale.unrelated[0] - 1 / 3) < 0.01);
  assert.ok(Math.abs(scale.unrelated[2] - 3 / 4) < 0.01);
});

Deno.test("effectMatrix() finds which group moves which factor, and by how much", () => {
  const found = effectMatrix(edits(12, { step: 0.02, noise: 0.01 }), scale, {
    key: randomKey(0),
    own: [0, 1, 2],
    nDraws: 500,
  });
  // Mean |gamma| is 7.5: 0.15 of a range of which a third is 1; pose is two columns, of which one moves.
  assert.ok(Math.abs(found.effects[0][0].mean - 0.15 * 3 / 2) < 0.03);
  assert.ok(Math.abs(found.effects[2][2].mean - 0.15 * 3) < 0.03);
  assert.ok(found.effects[1][1].mean > 0.2 && found.effects[1][1].mean < 0.67);
  for (const [g, row] of found.effects.entries()) {
    row.forEach(({ mean: value, low, high }, f) => {
      assert.ok(low <= value && value <= high);
      if (g !== f) assert.ok(value < 0.05, `group ${g}, factor ${f}: ${value}`);
    });
  }
  const { mean: value, low, high } = found.ratio;
  assert.ok(Math.abs(value - found.diagonal.mean / found.offDiagonal.mean) < 1e-12);
  assert.ok(low > 3 && high > value, `${low}`);
  assert.equal(found.dominance.count, 3);
  assert.equal(found.dominance.pDifference, 1 / 501);
  // Groups that share a factor: the second of three has none of its own.
  const two = effectMatrix(edits(12, { step: 0.02, noise: 0.01 }), scale, {
    key: randomKey(0),
    own: [0, -1, 2],
    nDraws: 200,
  });
  assert.equal(two.dominance.of, 2);
  assert.ok(
    Math.abs(two.diagonal.mean - (found.effects[0][0].mean + found.effects[2][2].mean) / 2) <
      1e-12,
  );
});

Deno.test("effectMatrix() finds no diagonal where groups move nothing of their own", () => {
  const ps = [0, 1, 2, 3].map((seed) =>
    effectMatrix(edits(8 + seed, { step: 0, noise: 0.05 }), scale, {
      key: randomKey(seed),
      own: [0, 1, 2],
      nDraws: 200,
    })
  );
  // The least of four p of no effect is below 0.01 once in 25 runs; these four are what they are.
  assert.ok(ps.every(({ dominance }) => dominance.pDifference > 0.01));
  for (const { ratio } of ps) assert.ok(ratio.low < 1.2, `${ratio.low}`);
});

Deno.test("monotonicity() follows gamma along the direction that other sources give", () => {
  const moved = edits(8, { step: 0.02, noise: 0.001 });
  const pose = monotonicity(moved, scale, { group: 0, factor: 0 });
  assert.ok(pose.signed === 1 && pose.magnitude > 0.8, JSON.stringify(pose));
  assert.ok(monotonicity(moved, scale, { group: 1, factor: 1 }).signed > 0.8);
  // Of noise the mean of eight correlations of four points has a standard error of 0.2.
  assert.ok(Math.abs(monotonicity(moved, scale, { group: 0, factor: 2 }).signed) < 0.7);
  const still = monotonicity(edits(4, { step: 0, noise: 0 }), scale, { group: 0, factor: 0 });
  assert.equal(still.signed, 0);
});

Deno.test("effectMatrix() refuses edits that do not fit", () => {
  const good = edits(3, { step: 0.01, noise: 0.01 });
  const call = (changed: Partial<Edits>, own = [0, 1, 2]) => () =>
    effectMatrix({ ...good, ...changed }, scale, { key: randomKey(0), own, nDraws: 10 });
  assert.throws(call({ source: [0] }), /there are 1 sources/);
  assert.throws(call({ group: good.source.length ? Array(36).fill(7) : [] }), /group 7 of 3/);
  assert.throws(call({}, [0, 1, 5]), /its own factor is 5/);
  assert.throws(call({}, [0, 1, 2, 0]), /Cannot judge group 3: no edit steers it/);
  const data = Array.from(good.readings.data);
  data[5] = NaN;
  assert.throws(call({ readings: { ...good.readings, data } }), /image 1, column 1 .* is NaN/);
  assert.throws(
    () =>
      factorScale({ data: [1, 1], shape: [2, 1] }, [{ name: "x", columns: [0], kind: "values" }]),
    /does not vary/,
  );
});

Deno.test("evaluateSteering() compares ways of steering over the same sources", () => {
  const clean = edits(10, { step: 0.02, noise: 0.01 });
  const blurred = edits(10, { step: 0.02, noise: 0.1 });
  const [first, second] = evaluateSteering(
    [
      { name: "clean", edits: clean, psnr: [40, 50], residuals: [0.1, 0.3] },
      { name: "blurred", edits: blurred },
    ],
    scale,
    { key: randomKey(0), own: [0, 1, 2], nDraws: 300 },
  );
  assert.equal(first.behind, undefined);
  const gap = first.effects.ratio.mean - second.effects.ratio.mean;
  assert.ok(second.behind && Math.abs(second.behind.mean - gap) < 1e-12 && second.behind.low > 0);
  assert.deepEqual(first.psnr, { mean: 45, least: 40 });
  assert.equal(first.residual, 0.2);
  assert.equal(first.monotone[0]?.signed, 1);
  // A method against itself: the resamples belong together, so that nothing is left.
  const [, same] = evaluateSteering(
    [{ name: "a", edits: clean }, { name: "b", edits: clean }],
    scale,
    { key: randomKey(0), own: [[0, 1, 2], [0, 1, 2]], nDraws: 50 },
  );
  assert.deepEqual(same.behind, { mean: 0, low: 0, high: 0 });
  const other = edits(6, { step: 0.02, noise: 0.01 });
  const [, apart] = evaluateSteering(
    [{ name: "a", edits: clean }, { name: "b", edits: other }],
    scale,
    { key: randomKey(0), own: [0, 1, 2], nDraws: 50 },
  );
  assert.equal(apart.behind, undefined);
});

Deno.test("steeringReport() shows every number and picture on one page", () => {
  const methods = evaluateSteering(
    [
      { name: "mutual <information>", edits: edits(6, { step: 0.02, noise: 0.01 }), psnr: [41.2] },
      { name: "likelihood", edits: edits(6, { step: 0.01, noise: 0.05 }) },
    ],
    scale,
    { key: randomKey(0), own: [0, 1, -1], nDraws: 100 },
  );
  const image = { height: 2, width: 2, data: new Uint8Array(12).fill(90) };
  const { page, titles } = steeringReport(methods, {
    groups: ["G1", "G2", "G3"],
    factors: FACTORS.map(({ name }) => name),
    own: [0, 1, -1],
    readouts: [0.99, 1, 0.98],
    latents: [[0.9, 0, 0], [0, 0.8, 0], [0, 0, 0.7]],
    traversals: [{
      method: "mutual",
      columns: ["-10", "0"],
      strips: [{ label: "source 0", images: [image, image] }],
    }],
  });
  assert.equal(titles.length, 5);
  assert.ok(
    page.includes("mutual &lt;information>") || page.includes("mutual &lt;information&gt;"),
  );
  const { ratio } = methods[0].effects;
  assert.ok(page.includes(`interval ${ratio.low.toFixed(2)} to ${ratio.high.toFixed(2)}`));
  assert.ok(page.includes(methods[1].effects.effects[0][0].mean.toFixed(2)));
  assert.ok(page.includes("G2 → category") && page.includes("41.2"));
  assert.equal(page.match(/<img /g)?.length, 2);
  assert.ok(!/(src|href)="https?:/.test(page), "nothing is fetched");
});
