/**
 * A group-wise disentangled VAE of neural responses (MIG-Vis), and how well its latent groups say what is known of the stimuli.
 *
 * @module
 */
export {
  fitNeuralVae,
  type FitNeuralVaeOptions,
  type FittedNeuralVae,
  trainsOnDevice,
} from "./fit.ts";
export { neuralVaeFrom, type StateDictVaeOptions } from "./from_state_dict.ts";
export {
  type InformationGap,
  informationGap,
  type InformationGapOptions,
} from "./information_gap.ts";
export { type NeuralLatents, NeuralVae, type NeuralVaeParts } from "./neural_vae.ts";
export {
  LOSS_PARTS,
  type ObjectiveOptions,
  type VaeBatch,
  type VaeLosses,
  vaeObjective,
} from "./objective.ts";
export { initialWeights, vaeTensorShapes, type VaeWeights } from "./parameters.ts";
export {
  type LatentBatch,
  type PartialCorrelation,
  partialCorrelation,
  type PartialCorrelationOptions,
} from "./partial_correlation.ts";
export type { ColumnScale, VaeData } from "./samples.ts";
export { type Sap, sap } from "./sap.ts";
export { sampleLatents, scoreNeuralVae, type VaeScores } from "./scores.ts";
export {
  type LabelHead,
  VAE_DEFAULTS,
  type VaeSettings,
  vaeSettings,
  type VaeShape,
} from "./settings.ts";
export { type TrainTestSplit, trainTestSplit } from "./split.ts";
export type { VaeHistory } from "./train.ts";
export { type NeuralVaeRecord, readNeuralVae, writeNeuralVae } from "./vae_file.ts";
export { factorsOf, type StimulusFactor } from "./factors.ts";
export { type Dci, dci, type ImportanceScores, importanceScores } from "./dci.ts";
export {
  compareNeuralVaes,
  type CompareVaesOptions,
  disentanglementOf,
  meanAndSd,
  RUN_SCORES,
  type RunScores,
  VAE_VARIANTS,
  type VaeVariant,
  type VariantScores,
} from "./compare.ts";
export {
  describeLatents,
  type DescribeLatentsOptions,
  type LatentDescription,
} from "./describe.ts";
