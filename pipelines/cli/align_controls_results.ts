/**
 * Runs of `gyrus align controls`: kept, written and printed.
 *
 * @module
 */
import type { ControlEffects } from "../aligned_cut/control_effects.ts";
import {
  type Condition,
  conditions,
  type ControlRun,
  type ControlRuns,
  type ControlStore,
} from "../aligned_cut/controls.ts";
import { type MeasureName, measureTitles } from "../aligned_cut/space_measures.ts";
import { hostTensor, toFloat64 } from "../io/state_dict.ts";
import type { StepLog } from "../io/step_log.ts";

/** Runs in a log: values of the measures, and the R². */
export function storeOf(log: StepLog | undefined): ControlStore | undefined {
  if (!log) return undefined;
  const known = new Map<string, ControlRun>();
  for (let step = 0; step < log.size; step++) {
    const arrays = log.read(step);
    const head = JSON.parse(new TextDecoder().decode(arrays.get("run")!.bytes));
    const { shape } = arrays.get("values")!, data = toFloat64(arrays.get("values")!);
    const values = { data, shape: [shape[0], shape[1]] as const };
    const [meanR2] = toFloat64(arrays.get("r2")!);
    const { names, ...own } = head as Pick<ControlRun, "condition" | "seed" | "regions"> & {
      readonly names: MeasureName[];
    };
    known.set(`${own.condition} ${own.seed}`, { ...own, meanR2, measures: { names, values } });
  }
  return {
    read: (condition, seed) => known.get(`${condition} ${seed}`),
    keep({ meanR2, measures: { names, values }, ...own }) {
      const head = new TextEncoder().encode(JSON.stringify({ ...own, names }));
      log.append(
        new Map([
          ["run", hostTensor(head, [head.length])],
          ["values", hostTensor(Float64Array.from(values.data), values.shape)],
          ["r2", hostTensor(Float64Array.of(meanR2), [1])],
        ]),
      );
    },
  };
}

const orNull = (value: number): number | null => Number.isFinite(value) ? value : null;

/** What is written. */
export function documentOf(
  { runs, heldOut }: ControlRuns,
  effects: ControlEffects,
  settings: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const names = [...new Set(runs.map(({ condition }) => condition))];
  const measures = runs[0].measures.names;
  return {
    settings,
    nImages: heldOut.length,
    heldOut: Array.from(heldOut),
    conditions: Object.fromEntries(names.map((name) => [name, conditions[name]])),
    measures: Object.fromEntries(measures.map((name) => [name, measureTitles[name]])),
    runs: runs.map(({ meanR2, measures: { names, values }, ...own }) => ({
      ...{ ...own, names },
      meanR2: orNull(meanR2),
      values: Array.from(
        { length: values.shape[0] },
        (_, i) => names.map((_, c) => orNull(values.data[i * names.length + c])),
      ),
    })),
    scores: effects.scores.map((score) => ({ ...score, seedStd: orNull(score.seedStd) })),
    effects: effects.effects,
    r2: effects.r2.map(({ condition, mean, std }) => ({
      ...{ condition, mean: orNull(mean), std: orNull(std) },
    })),
  };
}

/** The effects as lines of text. */
export function effectLines({ effects, scores }: ControlEffects): string[] {
  const short = (value: number) => value.toFixed(3);
  const score = (condition: Condition, measure: MeasureName) =>
    scores.find((row) => row.condition === condition && row.measure === measure)!;
  const head = `${"brain - control".padEnd(18)}${"measure".padEnd(14)}${"brain".padEnd(8)}${
    "control".padEnd(9)
  }effect  95 % over images`;
  return [
    head,
    ...effects.map(({ control, measure, mean, low, high }) =>
      [
        control.padEnd(17),
        measure.padEnd(13),
        short(score("brain", measure).mean).padEnd(7),
        short(score(control, measure).mean).padEnd(8),
        `${short(mean).padEnd(7)} ${short(low)} to ${short(high)}`,
      ].join(" ")
    ),
  ];
}

/** How concepts match regions, as lines of text. */
export function regionLines({ runs }: ControlRuns): string[] {
  const lines = runs.flatMap(({ condition, seed, regions }) => {
    if (!regions) return [];
    const { selectivity, pSelectivity, purity, pPurity, ami, pAmi } = regions;
    const told = [[selectivity, pSelectivity], [purity, pPurity], [ami, pAmi]]
      .map(([value, p]) => `${value.toFixed(3).padEnd(8)}p ${p.toFixed(4)}`.padEnd(20));
    return [`${condition.padEnd(17)} ${`${seed}`.padEnd(5)}${told.join("")}`];
  });
  if (lines.length === 0) return [];
  const columns = ["selectivity (d')", "purity", "AMI"].map((name) => name.padEnd(20)).join("");
  return [`${"concepts, regions".padEnd(18)}seed ${columns}`, ...lines];
}
