import { InputError } from "../errors.ts";
import {
  dtypeBytes,
  type HostDType,
  type HostTensor,
  shapeSize,
  type StateDict,
} from "./state_dict.ts";
import { isJsonObject, type JsonObject, parseJsonObject, quote } from "./strict_json.ts";

// The format (huggingface/safetensors, README "Format"): 8 bytes little-endian header length N, N bytes of UTF-8
// JSON beginning with "{" and maybe padded with spaces, then the tensors' bytes, C order, little-endian, without
// holes. Offsets count from the end of the header. `__metadata__` maps strings to strings.

/** Largest header that is read: the limit of the reference implementation, MAX_HEADER_SIZE. */
const maxHeaderBytes = 100_000_000;

/** Element types by the format's names. */
const dtypes: ReadonlyMap<string, HostDType> = new Map([
  ["F64", "f64"],
  ["F32", "f32"],
  ["F16", "f16"],
  ["BF16", "bf16"],
  ["I64", "i64"],
  ["I32", "i32"],
  ["I16", "i16"],
  ["I8", "i8"],
  ["U64", "u64"],
  ["U32", "u32"],
  ["U16", "u16"],
  ["U8", "u8"],
  ["BOOL", "bool"],
]);

/** Where one tensor lies. */
export interface SafetensorsEntry {
  /** Element type. */
  readonly dtype: HostDType;
  /** Lengths of the axes, slowest first. */
  readonly shape: readonly number[];
  /** First byte, counted from the start of the file. */
  readonly start: number;
  /** Byte after the last, counted from the start of the file. */
  readonly end: number;
}

/** What the header of a safetensors file says. */
export interface SafetensorsHeader {
  /** The `__metadata__` entry, empty where the file has none. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The tensors in the header's order. */
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
}

/** What a file that is not safetensors at all most likely is, told by its first bytes. */
function foreignFormat(head: Uint8Array): string {
  const text = String.fromCharCode(...head.subarray(0, 8));
  if (text.startsWith("PK") || head[0] === 0x80) {
    return "it looks like a PyTorch checkpoint, which has to be converted to safetensors";
  }
  if (text.startsWith("\x89HDF")) return "it is an HDF5 file";
  if (text.startsWith("\x93NUMPY")) return "it is a .npy file";
  if (text.startsWith("version ")) return "it is a Git LFS pointer, not the file itself";
  return "it is not safetensors";
}

/**
 * Bytes of the JSON header, from the first eight bytes of a file.
 *
 * @throws {InputError} when the file is too short for its header or the header is longer than 100 MB
 */
export function safetensorsHeaderLength(
  head: Uint8Array,
  fileSize: number,
  source: string,
): number {
  const cannot = `Cannot read safetensors from ${source}:`;
  if (fileSize < 8 || head.byteLength < 8) {
    throw new InputError(
      `${cannot} a file starts with 8 bytes of header length, this one has ${fileSize} bytes`,
    );
  }
  // As a big integer: lengths above 2^53 would be rounded.
  const length = new DataView(head.buffer, head.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(maxHeaderBytes)) {
    throw new InputError(
      `${cannot} the header must have at most ${maxHeaderBytes} bytes, it claims ${length} ` +
        `(${foreignFormat(head)})`,
    );
  }
  if (8 + Number(length) > fileSize) {
    throw new InputError(
      `${cannot} the header claims ${length} bytes, the file has ${fileSize - 8} after its length`,
    );
  }
  return Number(length);
}

function parseEntry(
  name: string,
  value: unknown,
  dataStart: number,
  cannot: string,
): SafetensorsEntry {
  const tensor = `${cannot} tensor ${quote(name)}`;
  if (!isJsonObject(value)) throw new InputError(`${tensor} is not described by an object`);
  const { dtype, shape, data_offsets: offsets } = value;
  const hostDType = typeof dtype === "string" ? dtypes.get(dtype) : undefined;
  if (hostDType === undefined) {
    throw new InputError(
      `${tensor} has dtype ${quote(dtype)}, known are ${[...dtypes.keys()].join(" ")}`,
    );
  }
  const size = Array.isArray(shape) ? shapeSize(shape) : undefined;
  const bytes = size === undefined ? undefined : size * dtypeBytes[hostDType];
  if (bytes === undefined || !Number.isSafeInteger(bytes)) {
    throw new InputError(
      `${tensor} must have a shape of whole numbers with less than 2^53 bytes, has ${quote(shape)}`,
    );
  }
  if (
    !Array.isArray(offsets) || offsets.length !== 2 ||
    shapeSize(offsets.slice(0, 1)) === undefined ||
    shapeSize(offsets.slice(1)) === undefined || offsets[0] > offsets[1]
  ) {
    throw new InputError(
      `${tensor} must have data_offsets of two whole numbers, begin <= end, has ${quote(offsets)}`,
    );
  }
  if (offsets[1] - offsets[0] !== bytes) {
    throw new InputError(
      `${tensor} of ${dtype} ${quote(shape)} needs ${bytes} bytes, ` +
        `data_offsets ${quote(offsets)} hold ${offsets[1] - offsets[0]}`,
    );
  }
  return {
    dtype: hostDType,
    shape: shape as number[],
    start: dataStart + offsets[0],
    end: dataStart + offsets[1],
  };
}

function parseMetadata(value: unknown, cannot: string): Record<string, string> {
  if (value === undefined) return {};
  const isStrings = isJsonObject(value) && Object.values(value).every((v) => typeof v === "string");
  if (!isStrings) throw new InputError(`${cannot} __metadata__ must map strings to strings`);
  return value as Record<string, string>;
}

/** Refuses tensors that overlap, leave a hole, or do not end where the file ends. */
function checkLayout(
  entries: ReadonlyMap<string, SafetensorsEntry>,
  dataStart: number,
  fileSize: number,
  cannot: string,
): void {
  const sorted = [...entries].sort(([, a], [, b]) => a.start - b.start || a.end - b.end);
  let end = dataStart;
  let previous = "";
  for (const [name, entry] of sorted) {
    if (entry.end > fileSize) {
      throw new InputError(
        `${cannot} tensor ${quote(name)} ends at byte ${entry.end}, the file has ${fileSize} ` +
          `(is it cut off?)`,
      );
    }
    if (entry.start < end) {
      throw new InputError(`${cannot} tensors ${quote(previous)} and ${quote(name)} overlap`);
    }
    if (entry.start > end) {
      throw new InputError(
        `${cannot} ${entry.start - end} bytes before tensor ${quote(name)} belong to no tensor`,
      );
    }
    end = entry.end;
    previous = name;
  }
  if (end !== fileSize) {
    throw new InputError(
      `${cannot} ${fileSize - end} bytes after the last tensor belong to no tensor`,
    );
  }
}

/**
 * Checks and decodes the JSON header of a safetensors file.
 *
 * @param json the bytes of the header, without the eight bytes of its length
 * @param fileSize bytes of the whole file
 * @param source what is read, for messages
 * @throws {InputError} when the header is not JSON, repeats a name, has an unknown dtype, or when offsets are not
 *   whole numbers, do not fit dtype and shape, overlap, leave holes, or do not end at the end of the file
 */
export function parseSafetensorsHeader(
  json: Uint8Array,
  fileSize: number,
  source: string,
): SafetensorsHeader {
  const cannot = `Cannot read safetensors from ${source}:`;
  const header: JsonObject = parseJsonObject(json, `${cannot} its header`);
  const dataStart = 8 + json.byteLength;
  const entries = new Map<string, SafetensorsEntry>();
  for (const [name, value] of Object.entries(header)) {
    if (name !== "__metadata__") entries.set(name, parseEntry(name, value, dataStart, cannot));
  }
  checkLayout(entries, dataStart, fileSize, cannot);
  return { metadata: parseMetadata(header.__metadata__, cannot), entries };
}

/** What is read, for error messages. */
export interface ReadSafetensorsOptions {
  /** Name of the file, for error messages. */
  source?: string;
}

/**
 * Header of a safetensors file in memory: its metadata, and where each tensor lies.
 *
 * @throws {InputError} when the bytes are not a whole and well-formed safetensors file
 */
export function readSafetensorsHeader(
  bytes: Uint8Array,
  { source }: ReadSafetensorsOptions = {},
): SafetensorsHeader {
  const from = source === undefined ? "the given bytes" : quote(source);
  const length = safetensorsHeaderLength(bytes.subarray(0, 8), bytes.byteLength, from);
  return parseSafetensorsHeader(bytes.subarray(8, 8 + length), bytes.byteLength, from);
}

/**
 * The tensors of a safetensors file in memory, as views of `bytes` without copying.
 *
 * @example
 * ```ts
 * import { hostTensor, readSafetensors, writeSafetensors } from "@gyrus/gyrus";
 * const file = writeSafetensors(new Map([["w", hostTensor(new Float32Array(6), [2, 3])]]));
 * readSafetensors(file).get("w")?.shape; // [2, 3]
 * ```
 *
 * @throws {InputError} when the bytes are not a whole and well-formed safetensors file
 */
export function readSafetensors(
  bytes: Uint8Array,
  options: ReadSafetensorsOptions = {},
): StateDict {
  const { entries } = readSafetensorsHeader(bytes, options);
  const { buffer } = bytes;
  // Shared memory can change under the reader's feet, so it alone is copied.
  const own = buffer instanceof ArrayBuffer
    ? new Uint8Array(buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes);
  const tensors = new Map<string, HostTensor>();
  for (const [name, { dtype, shape, start, end }] of entries) {
    tensors.set(name, { dtype, shape, bytes: own.subarray(start, end) });
  }
  return tensors;
}

const dtypeNames = new Map([...dtypes].map(([name, dtype]) => [dtype, name]));

/** The eight bytes of length, the header, and the tensors in the order of their bytes. */
export interface SafetensorsPlan {
  /** First bytes of the file: header length and header. */
  readonly head: Uint8Array<ArrayBuffer>;
  /** Names in the order in which their bytes follow. */
  readonly order: readonly string[];
  /** Bytes of the whole file. */
  readonly size: number;
}

/**
 * Lays out a safetensors file: widest elements first, then by name, as the reference implementation does, so
 * that every tensor is aligned and equal tensors give equal files.
 *
 * @throws {InputError} when a tensor's bytes do not fit its shape, or a tensor is named `__metadata__`
 */
export function planSafetensors(
  tensors: StateDict,
  metadata: Readonly<Record<string, string>> = {},
): SafetensorsPlan {
  const order = [...tensors.keys()].sort((a, b) =>
    dtypeBytes[tensors.get(b)!.dtype] - dtypeBytes[tensors.get(a)!.dtype] || (a < b ? -1 : 1)
  );
  const header = new Map<string, unknown>();
  if (Object.keys(metadata).length > 0) header.set("__metadata__", metadata);
  let offset = 0;
  for (const name of order) {
    const { dtype, shape, bytes } = tensors.get(name)!;
    const need = (shapeSize(shape) ?? NaN) * dtypeBytes[dtype];
    if (name === "__metadata__" || bytes.byteLength !== need) {
      throw new InputError(
        `Cannot write tensor ${quote(name)} to safetensors: ${dtype} [${shape}] with ` +
          `${bytes.byteLength} bytes${name === "__metadata__" ? " has a reserved name" : ""}`,
      );
    }
    const data_offsets = [offset, offset += need];
    header.set(name, { dtype: dtypeNames.get(dtype), shape, data_offsets });
  }
  const json = new TextEncoder().encode(jsonOf(header));
  const padded = Math.ceil(json.byteLength / 8) * 8;
  const head = new Uint8Array(8 + padded).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(padded), true);
  head.set(json, 8);
  return { head, order, size: head.byteLength + offset };
}

/** JSON object of a map; through text, as an object would move number-like names and lose "__proto__". */
function jsonOf(map: ReadonlyMap<string, unknown>): string {
  return `{${[...map].map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`).join(",")}}`;
}

/**
 * A safetensors file of the tensors, in memory.
 *
 * @param metadata strings to keep beside the tensors
 * @throws {InputError} when a tensor's bytes do not fit its shape, or a tensor is named `__metadata__`
 */
export function writeSafetensors(
  tensors: StateDict,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const { head, order, size } = planSafetensors(tensors, metadata);
  const file = new Uint8Array(size);
  file.set(head);
  let offset = head.byteLength;
  for (const name of order) {
    const { bytes } = tensors.get(name)!;
    file.set(bytes, offset);
    offset += bytes.byteLength;
  }
  return file;
}
