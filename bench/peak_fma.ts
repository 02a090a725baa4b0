/**
 * A kernel that only computes: its rate is the arithmetic roofline.
 *
 * @module
 */
import source from "./peak_fma.wgsl" with { type: "text" };
import { ceilDiv, defineKernel, grid1d, type KernelSpec } from "../shaders/kernel.ts";

/** `steps · 16` dependent multiply-adds on 8 values per output. */
export const peakFmaKernel: KernelSpec = defineKernel({
  name: "peak_fma",
  buffers: { y: "out f32 n" },
  args: { steps: 3, a: 0.5, b: 0.25 },
  flops: ({ n }, { steps }) => n * steps * 16 * 8 * 2,
  reference(_, { n }, { steps, a, b }) {
    const y = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      for (let chain = 0; chain < 2; chain++) {
        for (let lane = 0; lane < 4; lane++) {
          let x = lane / 4 + i % 4 + chain;
          for (let s = 0; s < 16 * steps; s++) x = x * a + b;
          y[i] += x;
        }
      }
    }
    return { y };
  },
  tolerance: { f32: 1e-6 }, // the map contracts, so only the last roundings and the sum of 8 values remain
  cases: [{ n: 5 }],
  variants: [{
    name: "peak_fma",
    source,
    tunables: { WG: [64] },
    loopTurns: (_, __, { steps }) => steps + 1,
    workgroups: ({ n }, { WG }) => grid1d(ceilDiv(n, WG)),
  }],
});
