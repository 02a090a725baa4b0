import { InputError } from "../errors.ts";
import {
  dtypeBytes,
  type HostDType,
  type HostTensor,
  hostTensor,
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
  stream: CompressionStream | DecompressionStream,
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

/**
 * The voxels of a NIfTI-1 file, `.nii` or `.nii.gz`, little- or big-endian: `[Z, Y, X]` or `[T, Z, Y, X]` in C order.
 *
 * A file that asks for scaling (a slope other than 0 or 1, or an intercept) gives float32.
 *
 * @throws {InputError} when it is no NIfTI-1 file, is cut off, or holds another type than integers of 8 to 32 bits and floats
 */
export async function readNifti(
  bytes: Uint8Array<ArrayBuffer>,
  { source }: ReadNiftiOptions = {},
): Promise<HostTensor> {
  const cannot = `Cannot read NIfTI${source === undefined ? "" : ` ${quote(source)}`}:`;
  const data = await unpack(bytes, cannot);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const little = data.length >= headerBytes && view.getInt32(0, true) === headerBytes;
  if (!little && (data.length < headerBytes || view.getInt32(0, false) !== headerBytes)) {
    throw new InputError(`${cannot} it does not begin with the 348-byte header of NIfTI-1`);
  }
  const nAxes = view.getInt16(40, little);
  const shape = Array.from(
    { length: Math.max(0, nAxes) },
    (_, i) => view.getInt16(42 + 2 * i, little),
  )
    .reverse();
  const code = view.getInt16(70, little);
  const dtype = (Object.keys(codeOf) as HostDType[]).find((name) => codeOf[name] === code);
  const offset = view.getFloat32(108, little);
  const length = shape.reduce((product, n) => product * n, dtype ? dtypeBytes[dtype] : 1);
  if (dtype === undefined || nAxes < 1 || nAxes > 7 || shape.some((n) => n < 1)) {
    throw new InputError(`${cannot} its data type is ${code} and its axes are [${shape}]`);
  }
  if (!Number.isInteger(offset) || offset < headerBytes || offset + length > data.length) {
    throw new InputError(
      `${cannot} [${shape}] of ${dtype} need ${length} bytes from byte ${offset}, the file has ${data.length}`,
    );
  }
  const voxels = data.slice(offset, offset + length);
  const width = dtypeBytes[dtype];
  if (!little) {
    for (let at = 0; at < length; at += width) voxels.subarray(at, at + width).reverse();
  }
  return scaled(
    { dtype, shape, bytes: voxels },
    view.getFloat32(112, little),
    view.getFloat32(116, little),
  );
}

async function unpack(
  bytes: Uint8Array<ArrayBuffer>,
  cannot: string,
): Promise<Uint8Array<ArrayBuffer>> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    return await through(bytes, new DecompressionStream("gzip"));
  } catch (cause) {
    throw new InputError(`${cannot} its gzip data is damaged or cut off`, { cause });
  }
}

function scaled(tensor: HostTensor, slope: number, intercept: number): HostTensor {
  // A slope of 0 means that there is none.
  if (slope === 0 || !Number.isFinite(slope) || (slope === 1 && intercept === 0)) return tensor;
  const values = toFloat32(tensor).map((value) => value * slope + intercept);
  return hostTensor(values, tensor.shape);
}
