/**
 * What steering a group of latent dimensions changes: effects of every group on every factor, with intervals over source images and the
 * chance of a diagonal.
 *
 * @module
 */
import { foldIn, type Key, randomBits } from "../../engine/random.ts";
import { InputError } from "../errors.ts";
import { type DiagonalDominance, diagonalDominance } from "../optvis/selectivity.ts";
import type { Interval } from "../report/numbers.ts";
import { quantileOf } from "../stats/bootstrap.ts";
import { factorDistances, type FactorScale, type Readings, requireReadings } from "./factors.ts";

/** Images that were made by steering, with what readouts say about them. */
export interface Edits {
  /** Number of the source image of each edit, `[n]`. */
  readonly source: ArrayLike<number>;
  /** Group that was steered, `[n]`. */
  readonly group: ArrayLike<number>;
  /** How far, `[n]`. */
  readonly gamma: ArrayLike<number>;
  /** Of the edits, `[n, nColumns]`. */
  readonly readings: Readings;
  /** Of the source images, or better of what they become unsteered, `[nSources, nColumns]`. */
  readonly sources: Readings;
}

/** Options of {@link effectMatrix}. */
export interface EffectOptions {
  /** Draws of the intervals and of the exchanges. */
  readonly key: Key;
  /** Factor that each group should move, an index into the factors, `[nGroups]`; −1 for a group that has none. */
  readonly own: readonly number[];
  /** Resamples and exchanges (default 2,000). */
  readonly nDraws?: number;
  /** Share of the resampled values inside an interval. */
  readonly level?: number;
}

/** Effects of groups on factors. */
export interface EffectMatrix {
  /** Mean distance from source to edit in units of unrelated stimuli, `[nGroups, nFactors]`. */
  readonly effects: readonly (readonly Interval[])[];
  /** Mean over groups of the effect on their own factor. */
  readonly diagonal: Interval;
  /** Mean over groups of the mean effect on the other factors. */
  readonly offDiagonal: Interval;
  /** `diagonal / offDiagonal`. */
  readonly ratio: Interval;
  /** The ratio of every resample: those of methods with the same sources, in the same order, and the same key belong together. */
  readonly ratioDraws: Float64Array<ArrayBuffer>;
  /** Whether each factor that is some group's own is moved most by that group's edits; exchanges are within sources. */
  readonly dominance: DiagonalDominance;
  /** Number of source images. */
  readonly nSources: number;
}

/**
 * Checks edits.
 *
 * @throws {InputError} when sizes differ, or a source or group is not there
 */
export function requireEdits(edits: Edits, nGroups: number): void {
  const { source, group, gamma, readings, sources } = edits;
  requireReadings(readings, "edits");
  requireReadings(sources, "sources");
  const [n, nColumns] = readings.shape, [nSources, known] = sources.shape;
  if (nColumns !== known || [source, group, gamma].some(({ length }) => length !== n)) {
    throw new InputError(
      `Cannot judge ${n} edits of ${nColumns} columns: there are ${source.length} sources, ` +
        `${group.length} groups, ${gamma.length} gammas, and sources of ${known} columns`,
    );
  }
  for (let i = 0; i < n; i++) {
    const fits = (value: number, end: number) =>
      Number.isInteger(value) && value >= 0 && value < end;
    if (!fits(source[i], nSources) || !fits(group[i], nGroups) || !Number.isFinite(gamma[i])) {
      throw new InputError(
        `Cannot judge edit ${i}: source ${source[i]} of ${nSources}, group ${
          group[i]
        } of ${nGroups}, gamma ${gamma[i]}`,
      );
    }
  }
}

/** Readings of one image. */
export function rowOf({ data, shape: [, nColumns] }: Readings, i: number): number[] {
  return Array.from({ length: nColumns }, (_, c) => data[i * nColumns + c]);
}

/** Distances of every edit from its source, `[n][nFactors]`. */
export function editDistances(edits: Edits, scale: FactorScale): Float64Array<ArrayBuffer>[] {
  const { readings, sources, source } = edits;
  return Array.from(
    { length: readings.shape[0] },
    (_, i) => factorDistances(scale, rowOf(readings, i), rowOf(sources, source[i])),
  );
}

/** Sums and counts of distances, `[nSources][nGroups][nFactors]`. */
interface Sums {
  readonly sums: Float64Array[][];
  readonly counts: Float64Array[];
}

function sumsOf(edits: Edits, distances: readonly Float64Array[], nGroups: number): Sums {
  const nSources = edits.sources.shape[0], nFactors = distances[0].length;
  const sums = Array.from(
    { length: nSources },
    () => Array.from({ length: nGroups }, () => new Float64Array(nFactors)),
  );
  const counts = sums.map(() => new Float64Array(nGroups));
  distances.forEach((row, i) => {
    const [s, g] = [edits.source[i], edits.group[i]];
    counts[s][g]++;
    row.forEach((value, f) => sums[s][g][f] += value);
  });
  return { sums, counts };
}

interface Summary {
  readonly effects: number[][];
  readonly diagonal: number;
  readonly offDiagonal: number;
}

/** Mean effects over some sources, which may come up several times. */
function summaryOf(
  { sums, counts }: Sums,
  rows: ArrayLike<number>,
  own: readonly number[],
): Summary {
  const nFactors = sums[0][0].length;
  const effects = own.map((_, g) => {
    const total = new Float64Array(nFactors);
    let count = 0;
    for (let r = 0; r < rows.length; r++) {
      count += counts[rows[r]][g];
      for (let f = 0; f < nFactors; f++) total[f] += sums[rows[r]][g][f];
    }
    return Array.from(total, (value) => value / count);
  });
  const judged = [...own.keys()].filter((g) => own[g] >= 0);
  const mean = (values: readonly number[]) => values.reduce((s, v) => s + v, 0) / values.length;
  return {
    effects,
    diagonal: mean(judged.map((g) => effects[g][own[g]])),
    offDiagonal: mean(judged.map((g) => mean(effects[g].filter((_, f) => f !== own[g])))),
  };
}

function intervalOf(mean: number, draws: number[], level: number): Interval {
  const sorted = draws.filter((draw) => !Number.isNaN(draw)).sort((a, b) => a - b);
  return {
    mean,
    low: quantileOf(sorted, (1 - level) / 2),
    high: quantileOf(sorted, (1 + level) / 2),
  };
}

/** Edits of groups that have a factor, as images made for targets: the columns are the factors that some group should move. */
function dominanceOf(
  edits: Edits,
  distances: readonly Float64Array[],
  { key, own, nDraws = 2000 }: EffectOptions,
): DiagonalDominance {
  const columns = [...new Set(own.filter((f) => f >= 0))].sort((a, b) => a - b);
  const rows = distances.map((_, i) => i).filter((i) => own[edits.group[i]] >= 0);
  const responses = {
    data: Float64Array.from(rows.flatMap((i) => columns.map((f) => distances[i][f]))),
    shape: [rows.length, columns.length] as const,
    targets: rows.map((i) => columns.indexOf(own[edits.group[i]])),
  };
  const groups = rows.map((i) => edits.source[i]);
  return diagonalDominance(responses, { key: foldIn(key, 1), nDraws, groups });
}

/**
 * Effects of steering: how far every group's edits are from their sources in every factor, on average over sources and gammas.
 *
 * Intervals are percentile bootstraps over source images. The p-values exchange the groups of edits of the same source.
 *
 * @param edits of every group that has a factor of its own
 * @throws {InputError} when edits do not fit, fewer than two factors are some group's own, or a group has no edit
 */
export function effectMatrix(
  edits: Edits,
  scale: FactorScale,
  options: EffectOptions,
): EffectMatrix {
  const { key, own, nDraws = 2000, level = 0.95 } = options;
  requireEdits(edits, own.length);
  const nFactors = scale.factors.length;
  const bad = own.findIndex((f) => !(Number.isInteger(f) && f >= -1 && f < nFactors));
  const missing = own.findIndex((_, g) => !Array.prototype.includes.call(edits.group, g));
  if (bad >= 0 || missing >= 0) {
    throw new InputError(
      bad >= 0
        ? `Cannot judge group ${bad}: its own factor is ${own[bad]}, of ${nFactors} from 0`
        : `Cannot judge group ${missing}: no edit steers it`,
    );
  }
  const distances = editDistances(edits, scale), sums = sumsOf(edits, distances, own.length);
  const shown = [...new Set(Array.from(edits.source))], n = shown.length;
  const found = summaryOf(sums, shown, own);
  const draws = Array.from({ length: nDraws }, (_, b) => {
    const bits = randomBits(foldIn(foldIn(key, 0), b), n);
    return summaryOf(sums, Array.from(bits, (x) => shown[Math.floor(x * n / 2 ** 32)]), own);
  });
  const interval = (of: (summary: Summary) => number) =>
    intervalOf(of(found), draws.map(of), level);
  return {
    effects: found.effects.map((row, g) => row.map((_, f) => interval((s) => s.effects[g][f]))),
    diagonal: interval((s) => s.diagonal),
    offDiagonal: interval((s) => s.offDiagonal),
    ratio: interval((s) => s.diagonal / s.offDiagonal),
    ratioDraws: Float64Array.from(draws, (s) => s.diagonal / s.offDiagonal),
    dominance: dominanceOf(edits, distances, options),
    nSources: n,
  };
}
