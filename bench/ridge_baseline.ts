/**
 * himalaya's algorithms for cross-validated ridge regression on the engine's own kernels, to hold {@link RidgeCV} against
 * (himalaya/ridge/_solvers.py and himalaya/kernel_ridge/_random_search.py, release 0.4): a decomposition per fold, for every alpha a
 * matrix from fitted responses to predictions, predictions of a batch of alphas and targets in memory, then their scores; at the end for
 * every alpha in use a matrix times all responses, of which the columns that chose it are kept. No intercept; scores are minus the mean
 * squared error.
 *
 * @module
 */
import type { Gpu } from "../engine/gpu.ts";
import { square, sub } from "../engine/ops/elementwise.ts";
import { gather } from "../engine/ops/gather.ts";
import { matmul } from "../engine/ops/matmul.ts";
import { mean } from "../engine/ops/reduce.ts";
import { slice } from "../engine/ops/shape.ts";
import { Tensor, tidy } from "../engine/tensor.ts";
import type { RidgeCase, RidgeData } from "./ridge_case.ts";
import {
  type BaselinePath,
  type Fold,
  foldsOf,
  type MakePath,
  type Mark,
  without,
} from "./ridge_baseline_path.ts";
import { kernelPath } from "./ridge_baseline_kernel.ts";
import { svdPath } from "./ridge_baseline_svd.ts";

/** Result of a baseline. */
export interface BaselineFit {
  /** Mean score over folds, `[nAlphas, nTargets]`. */
  readonly scores: Float64Array;
  /** Index of the alpha of each target. */
  readonly best: Uint32Array;
  /** Coefficients of samples (kernel) or features (svd), `[rows, nTargets]`. */
  readonly coef: Float32Array;
}

/** The two solvers by name. */
export const baselinePaths: Readonly<Record<"kernel" | "svd", MakePath>> = {
  kernel: kernelPath,
  svd: svdPath,
};

/** Batches of a baseline: as large as the device takes, as those of {@link RidgeCV}. */
export interface BaselineBatches {
  /** Targets whose predictions are in memory at once. */
  readonly nTargetsBatch: number;
  /** Alphas whose predictions are in memory at once. */
  readonly nAlphasBatch: number;
}

const BUDGET = 4 * 2 ** 30; // as ridge_batches.ts assumes
const UNUSABLE = -1e5; // himalaya's score of an alpha that rounding swamps

/** The largest batch of alphas whose predictions fit a quarter of the memory and one binding. */
export function batchesFor(gpu: Gpu, ridge: RidgeCase, nTargetsBatch: number): BaselineBatches {
  const { n, nFolds, alphas } = ridge;
  const m = Math.ceil(n / nFolds);
  const budget = gpu.options.memoryBudget ?? BUDGET;
  const most = Math.min(budget / 4, gpu.caps.maxBindingBytes);
  const fitting = Math.floor(most / (4 * m * Math.max(nTargetsBatch, n)));
  return { nTargetsBatch, nAlphasBatch: Math.min(alphas.length, Math.max(1, fitting)) };
}

/** Cross-validates, chooses and fits. */
export async function fitBaseline(
  gpu: Gpu,
  { x, y }: RidgeData,
  ridge: RidgeCase,
  { path: makePath, batches, mark }: { path: MakePath; batches: BaselineBatches; mark: Mark },
): Promise<BaselineFit> {
  using held = new DisposableStack();
  const features = held.use(Tensor.from(gpu, x.data, x.shape));
  const path = held.use(await makePath(features, mark));
  const tiles = tilesOf(gpu, y.data, { ...ridge, width: batches.nTargetsBatch });
  tiles.forEach(({ y }) => held.use(y));
  await mark("targets");
  const work = { tiles, ridge, nAlphasBatch: batches.nAlphasBatch, mark };
  const scores = await scoreFolds(path, work);
  const best = choose(scores, ridge);
  return { scores, best, coef: await refitAll(path, best, work) };
}

/** Responses of some targets on the device. */
interface Tile {
  readonly start: number;
  readonly y: Tensor;
}

function tilesOf(
  gpu: Gpu,
  y: Float32Array,
  { n, nTargets, width }: { n: number; nTargets: number; width: number },
): Tile[] {
  const tiles: Tile[] = [];
  for (let start = 0; start < nTargets; start += width) {
    const count = Math.min(width, nTargets - start);
    const part = new Float32Array(n * count);
    for (let i = 0; i < n; i++) {
      part.set(y.subarray(i * nTargets + start, i * nTargets + start + count), i * count);
    }
    tiles.push({ start, y: Tensor.from(gpu, part, [n, count]) });
  }
  return tiles;
}

interface Work {
  readonly tiles: readonly Tile[];
  readonly ridge: RidgeCase;
  readonly nAlphasBatch: number;
  readonly mark: Mark;
}

async function scoreFolds(
  path: BaselinePath,
  { tiles, ridge, nAlphasBatch, mark }: Work,
): Promise<Float64Array> {
  const { alphas, nTargets, nFolds } = ridge;
  const scores = new Float64Array(alphas.length * nTargets);
  for (const fold of foldsOf(ridge.n, nFolds)) {
    using decomposed = await path.fold(fold);
    for (let first = 0; first < alphas.length; first += nAlphasBatch) {
      const some = alphas.slice(first, first + nAlphasBatch);
      using operators = decomposed.matrices(some);
      await mark("operators");
      for (const { start, y } of tiles) {
        using losses = tidy(y.gpu, () => lossesOf(operators, y, fold));
        const values = await losses.data(), width = y.shape[1];
        some.forEach((alpha, a) => {
          const isUsable = alpha >= decomposed.leastAlpha;
          const from = a * width, to = (first + a) * nTargets + start;
          for (let t = 0; t < width; t++) {
            scores[to + t] += (isUsable ? -values[from + t] : UNUSABLE) / nFolds;
          }
        });
      }
      await mark("score");
    }
  }
  return scores;
}

/** Mean squared errors of a fold, `[nAlphas, nTargets]`: all predictions are in memory. */
function lossesOf(operators: Tensor, y: Tensor, fold: Fold): Tensor {
  const [count, m, fitted] = operators.shape, width = y.shape[1];
  const predictions = matmul(operators.reshape([count * m, fitted]), without(y, fold));
  const measured = slice(y, { axis: 0, start: fold[0], end: fold[1] });
  const errors = sub(predictions.reshape([count, m, width]), measured.reshape([1, m, width]));
  return mean(square(errors), { axes: [1] });
}

/** The best alpha of every target; himalaya's slope of 1e-10 per e-fold sends ties to the larger one. */
function choose(scores: Float64Array, { alphas, nTargets }: RidgeCase): Uint32Array {
  const slopes = alphas.map((alpha) => 1e-10 * Math.log(alpha));
  return Uint32Array.from({ length: nTargets }, (_, t) => {
    let best = 0, greatest = -Infinity;
    slopes.forEach((slope, a) => {
      const score = scores[a * nTargets + t] + slope;
      if (score > greatest) [best, greatest] = [a, score];
    });
    return best;
  });
}

/** For every alpha in use its matrix times the responses of all targets. */
async function refitAll(
  path: BaselinePath,
  best: Uint32Array,
  { tiles, ridge: { alphas, nTargets }, mark }: Work,
): Promise<Float32Array> {
  using decomposed = await path.whole();
  let coef = new Float32Array(0);
  for (const a of [...new Set(best)].sort((one, two) => one - two)) {
    using matrix = decomposed.matrices([alphas[a]]);
    const [, rows, n] = matrix.shape;
    if (coef.length === 0) coef = new Float32Array(rows * nTargets);
    for (const { start, y } of tiles) {
      const own = best.subarray(start, start + y.shape[1]);
      const columns = Uint32Array.from(own.keys()).filter((t) => own[t] === a);
      if (columns.length === 0) continue;
      using part = tidy(y.gpu, () => {
        const all = matmul(matrix.reshape([rows, n]), y);
        return gather(all, columns, { axis: 1 });
      });
      const values = await part.data();
      for (let i = 0; i < rows; i++) {
        columns.forEach((t, j) => {
          coef[i * nTargets + start + t] = values[i * columns.length + j];
        });
      }
    }
  }
  await mark("refit");
  return coef;
}
