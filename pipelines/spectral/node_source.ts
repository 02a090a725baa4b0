import type { HostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { type Affinity, comparesDirections } from "./affinity.ts";

/**
 * Rows of features that need not be in memory together: what `FeatureNodes` reads from files, or a matrix. Each pass over them reads
 * piece after piece.
 */
export interface NodeSource {
  /** Nodes and features. */
  readonly shape: readonly [nNodes: number, width: number];
  /** Rows `start` to before `end`, `[end − start, width]`. */
  readRows(start: number, end: number): Float32Array<ArrayBuffer>;
}

/** A matrix as a source of nodes; the values are not copied. */
export function nodesOf(nodes: HostMatrix | NodeSource): NodeSource {
  if ("readRows" in nodes) return nodes;
  const { data, shape } = nodes;
  return { shape, readRows: (start, end) => data.subarray(start * shape[1], end * shape[1]) };
}

/** An array on disk of two or more axes as a source of nodes: its last axis is features. Half precision is read as float32. */
export function nodesOfRows(
  { shape, readRows, source }: {
    readonly source: string;
    readonly shape: readonly number[];
    readRows(start: number, end: number): Float32Array<ArrayBuffer>;
  },
): NodeSource {
  const [n, width] = shape;
  if (shape.length !== 2) {
    throw new InputError(
      `Cannot take nodes from the rows of ${source}: its shape is [${shape}], needs [nodes, features]`,
    );
  }
  return { shape: [n, width], readRows };
}

/** Windows of `size` rows that cover `n`, the last one shorter. */
export function* windows(n: number, size: number): Generator<readonly [number, number]> {
  for (let start = 0; start < n; start += size) yield [start, Math.min(n, start + size)];
}

/**
 * Some rows of a source, read in one pass from the first to the last of them.
 *
 * @param indices ascending or not, with or without repetitions
 * @returns `[indices.length, width]` in the order of the indices
 */
export function takeNodes(
  source: NodeSource,
  indices: Uint32Array,
  { chunkSize }: { readonly chunkSize: number },
): HostMatrix {
  const [n, width] = source.shape;
  const data = new Float32Array(indices.length * width);
  const order = Uint32Array.from(indices.keys()).sort((a, b) => indices[a] - indices[b] || a - b);
  for (let at = 0; at < order.length;) {
    const start = indices[order[at]];
    let last = at; // rows that are near each other come in one piece
    while (
      last + 1 < order.length && indices[order[last + 1]] < start + chunkSize &&
      indices[order[last + 1]] - indices[order[last]] <= 64
    ) last++;
    const end = Math.min(n, indices[order[last]] + 1);
    const rows = source.readRows(start, end);
    for (; at <= last; at++) {
      const from = (indices[order[at]] - start) * width;
      data.set(rows.subarray(from, from + width), order[at] * width);
    }
  }
  return { data, shape: [indices.length, width] };
}

const LARGEST = 2 ** 56; // above it squares overflow in f32, as `requireNodes` has it
const SMALLEST = 2 ** -56;

/**
 * Refuses rows that an affinity cannot compare, as `requireNodes` does on the device.
 *
 * @param firstRow number of the first row among all
 * @throws {InputError} naming the first such row, counted from 0
 */
export function requireRows(
  data: Float32Array,
  { width, firstRow, affinity }: {
    readonly width: number;
    readonly firstRow: number;
    readonly affinity: Affinity;
  },
): void {
  const needsDirection = comparesDirections(affinity);
  for (let start = 0; start < data.length; start += width) {
    let largest = 0, sum = 0;
    for (let i = start; i < start + width; i++) {
      const size = Math.abs(data[i]);
      sum += size; // NaN stays NaN
      if (size > largest) largest = size;
    }
    if (sum === sum && largest <= LARGEST && !(needsDirection && largest < SMALLEST)) continue;
    const why = Number.isNaN(sum)
      ? "has a value that is NaN"
      : largest > LARGEST
      ? `has a value of size ${largest}; the largest is 2^56`
      : `is zero and has no direction, which a ${affinity.kind} affinity compares`;
    throw new InputError(
      `Cannot compare nodes: row ${firstRow + start / width} (counted from 0) ${why}`,
    );
  }
}
