import type { VaeWeights } from "./parameters.ts";

/** PyTorch's defaults. */
const BETAS = [0.9, 0.999] as const;
const EPS = 1e-8;

/** Adam (Kingma and Ba 2015) on the host in float64, with L2 regularisation in the gradient, in place. */
export class HostAdam {
  readonly #weights: VaeWeights;
  readonly #options: { readonly lr: number; readonly weightDecay: number };
  /** First moments of every tensor, then the second ones. */
  readonly moments: readonly Float64Array<ArrayBuffer>[];
  /** Steps taken. */
  steps = 0;

  /** An optimiser of `weights`, which it changes. */
  constructor(
    weights: VaeWeights,
    options: { readonly lr: number; readonly weightDecay: number },
  ) {
    this.#weights = weights;
    this.#options = options;
    const zeros = () => [...weights.values()].map(({ length }) => new Float64Array(length));
    this.moments = [...zeros(), ...zeros()];
  }

  /** Takes a step by the gradients, which have the names of the weights. */
  step(gradients: VaeWeights): void {
    const t = ++this.steps;
    const { lr, weightDecay } = this.#options;
    const rate = lr / (1 - BETAS[0] ** t), spread = 1 / (1 - BETAS[1] ** t);
    let i = 0;
    for (const [name, values] of this.#weights) {
      const gradient = gradients.get(name);
      const [first, second] = [this.moments[i], this.moments[this.#weights.size + i]];
      i++;
      if (gradient === undefined) continue;
      for (let at = 0; at < values.length; at++) {
        const slope = gradient[at] + weightDecay * values[at];
        first[at] = BETAS[0] * first[at] + (1 - BETAS[0]) * slope;
        second[at] = BETAS[1] * second[at] + (1 - BETAS[1]) * slope * slope;
        values[at] -= rate * first[at] / (Math.sqrt(second[at] * spread) + EPS);
      }
    }
  }

  /** Goes on as an optimiser that had taken these steps and had these moments. */
  restore(steps: number, moments: readonly Float64Array[]): void {
    this.steps = steps;
    this.moments.forEach((moment, i) => moment.set(moments[i]));
  }
}
