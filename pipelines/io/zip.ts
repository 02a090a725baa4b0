/**
 * Where the files of a ZIP archive lie, for archives that are not compressed (PKWARE's APPNOTE.TXT, sections 4.3 and 4.5.3).
 *
 * @module
 */
import { InputError } from "../errors.ts";
import type { RandomAccessFile } from "./files.ts";
import { quote } from "./strict_json.ts";

/** Bytes of a file in an archive. */
export interface ZipEntry {
  /** First byte, counted from the start of the archive. */
  readonly start: number;
  /** Byte after the last. */
  readonly end: number;
}

/** A directory of a million files at 100 bytes each. */
const MAX_DIRECTORY_BYTES = 100_000_000;
const END = 0x06054b50, END64 = 0x06064b50, LOCATOR64 = 0x07064b50;
const ENTRY = 0x02014b50, LOCAL = 0x04034b50;
const IN_EXTRA = 0xffffffff;

const viewOf = (bytes: Uint8Array) =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/**
 * The files of an archive by name.
 *
 * @throws {InputError} when the archive is damaged or cut off, has a name twice, or compressed or encrypted files
 */
export function readZipDirectory(file: RandomAccessFile): ReadonlyMap<string, ZipEntry> {
  const fail = (why: string): never => {
    throw new InputError(`Cannot read ${quote(file.path)}: ${why}`);
  };
  const { start, size, count } = findDirectory(file, fail);
  if (size > MAX_DIRECTORY_BYTES || start + size > file.size) fail("its directory is damaged");
  const bytes = file.read(start, size);
  const view = viewOf(bytes);
  const entries = new Map<string, ZipEntry>();
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 46 > size || view.getUint32(at, true) !== ENTRY) fail("its directory is damaged");
    const lengths = [28, 30, 32].map((field) => view.getUint16(at + field, true));
    const [name, extra, comment] = lengths;
    const end = at + 46 + name + extra + comment;
    if (end > size) fail("its directory is damaged");
    const key = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + name));
    const sizes = readSizes(view, at, at + 46 + name, extra) ?? fail("its directory is damaged");
    if ((view.getUint16(at + 8, true) & 1) !== 0) fail(`${quote(key)} in it is encrypted`);
    if (view.getUint16(at + 10, true) !== 0 || sizes.stored !== sizes.whole) {
      fail(`${quote(key)} in it is compressed, and PyTorch stores files as they are`);
    }
    if (entries.has(key)) fail(`it has ${quote(key)} twice`);
    entries.set(key, placeOf(file, sizes, fail));
    at = end;
  }
  return entries;
}

type Fail = (why: string) => never;

/** The end record, or the one for large archives that it points to. */
function findDirectory(
  file: RandomAccessFile,
  fail: Fail,
): { start: number; size: number; count: number } {
  const tail = Math.min(file.size, 22 + 65535);
  const bytes = file.read(file.size - tail, tail);
  const view = viewOf(bytes);
  let at = tail - 22;
  while (at >= 0 && view.getUint32(at, true) !== END) at--;
  if (at < 0) fail("it is a ZIP archive that is cut off");
  const end = file.size - tail + at;
  const small = {
    count: view.getUint16(at + 10, true),
    size: view.getUint32(at + 12, true),
    start: view.getUint32(at + 16, true),
  };
  const isLarge = small.count === 0xffff || small.size === IN_EXTRA || small.start === IN_EXTRA;
  if (!isLarge) return small;
  if (end < 20) fail("its directory is damaged");
  const locator = viewOf(file.read(end - 20, 20));
  const place = Number(locator.getBigUint64(8, true));
  if (locator.getUint32(0, true) !== LOCATOR64 || !(place + 56 <= end)) {
    fail("its directory is damaged");
  }
  const large = viewOf(file.read(place, 56));
  if (large.getUint32(0, true) !== END64) fail("its directory is damaged");
  return {
    count: Number(large.getBigUint64(32, true)),
    size: Number(large.getBigUint64(40, true)),
    start: Number(large.getBigUint64(48, true)),
  };
}

interface Sizes {
  readonly whole: number;
  readonly stored: number;
  readonly local: number;
}

/** Sizes and place of an entry; those that do not fit stand in its extra field 1, in this order. */
function readSizes(view: DataView, at: number, extra: number, length: number): Sizes | undefined {
  const fields = [24, 20, 42].map((field) => view.getUint32(at + field, true));
  for (let e = extra; e + 4 <= extra + length;) {
    const [id, bytes] = [view.getUint16(e, true), view.getUint16(e + 2, true)];
    if (e + 4 + bytes > extra + length) return undefined;
    let from = e + 4;
    for (let i = 0; id === 1 && i < 3; i++) {
      if (fields[i] !== IN_EXTRA) continue;
      if (from + 8 > e + 4 + bytes) return undefined;
      fields[i] = Number(view.getBigUint64(from, true));
      from += 8;
    }
    e += 4 + bytes;
  }
  const [whole, stored, local] = fields;
  return { whole, stored, local };
}

/** Bytes of an entry, behind its local header, whose names and padding have lengths of their own. */
function placeOf(file: RandomAccessFile, { whole, local }: Sizes, fail: Fail): ZipEntry {
  if (!(local + 30 <= file.size)) fail("its directory is damaged");
  const header = viewOf(file.read(local, 30));
  const start = local + 30 + header.getUint16(26, true) + header.getUint16(28, true);
  if (header.getUint32(0, true) !== LOCAL || !(start + whole <= file.size)) {
    fail("its directory is damaged");
  }
  return { start, end: start + whole };
}
