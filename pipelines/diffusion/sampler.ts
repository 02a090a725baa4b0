import { add, exp, mul, scale } from "../../engine/ops/elementwise.ts";
import { foldIn, type Key, normal } from "../../engine/random.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import {
  clipStart,
  combine,
  type DenoiseOptions,
  type DenoisingConditions,
  type DenoisingModel,
  noiseOf,
  readOutput,
  readPrediction,
  startOf,
  type VarianceType,
} from "./denoise.ts";
import { requireFiniteStep } from "./finite.ts";
import { type DiffusionProcess, type DiffusionStep, inverted, posteriorMean } from "./process.ts";

/** What guidance and callbacks see of a step. The tensors are gone when they return. */
export interface StepState {
  /** The step. */
  readonly step: DiffusionStep;
  /** Its number, from 0 at the most noise. */
  readonly index: number;
  /** Images that came in, `[n, c, h, w]`. */
  readonly x: Tensor;
  /** Noise in them. */
  readonly epsilon: Tensor;
  /** The clean images that they are taken for. */
  readonly predXstart: Tensor;
}

/** Moves samples to where something is more likely. */
export interface Guidance {
  /** ∇ₓ log p of what is wanted, at the noisy images, `[n, c, h, w]`. */
  readonly gradient: (state: StepState) => Tensor | Promise<Tensor>;
  /** Multiplies it (default 1). */
  readonly weight?: number;
  /**
   * What it is added to: `"score"` is ε − √(1−ᾱ)·w·g (guided-diffusion's `condition_score`, and the theory), `"epsilon"` ε − w·g (MIG-Vis's
   * code), `"mean"` the mean of a DDPM step, plus variance·w·g (guided-diffusion's `condition_mean`). Default `"score"` for DDIM, `"mean"` for
   * DDPM.
   */
  readonly convention?: "score" | "epsilon" | "mean";
  /** Whether clean images are limited behind it once more (MIG-Vis; guided-diffusion does not, the default). */
  readonly clipsAfter?: boolean;
}

/** A step that is done. */
export interface StepResult extends StepState {
  /** What the network told, without a variance. */
  readonly modelOutput: Tensor;
  /** Images that went out. */
  readonly sample: Tensor;
}

/** Options of {@link ddim} and {@link ddpm}. */
export interface SamplingOptions extends DenoiseOptions, DenoisingConditions, LongCall {
  /** Levels of noise, from the first to the last. */
  readonly process: DiffusionProcess;
  /**
   * Whether the noise is taken anew from clean images that were limited: guided-diffusion does (the default), diffusers unless asked to
   * (`use_clipped_model_output`) does not.
   */
  readonly rederivesEpsilon?: boolean;
  /** Guidance by the gradient of something. */
  readonly guidance?: Guidance;
  /** Draws noise; image `s` gets its own, whatever the batch. Needed where noise is added. */
  readonly key?: Key;
  /** Number of the first image. */
  readonly first?: number;
  /** Numbers of the images instead, where they do not follow each other or share noise. */
  readonly numbers?: readonly number[];
  /** Awaited after every step. */
  readonly onStep?: (result: StepResult) => void | Promise<void>;
}

/** Noise of a step, `[n, c, h, w]`. */
export function noiseFor(
  x: Tensor,
  index: number,
  { key, first = 0, numbers }: SamplingOptions,
): Tensor {
  if (!key) throw new InputError("Cannot draw samples: adding noise takes a key");
  const [n] = x.shape, size = x.size / n, values = new Float32Array(x.size);
  for (let s = 0; s < n; s++) {
    values.set(normal(foldIn(foldIn(key, numbers?.[s] ?? first + s), index), size), s * size);
  }
  return Tensor.from(x.gpu, values, x.shape);
}

/** How images go from one level to the next. */
export type Advance = (
  state: StepState & { readonly logVariance: Tensor | number },
  guided: Tensor | undefined,
) => Tensor;

/** One pass of the network over all images at one level. */
export function runNetwork(
  model: DenoisingModel,
  x: Tensor,
  step: DiffusionStep,
  { classLabels, context, variance, prediction }: SamplingOptions & {
    readonly variance?: VarianceType;
  },
): { told: Tensor; logVariance: Tensor | number; epsilon: Tensor; start: Tensor } {
  const timesteps = new Array<number>(x.shape[0]).fill(step.timestep);
  const { output } = model.forward(x, { timesteps, classLabels, context });
  const { told, logVariance } = readOutput(output, x, step, variance);
  return { told, logVariance, ...readPrediction(told, x, step, prediction) };
}

/** Noise and clean images after guidance, or after the limits alone; all tensors are the scope's. */
async function settle(
  found: { readonly epsilon: Tensor; readonly start: Tensor },
  state: Pick<StepState, "step" | "index" | "x">,
  { clip, guidance, rederivesEpsilon = true }: SamplingOptions,
  { scope, addsToMean }: { readonly scope: DisposableStack; readonly addsToMean: boolean },
): Promise<{ epsilon: Tensor; predXstart: Tensor; gradient?: Tensor; ofMean?: Tensor }> {
  const { step, x } = state;
  const predXstart = scope.use(clipStart(found.start, clip));
  const isAnew = rederivesEpsilon && clip !== false;
  const epsilon = isAnew ? scope.use(noiseOf(step, x, predXstart)) : found.epsilon;
  if (!guidance) return { epsilon, predXstart };
  const { weight = 1, convention = "score", clipsAfter = false } = guidance;
  const gradient = scope.use(await guidance.gradient({ ...state, epsilon, predXstart }));
  if (`${gradient.shape}` !== `${x.shape}`) {
    throw new InputError(
      `Cannot guide samples [${x.shape}]: the gradient must have their shape, it is [${gradient.shape}]`,
    );
  }
  if (addsToMean) {
    return { epsilon, predXstart, gradient, ofMean: scope.use(scale(gradient, weight)) };
  }
  const factor = convention === "score" ? Math.sqrt(1 - step.alphaCumprod) : 1;
  const moved = scope.use(combine(1, epsilon, -weight * factor, gradient));
  const start = scope.use(startOf(step, x, moved));
  const limited = clipsAfter ? scope.use(clipStart(start, clip)) : start;
  return { epsilon: moved, predXstart: limited, gradient };
}

/** Options of {@link walk} beside those of the user. */
export interface WalkOptions {
  /** How images go on. */
  readonly advance: Advance;
  /** How the variance comes about. */
  readonly variance?: VarianceType;
  /** Whether guidance is added to the mean. */
  readonly addsToMean?: boolean;
}

/** Takes images through a process. */
export async function walk(
  model: DenoisingModel,
  x: Tensor,
  options: SamplingOptions,
  { advance, variance, addsToMean = false }: WalkOptions,
): Promise<Tensor> {
  const { process: levels, signal, onProgress, onStep } = options, { gpu } = model;
  if (x.shape.length !== 4 || x.dtype !== "f32" || levels.length === 0) {
    throw new InputError(
      `Cannot sample from [${x.shape}] ${x.dtype} in ${levels.length} steps: images are [n, channels, height, width] in f32, and there must be a step`,
    );
  }
  let current = x.alias();
  try {
    for (const [index, step] of levels.entries()) {
      signal?.throwIfAborted();
      using scope = new DisposableStack();
      const found = tidy(gpu, () => runNetwork(model, current, step, { ...options, variance }));
      const { told, logVariance } = found;
      for (const part of Object.values(found)) if (part instanceof Tensor) scope.use(part);
      const state = { step, index, x: current };
      const { gradient, ofMean, ...clean } = await settle(found, state, options, {
        scope,
        addsToMean,
      });
      const all = { ...state, ...clean };
      const sample = tidy(gpu, () => advance({ ...all, logVariance }, ofMean));
      scope.use(current);
      current = sample;
      const result = { ...all, modelOutput: told, sample };
      await requireFiniteStep(model, { ...result, gradient }, options);
      await onStep?.(result);
      onProgress?.({ stage: "steps", done: index + 1, total: levels.length });
    }
    return current;
  } catch (cause) {
    current.dispose();
    throw cause;
  }
}

/** Options of {@link Ddim.sample}. */
export interface DdimOptions extends SamplingOptions {
  /** Share of the noise that DDPM adds (default 0: none). */
  readonly eta?: number;
}

/** Options of {@link Ddim.invert}. */
export interface InversionOptions extends Omit<SamplingOptions, "guidance" | "key" | "first"> {
  /**
   * Which level the network is asked about on the way from one to the next: `"current"` (guided-diffusion's `ddim_reverse_sample`, the
   * default) or `"next"` (MIG-Vis).
   */
  readonly evaluateAt?: "current" | "next";
}

/** Options of {@link Ddpm.sample}. */
export interface DdpmOptions extends SamplingOptions {
  /** How the variance comes about (default `"fixed-small"`). */
  readonly variance?: VarianceType;
}

/** Deterministic sampling and its inversion. */
export interface Ddim {
  /**
   * Images out of noise.
   *
   * @param x noise, or images with the noise of the first step, `[n, c, h, w]`
   * @returns `[n, c, h, w]`, the caller's
   * @throws {InputError} when the network's output does not fit the images, noise is to be added without a key, or something is not finite after
   * a step
   * @throws the signal's reason when it is aborted
   */
  sample(model: DenoisingModel, x: Tensor, options: DdimOptions): Promise<Tensor>;
  /**
   * The noise that {@link Ddim.sample} would make images of, step by step towards more noise, up to the level of the process's first step.
   *
   * @param x clean images, `[n, c, h, w]`
   * @returns `[n, c, h, w]`, the caller's
   * @throws {InputError} and the signal's reason, as for samples
   */
  invert(model: DenoisingModel, x: Tensor, options: InversionOptions): Promise<Tensor>;
}

/** Sampling with noise at every step. */
export interface Ddpm {
  /**
   * Images out of noise.
   *
   * @param x noise, or images with the noise of the first step, `[n, c, h, w]`
   * @returns `[n, c, h, w]`, the caller's
   * @throws {InputError} as {@link Ddim.sample}
   * @throws the signal's reason when it is aborted
   */
  sample(model: DenoisingModel, x: Tensor, options: DdpmOptions): Promise<Tensor>;
}

/** Deterministic sampling (Song, Meng and Ermon 2021), with `eta` 0 to 1 of DDPM's noise, and its inversion. */
export const ddim: Ddim = {
  async sample(model, x, options) {
    const { eta = 0 } = options;
    return await walk(model, x, options, {
      advance({ step, index, x, epsilon, predXstart }) {
        const { alphaCumprod: a, alphaCumprodPrev: prev } = step;
        const sigma = eta * Math.sqrt((1 - prev) / (1 - a)) * Math.sqrt(1 - a / prev);
        const direction = Math.sqrt(Math.max(0, 1 - prev - sigma * sigma));
        const mean = combine(Math.sqrt(prev), predXstart, direction, epsilon);
        return sigma > 0 ? add(mean, scale(noiseFor(x, index, options), sigma)) : mean;
      },
    });
  },

  async invert(model, x, options) {
    const rising = inverted(options.process, options.evaluateAt ?? "current");
    return await walk(model, x, { ...options, process: rising }, {
      advance: ({ step, epsilon, predXstart }) =>
        combine(
          Math.sqrt(step.alphaCumprodPrev),
          predXstart,
          Math.sqrt(1 - step.alphaCumprodPrev),
          epsilon,
        ),
    });
  },
};

/** Sampling with noise at every step (Ho, Jain and Abbeel 2020). */
export const ddpm: Ddpm = {
  async sample(model, x, options) {
    const { guidance, variance } = options;
    return await walk(model, x, options, {
      variance,
      addsToMean: (guidance?.convention ?? "mean") === "mean",
      advance({ step, index, x, predXstart, logVariance }, gradient) {
        const { ofStart, ofX } = posteriorMean(step);
        const mean = combine(ofStart, predXstart, ofX, x);
        const times = (g: Tensor, power: number) =>
          typeof logVariance === "number"
            ? scale(g, Math.exp(power * logVariance))
            : mul(g, exp(scale(logVariance, power)));
        const guided = gradient ? add(mean, times(gradient, 1)) : mean;
        if (step.alphaCumprodPrev === 1) return guided;
        return add(guided, times(noiseFor(x, index, options), 0.5));
      },
    });
  },
};
