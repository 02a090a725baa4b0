/**
 * Encoding models: ridge regression and what belongs to it.
 *
 * @module
 */
export {
  type EdgeReport,
  edgeReport,
  extendAlphas,
  fracridgeAlphas,
  fracsToAlphas,
  logspace,
  parseAlphas,
} from "./alphas.ts";
export {
  chunkedKFold,
  type CrossValidation,
  type FoldSplitting,
  isRunWise,
  kFold,
  leaveOneOut,
  leaveOneRunOut,
  parseSplits,
  permutation,
  repeatedKFold,
  type RunSplitting,
  type Split,
  splitsOf,
  withGap,
} from "./cross_validation.ts";
export {
  averageClips,
  type AverageClipsOptions,
  type Clip,
  clipsByLabel,
  clipsByLength,
  type FrameArrays,
} from "./clips.ts";
export {
  averageDelays,
  type CrossDelayOptions,
  delayedGram,
  delayedGramTensor,
  delayedProducts,
  delayedProductsTensor,
  type DelayOptions,
  delayRows,
  shiftedDual,
} from "./delays.ts";
export {
  type BandOptions,
  Encoder,
  ENCODER_ALPHAS,
  type EncoderDetails,
  type EncoderParts,
  type EncoderSolver,
  fitEncoder,
  type FitEncoderOptions,
} from "./encoder.ts";
export { loadEncoder, saveEncoder } from "./encoder_file.ts";
export {
  type FeatureRecipe,
  inputRecipe,
  parseRecipe,
  readRecipe,
  type RecipeLayer,
  recipeLength,
} from "./feature_recipe.ts";
export {
  type FeatureLayer,
  type FeatureStage,
  featureStages,
  hasStages,
  layerGroups,
  layerStages,
  stageGroups,
} from "./feature_layers.ts";
export { featureWeights } from "./feature_weights.ts";
export { type HostMatrix, hostMatrix } from "./host_matrix.ts";
export { type ImageReadouts, imageReadouts } from "./image_readouts.ts";
export { hrfConvolve, hrfKernel, type HrfName } from "./hrf.ts";
export {
  type LayerSplit,
  type LayerSplitOptions,
  splitByLayer,
  type SplitSamples,
  type StageSums,
  sumStages,
} from "./layer_split.ts";
export {
  type EncodingModel,
  LinearModel,
  type LongCall,
  type PredictOptions,
  type StagedCall,
} from "./linear_model.ts";
export {
  correctedCorrelation,
  countRepeats,
  explainableVariance,
  ncsnr,
  noiseCeiling,
  type Repeats,
} from "./noise_ceiling.ts";
export {
  fitRidge,
  RidgeCV,
  type RidgeCVOptions,
  type RidgeFitCall,
  type RidgeOptions,
} from "./ridge.ts";
export { GroupRidgeCV, type GroupRidgeCVOptions, solveFixedGamma } from "./group_ridge.ts";
export { FittedGroupRidge, type GroupRidgeParts } from "./fitted_group_ridge.ts";
export type { Bands } from "./bands.ts";
export { dirichletGammas, type DirichletOptions } from "./gammas.ts";
export { RidgeSystems } from "./ridge_systems.ts";
export {
  type RefitTest,
  refitTest,
  type RidgeProblem,
  type WeightStatistic,
} from "./refit_test.ts";
export { singularValues } from "./singular_values.ts";
export { fingerprintOf, ScoreCheckpoint } from "./score_checkpoint.ts";
export type { ChoiceOptions } from "./choose_alphas.ts";
export type { RidgeSolverOptions } from "./ridge_plan.ts";
export {
  FittedRidge,
  RidgeModel,
  type RidgeModelParts,
  type RidgeSelection,
} from "./fitted_ridge.ts";
export type { FoldMoments, ScoreFunction } from "./fold_scores.ts";
export type { ScoreStore, ScoreUnit } from "./ridge_scores.ts";
export type { RidgePrecision } from "./ridge_solver.ts";
export { zscorePerRun } from "./runs.ts";
export { correlationScore, l2NegLoss, r2Score, type Scoring } from "./scoring.ts";
export {
  modelTapWeights,
  type ModelTapWeightsOptions,
  type TapWeights,
  tapWeights,
  type TapWeightsOptions,
} from "./tap_weights.ts";
export { correlationScoreSplit, r2ScoreSplit, type R2SplitOptions } from "./variance_split.ts";
export {
  type FeatureNormalizer,
  fitNormalizer,
  type Normalization,
  normalizeFeatures,
} from "./normalize.ts";
export { FittedProbe, LinearProbe, type LinearProbeOptions, PROBE_DEFAULTS } from "./probe.ts";
export { RepeatAverager, zscoreSession } from "./betas.ts";
export * from "./alignment/mod.ts";
