import type { Gpu } from "../../engine/gpu.ts";
import { mul } from "../../engine/ops/elementwise.ts";
import { gather } from "../../engine/ops/gather.ts";
import { gram } from "../../engine/ops/gram.ts";
import { eigh } from "../../engine/ops/eigh_device.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { permute } from "../../engine/ops/shape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { centredPart, columnMeans, type HostMatrix, range, requireSamples } from "./host_matrix.ts";

/** A ridge regression that is fitted again and again, to responses whose rows are exchanged. */
export interface RidgeProblem {
  /** As the encoder takes them, normalised if it normalises, `[nSamples, nFeatures]`. */
  readonly features: HostMatrix;
  /** `[nSamples, nTargets]` */
  readonly responses: HostMatrix;
  /** Regularisation of each target, `[nTargets]`: those that cross-validation chose. */
  readonly alphas: ArrayLike<number>;
}

/**
 * Ridge regression with an intercept, in closed form for any order of the responses: `W = Q (Λ + alpha)⁻¹ (X·Q)'·P·Y` with
 * `X'X = Q Λ Q'` of centred features. One eigendecomposition serves all orders and all alphas.
 */
export class PermutedRidge implements Disposable {
  readonly #problem: RidgeProblem;
  readonly #means: Float64Array;
  readonly #values: Float64Array;
  readonly #vectors: Tensor;
  readonly #rotated: Tensor;

  private constructor(problem: RidgeProblem, eigen: {
    readonly values: Float64Array;
    readonly vectors: Tensor;
    readonly rotated: Tensor;
  }) {
    const { responses } = problem;
    this.#problem = problem;
    this.#means = columnMeans(responses, range(responses.shape[0]));
    this.#values = eigen.values;
    this.#vectors = eigen.vectors;
    this.#rotated = eigen.rotated;
  }

  /**
   * Decomposes the features.
   *
   * @throws {InputError} when samples do not fit, a value is not finite, or an alpha is not above 0
   */
  static async open(
    gpu: Gpu,
    problem: RidgeProblem,
    signal?: AbortSignal,
  ): Promise<PermutedRidge> {
    const { features, responses, alphas } = problem;
    requireSamples(features, responses);
    const nTargets = responses.shape[1];
    const bad = Array.from(alphas).findIndex((alpha) => !(alpha > 0 && Number.isFinite(alpha)));
    if (alphas.length !== nTargets || bad >= 0) {
      throw new InputError(
        `Cannot refit: there must be an alpha above 0 for each of ${nTargets} targets, got ${alphas.length}${
          bad >= 0 ? `, the one of target ${bad} is ${alphas[bad]}` : ""
        }`,
      );
    }
    const rows = range(features.shape[0]);
    const centred = centredPart(features, rows, columnMeans(features, rows));
    using x = Tensor.from(gpu, centred, features.shape);
    using products = gram(x, { transpose: true });
    const { values, vectors } = await eigh(products, { signal });
    const rotated = matmul(x, vectors); // [nSamples, nFeatures]
    return new PermutedRidge(problem, { values, vectors, rotated });
  }

  /** Centred responses and `1 / (Λ + alpha)` of some targets, ready for {@link weights}; the caller owns both. */
  targets(start: number, end: number): { readonly y: Tensor; readonly shrink: Tensor } {
    const { responses, alphas } = this.#problem;
    const { gpu } = this.#vectors;
    const [n] = responses.shape, m = this.#values.length, width = end - start;
    const shrink = new Float32Array(m * width);
    for (let a = 0; a < m; a++) {
      const value = Math.max(0, this.#values[a]); // below 0 it is rounding
      for (let v = 0; v < width; v++) shrink[a * width + v] = 1 / (value + alphas[start + v]);
    }
    const part = centredPart(responses, range(n), this.#means, { start, end });
    return tidy(gpu, () => ({
      y: Tensor.from(gpu, part, [n, width]),
      shrink: Tensor.from(gpu, shrink, [m, width]),
    }));
  }

  /**
   * Weights for several orders, order after order: `[nFeatures, orders.length · width]`.
   *
   * @param orders which row of the features meets each row of the responses, `[nSamples]` each
   */
  weights(
    orders: readonly Uint32Array[],
    { y, shrink }: { readonly y: Tensor; readonly shrink: Tensor },
  ): Tensor {
    const [n, width] = y.shape, m = this.#values.length, count = orders.length;
    const rows = new Uint32Array(count * n);
    orders.forEach((order, i) => rows.set(order, i * n));
    return tidy(y.gpu, () => {
      const x = gather(this.#rotated, rows).reshape([count, n, m]);
      const shrunk = mul(matmul(x, y, { transposeA: true }), shrink); // [count, m, width]
      const all = permute(shrunk, [1, 0, 2]).reshape([m, count * width]);
      return matmul(this.#vectors, all);
    });
  }

  /** Gives the device memory back. */
  [Symbol.dispose](): void {
    this.#vectors.dispose();
    this.#rotated.dispose();
  }
}
