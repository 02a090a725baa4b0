import { productsOf } from "../encoding/host_products.ts";

/** A lasso whose penalty was chosen by cross-validation. */
export interface FittedLasso {
  /** Coefficients of standardised features for a standardised target, `[nFeatures]`. */
  readonly coef: Float64Array<ArrayBuffer>;
  /** R² of the predictions of left-out samples. */
  readonly r2: number;
  /** Predictions of left-out samples, of the standardised target. */
  readonly predicted: Float64Array<ArrayBuffer>;
}

/** Penalties as shares of the smallest one that leaves no coefficient. */
const PENALTIES = [0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0001];
const N_FOLDS = 5;
const MOST_ROUNDS = 1000;
const TOLERANCE = 1e-9;

/** Columns with mean 0 and deviation 1; a constant column becomes 0. `x: [n, width]` */
export function standardize(x: ArrayLike<number>, width: number): Float64Array<ArrayBuffer> {
  const n = x.length / width, out = new Float64Array(x.length);
  for (let d = 0; d < width; d++) {
    let mean = 0, squares = 0;
    for (let i = 0; i < n; i++) mean += x[i * width + d] / n;
    for (let i = 0; i < n; i++) squares += (x[i * width + d] - mean) ** 2;
    const std = Math.sqrt(squares / n);
    // A deviation of roundings only is that of a constant.
    const factor = std > 1e-12 * (Math.abs(mean) + 1) ? 1 / std : 0;
    for (let i = 0; i < n; i++) out[i * width + d] = (x[i * width + d] - mean) * factor;
  }
  return out;
}

/** Means of products: `xᵀx / n` and `xᵀy / n`. */
interface Normal {
  readonly gram: Float64Array;
  readonly cross: Float64Array;
}

function normalOf(x: Float64Array, y: Float64Array, width: number): Normal {
  const n = y.length, cross = new Float64Array(width);
  for (let i = 0; i < n; i++) {
    for (let d = 0; d < width; d++) cross[d] += x[i * width + d] * y[i] / n;
  }
  const gram = productsOf(x, [n, width], { transpose: true }).map((v) => v / n);
  return { gram, cross };
}

/** Coordinate descent (Friedman et al. 2010) from `coef` on, in place. */
function descend({ gram, cross }: Normal, penalty: number, coef: Float64Array): void {
  const width = cross.length;
  for (let round = 0; round < MOST_ROUNDS; round++) {
    let moved = 0;
    for (let d = 0; d < width; d++) {
      const own = gram[d * width + d];
      if (own === 0) continue;
      let slope = cross[d];
      for (let e = 0; e < width; e++) if (e !== d) slope -= gram[d * width + e] * coef[e];
      const next = Math.sign(slope) * Math.max(0, Math.abs(slope) - penalty) / own;
      moved = Math.max(moved, Math.abs(next - coef[d]));
      coef[d] = next;
    }
    if (moved < TOLERANCE) return;
  }
}

/** Coefficients for every penalty, from the strongest on: each starts where the one before ended. */
function pathOf(normal: Normal, penalties: readonly number[]): Float64Array<ArrayBuffer>[] {
  const coef = new Float64Array(normal.cross.length);
  return penalties.map((penalty) => {
    descend(normal, penalty, coef);
    return coef.slice();
  });
}

/**
 * Lasso of one target on standardised features, its penalty chosen among seven by five-fold cross-validation: sample i is in fold
 * i mod 5.
 *
 * @param x standardised, `[n, width]`
 * @param y standardised, `[n]`
 */
export function fitLasso(x: Float64Array, y: Float64Array, width: number): FittedLasso {
  const n = y.length;
  const whole = normalOf(x, y, width);
  const top = whole.cross.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  const penalties = PENALTIES.map((share) => share * top);
  const predicted = penalties.map(() => new Float64Array(n));
  for (let fold = 0; fold < N_FOLDS; fold++) {
    const rows = Array.from({ length: n }, (_, i) => i).filter((i) => i % N_FOLDS !== fold);
    const own = new Float64Array(rows.length * width);
    rows.forEach((row, r) => own.set(x.subarray(row * width, (row + 1) * width), r * width));
    const path = pathOf(normalOf(own, Float64Array.from(rows, (row) => y[row]), width), penalties);
    for (let i = fold; i < n; i += N_FOLDS) {
      path.forEach((coef, p) => {
        for (let d = 0; d < width; d++) predicted[p][i] += coef[d] * x[i * width + d];
      });
    }
  }
  const squares = (values: Float64Array) => values.reduce((sum, v, i) => sum + (v - y[i]) ** 2, 0);
  const errors = predicted.map(squares);
  const best = errors.indexOf(Math.min(...errors));
  const spread = y.reduce((sum, v) => sum + v * v, 0);
  return {
    coef: pathOf(whole, penalties)[best],
    r2: spread > 0 ? 1 - errors[best] / spread : 0,
    predicted: predicted[best],
  };
}
