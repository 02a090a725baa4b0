/**
 * Optimisers. They own their moments, update the parameters in place and are the only ops that do.
 *
 * @module
 */
import { ShapeError } from "../errors.ts";
import { run } from "../run.ts";
import { Tensor } from "../tensor.ts";
import { adamOptimKernel, adamwKernel, sgdKernel } from "../../shaders/optim/optim.ts";
import type { KernelSpec } from "../../shaders/kernel.ts";

/** Options of {@link Adam} and {@link AdamW}; the defaults are PyTorch's. */
export interface AdamOptions {
  /** Step size. */
  readonly lr?: number;
  /** Decay rates of the two moments. */
  readonly betas?: readonly [number, number];
  /** Added to the root of the second moment. */
  readonly eps?: number;
  /** Weight decay: decoupled in AdamW, in the gradient in Adam. */
  readonly weightDecay?: number;
}

function zerosLike(params: readonly Tensor[]): Tensor[] {
  return params.map((p) => kept(Tensor.zeros(p.gpu, p.shape)));
}

// No tidy scope disposes it: the optimiser owns it.
function kept(moment: Tensor): Tensor {
  moment.gpu.scopes.at(-1)?.delete(moment);
  return moment;
}

function checkGradients(params: readonly Tensor[], grads: readonly Tensor[]): void {
  if (grads.length !== params.length || grads.some((g, i) => g.size !== params[i].size)) {
    throw new ShapeError(
      `Cannot step: it takes one gradient per parameter of its size, got [${
        grads.map((g) => `[${g.shape}]`)
      }] for [${params.map((p) => `[${p.shape}]`)}]`,
    );
  }
}

/** What {@link Adam} and {@link AdamW} share. */
export class AdamBase implements Disposable {
  /** Step size of the next step; schedules set it. */
  lr: number;
  /** Steps taken. */
  steps = 0;
  readonly #kernel: KernelSpec;
  readonly #params: readonly Tensor[];
  #first: readonly Tensor[];
  #second: readonly Tensor[];
  readonly #fixed: { beta1: number; beta2: number; eps: number; weightDecay: number };

  /** @internal Use {@link Adam} or {@link AdamW}. */
  constructor(kernel: KernelSpec, params: readonly Tensor[], options: Required<AdamOptions>) {
    const { betas: [beta1, beta2], eps, weightDecay } = options;
    this.lr = options.lr;
    this.#kernel = kernel;
    this.#params = params;
    this.#first = zerosLike(params);
    this.#second = zerosLike(params);
    this.#fixed = { beta1, beta2, eps, weightDecay };
  }

  /**
   * Updates every parameter in place.
   *
   * @throws {ShapeError} when the gradients do not fit the parameters.
   */
  step(grads: readonly Tensor[]): void {
    checkGradients(this.#params, grads);
    const t = ++this.steps;
    const { beta1, beta2 } = this.#fixed;
    const args = {
      ...this.#fixed,
      lr: this.lr,
      ...this.corrections(t, beta1),
      correction2: 1 - beta2 ** t,
    };
    this.#params.forEach((p, i) => {
      const state = [grads[i], p, this.#first[i], this.#second[i]];
      run(this.#kernel, state, { dims: { n: p.size }, args });
    });
  }

  /** First moments of all parameters, then second ones: with `steps` and the parameters, all there is to go on from. */
  get moments(): readonly Tensor[] {
    return [...this.#first, ...this.#second];
  }

  /**
   * Goes on as an optimiser that had taken these steps and had these moments, in the order of `moments`.
   *
   * @throws {ShapeError} when they do not fit the parameters.
   */
  restore(steps: number, moments: readonly ArrayLike<number>[]): void {
    const n = this.#params.length;
    if (moments.length !== 2 * n || moments.some((m, i) => m.length !== this.#params[i % n].size)) {
      throw new ShapeError(
        `Cannot restore ${moments.length} moments: it takes two of the size of each of ${n} parameters`,
      );
    }
    const made = moments.map((m, i) => {
      const { gpu, shape } = this.#params[i % n];
      return kept(Tensor.from(gpu, m, shape));
    });
    this[Symbol.dispose]();
    this.#first = made.slice(0, n);
    this.#second = made.slice(n);
    this.steps = steps;
  }

  /** What divides the first moment at step `t`, and the gradient's own share. @internal */
  corrections(t: number, beta1: number): { correction1: number; fresh: number } {
    return { correction1: 1 - beta1 ** t, fresh: 0 };
  }

  /** Gives up the moments; the parameters belong to the caller. */
  [Symbol.dispose](): void {
    for (const moment of [...this.#first, ...this.#second]) moment.dispose();
  }
}

/** AdamW: weight decay outside the gradient (Loshchilov and Hutter, 2019). Its moments are f32 tensors that it owns. */
export class AdamW extends AdamBase {
  /** An optimiser of `params`, which stay the caller's. */
  constructor(
    params: readonly Tensor[],
    { lr = 1e-3, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 1e-2 }: AdamOptions = {},
  ) {
    super(adamwKernel, params, { lr, betas, eps, weightDecay });
  }
}

/** Adam (Kingma and Ba, 2015). Its moments are f32 tensors that it owns. */
export class Adam extends AdamBase {
  /** An optimiser of `params`, which stay the caller's. */
  constructor(
    params: readonly Tensor[],
    { lr = 1e-3, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0 }: AdamOptions = {},
  ) {
    super(adamOptimKernel, params, { lr, betas, eps, weightDecay });
  }
}

/** Options of {@link NAdam}. */
export interface NAdamOptions extends AdamOptions {
  /** How fast the momentum reaches its full value. */
  readonly momentumDecay?: number;
}

/** Adam with Nesterov's look ahead (Dozat, 2016), as `torch.optim.NAdam`. Its moments are f32 tensors that it owns. */
export class NAdam extends AdamBase {
  readonly #momentumDecay: number;
  #product = 1; // of the momenta of the steps so far
  #factors = 0; // how many those are

  /** An optimiser of `params`, which stay the caller's; the defaults are PyTorch's. */
  constructor(
    params: readonly Tensor[],
    { lr = 2e-3, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0, momentumDecay = 4e-3 }:
      NAdamOptions = {},
  ) {
    super(adamOptimKernel, params, { lr, betas, eps, weightDecay });
    this.#momentumDecay = momentumDecay;
  }

  /** @internal */
  override corrections(t: number, beta1: number): { correction1: number; fresh: number } {
    const momentum = (step: number) => beta1 * (1 - 0.5 * 0.96 ** (step * this.#momentumDecay));
    const now = momentum(t), next = momentum(t + 1);
    if (this.#factors >= t) [this.#product, this.#factors] = [1, 0];
    while (this.#factors < t) this.#product *= momentum(++this.#factors); // more than one after restore()
    return {
      correction1: (1 - this.#product * next) / next,
      fresh: (1 - now) / (1 - this.#product),
    };
  }
}

/** Options of {@link Sgd}. */
export interface SgdOptions {
  /** Step size. */
  readonly lr: number;
  /** Share of the last step that is kept. */
  readonly momentum?: number;
  /** L2 regularisation. */
  readonly weightDecay?: number;
}

/** Gradient descent with momentum, as `torch.optim.SGD`. Its velocities are f32 tensors that it owns. */
export class Sgd implements Disposable {
  /** Step size of the next step. */
  lr: number;
  readonly #params: readonly Tensor[];
  readonly #velocity: readonly Tensor[];
  readonly #fixed: { momentum: number; weightDecay: number };

  /** An optimiser of `params`, which stay the caller's. */
  constructor(params: readonly Tensor[], { lr, momentum = 0, weightDecay = 0 }: SgdOptions) {
    this.lr = lr;
    this.#params = params;
    this.#velocity = zerosLike(params);
    this.#fixed = { momentum, weightDecay };
  }

  /**
   * Updates every parameter in place.
   *
   * @throws {ShapeError} when the gradients do not fit the parameters.
   */
  step(grads: readonly Tensor[]): void {
    checkGradients(this.#params, grads);
    this.#params.forEach((p, i) => {
      const args = { ...this.#fixed, lr: this.lr };
      run(sgdKernel, [grads[i], p, this.#velocity[i]], { dims: { n: p.size }, args });
    });
  }

  /** Gives up the velocities; the parameters belong to the caller. */
  [Symbol.dispose](): void {
    for (const velocity of this.#velocity) velocity.dispose();
  }
}
