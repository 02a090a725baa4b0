import { InputError } from "../errors.ts";
import { AtomicPath } from "./atomic.ts";
import { fileError, withFileErrors } from "./files.ts";
import { type AttachedFile, type Hdf5Library, loadHdf5 } from "./hdf5_disk.ts";
import { halveElements, objectHeaders, wholeFile, writeAt } from "./hdf5_half.ts";
import { absolute, causeIn, chunksOf, classes } from "./hdf5_layout.ts";
import { dtypeBytes, type HostArray, type HostDType, shapeSize } from "./state_dict.ts";
import { quote } from "./strict_json.ts";

/** Element types that can be written. Rows of `f16` are given as their bits (`encodeFloat16`). */
export type Hdf5WriteDType = Exclude<HostDType, "bf16" | "bool">;

/** Shape and type of a dataset to write. */
export interface Hdf5DatasetOptions {
  /** Lengths of the axes, slowest first; rows are written along the first. */
  shape: readonly number[];
  /** Element type. */
  dtype: Hdf5WriteDType;
  /** Lengths of a chunk; by default as many whole rows as make half a mebibyte. */
  chunks?: readonly number[];
}

/** libhdf5's limit for an attribute kept in the object header is 64 KiB with the header's own fields. */
const maxAttributeBytes = 64_000;

/** A variable-length UTF-8 string, as a type for libhdf5. */
const text = { type: classes.string, size: 4, signed: false, littleEndian: true, vlen: true };

/**
 * Runs a call with a clock that stands still. libhdf5 stamps every object with the time, and the same results shall be the same
 * bytes; the package has no option for it. Nothing else runs meanwhile, as the call is synchronous.
 */
function withoutTime<T>(body: () => T): T {
  const { now } = Date;
  Date.now = () => 0;
  try {
    return body();
  } finally {
    Date.now = now;
  }
}

interface OpenDataset {
  readonly shape: readonly number[];
  readonly dtype: Hdf5WriteDType;
  /** Values written so far, by any order of slabs. */
  written: number;
}

/**
 * A new HDF5 file, written in slabs: memory does not grow with the number of rows. It appears under its name at
 * `commit`; disposing it uncommitted removes it.
 */
export class Hdf5Writer {
  readonly #library: Hdf5Library;
  readonly #atomic: AtomicPath;
  readonly #disk: Deno.FsFile;
  readonly #attached: AttachedFile;
  #id = -1n;
  readonly #datasets = new Map<string, OpenDataset>();
  readonly #groups = new Set<string>();
  #hasData = false;
  #open = true;

  private constructor(
    /** The file's name as the user gave it. */
    readonly path: string,
    library: Hdf5Library,
    atomic: AtomicPath,
    disk: Deno.FsFile,
  ) {
    this.#library = library;
    this.#atomic = atomic;
    this.#disk = disk;
    this.#attached = library.attach(disk);
    const createTruncated = 2;
    try {
      this.#id = this.#call(
        "create it",
        () => library.open(this.#attached.path, createTruncated),
      );
    } catch (cause) {
      this.#attached.detach();
      throw cause;
    }
  }

  /**
   * Creates a file. Needs the permission to write in its folder and no other; with `inPlace` only at `path`, for a caller who gives
   * the finished file its name.
   *
   * @throws {InputError} when the file system refuses
   */
  static async create(
    path: string,
    { inPlace = false }: { inPlace?: boolean } = {},
  ): Promise<Hdf5Writer> {
    const library = await loadHdf5();
    const atomic = new AtomicPath(path, { inPlace });
    let disk: Deno.FsFile | undefined;
    try {
      const options = { read: true, write: true, createNew: true };
      disk = withFileErrors("write", path, () => Deno.openSync(atomic.temporary, options));
      return new Hdf5Writer(path, library, atomic, disk);
    } catch (cause) {
      disk?.close();
      atomic.discard();
      throw cause;
    }
  }

  /** Runs a call into libhdf5; after a failure the file is gone, as what is on disk cannot be trusted. */
  #call<T>(what: string, body: () => T): T {
    if (!this.#open) throw new Error(`Cannot write ${quote(this.path)}: it was closed`);
    const { takeComplaints } = this.#library;
    takeComplaints();
    let thrown: unknown;
    let result: T | undefined;
    try {
      result = withoutTime(body);
    } catch (cause) {
      thrown = cause;
    }
    const complaints = takeComplaints();
    const failed = (typeof result === "number" || typeof result === "bigint") && result < 0;
    const { failure } = this.#attached;
    if (failure === undefined && thrown === undefined && !failed && complaints === "") {
      return result as T;
    }
    this.discard();
    if (failure !== undefined) throw fileError("write", this.path, failure);
    const reason = thrown instanceof Error ? thrown.message : causeIn(complaints);
    throw new Error(`Cannot write HDF5 ${quote(this.path)}: could not ${what}: ${reason}`, {
      cause: thrown,
    });
  }

  /** Creates the groups above a path. */
  #createGroups(path: string): void {
    const parts = path.split("/").slice(1, -1);
    parts.forEach((_, i) => {
      const group = `/${parts.slice(0, i + 1).join("/")}`;
      if (this.#groups.has(group)) return;
      this.#call(
        `create group ${quote(group)}`,
        () => this.#library.module.create_group(this.#id, group),
      );
      this.#groups.add(group);
    });
  }

  /** The path of a new dataset, with its groups created. */
  #newPath(name: string): string {
    const path = absolute(name);
    if (this.#datasets.has(path)) {
      throw new Error(`Cannot create dataset ${quote(path)} of ${quote(this.path)}: it exists`);
    }
    this.#createGroups(path);
    return path;
  }

  /**
   * Creates a dataset of a known shape, whose rows are written later, and the groups above it. One of half precision must have
   * elements, and comes before any rows or strings of the file.
   */
  createDataset(name: string, options: Hdf5DatasetOptions): void {
    this.createDatasets([name], options);
  }

  /** As {@link createDataset}, for several of one kind. */
  createDatasets(
    names: readonly string[],
    { shape, dtype, chunks: given }: Hdf5DatasetOptions,
  ): void {
    const [first = ""] = names;
    const size = shapeSize(shape);
    if (size === undefined) {
      throw new Error(`Cannot create dataset ${quote(first)}: its shape is [${shape}]`);
    }
    const chunks = chunksOf(shape, dtypeBytes[dtype], given);
    if (dtype === "f16" && (chunks === undefined || this.#hasData)) {
      throw new Error(
        `Cannot create dataset ${quote(first)}: one of half precision needs elements and comes ` +
          `before all data, its shape is [${shape}]`,
      );
    }
    const paths = names.map((name) => this.#newPath(name));
    if (dtype === "f16") this.#createHalves(paths, { shape, dtype: "f32", chunks });
    else for (const path of paths) this.#createEmpty(path, { shape, dtype, chunks });
    for (const path of paths) {
      if (chunks !== undefined) {
        this.#call(
          `enlarge dataset ${quote(path)}`,
          () => this.#library.module.resize_dataset(this.#id, path, shape.map(BigInt)),
        );
      }
      this.#datasets.set(path, { shape: [...shape], dtype, written: 0 });
    }
  }

  /** Creates a dataset without rows: creating writes the data it is given, which would be all of it. */
  #createEmpty(path: string, { shape, dtype, chunks }: Hdf5DatasetOptions): void {
    const { module } = this.#library;
    const full = shape.map(BigInt);
    const metadata = {
      type: dtype.startsWith("f") ? classes.float : classes.integer,
      size: dtypeBytes[dtype],
      signed: dtype.startsWith("i"),
      littleEndian: true,
      vlen: false,
      compression: 0,
      compression_opts: [],
      shape: chunks === undefined ? full : [0n, ...full.slice(1)],
      maxshape: full,
      chunks: chunks?.map(BigInt) ?? null,
    };
    this.#call(`create dataset ${quote(path)}`, () => {
      const pointer = module._malloc(8);
      module.HEAPU8.fill(0, pointer, pointer + 8);
      module.create_dataset(this.#id, path, BigInt(pointer), metadata);
      module._free(pointer);
    });
  }

  /** Creates float32 datasets and has their headers rewritten, see `hdf5_half.ts`. */
  #createHalves(paths: readonly string[], options: Hdf5DatasetOptions): void {
    const known = new Set(objectHeaders(this.#reopen()).map(({ start }) => start));
    for (const path of paths) this.#createEmpty(path, options);
    let nChanged = 0;
    this.#reopen((bytes) => {
      for (const header of objectHeaders(bytes)) {
        if (known.has(header.start) || !halveElements(bytes, header)) continue;
        nChanged++;
        writeAt(this.#disk, header.start, bytes.subarray(header.start, header.end));
      }
    });
    if (nChanged === paths.length) return;
    this.discard();
    throw new Error(
      `Cannot create ${paths.length} datasets of half precision: ${nChanged} headers are theirs`,
    );
  }

  /** Lets libhdf5 close the file, shows its bytes, and has it opened again. */
  #reopen(change?: (bytes: Uint8Array) => void): Uint8Array {
    const readAndWrite = 1;
    this.#call("close it", () => this.#library.module.close_file(this.#id));
    this.#id = -1n;
    const bytes = withFileErrors("write", this.path, () => {
      const read = wholeFile(this.#disk);
      change?.(read);
      return read;
    });
    this.#id = this.#call(
      "open it again",
      () => this.#library.open(this.#attached.path, readAndWrite),
    );
    return bytes;
  }

  /**
   * Writes rows from `start` on, along the first axis; all of a scalar.
   *
   * @param data whole rows, in C order, of the dataset's type
   * @param column of rows of several axes only the values at this place of the second one
   * @throws {InputError} when the file system refuses, for want of space for example; the output is then gone
   */
  writeRows(name: string, start: number, data: HostArray, column?: number): void {
    const path = absolute(name);
    const dataset = this.#datasets.get(path);
    if (dataset === undefined) {
      throw new Error(`Cannot write rows of ${quote(path)}: create it first`);
    }
    const { shape, dtype } = dataset;
    const inner = column === undefined ? shape.slice(1) : [1, ...shape.slice(2)];
    const row = shapeSize(inner)!;
    const rows = row === 0 ? 0 : data.length / row;
    const kind = data[Symbol.toStringTag].replace("Big", "");
    const stored = dtype === "f16" ? "u16" : dtype;
    const expected = { f: "Float", i: "Int", u: "Uint" }[stored[0]] + stored.slice(1) + "Array";
    if (
      kind !== expected || !Number.isInteger(rows) || start < 0 || start + rows > (shape[0] ?? 1) ||
      !((column ?? 0) >= 0 && (column ?? 0) < (shape[1] ?? 1))
    ) {
      throw new Error(
        `Cannot write ${rows} rows of ${kind} at row ${start} of ${quote(path)}: ` +
          `it is ${dtype} [${shape}]`,
      );
    }
    dataset.written += data.length;
    if (data.length === 0) return;
    this.#hasData = true;
    const count = shape.length === 0 ? null : [rows, ...inner].map(BigInt);
    const offset = count?.map((_, i) => BigInt([start, column ?? 0][i] ?? 0)) ?? null;
    const { module } = this.#library;
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.#call(`write dataset ${quote(path)}`, () => {
      const pointer = module._malloc(bytes.byteLength);
      if (pointer === 0) throw new Error(`no memory for ${bytes.byteLength} bytes`);
      try {
        module.HEAPU8.set(bytes, pointer);
        const strides = count?.map(() => 1n) ?? null;
        return module.set_dataset_data(this.#id, path, count, offset, strides, BigInt(pointer));
      } finally {
        module._free(pointer);
      }
    });
  }

  /** Writes a dataset of strings, `[values.length]`, readable by h5py as variable-length UTF-8. */
  writeStrings(name: string, values: readonly string[]): void {
    const path = this.#newPath(name);
    const shape = [BigInt(values.length)];
    const layout = { shape, maxshape: shape, chunks: null, compression: 0, compression_opts: [] };
    const { module } = this.#library;
    this.#call(
      `write strings ${quote(path)}`,
      () => module.create_vlen_str_dataset(this.#id, path, [...values], { ...text, ...layout }),
    );
    this.#hasData = true;
    this.#datasets.set(path, { shape: [values.length], dtype: "u8", written: values.length });
  }

  /**
   * Sets an attribute of a group or dataset (`/` for the file): text, a number, or a list of numbers.
   *
   * @throws {InputError} when text is longer than the 64,000 bytes that HDF5 keeps
   */
  setAttribute(name: string, key: string, value: string | number | readonly number[]): void {
    const path = absolute(name);
    const bytes = typeof value === "string" ? new TextEncoder().encode(value).byteLength : 0;
    if (bytes > maxAttributeBytes) {
      throw new InputError(
        `Cannot keep ${quote(key)} as an attribute of ${quote(this.path)}: it may have ` +
          `${maxAttributeBytes} bytes, it has ${bytes}`,
      );
    }
    this.#call(`set attribute ${quote(key)}`, () => {
      const group = new this.#library.Group(this.#id, path);
      if (typeof value === "string") return group.create_attribute(key, value);
      // As float64: the package would store whole numbers as int32 and wrap large ones.
      const numbers = typeof value === "number" ? [value] : value;
      const shape = typeof value === "number" ? [] : [value.length];
      return group.create_attribute(key, new Float64Array(numbers), shape);
    });
  }

  /**
   * Closes the file and gives it its real name.
   *
   * @throws {InputError} when the file system refuses, for want of space for example; the output is then gone
   */
  commit(): void {
    for (const [name, { shape, written }] of this.#datasets) {
      const size = shapeSize(shape)!, [rows = 1] = shape;
      if (written >= size) continue;
      this.discard();
      throw new Error(
        `Cannot finish ${quote(this.path)}: ${
          Math.floor(rows * written / size)
        } of ${rows} rows of ${name} were written`,
      );
    }
    this.#call("close it", () => this.#library.module.close_file(this.#id));
    this.#open = false;
    this.#attached.detach();
    try {
      this.#disk.syncDataSync();
    } catch (cause) {
      this.#disk.close();
      this.#atomic.discard();
      throw fileError("write", this.path, cause);
    }
    this.#disk.close();
    this.#atomic.commit();
  }

  /** Closes and removes the file, if it was not committed. */
  discard(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#attached.drop = true;
    if (this.#id >= 0n) this.#library.module.close_file(this.#id);
    this.#library.takeComplaints();
    this.#attached.detach();
    this.#disk.close();
    this.#atomic.discard();
  }

  /** Removes the file at the end of a `using` scope, if it was not committed. */
  [Symbol.dispose](): void {
    this.discard();
  }
}
