/**
 * Reductions of one axis of `[outer, axis, inner]`.
 *
 * @module
 */
import naive from "./reduce_naive.wgsl" with { type: "text" };
import { ceilDiv, defineKernel, grid1d, type KernelSpec } from "../kernel.ts";

/** Every reduction with its code in the shader and its float64 definition. */
const reduceOps = {
  sum: { code: 0, f: (v: Float64Array) => v.reduce((s, x) => s + x, 0) },
  mean: { code: 1, f: (v: Float64Array) => v.reduce((s, x) => s + x, 0) / v.length },
  max: { code: 2, f: (v: Float64Array) => Math.max(...v) },
  min: { code: 3, f: (v: Float64Array) => Math.min(...v) },
} as const;

/** Name of a reduction. */
export type ReduceName = keyof typeof reduceOps;

function kernel(name: ReduceName): KernelSpec {
  const { code, f } = reduceOps[name];
  return defineKernel({
    name: `reduce_${name}`,
    buffers: { x: "outer axis inner", y: "out outer inner" },
    flops: ({ outer, axis, inner }) => outer * axis * inner,
    reference({ x }, { outer, axis, inner }) {
      const y = new Float64Array(outer * inner);
      const values = new Float64Array(axis);
      for (let o = 0; o < outer; o++) {
        for (let i = 0; i < inner; i++) {
          for (let r = 0; r < axis; r++) values[r] = x[(o * axis + r) * inner + i];
          y[o * inner + i] = f(values);
        }
      }
      return { y };
    },
    // A sum of n normals carries a rounding error of about eps·√n relative to its own size √n: 6e-8·√(axis/4)·few.
    tolerance: { f32: 2e-6, f16: 2e-3 },
    cases: [
      { outer: 1, axis: 1, inner: 1 },
      { outer: 3, axis: 127, inner: 1 },
      { outer: 2, axis: 5, inner: 33 },
      { outer: 1, axis: 1000, inner: 1 },
    ],
    large: [{ outer: 1, axis: 1 << 20, inner: 1 }, { outer: 2364, axis: 197, inner: 1 }],
    variants: [{
      name: `reduce_${name}_naive`,
      source: naive,
      tunables: { WG: [64] },
      constants: () => ({ OP: code }),
      workgroups: ({ outer, inner }, { WG }) => grid1d(ceilDiv(outer * inner, WG)),
    }],
  });
}

/** One kernel per reduction. */
export const reduceKernels: Readonly<Record<ReduceName, KernelSpec>> = Object.fromEntries(
  (Object.keys(reduceOps) as ReduceName[]).map((name) => [name, kernel(name)]),
) as Record<ReduceName, KernelSpec>;
