import { InputError } from "../errors.ts";

/** How often two labellings of the same items meet. */
export interface Contingency {
  /** Different labels of the first, ascending. */
  readonly rows: readonly number[];
  /** Different labels of the second, ascending. */
  readonly columns: readonly number[];
  /** `[rows, columns]` */
  readonly counts: Float64Array<ArrayBuffer>;
  /** Items with each label of the first. */
  readonly rowSums: Float64Array<ArrayBuffer>;
  /** Items with each label of the second. */
  readonly columnSums: Float64Array<ArrayBuffer>;
  /** Items. */
  readonly n: number;
}

/**
 * Counts how many items have each pair of labels.
 *
 * @throws {InputError} when the labellings differ in length, are empty, or hold anything but integers
 */
export function contingency(a: ArrayLike<number>, b: ArrayLike<number>): Contingency {
  const n = a.length;
  if (n !== b.length || n === 0) {
    throw new InputError(
      `Cannot compare labellings of ${n} and ${b.length} items: they must have as many, and some`,
    );
  }
  const [rows, columns] = [a, b].map(distinct);
  const [rowOf, columnOf] = [rows, columns].map((labels) => new Map(labels.map((v, i) => [v, i])));
  const width = columns.length;
  const counts = new Float64Array(rows.length * width);
  for (let i = 0; i < n; i++) counts[rowOf.get(a[i])! * width + columnOf.get(b[i])!]++;
  const rowSums = new Float64Array(rows.length), columnSums = new Float64Array(width);
  counts.forEach((count, at) => {
    rowSums[Math.floor(at / width)] += count;
    columnSums[at % width] += count;
  });
  return { rows, columns, counts, rowSums, columnSums, n };
}

function distinct(labels: ArrayLike<number>): number[] {
  const found = new Set<number>();
  for (let i = 0; i < labels.length; i++) {
    if (!Number.isInteger(labels[i])) {
      throw new InputError(
        `Cannot compare labellings: labels must be integers, item ${i} (counted from 0) has ${
          labels[i]
        }`,
      );
    }
    found.add(labels[i]);
  }
  return [...found].sort((p, q) => p - q);
}

const pairs = (count: number): number => count * (count - 1) / 2;
const pairsOf = (counts: Float64Array): number => counts.reduce((s, count) => s + pairs(count), 0);

/**
 * The Rand index of two labellings corrected for chance (Hubert and Arabie, 1985): 1 for the same partition under any names, about 0
 * for independent ones, negative below chance.
 *
 * @throws {InputError} as {@link contingency}
 */
export function adjustedRandIndex(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const { counts, rowSums, columnSums, n } = contingency(a, b);
  const both = pairsOf(counts), first = pairsOf(rowSums), second = pairsOf(columnSums);
  const expected = n > 1 ? first * second / pairs(n) : 0;
  const most = (first + second) / 2;
  return most === expected ? 1 : (both - expected) / (most - expected);
}

const entropyOf = (counts: Float64Array, n: number): number =>
  counts.reduce((s, count) => s - (count > 0 ? count / n * Math.log(count / n) : 0), 0);

/** Mutual information of two labellings, in nats. */
function mutualInformation({ counts, rowSums, columnSums, n }: Contingency): number {
  const width = columnSums.length;
  return counts.reduce((sum, count, at) => {
    if (count === 0) return sum;
    const chance = rowSums[Math.floor(at / width)] * columnSums[at % width];
    return sum + count / n * Math.log(n * count / chance);
  }, 0);
}

/**
 * Mutual information of two labellings over the mean of their entropies, from 0 to 1. It grows with the number of labels by chance alone:
 * prefer {@link adjustedMutualInfo} for few items per label.
 *
 * @throws {InputError} as {@link contingency}
 */
export function normalizedMutualInfo(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const table = contingency(a, b);
  const mean = (entropyOf(table.rowSums, table.n) + entropyOf(table.columnSums, table.n)) / 2;
  return mean === 0 ? 1 : mutualInformation(table) / mean;
}

/**
 * Mutual information of two labellings corrected for chance, over the mean of their entropies less what is expected (Vinh, Epps and
 * Bailey, 2010; scikit-learn's `adjusted_mutual_info_score`): 1 for the same partition, about 0 for independent ones.
 *
 * @throws {InputError} as {@link contingency}
 */
export function adjustedMutualInfo(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const table = contingency(a, b);
  const { rowSums, columnSums, n } = table;
  if (rowSums.length === 1 && columnSums.length === 1) return 1;
  const mean = (entropyOf(rowSums, n) + entropyOf(columnSums, n)) / 2;
  const expected = expectedInformation(table);
  const span = mean - expected;
  // A span of 0 means that every partition with these counts is as good, such as one item per label.
  const least = Number.EPSILON;
  return (mutualInformation(table) - expected) /
    (span < 0 ? Math.min(span, -least) : Math.max(span, least));
}

/** Expected mutual information of partitions with these counts: sums of hypergeometric probabilities. */
function expectedInformation({ rowSums, columnSums, n }: Contingency): number {
  const logFactorial = new Float64Array(n + 1);
  for (let i = 2; i <= n; i++) logFactorial[i] = logFactorial[i - 1] + Math.log(i);
  let total = 0;
  for (const p of rowSums) {
    for (const q of columnSums) {
      const fixed = logFactorial[p] + logFactorial[q] + logFactorial[n - p] + logFactorial[n - q] -
        logFactorial[n];
      for (let c = Math.max(1, p + q - n); c <= Math.min(p, q); c++) {
        const log = fixed - logFactorial[c] - logFactorial[p - c] - logFactorial[q - c] -
          logFactorial[n - p - q + c];
        total += c / n * Math.log(n * c / (p * q)) * Math.exp(log);
      }
    }
  }
  return total;
}
