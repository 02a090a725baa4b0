/**
 * Gradients of normalisations over the last axis.
 *
 * @module
 */
import { layerNorm, rmsNorm, softmax } from "../../engine/ops/norm.ts";
import { layerNormKernel } from "../../shaders/norm/layer_norm.ts";
import { softmaxKernel } from "../../shaders/norm/softmax.ts";
import type { GradientCase } from "../gradcheck.ts";

const sized = (rows: number, cols: number) => ({ rows, cols, weightSize: cols, biasSize: cols });

function layerNormCase(rows: number, cols: number): GradientCase {
  return {
    name: `layerNorm [${rows}, ${cols}]`,
    shapes: [[rows, cols], [cols], [cols]],
    f: (x, weight, bias) => layerNorm(x, weight, bias),
    reference: (x, weight, bias) =>
      layerNormKernel.reference({ x, weight, bias }, sized(rows, cols), {
        ...layerNormKernel.args,
      }).y,
  };
}

/** Cases of this family. */
export const normCases: readonly GradientCase[] = [layerNormCase(70, 12), layerNormCase(3, 7), {
  name: "layerNorm without weight and bias",
  shapes: [[2, 3, 8]],
  f: (x) => layerNorm(x, undefined, undefined, { eps: 1e-3 }),
  reference: (x) =>
    layerNormKernel.reference({ x }, sized(6, 8), {
      ...{ center: 1, hasWeight: 0, hasBias: 0, eps: 1e-3 },
    }).y,
}, {
  name: "rmsNorm",
  shapes: [[5, 8], [8]],
  f: (x, weight) => rmsNorm(x, weight),
  reference: (x, weight) =>
    layerNormKernel.reference({ x, weight }, sized(5, 8), {
      ...{ center: 0, hasWeight: 1, hasBias: 0, eps: 1e-6 },
    }).y,
}, {
  name: "softmax",
  shapes: [[2, 3, 7]],
  f: (x) => softmax(x),
  reference: (x) => softmaxKernel.reference({ x }, { rows: 6, cols: 7 }, {}).y,
}];
