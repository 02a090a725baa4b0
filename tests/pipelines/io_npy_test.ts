import assert from "node:assert/strict";
import { NpyFile, NpyWriter, readNpy, writeNpy } from "../../pipelines/io/npy.ts";
import {
  type HostArray,
  hostArray,
  type HostDType,
  hostTensor,
  toFloat32,
} from "../../pipelines/io/state_dict.ts";
import { assertInputError, TestFolder } from "./io_fixtures.ts";

/** A .npy file with this header text, version and data. */
function npy(
  header: string,
  data: Uint8Array,
  { version = 1, claimed = header.length } = {},
): Uint8Array {
  const wide = version > 1;
  const file = new Uint8Array((wide ? 12 : 10) + header.length + data.length);
  file.set([0x93, ..."NUMPY"].map((c) => typeof c === "number" ? c : c.charCodeAt(0)));
  file.set([version, 0, claimed & 255, (claimed >> 8) & 255], 6);
  if (wide) file.set([(claimed >> 16) & 255, claimed >>> 24], 10);
  file.set(new TextEncoder().encode(header), wide ? 12 : 10);
  file.set(data, file.length - data.length);
  return file;
}

const dict = ({ descr = "'<f4'", order = "False", shape = "(2, 3)" } = {}) =>
  `{'descr': ${descr}, 'fortran_order': ${order}, 'shape': ${shape}, }\n`;
const six = new Uint8Array(new Float32Array([0, 1, 2, 3, 4, 5]).buffer);

Deno.test("readNpy() reads every version and every way to write a shape", () => {
  for (const version of [1, 2, 3]) {
    const tensor = readNpy(npy(dict(), six, { version }));
    assert.deepEqual([tensor.dtype, tensor.shape], ["f32", [2, 3]]);
    assert.deepEqual([...toFloat32(tensor)], [0, 1, 2, 3, 4, 5]);
  }
  const shapes: [string, number[]][] = [["(6,)", [6]], ["(2L, 3L)", [2, 3]], ["( 1,2 ,3 )", [
    1,
    2,
    3,
  ]]];
  for (const [shape, expected] of shapes) {
    assert.deepEqual(readNpy(npy(dict({ shape }), six)).shape, expected);
  }
  assert.deepEqual(readNpy(npy(dict({ shape: "()" }), six.subarray(0, 4))).shape, []);
  assert.deepEqual(readNpy(npy(dict({ shape: "(0, 7)" }), new Uint8Array(0))).shape, [0, 7]);
  const reordered = `{"shape": (6,), "fortran_order": False, "descr": "<f4"}\n`;
  assert.deepEqual(readNpy(npy(reordered, six)).shape, [6]);
});

Deno.test("readNpy() gives the same values for both byte orders", () => {
  const types: [string, HostDType, HostArray][] = [
    ["f2", "f16", new Uint16Array([0x3c00, 0x0001])],
    ["f4", "f32", new Float32Array([1.5, -2])],
    ["f8", "f64", new Float64Array([0.1, -2])],
    ["i1", "i8", new Int8Array([-1, 5])],
    ["i2", "i16", new Int16Array([-300, 5])],
    ["i4", "i32", new Int32Array([-70000, 5])],
    ["i8", "i64", new BigInt64Array([-(2n ** 60n), 2n ** 53n + 1n])],
    ["u1", "u8", new Uint8Array([255, 5])],
    ["u2", "u16", new Uint16Array([65535, 5])],
    ["u4", "u32", new Uint32Array([2 ** 32 - 1, 5])],
    ["u8", "u64", new BigUint64Array([2n ** 64n - 1n, 5n])],
    ["b1", "bool", new Uint8Array([1, 0])],
  ];
  for (const [name, dtype, data] of types) {
    const little = new Uint8Array(data.buffer.slice(0));
    const big = little.slice();
    const width = data.BYTES_PER_ELEMENT;
    for (let at = 0; at < big.length; at += width) big.subarray(at, at + width).reverse();
    for (const [order, bytes] of [["<", little], [">", big], ["|", little]] as const) {
      if (order === "|" && width > 1) continue;
      const tensor = readNpy(npy(dict({ descr: `'${order}${name}'`, shape: "(2,)" }), bytes));
      assert.equal(tensor.dtype, dtype);
      assert.deepEqual(hostArray(tensor), data, order + name);
    }
  }
});

Deno.test("NpyFile reads rows of C and Fortran order, whole or in part", () => {
  using folder = new TestFolder();
  const shape = [5, 2, 3];
  const c = Float64Array.from({ length: 30 }, (_, i) => i);
  // Element (i, j, k) of Fortran order lies at i + 5 j + 10 k.
  const f = new Float64Array(30);
  for (let i = 0; i < 5; i++) {
    for (let j = 0; j < 2; j++) {
      for (let k = 0; k < 3; k++) f[i + 5 * j + 10 * k] = c[6 * i + 3 * j + k];
    }
  }
  for (const [order, data] of [["False", c], ["True", f]] as const) {
    const header = dict({ descr: "'<f8'", order, shape: `(${shape.join(", ")})` });
    const path = folder.write(`${order}.npy`, npy(header, new Uint8Array(data.buffer)));
    using file = new NpyFile(path);
    assert.deepEqual(file.shape, shape);
    assert.deepEqual(hostArray(file.read()), c);
    for (const [start, end] of [[0, 5], [0, 2], [1, 4], [4, 5], [3, 3]]) {
      const rows = file.readRows(start, end);
      assert.deepEqual(rows.shape, [end - start, 2, 3]);
      assert.deepEqual(hostArray(rows), c.slice(6 * start, 6 * end), `${order} ${start}..${end}`);
    }
    assertInputError(() => file.readRows(2, 6), /rows 2 to 6 of .*its shape is \[5,2,3\]/);
    assertInputError(() => file.readRows(-1, 2), /rows -1 to 2/);
  }
});

/** One fault at a time: name, file, what the sentence says. */
const faults: [name: string, bytes: Uint8Array, message: RegExp][] = [
  ["no bytes", new Uint8Array(0), /it is not a \.npy file/],
  ["text", new TextEncoder().encode("1,2,3\n4,5,6\n"), /it is not a \.npy file/],
  [
    "an archive",
    new TextEncoder().encode("PK\u0003\u0004........"),
    /a \.npz archive has to be unpacked/,
  ],
  ["cut in the preamble", npy(dict(), six).subarray(0, 9), /cut off after 9 bytes/],
  [
    "cut in the header",
    npy(dict(), six).subarray(0, 40),
    /header claims \d+ bytes, the file has 40/,
  ],
  [
    "cut in the data",
    npy(dict(), six.subarray(0, 23)),
    /needs 24 bytes after the header, the file has 23/,
  ],
  ["more than one array", npy(dict(), new Uint8Array(25)), /needs 24 bytes.*has 25/],
  [
    "version 4",
    npy(dict(), six, { version: 4 }),
    /versions 1\.0, 2\.0 and 3\.0 are known, it is 4\.0/,
  ],
  [
    "a header of 4 GB",
    npy(dict(), six, { version: 2, claimed: 2 ** 32 - 1 }),
    /claims 4294967295/,
  ],
  ["Python objects", npy(dict({ descr: "'|O'" }), six), /they are Python objects/],
  ["text elements", npy(dict({ descr: "'<U5'" }), six), /they are "<U5"/],
  ["complex numbers", npy(dict({ descr: "'<c8'" }), six), /they are "<c8"/],
  ["records", npy(dict({ descr: "[('a', '<f4')]" }), six), /they are "records"/],
  [
    "a dtype of a prototype",
    npy(dict({ descr: "'<constructor'" }), six),
    /they are "<constructor"/,
  ],
  ["no dict", npy("hello\n", six), /header is malformed: "hello"/],
  ["no shape", npy("{'descr': '<f4', 'fortran_order': False}\n", six), /malformed/],
  ["two shapes", npy(dict({ shape: "(2, 3), 'shape': (3, 2)" }), six), /malformed/],
  ["a negative length", npy(dict({ shape: "(-2, -3)" }), six), /malformed/],
  ["a fractional length", npy(dict({ shape: "(1.5, 4)" }), six), /malformed/],
  ["a shape that is code", npy(dict({ shape: "(2, __import__('os'))" }), six), /malformed/],
  [
    "2^60 elements",
    npy(dict({ shape: `(${2n ** 60n},)` }), six),
    /must be less than 2\^53 bytes/,
  ],
  ["2^60 as a product", npy(dict({ shape: `(${2 ** 30}, ${2 ** 30})` }), six), /less than 2\^53/],
  [
    "a product that wraps",
    npy(dict({ shape: "(2, 9223372036854775811)" }), six),
    /less than 2\^53/,
  ],
];

Deno.test("readNpy() refuses in one sentence when one thing is wrong", async (t) => {
  for (const [name, bytes, message] of faults) {
    await t.step(name, () => assertInputError(() => readNpy(bytes, { source: "a.npy" }), message));
  }
});

Deno.test("NpyFile names the file when it is missing or malformed", () => {
  using folder = new TestFolder();
  assertInputError(() => new NpyFile(folder.at("no.npy")), /no\.npy": there is no such file/);
  assertInputError(
    () => new NpyFile(folder.write("t.npy", "text")),
    /t\.npy": it is not a \.npy file/,
  );
});

Deno.test("writeNpy() writes what readNpy() reads, aligned to 64 bytes as numpy does", () => {
  for (const shape of [[], [6], [2, 3], [0, 4], [1, 2, 3, 1]]) {
    const size = shape.reduce((a, b) => a * b, 1);
    const tensor = hostTensor(Float32Array.from({ length: size }, (_, i) => i), shape);
    const file = writeNpy(tensor);
    assert.equal((file.length - 4 * size) % 64, 0);
    assert.deepEqual(readNpy(file), tensor);
  }
  const file = writeNpy(hostTensor(new Uint8Array(6), [6]));
  assert.deepEqual([...file.subarray(6, 10)], [1, 0, 118, 0]);
  assert.match(
    new TextDecoder().decode(file.subarray(10, -6)),
    /^\{'descr': '\|u1', 'fortran_order': False, 'shape': \(6,\), \} +\n$/,
  );
  const bits = hostTensor(new Uint16Array(1), [1], { dtype: "bf16" });
  assertInputError(() => writeNpy(bits), /numpy has no such type/);
});

Deno.test("NpyWriter writes a file in parts, and none when parts are missing", () => {
  using folder = new TestFolder();
  const path = folder.at("a.npy");
  {
    using writer = new NpyWriter(path, { shape: [3, 2], dtype: "i16" });
    writer.append(new Int16Array([0, 1, 2]));
    writer.append(new Int16Array([3, 4, 5]));
    assert.throws(() => writer.append(new Int16Array(1)), /0 are missing/);
    assert.throws(() => new NpyFile(path), /no such file/);
    writer.commit();
  }
  assert.deepEqual([...hostArray(readNpy(Deno.readFileSync(path)))], [0, 1, 2, 3, 4, 5]);
  {
    using writer = new NpyWriter(path, { shape: [3, 2], dtype: "i16" });
    writer.append(new Int16Array(4));
    assert.throws(() => writer.commit(), /2 elements are missing/);
  }
  assert.deepEqual(folder.list(), ["a.npy"]);
});
