import type { HostMatrix } from "../encoding/host_matrix.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";

// Exact t-SNE (van der Maaten and Hinton, 2008) in float64 on the host, step by step as scikit-learn's exact method: O(n²) in time and
// memory per iteration, for up to a few thousand points.

const SEARCH_STEPS = 100; // scikit-learn, _binary_search_perplexity
const SEARCH_TOLERANCE = 1e-5;
const SMALLEST = 2 ** -52; // machine epsilon of float64, its floor of a probability

/** How far points are from each other before the embedding. */
export type TsneMetric = "euclidean" | "cosine";

/**
 * Which gradient is followed. Student's t in `d` dimensions has `ν = max(d − 1, 1)` degrees of freedom. The gradient of the divergence
 * weighs pairs by `(1 + ‖yᵢ − yⱼ‖²/ν)⁻¹` (`exact`); scikit-learn weighs them by the kernel `(1 + ‖yᵢ − yⱼ‖²/ν)^(−(ν+1)/2)` itself, which
 * is the same in two dimensions, where ν = 1, but not in three.
 */
export type TsneConvention = "exact" | "scikit-learn";

/** Squared Euclidean distances, `[n, n]`. */
function squaredDistances(
  { data, shape: [n, p] }: { data: ArrayLike<number>; shape: readonly [number, number] },
): Float64Array<ArrayBuffer> {
  const d = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      let sum = 0;
      for (let k = 0; k < p; k++) sum += (data[i * p + k] - data[j * p + k]) ** 2;
      d[i * n + j] = d[j * n + i] = sum;
    }
  }
  return d;
}

/**
 * Rows divided by their lengths, `[n, p]`.
 *
 * @throws {InputError} when a row is zero
 */
export function unitRows({ data, shape: [n, p] }: HostMatrix): HostMatrix {
  const unit = Float32Array.from(data);
  for (let i = 0; i < n; i++) {
    const row = unit.subarray(i * p, (i + 1) * p);
    const length = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
    if (length === 0) {
      throw new InputError(
        `Cannot embed by cosine: row ${i} (counted from 0) is zero and has no direction`,
      );
    }
    for (let c = 0; c < p; c++) row[c] /= length;
  }
  return { data: unit, shape: [n, p] };
}

/** Probabilities of the neighbours of point `i` whose entropy is `log(perplexity)`, by bisection of the precision. */
function conditional(
  distances: Float64Array,
  { i, n, entropy }: { i: number; n: number; entropy: number },
  into: Float64Array,
): void {
  let beta = 1, low = -Infinity, high = Infinity;
  for (let step = 0; step < SEARCH_STEPS; step++) {
    let sum = 0, weighted = 0;
    for (let j = 0; j < n; j++) {
      const value = j === i ? 0 : Math.exp(-distances[i * n + j] * beta);
      into[i * n + j] = value;
      sum += value;
    }
    if (sum === 0) sum = 1e-8;
    for (let j = 0; j < n; j++) {
      into[i * n + j] /= sum;
      weighted += distances[i * n + j] * into[i * n + j];
    }
    const difference = Math.log(sum) + beta * weighted - entropy;
    if (Math.abs(difference) <= SEARCH_TOLERANCE) return;
    if (difference > 0) {
      low = beta;
      beta = high === Infinity ? beta * 2 : (beta + high) / 2;
    } else {
      high = beta;
      beta = low === -Infinity ? beta / 2 : (beta + low) / 2;
    }
  }
}

/**
 * Joint probabilities of neighbours: symmetric, of sum 1, `[n, n]` with a zero diagonal.
 *
 * @param samples `[n, nFeatures]`
 * @throws {InputError} when the perplexity is not from 1 to below n
 */
export function tsneAffinities(
  samples: HostMatrix,
  { perplexity = 30, metric = "euclidean" }: { perplexity?: number; metric?: TsneMetric } = {},
): Float64Array<ArrayBuffer> {
  const n = samples.shape[0];
  if (!(perplexity >= 1 && perplexity < n)) {
    throw new InputError(
      `Cannot embed ${n} points: the perplexity must be from 1 to below ${n}, got ${perplexity}`,
    );
  }
  // Rounded as scikit-learn rounds them: a descent magnifies the difference a thousandfold in 20 steps.
  const distances = (metric === "euclidean"
    ? squaredDistances(samples)
    // 1 − cos = ‖x − y‖²/2 of rows of unit length, and squared as scikit-learn squares every distance.
    : squaredDistances(unitRows(samples)).map((square) => (square / 2) ** 2)).map(Math.fround);
  const each = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    conditional(distances, { i, n, entropy: Math.log(perplexity) }, each);
  }
  const p = new Float64Array(n * n);
  let sum = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      p[i * n + j] = each[i * n + j] + each[j * n + i];
      sum += p[i * n + j];
    }
  }
  const floor = Math.max(sum, SMALLEST);
  return p.map((value, at) => at % (n + 1) === 0 ? 0 : Math.max(value / floor, SMALLEST));
}

/** The objective of t-SNE at an embedding. */
export interface TsneGradient {
  /** Kullback–Leibler divergence of the embedding's probabilities from `p`. */
  readonly kl: number;
  /** Its gradient, `[n, nComponents]`. */
  readonly gradient: Float64Array<ArrayBuffer>;
}

/**
 * Divergence and gradient `2(ν+1)/ν · Σⱼ (pᵢⱼ − qᵢⱼ) wᵢⱼ (yᵢ − yⱼ)` with ν = max(nComponents − 1, 1) and w as the convention says.
 *
 * @param p joint probabilities, `[n, n]`
 * @param y embedding, `[n, nComponents]`
 */
export function tsneGradient(
  p: Float64Array,
  y: Float64Array,
  n: number,
  { convention = "exact" }: { convention?: TsneConvention } = {},
): TsneGradient {
  const width = y.length / n, dof = Math.max(width - 1, 1);
  const close = squaredDistances({ data: y, shape: [n, width] }).map((d) => 1 / (1 + d / dof));
  const kernel = close.map((value) => value ** ((dof + 1) / 2));
  let sum = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) if (i !== j) sum += kernel[i * n + j];
  }
  const gradient = new Float64Array(y.length);
  const weight = convention === "exact" ? close : kernel, factor = 2 * (dof + 1) / dof;
  let kl = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      if (i === j) continue;
      const at = i * n + j;
      const q = Math.max(kernel[at] / sum, SMALLEST);
      kl += p[at] * Math.log(Math.max(p[at], SMALLEST) / q);
      const force = factor * (p[at] - q) * weight[at];
      for (let c = 0; c < width; c++) {
        gradient[i * width + c] += force * (y[i * width + c] - y[j * width + c]);
      }
    }
  }
  return { kl, gradient };
}

/** Options of {@link tsneDescend}. */
export interface TsneDescentOptions extends LongCall {
  /** Steps. */
  readonly iterations?: number;
  /** Share of the last step that is kept. */
  readonly momentum?: number;
  /** Step size. */
  readonly learningRate?: number;
  /** Smallest factor of a coordinate's own step size. */
  readonly minGain?: number;
  /** Which gradient is followed. */
  readonly convention?: TsneConvention;
}

/**
 * Gradient descent with momentum and a gain per coordinate, which grows by 0.2 where the slope keeps turning and shrinks by a fifth where
 * it does not.
 *
 * @param p joint probabilities, `[n, n]`, times 12 for early exaggeration
 * @param start first embedding, `[n, nComponents]`
 * @returns the embedding after the last step
 */
export function tsneDescend(
  p: Float64Array,
  start: Float64Array,
  n: number,
  options: TsneDescentOptions = {},
): Float64Array<ArrayBuffer> {
  const { iterations = 250, momentum = 0.8, learningRate = 50, minGain = 0.01 } = options;
  const y = Float64Array.from(start);
  const last = new Float64Array(y.length), gains = new Float64Array(y.length).fill(1);
  for (let step = 0; step < iterations; step++) {
    options.signal?.throwIfAborted();
    const { gradient } = tsneGradient(p, y, n, options);
    for (let i = 0; i < y.length; i++) {
      const gain = last[i] * gradient[i] < 0 ? gains[i] + 0.2 : gains[i] * 0.8;
      gains[i] = Math.max(gain, minGain);
      last[i] = momentum * last[i] - learningRate * gains[i] * gradient[i];
      y[i] += last[i];
    }
    options.onProgress?.({ stage: "t-SNE", done: step + 1, total: iterations });
  }
  return y;
}
