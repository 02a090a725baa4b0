/**
 * Numeric arrays of MATLAB's own files, level 5 (`save -v6`, `-v7`, scipy's `savemat`).
 *
 * A reader of our own: the one npm package for compressed level-5 files (mat-for-js) is under the GPL and makes nested lists of boxed
 * numbers of what it reads. Only real full numeric and logical arrays are read; text, cells, structures and sparse arrays are passed
 * over. Source: MathWorks, "MAT-File Format", R2019b, chapter 1. Files of version 7.3 are HDF5: `Hdf5File` reads them.
 *
 * @module
 */
import { deflateSync, inflateSync } from "node:zlib";
import { InputError } from "../errors.ts";
import { shapeSize } from "./state_dict.ts";
import { quote } from "./strict_json.ts";

/** An array of a MATLAB file. */
export interface MatArray {
  /** Lengths of the axes as MATLAB states them, at least two. */
  readonly shape: readonly number[];
  /** Values in C order of `shape` (last axis fastest), as `scipy.io.loadmat` gives them. */
  readonly data: Float64Array<ArrayBuffer>;
}

/** What is read, for error messages. */
export interface ReadMatOptions {
  /** Name of the file. */
  readonly source?: string;
}

const HEADER = 128;
const MATRIX = 14; // miMATRIX
const COMPRESSED = 15; // miCOMPRESSED
const UINT32 = 6; // miUINT32, the type of the array flags
const INT32 = 5; // miINT32, the type of the dimensions
const INT8 = 1; // miINT8, the type of the name
const DOUBLE = 9; // miDOUBLE
const DOUBLE_CLASS = 6; // mxDOUBLE_CLASS; 6 to 15 are the numeric classes
const LAST_CLASS = 15; // mxUINT64_CLASS
const COMPLEX = 0x0800;
/** A few megabytes of hostile zlib data can claim to hold terabytes. */
const MAX_INFLATED = 2 ** 30;

/** Bytes of an element by its miTYPE, and how one is read. */
const TYPES: Readonly<
  Record<number, readonly [number, (view: DataView, at: number, little: boolean) => number]>
> = {
  1: [1, (view, at) => view.getInt8(at)],
  2: [1, (view, at) => view.getUint8(at)],
  3: [2, (view, at, little) => view.getInt16(at, little)],
  4: [2, (view, at, little) => view.getUint16(at, little)],
  5: [4, (view, at, little) => view.getInt32(at, little)],
  6: [4, (view, at, little) => view.getUint32(at, little)],
  7: [4, (view, at, little) => view.getFloat32(at, little)],
  9: [8, (view, at, little) => view.getFloat64(at, little)],
  12: [8, (view, at, little) => Number(view.getBigInt64(at, little))],
  13: [8, (view, at, little) => Number(view.getBigUint64(at, little))],
};

interface Element {
  readonly type: number;
  readonly start: number;
  readonly length: number;
  /** Where the next element begins. */
  readonly next: number;
}

/** One run of elements: the file after its header, or what one compressed element holds. */
class Elements {
  readonly view: DataView;

  constructor(
    readonly bytes: Uint8Array<ArrayBuffer>,
    readonly little: boolean,
    readonly cannot: string,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  at(offset: number, end: number): Element {
    this.#require(offset + 8, end);
    const word = this.view.getUint32(offset, this.little);
    // Small elements keep their length in the upper half of the tag and up to 4 bytes where the length would stand.
    const small = word >>> 16;
    const type = small > 0 ? word & 0xffff : word;
    const length = small > 0 ? small : this.view.getUint32(offset + 4, this.little);
    if (small > 4) throw new InputError(`${this.cannot} a small element claims ${small} bytes`);
    const start = offset + (small > 0 ? 4 : 8);
    this.#require(start + length, end);
    // Padded to 8 bytes; compressed ones are not, and the last one of a file need not be.
    const padded = type === COMPRESSED ? length : Math.ceil(length / 8) * 8;
    const next = small > 0 ? offset + 8 : Math.min(start + padded, end);
    return { type, start, length, next };
  }

  #require(needed: number, end: number): void {
    if (needed > end) {
      throw new InputError(
        `${this.cannot} an element ends at byte ${needed}, there are ${end}: it is cut off or damaged`,
      );
    }
  }

  /** All values of an element. */
  numbers({ type, start, length }: Element, what: string): Float64Array<ArrayBuffer> {
    const [width, get] = TYPES[type] ?? [];
    if (width === undefined || get === undefined || length % width !== 0) {
      throw new InputError(
        `${this.cannot} ${what} are ${length} bytes of type ${type}, which is no type of numbers`,
      );
    }
    const out = new Float64Array(length / width);
    for (let i = 0; i < out.length; i++) {
      const value = get(this.view, start + i * width, this.little);
      if (type >= 12 && !Number.isSafeInteger(value)) {
        throw new InputError(`${this.cannot} ${what} have a 64-bit integer beyond ±2^53`);
      }
      out[i] = value;
    }
    return out;
  }
}

/** Reorders an array between the order of MATLAB (first axis fastest) and C. */
function reorder(
  data: Float64Array<ArrayBuffer>,
  shape: readonly number[],
  to: "c" | "matlab",
): Float64Array<ArrayBuffer> {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const out = new Float64Array(data.length);
  const place = shape.map(() => 0);
  let c = 0;
  for (let f = 0; f < data.length; f++) {
    if (to === "c") out[c] = data[f];
    else out[f] = data[c];
    for (let axis = 0; axis < shape.length; axis++) {
      c += strides[axis];
      if (++place[axis] < shape[axis]) break;
      c -= strides[axis] * shape[axis];
      place[axis] = 0;
    }
  }
  return out;
}

/** The array of a miMATRIX element, or `undefined` for what is not real numbers. */
function readMatrix(
  elements: Elements,
  { start, length }: Element,
): [string, MatArray] | undefined {
  const end = start + length;
  if (length === 0) return undefined;
  const flags = elements.at(start, end);
  const words = elements.numbers(flags, "the array flags");
  if (flags.type !== UINT32 || words.length !== 2) {
    throw new InputError(`${elements.cannot} an array does not begin with its flags`);
  }
  const kind = words[0] & 0xff;
  const isNumeric = kind >= DOUBLE_CLASS && kind <= LAST_CLASS && (words[0] & COMPLEX) === 0;
  if (!isNumeric) return undefined;
  const dimensions = elements.at(flags.next, end);
  const shape = [...elements.numbers(dimensions, "the dimensions")];
  const label = elements.at(dimensions.next, end);
  const name = new TextDecoder().decode(
    elements.bytes.subarray(label.start, label.start + label.length),
  );
  const data = elements.numbers(elements.at(label.next, end), `the values of ${quote(name)}`);
  if (shape.length < 2 || shapeSize(shape) !== data.length) {
    throw new InputError(
      `${elements.cannot} ${quote(name)} has the shape [${shape}] and ${data.length} values`,
    );
  }
  return [name, { shape, data: reorder(data, shape, "c") }];
}

function inflate(bytes: Uint8Array<ArrayBuffer>, cannot: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(inflateSync(bytes, { maxOutputLength: MAX_INFLATED }));
  } catch (cause) {
    const isLarge = cause instanceof Error && "code" in cause &&
      cause.code === "ERR_BUFFER_TOO_LARGE";
    throw new InputError(
      isLarge
        ? `${cannot} one of its arrays takes more than ${MAX_INFLATED} bytes`
        : `${cannot} its compressed data is damaged or cut off`,
      { cause },
    );
  }
}

/**
 * The real numeric arrays of a MATLAB level-5 file by name, compressed or not, little- or big-endian. Integers and logicals become
 * float64, which holds each of them exactly.
 *
 * @throws {InputError} when it is not such a file, it is damaged, or holds integers beyond ±2^53
 */
export function readMat(
  bytes: Uint8Array<ArrayBuffer>,
  { source }: ReadMatOptions = {},
): Map<string, MatArray> {
  const cannot = `Cannot read the MATLAB file${source === undefined ? "" : ` ${quote(source)}`}:`;
  const mark = String.fromCharCode(...bytes.subarray(126, 128));
  if (bytes.length < HEADER || (mark !== "IM" && mark !== "MI")) {
    const isHdf5 = String.fromCharCode(...bytes.subarray(1, 4)) === "HDF";
    throw new InputError(
      isHdf5
        ? `${cannot} it is HDF5 (version 7.3), save it with -v7`
        : `${cannot} it does not begin with the header of level 5`,
    );
  }
  const little = mark === "IM";
  const file = new Elements(bytes, little, cannot);
  if (file.view.getUint16(124, little) !== 0x0100) {
    throw new InputError(`${cannot} it is of version 7.3 (HDF5), save it with -v7`);
  }
  const arrays = new Map<string, MatArray>();
  for (let offset = HEADER; offset < bytes.length;) {
    const element = file.at(offset, bytes.length);
    offset = element.next;
    let [inside, matrix] = [file, element];
    if (element.type === COMPRESSED) {
      const packed = bytes.subarray(element.start, element.start + element.length);
      inside = new Elements(inflate(packed, cannot), little, cannot);
      matrix = inside.at(0, inside.bytes.length);
    }
    if (matrix.type !== MATRIX) continue; // Nothing else holds a variable.
    const array = readMatrix(inside, matrix);
    if (array) arrays.set(...array);
  }
  return arrays;
}

function element(type: number, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const padded = type === COMPRESSED ? data.length : Math.ceil(data.length / 8) * 8;
  const out = new Uint8Array(8 + padded);
  const view = new DataView(out.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, data.length, true);
  out.set(data, 8);
  return out;
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/**
 * A level-5 file of arrays of doubles, each compressed, as MATLAB's `save -v7` writes them.
 *
 * @param arrays values in C order by name; names are those of MATLAB variables
 * @throws {InputError} for a name MATLAB would not take, or a shape that does not fit its values
 */
export function writeMat(arrays: Readonly<Record<string, MatArray>>): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(HEADER).fill(32);
  header.set(new TextEncoder().encode("MATLAB 5.0 MAT-file"));
  header.set([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 73, 77], 116); // No subsystem data, version 0x0100, "IM".
  const parts: Uint8Array[] = [header];
  for (const [name, { shape, data }] of Object.entries(arrays)) {
    if (
      !/^[A-Za-z]\w{0,62}$/.test(name) || shape.length < 2 || shapeSize(shape) !== data.length
    ) {
      throw new InputError(
        `Cannot write the MATLAB array ${quote(name)}: a name of letters, two axes or more and ` +
          `their values are needed, got [${shape}] and ${data.length} values`,
      );
    }
    const bytes = (values: { buffer: ArrayBuffer }) => new Uint8Array(values.buffer);
    const matrix = joined([
      element(UINT32, bytes(Uint32Array.of(DOUBLE_CLASS, 0))),
      element(INT32, bytes(Int32Array.from(shape))),
      element(INT8, new TextEncoder().encode(name)),
      element(DOUBLE, bytes(reorder(data, shape, "matlab"))),
    ]);
    parts.push(element(COMPRESSED, deflateSync(element(MATRIX, matrix))));
  }
  return joined(parts);
}
