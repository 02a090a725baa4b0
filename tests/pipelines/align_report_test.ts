/** The report of an alignment, made of one that was not trained: every number is known beforehand. */
import assert from "node:assert/strict";
import { alignReport } from "../../pipelines/aligned_cut/align_report.ts";
import {
  channelSelectivity,
  regionCosines,
} from "../../pipelines/aligned_cut/align_report_regions.ts";
import { parseControlResults } from "../../pipelines/aligned_cut/control_results.ts";
import { regionScores } from "../../pipelines/aligned_cut/roi_correspondence.ts";
import { parseRoiTable } from "../../pipelines/dense/roi_table.ts";
import type { AlignmentParts } from "../../pipelines/encoding/alignment/alignment.ts";
import { readAlignment, saveAlignment } from "../../pipelines/encoding/alignment/alignment_file.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { gyrus } from "../console.ts";
import { needs } from "../expectations.ts";
import {
  EVIL,
  fixtureAlignment,
  fixtureControls,
  N_VOXELS,
  ROI_TABLE,
} from "./align_report_fixture.ts";
import { assertInputError, TestFolder } from "./io_fixtures.ts";
import { assertStandsAlone, filesOf, hasChromium, rowsOf, sections } from "./report_pages.ts";

const ALL = [
  "effects-what-the-brain-gives-beyond-each-control",
  "controls-scores-of-every-condition",
  "held-out-r²-of-the-voxels",
  "held-out-r²-by-layer-and-network",
  "regions-in-the-shared-space",
  "training-losses-and-held-out-r²-by-epoch",
];

const regions = parseRoiTable(ROI_TABLE, "rois.csv");

const near = (text: string, value: number, tolerance = 1e-6) =>
  assert.ok(Math.abs(Number(text) - value) <= tolerance, `${text} is not ${value}`);

Deno.test("alignReport() has every figure with its numbers, and keeps names text", () => {
  const { page, titles } = alignReport(fixtureAlignment(), {
    controls: fixtureControls(),
    regions: [...regions, { name: EVIL, voxels: [3] }],
    facts: ["seed 3", EVIL],
    title: EVIL,
  });
  assert.equal(titles.length, ALL.length);
  assert.deepEqual(sections(page), ALL);
  for (const part of page.split(/<section class="figure">/).slice(1)) {
    assert.match(part, /<a\s+download="[\w.]+\.csv"/, part.slice(0, 200));
  }
  assert.doesNotMatch(page, /<script/i);
  assert.match(page, /seed 3/);
  assert.match(page, /claims about this software, never about brains/);
});

Deno.test("alignReport() saves the numbers that it was given", () => {
  const controls = fixtureControls();
  const { page } = alignReport(fixtureAlignment(), { controls, regions });
  const files = filesOf(page);
  const effects = rowsOf(files.get("control_effects.csv"));
  assert.equal(effects.length, 15);
  const truth = effects.find(({ control, measure }) =>
    control === "no-brain" && measure === "truth"
  );
  assert.ok(truth);
  near(truth.mean, -0.05);
  near(truth.low, -0.09);
  // The brain's runs are 0.04 apart, the control's 0.02: effects of the runs are ∓0.01 around the mean.
  near(truth.least_run, -0.06);
  near(truth.most_run, -0.04);
  assert.match(page, /above 0 in 14 of 15 comparisons; not so: truth beyond no-brain\./);
  assert.match(page, /<b>14 of 15<\/b>/);
  const images = rowsOf(files.get("control_images.csv"));
  assert.equal(images.length, 4 * 2 * 4 * 5);
  assert.deepEqual([images[0].image, images[0].measure], ["8", "cosine"]);
  near(images[0].value, 0.9 - 0.02 - 0.015);
  const r2 = rowsOf(files.get("control_r2.csv"));
  assert.equal(r2[3].mean, "NaN");
  // R² of voxel v is 0.1 (r + 1) − 0.01 v in row r of six: 0.35 − 0.01 v in the mean.
  const voxels = rowsOf(files.get("voxels.csv"));
  assert.equal(voxels.length, N_VOXELS);
  near(voxels[17].r2, 0.18);
  assert.deepEqual([voxels[0].regions, voxels[17].regions, voxels[49].regions], [
    "V1;early",
    "V2",
    "",
  ]);
  const [v1] = rowsOf(files.get("regions_r2.csv"));
  near(v1.mean, 0.305);
  near(v1["lower quartile"], 0.35 - 0.0675);
  const layers = rowsOf(files.get("layers.csv"));
  const ffa = layers.find((row) =>
    row.network === "dino" && row.layer === "0" && row.region === "FFA"
  );
  near(ffa?.mean ?? "", 0.4 - 0.245);
  const epochs = rowsOf(files.get("training.csv"));
  assert.deepEqual(Object.keys(epochs[0]), [
    ...["epoch", "brain", "eigen", "zero", "covariance", "r2_mean", "r2_median"],
  ]);
  near(epochs[0].covariance, 3);
});

Deno.test("alignReport() says what is not there", () => {
  const { page, titles } = alignReport(fixtureAlignment({ nEpochs: 1, hasLayers: false }));
  assert.equal(titles.length, 4);
  assert.match(page, /No control was run/);
  assert.match(page, /a network has one number/);
  assert.doesNotMatch(page, /NaN(?!,|\r|\n)/);
  const { page: told } = alignReport(fixtureAlignment({ hasLayers: false }), { regions });
  assert.match(told, /Layers that voxels choose/);
  assertInputError(
    () => alignReport(fixtureAlignment(), { regions: [{ name: "V9", voxels: [1, 50] }] }),
    /region "V9".*50 voxels.*voxel 50/,
  );
});

Deno.test("regions have cosines and selectivities of the head's weights", () => {
  const { beta } = fixtureAlignment().head;
  const apart = regions.slice(0, 4);
  // As the analyses of concepts have it, with channels in place of concepts.
  const regionOf = Int32Array.from(
    { length: N_VOXELS },
    (_, v) => v < 40 ? Math.floor(v / 10) : -1,
  );
  const { dPrime } = regionScores({ maps: beta.data, regionOf, nRegions: 4 });
  channelSelectivity(beta, apart).forEach((value, at) => near(`${value}`, dPrime[at], 1e-5));
  // Two regions with the same weights, one with the opposite ones, one without direction.
  const data = Float32Array.of(1, 1, 1, 1, -1, -1, 0, 0, 2, 2, 2, 2, -2, -2, 0, 0);
  const pairs = [0, 2, 4, 6].map((v) => ({ name: `${v}`, voxels: [v, v + 1] }));
  const cosines = regionCosines(hostMatrix(data, [2, 8]), pairs);
  [1, 1, -1, NaN, 1, 1, -1, NaN].forEach((due, at) =>
    assert.ok(Object.is(due, NaN) ? Number.isNaN(cosines[at]) : Math.abs(due - cosines[at]) < 1e-12)
  );
});

/** The fixture as files. */
async function writeFixture(folder: TestFolder): Promise<string[]> {
  await saveAlignment(folder.at("a.h5"), fixtureAlignment());
  folder.write("a.h5.run.json", `{"options": {"seed": 5}, "adapter": "a device"}`);
  folder.write("c.json", JSON.stringify(fixtureControls()));
  folder.write("r.csv", ROI_TABLE);
  const paths = ["--alignment", "a.h5", "--controls", "c.json", "--roi-table", "r.csv"];
  return ["align", "report", ...paths.map((path, i) => i % 2 === 1 ? folder.at(path) : path)];
}

Deno.test("align report writes the page and a record", async () => {
  using folder = new TestFolder();
  const args = await writeFixture(folder);
  const { code, out } = await gyrus(
    ...args,
    "--json",
    "--title",
    "Toy",
    "--out",
    folder.at("p.html"),
  );
  assert.equal(code, 0, out.join());
  const page = Deno.readTextFileSync(folder.at("p.html"));
  assert.equal(JSON.parse(out[0]).figures, ALL.length);
  assert.match(page, /<title>Toy<\/title>/);
  assert.match(page, /seed 5 · a device/);
  // What was read back from both files gives the page that the values themselves give.
  const alignment = await readAlignment(folder.at("a.h5"));
  const controls = parseControlResults(Deno.readFileSync(folder.at("c.json")), "Cannot:");
  const facts = ["seed 5", "a device"];
  assert.equal(alignReport(alignment, { controls, regions, facts, title: "Toy" }).page, page);
  const record = JSON.parse(Deno.readTextFileSync(folder.at("p.html.run.json")));
  assert.equal(record.command, "align report");
  assert.deepEqual(Object.keys(record.inputs), ["alignment", "controls", "regions"]);
});

Deno.test("align report says in one sentence what is wrong with a file, and leaves nothing", async () => {
  using folder = new TestFolder();
  const args = await writeFixture(folder);
  const files = folder.list();
  const check = async (rule: RegExp, ...more: string[]) => {
    const { code, text } = await gyrus(...args, "--out", folder.at("p.html"), ...more);
    assert.equal(code, 2, text);
    assert.match(text, /^gyrus: Cannot [^\n]*$/);
    assert.match(text, rule);
    assert.deepEqual(folder.list(), files);
  };
  const whole = fixtureControls();
  type Changed = { -readonly [K in keyof typeof whole]: typeof whole[K] };
  const changed = (change: (controls: Changed) => void) => {
    const copy = structuredClone(whole);
    change(copy);
    return JSON.stringify(copy);
  };
  const [score] = whole.scores, [effect] = whole.effects, [run] = whole.runs;
  const bad: [string, RegExp][] = [
    ["", /c.json": it is not JSON/],
    ["[]", /must be a JSON object/],
    ["{}", /settings must be an object/],
    [`{"settings": ${"[".repeat(1e5)}${"]".repeat(1e5)}}`, /nested more than 64 deep|not JSON/],
    [changed((c) => c.nImages = 5), /heldOut must be rows of 5 images, 4 is there/],
    [changed((c) => c.heldOut = []), /heldOut must be rows of 4 images, 0 is there/],
    [changed((c) => c.heldOut = [1, 2, 3, -4]), /rows of 4 images, -4 is there/],
    [changed((c) => c.scores = []), /there are no scores/],
    [changed((c) => c.scores = [{ ...score, condition: "x" }]), /conditions must say what "x" is/],
    [changed((c) => c.effects = [{ ...effect, measure: "__proto__" }]), /what "__proto__" is/],
    [changed((c) => c.effects = [{ ...effect, low: 9 }]), /interval of "cosine" ends before/],
    [changed((c) => c.runs = [run, run]), /is there twice/],
    [changed((c) => c.runs = [{ ...run, values: [[1]] }]), /runs\[0\].values must be 4 rows .* 5/],
    [JSON.stringify(whole).replace(/"mean":/, '"median":'), /scores\[0\].mean must be a number/],
  ];
  for (const [text, rule] of bad) {
    folder.write("c.json", text);
    await check(rule);
  }
  // Too large to be it, and takes no space.
  Deno.truncateSync(folder.at("c.json"), 300 * 2 ** 20);
  await check(/controls .*300 MiB, at most 256/);
  folder.write("c.json", JSON.stringify(whole));
  await check(/it is a folder/, "--controls", folder.path);
  await check(/no such file/, "--controls", folder.at("gone.json"));
  await check(/must name the columns voxel and roi/, "--roi-table", folder.at("c.json"));
  folder.write("r.csv", "voxel,roi\n70,V1\n");
  await check(/region "V1".*voxel 70/);
  folder.write("r.csv", ROI_TABLE);
  await check(/c.json.*HDF5/i, "--alignment", folder.at("c.json"));
  await check(/it is read/, "--out", folder.at("a.h5"));
  const bytes = Deno.readFileSync(folder.at("a.h5"));
  folder.write("a.h5", bytes.subarray(0, bytes.length / 2));
  await check(/a.h5/);
});

Deno.test("align report refuses alignments whose parts do not fit", async () => {
  using folder = new TestFolder();
  const { training, ...rest } = fixtureAlignment();
  const odd = async (parts: Partial<AlignmentParts>, rule: RegExp) => {
    const path = folder.at("a.h5");
    await saveAlignment(path, { ...rest, training, ...parts });
    const args = ["--alignment", path, "--out", folder.at("p.html")];
    const { code, text } = await gyrus("align", "report", ...args);
    assert.equal(code, 2, text);
    assert.match(text, rule);
    assert.deepEqual(folder.list(), ["a.h5"]);
    Deno.removeSync(path);
  };
  await odd({ training: { ...training, bestEpoch: 6 } }, /"best_epoch" must be below 6, it is 6/);
  await odd({ grid: 0.5 }, /"grid" must be a whole number from 1, it is "0.5"/);
  const r2 = hostMatrix(new Float32Array(5 * N_VOXELS), [5, N_VOXELS]);
  await odd({ training: { ...training, r2 } }, /5 rows, 6 layers or 2 networks do/);
});

Deno.test({
  name: "a browser shows an alignment's report without a script, an error, or a request",
  ...needs("chromium", hasChromium()),
  fn: () => {
    const { page } = alignReport(fixtureAlignment(), { controls: fixtureControls(), regions });
    const dom = assertStandsAlone(page);
    assert.deepEqual(sections(dom), ALL);
  },
});
