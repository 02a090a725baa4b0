import assert from "node:assert/strict";
import { normal, randomKey } from "../../engine/random.ts";
import { InputError } from "../../pipelines/errors.ts";
import { openArray } from "../../pipelines/io/array_ref.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { lookup3, objectHeaders } from "../../pipelines/io/hdf5_half.ts";
import { type Hdf5WriteDType, Hdf5Writer } from "../../pipelines/io/hdf5_writer.ts";
import { DENSE_SCALE, encodeScaledHalf } from "../../pipelines/io/scaled_half.ts";
import { decodeFloat16, hostArray } from "../../pipelines/io/state_dict.ts";
import { TestFolder } from "./io_fixtures.ts";

Deno.test("lookup3() gives the values that its author published", () => {
  // Bob Jenkins, lookup3.c, driver5.
  assert.equal(lookup3(new Uint8Array(0)), 0xdeadbeef);
  assert.equal(lookup3(new TextEncoder().encode("Four score and seven years ago")), 0x17770551);
});

Deno.test("objectHeaders() finds headers by their checksums, not by their signature alone", async () => {
  using folder = new TestFolder();
  const path = folder.at("x.h5");
  {
    using writer = await Hdf5Writer.create(path);
    writer.setAttribute("/", "text", "OHDR\x02\x20 is how a header begins");
    writer.createDataset("/a/x", { shape: [3], dtype: "u8" });
    writer.writeRows("/a/x", 0, new Uint8Array(3));
    writer.commit();
  }
  const bytes = Deno.readFileSync(path);
  assert.equal(objectHeaders(bytes).length, 3); // root, group, dataset
  const [{ start }] = objectHeaders(bytes);
  bytes[start + 20] ^= 1;
  assert.equal(objectHeaders(bytes).length, 2);
});

Deno.test("Hdf5Writer writes half precision beside other types, in any rows, and refuses it after data", async () => {
  using folder = new TestFolder();
  const path = folder.at("half.h5");
  const shape = [70, 9, 8, 130]; // several chunks
  const row = shape.slice(1).reduce((a, b) => a * b);
  const values = (i: number) => new Uint16Array(row).map((_, j) => (i * 977 + j) % 0x7c00);
  {
    using writer = await Hdf5Writer.create(path);
    writer.createDataset("/before", { shape: [2], dtype: "f32" });
    writer.createDataset("/group/dense", { shape, dtype: "f16" });
    writer.createDataset("/after", { shape: [2], dtype: "f32" });
    writer.createDataset("/more", { shape: [5], dtype: "f16", chunks: [2] });
    for (let i = shape[0] - 1; i >= 0; i--) writer.writeRows("/group/dense", i, values(i));
    writer.writeRows("/more", 0, Uint16Array.of(1, 2, 3, 4, 5));
    for (const name of ["/before", "/after"]) writer.writeRows(name, 0, Float32Array.of(1, 1e-40));
    assert.throws(() => writer.writeRows("/more", 0, Float32Array.of(1)), /it is f16 \[5\]/);
    const late = () => writer.createDataset("/late", { shape: [2], dtype: "f16" });
    assert.throws(late, /comes before all data/);
    writer.commit();
  }
  using file = await Hdf5File.open(path);
  assert.deepEqual(file.datasets(), ["/after", "/before", "/group/dense", "/more"]);
  assert.equal(file.info("/group/dense").dtype, "f16");
  for (const i of [0, 33, 69]) {
    assert.deepEqual(hostArray(file.readRows("/group/dense", i, i + 1)), values(i));
  }
  assert.deepEqual([...hostArray(file.read("/more"))], [1, 2, 3, 4, 5]);
  assert.deepEqual([...hostArray(file.read("/after"))], [1, Math.fround(1e-40)]);
});

Deno.test("Hdf5Writer writes hundreds of half-precision datasets of one kind", async () => {
  using folder = new TestFolder();
  const path = folder.at("many.h5");
  const names = Array.from({ length: 300 }, (_, i) => String(i).padStart(12, "0"));
  {
    using writer = await Hdf5Writer.create(path);
    writer.createDatasets(names, { shape: [2, 2], dtype: "f16" });
    names.forEach((name, i) => writer.writeRows(name, 0, new Uint16Array(4).fill(i)));
    writer.commit();
  }
  using file = await Hdf5File.open(path);
  assert.deepEqual(file.datasets(), names.map((name) => `/${name}`));
  for (const i of [0, 7, 8, 299]) assert.equal(hostArray(file.read(names[i]))[3], i);
});

Deno.test("Hdf5Writer writes the same bytes at another time", async () => {
  using folder = new TestFolder();
  const { now } = Date;
  const make = async (name: string, dtype: Hdf5WriteDType) => {
    {
      using writer = await Hdf5Writer.create(folder.at(name));
      writer.createDataset("/a/x", { shape: [2], dtype });
      writer.writeRows("/a/x", 0, dtype === "f16" ? new Uint16Array(2) : new Float32Array(2));
      writer.writeStrings("/names", ["a"]);
      writer.commit();
    }
    return Deno.readFileSync(folder.at(name));
  };
  for (const dtype of ["f32", "f16"] as const) {
    const first = await make("first.h5", dtype);
    try {
      Date.now = () => now() + 1e7;
      assert.deepEqual(await make("second.h5", dtype), first);
    } finally {
      Date.now = now;
    }
  }
});

Deno.test("encodeScaledHalf() keeps what it promises, and openArray() divides by the scale", async () => {
  using folder = new TestFolder();
  const magnitudes = Float32Array.from(normal(randomKey(3), 4000), (v, i) => v * 10 ** -(i % 9));
  const values = Float32Array.of(4094, -4094, 0, ...magnitudes);
  const bits = encodeScaledHalf(values);
  {
    using writer = await Hdf5Writer.create(folder.at("x.h5"));
    writer.createDataset("/dense", { shape: [values.length], dtype: "f16" });
    writer.setAttribute("/dense", "scale", DENSE_SCALE);
    writer.writeRows("/dense", 0, bits);
    writer.commit();
  }
  using rows = await openArray(folder.at("x.h5:/dense"));
  const back = rows.readRows(0, values.length);
  values.forEach((value, i) => {
    const bound = Math.max(2 ** -11 * Math.abs(value), 2 ** -25 / DENSE_SCALE);
    assert.ok(Math.abs(back[i] - value) <= bound, `${value} came back as ${back[i]}`);
  });
  assert.deepEqual(hostArray(rows.readTensor(0, values.length)), bits); // as stored
  assert.deepEqual(decodeFloat16(bits).subarray(0, 3), Float32Array.of(65504, -65504, 0));
});

Deno.test("encodeScaledHalf() refuses what does not fit and scales that round", () => {
  for (const bad of [4095, -5000, Infinity, NaN]) {
    assert.throws(() => encodeScaledHalf(Float32Array.of(1, bad)), {
      name: "InputError",
      message:
        `Cannot store half precision at the scale 16: values must be between -4094 and 4094, got ${bad}`,
    });
  }
  for (const scale of [3, 0, -2, NaN]) {
    assert.throws(() => encodeScaledHalf(Float32Array.of(1), scale), InputError);
  }
  assert.deepEqual(encodeScaledHalf(Float32Array.of(5000), 2 ** -2), Uint16Array.of(0x64e2));
});
