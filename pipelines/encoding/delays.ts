import { add } from "../../engine/ops/elementwise.ts";
import { gather, gatherSum } from "../../engine/ops/gather.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { type HostMatrix, hostMatrix } from "./host_matrix.ts";
import { runPieces } from "./runs.ts";

// A finite impulse response model sees a feature at several delays. With S_d the shift by d samples (row t of S_d·X is row t − d of
// X, zero before the start) its design is [S_d1·X, S_d2·X, …], and its Gram matrix Σ_d S_d·K·S_dᵀ with K = X·Xᵀ: sums of shifted
// copies of the undelayed one, so that the wide design is never made. As S_d acts on rows alone, dual coefficients C of the delayed
// problem give the primal ones of delay d as W_d = (S_d·X)ᵀ·C = Xᵀ·(S_dᵀ·C).
//
// An intercept centres the *delayed* design, whose zero rows count: its Gram matrix is the delayed Gram matrix centred on both sides,
// H·(Σ_d S_d·K·S_dᵀ)·H with H = 1 − 11ᵀ/n, and not the delayed Gram matrix of centred features. The columns of C then sum to zero, so
// that W_d is as above.

/** Which samples follow each other. */
export interface DelayOptions {
  /** Run of each sample, `[nSamples]`; without it all samples are one run. */
  readonly runs?: ArrayLike<number>;
  /** Lets the end of a run reach into the next one, as the delayer of the voxelwise tutorials does. */
  readonly acrossRuns?: boolean;
}

/**
 * Refuses delays that are not distinct whole numbers.
 *
 * @throws {InputError} for others, or none
 */
export function requireDelays(delays: readonly number[]): void {
  const isPlain = delays.every((d) => Number.isInteger(d) && Math.abs(d) < 2 ** 31);
  if (!isPlain || delays.length === 0 || new Set(delays).size < delays.length) {
    throw new InputError(
      `Cannot delay by [${delays}]: there must be one delay or more, all different whole numbers of samples`,
    );
  }
}

/** Row that each row of a shift is taken from, −1 for none. */
export function shifted(
  nSamples: number,
  delay: number,
  { runs, acrossRuns = false }: DelayOptions,
): Int32Array {
  const from = new Int32Array(nSamples).fill(-1);
  for (const { start, end } of runPieces(nSamples, acrossRuns ? undefined : runs)) {
    const last = Math.min(end, end + delay);
    for (let t = Math.max(start, start + delay); t < last; t++) from[t] = t - delay;
  }
  return from;
}

/**
 * The delayed design itself: column block `d` of row t holds the features of sample t − delays[d], zero before the start of a run
 * (after its end for a negative delay).
 *
 * @param features `[nSamples, nFeatures]`
 * @returns `[nSamples, nDelays · nFeatures]`
 * @throws {InputError} for delays that are not distinct whole numbers, or labels that are not runs
 */
export function delayRows(
  { data, shape: [n, p] }: HostMatrix,
  delays: readonly number[],
  options: DelayOptions = {},
): HostMatrix {
  requireDelays(delays);
  const width = delays.length * p;
  const out = new Float32Array(n * width);
  delays.forEach((delay, d) => {
    shifted(n, delay, options).forEach((from, t) => {
      if (from >= 0) out.set(data.subarray(from * p, (from + 1) * p), t * width + d * p);
    });
  });
  return hostMatrix(out, [n, width]);
}

/** A second set of samples for products between two sets. */
export interface CrossDelayOptions extends DelayOptions {
  /** Run of each column's sample. */
  readonly columnRuns?: ArrayLike<number>;
}

/**
 * Products of all rows of two delayed designs from the undelayed products: `Σ_d S_d · k · S_dᵀ` in float64. This is what a dual model
 * needs to predict new samples.
 *
 * @param k products of undelayed rows, `[rows, columns]`
 * @param shape rows and columns
 * @param options.runs runs of the rows
 * @param options.columnRuns runs of the columns
 * @returns `[rows, columns]`
 * @throws {InputError} for delays that are not distinct whole numbers, labels that are not runs, or a wrong number of values
 */
export function delayedProducts(
  k: Float32Array | Float64Array,
  [rows, columns]: readonly [number, number],
  delays: readonly number[],
  { runs, columnRuns, acrossRuns }: CrossDelayOptions = {},
): Float64Array<ArrayBuffer> {
  requireDelays(delays);
  requireSize(k.length, rows, columns);
  const out = new Float64Array(rows * columns);
  for (const delay of delays) {
    const fromRow = shifted(rows, delay, { runs, acrossRuns });
    const fromColumn = shifted(columns, delay, { runs: columnRuns, acrossRuns });
    for (let i = 0; i < rows; i++) {
      if (fromRow[i] < 0) continue;
      const from = fromRow[i] * columns, to = i * columns;
      for (let j = 0; j < columns; j++) {
        if (fromColumn[j] >= 0) out[to + j] += k[from + fromColumn[j]];
      }
    }
  }
  return out;
}

/**
 * The Gram matrix of the delayed design from that of the features: `Σ_d S_d · k · S_dᵀ` in float64, without the design.
 *
 * @param k `x · xᵀ`, `[nSamples, nSamples]`
 * @returns `[nSamples, nSamples]`; centre it on both sides for an intercept
 * @throws {InputError} for delays that are not distinct whole numbers, labels that are not runs, or values that are not a square
 */
export function delayedGram(
  k: Float32Array | Float64Array,
  delays: readonly number[],
  options: DelayOptions = {},
): Float64Array<ArrayBuffer> {
  const n = Math.round(Math.sqrt(k.length));
  return delayedProducts(k, [n, n], delays, { ...options, columnRuns: options.runs });
}

/**
 * {@link delayedProducts} on the GPU, in the type of `k`.
 *
 * @param k products of undelayed rows, `[rows, columns]`
 * @throws {InputError} for delays that are not distinct whole numbers, labels that are not runs, or other axes
 */
export function delayedProductsTensor(
  k: Tensor,
  delays: readonly number[],
  { runs, columnRuns, acrossRuns }: CrossDelayOptions = {},
): Tensor {
  requireDelays(delays);
  if (k.shape.length !== 2) {
    throw new InputError(`Cannot delay products [${k.shape}]: they must have rows and columns`);
  }
  const [rows, columns] = k.shape;
  // −1 becomes 2³² − 1: what is out of range adds nothing.
  const source = (n: number, delay: number, labels?: ArrayLike<number>) =>
    Uint32Array.from(shifted(n, delay, { runs: labels, acrossRuns }));
  const sources = (n: number, labels?: ArrayLike<number>) => {
    const list = new Uint32Array(delays.length * n);
    delays.forEach((delay, d) => list.set(source(n, delay, labels), d * n));
    return Tensor.from(k.gpu, list, [delays.length, n]);
  };
  if (k.dtype !== "f64") {
    return tidy(k.gpu, () => gatherSum(k, sources(rows, runs), sources(columns, columnRuns)));
  }
  // The kernel of sums has no f64; moving and adding do.
  return tidy(k.gpu, () =>
    delays.map((delay) => {
      const at = Tensor.from(k.gpu, source(rows, delay, runs), [rows]);
      const from = Tensor.from(k.gpu, source(columns, delay, columnRuns), [columns]);
      return gather(gather(k, at, { axis: 0 }), from, { axis: 1 });
    }).reduce((sum, part) => add(sum, part)));
}

/**
 * {@link delayedGram} on the GPU, in the type of `k`.
 *
 * @param k `x · xᵀ`, `[nSamples, nSamples]`
 * @throws {InputError} for delays that are not distinct whole numbers, labels that are not runs, or values that are not a square
 */
export function delayedGramTensor(
  k: Tensor,
  delays: readonly number[],
  options: DelayOptions = {},
): Tensor {
  requireSize(k.size, k.shape[0], k.shape[0]);
  return delayedProductsTensor(k, delays, { ...options, columnRuns: options.runs });
}

function requireSize(size: number, rows: number, columns: number): void {
  if (size !== rows * columns) {
    throw new InputError(`Cannot delay ${size} products: they must be [${rows},${columns}]`);
  }
}

/**
 * `S_dᵀ · c`: row s holds row s + delay of the dual coefficients, zero where that is not in the run. The primal coefficients of this
 * delay are `xᵀ` times it, with undelayed features x.
 *
 * @param dualCoef `[nSamples, nTargets]`
 * @returns `[nSamples, nTargets]`
 * @throws {InputError} for a delay that is no whole number, or labels that are not runs
 */
export function shiftedDual(
  { data, shape: [n, nTargets] }: HostMatrix,
  delay: number,
  options: DelayOptions = {},
): HostMatrix {
  requireDelays([delay]);
  const out = new Float32Array(n * nTargets);
  shifted(n, delay, options).forEach((to, t) => {
    if (to >= 0) out.set(data.subarray(t * nTargets, (t + 1) * nTargets), to * nTargets);
  });
  return hostMatrix(out, [n, nTargets]);
}

/**
 * Mean over the delays of primal coefficients: one weight per feature, to look at or to drive images with.
 *
 * @param coef `[nDelays · nFeatures, nTargets]`, delay after delay
 * @returns `[nFeatures, nTargets]`
 * @throws {InputError} when the rows cannot be that many delays
 */
export function averageDelays(
  { data, shape: [rows, nTargets] }: HostMatrix,
  nDelays: number,
): HostMatrix {
  if (!(Number.isInteger(nDelays) && nDelays > 0 && rows % nDelays === 0)) {
    throw new InputError(
      `Cannot average ${nDelays} delays of ${rows} coefficients: each delay must have as many`,
    );
  }
  const size = rows / nDelays * nTargets;
  const sums = new Float64Array(size);
  for (let at = 0; at < data.length; at++) sums[at % size] += data[at];
  return hostMatrix(Float32Array.from(sums, (sum) => sum / nDelays), [rows / nDelays, nTargets]);
}
