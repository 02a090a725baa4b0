import type { Key } from "../../engine/random.ts";
import { type Dci, dci } from "./dci.ts";
import { labelFactors } from "./compare.ts";
import type { StimulusFactor } from "./factors.ts";
import { type InformationGap, informationGap } from "./information_gap.ts";
import type { NeuralVae } from "./neural_vae.ts";
import { rowsOf, type VaeData } from "./samples.ts";
import { type Sap, sap } from "./sap.ts";
import { scoreNeuralVae, type VaeScores } from "./scores.ts";

/** What a VAE's latents say of responses and labels of some stimuli. */
export interface LatentDescription {
  /** Sizes of the network. */
  readonly shape: NeuralVae["shape"];
  /** R² and what follows from the VAE's own heads. */
  readonly scores: VaeScores;
  /** What latents were compared with; none where there are no labels. */
  readonly factors: readonly Pick<StimulusFactor, "name" | "kind">[];
  /** Measures of disentanglement of the posteriors' means, where there are labels. */
  readonly gap?: InformationGap;
  /** The same. */
  readonly importance?: Dci;
  /** The same. */
  readonly predicted?: Sap;
  /** Their summaries by name. */
  readonly measures: Readonly<Record<string, number>>;
  /** How many stimuli. */
  readonly nStimuli: number;
}

/** Options of {@link describeLatents}. */
export interface DescribeLatentsOptions {
  /** Of the sampled latents. */
  readonly key: Key;
  /** Which stimuli: those that were not trained on. */
  readonly rows: ArrayLike<number>;
  /** Names of the pose features, else they are numbered. */
  readonly poseNames?: readonly string[];
}

/**
 * Scores a VAE on some stimuli and measures how its latents are disentangled.
 *
 * @throws {InputError} as {@link scoreNeuralVae}, {@link informationGap}
 */
export function describeLatents(
  vae: NeuralVae,
  data: VaeData,
  { key, rows, poseNames }: DescribeLatentsOptions,
): LatentDescription {
  const scores = scoreNeuralVae(vae, data, { key, rows });
  const { shape, groups } = vae;
  const nPose = data.pose?.shape[1] ?? 0;
  const factors = labelFactors(data, rows).map((factor, k) => ({
    ...factor,
    name: k < nPose && poseNames?.length === nPose ? poseNames[k] : factor.name,
  }));
  const plain = { shape, scores, factors, nStimuli: rows.length };
  if (factors.length === 0) return { ...plain, measures: {} };
  const { mu } = vae.encode(rowsOf(data.responses, rows));
  const gap = informationGap(mu, factors, { groups });
  const importance = dci(mu, factors, { groups });
  const predicted = sap(mu, factors, { groups });
  const measures = {
    ...{ mig: gap.mig, groupMig: gap.groupMig, sap: predicted.sap, groupSap: predicted.groupSap },
    disentanglement: importance.disentanglement,
    completeness: importance.completeness,
    groupDisentanglement: importance.byGroup.disentanglement,
    groupCompleteness: importance.byGroup.completeness,
  };
  return { ...plain, gap, importance, predicted, measures };
}
