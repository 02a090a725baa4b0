import { add, sigmoid } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";

/**
 * What the channels of a parameter mean: `"channels"` are the directions along which the colours of natural images vary independently
 * (lucid), `"none"` are red, green and blue. `"vwam-legacy"` mixes three neighbouring pixels of a row instead of three channels, as the
 * published VWAM code does by reading `[n, 3, h, w]` as `[…, 3]`; it is there to compare with that code only.
 */
export type ColorDecorrelation = "channels" | "none" | "vwam-legacy";

// lucid, optvis/param/color.py: root of the colour covariance of ImageNet, over its greatest column norm.
const ROOT_COVARIANCE = [[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]];
const GREATEST_NORM = Math.max(
  ...[0, 1, 2].map((k) => Math.hypot(...ROOT_COVARIANCE.map((row) => row[k]))),
);

/** Red, green and blue (rows) of the three decorrelated colours (columns): lucid's matrix, its longest column of length 1. */
export const colorMatrix: readonly (readonly number[])[] = ROOT_COVARIANCE.map((row) =>
  row.map((value) => value / GREATEST_NORM)
);

/** ImageNet's mean colour, which lucid adds where no sigmoid follows (`optvis/param/color.py`). */
export const colorMean: readonly [number, number, number] = [0.48, 0.46, 0.41];

/** Inverse of a 3×3 matrix by its adjugate. */
function inverse3(m: readonly (readonly number[])[]): number[][] {
  const minor = (i: number, j: number) => {
    const [a, b] = [0, 1, 2].filter((r) => r !== i), [c, d] = [0, 1, 2].filter((k) => k !== j);
    return (m[a][c] * m[b][d] - m[a][d] * m[b][c]) * ((i + j) % 2 === 0 ? 1 : -1);
  };
  const determinant = [0, 1, 2].reduce((sum, k) => sum + m[0][k] * minor(0, k), 0);
  return [0, 1, 2].map((i) => [0, 1, 2].map((j) => minor(j, i) / determinant));
}

/** Inverse of {@link colorMatrix}. */
export const inverseColorMatrix: readonly (readonly number[])[] = inverse3(colorMatrix);

function mixed(x: Tensor, matrix: readonly (readonly number[])[]): Tensor {
  const [n, channels, height, width] = x.shape;
  const table = Tensor.from(x.gpu, matrix.flat(), [3, 3]);
  return matmul(table, x.reshape([n, channels, height * width])).reshape(x.shape);
}

/**
 * Red, green and blue of decorrelated colours.
 *
 * @param x `[n, 3, height, width]`
 * @returns the same shape
 */
export function correlateColors(x: Tensor, decorrelation: ColorDecorrelation): Tensor {
  if (decorrelation === "none") return x.reshape(x.shape); // a handle of its own, on the tape of x
  return tidy(x.gpu, () => {
    if (decorrelation === "channels") return mixed(x, colorMatrix);
    const table = Tensor.from(x.gpu, colorMatrix.flat(), [3, 3]);
    return matmul(x.reshape([-1, 3]), table, { transposeB: true }).reshape(x.shape);
  });
}

/**
 * The inverse of {@link correlateColors} for `"channels"`.
 *
 * @param x red, green and blue, `[n, 3, height, width]`
 */
export function decorrelateColors(x: Tensor): Tensor {
  return tidy(x.gpu, () => mixed(x, inverseColorMatrix));
}

/** How a parameter's channels become colours. */
export interface ImageColorOptions {
  /** What the channels mean. */
  readonly colors?: ColorDecorrelation;
  /** `"sigmoid"` keeps colours between 0 and 1; `"none"` leaves them, and with `"channels"` adds {@link colorMean}. */
  readonly squash?: "sigmoid" | "none";
}

/** The colours of a parameter's channels, `[n, 3, height, width]`. */
export function finishColors(
  x: Tensor,
  { colors = "channels", squash = "sigmoid" }: ImageColorOptions,
): Tensor {
  return tidy(x.gpu, () => {
    const rgb = correlateColors(x, colors);
    if (squash === "sigmoid") return sigmoid(rgb);
    return colors === "channels" ? add(rgb, Tensor.from(x.gpu, colorMean, [1, 3, 1, 1])) : rgb;
  });
}
