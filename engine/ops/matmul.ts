/**
 * Matrix products.
 *
 * @module
 */
import { ShapeError } from "../errors.ts";
import { run } from "../run.ts";
import { record } from "../tape.ts";
import { type Tensor, tidy } from "../tensor.ts";
import * as elementwise from "./elementwise.ts";
import { sumTo } from "./reduce.ts";
import type { Activation } from "../../shaders/elementwise/unary.ts";
import { sizeOf } from "../../shaders/kernel.ts";
import { matmulKernel } from "../../shaders/matmul/matmul.ts";

/** Options of {@link matmul}. */
export interface MatmulOptions {
  /** Uses `aᵀ`: `a` is `[…, k, m]`. */
  readonly transposeA?: boolean;
  /** Uses `bᵀ`: `b` is `[…, n, k]`. */
  readonly transposeB?: boolean;
}

/**
 * Matrix product. `a: […, m, k]`, `b: […, k, n]` → `[…, m, n]`; the leading axes are equal, or one operand is a single matrix.
 *
 * @throws {ShapeError} when the inner or the leading axes disagree.
 */
export function matmul(
  a: Tensor,
  b: Tensor,
  { transposeA = false, transposeB = false }: MatmulOptions = {},
): Tensor {
  const fail = () => {
    throw new ShapeError(
      `Cannot matmul [${a.shape}]${transposeA ? "ᵀ" : ""} and [${b.shape}]${
        transposeB ? "ᵀ" : ""
      }: ` +
        "inner axes must agree, and leading axes too unless one operand is a single matrix",
    );
  };
  if (a.shape.length < 2 || b.shape.length < 2) fail();
  const [a0, a1] = a.shape.slice(-2), [b0, b1] = b.shape.slice(-2);
  const [m, k] = transposeA ? [a1, a0] : [a0, a1];
  const [kb, n] = transposeB ? [b1, b0] : [b0, b1];
  const leadA = a.shape.slice(0, -2), leadB = b.shape.slice(0, -2);
  const lead = leadA.length ? leadA : leadB;
  if (k !== kb || leadA.length && leadB.length && `${leadA}` !== `${leadB}`) fail();
  const [c] = run(matmulKernel, [a, b], {
    dims: { batch: sizeOf(lead), m, n, k, aSize: a.size, bSize: b.size },
    args: {
      transposeA: Number(transposeA),
      transposeB: Number(transposeB),
      strideA: leadA.length ? m * k : 0,
      strideB: leadB.length ? k * n : 0,
    },
    shapes: { c: [...lead, m, n] },
  });
  return record(c, [a, b], [a, b], (g, [a, b]) => [
    () =>
      transposeA
        ? sumTo(matmul(b, g, { transposeA: transposeB, transposeB: true }), a.shape)
        : sumTo(matmul(g, b, { transposeB: !transposeB }), a.shape),
    () =>
      transposeB
        ? sumTo(matmul(g, a, { transposeA: true, transposeB: transposeA }), b.shape)
        : sumTo(matmul(a, g, { transposeA: !transposeA }), b.shape),
  ]);
}

/** Options of {@link linear}. */
export interface LinearOptions {
  /** `[nOut]` */
  readonly bias?: Tensor;
  /** Applied after the bias. */
  readonly activation?: Activation;
  /** `[nOut]`: multiplies the result (LayerScale). */
  readonly scale?: Tensor;
  /** Added last; the shape of the result. */
  readonly residual?: Tensor;
}

/**
 * `residual + scale · activation(x · weightᵀ + bias)`. `x: […, nIn]`, `weight: [nOut, nIn]` as PyTorch stores it → `[…, nOut]`.
 *
 * @throws {ShapeError} when `nIn` disagrees.
 */
export function linear(
  x: Tensor,
  weight: Tensor,
  { bias, activation = "none", scale, residual }: LinearOptions = {},
): Tensor {
  return tidy(x.gpu, () => {
    const rows = x.reshape([-1, x.shape.at(-1)!]);
    let y = matmul(rows, weight, { transposeB: true }).reshape([
      ...x.shape.slice(0, -1),
      weight.shape[0],
    ]);
    if (bias) y = elementwise.add(y, bias);
    if (activation !== "none") y = elementwise[activation](y);
    if (scale) y = elementwise.mul(y, scale);
    return residual ? elementwise.add(residual, y) : y;
  });
}
