import { InputError } from "../errors.ts";
import type { ArrayBlock } from "./array_block.ts";
import { fileError, withFileErrors } from "./files.ts";
import { type AttachedFile, type Hdf5Library, type Hdf5Metadata, loadHdf5 } from "./hdf5_disk.ts";
import {
  absolute,
  allocateBytes,
  boxSize,
  causeIn,
  classes,
  classNames,
  dtypeOf,
  type Hdf5Attribute,
  type Hdf5Box,
  type Hdf5DatasetInfo,
  isDataset,
  knownFilters,
  largestBlockBytes,
  rowBoxes,
} from "./hdf5_layout.ts";
import { dtypeBytes, type HostDType, type HostTensor, shapeSize } from "./state_dict.ts";
import { quote } from "./strict_json.ts";

export type { Hdf5Attribute, Hdf5Box, Hdf5DatasetInfo } from "./hdf5_layout.ts";

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
    const whole = allocateBytes(
      (end - start) * row,
      `Cannot read dataset ${quote(info.name)} of ${quote(this.path)}:`,
    );
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

  /**
   * Boxes of a dataset, one after the other: only chunks that they touch are read.
   *
   * @returns values of each box in C order, `[...count]`, whose bytes are valid until the next one is asked for
   * @throws {InputError} when there is no such dataset, a box is not inside of it, or has more than 512 MiB
   */
  *readBoxes(name: string, list: readonly Hdf5Box[]): Generator<HostTensor> {
    const info = this.info(name);
    const { dtype, shape } = info;
    const sizes = list.map((box) => boxSize(box, shape) * dtypeBytes[dtype]);
    const bad = sizes.findIndex((bytes) => !(bytes <= largestBlockBytes));
    if (bad >= 0) {
      const { offset, count } = list[bad];
      throw new InputError(
        `Cannot read [${count}] from [${offset}] on of dataset ${quote(info.name)} of ${
          quote(this.path)
        }: its shape is [${shape}]`,
      );
    }
    const most = sizes.reduce((a, b) => Math.max(a, b), 0);
    for (const { box, bytes } of this.#transfer(info, list, most)) {
      yield { dtype, shape: box.count, bytes };
    }
  }

  /** Parts of a dataset, each as bytes of libhdf5's memory that the next one overwrites. */
  *#pieces(info: Hdf5DatasetInfo, start: number, end: number) {
    const { shape } = info;
    const { list, bytes: most } = rowBoxes(info, start, end);
    for (const { box, bytes } of this.#transfer(info, list, most)) {
      const { offset: [firstRow = 0, ...others], count: [rows = 1, ...lengths] } = box;
      const columns = lengths.reduce((product, length) => product * length, 1);
      const firstColumn = others.reduce((at, place, axis) => at * shape[axis + 1] + place, 0);
      yield { firstRow, firstColumn, rows, columns, bytes };
    }
  }

  /** The bytes of boxes that have at most `most` each; the next one overwrites them. */
  *#transfer({ name, dtype }: Hdf5DatasetInfo, list: Iterable<Hdf5Box>, most: number) {
    const { module } = this.#library;
    const what = `read dataset ${quote(name)}`;
    const pointer = most === 0 ? 0 : module._malloc(most);
    try {
      if (most > 0 && pointer === 0) {
        throw new InputError(
          `Cannot read HDF5 ${quote(this.path)}: could not ${what}: out of memory`,
        );
      }
      for (const box of list) {
        const { offset, count } = box;
        const axes: (bigint[] | null)[] = [count, offset, count.map(() => 1)].map((along) =>
          along.length === 0 ? null : along.map(BigInt)
        );
        // The status is why the package's own slice() is not used: it ignores it, and gives zeros.
        this.#call(
          what,
          () => module.get_dataset_data(this.#id, name, axes[0], axes[1], axes[2], BigInt(pointer)),
        );
        const size = count.reduce((product, length) => product * length, dtypeBytes[dtype]);
        yield { box, bytes: module.HEAPU8.subarray(pointer, pointer + size) };
      }
    } catch (cause) {
      throw this.#withFilters(name, cause);
    } finally {
      if (pointer !== 0) module._free(pointer);
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
