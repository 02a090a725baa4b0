import assert from "node:assert/strict";
import { gunzipSync, gzipSync } from "node:zlib";
import { InputError } from "../../pipelines/errors.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { writeNifti } from "../../pipelines/io/nifti.ts";
import { hostTensor } from "../../pipelines/io/state_dict.ts";
import { readNsdDesign } from "../../pipelines/nsd/design.ts";
import { loadNsd } from "../../pipelines/nsd/load_nsd.ts";
import { nsdPaths } from "../../pipelines/nsd/names.ts";
import { readSession } from "../../pipelines/nsd/session.ts";
import { splitShared } from "../../pipelines/nsd/split.ts";
import { NsdStimuli } from "../../pipelines/nsd/stimuli.ts";
import { readStimulusInfo } from "../../pipelines/nsd/stimulus_info.ts";
import { touchedBoxes } from "../../pipelines/nsd/touched_boxes.ts";
import { parseLabelTable, selectNsdVoxels } from "../../pipelines/nsd/voxels.ts";
import { assertInputError, TestFolder } from "./io_fixtures.ts";
import {
  CELLS,
  GENERAL,
  NCSNR,
  SESSIONS,
  stimulusTable,
  stored,
  TRIALS,
  VOLUME,
  writeBytes,
  writeHdf5,
  writeNsd,
} from "./nsd_fixtures.ts";

const kinds = new URL("../golden/io/kinds.h5", import.meta.url).pathname;
const INSIDE = [...GENERAL.keys()].filter((cell) => GENERAL[cell] > 0);

async function rejects(promise: Promise<unknown>, message: RegExp): Promise<void> {
  await assert.rejects(promise, (error: unknown) => {
    assert.ok(error instanceof InputError, String(error));
    assert.match(error.message, message);
    return !error.message.includes("\n");
  });
}

Deno.test("readSession() reads the same voxels of HDF5 in any chunks and of NIfTI, packed or not", async () => {
  using folder = new TestFolder();
  const root = await writeNsd(folder);
  const betas = `${root}/${nsdPaths.betas(1)}`;
  const values = Int16Array.from(
    { length: 4 * CELLS },
    (_, i) => stored(Math.floor(i / CELLS), i % CELLS),
  );
  const packed = await writeNifti(hostTensor(values, [4, ...VOLUME]));
  const floats = hostTensor(Float32Array.from(values, (x) => x / 300), [4, ...VOLUME]);
  const shape = [4, ...VOLUME];
  await writeHdf5(folder.at("whole.hdf5"), "betas", { shape }, values);
  await writeHdf5(folder.at("odd.hdf5"), "betas", { shape, chunks: [3, 2, 2, 4] }, values);
  const paths = [
    `${betas}/betas_session01.hdf5`,
    folder.at("whole.hdf5"),
    folder.at("odd.hdf5"),
    folder.write("a.nii.gz", packed),
    folder.write("a.nii", new Uint8Array(gunzipSync(packed))),
    folder.write("b.nii.gz", await writeNifti(floats)),
  ];
  const volumeIndex = Uint32Array.of(0, 1, 7, 13, 29);
  for (const path of paths) {
    const { data, shape } = await readSession(path, { volumeIndex, volumeShape: VOLUME });
    assert.deepEqual(shape, [4, 5]);
    data.forEach((value, i) => {
      const expected = Math.fround(stored(Math.floor(i / 5), volumeIndex[i % 5]) / 300);
      assert.equal(value, expected, path);
    });
  }
});

Deno.test("readSession() reads files of h5py: MATLAB's chunks, gzip, half precision", async () => {
  // i16 [6, 2, 3, 4] in chunks of one voxel and all trials.
  const all = await readSession(kinds, {
    volumeIndex: Uint32Array.from({ length: 24 }, (_, i) => i),
    volumeShape: [2, 3, 4],
  });
  const some = await readSession(kinds, {
    volumeIndex: Uint32Array.of(3, 17),
    volumeShape: [2, 3, 4],
  });
  assert.deepEqual(all.shape, [6, 24]);
  for (let t = 0; t < 6; t++) {
    assert.equal(some.data[2 * t], all.data[24 * t + 3]);
    assert.equal(some.data[2 * t + 1], all.data[24 * t + 17]);
  }
  assert.ok(new Set(all.data).size > 24);
  const gzip = { volumeIndex: Uint32Array.of(0, 6), volumeShape: [7], dataset: "gzip" };
  assert.deepEqual((await readSession(kinds, gzip)).shape, [50, 2]);
  const half = { volumeIndex: Uint32Array.of(1, 2), volumeShape: [4], dataset: "f16" };
  // The first row is 2^-24, 0.25, 0.5, 0.75, the second begins with 1.
  assert.deepEqual([...(await readSession(kinds, half)).data].slice(0, 2), [0.25, 0.5]);
});

Deno.test("readSession() keeps to the scaling and byte order that a NIfTI header states", async () => {
  using folder = new TestFolder();
  const values = Int16Array.of(300, -600, 900, 0, 1, 32767);
  const plain = new Uint8Array(gunzipSync(await writeNifti(hostTensor(values, [2, 1, 1, 3]))));
  const read = async (slope: number, intercept: number) => {
    const view = new DataView(plain.buffer);
    view.setFloat32(112, slope, true);
    view.setFloat32(116, intercept, true);
    const voxels = { volumeIndex: Uint32Array.of(0, 2), volumeShape: [1, 1, 3] };
    return [...(await readSession(folder.write("a.nii", plain), voxels)).data];
  };
  const stored = [1, 3, 0, 32767 / 300];
  for (const slope of [0, 1, NaN]) assert.deepEqual(await read(slope, 0), stored.map(Math.fround));
  assert.deepEqual(await read(0.25, 2), [77, 227, 2, 32767 / 4 + 2]);
  const big = new Uint8Array(352 + 4);
  const view = new DataView(big.buffer);
  view.setInt32(0, 348);
  [4, 2, 1, 1, 1].forEach((n, i) => view.setInt16(40 + 2 * i, n));
  view.setInt16(70, 4);
  view.setFloat32(108, 352);
  view.setInt16(352, 600);
  view.setInt16(354, -300);
  const voxels = { volumeIndex: Uint32Array.of(0, 1), volumeShape: [1, 1, 2] };
  const { data } = await readSession(folder.write("b.nii.gz", gzipSync(big)), voxels);
  assert.deepEqual([...data], [2, -1]);
});

Deno.test("readSession() reads betas that lie beyond 4 GiB of a file", async () => {
  using folder = new TestFolder();
  const far = 2 ** 32;
  // Sparse, so that the disk holds next to nothing: HDF5 after a user block of 4 GiB, NIfTI whose voxels begin there.
  const place = (path: string, ...parts: [number, Uint8Array][]): string => {
    using file = Deno.openSync(path, { create: true, write: true });
    for (const [at, bytes] of parts) {
      file.seekSync(at, Deno.SeekMode.Start);
      let done = 0;
      while (done < bytes.length) done += file.writeSync(bytes.subarray(done));
    }
    return path;
  };
  const voxels = { volumeIndex: Uint32Array.of(3, 17), volumeShape: [2, 3, 4] };
  const near = await readSession(kinds, voxels);
  const hdf5 = place(folder.at("far.hdf5"), [far, Deno.readFileSync(kinds)]);
  assert.deepEqual(await readSession(hdf5, voxels), near);

  const values = Int16Array.from({ length: 48 }, (_, i) => 7 * i - 100);
  const packed = await writeNifti(hostTensor(values, [2, 2, 3, 4]));
  const plain = new Uint8Array(gunzipSync(packed));
  const head = plain.slice(0, 352);
  new DataView(head.buffer).setFloat32(108, far, true);
  const nifti = place(folder.at("far.nii"), [0, head], [far, plain.subarray(352)]);
  const { data } = await readSession(nifti, voxels);
  assert.deepEqual(data, Float32Array.of(...[3, 17, 27, 41].map((i) => values[i] / 300)));
});

Deno.test("readSession() refuses other volumes, voxels outside and damaged files", async () => {
  using folder = new TestFolder();
  const root = await writeNsd(folder);
  const path = `${root}/${nsdPaths.betas(1)}/betas_session01.hdf5`;
  const read = (list: number[], volumeShape = VOLUME) =>
    readSession(path, { volumeIndex: Uint32Array.from(list), volumeShape });
  await rejects(read([0], [5, 2, 3]), /must be \[trials,5,2,3\], got \[4,3,2,5\]/);
  await rejects(read([0, 30]), /must ascend and lie within, voxel 1 is 30/);
  await rejects(read([4, 4]), /must ascend and lie within/);
  const bytes = Deno.readFileSync(path);
  const cut = folder.write("cut.hdf5", bytes.slice(0, bytes.length - 200));
  const voxels = { volumeIndex: Uint32Array.of(0), volumeShape: VOLUME };
  await rejects(readSession(cut, voxels), /cut off|Cannot read HDF5/);
});

Deno.test("readSession() reads the same from boxes around few voxels as from all of the file", async () => {
  using folder = new TestFolder();
  const shape = [7, 3, 12, 15];
  const values = Int16Array.from({ length: 7 * 540 }, (_, i) => 3 * i - 600);
  const all = Uint32Array.from({ length: 540 }, (_, i) => i);
  const lists = [[0], [539], [14, 15], [47, 48, 53, 61, 62, 180], [1, 13, 538], [359, 360, 539]];
  for (
    const [i, chunks] of [[7, 1, 1, 1], [2, 1, 1, 2], [3, 1, 2, 2], [1, 3, 1, 1], [7, 2, 2, 4]]
      .entries()
  ) {
    const path = folder.at(`${i}.hdf5`);
    await writeHdf5(path, "betas", { shape, chunks }, values);
    using file = await Hdf5File.open(path);
    const info = file.info("betas");
    assert.equal(touchedBoxes(info, all), undefined);
    for (const list of lists) {
      const volumeIndex = Uint32Array.from(list);
      const { boxes } = touchedBoxes(info, volumeIndex)!;
      const covered = boxes.filter((box) => box.offset[0] === 0).flatMap((box) => box.voxels);
      assert.deepEqual(covered.sort(), [...list.keys()]);
      const { data } = await readSession(path, { volumeIndex, volumeShape: [3, 12, 15] });
      const expected = Array.from(
        { length: 7 * list.length },
        (_, k) => values[540 * Math.floor(k / list.length) + list[k % list.length]] / 300,
      );
      assert.deepEqual(data, Float32Array.from(expected), `${chunks} ${list}`);
    }
    assertInputError(
      () => [...file.readBoxes("betas", [{ offset: [0, 0, 0, 14], count: [1, 1, 1, 2] }])],
      /Cannot read \[1,1,1,2\] from \[0,0,0,14\] on .* its shape is \[7,3,12,15\]/,
    );
  }
});

/** What NSD's users compute, straight from the stored integers in float64: z-scores per session, then means over trials. */
function expected(cells: readonly number[], sessions = [1, 2, 3]): Map<number, number[]> {
  const sums = new Map<number, { n: number; values: number[] }>();
  for (const session of sessions) {
    const start = SESSIONS.slice(0, session - 1).reduce((a, b) => a + b, 0);
    const trials = Array.from({ length: SESSIONS[session - 1] }, (_, i) => start + i);
    const z = cells.map((cell) => {
      const values = trials.map((t) => stored(t, cell) / 300);
      const mean = values.reduce((a, b) => a + b) / values.length;
      const sd = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length);
      return values.map((x) => (x - mean) / (sd + 1e-6));
    });
    trials.forEach((t, i) => {
      const own = sums.get(TRIALS[t]) ?? { n: 0, values: cells.map(() => 0) };
      own.n++;
      own.values = own.values.map((sum, v) => sum + z[v][i]);
      sums.set(TRIALS[t], own);
    });
  }
  return new Map([...sums].map(([id, { n, values }]) => [id, values.map((sum) => sum / n)]));
}

Deno.test("loadNsd() z-scores each session and averages the repeats there are, from both formats", async () => {
  using folder = new TestFolder();
  const root = await writeNsd(folder);
  const nsd = await loadNsd(root, 1);
  assert.deepEqual([...nsd.nsdIds], [2, 4, 6, 7, 9]);
  assert.deepEqual([...nsd.nRepeats], [3, 3, 3, 2, 1]);
  assert.deepEqual([...nsd.shared], [1, 1, 1, 0, 0]);
  assert.deepEqual([...nsd.volumeIndex], INSIDE);
  const truth = expected(INSIDE);
  nsd.nsdIds.forEach((id, i) => {
    // Sums of at most three float32 z-scores below 4: rounding of 3 × 4 × 2^-24, and that of the z-scores.
    truth.get(id)!.forEach((value, v) => {
      assert.ok(Math.abs(nsd.responses[i * INSIDE.length + v] - value) < 2e-6);
    });
  });
  assert.deepEqual(nsd.ncsnr, Float32Array.from(INSIDE, (cell) => cell === 4 ? 0 : NCSNR[cell]));

  const { train, test } = splitShared(nsd);
  assert.deepEqual([[...train.nsdIds], [...test.nsdIds]], [[7, 9], [2, 4, 6]]);
  assert.deepEqual([[...train.nRepeats], [...test.nRepeats]], [[2, 1], [3, 3, 3]]);
  assert.deepEqual(test.responses, nsd.responses.slice(0, 3 * INSIDE.length));
  nsd.ncsnr.forEach((s, v) => {
    assert.ok(Math.abs(test.noiseCeiling[v] - s * s / (s * s + 1 / 3)) < 1e-7);
    assert.ok(Math.abs(train.noiseCeiling[v] - s * s / (s * s + (1 / 2 + 1) / 2)) < 1e-7);
  });
  assert.throws(() => splitShared(nsd, { minTestRepeats: 4 }), /got 2 to train and 0 to test/);
});

Deno.test("loadNsd() reads some sessions, and refuses gaps that it cannot place", async () => {
  using folder = new TestFolder();
  const root = await writeNsd(folder);
  const some = await loadNsd(root, 1, { sessions: 2, regions: ["OFA"] });
  const cells = [0, 1, 2, 4, 5, 6, 8, 9];
  assert.deepEqual([...some.volumeIndex], cells);
  assert.deepEqual([...some.nRepeats], [3, 2, 1, 2, 1]);
  const truth = expected(cells, [1, 2]);
  assert.ok(Math.abs(some.responses[0] - truth.get(2)![0]) < 2e-6);
  await rejects(loadNsd(root, 1, { sessions: [1, 3] }), /has 3 trials instead of 750/);
  await rejects(loadNsd(root, 1, { sessions: 4 }), /Cannot read session 4: .* has 1, 2, 3/);
  const stop = AbortSignal.abort(new Error("enough"));
  await assert.rejects(loadNsd(root, 1, { signal: stop }), /enough/);
  // With the trials of each session stated, a gap is no obstacle.
  const subjectim = [[3, 5, 7, 8, 10]];
  const masterordering = TRIALS.map((id) => subjectim[0].indexOf(id + 1) + 1);
  const design = { masterordering, subjectim, sharedix: [3, 5, 7], trialspersession: SESSIONS };
  Deno.removeSync(`${root}/${nsdPaths.design}.mat`);
  writeBytes(`${root}/${nsdPaths.design}.json`, JSON.stringify(design));
  const apart = await loadNsd(root, 1, { sessions: [3, 1] });
  assert.deepEqual([...apart.nsdIds], [2, 4, 6, 7]);
  assert.deepEqual([...apart.nRepeats], [2, 2, 2, 1]);
});

Deno.test("selectNsdVoxels() chooses by mask, region, label, t value and ncsnr", async () => {
  using folder = new TestFolder();
  const root = await writeNsd(folder);
  const cells = async (options: Parameters<typeof selectNsdVoxels>[2]) => [
    ...(await selectNsdVoxels(root, 1, options)).volumeIndex,
  ];
  assert.equal((await cells({ mask: "brainmask" })).length, CELLS);
  assert.deepEqual(await cells({ regions: ["FFA"] }), [10, 12, 13, 14]);
  assert.deepEqual(await cells({ regions: ["FFA-1", "OFA"], minNcsnr: 0.85 }), [9, 10, 12, 13, 14]);
  assert.deepEqual(await cells({ regions: ["FFA"], minT: 6 }), [13, 14]);
  assert.deepEqual(await cells({ atlases: ["lh.streams"], regions: ["lh.ventral"] }), [
    10,
    12,
    13,
    14,
  ]);
  const path = `${root}/${nsdPaths.roi(1)}/floc-faces.nii.gz`;
  assert.equal((await cells({ mask: path })).length, 15);
  const { rois } = await selectNsdVoxels(root, 1, { minNcsnr: 0.85 });
  assert.deepEqual([...rois.get("OFA")!], [0]);
  assert.deepEqual([...rois.get("FFA")!], [1, 2, 3, 4]);
  await rejects(
    cells({ regions: ["PPA"] }),
    /no voxel of the mask has that label; there are OFA, FFA/,
  );
  await rejects(cells({ minNcsnr: 9 }), /no voxel is left of 23 in the mask/);
  await rejects(cells({ atlases: ["floc-places"] }), /floc-places.nii.gz.*there is no such file/);
  assert.deepEqual(
    parseLabelTable("0 a\n1 b c-1 1 2 3 4\n", "x"),
    new Map([[0, "a"], [1, "b c-1"]]),
  );
  assertInputError(() => parseLabelTable("1 a\n1 b\n", "x"), /line 2 must be a new number/);
});

Deno.test("readNsdDesign() finds the same trials in .mat, .json and the table of stimuli", async () => {
  using folder = new TestFolder();
  const root = await writeNsd(folder);
  const mat = await readNsdDesign(root, 1);
  assert.deepEqual([...mat.trialNsdId], TRIALS);
  assert.deepEqual([...mat.shared], [2, 4, 6]);
  await rejects(readNsdDesign(root, 3), /it has 2 subjects, subject 3 was asked for/);
  Deno.removeSync(`${root}/${nsdPaths.design}.mat`);
  assert.deepEqual(await readNsdDesign(root, 1), mat);
  await rejects(readNsdDesign(root, 2), /it has 1 subjects, subject 2 was asked for/);
  // scipy's file states a pattern of two sessions of four trials each.
  const golden = new URL("../golden/io/design.mat", import.meta.url).pathname;
  writeBytes(`${root}/${nsdPaths.design}.mat`, Deno.readFileSync(golden));
  const other = await readNsdDesign(root, 2);
  assert.deepEqual([...other.trialNsdId], [20, 10, 11, 20, 22, 10, 21, 11]);
  assert.deepEqual(other.trialsPerSession, [4, 4]);
  assert.deepEqual([...other.shared], [10, 11]);
});

Deno.test("readStimulusInfo() reads pandas' table and refuses bad cells", async () => {
  using folder = new TestFolder();
  const info = await readStimulusInfo(folder.write("a.csv", stimulusTable()));
  assert.deepEqual([...info.cocoId], Array.from({ length: 10 }, (_, i) => 500 + i));
  assert.deepEqual([...info.cropBox.subarray(24, 32)], [0, 0, 0.125, 0.125, 0.25, 0, 0, 0.5]);
  assert.deepEqual([...info.shared1000], [0, 0, 1, 0, 1, 0, 1, 0, 0, 0]);
  assert.deepEqual([...info.trials.get(1)!.subarray(6, 9)], [1, 4, 9]);
  const bad = async (from: string, to: string, message: RegExp) => {
    const path = folder.write("b.csv", stimulusTable().replace(from, to));
    await rejects(readStimulusInfo(path), message);
  };
  await bad("507,", "x,", /record 8 .* has the cocoId "x"/);
  await bad("(0.25, 0, 0, 0.5)", "(0.5, 0.5, 0, 0)", /record 8 .* has the cropBox/);
  await bad(",0.1,3,", ",0.1,3,0,", /record 4 .* must have 13 cells, has 14/);
  await bad("shared1000", "shared", /it has no column "shared1000"/);
  await bad('"(0.25, 0, 0, 0.5)"', '"(0.25, 0, 0, 0.5)', /a quoted cell does not end|text follows/);
});

Deno.test("NsdStimuli gives images by id, whatever the chunks", async () => {
  using folder = new TestFolder();
  const data = Uint8Array.from({ length: 7 * 5 * 3 * 3 }, (_, i) => (i * 31) % 251);
  for (const chunks of [[1, 5, 3, 3], [3, 2, 3, 1], undefined]) {
    const path = folder.at(`s${chunks}.hdf5`);
    await writeHdf5(path, "imgBrick", { shape: [7, 5, 3, 3], chunks }, data);
    using stimuli = await NsdStimuli.open(path);
    assert.deepEqual([stimuli.n, stimuli.height, stimuli.width], [7, 5, 3]);
    const ids = [6, 0, 1, 2, 2, 5];
    const images = [...stimuli.read(ids)];
    assert.deepEqual(images.map(({ nsdId }) => nsdId), ids);
    for (const { nsdId, data: pixels } of images) {
      assert.deepEqual(pixels, data.slice(nsdId * 45, nsdId * 45 + 45));
    }
    assertInputError(() => [...stimuli.read([0, 7])], /NSD id 7 .* ids go from 0 to 6/);
  }
  await writeHdf5(folder.at("bad.hdf5"), "imgBrick", { shape: [7, 3, 5, 3] }, data);
  using turned = await NsdStimuli.open(folder.at("bad.hdf5"));
  assert.equal(turned.height, 3);
  await writeHdf5(folder.at("worse.hdf5"), "imgBrick", { shape: [7, 3, 3, 5] }, data);
  await rejects(NsdStimuli.open(folder.at("worse.hdf5")), /must be u8 \[n, height, width, 3\]/);
});
