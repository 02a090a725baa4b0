/**
 * Gyrus: WebGPU compute for vision neuroscience. Hand-written WGSL kernels under a thin tensor engine.
 *
 * @module
 */
export type { BackendName } from "./engine/backends.ts";
export * from "./engine/errors.ts";
export { Gpu } from "./engine/gpu.ts";
export type { GpuOptions, OpenOptions, TuningEntry, TuningTable } from "./engine/gpu.ts";
export type { DispatchWork, Profile, ProfiledDispatch } from "./engine/profile.ts";
export {
  foldIn,
  type Key,
  normal,
  randomBits,
  randomKey,
  split,
  uniform,
} from "./engine/random.ts";
export { run, type RunOptions } from "./engine/run.ts";
export type { ElemType } from "./engine/wgsl.ts";
export { record, recordOpaque, Tape, type TapeNode, type Vjp } from "./engine/tape.ts";
export { checkpoint } from "./engine/ops/checkpoint.ts";
export type { Binding, Dispatch } from "./engine/recorder.ts";
export type { BufferPool, PoolBuffer } from "./engine/buffers.ts";
export {
  type DType,
  type HostData,
  type Kept,
  readAll,
  type Storage,
  Tensor,
  tidy,
} from "./engine/tensor.ts";
export {
  assertPositiveDefinite,
  cholesky,
  choleskySolve,
  solveTriangular,
  spdInverse,
  type TriangularOptions,
} from "./engine/ops/cholesky.ts";
export { eighHost, type HostEigen } from "./engine/ops/eigh.ts";
export {
  eighTopK,
  type EighTopKOptions,
  type SymmetricOperator,
  type TopEigen,
} from "./engine/ops/eigh_top.ts";
export { type Eigen, eigh, type EighOptions } from "./engine/ops/eigh_device.ts";
export * from "./engine/ops/channel_norm.ts";
export * from "./engine/ops/channel_rms_norm.ts";
export * from "./engine/ops/conv.ts";
export type { Padding, Pair, WindowOptions } from "./engine/ops/conv_geometry.ts";
export { imagesToFill, type Into, placed } from "./engine/ops/into.ts";
export * from "./engine/ops/attention.ts";
export * from "./engine/ops/cast.ts";
export * from "./engine/ops/cumsum.ts";
export * from "./engine/ops/elementwise.ts";
export * from "./engine/ops/gather.ts";
export { gram, type GramOptions } from "./engine/ops/gram.ts";
export {
  largestEigenvalue,
  type LargestEigenvalueOptions,
} from "./engine/ops/largest_eigenvalue.ts";
export {
  type ComplexParts,
  type FftOptions,
  FftTables,
  ifft2,
  irfft2,
  rfft2,
} from "./engine/ops/fft.ts";
export { PreparedWeights } from "./engine/ops/prepared_weights.ts";
export { AxisTable } from "./engine/ops/fft_axis.ts";
export * from "./engine/ops/matmul.ts";
export * from "./engine/ops/norm.ts";
export * from "./engine/ops/patchify.ts";
export {
  addDiagonal,
  diagonal,
  diagonalMatrix,
  identity,
  tril,
  triu,
} from "./engine/ops/matrix.ts";
export * from "./engine/ops/optim.ts";
export { qr, type QrFactors, type QrOptions } from "./engine/ops/qr.ts";
export * from "./engine/ops/pad.ts";
export * from "./engine/ops/reduce.ts";
export * from "./engine/ops/pool.ts";
export * from "./engine/ops/resize.ts";
export * from "./engine/ops/shape.ts";
export * from "./engine/ops/sort.ts";
export * from "./engine/ops/warp.ts";
export { type Activation, activationCodes } from "./shaders/elementwise/unary.ts";
export * from "./shaders/kernel.ts";
export {
  type ResampleAxis,
  type ResampleMode,
  resampleTaps,
  type Taps,
  tapsOf,
  transposeTaps,
} from "./shaders/resize/taps.ts";
export { InputError } from "./pipelines/errors.ts";
export * from "./pipelines/io/mod.ts";
export type { RgbImage } from "./pipelines/images/rgb_image.ts";
export type { FlatMap } from "./pipelines/report/flat_map.ts";
export { type SlicePlaces, slicePlaces } from "./pipelines/report/slice_places.ts";
export {
  type GalleryColoring,
  type GalleryImage,
  type GalleryOptions,
  type GalleryPage,
  type GalleryTarget,
  type VoxelGallery,
  voxelGallery,
} from "./pipelines/report/voxel_gallery.ts";
export {
  type ColormapName,
  colormapNames,
  type ValueRange,
  valueRange,
} from "./pipelines/images/colormap.ts";
export { mosaic, type MosaicOptions } from "./pipelines/images/mosaic.ts";
export { overlayPatches, type PatchOverlayOptions } from "./pipelines/images/patch_overlay.ts";
export { renderSurface, type RenderSurfaceOptions } from "./pipelines/images/render_surface.ts";
export {
  type Hemisphere,
  type SurfaceView,
  surfaceViews,
} from "./pipelines/images/surface_view.ts";
export {
  curvatureColors,
  type OutlineOptions,
  outlineRegions,
  type VertexColorOptions,
  vertexColors,
} from "./pipelines/images/vertex_colors.ts";
export {
  sampleVolume,
  type VoxelPlaces,
  voxelsAtPoints,
} from "./pipelines/images/sample_volume.ts";
export {
  type ValueMosaicOptions,
  volumeColorMosaic,
  type VolumeMosaic,
  volumeMosaic,
  type VolumeMosaicOptions,
} from "./pipelines/images/volume_mosaic.ts";
export { type PlaneName, planeNames } from "./pipelines/images/volume_planes.ts";
export * from "./pipelines/encoding/mod.ts";
export * from "./pipelines/hvm/mod.ts";
export * from "./pipelines/vae/mod.ts";
export {
  farthestPicks,
  type PointBlocks,
  productTopK,
  rowTopK,
  weightedRows,
} from "./engine/ops/neighbors.ts";
export { foldSums, type FoldSumsOptions, packPanels, type Panels } from "./engine/ops/fold_sums.ts";
export * from "./pipelines/nsd/mod.ts";
export * from "./pipelines/diffusion/mod.ts";
export * from "./pipelines/optvis/mod.ts";
export * from "./pipelines/spectral/mod.ts";
export * from "./pipelines/aligned_cut/mod.ts";
export * from "./pipelines/vwam/mod.ts";
export * from "./pipelines/mig_vis/mod.ts";
export {
  makeToyNets,
  TOY_LATENTS,
  TOY_ROIS,
  ToyNets,
  type ToyNetsOptions,
} from "./pipelines/aligned_cut/toy_nets.ts";
export {
  TOY_CATEGORIES,
  TOY_GRID,
  TOY_PATCH,
  type ToyScenes,
} from "./pipelines/aligned_cut/toy_scenes.ts";
export { rankColumns, spearman, zscore } from "./pipelines/stats/columns.ts";
export {
  bootstrapDifferences,
  type BootstrapMeans,
  bootstrapMeans,
  type BootstrapOptions,
  quantileOf,
  type UnitValues,
} from "./pipelines/stats/bootstrap.ts";
export { type AssignmentOptions, assignRows } from "./pipelines/stats/assignment.ts";
export {
  adjustedMutualInfo,
  adjustedRandIndex,
  type Contingency,
  contingency,
  normalizedMutualInfo,
} from "./pipelines/stats/partitions.ts";
export { farthestRows } from "./pipelines/stats/farthest_rows.ts";
export { bhFdr } from "./pipelines/stats/fdr.ts";
export { holm } from "./pipelines/stats/holm.ts";
export { studentQuantile, studentTail } from "./pipelines/stats/student.ts";
export {
  oneSampleTest,
  pairedTest,
  type TTest,
  type TTestOptions,
  welchTest,
} from "./pipelines/stats/t_test.ts";
export { type AcrossSubjects, acrossSubjects } from "./pipelines/stats/across_subjects.ts";
export { PointTree } from "./pipelines/stats/point_tree.ts";
export {
  permutedOrders,
  randomRotation,
  shiftOrders,
  type SpatialOrders,
  spinOrders,
} from "./pipelines/stats/spatial_nulls.ts";
export { type KMeans, kMeans, type KMeansOptions } from "./pipelines/stats/kmeans.ts";
export { fitPca, Pca, type PcaTransformOptions } from "./pipelines/stats/pca.ts";
export {
  generalizedProcrustes,
  type Procrustes,
  type ProcrustesOptions,
} from "./pipelines/stats/procrustes.ts";
export {
  type BlockOptions,
  blockPermutation,
  type PermutationOptions,
  type PermutationResult,
  permutationTest,
} from "./pipelines/stats/permutation.ts";
export * from "./pipelines/stats/sign_flip.ts";
export { nearestRows, type Neighbors, type RowMetric } from "./pipelines/stats/nearest_rows.ts";
export { pinvHost, type Svd, svdHost } from "./pipelines/stats/svd.ts";
export {
  type ColorRange,
  embeddingColors,
  FittedUmap,
  fitUmap,
  type UmapOptions,
} from "./pipelines/stats/umap.ts";
export {
  type ForwardOptions,
  type ForwardResult,
  loadVit,
  VisionModel,
} from "./pipelines/models/model.ts";
export { type AnyModel, isTapModel } from "./pipelines/models/any_model.ts";
export { type LoadedModel, loadModel } from "./pipelines/models/load_model.ts";
export {
  tapGradient,
  type TapModel,
  type TapRunOptions,
  type TapShape,
} from "./pipelines/models/tap_model.ts";
export {
  type InceptionForwardOptions,
  InceptionModel,
  loadInception,
} from "./pipelines/models/inception.ts";
export { loadVgg, type VggForwardOptions, VggModel } from "./pipelines/models/vgg.ts";
export type { VggOptions } from "./pipelines/models/vgg_weights.ts";
export { inceptionTaps } from "./pipelines/models/inception_layout.ts";
export {
  planTaps,
  pooledTaps,
  TAP_BUDGET,
  type TapFeatureOptions,
  tapFeatures,
  type TapOptions,
  type TapPlan,
} from "./pipelines/models/tap_features.ts";
export {
  LinearReducers,
  linearReducers,
  type LinearReducersOptions,
  type LinearReduction,
  linearReductions,
  type ReducedNetwork,
  reducedNetwork,
  type ReducedTap,
} from "./pipelines/models/linear_reducers.ts";
export type { InceptionOptions } from "./pipelines/models/inception_weights.ts";
export type { TokenRows } from "./pipelines/models/clip_text.ts";
export {
  type Grid,
  type PosEmbedConvention,
  posEmbedConventions,
} from "./pipelines/models/pos_embed.ts";
export { type DenseMode, denseModes, type DenseOptions } from "./pipelines/models/vit.ts";
export type { TextConfig, TowerConfig, VitConfig } from "./pipelines/models/vit_config.ts";
export {
  modelFamilies,
  type ModelFamily,
  type ModelOptions,
} from "./pipelines/models/vit_options.ts";
export type { Weights } from "./pipelines/models/vit_weights.ts";
export {
  randomWeights,
  type TrainedPart,
  trainedParts,
} from "./pipelines/models/random_weights.ts";
export {
  assignCategories,
  brainSailCategories,
  type CaptionCategory,
  captionCorrelations,
  type CaptionList,
  type CategoryAssignment,
  confusionCounts,
  parseCaptionLists,
  type PatchMaps,
} from "./pipelines/dense/caption_categories.ts";
export {
  areaAverage,
  edgeEnergy,
  lowLevelFields,
  lowLevelNames,
  luminance,
  type PixelField,
  saturation,
} from "./pipelines/images/image_properties.ts";
export {
  compareMaps,
  lowLevelSensitivity,
  type RoiComparison,
  type RoiMaps,
} from "./pipelines/dense/compare_backbones.ts";
export {
  PropertyCorrelates,
  type SlopeProblem,
  type SlopeTest,
  testSlopes,
} from "./pipelines/dense/property_correlates.ts";
export { type TopImages, topImages } from "./pipelines/dense/top_images.ts";
export { distillDense, type DistillOptions, patchCoverage } from "./pipelines/dense/distill.ts";
export {
  extractFeatures,
  type FeatureArray,
  type FeatureName,
  featureNames,
  type FeatureRequest,
  type NodeType,
  nodeTypes,
  whiteInfill,
} from "./pipelines/dense/features.ts";
export {
  maskAuc,
  maskPearson,
  matchedAreaIou,
  pointingGame,
} from "./pipelines/dense/localization_metrics.ts";
export {
  type DenseFlops,
  denseFlops,
  type DenseFlopsOptions,
  headWeights,
} from "./pipelines/dense/flops.ts";
export { type PatchShift, patchShifts } from "./pipelines/dense/offsets.ts";
export {
  normalizeRows,
  relevanceMaps,
  type RelevanceOptions,
  type RoiVoxels,
  type RoiWeights,
  roiWeights,
  textSimilarity,
} from "./pipelines/dense/relevance.ts";
export {
  type BpeVocabulary,
  ClipTokenizer,
  type EncodeOptions,
} from "./pipelines/models/clip_bpe.ts";
export { loadTokenizer } from "./pipelines/models/tokenizer.ts";
export * from "./pipelines/brain_sail/mod.ts";
export {
  type ImageSize,
  preprocess,
  type PreprocessedImage,
  type Preprocessing,
  type PreprocessingName,
  preprocessings,
  type PreprocessOptions,
  type Rgb,
  stretched,
} from "./pipelines/images/preprocess.ts";
export type { PilFilter } from "./pipelines/images/pil_resize.ts";
