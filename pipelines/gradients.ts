/**
 * Gradients of a loss by named weights, as training takes them.
 *
 * @module
 */
import { addScalar, div, full, minimum, mul } from "../engine/ops/elementwise.ts";
import { norm } from "../engine/ops/reduce.ts";
import { concat } from "../engine/ops/shape.ts";
import { Tape } from "../engine/tape.ts";
import { type Tensor, tidy } from "../engine/tensor.ts";

/** A loss and its gradient by each weight, in their order. */
export type LossGradients = {
  /** One value. */
  readonly loss: Tensor;
  /** Of the weights' shapes. */
  readonly gradients: readonly Tensor[];
};

/**
 * A loss and its gradients.
 *
 * @param weights by name; all on one device
 * @param loss one value of watched handles on the weights
 */
export function lossGradients(
  weights: ReadonlyMap<string, Tensor>,
  loss: (watched: ReadonlyMap<string, Tensor>) => Tensor,
): LossGradients {
  const [first] = weights.values();
  return tidy(first.gpu, () => {
    using tape = new Tape();
    const watched = new Map([...weights].map(([name, tensor]) => [name, tape.watch(tensor)]));
    const out = loss(watched);
    return { loss: out.detach(), gradients: tape.gradient(out, [...watched.values()]) };
  });
}

/** Root of the sum of squares of all values of some tensors, one value. */
export function globalNorm(tensors: readonly Tensor[]): Tensor {
  return tidy(tensors[0].gpu, () => norm(concat(tensors.map((t) => t.reshape([t.size])))));
}

/**
 * Gradients shortened to a length that they have together, as `torch.nn.utils.clip_grad_norm_`: times `most / (norm + 1e-6)` where that is
 * below 1.
 *
 * @returns the gradients, and the length before
 */
export function clipGradients(
  gradients: readonly Tensor[],
  most: number,
): { readonly clipped: readonly Tensor[]; readonly norm: Tensor } {
  const { gpu } = gradients[0];
  return tidy(gpu, () => {
    const length = globalNorm(gradients).reshape([1]), one = full(gpu, [1], 1);
    const factor = minimum(div(full(gpu, [1], most), addScalar(length, 1e-6)), one);
    return { clipped: gradients.map((g) => mul(g, factor)), norm: length };
  });
}
