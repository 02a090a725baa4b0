/**
 * AlignedCut (arXiv 2406.18344): networks aligned by brain responses, cut together, and what their concepts say.
 *
 * @module
 */
export {
  type GraphPart,
  type GraphPlace,
  type GraphSlice,
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
