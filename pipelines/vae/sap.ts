import type { HostMatrix } from "../encoding/host_matrix.ts";
import { requireFactors, type StimulusFactor, topTwo } from "./factors.ts";
import { fitLasso, standardize } from "./lasso.ts";
import { groupStarts } from "./settings.ts";

/** How well single dimensions, and whole groups, predict factors, and the gaps. */
export interface Sap {
  /** Mean over the factors of the gap between the best dimension and the second. */
  readonly sap: number;
  /** Of each factor. */
  readonly gaps: readonly number[];
  /** Scores of single dimensions, `[nFactors][nLatent]`. */
  readonly scores: readonly Float64Array[];
  /** The same between groups, each by all of its dimensions together. */
  readonly groupSap: number;
  /** Of each factor, between groups. */
  readonly groupGaps: readonly number[];
  /** Scores of groups, `[nFactors][nGroups]`. */
  readonly groupScores: readonly Float64Array[];
}

/** Intervals of one dimension that each say a class. */
const N_INTERVALS = 20;

/** Squared correlation of two columns; 0 where either is constant. */
function squaredCorrelation(x: Float64Array, y: Float64Array): number {
  const product = x.reduce((sum, v, i) => sum + v * y[i], 0) / x.length;
  return product * product;
}

/**
 * Balanced accuracy, on the odd samples, of thresholds on one value that were set by the even ones: intervals of like numbers of samples,
 * each of which says the class that most of its share of samples have.
 */
function thresholdAccuracy(x: Float64Array, labels: readonly number[]): number {
  const even = Float64Array.from(x.filter((_, i) => i % 2 === 0)).sort();
  const edges = Array.from(
    { length: N_INTERVALS - 1 },
    (_, k) => even[Math.floor((k + 1) * even.length / N_INTERVALS)],
  );
  const intervalOf = (value: number) => {
    let at = 0;
    while (at < edges.length && value >= edges[at]) at++;
    return at;
  };
  const nClasses = Math.max(...labels) + 1;
  const sizes = [0, 1].map(() => new Float64Array(nClasses));
  labels.forEach((label, i) => sizes[i % 2][label]++);
  const shares = Array.from({ length: N_INTERVALS }, () => new Float64Array(nClasses));
  labels.forEach((label, i) => {
    if (i % 2 === 0) shares[intervalOf(x[i])][label] += 1 / sizes[0][label];
  });
  const says = shares.map((share) => topTwo(share).best);
  return balancedAccuracy(
    labels.flatMap((label, i) => i % 2 ? [{ label, said: says[intervalOf(x[i])] }] : []),
  );
}

/** Mean over the classes of the share that is said right. */
function balancedAccuracy(pairs: readonly { label: number; said: number }[]): number {
  const byClass = [...Map.groupBy(pairs, ({ label }) => label)];
  const shares = byClass.map(([label, own]) =>
    own.filter(({ said }) => said === label).length / own.length
  );
  return shares.reduce((a, b) => a + b, 0) / shares.length;
}

/** How well some dimensions together predict a factor, on samples that the prediction was not fitted to. */
function jointScore(x: Float64Array, width: number, { kind, values }: StimulusFactor): number {
  if (kind === "number") return Math.max(0, fitLasso(x, standardize(values, 1), width).r2);
  const labels = Array.from(values);
  const classes = [...new Set(labels)];
  // Indicators over their shares: classes of few samples are said as readily as others.
  const said = classes.map((own) => {
    const indicator = labels.map((label) => Number(label === own));
    const share = indicator.reduce((a, b) => a + b, 0) / labels.length;
    const { predicted } = fitLasso(x, standardize(indicator, 1), width);
    return predicted.map((v) => v * Math.sqrt((1 - share) / share));
  });
  return balancedAccuracy(labels.map((label, i) => {
    const row = Float64Array.from(said, (values) => values[i]);
    let best = 0;
    row.forEach((v, c) => best = v > row[best] ? c : best);
    return { label, said: classes[best] };
  }));
}

/**
 * The separated attribute predictability (SAP; Kumar et al. 2018): of each factor the score of the best dimension less that of the second.
 * Numbers are scored by the squared correlation, categories by the balanced accuracy of thresholds, which is 1/k of k classes by chance, so
 * that a perfect gap is 1 − 1/k. Groups are scored by all of their dimensions together, on left-out samples: by R², or by the balanced
 * accuracy of linear indicators.
 *
 * @param latents `[nStimuli, nLatent]`
 * @param options.groups dimensions of each latent group; by default each dimension is one
 * @throws {InputError} as {@link requireFactors}
 */
export function sap(
  latents: HostMatrix,
  factors: readonly StimulusFactor[],
  options: { readonly groups?: readonly number[] } = {},
): Sap {
  const [n, width] = latents.shape;
  const { groups = new Array<number>(width).fill(1) } = options;
  requireFactors(latents, factors, groups);
  const x = standardize(latents.data, width);
  const part = (start: number, end: number) =>
    Float64Array.from(
      { length: n * (end - start) },
      (_, at) => x[Math.floor(at / (end - start)) * width + start + at % (end - start)],
    );
  const columns = Array.from({ length: width }, (_, d) => part(d, d + 1));
  const starts = groupStarts(groups);
  const wholes = groups.map((_, g) => part(starts[g], starts[g + 1]));
  const scores = factors.map(({ kind, values }) => {
    const labels = Array.from(values), y = standardize(values, 1);
    return Float64Array.from(
      columns,
      (column) =>
        kind === "number" ? squaredCorrelation(column, y) : thresholdAccuracy(column, labels),
    );
  });
  const groupScores = factors.map((factor) =>
    Float64Array.from(wholes, (whole, g) => jointScore(whole, groups[g], factor))
  );
  const gapsOf = (rows: readonly Float64Array[]) =>
    rows.map((row) => {
      const { first, second } = topTwo(row);
      return first - second;
    });
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const gaps = gapsOf(scores), groupGaps = gapsOf(groupScores);
  return { sap: mean(gaps), gaps, scores, groupSap: mean(groupGaps), groupGaps, groupScores };
}
