/**
 * Where the extreme of an axis is.
 *
 * @module
 */
import naive from "./arg_reduce_naive.wgsl" with { type: "text" };
import subgroup from "./arg_reduce_subgroup.wgsl" with { type: "text" };
import sortKey from "../_lib/sort_key.wgsl" with { type: "text" };
import { ceilDiv, defineKernel, grid1d, type KernelSpec } from "../kernel.ts";
import { hasLanes } from "./reduce.ts";

/** Few different values, so that ties occur. */
const coarse = (size: number, random: () => number) =>
  Float64Array.from({ length: size }, () => Math.round(8 * random()) - 4);

function kernel(name: "argmax" | "argmin"): KernelSpec {
  const SMALLEST = Number(name === "argmin");
  return defineKernel({
    name,
    buffers: { x: "outer axis inner", y: "out u32 outer inner" },
    flops: ({ outer, axis, inner }) => outer * axis * inner,
    reference({ x }, { outer, axis, inner }) {
      const y = new Float64Array(outer * inner);
      for (let id = 0; id < y.length; id++) {
        const at = (r: number) => x[(Math.floor(id / inner) * axis + r) * inner + id % inner];
        for (let r = 1; r < axis; r++) {
          const better = SMALLEST ? at(r) < at(y[id]) : at(r) > at(y[id]);
          if (better) y[id] = r;
        }
      }
      return { y };
    },
    data: { x: coarse },
    tolerance: { f32: 0, f16: 0 },
    cases: [
      { outer: 1, axis: 1, inner: 1 },
      { outer: 3, axis: 127, inner: 1 },
      { outer: 5, axis: 7, inner: 1 },
      { outer: 2, axis: 5, inner: 33 },
    ],
    large: [{ outer: 2364, axis: 197, inner: 1 }, { outer: 1, axis: 197, inner: 768 }],
    variants: [{
      name: `${name}_subgroup`,
      source: subgroup,
      lib: [sortKey],
      needs: ["subgroups"],
      constants: (_, __, caps) => ({ SMALLEST, SG: caps.subgroupMinSize }),
      supports: ({ inner }, caps) => inner === 1 && hasLanes(caps),
      loopTurns: ({ axis }, { SG }) => ceilDiv(axis, SG) + 1,
      workgroups: ({ outer }) => grid1d(outer),
    }, {
      name: `${name}_naive`,
      source: naive,
      lib: [sortKey],
      tunables: { WG: [64] },
      constants: () => ({ SMALLEST }),
      loopTurns: ({ axis }) => axis + 1,
      workgroups: ({ outer, inner }, { WG }) => grid1d(ceilDiv(outer * inner, WG)),
    }],
  });
}

/** Position of the greatest value, the first where several are equal; NaN counts as greater than all numbers. */
export const argmaxKernel: KernelSpec = kernel("argmax");

/** Position of the smallest value, the first where several are equal; NaN counts as smaller than all numbers. */
export const argminKernel: KernelSpec = kernel("argmin");
