import { InputError } from "../errors.ts";
import { quote } from "./strict_json.ts";

/** Where values come from, to name the place of a bad one. */
export interface FiniteOptions {
  /** The reference the user gave. */
  source: string;
  /** Elements of a row; by default all values are one row. */
  columns?: number;
  /** Row number of the first value. */
  firstRow?: number;
}

/**
 * Refuses NaN and infinite values by the place of the first one, counted from 0.
 *
 * @param values rows of `columns` elements
 * @throws {InputError} when a value is not finite
 */
export function requireFinite(
  values: Float32Array | Float64Array,
  { source, columns = values.length, firstRow = 0 }: FiniteOptions,
): void {
  for (let i = 0; i < values.length; i++) {
    if (Number.isFinite(values[i])) continue;
    const row = firstRow + Math.floor(i / columns);
    throw new InputError(
      `Cannot use ${quote(source)}: every value must be finite, row ${row}, column ${
        i % columns
      } ` +
        `(counted from 0) is ${values[i]}`,
    );
  }
}

/** An array by what the user called it, and its shape. */
export interface NamedShape {
  /** The reference the user gave. */
  readonly source: string;
  /** Lengths of the axes, slowest first. */
  readonly shape: readonly number[];
}

/**
 * Refuses arrays whose rows cannot be the same samples.
 *
 * @throws {InputError} when the first axes differ in length, or there are no rows at all
 */
export function requireSameRows(first: NamedShape, ...others: readonly NamedShape[]): void {
  const [rows] = first.shape;
  for (const other of others) {
    if (other.shape[0] !== rows) {
      throw new InputError(
        `Cannot pair ${quote(first.source)} with ${
          quote(other.source)
        }: they must have the same number ` +
          `of rows, have ${rows} and ${other.shape[0]}`,
      );
    }
  }
  if (!(rows > 0)) throw new InputError(`Cannot use ${quote(first.source)}: it has no rows`);
}

/**
 * Refuses an array of other axes than are needed.
 *
 * @param axes what the axes mean, `["samples", "features"]`
 * @throws {InputError} when the number of axes differs
 */
export function requireAxes({ source, shape }: NamedShape, axes: readonly string[]): void {
  if (shape.length !== axes.length) {
    throw new InputError(
      `Cannot use ${quote(source)}: it must have the axes [${
        axes.join(", ")
      }], its shape is [${shape}]`,
    );
  }
}
