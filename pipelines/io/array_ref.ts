import { InputError } from "../errors.ts";
import { type ArrayBlock, BLOCK_BYTES, placeBlock } from "./array_block.ts";
import { RandomAccessFile, withFileErrors } from "./files.ts";
import { type Hdf5Attribute, Hdf5File } from "./hdf5.ts";
import { NpyFile } from "./npy.ts";
import { scaleOfHalf } from "./scaled_half.ts";
import { type FileTensor, openSafetensors } from "./safetensors_file.ts";
import { dtypeBytes, type HostDType, type HostTensor, shapeSize } from "./state_dict.ts";
import { quote } from "./strict_json.ts";

/** An array reference, `path[:name]`, in its parts. */
export interface ArrayRef {
  /** A file or folder. */
  readonly path: string;
  /** An array inside it, or `undefined` where the file has only one. */
  readonly name: string | undefined;
}

/** File name endings after which a colon begins a name; a path may have colons elsewhere. */
const splitAfter = /^(.*?\.(?:h5|hdf5|hdf|he5|mat|safetensors|json|npy|npz|png|txt)):(.+)$/is;

/** Splits `features.h5:/blocks/3` into its path and the name within; the text is not looked up. */
export function parseArrayRef(text: string): ArrayRef {
  const [, path, name] = splitAfter.exec(text) ?? [undefined, text, undefined];
  return { path, name };
}

/** An array on disk that is read by rows, along its first axis. */
export interface RowSource extends Disposable {
  /** The reference as the user gave it, for messages. */
  readonly source: string;
  /** Element type on disk. */
  readonly dtype: HostDType;
  /** Lengths of the axes, slowest first; at least one. */
  readonly shape: readonly number[];
  /** Rows that the file stores together: pieces of a multiple of them, from row 0 on, read nothing twice. */
  readonly rowsPerChunk: number;
  /**
   * Rows `start` to before `end` as float32, `[end - start, ...shape.slice(1)]`. Half precision that an HDF5 file keeps with an
   * attribute `scale` is divided by it, as `encodeScaledHalf` multiplied.
   *
   * @throws {InputError} when the array has fewer rows or the file cannot be read
   */
  readRows(start: number, end: number): Float32Array<ArrayBuffer>;
  /**
   * The same rows in their own type, as they are stored.
   *
   * @throws {InputError} when the array has fewer rows or the file cannot be read
   */
  readTensor(start: number, end: number): HostTensor;
  /** What an HDF5 file says of itself in the attributes of its root; nothing for other formats. */
  attributes(): Readonly<Record<string, Hdf5Attribute>>;
  /** What an HDF5 file says of this array in its own attributes; nothing for other formats. */
  arrayAttributes(): Readonly<Record<string, Hdf5Attribute>>;
  /** Closes the file. */
  close(): void;
}

/** What a format has to give; the rest of a `RowSource` follows. */
interface Rows {
  readonly dtype: HostDType;
  readonly shape: readonly number[];
  readonly rowsPerChunk?: number;
  /** What values were multiplied by before they were stored. */
  readonly scale?: number;
  readTensor(start: number, end: number): HostTensor;
  /** The rows part by part; each part is gone when the next one comes. */
  readBlocks(start: number, end: number): Iterable<ArrayBlock>;
  readonly attributes?: RowSource["attributes"];
  readonly arrayAttributes?: RowSource["arrayAttributes"];
  close(): void;
}

/** Rows as float32: the result and one part of the file are in memory, never the whole twice. */
function readRows(
  source: string,
  rows: Rows,
  start: number,
  end: number,
): Float32Array<ArrayBuffer> {
  const nColumns = shapeSize(rows.shape.slice(1))!;
  let data: Float32Array<ArrayBuffer> | undefined;
  for (const block of rows.readBlocks(start, end)) {
    data ??= allocate(source, (end - start) * nColumns); // after the rows were checked
    placeBlock(block, data, { nColumns, start });
  }
  const { scale = 1 } = rows;
  if (scale !== 1) data?.forEach((value, i, all) => all[i] = value / scale);
  return data ?? new Float32Array(0);
}

function allocate(source: string, length: number): Float32Array<ArrayBuffer> {
  try {
    return new Float32Array(length);
  } catch (cause) {
    throw new InputError(
      `Cannot read ${quote(source)}: ${length} values at once do not fit in memory`,
      { cause },
    );
  }
}

function rowSource(source: string, rows: Rows): RowSource {
  if (rows.shape.length === 0) {
    rows.close();
    throw new InputError(
      `Cannot use ${quote(source)}: an array with rows is needed, it is one number`,
    );
  }
  return {
    source,
    dtype: rows.dtype,
    shape: rows.shape,
    rowsPerChunk: rows.rowsPerChunk ?? 1,
    readTensor: (start, end) => rows.readTensor(start, end),
    readRows: (start, end) => readRows(source, rows, start, end),
    attributes: rows.attributes ?? (() => ({})),
    arrayAttributes: rows.arrayAttributes ?? (() => ({})),
    close: () => rows.close(),
    [Symbol.dispose]: () => rows.close(),
  };
}

/** The array that is meant: by its name, or the only one. */
function choose(text: string, name: string | undefined, names: readonly string[]): string {
  if (name !== undefined && names.includes(name)) return name;
  if (name === undefined && names.length === 1) return names[0];
  const listed = names.slice(0, 8).join(", ") +
    (names.length > 8 ? ` and ${names.length - 8} more` : "");
  throw new InputError(
    name === undefined
      ? `Cannot choose an array in ${quote(text)}: give one by PATH:NAME; it has ${
        listed || "none"
      }`
      : `Cannot read ${quote(text)}: there is no array ${quote(name)}; it has ${listed || "none"}`,
  );
}

async function openHdf5Rows({ path, name }: ArrayRef): Promise<Rows> {
  const file = await Hdf5File.open(path);
  try {
    const info = file.info(name ?? choose(path, undefined, file.datasets()));
    return {
      dtype: info.dtype,
      shape: info.shape,
      rowsPerChunk: info.chunks?.[0],
      scale: scaleOfHalf(file, info.name),
      readTensor: (start, end) => file.readRows(info.name, start, end),
      readBlocks: (start, end) => file.readBlocks(info.name, start, end),
      attributes: () => file.attributes("/"),
      arrayAttributes: () => file.attributes(info.name),
      close: () => file.close(),
    };
  } catch (cause) {
    file.close();
    throw cause;
  }
}

function openSafetensorsRows({ path, name }: ArrayRef, text: string): Rows {
  const checkpoint = openSafetensors(path);
  try {
    const { tensors } = checkpoint;
    const tensor = tensors.get(choose(path, name, [...tensors.keys()])) as FileTensor;
    const { dtype, shape } = tensor;
    const rowBytes = shapeSize(shape.slice(1))! * dtypeBytes[dtype];
    const require = (start: number, end: number) => {
      const whole = Number.isInteger(start) && Number.isInteger(end);
      if (!whole || start < 0 || end < start || end > shape[0]) {
        throw new InputError(
          `Cannot read rows ${start} to ${end} of ${quote(text)}: its shape is [${shape}]`,
        );
      }
    };
    return {
      dtype,
      shape,
      readTensor(start, end) {
        require(start, end);
        const bytes = tensor.readBytes(start * rowBytes, end * rowBytes);
        return { dtype, shape: [end - start, ...shape.slice(1)], bytes };
      },
      *readBlocks(start, end) {
        require(start, end);
        const most = Math.max(1, Math.floor(BLOCK_BYTES / Math.max(1, rowBytes)));
        for (let row = start; row < end; row += most) {
          const last = Math.min(end, row + most);
          const bytes = tensor.readBytes(row * rowBytes, last * rowBytes);
          const columns = rowBytes / dtypeBytes[dtype];
          yield {
            firstRow: row,
            firstColumn: 0,
            tensor: { dtype, shape: [last - row, columns], bytes },
          };
        }
      },
      close: () => checkpoint.close(),
    };
  } catch (cause) {
    checkpoint.close();
    throw cause;
  }
}

function openNpyRows({ path, name }: ArrayRef): Rows {
  if (name !== undefined) {
    throw new InputError(
      `Cannot read ${quote(name)} of ${quote(path)}: a .npy file holds one array without a name`,
    );
  }
  const file = new NpyFile(path);
  return {
    dtype: file.dtype,
    shape: file.shape,
    readTensor: (start, end) => file.readRows(start, end),
    readBlocks: (start, end) => file.readBlocks(start, end),
    close: () => file.close(),
  };
}

/** The format, by the first bytes: data sets are known whose .npy files are HDF5. */
function formatOf(path: string): "hdf5" | "npy" | "safetensors" {
  if (withFileErrors("read", path, () => Deno.statSync(path).isDirectory)) return "safetensors";
  using file = new RandomAccessFile(path);
  const head = String.fromCharCode(...file.read(0, Math.min(8, file.size)));
  if (head.startsWith("\x89HDF")) return "hdf5";
  if (head.startsWith("\x93NUMPY")) return "npy";
  const [, ending = ""] = /\.([a-z0-9]+)$/i.exec(path.toLowerCase()) ?? [];
  if (["safetensors", "json"].includes(ending)) return "safetensors";
  if (ending === "npy") return "npy";
  // An HDF5 file may begin with a block of the user's own, as MATLAB's do.
  if (["h5", "hdf5", "hdf", "he5", "mat"].includes(ending)) return "hdf5";
  throw new InputError(
    `Cannot read an array from ${quote(path)}: it must be an HDF5 (.h5), .safetensors or .npy file`,
  );
}

/**
 * Opens the array that a reference `path[:name]` means: a dataset of an HDF5 file, a tensor of a safetensors file
 * or sharded checkpoint, or a .npy file. The name may be left out where a file has one array. Needs the permission
 * to read the file.
 *
 * @throws {InputError} when there is no such file or array, it is damaged, or it does not hold numbers
 */
export async function openArray(text: string): Promise<RowSource> {
  const ref = parseArrayRef(text);
  const format = formatOf(ref.path);
  if (format === "hdf5") return rowSource(text, await openHdf5Rows(ref));
  return rowSource(text, format === "npy" ? openNpyRows(ref) : openSafetensorsRows(ref, text));
}
