/**
 * `gyrus maximize` from files to a folder, and what it says to bad input.
 */
import assert from "node:assert/strict";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { Hdf5Writer } from "../../pipelines/io/hdf5_writer.ts";
import { loadPng } from "../../pipelines/io/png.ts";
import { saveSafetensors } from "../../pipelines/io/safetensors_file.ts";
import { toFloat32, toFloat64 } from "../../pipelines/io/state_dict.ts";
import { openMadeImages, randomKey } from "../../mod.ts";
import { gyrus } from "../console.ts";
import { TinyInception } from "./inception_reference.ts";
import { toStateDict } from "./vit_fixtures.ts";
import * as models from "./vit_models.ts";
import { MaximizeFiles } from "./maximize_files.ts";

const files = await MaximizeFiles.create();
const { folder } = files;
const regions = ["--rois", folder.at("rois.csv")];

/** What a folder holds. */
async function read(name: string) {
  using file = await Hdf5File.open(folder.at(`${name}/maximize.h5`));
  return {
    images: toFloat32(file.read("/images")),
    responses: [...toFloat64(file.read("/responses"))],
    losses: toFloat32(file.read("/losses")),
    seeds: [...toFloat32(file.read("/seeds"))],
    targets: file.readStrings("/targets"),
    shapes: ["/images", "/losses"].map((path) => file.info(path).shape),
    attributes: file.attributes("/"),
    datasets: file.datasets(),
  };
}

Deno.test("maximize makes images of regions, voxels and contrasts, with responses, losses and a record", async () => {
  const natural = ["--natural", `${folder.at("features.h5")}:/features`];
  const said = await files.run(
    ...files.args("rois", "--roi", "FFA", "FFA-PPA", ...regions, "--seeds", "2", ...natural),
  );
  assert.deepEqual([said.n, said.targets, said.height], [4, 2, 60]);
  const { images, responses, losses, seeds, targets, shapes, attributes, datasets } = await read(
    "rois",
  );
  assert.deepEqual(shapes, [[4, 3, 60, 60], [4, 8]]);
  assert.deepEqual(targets, ["FFA", "FFA", "FFA-PPA", "FFA-PPA"]);
  assert.deepEqual(seeds, [0, 1, 0, 1]);
  assert.deepEqual([attributes.preset, attributes.minimize, attributes.family], [
    ...["lucid", 0, "inception"],
  ]);
  assert(images.every((v) => v >= 0 && v <= 1) && losses.every(Number.isFinite));
  assert(responses[0] > 0 && losses[7] < losses[0]);
  assert(datasets.includes("/percentiles") && datasets.includes("/natural_z"));
  using again = await openMadeImages(folder.at("rois"));
  assert.deepEqual([again.n, again.size, [...again.responses]], [4, [60, 60], responses]);
  const { width, data } = loadPng(folder.at("rois/images/00003.png"));
  assert.equal(width, 60);
  const plane = 3600, last = images.subarray(3 * 3 * plane);
  data.forEach((byte, at) => {
    assert.equal(byte, Math.round(255 * last[(at % 3) * plane + Math.floor(at / 3)]));
  });
  const names = [...Deno.readDirSync(folder.at("rois"))].map(({ name }) => name).sort();
  assert.deepEqual(names, ["images", "losses.html", "maximize.h5", "run.json"]);
  const record = JSON.parse(Deno.readTextFileSync(folder.at("rois/run.json")));
  assert.equal(record.command, "maximize");
  assert.equal(record.options.settings.optimizer.lr, 0.3);
  // the settings that a run names make the same images again
  folder.write("again.json", JSON.stringify(record.options.settings));
  await files.run(
    ...files.args("again", "--roi", "FFA", "FFA-PPA", ...regions, "--seeds", "2"),
    ...["--settings", folder.at("again.json"), "--batch", "3"],
  );
  assert.deepEqual((await read("again")).images, images);
});

Deno.test("maximize --minimize lowers what maximize raises, above and below all natural images", async () => {
  const natural = ["--natural", `${folder.at("features.h5")}:/features`, "--steps", "20"];
  for (const [out, percentile, more] of [["up", 100, []], ["down", 0, ["--minimize"]]] as const) {
    await files.run(...files.args(out, "--voxels", "0,2", ...natural, ...more));
    using file = await Hdf5File.open(folder.at(`${out}/maximize.h5`));
    assert.deepEqual([...toFloat64(file.read("/percentiles"))], [percentile, percentile]);
    assert.deepEqual(file.readStrings("/targets"), ["0", "2"]);
  }
});

Deno.test("maximize goes on from a checkpoint, with another batch too, and refuses one of another run", async () => {
  const log = ["--checkpoint", folder.at("log"), "--voxels", "0-2"];
  await files.run(...files.args("whole", "--voxels", "0-2"));
  const run = (out: string, ...more: string[]) => gyrus(...files.args(out, ...log, ...more));
  assert.equal((await run("kept", "--batch", "2")).code, 0);
  assert.equal((await run("again", "--batch", "1")).code, 0);
  assert.deepEqual((await read("kept")).images, (await read("whole")).images);
  const [a, b] = ["kept", "again"].map((out) => Deno.readFileSync(folder.at(`${out}/maximize.h5`)));
  assert.deepEqual(a, b);
  const other = await run("other", "--seed", "5");
  assert.equal(other.code, 2);
  assert.match(other.text, /it belongs to a run with another options/);
  const more = await gyrus(...files.args("other", ...log.slice(0, 2), "--voxels", "0-3"));
  assert.match(more.text, /another targets/);
  assert(!folder.list().includes("other"));
});

Deno.test("maximize starts from a picture and says how far it went", async () => {
  const budget = ["--max-change", "6/255", "--seed-image", folder.at("picture.png")];
  const small = { ...{ transforms: { steps: [{ kind: "jitter", by: 2 }], crops: 1 } }, steps: 4 };
  folder.write("small.json", JSON.stringify(small));
  const all = files.args("edited", "--roi", "a-b", "--rois", folder.at("rois.json"), ...budget)
    .filter((part, i, list) => part !== "--preset" && list[i - 1] !== "--preset");
  const plain = all.filter((part, i) => part !== "--size" && all[i - 1] !== "--size");
  await files.run(...plain, "--settings", folder.at("small.json"), "--lr", "10");
  using file = await Hdf5File.open(folder.at("edited/maximize.h5"));
  assert.deepEqual(file.info("/images").shape, [1, 3, 75, 75]); // the picture's own size
  const [max] = toFloat64(file.read("/change_max")), [rms] = toFloat64(file.read("/change_rms"));
  assert(max <= 6 / 255 + 1e-6 && max > 0 && rms > 0 && rms <= max);
  assert.deepEqual(file.readStrings("/seed_images"), ["picture"]);
  assert.deepEqual(file.readStrings("/targets"), ["a-b"]);
  assert.equal(file.attributes("/").preset, "accentuate");
});

/** What `encode predict` says of the written pictures' features, each image's own voxel. */
async function predictedFromPictures(
  out: string,
  { encoder, dataset, features }: { encoder: string; dataset: string; features: string[] },
): Promise<number[]> {
  const [seen, predicted] = [folder.at(`${out}.seen.h5`), folder.at(`${out}.predicted.h5`)];
  await files.run("features", ...features, "--images", folder.at(`${out}/images`), "--out", seen);
  await files.run(
    ...["encode", "predict", "--encoder", encoder, "--features", `${seen}:${dataset}`],
    ...["--out", predicted],
  );
  using file = await Hdf5File.open(predicted);
  const { shape: [n, voxels] } = file.info("/predictions");
  const all = toFloat32(file.read("/predictions"));
  return Array.from({ length: n }, (_, i) => all[i * voxels + i]);
}

/** Fails unless values agree to a twentieth of their spread: pictures are rounded to bytes, a wrong order of colours or cut is off by all of it. */
function assertLike(got: readonly number[], want: readonly number[]): void {
  const spread = Math.max(...want.map(Math.abs));
  want.forEach((v, i) => assert(Math.abs(got[i] - v) < 0.05 * spread, `${got} and ${want}`));
}

Deno.test("responses are what encode predict says of the pictures, resized and blue first too", async () => {
  const net = ["--model", folder.at("net.safetensors"), "--size", "75", "--bgr"];
  const features = [...net, "--taps", "Conv2d_2b_3x3,Mixed_5b", "--budget", "40"];
  const [seen, encoder] = [folder.at("bgr.h5"), folder.at("bgr_encoder.h5")];
  await files.run("features", ...features, "--images", folder.at("images.npy"), "--out", seen);
  await files.run(
    ...["encode", "fit", "--features", `${seen}:/features`, "--cv", "3"],
    ...["--responses", folder.at("responses.npy"), "--alphas", "1", "--out", encoder],
  );
  await files.run(...files.args("turned", "--voxels", "0-1", "--encoder", encoder));
  const choice = { encoder, dataset: "/features", features };
  assertLike(await predictedFromPictures("turned", choice), (await read("turned")).responses);
});

Deno.test("maximize makes images for the embedding of a vision transformer, whose length is divided by", async () => {
  const { keys, config } = models.clip.layouts[0];
  saveSafetensors(folder.at("clip.safetensors"), toStateDict(keys));
  folder.write("clip.config.json", JSON.stringify(config));
  const features = ["--model", folder.at("clip.safetensors"), "--size", "32", "--save", "cls"];
  const [seen, encoder] = [folder.at("cls.h5"), folder.at("clip_encoder.h5")];
  await files.run("features", ...features, "--images", folder.at("images.npy"), "--out", seen);
  await files.run(
    ...["encode", "fit", "--features", `${seen}:/cls`, "--normalize", "l2", "--cv", "3"],
    ...["--responses", folder.at("responses.npy"), "--alphas", "0.01", "--out", encoder],
  );
  const model = ["--model", folder.at("clip.safetensors"), "--encoder", encoder];
  const natural = ["--natural", `${seen}:/cls`, "--steps", "8", "--size", "48"];
  await files.run(...files.args("clip", "--voxels", "0-1", ...model, ...natural));
  const { responses } = await read("clip");
  using file = await Hdf5File.open(folder.at("clip/maximize.h5"));
  assert([...toFloat64(file.read("/natural_z"))].every((z) => z > 0), "above the natural mean");
  const choice = { encoder, dataset: "/cls", features };
  assertLike(await predictedFromPictures("clip", choice), responses);
});

Deno.test("maximize with maco takes the spectrum of one's own images, and says where its images matter", async () => {
  const maco = ["--preset", "maco", "--size", "64", "--steps", "2", "--lr", "1", "--voxels", "0"];
  const own = ["--template-images", folder.at("images.npy"), "--checkpoint", folder.at("maco.log")];
  await files.run(...files.args("maco", ...maco, ...own));
  const made = await read("maco");
  using file = await Hdf5File.open(folder.at("maco/maximize.h5"));
  const saliency = toFloat32(file.read("/saliency"));
  assert.deepEqual(file.info("/saliency").shape, [1, 64, 64]);
  assert(saliency.every((v) => v >= 0) && saliency.some((v) => v > 0));
  await files.run(...files.args("again", ...maco, ...own)); // from the checkpoint
  using again = await Hdf5File.open(folder.at("again/maximize.h5"));
  assert.deepEqual(toFloat32(again.read("/saliency")), saliency);
  await files.run(...files.args("other", ...maco));
  assert.notDeepEqual((await read("other")).images, made.images);
});

Deno.test("maximize says in one sentence what cannot be", async () => {
  const refuse = async (message: RegExp, ...more: string[]) => {
    const { code, errors, text } = await gyrus(...files.args("x", ...more));
    assert.equal(code, 2, text);
    assert.equal(errors.filter((line) => line.startsWith("gyrus:")).length, 1, text);
    assert.match(text, message);
    assert(!folder.list().some((name) => name.startsWith("x")), "something was left");
  };
  const voxel = ["--voxels", "0"];
  await refuse(/exactly one of --roi and --voxels/);
  await refuse(/exactly one/, ...voxel, "--roi", "FFA");
  await refuse(/--rois is missing/, "--roi", "FFA");
  await refuse(/Cannot find the region "V1": there are FFA, PPA/, "--roi", "V1", ...regions);
  await refuse(/region "FFA-V1": there are FFA, PPA/, "--roi", "FFA-V1", ...regions);
  await refuse(/the encoder has 4, counted from 0/, "--voxels", "2-4");
  await refuse(/voxels "1;2"/, "--voxels", "1;2");
  await refuse(/preset "dream": there are vwam, lucid/, ...voxel, "--preset", "dream");
  await refuse(/--steps 0: it counts from 1/, ...voxel, "--steps", "0");
  await refuse(/--seed-image names the picture/, ...voxel, "--max-change", "0.1");
  await refuse(/A positive number is needed/, ...voxel, "--max-change", "-1");
  await refuse(/--suppress needs --roi/, ...voxel, "--suppress", "PPA");
  await refuse(/only the preset maco/, ...voxel, "--template-images", folder.at("images.npy"));
  await refuse(/the result goes there/, ...voxel, "--checkpoint", folder.at("x"));
  folder.write("far.json", '{ "FFA": [0, 4] }');
  await refuse(
    /"FFA": it has voxel 4, the encoder/,
    "--roi",
    "FFA",
    "--rois",
    folder.at("far.json"),
  );
  await refuse(/takes|fitted on \d+ features/, ...voxel, "--natural", folder.at("responses.npy"));
  await refuse(/none\.h5/, ...voxel, "--natural", folder.at("none.h5"));
  folder.write("bad.json", '{ "FFA": [0.5] }');
  await refuse(/"FFA" is \[0.5\]/, "--roi", "FFA", "--rois", folder.at("bad.json"));
  folder.write("set.json", '{ "optimiser": {} }');
  await refuse(/"optimiser": a preset has param/, ...voxel, "--settings", folder.at("set.json"));
  saveSafetensors(folder.at("other.safetensors"), new TinyInception(randomKey(8)).stateDict);
  await refuse(/other weights/, ...voxel, "--model", folder.at("other.safetensors"));
});

Deno.test("maximize refuses encoders without a recipe, with weights that are no numbers, and folders of others", async () => {
  for (
    const [name, recipe, message] of [["plain", false, /does not say how/], [
      "broken",
      true,
      /not finite|NaN/,
    ]] as const
  ) {
    using from = await Hdf5File.open(folder.at("encoder.h5"));
    {
      using to = await Hdf5Writer.create(folder.at(`${name}.h5`));
      const { format, solver, normalization, options } = from.attributes("/");
      const all = { format, solver, normalization, options };
      for (const [key, value] of Object.entries(all)) to.setAttribute("/", key, `${value}`);
      if (recipe) to.setAttribute("/", "recipe", `${from.attributes("/").recipe}`);
      const { shape: [p] } = from.info(
        from.datasets().includes("/coef") ? "/coef" : "/x_fit",
      );
      const width = from.datasets().includes("/coef") ? p : from.info("/x_fit").shape[1];
      to.createDataset("/coef", { shape: [width, 4], dtype: "f32" });
      to.writeRows("/coef", 0, new Float32Array(4 * width).fill(recipe ? NaN : 1));
      to.createDataset("/intercept", { shape: [4], dtype: "f32" });
      to.writeRows("/intercept", 0, new Float32Array(4));
      to.commit();
    }
    const bad = ["--encoder", folder.at(`${name}.h5`), "--voxels", "0"];
    const { code, text } = await gyrus(...files.args("y", ...bad));
    assert.equal(code, 2, text);
    assert.match(text, message);
  }
  Deno.mkdirSync(folder.at("mine"));
  Deno.writeTextFileSync(folder.at("mine/notes.txt"), "");
  const { code, text } = await gyrus(...files.args("mine", "--voxels", "0"));
  assert.equal(code, 2);
  assert.match(text, /holds notes.txt and no run.json/);
});

Deno.test("remove the files", () => files[Symbol.dispose]());
