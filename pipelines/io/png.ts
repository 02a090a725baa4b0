import { crc32, inflateSync } from "node:zlib";
import { Buffer } from "node:buffer";
import { PNG } from "pngjs";
import { InputError } from "../errors.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { AtomicFile } from "./atomic.ts";
import { RandomAccessFile } from "./files.ts";
import { quote } from "./strict_json.ts";

/** Largest image that is read, in pixels: 16,384 squared, a gigabyte while it is decoded. */
export const maxPngPixels = 2 ** 28;

/** Longest side: beyond it the decoder's count of bits in a row passes 2^31. */
const maxSide = 2 ** 24;

/** Deflate cannot do better than 1,032 bytes for one (zlib's technical notes). */
const maxDeflateRatio = 1032;

const signature = "\x89PNG\r\n\x1a\n";

/** Channels and allowed bits a channel of each colour type (PNG specification, table 11.1). */
const formats: Readonly<Record<number, { channels: number; depths: readonly number[] }>> = {
  0: { channels: 1, depths: [1, 2, 4, 8, 16] },
  2: { channels: 3, depths: [8, 16] },
  3: { channels: 1, depths: [1, 2, 4, 8] },
  4: { channels: 2, depths: [8, 16] },
  6: { channels: 4, depths: [8, 16] },
};

/** First pixel and steps of the passes of an interlaced image (Adam7), as [x, y, dx, dy]. */
const adam7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
];

interface Chunk {
  readonly type: string;
  /** Its place in the file: length, type, data and checksum. */
  readonly start: number;
  readonly end: number;
}

/** What the file is instead of a PNG. */
function foreignFormat(bytes: Uint8Array): string {
  const head = String.fromCharCode(...bytes.subarray(0, 12));
  if (head.startsWith("\xff\xd8\xff")) return "it is a JPEG file, which has to be converted to PNG";
  if (head.startsWith("GIF8")) return "it is a GIF file, which has to be converted to PNG";
  if (head.slice(8, 12) === "WEBP") return "it is a WebP file, which has to be converted to PNG";
  return bytes.length === 0 ? "it is empty" : "it is not a PNG file";
}

/** The chunks up to IEND; what follows it is ignored, as everywhere. */
function chunksOf(bytes: Uint8Array, cannot: string): Chunk[] {
  if (String.fromCharCode(...bytes.subarray(0, 8)) !== signature) {
    throw new InputError(`${cannot} ${foreignFormat(bytes)}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chunks: Chunk[] = [];
  for (let start = 8; chunks.at(-1)?.type !== "IEND";) {
    const end = start + 12 <= bytes.length ? start + 12 + view.getUint32(start) : Infinity;
    if (end > bytes.length) {
      throw new InputError(`${cannot} it is cut off after ${bytes.length} bytes`);
    }
    const type = String.fromCharCode(...bytes.subarray(start + 4, start + 8));
    if (crc32(bytes.subarray(start + 4, end - 4)) !== view.getUint32(end - 4)) {
      throw new InputError(
        `${cannot} it is damaged: the checksum of its part ${quote(type)} is wrong`,
      );
    }
    chunks.push({ type, start, end });
    start = end;
  }
  const headers = chunks.filter(({ type }) => type === "IHDR").length;
  if (chunks[0].type !== "IHDR" || headers !== 1 || chunks[0].end - chunks[0].start !== 25) {
    throw new InputError(`${cannot} it must begin with one header`);
  }
  return chunks;
}

function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

interface Header {
  readonly width: number;
  readonly height: number;
  readonly depth: number;
  readonly channels: number;
  readonly interlaced: boolean;
}

/** The header, refused where it is not one of PNG's formats or larger than is read. */
function readHeader(bytes: Uint8Array, cannot: string): Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset + 16, 13);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [depth, color, compression, filter, interlace] = bytes.subarray(24, 29);
  const pixels = width * height;
  if (pixels === 0 || pixels > maxPngPixels || Math.max(width, height) > maxSide) {
    throw new InputError(
      `${cannot} it must have 1 to ${maxPngPixels} pixels, its header says ${width} × ${height}`,
    );
  }
  const format = formats[color];
  if (!format?.depths.includes(depth) || compression !== 0 || filter !== 0 || interlace > 1) {
    throw new InputError(
      `${cannot} its header is malformed: colour type ${color}, ${depth} bits, compression ` +
        `${compression}, filter ${filter}, interlace ${interlace}`,
    );
  }
  return { width, height, depth, channels: format.channels, interlaced: interlace === 1 };
}

/** Bytes that the pixels of an image have before compression, a filter byte in each row included. */
function rawBytes({ width, height, depth, channels, interlaced }: Header): number {
  let total = 0;
  for (const [x, y, dx, dy] of interlaced ? adam7 : [[0, 0, 1, 1]]) {
    const columns = Math.ceil((width - x) / dx);
    const rows = Math.ceil((height - y) / dy);
    if (columns > 0 && rows > 0) total += rows * (1 + Math.ceil(columns * channels * depth / 8));
  }
  return total;
}

/** Refuses pixel data that does not unpack to the size of the image: the decoder would fill in zeros. */
function checkData(
  bytes: Uint8Array,
  chunks: readonly Chunk[],
  header: Header,
  cannot: string,
): void {
  const parts = chunks.filter(({ type }) => type === "IDAT")
    .map(({ start, end }) => bytes.subarray(start + 8, end - 4));
  const packed = parts.reduce((sum, part) => sum + part.length, 0);
  const raw = rawBytes(header);
  if (packed * maxDeflateRatio < raw) {
    throw new InputError(
      `${cannot} ${packed} bytes of data cannot hold the ${header.width} × ${header.height} pixels of ` +
        `its header`,
    );
  }
  let size: number;
  try {
    size = inflateSync(join(parts), { maxOutputLength: raw }).length;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new InputError(`${cannot} it is damaged: its pixels do not unpack (${reason})`, {
      cause,
    });
  }
  if (size !== raw) {
    throw new InputError(`${cannot} it is damaged: its pixels need ${raw} bytes, it has ${size}`);
  }
}

/** What is read, for error messages. */
export interface ReadPngOptions {
  /** Name of the file, for error messages. */
  source?: string;
}

/**
 * The colours of a PNG file, as PIL's `convert("RGB")` gives them: grey and palette images are expanded, alpha is
 * dropped (not blended), 16-bit channels keep their upper byte. One difference: PIL saturates 16-bit grey images
 * at 255, here they too keep the upper byte.
 *
 * @throws {InputError} when it is no PNG, is damaged or cut off, or has more than 2^28 pixels
 */
export function readPng(bytes: Uint8Array, { source }: ReadPngOptions = {}): RgbImage {
  const cannot = `Cannot read the image ${
    source === undefined ? "in the given bytes" : quote(source)
  }:`;
  const chunks = chunksOf(bytes, cannot);
  const header = readHeader(bytes, cannot);
  checkData(bytes, chunks, header, cannot);
  // Only what makes colours: the decoder would paint pixels of a transparent colour (tRNS) black.
  const kept = chunks.filter(({ type }) => ["IHDR", "PLTE", "IDAT", "IEND"].includes(type));
  const plain = join([
    bytes.subarray(0, 8),
    ...kept.map(({ start, end }) => bytes.subarray(start, end)),
  ]);
  let decoded: { width: number; height: number; data: Uint8Array | Uint16Array };
  try {
    // 16-bit channels unscaled: the decoder would round where PIL takes the upper byte.
    decoded = PNG.sync.read(Buffer.from(plain.buffer), { skipRescale: header.depth === 16 });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new InputError(`${cannot} it is damaged: ${reason}`, { cause });
  }
  const { width, height, data: rgba } = decoded;
  const data = new Uint8Array(3 * width * height);
  const shift = header.depth === 16 ? 8 : 0;
  for (let from = 0, to = 0; to < data.length; from++) {
    data[to++] = rgba[from++] >> shift;
    data[to++] = rgba[from++] >> shift;
    data[to++] = rgba[from++] >> shift;
  }
  return { width, height, data };
}

/**
 * The colours of a PNG file on disk; see `readPng`. Needs the permission to read it.
 *
 * @throws {InputError} when there is no such file, it is no PNG, is damaged or cut off, or has more than 2^28 pixels
 */
export function loadPng(path: string): RgbImage {
  using file = new RandomAccessFile(path);
  return readPng(file.read(0, file.size), { source: path });
}

/** An image to write: RGB or RGBA, told by the length of `data`. */
export interface WritableImage {
  /** Pixels in a row. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
  /** `[height, width, 3]` or `[height, width, 4]`. */
  readonly data: Uint8Array;
}

/** A PNG file of an 8-bit RGB or RGBA image. */
export function writePng({ width, height, data }: WritableImage): Uint8Array<ArrayBuffer> {
  const channels = data.length / (width * height);
  if (channels !== 3 && channels !== 4) {
    throw new Error(
      `Cannot write a PNG of ${width} × ${height}: 3 or 4 bytes a pixel are needed, got ${data.length} bytes`,
    );
  }
  const colorType = channels === 3 ? 2 : 6;
  const options = { colorType, inputColorType: colorType, inputHasAlpha: channels === 4 };
  const pixels = Buffer.from(data.buffer, data.byteOffset, data.length);
  return new Uint8Array(PNG.sync.write({ width, height, data: pixels }, options));
}

/**
 * Writes a PNG file of an 8-bit RGB or RGBA image; it appears under its name when it is whole.
 *
 * @throws {InputError} when the file system refuses, for want of space for example
 */
export function savePng(path: string, image: WritableImage): void {
  using file = new AtomicFile(path);
  file.write(writePng(image));
  file.commit();
}
