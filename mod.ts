/**
 * Gyrus: WebGPU compute for vision neuroscience. Hand-written WGSL kernels under a thin tensor engine.
 *
 * @module
 */
export type { BackendName } from "./engine/backends.ts";
export * from "./engine/errors.ts";
export { Gpu } from "./engine/gpu.ts";
export type { GpuOptions, OpenOptions, TuningEntry, TuningTable } from "./engine/gpu.ts";
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
export { checkpoint, record, recordOpaque, Tape, type TapeNode, type Vjp } from "./engine/tape.ts";
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
export {
  eighHost,
  eighTopK,
  type EighTopKOptions,
  type HostEigen,
  type SymmetricOperator,
  type TopEigen,
} from "./engine/ops/eigh.ts";
export { type Eigen, eigh, type EighOptions } from "./engine/ops/eigh_device.ts";
export * from "./engine/ops/channel_norm.ts";
export * from "./engine/ops/conv.ts";
export type { Padding, Pair, WindowOptions } from "./engine/ops/conv_geometry.ts";
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
export { type ComplexParts, type FftOptions, irfft2, rfft2 } from "./engine/ops/fft.ts";
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
export {
  readSafetensors,
  type ReadSafetensorsOptions,
  writeSafetensors,
} from "./pipelines/io/safetensors.ts";
export {
  FileTensor,
  openSafetensors,
  SafetensorsCheckpoint,
  saveSafetensors,
} from "./pipelines/io/safetensors_file.ts";
export {
  type HostArray,
  hostArray,
  type HostDType,
  type HostTensor,
  hostTensor,
  mergeStateDicts,
  type StateDict,
  toFloat32,
  toFloat64,
} from "./pipelines/io/state_dict.ts";
export {
  type ArrayRef,
  openArray,
  parseArrayRef,
  type RowSource,
} from "./pipelines/io/array_ref.ts";
export type { ArrayBlock } from "./pipelines/io/array_block.ts";
export {
  type Hdf5Attribute,
  type Hdf5Box,
  type Hdf5DatasetInfo,
  Hdf5File,
} from "./pipelines/io/hdf5.ts";
export {
  type Hdf5DatasetOptions,
  type Hdf5WriteDType,
  Hdf5Writer,
} from "./pipelines/io/hdf5_writer.ts";
export { NpyFile, NpyWriter, readNpy, writeNpy } from "./pipelines/io/npy.ts";
export { type ImageSource, openImages } from "./pipelines/io/images.ts";
export type { RgbImage } from "./pipelines/images/rgb_image.ts";
export {
  type EdgeReport,
  edgeReport,
  extendAlphas,
  fracridgeAlphas,
  fracsToAlphas,
  logspace,
  parseAlphas,
} from "./pipelines/encoding/alphas.ts";
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
} from "./pipelines/encoding/cross_validation.ts";
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
} from "./pipelines/encoding/delays.ts";
export {
  type BandOptions,
  Encoder,
  ENCODER_ALPHAS,
  type EncoderDetails,
  type EncoderParts,
  type EncoderSolver,
  fitEncoder,
  type FitEncoderOptions,
} from "./pipelines/encoding/encoder.ts";
export { loadEncoder, saveEncoder } from "./pipelines/encoding/encoder_file.ts";
export { type HostMatrix, hostMatrix } from "./pipelines/encoding/host_matrix.ts";
export { hrfConvolve, hrfKernel, type HrfName } from "./pipelines/encoding/hrf.ts";
export {
  type EncodingModel,
  LinearModel,
  type LongCall,
  type PredictOptions,
  type StagedCall,
} from "./pipelines/encoding/linear_model.ts";
export {
  correctedCorrelation,
  countRepeats,
  explainableVariance,
  ncsnr,
  noiseCeiling,
  type Repeats,
} from "./pipelines/encoding/noise_ceiling.ts";
export {
  fitRidge,
  RidgeCV,
  type RidgeCVOptions,
  type RidgeFitCall,
  type RidgeOptions,
} from "./pipelines/encoding/ridge.ts";
export {
  GroupRidgeCV,
  type GroupRidgeCVOptions,
  solveFixedGamma,
} from "./pipelines/encoding/group_ridge.ts";
export { FittedGroupRidge, type GroupRidgeParts } from "./pipelines/encoding/fitted_group_ridge.ts";
export type { Bands } from "./pipelines/encoding/bands.ts";
export { dirichletGammas, type DirichletOptions } from "./pipelines/encoding/gammas.ts";
export { singularValues } from "./pipelines/encoding/singular_values.ts";
export { fingerprintOf, ScoreCheckpoint } from "./pipelines/encoding/score_checkpoint.ts";
export type { ChoiceOptions } from "./pipelines/encoding/choose_alphas.ts";
export { foldSums, type FoldSumsOptions, packPanels, type Panels } from "./engine/ops/fold_sums.ts";
export type { RidgeSolverOptions } from "./pipelines/encoding/ridge_plan.ts";
export {
  FittedRidge,
  RidgeModel,
  type RidgeModelParts,
  type RidgeSelection,
} from "./pipelines/encoding/fitted_ridge.ts";
export type { FoldMoments, ScoreFunction } from "./pipelines/encoding/fold_scores.ts";
export type { ScoreStore, ScoreUnit } from "./pipelines/encoding/ridge_scores.ts";
export type { RidgePrecision } from "./pipelines/encoding/ridge_solver.ts";
export { zscorePerRun } from "./pipelines/encoding/runs.ts";
export {
  correlationScore,
  l2NegLoss,
  r2Score,
  type Scoring,
} from "./pipelines/encoding/scoring.ts";
export {
  correlationScoreSplit,
  r2ScoreSplit,
  type R2SplitOptions,
} from "./pipelines/encoding/variance_split.ts";
export {
  type FeatureNormalizer,
  fitNormalizer,
  type Normalization,
  normalizeFeatures,
} from "./pipelines/encoding/normalize.ts";
export {
  FittedProbe,
  LinearProbe,
  type LinearProbeOptions,
  PROBE_DEFAULTS,
} from "./pipelines/encoding/probe.ts";
export { RepeatAverager, zscoreSession } from "./pipelines/encoding/betas.ts";
export { type MatArray, readMat, type ReadMatOptions, writeMat } from "./pipelines/io/mat.ts";
export {
  type NiftiHeader,
  readNifti,
  type ReadNiftiOptions,
  writeNifti,
  type WriteNiftiOptions,
} from "./pipelines/io/nifti.ts";
export { NiftiFile, type NiftiSlab } from "./pipelines/io/nifti_file.ts";
export type { Surface } from "./pipelines/io/mesh.ts";
export { MghFile } from "./pipelines/io/mgh.ts";
export {
  readSurface,
  type ReadSurfaceOptions,
  readVertexValues,
  type ReadVertexValuesOptions,
} from "./pipelines/io/surface.ts";
export {
  type CocoImage,
  type CocoObject,
  readCocoCaptions,
  readCocoObjects,
  type ReadCocoOptions,
} from "./pipelines/nsd/coco.ts";
export {
  cocoMask,
  type CocoMaskOptions,
  type CocoPolygons,
  type CocoRuns,
  type CocoShape,
  decodeRuns,
} from "./pipelines/nsd/coco_mask.ts";
export { type NsdDesign, readNsdDesign } from "./pipelines/nsd/design.ts";
export { loadNsd, type LoadNsdOptions, type NsdResponses } from "./pipelines/nsd/load_nsd.ts";
export { nsdPaths } from "./pipelines/nsd/names.ts";
export {
  countTrials,
  readSession,
  type SessionBetas,
  type SessionVoxels,
} from "./pipelines/nsd/session.ts";
export { type NsdPart, type SplitNsdOptions, splitShared } from "./pipelines/nsd/split.ts";
export { NsdStimuli } from "./pipelines/nsd/stimuli.ts";
export { readStimulusInfo, type StimulusInfo } from "./pipelines/nsd/stimulus_info.ts";
export {
  type NsdVoxelOptions,
  type NsdVoxels,
  parseLabelTable,
  selectNsdVoxels,
} from "./pipelines/nsd/voxels.ts";
export {
  tsneAffinities,
  tsneDescend,
  type TsneDescentOptions,
  type TsneGradient,
  tsneGradient,
} from "./pipelines/spectral/tsne.ts";
export { rankColumns, spearman, zscore } from "./pipelines/stats/columns.ts";
export {
  bootstrapDifferences,
  type BootstrapMeans,
  bootstrapMeans,
  type BootstrapOptions,
  quantileOf,
  type UnitValues,
} from "./pipelines/stats/bootstrap.ts";
export { bhFdr } from "./pipelines/stats/fdr.ts";
export { type KMeans, kMeans, type KMeansOptions } from "./pipelines/stats/kmeans.ts";
export { fitPca, Pca, type PcaTransformOptions } from "./pipelines/stats/pca.ts";
export {
  type BlockOptions,
  blockPermutation,
  type PermutationOptions,
  type PermutationResult,
  permutationTest,
} from "./pipelines/stats/permutation.ts";
export { pinvHost, type Svd, svdHost } from "./pipelines/stats/svd.ts";
export {
  type ForwardOptions,
  type ForwardResult,
  loadModel,
  VisionModel,
} from "./pipelines/models/model.ts";
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
export { distillDense, type DistillOptions, patchCoverage } from "./pipelines/dense/distill.ts";
export {
  extractFeatures,
  type FeatureArray,
  type FeatureName,
  featureNames,
  type FeatureRequest,
  whiteInfill,
} from "./pipelines/dense/features.ts";
export {
  maskAuc,
  maskPearson,
  matchedAreaIou,
  pointingGame,
} from "./pipelines/dense/localization_metrics.ts";
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
export { type DenseSettings, denseSettings, paperSize } from "./pipelines/brain_sail/config.ts";
export {
  isJudgeable,
  type MapScoreName,
  type MapScores,
  meanScore,
  type RegionCase,
  type RegionScore,
  scoreRegion,
  upsampleMap,
} from "./pipelines/brain_sail/evaluate.ts";
export {
  type ImageMaps,
  localize,
  type LocalizeOptions,
  type PreparedImages,
  type RegionWeights,
  regionWeights,
} from "./pipelines/brain_sail/pipeline.ts";
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
