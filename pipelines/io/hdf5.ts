import { InputError } from "../errors.ts";
import type { ArrayBlock } from "./array_block.ts";
import { fileError, withFileErrors } from "./files.ts";
import { type AttachedFile, type Hdf5Library, type Hdf5Metadata, loadHdf5 } from "./hdf5_disk.ts";
import {
  absolute,
  boxes,
  causeIn,
  chunkBoxes,
  classes,
  classNames,
  dtypeOf,
  isDataset,
} from "./hdf5_layout.ts";
import { dtypeBytes, type HostDType, type HostTensor, shapeSize } from "./state_dict.ts";
import { quote } from "./strict_json.ts";

/**
 * Bytes that pass through libhdf5's memory at once. Its memory ends at 2 GiB and never shrinks; larger pieces are
 * no faster, unless a chunk is larger.
 */
const blockBytes = 64 * 2 ** 20;
const largestBlockBytes = 512 * 2 ** 20;

/** Filters that are part of libhdf5: deflate, shuffle, Fletcher-32, n-bit, scale-offset. */
const knownFilters: ReadonlySet<number> = new Set([1, 2, 3, 5, 6]);

/** What a dataset is. */
export interface Hdf5DatasetInfo {
  /** Absolute path in the file, `/blocks/3`. */
  readonly name: string;
  /** Element type; big-endian data is converted when read. */
  readonly dtype: HostDType;
  /** Lengths of the axes, slowest first. */
  readonly shape: readonly number[];
  /** Lengths of a chunk, or `undefined` for one that is stored in one piece. */
  readonly chunks: readonly number[] | undefined;
}

/** Text of an attribute, or its numbers. */
export type Hdf5Attribute = string | number | readonly (string | number)[];

/** An HDF5 file open for reading. Only what is asked for is ever in memory. */
export class Hdf5File {
  readonly #library: Hdf5Library;
  readonly #disk: Deno.FsFile;
  readonly #attached: AttachedFile;
  readonly #id: bigint;
  #open = true;

  private constructor(
    /** Where the file is. */
    readonly path: string,
    library: Hdf5Library,
    disk: Deno.FsFile,
  ) {
    this.#library = library;
    this.#disk = disk;
    this.#attached = library.attach(disk);
    try {
      this.#id = this.#call("open it", () => library.open(this.#attached.path, 0));
    } catch (cause) {
      this.#attached.detach();
      throw cause;
    }
  }

  /**
   * Opens a file. Needs the permission to read it and no other.
   *
   * @throws {InputError} when there is no such file, it is not HDF5, or it is cut off
   */
  static async open(path: string): Promise<Hdf5File> {
    const library = await loadHdf5();
    // Checked before opening: opening a pipe waits for its writer.
    const info = withFileErrors("read", path, () => Deno.statSync(path));
    if (!info.isFile) {
      throw new InputError(
        `Cannot read ${quote(path)}: it is ${info.isDirectory ? "a folder" : "not a regular file"}`,
      );
    }
    const disk = withFileErrors("read", path, () => Deno.openSync(path));
    try {
      return new Hdf5File(path, library, disk);
    } catch (cause) {
      disk.close();
      throw cause;
    }
  }

  /** Runs a call into libhdf5; complaints, exceptions and negative results become one sentence. */
  #call<T>(what: string, body: () => T): T {
    if (!this.#open) throw new Error(`Cannot read ${quote(this.path)}: it was closed`);
    const { takeComplaints } = this.#library;
    let reason: string | undefined;
    let result: T | undefined;
    takeComplaints();
    try {
      result = body();
    } catch (cause) {
      if (cause instanceof InputError) throw cause;
      reason = cause instanceof Error ? cause.message : String(cause);
    }
    const complaints = takeComplaints();
    const failed = (typeof result === "number" || typeof result === "bigint") && result < 0;
    if (this.#attached.failure !== undefined) {
      throw fileError("read", this.path, this.#attached.failure);
    }
    if (reason !== undefined || failed || complaints !== "") {
      const cause = complaints === "" && reason !== undefined ? reason : causeIn(complaints);
      // The two usual ones in plain words.
      if (cause.includes("file signature not found")) {
        throw new InputError(`Cannot read ${quote(this.path)}: it is not an HDF5 file`);
      }
      if (cause.includes("truncated file")) {
        const { size } = this.#disk.statSync();
        throw new InputError(
          `Cannot read HDF5 ${quote(this.path)}: it is cut off after ${size} bytes`,
        );
      }
      throw new InputError(`Cannot read HDF5 ${quote(this.path)}: could not ${what}: ${cause}`);
    }
    return result as T;
  }

  /** Absolute paths of all datasets, in order of name. */
  datasets(): string[] {
    const names = this.#call(
      "list its datasets",
      () => this.#library.module.get_names(this.#id, "/", true),
    );
    return names.map((name) => `/${name}`).filter((name) => this.#typeOf(name) === isDataset);
  }

  #typeOf(name: string): number {
    const { module, takeComplaints } = this.#library;
    const type = module.get_type(this.#id, name);
    takeComplaints(); // a link that leads nowhere is no error here
    return type;
  }

  #metadata(name: string): Hdf5Metadata {
    if (this.#typeOf(name) !== isDataset) {
      const all = this.datasets();
      const listed = all.slice(0, 8).join(", ") +
        (all.length > 8 ? ` and ${all.length - 8} more` : "");
      throw new InputError(
        `Cannot read dataset ${quote(name)} of ${
          quote(this.path)
        }: there is no such dataset; it has ` +
          (all.length === 0 ? "none" : listed),
      );
    }
    return this.#call(
      `read the type of ${quote(name)}`,
      () => this.#library.module.get_dataset_metadata(this.#id, name),
    );
  }

  /**
   * What a dataset is; `blocks/3` and `/blocks/3` are the same.
   *
   * @throws {InputError} when there is no such dataset, or it holds something other than numbers or booleans
   */
  info(name: string): Hdf5DatasetInfo {
    const path = absolute(name);
    const metadata = this.#metadata(path);
    const dtype = dtypeOf(metadata);
    const { shape, chunks, virtual_sources: sources = [] } = metadata;
    const problem = !(dtype in dtypeBytes)
      ? `it must hold numbers, it holds ${dtype}`
      : shape === null
      ? "it must hold numbers, it is empty"
      : shapeSize(shape) === undefined
      ? `its shape [${shape}] has more than 2^53 elements`
      // libhdf5 would give fill values for what it cannot find.
      : sources.some((source) => source.file_name !== ".")
      ? "its data lies in other files (a virtual dataset)"
      : undefined;
    if (problem !== undefined || shape === null) {
      throw new InputError(`Cannot read dataset ${quote(path)} of ${quote(this.path)}: ${problem}`);
    }
    return { name: path, dtype: dtype as HostDType, shape, chunks: chunks ?? undefined };
  }

  /**
   * A whole dataset.
   *
   * @throws {InputError} when there is no such dataset, it does not hold numbers, or does not fit in memory
   */
  read(name: string): HostTensor {
    const info = this.info(name);
    const bytes = this.#read(info, 0, info.shape[0] ?? 1);
    return { dtype: info.dtype, shape: info.shape, bytes };
  }

  /**
   * Rows `start` to before `end` of a dataset, along its first axis: `[end - start, ...rest]`.
   *
   * @throws {InputError} when there is no such dataset or it has fewer rows
   */
  readRows(name: string, start: number, end: number): HostTensor {
    const info = this.#rowsOf(name, start, end);
    return {
      dtype: info.dtype,
      shape: [end - start, ...info.shape.slice(1)],
      bytes: this.#read(info, start, end),
    };
  }

  /** What a dataset is that has these rows. */
  #rowsOf(name: string, start: number, end: number): Hdf5DatasetInfo {
    const info = this.info(name);
    const [rows] = info.shape;
    const whole = Number.isInteger(start) && Number.isInteger(end);
    if (rows === undefined || !whole || start < 0 || end < start || end > rows) {
      throw new InputError(
        `Cannot read rows ${start} to ${end} of dataset ${quote(info.name)} of ${
          quote(this.path)
        }: ` +
          `its shape is [${info.shape}]`,
      );
    }
    return info;
  }

  /**
   * Rows `start` to before `end` of a dataset in blocks, so that a large one need not be in memory twice. Each chunk of the file is
   * read once; blocks cover some columns only where chunks are tall.
   *
   * @throws {InputError} when there is no such dataset or it has fewer rows
   */
  *readBlocks(name: string, start: number, end: number): Generator<ArrayBlock> {
    const info = this.#rowsOf(name, start, end);
    for (const { firstRow, firstColumn, rows, columns, bytes } of this.#pieces(info, start, end)) {
      const tensor = { dtype: info.dtype, shape: [rows, columns], bytes };
      yield { firstRow, firstColumn, tensor };
    }
  }

  #read(info: Hdf5DatasetInfo, start: number, end: number): Uint8Array<ArrayBuffer> {
    const row = shapeSize(info.shape.slice(1))! * dtypeBytes[info.dtype];
    const whole = this.#allocate(info.name, (end - start) * row);
    for (const { firstRow, firstColumn, rows, columns, bytes } of this.#pieces(info, start, end)) {
      const piece = columns * dtypeBytes[info.dtype];
      const first = (firstRow - start) * row + firstColumn * dtypeBytes[info.dtype];
      if (piece === row || rows === 1) {
        whole.set(bytes, first);
        continue;
      }
      for (let r = 0; r < rows; r++) {
        whole.set(bytes.subarray(r * piece, (r + 1) * piece), first + r * row);
      }
    }
    return whole;
  }

  /** Parts of a dataset, each as bytes of libhdf5's memory that the next one overwrites. */
  *#pieces({ name, dtype, shape, chunks }: Hdf5DatasetInfo, start: number, end: number) {
    const { module } = this.#library;
    const what = `read dataset ${quote(name)}`;
    const width = dtypeBytes[dtype];
    const inner = shapeSize(shape.slice(2))!, row = inner * (shape[1] ?? 1);
    // As much as one chunk needs, where that is more than usual.
    const chunk = (chunks?.[0] ?? 1) * (chunks?.[1] ?? 1) * inner * width;
    const limit = Math.min(Math.max(blockBytes, chunk), largestBlockBytes);
    const maxElements = Math.floor(limit / width);
    const total = (end - start) * row * width;
    const pointer = total === 0 ? 0 : module._malloc(Math.min(limit, total));
    try {
      if (total > 0 && pointer === 0) {
        throw new InputError(
          `Cannot read HDF5 ${quote(this.path)}: could not ${what}: out of memory`,
        );
      }
      const pieces = shape.length === 0
        ? [{ offset: [], count: [] }]
        : chunks && chunkBoxes(shape, chunks, { start, end, maxElements }) ||
          boxes(shape, start, end, maxElements);
      for (const { offset, count } of pieces) {
        const box: (bigint[] | null)[] = [count, offset, count.map(() => 1)].map((list) =>
          list.length === 0 ? null : list.map(BigInt)
        );
        // The status is why the package's own slice() is not used: it ignores it, and gives zeros.
        this.#call(
          what,
          () => module.get_dataset_data(this.#id, name, box[0], box[1], box[2], BigInt(pointer)),
        );
        const [firstRow = 0, ...others] = offset, [rows = 1, ...lengths] = count;
        const columns = lengths.reduce((product, length) => product * length, 1);
        const firstColumn = others.reduce((at, place, axis) => at * shape[axis + 1] + place, 0);
        const bytes = module.HEAPU8.subarray(pointer, pointer + rows * columns * width);
        yield { firstRow, firstColumn, rows, columns, bytes };
      }
    } catch (cause) {
      throw this.#withFilters(name, cause);
    } finally {
      if (pointer !== 0) module._free(pointer);
    }
  }

  #allocate(name: string, length: number): Uint8Array<ArrayBuffer> {
    try {
      return new Uint8Array(length);
    } catch (cause) {
      throw new InputError(
        `Cannot read dataset ${quote(name)} of ${
          quote(this.path)
        }: ${length} bytes at once do not fit ` +
          `in memory`,
        { cause },
      );
    }
  }

  /** Puts the usual reason first: a filter (LZF, Blosc) that libhdf5 alone does not have. */
  #withFilters(name: string, cause: unknown): unknown {
    if (!(cause instanceof InputError)) return cause;
    let unknown: { name: string }[];
    try {
      const all = this.#call(
        "list its filters",
        () => this.#library.module.get_dataset_filters(this.#id, name),
      );
      unknown = all.filter(({ id }) => !knownFilters.has(id));
    } catch (again) {
      if (!(again instanceof InputError)) throw again;
      return cause;
    }
    if (unknown.length === 0) return cause;
    return new InputError(
      `Cannot read dataset ${quote(name)} of ${quote(this.path)}: it is stored with the filter ` +
        `${unknown[0].name}, which is not supported (h5repack -f GZIP=4 converts it)`,
      { cause },
    );
  }

  /**
   * The strings of a dataset of any shape, in C order.
   *
   * @throws {InputError} when there is no such dataset or it does not hold strings
   */
  readStrings(name: string): string[] {
    const path = absolute(name);
    const { type } = this.#metadata(path);
    if (type !== classes.string) {
      throw new InputError(
        `Cannot read dataset ${quote(path)} of ${
          quote(this.path)
        }: it must hold strings, it holds ` +
          classNames[type],
      );
    }
    const value = this.#call(
      `read dataset ${quote(path)}`,
      () => new this.#library.Dataset(this.#id, path).value,
    );
    return (Array.isArray(value) ? value : [value]).map(String);
  }

  /**
   * Attributes of a group or dataset by name.
   *
   * @throws {InputError} when there is no such object
   */
  attributes(name = "/"): Record<string, Hdf5Attribute> {
    const path = absolute(name);
    return this.#call(`read the attributes of ${quote(path)}`, () => {
      const group = new this.#library.Group(this.#id, path);
      return Object.fromEntries(
        Object.entries(group.attrs).map((
          [key, attribute],
        ) => [key, attribute.json_value as Hdf5Attribute]),
      );
    });
  }

  /** Closes the file; closing twice is allowed. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#library.module.close_file(this.#id);
    this.#library.takeComplaints();
    this.#attached.detach();
    this.#disk.close();
  }

  /** Closes the file at the end of a `using` scope. */
  [Symbol.dispose](): void {
    this.close();
  }
}
