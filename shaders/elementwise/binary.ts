/**
 * Functions of two values, with broadcasting over up to five merged axes.
 *
 * @module
 */
import contiguous from "./binary.wgsl" with { type: "text" };
import broadcast from "./binary_broadcast.wgsl" with { type: "text" };
import rows from "./binary_rows.wgsl" with { type: "text" };
import arithmetic from "./arithmetic_f64.wgsl" with { type: "text" };
import ops from "../_lib/binary_ops.wgsl" with { type: "text" };
import {
  type Args,
  ceilDiv,
  defineKernel,
  type Dims,
  grid1d,
  type HostArrays,
  type KernelSpec,
} from "../kernel.ts";

/** Every function of two values with its code in the shader and its float64 definition. */
export const binaryOps = {
  add: { code: 0, f: (a: number, b: number) => a + b },
  sub: { code: 1, f: (a: number, b: number) => a - b },
  mul: { code: 2, f: (a: number, b: number) => a * b },
  div: { code: 3, f: (a: number, b: number) => a / b },
  maximum: { code: 4, f: Math.max },
  minimum: { code: 5, f: Math.min },
  greater: { code: 6, f: (a: number, b: number) => Number(a > b) },
  greaterEqual: { code: 7, f: (a: number, b: number) => Number(a >= b) },
  equal: { code: 8, f: (a: number, b: number) => Number(a === b) },
  pow: { code: 9, f: Math.pow },
} as const;

/** Name of a function of two values. */
export type BinaryName = keyof typeof binaryOps;

const strides = { a0: 0, a1: 0, a2: 0, a3: 0, a4: 1, b0: 0, b1: 0, b2: 0, b3: 0, b4: 1 };
const plain = { ...strides, n1: 1, n2: 1, n3: 1 };

// Quotients and powers stay away from 0; equal values must occur.
const eighths = (size: number, random: () => number) =>
  Float64Array.from({ length: size }, () => 0.5 + Math.round(16 * random()) / 8);

const wide = (size: number, random: () => number) =>
  Float64Array.from({ length: size }, () => 0.5 + Math.PI * random());

/** Where index `i` of the result reads an operand. */
function offset(i: number, s: Args, operand: "a" | "b"): number {
  let rest = i, at = 0;
  for (const axis of [4, 3, 2, 1]) {
    const k = rest % s[`n${axis}`];
    rest = (rest - k) / s[`n${axis}`];
    at += k * s[`${operand}${axis}`];
  }
  return at + rest * s[`${operand}0`];
}

const cases = [
  { n: 1, aSize: 1, bSize: 1, ...plain, n4: 1 },
  { n: 259, aSize: 259, bSize: 259, ...plain, n4: 259 },
  // [2, 3, 5] with a: [3, 1] and b: [2, 1, 5]
  {
    n: 30,
    aSize: 3,
    bSize: 10,
    ...strides,
    n1: 1,
    n2: 2,
    n3: 3,
    n4: 5,
    a3: 1,
    a4: 0,
    b2: 5,
    b4: 1,
  },
  // [5, 8] with a row, a column and one value
  { ...{ n: 40, aSize: 40, bSize: 8, ...plain }, ...{ n3: 5, n4: 8, a3: 8, b3: 0 } },
  { ...{ n: 40, aSize: 40, bSize: 5, ...plain }, ...{ n3: 5, n4: 8, a3: 8, b3: 1, b4: 0 } },
  { ...{ n: 40, aSize: 40, bSize: 1, ...plain }, ...{ n4: 40, b4: 0 } },
  // [5, 2, 3, 7, 8] with [2, 1, 7, 8], and with [5, 1, 3, 1, 1]
  {
    ...{ n: 1680, aSize: 1680, bSize: 112, ...plain, n1: 2, n2: 3, n3: 7, n4: 8 },
    ...{ a0: 336, a1: 168, a2: 56, a3: 8, b1: 56, b3: 8 },
  },
  {
    ...{ n: 1680, aSize: 1680, bSize: 15, ...plain, n1: 2, n2: 3, n3: 7, n4: 8 },
    ...{ a0: 336, a1: 168, a2: 56, a3: 8, b0: 3, b2: 1, b4: 0 },
  },
];

const common = (name: BinaryName) => ({
  args: { ...plain, n4: 1 },
  flops: ({ n }: Dims) => n,
  reference: ({ a, b }: HostArrays, { n }: Dims, s: Args) => ({
    y: new Float64Array(n).map((_, i) =>
      binaryOps[name].f(a[offset(i, s, "a")], b[offset(i, s, "b")])
    ),
  }),
  data: { a: eighths, b: eighths },
  cases,
});

function kernel(name: BinaryName): KernelSpec {
  const { code } = binaryOps[name];
  return defineKernel({
    ...common(name),
    name,
    buffers: { a: "aSize", b: "bSize", y: "out n" },
    // pow is exp2(b·log2 a), 12 ulp on the software drivers; the others are exact or one rounding.
    tolerance: { f32: name === "pow" ? 5e-6 : 3e-7, f16: 2e-3 },
    large: [{ n: 1 << 20, aSize: 1 << 20, bSize: 1 << 20, ...plain, n4: 1 << 20 }],
    variants: [{
      name,
      source: contiguous,
      lib: [ops],
      tunables: { WG: [64, 256] },
      constants: () => ({ OP: code }),
      supports: ({ n, aSize, bSize }) => aSize === n && bSize === n,
      workgroups: ({ n }, { WG }) => grid1d(ceilDiv(n, 4 * WG)),
    }, {
      name: `${name}_rows`,
      source: rows,
      lib: [ops],
      tunables: { WG: [64] },
      constants: ({ n }, { n3, n4, b4 }) => ({
        OP: code,
        B_ROW: b4,
        DEEP: Number(n !== n3 * n4),
      }),
      // An operand of the result's size repeats on no axis.
      supports: ({ n, aSize }, _, { n4, b4 }) => aSize === n && n4 % 4 === 0 && b4 <= 1,
      workgroups: ({ n }, { WG }) => grid1d(ceilDiv(n, 4 * WG)),
    }, {
      name: `${name}_broadcast_naive`,
      source: broadcast,
      lib: [ops],
      tunables: { WG: [64, 256] },
      constants: () => ({ OP: code }),
      workgroups: ({ n }, { WG }) => grid1d(ceilDiv(n, WG)),
    }],
  });
}

/** One kernel per function. */
export const binaryKernels: Readonly<Record<BinaryName, KernelSpec>> = Object.fromEntries(
  (Object.keys(binaryOps) as BinaryName[]).map((name) => [name, kernel(name)]),
) as Record<BinaryName, KernelSpec>;

function kernelF64(name: BinaryName): KernelSpec {
  return defineKernel({
    ...common(name),
    name: `${name}_f64`,
    buffers: { a: "f64 aSize", b: "f64 bSize", y: "out f64 n" },
    data: { a: wide, b: wide },
    tolerance: { f32: 3e-16 }, // one rounding; all buffers are f64 whatever the run's storage type
    variants: [{
      name: `${name}_f64`,
      source: arithmetic,
      needs: ["shader-f64"],
      tunables: { WG: [64] },
      constants: ({ n, aSize, bSize }) => ({
        OP: binaryOps[name].code,
        BROADCASTS: Number(aSize !== n || bSize !== n),
      }),
      workgroups: ({ n }, { WG }) => grid1d(ceilDiv(n, WG)),
    }],
  });
}

/** The arithmetic among them in double precision. */
export const f64Kernels = {
  add: kernelF64("add"),
  sub: kernelF64("sub"),
  mul: kernelF64("mul"),
  div: kernelF64("div"),
} as const;
