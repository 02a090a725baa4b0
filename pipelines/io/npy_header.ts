import { InputError } from "../errors.ts";
import { dtypeBytes, type HostDType, shapeSize } from "./state_dict.ts";
import { quote } from "./strict_json.ts";

// The format (numpy.lib.format, NEP 1): "\x93NUMPY", version, length of the header (2 bytes in version 1, 4 in 2 and
// 3), the header, a Python dict literal padded with spaces, then the elements.

/** What the header of a .npy file says. */
export interface NpyHeader {
  /** Element type. */
  readonly dtype: HostDType;
  /** Whether the elements' bytes are in the order opposite to the machine's. */
  readonly bigEndian: boolean;
  /** Whether the first axis is the fastest. */
  readonly fortranOrder: boolean;
  /** Lengths of the axes. */
  readonly shape: readonly number[];
  /** First byte of the elements. */
  readonly dataStart: number;
}

const magic = "\x93NUMPY";

/** Bytes that hold the magic, the version and the length of the header in every version. */
export const npyPreambleBytes = 12;

/** A header is a line of text; numpy itself refuses more than 10,000 characters without being asked. */
const maxHeaderBytes = 1_000_000;

const dtypes: Readonly<Record<string, HostDType>> = {
  f2: "f16",
  f4: "f32",
  f8: "f64",
  i1: "i8",
  i2: "i16",
  i4: "i32",
  i8: "i64",
  u1: "u8",
  u2: "u16",
  u4: "u32",
  u8: "u64",
  b1: "bool",
};

/**
 * Where the text of the header lies, from the first bytes of a file.
 *
 * @throws {InputError} when the file is no .npy file or is cut off
 */
export function npyHeaderRange(
  head: Uint8Array,
  fileSize: number,
  source: string,
): [number, number] {
  const text = String.fromCharCode(...head.subarray(0, 6));
  if (text !== magic) {
    const other = text.startsWith("PK") ? " (a .npz archive has to be unpacked first)" : "";
    throw new InputError(`Cannot read ${source}: it is not a .npy file${other}`);
  }
  const [major, minor] = [head[6], head[7]];
  if (head.length >= 8 && !([1, 2, 3].includes(major) && minor === 0)) {
    throw new InputError(
      `Cannot read ${source}: .npy versions 1.0, 2.0 and 3.0 are known, it is ${major}.${minor}`,
    );
  }
  const start = major === 1 ? 10 : 12;
  if (head.length < start) {
    throw new InputError(`Cannot read ${source}: it is cut off after ${head.length} bytes`);
  }
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const length = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > maxHeaderBytes || start + length > fileSize) {
    throw new InputError(
      `Cannot read ${source}: its header claims ${length} bytes, the file has ${fileSize}`,
    );
  }
  return [start, start + length];
}

/** The value after a key of the dict, and nothing if the key is missing or there twice. */
function valueOf(text: string, key: string, pattern: string): string | undefined {
  const found = [...text.matchAll(new RegExp(`['"]${key}['"]\\s*:\\s*(${pattern})\\s*[,}]`, "g"))];
  return found.length === 1 ? found[0][1] : undefined;
}

/**
 * Checks and decodes the header of a .npy file.
 *
 * @param bytes the text of the header
 * @param dataStart first byte after it
 * @throws {InputError} when it is malformed, holds records, text or Python objects, or does not fit the file
 */
export function parseNpyHeader(
  bytes: Uint8Array,
  dataStart: number,
  fileSize: number,
  source: string,
): NpyHeader {
  const text = new TextDecoder().decode(bytes).trimEnd();
  const cannot = `Cannot read ${source}:`;
  const order = valueOf(text, "fortran_order", "True|False");
  const shapeText = valueOf(text, "shape", "\\([\\dL,\\s]*\\)");
  const described = /['"]descr['"]\s*:\s*(\[|['"]([^'"]*)['"])/.exec(text);
  if (!/^\{.*\}$/s.test(text) || order === undefined || shapeText === undefined || !described) {
    throw new InputError(`${cannot} its header is malformed: ${quote(text)}`);
  }
  const descr = described[2] ?? "records";
  const dtype = /^[<>|=]/.test(descr) ? dtypes[descr.slice(1)] : undefined;
  if (dtype === undefined || !Object.hasOwn(dtypes, descr.slice(1))) {
    const kind = /^\|?O/.test(descr) ? "Python objects" : quote(descr);
    throw new InputError(
      `${cannot} its elements must be numbers or booleans (${
        Object.keys(dtypes).join(" ")
      }), they are ${kind}`,
    );
  }
  // Python 2 wrote long integers as 3L.
  const shape = shapeText.slice(1, -1).split(",").map((part) => part.trim().replace(/L$/, ""))
    .filter((part) => part !== "").map(Number);
  const size = shapeSize(shape);
  const need = size === undefined ? NaN : size * dtypeBytes[dtype];
  if (!Number.isSafeInteger(need)) {
    throw new InputError(`${cannot} its shape ${quote(shapeText)} must be less than 2^53 bytes`);
  }
  if (dataStart + need !== fileSize) {
    throw new InputError(
      `${cannot} ${dtype} [${shape}] needs ${need} bytes after the header, the file has ` +
        `${fileSize - dataStart}`,
    );
  }
  return {
    dtype,
    bigEndian: descr[0] === ">",
    fortranOrder: order === "True" && shape.length > 1,
    shape,
    dataStart,
  };
}

/**
 * Header of a little-endian .npy file in C order, padded so that the elements begin at a multiple of 64 bytes.
 *
 * @throws {InputError} when the type is `bf16`, for which numpy has no name
 */
export function formatNpyHeader(
  dtype: HostDType,
  shape: readonly number[],
): Uint8Array<ArrayBuffer> {
  const name = Object.keys(dtypes).find((key) => dtypes[key] === dtype);
  if (name === undefined) {
    throw new InputError(`Cannot write ${dtype} to .npy: numpy has no such type`);
  }
  const descr = `${dtypeBytes[dtype] === 1 ? "|" : "<"}${name}`;
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${tuple}, }`;
  const preamble = 10;
  const length = Math.ceil((preamble + text.length + 1) / 64) * 64 - preamble;
  const bytes = new Uint8Array(preamble + length).fill(0x20);
  bytes.set([...magic].map((char) => char.charCodeAt(0)));
  bytes.set([1, 0, length & 255, length >> 8], 6);
  bytes.set(new TextEncoder().encode(text), preamble);
  bytes[bytes.length - 1] = 0x0a;
  return bytes;
}
