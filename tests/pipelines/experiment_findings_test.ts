/** Statistics of an experiment with images made for regions: by hand, by brute force, and against the figure of the paper. */
import assert from "node:assert/strict";
import {
  contrastChanges,
  contrastOf,
  correctedPs,
  diagonalDominance,
  foldIn,
  measuredFindings,
  normal,
  oneSampleTest,
  ownAgainstNext,
  pairedTest,
  pixelChange,
  pooledReadout,
  pooledRegionReadouts,
  randomKey,
  regionFindings,
  regionResponses,
  responseLosses,
  selectivity,
  subjectsSummary,
  type TargetResponses,
  topNatural,
  voxelFindings,
  voxelResponses,
  welchTest,
} from "../../mod.ts";
import { assertInputError } from "./io_fixtures.ts";

const near = (a: ArrayLike<number>, b: ArrayLike<number>, tolerance = 1e-12) =>
  assert.ok(
    a.length === b.length && Array.from(b).every((v, i) => Math.abs(a[i] - v) <= tolerance),
    `${Array.from(a)} is not ${Array.from(b)}`,
  );

const key = randomKey(4);

/** Mean betas that Shinkle and Lescroart report (their figure of the individual-subject experiment): rows respond, columns are targets. */
const PAPER = [
  // deno-fmt-ignore
  [
    1.14, 1.07, 0.93, 1.01, 1.11,
    0.61, 0.99, 0.86, 1.15, 0.69,
    -0.13, -0.03, 0.58, 0.21, -0.02,
    0.26, 0.36, 0.64, 0.78, 0.37,
    -0.09, -0.14, -0.04, -0.15, 0.08,
  ],
  // deno-fmt-ignore
  [
    0.48, 0.56, 0.46, 0.55, 0.54,
    0.71, 1.30, 0.93, 1.20, 0.72,
    -0.02, 0.10, 0.12, 0.09, 0,
    -0.05, 0.07, 0.04, 0.28, -0.01,
    -0.02, -0.02, -0.02, -0.02, 0.01,
  ],
];

Deno.test("the paper's own matrices have 4 of 5 regions on the diagonal, in both subjects", () => {
  const names = ["V3", "LO", "EBA", "FFA", "RSC"];
  const missed = PAPER.map((rows) => {
    // one image of each target, [targets, responses]
    const data = Array.from({ length: 25 }, (_, at) => rows[5 * (at % 5) + Math.floor(at / 5)]);
    const { dominance, selectivity: found, tests } = regionFindings(
      { data, shape: [5, 5], targets: [0, 1, 2, 3, 4] },
      { key, nDraws: 200 },
    );
    assert.deepEqual([dominance.count, dominance.of], [4, 5]);
    assert.ok(found.every((roi) => roi && roi.on > 0), "own images drive every region above 0");
    const [lo, eba] = [found[1], found[2]];
    assert.ok(lo && eba);
    assert.equal(names[lo.runnerUp], "FFA");
    assert.equal(tests[1].student, undefined); // one image of each
    return names.filter((_, r) => found[r]?.rank !== 1);
  });
  assert.deepEqual(missed, [["LO"], ["V3"]]);
});

Deno.test("regionResponses() and voxelResponses() average voxels and images", () => {
  const responses = { data: [1, 2, 3, 4, 5, 6, 7, 8, 9], shape: [3, 3] as const };
  const regions = [{ name: "a", voxels: [0, 2] }, { name: "b", voxels: [1] }];
  near(regionResponses(responses, regions).data, [2, 2, 5, 5, 8, 8]);
  const { data, shape } = voxelResponses(responses, [1, -1, 1], 3);
  assert.deepEqual(shape, [3, 3]);
  near(data.subarray(3, 6), [4, 5, 6]);
  assert.ok(data.subarray(0, 3).every(Number.isNaN) && data.subarray(6).every(Number.isNaN));
  const refuse = (voxels: number[], message: RegExp) =>
    assertInputError(() => regionResponses(responses, [{ name: "c", voxels }]), message);
  refuse([], /region "c": it has no voxel/);
  refuse([3], /region "c": there are 3 voxels.* voxel 3/);
  assertInputError(() => voxelResponses(responses, [1], 3), /3 images: 1 targets/);
});

Deno.test("topNatural() takes the images that each region likes most", () => {
  const natural = { data: [5, 0, 1, 9, 5, 3, 2, 3], shape: [4, 2] as const };
  const top = topNatural(natural, [1, 0], 2);
  assert.deepEqual([...top.images], [1, 2, 0, 2]); // equal ones in their order
  assert.deepEqual(top.targets, [1, 1, 0, 0]);
  near(top.data, [1, 9, 5, 3, 5, 0, 5, 3]);
  assertInputError(() => topNatural(natural, [0], 5), /5 best of 4/);
});

/** Three images for each of three regions; region r responds 10 r + 5 more to its own. */
function clearData(nImages = 3): TargetResponses {
  const targets = Array.from({ length: 3 * nImages }, (_, i) => Math.floor(i / nImages));
  const noise = normal(foldIn(key, 1), 9 * nImages);
  return {
    targets,
    shape: [3 * nImages, 3],
    data: Array.from(
      noise,
      (v, at) => 10 * (at % 3) + 0.1 * v + (targets[Math.floor(at / 3)] === at % 3 ? 5 : 0),
    ),
  };
}

Deno.test("regionFindings() joins the matrix, its place among natural images, intervals and tests", () => {
  const responses = clearData();
  const natural = { data: [0, 10, 20, 2, 12, 22], shape: [2, 3] as const };
  const found = regionFindings(responses, { key, nDraws: 300, natural });
  const { matrix: { means }, z, percentiles, cells, tests } = found;
  assert.ok(z && percentiles);
  near(z, Array.from(means, (v, at) => (v - 10 * (at % 3) - 1) / Math.SQRT2));
  near([percentiles[0], percentiles[4]], [100, 100]);
  means.forEach((v, at) => assert.ok(cells.low[at] <= v && v <= cells.high[at]));
  assert.equal(found.dominance.count, 3);
  for (const { roi, runnerUp, student, studentP } of tests) {
    const of = (target: number) =>
      Array.from({ length: 3 }, (_, i) => responses.data[3 * (3 * target + i) + roi]);
    assert.deepEqual(student, welchTest(of(roi), of(runnerUp)));
    assert.equal(studentP?.p, student?.pGreater);
  }
  const all = correctedPs(tests.map(({ p }) => p));
  assert.deepEqual(tests.map(({ exchanged }) => exchanged), all);
  assert.deepEqual(correctedPs([0.01, 0.02]), [
    { p: 0.01, holm: 0.02, q: 0.02 },
    { p: 0.02, holm: 0.02, q: 0.02 },
  ]);
  const some = regionFindings({
    ...responses,
    targets: Array.from(responses.targets, (t) => t % 2),
  }, {
    ...{ key, nDraws: 50, natural },
  });
  assert.equal(some.selectivity[2], undefined);
  assert.ok(some.z && some.z.subarray(6).every(Number.isNaN));
  assert.ok(some.cells.low.subarray(6).every(Number.isNaN));
});

Deno.test("voxelFindings() has voxels for units", () => {
  // two voxels in region 0, one in region 1: means to the images of both
  const regions = [{ name: "a", voxels: [0, 1] }, { name: "b", voxels: [2] }];
  const means = { data: Float64Array.of(4, 6, 1, 1, 2, 9), shape: [2, 3] as const };
  const { cells, difference, tests } = voxelFindings(means, regions, { key, nDraws: 2000 });
  // of two voxels a resample has one twice with the chance of a half: the ends are the voxels themselves
  near([cells.low[0], cells.high[0], cells.low[2], cells.high[2]], [4, 6, 1, 2]);
  near([cells.low[1], cells.high[3]], [1, 9]); // region 1 has one voxel
  near([difference.low[0], difference.high[0]], [3, 4]);
  near([difference.low[1], difference.high[1]], [8, 8]);
  assert.ok(tests[0] && tests[1] === undefined);
  assert.equal(tests[0].t, pairedTest([4, 6], [1, 2]).t);
  assert.deepEqual(tests[0].corrected, correctedPs([tests[0].pGreater])[0]);
  assertInputError(
    () => voxelFindings(means, [regions[0]], { key }),
    /1 regions need as many rows/,
  );
});

Deno.test("exchanges stay within groups: brute force over every order", () => {
  // two runs with both targets; a run's level is not the targets' doing
  const responses: TargetResponses = {
    data: [3, 0, 1, 0, 13, 0, 12, 0, 14, 0],
    shape: [5, 2],
    targets: [0, 1, 0, 1, 1],
  };
  const groups = [1, 1, 2, 2, 2], nDraws = 20_000;
  const within = ownAgainstNext(responses, { key, nDraws, groups })[0];
  // labels: run 1 has 2 orders, run 2 has 3 places for its one image of target 0
  const values = [3, 1, 13, 12, 14], differences: number[] = [];
  for (const first of [0, 1]) {
    for (const second of [2, 3, 4]) {
      const own = [first, second], sum = values.reduce((s, v) => s + v, 0);
      const on = own.reduce((s, i) => s + values[i], 0);
      differences.push(on / 2 - (sum - on) / 3);
    }
  }
  const observed = (3 + 13) / 2 - (1 + 12 + 14) / 3;
  near([within.difference], [observed]);
  const exact = differences.filter((d) => d >= observed - 1e-9).length / differences.length;
  const error = Math.sqrt(exact * (1 - exact) / nDraws);
  assert.ok(Math.abs(within.p - exact) < 5 * error + 1 / nDraws, `${within.p} is not ${exact}`);
  const both = diagonalDominance(responses, { key, nDraws, groups });
  assert.ok(both.pDifference <= 1 && both.of === 2);
  assertInputError(
    () => diagonalDominance(responses, { key, groups: [1] }),
    /5 images within groups: got 1/,
  );
});

Deno.test("p-values of own images against the next are uniform or careful where no image matters", () => {
  const n = 300, p: number[] = [], diagonal: number[] = [];
  for (let i = 0; i < n; i++) {
    const noise = {
      data: normal(foldIn(randomKey(12), i), 24),
      shape: [12, 2] as const,
      targets: Array.from({ length: 12 }, (_, k) => k % 2),
    };
    p.push(ownAgainstNext(noise, { key: foldIn(key, i), nDraws: 99 })[0].p);
    diagonal.push(diagonalDominance(noise, { key: foldIn(key, i), nDraws: 99 }).pDifference);
  }
  for (const all of [p, diagonal]) {
    for (const share of [0.1, 0.5, 0.9]) {
      const found = all.filter((v) => v <= share).length / n;
      // four standard errors; two targets leave one runner-up, so that nothing is chosen by looking
      assert.ok(
        Math.abs(found - share) < 4 * Math.sqrt(share * (1 - share) / n),
        `${found}, ${share}`,
      );
    }
  }
});

const regions = [{ name: "a", voxels: [0, 1] }, { name: "b", voxels: [2] }];

/** Trials of runs; a run adds its own level to every voxel. */
function trialsOf(targets: readonly number[], blocks: readonly number[], lift: number) {
  const noise = normal(foldIn(key, 7), 3 * targets.length);
  return {
    targets,
    blocks,
    betas: {
      shape: [targets.length, 3] as const,
      data: Array.from(noise, (v, at) => {
        const i = Math.floor(at / 3), own = at % 3 < 2 ? 0 : 1;
        return 0.5 * v + 3 * blocks[i] + (targets[i] === own ? lift : 0);
      }),
    },
  };
}

Deno.test("measuredFindings() has blocks of one target for units", () => {
  const trials = trialsOf([0, 0, -1, 1, 1, 0, 1, 1], [1, 1, 1, 2, 2, 3, 4, 4], 1);
  const { design, nUnits, findings } = measuredFindings(trials, regions, { key, nDraws: 100 });
  assert.deepEqual([design, nUnits], ["blocks of one target", 4]);
  const { data } = trials.betas;
  const region = (i: number) => (data[3 * i] + data[3 * i + 1]) / 2;
  near([findings.matrix.means[0]], [((region(0) + region(1)) / 2 + region(5)) / 2]);
  assert.deepEqual([...findings.matrix.nImages], [2, 2]);
});

Deno.test("measuredFindings() pairs over blocks of several targets, whose level then costs nothing", () => {
  const order = [0, 1, 0, 1];
  const blocks = Array.from({ length: 24 }, (_, i) => Math.floor(i / 4));
  const trials = trialsOf(blocks.map((_, i) => order[i % 4]), blocks, 1.5);
  const { design, nUnits, findings, voxels } = measuredFindings(trials, regions, {
    ...{ key, nDraws: 400 },
  });
  assert.deepEqual([design, nUnits], ["blocks of several targets", 24]);
  const [test] = findings.tests;
  const { data } = regionResponses(trials.betas, regions);
  const means = (target: number) =>
    Array.from({ length: 6 }, (_, b) => {
      const rows = [0, 1, 2, 3].filter((k) => order[k] === target).map((k) => 4 * b + k);
      return rows.reduce((s, i) => s + data[2 * i], 0) / rows.length;
    });
  assert.deepEqual(test.student, pairedTest(means(0), means(1)));
  assert.ok(test.p < 0.01 && (test.student?.p ?? 1) < 0.01);
  assert.deepEqual([findings.dominance.count, findings.dominance.of], [2, 2]);
  // without the blocks their levels, 0 to 15, hide it
  const { findings: blind, design: none } = measuredFindings(
    { betas: trials.betas, targets: trials.targets },
    regions,
    { key, nDraws: 400 },
  );
  assert.equal(none, "trials");
  assert.ok(blind.tests[0].p > 0.1);
  assert.ok(voxels.tests[0] && voxels.tests[1] === undefined);
  const refuse = (more: object, message: RegExp) =>
    assertInputError(() => measuredFindings({ ...trials, ...more }, regions, { key }), message);
  refuse({ targets: [0] }, /24 trials/);
  refuse({ targets: blocks.map(() => -1) }, /none shows an image/);
  refuse({ targets: blocks.map(() => 2) }, /target 2, of 2/);
});

Deno.test("subjectsSummary() has subjects for units", () => {
  const subjects = [1, 2, 3].map((s) => {
    const base = clearData();
    const data = Array.from(base.data, (v, at) => v + (at % 3 === 0 && at < 9 ? s : 0));
    return regionFindings({ ...base, data }, { key, nDraws: 20 });
  });
  const summary = subjectsSummary(subjects);
  assert.deepEqual(summary.counts, [3, 3, 3]);
  const differences = subjects.map(({ selectivity: own }) => own[0]?.difference ?? NaN);
  assert.deepEqual(summary.regions[0].difference.test, oneSampleTest(differences));
  near([summary.means[0]], [subjects[1].matrix.means[0]]);
  assert.equal(summary.regions[0].difference.nPositive, 3);
  const next = subjects.map(({ tests }) => tests[2].difference);
  near([summary.regions[2].ownLessNext.mean], [(next[0] + next[1] + next[2]) / 3]);
  assertInputError(() => subjectsSummary([]), /there must be some/);
});

Deno.test("pooledRegionReadouts() gives subjects of any scale the same say", () => {
  const coef = (data: number[]) => ({ data: Float32Array.from(data), shape: [2, 2] as const });
  const small = { coef: coef([1, 3, 0, 0]), regions: [{ name: "a", voxels: [0, 1] }] };
  const large = { coef: coef([0, 9, 800, 9]), regions: [{ name: "a", voxels: [0] }] };
  const [pooled] = pooledRegionReadouts([small, large], ["a"]);
  near(pooled, pooledReadout([[1, 0], [0, 1]]));
  assertInputError(() => pooledRegionReadouts([small], ["b"]), /region "b": subject 0 has a/);
});

Deno.test("responseLosses() says what is lost, as a share of what natural images leave", () => {
  const before = { data: [5, 0, 7, 0, 0, 4], shape: [3, 2] as const, targets: [0, 0, -1] };
  const after = { data: [4, 0, 4, 0, 0, 0], shape: [3, 2] as const };
  const natural = { data: [1, 0, 3, 0], shape: [2, 2] as const };
  assert.deepEqual(responseLosses(before, after, natural), [
    { region: 0, nImages: 2, before: 6, after: 4, loss: 2, kept: 0.5 },
  ]);
  assert.equal(responseLosses(before, after)[0].kept, 4 / 6);
  assertInputError(
    () => responseLosses(before, { data: [1, 2], shape: [1, 2] }),
    /\[3,2\] with \[1,2\]/,
  );
});

Deno.test("contrastChanges() says what an edit does and how large it is", () => {
  const names = ["OFA", "FFA", "FFA-2"];
  assert.deepEqual(contrastOf("OFA-FFA", names), { a: 0, b: 1 });
  assert.deepEqual(contrastOf("FFA-2-OFA", names), { a: 2, b: 0 });
  assert.equal(contrastOf("FFA-2", names), undefined);
  const change = pixelChange([0, 0.5, 1, 0.5], [0, 0.5, 0.5, 0.25]);
  near([change.rms, change.largest], [Math.sqrt((0.25 + 0.0625) / 4), 0.5]);
  const [found] = contrastChanges(
    [{ a: 0, b: 1 }],
    { data: [3, 1, 2], shape: [1, 3] },
    { data: [1, 2, 2], shape: [1, 3] },
    [change],
  );
  assert.deepEqual([...found.deltas, found.apart, found.rms], [2, -1, 0, 3, change.rms]);
  assertInputError(() => pixelChange([1], [1, 2]), /1 and 2 values/);
});

Deno.test("selectivity() of a matrix does not need images, only their means", () => {
  const means = Float64Array.of(2, 1, 0, 1);
  const [a] = selectivity({ means, nImages: Uint32Array.of(1, 1), nRois: 2 });
  assert.equal(a?.difference, 2);
});
