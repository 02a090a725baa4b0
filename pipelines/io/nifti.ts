import { gunzip } from "node:zlib";
import { InputError } from "../errors.ts";
import { niftiAffine } from "./nifti_affine.ts";
import {
  dtypeBytes,
  type HostDType,
  type HostTensor,
  hostTensor,
  shapeSize,
  toFloat32,
} from "./state_dict.ts";
import { quote } from "./strict_json.ts";

// NIfTI-1, https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h: a header of 348 bytes, four bytes of extension
// flags, and the voxels with the first axis fastest, so that a volume of X × Y × Z is [Z, Y, X] in C order.
const headerBytes = 348;
const singleFileOffset = 352;
const codeOf: Readonly<Partial<Record<HostDType, number>>> = {
  u8: 2,
  i16: 4,
  i32: 8,
  f32: 16,
  f64: 64,
  i8: 256,
  u16: 512,
  u32: 768,
};

async function through(
  bytes: Uint8Array<ArrayBuffer>,
  stream: CompressionStream,
): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(
    await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer(),
  );
}

/** Geometry of a volume to write. */
export interface WriteNiftiOptions {
  /** Edge of the cubic voxels in millimetres. */
  readonly voxelSize?: number;
}

/**
 * A `.nii.gz` file of a volume.
 *
 * @param tensor `[Z, Y, X]` or `[T, Z, Y, X]` in C order, of 8- to 32-bit integers or floats
 * @throws {InputError} for an element type that NIfTI-1 has no common code for
 */
export async function writeNifti(
  tensor: HostTensor,
  { voxelSize = 1 }: WriteNiftiOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const code = codeOf[tensor.dtype];
  const { shape } = tensor;
  if (code === undefined || shape.length < 1 || shape.length > 7) {
    throw new InputError(
      `Cannot write NIfTI: it takes 1 to 7 axes of integers or floats, got ${tensor.dtype} [${shape}]`,
    );
  }
  const out = new Uint8Array(singleFileOffset + tensor.bytes.length);
  const view = new DataView(out.buffer);
  view.setInt32(0, headerBytes, true);
  view.setInt16(40, shape.length, true);
  for (let axis = 0; axis < 7; axis++) {
    view.setInt16(42 + 2 * axis, shape[shape.length - 1 - axis] ?? 1, true);
    view.setFloat32(80 + 4 * axis, axis < 3 ? voxelSize : 1, true);
  }
  view.setInt16(70, code, true);
  view.setInt16(72, 8 * dtypeBytes[tensor.dtype], true);
  view.setFloat32(76, 1, true);
  view.setFloat32(108, singleFileOffset, true);
  view.setFloat32(112, 1, true); // Slope 1, intercept 0: the values as stored.
  out[123] = 2; // Millimetres.
  view.setInt16(254, 1, true); // The affine below is scanner-based.
  for (let axis = 0; axis < 3; axis++) view.setFloat32(280 + 20 * axis, voxelSize, true);
  out.set(new TextEncoder().encode("n+1\0"), 344);
  out.set(tensor.bytes, singleFileOffset);
  return await through(out, new CompressionStream("gzip"));
}

/** What is read, for error messages. */
export interface ReadNiftiOptions {
  /** Name of the file. */
  readonly source?: string;
}

/** What the header of a file says. */
export interface NiftiHeader {
  /** Element type. */
  readonly dtype: HostDType;
  /** Lengths of the axes, slowest first. */
  readonly shape: readonly number[];
  /** Byte of the first voxel. */
  readonly offset: number;
  /** Whether numbers have their least significant byte first. */
  readonly isLittleEndian: boolean;
  /** Value = `slope` × stored + `intercept`, or `undefined` where the stored values are meant. */
  readonly scaling: { readonly slope: number; readonly intercept: number } | undefined;
  /** `[4, 4]` in C order: voxel indices (x, y, z, counted from 0) to millimetres. */
  readonly affine: readonly number[];
}

/** Bytes that hold any header. */
export const NIFTI_HEADER_BYTES = 540;

/**
 * Reads the header of NIfTI-1, or of NIfTI-2 (the same in 540 bytes with wider fields).
 *
 * @param bytes the beginning of the file, unpacked; more than the header does no harm
 * @param cannot the beginning of error sentences, "Cannot read NIfTI …:"
 * @throws {InputError} when it is none, or states another type than integers of 8 to 32 bits and floats
 */
export function parseNiftiHeader(bytes: Uint8Array<ArrayBuffer>, cannot: string): NiftiHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const is = (size: number, little: boolean) =>
    bytes.length >= size && view.getInt32(0, little) === size;
  const second = is(NIFTI_HEADER_BYTES, true) || is(NIFTI_HEADER_BYTES, false);
  const size = second ? NIFTI_HEADER_BYTES : headerBytes;
  const little = is(size, true);
  if (!little && !is(size, false)) {
    throw new InputError(`${cannot} it does not begin with the 348-byte header of NIfTI-1`);
  }
  const length = (i: number): number =>
    second ? Number(view.getBigInt64(16 + 8 * i, little)) : view.getInt16(40 + 2 * i, little);
  const float = (first: number, later: number): number =>
    second ? view.getFloat64(later, little) : view.getFloat32(first, little);
  const nAxes = length(0);
  const shape = Array.from({ length: Math.min(7, Math.max(0, nAxes)) }, (_, i) => length(1 + i))
    .reverse();
  const code = view.getInt16(second ? 12 : 70, little);
  const dtype = (Object.keys(codeOf) as HostDType[]).find((name) => codeOf[name] === code);
  const isShape = nAxes >= 1 && nAxes <= 7 && shape.every((n) => n >= 1);
  if (dtype === undefined || !isShape || shapeSize(shape) === undefined) {
    throw new InputError(`${cannot} its data type is ${code} and its axes are [${shape}]`);
  }
  const offset = second ? Number(view.getBigInt64(168, little)) : view.getFloat32(108, little);
  if (!Number.isSafeInteger(offset) || offset < size) {
    throw new InputError(`${cannot} its voxels begin at byte ${offset}, the header has ${size}`);
  }
  const [slope, intercept] = [float(112, 176), float(116, 184)];
  // A slope of 0 means that there is none.
  const isScaled = slope !== 0 && Number.isFinite(slope) && Number.isFinite(intercept) &&
    (slope !== 1 || intercept !== 0);
  const scaling = isScaled ? { slope, intercept } : undefined;
  const affine = niftiAffine(view, { second, little });
  return { dtype, shape, offset, isLittleEndian: little, scaling, affine };
}

/** Reverses the bytes of each element in place. */
export function swapBytes(bytes: Uint8Array<ArrayBuffer>, width: number): void {
  for (let at = 0; at < bytes.length; at += width) bytes.subarray(at, at + width).reverse();
}

/**
 * The voxels of a NIfTI file, `.nii` or `.nii.gz`, little- or big-endian: `[Z, Y, X]` or `[T, Z, Y, X]` in C order. `NiftiFile` reads
 * what is too large for memory.
 *
 * A file that asks for scaling (a slope other than 0 or 1, or an intercept) gives float32.
 *
 * @throws {InputError} when it is no NIfTI file, is cut off, or holds another type than integers of 8 to 32 bits and floats
 */
export async function readNifti(
  bytes: Uint8Array<ArrayBuffer>,
  { source }: ReadNiftiOptions = {},
): Promise<HostTensor> {
  const cannot = `Cannot read NIfTI${source === undefined ? "" : ` ${quote(source)}`}:`;
  const data = await unpack(bytes, cannot);
  const { dtype, shape, offset, isLittleEndian, scaling } = parseNiftiHeader(data, cannot);
  const length = shapeSize(shape)! * dtypeBytes[dtype];
  if (offset + length > data.length) {
    throw new InputError(
      `${cannot} [${shape}] of ${dtype} need ${length} bytes from byte ${offset}, the file has ${data.length}`,
    );
  }
  const voxels = data.slice(offset, offset + length);
  if (!isLittleEndian) swapBytes(voxels, dtypeBytes[dtype]);
  const tensor = { dtype, shape, bytes: voxels };
  if (scaling === undefined) return tensor;
  const values = toFloat32(tensor).map((value) => value * scaling.slope + scaling.intercept);
  return hostTensor(values, shape);
}

/** A few megabytes of hostile data can claim to hold terabytes. */
const MAX_UNPACKED = 2 ** 31 - 1;

function unzip(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return new Promise((resolve, reject) =>
    gunzip(bytes, { maxOutputLength: MAX_UNPACKED }, (error, result) => {
      if (error) reject(error);
      else resolve(new Uint8Array(result));
    })
  );
}

async function unpack(
  bytes: Uint8Array<ArrayBuffer>,
  cannot: string,
): Promise<Uint8Array<ArrayBuffer>> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    // Of node:zlib, as DecompressionStream refuses files of several gzip members, which bgzip writes.
    return await unzip(bytes);
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ERR_BUFFER_TOO_LARGE") {
      throw new InputError(`${cannot} unpacked it has more than ${MAX_UNPACKED} bytes`, { cause });
    }
    throw new InputError(`${cannot} its gzip data is damaged or cut off`, { cause });
  }
}
