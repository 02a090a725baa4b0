import assert from "node:assert/strict";
import { InputError } from "../../pipelines/errors.ts";
import { openArray, parseArrayRef } from "../../pipelines/io/array_ref.ts";
import { requireAxes, requireFinite, requireSameRows } from "../../pipelines/io/checks.ts";
import { Hdf5Writer } from "../../pipelines/io/hdf5_writer.ts";
import { openImages } from "../../pipelines/io/images.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { savePng } from "../../pipelines/io/png.ts";
import { writeSafetensors } from "../../pipelines/io/safetensors.ts";
import { hostArray, hostTensor } from "../../pipelines/io/state_dict.ts";
import { assertInputError, TestFolder } from "./io_fixtures.ts";

async function assertRefused(opened: Promise<Disposable>, message: RegExp): Promise<void> {
  const error: unknown = await opened.then((source) => source[Symbol.dispose](), (cause) => cause);
  assertInputError(() => {
    throw error;
  }, message);
}

Deno.test("parseArrayRef() splits after the ending of a file name", () => {
  const cases: [string, string, string | undefined][] = [
    ["f.h5:/blocks/3", "f.h5", "/blocks/3"],
    ["dir.x/f.hdf5:imgBrick", "dir.x/f.hdf5", "imgBrick"],
    ["f.h5", "f.h5", undefined],
    ["w.safetensors:a.b:c", "w.safetensors", "a.b:c"],
    ["run:1/f.h5:x", "run:1/f.h5", "x"],
    ["a.h5:b.h5:c", "a.h5", "b.h5:c"],
    ["F.H5:x", "F.H5", "x"],
    ["m.safetensors.index.json:x", "m.safetensors.index.json", "x"],
    ["images", "images", undefined],
    ["2026-01-01T10:30/images", "2026-01-01T10:30/images", undefined],
    ["f.h5:", "f.h5:", undefined],
    ["", "", undefined],
  ];
  for (const [text, path, name] of cases) assert.deepEqual(parseArrayRef(text), { path, name });
});

const values = Float32Array.from({ length: 12 }, (_, i) => i);

/** The same array [4, 3] in every format, with its references. */
async function everyFormat(folder: TestFolder): Promise<string[]> {
  const tensor = hostTensor(values, [4, 3]);
  const h5 = folder.at("x.h5");
  using writer = await Hdf5Writer.create(h5);
  writer.createDataset("/g/x", { shape: [4, 3], dtype: "f32" });
  writer.writeRows("/g/x", 0, values);
  writer.commit();
  const st = folder.write("x.safetensors", writeSafetensors(new Map([["g/x", tensor]])));
  const npy = folder.write("x.npy", writeNpy(tensor));
  // Data sets are known whose .npy files are HDF5.
  const odd = folder.write("odd.npy", Deno.readFileSync(h5));
  return [h5, `${h5}:/g/x`, `${h5}:g/x`, st, `${st}:g/x`, npy, odd, `${odd}:/g/x`];
}

Deno.test("openArray() reads the same rows from every format", async () => {
  using folder = new TestFolder();
  for (const ref of await everyFormat(folder)) {
    using rows = await openArray(ref);
    assert.deepEqual([rows.source, rows.dtype, rows.shape], [ref, "f32", [4, 3]]);
    assert.deepEqual(rows.readRows(0, 4), values);
    assert.deepEqual(rows.readRows(1, 3), values.slice(3, 9));
    assert.deepEqual(rows.readTensor(3, 4).shape, [1, 3]);
    assert.equal(rows.readRows(2, 2).length, 0);
    assertInputError(() => rows.readRows(3, 5), /rows 3 to 5 of .*\[4,3\]/);
    assertInputError(() => rows.readRows(-1, 2), /rows -1 to 2/);
  }
});

Deno.test("openArray() converts to float32 and keeps the file's own type", async () => {
  using folder = new TestFolder();
  const big = hostTensor(new BigInt64Array([2n ** 53n + 1n, 7n]), [2]);
  using rows = await openArray(folder.write("i.npy", writeNpy(big)));
  assert.deepEqual([...rows.readRows(1, 2)], [7]);
  assert.deepEqual([...hostArray(rows.readTensor(0, 1))], [2n ** 53n + 1n]);
});

Deno.test("openArray() refuses in one sentence when one thing is wrong", async (t) => {
  using folder = new TestFolder();
  const two = new Map([["a", hostTensor(values, [12])], ["b", hostTensor(values, [12])]]);
  const st = folder.write("two.safetensors", writeSafetensors(two));
  const h5 = folder.at("two.h5");
  {
    using writer = await Hdf5Writer.create(h5);
    for (const name of ["p", "q"]) writer.createDataset(name, { shape: [0], dtype: "f32" });
    writer.commit();
  }
  const npy = folder.write("s.npy", writeNpy(hostTensor(new Float32Array(1), [])));
  const cases: [name: string, ref: string, message: RegExp][] = [
    ["a missing file", folder.at("no.h5:x"), /no\.h5": there is no such file/],
    ["two tensors and no name", st, /two\.safetensors": give one by PATH:NAME; it has a, b/],
    ["two datasets and no name", h5, /two\.h5": give one by PATH:NAME; it has \/p, \/q/],
    ["a tensor that is not there", `${st}:c`, /there is no array "c"; it has a, b/],
    ["a dataset that is not there", `${h5}:r`, /dataset "\/r" of .*; it has \/p, \/q/],
    ["a name in a .npy file", `${npy}:x`, /holds one array without a name/],
    ["a single number", npy, /an array with rows is needed, it is one number/],
    ["text", folder.write("t.csv", "1,2"), /must be an HDF5 \(\.h5\), \.safetensors or \.npy file/],
    ["text under a wrong name", folder.write("t.h5", "hello"), /t\.h5": it is not an HDF5 file/],
    ["an empty folder", folder.path, /Cannot choose a checkpoint in the folder/],
  ];
  Deno.mkdirSync(folder.at("empty"));
  cases[9][1] = folder.at("empty");
  for (const [name, ref, message] of cases) {
    await t.step(name, () => assertRefused(openArray(ref), message));
  }
});

Deno.test("requireFinite() names the first bad row and column", () => {
  const data = new Float32Array(12);
  requireFinite(data, { source: "x.h5" });
  data[7] = NaN;
  data[10] = Infinity;
  const message =
    /"x\.h5": every value must be finite, row 102, column 1 \(counted from 0\) is NaN/;
  assertInputError(
    () => requireFinite(data, { source: "x.h5", columns: 3, firstRow: 100 }),
    message,
  );
  data[7] = -Infinity;
  assertInputError(() => requireFinite(data, { source: "x" }), /row 0, column 7 .* is -Infinity/);
});

Deno.test("requireSameRows() and requireAxes() name both arrays and what they have", () => {
  const x = { source: "x.h5:/cls", shape: [100, 5] };
  requireSameRows(x, { source: "y.npy", shape: [100] });
  assertInputError(
    () => requireSameRows(x, { source: "y.npy", shape: [90, 7] }),
    /Cannot pair "x\.h5:\/cls" with "y\.npy".* have 100 and 90/,
  );
  assertInputError(() => requireSameRows({ source: "x", shape: [0, 5] }), /it has no rows/);
  requireAxes(x, ["samples", "features"]);
  assertInputError(
    () => requireAxes(x, ["samples"]),
    /must have the axes \[samples\], its shape is \[100,5\]/,
  );
});

/** A PNG of one colour, its red the given number. */
function savedPng(folder: TestFolder, name: string, red: number): string {
  savePng(folder.at(name), { width: 2, height: 1, data: new Uint8Array([red, 0, 0, red, 0, 0]) });
  return folder.at(name);
}

Deno.test("openImages() reads a folder in natural order, a list, a file and an array", async (t) => {
  using folder = new TestFolder();
  Deno.mkdirSync(folder.at("set"));
  for (const i of [10, 2, 1]) savedPng(folder, `set/img${i}.png`, i);
  folder.write("set/notes.md", "x");
  folder.write("set/._img3.png", "not an image");
  await t.step("folder", async () => {
    using images = await openImages(`${folder.path}/set/`);
    assert.deepEqual([images.n, images.names], [3, ["img1", "img2", "img10"]]);
    assert.deepEqual([0, 1, 2].map((i) => images.read(i).data[0]), [1, 2, 10]);
    assert.deepEqual([images.read(0).width, images.read(0).height], [2, 1]);
    assert.throws(() => images.read(3), RangeError);
  });
  await t.step("list", async () => {
    const absolute = savedPng(folder, "img2.PNG", 7);
    const list = folder.write("list.txt", `# two\r\nset/img2.png\n\n  ${absolute}\n`);
    using images = await openImages(list);
    assert.deepEqual(images.names, ["0_img2", "1_img2"], "equal names are numbered");
    assert.deepEqual([images.read(0).data[0], images.read(1).data[0]], [2, 7]);
  });
  await t.step("folder of folders", async () => {
    for (const name of ["run10", "run9", "empty"]) {
      Deno.mkdirSync(folder.at(`movies/${name}`), { recursive: true });
    }
    for (const [i, name] of ["run10/a", "run9/f10", "run9/f9"].entries()) {
      savedPng(folder, `movies/${name}.png`, i);
    }
    using images = await openImages(folder.at("movies"));
    assert.deepEqual(images.folders, ["run9", "run9", "run10"]);
    assert.deepEqual([0, 1, 2].map((i) => images.read(i).data[0]), [2, 1, 0]);
    assert.deepEqual(images.names, ["f9", "f10", "a"]);
  });
  await t.step("file", async () => {
    using images = await openImages(folder.at("set/img10.png"));
    assert.deepEqual([images.n, images.names, images.read(0).data[0]], [1, ["img10"], 10]);
  });
  await t.step("array", async () => {
    const bricks = Uint8Array.from({ length: 3 * 2 * 4 * 3 }, (_, i) => i);
    const tensor = hostTensor(bricks, [3, 2, 4, 3]);
    using writer = await Hdf5Writer.create(folder.at("nsd.hdf5"));
    writer.createDataset("imgBrick", { shape: [3, 2, 4, 3], dtype: "u8" });
    writer.writeRows("imgBrick", 0, bricks);
    writer.commit();
    for (const ref of [folder.at("nsd.hdf5:imgBrick"), folder.write("b.npy", writeNpy(tensor))]) {
      using images = await openImages(ref);
      assert.deepEqual([images.n, images.names], [3, ["0", "1", "2"]]);
      assert.deepEqual(images.read(1), { width: 4, height: 2, data: bricks.slice(24, 48) });
    }
  });
});

Deno.test("openImages() refuses in one sentence when one thing is wrong", async (t) => {
  using folder = new TestFolder();
  Deno.mkdirSync(folder.at("empty"));
  Deno.mkdirSync(folder.at("jpegs"));
  folder.write("jpegs/a.jpg", "x");
  const float = folder.write("f.npy", writeNpy(hostTensor(new Float32Array(12), [1, 2, 2, 3])));
  const planar = folder.write("p.npy", writeNpy(hostTensor(new Uint8Array(12), [1, 3, 2, 2])));
  const none = folder.write("n.npy", writeNpy(hostTensor(new Uint8Array(0), [0, 2, 2, 3])));
  const cases: [name: string, ref: string, message: RegExp][] = [
    ["a missing folder", folder.at("nope"), /nope": there is no such file or folder/],
    ["an empty folder", folder.at("empty"), /has no \.png files$/],
    ["a folder of JPEGs", folder.at("jpegs"), /has no \.png files, 1 in other formats/],
    ["a JPEG", folder.at("jpegs/a.jpg"), /has to be converted to PNG/],
    ["an empty list", folder.write("e.txt", "# none\n"), /e\.txt": it names no files/],
    [
      "a list with a missing file",
      folder.write("m.txt", "\nx.png\n"),
      /x\.png": .* \(line 2 of ".*m\.txt"\)/,
    ],
    ["floats", float, /must be u8 \[n, height, width, 3\], it is f32 \[1,2,2,3\]/],
    ["channels first", planar, /it is u8 \[1,3,2,2\]/],
    ["no images", none, /it is u8 \[0,2,2,3\]/],
  ];
  for (const [name, ref, message] of cases) {
    await t.step(name, () => assertRefused(openImages(ref), message));
  }
  await t.step("a damaged image, when it is read", async () => {
    using images = await openImages(folder.write("bad.png", "not an image"));
    assert.throws(
      () => images.read(0),
      (error) => error instanceof InputError && /bad\.png/.test(error.message),
    );
  });
});
