/**
 * Matrix products.
 *
 * @module
 */
import { ShapeError } from "../errors.ts";
import { run } from "../run.ts";
import { record } from "../tape.ts";
import { type Tensor, tidy } from "../tensor.ts";
import { cast } from "./cast.ts";
import * as elementwise from "./elementwise.ts";
import { productOfPanels, usesPanels } from "./matmul_panels.ts";
import { mostValues, product, spans } from "./matmul_pieces.ts";
import { sum, sumTo } from "./reduce.ts";
import { concat } from "./shape.ts";
import { type Activation, activationCodes } from "../../shaders/elementwise/unary.ts";
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
 * Matrix product. `a: […, m, k]`, `b: […, k, n]` → `[…, m, n]`; the leading axes are equal, or one operand is a single matrix. Of f64
 * where either is.
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
  if ((a.dtype === "f64") !== (b.dtype === "f64")) {
    return tidy(a.gpu, () => matmul(widened(a), widened(b), { transposeA, transposeB }));
  }
  const [a0, a1] = a.shape.slice(-2), [b0, b1] = b.shape.slice(-2);
  const [m, k] = transposeA ? [a1, a0] : [a0, a1];
  const [kb, n] = transposeB ? [b1, b0] : [b0, b1];
  const leadA = a.shape.slice(0, -2), leadB = b.shape.slice(0, -2);
  const lead = leadA.length ? leadA : leadB;
  if (k !== kb || leadA.length && leadB.length && `${leadA}` !== `${leadB}`) fail();
  const isSharedA = leadA.length === 0, isSharedB = leadB.length === 0;
  const plan = { batch: sizeOf(lead), m, n, k, transposeA, transposeB, isSharedA, isSharedB };
  const c = product(a, b, plan, [...lead, m, n]);
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

const widened = (x: Tensor): Tensor => x.dtype === "f64" ? x : cast(x, "f64");

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

/** The fused kernel, off any tape. `a` stands in for operands that are absent: they are bound, and not read. */
function fusedLinear(
  x: Tensor,
  weight: Tensor,
  { bias, activation = "none", scale, residual }: LinearOptions,
): Tensor {
  const [n, k] = weight.shape;
  const m = x.size / k;
  const shape = [...x.shape.slice(0, -1), n];
  const args = {
    activation: activationCodes[activation],
    ...{ hasBias: Number(!!bias), hasScale: Number(!!scale), hasResidual: Number(!!residual) },
  };
  const after = { bias: bias ?? x, scale: scale ?? x, residual: residual ?? x };
  const one = { batch: 1, transposeA: false, transposeB: true, isSharedA: true, isSharedB: true };
  if (usesPanels(x.gpu, x.dtype, { ...one, m, n, k })) {
    return productOfPanels(x, weight, { ...one, m, n, k }, { ...after, args }, { shape });
  }
  const sizes = {
    ...{ aSize: x.size, bSize: weight.size, biasSize: after.bias.size },
    ...{ scaleSize: after.scale.size, residualSize: after.residual.size },
  };
  const [y] = run(matmulKernel, [x, weight, after.bias, after.scale, after.residual], {
    dims: { batch: 1, m, n, k, ...sizes },
    args: { ...args, transposeB: 1 },
    shapes: { c: shape },
  });
  return y;
}

/** {@link fusedLinear} on as many rows at a time as the adapter binds; the weight alone must fit. */
function linearInPieces(x: Tensor, weight: Tensor, options: LinearOptions): Tensor {
  const [n, k] = weight.shape;
  const rows = x.size / k;
  if (rows * Math.max(n, k) <= mostValues(x)) return fusedLinear(x, weight, options);
  return tidy(x.gpu, () => {
    const parts = [...spans(x, rows, [n, k])].map(([start, end]) => {
      const residual = options.residual?.alias([end - start, n], start * n);
      return fusedLinear(x.alias([end - start, k], start * k), weight, { ...options, residual });
    });
    return concat(parts, 0).alias([...x.shape.slice(0, -1), n]);
  });
}

function checkLinear(
  x: Tensor,
  weight: Tensor,
  { bias, scale, residual }: LinearOptions,
): void {
  const [n, k] = weight.shape;
  const isWrong = weight.shape.length !== 2 || x.shape.at(-1) !== k ||
    (bias && bias.size !== n) || (scale && scale.size !== n) ||
    (residual && residual.size !== x.size / k * n);
  if (isWrong) {
    throw new ShapeError(
      `Cannot apply linear: x [${x.shape}], weight [${weight.shape}]${
        bias ? `, bias [${bias.shape}]` : ""
      }${scale ? `, scale [${scale.shape}]` : ""}${
        residual ? `, residual [${residual.shape}]` : ""
      } must be […, nIn], [nOut, nIn], [nOut], [nOut], […, nOut]`,
    );
  }
}

/**
 * `residual + scale · activation(x · weightᵀ + bias)`. `x: […, nIn]`, `weight: [nOut, nIn]` as PyTorch stores it → `[…, nOut]`.
 * One kernel where no gradient is recorded; on a tape the activation and the scale are kernels of their own, because their
 * gradients need what goes into them.
 *
 * @throws {ShapeError} when `nIn` or `nOut` disagree.
 */
export function linear(x: Tensor, weight: Tensor, options: LinearOptions = {}): Tensor {
  checkLinear(x, weight, options);
  const { bias, activation = "none", scale, residual } = options;
  const inputs = [x, weight, bias, residual];
  const onTape = [...inputs, scale].some((t) => t?.node);
  if (onTape && (activation !== "none" || scale)) {
    return tidy(x.gpu, () => {
      let y = linear(x, weight, { bias });
      if (activation !== "none") y = elementwise[activation](y);
      if (scale) y = elementwise.mul(y, scale);
      return residual ? elementwise.add(residual, y) : y;
    });
  }
  const [n, k] = weight.shape;
  const y = linearInPieces(x, weight, options);
  return record(y, inputs, [x, weight], (g, [x, weight]) => {
    const rows = (t: Tensor, width: number) => t.reshape([-1, width]);
    return [
      () => matmul(rows(g, n), weight).reshape(x.shape),
      () => matmul(rows(g, n), rows(x, k), { transposeA: true }),
      () => sum(rows(g, n), { axes: [0] }).reshape(bias!.shape),
      () => g.reshape(residual!.shape),
    ];
  });
}
