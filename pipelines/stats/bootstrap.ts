import { foldIn, type Key, randomBits } from "../../engine/random.ts";
import { InputError } from "../errors.ts";

/** Statistics of units, such as images: any row-major table on the host. */
export interface UnitValues {
  /** Row after row; NaN where a unit has no value. */
  readonly data: ArrayLike<number>;
  /** Units and statistics. */
  readonly shape: readonly [nUnits: number, nColumns: number];
}

/** Options of {@link bootstrapMeans}. */
export interface BootstrapOptions {
  /** Draws the units; resample `b` is drawn with `foldIn(key, b)`. */
  readonly key: Key;
  /** Number of resamples. */
  readonly nResamples?: number;
  /** Share of the resampled means between the ends of an interval. */
  readonly level?: number;
}

/** Means with their intervals, one per column. */
export interface BootstrapMeans {
  /** Mean over the units with a value, `[nColumns]`; NaN where there is none. */
  readonly mean: Float64Array<ArrayBuffer>;
  /** Lower ends, `[nColumns]`. */
  readonly low: Float64Array<ArrayBuffer>;
  /** Upper ends, `[nColumns]`. */
  readonly high: Float64Array<ArrayBuffer>;
  /** Units with a value, `[nColumns]`. */
  readonly nUnits: Uint32Array<ArrayBuffer>;
}

/** Units drawn with replacement: how often each one comes up. */
function drawCounts(key: Key, nUnits: number, counts: Uint32Array): void {
  counts.fill(0);
  // Scaling 32 bits favours no unit by more than nUnits / 2^32.
  for (const bits of randomBits(key, nUnits)) counts[Math.floor(bits * nUnits / 2 ** 32)]++;
}

/**
 * The value below which a share of sorted values lies, interpolated linearly between neighbours (numpy's default).
 *
 * @param sorted ascending; of none the quantile is NaN
 */
export function quantileOf(sorted: ArrayLike<number>, share: number): number {
  if (sorted.length === 0) return NaN;
  const at = share * (sorted.length - 1), below = Math.floor(at);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

/** Means of one column over the units of every resample; resamples without a value are left out. */
function resampledMeans(
  { data, shape: [n, cols] }: UnitValues,
  column: number,
  draws: readonly Uint32Array[],
): { mean: number; count: number; sorted: Float64Array } {
  const rows: number[] = [];
  for (let i = 0; i < n; i++) if (!Number.isNaN(data[i * cols + column])) rows.push(i);
  if (rows.length === 0) return { mean: NaN, count: 0, sorted: new Float64Array() };
  // About the first value: a column of equal values has that mean exactly.
  const base = data[rows[0] * cols + column];
  const values = Float64Array.from(rows, (row) => data[row * cols + column] - base);
  const means: number[] = [];
  for (const counts of draws) {
    let total = 0, size = 0;
    for (let i = 0; i < rows.length; i++) {
      total += counts[rows[i]] * values[i];
      size += counts[rows[i]];
    }
    if (size > 0) means.push(base + total / size);
  }
  const mean = base + values.reduce((sum, value) => sum + value, 0) / rows.length;
  return { mean, count: rows.length, sorted: Float64Array.from(means).sort() };
}

function requireOptions({ data, shape: [n, cols] }: UnitValues, options: BootstrapOptions): void {
  const { nResamples = 1, level = 0.5 } = options;
  const isWhole = Number.isInteger(nResamples) && nResamples >= 1;
  if (n < 1 || data.length !== n * cols || !isWhole || !(level > 0 && level < 1)) {
    throw new InputError(
      `Cannot bootstrap ${data.length} values as [${n},${cols}] with ${nResamples} resamples at level ${level}: ` +
        "the values must fit a shape with units, resamples be a whole number from 1, the level between 0 and 1",
    );
  }
}

/**
 * Means over units with percentile bootstrap intervals (Efron and Tibshirani 1993, chapter 13). Every resample draws units once for
 * all columns, so that columns stay comparable unit by unit; calls with the same key and number of units share their draws.
 *
 * @param values `[nUnits, nColumns]`: a NaN is left out of its column
 * @throws {InputError} when the values do not fit their shape, there is no unit, or an option is out of range
 */
export function bootstrapMeans(values: UnitValues, options: BootstrapOptions): BootstrapMeans {
  const { key, nResamples = 2000, level = 0.95 } = options;
  requireOptions(values, options);
  const [n, cols] = values.shape;
  const draws = Array.from({ length: nResamples }, (_, b) => {
    const counts = new Uint32Array(n);
    drawCounts(foldIn(key, b), n, counts);
    return counts;
  });
  const make = () => new Float64Array(cols);
  const result = { mean: make(), low: make(), high: make(), nUnits: new Uint32Array(cols) };
  for (let j = 0; j < cols; j++) {
    const { mean, count, sorted } = resampledMeans(values, j, draws);
    result.mean[j] = mean;
    result.low[j] = quantileOf(sorted, (1 - level) / 2);
    result.high[j] = quantileOf(sorted, (1 + level) / 2);
    result.nUnits[j] = count;
  }
  return result;
}

/**
 * Means of paired differences of columns, with intervals by {@link bootstrapMeans}: units count that have both values.
 *
 * @param values `[nUnits, nColumns]`
 * @param pairs columns `[a, b]`, for the mean of `a − b`
 * @throws {InputError} for a column that is not there, and as {@link bootstrapMeans} says
 */
export function bootstrapDifferences(
  values: UnitValues,
  pairs: readonly (readonly [a: number, b: number])[],
  options: BootstrapOptions,
): BootstrapMeans {
  requireOptions(values, options);
  const { data, shape: [n, cols] } = values;
  const bad = pairs.flat().find((column) =>
    !(Number.isInteger(column) && column >= 0 && column < cols)
  );
  if (bad !== undefined) {
    throw new InputError(`Cannot subtract column ${bad}: there are ${cols}, counted from 0`);
  }
  const differences = new Float64Array(n * pairs.length);
  for (let i = 0; i < n; i++) {
    pairs.forEach(([a, b], p) => {
      differences[i * pairs.length + p] = data[i * cols + a] - data[i * cols + b];
    });
  }
  return bootstrapMeans({ data: differences, shape: [n, pairs.length] }, options);
}
