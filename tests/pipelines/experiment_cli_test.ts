/** `gyrus experiment` on images that `gyrus maximize` made for a small Inception V3 with planted voxels. */
import assert from "node:assert/strict";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { loadPng } from "../../pipelines/io/png.ts";
import { hostTensor, toFloat64 } from "../../pipelines/io/state_dict.ts";
import { gyrus } from "../console.ts";
import { MaximizeFiles } from "./maximize_files.ts";
import { sections } from "./report_pages.ts";

const files = await MaximizeFiles.create();
const { folder } = files;
const at = (name: string) => folder.at(name);
const make = (out: string, ...more: string[]) =>
  files.run(...files.args(out, "--rois", at("rois.csv"), ...more));
await make("made", "--roi", "FFA", "PPA", "--seeds", "2", "--steps", "12");
await make("lower", "--roi", "FFA", "PPA", "--minimize");
folder.write("still.json", '{ "transforms": { "steps": [], "crops": 1 } }');
await make(
  ...["edits", "--roi", "FFA-PPA", "--seed-image", at("picture.png"), "--preset", "accentuate"],
  ...["--max-change", "0.1", "--steps", "8", "--settings", at("still.json")],
);
Deno.copyFileSync(at("encoder.h5"), at("second.h5"));
/** Trials of two runs that show both targets; a region's voxels respond 1 more to its own. */
const SHOWN = ["FFA", "PPA", "FFA", "PPA", "other", "PPA", "FFA", "PPA", "FFA"];
const betas = Float32Array.from({ length: 4 * SHOWN.length }, (_, k) => {
  const own = k % 4 < 2 ? "FFA" : "PPA";
  return (SHOWN[Math.floor(k / 4)] === own ? 1 : 0) + 0.01 * (k % 7) + (k < 20 ? 5 : 0);
});
folder.write("betas.npy", writeNpy(hostTensor(betas, [SHOWN.length, 4])));
const rows = SHOWN.map((target, i) => `${i},${target},${i < 5 ? "a" : "b"}`);
folder.write("trials.csv", `trial,target,block\n${rows.join("\n")}\n`);

const subject = ["--encoder", at("encoder.h5"), "--rois", at("rois.csv")];
const args = (out: string, ...more: string[]) => [
  ...["experiment", "--images", at("made"), at("edits"), "--model", at("net.safetensors")],
  ...["--draws", "200", "--out", at(out), ...more],
];

const all = [
  ...subject,
  ...["--natural", `${at("features.h5")}:/features`, "--control", at("lower")],
  ...["--originals", at("picture.png"), "--betas", at("betas.npy"), "--trials", at("trials.csv")],
  ...["--match", "spectrum,histogram", "--reference", at("images.npy"), "--aperture", "0.9,0.2"],
  ...["--fixation", "0.05", "--checkpoint", at("kept.log"), "--top", "3"],
];

Deno.test("experiment writes a report, a file and the images for the screen", async () => {
  const told = await files.run(...args("found", ...all));
  const names = [...Deno.readDirSync(at("found"))].map(({ name }) => name).sort();
  assert.deepEqual(names, ["experiment.h5", "index.html", "prepared", "run.json"]);
  assert.deepEqual(told.regions, ["FFA", "PPA"]);
  assert.deepEqual(told.subjects, [{
    ...{
      name: "encoder",
      onDiagonal: 2,
      of: 2,
      pCount: (told.subjects as { pCount: number }[])[0].pCount,
    },
    measured: {
      onDiagonal: 2,
      pCount: (told.subjects as { measured: { pCount: number } }[])[0].measured.pCount,
    },
  }]);
  const page = Deno.readTextFileSync(at("found/index.html"));
  assert.deepEqual(sections(page), [
    ...["the-images", "measured-responses", "predicted-responses", "own-images-against-others"],
    ...["controls", "prepared-for-the-screen", "contrasts-small-edits-of-pictures"],
  ]);
  assert.match(page, /encoder, whose encoder had a part/);
  const { width, data } = loadPng(at("found/prepared/00000.png"));
  assert.deepEqual([width, ...data.subarray(3 * (30 * 60 + 30), 3 * (30 * 60 + 30) + 3)], [
    60,
    255,
    0,
    0,
  ]);
});

Deno.test("experiment predicts what maximize did, and tells controls, edits and betas apart", async () => {
  using file = await Hdf5File.open(at("found/experiment.h5"));
  const read = (name: string) => [...toFloat64(file.read(name))];
  const conditions = [0, 1, 2, 3, 4].map((c) => file.attributes(`/0/conditions/${c}`));
  assert.deepEqual(conditions.map(({ name }) => name), [
    ...["made", "prepared", "phase-scrambled", "lower", "natural, best"],
  ]);
  // what maximize predicted for its own target is on the diagonal
  using made = await Hdf5File.open(at("made/maximize.h5"));
  const responses = toFloat64(made.read("/responses")), means = read("/0/predicted/means");
  [0, 1].forEach((r) => {
    const mean = (responses[2 * r] + responses[2 * r + 1]) / 2;
    assert.ok(
      Math.abs(means[3 * r] - mean) < 1e-4 * Math.abs(mean),
      `${means[3 * r]} is not ${mean}`,
    );
  });
  assert.ok(read("/0/conditions/3/means").every((v, k) => k % 3 !== 0 || v < means[k]));
  // edits of the one picture: what went up is the difference of the two, within the budget
  assert.ok(read("/0/contrasts/apart")[0] > 0);
  assert.ok(read("/0/contrasts/largest")[0] <= 0.1 + 1e-6);
  assert.deepEqual(read("/0/measured/n_units"), [4, 4]);
  assert.equal(file.attributes("/0/measured").design, "blocks of several targets");
});

Deno.test("experiment goes on from its checkpoint, and gallery takes its colours from it", async () => {
  const again = await files.run(...args("again", ...all));
  assert.equal((again.subjects as { name: string }[])[0].name, "encoder");
  assert.deepEqual(
    Deno.readFileSync(at("again/experiment.h5")),
    Deno.readFileSync(at("found/experiment.h5")),
  );
  const other = await gyrus(...args("again", ...all, "--gamma", "2"));
  assert.equal(other.code, 2);
  assert.match(other.errors[0], /options/);
  const gallery = await files.run(
    ...["gallery", "--images", at("made"), "--rois", at("rois.csv"), "--out", at("gallery.html")],
    ...["--experiment", at("found/experiment.h5"), "--rgb", "FFA,PPA,FFA"],
  );
  assert.deepEqual([gallery.targets, gallery.images], [2, 4]);
});

Deno.test("experiment compares subjects, and can leave out the images of a subject's own encoder", async () => {
  const two = [
    "--encoder",
    at("encoder.h5"),
    at("second.h5"),
    "--rois",
    at("rois.csv"),
    at("rois.json"),
  ];
  folder.write("rois.json", '{ "PPA": [2, 3], "FFA": [0, 1] }');
  const told = await files.run(...args("two", ...two, "--no-scrambled", "--subject", "a", "b"));
  const subjects = told.subjects as { name: string; onDiagonal: number }[];
  assert.deepEqual(subjects.map(({ name, onDiagonal }) => [name, onDiagonal]), [["a", 2], [
    "b",
    2,
  ]]);
  const page = Deno.readTextFileSync(at("two/index.html"));
  assert.match(page, /a, whose encoder had a part/);
  assert.match(page, /b, whose encoder had no part/);
  assert.equal(sections(page).at(-1), "across-subjects");
  const held = await gyrus(...args("held", ...two, "--held-out"));
  assert.equal(held.code, 2); // the first subject has no image left
  assert.match(held.errors[0], /Cannot test encoder with --held-out: every image/);
  const own = [
    "--encoder",
    at("second.h5"),
    "--rois",
    at("rois.csv"),
    "--held-out",
    "--no-scrambled",
  ];
  const alone = await files.run(...args("alone", ...own));
  assert.equal((alone.subjects as { onDiagonal: number }[])[0].onDiagonal, 2);
});

Deno.test("experiment says in a sentence what is wrong, and leaves nothing", async () => {
  const refuse = async (message: RegExp, ...more: string[]) => {
    const rest = more.includes("--rois") ? subject.slice(0, 2) : subject;
    const { code, errors } = await gyrus(...args("bad", ...rest, ...more));
    assert.deepEqual([code, errors.length], [2, 1], errors.join("\n"));
    assert.match(errors[0], message);
    assert.ok(!folder.list().some((name) => name.startsWith("bad")), `${folder.list()}`);
  };
  await refuse(/1 encoders and 2 of --rois/, "--rois", "a", "b");
  await refuse(/--betas and --trials belong together/, "--betas", at("betas.npy"));
  await refuse(/--batch 0/, "--batch", "0");
  await refuse(/Cannot match "hue"/, "--match", "hue");
  await refuse(/--reference names the images/, "--match", "radial");
  await refuse(/histogram without luminance/, "--match", "histogram,luminance", "--reference", "x");
  await refuse(/maximize\.h5/, "--control", at("nowhere"));
  folder.write("few.csv", "voxel,roi\n0,V1\n");
  await refuse(/region "FFA", which images were made for: there are V1/, "--rois", at("few.csv"));
  folder.write("far.csv", "voxel,roi\n0,FFA\n9,PPA\n");
  await refuse(/region "PPA": the encoder has 4 voxels/, "--rois", at("far.csv"));
  folder.write("short.csv", "target\nFFA\n");
  await refuse(
    /\[1 trials, 4 voxels\] are needed/,
    "--betas",
    at("betas.npy"),
    "--trials",
    at("short.csv"),
  );
  await refuse(
    /Cannot find the picture "picture" that images were made from/,
    "--originals",
    at("images.npy"),
  );
});

Deno.test("remove the files", () => files[Symbol.dispose]());
