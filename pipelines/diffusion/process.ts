import { InputError } from "../errors.ts";
import type { NoiseSchedule } from "./schedule.ts";
import { diffusersTimesteps, respacedTimesteps, type TimestepSpacing } from "./timesteps.ts";

/** One step of a process that samples are drawn through, in float64. */
export interface DiffusionStep {
  /** Number that the network is told. */
  readonly timestep: number;
  /** ᾱ of the images that come in. */
  readonly alphaCumprod: number;
  /** ᾱ of the images that go out: 1 where no noise is left. */
  readonly alphaCumprodPrev: number;
  /** Logarithm of the posterior's variance; where that is 0, its neighbour's. */
  readonly posteriorLogVariance: number;
}

/** Steps from the most noise to the least. */
export type DiffusionProcess = readonly DiffusionStep[];

/** Variance that a step adds, β = 1 − ᾱ/ᾱ_prev. */
export const betaOf = ({ alphaCumprod: a, alphaCumprodPrev: prev }: DiffusionStep): number =>
  1 - a / prev;

/** Variance of the images that go out, given those that come in and the clean one. */
export function posteriorVariance(step: DiffusionStep): number {
  const { alphaCumprod: a, alphaCumprodPrev: prev } = step;
  return betaOf(step) * (1 - prev) / (1 - a);
}

/** Mean of the images that go out: `ofStart · x₀ + ofX · x`. */
export function posteriorMean(
  step: DiffusionStep,
): { readonly ofStart: number; readonly ofX: number } {
  const { alphaCumprod: a, alphaCumprodPrev: prev } = step, beta = betaOf(step);
  return {
    ofStart: beta * Math.sqrt(prev) / (1 - a),
    ofX: (1 - prev) * Math.sqrt(1 - beta) / (1 - a),
  };
}

interface Level {
  readonly timestep: number;
  readonly alphaCumprod: number;
  readonly alphaCumprodPrev: number;
}

const LEAST_VARIANCE = 1e-20; // diffusers and denoising-diffusion-pytorch clip there

/** Steps of levels from the most noise to the least. */
function processOf(levels: readonly Level[]): DiffusionProcess {
  const variances = levels.map((level) => posteriorVariance({ ...level, posteriorLogVariance: 0 }));
  return levels.map((level, i) => {
    // The last step has none: guided-diffusion takes that of the step before it.
    const variance = variances[i] > 0 ? variances[i] : variances[i - 1] ?? 0;
    return {
      ...level,
      posteriorLogVariance: Math.log(Math.max(LEAST_VARIANCE, variance)),
    };
  });
}

/**
 * A process as guided-diffusion runs it: some steps of a schedule, the noise between them added in one (`SpacedDiffusion`), the network
 * told the original step.
 *
 * @param spacing as {@link respacedTimesteps}; all steps when left out
 * @throws {InputError} as {@link respacedTimesteps}
 */
export function respacedProcess(
  schedule: NoiseSchedule,
  spacing?: string | number | readonly number[],
): DiffusionProcess {
  const steps = schedule.alphasCumprod.length;
  const kept = spacing === undefined
    ? Array.from({ length: steps }, (_, t) => t)
    : respacedTimesteps(steps, spacing);
  return keptProcess(schedule, kept);
}

/**
 * A process of some steps of a schedule, each going out at the level of the next lower one, the last without noise.
 *
 * @param kept the steps, ascending
 * @throws {InputError} unless they ascend within the schedule
 */
export function keptProcess(
  { alphasCumprod }: NoiseSchedule,
  kept: readonly number[],
): DiffusionProcess {
  const bad = kept.findIndex((t, k) =>
    !Number.isInteger(t) || t >= alphasCumprod.length || !(t > (kept[k - 1] ?? -1))
  );
  if (bad >= 0 || kept.length === 0) {
    throw new InputError(
      `Cannot take the steps ${
        kept.slice(0, 8)
      } of ${alphasCumprod.length}: they must ascend from 0`,
    );
  }
  return processOf(
    kept.map((timestep, k) => ({
      timestep,
      alphaCumprod: alphasCumprod[timestep],
      alphaCumprodPrev: k === 0 ? 1 : alphasCumprod[kept[k - 1]],
    })).reverse(),
  );
}

/** Options of {@link diffusersProcess}. */
export interface DiffusersProcessOptions {
  /** Steps that are taken; all when left out. */
  readonly steps?: number;
  /** How they are spread. */
  readonly spacing?: TimestepSpacing;
  /** Added to the steps of `"leading"`. */
  readonly stepsOffset?: number;
  /** Whether images end without noise (`set_alpha_to_one`), or with that of step 0. */
  readonly setAlphaToOne?: boolean;
}

/**
 * A process as diffusers runs it (`DDIMScheduler`, `DDPMScheduler`): every step goes out at the level `T ÷ steps` below its own, whatever
 * the spacing, which with `"linspace"` is not quite the level that the next one takes for granted.
 *
 * @throws {InputError} as {@link diffusersTimesteps}
 */
export function diffusersProcess(
  { alphasCumprod }: NoiseSchedule,
  { steps = alphasCumprod.length, spacing, stepsOffset, setAlphaToOne = true }:
    DiffusersProcessOptions = {},
): DiffusionProcess {
  const total = alphasCumprod.length;
  const last = setAlphaToOne ? 1 : alphasCumprod[0];
  const stride = Math.floor(total / steps);
  return processOf(
    diffusersTimesteps(total, steps, { spacing, stepsOffset }).map((timestep) => ({
      timestep,
      alphaCumprod: alphasCumprod[timestep],
      alphaCumprodPrev: timestep >= stride ? alphasCumprod[timestep - stride] : last,
    })),
  );
}

/**
 * The part of a process below some level of noise, for images that are taken from there on.
 *
 * @param timestep of its first step
 * @throws {InputError} when the process has no such step
 */
export function processFrom(levels: DiffusionProcess, timestep: number): DiffusionProcess {
  const at = levels.findIndex((step) => step.timestep === timestep);
  if (at >= 0) return levels.slice(at);
  throw new InputError(
    `Cannot begin at step ${timestep}: the process has the steps ${
      levels.map((step) => step.timestep).join(", ")
    }`,
  );
}

/**
 * The levels of a process from the least noise to the most: each step goes out at the next one's level.
 *
 * @param evaluateAt the step whose level the network is asked about: the one that images come from, or go to
 * @throws {InputError} when there are fewer than two steps
 */
export function inverted(
  levels: DiffusionProcess,
  evaluateAt: "current" | "next",
): DiffusionProcess {
  const rising = [...levels].reverse();
  if (rising.length < 2) {
    throw new InputError(
      `Cannot invert samples through ${rising.length} steps: there must be two or more`,
    );
  }
  return rising.slice(0, -1).map((step, k) => ({
    ...step,
    timestep: rising[k + (evaluateAt === "next" ? 1 : 0)].timestep,
    alphaCumprodPrev: rising[k + 1].alphaCumprod,
  }));
}
