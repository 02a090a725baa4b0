import assert from "node:assert/strict";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { loadPng } from "../../pipelines/io/png.ts";
import { hostArray, toFloat32 } from "../../pipelines/io/state_dict.ts";
import { loadNsd } from "../../pipelines/nsd/load_nsd.ts";
import { nsdPaths } from "../../pipelines/nsd/names.ts";
import { readCocoCaptions, readCocoObjects } from "../../pipelines/nsd/coco.ts";
import { cocoMask } from "../../pipelines/nsd/coco_mask.ts";
import { readNsdDesign } from "../../pipelines/nsd/design.ts";
import { splitShared } from "../../pipelines/nsd/split.ts";
import { NsdStimuli } from "../../pipelines/nsd/stimuli.ts";
import { readStimulusInfo } from "../../pipelines/nsd/stimulus_info.ts";
import type { Phantom } from "../../pipelines/phantom/phantom.ts";
import { CATEGORIES } from "../../pipelines/phantom/scene.ts";
import { ROIS } from "../../pipelines/phantom/sheet.ts";
import { writePhantom } from "../../pipelines/phantom/write_phantom.ts";

const options = { nTrain: 30, nTest: 12, size: 32, nVoxels: 200, nSessions: 3 };

Deno.test("loadNsd() gives back the responses of a phantom written in NSD's layout", async () => {
  const dir = Deno.makeTempDirSync();
  try {
    const out = `${dir}/phantom`;
    const phantom = await writePhantom(out, options);
    for (const s of [1, 2]) {
      const subject = phantom.subjects[s - 1];
      const n = subject.sheet.nVoxels;
      const read = await loadNsd(`${out}/nsd`, s);
      assert.deepEqual([...read.nsdIds], Array.from({ length: 42 }, (_, i) => i));
      assert.deepEqual(read.shared, Uint8Array.from({ length: 42 }, (_, i) => Number(i >= 30)));
      assert.ok(read.nRepeats.every((count) => count === 3));
      assert.deepEqual(read.volumeIndex, subject.sheet.volumeIndex);
      // Both sides average the same z-scores, in another order: sums of three float32 values differ by a few roundings.
      read.responses.forEach((r, i) => assert.ok(Math.abs(r - subject.responses[i]) < 2e-6));
      assert.equal(read.responses.length, 42 * n);
      assert.deepEqual(read.ncsnr, subject.ncsnr);
      ROIS.forEach((name, k) => {
        const voxels = [...subject.sheet.roi.keys()].filter((v) => subject.sheet.roi[v] === k);
        assert.deepEqual([...read.rois.get(name)!], voxels, name);
      });
    }
    await checkStimuli(out, phantom.pixels);
    await checkTruth(out, phantom);
    await checkPlainFiles(out, phantom.subjects[0].responses);
    await checkRefusals(out);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

async function checkStimuli(out: string, pixels: Uint8Array): Promise<void> {
  using file = await Hdf5File.open(`${out}/nsd/${nsdPaths.stimuli}`);
  assert.deepEqual(file.info("imgBrick").shape, [42, 32, 32, 3]);
  assert.deepEqual(hostArray(file.read("imgBrick")), pixels);
  using betas = await Hdf5File.open(`${out}/nsd/${nsdPaths.betas(1)}/${nsdPaths.session(1)}`);
  const info = betas.info("betas");
  assert.equal(info.dtype, "i16");
  assert.deepEqual(info.chunks, [42, 1, 1, 1]);
  const table = Deno.readTextFileSync(`${out}/nsd/${nsdPaths.stimulusInfo}`).trimEnd().split("\n");
  assert.equal(table.length, 43);
  assert.match(
    table[0],
    /^,cocoId,cocoSplit,cropBox,loss,nsdId,flagged,BOLD5000,shared1000,subject1,/,
  );
  // The quoted cropBox holds three commas of its own.
  assert.ok(
    table.slice(1).every((row) => row.split(",").length === table[0].split(",").length + 3),
  );
}

async function checkTruth(out: string, { images }: Phantom): Promise<void> {
  const root = `${out}/nsd`;
  const info = await readStimulusInfo(`${root}/${nsdPaths.stimulusInfo}`);
  const captions = readCocoCaptions(`${root}/${nsdPaths.coco("captions", info.cocoSplit[0])}`);
  const objects = readCocoObjects(`${root}/${nsdPaths.coco("instances", info.cocoSplit[0])}`);
  images.forEach(({ rendered, caption }, id) => {
    const coco = objects.get(info.cocoId[id])!;
    const cropBox = info.cropBox.subarray(4 * id, 4 * id + 4);
    assert.deepEqual(captions.get(info.cocoId[id]), [caption]);
    CATEGORIES.forEach((category, c) => {
      const shapes = coco.objects.filter((o) => o.category === category).map((o) => o.shape);
      const mask = cocoMask(shapes, coco, { cropBox, size: [32, 32] });
      assert.deepEqual(mask, rendered.labels.map((label) => Number(label === c + 1)));
    });
  });
  using stimuli = await NsdStimuli.open(root);
  for (const { nsdId, data } of stimuli.read([3, 41, 40])) {
    assert.deepEqual(data, images[nsdId].rendered.rgb);
  }
  // The same design in MATLAB's format, as JSON and in the table of stimuli.
  const designs = [];
  for (const path of [`${nsdPaths.design}.mat`, `${nsdPaths.design}.json`, ""]) {
    designs.push(await readNsdDesign(root, 2));
    if (path !== "") Deno.renameSync(`${root}/${path}`, `${root}/${path}.away`);
  }
  for (const path of [`${nsdPaths.design}.mat`, `${nsdPaths.design}.json`]) {
    Deno.renameSync(`${root}/${path}.away`, `${root}/${path}`);
  }
  assert.deepEqual(designs[1], designs[0]);
  assert.deepEqual(designs[2].trialNsdId, designs[0].trialNsdId);
  assert.deepEqual(designs[2].shared, designs[0].shared);
  const { train, test } = splitShared(await loadNsd(root, 1), { minTestRepeats: 3 });
  assert.deepEqual([train.nsdIds.length, test.nsdIds.length], [30, 12]);
  const some = await loadNsd(root, 1, { mask: "brainmask", regions: ["FFA"], minNcsnr: 0.5 });
  assert.ok(some.ncsnr.length > 0 && some.ncsnr.every((snr) => snr >= 0.5));
  assert.deepEqual(some.rois.get("FFA"), Uint32Array.from(some.volumeIndex.keys()));
}

async function checkPlainFiles(out: string, responses: Float32Array): Promise<void> {
  using file = await Hdf5File.open(`${out}/responses_subj01.h5`);
  const train = toFloat32(file.read("train"));
  const test = toFloat32(file.read("test"));
  assert.deepEqual(train, responses.slice(0, train.length));
  assert.deepEqual(test, responses.slice(train.length));
  const image = loadPng(`${out}/images/test/00031.png`);
  assert.deepEqual([image.height, image.width], [32, 32]);
  const captions = Deno.readTextFileSync(`${out}/captions_train.txt`).trimEnd().split("\n");
  assert.equal(captions.length, 30);
}

async function checkRefusals(out: string): Promise<void> {
  await assert.rejects(writePhantom(out, options), /the folder must be empty/);
  await assert.rejects(loadNsd(`${out}/nsd`, 3), /subj03.*there is no such file/);
  const design = `${out}/nsd/${nsdPaths.design}.json`;
  const table = `${out}/nsd/${nsdPaths.stimulusInfo}`;
  for (const path of [`${out}/nsd/${nsdPaths.design}.mat`, design, table]) {
    Deno.renameSync(path, `${path}.away`);
  }
  await assert.rejects(loadNsd(`${out}/nsd`, 1), /there is no ".*mat", nor a .json beside it/);
  Deno.writeTextFileSync(design, `{"masterordering":[1,99],"subjectim":[[1,2]],"sharedix":[1]}`);
  await assert.rejects(loadNsd(`${out}/nsd`, 1), /a trial shows image 99 of 2/);
  Deno.writeTextFileSync(design, `{"masterordering":[1,2],"subjectim":[[1,2]],"sharedix":[1]}`);
  await assert.rejects(loadNsd(`${out}/nsd`, 1), /ends at trial 42, the design has 2/);
}

Deno.test("writePhantom() leaves when told to stop", async () => {
  const dir = Deno.makeTempDirSync();
  const stop = new AbortController();
  const onProgress = ({ stage }: { stage: string }) =>
    stage === "files" && stop.abort(new Error("enough"));
  try {
    await assert.rejects(writePhantom(dir, options, { signal: stop.signal, onProgress }), /enough/);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});
