/**
 * Normalisation over the last axis: layer norm, root-mean-square norm, softmax.
 *
 * @module
 */
import { ShapeError } from "../errors.ts";
import { run } from "../run.ts";
import { record } from "../tape.ts";
import type { Tensor } from "../tensor.ts";
import { sum } from "./reduce.ts";
import { ceilDiv } from "../../shaders/kernel.ts";
import {
  layerNormGradientKernel,
  layerNormKernel,
  layerNormWeightsGradientKernel,
} from "../../shaders/norm/layer_norm.ts";
import { softmaxGradientKernel, softmaxKernel } from "../../shaders/norm/softmax.ts";

/** Options of {@link layerNorm}. */
export interface LayerNormOptions {
  /** Added to the variance (PyTorch's default). */
  readonly eps?: number;
}

/** Rows that one thread sums in the gradient of weight and bias. */
const SLICE_ROWS = 64;

interface Normalisation {
  readonly op: string;
  readonly center: boolean;
  readonly eps: number;
}

function checkRows(op: string, x: Tensor, weight?: Tensor, bias?: Tensor): number {
  const cols = x.shape.at(-1) ?? 0;
  if (cols === 0 || weight && weight.size !== cols || bias && bias.size !== cols) {
    throw new ShapeError(
      `Cannot ${op} [${x.shape}] with weight [${weight?.shape}] and bias [${bias?.shape}]: they must have the size of the last axis`,
    );
  }
  return cols;
}

function normalise(
  x: Tensor,
  weight: Tensor | undefined,
  bias: Tensor | undefined,
  { op, center, eps }: Normalisation,
): Tensor {
  const cols = checkRows(op, x, weight, bias);
  const rows = x.size / cols;
  const weightSize = weight?.size ?? x.size;
  const flags = { center: Number(center), hasWeight: Number(!!weight) };
  const [y, mean, rstd] = run(layerNormKernel, [x, weight ?? x, bias ?? x], {
    dims: { rows, cols, weightSize, biasSize: bias?.size ?? x.size },
    args: { ...flags, eps, hasBias: Number(!!bias) },
    shapes: { y: x.shape },
  });
  const saved = weight ? [x, mean, rstd, weight] : [x, mean, rstd];
  record(y, [x, weight, bias], saved, (g, [x, mean, rstd, weight]) => {
    const sums = (which: 0 | 1, shape: readonly number[]) => () => {
      const slices = ceilDiv(rows, SLICE_ROWS);
      const dims = { rows, cols, slices, sliceRows: SLICE_ROWS };
      const parts = run(layerNormWeightsGradientKernel, [x, g, mean, rstd], { dims });
      return sum(parts[which], { axes: [0] }).reshape(shape);
    };
    return [
      () =>
        run(layerNormGradientKernel, [x, g, weight ?? x, mean, rstd], {
          dims: { rows, cols, weightSize },
          args: flags,
          shapes: { dx: x.shape },
        })[0],
      sums(0, weight?.shape ?? []),
      sums(1, bias?.shape ?? []),
    ];
  });
  mean.dispose();
  rstd.dispose();
  return y;
}

/**
 * `(x − mean) / √(var + eps) · weight + bias` over the last axis; weight and bias `[cols]` may be absent.
 *
 * @throws {ShapeError} when weight or bias do not have the size of the last axis.
 */
export function layerNorm(
  x: Tensor,
  weight?: Tensor,
  bias?: Tensor,
  { eps = 1e-5 }: LayerNormOptions = {},
): Tensor {
  return normalise(x, weight, bias, { op: "layerNorm", center: true, eps });
}

/** Options of {@link rmsNorm}. */
export interface RmsNormOptions {
  /** Added to the mean square (Llama's default). */
  readonly eps?: number;
}

/**
 * `x / √(mean(x²) + eps) · weight` over the last axis; weight `[cols]` may be absent.
 *
 * @throws {ShapeError} when weight does not have the size of the last axis.
 */
export function rmsNorm(x: Tensor, weight?: Tensor, { eps = 1e-6 }: RmsNormOptions = {}): Tensor {
  return normalise(x, weight, undefined, { op: "rmsNorm", center: false, eps });
}

/**
 * `exp(x) / Σ exp(x)` over the last axis.
 *
 * @throws {ShapeError} for an empty last axis.
 */
export function softmax(x: Tensor): Tensor {
  const cols = checkRows("softmax", x);
  const dims = { rows: x.size / cols, cols };
  const [y] = run(softmaxKernel, [x], { dims, shapes: { y: x.shape } });
  return record(y, [x], [y], (g, [y]) => [
    () => run(softmaxGradientKernel, [y, g], { dims, shapes: { dx: y.shape } })[0],
  ]);
}
