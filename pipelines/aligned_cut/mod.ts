/**
 * AlignedCut (arXiv 2406.18344): networks aligned by brain responses, cut together, and what their concepts say.
 *
 * @module
 */
export {
  type GraphPart,
  type GraphPlace,
  type GraphSlice,
  joinFiles,
  joinGraph,
  JointGraph,
} from "./joint_graph.ts";
export {
  bestOf,
  classCenters,
  imageScores,
  ORACLE_THRESHOLDS,
  type OracleOptions,
  type OracleScores,
  oracleSegmentation,
  scoreCenters,
  type SegmentationData,
  segmentImage,
  type ThresholdScore,
  withFeatures,
} from "./oracle_segmentation.ts";
export {
  clusterSegmentation,
  type HeldOutScores,
  heldOutSegmentation,
  type SegmentationBaselines,
  segmentationBaselines,
} from "./held_out_segmentation.ts";
export {
  boundaryF,
  type ClassCounts,
  confusionOf,
  IGNORE_LABEL,
  type IouScores,
  iouScores,
  matchedIou,
} from "./segmentation_scores.ts";
export { type FullMask, patchLabels } from "./patch_labels.ts";
export {
  type ConceptContrast,
  type ConceptOptions,
  type ConceptProfiles,
  conceptProfiles,
  contrastConcepts,
  layerProfiles,
  type Region,
  regionMeans,
  regionsOf,
} from "./concepts.ts";
export {
  pathOf,
  type Trajectories,
  trajectories,
  type TrajectoryNull,
  trajectoryNull,
} from "./trajectories.ts";
export {
  layerTransitions,
  softMemberships,
  softTransitions,
  type TransitionNull,
  transitionNull,
  type TransitionOptions,
  type Transitions,
  transitions,
} from "./transitions.ts";
export {
  type RegionMaps,
  type RegionScores,
  regionScores,
  type RegionTest,
  regionTest,
} from "./roi_correspondence.ts";
export { conceptAreas, measuredMaps } from "./measured_maps.ts";
export {
  compareSlices,
  type ConceptMatch,
  linearCka,
  matchConcepts,
  type ModelAgreement,
  modelAgreement,
  type PatchCosine,
  projectorDistance,
  samePatchCosine,
  type SliceAgreement,
} from "./consistency.ts";
export {
  gaussianTargets,
  lowLevelFeatures,
  noisyTargets,
  readoutTargets,
  shuffledTargets,
} from "./control_targets.ts";
export {
  alignedSpace,
  rawSpace,
  type SharedSpace,
  type SpaceSlice,
  turnedSpace,
} from "./shared_space.ts";
export {
  type MeasureName,
  measureSpace,
  measureTitles,
  type PatchTruth,
  type SpaceMeasureOptions,
  type SpaceMeasures,
} from "./space_measures.ts";
export {
  type Condition,
  conditions,
  type ControlData,
  type ControlOptions,
  type ControlRegions,
  type ControlRun,
  type ControlRuns,
  type ControlStore,
  possibleConditions,
  type RegionMatch,
  runControls,
} from "./controls.ts";
export {
  type ConditionR2,
  type ConditionScore,
  type ControlEffect,
  type ControlEffects,
  controlEffects,
  type ImageMean,
} from "./control_effects.ts";
export {
  type ControlResults,
  type ControlRunRecord,
  parseControlResults,
} from "./control_results.ts";
export { type AlignReport, alignReport } from "./align_report.ts";
export type { AlignReportOptions } from "./align_report_data.ts";
