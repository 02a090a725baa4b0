/**
 * An update in place.
 *
 * @module
 */
import source from "./axpy.wgsl" with { type: "text" };
import { ceilDiv, defineKernel, grid1d, type KernelSpec } from "../kernel.ts";

/** `y += alpha·x`, as BLAS names it: for parts of a tensor that is too large to copy at every step. */
export const axpyKernel: KernelSpec = defineKernel({
  name: "axpy",
  buffers: { x: "n", y: "inout n" },
  args: { alpha: -1 },
  flops: ({ n }) => 2 * n,
  bytes: ({ n }, elemBytes) => 3 * n * elemBytes,
  reference: ({ x, y }, _, { alpha }) => ({ y: y.map((value, i) => value + alpha * x[i]) }),
  tolerance: { f32: 1e-6, f16: 2e-3 }, // two roundings
  cases: [{ n: 1 }, { n: 7, alpha: 0.5 }, { n: 257 }],
  large: [{ n: 1 << 20 }],
  variants: [{
    name: "axpy",
    source,
    tunables: { WG: [64, 256] },
    workgroups: ({ n }, { WG }) => grid1d(ceilDiv(n, 4 * WG)),
  }],
});
