import { InputError } from "../errors.ts";
import { type ArrayBlock, BLOCK_BYTES } from "./array_block.ts";
import { AtomicFile } from "./atomic.ts";
import { RandomAccessFile } from "./files.ts";
import {
  formatNpyHeader,
  type NpyHeader,
  npyHeaderRange,
  npyPreambleBytes,
  parseNpyHeader,
} from "./npy_header.ts";
import {
  dtypeBytes,
  type HostArray,
  type HostDType,
  type HostTensor,
  hostTensor,
  shapeSize,
} from "./state_dict.ts";
import { quote } from "./strict_json.ts";

/** Reverses the bytes of every element in place. */
function swapBytes(bytes: Uint8Array, width: number): void {
  for (let at = 0; at < bytes.length; at += width) bytes.subarray(at, at + width).reverse();
}

/**
 * Elements of `[rows, ...rest]` from Fortran order (first axis fastest) to C order.
 *
 * @param bytes the elements, rows fastest
 */
function fortranToC(
  bytes: Uint8Array<ArrayBuffer>,
  shape: readonly number[],
  width: number,
): Uint8Array<ArrayBuffer> {
  const ordered = new Uint8Array(bytes.length);
  // Stride in Fortran order of each axis, walked with the last axis fastest.
  const strides = shape.map((_, axis) => width * shapeSize(shape.slice(0, axis))!);
  const index = shape.map(() => 0);
  let from = 0;
  for (let to = 0; to < bytes.length; to += width) {
    for (let byte = 0; byte < width; byte++) ordered[to + byte] = bytes[from + byte];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis];
      if (++index[axis] < shape[axis]) break;
      from -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return ordered;
}

/** Bytes as read, in little-endian C order. */
function normalize(
  bytes: Uint8Array<ArrayBuffer>,
  header: NpyHeader,
  shape: readonly number[],
): HostTensor {
  const width = dtypeBytes[header.dtype];
  const ordered = header.fortranOrder ? fortranToC(bytes, shape, width) : bytes;
  if (header.bigEndian && width > 1) swapBytes(ordered, width);
  return { dtype: header.dtype, shape, bytes: ordered };
}

/**
 * The array of a .npy file in memory (versions 1 to 3, little- and big-endian, C and Fortran order).
 *
 * @param options.source name of the file, for error messages
 * @throws {InputError} when it is no .npy file, is cut off, or holds records, text or Python objects
 */
export function readNpy(bytes: Uint8Array, { source }: { source?: string } = {}): HostTensor {
  const from = source === undefined ? "the given bytes" : quote(source);
  const [start, end] = npyHeaderRange(bytes.subarray(0, npyPreambleBytes), bytes.byteLength, from);
  const header = parseNpyHeader(bytes.subarray(start, end), end, bytes.byteLength, from);
  return normalize(bytes.slice(end), header, header.shape);
}

/** A .npy file of a tensor. */
export function writeNpy(tensor: HostTensor): Uint8Array<ArrayBuffer> {
  const header = formatNpyHeader(tensor.dtype, tensor.shape);
  const file = new Uint8Array(header.length + tensor.bytes.length);
  file.set(header);
  file.set(tensor.bytes, header.length);
  return file;
}

/** A .npy file open for reading rows. */
export class NpyFile {
  readonly #file: RandomAccessFile;
  readonly #header: NpyHeader;

  /**
   * Opens a file and reads its header. Needs the permission to read it.
   *
   * @throws {InputError} when it is no .npy file, is cut off, or holds records, text or Python objects
   */
  constructor(
    /** Where the file is. */
    readonly path: string,
  ) {
    this.#file = new RandomAccessFile(path);
    try {
      const { size } = this.#file;
      const head = this.#file.read(0, Math.min(npyPreambleBytes, size));
      const [start, end] = npyHeaderRange(head, size, quote(path));
      this.#header = parseNpyHeader(this.#file.read(start, end - start), end, size, quote(path));
    } catch (cause) {
      this.#file.close();
      throw cause;
    }
  }

  /** Element type. */
  get dtype(): HostDType {
    return this.#header.dtype;
  }

  /** Lengths of the axes, slowest first. */
  get shape(): readonly number[] {
    return this.#header.shape;
  }

  /**
   * Rows `start` to before `end` along the first axis, in C order: `[end - start, ...rest]`.
   *
   * @throws {InputError} when the array has fewer rows
   */
  readRows(start: number, end: number): HostTensor {
    const { shape, dtype, dataStart, fortranOrder } = this.#header;
    const [rows, ...rest] = shape;
    this.#requireRows(start, end);
    const width = dtypeBytes[dtype];
    const columns = shapeSize(rest)!;
    const count = end - start;
    const part = [count, ...rest];
    if (!fortranOrder || count === rows) {
      const bytes = this.#file.read(dataStart + start * columns * width, count * columns * width);
      return normalize(bytes, this.#header, part);
    }
    // In Fortran order each column lies in one piece: a run of rows is one short read in every column.
    const bytes = new Uint8Array(count * columns * width);
    for (let column = 0; column < columns; column++) {
      const into = bytes.subarray(column * count * width, (column + 1) * count * width);
      this.#file.readInto(dataStart + (column * rows + start) * width, into);
    }
    return normalize(bytes, this.#header, part);
  }

  #requireRows(start: number, end: number): void {
    const { shape } = this.#header;
    const whole = Number.isInteger(start) && Number.isInteger(end);
    if (shape.length === 0 || !whole || start < 0 || end < start || end > shape[0]) {
      throw new InputError(
        `Cannot read rows ${start} to ${end} of ${quote(this.path)}: its shape is [${shape}]`,
      );
    }
  }

  /**
   * Rows `start` to before `end` in blocks of about 16 MiB, so that a large array need not be in memory twice.
   *
   * @throws {InputError} when the array has fewer rows
   */
  *readBlocks(start: number, end: number): Generator<ArrayBlock> {
    const { shape, dtype, dataStart, fortranOrder, bigEndian } = this.#header;
    this.#requireRows(start, end);
    const rows = end - start, columns = shapeSize(shape.slice(1))!, width = dtypeBytes[dtype];
    if (rows * columns === 0) return;
    if (fortranOrder && shape.length > 2) {
      const tensor = { ...this.readRows(start, end), shape: [rows, columns] };
      return yield { firstRow: start, firstColumn: 0, tensor };
    }
    const [lines, length] = fortranOrder ? [columns, rows] : [rows, columns];
    const most = Math.min(lines, Math.max(1, Math.floor(BLOCK_BYTES / (length * width))));
    const memory = new Uint8Array(most * length * width);
    for (let line = 0; line < lines; line += most) {
      const count = Math.min(most, lines - line);
      const bytes = memory.subarray(0, count * length * width);
      if (!fortranOrder) this.#file.readInto(dataStart + (start + line) * length * width, bytes);
      for (let c = 0; c < count && fortranOrder; c++) {
        const at = dataStart + ((line + c) * shape[0] + start) * width;
        this.#file.readInto(at, bytes.subarray(c * length * width, (c + 1) * length * width));
      }
      if (bigEndian && width > 1) swapBytes(bytes, width);
      const tensor = { dtype, shape: [count, length], bytes };
      if (fortranOrder) yield { firstRow: start, firstColumn: line, tensor, isTransposed: true };
      else yield { firstRow: start + line, firstColumn: 0, tensor };
    }
  }

  /** The whole array. */
  read(): HostTensor {
    const { shape, dtype, dataStart } = this.#header;
    const bytes = this.#file.read(dataStart, shapeSize(shape)! * dtypeBytes[dtype]);
    return normalize(bytes, this.#header, shape);
  }

  /** Closes the file. */
  close(): void {
    this.#file.close();
  }

  /** Closes the file at the end of a `using` scope. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/** A new .npy file of a known shape, written in order; it appears under its name at `commit`. */
export class NpyWriter {
  readonly #file: AtomicFile;
  readonly #dtype: HostDType;
  #missing: number;

  /**
   * Creates the file. Needs the permission to write in its folder.
   *
   * @throws {InputError} when the file system refuses
   */
  constructor(
    /** The file's name as the user gave it. */
    readonly path: string,
    { shape, dtype }: { shape: readonly number[]; dtype: HostDType },
  ) {
    const size = shapeSize(shape);
    if (size === undefined) throw new Error(`Cannot write ${quote(path)}: its shape is [${shape}]`);
    const header = formatNpyHeader(dtype, shape);
    this.#file = new AtomicFile(path);
    this.#dtype = dtype;
    this.#missing = size;
    this.#file.write(header);
  }

  /**
   * Appends elements in C order.
   *
   * @throws {InputError} when the file system refuses, for want of space for example; the output is then gone
   */
  append(data: HostArray): void {
    if (data.length > this.#missing) {
      throw new Error(
        `Cannot append ${data.length} elements to ${
          quote(this.path)
        }: ${this.#missing} are missing`,
      );
    }
    // Names the error when the array's type is not the file's.
    const { bytes } = hostTensor(data, [data.length], { dtype: this.#dtype });
    this.#missing -= data.length;
    this.#file.write(bytes);
  }

  /**
   * Closes the file and gives it its real name.
   *
   * @throws {InputError} when the file system refuses; the output is then gone
   */
  commit(): void {
    if (this.#missing > 0) {
      this.discard();
      throw new Error(`Cannot finish ${quote(this.path)}: ${this.#missing} elements are missing`);
    }
    this.#file.commit();
  }

  /** Closes and removes the file, if it was not committed. */
  discard(): void {
    this.#file.discard();
  }

  /** Removes the file at the end of a `using` scope, if it was not committed. */
  [Symbol.dispose](): void {
    this.discard();
  }
}
