/**
 * Factors of images as readouts tell them, and how far apart two images are in each: in units of two unrelated stimuli.
 *
 * @module
 */
import { InputError } from "../errors.ts";

/** A factor of images: some numbers, or one class. */
export interface Factor {
  /** What it is called. */
  readonly name: string;
  /** Columns of the readings that it is read from; one for a class. */
  readonly columns: readonly number[];
  /** Numbers that vary, or the number of a class. */
  readonly kind: "values" | "class";
}

/** What readouts say about images. */
export interface Readings {
  /** Row after row, `[n, nColumns]`. */
  readonly data: ArrayLike<number>;
  /** Images and columns. */
  readonly shape: readonly [n: number, nColumns: number];
}

/** Factors with the distance of unrelated stimuli in every column. */
export interface FactorScale {
  /** In the order of the matrices that are made from them. */
  readonly factors: readonly Factor[];
  /**
   * Mean absolute difference of two different stimuli, and for a class the chance that they differ, `[nColumns]`; NaN for columns of no
   * factor.
   */
  readonly unrelated: Float64Array<ArrayBuffer>;
}

/**
 * Checks readings.
 *
 * @throws {InputError} when the numbers do not fit the shape, or one is not finite
 */
export function requireReadings({ data, shape: [n, nColumns] }: Readings, of: string): void {
  if (n < 1 || data.length !== n * nColumns) {
    throw new InputError(
      `Cannot judge ${of}: ${data.length} readings do not fit the shape [${n},${nColumns}]`,
    );
  }
  const bad = Array.prototype.findIndex.call(data, (value: number) => !Number.isFinite(value));
  if (bad < 0) return;
  throw new InputError(
    `Cannot judge ${of}: the reading of image ${Math.floor(bad / nColumns)}, column ${
      bad % nColumns
    } (counted from 0) is ${data[bad]}`,
  );
}

/** Mean absolute difference over all pairs, from the sorted values. */
function meanAbsoluteDifference(values: Float64Array): number {
  const n = values.length;
  let sum = 0;
  values.toSorted().forEach((value, i) => sum += (2 * i - n + 1) * value);
  return 2 * sum / (n * (n - 1));
}

function shareThatDiffers(classes: Float64Array): number {
  const counts = new Map<number, number>(), n = classes.length;
  for (const c of classes) counts.set(c, (counts.get(c) ?? 0) + 1);
  let alike = 0;
  for (const count of counts.values()) alike += count * (count - 1);
  return 1 - alike / (n * (n - 1));
}

/**
 * Takes from stimuli how far apart unrelated ones are.
 *
 * @param stimuli readings of stimuli that were not steered, of two at least
 * @throws {InputError} when the readings do not fit, a factor has no or unknown columns, or a column does not vary
 */
export function factorScale(stimuli: Readings, factors: readonly Factor[]): FactorScale {
  requireReadings(stimuli, "stimuli");
  const { data, shape: [n, nColumns] } = stimuli;
  const unrelated = new Float64Array(nColumns).fill(NaN);
  for (const { name, columns, kind } of factors) {
    const known = columns.every((c) => Number.isInteger(c) && c >= 0 && c < nColumns);
    if (columns.length === 0 || !known || (kind === "class" && columns.length > 1)) {
      throw new InputError(
        `Cannot read factor "${name}" from columns ${columns.join(", ") || "none"}: ` +
          `there are ${nColumns}, counted from 0, and a class has one`,
      );
    }
    for (const column of columns) {
      const values = Float64Array.from({ length: n }, (_, i) => data[i * nColumns + column]);
      const apart = kind === "class" ? shareThatDiffers(values) : meanAbsoluteDifference(values);
      if (!(apart > 0)) {
        throw new InputError(`Cannot judge factor "${name}": its column ${column} does not vary`);
      }
      unrelated[column] = apart;
    }
  }
  return { factors, unrelated };
}

/**
 * How far two images are apart in every factor: 0 for alike, and 1 is what two unrelated stimuli have on average. A factor of several
 * columns is their mean.
 *
 * @param a readings of one image, `[nColumns]`
 * @param b readings of the other
 * @returns `[nFactors]`
 */
export function factorDistances(
  { factors, unrelated }: FactorScale,
  a: ArrayLike<number>,
  b: ArrayLike<number>,
): Float64Array<ArrayBuffer> {
  return Float64Array.from(factors, ({ columns, kind }) => {
    const apart = (c: number) => kind === "class" ? Number(a[c] !== b[c]) : Math.abs(a[c] - b[c]);
    return columns.reduce((sum, c) => sum + apart(c) / unrelated[c], 0) / columns.length;
  });
}
