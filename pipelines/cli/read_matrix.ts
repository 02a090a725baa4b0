/**
 * Arrays of the command line as matrices of samples.
 *
 * @module
 */
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { openArray, type RowSource } from "../io/array_ref.ts";
import { quote } from "../io/strict_json.ts";
import { requireAxes, requireFinite } from "../io/checks.ts";

/** A matrix with what the user called it. */
export interface NamedMatrix extends HostMatrix {
  /** The reference as it was given. */
  readonly source: string;
}

/**
 * Opens an array of samples; one axis alone is one column.
 *
 * @param columns what the columns are, for messages
 * @throws {InputError} when there is no such array or it has other axes
 */
export async function openSamples(
  reference: string,
  columns: string,
): Promise<{ rows: RowSource; shape: readonly [number, number] }> {
  const rows = await openArray(reference);
  try {
    if (rows.shape.length !== 1) requireAxes(rows, ["samples", columns]);
    return { rows, shape: [rows.shape[0], rows.shape[1] ?? 1] };
  } catch (cause) {
    rows.close();
    throw cause;
  }
}

/**
 * Rows to read at a time: about as many as wanted, in whole chunks of the file, so that no chunk is read twice. Where chunks are taller
 * it is one of them.
 *
 * @param wanted most rows that should be in memory
 */
export function slabRows(
  { rowsPerChunk }: Pick<RowSource, "rowsPerChunk">,
  wanted: number,
): number {
  return Math.max(1, Math.floor(wanted / rowsPerChunk)) * rowsPerChunk;
}

/**
 * Reads an array of samples whole.
 *
 * @throws {InputError} when there is no such array, it has other axes, or a value is not finite
 */
export async function readSamples(reference: string, columns: string): Promise<NamedMatrix> {
  const { rows, shape } = await openSamples(reference, columns);
  using _rows = rows;
  const data = rows.readRows(0, shape[0]);
  requireFinite(data, { source: reference, columns: shape[1] });
  return { ...hostMatrix(data, shape), source: reference };
}

/**
 * Reads an array of one number each.
 *
 * @param what how many there must be, in words
 * @throws {InputError} when there is no such array, a value is not finite, or there are not as many
 */
export async function readVector(
  reference: string,
  length: number,
  what: string,
): Promise<Float64Array> {
  const { data, shape } = await readSamples(reference, "1");
  if (data.length === length && shape[1] === 1) return Float64Array.from(data);
  throw new InputError(
    `Cannot use ${quote(reference)}: ${length} values are needed, ${what}, its shape is [${shape}]`,
  );
}
