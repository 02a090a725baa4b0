import assert from "node:assert/strict";
import { InputError } from "../../pipelines/errors.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { boxes } from "../../pipelines/io/hdf5_layout.ts";
import { type Hdf5WriteDType, Hdf5Writer } from "../../pipelines/io/hdf5_writer.ts";
import {
  encodeFloat16,
  type HostArray,
  hostArray,
  toFloat32,
} from "../../pipelines/io/state_dict.ts";
import { assertInputError, TestFolder } from "./io_fixtures.ts";

// Written by h5py 3.7 with HDF5 1.10.8: kinds.h5 has a dataset of each kind, one.h5 has one dataset, a user block of
// 512 bytes and the newest file format.
const golden = new URL("../golden/io/", import.meta.url).pathname;
const kinds = `${golden}kinds.h5`;

Deno.test("Hdf5File reads what h5py wrote: halves, big-endian, booleans, filters, links", async () => {
  using file = await Hdf5File.open(kinds);
  const values = (name: string) => [...toFloat32(file.read(name))];
  assert.deepEqual(values("f16").slice(0, 5), [2 ** -24, 0.25, 0.5, 0.75, 1]);
  assert.deepEqual(file.info("f16").shape, [3, 4]);
  assert.deepEqual(values("/f16be"), [1.5, -2, 65504]);
  assert.deepEqual(values("f32be"), [1.5, -2, Math.fround(3e38), 4]);
  assert.deepEqual([...hostArray(file.read("f64"))], [Math.PI, 1e-300]);
  assert.deepEqual(values("i16be"), [-300, 32767]);
  assert.deepEqual([...hostArray(file.read("i64"))], [2n ** 53n + 1n, -(2n ** 63n)]);
  assert.deepEqual([...hostArray(file.read("u64"))], [2n ** 64n - 1n]);
  assert.deepEqual([file.info("bool").dtype, ...values("bool")], ["bool", 1, 0, 1]);
  assert.deepEqual(values("gzip"), Array.from({ length: 350 }, (_, i) => i));
  assert.deepEqual(values("fletcher"), Array.from({ length: 35 }, (_, i) => i));
  assert.deepEqual([file.info("scalar").shape, values("scalar")], [[], [2.5]]);
  assert.deepEqual(file.read("zero").shape, [0, 4]);
  for (const name of ["deep/er/x", "//deep//er/x/", "soft", "hard", "deep/loop/er/x"]) {
    assert.deepEqual(values(name), [0, 1, 2, 3, 4], name);
  }
  assert.deepEqual(file.readStrings("strings"), ["V1", "äöü", ""]);
  assert.deepEqual(file.readStrings("fixed"), ["PPA", "RSC"]);
  assert.deepEqual(file.attributes(), { int: 7, list: [1.5, 2], text: "grüß" });
  assert.deepEqual(file.attributes("i64"), { bytes: "abc" });
  assert.ok(file.datasets().includes("/deep/er/x"));
});

Deno.test("Hdf5File.readRows() gives the rows of a dataset chunked by voxel, as NSD's betas", async () => {
  using file = await Hdf5File.open(kinds);
  assert.deepEqual(file.info("betas").chunks, [6, 1, 1, 1]);
  for (const [start, end] of [[0, 6], [0, 0], [2, 5], [5, 6], [6, 6]]) {
    const rows = file.readRows("betas", start, end);
    assert.deepEqual(rows.shape, [end - start, 2, 3, 4]);
    const expected = Array.from({ length: (end - start) * 24 }, (_, i) => start * 24 + i - 70);
    assert.deepEqual([...hostArray(rows)], expected);
  }
  assertInputError(
    () => file.readRows("betas", 3, 7),
    /rows 3 to 7 of dataset "\/betas".*\[6,2,3,4\]/,
  );
  assertInputError(() => file.readRows("betas", -1, 2), /rows -1 to 2/);
  assertInputError(() => file.readRows("betas", 0.5, 2), /rows 0\.5 to 2/);
  assertInputError(() => file.readRows("scalar", 0, 1), /its shape is \[\]/);
});

Deno.test("Hdf5File opens a file with a user block and the newest format", async () => {
  using file = await Hdf5File.open(`${golden}one.h5`);
  assert.deepEqual(file.datasets(), ["/g/only"]);
  assert.deepEqual([...toFloat32(file.read("g/only"))], [0, 1, 2, 3, 4, 5]);
});

Deno.test("Hdf5File refuses what is no array of numbers, naming file, dataset and what was found", async (t) => {
  using file = await Hdf5File.open(kinds);
  const cases: [name: string, message: RegExp][] = [
    [
      "nope",
      /dataset "\/nope" of ".*kinds\.h5": there is no such dataset; it has \/betas, .* more$/,
    ],
    ["deep", /"\/deep".*no such dataset/],
    ["deep/er/x/y", /no such dataset/],
    ["", /dataset "\/".*no such dataset/],
    ["broken", /"\/broken".*no such dataset/],
    ["compound", /must hold numbers, it holds compound records/],
    ["strings", /must hold numbers, it holds strings/],
    ["enum", /must hold numbers, it holds an enumeration/],
    ["longdouble", /must hold numbers, it holds floats of 16 bytes/],
    ["lists", /must hold numbers, it holds lists of varying length/],
    ["nothing", /must hold numbers, it is empty/],
    ["huge", /has more than 2\^53 elements/],
    ["lzf", /filter lzf, which is not supported \(h5repack/],
    // A file from elsewhere must not open other files of this machine.
    ["elsewhere", /no such dataset/],
    ["storage", /unable to open external raw data file/],
    ["virtual", /its data lies in other files \(a virtual dataset\)/],
  ];
  for (const [name, message] of cases) {
    await t.step(name || "(no name)", () => assertInputError(() => file.read(name), message));
  }
  await t.step("strings of numbers", () => {
    assertInputError(() => file.readStrings("i64"), /must hold strings, it holds integers/);
    assertInputError(() => file.attributes("nope"), /attributes of "\/nope"/);
  });
});

Deno.test("Hdf5File.open() refuses what is no whole HDF5 file", async (t) => {
  using folder = new TestFolder();
  const whole = Deno.readFileSync(`${golden}one.h5`);
  const cases: [name: string, path: string, message: RegExp][] = [
    ["nothing there", folder.at("none.h5"), /none\.h5": there is no such file/],
    ["a folder", folder.path, /it is a folder/],
    ["an empty file", folder.write("empty.h5", ""), /it is not an HDF5 file/],
    ["text", folder.write("text.h5", "hello ".repeat(1000)), /text\.h5": it is not an HDF5 file/],
    [
      "cut in half",
      folder.write("half.h5", whole.slice(0, 1300)),
      /it is cut off after 1300 bytes/,
    ],
    [
      "one byte short",
      folder.write("short.h5", whole.slice(0, -1)),
      /it is cut off after 2583 bytes/,
    ],
    [
      "a damaged superblock",
      folder.write("super.h5", whole.map((byte, i) => i === 530 ? byte ^ 8 : byte)),
      /super\.h5/,
    ],
  ];
  for (const [name, path, message] of cases) {
    await t.step(name, async () => {
      const error: unknown = await Hdf5File.open(path).then((file) => file.close(), (e) => e);
      assert.ok(error instanceof InputError, String(error));
      assert.match(error.message, message);
    });
  }
});

Deno.test("Hdf5File cannot be read after it was closed, and closing twice is allowed", async () => {
  const file = await Hdf5File.open(kinds);
  file.close();
  file.close();
  assert.throws(() => file.read("f64"), /it was closed/);
});

Deno.test("boxes() covers every element once, in C order, within the limit", () => {
  for (const shape of [[7], [5, 3], [4, 1, 3], [3, 4, 5], [2, 3, 1, 4], [1, 1], [3, 0, 2]]) {
    for (const most of [1, 2, 3, 5, 12, 1000]) {
      for (const [start, end] of [[0, shape[0]], [1, shape[0]], [0, 0]]) {
        const seen: number[] = [];
        for (const { offset, count } of boxes(shape, start, end, most)) {
          const size = count.reduce((a, b) => a * b, 1);
          assert.ok(size <= most && size > 0);
          const at = offset.reduce((sum, o, axis) => sum * shape[axis] + o, 0);
          for (let i = 0; i < size; i++) seen.push(at + i);
        }
        const row = shape.slice(1).reduce((a, b) => a * b, 1);
        const expected = Array.from(
          { length: Math.max(0, end - start) * row },
          (_, i) => start * row + i,
        );
        assert.deepEqual(seen, expected, `[${shape}] ${start}..${end} by ${most}`);
      }
    }
  }
});

const arrays: Record<Hdf5WriteDType, HostArray> = {
  u8: new Uint8Array([0, 255]),
  i8: new Int8Array([-128, 127]),
  u16: new Uint16Array([0, 65535]),
  i16: new Int16Array([-32768, 32767]),
  u32: new Uint32Array([0, 2 ** 32 - 1]),
  i32: new Int32Array([-(2 ** 31), 2 ** 31 - 1]),
  u64: new BigUint64Array([0n, 2n ** 64n - 1n]),
  i64: new BigInt64Array([-(2n ** 63n), 2n ** 53n + 1n]),
  f16: encodeFloat16(new Float32Array([-65504, 6e-8])),
  f32: new Float32Array([NaN, 1e-40]),
  f64: new Float64Array([-Infinity, Math.PI]),
};

/** Writes a dataset of every type and shape, in slabs of any order. */
function writeEverything(writer: Hdf5Writer): void {
  for (const dtype of Object.keys(arrays)) {
    writer.createDataset(`/all/${dtype}`, { shape: [2], dtype: dtype as Hdf5WriteDType });
  }
  for (const [dtype, data] of Object.entries(arrays)) writer.writeRows(`all/${dtype}`, 0, data);
  writer.createDataset("/blocks/3", { shape: [10, 4, 5], dtype: "f32" });
  // Larger than a chunk, and in pieces that are not whole chunks.
  writer.createDataset("wide", { shape: [3, 200_000], dtype: "f32" });
  for (let start = 0; start < 10; start += 3) {
    const rows = Math.min(3, 10 - start);
    writer.writeRows(
      "blocks/3",
      start,
      Float32Array.from({ length: rows * 20 }, (_, i) => start * 20 + i),
    );
  }
  for (const row of [2, 0, 1]) {
    writer.writeRows("wide", row, new Float32Array(200_000).fill(row + 1));
  }
  writer.createDataset("betas", { shape: [4, 2, 3], dtype: "i16", chunks: [4, 1, 1] });
  writer.writeRows("betas", 0, Int16Array.from({ length: 24 }, (_, i) => i));
  writer.createDataset("scalar", { shape: [], dtype: "f64" });
  writer.writeRows("scalar", 0, new Float64Array([0.1]));
  writer.createDataset("none", { shape: [0, 7], dtype: "f32" });
  writer.createDataset("narrow", { shape: [7, 0], dtype: "f32" });
  writer.writeStrings("rois", ["V1", "äöü", ""]);
  writer.setAttribute("/", "run", '{"seed":0}');
  writer.setAttribute("blocks/3", "big", 2 ** 40 + 0.5);
  writer.setAttribute("blocks/3", "list", [1, 3e9]);
}

Deno.test("Hdf5Writer round-trips every type in slabs, groups, strings and attributes", async () => {
  using folder = new TestFolder();
  const path = folder.at("out.h5");
  {
    using writer = await Hdf5Writer.create(path);
    writeEverything(writer);
    assert.deepEqual(
      folder.list().filter((name) => name === "out.h5"),
      [],
      "not visible before commit",
    );
    writer.commit();
  }
  assert.deepEqual(folder.list(), ["out.h5"]);
  using file = await Hdf5File.open(path);
  for (const [dtype, data] of Object.entries(arrays)) {
    assert.equal(file.info(`all/${dtype}`).dtype, dtype);
    assert.deepEqual(hostArray(file.read(`all/${dtype}`)), data);
  }
  assert.deepEqual([...hostArray(file.read("blocks/3"))], Array.from({ length: 200 }, (_, i) => i));
  assert.deepEqual([0, 1, 2].map((row) => toFloat32(file.readRows("wide", row, row + 1)).at(-1)), [
    1,
    2,
    3,
  ]);
  assert.ok(file.info("wide").chunks!.reduce((a, b) => a * b, 4) <= 2 ** 19);
  assert.deepEqual(file.info("betas").chunks, [4, 1, 1]);
  assert.deepEqual([...hostArray(file.readRows("betas", 3, 4))], [18, 19, 20, 21, 22, 23]);
  assert.deepEqual([...hostArray(file.read("scalar"))], [0.1]);
  assert.deepEqual([file.info("none").shape, file.info("narrow").shape], [[0, 7], [7, 0]]);
  assert.deepEqual(file.readStrings("rois"), ["V1", "äöü", ""]);
  assert.deepEqual(file.attributes(), { run: '{"seed":0}' });
  assert.deepEqual(file.attributes("blocks/3"), { big: 2 ** 40 + 0.5, list: [1, 3e9] });
});

Deno.test("Hdf5Writer does not grow with the number of rows", async () => {
  using folder = new TestFolder();
  using writer = await Hdf5Writer.create(folder.at("long.h5"));
  const row = new Float32Array(64 * 1024);
  writer.createDataset("x", { shape: [400, row.length], dtype: "f32" });
  let [early, late] = [0, 0];
  for (let i = 0; i < 400; i++) {
    writer.writeRows("x", i, row.fill(i));
    if (i === 40) early = Deno.memoryUsage().rss;
  }
  late = Deno.memoryUsage().rss;
  // 90 MiB were written in between; a third of it allows for the garbage collector's timing.
  assert.ok(late - early < 30 * 2 ** 20, `grew by ${late - early} bytes`);
  writer.commit();
  using file = await Hdf5File.open(folder.at("long.h5"));
  assert.equal(toFloat32(file.readRows("x", 399, 400))[7], 399);
});

Deno.test("Hdf5Writer leaves nothing behind when it is not committed", async (t) => {
  using folder = new TestFolder();
  const path = folder.at("out.h5");
  const writers: [name: string, use: (writer: Hdf5Writer) => void, message: RegExp][] = [
    ["a thrown error", () => {
      throw new Error("model failed");
    }, /model failed/],
    ["rows that are missing", (writer) => {
      writer.createDataset("x", { shape: [3, 2], dtype: "f32" });
      writer.writeRows("x", 0, new Float32Array(4));
      writer.commit();
    }, /2 of 3 rows of \/x were written/],
    ["a failing library call", (writer) => {
      writer.createDataset("x", { shape: [3, 2], dtype: "f32", chunks: [0, 2] });
    }, /could not create dataset "\/x"/],
  ];
  for (const [name, use, message] of writers) {
    await t.step(name, async () => {
      await assert.rejects(async () => {
        using writer = await Hdf5Writer.create(path);
        use(writer);
      }, message);
      assert.deepEqual(folder.list(), []);
    });
  }
});

Deno.test("Hdf5Writer refuses rows that do not fit the dataset, before writing", async () => {
  using folder = new TestFolder();
  using writer = await Hdf5Writer.create(folder.at("out.h5"));
  writer.createDataset("x", { shape: [3, 2], dtype: "f32" });
  assert.throws(
    () => writer.writeRows("x", 2, new Float32Array(4)),
    /2 rows of Float32Array at row 2/,
  );
  assert.throws(() => writer.writeRows("x", 0, new Float32Array(3)), /1\.5 rows/);
  assert.throws(
    () => writer.writeRows("x", 0, new Float64Array(2)),
    /rows of Float64Array.*is f32 \[3,2\]/,
  );
  assert.throws(() => writer.writeRows("y", 0, new Float32Array(2)), /create it first/);
  assert.throws(() => writer.createDataset("/x", { shape: [1], dtype: "f32" }), /it exists/);
  assertInputError(
    () => writer.setAttribute("/", "long", "x".repeat(70_000)),
    /64000 bytes, it has 70000/,
  );
});

Deno.test("Hdf5Writer.create() refuses a folder that is not there and a target that is a folder", async () => {
  using folder = new TestFolder();
  await assert.rejects(
    Hdf5Writer.create(folder.at("no/out.h5")),
    /Cannot write .*no such file or folder/,
  );
  await assert.rejects(Hdf5Writer.create(folder.path), /it is a folder/);
});
