/**
 * BrainSAIL: where in images is what drives brain regions.
 *
 * @module
 */
export type { Backbone, BackboneSettings, DensePair } from "./backbone.ts";
export type { KeptFeatures } from "./backbone_features.ts";
export type { ColorOptions, StudyColors } from "./colors.ts";
export { type DenseSettings, denseSettings, paperSize } from "./config.ts";
export type { EncoderChoice, RoiFit, SubjectEncoder } from "./encoders.ts";
export {
  isJudgeable,
  type MapScoreName,
  mapScoreNames,
  type MapScores,
  meanScore,
  type RegionCase,
  type RegionScore,
  scoreMap,
  scoreRegion,
  upsampleMap,
} from "./evaluate.ts";
export {
  categoryOf,
  type MapMethodName,
  mapMethods,
  type RegionLocalization,
  ROI_CATEGORIES,
} from "./localization.ts";
export type { Interval } from "../report/numbers.ts";
export { imageProperties, type MapOwner, type MapSink } from "./map_pass.ts";
export { type NsdStudyOptions, openNsdStudy } from "./nsd_study.ts";
export {
  gridOf,
  type ImageMaps,
  localize,
  type LocalizeOptions,
  type PreparedImages,
  type RegionWeights,
  regionWeights,
  requireSameSpace,
} from "./pipeline.ts";
export { openPlainStudy, type PlainStudyOptions } from "./plain_study.ts";
export { chooseRois, parseRoiTable } from "../dense/roi_table.ts";
export {
  type BackboneResult,
  type BackboneRunOptions,
  type Confusion,
  type OwnerResult,
  runBackbone,
  type VoxelCorrelates,
} from "./run_backbone.ts";
export {
  type CortexPlaces,
  type Study,
  type StudyImages,
  type StudySubject,
  type StudyTruth,
} from "./study.ts";
export {
  readStudyColors,
  readStudyImage,
  readStudyMaps,
  readStudyRecord,
  readStudyResults,
  readStudyVoxels,
  type StudyMaps,
  type StudyRecord,
  type StudyVoxels,
} from "./read_study.ts";
export type {
  BackboneResults,
  Comparison,
  RoiCorrelate,
  StudyResults,
  SubjectResults,
} from "./results.ts";
export { type StudyReport, studyReport } from "./study_report.ts";
export type { Settings, SettingValue } from "./study_settings.ts";
