/**
 * Voxel-weighted activation maximization (Shinkle and Lescroart, arXiv 2506.04379): images that are made for voxels and regions, and
 * whether these respond to them.
 *
 * @module
 */
export {
  type FloatTable,
  regionResponses,
  type TopNatural,
  topNatural,
  voxelResponses,
} from "./experiment_targets.ts";
export {
  type CorrectedP,
  correctedPs,
  type Ends,
  type FindingOptions,
  type OwnImagesTest,
  type RegionFindings,
  regionFindings,
  type VoxelFindings,
  voxelFindings,
} from "./experiment_findings.ts";
export {
  type MeasuredDesign,
  type MeasuredFindings,
  measuredFindings,
  type MeasuredOptions,
  type MeasuredTrials,
} from "./experiment_measured.ts";
export {
  pooledRegionReadouts,
  type PooledSubject,
  type RegionAcrossSubjects,
  type SubjectsSummary,
  subjectsSummary,
} from "./experiment_subjects.ts";
export {
  type ContrastChange,
  contrastChanges,
  contrastOf,
  type PixelChange,
  pixelChange,
  type RegionPair,
  type ResponseLoss,
  responseLosses,
} from "./experiment_changes.ts";
export {
  type ConditionData,
  type ConditionFindings,
  type Experiment,
  type ExperimentData,
  type ExperimentOptions,
  type OwnResponse,
  runExperiment,
  type SubjectData,
  type SubjectExperiment,
} from "./experiment.ts";
export {
  pooledEncoder,
  type PooledEncoderOptions,
  type PooledEncoderSubject,
} from "./pooled_encoder.ts";
export { imageFeatures } from "./image_features.ts";
export { readVoxelResponses, saveExperiment } from "./experiment_file.ts";
export { type MadeImages, openMadeImages } from "./made_images.ts";
export {
  type ImageEncoder,
  type ImageEncoderParts,
  openImageEncoder,
  recipeReducers,
} from "./image_encoder.ts";
export {
  type ImageTarget,
  imageTargets,
  type TargetOptions,
  type TargetRequest,
  targetResponses,
} from "./targets.ts";
export { changedPreset, presetFor, presetNames } from "./settings.ts";
export {
  countImages,
  maximizeVoxels,
  type MaximizeVoxelsOptions,
  type VoxelImage,
  type VoxelImages,
} from "./maximize_voxels.ts";
export {
  checkOnPhantom,
  type GoalResponses,
  type PhantomCheck,
  type PhantomCheckOptions,
  type TuningScores,
} from "./phantom_check.ts";
export type { ImageGoal } from "./phantom_images.ts";
export {
  TUNED_VARIABLES,
  type TunedVariable,
  type TuningKind,
} from "../phantom/tuned_variables.ts";
