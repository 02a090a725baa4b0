import { cast } from "../../engine/ops/cast.ts";
import { cholesky, choleskySolve } from "../../engine/ops/cholesky.ts";
import { add, scale, sub } from "../../engine/ops/elementwise.ts";
import { packPanels, type Panels } from "../../engine/ops/fold_sums.ts";
import { gram } from "../../engine/ops/gram.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { addDiagonal } from "../../engine/ops/matrix.ts";
import { pad } from "../../engine/ops/pad.ts";
import { slice, stack, transpose } from "../../engine/ops/shape.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import { inF32, slabValues, take } from "./device_matrix.ts";
import type { LaidFold } from "./fold_layout.ts";
import { range } from "./host_matrix.ts";
import type { RidgeSamples } from "./ridge_samples.ts";
import type { DeviceCoefficients, RidgeSolver } from "./ridge_solver.ts";

/** `xᵀ·x` of samples at some positions, by default all, `[nFeatures, nFeatures]`, summed over slabs of samples. */
export function featureGram(
  samples: RidgeSamples,
  dtype: "f32" | "f64" = "f32",
  positions: Uint32Array = range(samples.nSamples),
): Tensor {
  const step = Math.max(1, Math.floor(slabValues(samples.gpu) / samples.nFeatures));
  let total: Tensor | undefined;
  for (let start = 0; start < positions.length; start += step) {
    const before = total;
    total = tidy(samples.gpu, () => {
      const x = samples.features(positions.subarray(start, start + step));
      return gram(x, { transpose: true, dtype, residual: before });
    });
    before?.dispose();
  }
  return total!;
}

/** Whether some fit has fewer samples than features. */
export function isWide({ nSamples, nFeatures, layout: { folds } }: RidgeSamples): boolean {
  return nFeatures > folds.reduce((least, { train }) => Math.min(least, train.length), nSamples);
}

/** Splits that are solved together. */
interface FoldBatch {
  /** The first one. */
  readonly first: number;
  /** How many. */
  readonly count: number;
  /** Samples of the largest test side. */
  readonly width: number;
  /** Gram matrices of the train sides, `[count, nFeatures, nFeatures]`. */
  readonly grams: Tensor;
  /** Test sides as columns, `[count, nFeatures, width]`, zero beyond a smaller one. */
  readonly tests: Tensor;
}

/**
 * Ridge regression in the space of features: a Cholesky factor of `xᵀ·x + alpha` per split and alpha, where the sums of a train side are
 * those of all samples less those of what it leaves out.
 */
export class PrimalSolver implements RidgeSolver {
  readonly isDual = false;
  readonly precision: "f32" | "f64";
  readonly #samples: RidgeSamples;
  readonly #x: Tensor;
  readonly #total: Tensor;
  readonly #batches: readonly FoldBatch[];
  readonly #means: readonly Tensor[];
  #alpha = 0;
  readonly #solved = new Map<FoldBatch, Tensor>();

  /** Absent where a train side has fewer samples than there are features: operators are then those of its responses. */
  readonly sides?: (y: Tensor, means: readonly Tensor[]) => Tensor[];

  /** Takes over `total`, the {@link featureGram} of all samples in f32 or f64. */
  constructor(samples: RidgeSamples, total: Tensor) {
    this.#samples = samples;
    this.#total = total;
    this.precision = total.dtype === "f64" ? "f64" : "f32";
    this.#x = samples.features();
    const { folds } = samples.layout;
    this.#means = folds.map(({ train }) => samples.trainMeanOfFeatures(train, this.precision));
    if (!isWide(samples)) this.sides = (y, means) => this.#sidesOf(y, means);
    const size = samples.nFeatures *
      Math.max(samples.nFeatures, ...folds.map(({ test }) => test.length));
    const most = samples.gpu.caps.maxBindingBytes / (this.precision === "f64" ? 8 : 4);
    const count = Math.max(1, Math.floor(most / size));
    this.#batches = Array.from(
      { length: Math.ceil(folds.length / count) },
      (_, i) => this.#batchOf(i * count, folds.slice(i * count, (i + 1) * count)),
    );
  }

  /** Folds that are factored in one call: their factors are small, and a call is a chain of many launches. */
  #batchOf(first: number, folds: readonly LaidFold[]): FoldBatch {
    const width = Math.max(...folds.map(({ test }) => test.length));
    const { grams, tests } = tidy(this.#samples.gpu, () => ({
      grams: stack(folds.map((fold, i) => this.#gramOfTrain(fold, this.#means[first + i]))),
      tests: stack(folds.map(({ test }, i) => {
        const columns = transpose(inF32(this.#centred(test, first + i)));
        return pad(columns, { pads: [[0, 0], [0, width - test.length]] });
      })),
    }));
    return { first, count: folds.length, width, grams, tests };
  }

  /** Features of some samples less the means of a train side. */
  #centred(at: Uint32Array, fold: number): Tensor {
    return sub(this.#inOwn(take(this.#x, 0, at)), this.#means[fold]);
  }

  #gramOfTrain({ train, out }: LaidFold, mean: Tensor): Tensor {
    const { gpu, fitIntercept } = this.#samples;
    const dtype = this.precision;
    return tidy(gpu, () => {
      const whole = out.length <= train.length
        ? sub(this.#total, featureGram(this.#samples, dtype, out))
        : featureGram(this.#samples, dtype, train);
      if (!fitIntercept) return whole;
      return sub(whole, gram(scale(mean, Math.sqrt(train.length)), { transpose: true, dtype }));
    });
  }

  get depth(): number {
    return this.#samples.nFeatures;
  }

  setAlpha(alpha: number): void {
    this.#alpha = alpha;
    this.#forget();
  }

  #forget(): void {
    for (const solved of this.#solved.values()) solved.dispose();
    this.#solved.clear();
  }

  operator(fold: number): Panels {
    const { folds } = this.#samples.layout;
    const { test, train } = folds[fold];
    const { gpu, nFeatures } = this.#samples;
    const batch = this.#batches.find(({ first, count }) => fold >= first && fold < first + count)!;
    let solved = this.#solved.get(batch);
    if (!solved) {
      solved = tidy(gpu, () => this.#solve(batch.grams, batch.tests));
      this.#solved.set(batch, solved);
    }
    const place = fold - batch.first;
    return tidy(gpu, () => {
      const own = slice(solved, { axis: 0, start: place, end: place + 1 });
      const columns = own.reshape([nFeatures, batch.width]);
      const weights = slice(columns, { axis: 1, start: 0, end: test.length }); // of the features, [nFeatures, test]
      if (this.sides) return packPanels(inF32(weights), { columns: true });
      // Directions that no train sample has are weighted by 1/alpha: against a rounded xᵀ·y they would count.
      const operator = matmul(this.#centred(train, fold), weights);
      return packPanels(inF32(operator), { columns: true });
    });
  }

  #inOwn(x: Tensor): Tensor {
    return x.dtype === this.precision ? x : cast(x, this.precision);
  }

  #solve(grams: Tensor, right: Tensor): Tensor {
    return choleskySolve(cholesky(addDiagonal(grams, this.#alpha)), this.#inOwn(right));
  }

  #sidesOf(y: Tensor, means: readonly Tensor[]): Tensor[] {
    const { gpu, nSamples, fitIntercept, layout: { folds } } = this.#samples;
    const product = (at: Uint32Array) =>
      matmul(take(this.#x, 0, at), take(y, 0, at), { transposeA: true });
    return tidy(gpu, () => {
      const parts = folds.map(({ train, out }) =>
        out.length <= train.length ? product(out) : undefined
      );
      const isPartition = folds.reduce((n, { out }) => n + out.length, 0) === nSamples &&
        new Set(folds.flatMap(({ out }) => [...out])).size === nSamples;
      const total = isPartition && parts.every((part) => part)
        ? parts.reduce((sum, part) => add(sum!, part!))!
        : product(range(nSamples));
      return folds.map(({ train }, i) => {
        const part = parts[i];
        const side = part ? sub(total, part) : product(train);
        if (!fitIntercept) return side;
        const column = scale(inF32(this.#means[i]), train.length);
        return sub(side, matmul(column, means[i], { transposeA: true }));
      });
    });
  }

  coefficients(y: Tensor): DeviceCoefficients {
    return tidy(this.#samples.gpu, () => {
      const [x, right] = this.sides ? [this.#x, y] : [this.#inOwn(this.#x), this.#inOwn(y)];
      return { coef: this.solve(matmul(x, right, { transposeA: true })) };
    });
  }

  solve(right: Tensor): Tensor {
    return tidy(this.#samples.gpu, () => inF32(this.#solve(this.#total, right)));
  }

  [Symbol.dispose](): void {
    this.#forget();
    for (const { grams, tests } of this.#batches) [grams, tests].forEach((t) => t.dispose());
    [this.#x, this.#total, ...this.#means].forEach((t) => t.dispose());
  }
}
