import assert from "node:assert/strict";
import { crc32, deflateSync } from "node:zlib";
import { loadPng, readPng, savePng, writePng } from "../../pipelines/io/png.ts";
import { assertInputError, TestFolder } from "./io_fixtures.ts";

function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(type), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

const signature = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]);
const concat = (...parts: Uint8Array[]) => new Uint8Array(parts.flatMap((part) => [...part]));

function header(
  width: number,
  height: number,
  depth: number,
  color: number,
  interlaced = 0,
): Uint8Array {
  const data = new Uint8Array(13);
  const view = new DataView(data.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  data.set([depth, color, 0, 0, interlaced], 8);
  return chunk("IHDR", data);
}

/** Rows of samples (channels interleaved), packed most significant bit first, each after a filter byte 0. */
function pack(rows: number[][], depth: number): Uint8Array {
  const bytes: number[] = [];
  for (const row of rows) {
    const bits = row.map((sample) => sample.toString(2).padStart(depth, "0")).join("");
    bytes.push(0, ...(bits.match(/.{1,8}/g) ?? []).map((byte) => parseInt(byte.padEnd(8, "0"), 2)));
  }
  return new Uint8Array(bytes);
}

const end = chunk("IEND", new Uint8Array(0));
const idat = (raw: Uint8Array) => chunk("IDAT", deflateSync(raw));

/** A PNG of a random image in a format: its file and its samples by [row][sample]. */
function random(color: number, depth: number, [width, height]: number[]) {
  const channels = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }[color]!;
  const samples = Array.from(
    { length: height },
    () => Array.from({ length: width * channels }, () => Math.floor(Math.random() * 2 ** depth)),
  );
  const palette = crypto.getRandomValues(new Uint8Array(3 * 2 ** Math.min(depth, 8)));
  return { channels, samples, palette };
}

/** What PIL's convert("RGB") gives: dropped alpha, grey scaled to 255, upper byte of 16 bits. */
function expected(
  { channels, samples, palette }: ReturnType<typeof random>,
  color: number,
  depth: number,
): number[] {
  const scale = (sample: number) => depth === 16 ? sample >> 8 : sample * 255 / (2 ** depth - 1);
  const rgb: number[] = [];
  for (const row of samples) {
    for (let x = 0; x < row.length; x += channels) {
      if (color === 3) rgb.push(...palette.subarray(3 * row[x], 3 * row[x] + 3));
      else if (channels < 3) rgb.push(...Array(3).fill(scale(row[x])));
      else rgb.push(...row.slice(x, x + 3).map(scale));
    }
  }
  return rgb;
}

const formats: [color: number, depths: number[]][] = [
  [0, [1, 2, 4, 8, 16]],
  [2, [8, 16]],
  [3, [1, 2, 4, 8]],
  [4, [8, 16]],
  [6, [8, 16]],
];

Deno.test("readPng() gives the colours of every colour type and depth, as PIL does", () => {
  for (const [color, depths] of formats) {
    for (const depth of depths) {
      const image = random(color, depth, [7, 3]);
      const file = concat(
        signature,
        header(7, 3, depth, color),
        ...(color === 3 ? [chunk("PLTE", image.palette)] : []),
        idat(pack(image.samples, depth)),
        end,
      );
      const { width, height, data } = readPng(file);
      assert.deepEqual([width, height], [7, 3]);
      assert.deepEqual(
        [...data],
        expected(image, color, depth),
        `colour type ${color}, depth ${depth}`,
      );
    }
  }
});

Deno.test("readPng() reads interlaced images", () => {
  // Adam7: the first pixel and the steps of each pass.
  const passes = [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [
    1,
    0,
    2,
    2,
  ], [0, 1, 1, 2]];
  for (const [width, height] of [[9, 10], [1, 1], [2, 5], [8, 8]]) {
    const image = random(2, 8, [width, height]);
    const parts = passes.flatMap(([x0, y0, dx, dy]) => {
      const rows = image.samples.filter((_, y) => y >= y0 && (y - y0) % dy === 0)
        .map((row) =>
          row.filter((_, i) => Math.floor(i / 3) >= x0 && (Math.floor(i / 3) - x0) % dx === 0)
        )
        .filter((row) => row.length > 0);
      return [...pack(rows, 8)];
    });
    const file = concat(
      signature,
      header(width, height, 8, 2, 1),
      idat(new Uint8Array(parts)),
      end,
    );
    assert.deepEqual([...readPng(file).data], expected(image, 2, 8), `${width} × ${height}`);
  }
});

Deno.test("readPng() keeps the colours of transparent pixels", () => {
  const rows = [[10, 20, 30, 40, 50, 60]];
  const transparent = chunk("tRNS", new Uint8Array([0, 10, 0, 20, 0, 30]));
  const file = concat(signature, header(2, 1, 8, 2), transparent, idat(pack(rows, 8)), end);
  assert.deepEqual([...readPng(file).data], rows[0]);
  const palette = concat(
    signature,
    header(2, 1, 8, 3),
    chunk("PLTE", new Uint8Array([1, 2, 3, 4, 5, 6])),
    chunk("tRNS", new Uint8Array([0, 128])),
    idat(pack([[1, 0]], 8)),
    end,
  );
  assert.deepEqual([...readPng(palette).data], [4, 5, 6, 1, 2, 3]);
});

Deno.test("readPng() ignores what PIL ignores: gamma, unknown chunks, bytes after the end", () => {
  const rows = [[1, 2, 3]];
  const gamma = chunk("gAMA", new Uint8Array([0, 0, 1, 0]));
  const file = concat(
    signature,
    header(1, 1, 8, 2),
    gamma,
    chunk("abCd", new Uint8Array(5)),
    idat(pack(rows, 8)),
    end,
    new Uint8Array(9),
  );
  assert.deepEqual([...readPng(file).data], rows[0]);
});

/** A whole file of 2 × 2 pixels, and one fault at a time: name, file, what the sentence says. */
const raw = pack([[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]], 8);
const good = concat(signature, header(2, 2, 8, 2), idat(raw), end);
const change = (at: number) => good.map((byte, i) => i === at ? byte ^ 1 : byte);
const whole = (...parts: Uint8Array[]) => concat(signature, ...parts, end);
const faults: [name: string, bytes: Uint8Array, message: RegExp][] = [
  ["no bytes", new Uint8Array(0), /"x\.png": it is empty/],
  ["text", new TextEncoder().encode("hello world, hello"), /it is not a PNG file/],
  [
    "a JPEG",
    new Uint8Array([255, 216, 255, 224, 0, 16]),
    /it is a JPEG file, which has to be converted/,
  ],
  ["a WebP", new TextEncoder().encode("RIFF....WEBPVP8 "), /it is a WebP file/],
  ["only the signature", signature, /cut off after 8 bytes/],
  ["no end", good.subarray(0, good.length - 12), /cut off after/],
  ["cut in the data", good.subarray(0, 50), /cut off after 50 bytes/],
  ["a chunk of 4 GB", concat(signature, new Uint8Array([255, 255, 255, 255])), /cut off/],
  ["a wrong checksum", change(43), /it is damaged: the checksum of its part "IDAT" is wrong/],
  ["no header", whole(idat(raw)), /must begin with one header/],
  [
    "two headers",
    whole(header(1, 1, 8, 2), header(2, 2, 8, 2), idat(raw)),
    /must begin with one header/,
  ],
  [
    "a header of 12 bytes",
    whole(chunk("IHDR", new Uint8Array(12)), idat(raw)),
    /must begin with one/,
  ],
  [
    "no width",
    whole(header(0, 2, 8, 2), idat(raw)),
    /1 to 268435456 pixels, its header says 0 × 2/,
  ],
  [
    "2^64 pixels",
    whole(header(2 ** 32 - 1, 2 ** 32 - 1, 8, 2), idat(raw)),
    /4294967295 × 4294967295/,
  ],
  ["more than 268 megapixels", whole(header(16384, 16385, 8, 2), idat(raw)), /16384 × 16385/],
  ["a very long row", whole(header(2 ** 25, 1, 8, 2), idat(raw)), /33554432 × 1/],
  [
    "a large size without data",
    whole(header(16000, 16000, 8, 2), idat(raw)),
    /bytes of data cannot hold/,
  ],
  [
    "fewer rows than the header",
    whole(header(2, 3, 8, 2), idat(raw)),
    /its pixels need 21 bytes, it has 14/,
  ],
  ["no data", whole(header(2, 2, 8, 2)), /0 bytes of data cannot hold/],
  ["more rows than the header", whole(header(2, 1, 8, 2), idat(raw)), /its pixels do not unpack/],
  ["data that is not deflated", whole(header(2, 2, 8, 2), chunk("IDAT", raw)), /do not unpack/],
  [
    "deflated data cut off",
    whole(header(2, 2, 8, 2), chunk("IDAT", deflateSync(raw).subarray(0, 10))),
    /do not unpack|pixels need/,
  ],
  [
    "an unknown row filter",
    whole(header(1, 1, 8, 2), idat(new Uint8Array([9, 1, 2, 3]))),
    /damaged: .*filter/,
  ],
  ["a depth of 3", whole(header(2, 2, 3, 0), idat(raw)), /malformed: colour type 0, 3 bits/],
  [
    "a colour type of 5",
    whole(header(2, 2, 8, 5), idat(raw)),
    /malformed: colour type 5, 8 bits/,
  ],
  [
    "an index outside of the palette",
    whole(header(1, 1, 8, 3), chunk("PLTE", new Uint8Array(6)), idat(pack([[2]], 8))),
    /damaged: index 2 not in palette/,
  ],
  ["a palette that is missing", whole(header(1, 1, 8, 3), idat(pack([[2]], 8))), /damaged/],
  [
    "an interlaced bomb",
    whole(header(1, 1, 8, 2, 1), idat(new Uint8Array(10_000_000))),
    /do not unpack/,
  ],
];

Deno.test("readPng() refuses in one sentence when one thing is wrong", async (t) => {
  assert.equal(readPng(good).width, 2);
  for (const [name, bytes, message] of faults) {
    await t.step(name, () => assertInputError(() => readPng(bytes, { source: "x.png" }), message));
  }
});

Deno.test("readPng() refuses every cut of a file", () => {
  const good = writePng({ width: 5, height: 4, data: crypto.getRandomValues(new Uint8Array(60)) });
  for (let length = 0; length < good.length; length++) {
    assertInputError(
      () => readPng(good.subarray(0, length)),
      /^Cannot read the image in the given bytes: it/,
    );
  }
});

Deno.test("writePng() and savePng() write RGB and RGBA that readPng() reads", () => {
  using folder = new TestFolder();
  const rgba = crypto.getRandomValues(new Uint8Array(4 * 15));
  const rgb = rgba.filter((_, i) => i % 4 !== 3);
  assert.deepEqual([...readPng(writePng({ width: 5, height: 3, data: rgba })).data], [...rgb]);
  savePng(folder.at("a.png"), { width: 5, height: 3, data: rgb });
  assert.deepEqual(folder.list(), ["a.png"]);
  assert.deepEqual(loadPng(folder.at("a.png")), { width: 5, height: 3, data: rgb });
  assert.throws(
    () => writePng({ width: 5, height: 3, data: new Uint8Array(15) }),
    /3 or 4 bytes a pixel/,
  );
  assertInputError(() => loadPng(folder.at("b.png")), /b\.png": there is no such file/);
});
