import assert from "node:assert/strict";
import {
  readSafetensors,
  readSafetensorsHeader,
  writeSafetensors,
} from "../../pipelines/io/safetensors.ts";
import { hostArray, type HostDType, hostTensor, toFloat32 } from "../../pipelines/io/state_dict.ts";
import { assertInputError } from "./io_fixtures.ts";

/** Bytes of a file with this header text and this much data, whatever the header says. */
function fileOf(header: string, dataBytes: number, claimed?: bigint): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + json.byteLength + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, claimed ?? BigInt(json.byteLength), true);
  bytes.set(json, 8);
  for (let i = 8 + json.byteLength; i < bytes.length; i++) bytes[i] = i;
  return bytes;
}

const w = '"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}';
const v = '"v":{"dtype":"I16","shape":[2],"data_offsets":[24,28]}';
const control = `{${w},${v}}`;

Deno.test("readSafetensors() gives views of the bytes when the file is well formed", () => {
  const bytes = fileOf(control, 28);
  const tensors = readSafetensors(bytes);
  assert.deepEqual([...tensors.keys()], ["w", "v"]);
  assert.deepEqual(tensors.get("w")!.shape, [2, 3]);
  assert.equal(tensors.get("w")!.bytes.buffer, bytes.buffer);
  assert.equal(tensors.get("v")!.dtype, "i16");
  assert.equal(tensors.get("v")!.bytes.byteOffset, bytes.length - 4);
});

Deno.test("readSafetensors() accepts padding, scalars, empty tensors and an empty file", () => {
  const scalar = '"s":{"dtype":"F64","shape":[],"data_offsets":[0,8]}';
  const empty = '"e":{"dtype":"U8","shape":[0,4],"data_offsets":[8,8]}';
  const tensors = readSafetensors(fileOf(`{${scalar},${empty}}    `, 8));
  assert.deepEqual(tensors.get("s")!.shape, []);
  assert.equal(tensors.get("e")!.bytes.byteLength, 0);
  assert.equal(readSafetensors(fileOf("{}", 0)).size, 0);
});

Deno.test("readSafetensors() reads values at odd offsets", () => {
  const header = '{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}';
  // An odd header length puts the data at an odd byte.
  const bytes = fileOf(header.length % 2 === 0 ? `${header} ` : header, 8);
  bytes.set(new Uint8Array(new Float32Array([1.5, -2]).buffer), bytes.length - 8);
  const x = readSafetensors(bytes).get("x")!;
  assert.equal(x.bytes.byteOffset % 2, 1);
  assert.deepEqual([...toFloat32(x)], [1.5, -2]);
});

Deno.test("readSafetensors() reads bytes of shared memory and of a slice", () => {
  const bytes = fileOf(control, 28);
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
  shared.set(bytes);
  const larger = new Uint8Array(bytes.length + 10);
  larger.set(bytes, 3);
  for (const form of [shared, larger.subarray(3, 3 + bytes.length)]) {
    assert.deepEqual(
      toFloat32(readSafetensors(form).get("w")!),
      toFloat32(readSafetensors(bytes).get("w")!),
    );
  }
});

/** A file's header with one tensor, in which one part may be replaced by any text. */
const one = ({ dtype = '"F32"', shape = "[2,3]", data_offsets = "[0,24]" }) =>
  `{"w":{"dtype":${dtype},"shape":${shape},"data_offsets":${data_offsets}}}`;

/** Control case plus one fault at a time: header, bytes of data, what the sentence says. */
const faults: [name: string, bytes: Uint8Array, message: RegExp][] = [
  ["no bytes", new Uint8Array(0), /8 bytes of header length, this one has 0/],
  ["seven bytes", new Uint8Array(7), /this one has 7/],
  ["header longer than the file", fileOf("{}", 0, 3n), /claims 3 bytes, the file has 2 after/],
  ["header above 100 MB", fileOf("{}", 0, 100_000_001n), /at most 100000000 bytes, it claims 1000/],
  ["header of 2^63 bytes", fileOf("{}", 0, 1n << 63n), /claims 9223372036854775808/],
  [
    "a PyTorch file",
    new Uint8Array([0x50, 0x4b, 3, 4, 20, 0, 8, 8, 0]),
    /PyTorch checkpoint.*converted/,
  ],
  ["an HDF5 file", new Uint8Array([0x89, 72, 68, 70, 13, 10, 26, 10, 0]), /it is an HDF5 file/],
  [
    "a Git LFS pointer",
    new TextEncoder().encode("version https://git-lfs"),
    /Git LFS pointer, not the file/,
  ],
  ["no JSON", fileOf("{w", 0), /header is not JSON; it starts with "\{w"/],
  ["a JSON array", fileOf("[]", 0), /must be a JSON object, got an array/],
  ["JSON null", fileOf("null", 0), /must be a JSON object, got null/],
  ["a zero-length header", fileOf("", 0), /not JSON/],
  ["a byte-order mark", fileOf("\ufeff{}", 0), /not JSON/],
  ["deep nesting", fileOf("[".repeat(100_000), 0), /not JSON/],
  ["a duplicate tensor", fileOf(`{${w},${v},${w}}`, 28), /has the key "w" twice/],
  [
    "a duplicate behind an escape",
    fileOf(`{${w},"\\u0077":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}`, 28),
    /has the key "w" twice/,
  ],
  [
    "a duplicate inside a tensor",
    fileOf('{"w":{"dtype":"F32","shape":[2,3],"shape":[6],"data_offsets":[0,24]}}', 24),
    /has the key "shape" twice/,
  ],
  ["metadata that is no object", fileOf(`{"__metadata__":3,${w}}`, 24), /__metadata__ must map/],
  ["metadata with a number", fileOf(`{"__metadata__":{"a":1},${w}}`, 24), /__metadata__ must map/],
  ["a tensor that is a number", fileOf('{"w":3}', 0), /"w" is not described by an object/],
  [
    "an unknown dtype",
    fileOf(one({ dtype: '"F8_E4M3"' }), 24),
    /has dtype "F8_E4M3", known are F64/,
  ],
  ["a dtype of a prototype", fileOf(one({ dtype: '"toString"' }), 24), /has dtype "toString"/],
  ["a dtype that is a number", fileOf(one({ dtype: "32" }), 24), /has dtype 32/],
  ["a shape that is a number", fileOf(one({ shape: "6" }), 24), /shape of whole numbers/],
  ["a negative length", fileOf(one({ shape: "[-2,-3]" }), 24), /shape of whole numbers.*\[-2,-3\]/],
  ["a fractional length", fileOf(one({ shape: "[1.5,4]" }), 24), /shape of whole numbers/],
  ["a length that is text", fileOf(one({ shape: '["6"]' }), 24), /shape of whole numbers/],
  ["2^60 elements", fileOf(one({ shape: `[${2n ** 60n}]` }), 24), /less than 2\^53 bytes/],
  ["2^60 elements as a product", fileOf(one({ shape: `[${2 ** 30},${2 ** 30}]` }), 24), /2\^53/],
  // 2^64 + 6 elements would be 6 in 64-bit arithmetic that wraps.
  ["a product that wraps", fileOf(one({ shape: "[2,9223372036854775811]" }), 24), /2\^53/],
  ["2^52 elements of 4 bytes", fileOf(one({ shape: `[${2 ** 52}]` }), 24), /2\^53/],
  ["a huge shape times zero", fileOf(one({ shape: `[${2 ** 40},${2 ** 40},0]` }), 24), /2\^53/],
  [
    "offsets that are missing",
    fileOf('{"w":{"dtype":"F32","shape":[6]}}', 24),
    /data_offsets of two/,
  ],
  ["three offsets", fileOf(one({ data_offsets: "[0,24,24]" }), 24), /data_offsets of two/],
  ["a negative offset", fileOf(one({ data_offsets: "[-24,0]" }), 24), /data_offsets of two whole/],
  ["offsets in reverse", fileOf(one({ data_offsets: "[24,0]" }), 24), /begin <= end, has \[24,0\]/],
  ["a fractional offset", fileOf(one({ data_offsets: "[0.5,24.5]" }), 25), /two whole numbers/],
  ["an offset of 2^60", fileOf(one({ data_offsets: `[0,${2n ** 60n}]` }), 24), /two whole numbers/],
  [
    "fewer bytes than the shape",
    fileOf(one({ data_offsets: "[0,20]" }), 20),
    /needs 24 bytes.*hold 20/,
  ],
  [
    "more bytes than the shape",
    fileOf(one({ data_offsets: "[0,28]" }), 28),
    /needs 24 bytes.*hold 28/,
  ],
  [
    "data cut off",
    fileOf(control, 27),
    /"v" ends at byte \d+, the file has \d+ \(is it cut off\?\)/,
  ],
  ["bytes after the last tensor", fileOf(control, 29), /1 bytes after the last tensor/],
  [
    "overlapping tensors",
    fileOf(`{${w},"v":{"dtype":"I16","shape":[2],"data_offsets":[22,26]}}`, 26),
    /"w" and "v" overlap/,
  ],
  [
    "two tensors on the same bytes",
    fileOf(`{${w},"v":{"dtype":"I32","shape":[6],"data_offsets":[0,24]}}`, 24),
    /"w" and "v" overlap/,
  ],
  [
    "a hole",
    fileOf(`{${w},"v":{"dtype":"I16","shape":[2],"data_offsets":[25,29]}}`, 29),
    /1 bytes before tensor "v" belong to no tensor/,
  ],
];

Deno.test("readSafetensors() refuses in one sentence when one thing is wrong", async (t) => {
  for (const [name, bytes, message] of faults) {
    await t.step(name, () => {
      assertInputError(
        () => readSafetensors(bytes, { source: "some/weights.safetensors" }),
        message,
      );
    });
  }
  await t.step("control case", () => {
    assert.equal(readSafetensors(fileOf(control, 28)).size, 2);
    assert.equal(readSafetensors(fileOf(one({}), 24)).size, 1);
  });
});

Deno.test("readSafetensors() refuses every cut of a file and every changed header byte or reads it", () => {
  const bytes = writeSafetensors(
    new Map([["a", hostTensor(new Float32Array(3), [3])], [
      "b",
      hostTensor(new Uint8Array(5), [5]),
    ]]),
  );
  for (let length = 0; length < bytes.length; length++) {
    assertInputError(() => readSafetensors(bytes.subarray(0, length)), /Cannot read safetensors/);
  }
  const headerEnd = bytes.length - 17;
  for (let at = 0; at < headerEnd; at++) {
    for (const bit of [1, 4, 32, 128]) {
      const changed = bytes.slice();
      changed[at] ^= bit;
      // A changed name or an equivalent header is a valid file; anything else must be an InputError.
      try {
        readSafetensors(changed);
      } catch (error) {
        assertInputError(() => {
          throw error;
        }, /^Cannot read safetensors/);
      }
    }
  }
});

Deno.test("readSafetensors() names the file or the given bytes in its errors", () => {
  assertInputError(() => readSafetensors(new Uint8Array(3)), /from the given bytes: a file/);
  assertInputError(() => readSafetensors(new Uint8Array(3), { source: "w" }), /from "w": a file/);
});

Deno.test("writeSafetensors() round-trips every dtype, aligned, with hostile names and metadata", () => {
  const dtypes: HostDType[] = [
    ...["f32", "f16", "bf16", "f64", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64"] as const,
    "bool",
  ];
  const names = [
    "__proto__",
    "constructor",
    "10",
    "9",
    "a.b",
    'q"\\\n',
    "ü",
    "",
    "x",
    "y",
    "z",
    "k",
    "j",
  ];
  const tensors = new Map(dtypes.map((dtype, i) => {
    const width = { 8: 1, 16: 2, 32: 4, 64: 8 }[dtype.replace(/\D+/g, "")] ?? 1;
    const bytes = crypto.getRandomValues(new Uint8Array(width * 6));
    return [names[i], { dtype, shape: [2, 1, 3], bytes }];
  }));
  const metadata = { format: "pt", 'k"': "v\n" };
  const file = writeSafetensors(tensors, metadata);
  const read = readSafetensors(file);
  assert.deepEqual([...read.keys()].sort(), [...names].sort());
  for (const [name, tensor] of tensors) {
    assert.deepEqual(read.get(name), tensor);
    hostArray(read.get(name)!);
  }
  assert.deepEqual(readSafetensorsHeader(file).metadata, metadata);
  for (const { start, dtype } of readSafetensorsHeader(file).entries.values()) {
    const width = Number(dtype.replace(/\D+/g, "") || 8) / 8;
    assert.equal(start % width, 0, `${dtype} at byte ${start}`);
  }
  const backwards = new Map([...tensors].reverse());
  assert.deepEqual(writeSafetensors(backwards, metadata), file);
});

Deno.test("writeSafetensors() refuses bytes that do not fit the shape and the reserved name", () => {
  const tensor = hostTensor(new Float32Array(6), [2, 3]);
  assertInputError(
    () => writeSafetensors(new Map([["w", { ...tensor, shape: [2, 4] }]])),
    /Cannot write tensor "w".*\[2,4\] with 24 bytes/,
  );
  assertInputError(() => writeSafetensors(new Map([["__metadata__", tensor]])), /reserved name/);
});
