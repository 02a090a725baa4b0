/**
 * Arrays that are read part by part: every element once, whatever the order and the chunks on disk.
 */
import assert from "node:assert/strict";
import { readSamples, slabRows } from "../../pipelines/cli/read_matrix.ts";
import { openArray } from "../../pipelines/io/array_ref.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { chunkBoxes } from "../../pipelines/io/hdf5_layout.ts";
import { Hdf5Writer } from "../../pipelines/io/hdf5_writer.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { writeSafetensors } from "../../pipelines/io/safetensors.ts";
import { type HostArray, hostTensor } from "../../pipelines/io/state_dict.ts";
import { TestFolder } from "./io_fixtures.ts";

Deno.test("chunkBoxes() covers every element and touches every chunk once", () => {
  const cases: [shape: number[], chunks: number[]][] = [
    [[7], [3]],
    [[9, 8], [2, 3]],
    [[9, 8], [9, 1]],
    [[9, 8], [1, 8]],
    [[5, 4, 3], [2, 3, 2]],
    [[5, 4, 3], [7, 1, 1]],
    [[3, 0], [1, 1]],
  ];
  for (const [shape, chunks] of cases) {
    const row = shape.slice(1).reduce((a, b) => a * b, 1);
    for (const maxElements of [12, 20, 37, 1000]) {
      for (const [start, end] of [[0, shape[0]], [1, shape[0]], [1, 2], [2, 2]]) {
        const boxes = chunkBoxes(shape, chunks, { start, end, maxElements });
        const inner = shape.slice(2).reduce((a, b) => a * b, 1);
        const least = chunks[0] * Math.min(chunks[1] ?? 1, shape[1] ?? 1) * inner;
        assert.equal(boxes === undefined, least > maxElements && start < end && row > 0);
        const seen = new Uint8Array(shape[0] * row);
        const touched = new Set<string>();
        for (const { offset, count } of boxes ?? []) {
          assert(count.reduce((a, b) => a * b, 1) <= maxElements);
          const own = new Set<string>();
          for (let r = 0; r < count[0]; r++) {
            for (let c = 0; c < (count[1] ?? 1) * inner; c++) {
              const column = (offset[1] ?? 0) * inner + c;
              seen[(offset[0] + r) * row + column]++;
              const across = Math.floor(column / inner / (chunks[1] ?? 1));
              own.add(`${Math.floor((offset[0] + r) / chunks[0])},${across}`);
            }
          }
          for (const chunk of own) {
            assert(!touched.has(chunk), `[${shape}] by [${chunks}]: chunk ${chunk} twice`);
            touched.add(chunk);
          }
        }
        if (!boxes) continue;
        seen.forEach((times, at) => {
          const inside = at >= start * row && at < end * row;
          assert.equal(times, Number(inside), `[${shape}] by [${chunks}], element ${at}`);
        });
      }
    }
  }
});

/** Whole and a part, against `value(row, column)`. */
async function assertReads(
  ref: string,
  [n, columns]: [number, number],
  value: (row: number, column: number) => number,
): Promise<void> {
  using rows = await openArray(ref);
  for (const [start, end] of [[0, n], [1, Math.min(n, 4)], [n - 1, n], [2, 2]]) {
    const got = rows.readRows(start, end);
    assert.equal(got.length, (end - start) * columns);
    let wrong = -1;
    for (let r = start, at = 0; r < end; r++) {
      for (let c = 0; c < columns; c++, at++) if (got[at] !== value(r, c)) wrong = at;
    }
    assert.equal(wrong, -1, `${ref} ${start}..${end}: element ${wrong} is ${got[wrong]}`);
  }
}

Deno.test("openArray() reads odd chunks in part and whole", async () => {
  using folder = new TestFolder();
  const shape: [number, number] = [23, 37];
  const data = Float64Array.from({ length: 23 * 37 }, (_, i) => i / 8);
  for (const chunks of [[7, 11], [23, 1], [1, 37], [23, 37], [5, 36]]) {
    const path = folder.at(`${chunks.join("x")}.h5`);
    {
      using writer = await Hdf5Writer.create(path);
      writer.createDataset("x", { shape, dtype: "f64", chunks });
      writer.writeRows("x", 0, data);
      writer.commit();
    }
    await assertReads(path, shape, (r, c) => data[r * 37 + c]);
    using rows = await openArray(path);
    assert.equal(rows.rowsPerChunk, chunks[0]);
  }
});

Deno.test("openArray() reads tall chunks in tiles of columns", async () => {
  using folder = new TestFolder();
  // One band of chunks has 68 MB, more than is read at once; the last chunk is narrower.
  const [n, p] = [8200, 8300];
  const value = (r: number, c: number) => (r * 31 + c * 7 + (c >> 8)) & 127;
  const path = folder.at("tall.h5");
  {
    using writer = await Hdf5Writer.create(path);
    writer.createDataset("x", { shape: [n, p], dtype: "i8", chunks: [n, 1000] });
    const data = new Int8Array(n * p);
    for (let r = 0, at = 0; r < n; r++) for (let c = 0; c < p; c++, at++) data[at] = value(r, c);
    writer.writeRows("x", 0, data);
    writer.commit();
  }
  await assertReads(path, [n, p], value);
  using file = await Hdf5File.open(path);
  const columns = [...file.readBlocks("x", 0, n)].map(({ firstColumn }) => firstColumn);
  assert.deepEqual(columns, [0, 8000]);
  // The same in the file's own type.
  const { bytes } = file.readRows("x", n - 2, n);
  for (let c = 0; c < p; c++) assert.equal(bytes[p + c], value(n - 1, c));
});

/** A .npy file of any order. */
function npyBytes(descr: string, fortran: boolean, shape: readonly number[], bytes: Uint8Array) {
  const header =
    `{'descr': '${descr}', 'fortran_order': ${fortran ? "True" : "False"}, 'shape': (${
      shape.join(", ")
    },), }`.padEnd(117) + "\n";
  const file = new Uint8Array(10 + header.length + bytes.length);
  file.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length, 0]);
  file.set(new TextEncoder().encode(header), 10);
  file.set(bytes, 10 + header.length);
  return file;
}

Deno.test("openArray() reads .npy files of several blocks in both orders and byte orders", async () => {
  using folder = new TestFolder();
  const [n, p] = [1501, 1409]; // 17 MB of f64: more than one block, and neither side divides it
  const value = (r: number, c: number) => (r * 2 + c) / 4;
  for (const fortran of [false, true]) {
    const view = new DataView(new ArrayBuffer(8 * n * p));
    for (let r = 0; r < n; r++) {
      for (let c = 0; c < p; c++) {
        view.setFloat64(8 * (fortran ? c * n + r : r * p + c), value(r, c), fortran);
      }
    }
    const bytes = npyBytes(fortran ? "<f8" : ">f8", fortran, [n, p], new Uint8Array(view.buffer));
    await assertReads(folder.write(`${fortran}.npy`, bytes), [n, p], value);
  }
  // Three axes in Fortran order: element (i, j, k) lies at i + 2 j + 4 k.
  const bytes = npyBytes("|u1", true, [2, 2, 2], Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7));
  using rows = await openArray(folder.write("cube.npy", bytes));
  assert.deepEqual([...rows.readRows(0, 2)], [0, 4, 2, 6, 1, 5, 3, 7]);
  assert.deepEqual([...rows.readRows(1, 2)], [1, 5, 3, 7]);
});

Deno.test("openArray() converts every type of several blocks", async () => {
  using folder = new TestFolder();
  const [n, p] = [4099, 2111]; // 17 MB of f16
  const halves = new Float16Array(n * p).map((_, at) => at % 1000);
  const value = (r: number, c: number) => (r * p + c) % 1000;
  const half = hostTensor(halves, [n, p]);
  await assertReads(folder.write("h.npy", writeNpy(half)), [n, p], value);
  const checkpoint = writeSafetensors(new Map([["x", half]]));
  await assertReads(folder.write("h.safetensors", checkpoint), [n, p], value);
  const small: HostArray[] = [
    BigInt64Array.of(-3n, 4n),
    BigUint64Array.of(3n, 4n),
    Int16Array.of(-3, 4),
    Uint32Array.of(3, 4),
  ];
  for (const data of small) {
    using rows = await openArray(folder.write("i.npy", writeNpy(hostTensor(data, [2, 1]))));
    assert.deepEqual([...rows.readRows(0, 2)], [...data].map(Number));
  }
});

Deno.test("readSamples() names row and column of a value that is not finite", async () => {
  using folder = new TestFolder();
  for (const bad of [NaN, Infinity, -Infinity]) {
    const data = new Float32Array(12).fill(1);
    data[7] = bad;
    const path = folder.write("x.npy", writeNpy(hostTensor(data, [4, 3])));
    await assert.rejects(readSamples(path, "features"), {
      name: "InputError",
      message: new RegExp(`row 2, column 1 \\(counted from 0\\) is ${bad}`),
    });
  }
});

Deno.test("slabRows() reads whole chunks", () => {
  const cases = [[1, 7.5, 7], [1, 0.2, 1], [4, 11, 8], [4, 3, 4], [100, 7, 100]];
  for (const [rowsPerChunk, wanted, want] of cases) {
    assert.equal(slabRows({ rowsPerChunk }, wanted), want);
  }
});
