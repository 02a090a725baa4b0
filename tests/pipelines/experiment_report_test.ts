/** An experiment from arrays to its file and its page; every number is known beforehand or computed a second way. */
import assert from "node:assert/strict";
import {
  compareWithNatural,
  randomKey,
  readVoxelResponses,
  regionFindings,
  regionResponses,
  responseLosses,
  runExperiment,
  saveExperiment,
} from "../../mod.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { toFloat64 } from "../../pipelines/io/state_dict.ts";
import { experimentReport } from "../../pipelines/vwam/experiment_report.ts";
import { needs } from "../expectations.ts";
import { FIXTURE_REGIONS, fixtureExperiment, LIFT } from "./experiment_fixture.ts";
import { assertInputError, TestFolder } from "./io_fixtures.ts";
import { assertStandsAlone, filesOf, hasChromium, rowsOf, sections } from "./report_pages.ts";

const data = fixtureExperiment();
const options = { key: randomKey(3), nDraws: 400, nTop: 5 };
const found = runExperiment(data, options);

Deno.test("runExperiment() finds what was planted, in predictions, controls and betas", () => {
  assert.deepEqual(found.regions, FIXTURE_REGIONS);
  assert.deepEqual(found.nImages, [5, 5, 5]);
  for (const { findings, measured, conditions, voxels, top } of found.subjects) {
    assert.deepEqual([findings.dominance.count, findings.dominance.of], [3, 3]);
    assert.ok(findings.dominance.pDifference < 0.01 && findings.tests.every(({ p }) => p < 0.05));
    findings.selectivity.forEach((own) => {
      // five images of six voxels of noise 0.3: the difference is LIFT to within five standard errors
      assert.ok(own && Math.abs(own.difference - LIFT) < 5 * 0.3 / Math.sqrt(30) * Math.sqrt(1.5));
    });
    assert.ok(voxels.tests.every((test) => test && test.corrected.holm < 0.001));
    assert.deepEqual(conditions.map(({ name }) => name), [
      ...["made", "prepared", "shuffled", "natural, best"],
    ]);
    const [made, prepared, shuffled, natural] = conditions;
    assert.ok(prepared.losses && !made.losses && !shuffled.losses);
    assert.ok(prepared.losses.every(({ loss }) => Math.abs(loss - LIFT / 2) < 0.4));
    assert.ok(shuffled.dominance.pDifference > 0.01 && shuffled.dominance.difference < 0.2);
    assert.equal(natural.nImages, 15);
    assert.equal(top?.images.length, 15);
    assert.deepEqual([measured?.design, measured?.nUnits], ["blocks of several targets", 36]);
    assert.deepEqual(measured?.findings.dominance.count, 3);
  }
  assert.deepEqual(found.summary.counts, [3, 3]);
  assert.equal(found.measuredSummary?.regions[0].difference.nPositive, 2);
});

Deno.test("runExperiment() hands responses on as its parts take them", () => {
  const [{ responses, regions, natural, conditions }] = data.subjects;
  const all = regionResponses(responses, regions);
  const made = {
    data: all.data.subarray(0, 45),
    shape: [15, 3] as const,
    targets: data.targets.slice(0, 15),
  };
  const alone = regionFindings(made, { key: randomKey(0), nDraws: 10, natural });
  const [subject] = found.subjects;
  assert.deepEqual(subject.findings.matrix, alone.matrix);
  assert.deepEqual(subject.findings.z, alone.z);
  assert.ok(natural && conditions);
  assert.deepEqual(subject.conditions[1].losses, responseLosses(made, conditions[0], natural));
  // the mean in natural standard deviations is the natural place of the mean
  const z = compareWithNatural({ data: subject.findings.matrix.means, shape: [3, 3] }, natural).z;
  subject.conditions[0].own.forEach((own, r) => {
    assert.ok(own && Math.abs(own.mean - z[4 * r]) < 1e-12 && own.low <= own.mean);
  });
  const some = data.targets.map((t, i) => i % 5 < 3 ? t : -1);
  const held = runExperiment({
    ...data,
    subjects: data.subjects.map((one, s) =>
      s === 0 ? one : { ...one, conditions: [], targets: some }
    ),
  }, options);
  assert.deepEqual([...held.subjects[1].findings.matrix.nImages], [3, 3, 3]);
  assertInputError(() => runExperiment({ ...data, subjects: [] }, options), /there is no subject/);
  const [first, second] = data.subjects;
  const other = { ...second, regions: second.regions.slice(1) };
  assertInputError(
    () => runExperiment({ ...data, subjects: [first, other] }, options),
    /s2 has the regions/,
  );
  assertInputError(
    () =>
      runExperiment({
        ...data,
        targets: data.targets.map(() => 0),
        subjects: [{ ...first, conditions: [] }],
      }, options),
    /at least two targets/,
  );
});

Deno.test("saveExperiment() keeps the numbers, and readVoxelResponses() finds voxels by region", async () => {
  using folder = new TestFolder();
  const path = folder.at("experiment.h5");
  await saveExperiment(path, found);
  {
    using file = await Hdf5File.open(path);
    const read = (name: string) => [...toFloat64(file.read(name))];
    const { findings, voxels, measured } = found.subjects[1];
    assert.deepEqual(file.readStrings("/regions"), FIXTURE_REGIONS);
    assert.deepEqual(read("/1/predicted/means"), [...findings.matrix.means]);
    assert.deepEqual(
      read("/1/predicted/exchanged_holm"),
      findings.tests.map((t) => t.exchanged.holm),
    );
    assert.deepEqual(read("/1/predicted/voxels_low"), [...voxels.cells.low]);
    assert.deepEqual(read("/1/measured/means"), [...measured?.findings.matrix.means ?? []]);
    assert.equal(file.attributes("/1/measured").design, "blocks of several targets");
    assert.equal(file.attributes("/0/conditions/2").name, "shuffled");
    assert.deepEqual(
      read("/across/difference/mean"),
      found.summary.regions.map((r) => r.difference.mean),
    );
    assert.deepEqual(read("/0/contrasts/deltas"), [1, -0.5, 0]);
  }
  const [eba, ffa] = await readVoxelResponses(path, ["EBA", "ffa"], "s2");
  const { voxelMeans: { data: means, shape: [, n] } } = found.subjects[1];
  assert.deepEqual(eba, Float64Array.from(Float32Array.from(means.subarray(2 * n))));
  assert.deepEqual(ffa, Float64Array.from(Float32Array.from(means.subarray(0, n))));
  await assert.rejects(readVoxelResponses(path, ["V1"]), { message: /region "V1".*there are FFA/ });
});

const pictures = FIXTURE_REGIONS.map((target, i) => ({
  target,
  label: "seed 0",
  image: { width: 8, height: 8, data: new Uint8Array(192).fill(60 * i) },
}));

Deno.test("experimentReport() has every figure with its numbers, and keeps names text", () => {
  const { page, titles } = experimentReport(found, { pictures, facts: ["made with a & b"] });
  assert.deepEqual(sections(page), [
    ...["the-images", "measured-responses", "predicted-responses", "own-images-against-others"],
    ...[
      "controls",
      "prepared-for-the-screen",
      "contrasts-small-edits-of-pictures",
      "across-subjects",
    ],
  ]);
  assert.equal(titles.length, 8);
  for (const part of page.split(/<section class="figure">/).slice(2)) {
    assert.match(part, /<a\s+download="[\w.]+\.csv"/, part.slice(0, 200));
  }
  assert.doesNotMatch(page, /<script|<b>"PPA"/i);
  assert.match(page, /<b>3 of 3<\/b>/);
  assert.match(page, /s1, whose encoder had a part in the images/);
  assert.match(page, /s2, whose encoder had no part in the images/);
  const files = filesOf(page);
  const cells = rowsOf(files.get("responses.csv"));
  assert.equal(cells.length, 2 * 9);
  assert.equal(Number(cells[0].mean), found.subjects[0].findings.matrix.means[0]);
  const own = rowsOf(files.get("own_1_tests.csv"));
  assert.equal(Number(own[2].p), found.subjects[1].findings.tests[2].p);
  const losses = rowsOf(files.get("losses.csv"));
  assert.equal(losses.length, 6);
  const across = rowsOf(files.get("across_measured.csv"));
  assert.equal(across.length, 9);
  assert.equal(across[0]["above 0"], "2 of 2");
  const [bare] = data.subjects.map(({ name, regions, responses }) => ({
    name,
    regions,
    responses,
  }));
  const plain = experimentReport(runExperiment({ ...data, subjects: [bare] }, options));
  assert.deepEqual(sections(plain.page), ["predicted-responses", "own-images-against-others"]);
  assert.doesNotMatch(plain.page, /NaN(?!,|\r|\n)/);
});

Deno.test({
  ...needs("chromium", hasChromium()),
  name: "a browser shows an experiment without a script, an error, or a request",
  fn: () => void assertStandsAlone(experimentReport(found, { pictures }).page),
});
