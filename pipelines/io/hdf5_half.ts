// Half-precision datasets. libhdf5 knows IEEE's binary16, but the package h5wasm refuses to create any float that has not 4
// or 8 bytes. So a dataset is created as float32 while it is empty, and its object header is rewritten: element type, element
// size, checksum. libhdf5 reads the header again and does everything else. Both types have descriptions of the same length.
//
// Format: "HDF5 File Format Specification Version 3.0", sections IV.A.1.b (object header), IV.A.2.d (datatype message),
// IV.A.2.i (data layout message), IV.A.1 (checksum: Jenkins' lookup3).

/** An object header of version 2 inside a file. */
export interface ObjectHeader {
  /** Its first byte. */
  readonly start: number;
  /** The first byte after its checksum. */
  readonly end: number;
  /** First byte of each message's content, by type; the first message of a type counts. */
  readonly messages: ReadonlyMap<number, number>;
}

/** Bits of a header's flags. */
const flag = { ordered: 4, phases: 16, times: 32 };
/** Types of messages. */
const message = { datatype: 3, layout: 8 };

/** Datatype messages, version 1, class 1 (floating point), little-endian, implied leading bit. */
const float32 = [0x11, 0x20, 31, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0];
const float16 = [0x11, 0x20, 15, 0, 2, 0, 0, 0, 0, 0, 16, 0, 10, 5, 0, 10, 15, 0, 0, 0];

function rotate(x: number, by: number): number {
  return (x << by) | (x >>> (32 - by));
}

/** The 12 bytes that a block of lookup3 ends with are mixed in another way than the others. */
function finalMix(a: number, b: number, c: number): number {
  c = (c ^ b) - rotate(b, 14) | 0;
  a = (a ^ c) - rotate(c, 11) | 0;
  b = (b ^ a) - rotate(a, 25) | 0;
  c = (c ^ b) - rotate(b, 16) | 0;
  a = (a ^ c) - rotate(c, 4) | 0;
  b = (b ^ a) - rotate(a, 14) | 0;
  c = (c ^ b) - rotate(b, 24) | 0;
  return c >>> 0;
}

/** Jenkins' lookup3 (`hashlittle`, start value 0), the checksum of HDF5's metadata. */
export function lookup3(bytes: Uint8Array): number {
  let a = 0xdeadbeef + bytes.length | 0;
  let b = a, c = a;
  const word = (at: number) => {
    let value = 0;
    for (let i = 0; i < 4; i++) value |= (bytes[at + i] ?? 0) << (8 * i);
    return value;
  };
  let at = 0;
  for (; bytes.length - at > 12; at += 12) {
    a = a + word(at) | 0;
    b = b + word(at + 4) | 0;
    c = c + word(at + 8) | 0;
    a = (a - c) ^ rotate(c, 4), c = c + b | 0;
    b = (b - a) ^ rotate(a, 6), a = a + c | 0;
    c = (c - b) ^ rotate(b, 8), b = b + a | 0;
    a = (a - c) ^ rotate(c, 16), c = c + b | 0;
    b = (b - a) ^ rotate(a, 19), a = a + c | 0;
    c = (c - b) ^ rotate(b, 4), b = b + a | 0;
  }
  if (at === bytes.length) return c >>> 0; // only of no bytes at all
  return finalMix(a + word(at) | 0, b + word(at + 4) | 0, c + word(at + 8) | 0);
}

/** Reads the object header at a place, or says that there is none by `undefined`. */
function headerAt(file: Uint8Array, start: number): ObjectHeader | undefined {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length - start < 16 || file[start + 4] !== 2) return undefined;
  const flags = file[start + 5];
  let at = start + 6 + (flags & flag.times ? 16 : 0) + (flags & flag.phases ? 4 : 0);
  const sizeBytes = 1 << (flags & 3);
  if (sizeBytes === 8 || at + sizeBytes > file.length) return undefined;
  let size = 0;
  for (let i = 0; i < sizeBytes; i++) size += file[at + i] * 2 ** (8 * i);
  at += sizeBytes;
  const end = at + size;
  if (end + 4 > file.length) return undefined;
  if (view.getUint32(end, true) !== lookup3(file.subarray(start, end))) return undefined;
  const messages = new Map<number, number>();
  const head = flags & flag.ordered ? 6 : 4;
  while (at + head <= end) {
    const type = file[at];
    if (!messages.has(type)) messages.set(type, at + head);
    at += head + view.getUint16(at + 1, true);
  }
  return { start, end: end + 4, messages };
}

/** All object headers in a file without raw data. A header is one whose checksum is right, whatever else has its signature. */
export function objectHeaders(file: Uint8Array): ObjectHeader[] {
  const found: ObjectHeader[] = [];
  for (let at = 0; at + 4 <= file.length; at++) {
    if (file[at] !== 0x4f || file[at + 1] !== 0x48) continue; // OHDR
    if (file[at + 2] !== 0x44 || file[at + 3] !== 0x52) continue;
    const header = headerAt(file, at);
    if (header) found.push(header);
  }
  return found;
}

/**
 * Makes the header of an empty, chunked float32 dataset that of a half-precision one, in place.
 *
 * @returns whether it was such a header; nothing is changed where it was not
 */
export function halveElements(file: Uint8Array, { start, end, messages }: ObjectHeader): boolean {
  const type = messages.get(message.datatype);
  const layout = messages.get(message.layout);
  if (type === undefined || layout === undefined) return false;
  if (!float32.every((byte, i) => file[type + i] === byte)) return false;
  // Layout message of version 3, class 2 (chunked): rank + 1, address, lengths of a chunk, of which the last is the element's.
  if (file[layout] !== 3 || file[layout + 1] !== 2) return false;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const element = layout + 3 + 8 + 4 * (file[layout + 2] - 1);
  if (view.getUint32(element, true) !== 4) return false;
  file.set(float16, type);
  view.setUint32(element, 2, true);
  view.setUint32(end - 4, lookup3(file.subarray(start, end - 4)), true);
  return true;
}

/** All bytes of an open file. */
export function wholeFile(disk: Deno.FsFile): Uint8Array {
  const bytes = new Uint8Array(disk.statSync().size);
  disk.seekSync(0, Deno.SeekMode.Start);
  for (let at = 0; at < bytes.length;) {
    const count = disk.readSync(bytes.subarray(at));
    if (count === null) break;
    at += count;
  }
  return bytes;
}

/** Writes bytes over a part of an open file. */
export function writeAt(disk: Deno.FsFile, at: number, bytes: Uint8Array): void {
  disk.seekSync(at, Deno.SeekMode.Start);
  for (let done = 0; done < bytes.length;) done += disk.writeSync(bytes.subarray(done));
}
