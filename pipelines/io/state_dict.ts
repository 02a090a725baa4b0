import { InputError } from "../errors.ts";

/** The element types that files hold; `f16`, `bf16` and 64-bit integers need decoding before arithmetic. */
export type HostDType =
  | "f32"
  | "f16"
  | "bf16"
  | "f64"
  | "i8"
  | "u8"
  | "i16"
  | "u16"
  | "i32"
  | "u32"
  | "i64"
  | "u64"
  | "bool";

/** An array on the host, as a file holds it: C order, little-endian. */
export interface HostTensor {
  /** Element type of `bytes`. */
  readonly dtype: HostDType;
  /** Lengths of the axes, slowest first; `[]` is a scalar. */
  readonly shape: readonly number[];
  /**
   * Raw little-endian bytes: a view into what was read, at any alignment. A tensor of an open file reads them
   * from disk when asked, so take them once into a variable.
   */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Named arrays of a checkpoint or data file. */
export type StateDict = ReadonlyMap<string, HostTensor>;

/** The typed arrays that `hostArray` gives, by element type; `f16` and `bf16` come as their bits. */
export type HostArray =
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer>
  | BigUint64Array<ArrayBuffer>;

/** Bytes of one element of each type. */
export const dtypeBytes: Readonly<Record<HostDType, number>> = {
  f32: 4,
  f16: 2,
  bf16: 2,
  f64: 8,
  i8: 1,
  u8: 1,
  i16: 2,
  u16: 2,
  i32: 4,
  u32: 4,
  i64: 8,
  u64: 8,
  bool: 1,
};

/**
 * Number of elements of a shape, or `undefined` where a length is not a whole number from 0 or the product is
 * above 2^53 (a file may claim 2^60 elements; the claim must not reach an allocation).
 */
export function shapeSize(shape: readonly unknown[]): number | undefined {
  let size = 1;
  for (const length of shape) {
    if (typeof length !== "number" || !Number.isSafeInteger(length) || length < 0) return undefined;
    size *= length;
    if (!Number.isSafeInteger(size)) return undefined;
  }
  return size;
}

/** Bytes of the elements as a typed array's arguments: in place where aligned, else a copy. */
function aligned(bytes: Uint8Array<ArrayBuffer>, size: number): [ArrayBuffer, number, number] {
  const at = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  return [at.buffer, at.byteOffset, at.byteLength / size];
}

/**
 * The elements as the typed array of their type: a view of `tensor.bytes`, or a copy where they are not aligned.
 * `f16` and `bf16` come as `Uint16Array` bits, `bool` as `Uint8Array`, 64-bit integers as big-integer arrays.
 *
 * @throws {InputError} when the bytes are not as many as the shape and type need
 */
export function hostArray(tensor: HostTensor): HostArray {
  const { dtype, shape } = tensor;
  const bytes = tensor.bytes;
  const size = shapeSize(shape);
  if (size === undefined || bytes.byteLength !== size * dtypeBytes[dtype]) {
    throw new InputError(
      `Cannot read a ${dtype} array of shape [${shape}]: the shape does not fit its ${bytes.byteLength} bytes`,
    );
  }
  const view = aligned(bytes, dtypeBytes[dtype]);
  switch (dtype) {
    case "f32":
      return new Float32Array(...view);
    case "f64":
      return new Float64Array(...view);
    case "i8":
      return new Int8Array(...view);
    case "u8":
    case "bool":
      return new Uint8Array(...view);
    case "i16":
      return new Int16Array(...view);
    case "f16":
    case "bf16":
    case "u16":
      return new Uint16Array(...view);
    case "i32":
      return new Int32Array(...view);
    case "u32":
      return new Uint32Array(...view);
    case "i64":
      return new BigInt64Array(...view);
    case "u64":
      return new BigUint64Array(...view);
  }
}

/** Values of IEEE half-precision bits; every half is a float32, so nothing is rounded. */
export function decodeFloat16(bits: Uint16Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const halves = new Float16Array(bits.buffer, bits.byteOffset, bits.length);
  const values = new Float32Array(halves.length);
  for (let i = 0; i < values.length; i++) values[i] = halves[i];
  return values;
}

/** IEEE half-precision bits of values, rounded to nearest with ties to even; above 65,519.99 is infinite. */
export function encodeFloat16(values: Float32Array | Float64Array): Uint16Array<ArrayBuffer> {
  const halves = new Float16Array(values.length);
  for (let i = 0; i < values.length; i++) halves[i] = values[i];
  return new Uint16Array(halves.buffer);
}

/** Values of bfloat16 bits (the upper half of a float32); nothing is rounded. */
export function decodeBfloat16(bits: Uint16Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < words.length; i++) words[i] = bits[i] << 16;
  return new Float32Array(words.buffer);
}

/** Bfloat16 bits of float32 values, rounded to nearest with ties to even; NaN stays NaN. */
export function encodeBfloat16(values: Float32Array<ArrayBuffer>): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const bits = new Uint16Array(words.length);
  for (let i = 0; i < bits.length; i++) {
    const word = words[i];
    // Rounding would carry a NaN with a small payload into infinity: truncate it and set its quiet bit.
    bits[i] = (word & 0x7fffffff) > 0x7f800000
      ? (word >>> 16) | 0x40
      : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return bits;
}

/**
 * The elements as float32. `f16`, `bf16` and integers below 2^24 are exact; `f64` and larger integers are
 * rounded. An aligned `f32` array is not copied: the result then shares memory with `tensor.bytes`.
 *
 * @throws {InputError} when the bytes are not as many as the shape and type need
 */
export function toFloat32(tensor: HostTensor): Float32Array<ArrayBuffer> {
  const array = hostArray(tensor);
  if (array instanceof Float32Array) return array;
  if (tensor.dtype === "f16") return decodeFloat16(array as Uint16Array<ArrayBuffer>);
  if (tensor.dtype === "bf16") return decodeBfloat16(array as Uint16Array<ArrayBuffer>);
  const values = new Float32Array(array.length);
  if (array instanceof BigInt64Array || array instanceof BigUint64Array) {
    for (let i = 0; i < values.length; i++) values[i] = Number(array[i]);
  } else {
    values.set(array);
  }
  return values;
}

/**
 * The elements as float64, every one of them exact.
 *
 * @throws {InputError} when a 64-bit integer is beyond ±2^53, where float64 would silently change it
 */
export function toFloat64(tensor: HostTensor): Float64Array<ArrayBuffer> {
  const array = hostArray(tensor);
  if (array instanceof Float64Array) return array;
  if (!(array instanceof BigInt64Array || array instanceof BigUint64Array)) {
    return new Float64Array(
      tensor.dtype === "f16" || tensor.dtype === "bf16" ? toFloat32(tensor) : array,
    );
  }
  const values = new Float64Array(array.length);
  for (let i = 0; i < values.length; i++) {
    const value = Number(array[i]);
    if (!Number.isSafeInteger(value)) {
      throw new InputError(
        `Cannot hold ${tensor.dtype} values as float64: integers must be within ±(2^53 - 1), ` +
          `element ${i} is ${array[i]}`,
      );
    }
    values[i] = value;
  }
  return values;
}

/** The element type of a typed array; `Float16Array` is `f16`. */
function dtypeOf(data: HostArray | Float16Array): HostDType {
  const tag = data[Symbol.toStringTag];
  const kind = tag.startsWith("Float") ? "f" : tag.includes("Uint") ? "u" : "i";
  return `${kind}${8 * data.BYTES_PER_ELEMENT}` as HostDType;
}

/**
 * A host tensor over a typed array, without copying; the type is the array's own unless `dtype` says how to
 * read its bits (`Uint16Array` as `f16` or `bf16`, `Uint8Array` as `bool`).
 *
 * @throws {InputError} when the array's length or element size does not fit the shape or type
 */
export function hostTensor(
  data: HostArray | Float16Array<ArrayBuffer>,
  shape: readonly number[],
  { dtype = dtypeOf(data) }: { dtype?: HostDType } = {},
): HostTensor {
  if (dtypeBytes[dtype] !== data.BYTES_PER_ELEMENT || shapeSize(shape) !== data.length) {
    throw new InputError(
      `Cannot describe ${data.length} elements of ${data.BYTES_PER_ELEMENT} bytes as ${dtype} [${shape}]`,
    );
  }
  return {
    dtype,
    shape: [...shape],
    bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  };
}

/**
 * One state dict with the tensors of all, in order.
 *
 * @throws {InputError} when a name occurs twice: which of the two is meant cannot be known
 */
export function mergeStateDicts(...dicts: readonly StateDict[]): StateDict {
  const merged = new Map<string, HostTensor>();
  for (const dict of dicts) {
    for (const [name, tensor] of dict) {
      if (merged.has(name)) {
        throw new InputError(`Cannot merge state dicts: "${name}" is in more than one of them`);
      }
      merged.set(name, tensor);
    }
  }
  return merged;
}
