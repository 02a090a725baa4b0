/**
 * Images that drive a network, a voxel or a region: parameterisations, transforms, objectives and their optimisation.
 *
 * @module
 */
export {
  type ColorDecorrelation,
  colorMatrix,
  colorMean,
  correlateColors,
  decorrelateColors,
  type ImageColorOptions,
  inverseColorMatrix,
} from "./colors.ts";
export { radialFrequencies, spectrumScale } from "./frequencies.ts";
export {
  colorShares,
  contrastCenter,
  directionEnergies,
  HUE_ANGLES,
  hueShares,
  quarterEnergies,
} from "./image_measures.ts";
export type { ImageParam, ImageRange } from "./image_param.ts";
export {
  type MagnitudeTemplate,
  magnitudeTemplate,
  naturalMagnitudes,
} from "./magnitude_template.ts";
export { complexParam, type ComplexParamOptions } from "./param_complex.ts";
export { fourierParam, type FourierParamOptions, growFourier } from "./param_fourier.ts";
export { macoParam, type MacoParamOptions } from "./param_maco.ts";
export { budgetParam, type PixelBudget } from "./param_budget.ts";
export { pixelParam, type PixelParamOptions } from "./param_pixel.ts";
export { type SeedParam, seedParam, type SeedParamOptions } from "./param_seed.ts";
export {
  type ModelInput,
  modelInput,
  type TransformDraws,
  transformImages,
  type Transforms,
} from "./transform_images.ts";
export {
  type Affine,
  composeAffine,
  type Draw,
  type TransformDraw,
  transformMap,
  type TransformStep,
} from "./transforms.ts";
export {
  addObjectives,
  type Objective,
  type ObjectiveContext,
  scaleObjective,
} from "./objective.ts";
export {
  channelObjective,
  directionObjective,
  type DirectionOptions,
  diversityObjective,
  neuronObjective,
  type NeuronOptions,
  readoutObjective,
  type ReadoutOptions,
  type ReadoutPart,
} from "./objectives.ts";
export {
  blurPenalty,
  type BoundaryOptions,
  boundaryPenalty,
  type GrayOptions,
  l1Penalty,
  l2Penalty,
  seedPenalty,
  type SpectralOptions,
  spectralPenalty,
  spectrumDistance,
  type SpectrumDistanceOptions,
  totalVariation,
} from "./penalties.ts";
export {
  contrastReadout,
  type LayerSizes,
  pooledReadout,
  type ReadoutPooling,
  roiReadout,
  type RoiReadoutOptions,
  splitReadouts,
  suppressedReadout,
  type SuppressOptions,
  unitWeights,
} from "./readout_weights.ts";
export {
  type ImageModel,
  maximize,
  type MaximizeOptions,
  type MaximizeResult,
} from "./maximize.ts";
export { learningRate, makeOptimizer, type OptimizerOptions } from "./optimizer.ts";
export {
  type OptvisPreset,
  type OptvisPresetName,
  optvisPresets,
  presetParam,
  type PresetParamOptions,
} from "./presets.ts";
export { phaseScrambled, shuffledReadout } from "./controls.ts";
export {
  type LuminanceSpectrum,
  luminanceSpectrum,
  matchSpectrum,
  type MatchSpectrumOptions,
} from "./match_spectrum.ts";
export {
  type PredictedResponses,
  predictResponses,
  type PredictResponsesOptions,
} from "./predict_responses.ts";
export {
  type Aperture,
  type ColorImage,
  colorImage,
  type FixationMark,
  type LuminanceMoments,
  luminanceMoments,
  type PresentationOptions,
  type PresentationReference,
  presentationReference,
  type PresentedImage,
  presentImage,
} from "./presentation.ts";
export {
  compareWithNatural,
  type NaturalComparison,
  type ResponseMatrix,
  responseMatrix,
  type TargetResponses,
} from "./response_matrix.ts";
export {
  type DiagonalDominance,
  diagonalDominance,
  type ExchangeOptions,
  type IntervalOptions,
  type OwnAgainstNext,
  ownAgainstNext,
  type ResamplingOptions,
  type RoiSelectivity,
  selectivity,
  type SelectivityIntervals,
  selectivityIntervals,
} from "./selectivity.ts";
export {
  maximizeReadouts,
  type MaximizeReadoutsOptions,
  type ReadoutImages,
  type ReadoutLayer,
  type ReadoutSource,
} from "./maximize_readouts.ts";
export { imageModelOf } from "./vision_model.ts";
