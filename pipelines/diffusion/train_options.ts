import type { Key } from "../../engine/random.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import type { StateDict } from "../io/state_dict.ts";
import type { DdpSizes } from "../models/ddp_layout.ts";
import type { PredictionType } from "./denoise.ts";
import type { NoiseSchedule } from "./schedule.ts";

/** A slowly moving average of the weights, as ema_pytorch has it. */
export interface EmaOptions {
  /** Share of the average that stays at an update, once it has warmed up (default 0.98). */
  readonly decay?: number;
  /** Steps from one update to the next (default 10). */
  readonly every?: number;
  /** Steps during which the average is the weights themselves; behind them the share rises as 1 − (1 + steps)^(−2/3) (default 100). */
  readonly after?: number;
}

/** A folder that training goes on from when it was stopped. */
export interface TrainingCheckpoint {
  /** The folder, made where it is missing. */
  readonly folder: string;
  /** Steps from one saved state to the next (default 1000). */
  readonly every?: number;
}

/** Options of {@link trainDiffusion}; the defaults are MIG-Vis's, from denoising-diffusion-pytorch. */
export interface DiffusionTrainingOptions extends LongCall {
  /** The network. */
  readonly sizes: DdpSizes;
  /** Noise of each time step. */
  readonly schedule: NoiseSchedule;
  /** Everything random follows from it. */
  readonly key: Key;
  /** What the network learns to tell (default `"epsilon"`). */
  readonly prediction?: PredictionType;
  /** Steps of Adam (default 20,000). */
  readonly steps?: number;
  /** Images of one pass (default 64). */
  readonly batch?: number;
  /** Passes whose gradients make one step (default 2). */
  readonly accumulate?: number;
  /** Step size (default 2e-4). */
  readonly lr?: number;
  /** Last steps over which the step size falls to 0 in a line (default 0: it stays). */
  readonly decaySteps?: number;
  /** Decay rates of Adam's moments (default 0.9 and 0.99). */
  readonly betas?: readonly [number, number];
  /** Largest length of all gradients together (default 1). */
  readonly maxGradientNorm?: number;
  /** Probability of exchanging left and right (default 0.5). */
  readonly flip?: number;
  /** The average of the weights. */
  readonly ema?: EmaOptions;
  /** Weights to begin with, by the library's names (`model.` before them or not); drawn anew when left out. */
  readonly from?: StateDict;
  /** Where the state is kept. */
  readonly checkpoint?: TrainingCheckpoint;
  /** Awaited after every step. */
  readonly onStep?: (state: TrainingStep) => void | Promise<void>;
}

/** A step that is done. */
export interface TrainingStep {
  /** Its number, from 0. */
  readonly step: number;
  /** Its loss. */
  readonly loss: number;
  /** Length of its gradients before they were shortened. */
  readonly gradientNorm: number;
  /** The weights as they are, as {@link TrainedDiffusion.tensors}. */
  readonly net: () => Promise<StateDict>;
}

/** A trained network. */
export interface TrainedDiffusion {
  /**
   * Weights by the library's names behind `model.`, and their averages behind `ema_model.model.`: `loadDdpUnet` and `loadModel` take either with
   * the option `prefix`.
   */
  readonly tensors: StateDict;
  /** Loss of every step. */
  readonly losses: Float32Array<ArrayBuffer>;
}

/** Options in full, but for what a call adds. */
export type FullTraining =
  & Required<
    Pick<
      DiffusionTrainingOptions,
      | "sizes"
      | "schedule"
      | "key"
      | "prediction"
      | "steps"
      | "batch"
      | "accumulate"
      | "lr"
      | "decaySteps"
      | "betas"
      | "maxGradientNorm"
      | "flip"
    >
  >
  & { readonly ema: Required<EmaOptions> };

/**
 * Options with their defaults.
 *
 * @throws {InputError} for a number out of its range
 */
export function fullTraining(options: DiffusionTrainingOptions): FullTraining {
  const { sizes, schedule, key, prediction = "epsilon", ema = {} } = options;
  const { steps = 20_000, batch = 64, accumulate = 2, betas = [0.9, 0.99] } = options;
  const { lr = 2e-4, decaySteps = 0, maxGradientNorm = 1, flip = 0.5 } = options;
  const { decay = 0.98, every = 10, after = 100 } = ema;
  const whole = (low: number) => (x: number) => Number.isSafeInteger(x) && x >= low;
  const positive = (x: number) => x > 0 && x < Infinity;
  const share = (x: number) => x >= 0 && x <= 1;
  const below1 = (x: number) => x >= 0 && x < 1;
  const rules: readonly [string, number, (x: number) => boolean, string][] = [
    ["steps", steps, whole(1), "a whole number from 1"],
    ["batch", batch, whole(1), "a whole number from 1"],
    ["accumulate", accumulate, whole(1), "a whole number from 1"],
    ["decaySteps", decaySteps, (x) => whole(0)(x) && x <= steps, "a whole number from 0 to steps"],
    ["ema.every", every, whole(1), "a whole number from 1"],
    ["ema.after", after, whole(0), "a whole number from 0"],
    ["checkpoint.every", options.checkpoint?.every ?? 1, whole(1), "a whole number from 1"],
    ["lr", lr, positive, "above 0"],
    ["maxGradientNorm", maxGradientNorm, positive, "above 0"],
    ["flip", flip, share, "from 0 to 1"],
    ["ema.decay", decay, share, "from 0 to 1"],
    ["betas[0]", betas[0], below1, "from 0 and below 1"],
    ["betas[1]", betas[1], below1, "from 0 and below 1"],
  ];
  for (const [name, value, isFit, rule] of rules) {
    if (isFit(value)) continue;
    throw new InputError(`Cannot train a network: ${name} must be ${rule}, got ${value}`);
  }
  return {
    ...{ sizes, schedule, key, prediction, steps, batch, accumulate, lr, decaySteps, betas },
    ...{ maxGradientNorm, flip, ema: { decay, every, after } },
  };
}

/** Step size of a step, counted from 0. */
export function stepSize(step: number, { lr, decaySteps, steps }: FullTraining): number {
  return lr * Math.min(1, (steps - step) / Math.max(1, decaySteps));
}

/**
 * Share of the average that stays at the update behind a step (counted from 0), undefined where there is none (ema_pytorch's `update` and
 * `get_current_decay`, with its inverse gamma 1 and power 2/3).
 */
export function emaShare(
  step: number,
  { decay, every, after }: Required<EmaOptions>,
): number | undefined {
  if (step % every !== 0) return undefined;
  if (step <= after) return 0;
  return Math.min(decay, 1 - (1 + step - after) ** (-2 / 3));
}
