/** What training either network shares: losses, the schedule, and the loop of tape, gradient and AdamW. */

import { add, addScalar, div, exp, log, mul, scale, sub } from "../../engine/ops/elementwise.ts";
import { AdamW } from "../../engine/ops/optim.ts";
import { mean, sum } from "../../engine/ops/reduce.ts";
import { sqrt, square } from "../../engine/ops/elementwise.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import { lossGradients } from "../gradients.ts";
import type { Weights } from "../models/vit_weights.ts";
import type { PhantomCall } from "./phantom.ts";
import type { TrainableWeights } from "./train_weights.ts";

/** Rows of `x: [n, m]` divided by their length. */
export function unitRows(x: Tensor): Tensor {
  return tidy(x.gpu, () => {
    const squares = sum(square(x), { axes: [-1], keepDims: true });
    return div(x, sqrt(addScalar(squares, 1e-12)));
  });
}

/**
 * Mean cross-entropy of targets `[rows, cols]` whose sums over the axis are 1, under `softmax(logits)` along the axis. The logits must
 * not be above 0: cosines less 1, times a temperature, are what is meant, and then nothing overflows.
 */
export function crossEntropy(logits: Tensor, targets: Tensor, axis: number): Tensor {
  return tidy(logits.gpu, () => {
    const total = log(addScalar(sum(exp(logits), { axes: [axis] }), 1e-30));
    const said = sum(mul(logits, targets), { axes: [axis] });
    return mean(sub(total, said));
  });
}

/** Logits of crossEntropy: `factor · (a · bᵀ − 1)` for rows of unit length given as their products. */
export function cosineLogits(cosines: Tensor, factor: Tensor | number): Tensor {
  return tidy(cosines.gpu, () => {
    const below = addScalar(cosines, -1);
    return typeof factor === "number" ? scale(below, factor) : mul(below, factor);
  });
}

/** Sum of `weights[i] · losses[i]`. */
export function weightedSum(losses: readonly Tensor[], weights: readonly number[]): Tensor {
  return tidy(
    losses[0].gpu,
    () => losses.map((loss, i) => scale(loss, weights[i])).reduce((a, b) => add(a, b)),
  );
}

// Adam's first steps move every weight by the step size, whatever the gradient: short runs stay in the rise.
const SHORTEST_RISE = 20;

/** Step size after `step` of `steps`: a linear rise over the first twentieth, then half a cosine down to 0. */
export function learningRate(step: number, { steps, peak }: { steps: number; peak: number }) {
  const rise = Math.max(SHORTEST_RISE, Math.round(steps / 20));
  if (step < rise) return peak * (step + 1) / rise;
  return peak * 0.5 * (1 + Math.cos(Math.PI * (step - rise) / Math.max(1, steps - rise)));
}

/** Options of {@link optimize}. */
export interface OptimizeOptions {
  /** Number of steps. */
  readonly steps: number;
  /** Largest step size. */
  readonly peak: number;
  /** Weight decay of matrices; vectors and embeddings of tokens and places have none. */
  readonly weightDecay: number;
  /** Called after every step with its loss. */
  readonly onStep?: (step: number, loss: number) => void | Promise<void>;
}

const NOT_DECAYED = /^(prefix|pos|mask_token|logit_scale|text\.pos|text\.token)$|scale[12]$/;

/**
 * Minimises a loss by AdamW.
 *
 * @param loss the loss of one step from watched weights, one value
 * @returns the loss of every step
 */
export async function optimize(
  weights: TrainableWeights,
  loss: (step: number, weights: Weights) => Tensor,
  options: OptimizeOptions,
  { onProgress, signal }: PhantomCall = {},
): Promise<number[]> {
  const names = [...weights.tensors.keys()];
  const isDecayed = (name: string) =>
    weights.tensors.get(name)!.shape.length > 1 && !NOT_DECAYED.test(name);
  const groups = [names.filter(isDecayed), names.filter((name) => !isDecayed(name))];
  const betas = [0.9, 0.98] as const; // as CLIP, table 20
  const all = (group: readonly string[]) => group.map((name) => weights.tensors.get(name)!);
  using decayed = new AdamW(all(groups[0]), { betas, weightDecay: options.weightDecay });
  using free = new AdamW(all(groups[1]), { betas, weightDecay: 0 });
  const ordered = new Map(groups.flat().map((name) => [name, weights.tensors.get(name)!]));
  const losses: number[] = [];
  for (let step = 0; step < options.steps; step++) {
    signal?.throwIfAborted();
    decayed.lr = free.lr = learningRate(step, options);
    using value = tidy(weights.gpu, () => {
      const { loss: out, gradients } = lossGradients(ordered, (watched) => loss(step, watched));
      decayed.step(gradients.slice(0, groups[0].length));
      free.step(gradients.slice(groups[0].length));
      return out;
    });
    losses.push(await value.item());
    await options.onStep?.(step, losses[step]);
    onProgress?.({ stage: "training", done: step + 1, total: options.steps });
  }
  return losses;
}
