/**
 * Diffusion: schedules of noise, the steps that samples are drawn through, DDPM, DDIM and its inversion with guidance, the networks that tell
 * noise, and their training.
 *
 * @module
 */
export { type NoiseSchedule, noiseSchedule, type ScheduleOptions } from "./schedule.ts";
export { diffusersTimesteps, respacedTimesteps, type TimestepSpacing } from "./timesteps.ts";
export {
  diffusersProcess,
  type DiffusersProcessOptions,
  type DiffusionProcess,
  type DiffusionStep,
  keptProcess,
  posteriorVariance,
  processFrom,
  respacedProcess,
} from "./process.ts";
export {
  type DiffusionChoices,
  type DiffusionSettings,
  diffusionSettings,
  type DiffusionUnet,
  type ScheduleName,
  settingsProcess,
  type SettingsSources,
  trainedSide,
  type UnetFacts,
} from "./settings.ts";
export type {
  Clipping,
  DenoiseOptions,
  DenoisingConditions,
  DenoisingModel,
  PredictionType,
  VarianceType,
} from "./denoise.ts";
export {
  type Ddim,
  ddim,
  type DdimOptions,
  type Ddpm,
  ddpm,
  type DdpmOptions,
  type Guidance,
  type InversionOptions,
  type SamplingOptions,
  type StepResult,
  type StepState,
} from "./sampler.ts";
export {
  classifierGuidance,
  type ClassifierGuidanceOptions,
  type GuidanceStrength,
  startGuidance,
  type StartGuidanceOptions,
  type StartObjective,
} from "./guidances.ts";
export { classifierFree, type ClassifierFreeOptions } from "./classifier_free.ts";
export { trainDiffusion } from "./train.ts";
export type { TrainingImages } from "./train_draws.ts";
export type {
  DiffusionTrainingOptions,
  EmaOptions,
  TrainedDiffusion,
  TrainingCheckpoint,
  TrainingStep,
} from "./train_options.ts";
export { type DdpSizes, drawDdpWeights } from "../models/ddp_layout.ts";
export { type AdmForwardOptions, AdmModel, isAdm, loadAdm } from "../models/adm.ts";
export type { AdmBlock, AdmLayer, AdmLayout } from "../models/adm_layout.ts";
export type { AdmOptions } from "../models/adm_options.ts";
export {
  type DdpForwardOptions,
  DdpUnet,
  type DdpUnetOptions,
  isDdpUnet,
  loadDdpUnet,
} from "../models/ddp_unet.ts";
export {
  type DiffusersForwardOptions,
  DiffusersUnet,
  isDiffusersUnet,
  loadDiffusersUnet,
} from "../models/diffusers_unet.ts";
export type { DiffusersFacts, DiffusersUnetOptions } from "../models/diffusers_options.ts";
export {
  AutoencoderKl,
  type AutoencoderOptions,
  isAutoencoder,
  type LatentDistribution,
  loadAutoencoder,
} from "../models/autoencoder_kl.ts";
export { type IdealDenoiser, idealDenoiser } from "./ideal_denoiser.ts";
