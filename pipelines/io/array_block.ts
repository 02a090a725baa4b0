import { type HostArray, hostArray, type HostTensor, toFloat32 } from "./state_dict.ts";

/**
 * Some rows of some neighbouring columns of an array. An array with several axes after the first counts its columns over all of them,
 * in C order.
 */
export interface ArrayBlock {
  /** First row. */
  readonly firstRow: number;
  /** First column. */
  readonly firstColumn: number;
  /** `[rows, columns]`, or `[columns, rows]` where transposed. Its bytes are valid until the next block is asked for. */
  readonly tensor: HostTensor;
  /** Whether columns lie in one piece, as in Fortran order. */
  readonly isTransposed?: boolean;
}

/** Bytes that a reader holds beside the result. */
export const BLOCK_BYTES = 16 * 2 ** 20;

/** The elements in an array whose `set` converts them to float32. */
function convertible(tensor: HostTensor): Exclude<HostArray, BigInt64Array | BigUint64Array> {
  const { dtype } = tensor;
  if (dtype === "f16" || dtype === "bf16" || dtype === "i64" || dtype === "u64") {
    return toFloat32(tensor);
  }
  return hostArray(tensor) as Exclude<HostArray, BigInt64Array | BigUint64Array>;
}

/**
 * Writes a block into a matrix as float32.
 *
 * @param into rows from `firstRow` on, `[…, nColumns]`
 */
export function placeBlock(
  { firstRow, firstColumn, tensor, isTransposed = false }: ArrayBlock,
  into: Float32Array,
  { nColumns, start }: { nColumns: number; start: number },
): void {
  const values = convertible(tensor);
  const [rows, columns] = isTransposed ? [tensor.shape[1], tensor.shape[0]] : tensor.shape;
  const first = (firstRow - start) * nColumns + firstColumn;
  if (isTransposed) {
    for (let r = 0; r < rows; r++) {
      const to = first + r * nColumns;
      for (let c = 0; c < columns; c++) into[to + c] = values[c * rows + r];
    }
  } else if (columns === nColumns) {
    into.set(values, first);
  } else {
    for (let r = 0; r < rows; r++) {
      into.set(values.subarray(r * columns, (r + 1) * columns), first + r * nColumns);
    }
  }
}
