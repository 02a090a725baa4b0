import assert from "node:assert/strict";
import { readMat, writeMat } from "../../pipelines/io/mat.ts";
import { assertInputError } from "./io_fixtures.ts";

// Written by scipy 1.17 savemat(): doubles, small types, logicals, text, a structure, complex and empty arrays, once with
// do_compression=True and once without.
const golden = (name: string) =>
  Deno.readFileSync(new URL(`../golden/io/${name}`, import.meta.url).pathname);

Deno.test("readMat() reads what scipy wrote, compressed or not, and passes over what is not numbers", () => {
  for (const name of ["design.mat", "design_plain.mat"]) {
    const arrays = readMat(golden(name), { source: name });
    assert.deepEqual(
      [...arrays.keys()].sort().join(),
      "basiccnt,big,cube,empty,flag,masterordering,sharedix,single,stimpattern,subjectim",
    );
    assert.deepEqual(arrays.get("subjectim"), {
      shape: [2, 5],
      data: Float64Array.of(11, 12, 13, 14, 15, 11, 12, 21, 22, 23),
    });
    assert.deepEqual(arrays.get("basiccnt")?.data, Float64Array.of(0, 1, 2, 3, 4, 5));
    assert.deepEqual(arrays.get("cube")?.shape, [2, 3, 4]);
    assert.deepEqual(arrays.get("cube")?.data, Float64Array.from({ length: 24 }, (_, i) => i));
    assert.deepEqual(arrays.get("big")?.data, Float64Array.of(2 ** 40 + 1, -7));
    assert.deepEqual(arrays.get("single")?.data, Float64Array.of(0.5, Math.fround(-1e-3)));
    assert.deepEqual(arrays.get("flag")?.data, Float64Array.of(1, 0));
    assert.deepEqual(arrays.get("empty"), { shape: [0, 3], data: new Float64Array(0) });
  }
});

Deno.test("readMat() gives back what writeMat() wrote", () => {
  const a = { shape: [2, 3], data: Float64Array.of(1, 2, 3, 4.5, NaN, -Infinity) };
  const b = { shape: [1, 2, 2], data: Float64Array.of(1, 2, 3, 4) };
  assert.deepEqual(readMat(writeMat({ a, b2: b })), new Map([["a", a], ["b2", b]]));
  assertInputError(() => writeMat({ "1a": a }), /a name of letters/);
  assertInputError(() => writeMat({ a: { ...a, shape: [5] } }), /two axes or more/);
});

Deno.test("readMat() reads big-endian files", () => {
  const bytes = golden("design_plain.mat").slice(0, 128);
  bytes.set([1, 0, 77, 73], 124); // version, "MI"
  const words = (...list: number[]) => list.flatMap((x) => [x >>> 24, x >>> 16, x >>> 8, x]);
  // A miMATRIX of 64 bytes: flags (uint16 class), dimensions [1, 2], the name "k" as a small element, values as int8.
  const matrix = words(
    14,
    56,
    6,
    8,
    11,
    0,
    5,
    8,
    1,
    2,
    (1 << 16) + 1,
    0x6b000000,
    4,
    4,
    0x00070102,
    0,
  );
  const file = new Uint8Array([...bytes, ...matrix.map((x) => x & 255)]);
  assert.deepEqual(
    readMat(file),
    new Map([["k", { shape: [1, 2], data: Float64Array.of(7, 258) }]]),
  );
});

Deno.test("readMat() refuses damaged and foreign files in one sentence", () => {
  const plain = golden("design_plain.mat"), packed = golden("design.mat");
  assertInputError(() => readMat(plain.slice(0, 100)), /the header of level 5/);
  assertInputError(
    () => readMat(new TextEncoder().encode("x".repeat(200))),
    /the header of level 5/,
  );
  const hdf5 = new Uint8Array(600);
  hdf5.set(new TextEncoder().encode("\x89HDF").slice(1), 0);
  assertInputError(() => readMat(hdf5, { source: "a.mat" }), /"a.mat": it is HDF5|level 5/);
  const newer = plain.slice();
  newer.set([0, 2], 124);
  assertInputError(() => readMat(newer), /version 7\.3/);
  assertInputError(() => readMat(packed.slice(0, packed.length - 9)), /cut off or damaged/);
  const broken = packed.slice();
  broken.fill(0xff, 140, 150);
  assertInputError(() => readMat(broken), /compressed data is damaged|cut off/);
  const words = (...list: number[]) => new Uint8Array(Uint32Array.from(list).buffer);
  const file = (...list: number[]) => new Uint8Array([...plain.slice(0, 128), ...words(...list)]);
  // 2^31 × 2^31 elements claimed, one there.
  const huge = file(
    14,
    56,
    6,
    8,
    6,
    0,
    5,
    8,
    2 ** 31 - 1,
    2 ** 31 - 1,
    (1 << 16) + 1,
    107,
    9,
    8,
    0,
    0,
  );
  assertInputError(() => readMat(huge), /"k" has the shape \[2147483647,2147483647\] and 1 values/);
  assertInputError(() => readMat(file(14, 2 ** 31, 0, 0)), /cut off or damaged/);
  assertInputError(
    () => readMat(file(14, 48, 6, 8, 6, 0, 5, 8, 1, 1, (1 << 16) + 1, 107, 99, 8)),
    /cut off|no type of numbers/,
  );
  // Every prefix and every single changed byte gives arrays or one sentence, never another failure.
  for (let length = 0; length < plain.length; length += 7) tryRead(plain.slice(0, length));
  for (let at = 128; at < plain.length; at += 3) {
    const changed = plain.slice();
    changed[at] ^= 0xff;
    tryRead(changed);
  }
});

function tryRead(bytes: Uint8Array<ArrayBuffer>): void {
  try {
    readMat(bytes);
  } catch (cause) {
    assertInputError(() => {
      throw cause;
    }, /^Cannot read the MATLAB file:/);
  }
}
