/**
 * Every kernel of the engine, listed by hand: nothing registers itself.
 *
 * @module
 */
import type { KernelSpec } from "./kernel.ts";
import { attentionKernel } from "./attention/attention.ts";
import { attentionGradientKernel } from "./attention/attention_gradient.ts";
import { axpyKernel } from "./elementwise/axpy.ts";
import { binaryKernels, f64Kernels } from "./elementwise/binary.ts";
import { castFromF32Kernel, castToF32Kernel } from "./elementwise/cast.ts";
import { fillKernel } from "./elementwise/fill.ts";
import { unaryGradientKernels, unaryKernels } from "./elementwise/unary.ts";
import { affineWarpGradientKernel, affineWarpKernel } from "./image/affine_warp.ts";
import { patchifyKernel, unpatchifyKernel } from "./image/patchify.ts";
import { addDiagonalKernel, diagonalKernel, triangleKernels } from "./linalg/blocks.ts";
import { choleskyKernel, triangularSolveKernel } from "./linalg/factor.ts";
import { tridiagonalColumnKernel, tridiagonalProductKernel } from "./linalg/tridiagonal.ts";
import { conv2dKernel, convTranspose2dKernel } from "./conv/conv2d.ts";
import { conv2dWeightGradientKernel } from "./conv/conv2d_weight_gradient.ts";
import {
  winogradInputKernel,
  winogradOutputKernel,
  winogradWeightsKernel,
} from "./conv/winograd.ts";
import { distancesOfProductsKernel } from "./spectral/distances.ts";
import { farthestPointsKernel } from "./spectral/farthest_points.ts";
import { productTopKKernel, rowTopKKernel, weightedRowsKernel } from "./spectral/nearest_rows.ts";
import { fftStageKernel } from "./fft/fft_stage.ts";
import { stridedCopyKernel } from "./index/strided_copy.ts";
import { maskedKernel, reluMaskKernel } from "./elementwise/relu_mask.ts";
import { whereKernel } from "./elementwise/where.ts";
import { cumsumKernel } from "./index/cumsum.ts";
import { putKernel } from "./index/put.ts";
import { gatherKernel } from "./index/gather.ts";
import { gatherSumKernel } from "./index/gather_sum.ts";
import { scatterAddKernel, segmentSumKernel } from "./index/scatter_add.ts";
import { matmulKernel } from "./matmul/matmul.ts";
import { matmulF64Kernel, packF64Kernel } from "./matmul/matmul_f64.ts";
import { foldSumsKernel } from "./matmul/fold_sums.ts";
import { matmulPanelsKernel, packPanelsKernel } from "./matmul/panels.ts";
import { adamOptimKernel, adamwKernel, sgdKernel } from "./optim/optim.ts";
import {
  layerNormGradientKernel,
  layerNormKernel,
  layerNormWeightsGradientKernel,
} from "./norm/layer_norm.ts";
import { softmaxGradientKernel, softmaxKernel } from "./norm/softmax.ts";
import {
  maxPool2dGradientKernel,
  maxPool2dKernel,
  maxPool2dScatterKernel,
} from "./pool/max_pool2d.ts";
import { resampleAxisKernel } from "./resize/resample_axis.ts";
import {
  channelMomentsKernel,
  channelNormGradientKernel,
  channelNormKernel,
  channelNormReduceKernel,
  channelNormSumsKernel,
} from "./norm/channel_norm.ts";
import {
  channelRmsNormGradientKernel,
  channelRmsNormKernel,
  channelRmsNormSumsKernel,
} from "./norm/channel_rms_norm.ts";
import { randomBitsKernel, randomNormalKernel, randomUniformKernel } from "./random/random.ts";
import { tsneKernels } from "./spectral/tsne.ts";
import { argmaxKernel, argminKernel } from "./reduce/arg_reduce.ts";
import { reduceKernels } from "./reduce/reduce.ts";
import { logsumexpKernel, varianceKernel } from "./reduce/two_pass.ts";
import {
  mergeRunsKernel,
  segmentStartsKernel,
  sortKeysKernel,
  sortRunsKernel,
} from "./sort/sort.ts";

/** The explicit list of every kernel. */
export const kernels: readonly KernelSpec[] = [
  fillKernel,
  axpyKernel,
  ...Object.values(unaryKernels),
  ...Object.values(unaryGradientKernels),
  ...Object.values(binaryKernels),
  ...Object.values(reduceKernels),
  randomBitsKernel,
  randomUniformKernel,
  randomNormalKernel,
  argmaxKernel,
  argminKernel,
  logsumexpKernel,
  varianceKernel,
  matmulKernel,
  packPanelsKernel,
  matmulPanelsKernel,
  foldSumsKernel,
  layerNormKernel,
  layerNormGradientKernel,
  layerNormWeightsGradientKernel,
  softmaxKernel,
  softmaxGradientKernel,
  attentionKernel,
  attentionGradientKernel,
  ...Object.values(triangleKernels),
  diagonalKernel,
  addDiagonalKernel,
  choleskyKernel,
  triangularSolveKernel,
  tridiagonalColumnKernel,
  tridiagonalProductKernel,
  adamwKernel,
  adamOptimKernel,
  sgdKernel,
  patchifyKernel,
  unpatchifyKernel,
  affineWarpKernel,
  affineWarpGradientKernel,
  conv2dKernel,
  convTranspose2dKernel,
  conv2dWeightGradientKernel,
  winogradWeightsKernel,
  winogradInputKernel,
  winogradOutputKernel,
  resampleAxisKernel,
  fftStageKernel,
  maxPool2dKernel,
  maxPool2dGradientKernel,
  maxPool2dScatterKernel,
  channelMomentsKernel,
  channelNormKernel,
  channelNormSumsKernel,
  channelNormReduceKernel,
  channelNormGradientKernel,
  channelRmsNormKernel,
  channelRmsNormGradientKernel,
  channelRmsNormSumsKernel,
  stridedCopyKernel,
  castToF32Kernel,
  castFromF32Kernel,
  ...Object.values(f64Kernels),
  packF64Kernel,
  matmulF64Kernel,
  whereKernel,
  reluMaskKernel,
  maskedKernel,
  gatherKernel,
  gatherSumKernel,
  putKernel,
  cumsumKernel,
  sortKeysKernel,
  sortRunsKernel,
  mergeRunsKernel,
  segmentStartsKernel,
  scatterAddKernel,
  segmentSumKernel,
  ...tsneKernels,
  distancesOfProductsKernel,
  farthestPointsKernel,
  rowTopKKernel,
  productTopKKernel,
  weightedRowsKernel,
];
