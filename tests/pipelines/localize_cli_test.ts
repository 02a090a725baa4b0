import assert from "node:assert/strict";
import { normal, randomKey } from "../../engine/random.ts";
import { Tensor } from "../../engine/tensor.ts";
import { denseSettings, paperSize } from "../../pipelines/brain_sail/config.ts";
import { chooseRois, parseRoiTable } from "../../pipelines/dense/roi_table.ts";
import { gyrus as run } from "../console.ts";
import { distillDense } from "../../pipelines/dense/distill.ts";
import { whiteInfill } from "../../pipelines/dense/features.ts";
import { patchShifts } from "../../pipelines/dense/offsets.ts";
import { type Encoder, fitEncoder } from "../../pipelines/encoding/encoder.ts";
import { saveEncoder } from "../../pipelines/encoding/encoder_file.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { normalizeFeatures } from "../../pipelines/encoding/normalize.ts";
import { InputError } from "../../pipelines/errors.ts";
import { preprocess, stretched } from "../../pipelines/images/preprocess.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { loadPng, savePng } from "../../pipelines/io/png.ts";
import { saveSafetensors } from "../../pipelines/io/safetensors_file.ts";
import { toFloat32 } from "../../pipelines/io/state_dict.ts";
import { loadVit } from "../../pipelines/models/model.ts";
import { openCommandGpu } from "../_gpu.ts";
import { toStateDict } from "./vit_fixtures.ts";
import * as models from "./vit_models.ts";

const gpu = await openCommandGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const folder = Deno.makeTempDirSync();
addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
const { keys, config } = models.clip.layouts[0];
saveSafetensors(`${folder}/clip.safetensors`, toStateDict(keys));
Deno.writeTextFileSync(`${folder}/clip.config.json`, JSON.stringify(config));
Deno.writeTextFileSync(
  `${folder}/rois.csv`,
  "voxel,side,roi\n0,lh,A\n1,lh,\n2,rh,B\n3,rh,A\n4,rh,B\n",
);
const image = {
  height: 30,
  width: 24,
  data: Uint8Array.from({ length: 30 * 24 * 3 }, (_, i) => (i * 7 + (i >> 5) * 31) % 256),
};
Deno.mkdirSync(`${folder}/images`);
savePng(`${folder}/images/one.png`, image);
savePng(`${folder}/images/two.png`, { ...image, data: image.data.toReversed() });

const random = (key: number, rows: number, cols: number) =>
  hostMatrix(Float32Array.from(normal(randomKey(key), rows * cols)), [rows, cols]);

async function makeEncoder(normalization: "l2" | "zscore", nFeatures = 12): Promise<Encoder> {
  const ridge = { alphas: [1], cv: 2 };
  const encoder = await fitEncoder(gpu, random(1, 30, nFeatures), random(2, 30, 5), {
    normalization,
    ridge,
  });
  await saveEncoder(`${folder}/${normalization}${nFeatures}.h5`, encoder);
  return encoder;
}

const gyrus = (...args: string[]) => run("localize", ...args, "--json");

const BASE = ["--model", `${folder}/clip.safetensors`, "--images", `${folder}/images`];
const TABLE = ["--roi-table", `${folder}/rois.csv`];

Deno.test("localize writes the mean over a region's voxels of the encoder's predictions for every patch", async () => {
  for (const normalization of ["l2", "zscore"] as const) {
    const encoder = await makeEncoder(normalization);
    const out = `${folder}/maps_${normalization}`;
    const args = ["--encoder", `${folder}/${normalization}12.h5`, "--size", "20x16"];
    const flags = ["--distill", "5", "--gaussian-std", "2", "--roi", "b", "A", "--out", out];
    const { code, text } = await gyrus(...BASE, ...TABLE, ...args, ...flags);
    assert.equal(code, 0, text);
    using file = await Hdf5File.open(`${out}/maps.h5`);
    assert.deepEqual(file.info("/maps").shape, [2, 2, 5, 4]);
    assert.deepEqual(file.readStrings("/roi_names"), ["B", "A"]);
    assert.deepEqual(file.readStrings("/image_names"), ["one", "two"]);
    const maps = toFloat32(file.read("/maps"));
    using model = await loadVit(gpu, toStateDict(keys), config);
    const size = { height: 20, width: 16 };
    const { data } = preprocess(image, { family: stretched("clip"), size });
    using pixels = Tensor.from(gpu, data, [1, 3, 20, 16]);
    using dense = distillDense(model, pixels, {
      dense: "naclip",
      arch: "reduced",
      gaussianStd: 2,
      shifts: patchShifts([5, 4], 5),
      infill: whiteInfill("clip"),
    });
    const patches = hostMatrix(await dense.data() as Float32Array<ArrayBuffer>, [20, 12]);
    const { data: unit } = normalizeFeatures(patches, encoder.normalizer);
    const predicted = await encoder.model.predict(hostMatrix(unit, [20, 12]));
    [[2, 4], [0, 3]].forEach((voxels, r) => {
      for (let p = 0; p < 20; p++) {
        const expected = voxels.reduce((sum, v) => sum + predicted.data[p * 5 + v], 0) / 2;
        const seen = maps[r * 20 + p];
        assert(Math.abs(seen - expected) < 1e-5 * (1 + Math.abs(expected)), `${seen} ${expected}`);
      }
    });
    const overlay = loadPng(`${out}/overlays/A/two.png`);
    assert.deepEqual([overlay.height, overlay.width], [30, 24]);
    assert.equal(loadPng(`${out}/overview.png`).width, 3 * (96 + 4) + 4);
    assert.equal(JSON.parse(Deno.readTextFileSync(`${out}/run.json`)).command, "localize");
  }
});

Deno.test("localize maps single targets where there is no table", async () => {
  await makeEncoder("l2");
  const out = `${folder}/targets`;
  const { code, text } = await gyrus(...BASE, "--encoder", `${folder}/l212.h5`, "--out", out);
  assert.equal(code, 0, text);
  using file = await Hdf5File.open(`${out}/maps.h5`);
  assert.deepEqual(file.info("/maps").shape, [2, 5, 3, 3]);
  assert.equal(file.readStrings("/roi_names")[4], "target_4");
  const chosen = `${folder}/chosen`;
  const args = ["--encoder", `${folder}/l212.h5`, "--target", "4", "1", "--out", chosen];
  assert.equal((await gyrus(...BASE, ...args)).code, 0);
  using some = await Hdf5File.open(`${chosen}/maps.h5`);
  assert.deepEqual(some.readStrings("/roi_names"), ["target_4", "target_1"]);
  const [all, few] = [file, some].map((one) => toFloat32(one.read("/maps")));
  for (const image of [0, 1]) {
    [4, 1].forEach((target, r) => {
      const [from, to] = [(image * 5 + target) * 9, (image * 2 + r) * 9];
      // Products with more columns may be tiled otherwise: sums of 12 terms in another order.
      for (let i = 0; i < 9; i++) assert(Math.abs(all[from + i] - few[to + i]) < 1e-6);
    });
  }
  const bad = await gyrus(...BASE, "--encoder", `${folder}/l212.h5`, "--target", "5", "--out", "x");
  assert.equal(bad.code, 2);
  assert.match(bad.text, /Cannot map target "5": the encoder has 5, counted from 0/);
});

Deno.test("localize refuses what does not fit with one sentence and exit code 2, and leaves no folder", async () => {
  await makeEncoder("l2", 7);
  await makeEncoder("l2");
  const good = ["--encoder", `${folder}/l212.h5`];
  const cases: [RegExp, string[]][] = [
    [/fitted on 7 features, the clip model's patches have 12/, ["--encoder", `${folder}/l27.h5`]],
    [/no such file/, ["--encoder", `${folder}/none.h5`]],
    [/--roi needs --roi-table/, [...good, "--roi", "A"]],
    [/there are A, B/, [...good, ...TABLE, "--roi", "C"]],
    [/whole image/, [...good, ...TABLE, "--fit", "crop"]],
    [/multiples of 4/, [...good, ...TABLE, "--size", "18"]],
    [/columns voxel and roi/, [...good, "--roi-table", `${folder}/clip.config.json`]],
  ];
  for (const [message, args] of cases) {
    const { code, text } = await gyrus(...BASE, ...args, "--out", `${folder}/refused`);
    assert.equal(code, 2, `${message}: ${text}`);
    assert.match(text, message);
    assert.match(text, /^gyrus: [^\n]+$/);
    assert(![...Deno.readDirSync(folder)].some(({ name }) => name.startsWith("refused")), text);
  }
});

Deno.test("parseRoiTable() and chooseRois() read a table of voxels", () => {
  const text = "x, ROI ,Voxel\r\n1,V1,3\r\n2,V2,0\r\n3,V1,1\r\n4,,2\r\n";
  const regions = parseRoiTable(text, "t.csv");
  assert.deepEqual(regions, [{ name: "V1", voxels: [3, 1] }, { name: "V2", voxels: [0] }]);
  assert.deepEqual(chooseRois(regions, ["v2"]), [regions[1]]);
  assert.deepEqual(chooseRois(regions, []), regions);
  assert.throws(() => parseRoiTable("voxel,roi\n-1,V1\n", "t.csv"), InputError);
  assert.throws(() => parseRoiTable("voxel,roi\n1\n", "t.csv"), InputError);
  assert.throws(() => parseRoiTable("voxel,roi\n", "t.csv"), InputError);
});

Deno.test("denseSettings hold the paper's settings of its backbones", () => {
  const grid = [14, 14] as const;
  assert.deepEqual(
    paperSize({ family: "clip", grid, patchSize: 16 } as Parameters<typeof paperSize>[0]),
    { height: 896, width: 896 },
  );
  assert.deepEqual(
    paperSize({ family: "radio", grid, patchSize: 16 } as Parameters<typeof paperSize>[0]),
    { height: 768, width: 768 },
  );
  assert.equal(denseSettings.clip.nAugmentations, 51);
  assert.equal(denseSettings.dinov2.dense, "maskclip");
});

Deno.test("localize --checkpoint goes on behind the last whole image, to the same maps", async () => {
  await makeEncoder("l2");
  const log = `${folder}/maps.log`;
  const out = `${folder}/maps_resumed`;
  const flags = ["--encoder", `${folder}/l212.h5`, "--size", "20x16", "--distill", "5"];
  const run = () => gyrus(...BASE, ...TABLE, ...flags, "--checkpoint", log, "--out", out);
  const files = () =>
    ["maps.h5", "overview.png"].map((name) => Deno.readFileSync(`${out}/${name}`));
  const first = await run();
  assert.equal(first.code, 0, first.text);
  const [whole, bytes] = [files(), Deno.readFileSync(log)];
  Deno.truncateSync(log, bytes.length - 5); // within the last image
  const second = await run();
  assert.equal(second.code, 0, second.text);
  assert.deepEqual(files(), whole);
  assert.deepEqual(Deno.readFileSync(log), bytes);
});
