import { sub } from "../../engine/ops/elementwise.ts";
import { largestEigenvalue } from "../../engine/ops/largest_eigenvalue.ts";
import { gather } from "../../engine/ops/gather.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { addDiagonal } from "../../engine/ops/matrix.ts";
import { spdInverse } from "../../engine/ops/cholesky.ts";
import { concat } from "../../engine/ops/shape.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { constant } from "./device_matrix.ts";
import { delayedGram, delayedGramTensor, type DelayOptions } from "./delays.ts";
import { productsOf } from "./host_products.ts";
import { DualSolver, sampleGram } from "./ridge_dual.ts";
import { HostSolver } from "./ridge_host.ts";
import { featureGram, isWide, PrimalSolver } from "./ridge_primal.ts";
import type { RidgeSamples } from "./ridge_samples.ts";
import type { RidgePrecision, RidgeSolver } from "./ridge_solver.ts";

/** How systems are solved. */
export interface RidgeProblemOptions {
  /** In the space of samples; otherwise of features. */
  readonly isDual: boolean;
  /** Arithmetic of factors; `"auto"` chooses by alpha from the condition. */
  readonly precision?: "auto" | "f32" | "f64";
  /** Finite impulse response delays of the features, in samples. */
  readonly delays?: readonly number[];
  /** Which samples follow each other. */
  readonly delayOptions?: DelayOptions;
  /** The Gram matrix of the samples in f32, where it is known already; the problem takes each one over. */
  readonly knownGram?: () => Tensor;
}

// Above this condition number f32 is left: coefficients keep 3 digits there and predictions 4 (measured on power-law spectra).
const MOST_CONDITION = 1e4;
// The same with more features than samples: what f32 rounds off xᵀ·y lies in directions that no sample has, and is divided by alpha alone.
const MOST_WIDE_CONDITION = 1e2;
// Eigenvalues below this share of the largest cannot be told from 0 in f32.
const F32_FLOOR = 3e-6;
// Beyond this f32 factors with refinement lose what refinement gains.
const MOST_REFINED = 1e6;
// Rows of an eigendecomposition that the host does in about a second.
const LARGEST_HOST = 640;
// Up to here the host alone is faster than the launches of a factorisation on a software driver.
const QUICK_HOST = 256;

/** Solvers of one ridge problem, made when an alpha first needs them. */
export class RidgeProblem implements Disposable {
  readonly samples: RidgeSamples;
  readonly #options: RidgeProblemOptions;
  readonly #solvers = new Map<RidgePrecision, RidgeSolver>();
  #proportionalFrom?: number;
  readonly #chosen = new Map<number, RidgePrecision | undefined>();
  #gram?: Tensor;

  /** A problem of these samples. */
  constructor(samples: RidgeSamples, options: RidgeProblemOptions) {
    this.samples = samples;
    this.#options = options;
  }

  /** Decides for every alpha what it is solved in; waits for an estimate of the extreme eigenvalues. */
  async prepare(alphas: readonly number[]): Promise<void> {
    const unknown = alphas.filter((alpha) => !this.#chosen.has(alpha));
    if (unknown.length === 0) return;
    const { precision = "auto" } = this.#options;
    if (precision !== "auto") {
      const own = precision === "f64" ? this.#float64() : precision;
      if (!own) {
        throw new InputError(
          `Cannot solve in f64: the adapter has no 64-bit floats (shader-f64), and the host does problems up to ${LARGEST_HOST} rows; ` +
            'choose precision "auto"',
        );
      }
      for (const alpha of unknown) this.#chosen.set(alpha, own);
      return;
    }
    if (this.samples.gpu.caps.isSoftware && this.#size <= QUICK_HOST) {
      for (const alpha of unknown) this.#chosen.set(alpha, "f64 on the host");
      return;
    }
    const smallest = Math.min(...unknown);
    using matrix = this.gram("f32");
    const largest = await largestEigenvalue(matrix);
    const most = !this.#options.isDual && isWide(this.samples)
      ? MOST_WIDE_CONDITION
      : MOST_CONDITION;
    const least = smallest * most > largest
      ? 0
      : await smallestEigenvalue(matrix, { largest, alpha: smallest });
    for (const alpha of unknown) {
      const condition = (largest + alpha) / (least + alpha);
      this.#chosen.set(alpha, condition <= most ? "f32" : this.#exact(condition));
    }
  }

  /** Rows of the systems that are solved. */
  get #size(): number {
    return this.#options.isDual ? this.samples.nSamples : this.samples.nFeatures;
  }

  /** Where this problem can be solved in float64. */
  #float64(): RidgePrecision | undefined {
    if (this.samples.gpu.caps.features.has("shader-f64")) return "f64";
    return this.#size <= LARGEST_HOST ? "f64 on the host" : undefined;
  }

  /** What resolves an alpha that f32 does not; undefined where nothing here does. */
  #exact(condition: number): RidgePrecision | undefined {
    const float64 = this.#float64();
    if (float64) return float64;
    const canRefine = !this.#options.delays && condition <= MOST_REFINED;
    return canRefine ? "f32 refined" : undefined;
  }

  /**
   * From this alpha on `k·(k + alpha)⁻¹` is `k/alpha` to the last bit of f32, and predictions are proportional to 1/alpha. The trace of the
   * Gram matrix stands for its largest eigenvalue, which it is never below.
   */
  get proportionalFrom(): number {
    this.#proportionalFrom ??= 2 ** 24 * this.samples.nSamples ** 2 * this.#meanSquare();
    return this.#proportionalFrom;
  }

  /** What an alpha is solved in; undefined where this device cannot resolve it. */
  precisionOf(alpha: number): RidgePrecision | undefined {
    return this.#chosen.get(alpha);
  }

  /** The solver of an alpha that {@link prepare} was given. */
  solverOf(alpha: number): RidgeSolver {
    const precision = this.#chosen.get(alpha) ?? "f32";
    let solver = this.#solvers.get(precision);
    if (!solver) this.#solvers.set(precision, solver = this.#make(precision));
    return solver;
  }

  #make(precision: RidgePrecision): RidgeSolver {
    const { samples } = this;
    const { isDual } = this.#options;
    if (precision === "f64 on the host") {
      return new HostSolver(samples, { isDual, k: isDual ? this.#hostGram() : undefined });
    }
    const dtype = precision === "f64" ? "f64" : "f32";
    const matrix = this.gram(dtype);
    this.#forgetGram();
    return isDual
      ? new DualSolver(samples, matrix, this.#meanSquare())
      : new PrimalSolver(samples, matrix);
  }

  /** Trace of the Gram matrix over nSamples², without the ends of runs that delays leave out. */
  #meanSquare(): number {
    const { samples } = this;
    const { x: { data }, xMeans, nSamples, nFeatures } = samples;
    const squares = new Float64Array(nFeatures);
    data.forEach((value, at) => squares[at % nFeatures] += (value - xMeans[at % nFeatures]) ** 2);
    const sum = squares.reduce((total, square, j) => total + square * samples.scaleOf(j) ** 2, 0);
    return sum * (this.#options.delays?.length ?? 1) / nSamples ** 2;
  }

  /**
   * The Gram matrix of the smaller side, over some features: that of delayed samples where there are delays. The caller owns the handle;
   * that of all features in f32 is kept until a solver takes it over.
   */
  gram(dtype: "f32" | "f64", columns?: Uint32Array): Tensor {
    if (dtype === "f64" || columns) return this.#makeGram(dtype, columns);
    this.#gram ??= this.#makeGram("f32");
    return this.#gram.alias();
  }

  #forgetGram(): void {
    this.#gram?.dispose();
    this.#gram = undefined;
  }

  #makeGram(dtype: "f32" | "f64", columns?: Uint32Array): Tensor {
    const { samples } = this;
    if (!this.#options.isDual) return featureGram(samples, dtype);
    const { delays, delayOptions, knownGram } = this.#options;
    if (knownGram && dtype === "f32" && !columns) return knownGram();
    const k = sampleGram(samples, dtype, columns);
    if (!delays) return k;
    using _k = k;
    const { order } = samples.layout;
    return tidy(samples.gpu, () => {
      const delayed = delayedGramTensor(rearranged(k, inverseOf(order)), delays, delayOptions);
      const laid = rearranged(delayed, order);
      return samples.fitIntercept ? centredOnBothSides(laid) : laid;
    });
  }

  #hostGram(): Float64Array | undefined {
    const { delays, delayOptions } = this.#options;
    if (!delays) return undefined;
    const { x: { data, shape }, layout: { order } } = this.samples;
    const x = Float64Array.from(data, (value, at) => value * this.samples.scaleOf(at % shape[1]));
    const k = delayedGram(productsOf(x, shape), delays, delayOptions);
    const n = order.length;
    return k.map((_, at) => k[order[Math.floor(at / n)] * n + order[at % n]]);
  }

  [Symbol.dispose](): void {
    this.#forgetGram();
    for (const solver of this.#solvers.values()) solver[Symbol.dispose]();
  }
}

/** Rows and columns of a square matrix in another order. */
function rearranged(k: Tensor, order: Uint32Array): Tensor {
  if (order.every((from, to) => from === to)) return k.alias();
  return gather(gather(k, order, { axis: 0 }), order, { axis: 1 });
}

function inverseOf(order: Uint32Array): Uint32Array {
  const inverse = new Uint32Array(order.length);
  order.forEach((from, to) => inverse[from] = to);
  return inverse;
}

/** `h·k·h` with `h = 1 − 11ᵀ/n`. */
function centredOnBothSides(k: Tensor): Tensor {
  const n = k.shape[0];
  const column = (value: number) => constant(k.gpu, [n, 1], value, k.dtype);
  const means = matmul(k, column(1 / n));
  const half = matmul(column(1), matmul(column(0.5 / n), means, { transposeA: true }));
  const moved = sub(means, half); // each entry loses both means and gets the mean of all back
  return sub(
    k,
    matmul(concat([moved, column(1)], 1), concat([column(1), moved], 1), { transposeB: true }),
  );
}

/** The smallest eigenvalue of a positive semidefinite matrix from its inverse at an alpha; 0 where f32 cannot tell it from 0. */
async function smallestEigenvalue(
  matrix: Tensor,
  { largest, alpha }: { largest: number; alpha: number },
): Promise<number> {
  const shift = Math.max(alpha, F32_FLOOR * largest);
  using inverse = tidy(matrix.gpu, () => spdInverse(addDiagonal(matrix, shift)));
  const size = await largestEigenvalue(inverse);
  const least = 1 / size - shift;
  return least > F32_FLOOR * largest ? least : 0;
}
