import { matmul } from "../../engine/ops/matmul.ts";
import { readAll, Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { slabValues } from "./device_matrix.ts";
import { type DelayOptions, shiftedDual } from "./delays.ts";
import { type HostMatrix, range } from "./host_matrix.ts";
import type { LongCall, StagedCall } from "./linear_model.ts";
import type { RidgeProblem } from "./ridge_problem.ts";
import { refined } from "./ridge_refine.ts";
import type { RidgeSamples } from "./ridge_samples.ts";
import type { DeviceCoefficients } from "./ridge_solver.ts";

/** Coefficients of all targets on the host. */
export interface RidgeCoefficients {
  /** `[nSamples, nTargets]` in the order of the samples where the problem is dual, else `[nFeatures, nTargets]`. */
  readonly coef: HostMatrix;
  /** Added to predictions from centred features, in float64, `[nTargets]`: the means of the responses and what centring left. */
  readonly base: Float64Array<ArrayBuffer>;
}

/** Room for the coefficients of a problem. */
export function roomForCoefficients(
  { nSamples, nFeatures, yMeans }: RidgeSamples,
  isDual: boolean,
): RidgeCoefficients {
  const shape = [isDual ? nSamples : nFeatures, yMeans.length] as const;
  return {
    coef: { data: new Float32Array(shape[0] * shape[1]), shape },
    base: Float64Array.from(yMeans),
  };
}

/** What {@link refit} fits. */
export interface RefitOptions extends StagedCall {
  /** Regularisation of every target, `[nTargets]`. */
  readonly alphas: Float64Array;
  /** Targets to fit; all where absent. */
  readonly targets?: Uint32Array;
  /** Targets that are on the device at once. */
  readonly nTargetsBatch: number;
  /** Where the coefficients go. */
  readonly into: RidgeCoefficients;
  /** Targets that were fitted before, for the progress. */
  readonly done?: number;
}

/**
 * Fits all samples with an alpha for each target. Targets of one alpha are solved together, so that the work does not grow with the
 * number of alphas.
 *
 * @throws {InputError} where an alpha is too small for the precision in use
 */
export async function refit(problem: RidgeProblem, options: RefitOptions): Promise<void> {
  const { alphas, targets = range(alphas.length), nTargetsBatch, signal, onProgress } = options;
  const total = alphas.length;
  let { done = 0 } = options;
  for (const [alpha, group] of groupTargets(alphas, targets)) {
    if (problem.precisionOf(alpha) === undefined) throw tooSmall(alpha);
    problem.solverOf(alpha).setAlpha(alpha);
    for (let start = 0; start < group.length; start += nTargetsBatch) {
      signal?.throwIfAborted();
      onProgress?.({ stage: "refit", done, total });
      const columns = group.subarray(start, start + nTargetsBatch);
      await refitColumns(problem, { alpha, columns, into: options.into });
      done += columns.length;
    }
  }
  onProgress?.({ stage: "refit", done, total });
  await options.onStage?.("refit");
}

async function refitColumns(
  problem: RidgeProblem,
  { alpha, columns, into: { coef: { data, shape: [rows, nTargets] }, base } }: {
    alpha: number;
    columns: Uint32Array;
    into: RidgeCoefficients;
  },
): Promise<void> {
  const { samples } = problem;
  const solver = problem.solverOf(alpha);
  const { coef, offset } = tidy(samples.gpu, (): DeviceCoefficients => {
    const y = samples.responses(columns);
    const found = solver.coefficients(y);
    const isRefined = problem.precisionOf(alpha) === "f32 refined";
    return isRefined ? refined(samples, solver, { found, y, alpha }) : found;
  });
  const [values, offsets] = await readAll(offset ? [coef, offset] : [coef]);
  coef.dispose();
  offset?.dispose();
  if (!values.every(Number.isFinite)) throw tooSmall(alpha);
  const { order } = samples.layout;
  columns.forEach((t, j) => {
    base[t] += offsets?.[j] ?? 0;
    for (let i = 0; i < rows; i++) {
      const row = solver.isDual ? order[i] : i;
      data[row * nTargets + t] = values[i * columns.length + j];
    }
  });
}

function tooSmall(alpha: number): InputError {
  return new InputError(
    `Cannot solve the ridge problem at alpha ${alpha}: it is singular in the precision in use, raise alpha`,
  );
}

/** Targets by their alpha, in order of first appearance. */
function groupTargets(alphas: Float64Array, targets: Uint32Array): Map<number, Uint32Array> {
  const groups = new Map<number, number[]>();
  for (const t of targets) {
    const group = groups.get(alphas[t]);
    if (group) group.push(t);
    else groups.set(alphas[t], [t]);
  }
  return new Map([...groups].map(([alpha, targets]) => [alpha, Uint32Array.from(targets)]));
}

/**
 * Coefficients of features from those of samples, `xᵀ·c`, delay after delay where there are delays: `[nDelays · nFeatures, nTargets]`.
 */
export async function primalCoefficients(
  samples: RidgeSamples,
  dualCoef: HostMatrix,
  { delays = [0], delayOptions, signal, onProgress }: LongCall & {
    delays?: readonly number[];
    delayOptions?: DelayOptions;
  } = {},
): Promise<HostMatrix> {
  const { gpu, nSamples, nFeatures, layout: { order } } = samples;
  const nTargets = dualCoef.shape[1];
  const coef = new Float32Array(delays.length * nFeatures * nTargets);
  const most = slabValues(gpu);
  const width = Math.max(1, Math.floor(Math.min(most / nSamples, Math.sqrt(most))));
  const parts = [delays.length, Math.ceil(nTargets / width), Math.ceil(nFeatures / width)];
  const total = parts[0] * parts[1] * parts[2];
  let done = 0;
  onProgress?.({ stage: "coef", done, total });
  for (const [d, delay] of delays.entries()) {
    const shifted = delay === 0 ? dualCoef : shiftedDual(dualCoef, delay, delayOptions);
    for (let first = 0; first < nTargets; first += width) {
      const last = Math.min(nTargets, first + width);
      using c = columnsOf(samples, shifted, { first, last, order });
      for (let start = 0; start < nFeatures; start += width) {
        signal?.throwIfAborted();
        const end = Math.min(nFeatures, start + width);
        using part = tidy(
          gpu,
          () =>
            matmul(samples.features(undefined, range(nFeatures).subarray(start, end)), c, {
              transposeA: true,
            }),
        );
        const values = await part.data();
        for (let i = start; i < end; i++) {
          const row = values.subarray(
            (i - start) * (last - first),
            (i - start + 1) * (last - first),
          );
          coef.set(row, (d * nFeatures + i) * nTargets + first);
        }
        onProgress?.({ stage: "coef", done: ++done, total });
      }
    }
  }
  return { data: coef, shape: [delays.length * nFeatures, nTargets] };
}

function columnsOf(
  { gpu }: RidgeSamples,
  { data, shape: [n, nTargets] }: HostMatrix,
  { first, last, order }: { first: number; last: number; order: Uint32Array },
): Tensor {
  const part = new Float32Array(n * (last - first));
  order.forEach((sample, at) => {
    part.set(
      data.subarray(sample * nTargets + first, sample * nTargets + last),
      at * (last - first),
    );
  });
  return Tensor.from(gpu, part, [n, last - first]);
}
