/**
 * Weights in the forms that kernels take them.
 *
 * @module
 */
import { dtypeBytes, type Tensor } from "../tensor.ts";

/**
 * Forms of weights that are made once and kept, for weights that do not change while it lives. Whoever makes it disposes it, before or
 * after the weights. The forms take four times the weights of a 3×3 convolution; what is beyond `maxBytes` is made anew at every use.
 *
 * @example
 * ```ts
 * import { conv2d, Gpu, PreparedWeights, Tensor } from "@gyrus/gyrus";
 * using gpu = await Gpu.open();
 * using prepared = new PreparedWeights();
 * using weight = Tensor.from(gpu, new Float32Array(64 * 64 * 9).fill(0.1), [64, 64, 3, 3]);
 * for (const value of [1, 2]) {
 *   using x = Tensor.from(gpu, new Float32Array(64 * 35 * 35).fill(value), [1, 64, 35, 35]);
 *   using y = conv2d(x, weight, { padding: 1, prepared });
 *   console.log(y.shape);
 * }
 * ```
 */
export class PreparedWeights implements Disposable {
  readonly #forms = new Map<Tensor, Map<string, Tensor>>();
  #bytes = 0;

  /**
   * Forms of no weight yet.
   *
   * @param limits `maxBytes` of all forms together
   */
  constructor(readonly limits: { readonly maxBytes?: number } = {}) {}

  /** The form of a name, made where it is not there yet. @internal */
  form(weight: Tensor, name: string, make: () => Tensor): Tensor {
    const forms = this.#forms.get(weight) ?? new Map<string, Tensor>();
    const known = forms.get(name);
    if (known) return known;
    const made = make(), bytes = made.size * dtypeBytes(made.dtype);
    if (this.#bytes + bytes > (this.limits.maxBytes ?? Infinity)) return made;
    made.gpu.scopes.at(-1)?.delete(made); // it outlives the scope it is made in
    this.#bytes += bytes;
    this.#forms.set(weight, forms.set(name, made));
    return made;
  }

  /** Frees all forms. */
  [Symbol.dispose](): void {
    for (const forms of this.#forms.values()) {
      for (const tensor of forms.values()) tensor.dispose();
    }
    this.#forms.clear();
    this.#bytes = 0;
  }
}
