import { spdInverse } from "../../engine/ops/cholesky.ts";
import { add, div, neg, scale, sub } from "../../engine/ops/elementwise.ts";
import { packPanels, type Panels } from "../../engine/ops/fold_sums.ts";
import { gram } from "../../engine/ops/gram.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { addDiagonal } from "../../engine/ops/matrix.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { slice, stack } from "../../engine/ops/shape.ts";
import { dtypeBytes, type Tensor, tidy } from "../../engine/tensor.ts";
import { constant, inF32, slabValues, take } from "./device_matrix.ts";
import { range } from "./host_matrix.ts";
import { budgetOf } from "./ridge_batches.ts";
import type { RidgeSamples } from "./ridge_samples.ts";
import type { DeviceCoefficients, RidgeSolver } from "./ridge_solver.ts";

/** `x·xᵀ` of all samples in the order of the layout, `[nSamples, nSamples]`, over some features, summed over slabs of them. */
export function sampleGram(
  samples: RidgeSamples,
  dtype: "f32" | "f64" = "f32",
  columns: Uint32Array = range(samples.nFeatures),
): Tensor {
  const step = Math.max(1, Math.floor(slabValues(samples.gpu) / samples.nSamples));
  let total: Tensor | undefined;
  for (let start = 0; start < columns.length; start += step) {
    const before = total;
    total = tidy(samples.gpu, () => {
      const x = samples.features(undefined, columns.subarray(start, start + step));
      return gram(x, { dtype, residual: before });
    });
    before?.dispose();
  }
  return total!;
}

/**
 * Ridge regression in the space of samples from one inverse per alpha, without any eigendecomposition. With `g = (k + alpha)⁻¹` over
 * all samples the predictions of the samples `o` that a split leaves out are `−(g_oo)⁻¹·g_or·y_r` (An, Liu and Venkatesh 2007,
 * "Fast cross-validation algorithms for least squares support vector machine and kernel ridge regression"): every split reads blocks of
 * the same inverse.
 */
export class DualSolver implements RidgeSolver {
  readonly isDual = true;
  readonly precision: "f32" | "f64";
  readonly #samples: RidgeSamples;
  readonly #k: Tensor;
  /** Inverses that the memory has room for, the last one that was asked for last. */
  readonly #inverses = new Map<number, Tensor>();
  readonly #ofOut = new Map<number, Tensor>();
  #alpha = 1;

  /**
   * With an intercept the constant direction gets the size of an average one: no prediction changes, and the inverse at a small alpha is
   * not drowned by 1/alpha along it.
   *
   * @param k Gram matrix in the order of the layout, in f32 or f64; the solver takes it over
   * @param meanSquare its trace over nSamples²
   */
  constructor(samples: RidgeSamples, k: Tensor, meanSquare: number) {
    this.#samples = samples;
    this.precision = k.dtype === "f64" ? "f64" : "f32";
    const dtype = this.precision;
    this.#k = tidy(samples.gpu, () => {
      if (!samples.fitIntercept) return k.alias();
      const column = constant(samples.gpu, [samples.nSamples, 1], Math.sqrt(meanSquare));
      return add(k, gram(column, { dtype }));
    });
    k.dispose();
  }

  get depth(): number {
    return this.#samples.nSamples;
  }

  // The inverse of k/alpha + 1, which is alpha times that of k + alpha: operators are the same, and at a large alpha entries are not as
  // small as f32 ends. Inverses are kept for the fit of all samples, as many as a quarter of the memory takes.
  setAlpha(alpha: number): void {
    forget(this.#ofOut);
    this.#alpha = alpha;
    const known = this.#inverses.get(alpha);
    this.#inverses.delete(alpha);
    const most = budgetOf(this.#k.gpu) / 4 / (this.#k.size * dtypeBytes(this.precision));
    for (const [other, g] of this.#inverses) {
      if (this.#inverses.size < most) break;
      g.dispose();
      this.#inverses.delete(other);
    }
    const make = () => spdInverse(addDiagonal(scale(this.#k, 1 / alpha), 1));
    this.#inverses.set(alpha, known ?? tidy(this.#k.gpu, make));
  }

  get #g(): Tensor {
    return this.#inverses.get(this.#alpha)!;
  }

  operator(fold: number): Panels {
    const { out, test, train } = this.#samples.layout.folds[fold];
    const inverse = this.#inverseOf(fold); // [1, out, out]
    return tidy(this.#samples.gpu, () => {
      const rest = take(take(this.#g, 0, out), 1, train);
      // −operator of all that is left out, [out, train]
      const opposite = matmul(inverse.reshape([out.length, out.length]), rest);
      const operator = this.#samples.fitIntercept
        ? this.#centred(opposite, rest, train)
        : neg(inF32(opposite));
      const places = test.map((position) => out.indexOf(position));
      return packPanels(test.length === out.length ? operator : take(operator, 0, places));
    });
  }

  /** The inverse of the block of `g` that a split leaves out. Blocks of one size are inverted together: each is a chain of launches. */
  #inverseOf(fold: number): Tensor {
    const known = this.#ofOut.get(fold);
    if (known) return known;
    const { gpu, layout: { folds } } = this.#samples;
    const size = folds[fold].out.length;
    const most = Math.max(1, Math.floor((this.depth / size) ** 2)); // no more memory than `g`
    // The same ones whichever split asks first: other batches could be other orders of sums.
    const same = range(folds.length).filter((f) => folds[f].out.length === size);
    const place = Math.floor(same.indexOf(fold) / most) * most;
    const alike = same.subarray(place, place + most);
    const inverses = tidy(gpu, () => {
      const blocks = Array.from(
        alike,
        (f) => take(take(this.#g, 0, folds[f].out), 1, folds[f].out),
      );
      return spdInverse(stack(blocks));
    });
    alike.forEach((f, place) => {
      this.#ofOut.set(f, slice(inverses, { axis: 0, start: place, end: place + 1 }));
    });
    inverses.dispose();
    return this.#ofOut.get(fold)!;
  }

  // Predictions less the mean of the training responses. With a = k_rr + alpha, u = a⁻¹·1 / 1ᵀ·a⁻¹·1 and r the operator without an
  // intercept, the intercept is uᵀ·y and predictions are r·y + (1 − r·1)·uᵀ·y. As it is written below nothing cancels at a large alpha,
  // where r is small.
  #centred(opposite: Tensor, rest: Tensor, train: Uint32Array): Tensor {
    const { gpu, dtype } = opposite;
    const [m, nTrain] = opposite.shape;
    const g = this.#g;
    const ones = (n: number) => constant(gpu, [n, 1], 1, dtype);
    const sums = matmul(opposite, ones(nTrain)); // −r·1
    const ofTrain = take(matmul(g, ones(g.shape[0])), 0, train);
    const ofOut = matmul(rest, add(ones(m), sums), { transposeA: true });
    const solved = inF32(sub(ofTrain, ofOut)); // a⁻¹·1
    const u = div(solved, sum(solved, { axes: [0], keepDims: true })).reshape([1, nTrain]);
    const shared = sub(u, constant(gpu, [1, 1], 1 / nTrain));
    return add(sub(matmul(inF32(sums), u), inF32(opposite)), shared);
  }

  coefficients(y: Tensor): DeviceCoefficients {
    const { gpu, fitIntercept } = this.#samples;
    return tidy(gpu, () => {
      const g = this.#g;
      const coef = scale(matmul(inF32(g), y), 1 / this.#alpha);
      if (!fitIntercept) return { coef };
      const sums = inF32(matmul(g, constant(gpu, [g.shape[0], 1], 1, g.dtype)));
      const u = div(sums, sum(sums, { axes: [0], keepDims: true }));
      const offset = matmul(u, y, { transposeA: true });
      return { coef: sub(coef, scale(matmul(sums, offset), 1 / this.#alpha)), offset };
    });
  }

  [Symbol.dispose](): void {
    [this.#ofOut, this.#inverses].forEach(forget);
    this.#k.dispose();
  }
}

function forget(kept: Map<number, Tensor>): void {
  for (const tensor of kept.values()) tensor.dispose();
  kept.clear();
}
