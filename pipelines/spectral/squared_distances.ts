import { add, mul, scale, square, sub } from "../../engine/ops/elementwise.ts";
import { gram } from "../../engine/ops/gram.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { diagonal } from "../../engine/ops/matrix.ts";
import { distancesOfProducts } from "../../engine/ops/neighbors.ts";
import { mean, sum } from "../../engine/ops/reduce.ts";
import { transpose } from "../../engine/ops/shape.ts";
import { record } from "../../engine/tape.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";

/**
 * Squared Euclidean distances of rows: `x: […, n, d]`, `y: […, m, d]` → `[…, n, m]`, at least 0, with a gradient by both.
 *
 * By products, ‖x‖² + ‖y‖² − 2·x·y, which cancels: the error is about eps·√d·(‖x‖² + ‖y‖²), eps = 2⁻²⁴, however near the rows are.
 * The mean row of `y` is therefore taken off both first, which changes no distance: norms are then those of the spread of the rows, not of
 * their common offset. Where `x` is `y`, the result is symmetric to the last bit, and 0 on the diagonal and between equal rows.
 */
export function squaredDistances(x: Tensor, y: Tensor): Tensor {
  const isSelf = x === y;
  const { distances, a, b } = tidy(x.gpu, () => {
    const centre = mean(y.detach(), { axes: [-2], keepDims: true }); // [..., 1, d]
    const a = sub(x.detach(), centre);
    const b = isSelf ? a : sub(y.detach(), centre);
    return { distances: isSelf ? withinRows(a) : betweenRows(a, b), a, b };
  });
  const inputs = isSelf ? [x] : [x, y];
  record(distances, inputs, [a, b], (g, [a, b]) => {
    if (!isSelf) return [() => pulled(g, a, b), () => pulled(transpose(g), b, a)];
    return [() => pulled(add(g, transpose(g)), a, a)];
  });
  a.dispose();
  b.dispose();
  return distances;
}

/** Σⱼ 2·gᵢⱼ·(aᵢ − bⱼ): the gradient by the rows of `a`. */
function pulled(g: Tensor, a: Tensor, b: Tensor): Tensor {
  return tidy(g.gpu, () => {
    const own = mul(a, sum(g, { axes: [-1], keepDims: true }));
    return scale(sub(own, matmul(g, b)), 2);
  });
}

function withinRows(a: Tensor): Tensor {
  const products = gram(a); // its diagonal is summed in the order of every other entry, so equal rows cancel exactly
  const squares = diagonal(products); // [..., n]
  return distancesOfProducts(products, squares, squares);
}

function betweenRows(a: Tensor, b: Tensor): Tensor {
  const [rows, columns] = [a, b].map((t) => sum(square(t), { axes: [-1] }));
  return distancesOfProducts(matmul(a, b, { transposeB: true }), rows, columns);
}
