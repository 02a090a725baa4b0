/**
 * What is in a file, whatever its format: names, shapes, types, and the values by runs of rows.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { parseArrayRef } from "../io/array_ref.ts";
import { scaleOfHalf } from "../io/scaled_half.ts";
import { withFileErrors } from "../io/files.ts";
import { Hdf5File } from "../io/hdf5.ts";
import { readNifti } from "../io/nifti.ts";
import { NpyFile } from "../io/npy.ts";
import { openSafetensors } from "../io/safetensors_file.ts";
import { dtypeBytes, type HostTensor, hostTensor, shapeSize } from "../io/state_dict.ts";
import { networkOf } from "../models/any_model.ts";

/** One array of a file. */
export interface ListedArray {
  /** Its name in the file, "" where the file has only this one. */
  readonly name: string;
  /** Element type, or in words what it holds instead of numbers. */
  readonly dtype: string;
  /** Lengths of the axes, slowest first. */
  readonly shape: readonly number[];
  /** Rows `start` to before `end` of the first axis, or a whole array without axes; absent where it holds no numbers. */
  readonly read?: (start: number, end: number) => HostTensor;
  /** What values were multiplied by before they were stored, see `encodeScaledHalf`. */
  readonly scale?: number;
}

/** A file that is open. */
export interface Listing extends Disposable {
  /** `HDF5`, `safetensors`, `PyTorch`, `NumPy`, `PNG` or `NIfTI`. */
  readonly format: string;
  /** What the file says about itself. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** What network a checkpoint is of, where its keys tell. */
  readonly network?: string;
  /** Its arrays, in the file's order. */
  readonly arrays: readonly ListedArray[];
}

/**
 * Opens a file or a sharded checkpoint to see what is in it.
 *
 * @param reference `path`, or `path:name` for one array
 * @throws {InputError} when there is no such file or array, or the file is damaged
 */
export async function openListing(reference: string): Promise<Listing> {
  const { path, name } = parseArrayRef(reference);
  const listing = await openFile(path);
  if (name === undefined) return listing;
  const arrays = listing.arrays.filter((array) =>
    array.name.replace(/^\//, "") === name.replace(/^\//, "")
  );
  if (arrays.length === 1) return { ...listing, arrays };
  listing[Symbol.dispose]();
  throw new InputError(`Cannot inspect ${reference}: ${path} has no array ${name}`);
}

async function openFile(path: string): Promise<Listing> {
  const info = withFileErrors("read", path, () => Deno.statSync(path));
  if (info.isDirectory || /\.(safetensors|json|bin|ckpt|pth?|pth\.tar)$/i.test(path)) {
    return listSafetensors(path);
  }
  if (/\.png$/i.test(path)) return await listPng(path);
  if (/\.nii(\.gz)?$/i.test(path)) return await listNifti(path);
  if (firstBytes(path).startsWith("\x93NUMPY")) return listNpy(path);
  return await listHdf5(path);
}

function firstBytes(path: string): string {
  return withFileErrors("read", path, () => {
    using file = Deno.openSync(path);
    const head = new Uint8Array(8);
    const length = file.readSync(head) ?? 0;
    return String.fromCharCode(...head.subarray(0, length));
  });
}

function listSafetensors(path: string): Listing {
  const checkpoint = openSafetensors(path);
  const arrays = [...checkpoint.tensors].map(([name, tensor]): ListedArray => {
    const { dtype, shape } = tensor;
    const rowBytes = shapeSize(shape.slice(1))! * dtypeBytes[dtype];
    const read = (start: number, end: number): HostTensor => ({
      dtype,
      shape: shape.length === 0 ? [] : [end - start, ...shape.slice(1)],
      bytes: tensor.readBytes(start * rowBytes, end * rowBytes),
    });
    return { name, dtype, shape, read };
  });
  const { metadata } = checkpoint;
  const format = /\.(bin|ckpt|pth?|pth\.tar)$/i.test(path) ? "PyTorch" : "safetensors";
  const network = networkOf(checkpoint.tensors);
  return { format, metadata, network, arrays, [Symbol.dispose]: () => checkpoint.close() };
}

async function listHdf5(path: string): Promise<Listing> {
  const file = await Hdf5File.open(path);
  try {
    const arrays = file.datasets().map((name): ListedArray => {
      try {
        const { dtype, shape } = file.info(name);
        const read = (start: number, end: number) =>
          shape.length === 0 ? file.read(name) : file.readRows(name, start, end);
        return { name, dtype, shape, read, scale: scaleOfHalf(file, name) };
      } catch (cause) {
        // Text and records are no reason not to show the rest.
        if (!(cause instanceof InputError)) throw cause;
        const what = /it holds (.*)$/.exec(cause.message)?.[1] ?? "something else";
        return { name, dtype: what, shape: [] };
      }
    });
    const metadata = file.attributes();
    return { format: "HDF5", metadata, arrays, [Symbol.dispose]: () => file.close() };
  } catch (cause) {
    file.close();
    throw cause;
  }
}

function listNpy(path: string): Listing {
  const file = new NpyFile(path);
  const { dtype, shape } = file;
  const read = (start: number, end: number) =>
    shape.length === 0 ? file.read() : file.readRows(start, end);
  const arrays = [{ name: "", dtype, shape, read }];
  return { format: "NumPy", metadata: {}, arrays, [Symbol.dispose]: () => file.close() };
}

async function listPng(path: string): Promise<Listing> {
  const { loadPng } = await import("../io/png.ts"); // the decoder takes longer to load than all the rest
  const { width, height, data } = loadPng(path);
  return whole(
    "PNG",
    hostTensor(new Uint8Array(data), [height, width, data.length / (width * height)]),
  );
}

async function listNifti(path: string): Promise<Listing> {
  const bytes = withFileErrors("read", path, () => Deno.readFileSync(path));
  return whole("NIfTI", await readNifti(bytes, { source: path }));
}

/** A file that is one array in memory. */
function whole(format: string, tensor: HostTensor): Listing {
  const { dtype, shape, bytes } = tensor;
  const rowBytes = shapeSize(shape.slice(1))! * dtypeBytes[dtype];
  const read = (start: number, end: number): HostTensor => ({
    dtype,
    shape: [end - start, ...shape.slice(1)],
    bytes: bytes.slice(start * rowBytes, end * rowBytes),
  });
  return {
    format,
    metadata: {},
    arrays: [{ name: "", dtype, shape, read }],
    [Symbol.dispose]: () => {},
  };
}
