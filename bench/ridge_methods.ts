/**
 * The ways to one cross-validated ridge regression that are timed against each other.
 *
 * @module
 */
import type { Gpu } from "../engine/gpu.ts";
import { matmul } from "../engine/ops/matmul.ts";
import { Tensor, tidy } from "../engine/tensor.ts";
import { type HostMatrix, hostMatrix, takeColumns } from "../pipelines/encoding/host_matrix.ts";
import { RidgeCV, type RidgeCVOptions } from "../pipelines/encoding/ridge.ts";
import { batchesOf } from "../pipelines/encoding/ridge_batches.ts";
import { RidgeSamples } from "../pipelines/encoding/ridge_samples.ts";
import { baselinePaths, batchesFor, fitBaseline } from "./ridge_baseline.ts";
import type { Mark } from "./ridge_baseline_path.ts";
import type { RidgeCase, RidgeData } from "./ridge_case.ts";
import type { RidgeOutcome } from "./ridge_check.ts";
import { type ByStage, kernelWork, oursWork, svdWork, type WorkOptions } from "./ridge_stages.ts";

/** What a method returns. */
export interface MethodFit extends Omit<RidgeOutcome, "weights" | "predictions"> {
  /** Coefficients of all targets, of samples or of features. */
  readonly coef: HostMatrix;
  /** Whether they are those of samples. */
  readonly isDual: boolean;
}

/** Alphas that a search treats in one pass over the same targets. */
export interface Together {
  /** Whose operators are made together. */
  readonly operators: readonly (readonly number[])[];
  /** Which are scored together. */
  readonly scores: readonly (readonly number[])[];
}

/** One way. */
export interface Method {
  /** What it is. */
  readonly name: string;
  /** Whether it is a baseline. */
  readonly isBaseline: boolean;
  /** Whether it leaves alphas out. */
  readonly isScreened: boolean;
  /**
   * Alphas that share work where they are so large that predictions are proportional to 1/alpha: those whose operators are made together,
   * and those that are scored together.
   */
  together(alphas: readonly number[]): Together;
  /** Alphas below this share of the largest eigenvalue are not compared: rounding of its Gram matrix reaches their scores. */
  resolved(ridge: RidgeCase): number;
  /** Fits. */
  fit(gpu: Gpu, data: RidgeData, ridge: RidgeCase, mark: Mark): Promise<MethodFit>;
  /** Its operations by stage, in 10⁹. */
  work(ridge: RidgeCase, options: WorkOptions): ByStage;
}

// Rounding of an f32 Gram matrix, by its largest eigenvalue; where it has none near 0, and where it has.
const RESOLVED = { regular: 1e-5, singular: 1e-3 };

/** Whether Gyrus solves a case in the space of samples. */
export function isDual({ n, p, nFolds }: RidgeCase): boolean {
  return p >= n - Math.ceil(n / nFolds);
}

function ours(name: string, options: RidgeCVOptions): Method {
  const isScreened = options.exact === false;
  return {
    ...{ name, isScreened, isBaseline: false },
    together: (alphas) => togetherIn(alphas, options),
    resolved: () => RESOLVED.regular,
    fit: (gpu, data, ridge, mark) => fitOurs(gpu, data, ridge, { mark, ...options }),
    work: (ridge, rest) =>
      oursWork(ridge, { ...rest, isScreened: isScreened && options.screening === "gcv" }),
  };
}

function togetherIn(
  alphas: readonly number[],
  { exact = true, screening }: RidgeCVOptions,
): Together {
  if (exact) return { operators: [alphas], scores: [alphas] };
  if (screening === "gcv") return { operators: [alphas], scores: [] };
  const isCoarse = (a: number) => a % 3 === 0 || a === alphas.length - 1;
  const coarse = alphas.filter((_, a) => isCoarse(a)), fine = alphas.filter((_, a) => !isCoarse(a));
  return { operators: [coarse, fine], scores: [coarse] };
}

async function fitOurs(
  gpu: Gpu,
  { x, y }: RidgeData,
  { alphas, nFolds }: RidgeCase,
  { mark, ...options }: RidgeCVOptions & { mark: Mark },
): Promise<MethodFit> {
  const ridge = new RidgeCV(gpu, { alphas, cv: nFolds, fitIntercept: false, ...options });
  const fit = await ridge.fit(x, y, { onStage: mark });
  const best = Uint32Array.from(fit.bestAlphas, (alpha) => alphas.indexOf(alpha));
  const coef = fit.coef ?? fit.dualCoef!;
  return { scores: fit.cvSurface, best, coef, isDual: !fit.coef };
}

function baseline(path: "kernel" | "svd"): Method {
  return {
    name: path === "kernel" ? "himalaya's KernelRidgeCV" : "himalaya's RidgeCV",
    ...{ isBaseline: true, isScreened: false },
    together: () => ({ operators: [], scores: [] }),
    resolved: (ridge) => RESOLVED[path === "kernel" && !isDual(ridge) ? "singular" : "regular"],
    async fit(gpu, data, ridge, mark) {
      const plan = { x: data.x, y: data.y, splits: [], fitIntercept: false };
      const { nTargetsBatch } = batchesOf(new RidgeSamples(gpu, plan), { isDual: true });
      const batches = batchesFor(gpu, ridge, nTargetsBatch);
      const options = { path: baselinePaths[path], batches, mark };
      const { coef, ...rest } = await fitBaseline(gpu, data, ridge, options);
      const rows = path === "kernel" ? ridge.n : ridge.p;
      const matrix = hostMatrix(coef as Float32Array<ArrayBuffer>, [rows, ridge.nTargets]);
      return { ...rest, coef: matrix, isDual: path === "kernel" };
    },
    work: path === "kernel" ? kernelWork : svdWork,
  };
}

/** The ways to a case, ours first: himalaya's primal solver where features are fewer than samples, its kernel solver always. */
export function methodsOf(ridge: RidgeCase): Method[] {
  return [
    ours("exact", {}),
    ours("screened by GCV", { exact: false, screening: "gcv" }),
    ours("coarse to fine", { exact: false, screening: "coarse" }),
    ...(isDual(ridge) ? [] : [baseline("svd")]),
    baseline("kernel"),
  ];
}

const SOME = 256;

/** What is compared of a fit: the weights of the first targets come from coefficients of samples where those are what was made. */
export async function outcomeOf(
  gpu: Gpu,
  { x }: RidgeData,
  { coef, isDual, scores, best }: MethodFit,
): Promise<RidgeOutcome> {
  const count = Math.min(SOME, coef.shape[1]);
  const part = takeColumns(coef, Array.from({ length: count }, (_, t) => t));
  using features = Tensor.from(gpu, x.data, x.shape);
  using given = Tensor.from(gpu, part.data, part.shape);
  using weights = tidy(
    gpu,
    () => isDual ? matmul(features, given, { transposeA: true }) : given.alias(),
  );
  using predictions = matmul(features, weights);
  return {
    ...{ scores, best },
    weights: Float32Array.from(await weights.data()),
    predictions: Float32Array.from(await predictions.data()),
  };
}
