/**
 * Ridge regression as its definition says, in float64 on the host: one dense solve per split and alpha.
 *
 * @module
 */
import assert from "node:assert/strict";
import { normal, randomKey } from "../../mod.ts";
import type { Split } from "../../pipelines/encoding/cross_validation.ts";
import { type HostMatrix, hostMatrix, range } from "../../pipelines/encoding/host_matrix.ts";
import type { ScoreFunction } from "../../pipelines/encoding/fold_scores.ts";
import type { Scoring } from "../../pipelines/encoding/scoring.ts";

/** A fit: `ŷ = (x − xMean)·coef + yMean`, with `coef: [nFeatures, nTargets]`. */
export interface OracleFit {
  readonly coef: Float64Array;
  readonly xMean: Float64Array;
  readonly yMean: Float64Array;
  /** What is left where features are 0. */
  readonly intercept: Float64Array;
}

/** Factors a symmetric positive definite matrix in place: the lower triangle holds L of `a = L·Lᵀ`. */
function factor(a: Float64Array, n: number): void {
  for (let j = 0; j < n; j++) {
    for (let i = j; i < n; i++) {
      let sum = a[i * n + j];
      for (let k = 0; k < j; k++) sum -= a[i * n + k] * a[j * n + k];
      a[i * n + j] = i === j ? Math.sqrt(sum) : sum / a[j * n + j];
    }
  }
}

/** `a⁻¹·b` for a symmetric positive definite `a: [n, n]` and `b: [n, m]`. */
export function solve(a: Float64Array, n: number, b: Float64Array): Float64Array {
  const m = b.length / n, l = a.slice(), x = b.slice();
  factor(l, n);
  assert(l.every((value) => !Number.isNaN(value)), "the oracle's matrix is not positive definite");
  for (let i = 0; i < n; i++) {
    for (let t = 0; t < m; t++) {
      let sum = x[i * m + t];
      for (let k = 0; k < i; k++) sum -= l[i * n + k] * x[k * m + t];
      x[i * m + t] = sum / l[i * n + i];
    }
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let t = 0; t < m; t++) {
      let sum = x[i * m + t];
      for (let k = i + 1; k < n; k++) sum -= l[k * n + i] * x[k * m + t];
      x[i * m + t] = sum / l[i * n + i];
    }
  }
  return x;
}

function meanOf({ data, shape: [, width] }: HostMatrix, rows: ArrayLike<number>): Float64Array {
  const means = new Float64Array(width);
  for (let r = 0; r < rows.length; r++) {
    for (let j = 0; j < width; j++) means[j] += data[rows[r] * width + j] / rows.length;
  }
  return means;
}

function rowsOf(
  { data, shape: [, width] }: HostMatrix,
  rows: ArrayLike<number>,
  means: Float64Array,
): Float64Array {
  return Float64Array.from({ length: rows.length * width }, (_, at) => {
    const j = at % width;
    return data[rows[Math.floor(at / width)] * width + j] - means[j];
  });
}

/** Solves for the given rows at every alpha, in the smaller of both spaces. */
export function oracleFits(
  x: HostMatrix,
  y: HostMatrix,
  { alphas, rows = range(x.shape[0]), fitIntercept = true }: {
    alphas: readonly number[];
    rows?: ArrayLike<number>;
    fitIntercept?: boolean;
  },
): OracleFit[] {
  const n = rows.length, p = x.shape[1], nTargets = y.shape[1];
  const xMean = fitIntercept ? meanOf(x, rows) : new Float64Array(p);
  const yMean = fitIntercept ? meanOf(y, rows) : new Float64Array(nTargets);
  const a = rowsOf(x, rows, xMean), b = rowsOf(y, rows, yMean);
  const isDual = p > n, size = isDual ? n : p;
  const at = (i: number, k: number) => isDual ? a[i * p + k] : a[k * p + i];
  const gram = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = 0; k < (isDual ? p : n); k++) sum += at(i, k) * at(j, k);
      gram[i * size + j] = gram[j * size + i] = sum;
    }
  }
  const transposed = (right: Float64Array) => {
    const product = new Float64Array(p * nTargets);
    for (let r = 0; r < n; r++) {
      for (let j = 0; j < p; j++) {
        for (let t = 0; t < nTargets; t++) {
          product[j * nTargets + t] += a[r * p + j] * right[r * nTargets + t];
        }
      }
    }
    return product;
  };
  const side = isDual ? b : transposed(b);
  return alphas.map((alpha) => {
    const damped = gram.map((value, k) => value + (k % (size + 1) === 0 ? alpha : 0));
    const solved = solve(damped, size, side);
    const coef = isDual ? transposed(solved) : solved;
    const intercept = yMean.slice();
    for (let j = 0; j < p; j++) {
      for (let t = 0; t < nTargets; t++) intercept[t] -= xMean[j] * coef[j * nTargets + t];
    }
    return { coef, xMean, yMean, intercept };
  });
}

/** Predictions of some rows, `[rows, nTargets]`; without `yMean` those of centred responses. */
export function oraclePredict(
  { coef, xMean, yMean }: OracleFit,
  { data, shape: [n, p] }: HostMatrix,
  { rows = range(n), centred = false }: { rows?: ArrayLike<number>; centred?: boolean } = {},
): Float64Array {
  const nTargets = yMean.length;
  return Float64Array.from({ length: rows.length * nTargets }, (_, at) => {
    const r = rows[Math.floor(at / nTargets)], t = at % nTargets;
    let sum = centred ? 0 : yMean[t];
    for (let j = 0; j < p; j++) sum += (data[r * p + j] - xMean[j]) * coef[j * nTargets + t];
    return sum;
  });
}

/** A score by its textbook formula. */
export function oracleScore(
  scoring: Scoring | ScoreFunction,
  y: readonly number[],
  z: readonly number[],
): number {
  const n = y.length, mean = (v: readonly number[]) => v.reduce((sum, e) => sum + e, 0) / n;
  const yMean = mean(y), zMean = mean(z);
  let squaredError = 0, responseSquares = 0, predictionSquares = 0, products = 0;
  for (let i = 0; i < n; i++) {
    squaredError += (y[i] - z[i]) ** 2;
    responseSquares += (y[i] - yMean) ** 2;
    predictionSquares += (z[i] - zMean) ** 2;
    products += (y[i] - yMean) * (z[i] - zMean);
  }
  if (y.every((value) => value === y[0])) responseSquares = products = 0; // and not what rounding left
  if (typeof scoring === "function") {
    return scoring({ count: n, squaredError, responseSquares, predictionSquares, products });
  }
  if (scoring === "l2NegLoss") return -squaredError / n;
  if (scoring === "r2") return responseSquares === 0 ? 0 : 1 - squaredError / responseSquares;
  const size = Math.sqrt(responseSquares * predictionSquares);
  return size > 0 ? products / size : 0;
}

/** Scores of every alpha, split and target, `[nAlphas, nSplits, nTargets]`. */
export function oracleScores(
  x: HostMatrix,
  y: HostMatrix,
  { splits, alphas, scoring = "l2NegLoss", fitIntercept = true }: {
    splits: readonly Split[];
    alphas: readonly number[];
    scoring?: Scoring | ScoreFunction;
    fitIntercept?: boolean;
  },
): Float64Array {
  const nTargets = y.shape[1];
  const scores = new Float64Array(alphas.length * splits.length * nTargets);
  splits.forEach(({ train, test }, f) => {
    oracleFits(x, y, { alphas, rows: train, fitIntercept }).forEach((fit, a) => {
      // Scores do not change where both sides are moved: beside a mean, predictions at alpha 1e20 would vanish even in float64.
      const z = oraclePredict(fit, x, { rows: test, centred: true });
      for (let t = 0; t < nTargets; t++) {
        const responses = Array.from(test, (row) => y.data[row * nTargets + t] - fit.yMean[t]);
        const predictions = Array.from(test, (_, i) => z[i * nTargets + t]);
        scores[(a * splits.length + f) * nTargets + t] = oracleScore(
          scoring,
          responses,
          predictions,
        );
      }
    });
  });
  return scores;
}

/** Means over the splits, `[nAlphas, nTargets]`. */
export function oracleMeans(scores: Float64Array, nFolds: number, nTargets: number): Float64Array {
  return Float64Array.from({ length: scores.length / nFolds }, (_, at) => {
    const a = Math.floor(at / nTargets), t = at % nTargets;
    let sum = 0;
    for (let f = 0; f < nFolds; f++) sum += scores[(a * nFolds + f) * nTargets + t];
    return sum / nFolds;
  });
}

/** Standard normal values. */
export function gaussian(seed: number, rows: number, columns: number): HostMatrix {
  return hostMatrix(normal(randomKey(seed), rows * columns), [rows, columns]);
}

/**
 * Features with means about as large as their deviation, and responses of unit scale that follow them with as much noise as signal, each
 * target to another degree.
 */
export function linearData(
  [n, p, nTargets]: readonly [number, number, number],
  { seed = 1, offset = 1 }: { seed?: number; offset?: number } = {},
): { x: HostMatrix; y: HostMatrix } {
  const x = gaussian(10 * seed, n, p), weights = gaussian(10 * seed + 1, p, nTargets);
  const means = gaussian(10 * seed + 2, 1, p).data, y = gaussian(10 * seed + 3, n, nTargets);
  for (let r = 0; r < n; r++) {
    for (let t = 0; t < nTargets; t++) {
      let signal = offset * (t + 1);
      for (let j = 0; j < p; j++) {
        signal += x.data[r * p + j] * weights.data[j * nTargets + t] / Math.sqrt(p);
      }
      y.data[r * nTargets + t] = signal + y.data[r * nTargets + t] * (t + 1) / nTargets;
    }
    for (let j = 0; j < p; j++) x.data[r * p + j] += offset * means[j];
  }
  return { x, y };
}

/** Asserts that values agree within `tolerance·(1 + |want|)`, and are infinite or NaN where they must be. */
export function assertNear(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  assert.equal(got.length, want.length, what);
  let worst = 0, place = 0;
  for (let i = 0; i < want.length; i++) {
    if (Object.is(got[i], want[i])) continue;
    const error = Math.abs(got[i] - want[i]) / (1 + Math.abs(want[i]));
    if (!(error <= worst)) [worst, place] = [error, i];
  }
  assert(
    worst <= tolerance,
    `${what}: value ${place} is ${got[place]}, not ${want[place]}: ${
      (worst / tolerance).toFixed(2)
    } of the tolerance ${tolerance}`,
  );
}
