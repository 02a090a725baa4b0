import { InputError } from "../errors.ts";

/**
 * How much noise is added at each step of a diffusion process:
 *
 * - `linear`: variances from `betaStart` to `betaEnd`, by default 10⁻⁴ and 0.02 times 1000 over the steps (guided-diffusion,
 *   `get_named_beta_schedule`; diffusers and DDPM's own at 1000 steps).
 * - `scaled-linear`: their square roots are linear, by default from 0.00085 to 0.012 (Stable Diffusion 1.5).
 * - `cosine`: ᾱ follows cos²((k/T + 0.008)/1.008 · π/2) (Nichol and Dhariwal 2021; diffusers' `squaredcos_cap_v2`).
 * - `sigmoid`: ᾱ follows a sigmoid from `start` to `end` over `tau` (Jabri et al. 2022; denoising-diffusion-pytorch, MIG-Vis).
 * - `betas`: any variances.
 */
export type ScheduleOptions =
  | {
    readonly kind: "linear" | "scaled-linear";
    readonly steps?: number;
    readonly betaStart?: number;
    readonly betaEnd?: number;
  }
  | { readonly kind: "cosine"; readonly steps?: number }
  | {
    readonly kind: "sigmoid";
    readonly steps?: number;
    readonly start?: number;
    readonly end?: number;
    readonly tau?: number;
  }
  | { readonly kind: "betas"; readonly betas: ArrayLike<number> };

/** Variances of a diffusion process, in float64. */
export interface NoiseSchedule {
  /** Variance that step t adds, `[T]`. */
  readonly betas: Float64Array<ArrayBuffer>;
  /** ᾱ_t, the products of 1 − β up to and with step t: the share of the image in the variance, `[T]`. */
  readonly alphasCumprod: Float64Array<ArrayBuffer>;
}

const MOST_STEPS = 1_000_000;
const MAX_BETA = 0.999; // of cosine and sigmoid, in all three codes

/** Variances from shares of the image before each step and behind the last, `[T + 1]`. */
function betasOf(share: (k: number) => number, steps: number): Float64Array<ArrayBuffer> {
  return Float64Array.from(
    { length: steps },
    (_, k) => Math.min(MAX_BETA, Math.max(0, 1 - share(k + 1) / share(k))),
  );
}

function spread(steps: number, first: number, last: number): Float64Array<ArrayBuffer> {
  const step = (last - first) / Math.max(1, steps - 1);
  return Float64Array.from({ length: steps }, (_, k) => first + k * step);
}

function makeBetas(options: ScheduleOptions): Float64Array<ArrayBuffer> {
  if (options.kind === "betas") return Float64Array.from(options.betas);
  const { steps = 1000 } = options;
  if (!(Number.isInteger(steps) && steps >= 1 && steps <= MOST_STEPS)) {
    throw new InputError(
      `Cannot make a noise schedule of ${steps} steps: there must be from 1 to ${MOST_STEPS}`,
    );
  }
  switch (options.kind) {
    case "linear": {
      const { betaStart = 0.1 / steps, betaEnd = 20 / steps } = options;
      return spread(steps, betaStart, betaEnd);
    }
    case "scaled-linear": {
      const { betaStart = 0.00085, betaEnd = 0.012 } = options;
      return spread(steps, Math.sqrt(betaStart), Math.sqrt(betaEnd)).map((root) => root * root);
    }
    case "cosine": {
      const share = (k: number) => Math.cos((k / steps + 0.008) / 1.008 * Math.PI / 2) ** 2;
      return betasOf(share, steps);
    }
    case "sigmoid": {
      const { start = -3, end = 3, tau = 1 } = options;
      const sigmoid = (x: number) => 1 / (1 + Math.exp(-x / tau));
      const [first, last] = [sigmoid(start), sigmoid(end)];
      const share = (k: number) =>
        (last - sigmoid(start + (end - start) * k / steps)) / (last - first);
      return betasOf(share, steps);
    }
  }
}

/**
 * The variances of a diffusion process.
 *
 * @throws {InputError} when there are no steps or more than a million, or a variance is not above 0 and below 1
 */
export function noiseSchedule(options: ScheduleOptions): NoiseSchedule {
  const betas = makeBetas(options);
  const bad = betas.findIndex((beta) => !(beta > 0 && beta < 1));
  if (bad >= 0 || betas.length === 0) {
    throw new InputError(
      `Cannot make a noise schedule: every variance must be above 0 and below 1, ${
        betas.length === 0 ? "there are none" : `that of step ${bad} is ${betas[bad]}`
      }`,
    );
  }
  let product = 1;
  return { betas, alphasCumprod: betas.map((beta) => product *= 1 - beta) };
}
