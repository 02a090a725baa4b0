import { foldIn, type Key, randomKey } from "../../engine/random.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import { hostTensor, toFloat64 } from "../io/state_dict.ts";
import { resumeSteps, type StepArrays, StepLog } from "../io/step_log.ts";
import { InputError } from "../errors.ts";
import { dci } from "./dci.ts";
import { digestOf } from "./digest.ts";
import { factorsOf, type StimulusFactor } from "./factors.ts";
import { fitNeuralVae, type FitNeuralVaeOptions } from "./fit.ts";
import { informationGap } from "./information_gap.ts";
import { rowsOf, type VaeData } from "./samples.ts";
import { sap } from "./sap.ts";
import { scoreNeuralVae } from "./scores.ts";
import type { VaeSettings } from "./settings.ts";

/** The method and what is left out of it, as the paper's table 1 names them. */
export const VAE_VARIANTS = ["standard", "no labels", "no partial correlation", "full"] as const;

/** One of {@link VAE_VARIANTS}. */
export type VaeVariant = typeof VAE_VARIANTS[number];

/** Scores of one run on the test stimuli, by name; those of labels are NaN where no label supervised. */
export type RunScores = Readonly<Record<typeof RUN_SCORES[number], number>>;

/** Names of the scores of a run. Those of groups are {@link informationGap}'s, {@link dci}'s and {@link sap}'s. */
export const RUN_SCORES = [
  "r2",
  "r2Sampled",
  "poseR2",
  "categoryAccuracy",
  "partialCorrelation",
  "mig",
  "groupMig",
  "disentanglement",
  "completeness",
  "informativeness",
  "groupDisentanglement",
  "groupCompleteness",
  "sap",
  "groupSap",
] as const;

/** A variant with the scores of its runs. */
export interface VariantScores {
  /** The variant. */
  readonly variant: VaeVariant;
  /** Of each seed. */
  readonly runs: readonly RunScores[];
}

/** Options of {@link compareNeuralVaes}: those of every fit, the variants and the seeds. */
export interface CompareVaesOptions extends Omit<FitNeuralVaeOptions, "checkpoint"> {
  /** Which variants; else all. */
  readonly variants?: readonly VaeVariant[];
  /** Runs of each, the paper's table has 5: run r has the key of `foldIn(key, r)`. */
  readonly nSeeds?: number;
  /** File that keeps the scores of whole runs: the same call goes on behind them. */
  readonly checkpoint?: string;
}

/** The pose's columns as one block of factors, the category as another; none where there are no labels. */
export function labelFactors(
  { pose, categories }: Pick<VaeData, "pose" | "categories">,
  rows: ArrayLike<number>,
): StimulusFactor[] {
  const own = categories && Array.from(rows, (row) => categories[row]);
  return [
    ...(pose ? factorsOf("pose", rowsOf(pose, rows)) : []),
    ...(own ? [{ name: "category", kind: "category", values: own } as const] : []),
  ];
}

/** Measures of disentanglement of some latents, by name. */
export function disentanglementOf(
  latents: HostMatrix,
  factors: readonly StimulusFactor[],
  groups: readonly number[],
): Omit<RunScores, "r2" | "r2Sampled" | "poseR2" | "categoryAccuracy" | "partialCorrelation"> {
  const gap = informationGap(latents, factors, { groups });
  const importance = dci(latents, factors, { groups });
  const predicted = sap(latents, factors, { groups });
  return {
    mig: gap.mig,
    groupMig: gap.groupMig,
    disentanglement: importance.disentanglement,
    completeness: importance.completeness,
    informativeness: mean(importance.informativeness),
    groupDisentanglement: importance.byGroup.disentanglement,
    groupCompleteness: importance.byGroup.completeness,
    sap: predicted.sap,
    groupSap: predicted.groupSap,
  };
}

function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum / values.length;
}

/** What a variant changes: labels are taken away, or the weight of the partial correlation. */
function variantOf(
  variant: VaeVariant,
  data: VaeData,
): { readonly data: VaeData; readonly settings: Partial<VaeSettings> } {
  const isLabelled = variant === "full" || variant === "no partial correlation";
  const isApart = variant === "full" || variant === "no labels";
  return {
    data: isLabelled ? data : { responses: data.responses },
    settings: isApart ? {} : { partialCorrelationWeight: 0 },
  };
}

/** Fits one variant with one key and scores it on its test stimuli. */
async function runOnce(
  variant: VaeVariant,
  data: VaeData,
  options: FitNeuralVaeOptions & { readonly key: Key },
): Promise<RunScores> {
  const chosen = variantOf(variant, data);
  const { vae, split: { test } } = await fitNeuralVae(chosen.data, {
    ...options,
    ...chosen.settings,
  });
  const scores = scoreNeuralVae(vae, chosen.data, { key: foldIn(options.key, 1), rows: test });
  const factors = labelFactors(data, test);
  const { mu } = vae.encode(rowsOf(data.responses, test));
  const measures = factors.length > 0
    ? disentanglementOf(mu, factors, vae.groups)
    : Object.fromEntries(RUN_SCORES.map((name) => [name, NaN])) as RunScores;
  return {
    ...measures,
    r2: scores.r2,
    r2Sampled: scores.r2Sampled,
    poseR2: scores.poseR2 ? mean(scores.poseR2) : NaN,
    categoryAccuracy: scores.categoryAccuracy ?? NaN,
    partialCorrelation: scores.partialCorrelation,
  };
}

/**
 * Fits the method and its ablations, several seeds each, and scores every run on the test stimuli: without labels, without the partial
 * correlation, and without both (the standard VAE).
 *
 * @throws {InputError} as {@link fitNeuralVae}, or where labels are left out that were never given
 */
export async function compareNeuralVaes(
  data: VaeData,
  options: CompareVaesOptions = {},
): Promise<VariantScores[]> {
  const { variants = VAE_VARIANTS, nSeeds = 5, checkpoint, key = randomKey(2024), ...fit } =
    options;
  if (data.pose === undefined && data.categories === undefined) {
    throw new InputError("Cannot compare a VAE without its labels: none are given");
  }
  if (!(Number.isSafeInteger(nSeeds) && nSeeds >= 1)) {
    throw new InputError(`Cannot compare VAEs: the number of seeds must be from 1, got ${nSeeds}`);
  }
  const { gpu, signal: _, onProgress, ...settings } = fit;
  const runs = variants.flatMap((variant) =>
    Array.from({ length: nSeeds }, (_, r) => ({ variant, key: foldIn(key, r) }))
  );
  using log = checkpoint === undefined ? undefined : new StepLog(checkpoint, {
    responses: digestOf(data.responses.data),
    labels: [digestOf(data.pose?.data), digestOf(data.categories), data.nCategories],
    settings: [settings, variants, nSeeds, key],
    device: gpu?.adapterName,
  });
  async function* rest(first: number): AsyncGenerator<StepArrays> {
    for (const [i, run] of runs.entries()) {
      if (i < first) continue;
      const scores = await runOnce(run.variant, data, {
        ...fit,
        key: run.key,
        onProgress: ({ stage, done, total }) =>
          onProgress?.({ stage, done: i * total + done, total: runs.length * total }),
      });
      const values = Float64Array.from(RUN_SCORES, (name) => scores[name]);
      yield new Map([["scores", hostTensor(values, [values.length])]]);
    }
  }
  const scores: RunScores[] = [];
  for await (const step of resumeSteps(log, rest)) {
    const tensor = step.get("scores");
    const values = tensor ? toFloat64(tensor) : [];
    scores.push(Object.fromEntries(RUN_SCORES.map((name, k) => [name, values[k]])) as RunScores);
  }
  return variants.map((variant, v) => ({
    variant,
    runs: scores.slice(v * nSeeds, (v + 1) * nSeeds),
  }));
}

/** Mean and sample standard deviation of runs; the deviation of one run is NaN. */
export function meanAndSd(
  values: readonly number[],
): { readonly mean: number; readonly sd: number } {
  const centre = mean(values);
  const squares = values.reduce((sum, v) => sum + (v - centre) ** 2, 0);
  return { mean: centre, sd: values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : NaN };
}
