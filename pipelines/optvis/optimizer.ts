import { Adam, type AdamBase, NAdam } from "../../engine/ops/optim.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";

/** An optimiser and its step size over time, as data. */
export interface OptimizerOptions {
  /** Kingma and Ba's Adam, or Dozat's with Nesterov's momentum. */
  readonly name?: "adam" | "nadam";
  /** Step size. */
  readonly lr: number;
  /** Decay rates of the two moments (default 0.9 and 0.999). */
  readonly betas?: readonly [number, number];
  /** Added to the root of the second moment (default 10⁻⁸). */
  readonly eps?: number;
  /** Step size after the last step, to which half a cosine leads; constant when absent. */
  readonly lastLr?: number;
}

/**
 * The step size of a step: `last + (first − last)·(1 + cos(π·step / steps)) / 2` where it changes.
 *
 * @param step counted from 0
 */
export function learningRate(
  { lr, lastLr = lr }: OptimizerOptions,
  step: number,
  steps: number,
): number {
  return lastLr + (lr - lastLr) * (1 + Math.cos(Math.PI * step / steps)) / 2;
}

/**
 * Makes an optimiser of parameters, which stay the caller's.
 *
 * @throws {InputError} for a step size that is negative or not finite
 */
export function makeOptimizer(params: readonly Tensor[], options: OptimizerOptions): AdamBase {
  const { name = "adam", lr, betas, eps, lastLr = lr } = options;
  if (!(lr >= 0 && lastLr >= 0 && lr < Infinity && lastLr < Infinity)) {
    throw new InputError(
      `Cannot optimise with step sizes from ${lr} to ${lastLr}: they must be finite and not below 0`,
    );
  }
  return new (name === "adam" ? Adam : NAdam)(params, { lr, betas, eps });
}
