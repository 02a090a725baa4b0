/**
 * Reductions that need a centre first: the greatest value of a log-sum-exp, the mean of a variance.
 *
 * @module
 */
import naive from "./two_pass_naive.wgsl" with { type: "text" };
import subgroup from "./two_pass_subgroup.wgsl" with { type: "text" };
import { ceilDiv, defineKernel, grid1d, type KernelSpec } from "../kernel.ts";
import { hasLanes } from "./reduce.ts";

function kernel(
  name: "logsumexp" | "variance",
  reduce: (values: Float64Array, ddof: number) => number,
): KernelSpec {
  const OP = Number(name === "variance");
  return defineKernel({
    name,
    buffers: { x: "outer axis inner", y: "out outer inner" },
    args: { ddof: 0 },
    flops: ({ outer, axis, inner }) => 3 * outer * axis * inner,
    reference({ x }, { outer, axis, inner }, { ddof }) {
      const y = new Float64Array(outer * inner);
      const values = new Float64Array(axis);
      for (let id = 0; id < y.length; id++) {
        const base = Math.floor(id / inner) * axis * inner + id % inner;
        for (let r = 0; r < axis; r++) values[r] = x[base + r * inner];
        y[id] = reduce(values, ddof);
      }
      return { y };
    },
    // √axis roundings of the sum and a few ulp of exp and log: 1e-6; a variance is a sum of positive terms of that accuracy.
    tolerance: { f32: 3e-6, f16: 2e-3 },
    cases: [
      { outer: 1, axis: 1, inner: 1, ddof: 0 },
      { outer: 3, axis: 127, inner: 1, ddof: 1 },
      { outer: 5, axis: 7, inner: 1, ddof: 0 },
      { outer: 2, axis: 5, inner: 33, ddof: 0 },
      { outer: 2, axis: 1001, inner: 1, ddof: 1 },
    ],
    large: [{ outer: 2364, axis: 197, inner: 1 }, { outer: 8, axis: 197, inner: 768 }],
    variants: [{
      name: `${name}_subgroup`,
      source: subgroup,
      needs: ["subgroups"],
      constants: (_, __, caps) => ({ OP, SG: caps.subgroupMinSize }),
      supports: ({ inner }, caps) => inner === 1 && hasLanes(caps),
      loopTurns: ({ axis }, { SG }) => 2 * (ceilDiv(axis, SG) + 1),
      workgroups: ({ outer }) => grid1d(outer),
    }, {
      name: `${name}_naive`,
      source: naive,
      tunables: { WG: [64] },
      constants: () => ({ OP }),
      loopTurns: ({ axis }) => 2 * (axis + 1),
      workgroups: ({ outer, inner }, { WG }) => grid1d(ceilDiv(outer * inner, WG)),
    }],
  });
}

/** `log Σ exp(x)`, with the greatest value taken out first. */
export const logsumexpKernel: KernelSpec = kernel("logsumexp", (values) => {
  const top = values.reduce((a, b) => Math.max(a, b), -Infinity);
  return top + Math.log(values.reduce((s, v) => s + Math.exp(v - top), 0));
});

/** `Σ (x − mean)² / (axis − ddof)`, of centred values: `E[x²] − E[x]²` cancels where the mean is large. */
export const varianceKernel: KernelSpec = kernel("variance", (values, ddof) => {
  const mean = values.reduce((s, v) => s + v, 0) / values.length;
  return values.reduce((s, v) => s + (v - mean) ** 2, 0) / (values.length - ddof);
});
