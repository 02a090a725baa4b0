/**
 * A phantom on disk as a study: from plain files, in NSD's layout, and from memory, which must be the same.
 */
import assert from "node:assert/strict";
import { openNsdStudy } from "../../pipelines/brain_sail/nsd_study.ts";
import { studyOfPhantom } from "./study_of_phantom.ts";
import { openPlainStudy } from "../../pipelines/brain_sail/plain_study.ts";
import { sharedRows, type Study } from "../../pipelines/brain_sail/study.ts";
import { Hdf5Writer } from "../../pipelines/io/hdf5_writer.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { hostTensor } from "../../pipelines/io/state_dict.ts";
import type { Phantom } from "../../pipelines/phantom/phantom.ts";
import { writePhantom } from "../../pipelines/phantom/write_phantom.ts";
import { TestFolder } from "./io_fixtures.ts";

const [nTrain, nTest, size] = [24, 8, 32];
const folder = new TestFolder();
const root = folder.at("phantom");
const phantom: Phantom = await writePhantom(root, {
  ...{ nTrain, nTest, size, nSubjects: 2, nVoxels: 160, nSessions: 2 },
});
const options = {
  trainImages: `${root}/images/train`,
  testImages: `${root}/images/test`,
  subjects: [1, 2].map((s) => `${root}/responses_subj0${s}.h5`),
  truth: `${root}/truth_test.h5`,
};

/** Everything of a study that does not say where it came from. */
function contents({ images, subjects, mappedRows, truth }: Study, fromImage: number) {
  return {
    pixels: Array.from(mappedRows, (row) => images.read(row).data),
    subjects: subjects.map(({ name, trainRows, testRows, train, test, rois, noiseCeiling }) => ({
      ...{ name, trainRows, testRows, train, test, noiseCeiling },
      rois: rois.map(({ name, voxels }) => [name, [...Array.from(voxels)]]).sort(),
    })),
    masks: Array.from(
      mappedRows.subarray(fromImage),
      (row) => ["face", "place", "food"].map((category) => truth.mask(row, category)?.data),
    ),
    depth: Array.from(mappedRows, (row) => truth.depth(row)?.data),
  };
}

Deno.test("openPlainStudy() reads back a phantom's files", async () => {
  using plain = await openPlainStudy(options);
  assert.deepEqual(contents(plain, 0), contents(studyOfPhantom(phantom), 0));
  assert.deepEqual([...plain.mappedRows], Array.from({ length: nTest }, (_, i) => nTrain + i));
  assert.equal(plain.truth.mask(nTrain, "nothing"), undefined);
  assert.equal(plain.truth.mask(0, "face"), undefined, "a training image has no truth");
  using few = await openPlainStudy({ ...options, nMapped: 3 });
  assert.deepEqual([...few.mappedRows], [0, 2, 5].map((i) => nTrain + i));
});

Deno.test("openNsdStudy() reads the same study from NSD's layout, outlines from COCO's", async () => {
  const data = new Float32Array((nTrain + nTest) * 4).map((_, i) => i);
  folder.write("depth.npy", writeNpy(hostTensor(data, [nTrain + nTest, 2, 2])));
  const depth = folder.at("depth.npy");
  using nsd = await openNsdStudy({ nsd: `${root}/nsd`, subjects: [1, 2], depth, minT: 2 });
  using plain = await openPlainStudy(options);
  const [a, b] = [contents(nsd, 0), contents(plain, 0)];
  assert.deepEqual(a.pixels, b.pixels);
  a.subjects.forEach((subject, s) => {
    const other = b.subjects[s];
    assert.deepEqual(subject.trainRows, other.trainRows);
    assert.deepEqual(subject.testRows, other.testRows);
    assert.deepEqual(subject.rois, other.rois);
    // Sums of three float32 values in another order differ by a few roundings.
    for (const part of ["train", "test"] as const) {
      subject[part].data.forEach((x, i) => assert.ok(Math.abs(x - other[part].data[i]) < 2e-6));
    }
    assert.ok(subject.noiseCeiling!.every((ceiling) => ceiling >= 0 && ceiling < 1));
  });
  // NSD's masks are drawn at 425 pixels; brought back to the phantom's 32 they are its own but along edges.
  const [row] = nsd.mappedRows;
  const fine = nsd.truth.mask(row, "place")!, coarse = plain.truth.mask(row, "place")!;
  let different = 0;
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const at = Math.floor((y + 0.5) * 425 / size) * 425 + Math.floor((x + 0.5) * 425 / size);
      different += Math.abs(fine.data[at] - coarse.data[y * size + x]);
    }
  }
  assert.equal(different, 0);
  assert.deepEqual([...nsd.truth.depth(row)!.data], [0, 1, 2, 3].map((i) => nTrain * 4 + i));
  assert.match(nsd.images.names[0], /^nsd00000$/);
});

Deno.test("openPlainStudy() says in a sentence what does not agree", async () => {
  const make = async (
    name: string,
    parts: Record<string, readonly [number[], Float32Array<ArrayBuffer>]>,
  ): Promise<string> => {
    using file = await Hdf5Writer.create(folder.at(name));
    for (const [key, [shape, data]] of Object.entries(parts)) {
      file.createDataset(key, { shape, dtype: "f32" });
      file.writeRows(key, 0, data);
    }
    file.commit();
    return folder.at(name);
  };
  const floats = (...shape: number[]) =>
    [shape, new Float32Array(shape.reduce((a, b) => a * b)).map((_, i) => i % 7)] as const;
  const nan = floats(nTrain, 3);
  const fit = { train: floats(nTrain, 3), test: floats(nTest, 3) };
  const bad = [...nan[1]];
  bad[4] = NaN;
  const cases: [string, RegExp][] = [
    [await make("few.h5", { ...fit, train: floats(5, 3) }), /few\.h5:train.*\[24 images, voxels\]/],
    [await make("wide.h5", { ...fit, test: floats(nTest, 4) }), /train has 3 voxels, test 4/],
    [
      await make("nan.h5", { ...fit, train: [nan[0], Float32Array.from(bad)] }),
      /row 1, column 1.*NaN/,
    ],
    [await make("nc.h5", { ...fit, noise_ceiling: floats(3) }), /shares of variance.*one is 2/],
    [await make("flat.h5", { ...fit, flat: floats(3) }), /must have 6 values for 3 voxels, has 3/],
    [folder.at("none.h5"), /no such file/],
  ];
  for (const [path, message] of cases) {
    await assert.rejects(openPlainStudy({ ...options, subjects: [path] }), message);
  }
  const twice = [options.subjects[0], options.subjects[0]];
  await assert.rejects(openPlainStudy({ ...options, subjects: twice }), /"subj01" is there twice/);
  await assert.rejects(openPlainStudy({ ...options, subjects: [] }), /Cannot study 0 subjects/);
  const truth = await make("truth.h5", { depth: floats(3, 4, 4) });
  await assert.rejects(openPlainStudy({ ...options, truth }), /depth.*the first of 8 test images/);
});

Deno.test("sharedRows() spreads the images that all subjects saw, and refuses when there are none", () => {
  const rows = (...list: number[]) => ({ testRows: Uint32Array.from(list) });
  assert.deepEqual([...sharedRows([rows(9, 3, 5), rows(5, 9, 1)])], [5, 9]);
  assert.deepEqual([...sharedRows([rows(0, 1, 2, 3, 4, 5)], 2)], [0, 3]);
  assert.throws(() => sharedRows([rows(1), rows(2)]), /the 2 subjects share no test image/);
});

Deno.test("remove the files", () => folder[Symbol.dispose]());
