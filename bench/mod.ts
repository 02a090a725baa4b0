/**
 * The benchmark as a library: check a kernel of your own, time it, hold it against the measured roofline.
 *
 * @module
 */
export {
  type Check,
  type CheckedType,
  checkKernel,
  splitCase,
  worstError,
} from "./check_kernel.ts";
export { type Change, compareRuns, type RunComparison } from "./compare.ts";
export { benchDense, type DenseBenchOptions, type DenseRow } from "./dense.ts";
export { benchHost, type HostBenchOptions, type HostRow } from "./host.ts";
export {
  benchInception,
  benchInceptionConvs,
  type InceptionBenchOptions,
  type InceptionConvRow,
  type InceptionPassRow,
} from "./inception.ts";
export { checkLayer, layerTolerance, type LayerValues, type LayerWork } from "./inception_check.ts";
export { benchInceptionPeers, type InceptionPeerRow } from "./inception_peers.ts";
export { benchStep, type StepBenchOptions, type StepPart, type StepRow } from "./inception_step.ts";
export { makeInceptionWeights } from "./inception_weights.ts";
export { benchNcut, type NcutBenchOptions, type NcutMethod, type NcutRow } from "./ncut.ts";
export type { SpanError } from "./ncut_check.ts";
export { clusteredNodes } from "./ncut_nodes.ts";
export { measurePeaks, type Peaks } from "./peaks.ts";
export { benchRidge, type RidgeBenchOptions, type RidgeRow } from "./ridge.ts";
export { type RidgeCase, ridgeCases, scaled } from "./ridge_case.ts";
export { benchKernel, type BenchOptions, type BenchRow } from "./rows.ts";
export { time, type TimeOptions, type Timing } from "./time.ts";
export type { ByStage } from "./ridge_stages.ts";
export type { Agreement } from "./ridge_check.ts";
export type { SizedConv } from "../pipelines/models/inception_flops.ts";
export type { InceptionConv } from "../pipelines/models/inception_layout.ts";
export { type Tuned, tuneKernel, type TuneOptions } from "./tune.ts";
export { benchUnet, type UnetBenchOptions, type UnetKernelRow, type UnetPassRow } from "./unet.ts";
export {
  drawUnet,
  smallUnets,
  type UnetName,
  unetNames,
  type UnetNetwork,
} from "./unet_networks.ts";
export {
  benchUnetOps,
  benchUnetPeers,
  type UnetOpOptions,
  type UnetOpRow,
  type UnetPeerRow,
} from "./unet_peers.ts";
export {
  type AttentionOp,
  checkOp,
  type ConvOp,
  type NormOp,
  type OpInputs,
  opTolerance,
  type UnetOp,
  unetOps,
} from "./unet_op.ts";
export { unetFusions } from "./unet_fusions.ts";
export type { Ratio } from "./ratios.ts";
export type { PeerTimes } from "./peers/turns.ts";
