/**
 * Spectral clustering: affinities, normalised cuts and what is read from their eigenvectors.
 *
 * @module
 */
export { type Affinity, affinityMatrix, requireNodes } from "./affinity.ts";
export {
  findGamma,
  type FindGammaOptions,
  findSigma,
  type FindSigmaOptions,
  rbfOfGamma,
  type ScaleOptions,
} from "./affinity_scale.ts";
export {
  type ChannelAttribution,
  channelAttribution,
  type ChannelAttributionOptions,
} from "./channel_attribution.ts";
export { type ClickCut, clickPrompt, type ClickPromptOptions } from "./click_prompt.ts";
export {
  eigenbases,
  type Eigenbasis,
  type EigenbasisOptions,
  eigenProjectors,
  MAX_PROJECTOR_ROWS,
  normalizedAffinity,
  spanOverlap,
} from "./eigen_projector.ts";
export {
  cutGraph,
  type CutOptions,
  exactNcut,
  type ExactNcutOptions,
  type GraphCut,
} from "./exact_ncut.ts";
export {
  FeatureNodes,
  type FeatureNodesOptions,
  nNodesOf,
  type NodePart,
  type NodePlace,
  type PatchGrid,
} from "./feature_nodes.ts";
export {
  type FarthestPointOptions,
  farthestPoints,
  type SamplingSpace,
  stratifiedRows,
} from "./farthest_points.ts";
export { affinityGraph, featureGraph, type GraphOptions, NormalizedGraph } from "./graph.ts";
export {
  type HierarchyLevel,
  type HierarchyOptions,
  NcutHierarchy,
  ncutHierarchy,
  type Nesting,
  nestingOf,
} from "./hierarchy.ts";
export {
  KwayCut,
  type KwayLabels,
  kwayNcut,
  type KwayOptions,
  quickKway,
  type QuickKwayOptions,
} from "./kway.ts";
export { nodesOf, nodesOfRows, type NodeSource, takeNodes } from "./node_source.ts";
export { FittedNcut, Ncut } from "./ncut.ts";
export {
  type AffinityChoice,
  type NcutOptions,
  type NcutPlan,
  ncutPresets,
  planNcut,
  resolveAffinity,
} from "./ncut_options.ts";
export type { NcutCheckpoint } from "./ncut_log.ts";
export type { NcutState } from "./ncut_solve.ts";
export { type FeatureTurn } from "./feature_ncut.ts";
export { FourierFeatures, type Frequencies } from "./kernel_features.ts";
export { indirectAffinity } from "./neighbor_ncut.ts";
export { LandmarkFeatures } from "./landmark_features.ts";
export {
  propagate,
  type PropagateOptions,
  type PropagationWeights,
  Propagator,
} from "./propagate.ts";
export type { RowMap } from "./row_map.ts";
export { flattenNodes, looksChannelFirst, type NodeLayout, type NodeOptions } from "./nodes.ts";
export { squaredDistances } from "./squared_distances.ts";
export {
  tsneAffinities,
  type TsneConvention,
  tsneDescend,
  type TsneDescentOptions,
  type TsneGradient,
  tsneGradient,
  type TsneMetric,
} from "./tsne.ts";
export {
  tsne,
  type TsneAffinityOptions,
  type TsneEmbedding,
  type TsneOptions,
  TsneProbabilities,
  tsneProbabilities,
} from "./tsne_device.ts";
export { farthestSamples, takeRows } from "./sample_nodes.ts";
export { type ExtendOptions, extendValues } from "./extend.ts";
export {
  SPECTRAL_TSNE_PRESETS,
  SpectralTsne,
  spectralTsne,
  type SpectralTsneOptions,
} from "./spectral_tsne.ts";
export {
  type PlaceColorOptions,
  placeColors,
  rgbFromTsne,
  rgbFromUmap,
  SpectralColors,
  type TsneColorOptions,
  type UmapColorOptions,
} from "./color.ts";
export {
  labCubeColors,
  labelColors,
  labPlaneColors,
  labToRgb,
  quantileRange,
  rotateRgbCube,
  scaleToRange,
} from "./color_space.ts";
export { cutOverlay, type CutOverlayOptions } from "./cut_overlay.ts";
export { rbfOfNodes, sourceVariance } from "./source_variance.ts";
