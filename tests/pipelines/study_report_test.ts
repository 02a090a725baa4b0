/**
 * The report of a study, made of a small folder that no network was run for: every number is known beforehand.
 *
 * @module
 */
import assert from "node:assert/strict";
import { settingsOfStudy, studyReport } from "../../pipelines/brain_sail/study_report.ts";
import { readStudyResults } from "../../pipelines/brain_sail/read_study.ts";
import { main } from "../../pipelines/cli/main.ts";
import { InputError } from "../../pipelines/errors.ts";
import { loadPng } from "../../pipelines/io/png.ts";
import { writeNifti } from "../../pipelines/io/nifti.ts";
import { hostTensor } from "../../pipelines/io/state_dict.ts";
import { needs } from "../expectations.ts";
import { TestFolder } from "./io_fixtures.ts";
import { assertStandsAlone, filesOf, hasChromium, rowsOf, sections } from "./report_pages.ts";
import { EVIL, type FixtureOptions, volumePlaces, writeStudy } from "./study_fixture.ts";

/** The page of a study that a test makes. */
async function pageOf(options: FixtureOptions, settings = {}): Promise<string> {
  using folder = new TestFolder();
  await writeStudy(folder.at("study"), options);
  return (await studyReport(folder.at("study"), settings)).page;
}

const ALL = [
  "maps-over-images",
  "maps-against-true-masks",
  "encoders-by-region",
  "encoders-on-the-cortex",
  "categories-by-captions",
  "depth-saturation-and-luminance",
  "factorisation-one-map-of-colours-for-cortex-and-images",
  "top-images-of-regions",
  "backbones-compared",
  "control-what-is-left-without-a-brain",
];

Deno.test("studyReport() has every section, each with its numbers, and links to all of them", async () => {
  const page = await pageOf({});
  assert.deepEqual(sections(page), ALL);
  const links = [...page.matchAll(/<li><a href="#([^"]+)"/g)].map(([, anchor]) => anchor);
  assert.deepEqual(links, ALL);
  const parts = page.split(/<section class="figure">/).slice(1);
  for (const part of parts) assert.match(part, /<a\s+download="[\w.]+\.csv"/, part.slice(0, 200));
  assert.match(page, /seed 3/);
  assert.match(page, /naclip, window 10/);
});

Deno.test("studyReport() saves the numbers of results.json, which read back as they are", async () => {
  using folder = new TestFolder();
  await writeStudy(folder.at("study"));
  const results = readStudyResults(folder.at("study"));
  const { page } = await studyReport(folder.at("study"));
  const files = filesOf(page);
  const is = (text: string, value: number) => assert.ok(Object.is(Number(text), value), text);
  const of = (name: string, b: number, s: number) =>
    rowsOf(files.get(name)).filter((row) =>
      row.backbone === results.backbones[b].name && row.subject === results.subjects[s].name
    );
  for (const [b, { subjects, controls }] of results.backbones.entries()) {
    for (const [s, subject] of subjects.entries()) {
      const fits = of("encoders.csv", b, s);
      const expected = [...subject.fits, ...controls[s].fits];
      assert.equal(fits.length, expected.length);
      fits.forEach((row, i) => {
        assert.equal(row.region, expected[i].name);
        is(row.r2, expected[i].r2);
        is(row.share, expected[i].share);
      });
      const found = of("localization.csv", b, s);
      for (const { name, scores, gain, pValues } of subject.localization) {
        const [row] = found.filter((one) =>
          one.region === name && one.score === "iou" && one.method === "distilled"
        );
        is(row.low, scores.distilled.iou.low);
        is(row.p, pValues.iou);
        const [own] = found.filter((one) =>
          one.region === name && one.score === "auc" && one.method === "gain"
        );
        is(own.mean, gain.auc.mean);
      }
      const correlates = of("properties_regions.csv", b, s).filter(({ run }) =>
        run === "responses"
      );
      subject.correlates.forEach((one, i) => {
        is(correlates[i].r, one.r);
        is(correlates[i].negative, one.nNegative);
      });
      subject.lowLevel.forEach(({ r2 }, i) => is(of("low_level.csv", b, s)[i].r2, r2));
      assert.equal(of("top_images.csv", b, s)[0].image, subject.top[0].images[0]);
      assert.equal(of("encoders_voxels.csv", b, s).length, 8);
      assert.equal(of("colors.csv", b, s).length, 8);
    }
  }
  const counts = of("captions.csv", 0, 0).map(({ images }) => Number(images));
  assert.deepEqual(counts, [2, 0, 0, 0, 1, 1, 0, 0, 2, 0, 1, 1, 1, 0, 1, 2, 0, 0]);
  const [effect] = rowsOf(files.get("control.csv"))
    .filter(({ effect }) => effect === "maps against masks, Pearson");
  const [{ subjects: [{ localization }] }] = results.backbones;
  is(effect["responses high"], localization[2].scores.distilled.pearson.high);
  is(effect["shuffled mean"], localization[2].shuffled.pearson.mean);
  is(rowsOf(files.get("agreement.csv"))[0].r, results.comparisons[0].rois[0].r);
  // Two backbones, two shown images, 16 patches.
  assert.equal(rowsOf(files.get("maps.csv")).length, 2 * 2 * 16);
});

Deno.test("studyReport() shows the numbers: captions by the paper's names, and what the control leaves", async () => {
  const page = await pageOf({});
  // FFA's two top images are faces; one of PPA's two is a scene, which the study calls place.
  assert.ok(/<b>75 %<\/b>\s*<b\s+class="of">clip<\/b>/.test(page));
  assert.ok(page.includes('<td class="same" style="--share:0.500">50 %'));
  // Seven effects, of which captions are known of one backbone only.
  const effects = rowsOf(filesOf(page).get("control.csv")).map(({ effect }) => effect);
  assert.equal(new Set(effects).size, 7);
  assert.equal(effects.length, 7 * 4 - 2);
});

Deno.test("studyReport() keeps names text, whatever they hold", async () => {
  const page = await pageOf({});
  assert.ok(page.includes("&lt;script&gt;alert("));
  assert.doesNotMatch(page, /<script/i);
  for (const [, attributes] of page.matchAll(/<(?:img|span|figure|a|td)\b([^>]*)>/g)) {
    assert.doesNotMatch(attributes, /alert\((?!&quot;)/);
  }
});

Deno.test("studyReport() says what a study has not", async () => {
  const page = await pageOf({
    hasMasks: false,
    hasControls: false,
    backbones: ["dino"],
    places: {},
  });
  assert.match(page, /knows of no masks/);
  assert.match(page, /No control was run/);
  assert.match(page, /does not say where voxels lie/);
  assert.doesNotMatch(page, /Do their maps agree/);
  assert.doesNotMatch(page, /NaN(?!,|\r|\n)/);
});

Deno.test("studyReport() draws slices where there is no flat map, over the anatomy when it is given", async () => {
  using folder = new TestFolder();
  const anatomy = hostTensor(Float32Array.from({ length: 12 }, (_, i) => i), [2, 2, 3]);
  folder.write("anatomy.nii.gz", await writeNifti(anatomy));
  const options = { places: volumePlaces, subjects: ["subj01"], backbones: ["clip"] };
  const page = await pageOf(options);
  assert.match(page, /alt="R² \/ ceiling of subj01 by clip: axial slices"/);
  assert.doesNotMatch(page, /<svg class="flat"/);
  const settings = { anatomy: folder.at("{subject}.nii.gz").replace("{subject}", "anatomy") };
  const over = await pageOf(options, settings);
  assert.notEqual(over, page);
  await assert.rejects(
    pageOf({ ...options, places: {} }, settings),
    /Cannot draw on .*anatomy.*does not say where the voxels of subj01 lie/,
  );
});

/** A square in the volume's plane z = 0, as GIFTI. */
const GIFTI = `<?xml version="1.0"?><!DOCTYPE GIFTI SYSTEM "gifti.dtd">
<GIFTI Version="1.0" NumberOfDataArrays="2">${
  [
    ["POINTSET", "FLOAT32", 4, "0 0 0 2 0 0 2 1 0.5 0 1 0"],
    ["TRIANGLE", "INT32", 2, "0 1 2 0 2 3"],
  ].map(([intent, type, n, data]) =>
    `<DataArray Intent="NIFTI_INTENT_${intent}" DataType="NIFTI_TYPE_${type}" Dimensionality="2" Dim0="${n}" Dim1="3" ` +
    `ArrayIndexingOrder="RowMajorOrder" Encoding="ASCII" Endian="LittleEndian" ExternalFileName="" ExternalFileOffset="">` +
    `<Data>${data}</Data></DataArray>`
  ).join("")
}</GIFTI>`;

Deno.test("studyReport() draws on each subject's own surface", async () => {
  using folder = new TestFolder();
  for (const subject of ["a", "b"]) folder.write(`lh.${subject}.surf.gii`, GIFTI);
  const volume = hostTensor(new Float32Array(12), [2, 2, 3]);
  folder.write("volume.nii", await writeNifti(volume));
  const options = { places: volumePlaces, subjects: ["a", "b"], backbones: ["clip"] };
  const settings = { lhSurface: folder.at("lh.{subject}.surf.gii") };
  await assert.rejects(pageOf(options, settings), /millimetres, so "volume" must name/);
  const page = await pageOf(options, { ...settings, volume: folder.at("volume.nii") });
  for (const view of ["lateral", "medial", "ventral"]) {
    assert.match(page, new RegExp(`alt="R² / ceiling of b by clip: left, ${view}"`));
  }
  await assert.rejects(
    pageOf({ ...options, subjects: ["a", "c"] }, { ...settings, volume: folder.at("volume.nii") }),
    (error) => error instanceof InputError && /lh\.c\.surf\.gii/.test(error.message),
  );
});

async function gyrus(...args: string[]): Promise<{ code: number; text: string }> {
  const lines: string[] = [];
  const { log, error } = console;
  console.log = console.error = (...parts: unknown[]) => lines.push(parts.join(" "));
  try {
    return { code: await main(["report", ...args]), text: lines.join("\n") };
  } finally {
    Object.assign(console, { log, error });
  }
}

Deno.test("report writes the page, a picture and a record; flags win over the study's settings", async () => {
  using folder = new TestFolder();
  await writeStudy(folder.at("study"), { settings: { nShown: 2 } });
  const args = ["--results", folder.at("study")];
  const { code, text } = await gyrus(
    ...args,
    "--json",
    "--n-shown",
    "1",
    "--out",
    folder.at("out"),
  );
  assert.equal(code, 0, text);
  const { page, bytes, titles } = JSON.parse(text);
  assert.equal(page, folder.at("out/index.html"));
  assert.equal(Deno.statSync(page).size, bytes);
  assert.equal(titles.length, ALL.length);
  const { width, height } = loadPng(folder.at("out/overview.png"));
  // One image; itself and two regions with a category.
  assert.deepEqual([width, height], [3 * 128 + 4 * 4, 128 + 2 * 4]);
  const record = JSON.parse(Deno.readTextFileSync(folder.at("out/run.json")));
  assert.equal(record.options.nShown, 1);
  const printed = await gyrus(...args, "--print-config");
  assert.deepEqual(JSON.parse(printed.text), { nShown: 2 });
  assert.equal(settingsOfStudy(folder.at("study")).nShown, 2);
});

Deno.test("report says in one sentence what is wrong with a study, and leaves nothing", async () => {
  using folder = new TestFolder();
  const study = folder.at("study");
  await writeStudy(study, { subjects: ["s"], backbones: ["clip"] });
  const whole = Deno.readTextFileSync(`${study}/results.json`);
  const json = JSON.parse(whole);
  const changed = (change: (results: typeof json) => void) => {
    const copy = structuredClone(json);
    change(copy);
    return JSON.stringify(copy);
  };
  const bad: [string, RegExp][] = [
    ["", /results.json is not JSON/],
    [whole.slice(0, 999), /results.json is not JSON/],
    ["[]", /must be a JSON object/],
    ["{}", /format of results.json must be "gyrus brain_sail 1"/],
    [changed((r) => delete r.mapped), /in results.json mapped must be a list/],
    [
      changed((r) => r.backbones[0].subjects[0].fits[1].r2 = "1"),
      /in results.json backbones\[0\].subjects\[0\].fits\[1\].r2 must be a number, it is "1"/,
    ],
    [changed((r) => r.backbones[0].subjects[0].name = "t"), /the subjects of "clip" must be those/],
    [changed((r) => r.backbones[0].name = "../clip"), /"..\/clip" cannot be the name of a file/],
    [changed((r) => r.shown.push("nine")), /the shown image "nine"/],
    [changed((r) => r.backbones[0].subjects[0].fits = []), /the tables of "s" by "clip"/],
    [changed((r) => r.backbones[0].controls[0].confusion.counts.pop()), /the tables of "s"/],
    [changed((r) => r.backbones = []), /needs a backbone/],
    [changed((r) => r.backbones[0].name = "gone"), /gone\/s\/voxels.h5.*no such file/],
  ];
  const check = async (rule: RegExp) => {
    const { code, text } = await gyrus("--results", study, "--out", folder.at("out"));
    assert.equal(code, 2, text);
    assert.match(text, /^gyrus: Cannot [^\n]*$/);
    assert.match(text, rule);
    assert.deepEqual(folder.list(), ["study"]);
  };
  for (const [text, rule] of bad) {
    Deno.writeTextFileSync(`${study}/results.json`, text);
    await check(rule);
  }
  Deno.removeSync(`${study}/results.json`);
  await check(/results.json.*no such file/);
  Deno.writeTextFileSync(`${study}/results.json`, whole);
  const maps = `${study}/clip/s/maps.h5`;
  Deno.truncateSync(maps, 999);
  await check(/maps.h5/);
  Deno.removeSync(maps);
  await check(/maps.h5.*no such file/);
});

Deno.test({
  name: "a browser shows the report without a script, an error, or a request",
  ...needs("chromium", hasChromium()),
  fn: async () => {
    using folder = new TestFolder();
    await writeStudy(folder.at("study"));
    const { page } = await studyReport(folder.at("study"));
    const dom = assertStandsAlone(page);
    // What the browser made of the page, not what was written.
    assert.deepEqual(sections(dom), ALL);
    assert.ok(EVIL.length > 0 && dom.includes("&lt;script&gt;alert"));
  },
});
