import { AdamW } from "../../../engine/ops/optim.ts";
import type { Tensor } from "../../../engine/tensor.ts";

/** Maps, weights and intercepts; everything else is what voxels choose. */
const isLinear = (name: string): boolean => /^(map|beta|bias)\//.test(name);

/** AdamW with a step size for linear maps and another for what voxels choose, on one schedule. */
export class AlignmentOptimizer implements Disposable {
  readonly #linear: readonly number[];
  readonly #choices: readonly number[];
  readonly #optimizers: readonly [AdamW, AdamW];
  readonly #ratio: number;

  /** An optimiser of named parameters, which stay the caller's. */
  constructor(
    parameters: ReadonlyMap<string, Tensor>,
    { lr, choiceLr, weightDecay }: {
      readonly lr: number;
      readonly choiceLr: number;
      readonly weightDecay: number;
    },
  ) {
    const names = [...parameters.keys()], tensors = [...parameters.values()];
    this.#linear = [...names.keys()].filter((i) => isLinear(names[i]));
    this.#choices = [...names.keys()].filter((i) => !isLinear(names[i]));
    this.#ratio = choiceLr / lr;
    const of = (places: readonly number[], lr: number) =>
      new AdamW(places.map((i) => tensors[i]), { lr, weightDecay });
    this.#optimizers = [of(this.#linear, lr), of(this.#choices, choiceLr)];
  }

  /** Sets the step size of linear maps, and with it the other. */
  setLr(lr: number): void {
    this.#optimizers[0].lr = lr;
    this.#optimizers[1].lr = lr * this.#ratio;
  }

  /** Steps taken. */
  get steps(): number {
    return this.#optimizers[0].steps;
  }

  /** Moments of both. */
  get moments(): readonly Tensor[] {
    return this.#optimizers.flatMap((optimizer) => optimizer.moments);
  }

  /** Goes on from moments in the order of `moments`. */
  restore(steps: number, moments: readonly ArrayLike<number>[]): void {
    const n = 2 * this.#linear.length;
    this.#optimizers[0].restore(steps, moments.slice(0, n));
    this.#optimizers[1].restore(steps, moments.slice(n));
  }

  /** Updates every parameter in place; one gradient for each, in the order of the parameters. */
  step(gradients: readonly Tensor[]): void {
    this.#optimizers[0].step(this.#linear.map((i) => gradients[i]));
    this.#optimizers[1].step(this.#choices.map((i) => gradients[i]));
  }

  /** Gives up the moments. */
  [Symbol.dispose](): void {
    for (const optimizer of this.#optimizers) optimizer[Symbol.dispose]();
  }
}
