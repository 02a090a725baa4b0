/**
 * Gradients of convolutions.
 *
 * @module
 */
import { conv2d, convTranspose2d } from "../../engine/ops/conv.ts";
import { conv2dKernel, convTranspose2dKernel } from "../../shaders/conv/conv2d.ts";
import { activationCodes } from "../../shaders/elementwise/unary.ts";
import { type KernelSpec, sizeOf } from "../../shaders/kernel.ts";
import type { GradientCase } from "../gradcheck.ts";

interface Shapes {
  readonly n: number;
  readonly groups: number;
  readonly cinG: number;
  readonly coutG: number;
  readonly input: readonly [number, number];
  readonly output: readonly [number, number];
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly padding: readonly [number, number, number, number];
}

const outputOf = (s: Shapes) => [s.n, s.groups * s.coutG, ...s.output];

function reference(spec: KernelSpec, s: Shapes, activation: keyof typeof activationCodes) {
  return (x: Float64Array, weight: Float64Array, bias: Float64Array) =>
    spec.reference({ x, weight, bias, y: new Float64Array(sizeOf(outputOf(s))) }, {
      ...{ n: s.n, groups: s.groups, cinG: s.cinG, coutG: s.coutG, kh: s.kernel[0] },
      ...{ kw: s.kernel[1], h: s.input[0], w: s.input[1], oh: s.output[0], ow: s.output[1] },
      yChannels: s.groups * s.coutG,
    }, {
      ...{ strideY: s.stride[0], strideX: s.stride[1] },
      ...{ dilationY: s.dilation[0], dilationX: s.dilation[1] },
      ...{ padTop: s.padding[0], padLeft: s.padding[3] },
      ...{ activation: activationCodes[activation], hasBias: 1, yFirst: 0 },
    }).y;
}

const shapesOf = (s: Shapes, transposed: boolean) => [
  [s.n, s.groups * s.cinG, ...s.input],
  transposed
    ? [s.groups * s.cinG, s.coutG, ...s.kernel]
    : [s.groups * s.coutG, s.cinG, ...s.kernel],
  [s.groups * s.coutG],
];

const plain: Shapes = {
  ...{ n: 2, groups: 1, cinG: 3, coutG: 5, input: [6, 7], output: [6, 7], kernel: [3, 3] },
  ...{ stride: [1, 1], dilation: [1, 1], padding: [1, 1, 1, 1] },
};
// 9 + 1 + 0 rows, window 3, stride 2 → 4; 11 + 2 + 1 columns, window 1 + 2·1, stride 3 → 4
const odd: Shapes = {
  ...{ n: 2, groups: 2, cinG: 2, coutG: 3, input: [9, 11], output: [4, 4], kernel: [3, 2] },
  ...{ stride: [2, 3], dilation: [1, 2], padding: [1, 2, 0, 1] },
};
// (4 − 1)·2 − 1 + 2 + 1 + 1 = 9 rows; (4 − 1)·3 − 3 + 2 + 2 + 1 = 11 columns
const back: Shapes = { ...odd, input: [4, 4], output: [9, 11] };
const depthwise: Shapes = { ...plain, groups: 4, cinG: 1, coutG: 1 };

const forward = (
  name: string,
  s: Shapes,
  activation: keyof typeof activationCodes = "none",
): GradientCase => ({
  name: `conv2d ${name}`,
  shapes: shapesOf(s, false),
  f: (x, weight, bias) => conv2d(x, weight, { bias, ...s, activation }),
  reference: reference(conv2dKernel, s, activation),
});

/** Cases of this family. */
export const convCases: readonly GradientCase[] = [
  forward("3×3", plain),
  forward("3×3 with SiLU", plain, "silu"),
  forward("3×3 with ReLU", plain, "relu"),
  forward("with groups, strides, dilation and uneven padding", odd),
  forward("depthwise", depthwise),
  {
    name: "convTranspose2d with groups, strides, dilation and output padding",
    shapes: shapesOf(back, true),
    f: (x, weight, bias) => convTranspose2d(x, weight, { bias, ...back, outputPadding: [1, 2] }),
    reference: reference(convTranspose2dKernel, back, "none"),
  },
];
