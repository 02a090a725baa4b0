/**
 * Losses of channel alignment on predicted responses and on aligned features, each a mean that does not depend on the number of images.
 *
 * @module
 */
import { abs, add, clamp, scale, square, sub } from "../../../engine/ops/elementwise.ts";
import { matmul } from "../../../engine/ops/matmul.ts";
import { addDiagonal, diagonal, diagonalMatrix } from "../../../engine/ops/matrix.ts";
import { mean, sum } from "../../../engine/ops/reduce.ts";
import { type Tensor, tidy } from "../../../engine/tensor.ts";

/** Forms of the loss on responses. */
export type BrainLossForm = "smooth-l1" | "l1" | "mse";

/** Below it the smooth L1 loss is a parabola: `BrainDecodesDeepNets`, `smooth_l1_loss(..., beta=0.1)`. */
export const SMOOTH_L1_BETA = 0.1;

/** Smooth L1, each value: x²/(2·beta) where |x| < beta, else |x| − beta/2. */
export function smoothL1(x: Tensor, beta: number = SMOOTH_L1_BETA): Tensor {
  return tidy(x.gpu, () => {
    const size = abs(x);
    const low = clamp(size, 0, beta);
    return add(scale(square(low), 0.5 / beta), sub(size, low));
  });
}

function sizeOfErrors(error: Tensor, form: BrainLossForm): Tensor {
  if (form === "mse") return square(error);
  return form === "l1" ? abs(error) : smoothL1(error);
}

/**
 * Sum of the losses of predicted responses, one value.
 *
 * @param predicted `[slices, images, voxels]`
 * @param responses `[images, voxels]`
 */
export function brainLossSum(predicted: Tensor, responses: Tensor, form: BrainLossForm): Tensor {
  return tidy(predicted.gpu, () => {
    const [, images, voxels] = predicted.shape;
    const error = sub(predicted, responses.reshape([1, images, voxels]));
    return sum(sizeOfErrors(error, form));
  });
}

/**
 * Forms of the zero-centred loss: `channel-mean` the square of each channel's mean over the nodes, so that no common offset dominates
 * cosines; `square` the mean square of all values, the loss of that name in ncut_pytorch v1.
 */
export type ZeroLossForm = "channel-mean" | "square";

/**
 * The zero-centred loss of aligned features `[slices, nodes, width]`, a mean over slices and channels.
 */
export function zeroLoss(aligned: Tensor, form: ZeroLossForm = "channel-mean"): Tensor {
  return tidy(
    aligned.gpu,
    () => mean(square(form === "square" ? aligned : mean(aligned, { axes: [1] }))),
  );
}

/**
 * Forms of the covariance loss: `off-diagonal` Σ_{i≠j} C²ᵢⱼ/width as VICReg (Bardes et al., 2022, eq. 4); `identity` ‖C − I‖²/width, which
 * also keeps every channel from collapsing.
 */
export type CovarianceLossForm = "off-diagonal" | "identity";

/**
 * The covariance loss of aligned features `[slices, nodes, width]` with C their covariance over the nodes (divided by nodes − 1), a mean
 * over slices.
 */
export function covarianceLoss(aligned: Tensor, form: CovarianceLossForm = "off-diagonal"): Tensor {
  return tidy(aligned.gpu, () => {
    const [slices, , width] = aligned.shape;
    const c = covariance(aligned);
    if (form === "identity") {
      return scale(sum(square(addDiagonal(c, -1))), 1 / (slices * width));
    }
    const others = sub(c, diagonalMatrix(diagonal(c)));
    return scale(sum(square(others)), 1 / (slices * width));
  });
}

/** Covariances of `[slices, nodes, width]` over the nodes, `[slices, width, width]`. */
export function covariance(x: Tensor): Tensor {
  return tidy(x.gpu, () => {
    const centred = sub(x, mean(x, { axes: [1], keepDims: true }));
    const products = matmul(centred, centred, { transposeA: true });
    return scale(products, 1 / Math.max(1, x.shape[1] - 1));
  });
}
