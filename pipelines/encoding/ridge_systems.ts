import { CholeskyDecomposition, Matrix } from "ml-matrix";
import { InputError } from "../errors.ts";
import { columnMeans, type HostMatrix, range } from "./host_matrix.ts";
import { multiply, productsOf } from "./host_products.ts";

/**
 * Ridge regressions with an intercept at alphas that are known, on the same samples again and again: `(X'X + αI)⁻¹` of centred features,
 * factored once for each alpha. In float64 on the host.
 */
export class RidgeSystems {
  /** Centred features, `[nSamples, nFeatures]`. */
  readonly #x: Float64Array<ArrayBuffer>;
  readonly #transposed: Float64Array<ArrayBuffer>;
  readonly #gram: Float64Array<ArrayBuffer>;
  readonly #factors = new Map<number, CholeskyDecomposition>();
  /** Number of samples. */
  readonly nSamples: number;
  /** Number of features. */
  readonly nFeatures: number;

  /**
   * On these samples.
   *
   * @param features as the model takes them, `[nSamples, nFeatures]`
   */
  constructor(features: HostMatrix) {
    const [n, p] = features.shape;
    const means = columnMeans(features, range(n));
    this.nSamples = n;
    this.nFeatures = p;
    this.#x = Float64Array.from(features.data, (x, at) => x - means[at % p]);
    this.#transposed = new Float64Array(n * p);
    for (let r = 0; r < n; r++) {
      for (let f = 0; f < p; f++) this.#transposed[f * n + r] = this.#x[r * p + f];
    }
    this.#gram = productsOf(this.#x, [n, p], { transpose: true });
  }

  #factor(alpha: number): CholeskyDecomposition {
    const known = this.#factors.get(alpha);
    if (known) return known;
    const p = this.nFeatures;
    const moved = this.#gram.slice();
    for (let f = 0; f < p; f++) moved[f * p + f] += alpha;
    const factor = new CholeskyDecomposition(Matrix.from1DArray(p, p, moved));
    if (!factor.isPositiveDefinite()) {
      throw new InputError(
        `Cannot solve a ridge regression at alpha ${alpha}: features that depend on each other need one above 0`,
      );
    }
    this.#factors.set(alpha, factor);
    return factor;
  }

  /** `(X'X + αI)⁻¹ b` for `b: [nFeatures, k]`. */
  solve(alpha: number, b: Float64Array, k: number): Float64Array<ArrayBuffer> {
    const solved = this.#factor(alpha).solve(Matrix.from1DArray(this.nFeatures, k, b));
    return Float64Array.from(solved.to1DArray());
  }

  /** Weights of responses `[nSamples, k]` at one alpha, `[nFeatures, k]`; centring them would change nothing. */
  fit(alpha: number, responses: Float64Array, k: number): Float64Array<ArrayBuffer> {
    const b = multiply(this.#transposed, responses, [this.nFeatures, this.nSamples, k]);
    return this.solve(alpha, b, k);
  }

  /** `X b` for `b: [nFeatures, k]`, `[nSamples, k]`. */
  apply(b: Float64Array, k: number): Float64Array<ArrayBuffer> {
    return multiply(this.#x, b, [this.nSamples, this.nFeatures, k]);
  }
}
