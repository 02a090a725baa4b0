/**
 * Reductions of one axis of `[outer, axis, inner]`, in `parts` of the axis so that a few long rows keep a device busy.
 *
 * @module
 */
import columns4 from "./reduce_columns4.wgsl" with { type: "text" };
import naive from "./reduce_naive.wgsl" with { type: "text" };
import rowsSubgroup from "./reduce_rows_subgroup.wgsl" with { type: "text" };
import rowsWorkgroup from "./reduce_rows_workgroup.wgsl" with { type: "text" };
import reduceOpsLib from "../_lib/reduce_ops.wgsl" with { type: "text" };
import {
  type Caps,
  ceilDiv,
  defineKernel,
  type Dims,
  grid1d,
  type KernelSpec,
  type KernelVariant,
} from "../kernel.ts";

/** A reduction: its code in the shader and how it joins a value to what it has. */
interface ReduceOp {
  readonly code: number;
  readonly start: number;
  readonly join: (total: number, x: number) => number;
}

/** Every reduction. */
const reduceOps = {
  sum: { code: 0, start: 0, join: (t, x) => t + x },
  sumSquares: { code: 1, start: 0, join: (t, x) => t + x * x },
  prod: { code: 2, start: 1, join: (t, x) => t * x },
  max: { code: 3, start: -Infinity, join: Math.max },
  min: { code: 4, start: Infinity, join: Math.min },
} as const satisfies Record<string, ReduceOp>;

/** Name of a reduction. */
export type ReduceName = keyof typeof reduceOps;

/** True where every subgroup has one size, so that a workgroup of that size is one subgroup. */
export const hasLanes = ({ subgroupMinSize, subgroupMaxSize }: Caps): boolean =>
  subgroupMinSize > 0 && subgroupMinSize === subgroupMaxSize;

const cases = [
  { outer: 1, axis: 1, inner: 1, parts: 1 },
  { outer: 3, axis: 127, inner: 1, parts: 1 },
  { outer: 5, axis: 3, inner: 1, parts: 1 },
  { outer: 2, axis: 5, inner: 33, parts: 1 },
  { outer: 2, axis: 37, inner: 20, parts: 3 },
  { outer: 2, axis: 1001, inner: 1, parts: 7 },
  { outer: 1, axis: 9, inner: 1, parts: 6 }, // the last part is empty
];

const isRow = ({ inner }: Dims): boolean => inner === 1;

function reference({ start, join }: ReduceOp): KernelSpec["reference"] {
  return ({ x }, { outer, axis, inner, parts }, { scale }) => {
    const y = new Float64Array(outer * parts * inner);
    const span = Math.ceil(axis / parts);
    for (let id = 0; id < y.length; id++) {
      const i = id % inner, part = Math.floor(id / inner) % parts;
      const o = Math.floor(id / inner / parts);
      let total = start;
      for (let r = part * span; r < Math.min(axis, (part + 1) * span); r++) {
        total = join(total, x[(o * axis + r) * inner + i]);
      }
      // An extreme of an empty part is any value of the row, here the last.
      if (!Number.isFinite(total)) total = x[(o * axis + axis - 1) * inner + i];
      y[id] = scale * total;
    }
    return { y };
  };
}

/** Length of a part. */
const spanOf = ({ axis, parts }: Dims) => ceilDiv(axis, parts);

function variants(name: ReduceName): KernelSpec["variants"] {
  const OP = reduceOps[name].code;
  const shared = { lib: [reduceOpsLib], tunables: { WG: [64] }, constants: () => ({ OP }) };
  const threads: KernelVariant["workgroups"] = ({ outer, parts, inner }, { WG }) =>
    grid1d(ceilDiv(outer * parts * inner, WG));
  return [{
    name: `reduce_${name}_rows_subgroup`,
    source: rowsSubgroup,
    needs: ["subgroups"],
    lib: [reduceOpsLib],
    constants: (_, __, caps) => ({ OP, SG: caps.subgroupMinSize }),
    supports: (dims, caps) => isRow(dims) && hasLanes(caps),
    loopTurns: (dims, { SG }) => ceilDiv(spanOf(dims), 4 * SG) + 5,
    workgroups: ({ outer, parts }) => grid1d(outer * parts),
  }, {
    name: `reduce_${name}_rows_thread`, // barriers cost more than they save on a CPU
    source: naive,
    ...shared,
    supports: (dims, caps) => isRow(dims) && caps.isSoftware,
    loopTurns: (dims) => spanOf(dims) + 1,
    workgroups: threads,
  }, {
    name: `reduce_${name}_rows_workgroup`,
    source: rowsWorkgroup,
    ...shared,
    tunables: { WG: [64, 256] },
    supports: isRow,
    loopTurns: (dims, { WG }) => ceilDiv(spanOf(dims), 4 * WG) + 5,
    workgroups: ({ outer, parts }) => grid1d(outer * parts),
  }, {
    name: `reduce_${name}_columns4`,
    source: columns4,
    ...shared,
    supports: ({ inner }) => inner % 4 === 0,
    loopTurns: (dims) => spanOf(dims) + 1,
    workgroups: ({ outer, parts, inner }, { WG }) => grid1d(ceilDiv(outer * parts * inner / 4, WG)),
  }, {
    name: `reduce_${name}_naive`,
    source: naive,
    ...shared,
    loopTurns: (dims) => spanOf(dims) + 1,
    workgroups: threads,
  }];
}

function kernel(name: ReduceName): KernelSpec {
  return defineKernel({
    name: `reduce_${name}`,
    buffers: { x: "outer axis inner", y: "out outer parts inner" },
    args: { scale: 1 },
    flops: ({ outer, axis, inner }) => outer * axis * inner,
    reference: reference(reduceOps[name]),
    // Factors near 1 keep products of a thousand values in range.
    data: name === "prod"
      ? { x: (size, random) => Float64Array.from({ length: size }, () => 0.9 + 0.2 * random()) }
      : undefined,
    // A sum of n normals carries a rounding error of about eps·√n relative to its own size √n: 6e-8·√(axis/4)·few; a product of n
    // factors n·eps/2 at random signs, 143 at most here.
    tolerance: { f32: 2e-6, f16: 2e-3 },
    cases,
    large: [
      { outer: 1, axis: 1 << 20, inner: 1, parts: 256 },
      { outer: 2364, axis: 197, inner: 1, parts: 1 },
      { outer: 1, axis: 1576, inner: 768, parts: 16 },
    ],
    variants: variants(name),
  });
}

/** One kernel per reduction. */
export const reduceKernels: Readonly<Record<ReduceName, KernelSpec>> = Object.fromEntries(
  (Object.keys(reduceOps) as ReduceName[]).map((name) => [name, kernel(name)]),
) as Record<ReduceName, KernelSpec>;
