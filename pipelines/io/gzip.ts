/**
 * Files that may be packed with gzip, read from front to back with one chunk in memory at a time.
 *
 * @module
 */
import { createReadStream } from "node:fs";
import { createGunzip } from "node:zlib";
import { InputError } from "../errors.ts";
import { fileError, RandomAccessFile } from "./files.ts";

/** Bytes in memory at once; a multiple of every element's. */
export const CHUNK_BYTES: number = 4 * 2 ** 20;

/**
 * How many bytes a packed one can stand for at most: two bits of deflate repeat 258 bytes
 * (https://zlib.net/zlib_tech.html).
 */
export const MAX_INFLATION = 1032;

/** Whether bytes begin as gzip does. */
export function isGzip([first, second]: Uint8Array): boolean {
  return first === 0x1f && second === 0x8b;
}

/** Whether a file begins as gzip does. */
export function isGzipFile(file: RandomAccessFile): boolean {
  return isGzip(file.read(0, Math.min(2, file.size)));
}

/**
 * The bytes of a file from `start` on, unpacked where it is packed.
 *
 * @param cannot the beginning of error sentences, "Cannot read …:"
 * @throws {InputError} when the file cannot be read, or its gzip data is damaged
 */
export async function* unpacked(
  path: string,
  cannot: string,
  start = 0,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  using file = new RandomAccessFile(path);
  if (!isGzipFile(file)) {
    for (let at = start; at < file.size; at += CHUNK_BYTES) {
      yield file.read(at, Math.min(CHUNK_BYTES, file.size - at));
    }
    return;
  }
  const source = createReadStream(path, { highWaterMark: 2 ** 18 });
  const gunzip = createGunzip({ chunkSize: 2 ** 18 });
  source.on("error", (cause) => gunzip.destroy(cause));
  source.pipe(gunzip);
  try {
    let skip = start;
    for await (const chunk of gunzip) {
      if (skip < chunk.length) yield chunk.subarray(skip);
      skip = Math.max(0, skip - chunk.length);
    }
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    if (!code.startsWith("Z_")) throw fileError("read", path, cause);
    throw new InputError(`${cannot} its gzip data is damaged or cut off`, { cause });
  } finally {
    source.destroy();
    gunzip.destroy();
  }
}

/**
 * The first `length` unpacked bytes of a file from `start` on; fewer where it ends before.
 *
 * @throws {InputError} as {@link unpacked}
 */
export async function unpackedBytes(
  path: string,
  cannot: string,
  { start = 0, length }: { readonly start?: number; readonly length: number },
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  let got = 0;
  for await (const chunk of unpacked(path, cannot, start)) {
    const part = chunk.subarray(0, length - got);
    bytes.set(part, got);
    got += part.length;
    if (got === length) break;
  }
  return bytes.subarray(0, got);
}
