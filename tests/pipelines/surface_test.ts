/**
 * Readers of surfaces and of values on them. Files in `golden/surface` were written by nibabel 5.4.2; the others by the writers below.
 *
 * @module
 */
import assert from "node:assert/strict";
import { deflateSync, gzipSync } from "node:zlib";
import { InputError } from "../../pipelines/errors.ts";
import { MghFile } from "../../pipelines/io/mgh.ts";
import { readSurface, readVertexValues } from "../../pipelines/io/surface.ts";
import { TestFolder } from "./io_fixtures.ts";

const golden = (name: string) => new URL(`../golden/surface/${name}`, import.meta.url).pathname;

/** The tetrahedron of the golden files. */
const VERTICES = [0, 0, 0, 10, 0, 0, 0, 10, 0, 0, 0, 10.5];
const FACES = [0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3];

/** Bytes of numbers in an order. */
function pack(kind: "i32" | "f32" | "i16", values: readonly number[], little = false): Uint8Array {
  const width = kind === "i16" ? 2 : 4;
  const view = new DataView(new ArrayBuffer(width * values.length));
  values.forEach((value, i) => {
    if (kind === "i16") view.setInt16(2 * i, value, little);
    else if (kind === "i32") view.setInt32(4 * i, value, little);
    else view.setFloat32(4 * i, value, little);
  });
  return new Uint8Array(view.buffer);
}

function join(...parts: (Uint8Array | number[] | string)[]): Uint8Array {
  return Uint8Array.from(
    parts.flatMap((
      part,
    ) => [...(typeof part === "string" ? new TextEncoder().encode(part) : part)]),
  );
}

/** A patch from vertex codes and coordinates. */
function patch(points: readonly (readonly [number, number, number, number])[]): Uint8Array {
  const rows = points.map(([code, ...at]) => join(pack("i32", [code]), pack("f32", at)));
  return join([255, 255, 255, 255], pack("i32", [points.length]), ...rows);
}

/** A GIFTI file of arrays. */
function gifti(arrays: readonly { attributes: string; data: string }[]): string {
  const elements = arrays.map(({ attributes, data }) =>
    `<DataArray ${attributes}><MetaData/><Data>${data}</Data></DataArray>`
  );
  return `<?xml version="1.0"?>\n<!DOCTYPE GIFTI SYSTEM "gifti.dtd">\n<GIFTI Version="1.0">${
    elements.join("\n")
  }</GIFTI>\n`;
}

const attributes = (intent: string, type: string, dims: readonly number[], rest: string) =>
  `Intent="NIFTI_INTENT_${intent}" DataType="NIFTI_TYPE_${type}" Dimensionality="${dims.length}" ${
    dims.map((n, i) => `Dim${i}="${n}"`).join(" ")
  } ${rest}`;

const rejects = (promise: Promise<unknown>, message: RegExp) =>
  assert.rejects(promise, (error) => {
    assert.ok(error instanceof InputError, String(error));
    assert.match(error.message, message);
    return true;
  });

Deno.test("readSurface() reads FreeSurfer triangles and moves them to the scanner as nibabel's matrices do", async () => {
  const own = await readSurface(golden("lh.white"));
  assert.deepEqual([...own.vertices], VERTICES);
  assert.deepEqual([...own.faces], FACES);
  const { vertices } = await readSurface(golden("lh.white"), { space: "scanner" });
  // get_affine() @ inv(get_vox2ras_tkr()) of the same geometry, to nine digits as the file has them.
  const expected = [
    3.5,
    -20.25,
    11,
    13.05336,
    -23.2052,
    11,
    6.4552,
    -10.69664,
    11,
    3.5,
    -20.25,
    21.5,
  ];
  expected.forEach((value, i) => assert.ok(Math.abs(vertices[i] - value) < 2e-5, `${i}`));
});

Deno.test("readSurface() reads GIFTI in each encoding, byte order and index order", async () => {
  for (const name of ["ascii", "base64", "gzip"]) {
    const { vertices, faces } = await readSurface(golden(`${name}.surf.gii`));
    assert.deepEqual([...vertices], VERTICES);
    assert.deepEqual([...faces], FACES);
    const moved = await readSurface(golden(`${name}.surf.gii`), { space: "scanner" });
    // x + 5, −z + 6, y + 7.
    assert.deepEqual([...moved.vertices], [5, 6, 7, 15, 6, 7, 5, 6, 17, 5, -4.5, 7]);
  }
  using folder = new TestFolder();
  const columns = (values: readonly number[]) =>
    [0, 1, 2].flatMap((axis) => [0, 1, 2, 3].map((row) => values[3 * row + axis]));
  const base64 = (bytes: Uint8Array) => Uint8Array.from(bytes).toBase64();
  const order = `ArrayIndexingOrder="ColumnMajorOrder"`;
  const big = `Encoding="GZipBase64Binary" Endian="BigEndian" ${order}`;
  const text = gifti([
    {
      attributes: attributes("TRIANGLE", "INT32", [4, 3], big),
      data: base64(gzipSync(pack("i32", columns(FACES)))),
    },
    {
      attributes: attributes("POINTSET", "FLOAT32", [4, 3], big),
      data: `\n ${base64(deflateSync(pack("f32", columns(VERTICES))))}\n`,
    },
  ]);
  const old = text.replaceAll('"GZipBase64Binary"', '"GIFTI_ENCODING_B64GZ"')
    .replaceAll('"BigEndian"', '"GIFTI_ENDIAN_BIG"');
  for (const written of [text, old]) {
    const read = await readSurface(folder.write("big.gii", written));
    assert.deepEqual([...read.vertices], VERTICES);
    assert.deepEqual([...read.faces], FACES);
  }
});

Deno.test("readSurface() gives a patch the faces of the full surface between its vertices", async () => {
  using folder = new TestFolder();
  const full = await readSurface(golden("lh.white"));
  const path = folder.write(
    "lh.flat.patch.3d",
    patch([[4, 1, 2, 0], [-1, 3, 4, 0], [2, 5, 6, 0]]),
  );
  const { vertices, faces, vertexIndex, isBorder } = await readSurface(path, { full });
  assert.deepEqual([...vertices], [1, 2, 0, 3, 4, 0, 5, 6, 0]);
  assert.deepEqual([...vertexIndex ?? []], [3, 0, 1]);
  assert.deepEqual([...isBorder ?? []], [0, 1, 0]);
  assert.deepEqual([...faces], [1, 2, 0]); // Of 0 1 3 alone, renumbered.
  await rejects(readSurface(path), /has no faces of its own/);
  await rejects(readSurface(path, { full, space: "scanner" }), /no scanner coordinates/);
  for (const codes of [[5, 1], [0, 1], [2, -2], [-6, 1]]) {
    const other = folder.write("bad", patch(codes.map((code) => [code, 0, 0, 0])));
    await rejects(readSurface(other, { full }), /another one of the 4 of the surface/);
  }
});

Deno.test("readVertexValues() reads curvature, MGH, MGZ and GIFTI", async () => {
  const curvature = await readVertexValues(golden("lh.curv"));
  assert.deepEqual(curvature, Float32Array.of(0.5, -0.25, 3, -1e-3));
  // arange(12).reshape(4, 1, 1, 3) − 2.5; as int16, −2.5 … −0.5 were cut to −2 … 0.
  const frames = { "lh.betas.mgh": [-0.5, 2.5, 5.5, 8.5], "lh.betas.mgz": [0, 2, 5, 8] };
  for (const [name, values] of Object.entries(frames)) {
    assert.deepEqual([...await readVertexValues(golden(name), { frame: 2 })], values);
    assert.equal((await readVertexValues(golden(name)))[3], values[3] - 2);
    await rejects(
      readVertexValues(golden(name), { frame: 3 }),
      /has 3 frames, there is no frame 3/,
    );
  }
  const shape = golden("two.shape.gii");
  assert.deepEqual(await readVertexValues(shape), Float32Array.of(1.5, NaN, -2, Infinity));
  assert.deepEqual(await readVertexValues(shape, { frame: 1 }), Float32Array.of(1, 2, 3, 4));
  await rejects(readVertexValues(shape, { frame: 2 }), /has 2 frames/);
  await rejects(readVertexValues(golden("lh.white")), /it is a surface/);
  await rejects(readSurface(golden("lh.curv")), /as values per vertex do and old surfaces/);
});

Deno.test("MghFile reads frames of a file whose others it does not touch", async () => {
  using folder = new TestFolder();
  const [n, nFrames] = [5, 3];
  const header = new Uint8Array(284);
  header.set(pack("i32", [1, n, 1, 1, nFrames, 4, 0]));
  const values = Array.from({ length: n * nFrames }, (_, i) => 300 * i - 1000);
  const path = folder.write("lh.betas.mgh", join(header, pack("i16", values), "tags at the end"));
  const file = await MghFile.open(path);
  assert.deepEqual([file.nVertices, file.nFrames, file.dtype], [5, 3, "i16"]);
  assert.deepEqual([...await file.frame(2)], values.slice(10));
  await rejects(file.frame(0.5), /no frame 0.5/);
});

Deno.test("MghFile refuses headers that claim more than the file can hold, before any allocation", async () => {
  using folder = new TestFolder();
  const header = (...words: number[]) => {
    const bytes = new Uint8Array(284);
    bytes.set(pack("i32", [1, ...words, 0]));
    return bytes;
  };
  const huge = header(2 ** 30, 1, 1, 1, 3);
  await rejects(
    MghFile.open(folder.write("a.mgh", huge)),
    /need 4294967580 bytes, the file has 284/,
  );
  await rejects(
    MghFile.open(folder.write("a.mgz", gzipSync(huge))),
    /bytes, the file has \d+ packed/,
  );
  await rejects(MghFile.open(folder.write("b", header(2, -1, 1, 1, 3))), /axes are \[1,1,-1,2\]/);
  await rejects(MghFile.open(folder.write("c", header(2, 1, 1, 1, 9))), /data type is 9/);
  const two = gzipSync(join(header(2, 1, 1, 1, 3), pack("f32", [1])));
  await rejects(readVertexValues(folder.write("d.mgz", two)), /ends 4 bytes too early/);
  await rejects(readVertexValues(folder.write("e.mgz", two.subarray(0, 30))), /damaged or cut off/);
});

Deno.test("readSurface() says what is wrong with a GIFTI file", async () => {
  using folder = new TestFolder();
  const ascii = `Encoding="ASCII" Endian="LittleEndian" ArrayIndexingOrder="RowMajorOrder"`;
  const points = { attributes: attributes("POINTSET", "FLOAT32", [1, 3], ascii), data: "0 0 0" };
  const faces = { attributes: attributes("TRIANGLE", "INT32", [1, 3], ascii), data: "0 0 0" };
  const packed = ascii.replace("ASCII", "GZipBase64Binary");
  const bomb = Uint8Array.from(deflateSync(new Uint8Array(1e6))).toBase64();
  const cases: [string, RegExp][] = [
    [
      gifti([points]),
      /needs an array NIFTI_INTENT_TRIANGLE of \[n,3\], it has NIFTI_INTENT_POINTSET/,
    ],
    [gifti([points, { ...faces, data: "0 0 1" }]), /face 0 names vertex 1 of 1/],
    [gifti([points, { ...faces, data: "0 0 -1" }]), /face 0 names vertex -1/],
    [gifti([points, { ...faces, data: "0 0 0.5" }]), /0.5 is no i32/],
    [gifti([{ ...points, data: "0 0" }, faces]), /needs 3 numbers, has 2/],
    [gifti([{ ...points, data: "0 0 x" }, faces]), /"x" is no number/],
    [gifti([{ ...points, data: "0 0 nan" }, faces]), /must be finite, vertex 0 has NaN/],
    [
      gifti([
        { attributes: attributes("POINTSET", "FLOAT32", [1e9, 3], packed), data: "AAAA" },
        faces,
      ]),
      /needs 12000000000 bytes, has 3 packed/,
    ],
    [
      gifti([{ attributes: attributes("POINTSET", "FLOAT32", [1, 3], packed), data: bomb }, faces]),
      /more than 12 bytes/,
    ],
    [
      gifti([{ attributes: attributes("POINTSET", "FLOAT32", [1, 3], packed), data: "!" }, faces]),
      /not base64/,
    ],
    [
      gifti([{ attributes: attributes("POINTSET", "FLOAT32", [-1, 3], ascii), data: "" }, faces]),
      /axes must be 1 to 6 whole numbers/,
    ],
    [
      gifti([{ attributes: attributes("POINTSET", "COMPLEX64", [1, 3], ascii), data: "" }, faces]),
      /DataType must be .* is "NIFTI_TYPE_COMPLEX64"/,
    ],
    [gifti([points, faces]).replace('"ASCII"', '"ExternalFileBinary"'), /Encoding must be/],
    ["<GIFTI><DataArray></GIFTI>", /not well-formed XML/],
    ["<html/>", /its XML is "html", not GIFTI/],
  ];
  for (const [text, message] of cases) {
    await rejects(readSurface(folder.write("a.surf.gii", text)), message);
  }
  const good = folder.write("good.surf.gii", gifti([points, faces]));
  assert.equal((await readSurface(good)).faces.length, 3);
  await rejects(
    readSurface(good, { space: "scanner" }),
    /need a matrix to NIFTI_XFORM_SCANNER_ANAT, it has none/,
  );
});

Deno.test("the surface readers end in a result or an InputError for every cut and every changed byte", async () => {
  using folder = new TestFolder();
  const full = await readSurface(golden("lh.white"));
  const own = patch([[4, 1, 2, 0], [-1, 3, 4, 0], [2, 5, 6, 0]]);
  const files = ["lh.white", "lh.curv", "lh.betas.mgz", "gzip.surf.gii"]
    .map((name) => Deno.readFileSync(golden(name))).concat(Uint8Array.from(own));
  const judge = async (bytes: Uint8Array) => {
    const path = folder.write("x", bytes);
    for (const read of [readSurface(path, { full }), readVertexValues(path)]) {
      await read.catch((error) => {
        if (!(error instanceof InputError)) throw error;
      });
    }
  };
  for (const bytes of files) {
    // Every place of the binary headers, one in eleven after them.
    for (let at = 0; at < bytes.length; at += at < 40 ? 1 : 11) {
      await judge(bytes.subarray(0, at));
      for (const mask of [0x01, 0x80, 0xff]) {
        const changed = bytes.slice();
        changed[at] ^= mask;
        await judge(changed);
      }
    }
  }
});
