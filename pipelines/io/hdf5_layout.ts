import type { Hdf5Metadata } from "./hdf5_disk.ts";
import { InputError } from "../errors.ts";
import { dtypeBytes, type HostDType, shapeSize } from "./state_dict.ts";

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

/** A part of a dataset. */
export interface Hdf5Box {
  /** First index along each axis. */
  readonly offset: readonly number[];
  /** Number of indices along each axis, at least 1. */
  readonly count: readonly number[];
}

/**
 * Bytes that pass through libhdf5's memory at once. Its memory ends at 2 GiB and never shrinks; larger pieces are
 * no faster, unless a chunk is larger.
 */
const blockBytes = 64 * 2 ** 20;
/** The most that does. */
export const largestBlockBytes = 512 * 2 ** 20;

/** H5G_DATASET, the kind of object that holds an array. */
export const isDataset = 1;

/** Type classes of libhdf5 (H5T_class_t). */
export const classes = { integer: 0, float: 1, string: 3, enumeration: 8 };

/** Filters that are part of libhdf5: deflate, shuffle, Fletcher-32, n-bit, scale-offset. */
export const knownFilters: ReadonlySet<number> = new Set([1, 2, 3, 5, 6]);

/** Type classes in words. */
export const classNames: Readonly<Record<number, string>> = {
  0: "integers",
  1: "floats",
  2: "times",
  3: "strings",
  4: "bit fields",
  5: "opaque bytes",
  6: "compound records",
  7: "references",
  8: "an enumeration",
  9: "lists of varying length",
  10: "small arrays",
};

/** Element type of a dataset, or what it is instead. */
export function dtypeOf(
  { type, size, signed, enum_type: enumeration }: Hdf5Metadata,
): HostDType | string {
  const bits = 8 * size;
  if (type === classes.integer && [1, 2, 4, 8].includes(size)) {
    return `${signed ? "i" : "u"}${bits}` as HostDType;
  }
  // HDF5 has no name for half precision: any float of two bytes is taken for IEEE's, which is what h5py writes.
  if (type === classes.float && [2, 4, 8].includes(size)) return `f${bits}` as HostDType;
  // h5py's convention for booleans.
  const members = enumeration?.members ?? {};
  if (type === classes.enumeration && size === 1 && members.FALSE === 0 && members.TRUE === 1) {
    return "bool";
  }
  const plain = type === classes.integer || type === classes.float;
  return plain ? `${classNames[type]} of ${size} bytes` : classNames[type] ?? "an unknown type";
}

/** The sentence of libhdf5's error stack that names the cause: the deepest one. */
export function causeIn(complaints: string): string {
  const sentences = [...complaints.matchAll(/in \w+\(\): (.+)/g)].map((match) => match[1]);
  return sentences.at(-1) ?? "libhdf5 gives no reason";
}

/** A dataset path from the root, without doubled or closing slashes. */
export function absolute(name: string): string {
  return `/${name.split("/").filter((part) => part !== "").join("/")}`;
}

/** Elements of a box, or NaN where it is not inside of a dataset of this shape. */
export function boxSize({ offset, count }: Hdf5Box, shape: readonly number[]): number {
  const isInside = offset.length === shape.length && count.length === shape.length &&
    [...offset, ...count].every(Number.isInteger) &&
    shape.every((length, i) => offset[i] >= 0 && count[i] >= 1 && offset[i] + count[i] <= length);
  return isInside ? count.reduce((product, n) => product * n, 1) : NaN;
}

/**
 * Bytes for a result.
 *
 * @param cannot the beginning of an error sentence
 * @throws {InputError} when there is no room for them
 */
export function allocateBytes(length: number, cannot: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw new InputError(`${cannot} ${length} bytes at once do not fit in memory`, { cause });
  }
}

/** Boxes `[offset, count]` that cover rows `start` to `end` in C order, of at most `maxElements` each. */
export function* boxes(
  shape: readonly number[],
  start: number,
  end: number,
  maxElements: number,
): Generator<{ offset: number[]; count: number[] }> {
  // The first axis below which everything fits is cut into runs; the axes above it are walked one by one.
  let axis = shape.length - 1;
  let below = 1;
  while (axis > 0 && below * shape[axis] <= maxElements) below *= shape[axis--];
  const run = Math.max(1, Math.floor(maxElements / below));
  const ends = shape.map((length, i) => i === 0 ? end : length);
  if (start >= end || ends.includes(0)) return;
  const offset = shape.map((_, i) => i === 0 ? start : 0);
  while (true) {
    const length = Math.min(run, ends[axis] - offset[axis]);
    const count = shape.map((size, i) => i < axis ? 1 : i === axis ? length : size);
    yield { offset: [...offset], count };
    offset[axis] += length;
    let carry = axis;
    while (carry > 0 && offset[carry] >= ends[carry]) {
      offset[carry] = 0;
      offset[--carry]++;
    }
    if (offset[0] >= ends[0]) return;
  }
}

/**
 * Boxes `[offset, count]` of about `maxElements` that cover rows `start` to `end` and end where chunks end, so that each chunk is read
 * once. Where whole rows of chunks do not fit they are cut along the second axis too, so boxes need not be in C order.
 *
 * @returns nothing where one chunk with all of the further axes has more than `maxElements`
 */
export function chunkBoxes(
  shape: readonly number[],
  chunks: readonly number[],
  { start, end, maxElements }: { start: number; end: number; maxElements: number },
): { offset: number[]; count: number[] }[] | undefined {
  const [height, width = 1] = chunks;
  const [, across = 1, ...rest] = shape;
  const inner = rest.reduce((product, length) => product * length, 1);
  if (start >= end || across * inner === 0) return [];
  if (height * Math.min(width, across) * inner > maxElements) return undefined;
  const fitting = Math.floor(maxElements / (height * across * inner));
  const rows = height * Math.max(1, fitting);
  const columns = fitting > 0
    ? across
    : Math.max(1, Math.floor(maxElements / (height * width * inner))) * width;
  const list = [];
  for (let top = start; top < end;) {
    const bottom = Math.min(end, Math.floor(top / height) * height + rows);
    for (let left = 0; left < across; left += columns) {
      const count = [bottom - top, Math.min(columns, across - left), ...rest];
      list.push({
        offset: [top, left, ...rest.map(() => 0)].slice(0, shape.length),
        count: count.slice(0, shape.length),
      });
    }
    top = bottom;
  }
  return list;
}

/**
 * Boxes for rows `start` to before `end`, as chunks make cheapest: each of at most 64 MiB, or what one chunk needs.
 *
 * @returns the boxes, which a hostile shape can make very many, and the bytes that hold any of them
 */
export function rowBoxes(
  { dtype, shape, chunks }: Hdf5DatasetInfo,
  start: number,
  end: number,
): { list: Iterable<Hdf5Box>; bytes: number } {
  const width = dtypeBytes[dtype];
  if (shape.length === 0) return { list: [{ offset: [], count: [] }], bytes: width };
  const inner = shapeSize(shape.slice(2))!;
  // As much as one chunk needs, where that is more than usual.
  const chunk = (chunks?.[0] ?? 1) * (chunks?.[1] ?? 1) * inner * width;
  const limit = Math.min(Math.max(blockBytes, chunk), largestBlockBytes);
  const maxElements = Math.floor(limit / width);
  const list = chunks && chunkBoxes(shape, chunks, { start, end, maxElements }) ||
    boxes(shape, start, end, maxElements);
  return { list, bytes: Math.min(limit, (end - start) * inner * (shape[1] ?? 1) * width) };
}

/**
 * Bytes of a chunk: small enough that libhdf5 holds one in its cache of 1 MiB when rows come a few at a time, large
 * enough that a reader is not slowed by their number.
 */
const chunkBytes = 2 ** 19;

/** Lengths of a chunk, or `undefined` where chunks cannot be (scalars, empty axes). */
export function chunksOf(
  shape: readonly number[],
  width: number,
  given?: readonly number[],
): readonly number[] | undefined {
  if (shape.length === 0 || shape.includes(0)) return undefined;
  if (given !== undefined) return given;
  const most = Math.floor(chunkBytes / width);
  const chunks = [...shape];
  let size = shapeSize(shape)!;
  for (let axis = 0; axis < shape.length && size > most; axis++) {
    const below = size / shape[axis];
    // Leading axes shrink to 1 until the rest fits.
    chunks[axis] = Math.max(1, Math.min(shape[axis], Math.floor(most / below)));
    size = chunks[axis] * below;
  }
  return chunks;
}
