/**
 * Softmax over the last axis and its gradient.
 *
 * @module
 */
import gradientNaive from "./softmax_gradient_naive.wgsl" with { type: "text" };
import gradientSubgroup from "./softmax_gradient_subgroup.wgsl" with { type: "text" };
import gradientWorkgroup from "./softmax_gradient_workgroup.wgsl" with { type: "text" };
import naive from "./softmax_naive.wgsl" with { type: "text" };
import subgroup from "./softmax_subgroup.wgsl" with { type: "text" };
import workgroup from "./softmax_workgroup.wgsl" with { type: "text" };
import { defineKernel, type KernelSpec } from "../kernel.ts";
import { rowVariants } from "./variants.ts";

const cases = [
  { rows: 1, cols: 1 },
  { rows: 3, cols: 7 },
  { rows: 6, cols: 64 },
  { rows: 9, cols: 197 },
];
const large = [{ rows: 12 * 197, cols: 197 }];

/** `y = softmax(x)` by rows. */
export const softmaxKernel: KernelSpec = defineKernel({
  name: "softmax",
  buffers: { x: "rows cols", y: "out rows cols" },
  flops: ({ rows, cols }) => 5 * rows * cols,
  reference({ x }, { rows, cols }) {
    const y = new Float64Array(rows * cols);
    for (let row = 0; row < rows; row++) {
      const line = x.subarray(row * cols, (row + 1) * cols);
      const top = line.reduce((a, b) => Math.max(a, b), -Infinity);
      const sum = line.reduce((s, v) => s + Math.exp(v - top), 0);
      line.forEach((v, j) => y[row * cols + j] = Math.exp(v - top) / sum);
    }
    return { y };
  },
  // exp is good to 16 ulp at an argument of 20 on the software drivers, and arguments stay below 10 here: 1e-6 relative, twice.
  tolerance: { f32: 3e-6, f16: 1e-3 },
  cases,
  large,
  variants: rowVariants({
    name: "softmax",
    sources: { subgroup, workgroup, naive },
    rowsPerSubgroup: 4,
  }),
});

/** `dx = y · (g − Σ g·y)` by rows, for `y = softmax(x)`. */
export const softmaxGradientKernel: KernelSpec = defineKernel({
  name: "softmax_gradient",
  buffers: { y: "rows cols", g: "rows cols", dx: "out rows cols" },
  flops: ({ rows, cols }) => 4 * rows * cols,
  reference({ y, g }, { rows, cols }) {
    const dx = new Float64Array(rows * cols);
    for (let row = 0; row < rows; row++) {
      let dot = 0;
      for (let i = row * cols; i < (row + 1) * cols; i++) dot += y[i] * g[i];
      for (let i = row * cols; i < (row + 1) * cols; i++) dx[i] = y[i] * (g[i] - dot);
    }
    return { dx };
  },
  // Tests give unit normals for y as well: √cols products are summed, eps·√cols relative to √cols.
  tolerance: { f32: 2e-6, f16: 2e-3 },
  cases,
  large,
  variants: rowVariants({
    name: "softmax_gradient",
    sources: { subgroup: gradientSubgroup, workgroup: gradientWorkgroup, naive: gradientNaive },
    rowsPerSubgroup: 4,
  }),
});
