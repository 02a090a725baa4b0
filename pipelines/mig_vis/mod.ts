/**
 * MIG-Vis (Wang et al., arXiv 2510.02182): images steered by what groups of a neural VAE's latents code, by diffusion guided by mutual
 * information.
 *
 * @module
 */
export {
  extractFeatures,
  type ExtractOptions,
  type FeatureSettings,
  type ImageArray,
  type ImageFeatures,
  type VitFeatureOptions,
  vitFeatures,
} from "./image_features.ts";
export { LatentScorer, type ScorerKind, type ScorerSizes } from "./scorer.ts";
export {
  fitScorer,
  type FitScorerOptions,
  type FittedScorer,
  type ScorerFit,
} from "./fit_scorer.ts";
export { fitLatentReadout, type LatentReadout } from "./latent_readout.ts";
export {
  readScorers,
  type SavedScorers,
  type ScorerRecord,
  Scorers,
  type ScorersToWrite,
  writeScorers,
} from "./scorer_file.ts";
export { gaussianLikelihood, type SteerCriterion } from "./criteria.ts";
export { mutualInformation, type MutualInformationOptions } from "./mutual_information.ts";
export {
  exchangeJobs,
  type LatentExchangeOptions,
  latentsOfGroup,
  paperGammas,
  type SteerJob,
  traversalJobs,
  type TraversalOptions,
} from "./latent_groups.ts";
export {
  noiseSources,
  steer,
  type SteeredImage,
  type SteerOptions,
  type SteerPath,
} from "./steer.ts";
export {
  type Factor,
  factorDistances,
  type FactorScale,
  factorScale,
  type Readings,
} from "./factors.ts";
export { type Edits, type EffectMatrix, effectMatrix, type EffectOptions } from "./effects.ts";
export { type Monotonicity, monotonicity } from "./monotonicity.ts";
export {
  type FactorReadoutOptions,
  type FactorReadouts,
  fitFactorReadouts,
} from "./factor_readouts.ts";
export { latentFactors, ownFactors } from "./latent_factors.ts";
export {
  fitLatentDecoder,
  type LatentDecoder,
  type LatentDecoderOptions,
} from "./latent_decoder.ts";
export {
  evaluateSteering,
  type EvaluationOptions,
  type MethodEvaluation,
  type SteeredMethod,
} from "./evaluation.ts";
export {
  steeringReport,
  type SteeringReportOptions,
  type TraversalFigure,
  type TraversalStrip,
} from "./steering_report.ts";
