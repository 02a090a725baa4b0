/**
 * Whether images move further the further a group is steered: along one direction from negative to positive gammas, and away from the source.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { hostMatrix } from "../encoding/host_matrix.ts";
import { spearman } from "../stats/columns.ts";
import { editDistances, type Edits, requireEdits, rowOf } from "./effects.ts";
import type { Factor, FactorScale } from "./factors.ts";

/** How a factor goes with gamma in the edits of a group. */
export interface Monotonicity {
  /**
   * Mean over sources of Spearman's correlation of gamma with the place along the group's direction, which the other sources' edits give;
   * NaN with fewer than two sources or gammas of one sign.
   */
  readonly signed: number;
  /** Mean over sources of Spearman's correlation of |gamma| with the distance from the source; NaN where |gamma| does not vary. */
  readonly magnitude: number;
  /** Signed correlation of each source, `[nSources]`; NaN where it has too few edits or they do not differ. */
  readonly ofSources: Float64Array<ArrayBuffer>;
}

function correlation(a: readonly number[], b: readonly number[]): number {
  if (a.length < 2) return NaN;
  const column = (values: readonly number[]) => hostMatrix([...values], [values.length, 1]);
  const varies = (values: readonly number[]) => values.some((value) => value !== values[0]);
  // What does not move at all is not monotone: it counts as no correlation where gamma varies.
  return !varies(a) ? NaN : !varies(b) ? 0 : spearman(column(a), column(b))[0];
}

const meanOf = (values: readonly number[]): number => {
  const known = values.filter((value) => !Number.isNaN(value));
  return known.length === 0 ? NaN : known.reduce((s, v) => s + v, 0) / known.length;
};

/** A factor's place as a vector in which distances mean something: columns over their scale, or one-hot for a class. */
function embedding(
  { columns, kind }: Factor,
  { unrelated }: FactorScale,
  classes: readonly number[],
): (row: readonly number[]) => number[] {
  if (kind === "class") return (row) => classes.map((c) => Number(row[columns[0]] === c));
  return (row) => columns.map((c) => row[c] / unrelated[c]);
}

/**
 * Correlations of one group's edits with gamma, in one factor. The direction along which a source's edits are placed is the mean of what the
 * *other* sources' edits with positive gammas have over those with negative ones, so that no source has a say in its own.
 *
 * @param group whose edits
 * @param factor index of the factor
 * @throws {InputError} when edits do not fit or the group has none
 */
export function monotonicity(
  edits: Edits,
  scale: FactorScale,
  { group, factor }: { readonly group: number; readonly factor: number },
): Monotonicity {
  requireEdits(edits, Math.max(group, ...Array.from(edits.group)) + 1);
  const rows = Array.from({ length: edits.readings.shape[0] }, (_, i) => i)
    .filter((i) => edits.group[i] === group);
  const own = scale.factors[factor];
  if (rows.length === 0 || !own) {
    throw new InputError(
      `Cannot follow group ${group} in factor ${factor}: ${rows.length} edits and ${scale.factors.length} factors`,
    );
  }
  const all = rows.map((i) => rowOf(edits.readings, i));
  const place = embedding(own, scale, [...new Set(all.map((row) => row[own.columns[0]]))]);
  const vectors = all.map(place), distances = editDistances(edits, scale);
  const sources = [...new Set(rows.map((i) => edits.source[i]))];
  const ofSources = Float64Array.from(sources, (source) => {
    const direction = vectors[0].map(() => 0);
    const count = { "1": 0, "-1": 0 };
    rows.forEach((i) => {
      const sign = Math.sign(edits.gamma[i]);
      if (edits.source[i] !== source && sign !== 0) count[sign > 0 ? "1" : "-1"]++;
    });
    if (count["1"] === 0 || count["-1"] === 0) return NaN;
    rows.forEach((i, at) => {
      const sign = Math.sign(edits.gamma[i]);
      if (edits.source[i] === source || sign === 0) return;
      const weight = sign / count[sign > 0 ? "1" : "-1"];
      vectors[at].forEach((value, k) => direction[k] += weight * value);
    });
    const mine = rows.map((_, at) => at).filter((at) => edits.source[rows[at]] === source);
    const along = mine.map((at) => vectors[at].reduce((s, v, k) => s + v * direction[k], 0));
    return correlation(mine.map((at) => edits.gamma[rows[at]]), along);
  });
  const magnitudes = sources.map((source) => {
    const mine = rows.filter((i) => edits.source[i] === source);
    return correlation(
      mine.map((i) => Math.abs(edits.gamma[i])),
      mine.map((i) => distances[i][factor]),
    );
  });
  return { signed: meanOf([...ofSources]), magnitude: meanOf(magnitudes), ofSources };
}
