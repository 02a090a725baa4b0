import type { Key } from "../../engine/random.ts";
import { bootstrapDifferences, bootstrapMeans } from "../stats/bootstrap.ts";
import type { Condition, ControlRun } from "./controls.ts";
import type { MeasureName } from "./space_measures.ts";

/** A mean over images with its bootstrap interval. */
export interface ImageMean {
  /** Mean. */
  readonly mean: number;
  /** Lower end. */
  readonly low: number;
  /** Upper end. */
  readonly high: number;
}

/** A condition by one measure. */
export interface ConditionScore extends ImageMean {
  /** What was aligned by. */
  readonly condition: Condition;
  /** By what it is judged. */
  readonly measure: MeasureName;
  /** Standard deviation of the runs' means; NaN for one run. */
  readonly seedStd: number;
}

/** What the brain gives beyond a control. */
export interface ControlEffect extends ImageMean {
  /** What is subtracted. */
  readonly control: Condition;
  /** By what it is judged. */
  readonly measure: MeasureName;
}

/** Held-out R² of a condition over its runs; NaN where nothing was trained on targets. */
export interface ConditionR2 {
  /** What was aligned by. */
  readonly condition: Condition;
  /** Mean. */
  readonly mean: number;
  /** Standard deviation; NaN for one run. */
  readonly std: number;
}

/** All comparisons. */
export interface ControlEffects {
  /** Every condition by every measure. */
  readonly scores: readonly ConditionScore[];
  /** Brain minus control, paired by image. */
  readonly effects: readonly ControlEffect[];
  /** Of the targets that each condition was trained on. */
  readonly r2: readonly ConditionR2[];
}

const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

function stdOf(values: readonly number[]): number {
  const mean = meanOf(values);
  const square = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return values.length > 1 ? Math.sqrt(square / (values.length - 1)) : NaN;
}

/**
 * Scores and effects of runs: every image's mean over the runs of a condition, then means over images with percentile bootstrap intervals
 * over images, for differences pair by pair. Intervals tell of other images; what other seeds would give is beside them.
 *
 * @throws {InputError} as `bootstrapMeans`
 */
export function controlEffects(
  runs: readonly ControlRun[],
  { key, nResamples = 10_000, level = 0.95 }: {
    readonly key: Key;
    readonly nResamples?: number;
    readonly level?: number;
  },
): ControlEffects {
  const names = [...new Set(runs.map(({ condition }) => condition))];
  const measures = runs[0]?.measures.names ?? [];
  const nImages = runs[0]?.measures.values.shape[0] ?? 0;
  const columns = names.flatMap((condition) => measures.map((measure) => ({ condition, measure })));
  const data = new Float64Array(nImages * columns.length);
  const seeds = columns.map(({ condition, measure }, c) => {
    const own = runs.filter((run) => run.condition === condition);
    return own.map(({ measures: { names, values } }) => {
      const at = names.indexOf(measure);
      const ofImages = Array.from(
        { length: nImages },
        (_, i) => values.data[i * names.length + at],
      );
      ofImages.forEach((value, i) => data[i * columns.length + c] += value / own.length);
      return meanOf(ofImages);
    });
  });
  const table = { data, shape: [nImages, columns.length] as const };
  const options = { key, nResamples, level };
  const means = bootstrapMeans(table, options);
  const intervalOf = ({ mean, low, high }: typeof means, at: number) => ({
    ...{ mean: mean[at], low: low[at], high: high[at] },
  });
  const scores = columns.map((column, c) => ({
    ...column,
    ...intervalOf(means, c),
    seedStd: stdOf(seeds[c]),
  }));
  const others = columns.flatMap(({ condition, measure }, c) => {
    if (condition === "brain") return [];
    const brain = columns.findIndex((own) => own.condition === "brain" && own.measure === measure);
    return [{ control: condition, measure, pair: [brain, c] as const }];
  });
  const differences = others.length === 0
    ? undefined
    : bootstrapDifferences(table, others.map(({ pair }) => pair), options);
  const effects = others.map(({ control, measure }, at) => ({
    control,
    measure,
    ...intervalOf(differences!, at),
  }));
  const r2 = names.map((condition) => {
    const own = runs.filter((run) => run.condition === condition).map(({ meanR2 }) => meanR2);
    return { condition, mean: meanOf(own), std: stdOf(own) };
  });
  return { scores, effects, r2 };
}
