/**
 * Diffusion: schedules of noise, the steps that samples are drawn through, and DDPM, DDIM and its inversion with guidance.
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
  posteriorVariance,
  processFrom,
  respacedProcess,
} from "./process.ts";
export type {
  Clipping,
  DenoiseOptions,
  DenoisingConditions,
  DenoisingModel,
  PredictionType,
  VarianceType,
} from "./denoise.ts";
export {
  ddim,
  ddpm,
  type Guidance,
  type SamplingOptions,
  type StepResult,
  type StepState,
} from "./sampler.ts";
