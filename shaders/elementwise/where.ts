/**
 * Choosing between two values.
 *
 * @module
 */
import source from "./where.wgsl" with { type: "text" };
import { ceilDiv, defineKernel, grid1d, type KernelSpec } from "../kernel.ts";

/** `y = (condition & mask) ≠ 0 ? a : b`, on the bits of the condition: the mask drops the sign of a float zero. */
export const whereKernel: KernelSpec = defineKernel({
  name: "where",
  buffers: { condition: "u32 n", a: "n", b: "n", y: "out n" },
  integers: true,
  args: { mask: 1 },
  flops: () => 0,
  reference: ({ condition, a, b }) => ({
    y: condition.map((c, i) => (c % 2 === 1 ? a[i] : b[i])),
  }),
  tolerance: { f32: 0, f16: 0 },
  cases: [{ n: 1 }, { n: 131 }],
  large: [{ n: 1 << 20 }],
  variants: [{
    name: "where",
    source,
    tunables: { WG: [64] },
    workgroups: ({ n }, { WG }) => grid1d(ceilDiv(n, 4 * WG)),
  }],
});
