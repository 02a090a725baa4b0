import { NotPositiveDefiniteError } from "../../engine/errors.ts";
import { assertPositiveDefinite, cholesky, choleskySolve } from "../../engine/ops/cholesky.ts";
import { mul } from "../../engine/ops/elementwise.ts";
import { eighHost } from "../../engine/ops/eigh.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { addDiagonal, takeBlock } from "../../engine/ops/matrix.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";

/**
 * A ridge problem of some training samples, ready for any alpha and any responses. Products with samples are on the GPU. It owns what
 * it keeps there.
 */
export interface RidgeSystem extends Disposable {
  /**
   * What turns the responses' side into predictions: `[k, nRows]` for features `x: [nRows, nFeatures]`, centred as the training
   * samples were. `undefined` where the problem is singular in f32 at this alpha.
   */
  predictor(x: Tensor, alpha: number): Promise<Tensor | undefined>;
  /** The responses' side, `[k, nTargets]`, for responses `y: [nTrain, nTargets]`. */
  right(y: Tensor): Tensor;
  /**
   * Coefficients `[nFeatures, nTargets]` from a responses' side.
   *
   * @throws {NotPositiveDefiniteError} where the problem is singular in f32 at this alpha
   */
  coefficients(right: Tensor, alpha: number): Promise<Tensor>;
}

/** Training samples of a ridge problem. */
export interface TrainingSide {
  /** Their features, centred: `[nTrain, nFeatures]`; the system keeps its own handle. */
  readonly x: Tensor;
  /** `x·xᵀ` where `isDual`, else `xᵀ·x`, in float64. */
  readonly gram: () => Float64Array<ArrayBuffer>;
  /** Fewer samples than features: the problem is solved in the space of samples. */
  readonly isDual: boolean;
}

// Singular values below this share of the largest are rounding noise of float64 Gram matrices of f32 values.
const RANK = 1e-6;

/**
 * All alphas from one eigendecomposition of the Gram matrix, in float64 on the host: `x = u·s·vᵀ`, so that predictions are
 * `x·v·(s² + α)⁻¹·(u·s)ᵀ·y`. Exact at small alphas; its cost grows as the cube of the smaller side.
 */
export function eigenSystem({ x, gram, isDual }: TrainingSide): RidgeSystem {
  const { gpu } = x;
  const [n, p] = x.shape;
  const size = isDual ? n : p;
  const { values, vectors } = eighHost(gram(), size);
  const first = values.findIndex((value) => value > RANK ** 2 * values[size - 1]);
  // A constant x has no direction at all: one of weight zero keeps the shapes.
  const start = first < 0 ? size - 1 : first;
  const rank = size - start;
  const kept = values.slice(start);
  const part = (scale: (i: number) => number) => {
    const columns = new Float32Array(size * rank);
    for (let r = 0; r < size; r++) {
      for (let i = 0; i < rank; i++) {
        columns[r * rank + i] = first < 0 ? 0 : vectors[r * size + start + i] * scale(i);
      }
    }
    return Tensor.from(gpu, columns, [size, rank]);
  };
  const column = (f: (value: number) => number) =>
    Tensor.from(gpu, Float32Array.from(kept, (value) => f(Math.max(value, 1e-30))), [rank, 1]);
  const { us, v } = tidy(gpu, () => {
    if (!isDual) {
      const v = part(() => 1);
      return { us: matmul(x, v), v };
    }
    const us = part((i) => Math.sqrt(kept[i]));
    const inverse = part((i) => 1 / Math.sqrt(kept[i]));
    return { us, v: matmul(x, inverse, { transposeA: true }) };
  });
  return {
    predictor: (rows, alpha) =>
      Promise.resolve(tidy(gpu, () => {
        const turned = matmul(v, rows, { transposeA: true, transposeB: true });
        return mul(turned, column((value) => 1 / (value + alpha)));
      })),
    right: (y) => matmul(us, y, { transposeA: true }),
    coefficients: (right, alpha) =>
      Promise.resolve(tidy(gpu, () => matmul(v, mul(right, column((s) => 1 / (s + alpha)))))),
    [Symbol.dispose]() {
      us.dispose();
      v.dispose();
    },
  };
}

/**
 * One Cholesky factor per alpha, in f32 on the GPU: for problems whose smaller side is too large for the host. Where alpha is below
 * about 10⁻⁶ of the largest eigenvalue predictions keep 3 to 4 digits.
 */
export function choleskySystem({ x, isDual }: TrainingSide): RidgeSystem {
  const { gpu } = x;
  const own = x.detach();
  const gram = matmul(x, x, isDual ? { transposeB: true } : { transposeA: true });
  const factor = async (alpha: number): Promise<Tensor | undefined> => {
    const l = tidy(gpu, () => cholesky(addDiagonal(gram, alpha)));
    try {
      await assertPositiveDefinite(l);
      return l;
    } catch (error) {
      l.dispose();
      if (error instanceof NotPositiveDefiniteError) return undefined;
      throw error;
    }
  };
  return {
    async predictor(rows, alpha) {
      using l = await factor(alpha);
      if (!l) return undefined;
      return tidy(gpu, () => {
        const side = isDual
          ? matmul(own, rows, { transposeB: true }) // [nTrain, nRows]
          : flipped(rows);
        return choleskySolve(l, side);
      });
    },
    right: (y) => isDual ? y.detach() : matmul(own, y, { transposeA: true }),
    async coefficients(right, alpha) {
      using l = await factor(alpha);
      if (!l) {
        throw new NotPositiveDefiniteError(
          `Cannot solve the ridge problem at alpha ${alpha}: it is singular in f32, raise alpha`,
        );
      }
      return tidy(gpu, () => {
        const solved = choleskySolve(l, right);
        return isDual ? matmul(own, solved, { transposeA: true }) : solved;
      });
    },
    [Symbol.dispose]() {
      own.dispose();
      gram.dispose();
    },
  };
}

function flipped(x: Tensor): Tensor {
  const [rows, cols] = x.shape;
  const block = { row: 0, col: 0, rows, cols };
  return takeBlock(x.alias([1, rows, cols]), block, { transpose: true }).alias([cols, rows]);
}
