/**
 * One step of the reduction of a symmetric matrix to a tridiagonal one by Householder reflectors, in two kernels: all that needs only
 * vectors and panels, and the product with the matrix, which takes nearly all of the time and is bound by memory.
 *
 * The reflectors are 1 − v·vᵀ with |v|² = 2, or v = 0 where there is nothing to clear, so that no factor travels beside them.
 *
 * @module
 */
import columnVec4 from "./tridiagonal_column_vec4.wgsl" with { type: "text" };
import columnNaive from "./tridiagonal_column_naive.wgsl" with { type: "text" };
import productNaive from "./tridiagonal_product_naive.wgsl" with { type: "text" };
import productWorkgroup from "./tridiagonal_product_workgroup.wgsl" with { type: "text" };
import productSubgroup from "./tridiagonal_product_subgroup.wgsl" with { type: "text" };
import workgroupReduce from "../_lib/workgroup_reduce.wgsl" with { type: "text" };
import { type Args, ceilDiv, defineKernel, type Dims, grid1d, type KernelSpec } from "../kernel.ts";
import { hasLanes } from "../reduce/reduce.ts";

/** Values of a column whose squares {@link tridiagonalColumnKernel} sums into one. */
export const COLUMN_PART = 256;
/** Most reflectors in a panel. */
export const MAX_PANEL = 64;
const NEGLIGIBLE = 1e-30;

function symmetric(size: number, random: () => number, { m }: Dims): Float64Array {
  const a = new Float64Array(size);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j <= i; j++) a[i * m + j] = a[j * m + i] = (random() - 0.5) * Math.sqrt(12);
  }
  return a;
}

const cases: Dims[] = [
  { m: 1, width: 1, parts: 1, n: 1 },
  { m: 4, width: 4, parts: 1, n: 5, step: 1, at: 2 },
  { m: 12, width: 8, parts: 1, n: 12, step: 0, at: 1 },
  { m: 132, width: 32, parts: 1, n: 132, step: 31, at: 31 },
  { m: 516, width: 64, parts: 3, n: 600, step: 33, at: 117 },
];
const large = [{ m: 4096, width: 32, parts: 16, n: 8192, step: 16, at: 4112 }];

/** `w` of the reflector before `step` and the column of the matrix that reflector `step` clears, with the squares of its values. */
export const tridiagonalColumnKernel: KernelSpec = defineKernel({
  name: "tridiagonal_column",
  buffers: {
    a: "f32 m m",
    y: "f32 m",
    dots: "f32 2 width",
    panel: "inout f32 2 width m",
    column: "out f32 m",
    squares: "out f32 parts",
    diagonal: "inout f32 n",
  },
  args: { step: 0, at: 0 },
  flops: ({ m }, { step }) => (8 * step + 6) * (m - step),
  // The panel so far, a row of the matrix, four vectors.
  bytes: ({ m, width }) => 4 * m * (width + 5),
  reference({ a, y, dots, panel, diagonal }, { m, width, parts }, { step, at }) {
    const V = (l: number, i: number) => panel[l * m + i];
    const W = (l: number, i: number) => panel[(width + l) * m + i];
    if (step > 0) {
      const before = step - 1;
      const next = new Float64Array(m);
      let product = 0;
      for (let i = step; i < m; i++) {
        next[i] = y[i];
        for (let l = 0; l < before; l++) next[i] -= V(l, i) * dots[width + l] + W(l, i) * dots[l];
        product += V(before, i) * y[i];
      }
      for (let l = 0; l < before; l++) product -= 2 * dots[l] * dots[width + l];
      for (let i = step; i < m; i++) next[i] -= product / 2 * V(before, i);
      panel.set(next, (width + before) * m);
    }
    const column = new Float64Array(m), squares = new Float64Array(parts);
    for (let i = step; i < m; i++) {
      let c = a[step * m + i];
      for (let l = 0; l < step; l++) c -= V(l, i) * W(l, step) + W(l, i) * V(l, step);
      if (i === step) diagonal[at] = c;
      else column[i] = c;
      squares[Math.floor(i / COLUMN_PART)] += column[i] ** 2;
    }
    return { panel, column, squares, diagonal };
  },
  data: { a: symmetric },
  // Sums of up to 130 terms after one of up to 516: eps·√(130 + 516) = 1.5e-6, and the pivot's w enters every value: times 6.
  tolerance: { f32: 1e-5 },
  cases,
  large,
  variants: [{
    name: "tridiagonal_column_vec4",
    source: columnVec4,
    lib: [workgroupReduce],
    supports: ({ m, width }) => m % 4 === 0 && width <= MAX_PANEL,
    loopTurns: ({ m }, _, { step }) => ceilDiv(m, COLUMN_PART) + 2 * step + 18,
    workgroups: ({ parts }) => [parts, 1, 1],
  }, {
    name: "tridiagonal_column_naive",
    source: columnNaive,
    tunables: { WG: [64] },
    loopTurns: ({ m }, _, { step }) => m + (2 * step + 3) * (Math.min(m, COLUMN_PART) + 2),
    workgroups: ({ parts }, { WG }) => [ceilDiv(parts, WG), 1, 1],
  }],
});

/** Rows whose products are taken: those of the matrix and the reflectors of the panel. */
const rows = ({ m }: Dims, { step }: Args) => m + 2 * step;

/** The reflector of a column and its products with the matrix and with the panel. */
export const tridiagonalProductKernel: KernelSpec = defineKernel({
  name: "tridiagonal_product",
  buffers: {
    a: "f32 m m",
    column: "f32 m",
    squares: "f32 parts",
    panel: "inout f32 2 width m",
    y: "out f32 m",
    dots: "inout f32 2 width",
    off_diagonal: "inout f32 n",
  },
  args: { step: 0, at: 0 },
  flops: ({ m }, { step }) => 2 * (m - step) * (m + step),
  bytes: ({ m, width }) => 4 * m * (m + width),
  reference(
    { a, column, squares, panel, dots, off_diagonal },
    { m, width },
    { step, at },
  ) {
    const head = step + 1;
    const norm2 = squares.reduce((s, x) => s + x, 0);
    const norm = norm2 > NEGLIGIBLE && head < m ? Math.sqrt(norm2) : 0;
    const beta = norm > 0 && column[head] > 0 ? -norm : norm;
    const scale = norm > 0 ? 1 / Math.sqrt(norm2 + Math.abs(column[head]) * norm) : 0;
    const v = column.map((c, i) => scale * (i === head ? c - beta : c));
    const times = (row: Float64Array) => row.reduce((s, x, i) => i < head ? s : s + x * v[i], 0);
    const y = v.map((_, i) => i < head ? 0 : times(a.subarray(i * m, (i + 1) * m)));
    for (let l = 0; l < step; l++) {
      for (const at of [l, width + l]) dots[at] = times(panel.subarray(at * m, (at + 1) * m));
    }
    panel.set(v, step * m);
    off_diagonal[at] = beta;
    return { panel, y, dots, off_diagonal };
  },
  data: {
    a: symmetric,
    column: (size, random, _, { step }) =>
      Float64Array.from({ length: size }, (_, i) => i <= step ? 0 : random() - 0.5),
    squares: (size, random) => Float64Array.from({ length: size }, () => 10 + random()),
  },
  tolerance: { f32: 5e-6 }, // sums of up to 516 terms: eps·√516 = 1.4e-6, and a few roundings of the reflector
  cases,
  large,
  variants: [{
    name: "tridiagonal_product_subgroup",
    source: productSubgroup,
    needs: ["subgroups"],
    constants: (_, __, caps) => ({ SG: caps.subgroupMinSize }),
    supports: ({ m }, caps) => m % 4 === 0 && hasLanes(caps),
    loopTurns: ({ m, parts }, { SG }) => ceilDiv(parts, SG) + ceilDiv(m / 4, SG) + 2,
    workgroups: (dims, _, args) => grid1d(dims.m / 4 + ceilDiv(2 * args.step, 4)),
  }, {
    name: "tridiagonal_product_workgroup",
    source: productWorkgroup,
    tunables: { WG: [64, 128] },
    supports: ({ m }) => m % 4 === 0,
    loopTurns: ({ m, parts }, { WG }) => parts + ceilDiv(m / 4, WG) + Math.log2(WG) + 3,
    workgroups: (dims, _, args) => grid1d(dims.m / 4 + ceilDiv(2 * args.step, 4)),
  }, {
    name: "tridiagonal_product_naive",
    source: productNaive,
    tunables: { WG: [64] },
    loopTurns: ({ m, parts }) => parts + 1 + m + 1,
    workgroups: (dims, { WG }, args) => [ceilDiv(rows(dims, args), WG), 1, 1],
  }],
});
