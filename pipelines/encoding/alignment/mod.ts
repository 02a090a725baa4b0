/**
 * Channel alignment: layers of several networks in one space that predicts brain responses (AlignedCut, arXiv 2406.18344).
 *
 * @module
 */
export {
  Alignment,
  type AlignmentHead,
  type AlignmentParts,
  type AlignmentTraining,
  type SliceName,
} from "./alignment.ts";
export { loadAlignment, readAlignment, saveAlignment } from "./alignment_file.ts";
export { auditAlignment, type AuditOptions, type SliceAudit } from "./audit.ts";
export {
  EIGEN_KS,
  eigenLoss,
  type EigenLossForm,
  type EigenLossOptions,
  nodeGraph,
} from "./eigen_loss.ts";
export { fitAlignment } from "./fit_alignment.ts";
export {
  type BrainLossForm,
  brainLossSum,
  covarianceLoss,
  type CovarianceLossForm,
  zeroLoss,
  type ZeroLossForm,
} from "./losses.ts";
export {
  type PatchAgreement,
  type PatchAgreements,
  samePatchCosines,
  type SamePatchOptions,
} from "./same_patch.ts";
export {
  ALIGNMENT_DEFAULTS,
  type AlignmentOptions,
  type AlignmentSettings,
  type AlignmentStart,
  type PatchPooling,
  type ReadoutKind,
} from "./settings.ts";
export {
  type AlignmentSlice,
  gridTokens,
  type SliceTokens,
  type TokenLayout,
  tokensInMemory,
  type TokenSource,
} from "./tokens.ts";
export { readTokens, type SliceReader, TokenCache, type TokenCacheOptions } from "./token_cache.ts";
