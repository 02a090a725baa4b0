/**
 * `gyrus features --paper`, half precision, and `--checkpoint` within one process.
 */
import assert from "node:assert/strict";
import { normal, randomKey } from "../../engine/random.ts";
import { gyrus as run } from "../console.ts";
import { paperOptions } from "../../pipelines/cli/paper_options.ts";
import { patchCoverage } from "../../pipelines/dense/distill.ts";
import { patchShifts } from "../../pipelines/dense/offsets.ts";
import { openArray } from "../../pipelines/io/array_ref.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { saveSafetensors } from "../../pipelines/io/safetensors_file.ts";
import { hostArray, hostTensor, toFloat32 } from "../../pipelines/io/state_dict.ts";
import type { VitConfig } from "../../pipelines/models/vit_config.ts";
import { openCommandGpu } from "../_gpu.ts";
import { TestFolder } from "./io_fixtures.ts";
import { toStateDict } from "./vit_fixtures.ts";
import * as models from "./vit_models.ts";

(await openCommandGpu())[Symbol.dispose](); // the commands open their own

const N = 3;
const folder = new TestFolder();
addEventListener("unload", () => folder[Symbol.dispose]());
const { keys, config } = models.clip.layouts[0];
saveSafetensors(folder.at("clip.safetensors"), toStateDict(keys));
folder.write("clip.config.json", JSON.stringify(config));
const bytes = Uint8Array.from(normal(randomKey(1), N * 40 * 40 * 3), (v) => 128 + 60 * v);
folder.write("images.npy", writeNpy(hostTensor(bytes, [N, 40, 40, 3])));
const input = ["--model", folder.at("clip.safetensors"), "--images", folder.at("images.npy")];

const gyrus = (...args: string[]) => run(...args, "--json");

const features = (...args: string[]) => gyrus("features", ...input, ...args);

async function made(name: string, ...args: string[]): Promise<string> {
  const { code, text } = await features(...args, "--out", folder.at(name));
  assert.equal(code, 0, text);
  return folder.at(name);
}

const explicit = ["--dense", "naclip", "--arch", "reduced", "--gaussian-std", "10"];

Deno.test("paperOptions() are the published ones of each backbone, and what is said wins", () => {
  const sizes: [Partial<VitConfig>, string, number, string, string, number | undefined][] = [
    [{ family: "clip", grid: [14, 14], patchSize: 16 }, "896x896", 51, "naclip", "reduced", 10],
    [
      ...[{ family: "dinov2", grid: [37, 37], patchSize: 14 }] as const,
      ...["518x518", 25, "maskclip", "vanilla", undefined] as const,
    ],
    [
      ...[{ family: "radio", grid: [128, 128], patchSize: 16 }] as const,
      ...["768x768", 25, "maskclip", "vanilla", undefined] as const,
    ],
  ];
  for (const [part, size, distill, dense, arch, gaussianStd] of sizes) {
    const paper = paperOptions({}, part as VitConfig);
    assert.deepEqual(paper, { dense, arch, gaussianStd, size, distill });
  }
  const [clip] = sizes[0];
  const said = { size: "448", distill: 10, gaussianStd: 3 } as const;
  const rest = { dense: "naclip", arch: "reduced" };
  assert.deepEqual(paperOptions(said, clip as VitConfig), { ...said, ...rest });
  // Another attention is not given the paper's last block and window.
  const other = paperOptions({ dense: "sclip" }, clip as VitConfig);
  assert.deepEqual([other.dense, other.arch, other.gaussianStd], ["sclip", undefined, undefined]);
});

Deno.test("features --paper writes what its settings one by one write, and records the offsets", async () => {
  const paper = await made("paper.h5", "--paper");
  const flags = ["--size", "48", "--distill", "51", "--save", "dense"];
  const long = await made("long.h5", ...explicit, ...flags);
  assert.deepEqual(Deno.readFileSync(paper), Deno.readFileSync(long));
  using file = await Hdf5File.open(paper);
  assert.deepEqual(file.datasets(), ["/dense", "/names", "/offsets"]);
  assert.deepEqual(file.info("/dense").shape, [N, 12, 12, 12]);
  const rows = patchShifts([12, 12], 51).flatMap(({ dy, dx, flip }) => [dy, dx, Number(flip)]);
  assert.equal(file.info("/offsets").dtype, "i32");
  assert.deepEqual([...hostArray(file.read("/offsets"))], rows);
  const { size, gaussian_std, arch, distill } = file.attributes();
  assert.deepEqual([size, gaussian_std, arch, distill], [[48, 48], 10, "reduced", 51]);
  const few = await made("few.h5", "--paper", "--distill", "3", "--size", "24", "--seed", "5");
  using other = await Hdf5File.open(few);
  assert.deepEqual(other.info("/dense").shape, [N, 6, 6, 12]);
  const drawn = patchShifts([6, 6], 3, { seed: 5 });
  assert.equal(hostArray(other.read("/offsets"))[3], drawn[1].dy);
});

Deno.test("features --dense-dtype f16 stores scaled halves that read back as the values", async () => {
  const flags = [...explicit, "--size", "24", "--distill", "4"];
  const single = await made("single.h5", ...flags, "--save", "dense,cls");
  const half = await made("half.h5", ...flags, "--save", "dense,cls", "--dense-dtype", "f16");
  using file = await Hdf5File.open(half);
  assert.deepEqual([file.info("/dense").dtype, file.info("/cls").dtype], ["f16", "f32"]);
  assert.deepEqual(file.attributes("/dense"), { scale: 16 });
  using expected = await openArray(`${single}:/dense`);
  const values = expected.readRows(0, N);
  const stored = toFloat32(file.read("/dense"));
  using rows = await openArray(`${half}:/dense`);
  const back = rows.readRows(0, N);
  values.forEach((value, i) => {
    assert.equal(back[i], stored[i] / 16);
    const bound = Math.max(2 ** -11 * Math.abs(value), 2 ** -29);
    assert.ok(Math.abs(back[i] - value) <= bound);
  });
  const listed = await gyrus("inspect", `${half}:/dense`);
  assert.match(listed.text, /"dtype":"f16".*"scale":16/);
  const refused: [RegExp, string[]][] = [
    [/between -0\.0156\d* and .*, got/, ["--dense-dtype", "f16", "--dense-scale", "4194304"]],
    [/power of two/, ["--dense-dtype", "f16", "--dense-scale", "10"]],
    [/--dense-scale needs --dense-dtype f16/, ["--dense-scale", "8"]],
  ];
  for (const [message, more] of refused) {
    const { code, text } = await features(...flags, ...more, "--out", folder.at("refused.h5"));
    assert.equal(code, 2, text);
    assert.match(text, message);
    assert.ok(!folder.list().some((name) => name.startsWith("refused")));
  }
});

Deno.test("features --layout brainsail holds ten times the sums over views, a dataset for each image", async () => {
  const flags = [...explicit, "--size", "24", "--distill", "5"];
  const plain = await made("plain.h5", ...flags, "--save", "dense");
  const file = await made("brainsail.h5", ...flags, "--layout", "brainsail");
  using means = await Hdf5File.open(plain);
  using sums = await Hdf5File.open(file);
  assert.deepEqual(sums.datasets(), ["/0", "/1", "/2"]);
  const counts = patchCoverage([6, 6], patchShifts([6, 6], 5));
  assert.ok(new Set(counts).size > 2); // corners are seen by few
  for (let i = 0; i < N; i++) {
    const { dtype, shape } = sums.info(`/${i}`);
    assert.deepEqual([dtype, shape], ["f16", [6, 6, 12]]);
    const stored = toFloat32(sums.read(`/${i}`));
    toFloat32(means.readRows("/dense", i, i + 1)).forEach((mean, at) => {
      const sum = 10 * counts[Math.floor(at / 12)] * mean;
      assert.ok(Math.abs(stored[at] - sum) <= 2 ** -10 * Math.abs(sum) + 2 ** -24);
    });
  }
  const refused: [RegExp, string[]][] = [
    [/holds \/dense alone/, ["--save", "dense,cls"]],
    [/ten times the sums/, ["--dense-scale", "8"]],
  ];
  for (const [message, more] of refused) {
    const out = folder.at("refused.h5");
    const { code, text } = await features(...flags, "--layout", "brainsail", ...more, "--out", out);
    assert.equal(code, 2, text);
    assert.match(text, message);
  }
});

Deno.test("features --checkpoint refuses the checkpoint of another model, other images or other options", async () => {
  const log = folder.at("run.log");
  const flags = [...explicit, "--size", "24", "--save", "dense", "--checkpoint", log];
  const first = await made("first.h5", ...flags, "--batch", "2", "--distill", "2");
  const again = await made("again.h5", ...flags, "--batch", "2", "--distill", "2");
  assert.deepEqual(Deno.readFileSync(again), Deno.readFileSync(first));
  const kept = Deno.readFileSync(log);
  const attempt = async (message: RegExp, ...more: string[]) => {
    const out = folder.at("refused.h5");
    const { code, text } = await features(...flags, "--batch", "2", ...more, "--out", out);
    assert.equal(code, 2, text);
    assert.match(text, message);
    assert.deepEqual(Deno.readFileSync(log), kept);
    assert.ok(!folder.list().some((name) => name.startsWith("refused")));
  };
  await attempt(/run\.log": it belongs to a run with another options;/, "--distill", "3");
  await attempt(/another options;/, "--distill", "2", "--seed", "7");
  await attempt(/another options;/, "--distill", "2", "--dense-dtype", "f16");
  const { keys, config } = models.clip.layouts[1];
  saveSafetensors(folder.at("other.safetensors"), toStateDict(keys));
  folder.write("other.config.json", JSON.stringify(config));
  const model = folder.at("other.safetensors");
  await attempt(/another model;/, "--distill", "2", "--model", model);
  const same = await features(...flags, "--out", log);
  assert.equal(same.code, 2, same.text);
  assert.match(same.text, /Cannot keep the checkpoint in .*: the result goes there/);
  const time = new Date(1e12);
  Deno.utimeSync(folder.at("images.npy"), time, time);
  await attempt(/another images;/, "--distill", "2");
});
