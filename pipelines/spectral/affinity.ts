import {
  abs,
  addScalar,
  div,
  exp,
  full,
  greater,
  maximum,
  mul,
  scale,
  sqrt,
  square,
} from "../../engine/ops/elementwise.ts";
import { max, normalize } from "../../engine/ops/reduce.ts";
import { record } from "../../engine/tape.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { squaredDistances } from "./squared_distances.ts";

/**
 * How alike two nodes are, by their features. `cos` is the cosine of the angle between the rows, `d` their Euclidean distance:
 *
 * - `cosine`: exp(−(1 − cos)/gamma), ncut_pytorch before v3, and the paper of AlignedCut with gamma 1. For rows of unit length this is
 *   `rbf` with sigma² = gamma, hence positive semi-definite.
 * - `rbf`: exp(−d²/(2·sigma²)), ncut_pytorch v3. The gamma of v1 is sigma² = gamma·Σ varⱼ, see `rbfOfGamma`.
 * - `euclidean`: exp(−d/gamma), the third kind of v1.13 (positive semi-definite).
 * - `squared-cosine`: exp(−(1 − cos)²/(2·sigma²)) + 10⁻³, the cosine of v3, which need not be positive semi-definite.
 * - `custom`: any function of `[n, d]` and `[m, d]` that gives `[n, m]`, symmetric in the nodes.
 */
export type Affinity =
  | { readonly kind: "cosine"; readonly gamma: number }
  | { readonly kind: "rbf"; readonly sigma: number }
  | { readonly kind: "euclidean"; readonly gamma: number }
  | { readonly kind: "squared-cosine"; readonly sigma: number }
  | { readonly kind: "custom"; readonly compute: (x: Tensor, y: Tensor) => Tensor };

const SQUARED_COSINE_FLOOR = 1e-3; // ncut_pytorch v3, utils/math.py: keeps the graph connected
// Squares of values outside this range are not normal numbers in f32 once summed over a few thousand features.
const LARGEST = 2 ** 56, SMALLEST = 2 ** -56;

/** True for the affinities that compare directions only. */
export function comparesDirections({ kind }: Affinity): boolean {
  return kind === "cosine" || kind === "squared-cosine";
}

/**
 * Affinities of the rows of `x: […, n, d]` with those of `y: […, m, d]` → `[…, n, m]`, on the device in f32. With `y` the same tensor as
 * `x`, a built-in kind is symmetric to the last bit, and equal rows have the affinity of a node with itself. Built-in kinds have a gradient.
 *
 * Its relative error is that of the exponent: about 2⁻²⁴·√d·(‖x‖² + ‖y‖²)/(2·sigma²), norms of features less their mean (see
 * `squaredDistances`), so it stays below 10⁻⁴ while sigma is above a hundredth of the spread of the features.
 *
 * Values are not looked at: {@link requireNodes} refuses rows that are not finite or have no direction.
 *
 * @throws {InputError} when the axes disagree, gamma or sigma is not positive, or a custom affinity gives another shape
 */
export function affinityMatrix(x: Tensor, y: Tensor, affinity: Affinity): Tensor {
  const shape = [...x.shape.slice(0, -1), y.shape.at(-2) ?? 0];
  const leads = [x, y].map((t) => `${t.shape.slice(0, -2)}`);
  if (
    x.shape.length < 2 || x.shape.length !== y.shape.length || leads[0] !== leads[1] ||
    x.shape.at(-1) !== y.shape.at(-1)
  ) {
    throw new InputError(
      `Cannot compare nodes [${x.shape}] and [${y.shape}]: they must be […, n, d] and […, m, d]`,
    );
  }
  requireScale(affinity);
  if (affinity.kind === "custom") {
    const a = affinity.compute(x, y);
    if (`${a.shape}` !== `${shape}`) {
      throw new InputError(
        `Cannot use a custom affinity that gives [${a.shape}] for nodes [${x.shape}] and [${y.shape}]: it must give [${shape}]`,
      );
    }
    return a;
  }
  return tidy(x.gpu, () => {
    if (!comparesDirections(affinity)) return ofDistances(squaredDistances(x, y), affinity);
    const unit = normalize(x, { eps: 0 }); // 1 − cos is half of the squared distance of unit vectors
    return ofDistances(squaredDistances(unit, x === y ? unit : normalize(y, { eps: 0 })), affinity);
  });
}

/** The affinity of squared distances, of rows of unit length where it compares directions. */
function ofDistances(squares: Tensor, affinity: Exclude<Affinity, { kind: "custom" }>): Tensor {
  switch (affinity.kind) {
    case "cosine":
      return exp(scale(squares, -0.5 / affinity.gamma));
    case "rbf":
      return exp(scale(squares, -0.5 / affinity.sigma ** 2));
    case "euclidean":
      return exp(scale(distanceOf(squares), -1 / affinity.gamma));
    case "squared-cosine": {
      const close = exp(scale(square(squares), -0.125 / affinity.sigma ** 2));
      return addScalar(close, SQUARED_COSINE_FLOOR);
    }
  }
}

/** The square root, whose gradient at 0 is 0: equal rows pull each other in no direction. */
function distanceOf(squares: Tensor): Tensor {
  return record(sqrt(squares.detach()), [squares], [squares], (g, [squares]) => [
    () =>
      tidy(g.gpu, () => {
        const zero = full(g.gpu, [1], 0), tiny = full(g.gpu, [1], 2 ** -120);
        const inverse = div(greater(squares, zero), sqrt(maximum(squares, tiny)));
        return scale(mul(g, inverse), 0.5);
      }),
  ]);
}

function requireScale(affinity: Affinity): void {
  if (affinity.kind === "custom") return;
  const [name, value] = "sigma" in affinity ? ["sigma", affinity.sigma] : ["gamma", affinity.gamma];
  if (!(value > 0 && Number.isFinite(value))) {
    throw new InputError(
      `Cannot compute a ${affinity.kind} affinity: ${name} must be positive, it is ${value}`,
    );
  }
}

/**
 * Refuses nodes that an affinity cannot compare: rows with NaN, infinities or values above 2⁵⁶ (whose squares overflow), and for the
 * cosine kinds rows that are zero (all values within 2⁻⁵⁶), which have no direction. Duplicate rows are allowed. Reads one value per row.
 *
 * @param x `[n, d]`
 * @throws {InputError} naming the first such row, counted from 0
 */
export async function requireNodes(x: Tensor, affinity: Affinity): Promise<void> {
  if (x.shape.length !== 2 || x.size === 0 || x.dtype !== "f32") {
    throw new InputError(
      `Cannot cut a graph of nodes [${x.shape}] ${x.dtype}: they must be [n, d] in f32, not empty`,
    );
  }
  using largest = tidy(x.gpu, () => max(abs(x.detach()), { axes: [1] }));
  const values = await largest.data();
  const isZero = (value: number) => comparesDirections(affinity) && value < SMALLEST;
  const bad = values.findIndex((value) => !(value <= LARGEST) || isZero(value));
  if (bad < 0) return;
  const why = Number.isNaN(values[bad])
    ? "has a value that is NaN"
    : values[bad] > LARGEST
    ? `has a value of size ${values[bad]}; the largest is 2^56`
    : `is zero and has no direction, which a ${affinity.kind} affinity compares`;
  throw new InputError(`Cannot compare nodes: row ${bad} (counted from 0) ${why}`);
}
