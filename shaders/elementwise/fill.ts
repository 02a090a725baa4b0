/**
 * A constant.
 *
 * @module
 */
import source from "./fill.wgsl" with { type: "text" };
import { ceilDiv, defineKernel, grid1d, type KernelSpec } from "../kernel.ts";

/** `y[i] = value`. */
export const fillKernel: KernelSpec = defineKernel({
  name: "fill",
  buffers: { y: "out n" },
  integers: true,
  args: { value: 3 },
  flops: () => 0,
  reference: (_, { n }, { value }) => ({ y: new Float64Array(n).fill(value) }),
  tolerance: { f32: 0, f16: 0, f64: 0 },
  cases: [{ n: 1 }, { n: 7 }, { n: 257 }],
  large: [{ n: 1 << 20 }],
  variants: [{
    name: "fill",
    source,
    tunables: { WG: [64, 256] },
    workgroups: ({ n }, { WG }) => grid1d(ceilDiv(n, 4 * WG)),
  }],
});
